//! Best prices of every book in shared memory, for programs on the same machine.
//!
//! Runs on:  main thread (create, end), shard cores (a [`PriceWriter`] each), a thread that writes the heartbeat.
//! Bounds:   [`RECORDS_MAX`] books; a book beyond them is counted in the header and has no record.
//!
//! A shard writes a record while it handles the message that changed the best price; no other thread is between. The
//! file has a header, an index and records:
//!
//! | part | 64-bit words |
//! |---|---|
//! | header | [`HEADER_WORDS`], see [`Field`] |
//! | index | [`INDEX_ENTRIES`]: a hash table of tokens with linear probing; record number + 1, 0 unused, [`FREED`] |
//! | records | [`RECORDS_MAX`] of [`RECORD_WORDS`], see [`record`] |
//!
//! A token has at most one record. Its record has one writer: the shard that holds the book. `guide/prices.md` has the
//! layout for readers.
pub mod record;
mod writer;

pub use writer::PriceWriter;

use crate::base::time::MILLISECOND_NS;
use crate::io::clock::HostClock;
use crate::io::shared_memory::{SharedWords, process_id};
use record::{Quote, RECORD_WORDS, Record, RecordState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The first word of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RBPRICES");
/// Number of the layout.
pub const LAYOUT_VERSION: u64 = 1;
/// Words of the header: one page.
pub const HEADER_WORDS: usize = 512;
/// Entries of the index; a power of two, twice the records.
pub const INDEX_ENTRIES: usize = 2 * RECORDS_MAX;
/// Most books.
pub const RECORDS_MAX: usize = 1 << 17;
/// An index entry whose book has gone: a search goes on behind it.
pub const FREED: u64 = u64::MAX;
/// Interval of the heartbeat, nanoseconds.
pub const HEARTBEAT_NS: u64 = 50 * MILLISECOND_NS;

const FIRST_RECORD: usize = HEADER_WORDS + INDEX_ENTRIES;
const WORDS: usize = FIRST_RECORD + RECORDS_MAX * RECORD_WORDS;

/// Words of the header, by their places.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Field {
    /// [`MAGIC`].
    Magic = 0,
    /// [`LAYOUT_VERSION`].
    Version = 1,
    /// Where the index begins, in words.
    IndexFirst = 2,
    /// [`INDEX_ENTRIES`].
    IndexEntries = 3,
    /// Where the records begin, in words.
    RecordFirst = 4,
    /// [`RECORD_WORDS`].
    RecordWords = 5,
    /// [`RECORDS_MAX`].
    RecordsMax = 6,
    /// 0 while it starts, 1 while it runs, 2 once it has ended.
    Status = 8,
    /// Start of the engine, nanoseconds since the Unix epoch.
    Started = 9,
    /// When the engine last showed that it runs, nanoseconds since the Unix epoch.
    Heartbeat = 10,
    /// Records that have ever had a book: all others are free.
    RecordsUsed = 11,
    /// Entries of the index that a search looks at, at most.
    SearchMax = 12,
    /// Books that found no free record.
    Unplaced = 13,
    /// Process id of the engine.
    Process = 14,
}

const RUNNING: u64 = 1;
const ENDED: u64 = 2;

/// The place in the index where the search for a token begins: FNV-1a, 64 bits.
pub fn hash(token: &[u8]) -> u64 {
    token.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The mapped table.
#[derive(Debug)]
pub struct Table {
    memory: SharedWords,
}

impl Table {
    /// Maps the table of a running or ended engine, to read it.
    ///
    /// # Errors
    /// The file cannot be opened or mapped, or is no table of this layout.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let memory = SharedWords::open(path)?;
        if memory.words().len() != WORDS || !is_table(memory.words()) {
            return Err(std::io::Error::other("no table of prices of this version"));
        }
        Ok(Self { memory })
    }

    /// A word of the header.
    pub fn field(&self, field: Field) -> &AtomicU64 {
        &self.memory.words()[field as usize]
    }

    /// A record.
    #[inline]
    pub fn record(&self, number: u32) -> Record<'_> {
        let first = FIRST_RECORD + number as usize * RECORD_WORDS;
        Record(&self.memory.words()[first..first + RECORD_WORDS])
    }

    /// The record of a token.
    pub fn find(&self, token: &str) -> Option<u32> {
        let first = hash(token.as_bytes()) as usize;
        for step in 0..self.field(Field::SearchMax).load(Ordering::Acquire) as usize {
            let entry = self.entry(first.wrapping_add(step)).load(Ordering::Acquire);
            let number = match entry {
                0 => return None,
                FREED => continue,
                entry => (entry - 1) as u32,
            };
            if self.record(number).read_all().1 == token {
                return Some(number);
            }
        }
        None
    }

    fn entry(&self, place: usize) -> &AtomicU64 {
        &self.memory.words()[HEADER_WORDS + place % INDEX_ENTRIES]
    }

    /// Points the index to a record; the place of its entry. Several shards may do so at once, each for its own tokens.
    fn insert(&self, token: &[u8], record: u32) -> Option<u32> {
        let first = hash(token) as usize;
        for step in 0..INDEX_ENTRIES {
            let place = first.wrapping_add(step) % INDEX_ENTRIES;
            let entry = self.entry(place);
            let seen = entry.load(Ordering::Relaxed);
            if seen != 0 && seen != FREED {
                continue;
            }
            self.field(Field::SearchMax).fetch_max(step as u64 + 1, Ordering::AcqRel);
            let new = u64::from(record) + 1;
            if entry.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(place as u32);
            }
        }
        None
    }

    fn remove(&self, entry: u32) {
        self.entry(entry as usize).store(FREED, Ordering::Release);
    }

    /// A record that no shard has had.
    fn take_record(&self) -> Option<u32> {
        let next = |used| (used < RECORDS_MAX as u64).then_some(used + 1);
        let used = self.field(Field::RecordsUsed);
        let taken = used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
        taken.ok().map(|number| number as u32)
    }

    /// Frees a record: whoever has remembered it finds another generation.
    fn free(&self, number: u32) {
        let record = self.record(number);
        let before = record.own();
        let quote = Quote {
            state: RecordState::Free as u8,
            generation: before.generation.wrapping_add(1),
            ..Quote::from_words(Default::default())
        };
        record.write_all(quote, b"", b"");
    }

    /// Empties a table that an engine has left.
    fn clear(&self) {
        let used = self.field(Field::RecordsUsed).load(Ordering::Relaxed).min(RECORDS_MAX as u64);
        for entry in &self.memory.words()[HEADER_WORDS..FIRST_RECORD] {
            entry.store(0, Ordering::Relaxed);
        }
        (0..used as u32).for_each(|number| self.free(number));
        for field in [Field::RecordsUsed, Field::SearchMax, Field::Unplaced] {
            self.field(field).store(0, Ordering::Release);
        }
    }
}

fn is_table(words: &[AtomicU64]) -> bool {
    let [magic, version] =
        [Field::Magic, Field::Version].map(|field| words[field as usize].load(Ordering::Acquire));
    magic == MAGIC && version == LAYOUT_VERSION
}

/// The table of this engine. Dropping it marks the table as ended.
#[derive(Debug)]
pub struct PriceTable {
    table: Arc<Table>,
    is_over: Arc<AtomicBool>,
    heartbeat: Option<JoinHandle<()>>,
}

impl PriceTable {
    /// Makes the table, or takes over the one that an earlier engine has left there. Readers keep their mapping.
    ///
    /// # Errors
    /// One line: what is wrong with the path, and the remedy.
    pub fn create(path: &Path) -> Result<Self, String> {
        let fault = |why: String| format!("{}: {why}", path.display());
        // All zero: a process was killed while it made the file.
        let is_ours = |words: &[AtomicU64]| {
            is_table(words) || words[..HEADER_WORDS].iter().all(|w| w.load(Ordering::Relaxed) == 0)
        };
        let memory = SharedWords::create(path, WORDS, is_ours).map_err(fault)?;
        let table = Arc::new(Table { memory });
        let mut clock = HostClock::new();
        table.field(Field::Status).store(0, Ordering::Release);
        table.clear();
        for (field, value) in [
            (Field::IndexFirst, HEADER_WORDS as u64),
            (Field::IndexEntries, INDEX_ENTRIES as u64),
            (Field::RecordFirst, FIRST_RECORD as u64),
            (Field::RecordWords, RECORD_WORDS as u64),
            (Field::RecordsMax, RECORDS_MAX as u64),
            (Field::Process, process_id()),
            (Field::Started, clock.now().wall_ns),
            (Field::Heartbeat, clock.now().wall_ns),
            (Field::Version, LAYOUT_VERSION),
            (Field::Magic, MAGIC),
            (Field::Status, RUNNING),
        ] {
            table.field(field).store(value, Ordering::Release);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, is_done) = (Arc::clone(&table), Arc::clone(&is_over));
        let beat = move || {
            while !is_done.load(Ordering::Acquire) {
                clock.align();
                shared.field(Field::Heartbeat).store(clock.now().wall_ns, Ordering::Release);
                std::thread::park_timeout(Duration::from_nanos(HEARTBEAT_NS));
            }
        };
        let heartbeat = std::thread::Builder::new().name("prices".into()).spawn(beat);
        let heartbeat = Some(heartbeat.map_err(|error| fault(error.to_string()))?);
        Ok(Self { table, is_over, heartbeat })
    }

    /// The handler of a shard.
    pub fn writer(&self) -> PriceWriter {
        PriceWriter::new(Arc::clone(&self.table))
    }

    /// Books that found no free record.
    pub fn unplaced(&self) -> u64 {
        self.table.field(Field::Unplaced).load(Ordering::Acquire)
    }
}

impl Drop for PriceTable {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.thread().unpark();
            drop(heartbeat.join());
        }
        self.table.field(Field::Status).store(ENDED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;

//! What waits for a broker that is away: trades and the stages of markets, in a journal on the disk.
//!
//! Runs on:  the thread `bus`; may block on the disk. Owns: the journal. Bounds: the disk; in memory, what one producer
//!           holds.
//!
//! Of books the newest state is enough. These records come one behind the other: what a producer has given back, the
//! journal, what has just come. While any of them waits, no record of these kinds is published before it. A batch stays
//! in the journal until the broker has acknowledged all of it, so after a crash some are published twice: readers tell
//! trades by their ids.
use super::producer::{Producer, Refused};
use super::record::{RecordHead, Topic};
use crate::base::limits::{BUS_JOURNAL_BATCH, BUS_RETRY_NS};
use crate::base::time::Now;
use crate::counter::bus::BusBoard;
use crate::io::journal::{Entry, Journal};
use log::{info, warn};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A record, as the stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept(String);

impl Kept {
    /// Whether records of this kind are kept.
    pub(super) fn is_kept(kind: &str) -> bool {
        matches!(kind, "trade" | "market")
    }

    fn is_trade(&self) -> bool {
        RecordHead::read(&self.0).is_some_and(|head| head.kind == "trade")
    }
}

impl Entry for Kept {
    const REMEDY: &'static str = "`journal=FILE` in the address of --bus";

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend(self.0.as_bytes());
        Ok(())
    }

    fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('}'))?;
        let head = RecordHead::read(text)?;
        Self::is_kept(head.kind).then(|| Self(text.to_owned()))
    }
}

/// The records that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    journal: Journal<Kept>,
    /// Has how many are in the journal.
    board: Arc<BusBoard>,
    /// Older than the journal.
    given_back: Vec<Kept>,
    /// Newer than the journal.
    arrived: Vec<Kept>,
    /// From the front of the journal, and how many of it the producer has taken.
    batch: Vec<Kept>,
    taken: usize,
    /// The broker has refused a record of it.
    is_refused: bool,
    /// When the next batch may begin, monotonic nanoseconds.
    retry_ns: u64,
}

impl Backlog {
    /// Opens the journal.
    ///
    /// # Errors
    /// One line: the file cannot be used.
    pub(super) fn open(path: &Path, board: Arc<BusBoard>) -> Result<Self, String> {
        let opened = Journal::open(path);
        let (journal, found) =
            opened.map_err(|error| format!("journal {}: {error}", path.display()))?;
        if found.records > 0 {
            info!(
                "{} trades and stages of markets of an earlier run are in {}",
                found.records,
                path.display()
            );
        }
        if found.incomplete > 0 {
            warn!("{}: {} incomplete lines are skipped", path.display(), found.incomplete);
        }
        board.journaled.set(found.records);
        let (given_back, arrived, batch) = (Vec::new(), Vec::new(), Vec::new());
        let (taken, is_refused, retry_ns) = (0, false, 0);
        Ok(Self { journal, board, given_back, arrived, batch, taken, is_refused, retry_ns })
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.board.journaled.get() == 0 && self.given_back.is_empty() && self.arrived.is_empty()
    }

    /// A record has come that cannot be published now.
    pub(super) fn push(&mut self, text: &str) {
        self.arrived.push(Kept(text.to_owned()));
    }

    /// What a producer had taken and not published, oldest first.
    pub(super) fn give_back(&mut self, texts: Vec<String>) {
        self.given_back.extend(texts.into_iter().map(Kept));
    }

    /// The broker has refused a record of the batch.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Writes what waits in memory to the disk.
    pub(super) fn store(&mut self) {
        if self.given_back.is_empty() && self.arrived.is_empty() {
            return;
        }
        let Self { journal, board, .. } = self;
        match journal.check() {
            Ok(None) => {}
            Ok(Some(left)) => board.journaled.set(left),
            Err(error) => {
                board.set_error(&format!("journal {}: {error}", journal.path().display()))
            }
        }
        let parts = [(&mut self.given_back, true), (&mut self.arrived, false)];
        for (records, first) in parts {
            if records.is_empty() || (first && !self.batch.is_empty()) {
                continue;
            }
            let stored = match first {
                true => journal.prepend(&*records),
                false => journal.append(&*records),
            };
            match stored {
                Ok(()) => board.journaled.add(records.len() as u64),
                Err(error) => {
                    let (path, count) = (journal.path().display(), records.len());
                    let line = format!(
                        "journal {path}: {error}; {count} trades and stages of markets are lost"
                    );
                    warn!("{line}");
                    board.set_error(&line);
                    let trades = records.iter().filter(|record| record.is_trade()).count();
                    board.trades_failed.add(trades as u64);
                }
            }
            records.clear();
        }
    }

    /// Publishes a part of the journal, as far as the producer has room.
    pub(super) fn publish(&mut self, producer: &Producer, now: Now) -> io::Result<()> {
        let Self { journal, board, batch, .. } = self;
        if !batch.is_empty() && self.taken == batch.len() {
            if !producer.is_batch_over() {
                return Ok(());
            }
            if self.is_refused {
                self.retry_ns = now.mono_ns + BUS_RETRY_NS;
            } else {
                journal.consume()?;
                board.journaled.set(board.journaled.get().saturating_sub(batch.len() as u64));
                if board.journaled.get() == 0 {
                    info!("all that waited in {} is published", journal.path().display());
                }
            }
            self.begin_again();
        }
        self.store();
        if self.batch.is_empty() {
            if self.board.journaled.get() == 0 || now.mono_ns < self.retry_ns {
                return Ok(());
            }
            self.journal.peek(BUS_JOURNAL_BATCH, &mut self.batch)?;
            if self.batch.is_empty() {
                // Another program has changed it.
                self.board.journaled.set(0);
                return self.journal.consume();
            }
        }
        for Kept(text) in &self.batch[self.taken..] {
            if let Some(RecordHead { kind, key, .. }) = RecordHead::read(text) {
                for &topic in Topic::of_kind(kind) {
                    if producer.send_batched(topic, key, text) == Err(Refused::Full) {
                        return Ok(());
                    }
                }
            }
            self.taken += 1;
        }
        Ok(())
    }

    /// There is another producer: a batch that was not acknowledged is published again.
    pub(super) fn begin_again(&mut self) {
        self.batch.clear();
        (self.taken, self.is_refused) = (0, false);
    }
}

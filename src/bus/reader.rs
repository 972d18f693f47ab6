//! Books and trades of the bus.
//!
//! Runs on:  the thread of its owner. Owns: the consumer and the books.
use super::BusError;
use super::books::{Applied, BusBook, BusBooks, BusEvent, Source};
use super::consumer::{BusConsumer, BusRecord};
use super::races::BusRacer;
use super::record::Topic;
use crate::base::id::TokenId;
use crate::base::time::{Clock as _, MILLISECOND_NS};
use crate::counter::bus_source::BusCounts;
use crate::io::clock::HostClock;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The topics of a reader; best prices follow from the books.
const TOPICS: [Topic; 5] =
    [Topic::Slices, Topic::Events, Topic::Markets, Topic::Books, Topic::Trades];

/// A source that is stopped waits for a broker that is away for so long.
const SOURCE_WAIT_NS: u64 = 500 * MILLISECOND_NS;

/// A reader whose calls are further apart was away.
const AWAY_NS: u64 = 100 * MILLISECOND_NS;

/// Reads what engines publish with `--bus`: every book as its engine has it, every trade once. Of several engines with
/// the same market it has the book of the one that is furthest.
///
/// A book is awaited until its first snapshot, and again when records of it are missing; each comes within
/// `--bus-snapshot-seconds`. While nothing comes of an engine for 5 s its books are stale.
///
/// ```no_run
/// use ringbook::{BusEvent, BusReader, BusState};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), ringbook::BusError> {
/// let mut reader = BusReader::connect("kafka://127.0.0.1:9092/ringbook", false)?;
/// loop {
///     match reader.poll(Duration::from_secs(1))? {
///         Some(BusEvent::Book(token)) => {
///             let book = reader.book(&token).expect("it has changed");
///             if book.state == BusState::Live {
///                 println!("{token}: {:?} / {:?}", book.book.best_bid(), book.book.best_ask());
///             }
///         }
///         Some(BusEvent::Trade(trade)) => println!("{}: {} at {}", trade.token, trade.quantity, trade.price),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct BusReader {
    consumer: BusConsumer,
    books: BusBooks,
    clock: HostClock,
    /// When it last read, monotonic nanoseconds.
    last_ns: u64,
    /// Time in which it has read or waited: a reader that was away has not found the engines silent.
    time_ns: u64,
    /// The next offset of each partition of the books.
    next: HashMap<i32, i64>,
    /// Still to be returned.
    changed: VecDeque<BusEvent>,
}

impl BusReader {
    /// Begins with the oldest records that the broker has, or with those that come from now on. The address is that of
    /// `--bus`.
    ///
    /// # Errors
    /// [`BusError`]: the address is none, the broker does not answer, or no engine has published there yet.
    pub fn connect(address: &str, from_beginning: bool) -> Result<Self, BusError> {
        let begin: &[Topic] = if from_beginning { &TOPICS } else { &[Topic::Slices] };
        Ok(Self::of(BusConsumer::connect(address, &TOPICS, begin)?))
    }

    /// Begins with the last stage of each market, and with the other records that come from now on; gives up soon when
    /// it is not wanted any more.
    ///
    /// # Errors
    /// As [`BusReader::connect`].
    pub(crate) fn of_source(address: &str, is_wanted: impl Fn() -> bool) -> Result<Self, BusError> {
        let (begin, turns) =
            ([Topic::Slices, Topic::Markets], (SOURCE_WAIT_NS, &is_wanted as &dyn Fn() -> bool));
        Ok(Self::of(BusConsumer::connect_while(address, &TOPICS, &begin, turns)?))
    }

    fn of(consumer: BusConsumer) -> Self {
        let clock = HostClock::new();
        Self {
            consumer,
            books: BusBooks::default(),
            last_ns: clock.mono_ns(),
            time_ns: 0,
            clock,
            next: HashMap::new(),
            changed: VecDeque::new(),
        }
    }

    /// Reads one record; what it has changed. `None` if that is nothing, or none comes within this time.
    ///
    /// # Errors
    /// [`BusError`]: it cannot go on. A broker that is away is no error.
    pub fn poll(&mut self, time: Duration) -> Result<Option<BusEvent>, BusError> {
        if let Some(event) = self.changed.pop_front() {
            return Ok(Some(event));
        }
        let applied = self.read(time)?;
        self.changed.extend(self.books.take_changed().into_iter().map(Applied::into_event));
        Ok(applied.map(Applied::into_event).or_else(|| self.changed.pop_front()))
    }

    /// The same with what is new; what has changed without a record is [`BusReader::take_changed`].
    ///
    /// # Errors
    /// As [`BusReader::poll`].
    pub(crate) fn read(&mut self, time: Duration) -> Result<Option<Applied>, BusError> {
        let record = self.consumer.poll(time)?;
        let now_ns = self.clock.mono_ns();
        let passed_ns = now_ns.saturating_sub(std::mem::replace(&mut self.last_ns, now_ns));
        self.time_ns += passed_ns.min(time.as_nanos() as u64 + AWAY_NS);
        let applied = record.and_then(|record| self.apply(&record));
        self.books.on_time(self.time_ns);
        Ok(applied)
    }

    fn apply(&mut self, record: &BusRecord) -> Option<Applied> {
        let BusRecord { topic, partition, offset, ref engine, epoch, ref text, .. } = *record;
        let topic = Topic::named(topic)?;
        if topic == Topic::Books {
            let next = self.next.insert(partition, offset + 1);
            if next.is_some_and(|next| next != offset) {
                self.books.on_missing(partition);
            }
        }
        if record.deleted.is_some() {
            return None;
        }
        let source = Source { engine, epoch, partition, offset, read_ns: self.time_ns };
        self.books.apply(topic, source, text)
    }

    pub(crate) fn take_changed(&mut self) -> Vec<Applied> {
        self.books.take_changed()
    }

    /// What it has read.
    pub(crate) const fn all(&self) -> &BusBooks {
        &self.books
    }

    /// The book of a token.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<&BusBook> {
        self.books.book(token)
    }

    /// All books, in any order.
    pub fn books(&self) -> impl Iterator<Item = (&TokenId, &BusBook)> {
        self.books.books()
    }

    /// The engines that publish, and how each was against the others in what they have in common: who was first, by how
    /// much, and what only one had. Figures mean little after [`BusReader::connect`] from the beginning: what is old is
    /// read as fast as it goes.
    #[must_use]
    pub fn racers(&self) -> Vec<BusRacer> {
        self.books.racers()
    }

    /// Tokens of which live books of two engines are different, although both had the same venue time and nothing has
    /// come for 5 s: one of the engines is wrong.
    #[must_use]
    pub fn differing(&self) -> Vec<TokenId> {
        self.books.differing()
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> BusCounts {
        self.books.counts()
    }
}

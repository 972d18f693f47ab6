//! Books and trades of the bus.
//!
//! Runs on:  the thread of its owner. Owns: the consumer and the books.
use super::BusError;
use super::books::{BusBook, BusBooks, BusCounts, BusEvent, Source};
use super::consumer::{BusConsumer, BusRecord};
use super::record::Topic;
use crate::base::id::TokenId;
use std::collections::HashMap;
use std::time::Duration;

/// The topics of a reader; best prices follow from the books.
const TOPICS: [Topic; 4] = [Topic::Events, Topic::Markets, Topic::Books, Topic::Trades];

/// Reads what engines publish with `--bus`: every book as its engine has it, every trade once.
///
/// A book is awaited until its first snapshot, and again when records of it are missing; each comes within
/// `--bus-snapshot-seconds`.
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
    /// The next offset of each partition of the books.
    next: HashMap<i32, i64>,
}

impl BusReader {
    /// Begins with the oldest records that the broker has, or with those that come from now on. The address is that of
    /// `--bus`.
    ///
    /// # Errors
    /// [`BusError`]: the address is none, the broker does not answer, or no engine has published there yet.
    pub fn connect(address: &str, from_beginning: bool) -> Result<Self, BusError> {
        let consumer = BusConsumer::connect(address, &TOPICS, from_beginning)?;
        Ok(Self { consumer, books: BusBooks::default(), next: HashMap::new() })
    }

    /// Reads one record; what it has changed. `None` if that is nothing, or none comes within this time.
    ///
    /// # Errors
    /// [`BusError`]: it cannot go on. A broker that is away is no error.
    pub fn poll(&mut self, time: Duration) -> Result<Option<BusEvent>, BusError> {
        let Some(record) = self.consumer.poll(time)? else { return Ok(None) };
        let BusRecord { topic, partition, offset, engine, epoch, text } = record;
        let Some(topic) = Topic::named(topic) else { return Ok(None) };
        if topic == Topic::Books {
            let next = self.next.insert(partition, offset + 1);
            if next.is_some_and(|next| next != offset) {
                self.books.on_missing(partition);
            }
        }
        Ok(self.books.on_record(topic, Source { engine: &engine, epoch, partition }, &text))
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

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> BusCounts {
        self.books.counts()
    }
}

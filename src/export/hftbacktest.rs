//! The event arrays of hftbacktest: changes of books and trades, one archive for each token and UTC day.
//!
//! Runs on:  the replay's one shard. Owns: the files, each with the suffix `.unfinished` until it is complete.
//! Bounds:   the events of one token and day in memory, 32 bytes each, while its file is written.
//!
//! Format: <https://hftbacktest.readthedocs.io/en/latest/data.html>. Both orders that it asks for hold: rows flagged
//! for the exchange are in the order of `exch_ts`, those flagged for the local side in that of `local_ts`; where these
//! differ an event has two rows. What the venue's times cannot be, they are not:
//!
//! - `exch_ts` is at most `local_ts`, which stays as recorded, so that arrays of several tokens agree.
//! - Changes of a book stay in the order in which they were received, because each replaces a level: one with an
//!   earlier time than the one before it has the time of that.
use super::daily::{At, DayFormat, date, symbol};
use super::npz;
use super::plan::Format;
use super::spool::{Part, Spool};
use super::table::Written;
use crate::base::id::{TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::io::file::NewFile;
use crate::market::book::{Level, Side};
use crate::market::event::Trade;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The type of a row, as NumPy writes it.
const DTYPE: &str = "[('ev', '<u8'), ('exch_ts', '<i8'), ('local_ts', '<i8'), ('px', '<f8'), ('qty', '<f8'), \
                     ('order_id', '<u8'), ('ival', '<i8'), ('fval', '<f8')]";
const ROW_BYTES: usize = 64;

const DEPTH: u32 = 1;
const TRADE: u32 = 2;
const CLEAR: u32 = 3;
const SNAPSHOT: u32 = 4;
const SELL: u32 = 1 << 28;
const BUY: u32 = 1 << 29;
const LOCAL: u32 = 1 << 30;
const EXCHANGE: u32 = 1 << 31;

const EVENT_BYTES: usize = 32;

/// An event, before it is put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    /// Kind and side.
    kind: u32,
    price: Price,
    quantity: Quantity,
    exchange_ns: u64,
    local_ns: u64,
}

impl Event {
    fn push_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.price.0.to_le_bytes());
        for long in [self.quantity.0, self.exchange_ns, self.local_ns] {
            bytes.extend(long.to_le_bytes());
        }
    }

    fn parse(bytes: &[u8; EVENT_BYTES]) -> Self {
        let word = |at: usize| std::array::from_fn(|byte| bytes[at + byte]);
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            kind: u32::from_le_bytes(word(0)),
            price: Price(u32::from_le_bytes(word(4))),
            quantity: Quantity(long(8)),
            exchange_ns: long(16),
            local_ns: long(24),
        }
    }

    /// A trade takes effect before the change of the book that it causes.
    const fn is_trade(&self) -> bool {
        self.kind & !(BUY | SELL) == TRADE
    }

    fn write(&self, flags: u32, to: &mut dyn Write) -> io::Result<()> {
        let mut row = [0; ROW_BYTES];
        let [px, qty] = [f64::from(self.price.0), self.quantity.0 as f64].map(|units| units / 1e6);
        let columns = [
            u64::from(self.kind | flags),
            self.exchange_ns,
            self.local_ns,
            px.to_bits(),
            qty.to_bits(),
        ];
        for (place, column) in row.chunks_exact_mut(8).zip(columns) {
            place.copy_from_slice(&column.to_le_bytes());
        }
        to.write_all(&row)
    }
}

/// Corrects the venue's times, and puts an empty book before the first event: the file opens alone and behind another.
fn complete(events: &mut Vec<Event>) {
    let mut book_ns = 0;
    for event in &mut *events {
        event.exchange_ns = event.exchange_ns.min(event.local_ns);
        if !event.is_trade() {
            event.exchange_ns = event.exchange_ns.max(book_ns).min(event.local_ns);
            book_ns = event.exchange_ns;
        }
    }
    let exchange_ns = events.iter().map(|event| event.exchange_ns).min().unwrap_or(0);
    let local_ns = events.iter().map(|event| event.local_ns).min().unwrap_or(0);
    let clear =
        Event { kind: CLEAR, price: Price::ZERO, quantity: Quantity::ZERO, exchange_ns, local_ns };
    events.insert(0, clear);
}

/// The rows: events with the sides for which they are flagged.
fn rows(events: &[Event]) -> Vec<(u32, u32)> {
    let mut exchange: Vec<u32> = (0..events.len() as u32).collect();
    let mut local = exchange.clone();
    // Stable, and the first event is the first of both.
    exchange[1..].sort_by_key(|&place| {
        let event = &events[place as usize];
        (event.exchange_ns, !event.is_trade())
    });
    local[1..].sort_by_key(|&place| events[place as usize].local_ns);
    let mut is_written = vec![false; events.len()];
    let (mut next, mut rows) = (exchange.into_iter().peekable(), Vec::with_capacity(events.len()));
    for place in local {
        // Whatever the exchange did until then.
        while !is_written[place as usize] && next.peek().is_some_and(|&other| other != place) {
            rows.extend(next.next().map(|other| {
                is_written[other as usize] = true;
                (other, EXCHANGE)
            }));
        }
        let flags = match next.next_if_eq(&place) {
            Some(_) => LOCAL | EXCHANGE,
            None => LOCAL,
        };
        rows.push((place, flags));
    }
    rows
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    venue: Venue,
    /// Since the epoch.
    day: u64,
    token: TokenId,
}

/// The files of all tokens.
pub(super) struct Hftbacktest {
    folder: PathBuf,
    /// Events.
    spool: Spool<Key>,
}

impl Hftbacktest {
    pub(super) fn create(folder: &Path) -> Result<Self, String> {
        Ok(Self { folder: folder.to_owned(), spool: Spool::create(folder)? })
    }

    fn add(&mut self, at: &At, kind: u32, level: Level) -> Result<(), String> {
        let At { venue, token, venue_ns: exchange_ns, local_ns, .. } = *at;
        let Level { price, quantity } = level;
        let event = Event { kind, price, quantity, exchange_ns, local_ns };
        self.spool.add(Key { venue, day: at.day(), token }, |bytes| event.push_to(bytes))
    }

    fn write(&self, key: &Key, part: &Part) -> Result<Written, String> {
        let mut events = Vec::with_capacity(part.rows as usize + 1);
        self.spool.each(part, |bytes| {
            let (each, _) = bytes.as_chunks::<EVENT_BYTES>();
            events.extend(each.iter().map(Event::parse));
            Ok(())
        })?;
        complete(&mut events);
        let rows = rows(&events);
        let (venue, date, symbol) = (key.venue.name(), date(key.day), symbol(&key.token));
        let suffix = Format::Hftbacktest.suffix();
        let path = self.folder.join(format!("{venue}_{date}_{symbol}.{suffix}"));
        let mut file = NewFile::create(&path)?;
        let written = npz::write(&mut file, DTYPE, rows.len(), ROW_BYTES, |to| {
            rows.iter().try_for_each(|&(place, flags)| events[place as usize].write(flags, to))
        });
        written.map_err(|error| file.explain(error))?;
        file.complete()?;
        Ok(Written { path, rows: rows.len() as u64 })
    }
}

const fn of_side(side: Side) -> u32 {
    match side {
        Side::Bid => BUY,
        Side::Ask => SELL,
    }
}

impl DayFormat for Hftbacktest {
    /// A strategy must see that nothing is known.
    const CLEARS_STALE: bool = true;

    fn level(
        &mut self,
        at: &At,
        is_snapshot: bool,
        side: Side,
        level: Level,
    ) -> Result<(), String> {
        let kind = if is_snapshot { SNAPSHOT } else { DEPTH };
        self.add(at, kind | of_side(side), level)
    }

    fn clear(&mut self, at: &At) -> Result<(), String> {
        // The book's own time is that of its last change.
        let at = At { venue_ns: at.local_ns, ..*at };
        self.add(&at, CLEAR, Level { price: Price::ZERO, quantity: Quantity::ZERO })
    }

    fn trade(&mut self, at: &At, trade: &Trade<'_>) -> Result<(), String> {
        let Trade { price, quantity, side, .. } = *trade;
        self.add(at, TRADE | of_side(side), Level { price, quantity })
    }

    fn quote(&mut self, _: &At, _: [Option<Level>; 2]) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let parts = self.spool.take_parts();
        parts.iter().map(|(key, part)| self.write(key, part)).collect()
    }
}

#[cfg(test)]
mod tests;

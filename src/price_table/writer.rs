//! The handler that writes the best prices of a shard's books into the table.
//!
//! Runs on:  shard cores. Owns: the records of the shard's books. A changed best price costs one write of a cache line;
//! another change of a book costs a comparison.
use super::record::{Quote, state_of};
use super::{Field, RECORDS_MAX, Table};
use crate::base::id::BookIndex;
use crate::base::price::Price;
use crate::market::book::{BookState, Level};
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change, Handler};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Where a book lies.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    record: u32,
    /// Of the table's index.
    entry: u32,
}

/// That of no book.
const NOWHERE: Place = Place { record: u32::MAX, entry: u32::MAX };

/// Writes the books of one shard.
#[derive(Debug)]
pub struct PriceWriter {
    table: Arc<Table>,
    /// By [`BookIndex`]; a shard with a book beyond it has held more books than the table has records.
    places: Box<[Place]>,
    /// Records of closed books.
    free: Vec<u32>,
}

impl PriceWriter {
    /// Reserves what all books of the table need on this shard, so that it does not grow later.
    pub(super) fn new(table: Arc<Table>) -> Self {
        let places = vec![NOWHERE; RECORDS_MAX].into();
        Self { table, places, free: Vec::with_capacity(RECORDS_MAX) }
    }

    #[inline]
    fn place(&self, book: BookIndex) -> Option<Place> {
        self.places.get(book.0 as usize).copied().filter(|place| *place != NOWHERE)
    }

    #[inline]
    fn write(&mut self, view: &BookView<'_>, traded: Option<Price>) {
        let Some(place) = self.place(view.index) else { return };
        let record = self.table.record(place.record);
        let before = record.own();
        let quote = quote_of(view, before.generation, traded.unwrap_or(before.last_trade));
        if !quote.is_same(&before) {
            record.write(quote);
        }
    }
}

fn quote_of(view: &BookView<'_>, generation: u16, last_trade: Price) -> Quote {
    let (state, reason) = state_of(view.state);
    let best = |level: Option<Level>| level.unwrap_or_default();
    Quote {
        bid: best(view.book.best_bid()),
        ask: best(view.book.best_ask()),
        version: view.facts.updates,
        venue_ms: view.facts.timestamp_ms,
        received_ns: view.read_wall_ns,
        last_trade,
        state,
        reason,
        generation,
    }
}

impl Handler for PriceWriter {
    const WANTS_MARKETS: bool = false;

    fn on_open(&mut self, view: &BookView<'_>) {
        let Self { table, places, free } = self;
        let record = match places.len() > view.index.0 as usize {
            true => free.pop().or_else(|| table.take_record()),
            false => None,
        };
        let Some(record) = record else {
            table.field(Field::Unplaced).fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (words, token) = (table.record(record), view.token.as_bytes());
        let quote = quote_of(view, words.own().generation, Price::ZERO);
        words.write_all(quote, token, view.venue.name().as_bytes());
        match table.insert(token, record) {
            Some(entry) => places[view.index.0 as usize] = Place { record, entry },
            // There are more entries than records.
            None => free.push(record),
        }
    }

    fn on_close(&mut self, view: &BookView<'_>) {
        let Some(Place { record, entry }) = self.place(view.index) else { return };
        self.places[view.index.0 as usize] = NOWHERE;
        self.table.remove(entry);
        self.table.free(record);
        self.free.push(record);
    }

    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.write(view, None);
    }

    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        self.write(view, None);
    }

    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.write(view, Some(trade.price));
    }

    fn on_status(&mut self, view: &BookView<'_>, _: BookState) {
        self.write(view, None);
    }
}

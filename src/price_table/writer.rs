//! The handler that writes the best prices of a shard's books into the table.
//!
//! Runs on:  shard cores. Owns: the records of the shard's books. A changed best price costs a search in a hash table and
//! one write of a cache line; another change of a book costs the search and a comparison.
use super::record::{Quote, state_of};
use super::{Field, RECORDS_MAX, Table};
use crate::base::id::TokenId;
use crate::base::price::Price;
use crate::market::book::{BookState, Level};
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change, Handler};
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Where a book lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    record: u32,
    /// Of the index.
    entry: u32,
}

/// Writes the books of one shard.
#[derive(Debug)]
pub struct PriceWriter {
    table: Arc<Table>,
    places: HashMap<TokenId, Place, FixedState>,
    /// Records of closed books.
    free: Vec<u32>,
}

impl PriceWriter {
    /// Reserves what all books of the table need on this shard, so that it does not grow later.
    pub(super) fn new(table: Arc<Table>) -> Self {
        let places = HashMap::with_capacity_and_hasher(RECORDS_MAX, FixedState::default());
        Self { table, places, free: Vec::with_capacity(RECORDS_MAX) }
    }

    #[inline]
    fn write(&mut self, view: &BookView<'_>, traded: Option<Price>) {
        let Some(place) = self.places.get(view.token) else { return };
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
        let Entry::Vacant(place) = places.entry(*view.token) else { return };
        let Some(record) = free.pop().or_else(|| table.take_record()) else {
            table.field(Field::Unplaced).fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (words, token) = (table.record(record), view.token.as_bytes());
        let quote = quote_of(view, words.own().generation, Price::ZERO);
        words.write_all(quote, token, view.venue.name().as_bytes());
        match table.insert(token, record) {
            Some(entry) => drop(place.insert(Place { record, entry })),
            // There are more entries than records.
            None => free.push(record),
        }
    }

    fn on_close(&mut self, view: &BookView<'_>) {
        let Some(Place { record, entry }) = self.places.remove(view.token) else { return };
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

//! A book as one engine publishes it: its last snapshot, and the changes since.
//!
//! Runs on:  a reader's thread (pure).
use super::Source;
use crate::base::id::MarketId;
use crate::base::price::{Price, Quantity};
use crate::bus::record::Record;
use crate::market::book::{Book, Level, Side};
use std::sync::Arc;

/// Whether a book of a reader can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Its engine follows the venue.
    Live,
    /// No snapshot has come, or records are missing since: the next snapshot repairs it.
    AwaitingSnapshot,
    /// Its engine reports that it is behind, and why; or `engine_silent`: nothing comes of the engine.
    Stale(String),
    /// No engine holds it.
    Closed,
}

/// A book of a reader.
#[derive(Clone, Debug)]
pub struct BusBook {
    /// Name of the venue.
    pub venue: String,
    /// The market.
    pub market: MarketId,
    /// Whether the levels can be trusted.
    pub state: BusState,
    /// The levels.
    pub book: Book,
    /// Changes of the book in its engine.
    pub version: u64,
    /// Venue time of the last change, milliseconds since the Unix epoch; 0 if unknown.
    pub venue_time_ms: u64,
    /// When its engine read the last change, nanoseconds since the Unix epoch.
    pub receive_time_ns: u64,
    /// Smallest price step, if known.
    pub tick_size: Option<Price>,
    /// Smallest order, if known.
    pub min_order_size: Option<Quantity>,
    /// Price of the last trade at the last snapshot, if known.
    pub last_trade: Option<Price>,
    /// The engine that publishes it.
    pub engine: Arc<str>,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) partition: i32,
    /// When its last record was read, monotonic nanoseconds.
    pub(super) read_ns: u64,
    /// Number of its engine in the races.
    pub(super) racer: usize,
    pub(super) position: Position,
    /// Another engine of its cluster has its slice: its own book is followed only until that one's is there.
    pub(super) is_fenced: bool,
    /// Venue time of the snapshot since which nothing is missing, milliseconds.
    pub(super) begun_ms: u64,
}

/// How far a book is in its venue's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Latest venue time, milliseconds since the Unix epoch; 0 if the venue sends none.
    pub(super) venue_ms: u64,
    /// Changes with this time.
    pub(super) changes: u32,
}

/// What a record has done to the book of its engine.
pub(super) enum Update {
    /// The whole book came. `is_known`: it is what it was.
    Image { is_known: bool },
    /// New whole quantities of levels; at least one.
    Changes(Vec<(Side, Level)>),
    /// The price step.
    TickSize { old: Option<Price>, new: Price },
    /// The state, or nothing.
    State,
}

impl BusBook {
    /// The book of a snapshot. A book that does not fit is awaited.
    pub(super) fn from_snapshot(
        record: &Record<'_>,
        (market, state): (MarketId, BusState),
        (bids, asks): (&[Level], &[Level]),
        (engine, racer, source): (&Arc<str>, usize, Source<'_>),
    ) -> Self {
        let mut book = Book::default();
        let fits = book.replace(bids, asks).is_ok();
        Self {
            venue: record.venue.clone().into_owned(),
            market,
            state: if fits { state } else { BusState::AwaitingSnapshot },
            book,
            version: record.version,
            venue_time_ms: record.venue_time,
            receive_time_ns: record.receive_time,
            tick_size: price(record.tick_size.as_deref()),
            min_order_size: quantity(record.min_order_size.as_deref()),
            last_trade: price(record.last_trade_price.as_deref()),
            engine: Arc::clone(engine),
            epoch: source.epoch,
            sequence: record.sequence,
            partition: source.partition,
            read_ns: source.read_ns,
            racer,
            position: Position { venue_ms: record.venue_time, changes: 0 },
            is_fenced: false,
            begun_ms: record.venue_time,
        }
    }

    /// Whether a record of its engine's epoch was read before.
    pub(super) fn has(&self, record: &Record<'_>) -> bool {
        // A snapshot that was asked for, and the notice that records are left out, have the number of the event before
        // them.
        let has_own = !matches!(&*record.kind, "snapshot" | "state");
        record.sequence < self.sequence || has_own && record.sequence == self.sequence
    }

    /// Replaces the book by that of a snapshot of the same engine.
    pub(super) fn replace(&mut self, new: Self, gap: bool) -> Update {
        let is_next = !gap && self.epoch == new.epoch && self.state == BusState::Live;
        let is_known = is_next
            && new.state == BusState::Live
            && self.book.bids.levels().eq(new.book.bids.levels())
            && self.book.asks.levels().eq(new.book.asks.levels());
        let position = if self.epoch == new.epoch { self.position } else { Position::default() };
        let begun_ms = if is_next { self.begun_ms } else { new.begun_ms };
        *self = Self { position: new.position.max(position), begun_ms, ..new };
        Update::Image { is_known }
    }

    /// A change, a price step or a state, after the last snapshot. `None` while a snapshot is awaited.
    pub(super) fn update(
        &mut self,
        record: &Record<'_>,
        bids: Vec<Level>,
        asks: Vec<Level>,
    ) -> Option<Update> {
        self.sequence = record.sequence;
        if record.state.as_deref() == Some("closed") {
            self.state = BusState::Closed;
            return Some(Update::State);
        }
        if matches!(self.state, BusState::AwaitingSnapshot | BusState::Closed) {
            return None;
        }
        self.version = self.version.max(record.version);
        self.receive_time_ns = record.receive_time;
        if record.venue_time > 0 {
            self.venue_time_ms = record.venue_time;
        }
        if record.kind == "change" {
            self.position = self.position.after(record.venue_time);
        }
        let bids = bids.into_iter().map(|level| (Side::Bid, level));
        let levels: Vec<(Side, Level)> =
            bids.chain(asks.into_iter().map(|level| (Side::Ask, level))).collect();
        let fits = levels.iter().all(|&(side, level)| self.book.set(side, level).is_ok());
        if !fits {
            self.state = BusState::AwaitingSnapshot;
        } else if record.state.is_some() {
            self.state = state(record);
        }
        if let Some(new) = price(record.new.as_deref()) {
            self.tick_size = Some(new);
            return Some(Update::TickSize { old: price(record.old.as_deref()), new });
        }
        Some(if levels.is_empty() { Update::State } else { Update::Changes(levels) })
    }

    /// Which of two books of a token is followed: the greater one. Of live books that is the one that is further in the
    /// venue's time.
    pub(super) fn rank(&self) -> (u8, Position) {
        match self.state {
            BusState::Live => (4 - u8::from(self.is_fenced), self.position),
            BusState::Stale(_) => (2, Position::default()),
            BusState::AwaitingSnapshot => (1, Position::default()),
            BusState::Closed => (0, Position::default()),
        }
    }

    /// The new whole quantities that make this book the other one; `None` if more than levels is different.
    pub(super) fn changes_to(&self, other: &Self) -> Option<Vec<(Side, Level)>> {
        let is_same = self.tick_size == other.tick_size || other.tick_size.is_none();
        if !is_same || self.state != BusState::Live || other.state != BusState::Live {
            return None;
        }
        let mut changes = Vec::new();
        for side in [Side::Bid, Side::Ask] {
            let (from, to) = match side {
                Side::Bid => (&self.book.bids, &other.book.bids),
                Side::Ask => (&self.book.asks, &other.book.asks),
            };
            let gone = from.levels().filter(|level| to.quantity_at(side, level.price).0 == 0);
            let gone = gone.map(|level| Level { quantity: Quantity::ZERO, ..level });
            let set = to.levels().filter(|l| from.quantity_at(side, l.price) != l.quantity);
            changes.extend(gone.chain(set).map(|level| (side, level)));
        }
        Some(changes)
    }
}

impl Position {
    /// After a change with this venue time.
    const fn after(self, venue_ms: u64) -> Self {
        if venue_ms > self.venue_ms {
            return Self { venue_ms, changes: 1 };
        }
        let is_same = venue_ms == self.venue_ms && venue_ms > 0;
        Self { changes: self.changes + is_same as u32, ..self }
    }
}

pub(super) fn price(text: Option<&str>) -> Option<Price> {
    Price::parse(text?.as_bytes())
}

pub(super) fn quantity(text: Option<&str>) -> Option<Quantity> {
    Quantity::parse(text?.as_bytes())
}

/// The state that a record reports.
pub(super) fn state(record: &Record<'_>) -> BusState {
    match record.state.as_deref() {
        Some("live") => BusState::Live,
        Some("stale") => BusState::Stale(record.reason.as_deref().unwrap_or_default().to_owned()),
        Some("closed") => BusState::Closed,
        _ => BusState::AwaitingSnapshot,
    }
}

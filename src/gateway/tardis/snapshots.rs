//! The best levels of a book at intervals, computed from one symbol's book.
//!
//! Runs on:  serve core (pure; time is the venue's). Bounds: `depth` levels of each side.
use super::options::SnapshotType;
use crate::base::price::{Price, Quantity};
use crate::market::book::{Book, Level, Side};

/// The levels that were sent last, or are to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotState {
    /// Best first.
    pub bids: Vec<Level>,
    /// Best first.
    pub asks: Vec<Level>,
    /// The levels are others than those sent.
    is_changed: bool,
    has_sent: bool,
    /// Venue time of the levels, milliseconds since the Unix epoch.
    venue_ms: u64,
}

impl SnapshotState {
    /// Before a change of this venue time is applied: the time to send the levels with, if their interval is over.
    pub fn on_time(&mut self, what: &SnapshotType, venue_ms: u64) -> Option<u64> {
        if !self.is_changed {
            return None;
        }
        if what.interval_ms > 0 && self.has_sent {
            let bucket = self.venue_ms / what.interval_ms;
            if venue_ms / what.interval_ms <= bucket {
                return None;
            }
            self.venue_ms = (bucket + 1) * what.interval_ms;
        }
        self.is_changed = false;
        self.has_sent = true;
        Some(self.venue_ms)
    }

    /// Takes the levels of the changed book; the time to send them with, if they are to be sent at once.
    pub fn on_book(&mut self, what: &SnapshotType, book: &Book, venue_ms: u64) -> Option<u64> {
        self.is_changed |= update(&mut self.bids, what, Side::Bid, book.bids.levels().rev());
        self.is_changed |= update(&mut self.asks, what, Side::Ask, book.asks.levels().rev());
        self.is_changed |= !self.has_sent;
        self.venue_ms = venue_ms;
        self.on_time(what, venue_ms)
    }

    /// The next book is sent at once, even an equal one.
    pub fn reset(&mut self) {
        (self.is_changed, self.has_sent) = (false, false);
    }
}

/// Replaces the levels by the best ones of a side; whether they are others.
fn update(
    levels: &mut Vec<Level>,
    what: &SnapshotType,
    side: Side,
    book: impl Iterator<Item = Level>,
) -> bool {
    let mut place = 0;
    let mut is_changed = false;
    let mut put = |level: Level| {
        match levels.get_mut(place) {
            Some(old) => is_changed |= std::mem::replace(old, level) != level,
            None => {
                levels.push(level);
                is_changed = true;
            }
        }
        place += 1;
        place < what.depth
    };
    match what.grouping {
        None => _ = book.take(what.depth).all(&mut put),
        Some(grouping) => {
            let mut group: Option<Level> = None;
            let mut has_room = true;
            for level in book {
                let price = grouped(level.price, grouping, side);
                match &mut group {
                    Some(group) if group.price == price => {
                        group.quantity =
                            Quantity(group.quantity.0.saturating_add(level.quantity.0));
                    }
                    _ => {
                        has_room = group.is_none_or(&mut put);
                        group = Some(Level { price, ..level });
                    }
                }
                if !has_room {
                    break;
                }
            }
            if let Some(group) = group.filter(|_| has_room) {
                put(group);
            }
        }
    }
    is_changed |= place < levels.len();
    levels.truncate(place);
    is_changed
}

/// The next multiple, away from the other side: down for bids, up for asks.
fn grouped(price: Price, grouping: Price, side: Side) -> Price {
    Price(match side {
        Side::Bid => price.0 / grouping.0 * grouping.0,
        Side::Ask => price.0.div_ceil(grouping.0) * grouping.0,
    })
}

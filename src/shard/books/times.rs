//! Which messages of a book are older than it, and which times cannot be right.
//!
//! Runs on:  shard cores, replay (pure; time is an argument).
//!
//! A venue time is judged by the venue's clock, which is the host's with the difference that the messages of the
//! shard show (`clock`), and by the other times of its market: the first time of a market is taken, and what the
//! REST interface says too is taken. A wall time of 0 means that it is not known, as in a recording without times.
use super::{Books, ConnectionSlot, slots::Slot};
use crate::base::id::BookIndex;
use crate::base::limits::{CLOCK_ERROR_MS, ORDER_ERROR_MS};
use crate::market::book::{BookState, StaleReason};
use crate::market::event::Event;
use crate::shard::publish::Handler;
use std::hash::BuildHasher as _;

pub(super) use clock::VenueClock;

mod clock;

impl Slot {
    /// Whether a change that is older than the book's snapshot is in the snapshot: so it is where the snapshot's
    /// time is right.
    pub(super) const fn is_in_snapshot(&self, change_ms: u64, wall_ns: u64) -> bool {
        let error_ms = if wall_ns == 0 { CLOCK_ERROR_MS } else { ORDER_ERROR_MS };
        !self.group.is_ahead && self.snapshot_ms - change_ms <= error_ms
    }
}

impl<H: Handler> Books<H> {
    /// The host's clock less the venue's as the messages show it, milliseconds; below zero the host is behind.
    #[must_use]
    pub const fn clock_offset_ms(&self) -> Option<i64> {
        self.clock.offset_ms()
    }

    /// Compares the time of a message with that of its receipt, unless it is a snapshot.
    #[inline]
    pub(super) fn observe_time(&mut self, event: &Event<'_>, from: ConnectionSlot, wall_ns: u64) {
        let (market, token) = match event {
            Event::Snapshot(_) => return,
            Event::Changes(changes) => (changes.market, ""),
            Event::Delta(delta) => (delta.market, delta.token),
            Event::Trade(trade) => (trade.market, trade.token),
            Event::TickSize(tick) => (tick.market, tick.token),
            Event::TopOfBook(top) => (top.market, top.token),
        };
        let Self { clock, hasher, .. } = self;
        let name = if market.is_empty() { token } else { market };
        clock.observe(from, event.timestamp_ms(), wall_ns, || hasher.hash_one(name) as u32);
    }

    /// Whether this venue time is one that neither the venue's clock nor a message of the market has reached.
    /// The first one of a market is taken all the same: the clock may not be known yet. What is older then makes the
    /// book stale.
    pub(super) fn is_from_future(&self, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        let slot = &self.slots[index];
        let market_ms = slot.facts.timestamp_ms.max(self.slots[slot.sibling].facts.timestamp_ms);
        !self.clock.has_come(ms, wall_ns) && market_ms > 0 && ms > market_ms + CLOCK_ERROR_MS
    }

    /// Whether the REST interface's time of a book is from the future, and not what the stream has said too.
    pub(super) fn is_answer_from_future(&self, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        let confirmed = self.refused_ms.get(&index).is_some_and(|refused_ms| ms >= *refused_ms);
        !confirmed && self.is_from_future(index, ms, wall_ns)
    }

    /// Whether a snapshot of the stream is taken. One from the future is not, for it would hide what follows; nor
    /// one that is older than its live book, for that would roll it back.
    pub(super) fn takes_snapshot(&mut self, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        if self.is_from_future(index, ms, wall_ns) {
            self.refused_ms.insert(index, ms);
            self.set_stale(index, StaleReason::TimesDisagree, wall_ns);
            return false;
        }
        let slot = &self.slots[index];
        let ours_ms = slot.facts.timestamp_ms;
        if slot.state == BookState::Live && ms < ours_ms {
            let ahead = slot.group.is_ahead && ms < slot.snapshot_ms;
            if ahead || ours_ms - ms > ORDER_ERROR_MS || !self.clock.has_come(ours_ms, wall_ns) {
                self.set_stale(index, StaleReason::TimesDisagree, wall_ns);
            }
            return false;
        }
        self.slots[index].group.is_ahead = self.clock.is_ahead(ms, wall_ns);
        true
    }

    /// Whether a new tick size is taken: not one that is older than what the book knows.
    pub(super) fn takes_tick_size(&mut self, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        let known_ms = self.ticks.get(&index).copied().unwrap_or(0);
        let too_old = ms < known_ms && known_ms - ms > ORDER_ERROR_MS;
        if too_old || !self.sequenced && self.is_from_future(index, ms, wall_ns) {
            self.set_stale(index, StaleReason::TimesDisagree, wall_ns);
        }
        ms >= known_ms && !self.is_from_future(index, ms, wall_ns)
    }
}

#[cfg(test)]
mod tests;

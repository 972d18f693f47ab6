//! Which messages of a book are older than it, and which times cannot be right.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: the venue's clock; times of rare messages.
//! Bounds:   two entries a book.
//!
//! A venue time is judged by the host's clock, set forward by what the messages of the shard show that it is behind
//! (`clock`), and by the other times of its market: the first time of a market is taken, and what the REST interface
//! reports too is taken. A wall time of 0 means that it is not known, as in a recording without times.
use super::{ConnectionSlot, directory::Directory, slots::Slot, slots::Slots, store::Store};
use crate::base::id::BookIndex;
use crate::base::limits::{CLOCK_ERROR_MS, ORDER_ERROR_MS};
use crate::market::book::{BookState, StaleReason};
use crate::market::event::{Event, Snapshot};
use crate::shard::publish::Handler;
use clock::VenueClock;
use serde::Deserialize;
use std::collections::BTreeMap;

mod clock;

impl Slot {
    /// Whether a change that is older than the book's snapshot is in the snapshot: so it is where the snapshot's
    /// time is right.
    pub(super) const fn is_in_snapshot(&self, change_ms: u64, wall_ns: u64) -> bool {
        let error_ms = if wall_ns == 0 { CLOCK_ERROR_MS } else { ORDER_ERROR_MS };
        !self.group.is_ahead && self.snapshot_ms - change_ms <= error_ms
    }
}

/// When a book's tick size is known to have been what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct TickTime {
    /// Of its last change, or of a later snapshot that has it, Unix milliseconds; 0 for never.
    pub(super) ms: u64,
    /// It is a snapshot's.
    pub(super) of_snapshot: bool,
}

#[derive(Debug, Default)]
pub(super) struct VenueTimes {
    clock: VenueClock,
    ticks: Vec<TickTime>,
    /// Of snapshots from the future that were refused, Unix milliseconds.
    refused_ms: BTreeMap<BookIndex, u64>,
    /// Of the newest message whose time was too early for its book, Unix milliseconds.
    earlier_ms: BTreeMap<BookIndex, u64>,
}

impl VenueTimes {
    /// The host's clock less the venue's as the messages show it, milliseconds; below zero the host is behind.
    pub(super) const fn clock_offset_ms(&self) -> Option<i64> {
        self.clock.offset_ms()
    }

    /// Whether a time is not ahead of the corrected clock by more than that may err.
    pub(super) fn has_come(&self, ms: u64, wall_ns: u64) -> bool {
        self.clock.has_come(ms, wall_ns)
    }

    /// Whether a time is ahead of the corrected clock at all.
    pub(super) fn is_ahead(&self, ms: u64, wall_ns: u64) -> bool {
        self.clock.is_ahead(ms, wall_ns)
    }

    /// When the tick size of a book is known.
    pub(super) fn tick(&self, index: BookIndex) -> TickTime {
        self.ticks.get(index.0 as usize).copied().unwrap_or_default()
    }

    pub(super) fn on_tick_size(&mut self, index: BookIndex, ms: u64) {
        self.set_tick(index, TickTime { ms, of_snapshot: false });
    }

    /// A snapshot is taken, which may have the tick size.
    pub(super) fn on_snapshot_tick(&mut self, index: BookIndex, event: &Snapshot<'_>) {
        if event.tick_size.is_some() && event.timestamp_ms > self.tick(index).ms {
            self.set_tick(index, TickTime { ms: event.timestamp_ms, of_snapshot: true });
        }
    }

    /// Grows the list where a recording opens books by their messages; else [`VenueTimes::forget`] has.
    pub(super) fn set_tick(&mut self, index: BookIndex, tick: TickTime) {
        let place = index.0 as usize;
        if place >= self.ticks.len() {
            self.ticks.resize(place + 1, TickTime::default());
        }
        self.ticks[place] = tick;
    }

    pub(super) fn has_refused(&self, index: BookIndex) -> bool {
        self.refused_ms.contains_key(&index)
    }

    /// A book is opened or closed.
    pub(super) fn forget(&mut self, index: BookIndex) {
        self.set_tick(index, TickTime::default());
        self.refused_ms.remove(&index);
        self.earlier_ms.remove(&index);
    }

    /// A message of a book was too early for it: the book or the message has a time that cannot be right.
    pub(super) fn on_earlier(&mut self, index: BookIndex, ms: u64) {
        let newest_ms = self.earlier_ms.entry(index).or_default();
        *newest_ms = ms.max(*newest_ms);
    }

    /// Compares the time of a message with that of its receipt, unless it is a snapshot.
    #[inline]
    pub(super) fn observe(
        &mut self,
        event: &Event<'_>,
        from: ConnectionSlot,
        wall_ns: u64,
        directory: &Directory,
    ) {
        if wall_ns == 0 || matches!(event, Event::Snapshot(_)) {
            return;
        }
        let hash = || {
            let name = event.market();
            directory.hash_whole(if name.is_empty() { event.token() } else { name }) as u32
        };
        self.clock.observe(from, event.timestamp_ms(), wall_ns, hash);
    }

    /// Whether this venue time is one that neither the venue's clock nor a message of the market has reached.
    /// The first one of a market is taken all the same: the clock may not be known yet. What is older then makes the
    /// book stale.
    fn is_from_future(&self, slots: &Slots, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        let slot = &slots[index];
        let market_ms = slot.facts.timestamp_ms.max(slots[slot.sibling].facts.timestamp_ms);
        !self.clock.has_come(ms, wall_ns) && market_ms > 0 && ms > market_ms + CLOCK_ERROR_MS
    }

    /// Whether the REST interface's time of a book is from the future, and not one that the stream reported too.
    pub(super) fn is_answer_from_future(
        &self,
        slots: &Slots,
        index: BookIndex,
        ms: u64,
        wall_ns: u64,
    ) -> bool {
        let confirmed = self.refused_ms.get(&index).is_some_and(|refused_ms| ms >= *refused_ms);
        !confirmed && self.is_from_future(slots, index, ms, wall_ns)
    }

    /// Whether a snapshot of the stream is taken. One from the future is not, for it would hide what follows; nor
    /// one that is older than what its book has, for that would roll it back.
    pub(super) fn takes_snapshot<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        ms: u64,
        wall_ns: u64,
    ) -> bool {
        if self.is_from_future(&store.slots, index, ms, wall_ns) {
            self.refused_ms.insert(index, ms);
            store.set_stale(index, StaleReason::TimesDisagree, wall_ns);
            return false;
        }
        let slot = &store.slots[index];
        if ms < slot.facts.timestamp_ms && self.is_rolled_back(slot, index, ms, wall_ns) {
            let ours_ms = slot.facts.timestamp_ms;
            let ahead = slot.group.is_ahead && ms < slot.snapshot_ms;
            let is_late = ours_ms - ms <= ORDER_ERROR_MS && self.clock.has_come(ours_ms, wall_ns);
            // A live book has what is late.
            if slot.state == BookState::Live && is_late && !ahead {
                return false;
            }
            self.on_earlier(index, ms);
            if slot.state == BookState::Live {
                store.set_stale(index, StaleReason::TimesDisagree, wall_ns);
            }
            return false;
        }
        self.earlier_ms.remove(&index);
        store.slots[index].group.is_ahead = self.clock.is_ahead(ms, wall_ns);
        true
    }

    /// Whether a snapshot that is older than the newest message of its book lacks that message. A book that is not
    /// live may have a time that cannot be right: where the clock shows it, or, in a recording without times, where
    /// the times of its messages disagree and the snapshot goes on from the earlier ones.
    fn is_rolled_back(&self, slot: &Slot, index: BookIndex, ms: u64, wall_ns: u64) -> bool {
        let goes_on = || self.earlier_ms.get(&index).is_some_and(|earlier_ms| ms > *earlier_ms);
        match slot.state {
            BookState::Live => true,
            BookState::Stale { why: StaleReason::TimesDisagree, .. } if wall_ns == 0 => !goes_on(),
            _ => self.clock.has_come(slot.facts.timestamp_ms, wall_ns),
        }
    }

    /// Whether a new tick size is taken: not one that is older than the book's. Messages that are `sequenced` have
    /// their order from their numbers: no time of theirs makes a book stale for being early. A change from before a
    /// snapshot that has the tick size is in the snapshot.
    pub(super) fn takes_tick_size<H: Handler>(
        &self,
        store: &mut Store<H>,
        index: BookIndex,
        ms: u64,
        wall_ns: u64,
        sequenced: bool,
    ) -> bool {
        let TickTime { ms: known_ms, of_snapshot } = self.tick(index);
        let too_old = ms < known_ms && known_ms - ms > ORDER_ERROR_MS && !of_snapshot;
        let from_future = self.is_from_future(&store.slots, index, ms, wall_ns);
        if too_old || !sequenced && from_future {
            store.set_stale(index, StaleReason::TimesDisagree, wall_ns);
        }
        ms >= known_ms && !from_future
    }
}

#[cfg(test)]
mod tests;

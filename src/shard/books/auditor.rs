//! Live books, compared with the venue's snapshots and REST interface and with the other book of their market.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: differences whose message may be on its way.
//! Bounds:   `AUDITS_OPEN_MAX` books that may be behind, as many that differ; `mirrors` has its own.
//!
//! Is the REST book newer than ours and stays so, then ours has missed a message, or its connection has gone dead
//! behind answered pings. Where messages are numbered, the REST book has neither number nor time: a difference only
//! makes the shard ask for a snapshot on the connection, and a snapshot of a live book must equal the book at that
//! place of the stream.
use super::ConnectionSlot;
use super::slots::{Rotation, Slot, Slots};
use super::store::Store;
use crate::base::{
    id::{BookIndex, MarketId, TokenId},
    limits::{AUDIT_TIMEOUT_NS, AUDITS_OPEN_MAX, POLL_AGE_NS},
    time::Now,
};
use crate::counter::shard::RepairCounts;
use crate::market::book::{Book, BookState, StaleReason};
use crate::market::event::Snapshot;
use crate::shard::publish::Handler;
use mirrors::{Mirrors, are_mirrored};
use std::collections::VecDeque;

mod mirrors;

/// A live book of which the REST interface has something newer.
#[derive(Clone, Copy, Debug)]
struct Audit {
    index: BookIndex,
    token: TokenId,
    venue_ms: u64,
    read: Now,
}

/// A live book that differs from the REST interface of a venue that numbers its messages.
#[derive(Clone, Copy, Debug)]
struct Difference {
    index: BookIndex,
    token: TokenId,
    /// When the book had changed last.
    updated_wall_ns: u64,
    read_ns: u64,
}

/// A book that is behind the venue.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// The connection that carries it.
    pub connection: ConnectionSlot,
    /// When the newer book was read, monotonic nanoseconds.
    pub read_ns: u64,
}

/// Audits of one shard.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    audits: VecDeque<Audit>,
    differences: VecDeque<Difference>,
    /// What comparisons gave.
    pub(super) counts: RepairCounts,
    rest: Rotation,
    pairs: Rotation,
    mirrors: Mirrors,
    /// A snapshot that is compared.
    scratch: Book,
}

impl Auditor {
    /// A book is closed; `first` is the lower index of the two of its market.
    pub(super) fn forget(&mut self, first: BookIndex) {
        self.mirrors.forget(first);
    }

    /// Whether the REST interface has a newer book whose message may be on its way.
    pub(super) fn waits_for(&self, index: BookIndex) -> bool {
        self.audits.iter().any(|audit| audit.index == index)
    }

    /// The next `count` live books in turn, to be compared with the venue's REST interface.
    pub(super) fn next_for_rest(&mut self, slots: &Slots, count: usize, wanted: &mut Vec<TokenId>) {
        self.rest.next_live(slots, count, |slot| wanted.push(slot.token));
    }

    /// Looks at `count` markets in turn: the books of a market's two tokens mirror each other. Gives
    /// the tokens that do not, or that were silent while the other moved.
    pub(super) fn check_mirrors(
        &mut self,
        slots: &Slots,
        count: usize,
        now_wall_ns: u64,
        wanted: &mut Vec<TokenId>,
    ) {
        for _ in 0..count.min(slots.len()) {
            let index = self.pairs.advance(slots);
            let slot = &slots[index];
            let other = &slots[slot.sibling];
            let two = slot.is_open() && slot.sibling > index && other.sibling == index;
            let live = slot.state == BookState::Live && other.state == BookState::Live;
            let last_ns = slot.facts.updated_wall_ns.max(other.facts.updated_wall_ns);
            if !two || !live || now_wall_ns.saturating_sub(last_ns) < AUDIT_TIMEOUT_NS {
                continue;
            }
            if are_mirrored(&slot.book, &other.book) {
                self.counts.mirrors_matched += 1;
                self.mirrors.forget(index);
                continue;
            }
            let updates = [slot.facts.updates, other.facts.updates];
            if self.mirrors.is_due(index, updates, now_wall_ns) {
                self.counts.mirrors_mismatched += 1;
                wanted.extend([slot.token, other.token]);
            }
        }
    }

    /// A snapshot of the stream of a venue that numbers its messages, before it is applied.
    pub(super) fn on_numbered_snapshot(&mut self, slot: &Slot, event: &Snapshot<'_>) {
        if slot.state != BookState::Live {
            return;
        }
        match has_levels(&mut self.scratch, event, &slot.book) {
            Some(true) => self.counts.audits_matched += 1,
            Some(false) => self.counts.audits_mismatched += 1,
            None => {}
        }
    }

    /// The REST book of a live book. To which question it is an answer does not matter: it is judged by its own time.
    /// An older one says nothing, one of the same time and hash has the same levels, and a newer one only says what the
    /// stream must have reached `AUDIT_TIMEOUT_NS` after it was read.
    pub(super) fn on_rest_book<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        event: &Snapshot<'_>,
        read: Now,
    ) {
        let slot = &store.slots[index];
        let counts = &mut self.counts;
        let ours_ms = slot.facts.timestamp_ms;
        if event.timestamp_ms < ours_ms {
            // Asked for before our last message, or from a stale copy.
            counts.audits_older += 1;
            return;
        }
        let Some(same) = has_levels(&mut self.scratch, event, &slot.book) else { return };
        if same {
            counts.audits_matched += 1;
            let (first, updates) = (index.min(slot.sibling), slot.facts.updates);
            self.mirrors.on_equal(first, usize::from(first != index), updates);
            store.slots.proof_mut(index).on_levels(read.wall_ns);
        } else if event.timestamp_ms > ours_ms {
            // Its message may be on its way.
            if self.audits.len() < AUDITS_OPEN_MAX {
                let (token, venue_ms) = (slot.token, event.timestamp_ms);
                self.audits.push_back(Audit { index, token, venue_ms, read });
            }
        } else if event.hash.is_some() && event.hash == slot.facts.hash && !slot.group.open {
            counts.audits_mismatched += 1;
            store.set_stale(index, StaleReason::Disproved, read.wall_ns);
        } else {
            // Two messages of one time: the REST book may end with another of them. All of them may have the hash of
            // the last one, so an open group is no proof: the rest of it may be on its way.
            counts.audits_undecided += 1;
        }
    }

    /// The next book of which the venue had something newer so long ago that its message is not on its
    /// way any more. It is stale from now on. Among the markets that are `mine`.
    pub(super) fn poll_behind<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        now_ns: u64,
        mine: impl Fn(&MarketId) -> bool,
    ) -> Option<Behind> {
        loop {
            let slots = &store.slots;
            let is_mine = |audit: &Audit| slots.get(audit.index).is_none_or(|s| mine(&s.market));
            let place = self.audits.iter().position(is_mine)?;
            let audit = *self.audits.get(place)?;
            if now_ns < audit.read.mono_ns + AUDIT_TIMEOUT_NS {
                return None;
            }
            self.audits.remove(place);
            let Some(slot) = slots.get(audit.index) else { continue };
            let same = slot.is_open() && slot.token == audit.token && slot.state == BookState::Live;
            if !same || slot.facts.timestamp_ms >= audit.venue_ms {
                self.counts.audits_caught_up += 1;
                continue;
            }
            self.counts.audits_behind += 1;
            let connection = slot.connection;
            store.set_stale(audit.index, StaleReason::Behind, audit.read.wall_ns);
            return Some(Behind { connection, read_ns: audit.read.mono_ns });
        }
    }

    /// The REST book of a venue that numbers its messages: without number or time, it never changes a book. Where it
    /// differs from a book that changed lately, one of the two is merely later than the other.
    pub(super) fn on_numbered_rest_book(
        &mut self,
        slots: &mut Slots,
        index: BookIndex,
        event: &Snapshot<'_>,
        read: Now,
    ) {
        let (slot, counts) = (&slots[index], &mut self.counts);
        let same = has_levels(&mut self.scratch, event, &slot.book);
        let Some(same) = same.filter(|_| slot.state == BookState::Live) else {
            counts.polls_undecided += 1;
            return;
        };
        let updated_wall_ns = slot.facts.updated_wall_ns;
        let full = self.differences.len() >= AUDITS_OPEN_MAX;
        if same {
            counts.polls_matched += 1;
            slots.proof_mut(index).on_levels(read.wall_ns);
        } else if updated_wall_ns + POLL_AGE_NS > read.wall_ns || full {
            counts.polls_undecided += 1;
        } else {
            // Its message may be on its way.
            let (token, read_ns) = (slot.token, read.mono_ns);
            self.differences.push_back(Difference { index, token, updated_wall_ns, read_ns });
        }
    }

    /// The next book that differs from the REST interface and has not changed since.
    pub(super) fn poll_different(
        &mut self,
        slots: &Slots,
        now_ns: u64,
    ) -> Option<(ConnectionSlot, TokenId)> {
        loop {
            let difference = *self.differences.front()?;
            if now_ns < difference.read_ns + AUDIT_TIMEOUT_NS {
                return None;
            }
            self.differences.pop_front();
            let rests = |slot: &&Slot| {
                slot.is_open()
                    && slot.token == difference.token
                    && slot.state == BookState::Live
                    && slot.facts.updated_wall_ns == difference.updated_wall_ns
            };
            match slots.get(difference.index).filter(rests) {
                None => self.counts.polls_undecided += 1,
                Some(slot) => {
                    self.counts.polls_different += 1;
                    return Some((slot.connection, difference.token));
                }
            }
        }
    }
}

/// Whether a snapshot has the levels of a book; `None` when it has more than a book holds.
fn has_levels(scratch: &mut Book, event: &Snapshot<'_>, book: &Book) -> Option<bool> {
    scratch.replace(event.bids, event.asks).ok()?;
    let (bids, asks) = (scratch.bids.levels(), scratch.asks.levels());
    Some(bids.eq(book.bids.levels()) && asks.eq(book.asks.levels()))
}

#[cfg(test)]
mod tests;

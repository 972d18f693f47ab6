//! Whether books are what the venue reports: best prices and hashes, compared with those of its messages.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: what waits for a comparison.
//! Bounds:   one entry a book that has changed; `TOPS_REMEMBERED` best prices; `hashes` has its own.
//!
//! Best prices and hash of a change describe the book after *all* messages with its timestamp, so
//! they are compared at the end of such a group: when a message with another timestamp comes, or
//! after a while of silence. A hash holds the market's last trade price, which the venue knows before its trade
//! message reaches us, and may be p or 1 - p: a hash that no known price explains waits for the
//! trades of the next seconds. Then every price that there is gets tried, because a trade's message may
//! be lost or come out of order: a hash that is wrong with all of them is wrong for its levels.
//!
//! A ticker of a venue that numbers its messages has the best prices after all changes of its millisecond
//! (kalshi/protocol.md, 5). It arrives on another connection than the changes, before or after them.
use super::group::top_of;
use super::slots::Slot;
use super::store::Store;
use crate::base::id::{BookIndex, MarketId};
use crate::base::limits::{CHECK_SILENCE_NS, TOPS_REMEMBERED};
use crate::base::policy::HashChecks;
use crate::base::price::Price;
use crate::counter::shard::CheckCounts;
use crate::market::book::{BookState, StaleReason};
use crate::market::event::TopOfBook;
use crate::shard::publish::Handler;
use hashes::{HashVerifier, Overdue};
use std::collections::VecDeque;

mod hashes;

/// Comparisons of best prices that take as long as trying every price behind a hash.
const SEARCH_COST: usize = 2048;

/// Best prices of books at the end of milliseconds that are over, the last ones of the shard: a ticker may come behind
/// later changes of its book.
#[derive(Debug, Default)]
struct PastTops {
    tops: VecDeque<PastTop>,
}

/// The best prices of a book at the end of a millisecond in which it changed.
#[derive(Clone, Copy, Debug)]
struct PastTop {
    index: BookIndex,
    timestamp_ms: u64,
    top: [Price; 2],
    /// It changed more than once in that millisecond: a ticker may show a state in between.
    several: bool,
}

impl PastTops {
    /// Stores the best prices of a book at the end of the millisecond of its last message.
    fn push(&mut self, index: BookIndex, slot: &Slot) {
        if self.tops.len() >= TOPS_REMEMBERED {
            self.tops.pop_front();
        }
        let (timestamp_ms, several) = (slot.facts.timestamp_ms, slot.group.several);
        self.tops.push_back(PastTop { index, timestamp_ms, top: top_of(&slot.book), several });
    }

    /// The best prices of a book at the end of a millisecond in which it changed, if they are still known.
    fn find(&self, index: BookIndex, timestamp_ms: u64) -> Option<PastTop> {
        let of = |past: &&PastTop| past.index == index && past.timestamp_ms <= timestamp_ms;
        let past = self.tops.iter().rev().find(of)?;
        (past.timestamp_ms == timestamp_ms).then_some(*past)
    }
}

/// Compares and counts.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    pub(super) counts: CheckCounts,
    hashes: HashVerifier,
    past_tops: PastTops,
    /// Books to be compared after a silence, oldest first.
    queue: VecDeque<BookIndex>,
}

impl Verifier {
    pub(super) const fn policy(&self) -> HashChecks {
        self.hashes.policy
    }

    pub(super) const fn set_policy(&mut self, policy: HashChecks) {
        self.hashes.policy = policy;
    }

    /// Has a book compared after a silence.
    #[inline]
    pub(super) fn queue(&mut self, index: BookIndex, slot: &mut Slot) {
        if !slot.group.queued {
            slot.group.queued = true;
            self.queue.push_back(index);
        }
    }

    /// A book is closed or new: its hashes get no verdict.
    pub(super) fn forget(&mut self, index: BookIndex) {
        self.hashes.forget(index);
    }

    /// Whether a hash of the book has no verdict yet.
    pub(super) fn waits_for(&self, index: BookIndex) -> bool {
        self.hashes.waits_for(index)
    }

    /// Ends a book's group of messages with one timestamp if `timestamp_ms` is of another.
    pub(super) fn end_group_before<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        timestamp_ms: u64,
        wall_ns: u64,
    ) {
        let slot = &mut store.slots[index];
        if slot.group.ends_before(timestamp_ms, slot.facts.timestamp_ms)
            && let Some(proof) = self.end_group(index, slot, wall_ns)
        {
            on_proof(store, index, proof, wall_ns);
        }
    }

    /// Compares a book with what the venue reported of it. What that shows is for [`on_proof`].
    #[inline]
    pub(super) fn end_group(
        &mut self,
        index: BookIndex,
        slot: &mut Slot,
        wall_ns: u64,
    ) -> Option<Proof> {
        slot.group.open = false;
        if slot.state != BookState::Live {
            return None;
        }
        if slot.group.has_tops() && self.compare_top(slot) {
            return Some(Proof::Wrong);
        }
        let is_right = self.hashes.takes(slot.facts.timestamp_ms)
            && self.hashes.compare(index, slot, wall_ns, &mut self.counts);
        is_right.then_some(Proof::Hash)
    }

    /// Compares the best prices of a book with the reported ones; true when the book is disproved.
    #[inline]
    fn compare_top(&mut self, slot: &mut Slot) -> bool {
        let mut equal = slot.group.is_top(&slot.book);
        if equal == Some(false) && slot.group.claimed().is_some() && slot.group.several {
            // The ticker of a state within the millisecond; that of its end did not arrive.
            equal = None;
        }
        self.note_top(slot, equal)
    }

    #[inline]
    fn note_top(&mut self, slot: &mut Slot, equal: Option<bool>) -> bool {
        match equal {
            None => self.counts.tops_unverifiable += 1,
            Some(true) => self.counts.tops_matched += 1,
            Some(false) => self.counts.tops_mismatched += 1,
        }
        slot.group.note_top(equal)
    }

    /// A relative change is about to be applied: keeps the best prices of the millisecond that is over, and compares
    /// them with a ticker of it.
    pub(super) fn before_delta<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        timestamp_ms: u64,
        wall_ns: u64,
    ) {
        let slot = &mut store.slots[index];
        if let Some(claim_ms) = slot.group.claimed_before(timestamp_ms) {
            let comparable = slot.state == BookState::Live && slot.facts.timestamp_ms == claim_ms;
            let mut disproved = false;
            if !comparable {
                self.counts.tops_unverifiable += 1;
            } else if slot.group.has_tops() {
                disproved = self.compare_top(slot);
            }
            slot.group.forget_claim();
            if disproved {
                store.set_stale(index, StaleReason::Disproved, wall_ns);
            }
        }
        let slot = &mut store.slots[index];
        if slot.state == BookState::Live && slot.facts.timestamp_ms < timestamp_ms {
            self.past_tops.push(index, slot);
        }
        slot.group.several = slot.facts.timestamp_ms == timestamp_ms;
    }

    /// The best prices that the venue reports with a time of their own.
    pub(super) fn on_ticker<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        event: &TopOfBook<'_>,
        wall_ns: u64,
    ) {
        let slot = &mut store.slots[index];
        let (bid, ask) = (event.best_bid, event.best_ask);
        let reported = [bid.unwrap_or(Price::ZERO), ask.unwrap_or(Price::ONE)];
        let is_ahead = event.timestamp_ms >= slot.facts.timestamp_ms;
        let waits =
            |claim_ms| claim_ms >= slot.facts.timestamp_ms && claim_ms != event.timestamp_ms;
        if slot.state != BookState::Live || is_ahead && slot.group.claimed().is_some_and(waits) {
            // A claim waits for its book to move on: that of a later time is no sign that it has, for more changes
            // of the millisecond may be on their way.
            self.counts.tops_unverifiable += 1;
        } else if is_ahead {
            slot.group.claim(event.timestamp_ms, reported);
        } else {
            // The book's own messages were faster.
            let past = self.past_tops.find(index, event.timestamp_ms);
            let equal = past.map(|past| (past.top == reported, past.several));
            let equal = equal.and_then(|(equal, several)| (equal || !several).then_some(equal));
            if self.note_top(slot, equal) {
                store.set_stale(index, StaleReason::Disproved, wall_ns);
            }
        }
    }

    /// A trade of the market of a book, whose last price is still the one before.
    pub(super) fn on_trade<H>(
        &mut self,
        store: &mut Store<H>,
        index: BookIndex,
        price: Price,
        wall_ns: u64,
    ) {
        self.hashes.on_trade(&mut store.slots, index, price, wall_ns, &mut self.counts);
    }

    /// Compares books whose last message was a while ago, and gives hashes that no trade explained their verdict:
    /// as many as cost `count` comparisons, among the markets that are `mine`.
    pub(super) fn settle<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        count: usize,
        now_wall_ns: u64,
        mine: impl Fn(&MarketId) -> bool,
    ) {
        for _ in 0..count.min(self.queue.len()) {
            let Some(index) = self.queue.pop_front() else { break };
            let Some(slot) = store.slots.get_mut(index) else { continue };
            slot.group.queued = false;
            let since_ns = now_wall_ns.saturating_sub(slot.facts.updated_wall_ns);
            if !mine(&slot.market) || slot.group.open && since_ns < CHECK_SILENCE_NS {
                self.queue(index, slot);
            } else if slot.group.open {
                let last_wall_ns = slot.facts.updated_wall_ns;
                if let Some(proof) = self.end_group(index, slot, last_wall_ns) {
                    on_proof(store, index, proof, last_wall_ns);
                }
            }
        }
        for _ in 0..count.div_ceil(SEARCH_COST) {
            let mine = |index| store.slots.get(index).is_none_or(|slot| mine(&slot.market));
            let overdue = self.hashes.poll_overdue(now_wall_ns, mine, &mut self.counts);
            let Some(overdue) = overdue else { break };
            on_overdue(store, overdue);
        }
    }
}

/// What the end of a group shows of its book, if it shows anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its hash is right.
    Hash,
    /// It is not what the venue reports.
    Wrong,
}

/// Notes what the end of a group has shown.
#[cold]
pub(super) fn on_proof<H: Handler>(
    store: &mut Store<H>,
    index: BookIndex,
    proof: Proof,
    wall_ns: u64,
) {
    match proof {
        Proof::Hash => store.slots.proof_mut(index).on_hash(wall_ns),
        Proof::Wrong => store.set_stale(index, StaleReason::Disproved, wall_ns),
    }
}

fn on_overdue<H: Handler>(store: &mut Store<H>, overdue: Overdue) {
    let Overdue { index, hash, last_trade, since_wall_ns } = overdue;
    let Some(slot) = store.slots.get_mut(index) else { return };
    let Some(price) = last_trade else {
        if slot.group.note_wrong_hash() {
            store.set_stale(index, StaleReason::Disproved, since_wall_ns);
        }
        return;
    };
    slot.group.note_right_hash();
    if slot.facts.hash == Some(hash) {
        // The venue's last price, of a trade that did not come or came in another order.
        store.slots.for_market(index, |slot| slot.facts.last_trade = price);
    }
}

#[cfg(test)]
mod tests;

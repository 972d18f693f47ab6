//! Whether books are what the venue says they are.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: what waits for a verdict.
//! Bounds:   one entry a book that has changed; `CHECK_CASES_MAX` hashes; `CHECK_TRADES_MAX` trades.
//!
//! Best prices and hash of a change describe the book after *all* messages with its timestamp, so
//! they are compared at the end of such a group: when a message with another timestamp comes, or
//! after a while of silence. A hash holds the market's last trade price, which the venue knows before its trade
//! message reaches us, and may be p or 1 - p: a hash that no known price explains waits for the
//! trades of the next seconds. Then every price that there is gets tried, because a trade's message may
//! be lost or come out of order: a hash that is wrong with all of them is wrong for its levels.
use super::{Books, Slot};
use crate::base::condition;
use crate::base::id::{BookIndex, MarketId};
use crate::base::limits::{
    CHECK_CASES_MAX, CHECK_SILENCE_NS, CHECK_TIMEOUT_NS, CHECK_TRADES_MAX, HASH_SAMPLE,
};
use crate::base::policy::HashChecks;
use crate::base::price::Price;
use crate::base::random::mix;
use crate::counter::shard::CheckCounts;
use crate::market::book::{Book, BookState, StaleReason, image::BookHash, summary::Summary};
use crate::shard::publish::Handler;
use std::collections::VecDeque;

/// What the venue said with the last message of a group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    best_bid: Option<Price>,
    best_ask: Option<Price>,
    /// There is something to compare at the end of the group.
    pub(super) open: bool,
    /// Best prices are to be compared, not only the hash.
    has_tops: bool,
    /// The book stands in the queue of those to be looked at after a silence.
    pub(super) queued: bool,
    /// The book's snapshot was ahead of the host's clock when it was read.
    pub(super) is_ahead: bool,
    /// What was said of best prices by itself is for the end of this millisecond; 0 for none.
    claim_ms: u64,
    /// Comparisons in a row that failed: best prices, hashes.
    tops_wrong: u8,
    hashes_wrong: u8,
}

/// Failed comparisons of best prices in a row after which a book is not trusted any more.
const TOPS_WRONG_MAX: u8 = 2;
/// The same of hashes.
const HASHES_WRONG_MAX: u8 = 2;
/// Comparisons of best prices that take as long as trying every price behind a hash.
pub(super) const SEARCH_COST: usize = 2048;

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    Unverifiable,
}

impl Group {
    /// After a change that was applied.
    pub(super) fn change(&mut self, best_bid: Option<Price>, best_ask: Option<Price>) {
        (self.best_bid, self.best_ask) = (best_bid, best_ask);
        (self.open, self.has_tops) = (true, true);
    }

    /// After a snapshot, which says nothing of best prices; what changes of its group said holds on.
    pub(super) fn snapshot(&mut self) {
        self.has_tops &= self.open;
        self.open = true;
    }

    /// What the venue says of the best prices after everything of a millisecond.
    pub(super) const fn claim(&mut self, claim_ms: u64, bid: Price, ask: Price) {
        (self.best_bid, self.best_ask) = (Some(bid), Some(ask));
        (self.claim_ms, self.has_tops) = (claim_ms, true);
    }

    /// The millisecond of the claim, if it is before this one.
    pub(super) fn claimed_before(&self, timestamp_ms: u64) -> Option<u64> {
        (self.claim_ms != 0 && self.claim_ms < timestamp_ms).then_some(self.claim_ms)
    }

    /// The millisecond of the claim.
    pub(super) fn claimed(&self) -> Option<u64> {
        (self.claim_ms != 0).then_some(self.claim_ms)
    }

    /// It was compared, or never will be.
    pub(super) const fn forget_claim(&mut self) {
        (self.claim_ms, self.has_tops) = (0, false);
    }

    /// Nothing is to be compared any more; what went wrong before is forgotten too.
    pub(super) fn forget(&mut self) {
        *self = Self { queued: self.queued, is_ahead: self.is_ahead, ..Self::default() };
    }

    /// Compares best prices. An empty side is told as a bid of nothing or an ask of a dollar.
    fn top(&self, book: &Book) -> Verdict {
        let bid = book.best_bid().map_or(Price::ZERO, |level| level.price);
        let ask = book.best_ask().map_or(Price::ONE, |level| level.price);
        match (self.best_bid, self.best_ask) {
            (None, None) => Verdict::Unverifiable,
            (said_bid, said_ask) => {
                let right = said_bid.is_none_or(|said| said == bid)
                    && said_ask.is_none_or(|said| said == ask);
                if right { Verdict::Right } else { Verdict::Wrong }
            }
        }
    }
}

/// A hash that no known price explains.
#[derive(Debug)]
struct Case {
    index: BookIndex,
    market: MarketId,
    summary: Summary,
    hash: BookHash,
    since_wall_ns: u64,
}

/// A hash that no trade has explained in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overdue {
    pub(super) index: BookIndex,
    pub(super) hash: BookHash,
    /// The last trade price that explains it after all; `None` when none does.
    pub(super) last_trade: Option<Option<Price>>,
    pub(super) since_wall_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct RecentTrade {
    market: MarketId,
    price: Price,
    wall_ns: u64,
}

/// Compares and counts.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) hashes: HashChecks,
    pub(super) counts: CheckCounts,
    /// Books to be looked at after a silence, oldest first.
    queue: VecDeque<BookIndex>,
    cases: VecDeque<Case>,
    trades: VecDeque<RecentTrade>,
    scratch: String,
}

impl Checks {
    /// Has a book looked at after a silence.
    #[inline]
    pub(super) fn queue(&mut self, index: BookIndex, slot: &mut Slot) {
        if !slot.group.queued {
            slot.group.queued = true;
            self.queue.push_back(index);
        }
    }

    /// Number of books in the queue.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Takes the first book out of the queue.
    pub(super) fn next_queued(&mut self) -> Option<BookIndex> {
        self.queue.pop_front()
    }

    /// A book is gone or new: its hashes get no verdict.
    pub(super) fn forget(&mut self, index: BookIndex) {
        self.cases.retain(|case| case.index != index);
    }

    /// Compares best prices at the end of a group; true when the book is not to be trusted any more.
    pub(super) fn on_top(&mut self, group: &mut Group, book: &Book) -> bool {
        if !group.has_tops {
            return false;
        }
        match group.top(book) {
            Verdict::Unverifiable => self.counts.tops_unverifiable += 1,
            Verdict::Right => {
                self.counts.tops_matched += 1;
                group.tops_wrong = 0;
            }
            Verdict::Wrong => {
                self.counts.tops_mismatched += 1;
                group.tops_wrong += 1;
            }
        }
        group.tops_wrong >= TOPS_WRONG_MAX
    }

    /// Compares what was said of the best prices of a time that is over with what they were then, if that is still
    /// known. True when the book is disproved.
    pub(super) fn on_past_top(
        &mut self,
        group: &mut Group,
        was: Option<[Price; 2]>,
        said: [Price; 2],
    ) -> bool {
        match was {
            None => self.counts.tops_unverifiable += 1,
            Some(was) if was == said => {
                self.counts.tops_matched += 1;
                group.tops_wrong = 0;
            }
            Some(_) => {
                self.counts.tops_mismatched += 1;
                group.tops_wrong += 1;
            }
        }
        group.tops_wrong >= TOPS_WRONG_MAX
    }

    /// Whether the hash of a group with this timestamp is one of those to be compared. The choice depends on nothing
    /// else, so that a replay compares the same ones, however many shards it has.
    pub(super) fn takes_hash(&self, timestamp_ms: u64) -> bool {
        match self.hashes {
            HashChecks::Off => false,
            HashChecks::Sampled => mix(timestamp_ms).is_multiple_of(HASH_SAMPLE),
            HashChecks::All => true,
        }
    }

    /// Compares a book's hash at the end of a group, as far as that is possible now.
    pub(super) fn on_hash(&mut self, index: BookIndex, slot: &mut Slot, wall_ns: u64) {
        let Some(hash) = slot.facts.hash else { return };
        let Slot { market, token, facts, book, group, .. } = slot;
        let Some(summary) = Summary::new(market, token, facts, book, &mut self.scratch) else {
            self.counts.hashes_unverifiable += 1;
            return;
        };
        let known = facts.last_trade;
        let either = |price: Price| {
            summary.matches(Some(price), &hash) || summary.matches(Some(price.complement()), &hash)
        };
        // Their age is looked at here and not where they are kept: a replay may have other shards' trades beside them,
        // whose times are far from theirs where they stand in the file.
        let is_recent = |trade: &&RecentTrade| {
            trade.market == *market && wall_ns <= trade.wall_ns.saturating_add(CHECK_TIMEOUT_NS)
        };
        let mut recent = self.trades.iter().rev().filter(is_recent);
        let traded = known.is_some_and(either) || recent.any(|trade| either(trade.price));
        if traded || summary.matches(None, &hash) {
            self.counts.hashes_matched += 1;
            group.hashes_wrong = 0;
            return;
        }
        if condition::is_position(token) {
            // Nobody has shown yet that the hash of a book of Protocol V2 has the same inputs: no verdict.
            self.counts.hashes_unverifiable += 1;
            return;
        }
        if self.cases.len() == CHECK_CASES_MAX {
            // Never judged for lack of room: that is no verdict.
            self.cases.pop_front();
            self.counts.hashes_unverifiable += 1;
        }
        let case = Case { index, market: *market, summary, hash, since_wall_ns: wall_ns };
        self.cases.push_back(case);
    }

    /// A trade explains hashes that came before it and after it, and so does the price `before` it:
    /// a group of changes may be compared only after the trade that came after it. Gives the books whose
    /// hashes it explained, one after the other.
    pub(super) fn on_trade(
        &mut self,
        market: &MarketId,
        price: Price,
        before: Option<Price>,
        wall_ns: u64,
        mut explained: impl FnMut(BookIndex),
    ) {
        if self.hashes == HashChecks::Off {
            return;
        }
        let counts = &mut self.counts;
        self.cases.retain(|case| {
            let fits = case.market == *market
                && [price, price.complement()]
                    .iter()
                    .any(|&price| case.summary.matches(Some(price), &case.hash));
            if fits {
                counts.hashes_explained += 1;
                explained(case.index);
            }
            !fits
        });
        while self.trades.len() + 2 > CHECK_TRADES_MAX {
            self.trades.pop_front();
        }
        for price in before.filter(|&before| before != price).into_iter().chain([price]) {
            self.trades.push_back(RecentTrade { market: *market, price, wall_ns });
        }
    }

    /// The next hash of those books whose time is over at `now_wall_ns`; costs as much as `SEARCH_COST`
    /// comparisons.
    pub(super) fn poll_overdue(
        &mut self,
        now_wall_ns: u64,
        mine: impl Fn(BookIndex) -> bool,
    ) -> Option<Overdue> {
        let place = self.cases.iter().position(|case| mine(case.index))?;
        let due = self.cases.get(place)?.since_wall_ns.saturating_add(CHECK_TIMEOUT_NS);
        if now_wall_ns < due {
            return None;
        }
        let Case { index, summary, hash, since_wall_ns, .. } = self.cases.remove(place)?;
        let last_trade = summary.find_last_trade(&hash);
        match last_trade {
            None => self.counts.hashes_mismatched += 1,
            Some(_) => self.counts.hashes_explained += 1,
        }
        Some(Overdue { index, hash, last_trade, since_wall_ns })
    }
}

impl Group {
    /// A hash was explained in the end.
    pub(super) fn hash_was_right(&mut self) {
        self.hashes_wrong = 0;
    }

    /// A hash was wrong; true when the book is not to be trusted any more.
    pub(super) fn hash_was_wrong(&mut self) -> bool {
        self.hashes_wrong = self.hashes_wrong.saturating_add(1);
        self.hashes_wrong >= HASHES_WRONG_MAX
    }
}

impl<H: Handler> Books<H> {
    /// Which hashes are compared.
    #[must_use]
    pub fn hash_checks(&self) -> HashChecks {
        self.checks.hashes
    }

    /// Ends a book's group of messages with one timestamp if `timestamp_ms` is of another.
    #[inline]
    pub(super) fn end_group_before(&mut self, index: BookIndex, timestamp_ms: u64, wall_ns: u64) {
        let slot = &self.slots[index];
        if slot.group.open && slot.facts.timestamp_ms != timestamp_ms {
            self.end_group(index, wall_ns);
        }
    }

    /// Compares a book with what the venue said of it.
    pub(super) fn end_group(&mut self, index: BookIndex, wall_ns: u64) {
        let Self { slots, checks, .. } = self;
        let slot = &mut slots[index];
        slot.group.open = false;
        if slot.state != BookState::Live {
            return;
        }
        let disproved = checks.on_top(&mut slot.group, &slot.book);
        if disproved {
            self.set_stale(index, StaleReason::Disproved, wall_ns);
        } else if checks.takes_hash(slot.facts.timestamp_ms) {
            checks.on_hash(index, slot, wall_ns);
        }
    }

    /// Compares books whose last message was a while ago, and judges hashes that no trade explained:
    /// as many as cost `count` comparisons. Call it some times a second.
    pub fn settle(&mut self, count: usize, now_wall_ns: u64) {
        self.settle_some(count, now_wall_ns, |_| true);
    }

    /// The same with the books of `mine` only.
    pub(crate) fn settle_some(
        &mut self,
        count: usize,
        now_wall_ns: u64,
        mine: impl Fn(&MarketId) -> bool,
    ) {
        for _ in 0..count.min(self.checks.queued()) {
            let Some(index) = self.checks.next_queued() else { break };
            let Some(slot) = self.slots.get_mut(index) else { continue };
            slot.group.queued = false;
            if !mine(&slot.market) {
                self.checks.queue(index, slot);
                continue;
            }
            if !slot.group.open {
                continue;
            }
            if now_wall_ns.saturating_sub(slot.facts.updated_wall_ns) < CHECK_SILENCE_NS {
                self.checks.queue(index, slot);
                continue;
            }
            let last_wall_ns = slot.facts.updated_wall_ns;
            self.end_group(index, last_wall_ns);
        }
        for _ in 0..count.div_ceil(SEARCH_COST) {
            let Self { checks, slots, .. } = self;
            let mine = |index| slots.get(index).is_none_or(|slot| mine(&slot.market));
            let Some(overdue) = checks.poll_overdue(now_wall_ns, mine) else { break };
            self.on_overdue(overdue);
        }
    }

    pub(super) fn on_overdue(&mut self, overdue: Overdue) {
        let Overdue { index, hash, last_trade, since_wall_ns } = overdue;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(price) = last_trade else {
            if slot.group.hash_was_wrong() {
                self.set_stale(index, StaleReason::Disproved, since_wall_ns);
            }
            return;
        };
        slot.group.hash_was_right();
        if slot.facts.hash == Some(hash) {
            // The venue's word of what we missed, or were told in another order.
            self.for_market(index, |slot| slot.facts.last_trade = price);
        }
    }

    /// Compares all that waits for a comparison: at the end of a recording.
    pub fn settle_all(&mut self) {
        self.settle(usize::MAX, u64::MAX);
    }
}

#[cfg(test)]
mod tests;

//! Compares hashes of books, and waits for the trades that may explain one.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: hashes without a verdict, recent trades.
//! Bounds:   `CHECK_CASES_MAX` hashes; `CHECK_TRADES_MAX` trades.
use crate::base::condition;
use crate::base::id::{BookIndex, MarketId};
use crate::base::limits::{CHECK_CASES_MAX, CHECK_TIMEOUT_NS, CHECK_TRADES_MAX, HASH_SAMPLE};
use crate::base::policy::HashChecks;
use crate::base::price::Price;
use crate::base::random::mix;
use crate::counter::shard::CheckCounts;
use crate::market::book::{image::BookHash, summary::Summary};
use crate::shard::books::slots::{Slot, Slots};
use std::collections::VecDeque;

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

#[derive(Debug, Default)]
pub(super) struct HashVerifier {
    pub(super) policy: HashChecks,
    cases: VecDeque<Case>,
    trades: VecDeque<RecentTrade>,
    scratch: String,
}

impl HashVerifier {
    /// A book is closed or new: its hashes get no verdict.
    pub(super) fn forget(&mut self, index: BookIndex) {
        self.cases.retain(|case| case.index != index);
    }

    /// Whether a hash of the book has no verdict yet.
    pub(super) fn waits_for(&self, index: BookIndex) -> bool {
        self.cases.iter().any(|case| case.index == index)
    }

    /// Whether the hash of a group with this timestamp is one of those to be compared. The choice depends on nothing
    /// else, so that a replay compares the same ones, however many shards it has.
    pub(super) fn takes(&self, timestamp_ms: u64) -> bool {
        match self.policy {
            HashChecks::Off => false,
            HashChecks::Sampled => mix(timestamp_ms).is_multiple_of(HASH_SAMPLE),
            HashChecks::All => true,
        }
    }

    /// Compares a book's hash at the end of a group, as far as that is possible now. Whether it is right.
    pub(super) fn compare(
        &mut self,
        index: BookIndex,
        slot: &mut Slot,
        wall_ns: u64,
        counts: &mut CheckCounts,
    ) -> bool {
        let Some(hash) = slot.facts.hash else { return false };
        let Slot { market, token, facts, book, group, .. } = slot;
        let Some(summary) = Summary::new(market, token, facts, book, &mut self.scratch) else {
            counts.hashes_unverifiable += 1;
            return false;
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
            counts.hashes_matched += 1;
            group.note_right_hash();
            return true;
        }
        if condition::is_position(token) {
            // The inputs of the hash of a book of Protocol V2 are not known: no verdict.
            counts.hashes_unverifiable += 1;
            return false;
        }
        if self.cases.len() == CHECK_CASES_MAX {
            // Dropped for lack of room: no verdict.
            self.cases.pop_front();
            counts.hashes_unverifiable += 1;
        }
        let case = Case { index, market: *market, summary, hash, since_wall_ns: wall_ns };
        self.cases.push_back(case);
        false
    }

    /// A trade explains hashes that came before it and after it, and so does the market's price before it:
    /// a group of changes may be compared only after the trade that came after it.
    pub(super) fn on_trade(
        &mut self,
        slots: &mut Slots,
        index: BookIndex,
        price: Price,
        wall_ns: u64,
        counts: &mut CheckCounts,
    ) {
        if self.policy == HashChecks::Off {
            return;
        }
        let (market, before) = (slots[index].market, slots[index].facts.last_trade);
        self.cases.retain(|case| {
            let fits = case.market == market
                && [price, price.complement()]
                    .iter()
                    .any(|&price| case.summary.matches(Some(price), &case.hash));
            if fits {
                counts.hashes_explained += 1;
                if let Some(slot) = slots.get_mut(case.index) {
                    slot.group.note_right_hash();
                }
            }
            !fits
        });
        while self.trades.len() + 2 > CHECK_TRADES_MAX {
            self.trades.pop_front();
        }
        for price in before.filter(|&before| before != price).into_iter().chain([price]) {
            self.trades.push_back(RecentTrade { market, price, wall_ns });
        }
    }

    /// The next hash of those books whose time is over at `now_wall_ns`; costs as much as `SEARCH_COST`
    /// comparisons of best prices.
    pub(super) fn poll_overdue(
        &mut self,
        now_wall_ns: u64,
        mine: impl Fn(BookIndex) -> bool,
        counts: &mut CheckCounts,
    ) -> Option<Overdue> {
        let place = self.cases.iter().position(|case| mine(case.index))?;
        let due = self.cases.get(place)?.since_wall_ns.saturating_add(CHECK_TIMEOUT_NS);
        if now_wall_ns < due {
            return None;
        }
        let Case { index, summary, hash, since_wall_ns, .. } = self.cases.remove(place)?;
        let last_trade = summary.find_last_trade(&hash);
        match last_trade {
            None => counts.hashes_mismatched += 1,
            Some(_) => counts.hashes_explained += 1,
        }
        Some(Overdue { index, hash, last_trade, since_wall_ns })
    }
}

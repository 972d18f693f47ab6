//! What the venue reported of one book since the last comparison.
//!
//! Runs on:  any (pure). One in each slot.
use crate::base::price::Price;
use crate::market::book::{Book, Side};
use serde::Deserialize;
use std::fmt::Write as _;

/// The messages of one book with one timestamp, as far as a comparison needs them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    best_bid: Option<Price>,
    best_ask: Option<Price>,
    /// There is something to compare at the end of the group.
    pub(super) open: bool,
    /// Best prices are to be compared, not only the hash.
    has_tops: bool,
    /// The book stands in the verifier's queue.
    pub(super) queued: bool,
    /// The book's snapshot was ahead of the host's clock when it was read.
    pub(super) is_ahead: bool,
    /// Messages of the book may have been lost since it was asked for over REST; here for its size.
    pub(super) has_lost: bool,
    /// The best prices are those of a ticker, at the end of this millisecond; 0 for none.
    claim_ms: u64,
    /// The book changed more than once in the millisecond of its last message; for relative changes only.
    pub(super) several: bool,
    /// Comparisons in a row that failed: best prices, hashes.
    tops_wrong: u8,
    hashes_wrong: u8,
}

/// A group as an image has it; a list in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct StoredGroup {
    open: bool,
    has_tops: bool,
    several: bool,
    is_ahead: bool,
    claim_ms: u64,
    /// Units of [`Price`].
    best_bid: Option<u32>,
    best_ask: Option<u32>,
}

/// Failed comparisons of best prices in a row after which a book is stale.
const TOPS_WRONG_MAX: u8 = 2;
/// The same for hashes.
const HASHES_WRONG_MAX: u8 = 2;

/// Best bid and ask of a book; zero and one for an empty side, as the venue reports it.
#[inline]
pub(super) fn top_of(book: &Book) -> [Price; 2] {
    let bid = book.bids.best_price_or(Side::Bid, Price::ZERO);
    let ask = book.asks.best_price_or(Side::Ask, Price::ONE);
    [bid, ask]
}

impl Group {
    /// Whether a message of `timestamp_ms` ends it, whose last message was of `last_ms`.
    #[inline]
    pub(super) const fn ends_before(&self, timestamp_ms: u64, last_ms: u64) -> bool {
        self.open && last_ms != timestamp_ms
    }

    /// After a change that was applied.
    #[inline]
    pub(super) fn change(&mut self, best_bid: Option<Price>, best_ask: Option<Price>) {
        (self.best_bid, self.best_ask) = (best_bid, best_ask);
        (self.open, self.has_tops) = (true, true);
    }

    /// After a snapshot, which has no best prices; those of changes of its group still count.
    pub(super) fn snapshot(&mut self) {
        self.has_tops &= self.open;
        self.open = true;
    }

    /// After a ticker: the venue's best prices after all messages of a millisecond.
    pub(super) const fn claim(&mut self, claim_ms: u64, [bid, ask]: [Price; 2]) {
        (self.best_bid, self.best_ask) = (Some(bid), Some(ask));
        (self.claim_ms, self.has_tops) = (claim_ms, true);
    }

    /// The millisecond of the claim, if it is before this one.
    pub(super) fn claimed_before(&self, timestamp_ms: u64) -> Option<u64> {
        self.claimed().filter(|&claim_ms| claim_ms < timestamp_ms)
    }

    /// The millisecond of the claim.
    pub(super) fn claimed(&self) -> Option<u64> {
        (self.claim_ms != 0).then_some(self.claim_ms)
    }

    /// It was compared, or never will be.
    pub(super) const fn forget_claim(&mut self) {
        (self.claim_ms, self.has_tops) = (0, false);
    }

    /// Discards what waits for a comparison, and the failures before it.
    pub(super) fn forget(&mut self) {
        let Self { queued, is_ahead, has_lost, .. } = *self;
        *self = Self { queued, is_ahead, has_lost, ..Self::default() };
    }

    /// Whether best prices are to be compared at the end of the group.
    pub(super) const fn has_tops(&self) -> bool {
        self.has_tops
    }

    /// Whether the best prices of a book are the reported ones; `None` when none were reported.
    #[inline]
    pub(super) fn is_top(&self, book: &Book) -> Option<bool> {
        if self.best_bid.is_none() && self.best_ask.is_none() {
            return None;
        }
        let [bid, ask] = top_of(book);
        let equal = |reported: Option<Price>, ours| reported.is_none_or(|price| price == ours);
        Some(equal(self.best_bid, bid) && equal(self.best_ask, ask))
    }

    /// Whether the last comparison failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.tops_wrong > 0 || self.hashes_wrong > 0
    }

    /// Appends what an image has of it as a key of a JSON object; nothing where nothing waits.
    pub(super) fn write(&self, out: &mut String) {
        let Self { open, has_tops, several, is_ahead, claim_ms, .. } = *self;
        if !(open || has_tops || several || is_ahead) {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(out, r#","group":[{open},{has_tops},{several},{is_ahead},{claim_ms}"#);
        for price in [self.best_bid, self.best_ask] {
            let _ = match price {
                Some(Price(units)) => write!(out, ",{units}"),
                None => write!(out, ",null"),
            };
        }
        out.push(']');
    }

    /// Continues a group of an image.
    pub(super) fn restore(&mut self, stored: &StoredGroup) {
        let StoredGroup { open, has_tops, several, is_ahead, claim_ms, .. } = *stored;
        *self = Self {
            best_bid: stored.best_bid.map(Price),
            best_ask: stored.best_ask.map(Price),
            open,
            has_tops,
            several,
            is_ahead,
            claim_ms,
            ..*self
        };
    }

    /// Notes the outcome of a comparison of best prices; true when the book is disproved.
    pub(super) const fn note_top(&mut self, equal: Option<bool>) -> bool {
        match equal {
            None => {}
            Some(true) => self.tops_wrong = 0,
            Some(false) => self.tops_wrong += 1,
        }
        self.tops_wrong >= TOPS_WRONG_MAX
    }

    /// A hash was equal or explained.
    pub(super) const fn note_right_hash(&mut self) {
        self.hashes_wrong = 0;
    }

    /// A hash was wrong; true when the book is disproved.
    pub(super) const fn note_wrong_hash(&mut self) -> bool {
        self.hashes_wrong = self.hashes_wrong.saturating_add(1);
        self.hashes_wrong >= HASHES_WRONG_MAX
    }
}

//! The venue's hash of a book, computed from our own levels.
//!
//! Runs on:  any (pure). Bounds: one text a hash, of some 35 bytes a level.
//!
//! SHA-1 of the book in the shape of the CLOB's `/book` with an empty `hash` (polymarket/protocol.md, 3.7; all ten keys
//! since 2025-10-28). The last key is the last trade price, which the venue may
//! know earlier than we do. So what stands before it is hashed once, and prices are tried behind it.
use super::Book;
use super::image::{BookFacts, BookHash, write_head};
use crate::base::id::{MarketId, TokenId};
use crate::base::price::Price;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// A book's hash but for the last trade price.
#[derive(Clone, Debug)]
pub struct Summary(Sha1);

impl Summary {
    /// Hashes a book as it is now; `scratch` is memory to write in. `None` where the smallest order or
    /// the tick size is not known: its hash cannot be computed.
    #[must_use]
    pub fn new(
        market: &MarketId,
        token: &TokenId,
        facts: &BookFacts,
        book: &Book,
        scratch: &mut String,
    ) -> Option<Self> {
        let (min_order_size, tick_size) = (facts.min_order_size?, facts.tick_size?);
        scratch.clear();
        let ids = (market.as_str(), token.as_str());
        write_head(scratch, ids, facts.timestamp_ms, "", book.bids.levels(), book.asks.levels());
        // Writing to a string cannot fail.
        let _ = write!(
            scratch,
            r#","min_order_size":"{min_order_size}","tick_size":"{tick_size}","neg_risk":{},"last_trade_price":""#,
            facts.neg_risk
        );
        Some(Self(Sha1::new_with_prefix(scratch.as_bytes())))
    }

    /// Whether the book has this hash if the market's last trade price is `last_trade`.
    #[must_use]
    pub fn matches(&self, last_trade: Option<Price>, hash: &BookHash) -> bool {
        let price = last_trade.map(Price::three_decimals).unwrap_or_default();
        let digest = self.0.clone().chain_update(price).chain_update("\"}").finalize();
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        let digits = digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        digits.eq(hash.iter().copied())
    }

    /// The last trade price with which the book has this hash, among all that there are; they have three
    /// decimals. `Some(None)` is a market that was never traded; `None` a book that has another hash
    /// whatever the price. A tenth of a millisecond: not for the hot path.
    #[must_use]
    pub fn find_last_trade(&self, hash: &BookHash) -> Option<Option<Price>> {
        let thousandths = (0..=1000).map(|count| Some(Price(count * 1000)));
        std::iter::once(None).chain(thousandths).find(|&price| self.matches(price, hash))
    }
}

#[cfg(test)]
mod tests;

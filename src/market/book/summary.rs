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
mod tests {
    use super::*;
    use crate::base::price::Quantity;
    use crate::market::book::{Level, Side};

    /// Recorded hashes of the venue are in `tests/oracle/checks.rs`.
    #[test]
    fn a_book_has_the_hash_that_its_text_has() {
        let mut book = Book::default();
        let level = |price, shares: u64| Level {
            price: Price(price),
            quantity: Quantity(shares * 1_000_000),
        };
        book.set(Side::Bid, level(300_000, 100)).unwrap();
        book.set(Side::Ask, level(700_000, 100)).unwrap();
        let mut facts = BookFacts {
            timestamp_ms: 123_456_789,
            min_order_size: Some(Quantity(100 * 1_000_000)),
            tick_size: Some(Price(10_000)),
            ..BookFacts::default()
        };
        let (market, token) = (MarketId::new("0xaabbcc").unwrap(), TokenId::new("100").unwrap());
        let text = r#"{"market":"0xaabbcc","asset_id":"100","timestamp":"123456789","hash":"","bids":[{"price":"0.3","size":"100"}],"asks":[{"price":"0.7","size":"100"}],"min_order_size":"100","tick_size":"0.01","neg_risk":false,"last_trade_price":"0.500"}"#;
        let digest = Sha1::digest(text);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let hash: BookHash = hex.as_bytes().try_into().unwrap();
        let mut scratch = String::new();
        let summary = Summary::new(&market, &token, &facts, &book, &mut scratch).unwrap();
        assert!(summary.matches(Some(Price(500_000)), &hash));
        assert!(!summary.matches(Some(Price(501_000)), &hash));
        assert!(!summary.matches(None, &hash));
        assert_eq!(summary.find_last_trade(&hash), Some(Some(Price(500_000))));
        assert_eq!(summary.find_last_trade(&[b'0'; 40]), None);
        facts.tick_size = None;
        assert!(Summary::new(&market, &token, &facts, &book, &mut scratch).is_none());
    }
}

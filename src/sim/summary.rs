//! The book summary with ten keys: the REST answer, and the input of `hash` (SHA-1).
//!
//! Runs on:  the venue's thread (pure).
use sha1::{Digest, Sha1};

use super::book::{Book, Level, Outcome, Side};
use super::json::{push_integer, push_price, push_quantity};
use crate::base::price::Price;

/// Hexadecimal digits of a SHA-1.
pub(super) const HASH_BYTES: usize = 40;
/// A SHA-1 in lower-case hexadecimal.
pub(super) type Hash = [u8; HASH_BYTES];

/// Keys of a summary besides the levels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading<'a> {
    /// Condition id.
    pub(super) market: &'a str,
    /// Token id.
    pub(super) asset: &'a str,
    /// Time of the last change, milliseconds since the Unix epoch.
    pub(super) timestamp_ms: u64,
    /// Smallest order, as on the wire.
    pub(super) min_order_size: &'a str,
    /// Price grid.
    pub(super) tick: Price,
    /// The market belongs to a group of which exactly one wins.
    pub(super) neg_risk: bool,
    /// Market-level last trade price with three decimals; empty before the first trade.
    pub(super) last_trade_price: &'a str,
}

/// Appends `[{"price":…,"size":…}…]`; `gap` separates pairs and levels.
pub(super) fn push_levels(out: &mut Vec<u8>, levels: impl Iterator<Item = Level>, gap: &str) {
    out.push(b'[');
    for (at, level) in levels.enumerate() {
        if at > 0 {
            out.extend_from_slice(gap.as_bytes());
        }
        out.extend_from_slice(b"{\"price\":\"");
        push_price(out, level.price);
        out.push(b'"');
        out.extend_from_slice(gap.as_bytes());
        out.extend_from_slice(b"\"size\":\"");
        push_quantity(out, level.size);
        out.extend_from_slice(b"\"}");
    }
    out.push(b']');
}

/// Appends the summary of one outcome's book with the given `hash` text.
pub(super) fn push_summary(
    out: &mut Vec<u8>,
    heading: &Heading<'_>,
    book: &Book,
    outcome: Outcome,
    hash: &[u8],
) {
    out.extend_from_slice(b"{\"market\":\"");
    out.extend_from_slice(heading.market.as_bytes());
    out.extend_from_slice(b"\",\"asset_id\":\"");
    out.extend_from_slice(heading.asset.as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":\"");
    push_integer(out, heading.timestamp_ms);
    out.extend_from_slice(b"\",\"hash\":\"");
    out.extend_from_slice(hash);
    out.extend_from_slice(b"\",\"bids\":");
    push_levels(out, book.view(outcome, Side::Bid), ",");
    out.extend_from_slice(b",\"asks\":");
    push_levels(out, book.view(outcome, Side::Ask), ",");
    out.extend_from_slice(b",\"min_order_size\":\"");
    out.extend_from_slice(heading.min_order_size.as_bytes());
    out.extend_from_slice(b"\",\"tick_size\":\"");
    push_price(out, heading.tick);
    out.extend_from_slice(b"\",\"neg_risk\":");
    out.extend_from_slice(if heading.neg_risk { b"true" } else { b"false" });
    out.extend_from_slice(b",\"last_trade_price\":\"");
    out.extend_from_slice(heading.last_trade_price.as_bytes());
    out.extend_from_slice(b"\"}");
}

/// SHA-1 of the summary with an empty hash; `scratch` is overwritten.
pub(super) fn hash(
    scratch: &mut Vec<u8>,
    heading: &Heading<'_>,
    book: &Book,
    outcome: Outcome,
) -> Hash {
    scratch.clear();
    push_summary(scratch, heading, book, outcome, b"");
    hexadecimal(&Sha1::digest(&scratch[..]))
}

fn hexadecimal(digest: &[u8]) -> Hash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; HASH_BYTES];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::price::Quantity;

    fn hash_text(heading: &Heading<'_>, book: &Book) -> String {
        String::from_utf8(hash(&mut Vec::new(), heading, book, Outcome::First).to_vec()).unwrap()
    }

    #[test]
    fn the_published_vector_reproduces() {
        // py-clob-client-v2, tests/test_utilities.py.
        let heading = Heading {
            market: "0xaabbcc",
            asset: "100",
            timestamp_ms: 123_456_789,
            min_order_size: "100",
            tick: Price(10_000),
            neg_risk: false,
            last_trade_price: "0.5",
        };
        let mut book = Book::default();
        for (side, price) in [(Side::Bid, 3), (Side::Bid, 4), (Side::Ask, 6)] {
            book.set(side, Price(price * 100_000), Quantity(100_000_000));
        }
        // The vector lists its asks ascending, unlike a book of the venue; levels are in the order of the
        // vector.
        let mut text = Vec::new();
        push_summary(&mut text, &heading, &book, Outcome::First, b"");
        let text = String::from_utf8(text).unwrap().replace(
            r#""asks":[{"price":"0.6","size":"100"}]"#,
            r#""asks":[{"price":"0.6","size":"100"},{"price":"0.7","size":"100"}]"#,
        );
        let hash = String::from_utf8(hexadecimal(&Sha1::digest(text)).to_vec()).unwrap();
        assert_eq!(hash, "0458ea5755c9f73d64a14636fa5c36ed460ec394");
    }

    #[test]
    fn recorded_rest_books_reproduce() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = "polymarket/polygolem_2026-05-17/clob-books.json";
        let beside = ["../shared/fixtures", "../../shared/fixtures"];
        let read = |folder| std::fs::read(root.join(folder).join(file)).ok();
        let Some(text) = beside.into_iter().find_map(read) else {
            eprintln!("note: no recordings beside this clone; skipped");
            return;
        };
        let books: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!(books.len(), 10);
        for recorded in &books {
            let field = |key: &str| recorded[key].as_str().unwrap();
            let mut book = Book::default();
            for (side, key) in [(Side::Bid, "bids"), (Side::Ask, "asks")] {
                for level in recorded[key].as_array().unwrap() {
                    let price = Price::parse(level["price"].as_str().unwrap().as_bytes()).unwrap();
                    let size = Quantity::parse(level["size"].as_str().unwrap().as_bytes()).unwrap();
                    book.set(side, price, size);
                }
            }
            let heading = Heading {
                market: field("market"),
                asset: field("asset_id"),
                timestamp_ms: field("timestamp").parse().unwrap(),
                min_order_size: field("min_order_size"),
                tick: Price::parse(field("tick_size").as_bytes()).unwrap(),
                neg_risk: recorded["neg_risk"].as_bool().unwrap(),
                last_trade_price: field("last_trade_price"),
            };
            assert_eq!(hash_text(&heading, &book), field("hash"));
        }
    }
}

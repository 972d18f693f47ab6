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
mod tests;

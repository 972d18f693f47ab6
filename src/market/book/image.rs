//! A copy of one book for other cores and for people, with its JSON in the venue's own shape.
//!
//! Runs on:  any (pure).
use super::{Book, BookState, Level};
use crate::base::{
    id::{MarketId, TokenId},
    price::{Price, Quantity},
    time::{MILLISECOND_NS, SECOND_NS},
};
use std::fmt::Write as _;

/// A book's last hash as the venue sent it: 40 hexadecimal digits.
pub type BookHash = [u8; 40];

/// What a book needs besides its levels to be shown in the venue's `/book` shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookFacts {
    /// Venue time of the last message that changed the book, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Hash that came with that message.
    pub hash: Option<BookHash>,
    /// Smallest order, if the catalog has it.
    pub min_order_size: Option<Quantity>,
    /// Smallest price step, if catalog or stream has it.
    pub tick_size: Option<Price>,
    /// Part of a set of markets of which one wins.
    pub neg_risk: bool,
    /// Last trade price of the market as far as it is known.
    pub last_trade: Option<Price>,
    /// Messages that changed the book since it was opened.
    pub updates: u64,
    /// When the last of them was read, nanoseconds since the Unix epoch; 0 if none.
    pub updated_wall_ns: u64,
}

/// When a book last equalled what the venue reports, seconds since the Unix epoch; 0 for never. Seconds, because each
/// book of a shard has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookProof {
    /// Its hash; of the sampled ones.
    pub hash_wall_s: u32,
    /// All its levels, over REST or with a repeated snapshot.
    pub levels_wall_s: u32,
}

impl BookProof {
    /// Its hash was right.
    pub const fn on_hash(&mut self, wall_ns: u64) {
        self.hash_wall_s = (wall_ns / SECOND_NS) as u32;
    }

    /// Its levels were right.
    pub const fn on_levels(&mut self, wall_ns: u64) {
        self.levels_wall_s = (wall_ns / SECOND_NS) as u32;
    }
}

/// A copy of one book.
#[derive(Clone, Debug, Default)]
pub struct BookImage {
    /// The market, once the image is filled.
    pub market: Option<MarketId>,
    /// The token, once the image is filled.
    pub token: Option<TokenId>,
    /// Whether the book could be trusted when the copy was made.
    pub state: BookState,
    /// Everything but the levels.
    pub facts: BookFacts,
    /// What its shard has compared it with; set by the shard's answer to a query only.
    pub proof: BookProof,
    /// Buyers, best last.
    pub bids: Vec<Level>,
    /// Sellers, best last.
    pub asks: Vec<Level>,
}

impl BookImage {
    /// An image with room for `levels` levels on each side.
    #[must_use]
    pub fn with_capacity(levels: usize) -> Self {
        Self {
            bids: Vec::with_capacity(levels),
            asks: Vec::with_capacity(levels),
            ..Self::default()
        }
    }

    /// Copies a book. Allocates only when a side has more levels than there is room for.
    pub fn fill(
        &mut self,
        market: MarketId,
        token: TokenId,
        state: BookState,
        facts: BookFacts,
        book: &Book,
    ) {
        (self.market, self.token) = (Some(market), Some(token));
        (self.state, self.facts) = (state, facts);
        self.bids.clear();
        self.bids.extend(book.bids.levels());
        self.asks.clear();
        self.asks.extend(book.asks.levels());
    }

    /// The same book as seen from the other outcome of a market of two: who sells one for p buys the other for
    /// one dollar less p. There is no hash of that.
    pub fn turn_around(&mut self) {
        std::mem::swap(&mut self.bids, &mut self.asks);
        for level in self.bids.iter_mut().chain(&mut self.asks) {
            level.price = level.price.complement();
        }
        self.facts.last_trade = self.facts.last_trade.map(Price::complement);
        self.facts.hash = None;
    }

    /// Appends the book as one line of JSON in exactly the shape of the CLOB's `GET /book`
    /// (key order included). What is not known is an empty string. A stale book has two keys more, which
    /// a live one lacks: `state`, and `stale_since` in milliseconds since 1970, as text
    /// like `timestamp`.
    pub fn write_json(&self, out: &mut String) {
        self.write(out);
        if let BookState::Stale { since_wall_ns, .. } = self.state {
            let (state, since_ms) = (self.state.name(), since_wall_ns / MILLISECOND_NS);
            let _ = write!(out, r#","state":"{state}","stale_since":"{since_ms}""#);
        }
        out.push('}');
    }

    /// The same with a last key `state`, as replay writes it.
    pub fn write_json_with_state(&self, out: &mut String) {
        self.write(out);
        let _ = write!(out, r#","state":"{}"}}"#, self.state.name());
    }

    /// All but the closing brace.
    fn write(&self, out: &mut String) {
        let market = self.market.as_ref().map_or("", MarketId::as_str);
        let token = self.token.as_ref().map_or("", TokenId::as_str);
        let hash = self.facts.hash.as_ref().and_then(|h| std::str::from_utf8(h).ok()).unwrap_or("");
        let sides = (self.bids.iter().copied(), self.asks.iter().copied());
        write_head(out, (market, token), self.facts.timestamp_ms, hash, sides.0, sides.1);
        let text = |value: Option<String>| value.unwrap_or_default();
        let _ = write!(
            out,
            r#","min_order_size":"{}","tick_size":"{}","neg_risk":{},"last_trade_price":"{}""#,
            text(self.facts.min_order_size.map(|q| q.to_string())),
            text(self.facts.tick_size.map(|p| p.to_string())),
            self.facts.neg_risk,
            text(self.facts.last_trade.map(Price::three_decimals)),
        );
    }
}

/// The first six keys of a book in the venue's shape; `ids` are market and token.
pub(super) fn write_head(
    out: &mut String,
    (market, token): (&str, &str),
    timestamp_ms: u64,
    hash: &str,
    bids: impl Iterator<Item = Level>,
    asks: impl Iterator<Item = Level>,
) {
    // Writing to a string cannot fail; ids hold no character that JSON escapes.
    let _ = write!(
        out,
        r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{timestamp_ms}","hash":"{hash}","bids":"#,
    );
    write_levels(out, bids);
    out.push_str(r#","asks":"#);
    write_levels(out, asks);
}

fn write_levels(out: &mut String, levels: impl Iterator<Item = Level>) {
    out.push('[');
    for (i, level) in levels.enumerate() {
        out.push_str(if i == 0 { r#"{"price":""# } else { r#",{"price":""# });
        level.price.push_to(out);
        out.push_str(r#"","size":""#);
        level.quantity.push_to(out);
        out.push_str(r#""}"#);
    }
    out.push(']');
}

#[cfg(test)]
mod tests;

//! Messages of the tardis interface as JSON objects. Each function appends one object to a text.
//!
//! Runs on:  serve core (pure).
//!
//! Prices and amounts are JSON numbers, exact; a key without a value is left out. Times are ISO 8601: `timestamp`, the
//! venue's, with milliseconds, `localTimestamp` with microseconds.
use super::bars::Bar;
use super::options::{BarEnd, BarType, SnapshotType};
use crate::base::id::{TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::base::time::MICROSECOND_NS;
use crate::gateway::push_array;
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::{Level, Side};
use std::fmt::Write as _;

/// What every message of a symbol has.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The exchange.
    pub venue: &'a Venue,
    /// The symbol.
    pub token: &'a TokenId,
    /// Venue time, milliseconds since the Unix epoch.
    pub venue_ms: u64,
    /// When the frame was read, nanoseconds since the Unix epoch.
    pub local_ns: u64,
}

impl Head<'_> {
    fn begin(&self, out: &mut String, name: &str) {
        // Ids hold no character that JSON escapes.
        out.push_str(r#"{"type":""#);
        out.push_str(name);
        out.push_str(r#"","symbol":""#);
        out.push_str(self.token.as_str());
        out.push_str(r#"","exchange":""#);
        out.push_str(self.venue.name());
        out.push('"');
    }

    fn end(&self, out: &mut String) {
        out.push_str(r#","timestamp":""#);
        push_ms(out, self.venue_ms);
        push_local(out, self.local_ns);
        out.push('}');
    }
}

/// A trade.
pub fn trade(out: &mut String, head: &Head<'_>, trade: &TradeUpdate) {
    head.begin(out, "trade");
    if let Some(id) = &trade.id {
        out.push_str(r#","id":""#);
        out.push_str(id.as_str());
        out.push('"');
    }
    push_price(out, "price", trade.price);
    push_quantity(out, "amount", trade.quantity);
    out.push_str(match trade.side {
        Side::Bid => r#","side":"buy""#,
        Side::Ask => r#","side":"sell""#,
    });
    head.end(out);
}

/// The whole book, levels best first.
pub fn book(
    out: &mut String,
    head: &Head<'_>,
    bids: impl Iterator<Item = Level>,
    asks: impl Iterator<Item = Level>,
) {
    head.begin(out, "book_change");
    out.push_str(r#","isSnapshot":true,"bids":"#);
    push_levels(out, bids, 0);
    out.push_str(r#","asks":"#);
    push_levels(out, asks, 0);
    head.end(out);
}

/// A new amount at one price; 0 removes the level.
pub fn change(out: &mut String, head: &Head<'_>, side: Side, level: Level) {
    head.begin(out, "book_change");
    let (bid, ask) = match side {
        Side::Bid => (Some(level), None),
        Side::Ask => (None, Some(level)),
    };
    out.push_str(r#","isSnapshot":false,"bids":"#);
    push_levels(out, bid.into_iter(), 0);
    out.push_str(r#","asks":"#);
    push_levels(out, ask.into_iter(), 0);
    head.end(out);
}

/// Best prices and their amounts.
pub fn book_ticker(out: &mut String, head: &Head<'_>, bid: Option<Level>, ask: Option<Level>) {
    head.begin(out, "book_ticker");
    if let Some(bid) = bid {
        push_price(out, "bidPrice", bid.price);
        push_quantity(out, "bidAmount", bid.quantity);
    }
    if let Some(ask) = ask {
        push_price(out, "askPrice", ask.price);
        push_quantity(out, "askAmount", ask.quantity);
    }
    head.end(out);
}

/// The price of the last trade.
pub fn derivative_ticker(out: &mut String, head: &Head<'_>, last: Price) {
    head.begin(out, "derivative_ticker");
    push_price(out, "lastPrice", last);
    head.end(out);
}

/// A computed snapshot; sides with fewer levels than its depth end with `{}`.
pub fn book_snapshot(
    out: &mut String,
    head: &Head<'_>,
    what: &SnapshotType,
    bids: &[Level],
    asks: &[Level],
) {
    head.begin(out, "book_snapshot");
    let SnapshotType { name, depth, grouping, interval_ms } = what;
    // Writing to a string cannot fail; the name has no character that JSON escapes.
    let _ = write!(out, r#","name":"{name}","depth":{depth},"interval":{interval_ms}"#);
    if let Some(grouping) = grouping {
        push_price(out, "grouping", *grouping);
    }
    out.push_str(r#","bids":"#);
    push_levels(out, bids.iter().copied(), *depth);
    out.push_str(r#","asks":"#);
    push_levels(out, asks.iter().copied(), *depth);
    head.end(out);
}

/// A bar of trades. `head.venue_ms` is its end, as the venue's times have it.
pub fn trade_bar(out: &mut String, head: &Head<'_>, what: &BarType, bar: &Bar) {
    head.begin(out, "trade_bar");
    let BarType { name, end } = what;
    let _ = write!(out, r#","name":"{name}","interval":"#);
    let kind = match end {
        BarEnd::Time(ms) => {
            let _ = write!(out, "{ms}");
            "time"
        }
        BarEnd::Ticks(count) => {
            let _ = write!(out, "{count}");
            "tick"
        }
        BarEnd::Volume(volume) => {
            volume.push_to(out);
            "volume"
        }
    };
    let _ = write!(out, r#","kind":"{kind}""#);
    push_price(out, "open", bar.open);
    push_price(out, "high", bar.high);
    push_price(out, "low", bar.low);
    push_price(out, "close", bar.close);
    push_quantity(out, "volume", Quantity(bar.buy.0 + bar.sell.0));
    push_quantity(out, "buyVolume", bar.buy);
    push_quantity(out, "sellVolume", bar.sell);
    let _ = write!(out, r#","trades":{},"vwap":{},"openTimestamp":""#, bar.trades, bar.vwap());
    push_ms(out, bar.open_ms);
    out.push_str(r#"","closeTimestamp":""#);
    push_ms(out, bar.close_ms);
    push_local(out, head.local_ns);
    out.push_str(r#","timestamp":""#);
    push_ms(out, head.venue_ms);
    out.push_str(r#""}"#);
}

/// The symbols are out of date until their next snapshots; without symbols, all of them.
pub fn disconnect(out: &mut String, venue: &Venue, local_ns: u64, symbols: &[TokenId]) {
    out.push_str(r#"{"type":"disconnect","exchange":""#);
    out.push_str(venue.name());
    push_local(out, local_ns);
    if !symbols.is_empty() {
        out.push_str(r#","symbols":"#);
        push_array(out, symbols, |out, token| out.extend(["\"", token.as_str(), "\""]));
    }
    out.push('}');
}

/// A book is stale, and why: `reason` has no character that JSON escapes. `count` errors since the last other message.
pub fn error(
    out: &mut String,
    (venue, token): (&Venue, &TokenId),
    local_ns: u64,
    reason: &str,
    count: u32,
) {
    let _ = write!(out, r#"{{"type":"error","exchange":"{}"#, venue.name());
    push_local(out, local_ns);
    let _ = write!(
        out,
        r#","details":"the book of {token} is out of date: {reason}","subSequentErrorsCount":{count}}}"#
    );
}

fn push_price(out: &mut String, name: &str, price: Price) {
    push_key(out, name);
    price.push_to(out);
}

fn push_quantity(out: &mut String, name: &str, quantity: Quantity) {
    push_key(out, name);
    quantity.push_to(out);
}

fn push_key(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

/// Levels, and `{}` up to `count` of them.
fn push_levels(out: &mut String, levels: impl Iterator<Item = Level>, count: usize) {
    out.push('[');
    let mut written = 0;
    for level in levels {
        out.push_str(if written == 0 { r#"{"price":"# } else { r#",{"price":"# });
        level.price.push_to(out);
        out.push_str(r#","amount":"#);
        level.quantity.push_to(out);
        out.push('}');
        written += 1;
    }
    for place in written..count {
        out.push_str(if place == 0 { "{}" } else { ",{}" });
    }
    out.push(']');
}

/// Ends a text value and appends `localTimestamp`.
fn push_local(out: &mut String, local_ns: u64) {
    out.push_str(r#"","localTimestamp":""#);
    let us = i64::try_from(local_ns / MICROSECOND_NS).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(us).unwrap_or_default();
    let _ = write!(out, "{at:.6}");
    out.push('"');
}

fn push_ms(out: &mut String, ms: u64) {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX));
    let _ = write!(out, "{:.3}", at.unwrap_or_default());
}

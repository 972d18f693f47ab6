//! Encoders for messages of the market channel, in both formats that Polymarket uses.
//!
//! Runs on:  the venue's thread (pure).
//!
//! Dumps, trades and announcements are compact; other messages have a space after each comma.
use super::book::{Outcome, Side};
use super::flow::{Change, Trade};
use super::json::{Object, push_integer, push_price, push_quantity};
use super::market::{Event, Market};
use super::pace::Stamp;
use super::summary::{Hash, push_levels};
use crate::base::price::Price;

/// Separator of pairs in a spaced message.
const GAP: &str = ", ";

/// Facts shared by all messages of one market at one timestamp: the state after the last change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tops {
    /// Hash of each outcome's book, or the stamp in its place.
    pub(super) hashes: [Hash; 2],
    /// Best bid and ask of each outcome; 0 and 1 for empty sides.
    pub(super) best: [(Price, Price); 2],
}

impl Tops {
    pub(super) fn new(market: &Market, scratch: &mut Vec<u8>) -> Self {
        Self {
            hashes: Outcome::BOTH.map(|outcome| market.hash(scratch, outcome)),
            best: best(market),
        }
    }

    /// For the present market, with a stamp in place of the hashes.
    pub(super) fn stamped(market: &Market, stamp: Stamp) -> Self {
        Self { hashes: Outcome::BOTH.map(|outcome| stamp.hash(outcome)), best: best(market) }
    }
}

/// Best bid and ask of each outcome; 0 and 1 for empty sides.
pub(super) fn best(market: &Market) -> [(Price, Price); 2] {
    Outcome::BOTH.map(|outcome| {
        let best = |side| market.book.best_or_bound(outcome, side);
        (best(Side::Bid), best(Side::Ask))
    })
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

fn push_quoted_price(out: &mut Vec<u8>, key: &str, price: Price) {
    push(out, &["\"", key, "\":\""]);
    push_price(out, price);
    out.push(b'"');
}

/// `"timestamp":"…"<gap>"event_type":"…"}`.
fn push_tail(out: &mut Vec<u8>, gap: &str, timestamp_ms: u64, event_type: &str) {
    out.extend_from_slice(b"\"timestamp\":\"");
    push_integer(out, timestamp_ms);
    push(out, &["\"", gap, "\"event_type\":\"", event_type, "\"}"]);
}

/// One book of a snapshot dump.
pub(super) fn push_dump(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    market: &Market,
    outcome: Outcome,
) {
    let hash = market.hash(scratch, outcome);
    push(out, &["{\"market\":\"", &market.condition, "\",\"asset_id\":\"", market.token(outcome)]);
    out.extend_from_slice(b"\",\"timestamp\":\"");
    push_integer(out, market.changed_ms);
    out.extend_from_slice(b"\",\"hash\":\"");
    out.extend_from_slice(&hash);
    out.extend_from_slice(b"\",\"bids\":");
    push_levels(out, market.book.view(outcome, Side::Bid), ",");
    out.extend_from_slice(b",\"asks\":");
    push_levels(out, market.book.view(outcome, Side::Ask), ",");
    out.push(b',');
    push_quoted_price(out, "tick_size", market.tick);
    push(
        out,
        &[",\"event_type\":\"book\",\"last_trade_price\":\"", &market.last_trade_text, "\"}"],
    );
}

/// A full book after a trade.
pub(super) fn push_refresh(out: &mut Vec<u8>, market: &Market, outcome: Outcome, tops: &Tops) {
    push_refresh_with(out, market, outcome, tops, "");
}

/// A full book with additional keys.
pub(super) fn push_refresh_with(
    out: &mut Vec<u8>,
    market: &Market,
    outcome: Outcome,
    tops: &Tops,
    extra: &str,
) {
    push(out, &["{\"market\":\"", &market.condition, "\", \"asset_id\":\"", market.token(outcome)]);
    out.extend_from_slice(b"\", \"bids\":");
    push_levels(out, market.book.view(outcome, Side::Bid), GAP);
    out.extend_from_slice(b", \"asks\":");
    push_levels(out, market.book.view(outcome, Side::Ask), GAP);
    out.extend_from_slice(b", \"hash\":\"");
    out.extend_from_slice(&tops.hashes[outcome.index()]);
    push(out, &["\", ", extra]);
    push_tail(out, GAP, market.changed_ms, "book");
}

/// A changed level, as both outcomes report it.
pub(super) fn push_price_change(out: &mut Vec<u8>, market: &Market, change: &Change, tops: &Tops) {
    push(out, &["{\"market\":\"", &market.condition, "\", \"price_changes\":["]);
    let second = if change.first == Outcome::First { Outcome::Second } else { Outcome::First };
    for (at, outcome) in [change.first, second].into_iter().enumerate() {
        let (bid, ask) = tops.best[outcome.index()];
        push(out, &[if at > 0 { GAP } else { "" }, "{\"asset_id\":\"", market.token(outcome)]);
        out.extend_from_slice(b"\", ");
        push_quoted_price(out, "price", outcome.price(change.price));
        out.extend_from_slice(b", \"size\":\"");
        push_quantity(out, change.size);
        push(out, &["\", \"side\":\"", outcome.side(change.side).word(), "\", \"hash\":\""]);
        out.extend_from_slice(&tops.hashes[outcome.index()]);
        out.extend_from_slice(b"\", ");
        push_quoted_price(out, "best_bid", bid);
        out.extend_from_slice(b", ");
        push_quoted_price(out, "best_ask", ask);
        out.push(b'}');
    }
    out.extend_from_slice(b"], ");
    push_tail(out, GAP, market.changed_ms, "price_change");
}

/// A trade, sent some time after its change of the book.
pub(super) fn push_trade(out: &mut Vec<u8>, market: &Market, trade: &Trade, timestamp_ms: u64) {
    let mut object = Object::new(out);
    object.text("market", &market.condition).text("asset_id", market.token(trade.outcome));
    object.text("price", &trade.price.to_string()).text("size", &trade.size.to_string());
    object.text("fee_rate_bps", market.fee_rate_bps).text("side", trade.side.word());
    object.text("timestamp", &timestamp_ms.to_string()).text("event_type", "last_trade_price");
    object.text("transaction_hash", &trade.transaction);
    object.end();
}

/// A finer price grid of one outcome.
pub(super) fn push_tick_size(
    out: &mut Vec<u8>,
    market: &Market,
    outcome: Outcome,
    (old, new): (Price, Price),
) {
    push(out, &["{\"market\":\"", &market.condition, "\", \"asset_id\":\"", market.token(outcome)]);
    out.extend_from_slice(b"\", ");
    push_quoted_price(out, "old_tick_size", old);
    out.extend_from_slice(b", ");
    push_quoted_price(out, "new_tick_size", new);
    out.extend_from_slice(b", ");
    push_tail(out, GAP, market.changed_ms, "tick_size_change");
}

pub(super) fn push_best(out: &mut Vec<u8>, market: &Market, outcome: Outcome, tops: &Tops) {
    let (bid, ask) = tops.best[outcome.index()];
    push(out, &["{\"market\":\"", &market.condition, "\", \"asset_id\":\"", market.token(outcome)]);
    out.extend_from_slice(b"\", ");
    push_quoted_price(out, "best_bid", bid);
    out.extend_from_slice(b", ");
    push_quoted_price(out, "best_ask", ask);
    out.extend_from_slice(b", ");
    push_quoted_price(out, "spread", Price(ask.0.saturating_sub(bid.0)));
    out.extend_from_slice(b", ");
    push_tail(out, GAP, market.changed_ms, "best_bid_ask");
}

fn push_event_message(object: &mut Object<'_>, event: &Event) {
    let mut inner = Object::new(object.key("event_message"));
    inner.text("id", &event.number.to_string()).text("ticker", &event.slug);
    inner.text("slug", &event.slug).text("title", &event.title);
    inner.text("description", "Decided by the simulated venue.");
    inner.end();
}

pub(super) fn push_new_market(
    out: &mut Vec<u8>,
    market: &Market,
    event: &Event,
    timestamp_ms: u64,
) {
    let tokens = [market.tokens[0].as_str(), market.tokens[1].as_str()];
    let mut object = Object::new(out);
    object.text("id", &market.number.to_string()).text("question", &market.question);
    object.text("market", &market.condition).text("slug", &market.slug);
    object.text("description", "This market resolves to \"Yes\" when the simulator decides so.");
    object.texts("assets_ids", &tokens).texts("outcomes", &market.outcomes);
    push_event_message(&mut object, event);
    object.text("timestamp", &timestamp_ms.to_string()).text("event_type", "new_market");
    object.texts("tags", &[]).text("condition_id", &market.condition).plain("active", false);
    object.texts("clob_token_ids", &tokens).text("sports_market_type", "").text("line", "");
    object.text("game_start_time", "");
    object.text("order_price_min_tick_size", &market.tick.to_string());
    object.text("group_item_title", "").text("taker_base_fee", market.fee_rate_bps);
    object.plain("fees_enabled", market.fee_rate_bps != "0");
    let mut fees = Object::new(object.key("fee_schedule"));
    fees.text("exponent", "1").text("rate", "0.07").plain("taker_only", true);
    fees.text("rebate_rate", "0.2");
    fees.end();
    object.end();
}

pub(super) fn push_resolved(
    out: &mut Vec<u8>,
    market: &Market,
    event: &Event,
    winner: Outcome,
    timestamp_ms: u64,
) {
    let mut object = Object::new(out);
    object.text("id", &market.number.to_string()).text("question", &market.question);
    object.text("market", &market.condition).text("slug", &market.slug);
    object.texts("assets_ids", &[market.tokens[0].as_str(), market.tokens[1].as_str()]);
    object.texts("outcomes", &market.outcomes);
    object.text("winning_asset_id", market.token(winner));
    object.text("winning_outcome", market.outcomes[winner.index()]);
    push_event_message(&mut object, event);
    object.text("timestamp", &timestamp_ms.to_string()).text("event_type", "market_resolved");
    object.texts("tags", &[]);
    object.end();
}

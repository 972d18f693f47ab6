//! Messages of the market channel, in the venue's byte layout.
//!
//! Runs on:  serve core (pure). Owns: nothing; each function appends to a string.
//!
//! As at the venue, the first dump and announcements of markets are compact, and the other messages have a space after
//! each comma (polymarket/protocol.md, 3). Levels are worst first, best last. A price has no trailing zeros, but the
//! last trade price of a dump has at least three decimals. A value that is not known is an empty text, or its key is
//! left out where the venue's clients require a number.
use super::json::push_text;
use crate::base::id::{MarketId, TokenId};
use crate::base::price::Price;
use crate::base::time::MILLISECOND_NS;
use crate::gateway::{Replica, push_array};
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::image::BookHash;
use crate::market::book::{BookState, Level, Side};
use crate::market::info::{MarketInfo, Resolution};
use std::fmt::Write as _;

const COMPACT: &str = ",";
/// Separator of the other messages.
const SPACED: &str = ", ";

/// The answer to a subscription: one list of books, with tick size and last trade price. Replicas that are not live are
/// left out: their `book` follows when they are.
pub fn initial_dump<'a>(out: &mut String, replicas: impl Iterator<Item = &'a Replica>) {
    out.push('[');
    let mut separator = "";
    for replica in replicas.filter(|replica| replica.state == BookState::Live) {
        out.push_str(separator);
        dumped_book(out, replica);
        separator = COMPACT;
    }
    out.push(']');
}

fn dumped_book(out: &mut String, replica: &Replica) {
    let facts = &replica.facts;
    ids(out, &replica.market, &replica.token, COMPACT);
    integer(out, r#","timestamp":""#, facts.timestamp_ms);
    text(out, r#"","hash":""#, hash_text(facts.hash.as_ref()));
    out.push_str(r#"","bids":"#);
    levels(out, replica.book.bids.levels(), COMPACT);
    out.push_str(r#","asks":"#);
    levels(out, replica.book.asks.levels(), COMPACT);
    price_or_nothing(out, r#","tick_size":""#, facts.tick_size);
    out.push_str(r#"","event_type":"book","last_trade_price":""#);
    if let Some(price) = facts.last_trade {
        out.push_str(&price.three_decimals());
    }
    out.push_str("\"}");
}

/// The whole book, as after a trade.
pub fn book(out: &mut String, replica: &Replica) {
    let (bids, asks) = (replica.book.bids.levels(), replica.book.asks.levels());
    refreshed_book(out, replica, bids, asks, hash_text(replica.facts.hash.as_ref()));
}

/// A book without levels, for a client whose protocol has no state of a book. Its timestamp is that of the last
/// message of the venue, so that the next `book` is not older.
pub fn empty_book(out: &mut String, replica: &Replica) {
    refreshed_book(out, replica, std::iter::empty(), std::iter::empty(), "");
}

fn refreshed_book(
    out: &mut String,
    replica: &Replica,
    bids: impl Iterator<Item = Level>,
    asks: impl Iterator<Item = Level>,
    hash: &str,
) {
    ids(out, &replica.market, &replica.token, SPACED);
    out.push_str(r#", "bids":"#);
    levels(out, bids, SPACED);
    out.push_str(r#", "asks":"#);
    levels(out, asks, SPACED);
    text(out, r#", "hash":""#, hash);
    tail(out, "\", ", replica.facts.timestamp_ms, "book");
}

/// Changed levels of one market; the changes of one message of the venue belong into one call. The best prices that the
/// venue did not send are left out.
pub fn price_change<'a>(
    out: &mut String,
    market: &MarketId,
    timestamp_ms: u64,
    changes: impl Iterator<Item = (&'a TokenId, &'a LevelChange)>,
) {
    text(out, r#"{"market":""#, market.as_str());
    out.push_str(r#"", "price_changes":["#);
    let mut separator = "";
    for (token, change) in changes {
        out.push_str(separator);
        text(out, r#"{"asset_id":""#, token.as_str());
        out.push_str(r#"", "price":""#);
        change.level.price.push_to(out);
        out.push_str(r#"", "size":""#);
        change.level.quantity.push_to(out);
        text(out, r#"", "side":""#, side_name(change.side));
        text(out, r#"", "hash":""#, hash_text(change.hash.as_ref()));
        out.push('"');
        price_if_known(out, r#", "best_bid":""#, change.best_bid);
        price_if_known(out, r#", "best_ask":""#, change.best_ask);
        out.push('}');
        separator = SPACED;
    }
    tail(out, "], ", timestamp_ms, "price_change");
}

/// A trade. Without a transaction hash the key is left out.
pub fn last_trade_price(out: &mut String, replica: &Replica, trade: &TradeUpdate) {
    ids(out, &replica.market, &replica.token, SPACED);
    out.push_str(r#", "price":""#);
    trade.price.push_to(out);
    out.push_str(r#"", "size":""#);
    trade.quantity.push_to(out);
    out.push_str(r#"", "fee_rate_bps":""#);
    if let Some(fee) = trade.fee_rate_bps {
        fee.push_to(out);
    }
    text(out, r#"", "side":""#, side_name(trade.side));
    integer(out, r#"", "timestamp":""#, trade.timestamp_ms);
    out.push_str(r#"", "event_type":"last_trade_price""#);
    if let Some(id) = trade.id {
        text(out, r#", "transaction_hash":""#, id.as_str());
        out.push('"');
    }
    out.push('}');
}

/// The price step changed. Without the step before the key is left out.
pub fn tick_size_change(
    out: &mut String,
    replica: &Replica,
    timestamp_ms: u64,
    old: Option<Price>,
    new: Price,
) {
    ids(out, &replica.market, &replica.token, SPACED);
    price_if_known(out, r#", "old_tick_size":""#, old);
    price_if_known(out, r#", "new_tick_size":""#, Some(new));
    tail(out, ", ", timestamp_ms, "tick_size_change");
}

/// The best prices of the replica: 0 and 1 for empty sides. The spread of a crossed book is negative.
pub fn best_bid_ask(out: &mut String, replica: &Replica, timestamp_ms: u64) {
    let bid = replica.book.best_bid().map_or(Price::ZERO, |level| level.price);
    let ask = replica.book.best_ask().map_or(Price::ONE, |level| level.price);
    ids(out, &replica.market, &replica.token, SPACED);
    price_if_known(out, r#", "best_bid":""#, Some(bid));
    price_if_known(out, r#", "best_ask":""#, Some(ask));
    out.push_str(if bid > ask { r#", "spread":"-"# } else { r#", "spread":""# });
    Price(ask.0.abs_diff(bid.0)).push_to(out);
    tail(out, "\", ", timestamp_ms, "best_bid_ask");
}

/// Whether the book can be trusted: ringbook's own event, for clients with `state=1`. The time is this host's: since
/// when the book is stale, or when the last frame about it was read.
pub fn state(out: &mut String, replica: &Replica) {
    let wall_ns = match replica.state {
        BookState::Stale { since_wall_ns, .. } => since_wall_ns,
        BookState::AwaitingSnapshot | BookState::Live => replica.read_wall_ns,
    };
    ids(out, &replica.market, &replica.token, SPACED);
    text(out, r#", "state":""#, replica.state.name());
    tail(out, "\", ", wall_ns / MILLISECOND_NS, "state");
}

/// A market was created. Of the venue's message it has what the registry knows; `id` is empty.
pub fn new_market(out: &mut String, info: &MarketInfo, timestamp_ms: u64) {
    announcement(out, info);
    tail(out, ",", timestamp_ms, "new_market");
    out.pop();
    text(out, r#","tags":[],"condition_id":""#, info.market.as_str());
    out.push_str(r#"","clob_token_ids":"#);
    tokens(out, info);
    out.push_str(r#","sports_market_type":"","line":"","game_start_time":"""#);
    if let Some(step) = info.tick_size {
        price_if_known(out, r#","order_price_min_tick_size":""#, Some(step));
    }
    out.push_str(r#","group_item_title":""}"#);
}

/// A market is decided. The winner's keys are left out where no outcome won. The name of the outcome that won is that
/// of the venue's message where the market was not announced; unknown, it is empty: the official Rust client refuses
/// the message without it.
pub fn market_resolved(
    out: &mut String,
    info: &MarketInfo,
    resolution: &Resolution,
    timestamp_ms: u64,
) {
    announcement(out, info);
    if let Some(winner) = resolution.winner {
        text(out, r#","winning_asset_id":""#, winner.as_str());
        out.push_str(r#"","winning_outcome":"#);
        let outcome = info.tokens.iter().find(|outcome| outcome.token == winner);
        let name = outcome.map(|outcome| outcome.name.as_str()).filter(|name| !name.is_empty());
        push_text(out, name.or(resolution.result.as_deref()).unwrap_or_default());
    }
    tail(out, ",", timestamp_ms, "market_resolved");
    out.pop();
    out.push_str(r#","tags":[]}"#);
}

/// The keys that both announcements begin with, up to `outcomes`. `question`, `slug` and `outcomes`, which all clients
/// take as optional, are left out of a market that was not announced, as in a recording.
fn announcement(out: &mut String, info: &MarketInfo) {
    out.push_str(r#"{"id":"""#);
    if !info.question.is_empty() {
        out.push_str(r#","question":"#);
        push_text(out, &info.question);
    }
    text(out, r#","market":""#, info.market.as_str());
    out.push('"');
    if !info.slug.is_empty() {
        out.push_str(r#","slug":"#);
        push_text(out, &info.slug);
    }
    out.push_str(r#","assets_ids":"#);
    tokens(out, info);
    if info.tokens.iter().all(|outcome| outcome.name.is_empty()) {
        return;
    }
    out.push_str(r#","outcomes":"#);
    push_array(out, &info.tokens, |out, outcome| push_text(out, &outcome.name));
}

fn tokens(out: &mut String, info: &MarketInfo) {
    push_array(out, &info.tokens, |out, outcome| {
        text(out, "\"", outcome.token.as_str());
        out.push('"');
    });
}

fn ids(out: &mut String, market: &MarketId, token: &TokenId, separator: &str) {
    text(out, r#"{"market":""#, market.as_str());
    out.push('"');
    out.push_str(separator);
    text(out, r#""asset_id":""#, token.as_str());
    out.push('"');
}

/// What precedes, then `"timestamp":"…"` and `"event_type":"…"}`; compact if what precedes ends in a comma.
fn tail(out: &mut String, before: &str, timestamp_ms: u64, event_type: &str) {
    out.push_str(before);
    integer(out, r#""timestamp":""#, timestamp_ms);
    let separator = if before.ends_with(' ') { SPACED } else { COMPACT };
    out.push('"');
    out.push_str(separator);
    text(out, r#""event_type":""#, event_type);
    out.push_str("\"}");
}

fn levels(out: &mut String, levels: impl Iterator<Item = Level>, separator: &str) {
    out.push('[');
    for (place, level) in levels.enumerate() {
        out.push_str(if place == 0 { "" } else { separator });
        out.push_str(r#"{"price":""#);
        level.price.push_to(out);
        out.push('"');
        out.push_str(separator);
        out.push_str(r#""size":""#);
        level.quantity.push_to(out);
        out.push_str("\"}");
    }
    out.push(']');
}

/// What precedes, then the value; it needs no escapes.
fn text(out: &mut String, before: &str, value: &str) {
    out.push_str(before);
    out.push_str(value);
}

fn integer(out: &mut String, before: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{before}{value}");
}

/// What precedes, then the price without a closing quote, or nothing.
fn price_or_nothing(out: &mut String, before: &str, price: Option<Price>) {
    out.push_str(before);
    if let Some(price) = price {
        price.push_to(out);
    }
}

/// What precedes, the price and a closing quote; nothing at all for `None`.
fn price_if_known(out: &mut String, before: &str, price: Option<Price>) {
    if let Some(price) = price {
        out.push_str(before);
        price.push_to(out);
        out.push('"');
    }
}

fn hash_text(hash: Option<&BookHash>) -> &str {
    hash.and_then(|hash| std::str::from_utf8(hash).ok()).unwrap_or("")
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Bid => "BUY",
        Side::Ask => "SELL",
    }
}

#[cfg(test)]
mod tests;

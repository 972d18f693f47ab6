//! Encoders: numbers in the venue's form, `msg` of each message, and whole answers to commands.
//!
//! Runs on:  serve core (pure).
//!
//! Prices have 4 decimals and quantities 2; more only where the value needs them. Nothing is rounded.
use super::command::Refusal;
use crate::base::id::TokenId;
use crate::base::price::{Price, Quantity};
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::gateway::{Replica, Traded};
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::{Level, Side};
use crate::market::info::{MarketEvent, MarketStage};
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// Name space of [`push_market_id`].
const NAME_SPACE: &[u8; 16] = b"ringbook-kalshi-";

/// Appends units of 1e-6 with at least `decimals` decimals.
fn push_fixed(out: &mut String, units: u64, decimals: usize) {
    let begin = out.len();
    Quantity(units).push_to(out);
    let point = out[begin..].find('.').unwrap_or_else(|| {
        out.push('.');
        out.len() - begin - 1
    });
    let shown = out.len() - begin - point - 1;
    out.extend(std::iter::repeat_n('0', decimals.saturating_sub(shown)));
}

/// Appends a price in dollars, as in `0.4300`.
pub fn push_dollars(out: &mut String, price: Price) {
    push_fixed(out, u64::from(price.0), 4);
}

/// Appends a quantity, as in `300.00`.
pub fn push_count(out: &mut String, quantity: Quantity) {
    push_fixed(out, quantity.0, 2);
}

/// Appends the change from one quantity to another, as in `-100.00`.
fn push_delta(out: &mut String, before: Quantity, after: Quantity) {
    if after < before {
        out.push('-');
    }
    push_count(out, Quantity(after.0.abs_diff(before.0)));
}

/// Appends RFC 3339 with milliseconds.
pub fn push_time(out: &mut String, ms: u64) {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(out, "{at:.3}");
}

/// Appends a name-based UUID (RFC 9562, version 5) of a ticker: unique for each market, the same in each process.
pub fn push_market_id(out: &mut String, ticker: &str) {
    let digest = Sha1::new().chain_update(NAME_SPACE).chain_update(ticker).finalize();
    for (place, &byte) in digest.iter().take(16).enumerate() {
        let byte = match place {
            6 => byte & 0x0f | 0x50,
            8 => byte & 0x3f | 0x80,
            _ => byte,
        };
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}

pub(super) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{0}'..='\u{1f}' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends levels as `[["0.0800","300.00"],…]`.
pub fn push_levels(out: &mut String, levels: impl Iterator<Item = Level>) {
    out.push('[');
    for (place, level) in levels.enumerate() {
        out.push_str(if place == 0 { "[\"" } else { ",[\"" });
        push_dollars(out, level.price);
        out.push_str("\",\"");
        push_count(out, level.quantity);
        out.push_str("\"]");
    }
    out.push(']');
}

fn push_ids(out: &mut String, ticker: &TokenId) {
    // A ticker has no character that JSON escapes.
    let _ = write!(out, r#"{{"market_ticker":"{ticker}","market_id":""#);
    push_market_id(out, ticker.as_str());
    out.push('"');
}

/// `msg` of `orderbook_snapshot`: levels ascending by the price that stands there. With `yes_price` NO levels have
/// YES prices.
pub(super) fn snapshot(out: &mut String, replica: &Replica, yes_price: bool) {
    push_ids(out, &replica.token);
    out.push_str(r#","yes_dollars_fp":"#);
    push_levels(out, replica.book.bids.levels());
    out.push_str(r#","no_dollars_fp":"#);
    let asks = replica.book.asks.levels();
    if yes_price {
        push_levels(out, asks.rev());
    } else {
        push_levels(out, asks.map(|level| Level { price: level.price.complement(), ..level }));
    }
    out.push('}');
}

/// `msg` of `orderbook_snapshot` with two empty sides.
pub(super) fn empty_snapshot(out: &mut String, ticker: &TokenId) {
    push_ids(out, ticker);
    out.push_str(r#","yes_dollars_fp":[],"no_dollars_fp":[]}"#);
}

/// `msg` of `orderbook_delta`, relative to `before`. A change without time has none.
pub(super) fn delta(
    out: &mut String,
    ticker: &TokenId,
    before: Quantity,
    change: &LevelChange,
    yes_price: bool,
) {
    push_ids(out, ticker);
    let (side, price) = match change.side {
        Side::Bid => ("yes", change.level.price),
        Side::Ask if yes_price => ("no", change.level.price),
        Side::Ask => ("no", change.level.price.complement()),
    };
    out.push_str(r#","price_dollars":""#);
    push_dollars(out, price);
    out.push_str(r#"","delta_fp":""#);
    push_delta(out, before, change.level.quantity);
    let _ = write!(out, r#"","side":"{side}""#);
    if change.timestamp_ms > 0 {
        out.push_str(r#","ts":""#);
        push_time(out, change.timestamp_ms);
        let _ = write!(out, r#"","ts_ms":{}"#, change.timestamp_ms);
    }
    out.push('}');
}

pub(super) fn trade(out: &mut String, ticker: &TokenId, trade: &TradeUpdate) {
    let id = trade.id.as_ref().map_or("", |id| id.as_str());
    let _ = write!(out, r#"{{"trade_id":"{id}","market_ticker":"{ticker}","yes_price_dollars":""#);
    push_dollars(out, trade.price);
    out.push_str(r#"","no_price_dollars":""#);
    push_dollars(out, trade.price.complement());
    out.push_str(r#"","count_fp":""#);
    push_count(out, trade.quantity);
    let (side, book_side) = match trade.side {
        Side::Bid => ("yes", "bid"),
        Side::Ask => ("no", "ask"),
    };
    let ms = trade.timestamp_ms;
    let _ = write!(
        out,
        r#"","taker_side":"{side}","taker_outcome_side":"{side}","taker_book_side":"{book_side}","is_block_trade":false,"ts":{},"ts_ms":{ms}}}"#,
        ms / 1000,
    );
}

/// What a ticker shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Top {
    /// An empty side is 0.
    pub(super) bid: Level,
    /// An empty side is 1 with quantity 0.
    pub(super) ask: Level,
    pub(super) last: Price,
    pub(super) last_quantity: Quantity,
    pub(super) volume: Quantity,
    pub(super) open_interest: Quantity,
}

impl Top {
    /// Of a book; of one that cannot be trusted both sides are empty.
    pub(super) fn new(replica: &Replica, is_trusted: bool) -> Self {
        let none = Level { price: Price::ONE, quantity: Quantity::ZERO };
        let book = is_trusted.then_some(&replica.book);
        let Traded { volume, open_interest, last_quantity, .. } = replica.traded;
        Self {
            bid: book.and_then(|book| book.best_bid()).unwrap_or_default(),
            ask: book.and_then(|book| book.best_ask()).unwrap_or(none),
            last: replica.facts.last_trade.unwrap_or_default(),
            last_quantity,
            volume,
            open_interest,
        }
    }
}

/// Whole dollars of so many contracts, of which a pair is worth one (kalshi/protocol.md, 3.2).
const fn dollars(contracts: Quantity) -> u64 {
    contracts.0 / 2_000_000
}

/// `msg` of `ticker`. The time is that of the book's last change or of the venue's ticker, else when its frame was
/// read.
pub(super) fn ticker(out: &mut String, replica: &Replica, top: &Top) {
    let ms = match replica.facts.timestamp_ms.max(replica.traded.timestamp_ms) {
        0 => replica.read_wall_ns / MILLISECOND_NS,
        ms => ms,
    };
    push_ids(out, &replica.token);
    for (key, price) in [
        ("price_dollars", top.last),
        ("yes_bid_dollars", top.bid.price),
        ("yes_ask_dollars", top.ask.price),
    ] {
        let _ = write!(out, r#","{key}":""#);
        push_dollars(out, price);
        out.push('"');
    }
    let count = |out: &mut String, key: &str, quantity: Quantity| {
        let _ = write!(out, r#","{key}":""#);
        push_count(out, quantity);
        out.push('"');
    };
    count(out, "volume_fp", top.volume);
    count(out, "open_interest_fp", top.open_interest);
    let _ = write!(
        out,
        r#","dollar_volume":{},"dollar_open_interest":{}"#,
        dollars(top.volume),
        dollars(top.open_interest)
    );
    count(out, "yes_bid_size_fp", top.bid.quantity);
    count(out, "yes_ask_size_fp", top.ask.quantity);
    count(out, "last_trade_size_fp", top.last_quantity);
    let _ = write!(out, r#","ts":{},"ts_ms":{ms},"time":""#, ms / 1000);
    push_time(out, ms);
    out.push_str("\"}");
}

/// `msg` of a lifecycle message at `wall_ns`; nothing for a stage that the venue does not announce (a market ends at
/// its close time without a message).
pub(super) fn lifecycle(out: &mut String, event: &MarketEvent, wall_ns: u64) {
    let info = &event.info;
    let head = |out: &mut String, what: &str| {
        let _ = write!(out, r#"{{"market_ticker":"{}","event_type":"{what}""#, info.market);
    };
    match event.stage {
        MarketStage::New => {
            head(out, "created");
            for (key, ns) in [("open_ts", info.start_wall_ns), ("close_ts", info.end_wall_ns)] {
                if let Some(ns) = ns {
                    let _ = write!(out, r#","{key}":{}"#, ns / SECOND_NS);
                }
            }
            out.push_str(r#","additional_metadata":{"name":"#);
            push_text(out, &info.question);
            out.push_str(r#","title":"#);
            push_text(out, &info.question);
            out.push_str("}}");
        }
        MarketStage::Opened => {
            head(out, "activated");
            out.push('}');
        }
        MarketStage::Ended => {}
        MarketStage::Resolved => {
            let Some(resolution) = event.resolution.as_ref() else { return };
            let Some(result) = &resolution.result else { return };
            head(out, "determined");
            let _ = write!(out, r#","determination_ts":{},"result":"#, wall_ns / SECOND_NS);
            push_text(out, result);
            if let Some(value) = resolution.settlement_value {
                out.push_str(r#","settlement_value":""#);
                push_dollars(out, value);
                out.push('"');
            }
            out.push('}');
        }
    }
}

/// Beginning of a message up to its `id`.
pub(super) fn begin(out: &mut String, kind: &str, id: Option<u64>) {
    let _ = write!(out, r#"{{"type":"{kind}""#);
    if let Some(id) = id {
        let _ = write!(out, r#","id":{id}"#);
    }
}

pub(super) fn error(id: Option<u64>, refusal: Refusal) -> String {
    let (code, text) = refusal.code();
    let mut out = String::new();
    begin(&mut out, "error", id);
    let _ = write!(out, r#","msg":{{"code":{code},"msg":"{text}"}}}}"#);
    out
}

#[cfg(test)]
mod tests;

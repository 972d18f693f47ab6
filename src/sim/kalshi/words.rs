//! What the simulated Kalshi says: bodies of messages, REST answers, steering.
//!
//! Runs on:  the venue's thread (pure).
use super::super::json::push_string;
use super::market::{Bids, Change, DOLLAR, Deal, Market, Phase};
use std::fmt::Write as _;

/// A price of 1/10,000 dollar: four decimals, always.
pub(super) fn dollars(price: u32) -> String {
    format!("{}.{:04}", price / DOLLAR, price % DOLLAR)
}

/// A quantity of 1/100 contract: two decimals, always.
pub(super) fn count(size: u64) -> String {
    format!("{}.{:02}", size / 100, size % 100)
}

fn signed(delta: i64) -> String {
    let sign = if delta < 0 { "-" } else { "" };
    format!("{sign}{}", count(delta.unsigned_abs()))
}

/// RFC 3339 with what is left of a second cut to three digits.
pub(super) fn time(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or_default();
    format!("{at:.3}")
}

/// Something like a UUID, another for each number.
pub(super) fn uuid(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{number:012x}",
        mixed >> 32,
        mixed & 0xffff,
        mixed >> 20 & 0xfff,
        mixed >> 8 & 0xfff
    )
}

fn push_levels(out: &mut String, bids: &Bids) {
    out.push('[');
    for (place, (&price, &size)) in bids.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(out, "{comma}[\"{}\",\"{}\"]", dollars(price), count(size));
    }
    out.push(']');
}

/// `msg` of a snapshot; a side without bids is left out.
pub(super) fn snapshot(market: &Market) -> String {
    let mut out = format!(r#"{{"market_ticker":"{}","market_id":"{}""#, market.ticker, uuid(7));
    for (name, side) in [("yes_dollars_fp", &market.yes), ("no_dollars_fp", &market.no)] {
        if !side.is_empty() {
            let _ = write!(out, r#","{name}":"#);
            push_levels(&mut out, side);
        }
    }
    out.push('}');
    out
}

/// `msg` of a change.
pub(super) fn delta(market: &Market, change: Change, now_ms: u64) -> String {
    format!(
        r#"{{"market_ticker":"{}","market_id":"{}","price_dollars":"{}","delta_fp":"{}","side":"{}","ts":"{}","ts_ms":{now_ms}}}"#,
        market.ticker,
        uuid(7),
        dollars(change.price),
        signed(change.delta),
        if change.yes { "yes" } else { "no" },
        time(now_ms),
    )
}

/// `msg` of a trade.
pub(super) fn trade(market: &Market, deal: Deal, id: &str, now_ms: u64) -> String {
    let side = if deal.taker_yes { "yes" } else { "no" };
    let book = if deal.taker_yes { "bid" } else { "ask" };
    format!(
        r#"{{"trade_id":"{id}","market_ticker":"{}","yes_price_dollars":"{}","no_price_dollars":"{}","count_fp":"{}","taker_side":"{side}","taker_outcome_side":"{side}","taker_book_side":"{book}","is_block_trade":false,"ts":{},"ts_ms":{now_ms}}}"#,
        market.ticker,
        dollars(deal.yes_price),
        dollars(DOLLAR - deal.yes_price),
        count(deal.count),
        now_ms / 1000,
    )
}

/// `msg` of a ticker; an empty side reads as 0 and 1.
pub(super) fn ticker(market: &Market, now_ms: u64) -> String {
    let [yes, no] = market.best();
    let (bid, bid_size) = yes.unwrap_or((0, 0));
    let (ask, ask_size) = no.map_or((DOLLAR, 0), |(price, size)| (DOLLAR - price, size));
    format!(
        r#"{{"market_id":"{}","market_ticker":"{}","price_dollars":"{}","yes_bid_dollars":"{}","yes_ask_dollars":"{}","volume_fp":"1.00","open_interest_fp":"1.00","dollar_volume":1,"dollar_open_interest":1,"yes_bid_size_fp":"{}","yes_ask_size_fp":"{}","last_trade_size_fp":"1.00","ts":{},"ts_ms":{now_ms},"time":"{}"}}"#,
        uuid(7),
        market.ticker,
        dollars(market.last_price),
        dollars(bid),
        dollars(ask),
        count(bid_size),
        count(ask_size),
        now_ms / 1000,
        time(now_ms),
    )
}

/// `msg` of a lifecycle message; `more` begins with a comma or is empty.
pub(super) fn life(market: &Market, event: &str, more: &str) -> String {
    format!(r#"{{"market_ticker":"{}","event_type":"{event}"{more}}}"#, market.ticker)
}

/// What `created` says besides.
pub(super) fn created(market: &Market) -> String {
    format!(
        r#","exchange_index":0,"open_ts":{},"close_ts":{},"price_level_structure":"linear_cent","additional_metadata":{{"name":"a \"simulated\" market","title":"Will it happen?","yes_sub_title":"{}","event_ticker":"{}","can_close_early":true,"strike_type":"greater","floor_strike":1}}"#,
        market.open_ms / 1000,
        market.close_ms / 1000,
        market.ticker,
        event(market.event),
    )
}

/// An event's name.
pub(super) fn event(number: u32) -> String {
    format!("KXSIM-26NOV27E{number}")
}

/// A market as REST shows it.
pub(super) fn rest_market(market: &Market) -> String {
    let result = match market.phase {
        Phase::Finalized if market.result_yes => "yes",
        Phase::Finalized => "no",
        _ => "",
    };
    format!(
        r#"{{"ticker":"{}","event_ticker":"{}","market_type":"binary","title":"Will it happen?","yes_sub_title":"{}","status":"{}","open_time":"{}","close_time":"{}","result":"{result}","can_close_early":true,"last_price_dollars":"{}","price_level_structure":"linear_cent","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"0.0100"}}],"volume_fp":"1.00"}}"#,
        market.ticker,
        event(market.event),
        market.ticker,
        market.phase.name(),
        time(market.open_ms),
        time(market.close_ms),
        dollars(market.last_price),
    )
}

/// Both sides in the words of REST, of the stream or of steering.
pub(super) fn sides(market: &Market, names: [&str; 2]) -> String {
    let mut out = String::new();
    for (place, (name, side)) in names.iter().zip([&market.yes, &market.no]).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{name}":"#);
        push_levels(&mut out, side);
    }
    out
}

/// A book for whoever steers.
pub(super) fn truth(market: &Market) -> String {
    format!(
        r#"{{"ticker":"{}","status":"{}",{},"ts_ms":{}}}"#,
        market.ticker,
        market.phase.name(),
        sides(market, ["yes", "no"]),
        market.changed_ms,
    )
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    push_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

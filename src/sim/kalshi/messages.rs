//! Encoders for messages, REST answers and control answers of the simulated Kalshi.
//!
//! Runs on:  the venue's thread (pure).
use super::super::json::push_string;
use super::command::Refusal;
use super::config::YesLevels;
use super::market::{Bids, Change, DOLLAR, Deal, Market};
use std::fmt::Write as _;

/// A price in units of 1/10,000 dollar with four decimals.
pub(super) fn dollars(price: u32) -> String {
    format!("{}.{:04}", price / DOLLAR, price % DOLLAR)
}

/// A quantity in units of 1/100 contract with two decimals.
pub(super) fn count(size: u64) -> String {
    format!("{}.{:02}", size / 100, size % 100)
}

fn signed(delta: i64) -> String {
    let sign = if delta < 0 { "-" } else { "" };
    format!("{sign}{}", count(delta.unsigned_abs()))
}

/// RFC 3339 with milliseconds.
pub(super) fn time(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or_default();
    format!("{at:.3}")
}

/// A unique text in the shape of a UUID.
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

fn push_levels<'l>(out: &mut String, levels: impl Iterator<Item = (u32, &'l u64)>) {
    out.push('[');
    for (place, (price, &size)) in levels.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(out, "{comma}[\"{}\",\"{}\"]", dollars(price), count(size));
    }
    out.push(']');
}

fn levels(side: &Bids) -> impl DoubleEndedIterator<Item = (u32, &u64)> {
    side.iter().map(|(&price, size)| (price, size))
}

/// `msg` of a snapshot; an empty side is omitted. With `yes_price`, bids for NO are given as YES prices.
pub(super) fn snapshot(market: &Market, yes_price: Option<YesLevels>) -> String {
    let Market { ticker, id, yes, no, .. } = market;
    let mut out = format!(r#"{{"market_ticker":"{ticker}","market_id":"{id}""#);
    if !yes.is_empty() {
        out.push_str(r#","yes_dollars_fp":"#);
        push_levels(&mut out, levels(yes));
    }
    if !no.is_empty() {
        out.push_str(r#","no_dollars_fp":"#);
        let asks = levels(no).map(|(price, size)| (DOLLAR - price, size));
        match yes_price {
            None => push_levels(&mut out, levels(no)),
            Some(YesLevels::Ascending) => push_levels(&mut out, asks.rev()),
            Some(YesLevels::Descending) => push_levels(&mut out, asks),
        }
    }
    out.push('}');
    out
}

/// `msg` of a change; a change of NO is given as YES price if `yes_price`.
pub(super) fn delta(market: &Market, change: Change, now_ms: u64, yes_price: bool) -> String {
    let Change { yes, price, delta } = change;
    let price = if yes_price && !yes { DOLLAR - price } else { price };
    format!(
        r#"{{"market_ticker":"{}","market_id":"{}","price_dollars":"{}","delta_fp":"{}","side":"{}","ts":"{}","ts_ms":{now_ms}}}"#,
        market.ticker,
        market.id,
        dollars(price),
        signed(delta),
        if yes { "yes" } else { "no" },
        time(now_ms),
    )
}

/// An error; `sid` if it ends a subscription.
pub(super) fn error(id: Option<u64>, sid: Option<u64>, refusal: &Refusal) -> String {
    let Refusal { code, text, ticker } = refusal;
    let mut out = String::from("{");
    if let Some(id) = id {
        let _ = write!(out, r#""id":{id},"#);
    }
    out.push_str(r#""type":"error","#);
    if let Some(sid) = sid {
        let _ = write!(out, r#""sid":{sid},"#);
    }
    let _ = write!(out, r#""msg":{{"code":{code},"msg":"{text}""#);
    if let Some(ticker) = ticker {
        let _ = write!(out, r#","market_ticker":{}"#, quoted(ticker));
    }
    out.push_str("}}");
    out
}

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

/// Best bid and ask of YES and NO with sizes; an empty side is 0 or 1.
struct Quotes {
    yes: (u32, u64),
    no: (u32, u64),
}

impl Quotes {
    fn of(market: &Market) -> Self {
        let [yes, no] = market.best().map(Option::unwrap_or_default);
        Self { yes, no }
    }

    const fn yes_ask(&self) -> u32 {
        DOLLAR - self.no.0
    }

    const fn no_ask(&self) -> u32 {
        DOLLAR - self.yes.0
    }
}

pub(super) fn ticker(market: &Market, now_ms: u64) -> String {
    let quotes = Quotes::of(market);
    // Positions are never closed.
    let open = market.volume * u64::from(market.last_price) / 1_000_000;
    format!(
        r#"{{"market_id":"{}","market_ticker":"{}","price_dollars":"{}","yes_bid_dollars":"{}","yes_ask_dollars":"{}","volume_fp":"{}","open_interest_fp":"{}","dollar_volume":{},"dollar_open_interest":{open},"yes_bid_size_fp":"{}","yes_ask_size_fp":"{}","last_trade_size_fp":"{}","ts":{},"ts_ms":{now_ms},"time":"{}"}}"#,
        market.id,
        market.ticker,
        dollars(market.last_price),
        dollars(quotes.yes.0),
        dollars(quotes.yes_ask()),
        count(market.volume),
        count(market.volume),
        market.paid / 1_000_000,
        count(quotes.yes.1),
        count(quotes.no.1),
        count(market.last_count),
        now_ms / 1000,
        time(now_ms),
    )
}

/// `msg` of a lifecycle message; `more` begins with a comma or is empty.
pub(super) fn life(market: &Market, event: &str, more: &str) -> String {
    format!(r#"{{"market_ticker":"{}","event_type":"{event}"{more}}}"#, market.ticker)
}

fn grid(market: &Market) -> String {
    let name = if market.tick == 10 { "deci_cent" } else { "linear_cent" };
    let step = dollars(market.tick);
    format!(
        r#""price_level_structure":"{name}","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"{step}"}}]"#
    )
}

/// Additional keys of `created`.
pub(super) fn created(market: &Market) -> String {
    format!(
        r#","exchange_index":0,"open_ts":{},"close_ts":{},{},"additional_metadata":{{"name":"a \"simulated\" market","title":"Will it happen?","yes_sub_title":"{}","no_sub_title":"{}","rules_primary":"If it happens, then the market resolves to Yes.","rules_secondary":"","event_ticker":"{}","expected_expiration_ts":{},"can_close_early":true,"strike_type":"greater","floor_strike":1}}"#,
        market.open_ms / 1000,
        market.close_ms / 1000,
        grid(market),
        market.ticker,
        market.ticker,
        event(market.event),
        market.close_ms / 1000,
    )
}

pub(super) fn event(number: u32) -> String {
    format!("KXSIM-26NOV27E{number}")
}

pub(super) fn rest_market(market: &Market) -> String {
    let (quotes, volume) = (Quotes::of(market), count(market.volume));
    let (ticker, event) = (&market.ticker, event(market.event));
    let [created, updated, open, close] =
        [market.created_ms, market.updated_ms, market.open_ms, market.close_ms].map(time);
    let mut out = format!(
        r#"{{"ticker":"{ticker}","event_ticker":"{event}","market_type":"binary","exchange_index":0,"title":"Will it happen?","yes_sub_title":"{ticker}","no_sub_title":"{ticker}","created_time":"{created}","updated_time":"{updated}","open_time":"{open}","close_time":"{close}","expected_expiration_time":"{close}","expiration_time":"{close}","latest_expiration_time":"{close}","status":"{}","result":"{}","can_close_early":true,"expiration_value":"","settlement_timer_seconds":300,"notional_value_dollars":"1.0000","strike_type":"greater","floor_strike":1,"rules_primary":"If it happens, then the market resolves to Yes.","rules_secondary":"","#,
        market.phase.name(),
        market.result(),
    );
    if let Some(settled_ms) = market.settled_ms {
        let _ = write!(
            out,
            r#""settlement_ts":"{}","settlement_value_dollars":"{}","#,
            time(settled_ms),
            dollars(market.settlement())
        );
    }
    let _ = write!(
        out,
        r#""yes_bid_dollars":"{}","yes_ask_dollars":"{}","no_bid_dollars":"{}","no_ask_dollars":"{}","yes_bid_size_fp":"{}","yes_ask_size_fp":"{}","last_price_dollars":"{}","volume_fp":"{volume}","volume_24h_fp":"{volume}","open_interest_fp":"{volume}","liquidity_dollars":"0.0000",{}}}"#,
        dollars(quotes.yes.0),
        dollars(quotes.yes_ask()),
        dollars(quotes.no.0),
        dollars(quotes.no_ask()),
        count(quotes.yes.1),
        count(quotes.no.1),
        dollars(market.last_price),
        grid(market),
    );
    out
}

/// Both sides with the given key names; at most `depth` best levels each.
pub(super) fn sides(market: &Market, names: [&str; 2], depth: usize) -> String {
    let mut out = String::new();
    for (place, (name, side)) in names.iter().zip([&market.yes, &market.no]).enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{name}":"#);
        push_levels(&mut out, levels(side).skip(side.len().saturating_sub(depth)));
    }
    out
}

/// A book for a control request.
pub(super) fn truth(market: &Market) -> String {
    format!(
        r#"{{"ticker":"{}","status":"{}",{},"ts_ms":{}}}"#,
        market.ticker,
        market.phase.name(),
        sides(market, ["yes", "no"], usize::MAX),
        market.changed_ms,
    )
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    push_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

//! Fast reader for the usual layouts of the venue's messages about markets.
//!
//! Runs on:  shards, replay (pure). Owns: nothing; writes levels into the decoder's scratch memory.
//! Bounds:   one pass; no allocation once the scratch memory has grown.
//!
//! The venue's order of keys is the same in each message of a type (recorded 2026-03 to 2026-08); tickers have had two.
//! A scan succeeds only if the whole frame has such a layout byte for byte and the full parser would find nothing to
//! report; otherwise it returns `None` and the full parser decides. The scan changes the speed, never the result;
//! `decode/layouts` compares the two.
use super::message::Scratch;
use crate::base::id::TOKEN_BYTES_MAX;
use crate::base::limits::LEVELS_PER_SIDE_MAX;
use crate::base::price::{Price, Quantity};
use crate::market::book::{Level, Side};
use crate::venue::cursor::{Cursor, find};

/// Bytes from `sid` to `msg`, at most.
const HEAD_BYTES_MAX: usize = 96;

/// A message of a usual layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned<'a> {
    pub(super) sid: u64,
    /// `seq`; a change has one.
    pub(super) seq: Option<u64>,
    /// `market_ticker`, not empty.
    pub(super) ticker: &'a str,
    /// `ts_ms`, or else `ts` or `sending_ts_ms`; milliseconds since the Unix epoch, 0 if the message has none.
    pub(super) timestamp_ms: u64,
    /// Content.
    pub(super) body: Body<'a>,
}

/// Content of a scanned message, in terms of YES.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// `orderbook_snapshot`: the levels are in the scratch memory, `no` with YES prices.
    Snapshot,
    /// `orderbook_delta`.
    Delta { side: Side, price: Price, units: i64 },
    /// `trade`.
    Trade { id: &'a str, price: Price, quantity: Quantity, side: Side },
    /// `ticker`, with the values as sent.
    Ticker {
        price: Option<Price>,
        yes_bid: Option<Price>,
        yes_ask: Option<Price>,
        volume: Option<Quantity>,
        open_interest: Option<Quantity>,
    },
}

/// What a message has after its content.
struct Contents<'a> {
    ticker: &'a str,
    timestamp_ms: Option<u64>,
    body: Body<'a>,
}

/// Reads the message of a frame, if it has a usual layout.
#[inline]
pub(super) fn scan<'a>(frame: &'a str, scratch: &mut Scratch) -> Option<Scanned<'a>> {
    let mut cursor = Cursor::new(frame, 0);
    cursor.eat(r#"{"type":""#)?;
    if cursor.next_is(r#"orderbook_delta","sid":"#) {
        return message(cursor, scratch, |cursor, _| delta(cursor)).filter(|m| m.seq.is_some());
    }
    if cursor.next_is(r#"ticker","sid":"#) {
        return message(cursor, scratch, |cursor, _| ticker(cursor));
    }
    if cursor.next_is(r#"trade","sid":"#) {
        return message(cursor, scratch, |cursor, _| trade(cursor));
    }
    cursor.eat(r#"orderbook_snapshot","sid":"#)?;
    message(cursor, scratch, snapshot)
}

/// The ticker of a change, if it is where usual messages have it; nothing is validated.
#[inline]
pub(in crate::venue) fn first_token(frame: &[u8]) -> Option<&[u8]> {
    const HEAD: &[u8] = br#"{"type":"orderbook_delta","sid":"#;
    const KEY: &[u8] = br#"{"market_ticker":""#;
    let rest = frame.strip_prefix(HEAD)?;
    let rest = rest.get(find(rest, b'{', HEAD_BYTES_MAX)?..)?.strip_prefix(KEY)?;
    rest.get(..find(rest, b'"', TOKEN_BYTES_MAX + 1)?)
}

/// From the value of `sid` to the end of the frame. `contents` reads `msg` from its first key to its brace.
#[inline(always)]
fn message<'a>(
    mut cursor: Cursor<'a>,
    scratch: &mut Scratch,
    contents: impl FnOnce(&mut Cursor<'a>, &mut Scratch) -> Option<Contents<'a>>,
) -> Option<Scanned<'a>> {
    let sid = cursor.number()?;
    let seq = optional_number(&mut cursor, r#","seq":"#)?;
    let mut sending_ts_ms = optional_number(&mut cursor, r#","sending_ts_ms":"#)?;
    cursor.eat(r#","msg":{"#)?;
    let Contents { ticker, timestamp_ms, body } = contents(&mut cursor, scratch)?;
    if sending_ts_ms.is_none() {
        sending_ts_ms = optional_number(&mut cursor, r#","sending_ts_ms":"#)?;
    }
    if !matches!(cursor.rest, b"}" | b"}\n") || ticker.is_empty() {
        return None;
    }
    let timestamp_ms = timestamp_ms.or(sending_ts_ms).unwrap_or(0);
    Some(Scanned { sid, seq, ticker, timestamp_ms, body })
}

#[inline(always)]
fn optional_number(cursor: &mut Cursor<'_>, key: &'static str) -> Option<Option<u64>> {
    if cursor.next_is(key) { cursor.number().map(Some) } else { Some(None) }
}

#[inline(always)]
fn delta<'a>(cursor: &mut Cursor<'a>) -> Option<Contents<'a>> {
    let ticker = ticker_then_id(cursor)?;
    cursor.eat(r#","price_dollars":""#)?;
    let price = cursor.price_of_four()?;
    cursor.eat(r#","delta_fp":""#)?;
    let is_negative = cursor.next_is("-");
    let units = i64::try_from(cursor.quantity_of_two()?.0).ok()?;
    let units = if is_negative { -units } else { units };
    cursor.eat(r#","side":""#)?;
    let (side, price) =
        if yes_or_no(cursor)? { (Side::Bid, price) } else { (Side::Ask, price.complement()) };
    let mut timestamp_ms = None;
    // Without `ts_ms` the value of `ts` would count.
    if cursor.next_is(r#","ts":""#) {
        cursor.text()?;
        cursor.eat(r#","ts_ms":"#)?;
        timestamp_ms = Some(cursor.timestamp_ms(b'}')?);
    } else {
        cursor.eat("}")?;
    }
    Some(Contents { ticker, timestamp_ms, body: Body::Delta { side, price, units } })
}

#[inline(always)]
fn snapshot<'a>(cursor: &mut Cursor<'a>, scratch: &mut Scratch) -> Option<Contents<'a>> {
    let ticker = ticker_then_id(cursor)?;
    scratch.yes.clear();
    scratch.no.clear();
    if cursor.next_is(r#","yes_dollars_fp":["#) {
        levels::<false>(cursor, &mut scratch.yes)?;
    }
    if cursor.next_is(r#","no_dollars_fp":["#) {
        levels::<true>(cursor, &mut scratch.no)?;
    }
    cursor.eat("}")?;
    Some(Contents { ticker, timestamp_ms: None, body: Body::Snapshot })
}

/// From the first level to the end of the list; prices of `NO` become those of YES.
#[inline(always)]
fn levels<const NO: bool>(cursor: &mut Cursor<'_>, into: &mut Vec<Level>) -> Option<()> {
    if cursor.next_is("]") {
        return Some(());
    }
    let mut at = *cursor;
    at.eat("[\"")?;
    loop {
        let price = at.price_of_four()?;
        at.eat(",\"")?;
        let quantity = at.quantity_of_two()?;
        if into.len() == LEVELS_PER_SIDE_MAX {
            return None;
        }
        into.push(Level { price: if NO { price.complement() } else { price }, quantity });
        if !at.next_is("],[\"") {
            at.eat("]]")?;
            *cursor = at;
            return Some(());
        }
    }
}

#[inline(always)]
fn trade<'a>(cursor: &mut Cursor<'a>) -> Option<Contents<'a>> {
    cursor.eat(r#""trade_id":""#)?;
    let id = id(cursor)?;
    cursor.eat(r#","market_ticker":""#)?;
    let ticker = cursor.text()?;
    cursor.eat(r#","yes_price_dollars":""#)?;
    let price = cursor.price_of_four()?;
    cursor.eat(r#","no_price_dollars":""#)?;
    cursor.text()?;
    cursor.eat(r#","count_fp":""#)?;
    let quantity = cursor.quantity_of_two()?;
    cursor.eat(r#","taker_side":""#)?;
    let mut is_yes = yes_or_no(cursor)?;
    if cursor.next_is(r#","taker_outcome_side":""#) {
        is_yes = yes_or_no(cursor)?;
    }
    if cursor.next_is(r#","taker_book_side":""#) {
        cursor.text()?;
    }
    if cursor.next_is(r#","is_block_trade":"#) && !cursor.next_is("false") {
        cursor.eat("true")?;
    }
    let timestamp_ms = Some(time(cursor)?);
    cursor.eat("}")?;
    let side = if is_yes { Side::Bid } else { Side::Ask };
    Some(Contents { ticker, timestamp_ms, body: Body::Trade { id, price, quantity, side } })
}

#[inline(always)]
fn ticker<'a>(cursor: &mut Cursor<'a>) -> Option<Contents<'a>> {
    let ticker = if cursor.next_is(r#""market_id":""#) {
        id(cursor)?;
        cursor.eat(r#","market_ticker":""#)?;
        cursor.text()?
    } else {
        ticker_then_id(cursor)?
    };
    cursor.eat(r#","price_dollars":""#)?;
    let price = cursor.price_or_nothing()?;
    cursor.eat(r#","yes_bid_dollars":""#)?;
    let yes_bid = cursor.price_or_nothing()?;
    cursor.eat(r#","yes_ask_dollars":""#)?;
    let yes_ask = cursor.price_or_nothing()?;
    let sizes_first = sizes(cursor)?;
    cursor.eat(r#","volume_fp":""#)?;
    let volume = Some(cursor.quantity_of_two()?);
    cursor.eat(r#","open_interest_fp":""#)?;
    let open_interest = Some(cursor.quantity_of_two()?);
    cursor.eat(r#","dollar_volume":"#)?;
    cursor.number()?;
    cursor.eat(r#","dollar_open_interest":"#)?;
    cursor.number()?;
    if !sizes_first {
        sizes(cursor)?;
    }
    let timestamp_ms = Some(time(cursor)?);
    if cursor.next_is(r#","time":""#) {
        cursor.text()?;
    }
    cursor.eat("}")?;
    let body = Body::Ticker { price, yes_bid, yes_ask, volume, open_interest };
    Some(Contents { ticker, timestamp_ms, body })
}

/// The quantities at the best prices and of the last trade, if they are next.
#[inline(always)]
fn sizes(cursor: &mut Cursor<'_>) -> Option<bool> {
    if !cursor.next_is(r#","yes_bid_size_fp":""#) {
        return Some(false);
    }
    cursor.text()?;
    cursor.eat(r#","yes_ask_size_fp":""#)?;
    cursor.text()?;
    cursor.eat(r#","last_trade_size_fp":""#)?;
    cursor.text()?;
    Some(true)
}

/// `market_ticker`, and `market_id` if it is there.
#[inline(always)]
fn ticker_then_id<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    cursor.eat(r#""market_ticker":""#)?;
    let ticker = cursor.text()?;
    if cursor.next_is(r#","market_id":""#) {
        id(cursor)?;
    }
    Some(ticker)
}

/// A UUID or another text, and its closing quote.
#[inline(always)]
fn id<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    cursor.uuid().or_else(|| cursor.text())
}

/// `ts` in seconds and `ts_ms`, which a message of 2026-03 does not have; milliseconds since the Unix epoch.
#[inline(always)]
fn time(cursor: &mut Cursor<'_>) -> Option<u64> {
    cursor.eat(r#","ts":"#)?;
    let seconds = cursor.number()?;
    let ts_ms = optional_number(cursor, r#","ts_ms":"#)?;
    ts_ms.or_else(|| seconds.checked_mul(1000))
}

/// `yes` or `no` and a closing quote; true for `yes`.
#[inline(always)]
fn yes_or_no(cursor: &mut Cursor<'_>) -> Option<bool> {
    if cursor.next_is("yes\"") {
        return Some(true);
    }
    cursor.eat("no\"").map(|()| false)
}

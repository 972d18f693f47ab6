//! Fast reader for the usual layouts of the venue's messages.
//!
//! Runs on:  shards, replay (pure). Owns: nothing; writes into the decoder's scratch memory.
//! Bounds:   one pass; no allocation once the scratch memory has grown.
//!
//! The venue has two serializers (`,` and `, ` between members) and a fixed order of keys per message type (recordings
//! of 2026-05 to 2026-10). A scan succeeds only if the whole message has such a layout byte for byte and the full
//! parser would accept every value; otherwise, for example for an escape or an unusual number, it returns `None` and
//! the full parser decides. The scan changes the speed, never the result; `decode/layouts` compares the two.
use super::message::Scratch;
use crate::base::limits::LEVELS_PER_SIDE_MAX;
use crate::base::price::{Price, Quantity};
use crate::market::book::{Level, Side, image::BookHash};
use crate::market::event::{ChangeSpan, Span};
use crate::venue::cursor::{
    Cursor, ZEROS, are_digits, are_plain, index, no_digits, part_of, same, word_of,
};

/// Length of a market id, bytes: `0x` and 64 digits.
const MARKET_BYTES: usize = 66;
/// A token id of usual length, 72 to 78 digits, ends within 8 bytes from here.
const TOKEN_END_FROM: usize = 72;
/// The longest token id and its closing quote, rounded up to eight bytes.
const TOKEN_WINDOW: usize = 80;

/// A message of a usual layout. Its lists are in the scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned<'a> {
    pub(super) market: &'a str,
    pub(super) timestamp_ms: u64,
    /// Content.
    pub(super) body: Body<'a>,
    /// Byte offset after the closing brace.
    pub(super) end: usize,
}

/// Content of a scanned message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// `price_change`: the changes are in the scratch memory.
    Changes,
    /// `book`: the levels are in the scratch memory.
    Book { token: &'a str, hash: BookHash, tick_size: Option<Price>, last_trade: Option<Price> },
    /// `last_trade_price`.
    Trade {
        token: &'a str,
        price: Price,
        quantity: Quantity,
        side: Side,
        fee_rate_bps: Option<Quantity>,
        transaction_hash: &'a str,
    },
}

/// `$a`, the serializer's separator, `$b`.
macro_rules! glued {
    ($spaced:expr, $a:literal, $b:literal) => {
        if $spaced { concat!($a, ", ", $b) } else { concat!($a, ",", $b) }
    };
}

/// Reads the message at byte `from` of `frame`, if it has a usual layout.
#[inline]
pub(super) fn scan<'a>(frame: &'a str, from: usize, scratch: &mut Scratch) -> Option<Scanned<'a>> {
    let mut cursor = Cursor::new(frame, from);
    cursor.eat(r#"{"market":""#)?;
    let market = cursor.hex_id()?;
    if cursor.rest.get(1) == Some(&b' ') {
        cursor.message::<true>(market, scratch)
    } else {
        cursor.message::<false>(market, scratch)
    }
}

/// The first token of a message, if it is where usual messages have it; nothing is validated.
#[inline]
pub(in crate::venue) fn first_token(frame: &[u8]) -> Option<&[u8]> {
    let rest = frame.get("{\"market\":\"".len() + MARKET_BYTES + "\",".len()..)?;
    let rest = rest.get(usize::from(*rest.first()? == b' ')..)?;
    let start = match rest.get(1)? {
        b'p' => "\"price_changes\":[{\"asset_id\":\"".len(),
        b'a' => "\"asset_id\":\"".len(),
        _ => return None,
    };
    let rest = rest.get(start..)?;
    let quote = same(word_of(rest.first_chunk::<TOKEN_WINDOW>()?, TOKEN_END_FROM), b'"');
    rest.get(..TOKEN_END_FROM + index(quote))
}

impl<'a> Cursor<'a> {
    #[inline]
    fn message<const SPACED: bool>(
        &self,
        market: &'a str,
        scratch: &mut Scratch,
    ) -> Option<Scanned<'a>> {
        let mut cursor = *self;
        if cursor.next_is(glued!(SPACED, "", "\"price_changes\":[{")) {
            let timestamp_ms = cursor.changes::<SPACED>(scratch)?;
            return Some(Scanned { market, timestamp_ms, body: Body::Changes, end: cursor.at() });
        }
        cursor.eat(glued!(SPACED, "", "\"asset_id\":\""))?;
        let token_len = cursor.token_len()?;
        let token = cursor.take_text(token_len)?;
        let (timestamp_ms, body) = if cursor.next_is(glued!(SPACED, "", "\"price\":\"")) {
            cursor.trade::<SPACED>(token)?
        } else {
            cursor.book::<SPACED>(token, scratch)?
        };
        Some(Scanned { market, timestamp_ms, body, end: cursor.at() })
    }

    /// From the first entry of `price_changes` to the end of the message.
    #[inline(always)]
    fn changes<const SPACED: bool>(&mut self, scratch: &mut Scratch) -> Option<u64> {
        scratch.changes.clear();
        loop {
            self.eat("\"asset_id\":\"")?;
            let start = self.at() as u32;
            let len = self.token_len()?;
            self.advance(len + 1)?;
            self.eat(glued!(SPACED, "", "\"price\":\""))?;
            let price = self.price()?;
            self.eat(glued!(SPACED, "", "\"size\":\""))?;
            let quantity = self.quantity()?;
            self.eat(glued!(SPACED, "", "\"side\":\""))?;
            let side = self.side()?;
            self.eat(glued!(SPACED, "", "\"hash\":\""))?;
            let hash = self.hash()?;
            self.eat(glued!(SPACED, "", "\"best_bid\":\""))?;
            let best_bid = self.price_or_nothing()?;
            self.eat(glued!(SPACED, "", "\"best_ask\":\""))?;
            let best_ask = self.price_or_nothing()?;
            if scratch.changes.len() == LEVELS_PER_SIDE_MAX {
                return None;
            }
            scratch.changes.push(ChangeSpan {
                token: Span { start, len: len as u32 },
                side,
                level: Level { price, quantity },
                hash: Some(hash),
                best_bid,
                best_ask,
            });
            if !self.next_is(glued!(SPACED, "}", "{")) {
                break;
            }
        }
        self.eat(glued!(SPACED, "}]", "\"timestamp\":\""))?;
        let timestamp_ms = self.timestamp_ms(b'"')?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"price_change\"}"))?;
        Some(timestamp_ms)
    }

    /// From `bids` or `timestamp` to the end of the message.
    #[inline(always)]
    fn book<const SPACED: bool>(
        &mut self,
        token: &'a str,
        scratch: &mut Scratch,
    ) -> Option<(u64, Body<'a>)> {
        // In the initial dump time and hash precede the levels; in later messages they follow.
        if self.next_is(glued!(SPACED, "", "\"timestamp\":\"")) {
            let timestamp_ms = self.timestamp_ms(b'"')?;
            self.eat(glued!(SPACED, "", "\"hash\":\""))?;
            let hash = self.hash()?;
            self.sides::<SPACED>(scratch)?;
            let mut tick_size = None;
            if self.next_is(glued!(SPACED, "", "\"tick_size\":\"")) {
                tick_size = self.price_or_nothing()?;
                if tick_size == Some(Price::ZERO) {
                    return None;
                }
            }
            let last_trade = if self.next_is(glued!(SPACED, "", "\"last_trade_price\":\"")) {
                let last_trade = self.price_or_nothing()?;
                self.eat(glued!(SPACED, "", "\"event_type\":\"book\"}"))?;
                last_trade
            } else {
                self.eat(glued!(SPACED, "", "\"event_type\":\"book\""))?;
                self.eat(glued!(SPACED, "", "\"last_trade_price\":\""))?;
                let last_trade = self.price_or_nothing()?;
                self.eat("}")?;
                last_trade
            };
            return Some((timestamp_ms, Body::Book { token, hash, tick_size, last_trade }));
        }
        self.sides::<SPACED>(scratch)?;
        self.eat(glued!(SPACED, "", "\"hash\":\""))?;
        let hash = self.hash()?;
        self.eat(glued!(SPACED, "", "\"timestamp\":\""))?;
        let timestamp_ms = self.timestamp_ms(b'"')?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"book\"}"))?;
        Some((timestamp_ms, Body::Book { token, hash, tick_size: None, last_trade: None }))
    }

    #[inline(always)]
    fn sides<const SPACED: bool>(&mut self, scratch: &mut Scratch) -> Option<()> {
        self.eat(glued!(SPACED, "", "\"bids\":["))?;
        self.levels::<SPACED>(&mut scratch.bids)?;
        self.eat(glued!(SPACED, "", "\"asks\":["))?;
        self.levels::<SPACED>(&mut scratch.asks)
    }

    #[inline(always)]
    fn levels<const SPACED: bool>(&mut self, into: &mut Vec<Level>) -> Option<()> {
        into.clear();
        if self.next_is("]") {
            return Some(());
        }
        self.eat("{\"price\":\"")?;
        loop {
            let price = self.price()?;
            self.eat(glued!(SPACED, "", "\"size\":\""))?;
            let quantity = self.quantity()?;
            if into.len() == LEVELS_PER_SIDE_MAX {
                return None;
            }
            into.push(Level { price, quantity });
            if !self.next_is(glued!(SPACED, "}", "{\"price\":\"")) {
                return self.eat("}]");
            }
        }
    }

    /// From the value of `price` to the end of the message.
    #[inline(always)]
    fn trade<const SPACED: bool>(&mut self, token: &'a str) -> Option<(u64, Body<'a>)> {
        let price = self.price()?;
        self.eat(glued!(SPACED, "", "\"size\":\""))?;
        let quantity = self.quantity()?;
        self.eat(glued!(SPACED, "", "\"fee_rate_bps\":\""))?;
        let fee_rate_bps = if self.next_is("\"") { None } else { Some(self.quantity()?) };
        self.eat(glued!(SPACED, "", "\"side\":\""))?;
        let side = self.side()?;
        self.eat(glued!(SPACED, "", "\"timestamp\":\""))?;
        let timestamp_ms = self.timestamp_ms(b'"')?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"last_trade_price\""))?;
        self.eat(glued!(SPACED, "", "\"transaction_hash\":\""))?;
        let transaction_hash = self.hex_id()?;
        self.eat("}")?;
        let body = Body::Trade { token, price, quantity, side, fee_rate_bps, transaction_hash };
        Some((timestamp_ms, body))
    }

    /// `0x`, 64 letters or digits and a closing quote.
    #[inline(always)]
    fn hex_id(&mut self) -> Option<&'a str> {
        let id: &[u8; MARKET_BYTES + 1] = self.rest.first_chunk()?;
        let digits = part_of::<64>(id, 2)?;
        if !id.starts_with(b"0x") || !are_plain(digits, b'0') || id[MARKET_BYTES] != b'"' {
            return None;
        }
        self.take_text(MARKET_BYTES)
    }

    /// 40 letters or digits and a closing quote.
    #[inline(always)]
    fn hash(&mut self) -> Option<BookHash> {
        let text: &[u8; 41] = self.rest.first_chunk()?;
        let (first, last) = (part_of::<32>(text, 0)?, part_of::<16>(text, 24)?);
        if !are_plain(first, b'0') || !are_plain(last, b'0') || text[40] != b'"' {
            return None;
        }
        self.rest = &self.rest[41..];
        text[..40].try_into().ok()
    }

    /// Digits of a token id of 1 to 78, before a closing quote.
    #[inline(always)]
    fn token_len(&self) -> Option<usize> {
        let Some(id) = self.rest.first_chunk::<TOKEN_WINDOW>() else {
            return odd_token_len(self.rest);
        };
        let end = index(no_digits(word_of(id, TOKEN_END_FROM) ^ ZEROS));
        if end > 6 || id[TOKEN_END_FROM + end] != b'"' {
            return odd_token_len(self.rest);
        }
        let (first, last) = (part_of::<64>(id, 0)?, part_of::<16>(id, 56)?);
        let is_id = id[0] != b'0' && are_digits(first) && are_digits(last);
        is_id.then_some(TOKEN_END_FROM + end)
    }

    /// `BUY` or `SELL` and a closing quote.
    #[inline(always)]
    fn side(&mut self) -> Option<Side> {
        if self.next_is("BUY\"") {
            return Some(Side::Bid);
        }
        self.eat("SELL\"").map(|()| Side::Ask)
    }
}

/// As [`Cursor::token_len`], of unusual length, as in tests.
#[cold]
#[inline(never)]
fn odd_token_len(rest: &[u8]) -> Option<usize> {
    let len = rest.iter().take(TOKEN_END_FROM).position(|&byte| byte == b'"')?;
    let is_one_number = len == 1 || rest[0] != b'0';
    (len > 0 && is_one_number && rest[..len].iter().all(u8::is_ascii_digit)).then_some(len)
}

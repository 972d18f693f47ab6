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

/// Length of a market id, bytes: `0x` and 64 digits.
const MARKET_BYTES: usize = 66;
/// A token id of usual length, 72 to 79 digits, ends within 8 bytes from here.
const TOKEN_END_FROM: usize = 72;
/// Maximum length of a decimal, bytes.
const DECIMAL_BYTES_MAX: usize = 24;

/// A message of a usual layout. Its lists are in the scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned<'a> {
    /// `market`.
    pub(super) market: &'a str,
    /// `timestamp`, milliseconds.
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
    let mut cursor = Cursor { frame, bytes: frame.as_bytes(), at: from };
    cursor.eat(r#"{"market":""#)?;
    let market = cursor.hex_id()?;
    if cursor.bytes.get(cursor.at + 1) == Some(&b' ') {
        cursor.message::<true>(market, scratch)
    } else {
        cursor.message::<false>(market, scratch)
    }
}

/// A position in a frame. A method that returns `None` ends the scan.
struct Cursor<'a> {
    frame: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn message<const SPACED: bool>(
        mut self,
        market: &'a str,
        scratch: &mut Scratch,
    ) -> Option<Scanned<'a>> {
        if self.next_is(glued!(SPACED, "", "\"price_changes\":[{")) {
            let timestamp_ms = self.changes::<SPACED>(scratch)?;
            return Some(Scanned { market, timestamp_ms, body: Body::Changes, end: self.at });
        }
        self.eat(glued!(SPACED, "", "\"asset_id\":\""))?;
        let token = self.text(|cursor| cursor.token())?;
        let (timestamp_ms, body) = if self.next_is(glued!(SPACED, "", "\"price\":\"")) {
            self.trade::<SPACED>(token)?
        } else {
            self.book::<SPACED>(token, scratch)?
        };
        Some(Scanned { market, timestamp_ms, body, end: self.at })
    }

    /// From the first entry of `price_changes` to the end of the message.
    #[inline]
    fn changes<const SPACED: bool>(&mut self, scratch: &mut Scratch) -> Option<u64> {
        scratch.changes.clear();
        loop {
            self.eat("\"asset_id\":\"")?;
            let start = self.at as u32;
            let len = self.token()? as u32;
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
                token: Span { start, len },
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
        let timestamp_ms = self.timestamp()?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"price_change\"}"))?;
        Some(timestamp_ms)
    }

    /// From `bids` or `timestamp` to the end of the message.
    fn book<const SPACED: bool>(
        &mut self,
        token: &'a str,
        scratch: &mut Scratch,
    ) -> Option<(u64, Body<'a>)> {
        // In the initial dump time and hash precede the levels; in later messages they follow.
        if self.next_is(glued!(SPACED, "", "\"timestamp\":\"")) {
            let timestamp_ms = self.timestamp()?;
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
        let timestamp_ms = self.timestamp()?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"book\"}"))?;
        Some((timestamp_ms, Body::Book { token, hash, tick_size: None, last_trade: None }))
    }

    fn sides<const SPACED: bool>(&mut self, scratch: &mut Scratch) -> Option<()> {
        self.eat(glued!(SPACED, "", "\"bids\":["))?;
        self.levels::<SPACED>(&mut scratch.bids)?;
        self.eat(glued!(SPACED, "", "\"asks\":["))?;
        self.levels::<SPACED>(&mut scratch.asks)
    }

    #[inline]
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
    fn trade<const SPACED: bool>(&mut self, token: &'a str) -> Option<(u64, Body<'a>)> {
        let price = self.price()?;
        self.eat(glued!(SPACED, "", "\"size\":\""))?;
        let quantity = self.quantity()?;
        self.eat(glued!(SPACED, "", "\"fee_rate_bps\":\""))?;
        let fee_rate_bps = if self.next_is("\"") { None } else { Some(self.quantity()?) };
        self.eat(glued!(SPACED, "", "\"side\":\""))?;
        let side = self.side()?;
        self.eat(glued!(SPACED, "", "\"timestamp\":\""))?;
        let timestamp_ms = self.timestamp()?;
        self.eat(glued!(SPACED, "", "\"event_type\":\"last_trade_price\""))?;
        self.eat(glued!(SPACED, "", "\"transaction_hash\":\""))?;
        let transaction_hash = self.hex_id()?;
        self.eat("}")?;
        let body = Body::Trade { token, price, quantity, side, fee_rate_bps, transaction_hash };
        Some((timestamp_ms, body))
    }

    /// Advances over `text` if it is next.
    #[inline(always)]
    fn next_is(&mut self, text: &'static str) -> bool {
        let end = self.at + text.len();
        let there = self.bytes.get(self.at..end) == Some(text.as_bytes());
        if there {
            self.at = end;
        }
        there
    }

    #[inline(always)]
    fn eat(&mut self, text: &'static str) -> Option<()> {
        self.next_is(text).then_some(())
    }

    /// The eight bytes at `at`, little-endian.
    #[inline(always)]
    fn word(&self, at: usize) -> Option<u64> {
        match self.bytes.get(at..at + 8) {
            Some(bytes) => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
            None => self.last_word(at),
        }
    }

    /// The last bytes of the frame, padded with zeros, which are neither digits nor quotes.
    #[cold]
    fn last_word(&self, at: usize) -> Option<u64> {
        let rest = self.bytes.get(at..)?;
        let mut bytes = [0; 8];
        bytes[..rest.len()].copy_from_slice(rest);
        Some(u64::from_le_bytes(bytes))
    }

    /// The text whose length `read` returns; `read` also consumes its closing quote.
    #[inline(always)]
    fn text(&mut self, read: impl FnOnce(&mut Self) -> Option<usize>) -> Option<&'a str> {
        let start = self.at;
        let len = read(self)?;
        self.frame.get(start..start + len)
    }

    /// `0x`, 64 letters or digits and a closing quote.
    #[inline(always)]
    fn hex_id(&mut self) -> Option<&'a str> {
        let id = self.bytes.get(self.at..self.at + MARKET_BYTES + 1)?;
        let mut plain = true;
        for word in id[2..MARKET_BYTES].chunks_exact(8) {
            plain &= are_plain(u64::from_le_bytes(word.try_into().ok()?));
        }
        if !plain || !id.starts_with(b"0x") || id[MARKET_BYTES] != b'"' {
            return None;
        }
        let start = self.at;
        self.at += MARKET_BYTES + 1;
        self.frame.get(start..start + MARKET_BYTES)
    }

    /// 40 letters or digits and a closing quote.
    #[inline(always)]
    fn hash(&mut self) -> Option<BookHash> {
        let text = self.bytes.get(self.at..self.at + 41)?;
        let mut plain = true;
        for word in text[..40].chunks_exact(8) {
            plain &= are_plain(u64::from_le_bytes(word.try_into().ok()?));
        }
        if !plain || text[40] != b'"' {
            return None;
        }
        self.at += 41;
        text[..40].try_into().ok()
    }

    /// A token id of 1 to 78 digits and its closing quote; returns the number of digits.
    #[inline(always)]
    fn token(&mut self) -> Option<usize> {
        let last = self.word(self.at + TOKEN_END_FROM)?;
        let rest = first_quote(last);
        if rest > 6 {
            return self.odd_token();
        }
        let mut digits = true;
        for word in self.bytes[self.at..self.at + TOKEN_END_FROM].chunks_exact(8) {
            digits &= are_digits(u64::from_le_bytes(word.try_into().ok()?));
        }
        let mask = low_bytes(rest);
        digits &= are_digits((last & mask) | (ZEROS & !mask));
        let len = TOKEN_END_FROM + rest as usize;
        self.at += len + 1;
        digits.then_some(len)
    }

    /// A token id of unusual length, as in tests.
    #[cold]
    fn odd_token(&mut self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?;
        let len = rest.iter().take(TOKEN_END_FROM).position(|&byte| byte == b'"')?;
        self.at += len + 1;
        (len > 0 && rest[..len].iter().all(u8::is_ascii_digit)).then_some(len)
    }

    /// `BUY` or `SELL` and a closing quote.
    #[inline(always)]
    fn side(&mut self) -> Option<Side> {
        if self.next_is("BUY\"") {
            return Some(Side::Bid);
        }
        self.eat("SELL\"").map(|()| Side::Ask)
    }

    /// 13 digits and a closing quote: milliseconds from 2001 to 2286.
    #[inline(always)]
    fn timestamp(&mut self) -> Option<u64> {
        let high = eight_digits(self.word(self.at)?)?;
        // With leading zeros it may be seconds: left to the full parser.
        if high < 10_000_000 {
            return None;
        }
        // These eight digits overlap the first eight by three.
        let low = eight_digits(self.word(self.at + 5)?)?;
        if self.bytes.get(self.at + 13) != Some(&b'"') {
            return None;
        }
        self.at += 14;
        Some(high * 100_000 + low % 100_000)
    }

    /// A price and its closing quote.
    #[inline(always)]
    fn price(&mut self) -> Option<Price> {
        let word = self.word(self.at)?;
        let len = self.decimal_len(word)?;
        // `0.` and one to six digits; other forms (`0`, `1`) are rare.
        if word & 0xffff != u64::from(u16::from_le_bytes(*b"0.")) || !(3..=8).contains(&len) {
            return self.odd_decimal(Price::parse);
        }
        let mask = low_bytes(len);
        // `0.` becomes `00` and the digits are padded to six: eight digits, units of 1e-6.
        let digits = ((word ^ (u64::from(b'.' ^ b'0') << 8)) & mask) | (ZEROS & !mask);
        let units = eight_digits(digits)?;
        self.at += len as usize + 1;
        Some(Price(units as u32))
    }

    /// A price or an empty string, and the closing quote.
    #[inline(always)]
    fn price_or_nothing(&mut self) -> Option<Option<Price>> {
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Some(None);
        }
        self.price().map(Some)
    }

    /// A quantity and its closing quote.
    #[inline(always)]
    fn quantity(&mut self) -> Option<Quantity> {
        let word = self.word(self.at)?;
        let len = self.decimal_len(word)?;
        if len == 0 || len > 8 {
            return self.odd_decimal(Quantity::parse);
        }
        let point = first(word, b'.').min(len);
        let (digits, count) = if point == len {
            (word, len)
        } else {
            // Removes the point.
            let before = low_bytes(point);
            ((word & before) | ((word >> 8) & !before), len - 1)
        };
        let decimals = len.wrapping_sub(point).saturating_sub(1);
        if point == 0 || decimals > 6 || (decimals == 0 && count != len) {
            return self.odd_decimal(Quantity::parse);
        }
        // Left-pads with zeros: the first digit is the lowest byte. `count` is at least one here.
        let shift = 8 * (8 - count);
        let units = eight_digits((digits << shift) | (ZEROS & !(!0 << shift)))?;
        self.at += len as usize + 1;
        Some(Quantity(units * POWERS[decimals as usize]))
    }

    /// Length up to the closing quote: 0 to 8, or 9 for more.
    #[inline(always)]
    fn decimal_len(&self, word: u64) -> Option<u32> {
        let len = first_quote(word);
        if len < 8 {
            return Some(len);
        }
        self.bytes.get(self.at + 8).map(|&byte| if byte == b'"' { 8 } else { 9 })
    }

    #[cold]
    fn odd_decimal<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let rest = self.bytes.get(self.at..)?;
        let len = rest.iter().take(DECIMAL_BYTES_MAX).position(|&byte| byte == b'"')?;
        self.at += len + 1;
        parse(&rest[..len])
    }
}

/// Eight digits `0`.
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");
/// Factor from a number with this many decimals to units of 1e-6.
const POWERS: [u64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// A mask of the first `count` bytes, 0 to 8.
#[inline(always)]
const fn low_bytes(count: u32) -> u64 {
    if count >= 8 { !0 } else { !(!0 << (8 * count)) }
}

/// Index of the first `byte` in a word; 8 if absent.
#[inline(always)]
const fn first(word: u64, byte: u8) -> u32 {
    let same = word ^ repeated(byte);
    let found = same.wrapping_sub(repeated(1)) & !same & repeated(0x80);
    found.trailing_zeros() / 8
}

#[inline(always)]
const fn first_quote(word: u64) -> u32 {
    first(word, b'"')
}

/// Whether all eight bytes are decimal digits.
#[inline(always)]
const fn are_digits(word: u64) -> bool {
    let high = word & repeated(0xf0);
    let carried = word.wrapping_add(repeated(6)) & repeated(0xf0);
    high | (carried >> 4) == repeated(0x33)
}

/// Whether all eight bytes are in 0x30..=0x3f or 0x60..=0x6f: no JSON escapes; includes the hexadecimal digits.
#[inline(always)]
const fn are_plain(word: u64) -> bool {
    let rows = word & repeated(0xa0) == repeated(0x20);
    // Bit 4 or bit 6, not both.
    let either = (word ^ (word << 2)) & repeated(0x40) == repeated(0x40);
    rows & either
}

/// The value of eight digits, first digit in the lowest byte.
#[inline(always)]
const fn eight_digits(word: u64) -> Option<u64> {
    if !are_digits(word) {
        return None;
    }
    // Pairs, then fours, then all: three multiplications.
    let pairs = word.wrapping_sub(ZEROS);
    let pairs = pairs.wrapping_mul(10).wrapping_add(pairs >> 8);
    let mask = 0x0000_00ff_0000_00ff;
    let first = (pairs & mask).wrapping_mul(100 + (1_000_000 << 32));
    let second = ((pairs >> 16) & mask).wrapping_mul(1 + (10_000 << 32));
    Some(first.wrapping_add(second) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(text: &str) -> Cursor<'_> {
        Cursor { frame: text, bytes: text.as_bytes(), at: 0 }
    }

    /// Compares the scan of a decimal with the exact parser.
    fn check(decimal: &str) {
        let text = format!("{decimal}\"}}                    ");
        let bytes = decimal.as_bytes();
        let mut at_price = cursor(&text);
        assert_eq!(at_price.price(), Price::parse(bytes), "price {decimal}");
        let mut at_quantity = cursor(&text);
        assert_eq!(at_quantity.quantity(), Quantity::parse(bytes), "quantity {decimal}");
        for (end, parsed) in [
            (at_price.at, Price::parse(bytes).is_some()),
            (at_quantity.at, Quantity::parse(bytes).is_some()),
        ] {
            assert!(!parsed || end == decimal.len() + 1, "{decimal}: stands at {end}");
        }
    }

    #[test]
    fn decimals_are_those_of_the_exact_parser() {
        for decimal in [
            "0",
            "1",
            "0.5",
            ".5",
            "5.",
            "0.123456",
            "0.1234567",
            "00.5",
            "0.",
            ".",
            "0.0000001",
            "1.0",
            "100",
            "503.32",
            "2200.8",
            "31045290",
            "310452901",
            "12345.67",
            "123456.78",
            "219.217767",
            "1.234567",
            "12.34567",
            "-1",
            "1e5",
            "0.1a",
            "1..2",
            "0..1",
            "0.5 ",
            "12a.5",
            "99999999",
            "9.999999",
            "18446744073709.551615",
            "18446744073709.551616",
        ] {
            check(decimal);
        }
        for n in 0..30_000u64 {
            check(&format!("{}", n * 7919));
            check(&format!("{}.{:02}", n, n % 100));
            check(&format!("0.{:06}", n * 31 % 1_000_000));
            check(&format!("0.{}", n % 1000));
        }
    }

    #[test]
    fn byte_classes_are_exact() {
        assert_eq!(first(u64::from_le_bytes(*b"abcd\"efg"), b'"'), 4);
        assert_eq!(first(u64::from_le_bytes(*b"abcdefgh"), b'"'), 8);
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut word = *b"01234567";
                word[place] = byte;
                let word = u64::from_le_bytes(word);
                assert_eq!(are_digits(word), byte.is_ascii_digit(), "{byte} at {place}");
                let plain = matches!(byte, 0x30..=0x3f | 0x60..=0x6f);
                assert_eq!(are_plain(word), plain, "{byte} at {place}");
            }
        }
        assert_eq!(eight_digits(u64::from_le_bytes(*b"12345678")), Some(12_345_678));
        assert_eq!(eight_digits(u64::from_le_bytes(*b"1234567x")), None);
    }
}

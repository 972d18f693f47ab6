//! Reader of frames in a known layout: several bytes at a time, without allocation.
//!
//! Runs on:  shards, replay (pure). Owns: nothing. Bounds: forward only.
//!
//! For the scans of usual layouts. A method that returns `None` ends the scan, and the venue's full parser decides; a
//! value that is read is the one which the full parser reads.
use crate::base::price::{Price, Quantity};

const DECIMAL_BYTES_MAX: usize = 24;
/// Maximum digits of a whole number; all such numbers fit in 64 bits.
const NUMBER_DIGITS_MAX: usize = 19;

/// A position in a frame. Copied by a function that is not inlined: only a copy whose address nobody takes is kept in
/// registers.
#[derive(Clone, Copy)]
pub(in crate::venue) struct Cursor<'a> {
    frame: &'a str,
    /// The bytes of the frame from this position on.
    pub(in crate::venue) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At byte `from` of `frame`; at its end if that is beyond.
    #[inline(always)]
    pub(in crate::venue) fn new(frame: &'a str, from: usize) -> Self {
        Self { frame, rest: frame.as_bytes().get(from..).unwrap_or(&[]) }
    }

    /// Byte offset in the frame.
    #[inline(always)]
    pub(in crate::venue) const fn at(&self) -> usize {
        self.frame.len() - self.rest.len()
    }

    /// Advances over `text` if it is next.
    #[inline(always)]
    pub(in crate::venue) fn next_is(&mut self, text: &'static str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text.as_bytes()) else { return false };
        self.rest = rest;
        true
    }

    /// Advances over `text`, which must be next.
    #[inline(always)]
    pub(in crate::venue) fn eat(&mut self, text: &'static str) -> Option<()> {
        self.next_is(text).then_some(())
    }

    /// Advances by `count` bytes, which must be there.
    #[inline(always)]
    pub(in crate::venue) fn advance(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    /// The next `len` bytes, which the caller has found to be text without escapes; advances over them and the quote.
    #[inline(always)]
    pub(in crate::venue) fn take_text(&mut self, len: usize) -> Option<&'a str> {
        let start = self.at();
        self.advance(len + 1)?;
        self.frame.get(start..start + len)
    }

    /// The eight bytes at `at`, little-endian; zeros, neither digits nor quotes, follow the frame's last byte.
    #[inline(always)]
    pub(in crate::venue) fn word(&self, at: usize) -> Option<u64> {
        let rest = self.rest.get(at..)?;
        match rest.first_chunk() {
            Some(bytes) => Some(u64::from_le_bytes(*bytes)),
            None => Some(last_word(rest)),
        }
    }

    /// Text without escapes up to its closing quote.
    #[inline(always)]
    pub(in crate::venue) fn text(&mut self) -> Option<&'a str> {
        let mut len = 0;
        loop {
            let word = self.word(len)?;
            let (quote, other) = (same(word, b'"'), needs_a_parser(word));
            if quote == 0 {
                if other != 0 {
                    return None;
                }
                len += 8;
                continue;
            }
            if other & below(quote) != 0 {
                return None;
            }
            return self.take_text(len + index(quote));
        }
    }

    /// 36 characters in the form of a UUID, and a closing quote.
    #[inline(always)]
    pub(in crate::venue) fn uuid(&mut self) -> Option<&'a str> {
        let bytes: &[u8; 37] = self.rest.first_chunk()?;
        let (first, last) = (part_of::<32>(bytes, 0)?, part_of::<16>(bytes, 20)?);
        if !are_plain(first, b'-')
            || !are_plain(last, b'-')
            || [8, 13, 18, 23, 36].map(|at| bytes[at]) != *b"----\""
        {
            return None;
        }
        self.take_text(36)
    }

    /// 13 digits and `end`: milliseconds from 2001 to 2286.
    #[inline(always)]
    pub(in crate::venue) fn timestamp_ms(&mut self, end: u8) -> Option<u64> {
        let bytes: &[u8; 14] = self.rest.first_chunk()?;
        // The last eight digits overlap the first eight by three.
        let (first, last) = (word_of(bytes, 0) ^ ZEROS, word_of(bytes, 5) ^ ZEROS);
        // With leading zeros it may be seconds: left to the full parser.
        let odd = no_digits(first) | no_digits(last);
        if odd != 0 || first & 0xff == 0 || bytes[13] != end {
            return None;
        }
        self.rest = &self.rest[14..];
        Some(number_of(first) * 100_000 + number_of(last & !0xff_ffff))
    }

    /// A whole number without leading zeros.
    #[inline(always)]
    pub(in crate::venue) fn number(&mut self) -> Option<u64> {
        let word = self.word(0)? ^ ZEROS;
        let end = no_digits(word);
        if end == 0 || word & 0xff == 0 {
            return self.skip(odd_number(self.rest)?);
        }
        let len = index(end);
        if len == 0 {
            return None;
        }
        self.advance(len)?;
        Some(number_of(word << (64 - 8 * len)))
    }

    /// A price and its closing quote.
    #[inline(always)]
    pub(in crate::venue) fn price(&mut self) -> Option<Price> {
        match self.usual_price() {
            None => self.odd_price(),
            price => price,
        }
    }

    /// A price or an empty text, and the closing quote.
    #[inline(always)]
    pub(in crate::venue) fn price_or_nothing(&mut self) -> Option<Option<Price>> {
        match self.usual_price() {
            None if self.next_is("\"") => Some(None),
            None => self.odd_price().map(Some),
            price => Some(price),
        }
    }

    /// `0.`, up to four digits and a closing quote. Other forms are rare.
    #[inline(always)]
    fn usual_price(&mut self) -> Option<Price> {
        const FORM: u64 = u64::from_le_bytes(*b"0.000000");
        let word = u64::from_le_bytes(*self.rest.first_chunk()?) ^ FORM;
        let end = no_digits(word);
        let len = index(end);
        if word as u16 != 0 || len > 6 || self.rest[len] != b'"' {
            return None;
        }
        self.rest = &self.rest[len + 1..];
        Some(price_of(((word & below(end)) >> 16) as u32))
    }

    /// A price with four decimals, as in `0.4300`, or in another form, and its closing quote.
    #[inline(always)]
    pub(in crate::venue) fn price_of_four(&mut self) -> Option<Price> {
        const FORM: u64 = u64::from_le_bytes(*b"0.\0\0\0\0\"\0");
        const FIXED: u64 = u64::from_le_bytes([0xff, 0xff, 0, 0, 0, 0, 0xff, 0]);
        let Some(bytes) = self.rest.first_chunk() else { return self.odd_price() };
        let word = u64::from_le_bytes(*bytes);
        let digits = (word >> 16) as u32 ^ ZEROS as u32;
        if word & FIXED != FORM
            || (digits.wrapping_add(ABOVE_NINE as u32) | digits) & HIGH as u32 != 0
        {
            return self.odd_price();
        }
        self.rest = &self.rest[7..];
        Some(price_of(digits))
    }

    /// A quantity and its closing quote.
    #[inline(always)]
    pub(in crate::venue) fn quantity(&mut self) -> Option<Quantity> {
        let Some(bytes) = self.rest.first_chunk::<9>() else {
            return self.odd_quantity();
        };
        let word = word_of(bytes, 0);
        let quote = same(word, b'"');
        let len = if quote == 0 { 8 } else { index(quote) };
        if len == 0 || bytes[len] != b'"' {
            return self.odd_quantity();
        }
        // Aligned to the last digit.
        let shift = 64 - 8 * len;
        let text = (word ^ ZEROS) << shift;
        // No decimals, one or two, by the place of the point; the digits before it move there.
        let is_point = |at: u32| (text >> (8 * at)) as u8 == b'.' ^ b'0';
        let decimals = usize::from(is_point(6)) + 2 * usize::from(is_point(5));
        let [before, after, units] = DECIMALS[decimals];
        let digits = ((text & before) << 8) | (text & after);
        if no_digits(digits) != 0 {
            return self.odd_quantity();
        }
        self.advance(len + 1)?;
        Some(Quantity(number_of(digits) * units))
    }

    /// A quantity with two decimals, as in `300.00`, or in another form, and its closing quote.
    #[inline(always)]
    pub(in crate::venue) fn quantity_of_two(&mut self) -> Option<Quantity> {
        let Some(bytes) = self.rest.first_chunk::<10>() else { return self.odd_quantity() };
        let word = word_of(bytes, 0);
        let at = index(same(word, b'.'));
        // One to six digits before the point.
        if at.wrapping_sub(1) >= 6 || bytes[at + 3] != b'"' {
            return self.odd_quantity();
        }
        let decimals = u64::from(u16::from_le_bytes([bytes[at + 1], bytes[at + 2]])) << 48;
        let whole = (word << (48 - 8 * at)) & 0xffff_ffff_ffff;
        let digits = (whole | decimals) ^ (ZEROS << (48 - 8 * at));
        if no_digits(digits) != 0 {
            return self.odd_quantity();
        }
        self.rest = &self.rest[at + 4..];
        Some(Quantity(number_of(digits) * 10_000))
    }

    #[inline(always)]
    fn odd_price(&mut self) -> Option<Price> {
        self.skip(odd_decimal(self.rest, Price::parse)?)
    }

    #[inline(always)]
    fn odd_quantity(&mut self) -> Option<Quantity> {
        self.skip(odd_decimal(self.rest, Quantity::parse)?)
    }

    /// The value of `read` and advances by its length.
    #[inline(always)]
    fn skip<T>(&mut self, read: (T, usize)) -> Option<T> {
        self.advance(read.1)?;
        Some(read.0)
    }
}

// Those for unusual values get a slice and return a length: a cursor whose address nobody takes is in registers.

/// A number that begins with zero or has eight digits or more, and its length.
#[cold]
#[inline(never)]
fn odd_number(rest: &[u8]) -> Option<(u64, usize)> {
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 || len > NUMBER_DIGITS_MAX || (len > 1 && rest[0] == b'0') {
        return None;
    }
    let add = |number, digit: &u8| number * 10 + u64::from(digit - b'0');
    Some((rest[..len].iter().fold(0, add), len))
}

/// A decimal, and its length with the closing quote.
#[cold]
#[inline(never)]
fn odd_decimal<T>(rest: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<(T, usize)> {
    let len = rest.iter().take(DECIMAL_BYTES_MAX).position(|&byte| byte == b'"')?;
    Some((parse(&rest[..len])?, len + 1))
}

/// The last bytes of a frame.
#[cold]
#[inline(never)]
fn last_word(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}

/// Eight digits `0`.
pub(in crate::venue) const ZEROS: u64 = repeated(b'0');
/// The highest bit of each byte.
const HIGH: u64 = repeated(0x80);
/// Raises the highest bit of a byte above 9.
const ABOVE_NINE: u64 = repeated(0x80 - 10);
/// By the number of decimals: masks of the bytes before and after the point, and units of 1e-6 of the last digit. The
/// last row is for two points, of which the second remains.
const DECIMALS: [[u64; 3]; 4] = [
    [0, !0, 1_000_000],
    [0xffff_ffff_ffff, 0xff << 56, 100_000],
    [0xff_ffff_ffff, 0xffff << 48, 10_000],
    [0, !0, 0],
];

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The eight bytes at `at`, a constant within `bytes`.
#[inline(always)]
pub(in crate::venue) fn word_of<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Where `byte` is first among the first `bytes_max` of `text`, of which some more are looked at.
#[inline(always)]
pub(in crate::venue) fn find(text: &[u8], byte: u8, bytes_max: usize) -> Option<usize> {
    for at in (0..bytes_max).step_by(8) {
        let marks = same(u64::from_le_bytes(*text.get(at..)?.first_chunk()?), byte);
        if marks != 0 {
            return Some(at + index(marks));
        }
    }
    None
}

/// Marks `byte` in a word by the highest bit; bytes above the first mark may have one without being equal.
#[inline(always)]
pub(in crate::venue) const fn same(word: u64, byte: u8) -> u64 {
    let zero = word ^ repeated(byte);
    zero.wrapping_sub(repeated(1)) & !zero & HIGH
}

/// Index of the first marked byte; 8 if there is none.
#[inline(always)]
pub(in crate::venue) const fn index(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// A mask of the bytes before the first marked one, of which there is one.
#[inline(always)]
pub(in crate::venue) const fn below(marks: u64) -> u64 {
    (marks ^ marks.wrapping_sub(1)) >> 8
}

/// Marks bytes that are no values of decimal digits, as [`same`] does.
#[inline(always)]
pub(in crate::venue) const fn no_digits(word: u64) -> u64 {
    (word.wrapping_add(ABOVE_NINE) | word) & HIGH
}

/// Marks what JSON does not allow in a text, or what is escaped or not ASCII, as [`same`] does.
#[inline(always)]
const fn needs_a_parser(word: u64) -> u64 {
    let control = word.wrapping_sub(repeated(0x20)) & !word;
    (control | word | same(word, b'\\')) & HIGH
}

/// The number of eight values of digits, the first in the lowest byte.
#[inline(always)]
const fn number_of(digits: u64) -> u64 {
    // Pairs, then fours, then all: three multiplications.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let mask = 0x0000_00ff_0000_00ff;
    let first = (pairs & mask).wrapping_mul(100 + (1_000_000 << 32));
    let second = ((pairs >> 16) & mask).wrapping_mul(1 + (10_000 << 32));
    first.wrapping_add(second) >> 32
}

/// The price of four values of digits after `0.`, the first in the lowest byte.
#[inline(always)]
const fn price_of(digits: u32) -> Price {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff;
    Price((pairs.wrapping_mul(1 + (100 << 16)) >> 16) * 100)
}

/// Whether all bytes are digits. Without an end at the first other one, so that a processor compares many at once.
#[inline(always)]
pub(in crate::venue) fn are_digits<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_digit())
}

/// Whether all bytes are of `least`..=0x3f or 0x60..=0x7f: no capital letters, and none that JSON escapes if `least` is
/// above the quote. From `0` on these are the hexadecimal digits and some others.
#[inline(always)]
pub(in crate::venue) fn are_plain<const N: usize>(bytes: &[u8; N], least: u8) -> bool {
    let is_plain = |byte: u8| (byte as i8 >= least as i8) & (byte & 0x20 != 0);
    bytes.iter().fold(true, |all, &byte| all & is_plain(byte))
}

/// `N` bytes at `at`, constants within `bytes`.
#[inline(always)]
pub(in crate::venue) fn part_of<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

#[cfg(test)]
mod tests;

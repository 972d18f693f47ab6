//! A scanner that assumes the layout of the fields and validates nothing: the lower bound.
//!
//! It looks for fields at the distances that the venue's layouts have (with or without a space
//! behind commas) and validates nothing. There are two of it. The *bare* one looks at token, price,
//! size and side only, and knows a token by 16 of its digits. The *whole* one
//! does with each change what a book with its facts needs: it compares the whole token, keeps time
//! and hash, and reads the venue's best bid and ask.

use super::{FinalBooks, Levels, Pipeline, file::Frames};
use memchr::{memchr, memmem};

/// `{"market":"` and an id of 66 characters: the place of its closing quote.
const MARKET_END: usize = 77;
/// Tokens have at least so many digits.
const TOKEN_DIGITS_MIN: usize = 60;
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 40;
/// Digits that distinguish tokens.
const TOKEN_KEY: std::ops::Range<usize> = 8..24;
/// Steps from the best level before a binary search.
const STEPS_MAX: usize = 8;
/// One dollar in millionths.
const DOLLAR: u32 = 1_000_000;
/// Factors that make millionths of so many decimals.
const FACTORS: [u64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// One side, best level last; asks are stored by `1 - price`.
#[derive(Debug, Default)]
struct Side {
    keys: Vec<u32>,
    sizes: Vec<u64>,
}

impl Side {
    fn set(&mut self, key: u32, size: u64) {
        let mut at = self.keys.len();
        let near = at.saturating_sub(STEPS_MAX);
        while at > near && self.keys[at - 1] > key {
            at -= 1;
        }
        if at == near && at > 0 && self.keys[at - 1] > key {
            at = self.keys[..at].partition_point(|&other| other <= key);
        }
        // The level itself, if there is one, is right before `at`.
        if at > 0 && self.keys[at - 1] == key {
            if size == 0 {
                self.keys.remove(at - 1);
                self.sizes.remove(at - 1);
            } else {
                self.sizes[at - 1] = size;
            }
        } else if size > 0 {
            self.keys.insert(at, key);
            self.sizes.insert(at, size);
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.sizes.clear();
    }
}

#[derive(Debug)]
struct Book {
    token: String,
    /// Bids, asks.
    sides: [Side; 2],
    facts: Facts,
}

/// What the whole scanner stores in addition to levels.
#[derive(Debug)]
struct Facts {
    timestamp: u64,
    hash: [u8; HASH_DIGITS],
    /// The venue's best bid and ask.
    top: [u32; 2],
}

impl Default for Facts {
    fn default() -> Self {
        Self { timestamp: 0, hash: [b'0'; HASH_DIGITS], top: [0, DOLLAR] }
    }
}

/// Open addressing from a token's digits to its book.
#[derive(Debug, Default)]
struct Index {
    places: Vec<(u128, u32)>,
    used: usize,
}

impl Index {
    fn start(&self, key: u128) -> usize {
        let mixed = (key as u64 ^ (key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.places.len() - 1)
    }

    fn find(&self, key: u128) -> Option<u32> {
        let mut at = self.start(key);
        loop {
            match self.places[at] {
                (0, _) => return None,
                (found, book) if found == key => return Some(book),
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    fn insert(&mut self, key: u128, book: u32) {
        if self.places.len() < 4 * (self.used + 1) {
            let size = (8 * (self.used + 1)).next_power_of_two();
            let before = std::mem::replace(&mut self.places, vec![(0, 0); size]);
            self.used = 0;
            for (key, book) in before.into_iter().filter(|&(key, _)| key != 0) {
                self.insert(key, book);
            }
        }
        let mut at = self.start(key);
        while self.places[at].0 != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = (key, book);
        self.used += 1;
    }
}

/// The bare one, or the `WHOLE` one.
pub(super) struct Scanner<const WHOLE: bool> {
    books: Vec<Book>,
    index: Index,
    /// Books of the message at hand.
    changed: Vec<usize>,
    refused: u64,
}

impl<const WHOLE: bool> Default for Scanner<WHOLE> {
    fn default() -> Self {
        let index = Index { places: vec![(0, 0); 16], used: 0 };
        Self { books: Vec::new(), index, changed: Vec::new(), refused: 0 }
    }
}

fn key_of(token: &[u8]) -> Option<u128> {
    let digits = token.get(TOKEN_KEY)?.try_into().ok()?;
    Some(u128::from_le_bytes(digits))
}

/// Millionths of the number at `at`, and the place behind it.
#[inline]
fn number(frame: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut units = 0;
    let digit = |at: usize| frame.get(at).map(|byte| byte.wrapping_sub(b'0'));
    while let digit @ 0..=9 = digit(at)? {
        units = units * 10 + u64::from(digit);
        at += 1;
    }
    if frame[at] != b'.' {
        return Some((units * FACTORS[0], at));
    }
    at += 1;
    let point = at;
    while let digit @ 0..=9 = digit(at)? {
        units = units * 10 + u64::from(digit);
        at += 1;
    }
    Some((units * FACTORS.get(at - point)?, at))
}

/// Where the quote is that ends the token beginning at `at`.
#[inline]
fn token_end(frame: &[u8], at: usize) -> Option<usize> {
    let far = at + TOKEN_DIGITS_MIN;
    Some(far + memchr(b'"', frame.get(far..)?)?)
}

impl<const WHOLE: bool> Scanner<WHOLE> {
    fn on_frame(&mut self, frame: &[u8]) -> Option<()> {
        if *frame.first()? == b'[' {
            let mut at = 1;
            loop {
                at = self.on_message(frame, at)?;
                if *frame.get(at)? != b',' {
                    return Some(());
                }
                at += 1 + usize::from(*frame.get(at + 1)? == b' ');
            }
        }
        self.on_message(frame, 0).map(|_| ())
    }

    /// One message that begins at `at`; the place behind it.
    #[inline]
    fn on_message(&mut self, frame: &[u8], at: usize) -> Option<usize> {
        let comma = at + MARKET_END + 1;
        let space = usize::from(*frame.get(comma + 1)? == b' ');
        let key = comma + 1 + space;
        match *frame.get(key + 1)? {
            b'p' => self.on_changes(frame, key + r#""price_changes":["#.len(), space),
            b'a' => self.on_book(frame, key + r#""asset_id":""#.len(), space),
            _ => None,
        }
    }

    #[inline]
    fn on_changes(&mut self, frame: &[u8], mut at: usize, space: usize) -> Option<usize> {
        loop {
            let token = at + r#"{"asset_id":""#.len();
            let end = token_end(frame, token)?;
            let (price, end_of_price) = number(frame, end + r#"","price":""#.len() + space)?;
            let size = end_of_price + r#"","size":""#.len() + space;
            let (size, end_of_size) = number(frame, size)?;
            let side = end_of_size + r#"","side":""#.len() + space;
            let ask = *frame.get(side)? == b'S';
            let book = self.index.find(key_of(&frame[token..end])?)? as usize;
            let price = price as u32;
            let key = if ask { DOLLAR - price } else { price };
            if WHOLE && self.books[book].token.as_bytes() != &frame[token..end] {
                return None;
            }
            self.books[book].sides[usize::from(ask)].set(key, size);
            let hash = side + r#"BUY","hash":""#.len() + usize::from(ask) + space;
            let mut rest = hash + HASH_DIGITS;
            if WHOLE {
                rest = self.keep(book, frame, hash, space)?;
            }
            let next = rest + memchr(b'}', frame.get(rest..)?)? + 1;
            if *frame.get(next)? != b',' {
                return if WHOLE { self.keep_time(frame, next, space) } else { Some(next) };
            }
            at = next + 1 + space;
        }
    }

    /// Keeps hash and top of a change; the place behind them.
    #[inline]
    fn keep(&mut self, book: usize, frame: &[u8], hash: usize, space: usize) -> Option<usize> {
        let end = hash + HASH_DIGITS;
        let facts = &mut self.books[book].facts;
        facts.hash = frame.get(hash..end)?.try_into().ok()?;
        let (bid, end) = number(frame, end + r#"","best_bid":""#.len() + space)?;
        let (ask, end) = number(frame, end + r#"","best_ask":""#.len() + space)?;
        facts.top = [bid as u32, ask as u32];
        self.changed.push(book);
        Some(end)
    }

    /// Keeps the time of a message whose changes end at `at`.
    #[inline]
    fn keep_time(&mut self, frame: &[u8], at: usize, space: usize) -> Option<usize> {
        let (micros, end) = number(frame, at + r#"],"timestamp":""#.len() + space)?;
        for book in self.changed.drain(..) {
            self.books[book].facts.timestamp = micros / FACTORS[0];
        }
        Some(end)
    }

    fn on_book(&mut self, frame: &[u8], token: usize, space: usize) -> Option<usize> {
        let end = token_end(frame, token)?;
        let after = end + r#"",""#.len() + space;
        if *frame.get(after)? == b'p' {
            return Some(frame.len()); // A trade.
        }
        let key = key_of(&frame[token..end])?;
        let place = match self.index.find(key) {
            Some(place) => place as usize,
            None => {
                let token = String::from_utf8_lossy(&frame[token..end]).into_owned();
                self.index.insert(key, self.books.len() as u32);
                self.books.push(Book { token, sides: Default::default(), facts: Facts::default() });
                self.books.len() - 1
            }
        };
        let [bids, asks] = &mut self.books[place].sides;
        let bids_at = after + memmem::find(frame.get(after..)?, b"bids\":[")? + r#"bids":["#.len();
        let at = on_levels(bids, frame, bids_at, space, false)?;
        let at = at + r#"],"asks":["#.len() + space;
        let at = on_levels(asks, frame, at, space, true)?;
        Some(at + memchr(b'}', frame.get(at..)?)? + 1)
    }
}

/// Replaces a side by the levels that begin at `at`; the place of the closing bracket.
fn on_levels(
    side: &mut Side,
    frame: &[u8],
    mut at: usize,
    space: usize,
    ask: bool,
) -> Option<usize> {
    side.clear();
    while *frame.get(at)? == b'{' {
        let (price, end) = number(frame, at + r#"{"price":""#.len())?;
        let (size, end) = number(frame, end + r#"","size":""#.len() + space)?;
        let price = price as u32;
        side.set(if ask { DOLLAR - price } else { price }, size);
        at = end + r#""}"#.len();
        if *frame.get(at)? == b',' {
            at += 1 + space;
        }
    }
    Some(at)
}

impl<const WHOLE: bool> Pipeline for Scanner<WHOLE> {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            self.refused += u64::from(self.on_frame(frame.as_bytes()).is_none());
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let levels = |side: &Side, ask: bool| -> Levels {
            let price = |key: u32| u64::from(if ask { DOLLAR - key } else { key });
            side.keys.iter().zip(&side.sizes).map(|(&key, &size)| (price(key), size)).collect()
        };
        let one = |book: &Book| {
            let [bids, asks] = &book.sides;
            (book.token.clone(), [levels(bids, false), levels(asks, true)])
        };
        Ok(self.books.iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_keeps_its_order_near_and_far_from_the_best() {
        let mut side = Side::default();
        for key in (0..40).rev() {
            side.set(key * 10, 1);
        }
        side.set(5, 2);
        side.set(395, 3);
        side.set(100, 0);
        side.set(101, 0);
        let expected: Vec<u32> =
            (0..40).map(|n| n * 10).chain([5, 395]).filter(|&key| key != 100).collect();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(side.keys, expected);
        assert_eq!(side.sizes.len(), 41);
        assert_eq!(side.sizes[1], 2);
    }

    #[test]
    fn the_whole_scanner_stores_the_fields_of_a_change_with_and_without_spaces() {
        let market = crate::live::frame::Market::new(5);
        let mut template = market.templates().remove(0);
        let spaced = String::from_utf8(template.stamped(0xabc, 0xdef)[4..].to_vec()).unwrap();
        for change in [spaced.replace(", ", ","), spaced] {
            let mut scanner = Scanner::<true>::default();
            let dump = format!("[{},{}]", market.snapshot(0), market.snapshot(1));
            scanner.on_frame(dump.as_bytes()).unwrap();
            scanner.on_frame(change.as_bytes()).unwrap();
            let [yes, no] = [0, 1].map(|place| &scanner.books[place].facts);
            assert_eq!(&yes.hash, b"0000000000000abc100000000000000000000000");
            assert_eq!(&no.hash, b"0000000000000def200000000000000000000000");
            assert_eq!([yes.top, no.top], [[250_000, 800_000], [200_000, 750_000]]);
            assert_eq!([yes.timestamp, no.timestamp], [1_790_491_135_816; 2]);
        }
    }

    #[test]
    fn numbers_are_millionths() {
        assert_eq!(number(b"0.42\"", 0), Some((420_000, 4)));
        assert_eq!(number(b"503.32\"", 0), Some((503_320_000, 6)));
        assert_eq!(number(b"1\"", 0), Some((1_000_000, 1)));
        assert_eq!(number(b"1", 0), None);
    }
}

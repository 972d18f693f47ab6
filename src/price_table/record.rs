//! One record: best prices and state of a book, behind a sequence lock.
//!
//! Runs on:  one writer, any number of readers, in any process (pure).
//!
//! A sequence number that is odd, or that differs after the read, means that the writer was at work: the reader reads
//! again. The writer never waits. Each word is an atomic, so that a read beside a write is defined.
use crate::base::price::{Price, Quantity};
use crate::market::book::{BookState, Level, StaleReason};
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// 64-bit words of a record: three cache lines, of which the first has all that changes while a book is open.
pub const RECORD_WORDS: usize = 24;
/// Words of the first cache line behind the sequence number.
pub const QUOTE_WORDS: usize = 7;
/// Words of the token, padded with zeros.
pub const TOKEN_WORDS: usize = 10;
/// Words of the venue's name, padded with zeros.
pub const VENUE_WORDS: usize = 2;

const _: () = assert!(1 + QUOTE_WORDS + TOKEN_WORDS + VENUE_WORDS <= RECORD_WORDS);

/// State of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordState {
    /// Of no book.
    Free = 0,
    /// The first snapshot has not come.
    Awaiting = 1,
    /// The book follows the venue.
    Live = 2,
    /// The book is known to be behind; the prices are its last.
    Stale = 3,
}

/// What the first cache line has of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Best bid; a quantity of zero where there is none.
    pub bid: Level,
    /// Best ask; a quantity of zero where there is none.
    pub ask: Level,
    /// Messages that had changed the book.
    pub version: u64,
    /// Venue time of the last of them, milliseconds since the Unix epoch.
    pub venue_ms: u64,
    /// When the frame was read that this is of, or since when the book is stale, nanoseconds since the Unix epoch.
    pub received_ns: u64,
    /// Price of the last trade; zero where none was seen.
    pub last_trade: Price,
    /// State of the record.
    pub state: u8,
    /// Why the book is stale; 0 where it is not.
    pub reason: u8,
    /// Books that the record has had before.
    pub generation: u16,
}

impl Quote {
    /// The words behind the sequence number.
    #[must_use]
    pub const fn to_words(self) -> [u64; QUOTE_WORDS] {
        let last = self.last_trade.0 as u64
            | (self.state as u64) << 32
            | (self.reason as u64) << 40
            | (self.generation as u64) << 48;
        [
            self.bid.price.0 as u64 | (self.ask.price.0 as u64) << 32,
            self.bid.quantity.0,
            self.ask.quantity.0,
            self.version,
            self.venue_ms,
            self.received_ns,
            last,
        ]
    }

    /// The reverse of [`Quote::to_words`].
    pub const fn from_words(words: [u64; QUOTE_WORDS]) -> Self {
        let [prices, bid, ask, version, venue_ms, received_ns, last] = words;
        Self {
            bid: Level { price: Price(prices as u32), quantity: Quantity(bid) },
            ask: Level { price: Price((prices >> 32) as u32), quantity: Quantity(ask) },
            version,
            venue_ms,
            received_ns,
            last_trade: Price(last as u32),
            state: (last >> 32) as u8,
            reason: (last >> 40) as u8,
            generation: (last >> 48) as u16,
        }
    }

    /// Whether prices, quantities, last trade and state are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { version, venue_ms, received_ns, .. } = *other;
        Self { version, venue_ms, received_ns, ..*self } == *other
    }
}

/// State and reason of a record whose book is in this state.
pub const fn state_of(state: BookState) -> (u8, u8) {
    match state {
        BookState::AwaitingSnapshot => (RecordState::Awaiting as u8, 0),
        BookState::Live => (RecordState::Live as u8, 0),
        BookState::Stale { why, .. } => (RecordState::Stale as u8, reason_of(why)),
    }
}

const fn reason_of(why: StaleReason) -> u8 {
    match why {
        StaleReason::Disconnected => 1,
        StaleReason::FramesLost => 2,
        StaleReason::TooManyLevels => 3,
        StaleReason::UndecodedMessage => 4,
        StaleReason::Disproved => 5,
        StaleReason::Behind => 6,
        StaleReason::Moving => 7,
        StaleReason::TimesDisagree => 8,
    }
}

/// The words of one record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(pub &'a [AtomicU64]);

impl Record<'_> {
    /// Writes a quote. Only for the one writer of the record.
    #[inline]
    pub fn write(&self, quote: Quote) {
        self.change(|words| store(&words[1..], &quote.to_words()));
    }

    /// Writes a quote, and the book that it is of from now on. Only for the one writer of the record.
    pub fn write_all(&self, quote: Quote, token: &[u8], venue: &[u8]) {
        let token: [u64; TOKEN_WORDS] = packed(token);
        let venue: [u64; VENUE_WORDS] = packed(venue);
        self.change(|words| {
            store(&words[1..], &quote.to_words());
            store(&words[1 + QUOTE_WORDS..], &token);
            store(&words[1 + QUOTE_WORDS + TOKEN_WORDS..], &venue);
        });
    }

    /// What this writer has written last.
    #[inline]
    pub fn own(&self) -> Quote {
        Quote::from_words(load(&self.0[1..]))
    }

    /// The quote, whole; tries again while the writer is at work.
    #[inline]
    pub fn read(&self) -> Quote {
        Quote::from_words(self.read_words(1))
    }

    /// Quote and token, whole; tries again while the writer is at work.
    pub fn read_all(&self) -> (Quote, String) {
        let words: [u64; QUOTE_WORDS + TOKEN_WORDS] = self.read_words(1);
        let (quote, token) = words.split_at(QUOTE_WORDS);
        let bytes: Vec<u8> = token.iter().flat_map(|word| word.to_le_bytes()).collect();
        let token = String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        (Quote::from_words(quote.try_into().expect("the words of a quote")), token)
    }

    fn change(&self, store_words: impl FnOnce(&[AtomicU64])) {
        // Odd already where a process was killed while it wrote.
        let odd = self.0[0].load(Ordering::Relaxed) | 1;
        self.0[0].store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        store_words(self.0);
        self.0[0].store(odd.wrapping_add(1), Ordering::Release);
    }

    #[inline]
    fn read_words<const N: usize>(&self, first: usize) -> [u64; N] {
        loop {
            let before = self.0[0].load(Ordering::Acquire);
            let words = load(&self.0[first..]);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.0[0].load(Ordering::Relaxed) == before {
                return words;
            }
            std::hint::spin_loop();
        }
    }
}

#[inline]
fn store(to: &[AtomicU64], words: &[u64]) {
    to.iter().zip(words).for_each(|(to, word)| to.store(*word, Ordering::Relaxed));
}

#[inline]
fn load<const N: usize>(from: &[AtomicU64]) -> [u64; N] {
    let from = &from[..N];
    std::array::from_fn(|place| from[place].load(Ordering::Relaxed))
}

/// Text as little-endian words, padded with zeros.
fn packed<const N: usize>(text: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, part) in words.iter_mut().zip(text.chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        *word = u64::from_le_bytes(bytes);
    }
    words
}

#[cfg(test)]
mod tests;

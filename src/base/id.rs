//! Identifiers: the venue's (tokens, markets) as text, the engine's as small integers.
//!
//! Runs on:  any (pure).
use std::fmt;

/// Maximum length of a token id, bytes: a uint256 in decimal has 78 digits.
pub const TOKEN_BYTES_MAX: usize = 78;
/// Maximum length of a venue name, bytes.
pub const VENUE_BYTES_MAX: usize = 16;
/// Maximum length of a market id, bytes: `0x` and 64 hexadecimal digits.
pub const MARKET_BYTES_MAX: usize = 66;

/// ASCII letters, digits, `-`, `_` and `.`, 1 to `N` bytes, stored in place.
///
/// Bytes beyond `len` are zero, so that equality and hashing depend on the text only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

/// A token (one outcome of a market): a uint256 in decimal, or a ticker for venues with one book per market.
pub type TokenId = ShortText<TOKEN_BYTES_MAX>;
/// A market: a condition id (`0x` and 62 or 64 hexadecimal digits) or a ticker.
pub type MarketId = ShortText<MARKET_BYTES_MAX>;

/// Identifies a trade: a transaction hash (`0x` and 64 hexadecimal digits) or a UUID.
pub type TradeId = ShortText<MARKET_BYTES_MAX>;

/// A venue, by its name in files, tables and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Venue(ShortText<VENUE_BYTES_MAX>);

impl Venue {
    /// The venue of this name.
    ///
    /// # Panics
    /// If the name is longer than [`VENUE_BYTES_MAX`] or no valid [`ShortText`].
    #[must_use]
    pub const fn named(name: &str) -> Self {
        Self(ShortText::new_const(name))
    }

    /// [`Venue::named`] for a name read from a file; `None` if it is invalid.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        ShortText::new(name).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_str()
    }
}

impl<const N: usize> ShortText<N> {
    const FITS: () = assert!(N <= u8::MAX as usize);

    const fn new_const(text: &str) -> Self {
        let () = Self::FITS;
        let from = text.as_bytes();
        assert!(!from.is_empty() && from.len() <= N, "a name of one to N bytes");
        let mut bytes = [0; N];
        let mut at = 0;
        while at < from.len() {
            assert!(allowed(from[at]), "letters, digits, `-`, `_` and `.` only");
            bytes[at] = from[at];
            at += 1;
        }
        Self { bytes, len: from.len() as u8 }
    }

    /// `None` if `text` is empty, longer than `N` bytes or has other characters than ASCII letters, digits, `-`, `_`
    /// and `.`: ids are used in JSON, URLs and logs without escapes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let () = Self::FITS;
        if text.is_empty() || text.len() > N || !text.bytes().all(allowed) {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { bytes, len: text.len() as u8 })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("only ASCII is stored")
    }

    /// The text's bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether it is this text.
    #[must_use]
    #[inline]
    pub fn is(&self, text: &[u8]) -> bool {
        const { assert!(N <= 32 + 32 + 16, "the parts below cover it") };
        let own = self.as_bytes();
        if own.len() != text.len() {
            return false;
        }
        // Ids are long. Parts of a fixed length, of which the last one overlaps, are compared without a call.
        if text.len() < 64 {
            return own == text;
        }
        own.first_chunk::<32>() == text.first_chunk::<32>()
            && own[32..].first_chunk::<32>() == text[32..].first_chunk::<32>()
            && own.last_chunk::<16>() == text.last_chunk::<16>()
    }
}

impl<const N: usize> fmt::Display for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for ShortText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

const fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A shard, `0..shard count`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A connection, numbered by the control core from 1 and never reused within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// A book within its shard, `0..books ever opened in it`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookIndex(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard-{}", self.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection-{}", self.0)
    }
}

#[cfg(test)]
mod tests;

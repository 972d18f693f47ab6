//! Identifiers: the venue's own (tokens, markets) as text, ours as small integers.
//!
//! Runs on:  any (pure).
use std::fmt;

/// Longest token id accepted, in bytes: a uint256 in decimal has 78 digits.
pub const TOKEN_BYTES_MAX: usize = 78;
/// Longest market id accepted, in bytes: `0x` and 64 hexadecimal digits.
pub const MARKET_BYTES_MAX: usize = 66;

/// ASCII letters, digits, `-`, `_` and `.`, at most `N` bytes, stored in place.
///
/// The bytes beyond `len` are zero, so equality and hashing see the text only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

/// A token (one outcome of a market): Polymarket's `asset_id`, a uint256 in decimal; of a Kalshi market, which is one
/// book in terms of YES, its ticker.
pub type TokenId = ShortText<TOKEN_BYTES_MAX>;
/// A market: Polymarket's condition id, `0x` and 64 hexadecimal digits; Kalshi's ticker.
pub type MarketId = ShortText<MARKET_BYTES_MAX>;

/// What a venue tells trades apart by: Polymarket's transaction hash, `0x` and 64 hexadecimal digits;
/// Kalshi's trade id, a UUID.
pub type TradeId = ShortText<MARKET_BYTES_MAX>;

/// A venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Venue {
    /// Polymarket.
    Polymarket,
    /// Kalshi.
    Kalshi,
}

impl Venue {
    /// Every venue.
    pub const ALL: [Self; 2] = [Self::Polymarket, Self::Kalshi];

    /// The word for it in files, tables and flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polymarket => "polymarket",
            Self::Kalshi => "kalshi",
        }
    }

    /// The venue of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.name() == name)
    }
}

impl<const N: usize> ShortText<N> {
    const FITS: () = assert!(N <= u8::MAX as usize);

    /// `None` when `text` is empty, longer than `N` bytes or holds anything but ASCII letters,
    /// digits, `-`, `_` and `.`: ids go into JSON, URLs and logs as they are.
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
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
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

/// A book within its shard, `0..books ever opened there`.
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
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_compares_by_content() {
        let long = "9".repeat(TOKEN_BYTES_MAX);
        assert_eq!(TokenId::new(&long).unwrap().as_str(), long);
        assert!(TokenId::new(&"9".repeat(TOKEN_BYTES_MAX + 1)).is_none());
        assert!(TokenId::new("").is_none());
        assert!(TokenId::new("12 3").is_none());
        assert!(TokenId::new("12\"").is_none());
        assert!(TokenId::new("12\u{2026}").is_none());
        assert_eq!(TokenId::new("12"), TokenId::new("12"));
        assert_ne!(TokenId::new("12"), TokenId::new("120"));
        assert_eq!(format!("{}", MarketId::new("0xbd31").unwrap()), "0xbd31");
    }
}

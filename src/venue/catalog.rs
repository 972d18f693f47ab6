//! The interface between a venue's catalog and discovery: request paths and parsed pages.
//!
//! Runs on:  the control core (pure).
use crate::base::id::{MarketId, TokenId};
use crate::market::info::ExchangeStatus;

pub use super::polymarket::catalog::Page;
pub use super::skip::{SkipReason, Skipped};

/// Position of a catalog scan; the default is its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Part of the catalog being read, for a venue whose catalog is read in parts.
    pub part: u8,
    /// The venue's cursor; `None` at the beginning of a part.
    pub at: Option<String>,
}

impl Cursor {
    /// Length of the venue's cursor, bytes.
    pub fn bytes(&self) -> usize {
        self.at.as_ref().map_or(0, String::len)
    }
}

/// Characters of a response of unknown shape that its error shows.
const SHAPE_CHARS_SHOWN: usize = 80;

/// Why a response cannot be used at all. *Retry the request.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Invalid JSON (an error page of a proxy, or truncated).
    #[error("catalog: no JSON at byte {offset}")]
    NotJson {
        /// Byte offset of the error.
        offset: usize,
    },
    /// Nested deeper than [`JSON_DEPTH_MAX`](crate::base::limits::JSON_DEPTH_MAX).
    #[error("catalog: nested too deeply at byte {offset}")]
    TooDeep {
        /// Byte offset of the first such value.
        offset: usize,
    },
    /// JSON of an unknown shape.
    #[error("catalog: no {expected}: {start}")]
    UnknownShape {
        /// The shape expected.
        expected: &'static str,
        /// The beginning of the response.
        start: String,
    },
}

impl CatalogError {
    pub(super) fn unknown_shape(expected: &'static str, response: &str) -> Self {
        Self::UnknownShape { expected, start: response.chars().take(SHAPE_CHARS_SHOWN).collect() }
    }
}

/// A venue's catalog of markets over REST: request paths and parsers.
pub trait Catalog {
    /// Path of the scan page at `cursor`.
    fn scan_path(&self, cursor: &Cursor) -> String;

    /// Position after the page at `cursor`, whose `next_cursor` is `next`; `None` at the end of the scan.
    fn next_cursor(&self, cursor: &Cursor, next: Option<String>) -> Option<Cursor> {
        next.map(|next| Cursor { part: cursor.part, at: Some(next) })
    }

    /// Path that returns the state of markets that may have closed.
    fn confirm_path(&self, markets: &[MarketId]) -> String;

    /// Number of leading `markets` that fit into one [`Catalog::confirm_path`].
    fn confirm_count(&self, markets: &mut dyn Iterator<Item = &MarketId>) -> usize;

    /// Path of one market by its id.
    fn market_path(&self, market: &MarketId) -> String;

    /// Path of one market by its slug.
    fn slug_path(&self, slug: &str) -> String;

    /// Path of the market of a token. Where a token id has two forms, `other` selects the less likely one.
    fn token_path(&self, token: &TokenId, other: bool) -> String;

    /// Whether a token not found by [`Catalog::token_path`] may be found with `other`.
    fn has_other_tokens(&self) -> bool {
        false
    }

    /// Whether `name` has the form of a market's name.
    fn may_list(&self, name: &str) -> bool {
        !name.is_empty()
    }

    /// Whether `token` has the form of this venue's token ids.
    fn may_have_token(&self, token: &TokenId) -> bool {
        let _ = token;
        true
    }

    /// Description of a token id's form, for error messages.
    fn token_form(&self) -> &'static str {
        "any id"
    }

    /// Whether scans omit this market because combinations of markets are not followed.
    fn excludes(&self, market: &MarketId) -> bool {
        let _ = market;
        false
    }

    /// Path of the exchange status, if the venue has one.
    fn status_path(&self) -> Option<&'static str> {
        None
    }

    /// Parses an exchange status; `None` if it cannot be read.
    fn parse_status(&self, body: &[u8]) -> Option<ExchangeStatus> {
        let _ = body;
        None
    }

    /// Parses a page.
    ///
    /// # Errors
    /// The response as a whole cannot be used: *retry the request*.
    fn parse_page(&self, body: &[u8]) -> Result<Page, CatalogError>;
}

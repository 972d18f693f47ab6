//! The seam between a venue's catalogue and discovery: paths to ask, and what pages mean.
//!
//! Runs on:  the control core (pure).
use crate::base::id::{MarketId, TokenId};
use crate::market::info::ExchangeStatus;

pub use super::polymarket::catalog::{CatalogError, Page};
pub use super::skip::{SkipReason, Skipped};

/// Where a scan goes on; the default is its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which part of the catalogue is being read, where a venue's is read in parts.
    pub part: u8,
    /// The venue's own cursor; `None` at the beginning of a part.
    pub at: Option<String>,
}

impl Cursor {
    /// Bytes of the venue's own cursor.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.at.as_ref().map_or(0, String::len)
    }
}

/// A venue's catalogue of markets over REST: paths, and what answers mean.
pub trait Catalogue {
    /// The page of a scan that begins at a cursor.
    fn scan_path(&self, cursor: &Cursor) -> String;

    /// Where a scan goes on behind the page at `cursor`, whose own next cursor is `next`; `None` at the end.
    fn next_cursor(&self, cursor: &Cursor, next: Option<String>) -> Option<Cursor> {
        next.map(|next| Cursor { part: cursor.part, at: Some(next) })
    }

    /// Markets that may have closed.
    fn confirm_path(&self, markets: &[MarketId]) -> String;

    /// How many of these markets, from the first on, fit into one such question.
    fn confirm_count(&self, markets: &mut dyn Iterator<Item = &MarketId>) -> usize;

    /// One market by its id.
    fn market_path(&self, market: &MarketId) -> String;

    /// One market by its readable name.
    fn slug_path(&self, slug: &str) -> String;

    /// The market of a token. Where a token may be of several kinds, `other` asks for the less likely one.
    fn token_path(&self, token: &TokenId, other: bool) -> String;

    /// Whether a token that is not found by [`Catalogue::token_path`] may be found by its other form.
    fn has_other_tokens(&self) -> bool {
        false
    }

    /// Whether a market may be called so, by the form of the name.
    fn may_list(&self, name: &str) -> bool {
        !name.is_empty()
    }

    /// Whether a token may have this id, by its form.
    fn may_have_token(&self, token: &TokenId) -> bool {
        let _ = token;
        true
    }

    /// What the id of a token looks like, for people.
    fn token_form(&self) -> &'static str {
        "any id"
    }

    /// Whether a scan leaves this market out because combinations of markets are not asked for.
    fn leaves_out(&self, market: &MarketId) -> bool {
        let _ = market;
        false
    }

    /// What to ask for the state of the whole exchange, where there is such a thing.
    fn status_path(&self) -> Option<&'static str> {
        None
    }

    /// Reads an answer about the state of the whole exchange.
    fn parse_status(&self, body: &[u8]) -> Option<ExchangeStatus> {
        let _ = body;
        None
    }

    /// Reads a page.
    ///
    /// # Errors
    /// The answer as a whole is unusable: *retry the request*.
    fn parse_page(&self, body: &[u8]) -> Result<Page, CatalogError>;
}

//! The seam between a venue's catalogue and discovery: paths to ask, and what pages mean.
//!
//! Runs on:  the control core (pure).
use super::{Feed, kalshi, kalshi::catalog::EventFilter, polymarket};
use crate::base::id::{MarketId, TokenId};
use crate::base::limits;
use crate::market::info::ExchangeStatus;

pub use super::polymarket::catalog::{CatalogError, Page};
pub use super::skip::{SkipReason, Skipped};

/// Which part of a catalogue is being read, where a scan reads it in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Part {
    /// What trades, or all.
    #[default]
    Open,
    /// What has not begun.
    Unopened,
}

/// Where a scan goes on; the default is its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    part: Part,
    /// The venue's own cursor; `None` at the beginning of a part.
    at: Option<String>,
}

impl Cursor {
    /// Bytes of the venue's own cursor.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.at.as_ref().map_or(0, String::len)
    }
}

/// A venue's catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Catalogue {
    /// Polymarket's Gamma API.
    #[default]
    Polymarket,
    /// Kalshi's REST API.
    Kalshi {
        /// Whether combos are listed too.
        combos: bool,
    },
}

impl From<Feed> for Catalogue {
    fn from(feed: Feed) -> Self {
        match feed {
            Feed::Polymarket { .. } => Self::Polymarket,
            Feed::Kalshi { combos } => Self::Kalshi { combos },
        }
    }
}

impl Catalogue {
    /// The page of a scan that begins at a cursor.
    #[must_use]
    pub fn scan_path(self, cursor: &Cursor) -> String {
        let at = cursor.at.as_deref();
        match (self, cursor.part) {
            (Self::Polymarket, _) => polymarket::catalog::scan_path(at),
            (Self::Kalshi { combos: true }, _) => kalshi::catalog::markets_scan_path(at, true),
            (Self::Kalshi { .. }, Part::Open) => {
                kalshi::catalog::events_path(EventFilter::Open, at)
            }
            (Self::Kalshi { .. }, Part::Unopened) => {
                kalshi::catalog::events_path(EventFilter::Unopened, at)
            }
        }
    }

    /// Where a scan goes on behind the page at `cursor`, whose own next cursor is `next`; `None` at the end.
    #[must_use]
    pub fn next_cursor(self, cursor: &Cursor, next: Option<String>) -> Option<Cursor> {
        let in_parts = self == (Self::Kalshi { combos: false });
        match (next, cursor.part) {
            (Some(next), part) => Some(Cursor { part, at: Some(next) }),
            (None, Part::Open) if in_parts => Some(Cursor { part: Part::Unopened, at: None }),
            (None, _) => None,
        }
    }

    /// Requests per second, all kinds together. Kalshi's lowest tier has 20 (kalshi/protocol.md, 4), which the user may
    /// need for other programs too.
    #[must_use]
    pub const fn requests_per_second(self) -> u64 {
        match self {
            Self::Polymarket => limits::DISCOVERY_PAGES_PER_SECOND,
            Self::Kalshi { .. } => limits::DISCOVERY_PAGES_PER_SECOND / 2,
        }
    }

    /// How many of these markets, from the first on, fit into one question about markets that may have closed.
    #[must_use]
    pub fn confirm_count<'m>(self, markets: impl Iterator<Item = &'m MarketId>) -> usize {
        match self {
            Self::Polymarket => polymarket::catalog::conditions_per_request(markets),
            Self::Kalshi { .. } => markets.take(limits::KALSHI_TICKERS_PER_REQUEST).count(),
        }
    }

    /// Markets that may have closed.
    #[must_use]
    pub fn confirm_path(self, markets: &[MarketId]) -> String {
        match self {
            Self::Polymarket => polymarket::catalog::conditions_path(markets, true),
            Self::Kalshi { .. } => kalshi::catalog::markets_path(markets),
        }
    }

    /// One market by its id.
    #[must_use]
    pub fn market_path(self, market: &MarketId) -> String {
        let only = std::slice::from_ref(market);
        match self {
            Self::Polymarket => polymarket::catalog::conditions_path(only, false),
            Self::Kalshi { .. } => kalshi::catalog::markets_path(only),
        }
    }

    /// One market by its readable name: of Kalshi's the ticker.
    #[must_use]
    pub fn slug_path(self, slug: &str) -> String {
        match (self, MarketId::new(slug)) {
            (Self::Kalshi { .. }, Some(market)) => self.market_path(&market),
            // Asked for as it is, so that the venue says that there is none.
            _ => polymarket::catalog::slug_path(slug),
        }
    }

    /// The market of a token. Where a token may be of several kinds, `other` asks for the less likely one.
    #[must_use]
    pub fn token_path(self, token: &TokenId, other: bool) -> String {
        match (self, MarketId::new(token.as_str())) {
            (Self::Kalshi { .. }, Some(market)) => self.market_path(&market),
            _ => polymarket::catalog::token_path(token, other),
        }
    }

    /// Whether a token that is not found by [`Catalogue::token_path`] may be found by its other form.
    #[must_use]
    pub const fn has_other_tokens(self) -> bool {
        matches!(self, Self::Polymarket)
    }

    /// Whether a market may be called so, by the form of the name. Kalshi's tickers are in capitals.
    #[must_use]
    pub fn may_list(self, name: &str) -> bool {
        match self {
            Self::Polymarket => !name.is_empty(),
            Self::Kalshi { .. } => kalshi::catalog::is_ticker(name),
        }
    }

    /// Whether a token may have this id, by its form: Polymarket's are decimal numbers, Kalshi's are tickers.
    #[must_use]
    pub fn may_have_token(self, token: &TokenId) -> bool {
        match self {
            Self::Polymarket => polymarket::catalog::is_token(token.as_str()),
            Self::Kalshi { .. } => kalshi::catalog::is_ticker(token.as_str()),
        }
    }

    /// What the id of a token looks like, for people.
    #[must_use]
    pub const fn token_form(self) -> &'static str {
        match self {
            Self::Polymarket => "decimal",
            Self::Kalshi { .. } => "a ticker in capitals",
        }
    }

    /// Whether a scan leaves this market out because combinations of markets are not asked for.
    #[must_use]
    pub fn leaves_out(self, market: &MarketId) -> bool {
        self == (Self::Kalshi { combos: false }) && kalshi::catalog::is_combo(market)
    }

    /// What to ask for the state of the whole exchange, where there is such a thing.
    #[must_use]
    pub const fn status_path(self) -> Option<&'static str> {
        match self {
            Self::Polymarket => None,
            Self::Kalshi { .. } => Some(kalshi::catalog::status_path()),
        }
    }

    /// Reads an answer about the state of the whole exchange.
    #[must_use]
    pub fn parse_status(self, body: &[u8]) -> Option<ExchangeStatus> {
        match self {
            Self::Polymarket => None,
            Self::Kalshi { .. } => kalshi::catalog::parse_exchange_status(body).ok(),
        }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// The answer as a whole is unusable: *retry the request*.
    pub fn parse_page(self, body: &[u8]) -> Result<Page, CatalogError> {
        match self {
            Self::Polymarket => polymarket::catalog::parse_page(body),
            Self::Kalshi { .. } => kalshi::catalog::parse_page(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_of_kalshi_goes_over_open_events_and_then_over_those_to_come() {
        let catalogue = Catalogue::Kalshi { combos: false };
        let mut cursor = Some(Cursor::default());
        let mut paths = Vec::new();
        for next in [Some("a"), None, Some("b"), None] {
            let at = cursor.unwrap();
            paths.push(catalogue.scan_path(&at));
            cursor = catalogue.next_cursor(&at, next.map(str::to_owned));
        }
        assert_eq!(cursor, None);
        let has = |place: usize, words: [&str; 2]| words.iter().all(|w| paths[place].contains(w));
        assert!(has(0, ["status=open", "with_nested_markets=true"]), "{paths:?}");
        assert!(!paths[0].contains("cursor=") && !paths[2].contains("cursor="), "{paths:?}");
        assert!(has(1, ["status=open", "cursor=a"]) && has(2, ["status=unopened", "limit=200"]));
        assert!(has(3, ["status=unopened", "cursor=b"]), "{paths:?}");
        assert_eq!(Catalogue::Polymarket.next_cursor(&Cursor::default(), None), None);
    }

    /// A cursor is the venue's own text, whatever it says.
    #[test]
    fn a_cursor_that_looks_like_a_word_of_ours_stays_in_its_part() {
        let catalogue = Catalogue::Kalshi { combos: false };
        let next = catalogue.next_cursor(&Cursor::default(), Some("unopened x".into())).unwrap();
        let path = catalogue.scan_path(&next);
        assert!(path.contains("status=open") && path.contains("cursor=unopened"), "{path}");
    }

    #[test]
    fn a_venue_without_a_state_of_the_exchange_reads_none() {
        let body = br#"{"exchange_active":true,"trading_active":true}"#;
        assert_eq!(Catalogue::Polymarket.parse_status(body), None);
        assert!(Catalogue::Kalshi { combos: false }.parse_status(body).is_some());
    }
}

//! Polymarket: market channel and catalog.
//! `polymarket/protocol.md`, in the repository, has the facts of the protocol with their sources.
//!
//! Runs on:  any (pure).
pub mod catalog;
pub mod decode;
pub mod message;
pub(super) mod outline;
pub(super) mod scan;
pub mod subscribe;
pub mod subscription;

use super::catalog::{CatalogError, Cursor, Page};
use super::protocol::BooksQuestion;
use super::{Capabilities, Catalog, Decoder, Feed, Protocol, Role, SubscriptionProtocol};
use crate::base::id::{MarketId, TokenId, Venue};

/// The venue.
pub const VENUE: Venue = Venue::named("polymarket");

/// The venue with its options.
#[derive(Debug)]
struct Polymarket {
    /// Subscribe to `new_market`, `market_resolved` and `best_bid_ask` too.
    custom_features: bool,
}

/// The market channel and the Gamma API; `custom_features` subscribes to `new_market`, `market_resolved` and
/// `best_bid_ask` too.
pub const fn feed(custom_features: bool) -> Feed {
    if custom_features {
        &Polymarket { custom_features: true }
    } else {
        &Polymarket { custom_features: false }
    }
}

impl Protocol for Polymarket {
    fn venue(&self) -> Venue {
        VENUE
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { heartbeat: subscribe::PING, currency: "USDC.e", ..Capabilities::USUAL }
    }

    fn address_flags(&self) -> [&'static str; 2] {
        ["--gamma-url", "--ws-url"]
    }

    fn service_names(&self) -> [&'static str; 2] {
        ["polymarket-gamma", "polymarket-clob"]
    }

    fn stream_name(&self) -> &'static str {
        "polymarket-ws"
    }

    fn subscription(&self, _role: Role) -> Box<dyn SubscriptionProtocol> {
        Box::new(subscription::Subscriptions::new(self.custom_features))
    }

    fn decoder(&self) -> Decoder {
        Decoder::Polymarket(decode::Decoder::default())
    }

    fn books_request(&self, tokens: &[TokenId]) -> BooksQuestion {
        let path = subscribe::BOOKS_PATH.to_owned();
        BooksQuestion { path, body: Some(subscribe::books_body(tokens)) }
    }

    fn recognizes(&self, frame: &str) -> bool {
        frame.contains(r#""event_type""#) && !frame.contains(r#""msg""#)
    }
}

impl Catalog for Polymarket {
    fn scan_path(&self, cursor: &Cursor) -> String {
        catalog::scan_path(cursor.at.as_deref())
    }

    fn confirm_path(&self, markets: &[MarketId]) -> String {
        catalog::conditions_path(markets, true)
    }

    fn confirm_count(&self, markets: &mut dyn Iterator<Item = &MarketId>) -> usize {
        catalog::conditions_per_request(markets)
    }

    fn market_path(&self, market: &MarketId) -> String {
        catalog::conditions_path(std::slice::from_ref(market), false)
    }

    fn slug_path(&self, slug: &str) -> String {
        catalog::slug_path(slug)
    }

    fn token_path(&self, token: &TokenId, other: bool) -> String {
        catalog::token_path(token, other)
    }

    fn has_other_tokens(&self) -> bool {
        true
    }

    fn may_have_token(&self, token: &TokenId) -> bool {
        catalog::is_token(token.as_str())
    }

    fn token_form(&self) -> &'static str {
        "decimal"
    }

    fn parse_page(&self, body: &[u8]) -> Result<Page, CatalogError> {
        catalog::parse_page(body)
    }
}

//! Kalshi: WebSocket v2 and catalog.
//! `kalshi/protocol.md`, in the repository, has the facts of the protocol with their sources.
//!
//! Runs on:  any (pure).
pub mod catalog;
pub mod command;
pub mod decode;
pub mod message;
pub mod orderbooks;
pub(super) mod scan;
pub mod sign;
pub mod subscription;

use super::catalog::{CatalogError, Cursor, Page};
use super::protocol::BooksQuestion;
use super::{Capabilities, Catalog, Decoder, Feed, Protocol, Role, SubscriptionProtocol, Updates};
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::limits;
use crate::base::policy::ConnectionTable;
use crate::base::price::Price;
use crate::market::info::{ExchangeStatus, Resolution};
use catalog::{EventFilter, MarketFilter};

/// The venue.
pub const VENUE: Venue = Venue::named("kalshi");

/// 150 connections, 50 below a user's default limit (kalshi/protocol.md, 1); tickers, trades and lifecycle are
/// redundant pairs.
pub const CONNECTIONS: ConnectionTable =
    ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 144 };

/// Maximum length of a result, bytes. The venue's longest is `scalar`.
const RESULT_BYTES_MAX: usize = 32;

/// Sustained requests per second and burst of the lowest tier: 200 tokens per second at 10 per request, burst of two
/// seconds (kalshi/protocol.md, 4).
pub const REST_RATE: (u32, u32) = (20, 40);

/// Parts of a scan: events with an open market (with combos: open markets), events with an unopened market, paused
/// markets.
const OPEN: u8 = 0;
const UNOPENED: u8 = 1;
const PAUSED: u8 = 2;

/// The venue with its options.
#[derive(Debug)]
struct Kalshi {
    /// Follow combos (`KXMVE` tickers; kalshi/protocol.md, 3.5).
    combos: bool,
}

/// WebSocket v2 and trade-api v2; `combos` follows combos too (`KXMVE` tickers; kalshi/protocol.md, 3.5).
pub const fn feed(combos: bool) -> Feed {
    if combos { &Kalshi { combos: true } } else { &Kalshi { combos: false } }
}

impl Protocol for Kalshi {
    fn venue(&self) -> Venue {
        VENUE
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            updates: Updates::Sequenced,
            opens_by_clock: true,
            shared_streams: true,
            table: Some(CONNECTIONS),
            tokens_per_connection_max: limits::MARKETS_PER_SUBSCRIPTION_MAX,
            // The venue sends WebSocket pings every 10 s (kalshi/protocol.md, 1).
            heartbeat: "",
            backoff_max_ns: limits::SIGNED_BACKOFF_MAX_NS,
            rest_rate: Some(REST_RATE),
            // The lowest tier allows 20 (kalshi/protocol.md, 4), shared with the user's other programs.
            catalog_requests_per_second: limits::DISCOVERY_PAGES_PER_SECOND / 2,
            books_request_limits: (orderbooks::BOOKS_PER_REQUEST, orderbooks::REQUESTS_PER_SECOND),
            currency: "USD",
        }
    }

    fn address_flags(&self) -> [&'static str; 2] {
        ["--kalshi-rest-url", "--kalshi-ws-url"]
    }

    fn service_names(&self) -> [&'static str; 2] {
        ["kalshi-rest", "kalshi-rest"]
    }

    fn stream_name(&self) -> &'static str {
        "kalshi-ws"
    }

    fn subscription(&self, role: Role) -> Box<dyn SubscriptionProtocol> {
        Box::new(subscription::Subscriptions::new(command::Channel::of(role)))
    }

    fn decoder(&self) -> Decoder {
        Decoder::Kalshi(decode::Decoder::default())
    }

    fn books_request(&self, tokens: &[TokenId]) -> BooksQuestion {
        BooksQuestion { path: orderbooks::books_path(tokens), body: None }
    }

    fn recognizes(&self, frame: &str) -> bool {
        let mut decoder = decode::Decoder::default();
        let outline = decoder.outline(frame);
        outline.sequence.is_some() || outline.subscription.is_some() || outline.market.is_some()
    }
}

impl Catalog for Kalshi {
    fn scan_path(&self, cursor: &Cursor) -> String {
        let at = cursor.at.as_deref();
        match cursor.part {
            UNOPENED => catalog::events_path(EventFilter::Unopened, at),
            PAUSED => catalog::markets_scan_path(MarketFilter::Paused, at, self.combos),
            _ if self.combos => catalog::markets_scan_path(MarketFilter::Open, at, true),
            _ => catalog::events_path(EventFilter::Open, at),
        }
    }

    fn next_cursor(&self, cursor: &Cursor, next: Option<String>) -> Option<Cursor> {
        let part = match (&next, cursor.part) {
            (Some(_), part) => part,
            (None, OPEN) => UNOPENED,
            (None, UNOPENED) => PAUSED,
            (None, _) => return None,
        };
        Some(Cursor { part, at: next })
    }

    fn confirm_path(&self, markets: &[MarketId]) -> String {
        catalog::markets_path(markets)
    }

    fn confirm_count(&self, markets: &mut dyn Iterator<Item = &MarketId>) -> usize {
        markets.take(catalog::TICKERS_PER_REQUEST).count()
    }

    fn market_path(&self, market: &MarketId) -> String {
        catalog::markets_path(std::slice::from_ref(market))
    }

    /// A market's slug is its ticker.
    fn slug_path(&self, slug: &str) -> String {
        catalog::ticker_path(slug)
    }

    fn token_path(&self, token: &TokenId, _other: bool) -> String {
        catalog::ticker_path(token.as_str())
    }

    fn may_list(&self, name: &str) -> bool {
        catalog::is_ticker(name)
    }

    fn may_have_token(&self, token: &TokenId) -> bool {
        catalog::is_ticker(token.as_str())
    }

    fn token_form(&self) -> &'static str {
        "a ticker in capitals"
    }

    fn excludes(&self, market: &MarketId) -> bool {
        !self.combos && catalog::is_combo(market)
    }

    fn status_path(&self) -> Option<&'static str> {
        Some(catalog::status_path())
    }

    fn parse_status(&self, body: &[u8]) -> Option<ExchangeStatus> {
        catalog::parse_exchange_status(body).ok()
    }

    fn parse_page(&self, body: &[u8]) -> Result<Page, CatalogError> {
        catalog::parse_page(body)
    }
}

/// The resolution from `result` and `settlement_value` of YES (kalshi/protocol.md, 3.4). An empty result is undecided;
/// any other text is stored.
fn resolution(token: TokenId, result: Option<&str>, settles_at: Option<Price>) -> Resolution {
    let text = result.unwrap_or("").trim();
    let text = &text[..text.floor_char_boundary(RESULT_BYTES_MAX)];
    if text.is_empty() {
        return Resolution::default();
    }
    let result = text.to_ascii_lowercase();
    let implied = match result.as_str() {
        "yes" => Some(Price::ONE),
        "no" => Some(Price::ZERO),
        _ => None,
    };
    Resolution {
        winner: (result == "yes").then_some(token),
        settlement_value: settles_at.filter(|value| *value <= Price::ONE).or(implied),
        result: Some(result),
    }
}

#[cfg(test)]
mod tests;

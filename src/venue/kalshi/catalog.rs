//! The catalog (trade-api v2): request paths and response parsers.
//!
//! Runs on:  the control core (pure).
//! Bounds:   the caller limits a response to [`limits::REST_BODY_BYTES_MAX`]; strings are cut at
//!           [`limits::CATALOG_TEXT_BYTES_MAX`].
//!
//! A market is one book in terms of YES, whose token is the market's ticker. An invalid entry is skipped and reported;
//! the rest of the page is used. Prices and sizes are parsed from their text, never through floating point.
mod entry;
#[cfg(test)]
mod tests;

use crate::base::id::MarketId;
use crate::base::limits;
use crate::base::text::percent_encode;
use crate::market::info::{Closed, ExchangeStatus, MarketInfo};
use crate::venue::catalog::{CatalogError, Page};
use crate::venue::polymarket::catalog::too_deep;
use crate::venue::skip::{SkipReason, Skipped};
use sonic_rs::{JsonValueTrait, LazyValue};

/// Events per page of `/events` (the venue's maximum); about 1,500 markets, 3 MB.
const PAGE_EVENTS: usize = 200;
/// Markets per page of `/markets` (the venue's maximum).
const PAGE_MARKETS: usize = 1_000;
/// Tickers per request; at most 7 kB of path.
pub const TICKERS_PER_REQUEST: usize = 100;

/// A parsed catalog response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KalshiPage {
    /// Markets that trade, are paused or have not opened, in the response's order.
    pub markets: Vec<Listed>,
    /// Entries that could not be used.
    pub skipped: Vec<Skipped>,
    /// Markets whose trading is over, determined or not.
    pub closed: Vec<Closed>,
    /// Cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

/// A market whose trading is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The market. `start` and `end` are the open and close time; the slug is the ticker.
    pub info: MarketInfo,
    /// Open time of a [`MarketPhase::Initialized`] market, nanoseconds since the Unix epoch; the stream sends no
    /// message then. `None` in other phases.
    pub opens_wall_ns: Option<u64>,
    /// Phase.
    pub status: MarketPhase,
}

/// Phase of a market whose trading is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarketPhase {
    /// Opens at its open time.
    Initialized,
    /// Trading.
    Active,
    /// Paused.
    Inactive,
}

/// Parses a response of `/events`, `/events/..`, `/markets` or `/markets/..`.
///
/// # Errors
/// [`CatalogError`] if the response as a whole cannot be used; an invalid entry is in [`KalshiPage::skipped`].
pub fn parse_events_page(body: &[u8]) -> Result<KalshiPage, CatalogError> {
    let root = parse(body)?;
    let mut page = KalshiPage::default();
    let list = |key: &str| root.get(key).filter(JsonValueTrait::is_array);
    let object = |key: &str| root.get(key).filter(JsonValueTrait::is_object);
    if let Some(events) = list("events") {
        for event in entries(&events) {
            add_event(&event, None, &mut page);
        }
    } else if let Some(event) = object("event") {
        // Without `with_nested_markets` the markets are beside their event.
        add_event(&event, list("markets"), &mut page);
    } else if let Some(markets) = list("markets") {
        for market in entries(&markets) {
            add_market(&market, &entry::Event::default(), &mut page);
        }
    } else if let Some(market) = object("market") {
        add_market(&market, &entry::Event::default(), &mut page);
    } else {
        return Err(CatalogError::unknown_shape("events or markets", root.as_raw_str()));
    }
    let cursor = root.get("cursor");
    let cursor = cursor.as_ref().and_then(LazyValue::as_str).filter(|text| !text.is_empty());
    page.next_cursor = cursor.map(str::to_owned);
    Ok(page)
}

/// [`parse_events_page`] as the page type that all venues share.
///
/// # Errors
/// As [`parse_events_page`]: *retry the request*.
pub fn parse_page(body: &[u8]) -> Result<Page, CatalogError> {
    let page = parse_events_page(body)?;
    Ok(Page {
        skipped: page.skipped,
        // Not yet opened markets wait for their start; paused ones keep their book.
        markets: page.markets.into_iter().map(|listed| listed.info).collect(),
        closed: page.closed,
        next_cursor: page.next_cursor,
    })
}

/// Parses a response of `/exchange/status`, which may have HTTP status 500, 503 or 504.
///
/// # Errors
/// [`CatalogError`] if the flags are missing.
pub fn parse_exchange_status(body: &[u8]) -> Result<ExchangeStatus, CatalogError> {
    let root = parse(body)?;
    let flag = |key: &str| root.get(key).as_ref().and_then(LazyValue::as_bool);
    let (Some(exchange_active), Some(trading_active)) =
        (flag("exchange_active"), flag("trading_active"))
    else {
        return Err(CatalogError::unknown_shape("state of the exchange", root.as_raw_str()));
    };
    let resumes = root.get("exchange_estimated_resume_time");
    let resumes_wall_ns = resumes.as_ref().and_then(entry::wall_ns);
    Ok(ExchangeStatus { active: exchange_active, trading: trading_active, resumes_wall_ns })
}

/// Validates the whole text first, so that every value read later is well formed.
fn parse(body: &[u8]) -> Result<LazyValue<'_>, CatalogError> {
    if let Some(offset) = too_deep(body, limits::JSON_DEPTH_MAX) {
        return Err(CatalogError::TooDeep { offset });
    }
    let not_json = |error: sonic_rs::Error| CatalogError::NotJson { offset: error.offset() };
    sonic_rs::from_slice::<serde::de::IgnoredAny>(body).map_err(not_json)?;
    sonic_rs::from_slice(body).map_err(not_json)
}

fn entries<'a>(list: &LazyValue<'a>) -> impl Iterator<Item = LazyValue<'a>> + use<'a> {
    list.clone().into_array_iter().into_iter().flatten().flatten()
}

/// Adds an event's markets, or `beside` if it has none.
fn add_event(value: &LazyValue<'_>, beside: Option<LazyValue<'_>>, page: &mut KalshiPage) {
    let nested = value.get("markets");
    let usable = nested.as_ref().is_none_or(|list| list.is_array() || list.is_null());
    if !value.is_object() || !usable {
        page.skipped.push(Skipped::new(None, value.as_raw_str(), SkipReason::NoObject));
        return;
    }
    let event = entry::Event::read(value);
    let count = |page: &KalshiPage| page.markets.len() + page.closed.len() + page.skipped.len();
    let before = count(page);
    for market in nested.iter().flat_map(entries) {
        add_market(&market, &event, page);
    }
    if before == count(page) {
        for market in beside.iter().flat_map(entries) {
            add_market(&market, &event, page);
        }
    }
    if before == count(page) {
        // An event without markets: the response's structure may have changed.
        let ticker = value.get("event_ticker");
        let ticker = ticker.as_ref().and_then(LazyValue::as_str).unwrap_or_default();
        page.skipped.push(Skipped::new(None, ticker, SkipReason::NoMarkets));
    }
}

fn add_market(value: &LazyValue<'_>, event: &entry::Event, page: &mut KalshiPage) {
    if !value.is_object() {
        page.skipped.push(Skipped::new(None, value.as_raw_str(), SkipReason::NoObject));
        return;
    }
    match entry::Entry::read(value).judge(event) {
        entry::Classified::Listed(listed) => page.markets.push(*listed),
        entry::Classified::Closed(closed) => page.closed.push(closed),
        entry::Classified::Skip(skipped) => page.skipped.push(skipped),
    }
}

// ---- Request paths -------------------------------------------------------------------------

/// Events of a scan: those with at least one market in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// Trading.
    Open,
    /// Not yet opened.
    Unopened,
}

/// One page of the event scan, with nested markets, from the start or from [`KalshiPage::next_cursor`]. Combos are not
/// included.
pub fn events_path(filter: EventFilter, cursor: Option<&str>) -> String {
    let status = match filter {
        EventFilter::Open => "open",
        EventFilter::Unopened => "unopened",
    };
    let limit = PAGE_EVENTS;
    let path =
        format!("/trade-api/v2/events?status={status}&limit={limit}&with_nested_markets=true");
    with_cursor(path, cursor)
}

/// Markets of a scan, by their own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketFilter {
    /// Trading.
    Open,
    /// Paused (state `inactive`); no event filter selects an event all of whose markets are paused.
    Paused,
}

/// One page of markets in this state, without events; with `mve` combos too, of which hundreds are created per minute.
pub fn markets_scan_path(filter: MarketFilter, cursor: Option<&str>, mve: bool) -> String {
    let status = match filter {
        MarketFilter::Open => "open",
        MarketFilter::Paused => "paused",
    };
    let combos = if mve { "" } else { "&mve_filter=exclude" };
    let limit = PAGE_MARKETS;
    with_cursor(format!("/trade-api/v2/markets?limit={limit}&status={status}{combos}"), cursor)
}

/// The first [`TICKERS_PER_REQUEST`] of these markets, in any state.
pub fn markets_path(tickers: &[MarketId]) -> String {
    let mut path = format!("/trade-api/v2/markets?limit={TICKERS_PER_REQUEST}&tickers=");
    for (place, ticker) in tickers.iter().take(TICKERS_PER_REQUEST).enumerate() {
        if place > 0 {
            path.push(',');
        }
        percent_encode(ticker.as_str(), &mut path);
    }
    path
}

/// One market by ticker. A malformed ticker is sent too; the venue then returns an empty list.
pub fn ticker_path(ticker: &str) -> String {
    let mut path = format!("/trade-api/v2/markets?limit={TICKERS_PER_REQUEST}&tickers=");
    percent_encode(ticker, &mut path);
    path
}

/// Whether a market is a combo, by its ticker.
pub fn is_combo(market: &MarketId) -> bool {
    market.as_str().starts_with("KXMVE")
}

/// Whether a text has the form of a ticker: capitals, digits, `-`, `.`, and not digits only.
pub fn is_ticker(text: &str) -> bool {
    let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    !lower && !digits && MarketId::new(text).is_some()
}

/// Path of the exchange status, for [`parse_exchange_status`].
pub const fn status_path() -> &'static str {
    "/trade-api/v2/exchange/status"
}

fn with_cursor(mut path: String, cursor: Option<&str>) -> String {
    if let Some(cursor) = cursor {
        path.push_str("&cursor=");
        percent_encode(cursor, &mut path);
    }
    path
}

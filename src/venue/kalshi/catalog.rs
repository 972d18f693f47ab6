//! The catalogue (trade-api v2): request paths, and what answers say of markets, books, exchange.
//!
//! Runs on:  the control core (pure).
//! Bounds:   one answer's size is the caller's ([`limits::REST_BODY_BYTES_MAX`]); a text taken
//!           from it is cut at [`limits::CATALOGUE_TEXT_BYTES_MAX`].
//!
//! A market is one book in terms of YES, whose token is the market's ticker. One bad entry is
//! skipped and said; it never spoils the page. Prices and sizes are read from their texts, never
//! through floating point.
mod entry;
#[cfg(test)]
mod tests;

use crate::base::id::MarketId;
use crate::base::limits;
use crate::market::info::{Closed, ExchangeStatus, MarketInfo};
use crate::venue::catalogue::{self, Page};
use crate::venue::polymarket::catalog::{percent_encode, too_deep};
use crate::venue::skip::{SkipReason, Skipped};
use sonic_rs::{JsonValueTrait, LazyValue};

/// Events on one page of `/events` (the venue's maximum); about 1,500 markets, 3 MB.
const PAGE_EVENTS: usize = 200;
/// Markets on one page of `/markets` (the venue's maximum).
const PAGE_MARKETS: usize = 1_000;
/// Tickers of one request; 7 kB of path at most.
pub const TICKERS_PER_REQUEST: usize = 100;

/// What one answer of the catalogue says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KalshiPage {
    /// Markets that trade, may trade again, or will, in the answer's order.
    pub markets: Vec<Listed>,
    /// Entries that could not be read.
    pub skipped: Vec<Skipped>,
    /// Markets whose trading is over, decided or not.
    pub closed: Vec<Closed>,
    /// Where the next page begins; `None` on the last one.
    pub next_cursor: Option<String>,
}

/// A market that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The market. Its start and end are the open and close time, its slug is the ticker: that is
    /// the name that the interface takes in its paths.
    pub info: MarketInfo,
    /// When a [`MarketPhase::Initialized`] market opens, nanoseconds since the Unix epoch. The
    /// stream says nothing then: set a timer. `None` in the other phases.
    pub opens_wall_ns: Option<u64>,
    /// Where it is in its life.
    pub status: MarketPhase,
}

/// Where a market that is not over is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarketPhase {
    /// It will open at its open time.
    Initialized,
    /// It trades.
    Active,
    /// It is paused.
    Inactive,
}

/// Why an answer cannot be used at all. *Retry the request.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It is no JSON (an error page of a proxy, or cut off).
    #[error("catalogue: no JSON at byte {offset}")]
    NotJson {
        /// Where it stops being JSON, bytes from the start.
        offset: usize,
    },
    /// It nests deeper than [`limits::JSON_DEPTH_MAX`].
    #[error("catalogue: nested too deeply at byte {offset}")]
    TooDeep {
        /// Where it first does, bytes from the start.
        offset: usize,
    },
    /// It is JSON, but not what was asked for.
    #[error("catalogue: no {wanted}: {start}")]
    UnknownShape {
        /// What was looked for.
        wanted: &'static str,
        /// Its beginning.
        start: String,
    },
}

/// Reads any answer of `/events`, `/events/..`, `/markets` and `/markets/..`.
///
/// # Errors
/// [`CatalogError`] when the answer as a whole is unusable; a bad entry is in
/// [`KalshiPage::skipped`].
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
        // Without `with_nested_markets` they lie beside their event.
        add_event(&event, list("markets"), &mut page);
    } else if let Some(markets) = list("markets") {
        for market in entries(&markets) {
            add_market(&market, &entry::Event::default(), &mut page);
        }
    } else if let Some(market) = object("market") {
        add_market(&market, &entry::Event::default(), &mut page);
    } else {
        return Err(unknown_shape("events or markets", &root));
    }
    let cursor = root.get("cursor");
    let cursor = cursor.as_ref().and_then(LazyValue::as_str).filter(|text| !text.is_empty());
    page.next_cursor = cursor.map(str::to_owned);
    Ok(page)
}

/// The same as any venue's catalogue tells it.
///
/// # Errors
/// As [`parse_events_page`]: *retry the request*.
pub fn parse_page(body: &[u8]) -> Result<Page, catalogue::CatalogError> {
    let page = parse_events_page(body).map_err(|error| match error {
        CatalogError::NotJson { offset } => catalogue::CatalogError::NotJson { offset },
        CatalogError::TooDeep { offset } => catalogue::CatalogError::TooDeep { offset },
        CatalogError::UnknownShape { start, .. } => catalogue::CatalogError::UnknownShape { start },
    })?;
    Ok(Page {
        skipped: page.skipped,
        // One that has not begun waits for its start; a paused one keeps its book.
        markets: page.markets.into_iter().map(|listed| listed.info).collect(),
        closed: page.closed,
        next_cursor: page.next_cursor,
    })
}

/// Reads an answer of `/exchange/status`, which also comes with HTTP 500, 503 and 504.
///
/// # Errors
/// [`CatalogError`] when it does not say whether the exchange works.
pub fn parse_exchange_status(body: &[u8]) -> Result<ExchangeStatus, CatalogError> {
    let root = parse(body)?;
    let flag = |key: &str| root.get(key).as_ref().and_then(LazyValue::as_bool);
    let (Some(exchange_active), Some(trading_active)) =
        (flag("exchange_active"), flag("trading_active"))
    else {
        return Err(unknown_shape("state of the exchange", &root));
    };
    let resumes = root.get("exchange_estimated_resume_time");
    let resumes_wall_ns = resumes.as_ref().and_then(entry::wall_ns);
    Ok(ExchangeStatus { active: exchange_active, trading: trading_active, resumes_wall_ns })
}

/// The whole is checked first, so that below it every value is well formed.
fn parse(body: &[u8]) -> Result<LazyValue<'_>, CatalogError> {
    if let Some(offset) = too_deep(body, limits::JSON_DEPTH_MAX) {
        return Err(CatalogError::TooDeep { offset });
    }
    let not_json = |error: sonic_rs::Error| CatalogError::NotJson { offset: error.offset() };
    sonic_rs::from_slice::<serde::de::IgnoredAny>(body).map_err(not_json)?;
    sonic_rs::from_slice(body).map_err(not_json)
}

fn unknown_shape(wanted: &'static str, root: &LazyValue<'_>) -> CatalogError {
    let start = root.as_raw_str().chars().take(80).collect();
    CatalogError::UnknownShape { wanted, start }
}

fn entries<'a>(list: &LazyValue<'a>) -> impl Iterator<Item = LazyValue<'a>> + use<'a> {
    list.clone().into_array_iter().into_iter().flatten().flatten()
}

/// Adds an event's markets; if it holds none, those `beside` it.
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
        // An event is listed for one of its markets: they are somewhere else now.
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
        entry::Verdict::Listed(listed) => page.markets.push(*listed),
        entry::Verdict::Closed(closed) => page.closed.push(closed),
        entry::Verdict::Skip(skipped) => page.skipped.push(skipped),
    }
}

// ---- Request paths -------------------------------------------------------------------------

/// Which events a scan asks for. An event is among them if one of its markets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// With markets that trade.
    Open,
    /// With markets that will open.
    Unopened,
}

/// One page of the scan: events with all their markets, from the start or from a page's
/// [`KalshiPage::next_cursor`]. Combinations of markets are not among them.
#[must_use]
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

/// One page of the open markets without their events; with `mve` the combinations of markets,
/// too: hundreds of new ones a minute.
#[must_use]
pub fn markets_scan_path(cursor: Option<&str>, mve: bool) -> String {
    let filter = if mve { "" } else { "&mve_filter=exclude" };
    let limit = PAGE_MARKETS;
    with_cursor(format!("/trade-api/v2/markets?limit={limit}&status=open{filter}"), cursor)
}

/// These markets, whatever their state; the first [`TICKERS_PER_REQUEST`] of them.
#[must_use]
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

/// The market of this name. A text that is no ticker is asked for as it is, so that the venue says that there is none.
#[must_use]
pub fn ticker_path(ticker: &str) -> String {
    let mut path = format!("/trade-api/v2/markets?limit={TICKERS_PER_REQUEST}&tickers=");
    percent_encode(ticker, &mut path);
    path
}

/// Whether a market is a combination of markets, by its ticker.
#[must_use]
pub fn is_combo(market: &MarketId) -> bool {
    market.as_str().starts_with("KXMVE")
}

/// Whether a text has the form of a ticker: capitals, digits, `-`, `.`, and not digits alone.
#[must_use]
pub fn is_ticker(text: &str) -> bool {
    let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    !lower && !digits && MarketId::new(text).is_some()
}

/// Whether the exchange works, for [`parse_exchange_status`].
#[must_use]
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

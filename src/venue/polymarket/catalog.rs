//! The catalog (Gamma API): request paths and response parser.
//!
//! Runs on:  the control core (pure).
//! Bounds:   the caller limits a response to [`limits::REST_BODY_BYTES_MAX`]; strings are cut at
//!           [`limits::CATALOG_TEXT_BYTES_MAX`].
//!
//! Accepted shapes: a keyset page (`{"markets":[..],"next_cursor":".."}`, also with `events`), an array of markets or
//! events, one market, one event. Arrays may be strings that hold one; numbers may be strings and are parsed from their
//! text, never through floating point. An invalid entry is skipped and reported; the rest of the page is used.
//!
//! A market's tokens are selected by its `version`, even if ids of several versions are present
//! (polymarket/protocol.md, 6): `clobTokenIds` for `v1`, `positionIds` for `v2`; other versions are refused, as by the
//! venue's own clients. Without `version` (responses recorded before 2026-08) the tokens are `clobTokenIds`, unless
//! `positionIds` are present too.
mod depth;
pub(in crate::venue) use depth::too_deep;
mod entry;
#[cfg(test)]
mod tests;

use crate::base::condition;
use crate::base::id::{MarketId, TOKEN_BYTES_MAX, TokenId};
use crate::base::limits;
use crate::base::text::percent_encode;
use crate::market::info::{Closed, MarketInfo};
use crate::venue::catalog::CatalogError;
use crate::venue::skip::{SkipReason, Skipped};
use sonic_rs::{JsonValueTrait, LazyValue};

/// A parsed catalog response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Markets with an order book, in the response's order.
    pub markets: Vec<MarketInfo>,
    /// Entries that are neither closed nor followed.
    pub skipped: Vec<Skipped>,
    /// Closed markets.
    pub closed: Vec<Closed>,
    /// Cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

/// Parses a response of `/markets`, `/markets/keyset`, `/events`, `/events/keyset`, `/markets/slug/..` or
/// `/events/slug/..`.
///
/// # Errors
/// [`CatalogError`] if the response as a whole cannot be used; an invalid entry is in [`Page::skipped`].
pub fn parse_page(body: &[u8]) -> Result<Page, CatalogError> {
    if let Some(offset) = depth::too_deep(body, limits::JSON_DEPTH_MAX) {
        return Err(CatalogError::TooDeep { offset });
    }
    let not_json = |error: sonic_rs::Error| CatalogError::NotJson { offset: error.offset() };
    // The whole text is validated first, so that every value read later is well formed.
    sonic_rs::from_slice::<serde::de::IgnoredAny>(body).map_err(not_json)?;
    let root: LazyValue<'_> = sonic_rs::from_slice(body).map_err(not_json)?;
    let mut page = Page::default();
    if root.is_array() {
        add_entries(&root, &mut page);
    } else if root.get("conditionId").is_some() {
        add_entry(&root, &mut page);
    } else if let Some(list) = root.get("markets").or_else(|| root.get("events"))
        && list.is_array()
    {
        add_entries(&list, &mut page);
    } else {
        return Err(CatalogError::unknown_shape("markets or events", root.as_raw_str()));
    }
    let cursor = root.get("next_cursor");
    let cursor = cursor.as_ref().and_then(LazyValue::as_str).filter(|text| !text.is_empty());
    page.next_cursor = cursor.map(str::to_owned);
    Ok(page)
}

fn add_entries(list: &LazyValue<'_>, page: &mut Page) {
    for value in list.clone().into_array_iter().into_iter().flatten().flatten() {
        add_entry(&value, page);
    }
}

/// Adds a market, or an event's markets.
fn add_entry(value: &LazyValue<'_>, page: &mut Page) {
    if !value.is_object() {
        page.skipped.push(Skipped::new(None, value.as_raw_str(), SkipReason::NoObject));
        return;
    }
    let markets = value.get("markets").filter(JsonValueTrait::is_array);
    match markets {
        Some(list) if value.get("conditionId").is_none() => {
            for market in list.into_array_iter().into_iter().flatten().flatten() {
                add_market(&market, page);
            }
        }
        _ => add_market(value, page),
    }
}

fn add_market(value: &LazyValue<'_>, page: &mut Page) {
    let entry = entry::Entry::read(value);
    match entry.judge() {
        entry::Classified::Streamable(info) => page.markets.push(*info),
        entry::Classified::Closed(closed) => page.closed.push(closed),
        entry::Classified::Skip(skipped) => page.skipped.push(skipped),
    }
}

// ---- Request paths -------------------------------------------------------------------------

/// One page of the scan: open markets, from the start or from [`Page::next_cursor`].
pub fn scan_path(cursor: Option<&str>) -> String {
    let limit = limits::DISCOVERY_PAGE_MARKETS;
    let mut path = format!("/markets/keyset?limit={limit}&active=true&closed=false");
    if let Some(cursor) = cursor {
        path.push_str("&after_cursor=");
        percent_encode(cursor, &mut path);
    }
    path
}

/// Number of leading `markets` that fit into one [`conditions_path`]: an id that may have 31 bytes is sent in both
/// forms, and the venue accepts [`limits::CONDITIONS_PER_REQUEST_MAX`] ids.
pub fn conditions_per_request<'m>(markets: impl Iterator<Item = &'m MarketId>) -> usize {
    let mut ids = 0;
    let fits = |market: &&MarketId| {
        ids += 1 + usize::from(condition::short_form(market).is_some());
        ids <= limits::CONDITIONS_PER_REQUEST_MAX
    };
    markets.take_while(fits).count()
}

/// Open or (`closed`) closed markets with these condition ids; the first [`conditions_per_request`] of them.
pub fn conditions_path(markets: &[MarketId], closed: bool) -> String {
    let markets = &markets[..conditions_per_request(markets.iter())];
    let mut path = format!("/markets?limit={}&closed={closed}", limits::DISCOVERY_PAGE_MARKETS);
    for market in markets {
        for form in [Some(market.as_str()), condition::short_form(market)].into_iter().flatten() {
            path.push_str("&condition_ids=");
            percent_encode(form, &mut path);
        }
    }
    path
}

/// The open market with this slug.
pub fn slug_path(slug: &str) -> String {
    let mut path = String::from("/markets?slug=");
    percent_encode(slug, &mut path);
    path
}

/// Whether a text is a token id: a number of 1 to 78 decimal digits. With leading zeros it would be a second spelling
/// of one id, and so it is none.
pub fn is_token(text: &str) -> bool {
    let digits = text.as_bytes();
    matches!(digits.len(), 1..=TOKEN_BYTES_MAX)
        && (digits[0] != b'0' || digits.len() == 1)
        && digits.iter().all(u8::is_ascii_digit)
}

/// The open market of this token, by the query parameter of its version, or (`other`) of the other version.
pub fn token_path(token: &TokenId, other: bool) -> String {
    let key =
        if condition::is_position(token) != other { "position_ids" } else { "clob_token_ids" };
    let mut path = format!("/markets?{key}=");
    percent_encode(token.as_str(), &mut path);
    path
}

//! Answers of the CLOB about markets.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   [`PAGE_MARKETS`] of one page.
//!
//! Keys are those of the API reference of docs.polymarket.com (2026-06); the official Rust client refuses an answer
//! that lacks one, so what the engine does not hold has a neutral value: empty, `false`, 0.
use super::VENUE;
use super::json::push_text;
use super::rest::middle;
use crate::base::condition;
use crate::base::price::Price;
use crate::gateway::catalog::{Catalog, Listed, PageRequest, Position};
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, MarketKind, Plan, Row, pairs};
use crate::market::info::{Listing, MarketInfo, MarketStage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Markets of one page.
pub const PAGE_MARKETS: usize = 500;
/// The venue's cursor behind the last page: `-1`.
const LAST: &str = "LTE=";

/// What is asked of markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/markets/{condition}`
    One,
    /// `/markets`, `/sampling-markets`: a page, and where the next one begins.
    Page(Option<Position>),
    /// `/simplified-markets`, `/sampling-simplified-markets`.
    SimplifiedPage(Option<Position>),
}

/// Reads a request about markets; `None` if the path is about something else.
pub(super) fn plan(path: &str, query: &str, catalog: &Catalog) -> Option<Plan> {
    if let Some(text) = path.strip_prefix("/markets/") {
        let market = condition::market_id(text);
        return Some(match market.filter(|m| catalog.listed_at(VENUE, m).is_some()) {
            Some(market) => Plan::markets(vec![market], MarketKind::Polymarket(Kind::One), catalog),
            None => Plan::Answer(Answer::error(404, "market not found")),
        });
    }
    let (is_sampling, kind): (bool, fn(Option<Position>) -> Kind) = match path {
        "/markets" => (false, Kind::Page),
        "/simplified-markets" => (false, Kind::SimplifiedPage),
        "/sampling-markets" => (true, Kind::Page),
        "/sampling-simplified-markets" => (true, Kind::SimplifiedPage),
        _ => return None,
    };
    let cursor = pairs(query).find(|(key, _)| *key == "next_cursor").map(|(_, value)| value);
    let after = match cursor.as_deref() {
        None | Some("") => Some(0),
        Some(LAST) => Some(u64::MAX - 1),
        Some(text) => {
            let bytes = STANDARD.decode(text).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
        }
    };
    let Some(number) = after.filter(|&number: &u64| number < u64::MAX) else {
        return Some(Plan::Answer(Answer::error(400, "Invalid next_cursor")));
    };
    let after = Some(Position { key: 0, number });
    let request = PageRequest { after, limit: PAGE_MARKETS, ..PageRequest::default() };
    let page = catalog.page(VENUE, &request, |listed| {
        !is_sampling || is_open(listed) && listing(&listed.info).is_some_and(|l| l.has_rewards)
    });
    Some(Plan::markets(page.markets, MarketKind::Polymarket(kind(page.next)), catalog))
}

pub(super) fn listing(info: &MarketInfo) -> Option<&Listing> {
    info.listing.as_deref()
}

/// Whether orders are accepted, as far as the engine knows.
pub(super) fn is_open(listed: &Listed) -> bool {
    listed.stage < MarketStage::Ended
}

/// The answer about markets.
pub fn answer(kind: Kind, rows: &[Row<'_>]) -> Answer {
    let mut out = String::with_capacity(1_024 * (1 + rows.len()));
    let next = match (kind, rows) {
        (Kind::One, [row, ..]) => {
            push_market(&mut out, row);
            return Answer::json(out);
        }
        (Kind::One, []) => return Answer::error(404, "market not found"),
        (Kind::Page(next) | Kind::SimplifiedPage(next), _) => next,
    };
    out.push_str(r#"{"data":"#);
    let push = if matches!(kind, Kind::SimplifiedPage(_)) { push_simplified } else { push_market };
    push_array(&mut out, rows, push);
    let next = next.map(|place| STANDARD.encode(place.number.to_string()));
    let (next, count) = (next.as_deref().unwrap_or(LAST), rows.len());
    // Writing to a string cannot fail.
    let _ = write!(out, r#","next_cursor":"{next}","limit":{PAGE_MARKETS},"count":{count}}}"#);
    Answer::json(out)
}

fn push_simplified(out: &mut String, row: &Row<'_>) {
    let _ = write!(
        out,
        r#"{{"condition_id":"{}","rewards":{{"rates":null,"min_size":0,"max_spread":0}},"tokens":"#,
        row.listed.info.market
    );
    push_tokens(out, row);
    push_flags(out, row.listed);
    out.push('}');
}

fn push_flags(out: &mut String, listed: &Listed) {
    let is_open = is_open(listed);
    let _ = write!(
        out,
        r#","active":true,"closed":{},"archived":false,"accepting_orders":{is_open}"#,
        !is_open
    );
}

/// Tokens with the middle between their best prices; 0 without a live book.
fn push_tokens(out: &mut String, row: &Row<'_>) {
    let sum = row.top.bid.zip(row.top.ask).map(|(bid, ask)| bid.price.0 + ask.price.0);
    push_array(out, row.listed.info.tokens.iter().enumerate(), |out, (place, outcome)| {
        let _ = write!(out, r#"{{"token_id":"{}","outcome":"#, outcome.token);
        push_text(out, &outcome.name);
        // The second outcome is the mirror of the first.
        let sum = if place == 0 { sum } else { sum.map(|sum| 2 * Price::ONE.0 - sum) };
        let price = sum.map_or_else(|| "0".to_owned(), middle);
        let _ = write!(out, r#","price":{price},"winner":false}}"#);
    });
}

fn push_market(out: &mut String, row: &Row<'_>) {
    let info = &row.listed.info;
    let listing = listing(info);
    let _ = write!(out, r#"{{"condition_id":"{}","question_id":"#, info.market);
    push_text(out, listing.map_or("", |listing| &listing.question_id));
    out.push_str(r#","question":"#);
    push_text(out, &info.question);
    out.push_str(r#","market_slug":"#);
    push_text(out, &info.slug);
    out.push_str(r#","description":"","tokens":"#);
    push_tokens(out, row);
    push_flags(out, row.listed);
    let number = |value: Option<String>| value.unwrap_or_else(|| "0".to_owned());
    let _ = write!(
        out,
        r#","enable_order_book":true,"minimum_order_size":{},"minimum_tick_size":{},"neg_risk":{}"#,
        number(info.min_order_size.map(|size| size.to_string())),
        number(info.tick_size.map(|step| step.to_string())),
        info.neg_risk
    );
    out.push_str(r#","end_date_iso":"#);
    match info.end_wall_ns {
        Some(ns) => push_date(out, ns),
        None => out.push_str("null"),
    }
    let fees = listing.and_then(|listing| listing.fees.as_ref());
    let (maker, taker) = fees.map_or((0, 0), |fees| (fees.maker_bps, fees.taker_bps));
    let _ = write!(out, r#","maker_base_fee":{maker},"taker_base_fee":{taker}"#);
    out.push_str(
        r#","accepting_order_timestamp":null,"game_start_time":null,"seconds_delay":0,"fpmm":"","notifications_enabled":false,"neg_risk_market_id":"","neg_risk_request_id":"","icon":"","image":"","rewards":{"rates":null,"min_size":0,"max_spread":0},"is_50_50_outcome":false,"tags":[]}"#,
    );
}

/// Appends `"2026-03-12T09:25:00Z"`, with the fraction of a second if there is one.
pub(super) fn push_date(out: &mut String, wall_ns: u64) {
    let at = jiff::Timestamp::from_nanosecond(i128::from(wall_ns)).unwrap_or_default();
    let _ = write!(out, "\"{at}\"");
}

#[cfg(test)]
mod tests;

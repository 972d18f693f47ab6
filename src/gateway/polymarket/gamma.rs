//! Answers of the catalog's interface (Gamma): markets and events.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   [`MARKETS_MAX`] markets or [`EVENTS_MAX`] events of one page, and [`EVENT_MARKETS_MAX`] markets within
//!           the events of a page.
//!
//! Paths, parameters and keys are those of docs.polymarket.com (list markets, list events, 2026-08). A key whose value
//! the engine does not hold is left out, as the venue does. A filter by such a value is refused with 501: the answer
//! would have markets that the client does not want.
mod encode;
mod filter;
#[cfg(test)]
mod tests;

use super::VENUE;
use crate::base::id::MarketId;
use crate::gateway::catalog::{Catalog, Listed, ListedEvent, Page, PageRequest, Position};
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, MarketKind, Plan, READ_METHODS, Request, Row, pairs};
use encode::{number, push_event, push_market};
use filter::{Filter, cursor};
use std::fmt::Write as _;

/// Most markets of one page, as at the venue.
pub const MARKETS_MAX: usize = 100;
/// Most events of one page, as at the venue.
pub const EVENTS_MAX: usize = 500;
/// A page of events ends when its markets are more than these.
pub const EVENT_MARKETS_MAX: usize = 1_000;
/// Markets or events of a page that names no limit, as at the venue.
const LIMIT_DEFAULT: usize = 20;
const OFFSET_MAX: usize = 10_000;
const NOT_SERVED: &str =
    "ringbook answers markets and events that it follows; ask the venue for the rest";

/// What is asked of markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/markets/{id}`, `/markets/slug/{slug}`
    One,
    /// `/markets`
    List,
    /// `/markets/keyset`: a page, and where the next one begins.
    Page(Option<Position>),
}

/// Reads a request.
pub fn plan(request: &Request<'_>, catalog: &Catalog) -> Plan {
    let plan = read(request, catalog).unwrap_or_else(Plan::Answer);
    let is_served = !matches!(&plan, Plan::Answer(answer) if answer.status == 501);
    if is_served && !matches!(request.method, "GET" | "HEAD") {
        return Plan::Answer(Answer::not_allowed(READ_METHODS));
    }
    plan
}

fn read(request: &Request<'_>, catalog: &Catalog) -> Result<Plan, Answer> {
    let Request { path, query, .. } = *request;
    let answer = match path {
        "/" | "/status" => Answer { content_type: "text/plain", ..Answer::json("OK".to_owned()) },
        "/markets" => return markets(&Filter::read(query, MARKETS_MAX, false)?, catalog),
        "/markets/keyset" => return markets(&Filter::read(query, MARKETS_MAX, true)?, catalog),
        "/events" => events(&Filter::read(query, EVENTS_MAX, false)?, catalog),
        "/events/keyset" => events(&Filter::read(query, EVENTS_MAX, true)?, catalog),
        "/public-search" => search(query, catalog),
        // The engine holds no tags.
        "/tags" => Answer::json("[]".to_owned()),
        _ => return named(path, catalog),
    };
    Ok(Plan::Answer(answer))
}

/// One market or event.
fn named(path: &str, catalog: &Catalog) -> Result<Plan, Answer> {
    if let Some(name) = path.strip_prefix("/markets/") {
        let is_wanted = |listed: &Listed| match name.strip_prefix("slug/") {
            Some(slug) => listed.info.slug == slug,
            None => number(listed) == name,
        };
        let one = PageRequest { limit: 1, ..PageRequest::default() };
        let page = catalog.page(VENUE, &one, is_wanted);
        return Ok(Plan::markets(page.markets, MarketKind::Gamma(Kind::One), catalog));
    }
    let Some(name) = path.strip_prefix("/events/") else {
        return Err(Answer::error(501, NOT_SERVED));
    };
    let found = match name.strip_prefix("slug/") {
        Some(slug) => {
            let mut events = catalog.events(VENUE, 0).map(|(_, event)| event);
            events.find(|event| event.listing.slug == slug)
        }
        None => catalog.event(VENUE, name),
    };
    let event = found.ok_or_else(|| Answer::error(404, "not found"))?;
    let mut out = String::new();
    push_event(&mut out, event, catalog);
    Ok(Plan::Answer(Answer::json(out)))
}

fn markets(filter: &Filter<'_>, catalog: &Catalog) -> Result<Plan, Answer> {
    let page = match (&filter.conditions[..], &filter.tokens[..]) {
        ([], []) => catalog.page(VENUE, &filter.page, |listed| filter.admits(listed)),
        // Named markets are found without a look at the others.
        (conditions, tokens) => {
            let of_token = |token| Some(catalog.market_of(token)?.market);
            let named = conditions.iter().copied().chain(tokens.iter().filter_map(of_token));
            let named = named.filter_map(|market| catalog.listed_at(VENUE, &market));
            let named = named.filter(|listed| filter.admits(listed));
            let mut named: Vec<_> = named.map(|l| (l.number, l.info.market)).collect();
            named.sort_unstable();
            named.dedup();
            let rest = named.into_iter().map(|(_, market)| market).skip(filter.page.skip);
            let markets = rest.take(filter.page.limit).collect();
            Page { markets, next: None }
        }
    };
    let kind = if filter.is_keyset { Kind::Page(page.next) } else { Kind::List };
    Ok(Plan::markets(page.markets, MarketKind::Gamma(kind), catalog))
}

/// The answer about markets.
pub fn answer(kind: Kind, rows: &[Row<'_>]) -> Answer {
    let mut out = String::with_capacity(2_048 * (1 + rows.len()));
    if kind == Kind::One {
        let Some(row) = rows.first() else { return Answer::error(404, "not found") };
        push_market(&mut out, row.listed, &row.top, true);
        return Answer::json(out);
    }
    out.push_str(if kind == Kind::List { "" } else { r#"{"markets":"# });
    push_array(&mut out, rows, |out, row| push_market(out, row.listed, &row.top, true));
    if let Kind::Page(next) = kind {
        push_cursor(&mut out, next);
    }
    Answer::json(out)
}

fn push_cursor(out: &mut String, next: Option<Position>) {
    if let Some(place) = next {
        // Writing to a string cannot fail.
        let _ = write!(out, r#","next_cursor":"{}""#, cursor(place));
    }
    out.push('}');
}

fn events(filter: &Filter<'_>, catalog: &Catalog) -> Answer {
    let after = filter.page.after.map_or(0, |place| place.number);
    let mut wanted = catalog
        .events(VENUE, after)
        .filter(|(_, event)| filter.admits_event(event, catalog))
        .skip(filter.page.skip)
        .peekable();
    let mut out = String::from(if filter.is_keyset { r#"{"events":["# } else { "[" });
    let (mut count, mut markets, mut last) = (0, 0, 0);
    while count < filter.page.limit && (markets <= EVENT_MARKETS_MAX || !filter.is_keyset) {
        let Some((number, event)) = wanted.next() else { break };
        out.push_str(if count == 0 { "" } else { "," });
        push_event(&mut out, event, catalog);
        (count, markets, last) = (count + 1, markets + event.markets.len(), number);
    }
    out.push(']');
    if filter.is_keyset {
        let next = wanted.peek().map(|_| Position { key: 0, number: last });
        push_cursor(&mut out, next);
    }
    Answer::json(out)
}

/// `/public-search`: events whose title, or a question of whose markets, has every word.
fn search(query: &str, catalog: &Catalog) -> Answer {
    let (mut words, mut limit, mut page) = (String::new(), LIMIT_DEFAULT, 1);
    for (key, value) in pairs(query) {
        match key {
            "q" => words = value.to_lowercase(),
            "limit_per_type" => limit = value.parse().unwrap_or(limit).min(MARKETS_MAX),
            "page" => page = value.parse::<usize>().unwrap_or(page).clamp(1, OFFSET_MAX),
            _ => {}
        }
    }
    let has_all = |text: &str| {
        let text = text.to_lowercase();
        words.split_whitespace().all(|word| text.contains(word))
    };
    let of_market =
        |market: &MarketId| catalog.market(market).is_some_and(|m| has_all(&m.question));
    let found: Vec<&ListedEvent> = catalog
        .events(VENUE, 0)
        .map(|(_, event)| event)
        .filter(|event| has_all(&event.listing.title) || event.markets.iter().any(of_market))
        .collect();
    let mut out = String::from(r#"{"events":"#);
    let begin = limit.saturating_mul(page - 1);
    let shown = found.iter().skip(begin).take(limit);
    push_array(&mut out, shown, |out, event| push_event(out, event, catalog));
    let (total, has_more) = (found.len(), found.len() > begin.saturating_add(limit));
    let _ = write!(
        out,
        r#","tags":[],"profiles":[],"pagination":{{"hasMore":{has_more},"totalResults":{total}}}}}"#
    );
    Answer::json(out)
}

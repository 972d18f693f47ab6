//! Answers about markets and events.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   [`MARKETS_MAX`] markets or [`EVENTS_MAX`] events of one page, and [`MARKETS_MAX`] markets within the
//!           events of a page.
//!
//! Paths, parameters and keys are those of the OpenAPI of docs.kalshi.com (2026-10). What the catalog has listed of a
//! market stands as it was sent. Keys that the OpenAPI requires and the engine does not hold have a neutral value:
//! clients refuse a market that lacks one. A filter by what is not held is refused with 501.
use super::VENUE;
use super::encode::{push_count, push_dollars, push_text, push_time};
use super::rest::{bad_request, json, not_found, not_served};
use crate::base::id::MarketId;
use crate::base::price::{Price, Quantity};
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::gateway::catalog::{Catalog, Listed, ListedEvent, PageRequest, Position};
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, MarketKind, Plan, Row, Top, pairs, push_missing};
use crate::market::book::Level;
use crate::market::info::{EventListing, MarketStage};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write as _;

/// Most markets of one page, as at the venue.
pub const MARKETS_MAX: usize = 1_000;
/// Markets of a page that names no limit, as at the venue.
const MARKETS_DEFAULT: usize = 100;
/// Most events of one page, as at the venue.
pub const EVENTS_MAX: usize = 200;
/// Filters by what the engine does not hold.
const NOT_HELD: [&str; 7] = [
    "max_created_ts",
    "max_settled_ts",
    "min_created_ts",
    "min_settled_ts",
    "min_updated_ts",
    "collection_ticker",
    "with_milestones",
];

/// What is asked of markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/markets/{ticker}`
    One,
    /// `/markets`: a page, and where the next one begins.
    Page(Option<u64>),
    /// `/events/{ticker}`; `nested`: its markets are within it, not beside.
    Event {
        /// Whether they are.
        nested: bool,
    },
    /// `/events` with their markets: a page, and where the next one begins.
    Events(Option<u64>),
}

#[derive(Debug, Default)]
struct Filter {
    event: Option<String>,
    series: Option<String>,
    tickers: Vec<String>,
    stage: Option<MarketStage>,
    /// No market that the engine follows is in the wanted state.
    is_none_wanted: bool,
    combos: Option<bool>,
    close_s: (u64, u64),
    limit: Option<usize>,
    after: u64,
    nested: bool,
}

impl Filter {
    fn read(query: &str) -> Result<Self, Answer> {
        let mut filter = Self { close_s: (0, u64::MAX), ..Self::default() };
        for (key, value) in pairs(query).filter(|(_, value)| !value.is_empty()) {
            let second = || value.parse().map_err(|_| bad_request(&format!("{key}: no time")));
            match key {
                "event_ticker" => filter.event = Some(value.into_owned()),
                "series_ticker" => filter.series = Some(value.into_owned()),
                "tickers" => filter.tickers.extend(value.split(',').map(str::to_owned)),
                "status" => match &*value {
                    "unopened" => filter.stage = Some(MarketStage::New),
                    "open" => filter.stage = Some(MarketStage::Opened),
                    "closed" => filter.stage = Some(MarketStage::Ended),
                    "paused" | "settled" => filter.is_none_wanted = true,
                    _ => {
                        return Err(bad_request(
                            "status: unopened, open, paused, closed or settled",
                        ));
                    }
                },
                "mve_filter" => match &*value {
                    "only" => filter.combos = Some(true),
                    "exclude" => filter.combos = Some(false),
                    _ => return Err(bad_request("mve_filter: only or exclude")),
                },
                "min_close_ts" => filter.close_s.0 = second()?,
                "max_close_ts" => filter.close_s.1 = second()?,
                "limit" => {
                    let limit = value.parse().ok().filter(|&limit| limit <= MARKETS_MAX);
                    filter.limit = Some(limit.ok_or_else(|| bad_request("limit: at most 1000"))?);
                }
                "cursor" => {
                    let after = number(&value).ok_or_else(|| bad_request("cursor: not known"))?;
                    filter.after = after;
                }
                "with_nested_markets" => filter.nested = value == "true",
                "with_milestones" if value == "false" => {}
                key if NOT_HELD.contains(&key) => return Err(not_served()),
                _ => {}
            }
        }
        Ok(filter)
    }

    fn admits(&self, listed: &Listed) -> bool {
        let market = &listed.info.market;
        let event = event_of(listed);
        self.is_state_wanted(listed)
            && self.event.as_deref().is_none_or(|id| event.is_some_and(|event| event.id == id))
            && self.series.as_deref().is_none_or(|name| series_of(market.as_str()) == name)
            && (self.tickers.is_empty() || self.tickers.iter().any(|t| t == market.as_str()))
            && self.combos.is_none_or(|wanted| is_combo(market) == wanted)
    }

    fn is_state_wanted(&self, listed: &Listed) -> bool {
        let close_s = listed.info.end_wall_ns.map(|ns| ns / SECOND_NS);
        !self.is_none_wanted
            && self.stage.is_none_or(|stage| stage == listed.stage)
            && (self.close_s == (0, u64::MAX)
                || close_s.is_some_and(|s| (self.close_s.0..=self.close_s.1).contains(&s)))
    }

    /// As the venue: an event is listed if one of its markets is in the wanted state; combos are not.
    fn admits_event(&self, event: &ListedEvent, catalog: &Catalog) -> bool {
        let id = event.listing.id.as_str();
        let mut markets = event.markets.iter().filter_map(|market| catalog.listed(market));
        (self.tickers.is_empty() || self.tickers.iter().any(|ticker| ticker == id))
            && self.series.as_deref().is_none_or(|name| series_of(id) == name)
            && markets.any(|one| self.is_state_wanted(one) && !is_combo(&one.info.market))
    }
}

fn is_combo(market: &MarketId) -> bool {
    market.as_str().starts_with("KXMVE")
}

/// The series of a ticker: what comes before its first `-`.
fn series_of(ticker: &str) -> &str {
    ticker.split('-').next().unwrap_or(ticker)
}

fn event_of(listed: &Listed) -> Option<&EventListing> {
    listed.info.listing.as_ref()?.event.as_deref()
}

fn number(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.parse().ok().filter(|&number: &u64| number < u64::MAX)
}

/// Reads a request below the root; `None` if the path is about something else.
pub(super) fn plan(path: &str, query: &str, catalog: &Catalog) -> Option<Result<Plan, Answer>> {
    Some(match path {
        "/markets" => Filter::read(query).map(|filter| markets(&filter, catalog)),
        "/events" => Filter::read(query).map(|filter| events(&filter, catalog)),
        _ => {
            let (name, rest) = path.get(1..)?.split_once('/')?;
            if rest.contains('/') {
                return None;
            }
            match name {
                "markets" => one(rest, catalog),
                "events" => Filter::read(query).and_then(|filter| event(rest, &filter, catalog)),
                _ => return None,
            }
        }
    })
}

fn about(markets: Vec<MarketId>, kind: Kind, catalog: &Catalog) -> Plan {
    Plan::markets(markets, MarketKind::Kalshi(kind), catalog)
}

fn one(ticker: &str, catalog: &Catalog) -> Result<Plan, Answer> {
    let market = MarketId::new(ticker).ok_or_else(not_found)?;
    let listed = catalog.listed_at(VENUE, &market).ok_or_else(not_found)?;
    Ok(about(vec![listed.info.market], Kind::One, catalog))
}

fn markets(filter: &Filter, catalog: &Catalog) -> Plan {
    let limit = filter.limit.filter(|&limit| limit > 0).unwrap_or(MARKETS_DEFAULT);
    let after = Some(Position { key: 0, number: filter.after });
    let request = PageRequest { after, limit, ..PageRequest::default() };
    let page = catalog.page(VENUE, &request, |listed| filter.admits(listed));
    about(page.markets, Kind::Page(page.next.map(|place| place.number)), catalog)
}

fn event(ticker: &str, filter: &Filter, catalog: &Catalog) -> Result<Plan, Answer> {
    let event = catalog.event(VENUE, ticker).ok_or_else(not_found)?;
    Ok(about(event.markets.clone(), Kind::Event { nested: filter.nested }, catalog))
}

fn events(filter: &Filter, catalog: &Catalog) -> Plan {
    let limit = filter.limit.unwrap_or(EVENTS_MAX).clamp(1, EVENTS_MAX);
    let mut wanted = catalog
        .events(VENUE, filter.after)
        .filter(|(_, event)| filter.admits_event(event, catalog))
        .peekable();
    let (mut markets, mut chosen, mut last) = (Vec::new(), Vec::new(), filter.after);
    while chosen.len() < limit {
        let fits = |(_, event): &(u64, &ListedEvent)| {
            !filter.nested
                || markets.is_empty()
                || markets.len() + event.markets.len() <= MARKETS_MAX
        };
        let Some((number, event)) = wanted.next_if(fits) else { break };
        if filter.nested {
            markets.extend_from_slice(&event.markets);
        }
        chosen.push(event);
        last = number;
    }
    let next = wanted.peek().map(|_| last);
    if filter.nested {
        return about(markets, Kind::Events(next), catalog);
    }
    let mut out = String::from(r#"{"events":"#);
    push_array(&mut out, chosen, |out, event| {
        push_event(out, &event.listing);
        out.push('}');
    });
    push_cursor(&mut out, next);
    Plan::Answer(json(out))
}

/// Ends a page.
fn push_cursor(out: &mut String, next: Option<u64>) {
    let next = next.map(|number| URL_SAFE_NO_PAD.encode(number.to_string())).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(out, r#","cursor":"{next}"}}"#);
}

/// The answer about markets.
pub fn answer(kind: Kind, rows: &[Row<'_>]) -> Answer {
    let mut out = String::with_capacity(2_048 * (1 + rows.len()));
    match kind {
        Kind::One => {
            let Some(row) = rows.first() else { return not_found() };
            out.push_str(r#"{"market":"#);
            push_market(&mut out, row);
            out.push('}');
        }
        Kind::Page(next) => {
            out.push_str(r#"{"markets":"#);
            push_array(&mut out, rows, push_market);
            push_cursor(&mut out, next);
        }
        Kind::Event { nested } => {
            let Some(event) = rows.first().and_then(|row| event_of(row.listed)) else {
                return not_found();
            };
            out.push_str(r#"{"event":"#);
            push_event(&mut out, event);
            out.push_str(if nested { r#","markets":"# } else { r#"},"markets":"# });
            push_array(&mut out, rows, push_market);
            out.push_str(if nested { "}}" } else { "}" });
        }
        Kind::Events(next) => {
            out.push_str(r#"{"events":"#);
            let id = |row: &Row<'_>| event_of(row.listed).map(|event| event.id.clone());
            let groups = rows.chunk_by(|a, b| id(a) == id(b));
            let events = groups.filter_map(|rows| Some((event_of(rows[0].listed)?, rows)));
            push_array(&mut out, events, |out, (event, rows)| {
                push_event(out, event);
                out.push_str(r#","markets":"#);
                push_array(out, rows, push_market);
                out.push('}');
            });
            push_cursor(&mut out, next);
        }
    }
    json(out)
}

/// An event without its closing brace.
fn push_event(out: &mut String, event: &EventListing) {
    out.push_str(r#"{"event_ticker":"#);
    push_text(out, &event.id);
    out.push_str(r#","series_ticker":"#);
    let series = if event.slug.is_empty() { series_of(&event.id) } else { &event.slug };
    push_text(out, series);
    out.push_str(r#","title":"#);
    push_text(out, &event.title);
    if !event.members.is_empty() {
        out.extend([",", &event.members]);
    }
    let required = [
        ("sub_title", "\"\""),
        ("collateral_return_type", "\"\""),
        ("mutually_exclusive", "false"),
        ("settlement_sources", "[]"),
    ];
    push_missing(out, &event.members, &required);
}

fn push_market(out: &mut String, row: &Row<'_>) {
    let Row { listed, top } = row;
    let info = &listed.info;
    out.push_str(r#"{"ticker":"#);
    push_text(out, info.market.as_str());
    out.push_str(r#","event_ticker":"#);
    push_text(out, event_of(listed).map_or("", |event| &event.id));
    let status = match listed.stage {
        MarketStage::New => "initialized",
        MarketStage::Opened => "active",
        MarketStage::Ended | MarketStage::Resolved => "closed",
    };
    let _ = write!(out, r#","status":"{status}""#);
    push_prices(out, top);
    let time = |ns: Option<u64>| {
        let mut text = String::from("\"");
        push_time(&mut text, ns.unwrap_or(0) / MILLISECOND_NS);
        text.push('"');
        text
    };
    let (open, close) = (time(info.start_wall_ns), time(info.end_wall_ns));
    let _ = write!(out, r#","open_time":{open},"close_time":{close},"updated_time":{open}"#);
    let members = info.listing.as_ref().map_or("", |listing| &listing.members);
    if !members.is_empty() {
        out.extend([",", members]);
    }
    let mut title = String::new();
    push_text(&mut title, &info.question);
    let required = [
        ("market_type", "\"binary\""),
        ("title", &title),
        ("yes_sub_title", "\"\""),
        ("no_sub_title", "\"\""),
        ("created_time", &open),
        ("latest_expiration_time", &close),
        ("settlement_timer_seconds", "0"),
        ("settlement_bounds_type", "\"default\""),
        ("can_close_early", "false"),
        ("notional_value_dollars", "\"1.0000\""),
        ("rules_primary", "\"\""),
        ("rules_secondary", "\"\""),
    ];
    push_missing(out, members, &required);
    out.push_str(r#","result":"","expiration_value":""}"#);
}

/// Prices and quantities of both outcomes; bid 0 and ask 1 without a live book, as of an empty side.
fn push_prices(out: &mut String, top: &Top) {
    let none = Level { price: Price::ONE, quantity: Quantity::ZERO };
    let (bid, ask) = (top.bid.unwrap_or_default(), top.ask.unwrap_or(none));
    for (name, price) in [
        ("yes_bid", bid.price),
        ("yes_ask", ask.price),
        ("no_bid", ask.price.complement()),
        ("no_ask", bid.price.complement()),
        ("last_price", top.last.unwrap_or_default()),
    ] {
        let _ = write!(out, r#","{name}_dollars":""#);
        push_dollars(out, price);
        out.push('"');
    }
    for (name, quantity) in [("yes_bid_size_fp", bid.quantity), ("yes_ask_size_fp", ask.quantity)] {
        let _ = write!(out, r#","{name}":""#);
        push_count(out, quantity);
        out.push('"');
    }
    out.push_str(
        r#","previous_yes_bid_dollars":"0.0000","previous_yes_ask_dollars":"0.0000","previous_price_dollars":"0.0000","liquidity_dollars":"0.0000","volume_fp":"0.00","volume_24h_fp":"0.00","open_interest_fp":"0.00""#,
    );
}

#[cfg(test)]
mod tests;

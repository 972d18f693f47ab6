//! Filters of REST queries for markets and events (kalshi/protocol.md, 4).
//!
//! Runs on:  the venue's thread (pure).
use super::super::request::{Answer, Query};
use super::market::{Market, Phase};
use super::messages;
use std::ops::RangeInclusive;

/// The series of every market.
pub(super) const SERIES: &str = "KXSIM";
pub(super) const MARKETS_LIMIT: RangeInclusive<usize> = 0..=1000;
pub(super) const EVENTS_LIMIT: RangeInclusive<usize> = 1..=200;
const MARKET_STATUSES: [&str; 5] = ["unopened", "open", "paused", "closed", "settled"];
/// Events cannot be paused.
const EVENT_STATUSES: [&str; 4] = ["unopened", "open", "closed", "settled"];

/// An integer within bounds; otherwise an error answer.
pub(super) fn number(
    query: &Query,
    name: &str,
    within: RangeInclusive<usize>,
) -> Result<Option<usize>, Answer> {
    let Some(text) = query.first(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| within.contains(number));
    number.map(Some).ok_or_else(|| Answer::error(400, &format!("invalid parameter: {name}")))
}

fn one_of<'q>(query: &'q Query, name: &str, known: &[&str]) -> Result<Option<&'q str>, Answer> {
    let Some(text) = query.first(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    match known.contains(&text) {
        true => Ok(Some(text)),
        false => Err(Answer::error(400, &format!("invalid parameter: {name}"))),
    }
}

/// A range of one of a market's times, seconds.
#[derive(Debug)]
struct Span {
    of: fn(&Market) -> Option<u64>,
    since: Option<usize>,
    until: Option<usize>,
}

impl Span {
    fn holds(&self, market: &Market) -> bool {
        let Some(at_ms) = (self.of)(market) else { return false };
        let at = (at_ms / 1000) as usize;
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// Times that a query can filter by, and the statuses that allow them; an empty status allows all.
/// with each.
type Times = [(&'static str, fn(&Market) -> Option<u64>, &'static [&'static str]); 3];
const TIMES: Times = [
    ("created", |market| Some(market.created_ms), &["unopened", "open"]),
    ("close", |market| Some(market.close_ms), &["closed"]),
    ("settled", |market| market.settled_ms, &["settled"]),
];

/// Conditions on a market.
#[derive(Debug, Default)]
pub(super) struct Filter<'q> {
    status: Option<&'q str>,
    tickers: Vec<&'q str>,
    event: Option<&'q str>,
    series: Option<&'q str>,
    span: Option<Span>,
    updated_since: Option<usize>,
    /// Combos only; the simulator has none.
    combos_only: bool,
}

impl<'q> Filter<'q> {
    pub(super) fn of_markets(query: &'q Query) -> Result<Self, Answer> {
        let status = one_of(query, "status", &MARKET_STATUSES)?;
        let mve = one_of(query, "mve_filter", &["only", "exclude"])?;
        let word = |name: &str| query.first(name).filter(|text| !text.is_empty());
        let filter = Self {
            status,
            tickers: query.all("tickers"),
            event: word("event_ticker"),
            series: word("series_ticker"),
            span: span(query, status)?,
            updated_since: number(query, "min_updated_ts", 0..=usize::MAX)?,
            combos_only: mve == Some("only"),
        };
        let others = filter.status.is_some()
            || !filter.tickers.is_empty()
            || filter.event.is_some()
            || filter.series.is_some()
            || filter.span.is_some()
            || filter.combos_only;
        match filter.updated_since.is_some() && others {
            true => Err(Answer::error(400, "min_updated_ts goes with mve_filter=exclude only")),
            false => Ok(filter),
        }
    }

    /// For `/events`: an event is listed if one of its markets matches.
    pub(super) fn of_events(query: &'q Query) -> Result<Self, Answer> {
        let since = number(query, "min_close_ts", 0..=usize::MAX)?;
        let close = |since| Span { of: |market| Some(market.close_ms), since, until: None };
        Ok(Self {
            status: one_of(query, "status", &EVENT_STATUSES)?,
            series: query.first("series_ticker").filter(|text| !text.is_empty()),
            span: since.map(|since| close(Some(since))),
            updated_since: number(query, "min_updated_ts", 0..=usize::MAX)?,
            ..Self::default()
        })
    }

    pub(super) fn fits(&self, market: &Market) -> bool {
        let status = match self.status {
            None => true,
            Some("open") => market.phase == Phase::Active,
            Some("unopened") => market.phase == Phase::Initialized,
            Some("closed") => market.phase == Phase::Closed,
            Some("settled") => market.phase == Phase::Finalized,
            // The simulator pauses no market.
            Some(_) => false,
        };
        let updated = (market.updated_ms / 1000) as usize;
        status
            && !self.combos_only
            && (self.tickers.is_empty() || self.tickers.contains(&market.ticker.as_str()))
            && self.event.is_none_or(|event| messages::event(market.event) == event)
            && self.series.is_none_or(|series| series == SERIES)
            && self.span.as_ref().is_none_or(|span| span.holds(market))
            && self.updated_since.is_none_or(|since| updated >= since)
    }
}

/// The time range of a query. Two ranges, or one that its status does not allow, are refused.
fn span(query: &Query, status: Option<&str>) -> Result<Option<Span>, Answer> {
    let mut found = None;
    for (name, of, statuses) in TIMES {
        let since = number(query, &format!("min_{name}_ts"), 0..=usize::MAX)?;
        let until = number(query, &format!("max_{name}_ts"), 0..=usize::MAX)?;
        if since.is_none() && until.is_none() {
            continue;
        }
        if found.is_some() {
            return Err(Answer::error(400, "timestamp filters are mutually exclusive"));
        }
        if status.is_some_and(|status| !statuses.contains(&status)) {
            return Err(Answer::error(400, "the timestamp filter does not go with the status"));
        }
        found = Some(Span { of, since, until });
    }
    Ok(found)
}

//! Gamma: lists of markets and events with filters and pages.
//!
//! Runs on:  the venue's thread (pure).
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as CURSOR;

use super::book::{Outcome, Side};
use super::exchange::Exchange;
use super::json::Object;
use super::market::{Event, Market, Phase, Version};
use super::request::Query;

const MARKETS_MAX: usize = 100;
const EVENTS_MAX: usize = 500;
/// Markets or events of one answer when no limit is given.
const LIMIT_DEFAULT: usize = 20;
const OFFSET_MAX: usize = 10_000;

/// Error text of a refused query (422).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

struct Filter<'q> {
    closed: bool,
    active: Option<bool>,
    conditions: Vec<&'q str>,
    slugs: Vec<&'q str>,
    tokens: Vec<&'q str>,
    positions: Vec<&'q str>,
    numbers: Vec<&'q str>,
}

impl<'q> Filter<'q> {
    fn new(query: &'q Query) -> Result<Self, Refused> {
        Ok(Self {
            closed: truth(query.first("closed"))?.unwrap_or(false),
            active: truth(query.first("active"))?,
            conditions: query.all("condition_ids"),
            slugs: query.all("slug"),
            tokens: query.all("clob_token_ids"),
            positions: query.all("position_ids"),
            numbers: query.all("id"),
        })
    }

    fn admits(&self, market: &Market) -> bool {
        let among = |wanted: &[&str], value: &str| wanted.is_empty() || wanted.contains(&value);
        is_closed(market) == self.closed
            && self.active != Some(false)
            && among(&self.conditions, market.listed_condition())
            && among(&self.slugs, &market.slug)
            && (self.tokens.is_empty() || v1_tokens(market).iter().any(|t| among(&self.tokens, t)))
            && (self.positions.is_empty()
                || market.is_v2() && market.tokens.iter().any(|t| among(&self.positions, t)))
            && (self.numbers.is_empty() || among(&self.numbers, &market.number.to_string()))
    }
}

/// The ids listed for a market of Protocol V1.
fn v1_tokens(market: &Market) -> &[String] {
    match &market.version {
        Version::Unsaid | Version::V1 => &market.tokens,
        Version::Both(tokens) => tokens,
        Version::V2 { .. } => &[],
    }
}

fn truth(text: Option<&str>) -> Result<Option<bool>, Refused> {
    match text {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Refused("invalid boolean")),
    }
}

fn limit(query: &Query, most: usize) -> Result<usize, Refused> {
    match query.first("limit") {
        None => Ok(LIMIT_DEFAULT),
        Some(text) => match text.parse::<usize>() {
            Ok(limit) => Ok(limit.min(most)),
            Err(_) => Err(Refused("invalid limit")),
        },
    }
}

/// The number before the first entry of a page; 0 for the first page.
fn cursor(query: &Query) -> Result<u64, Refused> {
    if query.first("offset").is_some() {
        return Err(Refused("offset is not supported with keyset pagination"));
    }
    let Some(text) = query.first("after_cursor").filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let number = CURSOR.decode(text).ok();
    let number = number.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    number.ok_or(Refused("invalid cursor"))
}

fn is_closed(market: &Market) -> bool {
    matches!(market.phase, Phase::Resolved(_))
}

impl Exchange {
    /// `GET /markets`: a bare array.
    pub(super) fn list_markets(&self, query: &Query, out: &mut Vec<u8>) -> Result<(), Refused> {
        let filter = Filter::new(query)?;
        let limit = limit(query, MARKETS_MAX)?;
        let offset = query.first("offset").unwrap_or("0");
        let offset = offset.parse::<usize>().map_err(|_| Refused("invalid offset"))?;
        if offset > OFFSET_MAX {
            return Err(Refused("offset exceeds the maximum of 10000"));
        }
        let chosen = self.markets.iter().filter(|m| filter.admits(m)).skip(offset).take(limit);
        self.push_markets(out, chosen);
        Ok(())
    }

    pub(super) fn page_markets(&self, query: &Query, out: &mut Vec<u8>) -> Result<(), Refused> {
        let filter = Filter::new(query)?;
        let (limit, after) = (limit(query, MARKETS_MAX)?, cursor(query)?);
        let mut rest = self.markets.iter().filter(|m| m.number > after && filter.admits(m));
        let page: Vec<&Market> = rest.by_ref().take(limit).collect();
        let last = page.last().map_or(after, |market| market.number);
        out.extend_from_slice(b"{\"markets\":");
        self.push_markets(out, page.into_iter());
        push_cursor(out, rest.next().is_some().then_some(last));
        Ok(())
    }

    pub(super) fn page_events(&self, query: &Query, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (limit, after) = (limit(query, EVENTS_MAX)?, cursor(query)?);
        let chosen = self.filter_events(query)?;
        let mut rest = chosen.filter(|event| event.number > after);
        let page: Vec<&Event> = rest.by_ref().take(limit).collect();
        let last = page.last().map_or(after, |event| event.number);
        out.extend_from_slice(b"{\"events\":");
        self.push_events(out, page.into_iter());
        push_cursor(out, rest.next().is_some().then_some(last));
        Ok(())
    }

    /// `GET /events`: a bare array.
    pub(super) fn list_events(&self, query: &Query, out: &mut Vec<u8>) -> Result<(), Refused> {
        let limit = limit(query, EVENTS_MAX)?;
        let offset = query.first("offset").unwrap_or("0");
        let offset = offset.parse::<usize>().map_err(|_| Refused("invalid offset"))?;
        if offset > OFFSET_MAX {
            return Err(Refused("offset exceeds the maximum of 10000"));
        }
        let chosen = self.filter_events(query)?;
        self.push_events(out, chosen.skip(offset).take(limit));
        Ok(())
    }

    /// `GET /markets/slug/{slug}` and `GET /markets/{id}`; `false` when there is none.
    pub(super) fn find_market(&self, name: &str, out: &mut Vec<u8>) -> bool {
        let named = |m: &&Market| m.slug == name || m.number.to_string() == name;
        let found = self.markets.iter().find(named);
        if let Some(market) = found {
            push_market(out, market, Some(&self.events[market.event]));
        }
        found.is_some()
    }

    fn filter_events<'s>(
        &'s self,
        query: &Query,
    ) -> Result<impl Iterator<Item = &'s Event>, Refused> {
        let closed = truth(query.first("closed"))?.unwrap_or(false);
        let active = truth(query.first("active"))? != Some(false);
        Ok(self.events.iter().filter(move |event| active && self.is_over(event) == closed))
    }

    fn is_over(&self, event: &Event) -> bool {
        event.markets.iter().all(|&market| is_closed(&self.markets[market]))
    }

    fn push_markets<'m>(&self, out: &mut Vec<u8>, markets: impl Iterator<Item = &'m Market>) {
        out.push(b'[');
        for (at, market) in markets.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_market(out, market, Some(&self.events[market.event]));
        }
        out.push(b']');
    }

    fn push_events<'e>(&self, out: &mut Vec<u8>, events: impl Iterator<Item = &'e Event>) {
        out.push(b'[');
        for (at, event) in events.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.push_event(out, event);
        }
        out.push(b']');
    }

    fn push_event(&self, out: &mut Vec<u8>, event: &Event) {
        let markets = || event.markets.iter().map(|&market| &self.markets[market]);
        let mut object = Object::new(out);
        object.text("id", &event.number.to_string()).text("ticker", &event.slug);
        object.text("slug", &event.slug).text("title", &event.title);
        object.text("description", "Made by the simulated venue.").text("resolutionSource", "");
        object.text("startDate", &moment(markets().map(|m| m.start_ms).min().unwrap_or(0)));
        object.text("endDate", &moment(markets().map(|m| m.end_ms).max().unwrap_or(0)));
        object.plain("active", true).plain("closed", self.is_over(event));
        object.plain("archived", false).plain("enableOrderBook", true);
        object.plain("liquidity", 20_328.374_7).plain("volume", 9.999_997);
        object.plain("negRisk", event.neg_risk);
        let out = object.key("markets");
        out.push(b'[');
        for (at, market) in markets().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_market(out, market, None);
        }
        out.push(b']');
        object.plain("enableNegRisk", event.neg_risk).plain("negRiskAugmented", false);
        object.end();
    }
}

fn push_cursor(out: &mut Vec<u8>, last: Option<u64>) {
    if let Some(last) = last {
        out.extend_from_slice(b",\"next_cursor\":\"");
        out.extend_from_slice(CURSOR.encode(last.to_string()).as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

/// `2026-03-12T09:25:00Z`.
fn moment(unix_ms: u64) -> String {
    stamp(unix_ms).to_string()
}

fn stamp(unix_ms: u64) -> jiff::Timestamp {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(0);
    jiff::Timestamp::from_millisecond(unix_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Cents of the first outcome between the best prices, or its payout.
fn middle(market: &Market) -> f64 {
    match market.phase {
        Phase::Resolved(Outcome::First) => 1.0,
        Phase::Resolved(Outcome::Second) => 0.0,
        Phase::Open | Phase::Ended => {
            let best = |side| f64::from(market.book.best_or_bound(Outcome::First, side).0);
            (best(Side::Bid) + best(Side::Ask)) / 2e6
        }
    }
}

/// One market object; null values are omitted.
fn push_market(out: &mut Vec<u8>, market: &Market, event: Option<&Event>) {
    let closed = is_closed(market);
    let (start, end) = (moment(market.start_ms), moment(market.end_ms));
    let volume = market.volume.to_string();
    let middle = middle(market);
    let prices = [format!("{middle:.4}"), format!("{:.4}", 1.0 - middle)];
    let mut object = Object::new(out);
    object.text("id", &market.number.to_string()).text("question", &market.question);
    object.text("conditionId", market.listed_condition()).text("slug", &market.slug);
    object.text("resolutionSource", "").text("endDate", &end);
    object.text("liquidity", "20328.3747").text("startDate", &start);
    object.text(
        "description",
        "This market resolves to \"Yes\" when the simulator decides so.\nElse not.",
    );
    object.texts_in_text("outcomes", &market.outcomes);
    object.texts_in_text("outcomePrices", &[&prices[0], &prices[1]]);
    object.text("volume", &volume).plain("active", true).plain("closed", closed);
    object.text("marketMakerAddress", "").text("createdAt", &start).text("updatedAt", &start);
    if closed {
        let text = stamp(market.closed_ms).strftime("%Y-%m-%d %H:%M:%S+00").to_string();
        object.text("closedTime", &text);
    }
    object.plain("new", false).plain("featured", false).plain("archived", false);
    object.plain("restricted", true).text("groupItemThreshold", "0");
    object.text("questionID", &format!("{}00", &market.condition[..64]));
    object.plain("enableOrderBook", true);
    object.plain("orderPriceMinTickSize", market.tick).plain("orderMinSize", 5);
    object.plain("volumeNum", &volume).plain("liquidityNum", 20_328.374_7);
    object.text("endDateIso", &end[..10]).text("startDateIso", &start[..10]);
    object.plain("hasReviewedDates", true).plain("volume24hr", &volume);
    push_ids(&mut object, market);
    object.plain("volumeClob", &volume).plain("liquidityClob", 20_328.374_7);
    object.plain("makerBaseFee", market.fee_rate_bps).plain("takerBaseFee", market.fee_rate_bps);
    object.plain("acceptingOrders", market.phase == Phase::Open);
    object.plain("negRisk", market.neg_risk);
    if let Some(event) = event {
        if event.neg_risk {
            object.text("negRiskMarketID", &format!("0x{:064x}", event.number));
        }
        push_event_stub(object.key("events"), event);
    }
    object.plain("ready", false).plain("funded", false);
    object.text("acceptingOrdersTimestamp", &start).plain("cyom", false);
    object.plain("competitive", 0.999_975).plain("approved", true);
    object.plain("rewardsMinSize", 50).plain("rewardsMaxSpread", 4.5);
    push_prices(&mut object, market);
    object.text("umaResolutionStatuses", "[]").plain("rfqEnabled", false);
    object.plain("feesEnabled", market.fee_rate_bps != "0");
    object.end();
}

fn push_ids(object: &mut Object<'_>, market: &Market) {
    let tokens: Vec<&str> = v1_tokens(market).iter().map(String::as_str).collect();
    if market.version != (Version::V2 { with_key: false }) {
        object.texts_in_text("clobTokenIds", &tokens);
    }
    if market.is_v2() {
        object.texts("positionIds", &[&market.tokens[0], &market.tokens[1]]);
    }
    match market.version {
        Version::Unsaid => {}
        Version::V1 => _ = object.text("version", "v1"),
        Version::V2 { .. } | Version::Both(_) => _ = object.text("version", "v2"),
    }
}

fn push_event_stub(out: &mut Vec<u8>, event: &Event) {
    out.push(b'[');
    let mut object = Object::new(out);
    object.text("id", &event.number.to_string()).text("ticker", &event.slug);
    object.text("slug", &event.slug).text("title", &event.title);
    object.plain("negRisk", event.neg_risk);
    object.end();
    out.push(b']');
}

fn push_prices(object: &mut Object<'_>, market: &Market) {
    let (bid, ask) = (market.book.best(Side::Bid), market.book.best(Side::Ask));
    if let (Some(bid), Some(ask)) = (bid, ask) {
        let spread = crate::base::price::Price(ask.0.saturating_sub(bid.0));
        object.plain("spread", spread);
    }
    if let Some(price) = market.last_trade {
        object.plain("lastTradePrice", price);
    }
    if let Some(price) = bid {
        object.plain("bestBid", price);
    }
    if let Some(price) = ask {
        object.plain("bestAsk", price);
    }
}

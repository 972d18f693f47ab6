//! Markets and events in the catalog's form.
//!
//! Runs on:  serve core (pure).
use crate::base::condition;
use crate::base::price::Price;
use crate::gateway::catalog::{Catalog, Listed, ListedEvent};
use crate::gateway::polymarket::json::push_text;
use crate::gateway::polymarket::markets::{is_open, listing, push_date};
use crate::gateway::polymarket::rest::middle;
use crate::gateway::push_array;
use crate::gateway::rest::{Top, push_missing};
use std::fmt::Write as _;

/// The venue's number of a market; its condition where the catalog has not listed it yet.
pub(super) fn number(listed: &Listed) -> &str {
    let number = listing(&listed.info).map_or("", |listing| &listing.number);
    if number.is_empty() { listed.info.market.as_str() } else { number }
}

pub(super) fn push_event(out: &mut String, event: &ListedEvent, catalog: &Catalog) {
    let listing = &event.listing;
    let markets = || event.markets.iter().filter_map(|market| catalog.listed(market));
    out.push_str(r#"{"id":"#);
    push_text(out, &listing.id);
    for (name, text) in
        [("ticker", &listing.slug), ("slug", &listing.slug), ("title", &listing.title)]
    {
        out.extend([",\"", name, "\":"]);
        push_text(out, text);
    }
    let is_over = !markets().any(is_open);
    let _ =
        write!(out, r#","active":true,"closed":{is_over},"archived":false,"enableOrderBook":true"#);
    push_members(out, &listing.members);
    out.push_str(r#","markets":"#);
    push_array(out, markets(), |out, listed| push_market(out, listed, &Top::default(), false));
    out.push_str(r#","series":[],"tags":[]}"#);
}

fn push_members(out: &mut String, members: &str) {
    if !members.is_empty() {
        out.extend([",", members]);
    }
}

/// A list as the catalog writes it: JSON within a string.
fn push_list<'a>(out: &mut String, texts: impl Iterator<Item = &'a str>) {
    let mut list = String::from("[");
    for (place, text) in texts.enumerate() {
        list.push_str(if place == 0 { "" } else { ", " });
        push_text(&mut list, text);
    }
    list.push(']');
    push_text(out, &list);
}

/// A market; `with_event` where it is not within its event.
pub(super) fn push_market(out: &mut String, listed: &Listed, top: &Top, with_event: bool) {
    let info = &listed.info;
    out.push_str(r#"{"id":"#);
    push_text(out, number(listed));
    for (name, text) in [("question", &info.question), ("slug", &info.slug)] {
        out.extend([",\"", name, "\":"]);
        push_text(out, text);
    }
    push_ids(out, listed);
    let is_open = is_open(listed);
    let (closed, neg_risk) = (!is_open, info.neg_risk);
    let _ = write!(
        out,
        r#","active":true,"closed":{closed},"archived":false,"enableOrderBook":true,"acceptingOrders":{is_open},"negRisk":{neg_risk}"#
    );
    for (name, at) in [("startDate", info.start_wall_ns), ("endDate", info.end_wall_ns)] {
        if let Some(ns) = at {
            out.extend([",\"", name, "\":"]);
            push_date(out, ns);
        }
    }
    if let Some(step) = info.tick_size {
        let _ = write!(out, r#","orderPriceMinTickSize":{step}"#);
    }
    if let Some(size) = info.min_order_size {
        let _ = write!(out, r#","orderMinSize":{size}"#);
    }
    push_prices(out, top);
    let listing = listing(info);
    if let Some(question) = listing.map(|l| &l.question_id).filter(|text| !text.is_empty()) {
        out.push_str(r#","questionID":"#);
        push_text(out, question);
    }
    let members = listing.map_or("", |listing| &listing.members);
    push_members(out, members);
    push_missing(out, members, &[("marketMakerAddress", "\"\"")]);
    if with_event {
        out.push_str(r#","events":["#);
        if let Some(event) = listing.and_then(|listing| listing.event.as_ref()) {
            out.push_str(r#"{"id":"#);
            push_text(out, &event.id);
            for (name, text) in [("slug", &event.slug), ("title", &event.title)] {
                out.extend([",\"", name, "\":"]);
                push_text(out, text);
            }
            push_members(out, &event.members);
            out.push('}');
        }
        out.push(']');
    }
    out.push('}');
}

/// Condition, outcomes and tokens; the version says where the tokens are (polymarket/protocol.md, 6).
fn push_ids(out: &mut String, listed: &Listed) {
    let tokens = &listed.info.tokens;
    let is_v2 = tokens.iter().all(|outcome| condition::is_position(&outcome.token));
    let market = &listed.info.market;
    let condition = condition::short_form(market).filter(|_| is_v2).unwrap_or(market.as_str());
    let _ = write!(out, r#","conditionId":"{condition}","outcomes":"#);
    push_list(out, tokens.iter().map(|outcome| outcome.name.as_str()));
    let ids = tokens.iter().map(|outcome| outcome.token.as_str());
    if is_v2 {
        out.push_str(r#","version":"v2","positionIds":"#);
        push_array(out, ids, |out, id| out.extend(["\"", id, "\""]));
    } else {
        out.push_str(r#","version":"v1","clobTokenIds":"#);
        push_list(out, ids);
    }
}

/// Best prices of a live book, and the middle between them as the prices of the outcomes.
fn push_prices(out: &mut String, top: &Top) {
    if let (Some(bid), Some(ask)) = (top.bid, top.ask) {
        let sum = bid.price.0 + ask.price.0;
        let (first, second) = (middle(sum), middle(2 * Price::ONE.0 - sum));
        out.push_str(r#","outcomePrices":"#);
        push_list(out, [first.as_str(), second.as_str()].into_iter());
        if ask.price >= bid.price {
            let _ = write!(out, r#","spread":{}"#, Price(ask.price.0 - bid.price.0));
        }
    }
    let last = top.last;
    for (name, price) in [
        ("bestBid", top.bid.map(|level| level.price)),
        ("bestAsk", top.ask.map(|level| level.price)),
        ("lastTradePrice", last),
    ] {
        if let Some(price) = price {
            let _ = write!(out, r#","{name}":{price}"#);
        }
    }
}

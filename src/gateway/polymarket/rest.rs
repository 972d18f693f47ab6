//! Answers of the CLOB's read-only interface.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   `TOKENS_PER_REQUEST_MAX` tokens of one request.
//!
//! [`plan`] reads a request, [`answer`] writes the answer from the books that it needs; [`markets`] has those about
//! markets. Paths and shapes are those of the
//! API reference of docs.polymarket.com (market data, 2026-06) and of the official Python clients. A price is answered
//! for a live book only; `/book`, `/books`, `/tick-size` and `/neg-risk` are answered for a stale one as well, the
//! first two with its state. Requests about orders and accounts are not answered, and nothing is forwarded.
use super::json::{self, push_text};
use super::{history, markets, polypy};
use crate::base::id::{MarketId, TokenId};
use crate::base::price::Price;
use crate::base::time::SECOND_NS;
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, BookKind, Known, Plan, READ_METHODS, Request, value};
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, Side};
use crate::market::info::{FeeSchedule, MarketInfo};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Most tokens of one request, as at the venue.
pub const TOKENS_PER_REQUEST_MAX: usize = 500;

/// The venue's answer for a token without a book.
const NO_BOOK: &str = "No orderbook exists for the requested token id";
const INVALID_TOKEN: &str = "Invalid token id";
const INVALID_SIDE: &str = "Invalid side";
pub(super) const INVALID_PAYLOAD: &str = "Invalid payload";
pub(super) const PAYLOAD_TOO_LARGE: &str = "Payload exceeds the limit";
/// Paths about orders, accounts and rewards, and those that continue one of them after `/` or `-`.
const NOT_OURS: [&str; 14] = [
    "/auth",
    "/balance-allowance",
    "/builder",
    "/cancel",
    "/data",
    "/fees",
    "/heartbeats",
    "/notifications",
    "/order",
    "/orders",
    "/rebates",
    "/rewards",
    "/rfq",
    "/v1/heartbeats",
];

/// What is asked of books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/book`
    Book,
    /// `/books`
    Books,
    /// `/price`: best bid for `BUY`, best ask for `SELL`.
    Price(Side),
    /// `/prices`, one side for each token.
    Prices(Vec<Side>),
    /// `/midpoint`
    Midpoint,
    /// `/midpoints`
    Midpoints,
    /// `/spread`
    Spread,
    /// `/spreads`
    Spreads,
    /// `/last-trade-price`
    LastTradePrice,
    /// `/last-trades-prices`
    LastTradesPrices,
    /// `/tick-size`
    TickSize,
    /// `/neg-risk`
    NegRisk,
    /// The book of polypy's page, with so many levels of a side.
    Polypy(usize),
}

/// Reads a request.
pub fn plan(request: &Request<'_>, known: Known<'_>) -> Plan {
    let Request { method, path, body, now_wall_ns, .. } = *request;
    if is_not_ours(path) {
        let text =
            "ringbook answers market data only; send orders and account requests to the venue";
        return Plan::Answer(Answer::error(501, text));
    }
    let plan = match (method, kind_of_many(path)) {
        ("POST", None) if path == history::BATCH_PATH => {
            Some(history::plan_batch(body, now_wall_ns))
        }
        (_, None) if path == history::BATCH_PATH => Some(Plan::Answer(Answer::not_allowed("POST"))),
        ("GET" | "HEAD", _) => read(request, known),
        ("POST", Some(kind)) => Some(posted(kind, body)),
        (_, Some(_)) => Some(Plan::Answer(Answer::not_allowed("GET, HEAD, POST"))),
        (_, None) => read(request, known).map(|_| Plan::Answer(Answer::not_allowed(READ_METHODS))),
    };
    plan.unwrap_or_else(|| Plan::Answer(Answer::error(404, "no such path")))
}

/// Reads the path of a `GET`; `None` if there is none.
fn read(request: &Request<'_>, known: Known<'_>) -> Option<Plan> {
    let Request { path, query, now_wall_ns, .. } = *request;
    fixed(path, now_wall_ns)
        .or_else(|| polypy::plan(path, query, known.catalog))
        .or_else(|| markets::plan(path, query, known.catalog))
        .or_else(|| about_market(request, known))
        .or_else(|| one(path, query))
        .or_else(|| listed(path, query))
}

fn is_not_ours(path: &str) -> bool {
    let mut rest = NOT_OURS.iter().filter_map(|begin| path.strip_prefix(begin));
    rest.any(|rest| rest.is_empty() || rest.starts_with(['/', '-']))
}

/// Paths without parameters.
fn fixed(path: &str, now_wall_ns: u64) -> Option<Plan> {
    let body = match path {
        "/" | "/ok" => r#""OK""#.to_owned(),
        "/version" => r#"{"version":2}"#.to_owned(),
        "/time" => (now_wall_ns / SECOND_NS).to_string(),
        _ => return None,
    };
    Some(Plan::Answer(Answer::json(body)))
}

/// Name and rest of a path of two parts, or of one.
fn parts(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.get(1..)?;
    Some(path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest))))
}

fn token_of(in_path: Option<&str>, query: &str) -> Option<TokenId> {
    match in_path {
        Some(text) => TokenId::new(text),
        None => TokenId::new(&value(query, "token_id")?),
    }
}

/// Paths about what the catalog knows of a market.
fn about_market(request: &Request<'_>, known: Known<'_>) -> Option<Plan> {
    let Request { path, query, now_wall_ns, .. } = *request;
    let (name, in_path) = parts(path)?;
    let token = || token_of(in_path, query);
    let answer = match (name, in_path) {
        ("clob-markets", _) => match in_path.and_then(MarketId::new) {
            Some(market) => clob_market(known.catalog.market(&market)),
            None => Answer::error(400, "Invalid market"),
        },
        ("markets-by-token", Some(_)) => match token() {
            Some(token) => market_by_token(known.catalog.market_of(&token)),
            None => Answer::error(400, INVALID_TOKEN),
        },
        ("fee-rate", _) => match token() {
            Some(token) => fee_rate(known.catalog.market_of(&token)),
            None => Answer::error(400, INVALID_TOKEN),
        },
        ("prices-history", None) => {
            let text = value(query, "market").or_else(|| value(query, "token_id"));
            match text.and_then(|text| TokenId::new(&text)) {
                Some(token) => return Some(history::plan(token, query, now_wall_ns)),
                None => Answer::error(400, INVALID_TOKEN),
            }
        }
        _ => return None,
    };
    Some(Plan::Answer(answer))
}

/// Paths about the book of one token.
fn one(path: &str, query: &str) -> Option<Plan> {
    let (name, in_path) = parts(path)?;
    let token = token_of(in_path, query);
    let kind = match (name, in_path) {
        ("tick-size", _) => Kind::TickSize,
        ("neg-risk", _) => Kind::NegRisk,
        ("book", None) => Kind::Book,
        ("midpoint", None) => Kind::Midpoint,
        ("spread", None) => Kind::Spread,
        ("last-trade-price", None) => Kind::LastTradePrice,
        ("price", None) => match value(query, "side").and_then(|text| side(&text)) {
            Some(side) => Kind::Price(side),
            None if token.is_none() => return Some(refused(INVALID_TOKEN)),
            None => return Some(refused(INVALID_SIDE)),
        },
        _ => return None,
    };
    Some(match token {
        Some(token) => books(vec![token], kind),
        None => refused(INVALID_TOKEN),
    })
}

/// Paths about many tokens, named in the query as `token_ids=1,2` (and `sides=BUY,SELL`).
fn listed(path: &str, query: &str) -> Option<Plan> {
    let kind = kind_of_many(path)?;
    let list = |key| value(query, key).unwrap_or_default();
    let (tokens, sides) = (list("token_ids"), list("sides"));
    if tokens.is_empty() {
        return Some(refused(INVALID_PAYLOAD));
    }
    let sides = sides.split(',').map(Some).chain(std::iter::repeat(None));
    Some(many(kind, tokens.split(',').zip(sides)))
}

/// Paths about many tokens, named in the body as `[{"token_id":"1","side":"BUY"}]`.
fn posted(kind: Kind, body: &[u8]) -> Plan {
    let items = std::str::from_utf8(body).ok().and_then(json::read::<Vec<Item<'_>>>);
    let Some(items) = items else { return refused(INVALID_PAYLOAD) };
    many(kind, items.iter().map(|item| (&*item.token_id, item.side.as_deref())))
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    token_id: Cow<'a, str>,
    #[serde(borrow)]
    side: Option<Cow<'a, str>>,
}

fn kind_of_many(path: &str) -> Option<Kind> {
    Some(match path {
        "/books" => Kind::Books,
        "/prices" => Kind::Prices(Vec::new()),
        "/midpoints" => Kind::Midpoints,
        "/spreads" => Kind::Spreads,
        "/last-trades-prices" => Kind::LastTradesPrices,
        _ => return None,
    })
}

/// Tokens that cannot be ids are unknown tokens, which the venue leaves out.
fn many<'a>(mut kind: Kind, items: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Plan {
    let mut tokens = Vec::new();
    for (place, (token, side_name)) in items.enumerate() {
        if place == TOKENS_PER_REQUEST_MAX {
            return refused(PAYLOAD_TOO_LARGE);
        }
        let Some(token) = TokenId::new(token) else { continue };
        if let Kind::Prices(sides) = &mut kind {
            let Some(side) = side_name.and_then(side) else { return refused(INVALID_SIDE) };
            sides.push(side);
        }
        tokens.push(token);
    }
    books(tokens, kind)
}

const fn books(tokens: Vec<TokenId>, kind: Kind) -> Plan {
    Plan::Books { tokens, kind: BookKind::Polymarket(kind) }
}

fn refused(text: &str) -> Plan {
    Plan::Answer(Answer::error(400, text))
}

/// The first value of a key in the query, not decoded.
fn side(name: &str) -> Option<Side> {
    if name.eq_ignore_ascii_case("buy") {
        Some(Side::Bid)
    } else if name.eq_ignore_ascii_case("sell") {
        Some(Side::Ask)
    } else {
        None
    }
}

/// The answer of a plan with books: for each of its tokens, in their order, the book, or `None` if there is none.
pub fn answer(
    kind: &Kind,
    books: &[(TokenId, Option<&BookImage>)],
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Answer {
    match kind {
        Kind::Books => all(books),
        Kind::Prices(sides) => prices(sides, books),
        Kind::Midpoints => map(books, midpoint),
        Kind::Spreads => map(books, spread),
        Kind::LastTradesPrices => last_trades(books, trades),
        Kind::Polypy(depth) => polypy::answer(*depth, books.first().and_then(|(_, image)| *image)),
        single => match books.first().and_then(|(_, image)| *image) {
            None => Answer::error(404, NO_BOOK),
            Some(image) => of_one(single, image, trades),
        },
    }
}

fn of_one(kind: &Kind, image: &BookImage, trades: &VecDeque<(TokenId, TradeUpdate)>) -> Answer {
    let facts = &image.facts;
    match kind {
        Kind::TickSize => facts.tick_size.map_or_else(
            || Answer::error(404, "market not found"),
            |step| Answer::json(format!(r#"{{"minimum_tick_size":{step}}}"#)),
        ),
        Kind::NegRisk => Answer::json(format!(r#"{{"neg_risk":{}}}"#, facts.neg_risk)),
        Kind::Book if image.state != BookState::AwaitingSnapshot => {
            let mut body = String::with_capacity(512 + 40 * (image.bids.len() + image.asks.len()));
            image.write_json(&mut body);
            Answer::json(body)
        }
        _ if image.state != BookState::Live => {
            let text = format!("the book is {}: no price until it is live", image.state.name());
            Answer::error(503, &text)
        }
        Kind::LastTradePrice => Answer::json(last_trade(image, trades, None)),
        Kind::Price(side) => {
            named("price", best(image, *side).map(|price| price.to_string()), "the side is empty")
        }
        Kind::Midpoint => named("mid", midpoint(image), "a side is empty"),
        _ => named("spread", spread(image), "a side is empty"),
    }
}

fn named(key: &str, value: Option<String>, missing: &str) -> Answer {
    value.map_or_else(
        || Answer::error(404, missing),
        |value| Answer::json(format!(r#"{{"{key}":"{value}"}}"#)),
    )
}

fn best(image: &BookImage, side: Side) -> Option<Price> {
    let levels = if side == Side::Bid { &image.bids } else { &image.asks };
    levels.last().map(|level| level.price)
}

fn midpoint(image: &BookImage) -> Option<String> {
    Some(middle(best(image, Side::Bid)?.0 + best(image, Side::Ask)?.0))
}

/// The middle of two prices with this sum, with up to seven decimals.
pub(super) fn middle(sum: u32) -> String {
    let mut text = Price(sum / 2).to_string();
    if sum % 2 == 1 {
        // Half a unit of 1e-6: the seventh decimal.
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        text.push_str(if decimals == 0 { "." } else { "" });
        text.extend(std::iter::repeat_n('0', 6 - decimals));
        text.push('5');
    }
    text
}

/// Best ask minus best bid; negative while the book is crossed.
fn spread(image: &BookImage) -> Option<String> {
    let (bid, ask) = (best(image, Side::Bid)?, best(image, Side::Ask)?);
    let sign = if bid > ask { "-" } else { "" };
    Some(format!("{sign}{}", Price(ask.0.abs_diff(bid.0))))
}

/// The venue's answer for a market without trades is 0.5 without a side. The side of the last trade is not part of a
/// book: it is known of a trade that came while clients subscribed to the book, and empty otherwise.
fn last_trade(
    image: &BookImage,
    trades: &VecDeque<(TokenId, TradeUpdate)>,
    token: Option<&TokenId>,
) -> String {
    let price = image.facts.last_trade.unwrap_or(Price(Price::ONE.0 / 2));
    let newest = trades.iter().rev().find(|(of, _)| Some(*of) == image.token);
    let newest = newest.filter(|(_, trade)| Some(trade.price) == image.facts.last_trade);
    let side = match newest.map(|(_, trade)| trade.side) {
        Some(Side::Bid) => "BUY",
        Some(Side::Ask) => "SELL",
        None => "",
    };
    let mut body = format!(r#"{{"price":"{price}","side":"{side}""#);
    if let Some(token) = token {
        // Writing to a string cannot fail.
        let _ = write!(body, r#","token_id":"{token}""#);
    }
    body.push('}');
    body
}

/// Books that wait for their first snapshot are left out, as unknown ones are.
fn all(books: &[(TokenId, Option<&BookImage>)]) -> Answer {
    list(
        books,
        |image| image.state != BookState::AwaitingSnapshot,
        |out, _, image| {
            image.write_json(out);
        },
    )
}

fn last_trades(
    books: &[(TokenId, Option<&BookImage>)],
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Answer {
    let is_live = |image: &BookImage| image.state == BookState::Live;
    list(books, is_live, |out, token, image| out.push_str(&last_trade(image, trades, Some(token))))
}

fn list(
    books: &[(TokenId, Option<&BookImage>)],
    wanted: impl Fn(&BookImage) -> bool,
    write: impl Fn(&mut String, &TokenId, &BookImage),
) -> Answer {
    let mut body = String::new();
    let images = books.iter().filter_map(|(token, image)| Some((token, (*image)?)));
    let wanted = images.filter(|(_, image)| wanted(image));
    push_array(&mut body, wanted, |body, (token, image)| write(body, token, image));
    Answer::json(body)
}

/// `{"TOKEN":"value"}` of the live books that have one; the first place of a repeated token counts.
fn map(
    books: &[(TokenId, Option<&BookImage>)],
    value: impl Fn(&BookImage) -> Option<String>,
) -> Answer {
    let mut body = String::from("{");
    for (place, (token, image)) in books.iter().enumerate() {
        let live = image.filter(|image| image.state == BookState::Live);
        let Some(value) = live.and_then(&value) else { continue };
        if books[..place].iter().any(|(earlier, _)| earlier == token) {
            continue;
        }
        body.push_str(if body.len() > 1 { "," } else { "" });
        let _ = write!(body, r#""{token}":"{value}""#);
    }
    body.push('}');
    Answer::json(body)
}

/// `{"TOKEN":{"BUY":"0.45"}}` of the live books that have the price.
fn prices(sides: &[Side], books: &[(TokenId, Option<&BookImage>)]) -> Answer {
    let mut body = String::from("{");
    for (place, (token, image)) in books.iter().enumerate() {
        let Some(image) = image.filter(|image| image.state == BookState::Live) else { continue };
        if books[..place].iter().any(|(earlier, _)| earlier == token) {
            continue;
        }
        let asked = |side: Side| {
            let mut places = books[place..].iter().zip(&sides[place..]);
            places.any(|((other, _), wanted)| other == token && *wanted == side)
        };
        let sides = [(Side::Bid, "BUY"), (Side::Ask, "SELL")].into_iter();
        let known = sides.filter(|(side, _)| asked(*side)).filter_map(|(side, name)| {
            best(image, side).map(|price| format!(r#""{name}":"{price}""#))
        });
        let known: Vec<String> = known.collect();
        if !known.is_empty() {
            body.push_str(if body.len() > 1 { "," } else { "" });
            let _ = write!(body, r#""{token}":{{{}}}"#, known.join(","));
        }
    }
    body.push('}');
    Answer::json(body)
}

/// `/clob-markets/{condition}`. Of the venue's keys it has those that the catalog lists.
fn clob_market(info: Option<&MarketInfo>) -> Answer {
    let Some(info) = info else { return Answer::error(404, "market not found") };
    let mut body = String::from(r#"{"t":"#);
    push_array(&mut body, &info.tokens, |body, outcome| {
        let _ = write!(body, r#"{{"t":"{}","o":"#, outcome.token);
        push_text(body, &outcome.name);
        body.push('}');
    });
    let _ = write!(body, r#","c":"{}""#, info.market);
    if let Some(size) = info.min_order_size {
        let _ = write!(body, r#","mos":{size}"#);
    }
    if let Some(step) = info.tick_size {
        let _ = write!(body, r#","mts":{step}"#);
    }
    let _ = write!(body, r#","nr":{}"#, info.neg_risk);
    if let Some(fees) = info.listing.as_ref().and_then(|listing| listing.fees.as_ref()) {
        let _ = write!(body, r#","mbf":{},"tbf":{}"#, fees.maker_bps, fees.taker_bps);
        if let Some(FeeSchedule { rate, exponent, taker_only }) = &fees.schedule {
            let _ = write!(body, r#","fd":{{"r":{rate},"e":{exponent},"to":{taker_only}}}"#);
        }
    }
    body.push('}');
    Answer::json(body)
}

fn market_by_token(info: Option<&MarketInfo>) -> Answer {
    let Some(info) = info else { return Answer::error(404, "market not found") };
    let mut body = format!(r#"{{"condition_id":"{}""#, info.market);
    for (name, outcome) in ["primary_token_id", "secondary_token_id"].iter().zip(&info.tokens) {
        let _ = write!(body, r#","{name}":"{}""#, outcome.token);
    }
    body.push('}');
    Answer::json(body)
}

/// `/fee-rate`: the taker's fee. 404 as at the venue for a market whose fees are not known.
fn fee_rate(info: Option<&MarketInfo>) -> Answer {
    match info.and_then(|info| info.listing.as_ref()) {
        Some(listing) => {
            let fee = listing.fees.as_ref().map_or(0, |fees| fees.taker_bps);
            Answer::json(format!(r#"{{"base_fee":{fee}}}"#))
        }
        None => Answer::error(404, "fee rate not found for market"),
    }
}

#[cfg(test)]
mod tests;

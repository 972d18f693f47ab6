//! Answers of the public REST interface.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   [`TICKERS_MAX`] tickers of one request, [`TRADES_MAX`] trades of one answer.
//!
//! [`plan`] reads a request; [`answer`] and [`status_answer`] write the answer from what it needs; [`markets`] has
//! those about markets and events.
//! Paths and shapes are those of the OpenAPI of docs.kalshi.com (2026-10). A book is answered while it is live: its
//! shape has no place for a state, so a stale one is 503, and left out of a list. Requests about orders and accounts
//! are not answered, and nothing is forwarded.
use super::encode::{push_count, push_dollars, push_levels, push_time};
use super::markets;
use crate::base::id::TokenId;
use crate::base::time::MILLISECOND_NS;
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, BookKind, Known, Plan, READ_METHODS, Request, pairs};
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, Level, Side};
use crate::market::info::ExchangeStatus;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Most tickers of `/markets/orderbooks`, as at the venue.
pub const TICKERS_MAX: usize = 100;
/// Most trades of one page, as at the venue.
pub const TRADES_MAX: usize = 1_000;
/// Trades of a page that names no limit, as at the venue.
const TRADES_DEFAULT: usize = 100;
/// Most levels of a side; 0 asks for all, as at the venue.
const DEPTH_MAX: usize = 100;
/// Beginning of every path.
const ROOT: &str = "/trade-api/v2";
const NOT_SERVED: &str =
    "ringbook answers market data only, of the books that it follows; ask the venue for the rest";

/// What is asked of books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/markets/{ticker}/orderbook`
    One {
        /// Most levels of a side, the best ones.
        depth: usize,
    },
    /// `/markets/orderbooks`
    Many,
}

/// `code` and `message` of the OpenAPI's error; the text needs no escapes.
fn error(status: u16, code: &str, text: &str) -> Answer {
    Answer { status, ..json(format!(r#"{{"code":"{code}","message":"{text}"}}"#)) }
}

pub(super) const fn json(body: String) -> Answer {
    Answer::json(body)
}

fn not_allowed() -> Answer {
    let allowed = Some(READ_METHODS);
    Answer { allowed, ..error(405, "method_not_allowed", "method not allowed") }
}

pub(super) fn not_served() -> Answer {
    error(501, "not_implemented", NOT_SERVED)
}

/// The answer to a request that is not signed as it must be.
pub fn unauthorized(text: &str) -> Answer {
    error(401, "authentication_error", text)
}

pub(super) fn not_found() -> Answer {
    error(404, "not_found", "not found")
}

/// Reads a request.
pub fn plan(request: &Request<'_>, known: Known<'_>) -> Plan {
    read(request, known).unwrap_or_else(Plan::Answer)
}

fn read(request: &Request<'_>, known: Known<'_>) -> Result<Plan, Answer> {
    let Request { method, path, query, .. } = *request;
    let path = path.strip_prefix(ROOT).ok_or_else(not_found)?;
    let is_get = matches!(method, "GET" | "HEAD");
    let book = path.strip_prefix("/markets/").and_then(|rest| rest.strip_suffix("/orderbook"));
    let is_served = book.is_some()
        || matches!(path, "/exchange/status" | "/markets/orderbooks" | "/markets/trades");
    if !is_served {
        return match markets::plan(path, query, known.catalog) {
            Some(plan) if is_get => plan,
            Some(_) => Err(not_allowed()),
            None => Err(not_served()),
        };
    }
    if !is_get {
        return Err(not_allowed());
    }
    if let Some(ticker) = book {
        let depth = match number(query, "depth", DEPTH_MAX)? {
            None | Some(0) => usize::MAX,
            Some(depth) => depth,
        };
        let token = TokenId::new(ticker).ok_or_else(not_found)?;
        return Ok(books(vec![token], Kind::One { depth }));
    }
    match path {
        "/exchange/status" => Ok(Plan::Status),
        "/markets/orderbooks" => {
            let named: Vec<Cow<'_, str>> = values(query, "tickers").take(TICKERS_MAX + 1).collect();
            if named.is_empty() || named.len() > TICKERS_MAX {
                return Err(bad_request("tickers: 1 to 100 are required"));
            }
            let tokens =
                named.iter().map(|text| TokenId::new(text)).collect::<Option<Vec<TokenId>>>();
            let tokens = tokens.ok_or_else(|| bad_request("tickers: not a ticker"))?;
            Ok(books(tokens, Kind::Many))
        }
        _ => {
            let limit = number(query, "limit", TRADES_MAX)?.unwrap_or(TRADES_DEFAULT);
            let token = match values(query, "ticker").find(|text| !text.is_empty()) {
                Some(text) => {
                    Some(TokenId::new(&text).ok_or_else(|| bad_request("ticker: not a ticker"))?)
                }
                None => None,
            };
            let is_wanted = |trade: &&(TokenId, TradeUpdate)| token.is_none_or(|t| t == trade.0);
            let newest = known.trades.iter().rev().filter(is_wanted).take(limit);
            Ok(Plan::Answer(trades_answer(newest)))
        }
    }
}

const fn books(tokens: Vec<TokenId>, kind: Kind) -> Plan {
    Plan::Books { tokens, kind: BookKind::Kalshi(kind) }
}

pub(super) fn bad_request(text: &str) -> Answer {
    error(400, "bad_request", text)
}

fn values<'q>(query: &'q str, key: &str) -> impl Iterator<Item = Cow<'q, str>> {
    pairs(query).filter_map(move |(name, value)| (name == key).then_some(value))
}

/// A number of at most `max`; `None` if it is not in the query.
fn number(query: &str, key: &str, max: usize) -> Result<Option<usize>, Answer> {
    let Some(text) = values(query, key).find(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(number) if number <= max => Ok(Some(number)),
        _ => Err(bad_request(&format!("{key}: a number of at most {max} is required"))),
    }
}

/// The answer about books; `books` are those of the plan, in its order, `None` where there is none.
pub fn answer(kind: Kind, books: &[(TokenId, Option<&BookImage>)]) -> Answer {
    let mut out = String::new();
    match kind {
        Kind::One { depth } => {
            let Some((_, Some(image))) = books.first() else { return not_found() };
            if image.state != BookState::Live {
                let text = format!("the book is {}; ask again", image.state.name());
                return error(503, "service_unavailable", &text);
            }
            out.push('{');
            push_book(&mut out, image, depth);
        }
        Kind::Many => {
            out.push_str(r#"{"orderbooks":"#);
            let is_live = |image: &&BookImage| image.state == BookState::Live;
            let live =
                books.iter().filter_map(|(token, image)| Some((token, image.filter(is_live)?)));
            push_array(&mut out, live, |out, (token, image)| {
                // Writing to a string cannot fail.
                let _ = write!(out, r#"{{"ticker":"{token}","#);
                push_book(out, image, usize::MAX);
                out.push('}');
            });
        }
    }
    out.push('}');
    json(out)
}

/// `orderbook_fp` with the best `depth` levels of each side, ascending.
fn push_book(out: &mut String, image: &BookImage, depth: usize) {
    let best = |levels: &[Level]| levels.len().saturating_sub(depth);
    out.push_str(r#""orderbook_fp":{"yes_dollars":"#);
    push_levels(out, image.bids[best(&image.bids)..].iter().copied());
    out.push_str(r#","no_dollars":"#);
    let no = |level: &Level| Level { price: level.price.complement(), ..*level };
    push_levels(out, image.asks[best(&image.asks)..].iter().map(no));
    out.push('}');
}

/// `/exchange/status`; `None` while the venue's answer is not known.
pub fn status_answer(status: Option<ExchangeStatus>) -> Answer {
    let Some(ExchangeStatus { active, trading, resumes_wall_ns }) = status else {
        return error(503, "service_unavailable", "the exchange has not been asked yet; ask again");
    };
    let mut out = format!(
        r#"{{"exchange_active":{active},"trading_active":{trading},"exchange_estimated_resume_time":"#
    );
    match resumes_wall_ns {
        Some(ns) => {
            out.push('"');
            push_time(&mut out, ns / MILLISECOND_NS);
            out.push_str("\"}");
        }
        None => out.push_str("null}"),
    }
    json(out)
}

/// `/markets/trades`: one page with these trades, the last one first, and no next page.
fn trades_answer<'a>(trades: impl Iterator<Item = &'a (TokenId, TradeUpdate)>) -> Answer {
    let mut out = String::from(r#"{"trades":"#);
    push_array(&mut out, trades, |out, (ticker, trade)| {
        let id = trade.id.as_ref().map_or("", |id| id.as_str());
        let _ = write!(out, r#"{{"trade_id":"{id}","ticker":"{ticker}","count_fp":""#);
        push_count(out, trade.quantity);
        out.push_str(r#"","yes_price_dollars":""#);
        push_dollars(out, trade.price);
        out.push_str(r#"","no_price_dollars":""#);
        push_dollars(out, trade.price.complement());
        let (side, book_side) = match trade.side {
            Side::Bid => ("yes", "bid"),
            Side::Ask => ("no", "ask"),
        };
        let _ = write!(
            out,
            r#"","taker_side":"{side}","taker_outcome_side":"{side}","taker_book_side":"{book_side}","is_block_trade":false,"created_time":""#
        );
        push_time(out, trade.timestamp_ms);
        out.push_str("\"}");
    });
    out.push_str(r#","cursor":""}"#);
    json(out)
}

#[cfg(test)]
mod tests;

//! REST and control answers of the simulated Kalshi.
//!
//! Runs on:  the venue's thread (pure).
use super::super::request::{Answer, Request};
use super::exchange::Exchange;
use super::filter::{EVENTS_LIMIT, Filter, MARKETS_LIMIT, SERIES, number};
use super::market::{Market, Phase};
use super::messages;
use std::fmt::Write as _;

/// Prefix of every path.
const ROOT: &str = "/trade-api/v2";
/// Token bucket: cost of a request, tokens per second, maximum (kalshi/protocol.md, 4).
pub(super) const COST: f64 = 10.0;
pub(super) const TOKENS_PER_SECOND: f64 = 200.0;
pub(super) const TOKENS_MAX: f64 = 400.0;
/// Most levels of a requested book; 0 requests all.
const DEPTH_MAX: usize = 100;
const BOOKS_MAX: usize = 100;
const EVENT_MARKETS: usize = 5;

pub(super) fn answer(exchange: &Exchange, request: &Request, admitted: bool) -> Answer {
    let path = request.path.strip_prefix(ROOT).unwrap_or("");
    let known = matches!(path, "/events" | "/exchange/status") || path.starts_with("/markets");
    if known && request.method != "GET" {
        return Answer::error(405, "method not allowed");
    }
    let answer = match path {
        "/events" => events(exchange, request),
        "/markets" => markets(exchange, request),
        "/markets/orderbooks" if !admitted => Err(Answer::error(401, "unauthorized")),
        "/markets/orderbooks" => orderbooks(exchange, request),
        "/exchange/status" => Ok(Answer::ok(
            br#"{"exchange_active":true,"trading_active":true,"intra_exchange_transfers_active":true,"exchange_estimated_resume_time":null,"exchange_index_statuses":[{"exchange_index":0,"description":"everything","exchange_active":true,"trading_active":true}]}"#
                .to_vec(),
        )),
        _ => match path.strip_prefix("/markets/") {
            Some(rest) => market(exchange, request, rest),
            None => Err(Answer::error(404, "not found")),
        },
    };
    answer.unwrap_or_else(|refusal| refusal)
}

/// Events by number, five markets per event (kalshi/protocol.md, 4).
fn events(exchange: &Exchange, request: &Request) -> Result<Answer, Answer> {
    let query = &request.query;
    let limit = number(query, "limit", EVENTS_LIMIT)?.unwrap_or(*EVENTS_LIMIT.end());
    let begin = number(query, "cursor", 0..=usize::MAX)?.unwrap_or(0);
    let filter = Filter::of_events(query)?;
    let tickers = query.all("tickers");
    let nested = query.first("with_nested_markets") == Some("true");
    let mut out = String::from(r#"{"events":["#);
    let (mut shown, mut cursor) = (0, String::new());
    for (number, chunk) in exchange.markets.chunks(EVENT_MARKETS).enumerate().skip(begin) {
        let name = messages::event(number as u32);
        let named = tickers.is_empty() || tickers.contains(&name.as_str());
        if !named || !chunk.iter().any(|market| filter.fits(market)) {
            continue;
        }
        if shown == limit {
            cursor = number.to_string();
            break;
        }
        let comma = if shown > 0 { "," } else { "" };
        shown += 1;
        let _ = write!(
            out,
            r#"{comma}{{"event_ticker":"{name}","series_ticker":"{SERIES}","title":"An event","sub_title":"","exchange_index":0,"mutually_exclusive":{}"#,
            number % 2 == 0
        );
        if nested {
            let all: Vec<String> = chunk.iter().map(messages::rest_market).collect();
            let _ = write!(out, r#","markets":[{}]"#, all.join(","));
        }
        out.push('}');
    }
    let _ = write!(out, r#"],"cursor":"{cursor}","milestones":[]}}"#);
    Ok(Answer::ok(out.into_bytes()))
}

fn markets(exchange: &Exchange, request: &Request) -> Result<Answer, Answer> {
    let query = &request.query;
    let limit = number(query, "limit", MARKETS_LIMIT)?.filter(|&limit| limit > 0).unwrap_or(100);
    let begin = number(query, "cursor", 0..=usize::MAX)?.unwrap_or(0);
    let filter = Filter::of_markets(query)?;
    let fitting: Vec<(usize, &Market)> = (exchange.markets.iter().enumerate().skip(begin))
        .filter(|(_, market)| filter.fits(market))
        .take(limit + 1)
        .collect();
    let cursor = fitting.get(limit).map_or(String::new(), |(place, _)| place.to_string());
    let shown: Vec<String> =
        fitting.iter().take(limit).map(|(_, market)| messages::rest_market(market)).collect();
    let body = format!(r#"{{"markets":[{}],"cursor":"{cursor}"}}"#, shown.join(","));
    Ok(Answer::ok(body.into_bytes()))
}

fn book(market: &Market, depth: usize) -> String {
    let sides = messages::sides(market, ["yes_dollars", "no_dollars"], depth);
    format!(r#""orderbook_fp":{{{sides}}}"#)
}

fn orderbooks(exchange: &Exchange, request: &Request) -> Result<Answer, Answer> {
    let tickers = request.query.all("tickers");
    if tickers.is_empty() || tickers.len() > BOOKS_MAX {
        return Err(Answer::error(400, "invalid parameter: tickers"));
    }
    let found = tickers.into_iter().filter_map(|ticker| exchange.find(ticker));
    let all: Vec<String> = found
        .map(|place| {
            let market = &exchange.markets[place as usize];
            format!(r#"{{"ticker":"{}",{}}}"#, market.ticker, book(market, usize::MAX))
        })
        .collect();
    Ok(Answer::ok(format!(r#"{{"orderbooks":[{}]}}"#, all.join(",")).into_bytes()))
}

fn market(exchange: &Exchange, request: &Request, rest: &str) -> Result<Answer, Answer> {
    let (ticker, books) = match rest.strip_suffix("/orderbook") {
        Some(ticker) => (ticker, true),
        None => (rest, false),
    };
    let place = exchange.find(ticker).ok_or_else(|| Answer::error(404, "not found"))?;
    let market = &exchange.markets[place as usize];
    let body = if books {
        let depth = number(&request.query, "depth", 0..=DEPTH_MAX)?.filter(|&depth| depth > 0);
        format!("{{{}}}", book(market, depth.unwrap_or(usize::MAX)))
    } else {
        format!(r#"{{"market":{}}}"#, messages::rest_market(market))
    };
    Ok(Answer::ok(body.into_bytes()))
}

/// Control request: the book of one market, or of all open markets, one per line.
pub(super) fn truth(exchange: &Exchange, ticker: Option<&str>) -> Answer {
    let Some(ticker) = ticker else {
        let open = exchange.markets.iter().filter(|market| market.phase == Phase::Active);
        let mut out = String::new();
        open.for_each(|market| _ = writeln!(out, "{}", messages::truth(market)));
        return Answer::ok(out.into_bytes());
    };
    match exchange.find(ticker) {
        Some(place) => Answer::ok(messages::truth(&exchange.markets[place as usize]).into_bytes()),
        None => Answer::error(404, "no such market"),
    }
}

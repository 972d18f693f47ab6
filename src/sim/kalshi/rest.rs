//! REST of the simulated Kalshi, and what whoever steers may ask.
//!
//! Runs on:  the venue's thread (pure).
use super::super::request::{Answer, Request};
use super::exchange::Exchange;
use super::market::{Market, Phase};
use super::words;
use std::fmt::Write as _;

/// What every path begins with.
const ROOT: &str = "/trade-api/v2";
/// Tokens of a request, of a second, and at most at once (kalshi.md, 4).
const COST: f64 = 10.0;
const TOKENS_PER_SECOND: f64 = 200.0;
const TOKENS_MAX: f64 = 400.0;

/// The venue's patience.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at_ms: u64,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self { tokens: TOKENS_MAX, at_ms: 0 }
    }

    /// Whether one more request is answered.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.at_ms = now_ms;
        self.tokens = (self.tokens + passed * TOKENS_PER_SECOND).min(TOKENS_MAX);
        let enough = self.tokens >= COST;
        if enough {
            self.tokens -= COST;
        }
        enough
    }
}

fn is(market: &Market, status: Option<&str>) -> bool {
    match status {
        None | Some("") => true,
        Some("open") => market.phase == Phase::Active,
        Some("unopened") => market.phase == Phase::Initialized,
        Some("closed") => market.phase == Phase::Closed,
        Some("settled") => market.phase == Phase::Finalized,
        Some(_) => false,
    }
}

fn number(request: &Request, name: &str, default: usize) -> usize {
    request.query.first(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The answer to a request below [`ROOT`].
pub(super) fn answer(exchange: &Exchange, request: &Request, admitted: bool) -> Answer {
    let path = request.path.strip_prefix(ROOT).unwrap_or("");
    match path {
        "/events" => events(exchange, request),
        "/markets" => markets(exchange, request),
        "/markets/orderbooks" if !admitted => Answer::error(401, "unauthorized"),
        "/markets/orderbooks" => orderbooks(exchange, request),
        "/exchange/status" => {
            Answer::ok(br#"{"exchange_active":true,"trading_active":true}"#.to_vec())
        }
        _ => match path.strip_prefix("/markets/") {
            Some(rest) => market(exchange, rest),
            None => Answer::error(404, "not found"),
        },
    }
}

/// Events by number, five markets each; an event is shown if one of its markets fits (kalshi.md, 4).
fn events(exchange: &Exchange, request: &Request) -> Answer {
    let limit = number(request, "limit", 200).clamp(1, 200);
    let begin = number(request, "cursor", 0);
    let status = request.query.first("status");
    let nested = request.query.first("with_nested_markets") == Some("true");
    let mut out = String::from(r#"{"events":["#);
    let (mut shown, mut cursor) = (0, String::new());
    for (number, chunk) in exchange.markets.chunks(5).enumerate().skip(begin) {
        if !chunk.iter().any(|market| is(market, status)) {
            continue;
        }
        if shown == limit {
            cursor = number.to_string();
            break;
        }
        let comma = if shown > 0 { "," } else { "" };
        shown += 1;
        let name = words::event(number as u32);
        let _ = write!(
            out,
            r#"{comma}{{"event_ticker":"{name}","series_ticker":"KXSIM","title":"An event","mutually_exclusive":{}"#,
            number % 2 == 0
        );
        if nested {
            let all: Vec<String> = chunk.iter().map(words::rest_market).collect();
            let _ = write!(out, r#","markets":[{}]"#, all.join(","));
        }
        out.push('}');
    }
    let _ = write!(out, r#"],"cursor":"{cursor}","milestones":[]}}"#);
    Answer::ok(out.into_bytes())
}

fn markets(exchange: &Exchange, request: &Request) -> Answer {
    let limit = number(request, "limit", 100).clamp(1, 1000);
    let begin = number(request, "cursor", 0);
    let tickers = request.query.all("tickers");
    let status = request.query.first("status");
    let wanted = |market: &&Market| {
        let named = tickers.is_empty() || tickers.contains(&market.ticker.as_str());
        named && is(market, status)
    };
    let fitting: Vec<(usize, &Market)> = (exchange.markets.iter().enumerate().skip(begin))
        .filter(|(_, market)| wanted(market))
        .take(limit + 1)
        .collect();
    let cursor = fitting.get(limit).map_or(String::new(), |(place, _)| place.to_string());
    let shown: Vec<String> =
        fitting.iter().take(limit).map(|(_, market)| words::rest_market(market)).collect();
    let body = format!(r#"{{"markets":[{}],"cursor":"{cursor}"}}"#, shown.join(","));
    Answer::ok(body.into_bytes())
}

fn book(market: &Market) -> String {
    format!(r#""orderbook_fp":{{{}}}"#, words::sides(market, ["yes_dollars", "no_dollars"]))
}

fn orderbooks(exchange: &Exchange, request: &Request) -> Answer {
    let tickers = request.query.all("tickers");
    if tickers.is_empty() || tickers.len() > 100 {
        return Answer::error(400, "tickers");
    }
    let found = tickers.into_iter().filter_map(|ticker| exchange.find(ticker));
    let all: Vec<String> = found
        .map(|place| {
            let market = &exchange.markets[place as usize];
            format!(r#"{{"ticker":"{}",{}}}"#, market.ticker, book(market))
        })
        .collect();
    Answer::ok(format!(r#"{{"orderbooks":[{}]}}"#, all.join(",")).into_bytes())
}

fn market(exchange: &Exchange, rest: &str) -> Answer {
    let (ticker, books) = match rest.strip_suffix("/orderbook") {
        Some(ticker) => (ticker, true),
        None => (rest, false),
    };
    let Some(place) = exchange.find(ticker) else { return Answer::error(404, "not found") };
    let market = &exchange.markets[place as usize];
    let body = match books {
        true => format!("{{{}}}", book(market)),
        false => format!(r#"{{"market":{}}}"#, words::rest_market(market)),
    };
    Answer::ok(body.into_bytes())
}

/// The book of one market for whoever steers, or of all that are open, one a line.
pub(super) fn truth(exchange: &Exchange, ticker: Option<&str>) -> Answer {
    let Some(ticker) = ticker else {
        let open = exchange.markets.iter().filter(|market| market.phase == Phase::Active);
        let mut out = String::new();
        open.for_each(|market| _ = writeln!(out, "{}", words::truth(market)));
        return Answer::ok(out.into_bytes());
    };
    match exchange.find(ticker) {
        Some(place) => Answer::ok(words::truth(&exchange.markets[place as usize]).into_bytes()),
        None => Answer::error(404, "no such market"),
    }
}

//! The venues' REST interfaces: what a request needs of the shards, and the answer.
//!
//! Runs on:  serve core (pure).
//! Bounds:   those of each interface; a page has at most 1,000 markets.
//!
//! [`plan`] reads a request: most of them need books, or the best prices of the markets of a page. [`Plan::answer`]
//! writes the answer when these are there. Markets are those of the [`Catalog`]: no page asks the control core.
use super::catalog::{Catalog, Listed};
use super::{Site, kalshi, polymarket};
use crate::base::id::{MarketId, TokenId};
use crate::base::price::Price;
use crate::base::text::percent_decoded;
use crate::link::serve_history::{PriceAnswer, PriceRequest};
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, Level};
use crate::market::info::ExchangeStatus;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `HEAD`, `POST` or another.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The part after `?`.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The present time, nanoseconds since the Unix epoch.
    pub now_wall_ns: u64,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// `Allow` of a 405.
    pub allowed: Option<&'static str>,
}

/// Methods of paths that are read.
pub const READ_METHODS: &str = "GET, HEAD";

impl Answer {
    /// JSON with status 200.
    pub const fn json(body: String) -> Self {
        Self { status: 200, content_type: "application/json", body, allowed: None }
    }

    /// `{"error":"…"}`; the text needs no escapes.
    pub fn error(status: u16, text: &str) -> Self {
        Self { status, ..Self::json(format!(r#"{{"error":"{text}"}}"#)) }
    }

    /// 405, with the methods that the path has.
    pub fn not_allowed(methods: &'static str) -> Self {
        let text = format!("the methods of this path are {methods}");
        Self { allowed: Some(methods), ..Self::error(405, &text) }
    }
}

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing more: the answer.
    Answer(Answer),
    /// Books.
    Books {
        /// Their tokens, in the order of the request; a token may occur twice.
        tokens: Vec<TokenId>,
        /// What is asked of them.
        kind: BookKind,
    },
    /// Best prices of the first token of each market.
    Markets {
        /// The markets, in the order of the answer.
        markets: Vec<MarketId>,
        /// The first token of each.
        tokens: Vec<TokenId>,
        /// What is asked of them.
        kind: MarketKind,
    },
    /// Whether the exchange trades.
    Status,
    /// Prices of stored trades.
    Prices {
        /// One for each token.
        requests: Vec<PriceRequest>,
        /// The answer is a map by token.
        by_token: bool,
    },
}

/// What is asked of books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookKind {
    /// By a client of Polymarket's CLOB.
    Polymarket(polymarket::rest::Kind),
    /// By a client of Kalshi.
    Kalshi(kalshi::rest::Kind),
}

/// What is asked of markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketKind {
    /// By a client of Polymarket's CLOB.
    Polymarket(polymarket::markets::Kind),
    /// By a client of Gamma.
    Gamma(polymarket::gamma::Kind),
    /// By a client of Kalshi.
    Kalshi(kalshi::markets::Kind),
}

/// What answers need besides books.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The markets.
    pub catalog: &'a Catalog,
    /// The last trades of subscribed books, newest last.
    pub trades: &'a VecDeque<(TokenId, TradeUpdate)>,
}

/// What was asked of other threads.
#[derive(Clone, Debug, Default)]
pub struct Fetched<'a> {
    /// The books of [`Plan::book_tokens`], in their order; `None` where there is none.
    pub books: &'a [(TokenId, Option<&'a BookImage>)],
    /// The best prices of [`Plan::top_tokens`], in their order.
    pub tops: &'a [Top],
    /// Whether the exchange trades.
    pub status: Option<ExchangeStatus>,
    /// Those of [`Plan::Prices`]; `None` where no trades are stored.
    pub prices: Option<PriceAnswer>,
}

/// Best levels and last price of a live book; nothing of one that cannot be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
    /// Price of the last trade.
    pub last: Option<Price>,
}

impl Top {
    /// Of a book.
    pub fn new(image: &BookImage) -> Self {
        if image.state != BookState::Live {
            return Self::default();
        }
        let (bid, ask) = (image.bids.last().copied(), image.asks.last().copied());
        Self { bid, ask, last: image.facts.last_trade }
    }
}

/// A market of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The market.
    pub listed: &'a Listed,
    /// Best prices of its first token.
    pub top: Top,
}

/// Reads a request.
pub fn plan(site: Site, request: &Request<'_>, known: Known<'_>) -> Plan {
    match site {
        Site::Polymarket => polymarket::rest::plan(request, known),
        Site::Gamma => polymarket::gamma::plan(request, known.catalog),
        Site::Kalshi => kalshi::rest::plan(request, known),
    }
}

impl Plan {
    /// A plan about these markets.
    pub fn markets(markets: Vec<MarketId>, kind: MarketKind, catalog: &Catalog) -> Self {
        let first = |market: &MarketId| catalog.market(market)?.tokens.first();
        let known = markets.iter().filter_map(|market| Some((*market, first(market)?.token)));
        let (markets, tokens) = known.unzip();
        Self::Markets { markets, tokens, kind }
    }

    /// The books that the answer needs.
    pub fn book_tokens(&self) -> &[TokenId] {
        if let Self::Books { tokens, .. } = self { tokens } else { &[] }
    }

    /// The books of which the answer needs the best prices.
    pub fn top_tokens(&self) -> &[TokenId] {
        if let Self::Markets { tokens, .. } = self { tokens } else { &[] }
    }

    /// The answer.
    #[must_use]
    pub fn answer(self, fetched: Fetched<'_>, known: Known<'_>) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Books { kind: BookKind::Polymarket(kind), .. } => {
                polymarket::rest::answer(&kind, fetched.books, known.trades)
            }
            Self::Books { kind: BookKind::Kalshi(kind), .. } => {
                kalshi::rest::answer(kind, fetched.books)
            }
            Self::Status => kalshi::rest::status_answer(fetched.status),
            Self::Prices { requests, by_token } => {
                let stored = fetched.prices.unwrap_or_else(|| Ok(Vec::new()));
                polymarket::history::answer(&requests, by_token, stored, known.trades)
            }
            Self::Markets { markets, kind, .. } => {
                let tops = fetched.tops.iter().copied().chain(std::iter::repeat(Top::default()));
                let row = |(market, top)| Some(Row { listed: known.catalog.listed(market)?, top });
                let rows: Vec<Row<'_>> = markets.iter().zip(tops).filter_map(row).collect();
                match kind {
                    MarketKind::Polymarket(kind) => polymarket::markets::answer(kind, &rows),
                    MarketKind::Gamma(kind) => polymarket::gamma::answer(kind, &rows),
                    MarketKind::Kalshi(kind) => kalshi::markets::answer(kind, &rows),
                }
            }
        }
    }
}

/// The keys of a query with their values, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key, decoded(value))
    })
}

/// The value of a key of a query, decoded.
pub fn value<'a>(query: &'a str, key: &str) -> Option<Cow<'a, str>> {
    pairs(query).find_map(|(name, value)| (name == key).then_some(value))
}

/// The text without `%XX` and `+`; a text that cannot be decoded is as it was.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decoded(&spaced)
            .map_or(Cow::Borrowed(text), |t| Cow::Owned(t.into_owned()));
    }
    percent_decoded(text).unwrap_or(Cow::Borrowed(text))
}

/// Appends the members of `defaults` that `members` lacks, each after a comma. Values are JSON.
pub fn push_missing(out: &mut String, members: &str, defaults: &[(&str, &str)]) {
    for (name, value) in defaults {
        let is_there = members.match_indices(name).any(|(at, _)| {
            let before = members[..at].strip_suffix('"');
            let is_key = before.is_some_and(|text| text.is_empty() || text.ends_with([',', '{']));
            is_key && members[at + name.len()..].starts_with("\":")
        });
        if !is_there {
            out.extend([",\"", name, "\":", value]);
        }
    }
}

#[cfg(test)]
mod tests;

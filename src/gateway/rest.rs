//! The venues' REST interfaces: which books a request needs, and the answer.
//!
//! Runs on:  serve core (pure).
use super::catalog::Catalog;
use super::{Site, kalshi, polymarket};
use crate::base::id::TokenId;
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::image::BookImage;
use crate::market::info::ExchangeStatus;
use std::collections::VecDeque;

pub use polymarket::rest::Answer;

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

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Of Polymarket's CLOB.
    Polymarket(polymarket::rest::Plan),
    /// Of Kalshi.
    Kalshi(kalshi::rest::Plan),
}

/// Reads a request.
#[must_use]
pub fn plan(site: Site, request: &Request<'_>) -> Plan {
    let Request { method, path, query, body, now_wall_ns } = *request;
    match site {
        Site::Polymarket => {
            Plan::Polymarket(polymarket::rest::plan(method, path, query, body, now_wall_ns))
        }
        Site::Kalshi => Plan::Kalshi(kalshi::rest::plan(method, path, query)),
    }
}

/// What answers need besides books.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The markets.
    pub catalog: &'a Catalog,
    /// Whether the exchange trades.
    pub status: Option<ExchangeStatus>,
    /// The last trades of subscribed books, newest last.
    pub trades: &'a VecDeque<(TokenId, TradeUpdate)>,
}

impl Plan {
    /// The books that the answer needs.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        match self {
            Self::Polymarket(polymarket::rest::Plan::Books { tokens, .. })
            | Self::Kalshi(kalshi::rest::Plan::Books { tokens, .. }) => tokens,
            Self::Polymarket(_) | Self::Kalshi(_) => &[],
        }
    }

    /// Whether the answer needs to know whether the exchange trades.
    #[must_use]
    pub const fn needs_status(&self) -> bool {
        matches!(self, Self::Kalshi(kalshi::rest::Plan::Status))
    }

    /// The answer; `books` are those of [`Plan::tokens`], in their order, `None` where there is none.
    #[must_use]
    pub fn answer(&self, books: &[(TokenId, Option<&BookImage>)], known: Known<'_>) -> Answer {
        match self {
            Self::Polymarket(plan) => of_polymarket(plan, books, known.catalog),
            Self::Kalshi(plan) => of_kalshi(plan, books, known),
        }
    }
}

fn of_polymarket(
    plan: &polymarket::rest::Plan,
    books: &[(TokenId, Option<&BookImage>)],
    catalog: &Catalog,
) -> Answer {
    use polymarket::rest::{MarketKey, Plan, answer, market_answer};
    match plan {
        Plan::Answer(answer) => answer.clone(),
        Plan::Books { kind, .. } => answer(kind, books),
        Plan::Market(key) => {
            let info = match key {
                MarketKey::Market(market) => catalog.market(market),
                MarketKey::Token(token) => catalog.market_of(token),
            };
            market_answer(key, info)
        }
    }
}

fn of_kalshi(
    plan: &kalshi::rest::Plan,
    books: &[(TokenId, Option<&BookImage>)],
    known: Known<'_>,
) -> Answer {
    use kalshi::rest::{Plan, answer, status_answer, trades_answer};
    match plan {
        Plan::Answer(answer) => answer.clone(),
        Plan::Books { kind, .. } => answer(*kind, books),
        Plan::Status => status_answer(known.status),
        Plan::Trades { token, limit } => {
            let is_wanted = |trade: &&(TokenId, TradeUpdate)| token.is_none_or(|t| t == trade.0);
            let newest = known.trades.iter().rev().filter(is_wanted).take(*limit);
            trades_answer(&newest.copied().collect::<Vec<_>>())
        }
    }
}

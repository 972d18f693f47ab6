//! The venues' REST interfaces: which books a request needs, and the answer.
//!
//! Runs on:  serve core (pure).
use super::{Site, kalshi, polymarket};
use crate::base::id::TokenId;
use crate::market::book::image::BookImage;
use crate::market::info::ExchangeStatus;

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

    /// Whether the answer needs the state of the exchange.
    #[must_use]
    pub const fn needs_status(&self) -> bool {
        matches!(self, Self::Kalshi(kalshi::rest::Plan::Status))
    }

    /// The answer; `books` are those of [`Plan::tokens`], in their order, `None` where there is none. `status` is the
    /// exchange's, `None` while it is not known.
    #[must_use]
    pub fn answer(
        &self,
        books: &[(TokenId, Option<&BookImage>)],
        status: Option<ExchangeStatus>,
    ) -> Answer {
        use kalshi::rest::Plan as Kalshi;
        use polymarket::rest::Plan as Polymarket;
        match self {
            Self::Polymarket(Polymarket::Answer(answer)) | Self::Kalshi(Kalshi::Answer(answer)) => {
                answer.clone()
            }
            Self::Polymarket(Polymarket::Books { kind, .. }) => {
                polymarket::rest::answer(kind, books)
            }
            Self::Polymarket(Polymarket::Market(key)) => polymarket::rest::market_answer(key, None),
            Self::Kalshi(Kalshi::Books { kind, .. }) => kalshi::rest::answer(*kind, books),
            Self::Kalshi(Kalshi::Status) => kalshi::rest::status_answer(status),
            // No trades are stored here.
            Self::Kalshi(Kalshi::Trades { .. }) => kalshi::rest::trades_answer(&[]),
        }
    }
}

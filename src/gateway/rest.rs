//! The venues' REST interfaces: which books a request needs, and the answer.
//!
//! Runs on:  serve core (pure).
use super::{Site, polymarket};
use crate::base::id::TokenId;
use crate::market::book::image::BookImage;

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
    /// Not served.
    NotServed,
}

/// Reads a request.
#[must_use]
pub fn plan(site: Site, request: &Request<'_>) -> Plan {
    let Request { method, path, query, body, now_wall_ns } = *request;
    match site {
        Site::Polymarket => {
            Plan::Polymarket(polymarket::rest::plan(method, path, query, body, now_wall_ns))
        }
        Site::Kalshi => Plan::NotServed,
    }
}

impl Plan {
    /// The books that the answer needs.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        match self {
            Self::Polymarket(polymarket::rest::Plan::Books { tokens, .. }) => tokens,
            Self::Polymarket(_) | Self::NotServed => &[],
        }
    }

    /// The answer; `books` are those of [`Plan::tokens`], in their order, `None` where there is none.
    #[must_use]
    pub fn answer(&self, books: &[(TokenId, Option<&BookImage>)]) -> Answer {
        use polymarket::rest::Plan as Polymarket;
        match self {
            Self::Polymarket(Polymarket::Answer(answer)) => answer.clone(),
            Self::Polymarket(Polymarket::Books { kind, .. }) => {
                polymarket::rest::answer(kind, books)
            }
            Self::Polymarket(Polymarket::Market(key)) => polymarket::rest::market_answer(key, None),
            Self::NotServed => Answer {
                status: 501,
                content_type: "application/json",
                body: r#"{"error":"ringbook answers market data only"}"#.into(),
            },
        }
    }
}

//! What is known of a market from a venue's catalogue.
//!
//! Runs on:  any (pure).
use crate::base::{
    id::{MarketId, TokenId},
    price::{Price, Quantity},
};

/// Facts about a market that its books and its lifecycle need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketInfo {
    /// The venue's id (Polymarket: condition id).
    pub market: MarketId,
    /// The market's tokens with their outcomes' names, index-aligned with the venue's; at least one.
    pub tokens: Vec<Outcome>,
    /// The venue's readable name in addresses.
    pub slug: String,
    /// The question.
    pub question: String,
    /// When it began, nanoseconds since the Unix epoch; `None` when the venue does not say.
    pub start_wall_ns: Option<u64>,
    /// When it ends, nanoseconds since the Unix epoch; `None` when the venue does not say.
    pub end_wall_ns: Option<u64>,
    /// Smallest price step now; it may change.
    pub tick_size: Option<Price>,
    /// Smallest order.
    pub min_order_size: Option<Quantity>,
    /// Part of a set of markets of which one wins.
    pub neg_risk: bool,
}

/// One outcome of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The token that pays if it happens.
    pub token: TokenId,
    /// Its name, as in `Yes`.
    pub name: String,
}

/// Whether a venue trades at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeStatus {
    /// It answers to anything.
    pub active: bool,
    /// Orders are matched.
    pub trading: bool,
    /// When it means to go on, nanoseconds since the Unix epoch.
    pub resumes_wall_ns: Option<u64>,
}

/// A market that the venue has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The market.
    pub market: MarketId,
    /// The token that pays: its price has settled at a dollar, and the others' at nothing. `None` while they
    /// have not, where the stake is shared, and where the market's only token has lost.
    pub winner: Option<TokenId>,
    /// The venue has decided, whether a token pays or not.
    pub decided: bool,
}

/// What the stream itself says about a market's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketNews {
    /// A market was created (`new_market`).
    Announced(MarketInfo),
    /// A market has a winner (`market_resolved`).
    Resolved {
        /// The market.
        market: MarketId,
        /// The token that pays.
        winner: Option<TokenId>,
    },
    /// A market trades, for the first time or again (`activated`).
    Activated {
        /// The market.
        market: MarketId,
    },
    /// A market pauses (`deactivated`).
    Deactivated {
        /// The market.
        market: MarketId,
    },
    /// A market ends at another time (`close_date_updated`).
    EndMoved {
        /// The market.
        market: MarketId,
        /// When it ends, nanoseconds since the Unix epoch.
        end_wall_ns: u64,
    },
    /// A market is paid out (`settled`).
    Settled {
        /// The market.
        market: MarketId,
    },
}

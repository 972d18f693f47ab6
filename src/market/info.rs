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
}

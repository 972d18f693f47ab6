//! `control_sink`: what is known of markets, on its way to the database.
//!
//! Runs on:  the control core (producer), the trade sink (consumer).
//! Depth: `CONTROL_SINK_DEPTH`. When full: the control core keeps the market and tries next cycle; a
//! market that changes meanwhile is sent once, as it is then.
use crate::base::id::{MarketId, Venue};
use crate::base::price::{Price, Quantity};
use crate::counter::trades::TradeBoard;
use crate::market::info::{MarketInfo, Outcome, Resolution};
use crate::ring::Producer;
use std::sync::Arc;

/// Where a market is in its life, as far as the database is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketStatus {
    /// It trades.
    Open,
    /// Its end has passed, or the venue has closed it.
    Ended,
    /// The venue has decided it.
    Resolved,
}

impl MarketStatus {
    /// The value in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Resolved => "resolved",
        }
    }
}

/// One market as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketRow {
    /// The venue.
    pub venue: Venue,
    /// The market.
    pub market: MarketId,
    /// The venue's readable name in addresses.
    pub slug: String,
    /// The question.
    pub question: String,
    /// Its tokens, in the venue's order.
    pub tokens: Vec<Outcome>,
    /// Smallest price step.
    pub tick_size: Option<Price>,
    /// Smallest order.
    pub min_order_size: Option<Quantity>,
    /// Part of a set of markets of which one wins.
    pub neg_risk: bool,
    /// When it began, nanoseconds since the Unix epoch, if the venue reports it.
    pub start_wall_ns: Option<u64>,
    /// When it ends, nanoseconds since the Unix epoch, if the venue reports it.
    pub end_wall_ns: Option<u64>,
    /// Where it is in its life.
    pub status: MarketStatus,
    /// How the venue has decided it, once that is known.
    pub resolution: Resolution,
    /// When the venue decided it, nanoseconds since the Unix epoch.
    pub resolved_wall_ns: Option<u64>,
    /// When this became so, nanoseconds since the Unix epoch.
    pub wall_ns: u64,
}

/// The control core's end: what it sends to the sink, and what the sink has done.
#[derive(Debug)]
pub struct SinkEnd {
    /// Markets that have changed.
    pub markets: Producer<Box<MarketRow>>,
    /// The sink's figures.
    pub board: Arc<TradeBoard>,
    /// Markets that were open when an engine last ran.
    pub known: Vec<MarketInfo>,
}

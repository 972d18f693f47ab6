//! What records of the bus are to a reader: trades, and what has changed.
//!
//! Runs on:  any (pure).
use crate::base::id::{MarketId, TokenId, TradeId};
use crate::base::price::{Price, Quantity};
use crate::market::book::{Level, Side};

/// A trade of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusTrade {
    /// Name of the venue.
    pub venue: String,
    /// The market.
    pub market: MarketId,
    /// The token.
    pub token: TokenId,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// What the aggressor did: `Bid` bought, `Ask` sold.
    pub side: Side,
    /// Hash of the settling transaction or trade id, if the venue sends one.
    pub id: Option<TradeId>,
    /// Fee in basis points, if the venue sends it.
    pub fee_rate_bps: Option<Quantity>,
    /// Venue time, milliseconds since the Unix epoch; 0 if unknown.
    pub venue_time_ms: u64,
    /// When the engine read it, nanoseconds since the Unix epoch.
    pub receive_time_ns: u64,
}

/// What a record has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum BusEvent {
    /// Levels or state of a book.
    Book(TokenId),
    /// A trade.
    Trade(Box<BusTrade>),
    /// A market has come to another stage: the record.
    Market(String),
    /// Trades are not on the bus: the engine had no room for so many.
    Lost {
        /// The engine.
        engine: String,
        /// How many since its last such record.
        trades: u64,
    },
    /// An engine has begun or ended.
    Engine {
        /// Its name.
        engine: String,
        /// It has begun.
        is_running: bool,
    },
}

/// What a record has changed, with what is new.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// The whole book of a token came.
    Image {
        /// The token.
        token: TokenId,
        /// Records before it are missing.
        gap: bool,
        /// It is what it was, levels and state.
        is_known: bool,
    },
    /// Levels of a book, each with its new whole quantity, in order.
    Changes {
        /// The token.
        token: TokenId,
        /// The levels; at least one.
        levels: Vec<(Side, Level)>,
    },
    /// The price step of a book.
    TickSize {
        /// The token.
        token: TokenId,
        /// The step before, if the venue sends it.
        old: Option<Price>,
        /// The step from now on.
        new: Price,
    },
    /// The state of a book, and nothing else of it.
    State(TokenId),
    /// Anything else.
    Other(BusEvent),
}

impl Applied {
    /// The same for a reader who looks into the books.
    #[must_use]
    pub fn into_event(self) -> BusEvent {
        match self {
            Self::Image { token, .. }
            | Self::Changes { token, .. }
            | Self::TickSize { token, .. }
            | Self::State(token) => BusEvent::Book(token),
            Self::Other(event) => event,
        }
    }
}

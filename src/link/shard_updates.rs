//! `serve_shard` and `shard_serve`: updates of the books that the serve core subscribes to.
//!
//! Runs on:  serve core (requests), the shard (sends updates at the place in the message where they happen).
//! Depth: `UPDATE_REQUESTS_DEPTH` and `SHARD_UPDATES_DEPTH`.
//! When full: a request stays with the serve core. A book whose update does not fit is marked; its image follows when
//! there is room again, in place of all changes in between. Trades wait at the shard, `UPDATE_TRADES_MAX` of them; what
//! is more is lost to subscribers and counted.
//!
//! A subscriber sees a book that was true at some version, then every change up to the next image.
use crate::base::id::{TokenId, TradeId};
use crate::base::price::{Price, Quantity};
use crate::io::wake::TaskWaker;
use crate::market::book::image::{BookHash, BookImage};
use crate::market::book::{BookState, Level, Side};
use crate::market::info::MarketEvent;
use crate::ring::{Consumer, Producer};

/// The serve core's number of a subscribed book; the same for all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionKey(pub u32);

impl SubscriptionKey {
    /// Of a book that nobody subscribes to.
    pub const NONE: Self = Self(u32::MAX);
}

/// What the serve core asks of a shard.
#[derive(Debug)]
pub enum UpdateRequest {
    /// Send updates of the book of `token`, beginning with an image, as soon as there is such a book. Sent to every
    /// shard of the venue: the serve core does not know which shard holds it.
    Subscribe {
        /// The book's token.
        token: TokenId,
        /// Stands in each update.
        key: SubscriptionKey,
    },
    /// Send no more updates of this book.
    Unsubscribe {
        /// The book's token.
        token: TokenId,
    },
    /// A buffer for the next image: allocated by the serve core, so that the shard need not.
    Buffer(Box<BookImage>),
}

/// One update of a subscribed book.
#[derive(Debug)]
pub struct BookUpdate {
    /// Which book.
    pub key: SubscriptionKey,
    /// When the frame was read that caused it, nanoseconds since the Unix epoch; 0 where no recorded frame is the cause
    /// of a [`BookUpdateKind::Market`].
    pub read_wall_ns: u64,
    /// Messages that had changed the book by the end of this venue message.
    pub version: u64,
    /// What happened.
    pub what: BookUpdateKind,
}

/// What happened to a subscribed book.
#[derive(Debug)]
pub enum BookUpdateKind {
    /// The whole book: a snapshot of the venue, the first image of a subscription, or one that replaces updates that
    /// did not fit.
    Image {
        /// The book. Returned with [`UpdateRequest::Buffer`].
        image: Box<BookImage>,
        /// Another token of the same market, where its book is on this shard.
        sibling: Option<TokenId>,
        /// Updates before it did not fit into the ring.
        lost: bool,
    },
    /// One level has a new quantity.
    Change(LevelChange),
    /// A trade. It does not change the book.
    Trade(TradeUpdate),
    /// The price step changed.
    TickSize {
        /// Venue time, milliseconds since the Unix epoch.
        timestamp_ms: u64,
        /// The step before, if the venue sends it.
        old: Option<Price>,
        /// The step from now on.
        new: Price,
    },
    /// What the venue reports beside its own best prices. It does not change the book.
    Ticker(TickerUpdate),
    /// The book's state changed.
    State(BookState),
    /// The shard holds the book no longer; the subscription waits for it to be opened again.
    Closed,
    /// So many trades found no room at the shard; of no book.
    TradesLost(u64),
    /// A market of the shard has come to another stage; of no book, so the key is [`SubscriptionKey::NONE`].
    Market(Box<MarketEvent>),
}

/// A new quantity at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Venue time, milliseconds since the Unix epoch; 0 if the venue sends none.
    pub timestamp_ms: u64,
    /// Which side.
    pub side: Side,
    /// Price and new whole quantity; zero means that the level is gone.
    pub level: Level,
    /// The venue's hash of the book after all messages with this timestamp.
    pub hash: Option<BookHash>,
    /// The venue's best bid after all messages with this timestamp.
    pub best_bid: Option<Price>,
    /// The venue's best ask after all messages with this timestamp.
    pub best_ask: Option<Price>,
    /// It is the first one of its venue message. Those that follow belong to the same message and market.
    pub first: bool,
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeUpdate {
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// What the aggressor did: `Bid` bought, `Ask` sold.
    pub side: Side,
    /// Fee in basis points, if the venue sends it.
    pub fee_rate_bps: Option<Quantity>,
    /// Hash of the settling transaction or trade id, if the venue sends one.
    pub id: Option<TradeId>,
}

/// What a ticker of the venue has beside best prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickerUpdate {
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Price of the last trade.
    pub last_price: Option<Price>,
    /// Contracts traded since the market opened.
    pub volume: Option<Quantity>,
    /// Contracts that are open.
    pub open_interest: Option<Quantity>,
}

/// A shard's ends.
#[derive(Debug)]
pub struct UpdateLink {
    /// From the serve core.
    pub requests: Consumer<UpdateRequest>,
    /// To the serve core.
    pub updates: Producer<BookUpdate>,
    /// Wakes the serve core.
    pub waker: TaskWaker,
}

//! The gateway: subscribed books for local clients, in the venues' protocols and in one of ringbook's own.
//!
//! Runs on:  serve core (pure). Owns: replicas of the subscribed books, and a session for each client.
//! Bounds:   `UPDATE_SUBSCRIPTIONS_MAX` books; the output of a client as [`hub`] says.
//!
//! A protocol folder turns text of a client into [`Request`]s and updates of a [`Replica`] into frames. It holds no
//! book and no socket. [`hub`] holds the replicas, and who subscribes to them.
pub mod catalog;
pub mod hosts;
pub mod hub;
pub mod kalshi;
pub mod outbox;
pub mod polymarket;
pub mod rest;
pub mod stream;
pub mod tardis;

pub use kalshi::signature;

use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::price::Quantity;
use crate::link::shard_updates::{TickerUpdate, TradeUpdate};
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::book::{Book, BookState};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The updates of a book, beginning with its image. A repeated one asks for the image again.
    Subscribe(TokenId),
    /// No more updates of a book.
    Unsubscribe(TokenId),
    /// A text frame to this client, now.
    Send(String),
    /// Close the connection with this code and reason.
    Close(u16, &'static str),
}

/// Where a client connects: its protocol, and what its URL asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Polymarket's market channel.
    Market {
        /// The event `state` is sent too.
        wants_state: bool,
    },
    /// Kalshi's WebSocket.
    Kalshi,
    /// ringbook's own stream.
    Stream(stream::Options),
    /// The book of polypy's page.
    Polypy,
    /// Normalized messages of the tardis interface.
    Tardis(tardis::options::Options),
}

/// Why there is no WebSocket for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One line for an HTTP answer with status 400.
    Answer(String),
    /// The WebSocket is accepted and closed with this code and reason, as clients of the tardis interface expect it.
    Close(u16, String),
}

/// The interface that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Polymarket's CLOB and its market channel.
    Polymarket,
    /// Polymarket's catalog.
    Gamma,
    /// Kalshi.
    Kalshi,
}

impl Site {
    /// The sites of a venue, and their ports after that of the gateway.
    pub fn of(venue: &Venue) -> &'static [(Self, u16)] {
        match venue.name() {
            "polymarket" => &[(Self::Polymarket, 0), (Self::Gamma, 1)],
            "kalshi" => &[(Self::Kalshi, 2)],
            _ => &[],
        }
    }

    /// Whether it serves `/v1/stream`.
    #[must_use]
    pub const fn has_stream(self) -> bool {
        !matches!(self, Self::Gamma)
    }

    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polymarket => "polymarket",
            Self::Gamma => "polymarket's catalog",
            Self::Kalshi => "kalshi",
        }
    }

    /// Name of the venue whose interface it is.
    #[must_use]
    pub const fn venue(self) -> &'static str {
        match self {
            Self::Polymarket | Self::Gamma => "polymarket",
            Self::Kalshi => "kalshi",
        }
    }

    /// The endpoint of a WebSocket's path and query; `None` where there is none.
    ///
    /// # Errors
    /// The query has an error.
    pub fn endpoint(self, path: &str, query: &str) -> Result<Option<Endpoint>, Refusal> {
        let wants_state = query.split('&').any(|pair| pair == "state=1");
        Ok(match (self, path) {
            (Self::Gamma, _) => None,
            (_, "/ws-stream-normalized") => {
                let options = tardis::options::Options::from_query(query);
                Some(Endpoint::Tardis(options.map_err(|line| Refusal::Close(1011, line))?))
            }
            (_, "/v1/stream") => {
                let options = stream::Options::parse(query);
                Some(Endpoint::Stream(options.map_err(Refusal::Answer)?))
            }
            (Self::Polymarket, "/ws/market" | "/ws" | "/ws/") => {
                Some(Endpoint::Market { wants_state })
            }
            (Self::Polymarket, "/ws/orderbook") => Some(Endpoint::Polypy),
            (Self::Kalshi, "/trade-api/ws/v2" | "/") => Some(Endpoint::Kalshi),
            _ => None,
        })
    }
}

/// What a client of a venue's protocol receives when a book is stale, since the protocol has no word for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StalePolicy {
    /// Nothing until the book is live again.
    Hold,
    /// An empty book: no price is better than a wrong one.
    #[default]
    Clear,
    /// The connection is closed with 1012.
    Close,
}

/// A subscribed book as the gateway holds it.
#[derive(Debug)]
pub struct Replica {
    /// The venue.
    pub venue: Venue,
    /// The market.
    pub market: MarketId,
    /// The token.
    pub token: TokenId,
    /// Whether the levels can be trusted.
    pub state: BookState,
    /// Timestamps, hash, tick size and the like.
    pub facts: BookFacts,
    /// The levels.
    pub book: Book,
    /// Messages that have changed the book.
    pub version: u64,
    /// When the frame of the last update was read, nanoseconds since the Unix epoch.
    pub read_wall_ns: u64,
    /// What the venue has reported of its trades.
    pub traded: Traded,
}

/// What a venue reports of the trades of a book; zero while it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traded {
    /// Contracts traded since the market opened.
    pub volume: Quantity,
    /// Contracts that are open.
    pub open_interest: Quantity,
    /// Of the last trade.
    pub last_quantity: Quantity,
    /// Venue time of its last ticker, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
}

impl Replica {
    /// A replica from the first image of a book; `None` for an image that holds no book, or one with more levels than
    /// a book may have.
    pub fn new(venue: Venue, image: &BookImage, version: u64, read_wall_ns: u64) -> Option<Self> {
        let (market, token) = (image.market?, image.token?);
        let mut replica = Self {
            venue,
            market,
            token,
            state: image.state,
            facts: image.facts,
            book: Book::default(),
            version,
            read_wall_ns,
            traded: Traded::default(),
        };
        replica.book.replace(&image.bids, &image.asks).is_ok().then_some(replica)
    }

    /// With what an image does not have of the trades before it.
    fn after(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            self.traded = before.traded;
            self.facts.last_trade = self.facts.last_trade.or(before.facts.last_trade);
        }
        self
    }

    fn on_trade(&mut self, trade: &TradeUpdate) {
        self.facts.last_trade = Some(trade.price);
        self.traded.last_quantity = trade.quantity;
    }

    fn on_ticker(&mut self, ticker: &TickerUpdate) {
        let traded = &mut self.traded;
        self.facts.last_trade = ticker.last_price.or(self.facts.last_trade);
        traded.timestamp_ms = ticker.timestamp_ms;
        traded.volume = ticker.volume.unwrap_or(traded.volume);
        traded.open_interest = ticker.open_interest.unwrap_or(traded.open_interest);
    }
}

/// Whether brackets of a client's JSON nest deeper than its protocol needs: the parser recurses, also into what it only
/// skips, and overflows the stack at some 10,000. Brackets within strings count: no valid message has any.
pub fn nests_deeper(text: &str, depth_max: usize) -> bool {
    let mut depth = 0usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > depth_max
    })
}

/// Appends a JSON list.
pub(crate) fn push_array<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    push: impl Fn(&mut String, T),
) {
    out.push('[');
    for (place, item) in items.into_iter().enumerate() {
        out.push_str(if place == 0 { "" } else { "," });
        push(out, item);
    }
    out.push(']');
}

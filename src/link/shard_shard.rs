//! `shard_shard`: an event of a book that another shard owns, from the streams that are for all markets.
//!
//! Runs on:  the shard that received it (producer), the owner (consumer), at most `FORWARDED_PER_STEP` a step.
//! Depth: `SHARD_SHARD_DEPTH`. When full: the event is lost, and counted by the link. No book is made of them:
//! a trade is information, best prices are a cross-check.
//! Repaired by: for trades the other connection of the pair, which brings each of them too.
use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId, TradeId};
use crate::base::price::{Price, Quantity};
use crate::io::driver::Doorbell;
use crate::market::book::Side;
use crate::market::event::{Event, TopOfBook, Trade};
use crate::ring::{Consumer, Producer};

/// An event, with its texts.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedEvent {
    /// The market.
    pub market: MarketId,
    /// The token.
    pub token: TokenId,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// When its frame was read, nanoseconds since the Unix epoch.
    pub read_wall_ns: u64,
    /// The connection that brought it.
    pub connection: ConnectionId,
    /// Its fields.
    pub what: What,
}

/// The fields of an event.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A trade.
    Trade {
        /// Price.
        price: Price,
        /// Quantity.
        quantity: Quantity,
        /// What the aggressor did.
        side: Side,
        /// Hash of the settling transaction or trade id; empty if the venue sends none.
        id: Option<TradeId>,
    },
    /// The venue's own best prices.
    Top {
        /// Best bid.
        bid: Option<Price>,
        /// Best ask.
        ask: Option<Price>,
        /// Price of the last trade.
        last: Option<Price>,
        /// Contracts traded.
        volume: Option<Quantity>,
        /// Contracts that are open.
        open_interest: Option<Quantity>,
    },
}

impl ForwardedEvent {
    /// Copies an event that may be forwarded; `None` for one of another kind, or with ids that fit nowhere.
    #[must_use]
    pub fn new(event: &Event<'_>, connection: ConnectionId, read_wall_ns: u64) -> Option<Self> {
        let (token, what) = match event {
            Event::Trade(e) => {
                let id = TradeId::new(e.transaction_hash);
                (e.token, What::Trade { price: e.price, quantity: e.quantity, side: e.side, id })
            }
            Event::TopOfBook(e) => {
                let (bid, ask, last) = (e.best_bid, e.best_ask, e.last_price);
                let (volume, open_interest) = (e.volume, e.open_interest);
                (e.token, What::Top { bid, ask, last, volume, open_interest })
            }
            _ => return None,
        };
        Some(Self {
            market: MarketId::new(event.market())?,
            token: TokenId::new(token)?,
            timestamp_ms: event.timestamp_ms(),
            read_wall_ns,
            connection,
            what,
        })
    }

    /// The event again.
    pub fn event(&self) -> Event<'_> {
        let (market, token) = (self.market.as_str(), self.token.as_str());
        let timestamp_ms = self.timestamp_ms;
        match &self.what {
            What::Trade { price, quantity, side, id } => Event::Trade(Trade {
                market,
                token,
                timestamp_ms,
                price: *price,
                quantity: *quantity,
                side: *side,
                fee_rate_bps: None,
                transaction_hash: id.as_ref().map_or("", TradeId::as_str),
            }),
            &What::Top { bid, ask, last, volume, open_interest } => Event::TopOfBook(TopOfBook {
                market,
                token,
                timestamp_ms,
                best_bid: bid,
                best_ask: ask,
                last_price: last,
                volume,
                open_interest,
            }),
        }
    }
}

/// One shard's ends of the links with the others.
#[derive(Debug, Default)]
pub struct Peers {
    /// To each shard by its number; none to itself.
    pub out: Vec<Option<(Producer<ForwardedEvent>, Doorbell)>>,
    /// From every other shard.
    pub incoming: Vec<Consumer<ForwardedEvent>>,
}

impl Peers {
    /// Sends an event to its owner.
    pub fn forward(&mut self, owner: ShardId, event: ForwardedEvent) {
        if let Some(Some((producer, bell))) = self.out.get_mut(usize::from(owner.0)) {
            // If refused, it is lost, and the link's gauge counts it.
            let _ = producer.try_send(event);
            bell.ring();
        }
    }

    /// Forwards nothing more; the others learn it.
    pub fn close(&mut self) {
        for (producer, bell) in self.out.drain(..).flatten() {
            drop(producer);
            bell.ring();
        }
    }

    /// Whether no event can come any more.
    pub fn are_ended(&self) -> bool {
        self.incoming.iter().all(Consumer::is_ended)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.incoming.iter().all(Consumer::is_empty)
    }
}

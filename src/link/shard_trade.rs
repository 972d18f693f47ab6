//! `shard_trade`: every trade that a shard sees, once, on its way to the database.
//!
//! Runs on:  the shard (producer), the trade sink (consumer, at least every `SINK_LOOK_NS`).
//! Depth: `SHARD_TRADE_DEPTH`. When full: the trade is given back and counted; the sink sees the
//! count rise, says so and writes the loss down beside the trades.
use crate::base::id::{ConnectionId, MarketId, TokenId, TradeId, Venue};
use crate::base::price::{Price, Quantity};
use crate::market::book::Side;
use crate::market::event::Trade;
use crate::ring::{Consumer, Gauge, Producer};

/// One trade with all that is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeRecord {
    /// The venue.
    pub venue: Venue,
    /// The market.
    pub market: MarketId,
    /// The token that was traded.
    pub token: TokenId,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// What the aggressor did: `Bid` bought, `Ask` sold.
    pub side: Side,
    /// Venue time, milliseconds since the Unix epoch.
    pub venue_ms: u64,
    /// When its frame was read, nanoseconds since the Unix epoch.
    pub receive_wall_ns: u64,
    /// Hash of the settling transaction or the venue's number; `None` when the venue sends none.
    pub id: Option<TradeId>,
    /// Fee in basis points, if the venue sends it.
    pub fee_rate_bps: Option<Quantity>,
    /// The connection that delivered it.
    pub connection: ConnectionId,
}

/// The shard's end.
#[derive(Debug)]
pub struct TradeSender {
    venue: Venue,
    producer: Producer<TradeRecord>,
}

impl TradeSender {
    /// The end of a shard that listens to `venue`.
    pub const fn new(venue: Venue, producer: Producer<TradeRecord>) -> Self {
        Self { venue, producer }
    }

    /// Sends a trade on. A full ring counts it as refused, and the sink reports that.
    #[inline]
    pub fn send(
        &mut self,
        (market, token): (MarketId, TokenId),
        trade: &Trade<'_>,
        connection: ConnectionId,
        receive_wall_ns: u64,
    ) {
        let record = TradeRecord {
            venue: self.venue,
            market,
            token,
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side,
            venue_ms: trade.timestamp_ms,
            receive_wall_ns,
            id: TradeId::new(trade.transaction_hash),
            fee_rate_bps: trade.fee_rate_bps,
            connection,
        };
        let _ = self.producer.try_send(record);
    }
}

/// The sink's end of one shard's link.
#[derive(Debug)]
pub struct TradeReceiver {
    /// The trades.
    pub trades: Consumer<TradeRecord>,
    /// How many of them found the ring full.
    pub gauge: Gauge<TradeRecord>,
}

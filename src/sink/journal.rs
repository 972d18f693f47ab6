//! Trades as lines of the journal.
//!
//! Runs on:  the thread `trades`.
use crate::base::id::{ConnectionId, MarketId, TokenId, TradeId, Venue};
use crate::base::price::{Price, Quantity};
use crate::io::journal::Entry;
pub use crate::io::journal::JournalContents;
use crate::link::shard_trade::TradeRecord;
use crate::market::book::Side;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io;

/// Trades waiting for an unavailable database.
pub type Journal = crate::io::journal::Journal<TradeRecord>;

/// A trade as a line. Prices, sizes and fees are integers in units of 1e-6.
#[derive(Debug, Deserialize, Serialize)]
struct Line<'a> {
    venue: Cow<'a, str>,
    market: Cow<'a, str>,
    token: Cow<'a, str>,
    price_e6: u32,
    size_e6: u64,
    buy: bool,
    venue_ms: u64,
    receive_ns: u64,
    id: Option<Cow<'a, str>>,
    fee_bps_e6: Option<u64>,
    connection: u32,
}

impl<'a> Line<'a> {
    fn of(trade: &'a TradeRecord) -> Self {
        Self {
            venue: trade.venue.name().into(),
            market: trade.market.as_str().into(),
            token: trade.token.as_str().into(),
            price_e6: trade.price.0,
            size_e6: trade.quantity.0,
            buy: trade.side == Side::Bid,
            venue_ms: trade.venue_ms,
            receive_ns: trade.receive_wall_ns,
            id: trade.id.as_ref().map(|id| id.as_str().into()),
            fee_bps_e6: trade.fee_rate_bps.map(|fee| fee.0),
            connection: trade.connection.0,
        }
    }

    fn trade(&self) -> Option<TradeRecord> {
        Some(TradeRecord {
            venue: Venue::parse(&self.venue)?,
            market: MarketId::new(&self.market)?,
            token: TokenId::new(&self.token)?,
            price: Price(self.price_e6),
            quantity: Quantity(self.size_e6),
            side: if self.buy { Side::Bid } else { Side::Ask },
            venue_ms: self.venue_ms,
            receive_wall_ns: self.receive_ns,
            id: match &self.id {
                Some(id) => Some(TradeId::new(id)?),
                None => None,
            },
            fee_rate_bps: self.fee_bps_e6.map(Quantity),
            connection: ConnectionId(self.connection),
        })
    }
}

impl Entry for TradeRecord {
    const REMEDY: &'static str = "`Trades::journal` or --trades-journal";

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        sonic_rs::to_writer(out, &Line::of(self)).map_err(io::Error::other)
    }

    fn read(line: &[u8]) -> Option<Self> {
        sonic_rs::from_slice::<Line<'_>>(line).ok()?.trade()
    }
}

#[cfg(test)]
mod tests;

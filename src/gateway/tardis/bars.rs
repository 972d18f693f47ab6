//! Bars of trades, computed from the trades of one symbol.
//!
//! Runs on:  serve core (pure; time is the venue's).
use super::options::BarEnd;
use crate::base::price::{Price, Quantity};
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::Side;

/// Trades summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Price of the first trade.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Price of the last trade by venue time.
    pub close: Price,
    /// Bought by the aggressor.
    pub buy: Quantity,
    /// Sold by the aggressor.
    pub sell: Quantity,
    /// Trades.
    pub trades: u64,
    /// Venue time of the first trade, milliseconds since the Unix epoch.
    pub open_ms: u64,
    /// Latest venue time of a trade.
    pub close_ms: u64,
    /// Sum of price times quantity, 1e-12 dollars.
    turnover: u128,
}

impl Bar {
    /// Average price weighted by quantity, dollars.
    pub fn vwap(&self) -> f64 {
        match self.buy.0 + self.sell.0 {
            0 => 0.0,
            volume => self.turnover as f64 / volume as f64 / f64::from(Price::ONE.0),
        }
    }
}

/// The bar in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarState(Option<Bar>);

impl BarState {
    /// Before a trade of this venue time is added: the bar of an interval that is over, and its end.
    pub fn on_time(&mut self, end: BarEnd, venue_ms: u64) -> Option<(Bar, u64)> {
        let (BarEnd::Time(interval_ms), Some(bar)) = (end, self.0) else { return None };
        let bucket = bar.open_ms / interval_ms;
        if venue_ms / interval_ms <= bucket {
            return None;
        }
        self.0 = None;
        Some((bar, (bucket + 1) * interval_ms))
    }

    /// Adds a trade; the bar that it has completed, and the venue time of its last trade.
    pub fn on_trade(
        &mut self,
        end: BarEnd,
        trade: &TradeUpdate,
        venue_ms: u64,
    ) -> Option<(Bar, u64)> {
        let price = trade.price;
        let bar = self.0.get_or_insert(Bar {
            open: price,
            high: price,
            low: price,
            close: price,
            buy: Quantity::ZERO,
            sell: Quantity::ZERO,
            trades: 0,
            open_ms: venue_ms,
            close_ms: venue_ms,
            turnover: 0,
        });
        bar.high = bar.high.max(price);
        bar.low = bar.low.min(price);
        if venue_ms >= bar.close_ms {
            (bar.close, bar.close_ms) = (price, venue_ms);
        }
        let sum = match trade.side {
            Side::Bid => &mut bar.buy,
            Side::Ask => &mut bar.sell,
        };
        sum.0 = sum.0.saturating_add(trade.quantity.0);
        bar.trades += 1;
        bar.turnover += u128::from(price.0) * u128::from(trade.quantity.0);
        let is_complete = match end {
            BarEnd::Time(_) => false,
            BarEnd::Ticks(count) => bar.trades >= count,
            BarEnd::Volume(volume) => bar.buy.0.saturating_add(bar.sell.0) >= volume.0,
        };
        let bar = *bar;
        is_complete.then(|| {
            self.0 = None;
            (bar, bar.close_ms)
        })
    }

    /// Forgets the bar in progress: trades of it may be missing.
    pub fn reset(&mut self) {
        self.0 = None;
    }
}

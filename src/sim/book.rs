//! The physical book of a market in terms of its first outcome, and the view of either outcome.
//!
//! Runs on:  the venue's thread (pure).
//! Bounds:   prices lie on the market's grid, so a side has at most 999 levels.
use crate::base::price::{Price, Quantity};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Buyers of the first outcome.
    Bid,
    /// Sellers of the first outcome.
    Ask,
}

impl Side {
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }

    /// The venue's name for an order on this side.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Bid => "BUY",
            Self::Ask => "SELL",
        }
    }
}

/// One of the two tokens of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// `Yes`, `Up`: the stored book.
    First,
    /// `No`, `Down`: the mirrored book.
    Second,
}

impl Outcome {
    /// Both, in the venue's order.
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// 0 or 1.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The bit of this outcome in a subscriber's mask.
    pub(super) const fn bit(self) -> u8 {
        1 << self.index()
    }

    /// A price of the first outcome in terms of this outcome.
    pub(super) const fn price(self, price: Price) -> Price {
        match self {
            Self::First => price,
            Self::Second => price.complement(),
        }
    }

    /// A side of the first outcome's book in terms of this outcome.
    pub(super) const fn side(self, side: Side) -> Side {
        match self {
            Self::First => side,
            Self::Second => side.opposite(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Price of the first outcome.
    pub(super) price: Price,
    /// Shares at this price, never zero.
    pub(super) size: Quantity,
}

/// Bids ascending, asks descending: the best level is last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Book {
    pub(super) fn side(&self, side: Side) -> &[Level] {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    pub(super) fn best(&self, side: Side) -> Option<Price> {
        self.side(side).last().map(|level| level.price)
    }

    /// Shares at a price; zero if there is no level.
    pub(super) fn size_at(&self, side: Side, price: Price) -> Quantity {
        match self.find(side, price) {
            Ok(at) => self.side(side)[at].size,
            Err(_) => Quantity::ZERO,
        }
    }

    pub(super) fn set(&mut self, side: Side, price: Price, size: Quantity) {
        let found = self.find(side, price);
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        match found {
            Ok(at) if size == Quantity::ZERO => drop(levels.remove(at)),
            Ok(at) => levels[at].size = size,
            Err(_) if size == Quantity::ZERO => {}
            Err(at) => levels.insert(at, Level { price, size }),
        }
    }

    /// Removes every level.
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// True if the best bid reaches the best ask.
    pub(super) fn is_crossed(&self) -> bool {
        matches!((self.best(Side::Bid), self.best(Side::Ask)), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// The levels of one side of an outcome, best last, in its prices.
    pub(super) fn view(&self, outcome: Outcome, side: Side) -> impl Iterator<Item = Level> {
        self.side(outcome.side(side))
            .iter()
            .map(move |level| Level { price: outcome.price(level.price), size: level.size })
    }

    /// Best price of a side of an outcome; 0 without bid, 1 without ask, as Polymarket reports it.
    pub(super) fn best_or_bound(&self, outcome: Outcome, side: Side) -> Price {
        match (self.best(outcome.side(side)), side) {
            (Some(price), _) => outcome.price(price),
            (None, Side::Bid) => Price::ZERO,
            (None, Side::Ask) => Price::ONE,
        }
    }

    fn find(&self, side: Side, price: Price) -> Result<usize, usize> {
        match side {
            Side::Bid => self.bids.binary_search_by(|level| level.price.cmp(&price)),
            Side::Ask => self.asks.binary_search_by(|level| price.cmp(&level.price)),
        }
    }
}

#[cfg(test)]
mod tests;

//! One order book: both sides, its state, and an image of it for other cores.
//!
//! Runs on:  any (pure). Owned by one shard.
pub mod image;
pub mod ladder;
pub mod summary;

use crate::base::id::{MarketId, TokenId};
use crate::base::price::{Price, Quantity};
use ladder::Ladder;
use sha1::{Digest as _, Sha1};

/// One price level. A quantity of zero means "no level at this price".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// The whole quantity at this price.
    pub quantity: Quantity,
}

/// What is needed to open a book.
#[derive(Clone, Copy, Debug)]
pub struct BookOpening {
    /// The market.
    pub market: MarketId,
    /// The token.
    pub token: TokenId,
    /// Price step, if the catalog has it.
    pub tick_size: Option<Price>,
    /// Smallest order, if the catalog has it.
    pub min_order_size: Option<Quantity>,
    /// Part of a set of markets of which one wins.
    pub neg_risk: bool,
}

/// Which side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Buyers (`BUY` on the wire).
    Bid,
    /// Sellers (`SELL` on the wire).
    Ask,
}

/// Whether a book can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookState {
    /// Subscribed; the first snapshot has not come. The book is empty.
    #[default]
    AwaitingSnapshot,
    /// Follows the venue.
    Live,
    /// Was live and is known to be behind; the next snapshot repairs it.
    Stale {
        /// What happened.
        why: StaleReason,
        /// Since when, nanoseconds since the Unix epoch.
        since_wall_ns: u64,
    },
}

/// Why a book is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Its connection closed; a new one is on its way.
    Disconnected,
    /// Sequence numbers are missing, or a capture records lost frames.
    FramesLost,
    /// The venue sent more levels than [`crate::base::limits::LEVELS_PER_SIDE_MAX`].
    TooManyLevels,
    /// A message about it could not be decoded, so a change may be missing.
    UndecodedMessage,
    /// Comparisons with the venue-reported best prices or hash failed repeatedly.
    Disproved,
    /// The venue's REST interface had a newer book, and no message about it came.
    Behind,
    /// It is moving to another connection, whose snapshot has not come.
    Moving,
    /// Messages of it have times that cannot all be right: which of them is the latest is not known.
    TimesDisagree,
}

impl StaleReason {
    const ALL: [Self; 8] = [
        Self::Disconnected,
        Self::FramesLost,
        Self::TooManyLevels,
        Self::UndecodedMessage,
        Self::Disproved,
        Self::Behind,
        Self::Moving,
        Self::TimesDisagree,
    ];

    /// The reason of this name, as [`BookState::name`] has it behind the colon.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is_named = |why: &Self| {
            let state = BookState::Stale { why: *why, since_wall_ns: 0 };
            state.name().strip_prefix("stale:") == Some(name)
        };
        Self::ALL.into_iter().find(is_named)
    }
}

impl BookState {
    /// One word for headers, reports and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwaitingSnapshot => "awaiting_snapshot",
            Self::Live => "live",
            Self::Stale { why: StaleReason::Disconnected, .. } => "stale:disconnected",
            Self::Stale { why: StaleReason::FramesLost, .. } => "stale:frames_lost",
            Self::Stale { why: StaleReason::TooManyLevels, .. } => "stale:too_many_levels",
            Self::Stale { why: StaleReason::UndecodedMessage, .. } => "stale:undecoded_message",
            Self::Stale { why: StaleReason::Disproved, .. } => "stale:disproved",
            Self::Stale { why: StaleReason::Behind, .. } => "stale:behind",
            Self::Stale { why: StaleReason::Moving, .. } => "stale:moving",
            Self::Stale { why: StaleReason::TimesDisagree, .. } => "stale:times_disagree",
        }
    }
}

/// Both sides of one token's book.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Buyers.
    pub bids: Ladder,
    /// Sellers.
    pub asks: Ladder,
}

/// The book refused a change because a side is full; it is incomplete from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideFull;

/// Why a snapshot is no book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceError {
    /// A side has more than `LEVELS_PER_SIDE_MAX` levels.
    SideFull,
    /// A price is there twice, with two quantities.
    PriceRepeated,
}

impl From<SideFull> for ReplaceError {
    fn from(SideFull: SideFull) -> Self {
        Self::SideFull
    }
}

impl From<ReplaceError> for StaleReason {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::SideFull => Self::TooManyLevels,
            ReplaceError::PriceRepeated => Self::UndecodedMessage,
        }
    }
}

/// Why a relative change cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// A side is full: *mark stale*; nothing was changed.
    SideFull,
    /// More would be taken away than is there, so a change is missing or came twice: *mark stale*; nothing was
    /// changed.
    Negative,
}

impl Book {
    /// Adds `units` of [`Quantity`] to the quantity at one price, and gives the level as it is then.
    pub fn add(&mut self, side: Side, price: Price, units: i64) -> Result<Level, AddError> {
        let ladder = match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        };
        let before = ladder.quantity_at(side, price).0;
        let quantity = before.checked_add_signed(units).ok_or(AddError::Negative)?;
        let level = Level { price, quantity: Quantity(quantity) };
        self.set(side, level).map_err(|SideFull| AddError::SideFull)?;
        Ok(level)
    }

    /// Replaces both sides. Levels may come in any order, and more than once if they are equal.
    ///
    /// # Errors
    /// [`ReplaceError`]: *mark stale*. The book is then empty.
    pub fn replace(&mut self, bids: &[Level], asks: &[Level]) -> Result<(), ReplaceError> {
        let result =
            self.bids.replace(Side::Bid, bids).and_then(|()| self.asks.replace(Side::Ask, asks));
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// Sets the whole quantity at one price; zero removes the level. Idempotent.
    ///
    /// # Errors
    /// [`SideFull`]: *mark stale*; nothing was changed.
    #[inline]
    pub fn set(&mut self, side: Side, level: Level) -> Result<(), SideFull> {
        // One call, not one for each side: which side it is cannot be guessed.
        let ladder = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        ladder.set(side, level)
    }

    /// A digest of all levels under a name and a time: equal books have equal ones, on any machine.
    #[must_use]
    pub fn digest(&self, token: &TokenId, timestamp_ms: u64) -> u64 {
        let mut sha1 = Sha1::new();
        sha1.update(token.as_bytes());
        sha1.update(timestamp_ms.to_le_bytes());
        for ladder in [&self.bids, &self.asks] {
            sha1.update((ladder.len() as u64).to_le_bytes());
            for Level { price, quantity } in ladder.levels() {
                sha1.update(price.0.to_le_bytes());
                sha1.update(quantity.0.to_le_bytes());
            }
        }
        sha1.finalize()[..8].iter().fold(0, |digest, &byte| digest << 8 | u64::from(byte))
    }

    /// Forgets all levels and keeps the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Highest bid.
    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best()
    }

    /// Lowest ask.
    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best()
    }

    /// Best bid and best ask of the other outcome of a market of two: one dollar less the best ask, and one dollar less
    /// the best bid.
    #[must_use]
    pub fn opposite_best(&self) -> (Option<Level>, Option<Level>) {
        let turned =
            |level: Option<Level>| level.map(|l| Level { price: l.price.complement(), ..l });
        (turned(self.best_ask()), turned(self.best_bid()))
    }

    /// Best ask minus best bid in units of [`Price`]; negative while the book is crossed.
    #[must_use]
    pub fn spread(&self) -> Option<i64> {
        Some(i64::from(self.best_ask()?.price.0) - i64::from(self.best_bid()?.price.0))
    }

    /// The middle between best bid and best ask, in half units of [`Price`] (5e-7 dollar).
    #[must_use]
    pub fn mid_half_units(&self) -> Option<u64> {
        Some(u64::from(self.best_ask()?.price.0) + u64::from(self.best_bid()?.price.0))
    }

    /// Heap bytes in use and in reserve.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bids.heap_bytes() + self.asks.heap_bytes()
    }
}

#[cfg(test)]
mod tests;

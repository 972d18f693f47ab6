//! What is known of a market from a venue's catalog.
//!
//! Runs on:  any (pure).
use crate::base::{
    id::{MarketId, TokenId},
    price::{Price, Quantity},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Facts about a market that its books and its lifecycle need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketInfo {
    /// The venue's id (Polymarket: condition id).
    pub market: MarketId,
    /// The market's tokens with their outcomes' names, index-aligned with the venue's; at least one.
    pub tokens: Vec<Outcome>,
    /// The venue's readable name in addresses.
    pub slug: String,
    /// The question.
    pub question: String,
    /// When it began, nanoseconds since the Unix epoch; `None` when the venue does not report it.
    pub start_wall_ns: Option<u64>,
    /// When it ends, nanoseconds since the Unix epoch; `None` when the venue does not report it.
    pub end_wall_ns: Option<u64>,
    /// Smallest price step now; it may change.
    pub tick_size: Option<Price>,
    /// Smallest order.
    pub min_order_size: Option<Quantity>,
    /// Part of a set of markets of which one wins.
    pub neg_risk: bool,
    /// What the catalog lists beside; `None` where nobody can ask for it, and for markets that only the stream has
    /// announced.
    pub listing: Option<Arc<Listing>>,
}

/// What a catalog lists of a market beside the facts that its books need: for clients that ask for markets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The venue's number of the market (Polymarket); empty if there is none.
    pub number: String,
    /// The oracle's id of the question (Polymarket); empty if there is none.
    pub question_id: String,
    /// Fees, if listed.
    pub fees: Option<Fees>,
    /// Resting orders are rewarded (Polymarket).
    pub has_rewards: bool,
    /// Further members of the venue's object that do not change by trading: `"name":value`, as sent, separated by
    /// commas.
    pub members: String,
    /// The event that it is part of.
    pub event: Option<Arc<EventListing>>,
}

/// What a catalog lists of an event: one or more markets about one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventListing {
    /// The venue's id of it (Kalshi: the event ticker).
    pub id: String,
    /// Its name in addresses (Polymarket), or the ticker of its series (Kalshi).
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Further members, as those of [`Listing`].
    pub members: String,
}

/// Fees of a market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Of the maker, basis points.
    pub maker_bps: u32,
    /// Of the taker, basis points.
    pub taker_bps: u32,
    /// How the fee depends on the price, if listed.
    pub schedule: Option<FeeSchedule>,
}

/// Polymarket's `feeSchedule`; numbers as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeSchedule {
    /// The rate.
    pub rate: String,
    /// The exponent.
    pub exponent: String,
    /// Only the taker pays.
    pub taker_only: bool,
}

/// One outcome of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The token that pays if it happens.
    pub token: TokenId,
    /// Its name, as in `Yes`.
    pub name: String,
}

/// Whether a venue trades at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeStatus {
    /// It answers to anything.
    pub active: bool,
    /// Orders are matched.
    pub trading: bool,
    /// When it means to go on, nanoseconds since the Unix epoch.
    pub resumes_wall_ns: Option<u64>,
}

/// How a venue has decided a market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The token that pays a dollar. `None` while that is not known, where the stake is shared or given back, and
    /// where the market's only token has lost.
    pub winner: Option<TokenId>,
    /// The venue-reported value, Kalshi: `yes`, `no`, `scalar`, `void`; Polymarket: the name of the outcome that won,
    /// or [`Resolution::SPLIT`]. `None` while the venue has not decided.
    pub result: Option<String>,
    /// What one share of the market's first token pays; `None` where the venue names no value, as of a void market.
    pub settlement_value: Option<Price>,
}

impl Resolution {
    /// The result of a Polymarket market whose outcomes share the stake.
    pub const SPLIT: &str = "split";

    /// Whether the venue has decided. Until then it is asked again.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.result.is_some() || self.winner.is_some()
    }

    /// The same with what follows from the token that won: the outcome's name, and what the first token pays.
    #[must_use]
    pub fn completed(mut self, tokens: &[Outcome]) -> Self {
        let Some(winner) = self.winner else { return self };
        let place = tokens.iter().position(|outcome| outcome.token == winner);
        if let Some(place) = place {
            self.result.get_or_insert_with(|| tokens[place].name.clone());
            let pays = if place == 0 { Price::ONE } else { Price::ZERO };
            self.settlement_value.get_or_insert(pays);
        }
        self
    }

    /// The same with the value that an earlier message named for the same result.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        if self.result == earlier.result {
            self.settlement_value = self.settlement_value.or(earlier.settlement_value);
        }
        self
    }
}

/// Where a market is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketStage {
    /// The engine knows it; it may not trade yet.
    New,
    /// It trades, for the first time or again.
    Opened,
    /// Its end has passed, or the venue has closed it.
    Ended,
    /// The venue has decided it.
    Resolved,
}

impl MarketStage {
    /// What is to be reported of a market that was last reported at `before` and is at `now`: it is known before it
    /// opens, and it ends before it is decided. Nothing where nothing is new.
    #[must_use]
    pub fn steps(before: Option<Self>, now: Self) -> Vec<Self> {
        let is_known = before.is_some();
        let is_over = before.is_some_and(|before| before >= Self::Ended);
        if before == Some(now)
            || before == Some(Self::Resolved) && now == Self::Ended
            || is_known && now == Self::New
        {
            return Vec::new();
        }
        let first = (!is_known && now != Self::New).then_some(Self::New);
        let end = (now == Self::Resolved && !is_over).then_some(Self::Ended);
        first.into_iter().chain(end).chain([now]).collect()
    }
}

/// A market has come to another stage of its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketEvent {
    /// The stage.
    pub stage: MarketStage,
    /// What is known of the market.
    pub info: MarketInfo,
    /// How the venue has decided it; only at [`MarketStage::Resolved`].
    pub resolution: Option<Resolution>,
    /// The stage was reported before; facts have changed, or other members of a cluster are to have them. Only for the
    /// bus.
    pub is_repeated: bool,
}

/// A market that the venue has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The market.
    pub market: MarketId,
    /// How it was decided, as far as the venue reports it.
    pub resolution: Resolution,
}

/// A message of the stream about a market's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketUpdate {
    /// A market was created (`new_market`).
    Announced(MarketInfo),
    /// A market is decided (`market_resolved`, `determined`).
    Resolved {
        /// The market.
        market: MarketId,
        /// How, as far as the message has it.
        resolution: Resolution,
    },
    /// A market trades, for the first time or again (`activated`).
    Activated {
        /// The market.
        market: MarketId,
    },
    /// A market pauses (`deactivated`).
    Deactivated {
        /// The market.
        market: MarketId,
    },
    /// A market ends at another time (`close_date_updated`).
    EndMoved {
        /// The market.
        market: MarketId,
        /// When it ends, nanoseconds since the Unix epoch.
        end_wall_ns: u64,
    },
    /// A market is paid out (`settled`).
    Settled {
        /// The market.
        market: MarketId,
    },
}

#[cfg(test)]
mod tests;

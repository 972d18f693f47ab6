//! Markets whose tokens are those of another market: they have no books of their own.
//!
//! Runs on:  the control core (pure). Bounds: with the registered ones at most [`Registry::markets_max`].
//!
//! A catalog may list one set of tokens under two conditions. The tokens are subscribed once, for the market that
//! was registered first, the owner; whoever asks for a book asks by token, and trades are stored as the owner's. The
//! books stay until both are over: an owner that ends first is kept as it is while another shares its books. What
//! the venue decides of the other market is not stored, for no trade is stored under it.
use super::{Registry, Status};
use crate::base::id::MarketId;
use crate::market::info::MarketInfo;
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};

/// A market whose books are another one's.
#[derive(Clone, Copy, Debug)]
struct Sharer {
    owner: MarketId,
    tokens: u64,
    end_wall_ns: Option<u64>,
}

/// The markets without books of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    by_market: HashMap<MarketId, Sharer, FixedState>,
    /// Owners that are over while another market shares their books.
    outlived: HashSet<MarketId, FixedState>,
}

impl Shared {
    pub(super) fn len(&self) -> usize {
        self.by_market.len()
    }

    pub(super) fn tokens(&self) -> u64 {
        self.by_market.values().map(|sharer| sharer.tokens).sum()
    }
}

impl Registry {
    /// The market that has all of these tokens and no others.
    fn owner_of_all(&self, info: &MarketInfo) -> Option<MarketId> {
        let owner = &self.market_of(&info.tokens.first()?.token)?.info;
        let has = |token| owner.tokens.iter().any(|outcome| outcome.token == token);
        let same = owner.tokens.len() == info.tokens.len();
        (same && info.tokens.iter().all(|outcome| has(outcome.token))).then_some(owner.market)
    }

    /// Notes a market whose tokens are those of another one. True when it is one.
    pub(super) fn share(&mut self, info: &MarketInfo, now_ns: u64) -> bool {
        let room = self.by_market.len() + self.shared.len() < self.markets_max;
        let Some(owner) = self.owner_of_all(info).filter(|_| room) else { return false };
        let (tokens, end_wall_ns) = (info.tokens.len() as u64, info.end_wall_ns);
        self.shared.by_market.insert(info.market, Sharer { owner, tokens, end_wall_ns });
        if self.revive(&owner, now_ns) {
            self.shared.outlived.insert(owner);
        }
        true
    }

    /// Takes over what the catalog says anew about such a market.
    pub(super) fn refresh_shared(&mut self, info: &MarketInfo) {
        if let Some(sharer) = self.shared.by_market.get_mut(&info.market) {
            sharer.end_wall_ns = info.end_wall_ns;
        }
    }

    /// Whether the market is known and its books are another one's.
    pub fn is_shared(&self, market: &MarketId) -> bool {
        self.shared.by_market.contains_key(market)
    }

    /// Whether the market is over and its books stay for another one.
    pub fn is_outlived(&self, market: &MarketId) -> bool {
        self.shared.outlived.contains(market)
    }

    /// Markets whose books are another one's. O(such markets).
    pub fn shared_markets(&self) -> impl Iterator<Item = MarketId> {
        self.shared.by_market.keys().copied()
    }

    /// Those of them that have ended. O(such markets).
    pub fn shared_ending_before(&self, wall_ns: u64) -> Vec<MarketId> {
        let ended = |sharer: &Sharer| sharer.end_wall_ns.is_some_and(|end| end < wall_ns);
        let all = self.shared.by_market.iter();
        all.filter(|(_, sharer)| ended(sharer)).map(|(market, _)| *market).collect()
    }

    /// A market is over. `Some` when there is nothing else to do: whether this is new.
    pub(super) fn expire_shared(&mut self, market: &MarketId, now_ns: u64) -> Option<bool> {
        if let Some(Sharer { owner, .. }) = self.shared.by_market.remove(market) {
            if !self.is_owner(&owner) && self.shared.outlived.remove(&owner) {
                self.mark_expired(&owner, now_ns);
            }
            return Some(true);
        }
        let open = self.market(market).is_some_and(|record| record.status != Status::Expired);
        if !open || !self.is_owner(market) {
            return None;
        }
        self.mark_unpublished(market);
        Some(self.shared.outlived.insert(*market))
    }

    /// The market trades again. True when only its end had been noted.
    pub(super) fn revive_shared(&mut self, market: &MarketId) -> bool {
        self.shared.outlived.remove(market)
    }

    fn is_owner(&self, market: &MarketId) -> bool {
        self.shared.by_market.values().any(|sharer| sharer.owner == *market)
    }

    /// The market is forgotten, and with it those that share its books.
    pub(super) fn unshare(&mut self, gone: &MarketId) {
        self.shared.outlived.remove(gone);
        if self.shared.len() > 0 {
            self.shared.by_market.retain(|market, sharer| market != gone && sharer.owner != *gone);
        }
    }
}

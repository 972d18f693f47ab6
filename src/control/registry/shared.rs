//! Markets whose tokens are those of another market: they have no books of their own.
//!
//! Runs on:  the control core (pure). Bounds: with the registered ones at most [`Registry::markets_max`].
//!
//! A catalogue may list one set of tokens under two conditions. The tokens are subscribed once, for the market that
//! was registered first, and whoever asks for a book asks by token. Once that one is removed, the next scan
//! registers the other in its own right.
use super::Registry;
use crate::base::id::MarketId;
use crate::market::info::MarketInfo;

impl Registry {
    /// The market that has all of these tokens and no others.
    fn owner_of_all(&self, info: &MarketInfo) -> Option<MarketId> {
        let owner = &self.market_of(&info.tokens.first()?.token)?.info;
        let has = |token| owner.tokens.iter().any(|outcome| outcome.token == token);
        let same = owner.tokens.len() == info.tokens.len();
        (same && info.tokens.iter().all(|outcome| has(outcome.token))).then_some(owner.market)
    }

    /// Notes a market whose tokens are those of another one. True when it is one.
    pub(super) fn share(&mut self, info: &MarketInfo) -> bool {
        let room = self.by_market.len() + self.shared.len() < self.markets_max;
        let Some(owner) = self.owner_of_all(info).filter(|_| room) else { return false };
        self.shared.insert(info.market, (owner, info.tokens.len() as u64));
        true
    }

    /// Whether the market is known and its books are another one's.
    #[must_use]
    pub fn is_shared(&self, market: &MarketId) -> bool {
        self.shared.contains_key(market)
    }

    /// The market is over, or the one that has its tokens is gone.
    pub(super) fn unshare(&mut self, gone: &MarketId) {
        if !self.shared.is_empty() {
            self.shared.retain(|market, (owner, _)| market != gone && owner != gone);
        }
    }
}

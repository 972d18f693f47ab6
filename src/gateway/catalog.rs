//! Markets that the engine follows, as the gateway's clients may ask for them.
//!
//! Runs on:  serve core (pure). Owns: facts of each market.
//! Bounds:   `GATEWAY_MARKETS_MAX`; above it the markets that ended first leave. A resolved market leaves at once.
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::GATEWAY_MARKETS_MAX;
use crate::market::info::{MarketEvent, MarketInfo, MarketStage};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};

/// The markets.
#[derive(Debug, Default)]
pub struct Catalog {
    markets: HashMap<MarketId, MarketInfo, FixedState>,
    tokens: HashMap<TokenId, MarketId, FixedState>,
    /// Markets that have ended, oldest first.
    ended: VecDeque<MarketId>,
}

impl Catalog {
    /// A market has come to another stage.
    pub fn on_event(&mut self, event: &MarketEvent) {
        let info = &event.info;
        if event.stage == MarketStage::Resolved {
            return self.remove(&info.market);
        }
        if event.stage == MarketStage::Ended {
            self.ended.push_back(info.market);
        }
        if self.markets.len() >= GATEWAY_MARKETS_MAX && !self.markets.contains_key(&info.market) {
            match self.ended.pop_front() {
                Some(oldest) => self.remove(&oldest),
                None => return,
            }
        }
        for outcome in &info.tokens {
            self.tokens.insert(outcome.token, info.market);
        }
        self.markets.insert(info.market, info.clone());
    }

    fn remove(&mut self, market: &MarketId) {
        let Some(info) = self.markets.remove(market) else { return };
        for outcome in &info.tokens {
            self.tokens.remove(&outcome.token);
        }
        self.ended.retain(|ended| ended != market);
    }

    /// A market by its id.
    #[must_use]
    pub fn market(&self, market: &MarketId) -> Option<&MarketInfo> {
        self.markets.get(market)
    }

    /// The market of a token.
    #[must_use]
    pub fn market_of(&self, token: &TokenId) -> Option<&MarketInfo> {
        self.market(self.tokens.get(token)?)
    }

    /// Name of a token's outcome.
    #[must_use]
    pub fn outcome(&self, token: &TokenId) -> Option<&str> {
        let info = self.market_of(token)?;
        let outcome = info.tokens.iter().find(|outcome| outcome.token == *token)?;
        Some(&outcome.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::info::Outcome;

    fn event(i: u32, stage: MarketStage) -> MarketEvent {
        let token = |k| TokenId::new(&format!("{}", 10 * i + k)).unwrap();
        let outcome = |(k, name): (u32, &str)| Outcome { token: token(k), name: name.into() };
        let info = MarketInfo {
            market: MarketId::new(&format!("0x{i}")).unwrap(),
            tokens: [(1, "Yes"), (2, "No")].map(outcome).into(),
            slug: String::new(),
            question: String::new(),
            start_wall_ns: None,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        };
        MarketEvent { stage, info, resolution: None }
    }

    #[test]
    fn markets_are_found_by_token_until_they_are_resolved_and_are_bounded() {
        let mut catalog = Catalog::default();
        let token = TokenId::new("12").unwrap();
        catalog.on_event(&event(1, MarketStage::New));
        assert_eq!(catalog.outcome(&token), Some("No"));
        catalog.on_event(&event(1, MarketStage::Ended));
        assert!(catalog.market_of(&token).is_some());
        catalog.on_event(&event(1, MarketStage::Resolved));
        assert_eq!((catalog.market_of(&token), catalog.ended.len()), (None, 0));
        catalog.on_event(&event(2, MarketStage::Ended));
        for i in 3..GATEWAY_MARKETS_MAX as u32 + 20 {
            catalog.on_event(&event(i, MarketStage::New));
        }
        assert_eq!(catalog.markets.len(), GATEWAY_MARKETS_MAX);
        assert_eq!(catalog.tokens.len(), 2 * GATEWAY_MARKETS_MAX);
        assert!(catalog.market(&MarketId::new("0x2").unwrap()).is_none(), "ended, so it left");
    }
}

//! What handlers are told of markets: each stage of a market's life once, in order.
//!
//! Runs on:  the control core. Owns: the last stage of every market that was reported.
//! Bounds:   one entry a market that is registered or waits for its result, and as many again.
use super::shard_proxy::ShardProxy;
use crate::base::id::MarketId;
use crate::base::time::Now;
use crate::market::info::{MarketEvent, MarketInfo, MarketStage, Resolution};
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// The least number of entries at which those of forgotten markets are looked for.
const PRUNED_FROM: usize = 4_096;

/// The stages that handlers know.
#[derive(Debug)]
pub(super) struct MarketEvents {
    reported: HashMap<MarketId, MarketStage, FixedState>,
    /// Entries of forgotten markets are removed when there are so many.
    prune_at: usize,
}

impl Default for MarketEvents {
    fn default() -> Self {
        Self { reported: HashMap::default(), prune_at: PRUNED_FROM }
    }
}

impl MarketEvents {
    /// Reports what is new of a market to its shard. False when the shard has no room: try again next cycle.
    pub(super) fn report(
        &mut self,
        info: &MarketInfo,
        stage: MarketStage,
        resolution: Option<&Resolution>,
        shard: &mut ShardProxy,
        now: Now,
    ) -> bool {
        let steps = MarketStage::steps(self.reported.get(&info.market).copied(), stage);
        if steps.is_empty() {
            return true;
        }
        if !shard.has_spare_room() {
            return false;
        }
        for stage in steps {
            let resolution = resolution.filter(|_| stage == MarketStage::Resolved).cloned();
            shard.market(MarketEvent { stage, info: info.clone(), resolution }, now);
        }
        self.reported.insert(info.market, stage);
        true
    }

    /// Forgets markets that nothing more will be said of, now and then.
    pub(super) fn prune(&mut self, is_known: impl Fn(&MarketId) -> bool) {
        if self.reported.len() >= self.prune_at {
            self.reported.retain(|market, _| is_known(market));
            self.prune_at = PRUNED_FROM.max(2 * self.reported.len());
        }
    }
}

//! Stages of the markets of a recording, by the messages of its stream.
//!
//! Runs on:  the replay's worker (pure). Bounds: `GATEWAY_MARKETS_MAX` markets; with more, the decided ones leave.
use crate::base::id::MarketId;
use crate::base::limits::GATEWAY_MARKETS_MAX;
use crate::market::info::{MarketEvent, MarketInfo, MarketStage, MarketUpdate, Resolution};
use std::collections::HashMap;

/// What the stream has reported of the markets so far.
#[derive(Debug, Default)]
pub(super) struct Lives {
    markets: HashMap<MarketId, Life>,
}

#[derive(Debug)]
struct Life {
    info: MarketInfo,
    stage: MarketStage,
}

impl Lives {
    /// What is known of a market that was announced, or of one with books that has come to another stage since.
    pub(super) fn info(&self, market: &MarketId) -> Option<&MarketInfo> {
        Some(&self.markets.get(market)?.info)
    }

    /// The events of a message received at `at_ns`, as a running engine reports them: none where nothing is new, as of
    /// messages that several connections have, and of markets that neither were announced nor have books. `of_books` is
    /// what the books say of a market, which trades then.
    pub(super) fn on_update(
        &mut self,
        update: MarketUpdate,
        at_ns: u64,
        of_books: impl FnOnce(&MarketId) -> Option<MarketInfo>,
    ) -> Vec<MarketEvent> {
        let (market, stage, resolution, announced) = match update {
            MarketUpdate::Announced(info) => {
                let opens_later = info.start_wall_ns.is_some_and(|start_ns| start_ns > at_ns);
                let stage = if opens_later { MarketStage::New } else { MarketStage::Opened };
                (info.market, stage, None, Some(info))
            }
            MarketUpdate::Activated { market } => (market, MarketStage::Opened, None, None),
            MarketUpdate::Resolved { market, resolution } => {
                let is_decided = resolution.is_decided();
                let stage = if is_decided { MarketStage::Resolved } else { MarketStage::Ended };
                (market, stage, Some(resolution), None)
            }
            MarketUpdate::Settled { market } => (market, MarketStage::Ended, None, None),
            MarketUpdate::EndMoved { market, end_wall_ns } => {
                if let Some(life) = self.markets.get_mut(&market) {
                    life.info.end_wall_ns = Some(end_wall_ns);
                }
                return Vec::new();
            }
            // A market that pauses keeps its book.
            MarketUpdate::Deactivated { .. } => return Vec::new(),
        };
        let known = self.markets.remove(&market);
        let (info, before) = match known {
            Some(Life { info, stage }) => (info, Some(stage)),
            None => match (of_books(&market), announced) {
                (Some(info), None) => (info, Some(MarketStage::Opened)),
                (Some(_), Some(info)) => (info, Some(MarketStage::Opened)),
                (None, Some(info)) => (info, None),
                (None, None) => return Vec::new(),
            },
        };
        let steps = MarketStage::steps(before, stage);
        let resolution = resolution.map(|resolution| {
            let completed = resolution.completed(&info.tokens);
            // Where the market was not announced, the outcome has a name only if the message has it.
            Resolution { result: completed.result.filter(|name| !name.is_empty()), ..completed }
        });
        let event = |&stage: &MarketStage| {
            let resolution = resolution.clone().filter(|_| stage == MarketStage::Resolved);
            MarketEvent { stage, info: info.clone(), resolution, is_repeated: false }
        };
        let events = steps.iter().map(event).collect();
        if self.markets.len() >= GATEWAY_MARKETS_MAX {
            self.markets.retain(|_, life| life.stage < MarketStage::Resolved);
        }
        if self.markets.len() < GATEWAY_MARKETS_MAX {
            let stage = steps.last().copied().or(before).unwrap_or(stage);
            self.markets.insert(market, Life { info, stage });
        }
        events
    }
}

#[cfg(test)]
mod tests;

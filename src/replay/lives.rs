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
            MarketEvent { stage, info: info.clone(), resolution }
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
mod tests {
    use super::*;
    use crate::base::id::TokenId;
    use crate::base::time::SECOND_NS;
    use crate::market::info::Outcome;

    const AT_NS: u64 = 1_000 * SECOND_NS;

    fn id(name: &str) -> MarketId {
        MarketId::new(name).unwrap()
    }

    fn info(market: &str, start_wall_ns: Option<u64>) -> MarketInfo {
        let token = TokenId::new(market).unwrap();
        MarketInfo {
            market: id(market),
            tokens: vec![Outcome { token, name: "Yes".to_owned() }],
            slug: String::new(),
            question: String::new(),
            start_wall_ns,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        }
    }

    fn resolved(market: &str) -> MarketUpdate {
        resolved_as(market, None)
    }

    fn resolved_as(market: &str, name: Option<&str>) -> MarketUpdate {
        let (winner, result) = (TokenId::new(market), name.map(str::to_owned));
        let resolution = Resolution { winner, result, settlement_value: None };
        MarketUpdate::Resolved { market: id(market), resolution }
    }

    /// Stages and results.
    fn events(lives: &mut Lives, update: MarketUpdate) -> Vec<(MarketStage, Option<String>)> {
        let of_books = |market: &MarketId| (*market == id("HELD")).then(|| info("HELD", None));
        let events = lives.on_update(update, AT_NS, of_books);
        let shown = |event: MarketEvent| (event.stage, event.resolution.and_then(|how| how.result));
        events.into_iter().map(shown).collect()
    }

    #[test]
    fn a_market_is_reported_once_at_each_stage() {
        use MarketStage::{Ended, New, Opened, Resolved};
        let mut lives = Lives::default();
        let later = || MarketUpdate::Announced(info("A", Some(AT_NS + 1)));
        assert_eq!(events(&mut lives, later()), [(New, None)]);
        assert_eq!(events(&mut lives, later()), []);
        let activated = MarketUpdate::Activated { market: id("A") };
        assert_eq!(events(&mut lives, activated), [(Opened, None)]);
        let moved = MarketUpdate::EndMoved { market: id("A"), end_wall_ns: 7 };
        assert_eq!(events(&mut lives, moved), []);
        assert_eq!(lives.info(&id("A")).unwrap().end_wall_ns, Some(7));
        let yes = || Some("Yes".to_owned());
        assert_eq!(events(&mut lives, resolved("A")), [(Ended, None), (Resolved, yes())]);
        assert_eq!(events(&mut lives, resolved("A")), []);
        assert_eq!(events(&mut lives, MarketUpdate::Settled { market: id("A") }), []);
        let opened = MarketUpdate::Announced(info("B", None));
        assert_eq!(events(&mut lives, opened), [(New, None), (Opened, None)]);
    }

    #[test]
    fn a_market_with_books_trades_and_an_unknown_one_is_not_reported() {
        use MarketStage::{Ended, Resolved};
        let mut lives = Lives::default();
        assert_eq!(events(&mut lives, MarketUpdate::Announced(info("HELD", None))), []);
        let all = [(Ended, None), (Resolved, Some("Yes".to_owned()))];
        assert_eq!(events(&mut lives, resolved("HELD")), all);
        assert_eq!(events(&mut Lives::default(), resolved("HELD")), all);
        assert_eq!(events(&mut lives, resolved("OTHER")), []);
        // It has books only: the name is that of the message.
        for (name, result) in [(None, None), (Some("Up"), Some("Up".to_owned()))] {
            let mut lives = Lives::default();
            let of_books = |_: &MarketId| {
                let mut info = info("B", None);
                info.tokens[0].name.clear();
                Some(info)
            };
            let events = lives.on_update(resolved_as("B", name), AT_NS, of_books);
            let last = events.last().unwrap().resolution.as_ref().unwrap();
            assert_eq!((&last.result, last.settlement_value.is_some()), (&result, true));
        }
    }
}

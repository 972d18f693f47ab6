//! Stages of recorded markets.
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

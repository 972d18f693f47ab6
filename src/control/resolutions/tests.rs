//! Markets that are decided late, without a winner, or never.
use super::*;
use crate::base::id::ConnectionId;
use crate::base::price::Price;
use crate::base::time::SECOND_NS;
use crate::control::registry::{Registry, Source};
use crate::control::tests::fixture::info;

fn over(number: u32) -> Record {
    let mut registry = Registry::new(1);
    let info = info(number);
    let market = info.market;
    registry.register(info, 0, Source::Catalog);
    registry.mark_subscribed(&market, ConnectionId(1), 1).unwrap();
    registry.mark_expired(&market, 2);
    registry.market(&market).unwrap().clone()
}

#[test]
fn a_market_is_asked_about_less_and_less_often_until_it_is_decided() {
    let mut resolutions = Resolutions::default();
    let record = over(7);
    let (market, winner) = (record.info.market, record.info.tokens[1].token);
    resolutions.note(&record, 0);
    let mut asked = Vec::new();
    for second in 0..4_000 {
        if !resolutions.poll(second * SECOND_NS).is_empty() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [60, 180, 420, 900, 1_860, 3_780]);
    let won = Resolution { winner: Some(winner), ..Resolution::default() };
    resolutions.on_closed(&market, &Resolution::default(), 8);
    assert!(resolutions.take_settled().is_none(), "closed and not decided");
    resolutions.on_closed(&market, &won, 9);
    let settled = resolutions.take_settled().unwrap().resolution.unwrap();
    let name = record.info.tokens[1].name.clone();
    let value = Some(Price::ZERO);
    assert_eq!(
        settled,
        (Resolution { result: Some(name), settlement_value: value, ..won.clone() }, 9)
    );
    assert_eq!((resolutions.open.len(), resolutions.take_settled().is_none()), (0, true));
    resolutions.on_closed(&market, &won, 10);
    assert!(resolutions.take_settled().is_none(), "once");
}

#[test]
fn a_market_that_is_decided_without_a_winner_is_not_asked_about() {
    for result in ["no", "scalar", "void", Resolution::SPLIT] {
        let mut resolutions = Resolutions::default();
        let mut record = over(7);
        resolutions.note(&record, 0);
        let how = Resolution { result: Some(result.to_owned()), ..Resolution::default() };
        record.resolution = Some((how.clone(), 3));
        resolutions.note(&record, 1);
        assert_eq!(resolutions.open.len(), 0, "{result}, from the stream");
        record.resolution = None;
        resolutions.note(&record, 2);
        resolutions.on_closed(&record.info.market, &how, 4);
        assert_eq!(resolutions.open.len(), 0, "{result}, from the catalog");
        assert_eq!(resolutions.take_settled().unwrap().resolution, Some((how, 4)));
        assert!(resolutions.poll(RESOLUTION_TIMEOUT_NS - 1).is_empty(), "{result}");
    }
}

#[test]
fn what_trades_again_is_not_asked_about_and_nothing_is_for_ever() {
    let mut resolutions = Resolutions::default();
    let record = over(7);
    resolutions.note(&record, 0);
    let mut again = record.clone();
    again.status = Status::Subscribed;
    resolutions.note(&again, 5);
    assert_eq!(resolutions.open.len(), 0);
    resolutions.note(&record, 0);
    assert!(resolutions.poll(RESOLUTION_TIMEOUT_NS).is_empty());
    assert_eq!(resolutions.open.len(), 0);
}

#[test]
fn a_question_has_room_for_a_page_and_the_next_for_the_others() {
    let mut resolutions = Resolutions::default();
    (0..150).for_each(|number| resolutions.note(&over(number), 0));
    let counts = [61, 61, 61].map(|s| resolutions.poll(s * SECOND_NS).len());
    assert_eq!(counts, [100, 50, 0]);
}

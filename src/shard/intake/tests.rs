//! What a connection says of its numbers, all the way into its books.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::StillClock;
use crate::market::book::BookOpening;
use crate::shard::books::Admission;
use crate::venue::{Feed, Role};

const HERE: ConnectionSlot = ConnectionSlot(3);

/// A message of book `KX-A` without the number of a subscription.
fn frame(kind: &str, seq: u64) -> String {
    let msg = match kind {
        "orderbook_snapshot" => r#""yes_dollars_fp":[["0.4000","5.00"]],"no_dollars_fp":[]"#,
        _ => r#""price_dollars":"0.4000","delta_fp":"1.00","side":"yes""#,
    };
    format!(r#"{{"type":"{kind}","seq":{seq},"msg":{{"market_ticker":"KX-A",{msg}}}}}"#)
}

#[test]
fn a_number_that_jumps_without_a_subscription_makes_books_stale() {
    let mut books = Books::new(ShardId(0), Admission::Listed, ()).sequenced(true);
    let opening = BookOpening {
        market: MarketId::new("KX-A").unwrap(),
        token: TokenId::new("KX-A").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    books.open(&opening, HERE).unwrap();
    let mut intake = Intake::of(Venue::Kalshi, books, StillClock::default());
    let mut dialog = Dialog::new(Feed::Kalshi { combos: false }, Role::Books);
    let mut live_after = |frame: &str| {
        let (mut progress, mut findings) = (Progress::default(), Findings::default());
        let from = (HERE, Some(&mut dialog));
        intake.on_part(frame, &mut progress, usize::MAX, from, Now::default(), &mut findings);
        let (counts, told) = (intake.books.counts(), dialog.counts());
        (counts.live, counts.updates, told.holes, told.missing, told.duplicates)
    };
    assert_eq!(live_after(&frame("orderbook_snapshot", 1)), (1, 0, 0, 0, 0));
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 1, 0, 0, 0));
    let trade = r#"{"type":"trade","seq":1,"msg":{}}"#;
    assert_eq!(live_after(trade), (1, 1, 0, 0, 0), "another channel counts by itself");
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 1, 0, 0, 1), "it was there");
    let (live, _, holes, missing, _) = live_after(&frame("orderbook_delta", 5));
    assert_eq!((live, holes, missing), (0, 1, 2));
    assert_eq!(live_after(&frame("orderbook_snapshot", 6)).0, 1);
    // A subscription begins: its numbers do, too.
    let begun = r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":2}}"#;
    assert_eq!(live_after(begun).4, 1);
    assert_eq!(live_after(&frame("orderbook_snapshot", 1)), (1, 1, 1, 2, 1), "nothing repeated");
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 2, 1, 2, 1));
}

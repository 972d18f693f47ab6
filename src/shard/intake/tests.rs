//! What a connection says of its numbers, all the way into its books.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::StillClock;
use crate::market::book::BookOpening;
use crate::shard::books::Admission;
use crate::venue::{Role, kalshi};

const HERE: ConnectionSlot = ConnectionSlot(3);

/// A message of book `KX-A` without the number of a subscription.
fn frame(kind: &str, seq: u64) -> String {
    of_subscription("", kind, seq)
}

/// The same of the subscription that `sid` names.
fn of_subscription(sid: &str, kind: &str, seq: u64) -> String {
    let msg = match kind {
        "orderbook_snapshot" => r#""yes_dollars_fp":[["0.4000","5.00"]],"no_dollars_fp":[]"#,
        _ => r#""price_dollars":"0.4000","delta_fp":"1.00","side":"yes""#,
    };
    format!(r#"{{"type":"{kind}",{sid}"seq":{seq},"msg":{{"market_ticker":"KX-A",{msg}}}}}"#)
}

#[test]
fn a_change_of_another_subscription_or_of_none_makes_books_stale() {
    for (sid, seq) in [("\"sid\":9,", 1), ("\"sid\":9,", 57), ("", 1), ("", 3), ("", 57)] {
        let mut live_after = rig();
        live_after(r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":2}}"#);
        let own = |kind, seq| of_subscription("\"sid\":2,", kind, seq);
        assert_eq!(live_after(&own("orderbook_snapshot", 1)).0, 1);
        assert_eq!(live_after(&own("orderbook_delta", 2)), (1, 1, 0, 0, 0));
        let (live, updates, holes, ..) = live_after(&of_subscription(sid, "orderbook_delta", seq));
        assert_eq!((live, updates, holes), (0, 1, 1), "{sid}{seq}");
        // Repaired by a snapshot of its own, and the next one of the same kind is seen too.
        assert_eq!(live_after(&own("orderbook_snapshot", 3)).0, 1);
        let next = live_after(&of_subscription(sid, "orderbook_delta", seq + 1));
        assert_eq!((next.0, next.2), (0, 2), "{sid}{seq}");
    }
}

/// What a connection's book, and what is counted of it, are after each frame: whether it is live, updates, holes,
/// messages missing and duplicates.
fn rig() -> impl FnMut(&str) -> (u64, u64, u64, u64, u64) {
    let mut books =
        Books::new(ShardId(0), crate::venue::kalshi::feed(false), Admission::Listed, ());
    let opening = BookOpening {
        market: MarketId::new("KX-A").unwrap(),
        token: TokenId::new("KX-A").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    books.open(&opening, HERE).unwrap();
    let mut intake = Intake::new(kalshi::feed(false), books, StillClock::default());
    let mut subscription = kalshi::feed(false).subscription(Role::Books);
    move |frame: &str| {
        let (mut progress, mut findings) = (Progress::default(), Findings::default());
        let from = (HERE, Some(&mut subscription));
        intake.on_part(frame, &mut progress, usize::MAX, from, Now::default(), &mut findings);
        let (counts, reported) = (intake.books.counts(), subscription.counts());
        (counts.live, counts.updates, reported.holes, reported.missing, reported.duplicates)
    }
}

#[test]
fn a_number_that_jumps_without_a_subscription_makes_books_stale() {
    let mut live_after = rig();
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

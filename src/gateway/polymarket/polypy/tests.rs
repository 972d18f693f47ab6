//! Books at an interval.
use super::*;
use crate::base::price::{Price, Quantity};

fn level(price: u32, quantity: u64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

#[test]
fn a_book_has_thousandths_and_the_best_levels_first() {
    let token = TokenId::new("17").unwrap();
    let bids = [level(410_000, 1_000_000), level(421_500, 2_500_000)].into_iter();
    let asks = [level(430_000, 500_000)].into_iter();
    let mut out = String::new();
    push_book(&mut out, &token, &[BookSide::new(bids, 1), BookSide::new(asks, 1)], 7);
    assert_eq!(
        out,
        concat!(
            r#"{"type":"orderbook","asset_id":"17","bids":[[421,2500]],"asks":[[430,500]],"#,
            r#""metrics":{"spread":8.5,"mid_price":425.75,"imbalance":0.875000},"last_update_ts":7}"#
        )
    );
    let mut out = String::new();
    push_book(&mut out, &token, &[(); 2].map(|()| BookSide::new([].into_iter(), 1)), 7);
    assert!(out.contains(r#""bids":[],"asks":[],"metrics":null"#), "{out}");
}

#[test]
fn a_client_follows_one_book_at_its_interval() {
    let (mut session, mut out) = (Session::default(), Vec::new());
    let [one, two] = ["1", "2"].map(|id| TokenId::new(id).unwrap());
    assert_eq!(session.take_due(5), None);
    session.on_text(r#"{"subscribe":"1","interval_ms":20}"#, &mut out);
    assert_eq!(out, [Request::Subscribe(one)]);
    assert_eq!((session.take_due(5), session.take_due(6)), (Some(one), None));
    assert_eq!(session.take_due(5 + 20 * MILLISECOND_NS), Some(one));
    out.clear();
    session.on_text(r#"{"subscribe":"2"}"#, &mut out);
    assert_eq!(out, [Request::Unsubscribe(one), Request::Subscribe(two)]);
    let mut text = String::new();
    assert_eq!(session.take_due(9), Some(two));
    assert!(!session.write(&mut text, None, 9), "it may come");
    assert!(session.write(&mut text, None, 9 + UNKNOWN_AFTER_NS));
    assert!(!session.write(&mut text, None, 10 + UNKNOWN_AFTER_NS), "once");
    assert_eq!(text, r#"{"type":"error","error":"no book of this token"}"#);
    out.clear();
    session.on_text(r#"{"unsubscribe":true}"#, &mut out);
    assert_eq!((&out[..], session.take_due(u64::MAX)), (&[Request::Unsubscribe(two)][..], None));
    for bad in ["", "{}", "[]", r#"{"subscribe":5}"#, r#"{"subscribe":""}"#] {
        out.clear();
        session.on_text(bad, &mut out);
        assert!(matches!(&out[..], [Request::Send(_)]), "{bad}: {out:?}");
    }
}

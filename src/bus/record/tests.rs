//! Heads and kinds of records.
use super::*;
use crate::market::info::{EventListing, Fees};

#[test]
fn a_head_has_kind_and_key() {
    let text =
        r#"{"sequence":1,"kind":"change","venue":"v","market":"0xa","token":"7","version":2}"#;
    assert_eq!(
        RecordHead::read(text),
        Some(RecordHead { kind: "change", key: "7", market: "0xa" })
    );
    let text = r#"{"sequence":1,"kind":"market","venue":"v","market":"M","receive_time":1,"outcomes":[{"token":"7"}]}"#;
    assert_eq!(RecordHead::read(text), Some(RecordHead { kind: "market", key: "M", market: "M" }));
    for text in ["", r#"{"kind":"error","error":"x"}"#, r#"{"sequence":1,"kind":"x"}"#] {
        assert_eq!(RecordHead::read(text), None, "{text}");
    }
    assert_eq!(Topic::of_kind("state"), [Topic::Books, Topic::Events]);
    assert_eq!(
        Topic::named("tops").map(|topic| topic.full_name("a.b")).as_deref(),
        Some("a.b.tops")
    );
}

#[test]
fn a_market_has_all_that_is_known_of_it() {
    let listing = Listing {
        number: "17".into(),
        members: r#""a":"\"b\"","c":1"#.into(),
        fees: Some(Fees { maker_bps: 1, ..Fees::default() }),
        event: Some(Arc::new(EventListing { id: "9".into(), ..EventListing::default() })),
        ..Listing::default()
    };
    let text = format!(
        r#"{{"sequence":1,"kind":"market","venue":"polymarket","market":"0xa","receive_time":1,"stage":"opened","slug":"s","question":"q","outcomes":[{{"token":"7","outcome":"Yes"}}],"min_order_size":"5.5","neg_risk":true,"listing":{}}}"#,
        sonic_rs::to_string(&listing).unwrap()
    );
    let (venue, event) = market_event(&text).unwrap();
    assert_eq!((venue.name(), event.stage), ("polymarket", MarketStage::Opened));
    let MarketInfo { min_order_size, neg_risk, listing: read, .. } = event.info;
    assert_eq!((min_order_size, neg_risk), (Some(Quantity(5_500_000)), true));
    assert_eq!(read.as_deref(), Some(&listing));
}

#[test]
fn the_end_of_a_market_has_the_time_of_its_record() {
    let text = |stage: &str| {
        format!(
            r#"{{"sequence":5,"kind":"market","venue":"polymarket","market":"0x7d","receive_time":17,"stage":"{stage}","slug":"ended"}}"#
        )
    };
    for (stage, ended) in
        [("new", None), ("opened", None), ("ended", Some(17)), ("resolved", Some(17))]
    {
        assert_eq!(market_end(&text(stage)), Some(("0x7d", ended)), "{stage}");
    }
    assert_eq!(market_end("{}"), None);
}

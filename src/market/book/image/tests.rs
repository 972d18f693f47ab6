//! JSON of an image.
use super::*;
use crate::market::book::{Side, StaleReason};

#[test]
fn json_has_the_venues_shape_to_the_letter() {
    let mut book = Book::default();
    for (side, price, quantity) in
        [(Side::Bid, 10_000, 5_000_000), (Side::Bid, 20_000, 1_500_000), (Side::Ask, 990_000, 1)]
    {
        book.set(side, Level { price: Price(price), quantity: Quantity(quantity) }).unwrap();
    }
    let facts = BookFacts {
        timestamp_ms: 1_786_728_198_766,
        hash: Some(*b"4514cbfcdad578db98c9bdac47e6c3b3b4632ced"),
        min_order_size: Some(Quantity(5_000_000)),
        tick_size: Some(Price(1_000)),
        neg_risk: true,
        last_trade: Some(Price(4_000)),
        ..BookFacts::default()
    };
    let mut image = BookImage::with_capacity(2);
    let (market, token) = (MarketId::new("0x7d").unwrap(), TokenId::new("27").unwrap());
    image.fill(market, token, BookState::Live, facts, &book);
    let mut text = String::new();
    image.write_json(&mut text);
    assert_eq!(
        text,
        r#"{"market":"0x7d","asset_id":"27","timestamp":"1786728198766","hash":"4514cbfcdad578db98c9bdac47e6c3b3b4632ced","bids":[{"price":"0.01","size":"5"},{"price":"0.02","size":"1.5"}],"asks":[{"price":"0.99","size":"0.000001"}],"min_order_size":"5","tick_size":"0.001","neg_risk":true,"last_trade_price":"0.004"}"#
    );
    let mut other = image.clone();
    other.turn_around();
    let price = |levels: &[Level]| levels.iter().map(|l| l.price.0).collect::<Vec<_>>();
    assert_eq!((price(&other.bids), price(&other.asks)), (vec![10_000], vec![990_000, 980_000]));
    assert_eq!((other.facts.last_trade, other.facts.hash), (Some(Price(996_000)), None));
    other.turn_around();
    assert_eq!((&other.bids, &other.asks), (&image.bids, &image.asks), "best last, still");
    text.clear();
    image.write_json_with_state(&mut text);
    assert!(text.ends_with(r#""last_trade_price":"0.004","state":"live"}"#), "{text}");
    text.clear();
    image.state =
        BookState::Stale { why: StaleReason::Behind, since_wall_ns: 1_786_728_198_766_000_000 };
    image.write_json(&mut text);
    let end = r#""last_trade_price":"0.004","state":"stale:behind","stale_since":"1786728198766"}"#;
    assert!(text.ends_with(end), "{text}");
}

//! One book as a table and as JSON.
use super::*;
use crate::base::id::{MarketId, TokenId};
use crate::base::price::{Price, Quantity};
use crate::market::book::BookState;

#[test]
fn a_table_has_the_best_levels_first_and_json_last() {
    let level = |price, quantity| Level { price: Price(price), quantity: Quantity(quantity) };
    let mut image = BookImage {
        market: MarketId::new("0xa1"),
        token: TokenId::new("7"),
        state: BookState::Live,
        bids: vec![level(380_000, 1_000_000), level(400_000, 120_500_000), level(410_000, 1)],
        asks: vec![level(430_000, 2_000_000)],
        ..BookImage::default()
    };
    image.facts.updated_wall_ns = 1_795_763_700_000_000_000;
    image.facts.tick_size = Some(Price(10_000));
    cut(&mut image, Some(2));
    let expected = "\
polymarket, market 0xa1, token 7
live; last change 2026-11-27T07:15:00.000Z; price step 0.01
bid size   bid   ask  ask size
0.000001  0.41  0.43         2
   120.5   0.4
";
    assert_eq!(table("polymarket", &image), expected);
    let bids = r#""bids":[{"price":"0.4","size":"120.5"},{"price":"0.41","size":"0.000001"}]"#;
    assert!(json(&image).contains(bids), "{}", json(&image));
}

//! Hashes of levels and of their text.
use super::*;
use crate::base::price::Quantity;
use crate::market::book::{Level, Side};

/// Recorded hashes of the venue are in `tests/oracle/checks.rs`.
#[test]
fn a_book_has_the_hash_that_its_text_has() {
    let mut book = Book::default();
    let level =
        |price, shares: u64| Level { price: Price(price), quantity: Quantity(shares * 1_000_000) };
    book.set(Side::Bid, level(300_000, 100)).unwrap();
    book.set(Side::Ask, level(700_000, 100)).unwrap();
    let mut facts = BookFacts {
        timestamp_ms: 123_456_789,
        min_order_size: Some(Quantity(100 * 1_000_000)),
        tick_size: Some(Price(10_000)),
        ..BookFacts::default()
    };
    let (market, token) = (MarketId::new("0xaabbcc").unwrap(), TokenId::new("100").unwrap());
    let text = r#"{"market":"0xaabbcc","asset_id":"100","timestamp":"123456789","hash":"","bids":[{"price":"0.3","size":"100"}],"asks":[{"price":"0.7","size":"100"}],"min_order_size":"100","tick_size":"0.01","neg_risk":false,"last_trade_price":"0.500"}"#;
    let digest = Sha1::digest(text);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash: BookHash = hex.as_bytes().try_into().unwrap();
    let mut scratch = String::new();
    let summary = Summary::new(&market, &token, &facts, &book, &mut scratch).unwrap();
    assert!(summary.matches(Some(Price(500_000)), &hash));
    assert!(!summary.matches(Some(Price(501_000)), &hash));
    assert!(!summary.matches(None, &hash));
    assert_eq!(summary.find_last_trade(&hash), Some(Some(Price(500_000))));
    assert_eq!(summary.find_last_trade(&[b'0'; 40]), None);
    facts.tick_size = None;
    assert!(Summary::new(&market, &token, &facts, &book, &mut scratch).is_none());
}

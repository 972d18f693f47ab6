//! The published hash, and recorded books.
use super::*;
use crate::base::price::Quantity;

fn hash_text(heading: &Heading<'_>, book: &Book) -> String {
    String::from_utf8(hash(&mut Vec::new(), heading, book, Outcome::First).to_vec()).unwrap()
}

#[test]
fn the_published_vector_reproduces() {
    // py-clob-client-v2, tests/test_utilities.py.
    let heading = Heading {
        market: "0xaabbcc",
        asset: "100",
        timestamp_ms: 123_456_789,
        min_order_size: "100",
        tick: Price(10_000),
        neg_risk: false,
        last_trade_price: "0.5",
    };
    let mut book = Book::default();
    for (side, price) in [(Side::Bid, 3), (Side::Bid, 4), (Side::Ask, 6)] {
        book.set(side, Price(price * 100_000), Quantity(100_000_000));
    }
    // The vector lists its asks ascending, unlike a book of the venue; levels are in the order of the
    // vector.
    let mut text = Vec::new();
    push_summary(&mut text, &heading, &book, Outcome::First, b"");
    let text = String::from_utf8(text).unwrap().replace(
        r#""asks":[{"price":"0.6","size":"100"}]"#,
        r#""asks":[{"price":"0.6","size":"100"},{"price":"0.7","size":"100"}]"#,
    );
    let hash = String::from_utf8(hexadecimal(&Sha1::digest(text)).to_vec()).unwrap();
    assert_eq!(hash, "0458ea5755c9f73d64a14636fa5c36ed460ec394");
}

#[test]
fn recorded_rest_books_reproduce() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = "polymarket/polygolem_2026-05-17/clob-books.json";
    let beside = ["../shared/fixtures", "../../shared/fixtures"];
    let read = |folder| std::fs::read(root.join(folder).join(file)).ok();
    let Some(text) = beside.into_iter().find_map(read) else {
        eprintln!("note: no recordings beside this clone; skipped");
        return;
    };
    let books: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(books.len(), 10);
    for recorded in &books {
        let field = |key: &str| recorded[key].as_str().unwrap();
        let mut book = Book::default();
        for (side, key) in [(Side::Bid, "bids"), (Side::Ask, "asks")] {
            for level in recorded[key].as_array().unwrap() {
                let price = Price::parse(level["price"].as_str().unwrap().as_bytes()).unwrap();
                let size = Quantity::parse(level["size"].as_str().unwrap().as_bytes()).unwrap();
                book.set(side, price, size);
            }
        }
        let heading = Heading {
            market: field("market"),
            asset: field("asset_id"),
            timestamp_ms: field("timestamp").parse().unwrap(),
            min_order_size: field("min_order_size"),
            tick: Price::parse(field("tick_size").as_bytes()).unwrap(),
            neg_risk: recorded["neg_risk"].as_bool().unwrap(),
            last_trade_price: field("last_trade_price"),
        };
        assert_eq!(hash_text(&heading, &book), field("hash"));
    }
}

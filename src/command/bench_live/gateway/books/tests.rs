//! One book by both protocols.
use super::*;

#[test]
fn both_protocols_build_the_same_book() {
    let dump = r#"[{"market":"0x1","asset_id":"7","bids":[{"price":"0.4","size":"10"}],
            "asks":[{"price":"0.6","size":"5"}],"event_type":"book"}]"#;
    let changes = r#"{"market":"0x1", "price_changes":[
            {"asset_id":"7", "price":"0.4", "size":"0", "side":"BUY", "hash":""},
            {"asset_id":"7", "price":"0.41", "size":"2.5", "side":"BUY", "hash":""},
            {"asset_id":"8", "price":"0.59", "size":"2.5", "side":"SELL", "hash":""}],
            "timestamp":"1", "event_type":"price_change"}"#;
    let snapshot = r#"{"sequence":4,"kind":"snapshot","token":"7","bids":[["0.4","10"]],
            "asks":[["0.6","5"]],"gap":false}"#;
    let change = r#"{"sequence":5,"kind":"change","token":"7","bids":[["0.4","0"],["0.41","2.5"]],"asks":[]}"#;
    let venue = r#"{"asset_id":"7","bids":[{"price":"0.410","size":"2.50"}],
            "asks":[{"price":"0.60","size":"5"}],"hash":"x"}"#;
    for texts in [[dump, changes], [snapshot, change]] {
        let mut books = TextBooks::default();
        for text in texts {
            books.on_text(text.as_bytes()).unwrap();
        }
        assert_eq!(books.get("7"), Some(&TextBook::parse(venue).unwrap()));
        assert_eq!(books.get("8"), None);
    }
    let mut books = TextBooks::default();
    assert!(books.on_text(b"PONG").is_err());
    let wrong = dump.replace("0.4\"", "zero\"");
    assert_eq!(books.on_text(wrong.as_bytes()), Err("zero and 10 are no level".to_owned()));
}

//! Messages of each kind.
use super::*;

#[test]
fn messages_of_books_are_recognized() {
    let of = |message: &str| {
        let found = outline(message);
        (found.market.unwrap_or_default().to_owned(), found.content, found.broken)
    };
    let (book, change) = (BookContent::Snapshot, BookContent::Change);
    for (message, content) in [
        (r#"{"market":"0xa","event_type":"book","bids":[]}"#, book),
        (r#"{"bids":[],"asks":[{"price":"0.1"}],"market":"0xa"}"#, book),
        (
            r#"{"market":"0xa","price_changes":[{"side":"BUY"}],"event_type":"price_change"}"#,
            change,
        ),
        (r#"{"market":"0xa","changes":[]}"#, change),
        (r#"{"market":"0xa","event_type":"last_trade_price","price":"0.4"}"#, BookContent::None),
        (r#"{"market":"0xa","event_type":"tick_size_change"}"#, BookContent::None),
    ] {
        assert_eq!(of(message), ("0xa".to_owned(), content, false), "{message}");
    }
    assert!(of(r#"{"market":"0xa""#).2);
    assert_eq!(of(r#"{"market":"\u0061"}"#), (String::new(), BookContent::None, true));
}

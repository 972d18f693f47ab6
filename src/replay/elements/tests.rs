//! Frames of both venues.
use super::*;

/// Each message's text and market, whether it is of a book, and its fingerprint.
fn read(feed: usize, frame: &str) -> Vec<(String, String, bool, u64)> {
    let mut decoder = crate::venue::ALL[feed].decoder();
    let mut found = Vec::new();
    elements(&mut decoder, frame, |element| {
        let Element { text, market, is_book, fingerprint } = element;
        let market = market.map(|market| market.to_string()).unwrap_or_default();
        found.push((text.to_owned(), market, is_book, fingerprint));
    });
    found
}

#[test]
fn lists_are_divided_and_numbers_are_no_content() {
    let market = format!("0x{}", "a".repeat(64));
    let trade = format!(r#"{{"market":"{market}","event_type":"last_trade_price","size":"1"}}"#);
    let book = format!(r#"{{"market":"{market}","event_type":"book","bids":[]}}"#);
    let found = read(0, &format!("[{trade}, {book},{trade}]"));
    let texts: Vec<&str> = found.iter().map(|(text, ..)| text.as_str()).collect();
    assert_eq!(texts, [&trade, &book, &trade]);
    assert!(found.iter().all(|(_, of, ..)| *of == market));
    assert_eq!(
        found.iter().map(|(_, _, is_book, _)| *is_book).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert_eq!((found[0].3, found[0].3 == found[1].3), (found[2].3, false));
    assert!(read(0, "PONG").is_empty() && read(0, r#"{"market":"#).is_empty());

    let delta = |sid: u32, seq: u32, price: &str| {
        format!(
            r#"{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"A","price_dollars":"{price}","delta_fp":"1.00","side":"yes"}}}}"#
        )
    };
    let [a, b, c] = [delta(1, 7, "0.10"), delta(2, 9, "0.10"), delta(2, 9, "0.11")]
        .map(|frame| read(1, &frame).pop().unwrap());
    assert_eq!((a.1.as_str(), a.2, a.3), ("A", true, b.3));
    assert_ne!(b.3, c.3);
    assert!(
        read(1, r#"{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}"#)
            .is_empty()
    );
}

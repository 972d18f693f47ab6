//! Filters by channel and symbol.
use super::*;

const CHANGE: &str = r#"{"event_type":"price_change","market":"0x1","price_changes":[{"asset_id":"7","size":"1"},{"asset_id":"8"}]}"#;
const DELTA: &str = r#"{"type":"orderbook_delta","sid":1,"msg":{"market_ticker":"KX-A"}}"#;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

#[test]
fn messages_are_taken_by_channel_and_symbol() {
    let takes = |filter: &Filter, frame: &str| filter.take(frame).is_some();
    let all = filter("[]");
    assert!(takes(&all, CHANGE) && takes(&all, DELTA) && takes(&all, "[]"));
    assert!(!takes(&all, "PONG") && !takes(&all, ""));
    let one = filter(r#"[{"channel":"price_change","symbols":["8"]}]"#);
    assert!(takes(&one, CHANGE) && !takes(&one, DELTA));
    assert!(!takes(&filter(r#"[{"channel":"price_change","symbols":["9"]}]"#), CHANGE));
    assert!(!takes(&filter(r#"[{"channel":"book"}]"#), CHANGE));
    let ticker = filter(r#"[{"channel":"orderbook_delta","symbols":["KX-A"]}]"#);
    let snapshot = DELTA.replace("delta", "snapshot");
    assert!(takes(&ticker, DELTA) && takes(&ticker, &snapshot));
    assert!(!takes(&ticker, &DELTA.replace("KX-A", "KX-B")));
    let book = |id: &str| format!(r#"{{"event_type":"book","asset_id":"{id}"}}"#);
    let dump = format!("[{},{},{}]", book("7"), book("8"), book("9"));
    let two = filter(r#"[{"channel":"book","symbols":["7"]},{"channel":"book","symbols":["9"]}]"#);
    assert_eq!(two.take(&dump).unwrap(), format!("[{},{}]", book("7"), book("9")));
    assert_eq!(one.take(&dump), None);
}

#[test]
fn subscriptions_of_both_venues_are_filters() {
    let mut filter = Filter::default();
    assert!(!filter.on_text("PING") && !filter.on_text("{}"));
    assert!(filter.on_text(r#"{"type":"market","assets_ids":["7"]}"#));
    assert!(filter.take(CHANGE).is_some());
    assert!(filter.take(&CHANGE.replace("price_change\"", "best_bid_ask\"")).is_none());
    let mut filter = Filter::default();
    let text = r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"market_ticker":"KX-A"}}"#;
    assert!(filter.on_text(text));
    assert!(filter.take(DELTA).is_some() && filter.take(CHANGE).is_none());
}

#[test]
fn options_and_forms() {
    let text = r#"{"exchange":"kalshi","from":"2026-11-01","to":"2026-11-02","filters":[{"channel":"trade"}],"withDisconnects":true}"#;
    let options = RawOptions::parse(text).unwrap();
    assert!(options.with_disconnects && options.venue == Venue::named("kalshi"));
    assert!(RawOptions::parse(&text.replace("kalshi", "x")).is_err());
    assert!(RawOptions::parse("{}").is_err());
    let mut out = String::new();
    Form::Object.write(&mut out, 1_786_728_198_766_123_456, "{\"a\":\n1}");
    let time = "2026-08-14T17:23:18.7661234Z";
    assert_eq!(out, format!(r#"{{"localTimestamp":"{time}","message":{{"a": 1}}}}"#));
    out.clear();
    Form::Line.write(&mut out, 1_786_728_198_766_123_456, "[]");
    assert_eq!(out, format!("{time} []"));
}

//! Commands: errors in the venue's codes, and bounds.
use super::*;

fn code(text: &str) -> u16 {
    parse(text).1.expect_err(text).code().0
}

#[test]
fn what_is_wrong_has_its_code() {
    let subscribe = |params: &str| format!(r#"{{"cmd":"subscribe","params":{params}}}"#);
    let update = |params: &str| format!(r#"{{"cmd":"update_subscription","params":{params}}}"#);
    for (text, expected) in [
        (String::new(), 1),
        ("[]".to_owned(), 1),
        ("{\"cmd\":".to_owned(), 1),
        (r#"{"id":-1,"cmd":"list_subscriptions"}"#.to_owned(), 1),
        (r#"{"id":"7","cmd":"list_subscriptions"}"#.to_owned(), 1),
        (r#"{"cmd":7}"#.to_owned(), 1),
        (subscribe("7"), 1),
        (subscribe(r#"{"channels":"ticker"}"#), 1),
        (subscribe(r#"{"channels":[1]}"#), 1),
        (subscribe(r#"{"channels":["ticker"],"market_tickers":[7]}"#), 1),
        (subscribe(r#"{"channels":["ticker"],"skip_ticker_ack":"yes"}"#), 1),
        (r#"{"cmd":"subscribe"}"#.to_owned(), 2),
        (r#"{"cmd":"unsubscribe","params":null}"#.to_owned(), 2),
        (subscribe("{}"), 3),
        (subscribe(r#"{"channels":[]}"#), 3),
        (r#"{"cmd":"unsubscribe","params":{"sids":[]}}"#.to_owned(), 4),
        (r#"{"params":{}}"#.to_owned(), 5),
        (r#"{"cmd":"Subscribe"}"#.to_owned(), 5),
        (subscribe(r#"{"channels":["ticker","ticker_v2"]}"#), 8),
        (subscribe(r#"{"channels":["fill"]}"#), 8),
        (subscribe(r#"{"channels":["ticker"],"market_ticker":"A","market_tickers":["B"]}"#), 11),
        (subscribe(r#"{"channels":["ticker"],"market_id":"B"}"#), 11),
        (subscribe(r#"{"channels":["ticker"],"market_ticker":"A \n"}"#), 11),
        (update(r#"{"action":"add_markets","market_ticker":"A"}"#), 12),
        (update(r#"{"sid":1,"sids":[1],"action":"add_markets"}"#), 12),
        (update(r#"{"sids":[1,2],"action":"add_markets"}"#), 12),
        (update(r#"{"sid":1,"action":"dance","market_ticker":"A"}"#), 13),
        (update(r#"{"sid":1,"action":"add_markets"}"#), 14),
        (update(r#"{"sid":1,"action":"get_snapshot","market_tickers":[]}"#), 14),
        (update(r#"{"sid":1,"market_ticker":"A"}"#), 15),
    ] {
        assert_eq!(code(&text), expected, "{text}");
    }
}

#[test]
fn what_is_right_is_understood() {
    let tickers = |names: &[&str]| names.iter().map(|name| TokenId::new(name).unwrap()).collect();
    let text = r#"{"id":5,"cmd":"subscribe","params":{"channels":["ticker","ticker","orderbook_delta"],"market_tickers":["A","B-2.5"],"use_yes_price":null,"skip_ticker_ack":true,"new":{}}}"#;
    let subscribe = Subscribe {
        channels: vec![Channel::Tickers, Channel::Books],
        tickers: tickers(&["A", "B-2.5"]),
        initial: false,
        skip_ticker_ack: Some(true),
        use_yes_price: None,
    };
    assert_eq!(parse(text), (Some(5), Ok(Command::Subscribe(subscribe))));
    let text = r#"{"id":0,"cmd":"update_subscription","params":{"sids":[7],"market_ticker":"A","action":"get_snapshot"}}"#;
    let update =
        Update { sid: 7, action: Action::Snapshot, tickers: tickers(&["A"]), initial: false };
    assert_eq!(parse(text), (None, Ok(Command::Update(update))), "id 0 counts as none");
    assert_eq!(parse(r#"{"id":3,"cmd":"list_subscriptions"}"#), (Some(3), Ok(Command::List)));
    let text = r#"{"id":1,"cmd":"unsubscribe","params":{"sids":[2,1]}}"#;
    assert_eq!(parse(text).1, Ok(Command::Unsubscribe(vec![2, 1])));
}

#[test]
fn deep_long_and_large_commands_are_refused() {
    for open in ["[", "{\"a\":", "[\"]\",{\"params\":"] {
        assert_eq!(code(&open.repeat(300_000)), 1, "{open}");
    }
    assert_eq!(code(&" ".repeat(TEXT_BYTES_MAX + 1)), 1);
    let list = |count: usize, item: &str| vec![item; count].join(",");
    let names = list(MARKETS_MAX + 1, "\"A\"");
    assert_eq!(
        code(&format!(
            r#"{{"cmd":"subscribe","params":{{"channels":["trade"],"market_tickers":[{names}]}}}}"#
        )),
        26
    );
    let sids = list(SIDS_MAX + 1, "1");
    assert_eq!(code(&format!(r#"{{"cmd":"unsubscribe","params":{{"sids":[{sids}]}}}}"#)), 11);
    let name = "[{".repeat(50);
    assert_eq!(code(&format!(r#"{{"cmd":"{name}\"{name}"}}"#)), 5, "brackets in a string");
}

//! Commands with each fault, and without.
use super::*;

fn code(text: &str) -> u64 {
    parse(text).1.expect_err(text).code
}

#[test]
fn what_is_wrong_has_its_code() {
    let subscribe = |params: &str| format!(r#"{{"cmd":"subscribe","params":{params}}}"#);
    let update = |params: &str| format!(r#"{{"cmd":"update_subscription","params":{params}}}"#);
    for (text, expected) in [
        ("[]".to_owned(), 1),
        (r#"{"id":-1,"cmd":"list_subscriptions"}"#.to_owned(), 1),
        (r#"{"id":"7","cmd":"list_subscriptions"}"#.to_owned(), 1),
        (subscribe("7"), 1),
        (subscribe(r#"{"channels":"ticker"}"#), 1),
        (subscribe(r#"{"channels":["ticker"],"market_ids":"A"}"#), 1),
        (subscribe(r#"{"channels":["ticker"],"skip_ticker_ack":"yes"}"#), 1),
        (r#"{"cmd":"subscribe"}"#.to_owned(), 2),
        (r#"{"cmd":"unsubscribe","params":null}"#.to_owned(), 2),
        (subscribe(r#"{"channels":[]}"#), 3),
        (r#"{"cmd":"unsubscribe","params":{"sids":[]}}"#.to_owned(), 4),
        (r#"{"params":{}}"#.to_owned(), 5),
        (subscribe(r#"{"channels":["ticker","ticker_v2"]}"#), 8),
        (subscribe(r#"{"channels":["ticker"],"market_ticker":"A","market_tickers":["B"]}"#), 11),
        (subscribe(r#"{"channels":["ticker"],"market_ticker":"A","market_id":"B"}"#), 11),
        (subscribe(r#"{"channels":["trade"],"market_ids":["A"]}"#), 11),
        (subscribe(r#"{"channels":["market_lifecycle_v2"],"market_ticker":"A"}"#), 11),
        (subscribe(r#"{"channels":["ticker"],"market_tickers":[]}"#), 11),
        (subscribe(r#"{"channels":["ticker","orderbook_delta"]}"#), 14),
        (update(r#"{"action":"add_markets","market_ticker":"A"}"#), 12),
        (update(r#"{"sid":1,"sids":[1],"action":"add_markets"}"#), 12),
        (update(r#"{"sids":[1,2],"action":"add_markets"}"#), 12),
        (update(r#"{"sid":1,"action":"dance","market_ticker":"A"}"#), 13),
        (update(r#"{"sid":1,"action":"add_markets"}"#), 14),
        (update(r#"{"sid":1,"market_ticker":"A"}"#), 15),
        (update(r#"{"sid":1,"action":"get_snapshot","market_ticker":"A"}"#), 11),
    ] {
        assert_eq!(code(&text), expected, "{text}");
    }
}

#[test]
fn what_is_right_is_understood() {
    let (id, command) = parse(
        r#"{"id":5,"cmd":"subscribe","params":{"channels":["ticker","ticker"],"market_ids":["A","B","A"],"use_yes_price":null}}"#,
    );
    let Ok(Command::Subscribe(subscribe)) = command else { panic!("{command:?}") };
    assert_eq!((id, subscribe.channels), (Some(5), vec![TICKERS]));
    assert_eq!(subscribe.names, Some(Names::Ids(vec!["A".to_owned(), "B".to_owned()])));
    assert_eq!(subscribe.use_yes_price, None);
    assert_eq!(parse(r#"{"id":0,"cmd":"list_subscriptions"}"#), (None, Ok(Command::List)));
}

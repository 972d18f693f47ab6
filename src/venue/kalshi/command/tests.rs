//! JSON of commands.
use super::*;

#[test]
fn commands_are_the_documented_json() {
    let tickers: Vec<TokenId> =
        ["A-1", "B-2.5"].iter().filter_map(|text| TokenId::new(text)).collect();
    let all = [
        subscribe(1, Channel::Books, &tickers),
        subscribe(2, Channel::Trades, &[]),
        update(3, 7, Update::Add, &tickers),
        update(4, 7, Update::Snapshot, &tickers[..1]),
        list(5),
    ];
    for text in &all {
        assert!(sonic_rs::from_str::<sonic_rs::Value>(text).is_ok(), "{text}");
    }
    assert_eq!(
        all[0],
        r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"skip_ticker_ack":true,"use_yes_price":false,"market_tickers":["A-1","B-2.5"]}}"#
    );
    assert_eq!(
        all[3],
        r#"{"id":4,"cmd":"update_subscription","params":{"sids":[7],"market_tickers":["A-1"],"action":"get_snapshot"}}"#
    );
    assert!(!all[1].contains("market_tickers") && !all[1].contains("use_yes_price"));
}

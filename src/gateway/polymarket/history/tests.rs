//! Batches, intervals and stored trades.
use super::*;
use crate::base::price::{Price, Quantity};
use crate::market::book::Side;

fn token(name: &str) -> TokenId {
    TokenId::new(name).unwrap()
}

fn memory() -> VecDeque<(TokenId, TradeUpdate)> {
    let trade = |second: u64, cents: u32| TradeUpdate {
        timestamp_ms: second * 1_000 + 7,
        price: Price(cents * 10_000),
        quantity: Quantity(1),
        side: Side::Bid,
        fee_rate_bps: None,
        id: None,
    };
    let trades = [(60, 40), (70, 41), (130, 42), (600, 43), (605, 44)];
    let mut all: VecDeque<_> = trades.map(|(s, cents)| (token("1"), trade(s, cents))).into();
    all.push_back((token("2"), trade(606, 45)));
    all
}

fn answered(query: &str, stored: PriceAnswer) -> Answer {
    match plan(token("1"), query, 4_000 * SECOND_NS) {
        Plan::Answer(answer) => answer,
        Plan::Prices { requests, by_token: false } => answer(&requests, false, stored, &memory()),
        other => panic!("{other:?}"),
    }
}

fn batch(body: &str, stored: PriceAnswer) -> Answer {
    match plan_batch(body.as_bytes(), 4_000 * SECOND_NS) {
        Plan::Answer(answer) => answer,
        Plan::Prices { requests, by_token: true } => answer(&requests, true, stored, &memory()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_has_the_points_of_each_token() {
    let none = || Ok(Vec::new());
    let ones = r#"[{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":605,"p":0.44}]"#;
    assert_eq!(
        batch(r#"{"markets":["2","1","2","3"]}"#, none()).body,
        format!(r#"{{"history":{{"2":[{{"t":606,"p":0.45}}],"1":{ones},"3":[]}}}}"#)
    );
    for (body, points) in [
        (r#"{"markets":["1"],"start_ts":70.5,"end_ts":200.9}"#, r#"[{"t":130,"p":0.42}]"#),
        (r#"{"markets":["1"],"interval":"1h","fidelity":60}"#, r#"[{"t":605,"p":0.44}]"#),
        (r#"{"markets":["1"],"interval":"max","end_ts":60,"x":1}"#, r#"[{"t":60,"p":0.4}]"#),
        (r#"{"markets":["1"],"interval":null,"start_ts":null,"fidelity":null}"#, ones),
    ] {
        assert_eq!(batch(body, none()).body, format!(r#"{{"history":{{"1":{points}}}}}"#));
    }
    let point = |second, cents: u32| PricePoint { second, price: Price(cents * 10_000) };
    let stored = vec![vec![point(5, 30)], vec![point(6, 31), point(606, 1)]];
    assert_eq!(
        batch(r#"{"markets":["1","2"],"end_ts":59}"#, Ok(stored)).body,
        r#"{"history":{"1":[{"t":5,"p":0.3}],"2":[{"t":6,"p":0.31}]}}"#
    );
    assert_eq!(batch(r#"{"markets":[]}"#, none()).body, r#"{"history":{}}"#);
    assert_eq!(batch(r#"{"markets":["1"]}"#, Err(HistoryError::TooLong)).status, 503);
}

#[test]
fn a_batch_that_cannot_be_read_is_refused() {
    let many = format!(r#"{{"markets":[{}"21"]}}"#, r#""1","#.repeat(TOKENS_MAX));
    for (body, text) in [
        ("", INVALID_PAYLOAD),
        ("[]", INVALID_PAYLOAD),
        (r#"{"markets":"1"}"#, INVALID_PAYLOAD),
        (r#"{"markets":["1"],"start_ts":"1"}"#, INVALID_PAYLOAD),
        (r#"{"markets":["1"],"end_ts":-1}"#, "start_ts and end_ts are Unix times in seconds"),
        (r#"{"markets":["1"],"interval":"1y"}"#, BAD_INTERVAL),
        (&many, PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(batch(body, Ok(Vec::new())), Answer::error(400, text), "{body}");
    }
}

#[test]
fn points_are_the_last_trades_of_their_intervals() {
    let answer = |query: &str| answered(query, Ok(Vec::new())).body;
    assert_eq!(
        answer(""),
        r#"{"history":[{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":605,"p":0.44}]}"#
    );
    assert_eq!(answer("fidelity=60"), r#"{"history":[{"t":605,"p":0.44}]}"#);
    assert_eq!(answer("startTs=71&endTs=200"), r#"{"history":[{"t":130,"p":0.42}]}"#);
    assert_eq!(answer("interval=1h"), r#"{"history":[{"t":605,"p":0.44}]}"#);
    assert_eq!(answer("interval=max&endTs=60"), r#"{"history":[{"t":60,"p":0.4}]}"#);
    for (query, fault) in [
        ("interval=1y", "interval is 1h, 6h, 1d, 1w, 1m, all or max"),
        ("startTs=x", "startTs is a Unix time in seconds"),
        ("startTs=1&endTs=-1", "endTs is a Unix time in seconds"),
        ("fidelity=", "fidelity is a number of minutes"),
    ] {
        assert_eq!(answered(query, Ok(Vec::new())), Answer::error(400, fault));
    }
}

#[test]
fn stored_trades_are_before_and_among_those_in_memory() {
    let point = |second, cents: u32| PricePoint { second, price: Price(cents * 10_000) };
    let stored = vec![point(5, 30), point(65, 40), point(300, 50)];
    assert_eq!(
        answered("", Ok(vec![stored.clone()])).body,
        r#"{"history":[{"t":5,"p":0.3},{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":300,"p":0.5},{"t":605,"p":0.44}]}"#
    );
    assert_eq!(
        answered("startTs=100&fidelity=5", Ok(vec![stored])).body,
        r#"{"history":[{"t":130,"p":0.42},{"t":300,"p":0.5},{"t":605,"p":0.44}]}"#
    );
    for (error, status) in [
        (HistoryError::Busy, 503),
        (HistoryError::TooLong, 503),
        (HistoryError::TooMuch, 400),
        (HistoryError::Failed, 503),
    ] {
        assert_eq!(answered("", Err(error)).status, status, "{error:?}");
    }
}

//! Requests of Kalshi's clients, and recorded objects given back.
use super::*;
use crate::gateway::catalog::tests::{of_kalshi, recorded};
use crate::gateway::rest::{Fetched, Known};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Market `i` of event `i / 10`.
fn event(i: usize) -> String {
    let market = |k: usize| {
        format!(
            r#"{{"ticker":"KXRAIN-{i}-{k}","event_ticker":"KXRAIN-{i}","status":"active","title":"Rain {i}.{k}?","yes_sub_title":"Above {k}","no_sub_title":"Above {k}","open_time":"2026-01-02T03:04:05Z","close_time":"2027-01-{:02}T00:00:00Z","created_time":"2026-01-01T00:00:00Z","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"0.0100"}}],"rules_primary":"{}"}}"#,
            1 + k,
            "long ".repeat(100)
        )
    };
    let markets: Vec<String> = (0..10).map(market).collect();
    format!(
        r#"{{"event_ticker":"KXRAIN-{i}","series_ticker":"KXRAIN","title":"Rain {i}","sub_title":"of \u00e9 {i}","mutually_exclusive":true,"markets":[{}]}}"#,
        markets.join(",")
    )
}

fn catalog(events: usize) -> Catalog {
    let all: Vec<String> = (1..=events).map(event).collect();
    of_kalshi(&[&format!(r#"{{"events":[{}],"cursor":""}}"#, all.join(","))])
}

fn get(path: &str, query: &str, catalog: &Catalog) -> (u16, Value) {
    let plan = plan(path, query, catalog).unwrap().unwrap_or_else(Plan::Answer);
    let level = |price, units| Some(Level { price: Price(price), quantity: Quantity(units) });
    let last = Some(Price(430_000));
    let tops = [Top { bid: level(400_000, 5_000_000), ask: level(410_000, 7_500_000), last }];
    let known = Known { catalog, trades: &VecDeque::new() };
    let answer = plan.answer(Fetched { tops: &tops, ..Fetched::default() }, known);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn tickers<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn a_market_has_every_required_key() {
    let catalog = catalog(2);
    let (_, one) = get("/markets/KXRAIN-2-3", "", &catalog);
    let market = &one["market"];
    for (key, value) in [
        ("ticker", json!("KXRAIN-2-3")),
        ("event_ticker", json!("KXRAIN-2")),
        ("status", json!("active")),
        ("yes_bid_dollars", json!("0.4000")),
        ("no_ask_dollars", json!("0.6000")),
        ("yes_ask_size_fp", json!("7.50")),
        ("last_price_dollars", json!("0.4300")),
        ("open_time", json!("2026-01-02T03:04:05.000Z")),
        ("created_time", json!("2026-01-01T00:00:00Z")),
        ("latest_expiration_time", json!("2027-01-04T00:00:00.000Z")),
        ("rules_primary", json!("")),
        ("yes_sub_title", json!("Above 3")),
        ("market_type", json!("binary")),
    ] {
        assert_eq!(market[key], value, "{key}");
    }
    assert_eq!(get("/markets/KXRAIN-9-9", "", &catalog).0, 404);
    let (_, second) = get("/markets", "tickers=KXRAIN-1-1,KXRAIN-1-2", &catalog);
    assert_eq!(second["markets"][1]["yes_bid_dollars"], "0.0000", "there is no live book");
    assert_eq!(second["markets"][1]["yes_ask_dollars"], "1.0000");
}

#[test]
fn markets_are_filtered_and_paged() {
    let catalog = catalog(30);
    let count = |query: &str| {
        let (status, page) = get("/markets", query, &catalog);
        assert_eq!(status, 200, "{query}");
        page["markets"].as_array().unwrap().len()
    };
    for (query, wanted) in [
        ("", MARKETS_DEFAULT),
        ("limit=1000", 300),
        ("status=open&limit=1000", 300),
        ("status=closed", 0),
        ("status=paused", 0),
        ("event_ticker=KXRAIN-4", 10),
        ("event_ticker=KXRAIN", 0),
        ("series_ticker=KXRAIN&limit=7", 7),
        ("tickers=KXRAIN-4-1,KXRAIN-5-1,NONE", 2),
        ("mve_filter=only", 0),
        ("mve_filter=exclude&limit=5", 5),
        ("max_close_ts=1798761600&limit=1000", 30),
    ] {
        assert_eq!(count(query), wanted, "{query}");
    }
    for (query, status) in
        [("limit=1001", 400), ("status=x", 400), ("cursor=?", 400), ("min_updated_ts=1", 501)]
    {
        assert_eq!(get("/markets", query, &catalog).0, status, "{query}");
    }
    let (mut cursor, mut seen) = (String::new(), std::collections::HashSet::new());
    loop {
        let (_, page) = get("/markets", &format!("limit=70&cursor={cursor}"), &catalog);
        seen.extend(tickers(&page["markets"], "ticker").into_iter().map(str::to_owned));
        cursor = page["cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 300);
}

#[test]
fn events_have_their_markets_if_asked() {
    let catalog = catalog(250);
    let (_, page) = get("/events", "", &catalog);
    assert_eq!(page["events"].as_array().unwrap().len(), EVENTS_MAX);
    let event = &page["events"][0];
    assert_eq!((&event["title"], &event["sub_title"]), (&json!("Rain 1"), &json!("of é 1")));
    assert_eq!((&event["mutually_exclusive"], event.get("markets")), (&json!(true), None));
    assert_eq!(event["settlement_sources"], json!([]));
    let (_, rest) =
        get("/events", &format!("cursor={}", page["cursor"].as_str().unwrap()), &catalog);
    assert_eq!((rest["events"].as_array().unwrap().len(), &rest["cursor"]), (50, &json!("")));
    let (mut cursor, mut seen) = (String::new(), 0);
    loop {
        let query = format!("with_nested_markets=true&status=open&cursor={cursor}");
        let (_, page) = get("/events", &query, &catalog);
        for event in page["events"].as_array().unwrap() {
            assert_eq!(event["markets"].as_array().unwrap().len(), 10);
            seen += 1;
        }
        cursor = page["cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 250);
    let (_, one) = get("/events/KXRAIN-7", "", &catalog);
    assert_eq!(tickers(&one["markets"], "event_ticker"), ["KXRAIN-7"; 10]);
    let (_, nested) = get("/events/KXRAIN-7", "with_nested_markets=true", &catalog);
    assert_eq!(nested["event"]["markets"].as_array().unwrap().len(), 10);
    assert_eq!(get("/events/KXSNOW-7", "", &catalog).0, 404);
    assert_eq!(get("/events", "status=settled", &catalog).1["events"], json!([]));
}

#[test]
fn recorded_objects_are_given_back_as_they_were() {
    let file = "kalshi/rest_events_nested_prod_2026-08-06_first3.json";
    let Some(text) = recorded(file) else { return };
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let catalog = of_kalshi(&[&text]);
    let (_, page) = get("/events", "with_nested_markets=true", &catalog);
    let computed =
        ["updated_time", "volume_fp", "volume_24h_fp", "open_interest_fp", "liquidity_dollars"];
    let mut compared = 0;
    for event in page["events"].as_array().unwrap() {
        let all = recorded["events"].as_array().unwrap();
        let theirs = all.iter().find(|one| one["event_ticker"] == event["event_ticker"]).unwrap();
        for (key, value) in event.as_object().unwrap() {
            // A list of many sources is not kept.
            let is_other = key == "markets" || *value == json!([]);
            assert!(is_other || theirs[key] == *value, "{key}: {value} {}", theirs[key]);
        }
        for market in event["markets"].as_array().unwrap() {
            let all = theirs["markets"].as_array().unwrap();
            let theirs = all.iter().find(|one| one["ticker"] == market["ticker"]).unwrap();
            for (key, value) in market.as_object().unwrap() {
                let is_price =
                    key.contains("_bid") || key.contains("_ask") || key.contains("price_d");
                let is_text_left_out = value == "" && key.starts_with("rules_");
                // The recording is older than that key.
                let is_time = key.ends_with("_time") || key == "settlement_bounds_type";
                let is_other =
                    computed.contains(&key.as_str()) || is_price || is_text_left_out || is_time;
                assert!(is_other || theirs[key] == *value, "{key}: {value} {}", theirs[key]);
                compared += usize::from(!is_other);
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

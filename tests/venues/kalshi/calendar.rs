//! The life of markets: by message, and by time alone.
use super::client::Client;
use super::model::Model;
use super::stream::follow;
use super::venue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[test]
fn markets_are_created_and_settled() {
    let venue = venue(|config| {
        config.markets = 150;
        config.births_per_minute = 3_000.0;
        config.deaths_per_minute = 3_000.0;
        config.rate = 200.0;
    });
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let mut model = Model::default();
    model.apply_all(&client.books(&tickers));
    let life = json!({"channels": ["market_lifecycle_v2"]});
    model.apply_all(&client.ask("subscribe", life));
    let opened: BTreeSet<String> = venue.tickers().into_iter().collect();
    venue.control("resume");
    let mut all = follow(&mut client, &mut model, Duration::from_millis(1_500));
    venue.control("pause");
    let rest = client.settle().0;
    model.apply_all(&rest);
    all.extend(rest);
    let events = |name: &'static str| {
        all.iter().filter(move |m| m["msg"]["event_type"] == name).map(|m| &m["msg"])
    };
    let (mut values, mut steps) = (BTreeSet::new(), BTreeSet::new());
    for msg in events("determined") {
        let ticker = msg["market_ticker"].as_str().unwrap();
        let worth = if msg["result"] == "yes" { "1.0000" } else { "0.0000" };
        assert_eq!(msg["settlement_value"], worth);
        values.insert(worth);
        let shown = &venue.rest(&format!("/markets/{ticker}"))["market"];
        assert_eq!((&shown["status"], &shown["result"]), (&json!("finalized"), &msg["result"]));
        assert_eq!(shown["settlement_value_dollars"], worth);
        if let Some(book) = model.books.get(ticker) {
            assert!(book.iter().all(BTreeMap::is_empty), "everything was taken away");
        }
    }
    assert_eq!(values.len(), 2, "some end this way, some that way");
    for msg in events("created") {
        let ticker = msg["market_ticker"].as_str().unwrap();
        assert!(!opened.contains(ticker));
        let shown = &venue.rest(&format!("/markets/{ticker}"))["market"];
        assert_eq!(msg["price_ranges"], shown["price_ranges"]);
        steps.insert(msg["price_ranges"][0]["step"].as_str().unwrap());
    }
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), ["0.0010", "0.0100"]);
    assert!(events("activated").count() < events("created").count(), "some open without a message");
    assert!(events("close_date_updated").all(|msg| msg["close_ts"].is_u64()));
    assert!(events("close_date_updated").count() > 5);
    let empty =
        |m: &&Value| m["type"] == "orderbook_snapshot" && m["msg"].as_object().unwrap().len() == 2;
    assert!(all.iter().filter(empty).count() > 10, "a snapshot with neither side at the end");
}

#[test]
fn markets_open_and_close_by_time_alone() {
    let venue = venue(|config| {
        config.markets = 40;
        config.births_per_minute = 120.0;
        config.deaths_per_minute = 120.0;
        config.rate = 100.0;
    });
    let mut client = Client::open(&venue);
    let mut model = Model::default();
    model.apply_all(&client.books(&venue.tickers()));
    client.ask("subscribe", json!({"channels": ["market_lifecycle_v2"]}));
    venue.control("resume");
    let mut all = follow(&mut client, &mut model, Duration::from_millis(7_000));
    venue.control("pause");
    all.extend(client.settle().0);
    let mut reported: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for msg in all.iter().filter(|m| m["type"] == "market_lifecycle_v2").map(|m| &m["msg"]) {
        let (ticker, event) = (&msg["market_ticker"], &msg["event_type"]);
        reported.entry(ticker.as_str().unwrap()).or_default().push(event.as_str().unwrap());
    }
    let of = |status: &str| {
        let answer = venue.rest(&format!("/markets?limit=1000&status={status}"));
        let markets = answer["markets"].as_array().unwrap().iter();
        markets.map(|m| m["ticker"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let closed = of("closed");
    assert!(!closed.is_empty());
    for ticker in &closed {
        assert_eq!(
            reported[ticker.as_str()].last(),
            Some(&"close_date_updated"),
            "no message since"
        );
        let book = model.books.get(ticker);
        assert!(book.is_none_or(|book| book.iter().all(BTreeMap::is_empty)), "{ticker}");
        assert_eq!(venue.rest(&format!("/markets/{ticker}"))["market"]["status"], "closed");
    }
    assert!(closed.iter().any(|ticker| model.books.contains_key(ticker)));
    let opened = of("open").into_iter().filter(|ticker| {
        reported.get(ticker.as_str()).is_some_and(|events| events == &["created"])
    });
    assert!(opened.count() > 0, "announced, and open without a message");
    assert!(!of("unopened").is_empty());
}

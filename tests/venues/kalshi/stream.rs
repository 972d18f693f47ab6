//! The stream: numbers, books, tickers and trades.
use super::client::{Client, kinds};
use super::model::{Model, fixed};
use super::venue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Applies what comes for so long.
pub(crate) fn follow(client: &mut Client, model: &mut Model, time: Duration) -> Vec<Value> {
    let (mut all, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < time {
        let message = client.next();
        model.apply(&message);
        all.push(message);
    }
    all
}

#[test]
fn books_tickers_and_trades_are_those_of_the_venue() {
    let venue = venue(|config| config.trades_per_10_000 = 1_000);
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let first = client.ask(
        "subscribe",
        json!({"channels": ["orderbook_delta", "ticker", "trade"], "market_tickers": tickers}),
    );
    let mut model = Model::default();
    model.apply_all(&first);
    assert_eq!(model.books.len(), 12);
    assert_eq!(model.counts["subscribed"], 3, "one for each channel");
    let subscribed = |m: &&Value| m["type"] == "subscribed";
    let named: Vec<String> = first.iter().filter(subscribed).map(Value::to_string).collect();
    assert!(named.iter().all(|text| text.contains(r#""id":1,"#) && !text.contains("seq")));
    venue.control("resume");
    let mut all = follow(&mut client, &mut model, Duration::from_millis(800));
    venue.control("pause");
    let (rest, list) = client.settle();
    model.apply_all(&rest);
    all.extend(rest);
    assert_eq!(
        list,
        json!([
            {"channel": "orderbook_delta", "sid": 1},
            {"channel": "ticker", "sid": 2},
            {"channel": "trade", "sid": 3}
        ])
    );
    model.check(&venue);
    assert!(model.counts["orderbook_delta"] > 500, "{:?}", model.counts);
    assert!(model.counts["tops"] > 100, "{:?}", model.counts);
    assert!(!model.seqs.contains_key(&2), "tickers have no numbers");
    let ids = all.iter().filter(|m| m["type"] == "trade").map(|m| m["msg"]["trade_id"].clone());
    let ids: Vec<Value> = ids.collect();
    assert!(ids.len() > 50, "{}", ids.len());
    assert_eq!(serde_json::from_str::<Vec<Value>>(&venue.asked("trades")).unwrap(), ids);
    let tickers: BTreeMap<&str, &Value> = (all.iter().filter(|m| m["type"] == "ticker"))
        .map(|m| (m["msg"]["market_ticker"].as_str().unwrap(), &m["msg"]))
        .collect();
    let traded = all.iter().rev().find(|m| m["type"] == "trade").unwrap();
    let last = tickers[traded["msg"]["market_ticker"].as_str().unwrap()];
    assert_eq!(last["price_dollars"], traded["msg"]["yes_price_dollars"]);
    for msg in all.iter().filter(|m| m["type"] == "trade").map(|m| &m["msg"]) {
        let prices = ["yes_price_dollars", "no_price_dollars"].map(|key| fixed(&msg[key], 4));
        assert_eq!(prices[0] + prices[1], 10_000, "{msg}");
        assert_eq!(msg["taker_side"], msg["taker_outcome_side"]);
        assert_eq!(msg["taker_book_side"] == "bid", msg["taker_side"] == "yes", "{msg}");
    }
    assert_eq!(last["last_trade_size_fp"], traded["msg"]["count_fp"]);
}

#[test]
fn more_markets_join_the_same_subscription() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let all = client.books(&[tickers[5].clone(), tickers[5].clone()]);
    assert_eq!(kinds(&all), ["subscribed", "orderbook_snapshot"], "a market that is named twice");
    assert_eq!(
        all[0],
        json!({"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}})
    );
    assert_eq!((&all[1]["sid"], &all[1]["seq"]), (&json!(1), &json!(1)));
    let all = client.books(&[tickers[9].clone(), tickers[5].clone(), tickers[9].clone()]);
    assert_eq!(kinds(&all), ["ok", "orderbook_snapshot"]);
    let mut listed = [tickers[5].clone(), tickers[9].clone()];
    listed.sort();
    let ok = json!({"type": "ok", "id": 3, "sid": 1, "seq": 2, "msg": {"market_tickers": listed}});
    assert_eq!(all[0], ok);
    assert_eq!(all[1]["seq"], 3);
    assert_eq!(all[1]["msg"]["market_ticker"], tickers[9].as_str());
    let again = client.books(&tickers[5..6]);
    assert_eq!(kinds(&again), ["ok"], "nothing is new");
    let params = json!({"sid": 1, "action": "add_markets", "market_ticker": tickers[0]});
    let added = client.ask("update_subscription", params);
    assert_eq!(kinds(&added), ["ok", "orderbook_snapshot"]);
    let params = json!({"sids": [1], "action": "delete_markets", "market_tickers": [tickers[5], tickers[9]]});
    let gone = client.ask("update_subscription", params);
    assert_eq!(kinds(&gone), ["ok"]);
    assert_eq!(gone[0]["msg"]["market_tickers"], json!([tickers[0]]));
    assert_eq!(gone[0]["seq"], 7);
    venue.control("resume");
    let reported = client.until(|m| m["type"] == "orderbook_delta" && m["seq"] == 60);
    assert!(reported.iter().all(|m| m["msg"]["market_ticker"] == tickers[0].as_str()));
}

#[test]
fn taking_markets_from_one_channel_leaves_the_others_alone() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let params = json!({"channels": ["orderbook_delta", "trade"], "market_tickers": tickers});
    let mut model = Model::default();
    model.apply_all(&client.ask("subscribe", params));
    let params = json!({"sid": 2, "action": "delete_markets", "market_tickers": tickers});
    let all = client.ask("update_subscription", params);
    assert_eq!(
        all,
        [json!({"type": "ok", "id": 3, "sid": 2, "seq": 1, "msg": {"market_tickers": []}})]
    );
    venue.control("resume");
    follow(&mut client, &mut model, Duration::from_millis(300));
    venue.control("pause");
    model.apply_all(&client.settle().0);
    model.check(&venue);
    assert!(model.counts["orderbook_delta"] > 100, "{:?}", model.counts);
    assert!(!model.counts.contains_key("trade"));
}

#[test]
fn a_subscription_that_is_over_is_not_known_any_more() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let params = json!({"channels": ["orderbook_delta", "trade"], "market_tickers": tickers});
    client.ask("subscribe", params);
    let all = client.ask("unsubscribe", json!({"sids": [2, 1]}));
    assert_eq!(
        all,
        [
            json!({"type": "unsubscribed", "id": 3, "sid": 2, "seq": 1}),
            json!({"type": "unsubscribed", "id": 3, "sid": 1, "seq": 13}),
        ]
    );
    assert_eq!(client.settle().1, json!([]));
    assert_eq!(client.code("unsubscribe", json!({"sids": [1]})), 7);
    venue.play(300);
    assert_eq!(client.settle().0, Vec::<Value>::new(), "nothing comes");
    let all = client.books(&tickers[..1]);
    assert_eq!((&all[0]["msg"]["sid"], &all[1]["seq"]), (&json!(3), &json!(1)), "it begins anew");
    client.ask("subscribe", json!({"channels": ["ticker"]}));
    let all = client.ask("unsubscribe", json!({"sids": [4, 4]}));
    assert_eq!(kinds(&all), ["unsubscribed"], "a number that is named twice");
    assert_eq!(all[0]["seq"], 1, "even where nothing else has a number");
    for (code, sid) in [(10, 3), (25, 5)] {
        assert_eq!(venue.fault(&format!("kind=error-{code}")), 1);
        let (received, list) = client.settle();
        assert_eq!((&received[0]["msg"]["code"], &received[0]["sid"]), (&json!(code), &json!(sid)));
        assert_eq!((received.len(), list), (1, json!([])), "it is over as well");
        assert_eq!(client.code("unsubscribe", json!({"sids": [sid]})), 7);
        client.books(&tickers[..1]);
    }
}

#[test]
fn every_market_has_an_id_of_its_own_and_a_grid() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let all = client.books(&tickers);
    let snapshots = all.iter().filter(|m| m["type"] == "orderbook_snapshot");
    let ids: BTreeSet<&str> =
        snapshots.clone().map(|m| m["msg"]["market_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 12);
    for message in snapshots {
        let msg = &message["msg"];
        let ticker = msg["market_ticker"].as_str().unwrap();
        let market = &venue.rest(&format!("/markets/{ticker}"))["market"];
        let step = fixed(&market["price_ranges"][0]["step"], 4);
        let fine = market["price_level_structure"] == "deci_cent";
        assert_eq!(step, if fine { 10 } else { 100 });
        let sides = ["yes_dollars_fp", "no_dollars_fp"].map(|key| msg[key].as_array().unwrap());
        let prices: Vec<i64> =
            sides.iter().flat_map(|side| side.iter().map(|level| fixed(&level[0], 4))).collect();
        assert!(prices.iter().all(|price| price % step == 0), "{ticker}: {prices:?}");
        assert!(!fine || prices.iter().any(|price| price % 100 != 0), "{ticker}: {prices:?}");
    }
}

//! Optional request parameters, and what the venue's documentation leaves open.
use super::client::{Client, kinds};
use super::model::{Model, fixed, levels};
use super::venue;
use ringbook::sim::kalshi::{YesLevels, YesPrice};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn asks_are_reported_on_the_scale_of_yes_if_asked_for() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let (mut no, mut yes) = (Client::open(&venue), Client::open(&venue));
    let mut models = [Model::default(), Model { yes_price: true, ..Model::default() }];
    let both = [(&mut no, false), (&mut yes, true)];
    let mut firsts = Vec::new();
    for ((client, flag), model) in both.into_iter().zip(&mut models) {
        let channels = ["orderbook_delta"];
        let params =
            json!({"channels": channels, "market_tickers": tickers, "use_yes_price": flag});
        let all = client.ask("subscribe", params);
        model.apply_all(&all);
        firsts.push(all);
    }
    for (plain, reported) in firsts[0].iter().zip(&firsts[1]).skip(1) {
        assert_eq!(plain["msg"]["yes_dollars_fp"], reported["msg"]["yes_dollars_fp"]);
        let flipped = levels(&reported["msg"]["no_dollars_fp"]).into_iter().rev();
        let flipped: Vec<(i64, i64)> =
            flipped.map(|(price, size)| (10_000 - price, size)).collect();
        assert_eq!(levels(&plain["msg"]["no_dollars_fp"]), flipped);
    }
    venue.play(500);
    let received = [no.settle().0, yes.settle().0];
    for (model, received) in models.iter_mut().zip(&received) {
        model.apply_all(received);
        model.check(&venue);
        assert!(model.counts["orderbook_delta"] > 100, "{:?}", model.counts);
    }
    let no_deltas = received[0].iter().zip(&received[1]).filter(|(m, _)| m["msg"]["side"] == "no");
    assert!(no_deltas.clone().count() > 30);
    for (plain, reported) in no_deltas {
        let price = |m: &Value| fixed(&m["msg"]["price_dollars"], 4);
        assert_eq!(price(plain) + price(reported), 10_000, "{plain} {reported}");
    }
    // What is asked for by snapshot is on the same scale.
    let params = json!({"sid": 1, "action": "get_snapshot", "market_tickers": tickers});
    models[1].apply_all(&yes.ask("update_subscription", params));
    models[1].check(&venue);
}

#[test]
fn the_scale_that_is_not_asked_for_and_the_order_of_its_levels_are_open() {
    let prices = |default: YesPrice, order: YesLevels, flag: Value| {
        let venue = venue(|config| {
            config.yes_price = default;
            config.yes_levels = order;
        });
        let ticker = venue.tickers().swap_remove(0);
        let mut client = Client::open(&venue);
        let channels = ["orderbook_delta"];
        let params = json!({"channels": channels, "market_ticker": ticker, "use_yes_price": flag});
        let received = client.ask("subscribe", params);
        let side = levels(&received[1]["msg"]["no_dollars_fp"]);
        side.into_iter().map(|(price, _)| price).collect::<Vec<_>>()
    };
    let up = YesLevels::Ascending;
    let plain = prices(YesPrice::Off, up, Value::Null);
    let down: Vec<i64> = plain.iter().map(|price| 10_000 - price).collect();
    let rising: Vec<i64> = down.iter().rev().copied().collect();
    assert_ne!(plain, rising);
    assert_eq!(prices(YesPrice::Off, up, json!(true)), rising);
    assert_eq!(prices(YesPrice::On, up, Value::Null), rising);
    assert_eq!(prices(YesPrice::On, up, json!(false)), plain);
    assert_eq!(prices(YesPrice::Always, up, json!(false)), rising);
    assert_eq!(prices(YesPrice::Off, YesLevels::Descending, json!(true)), down);
    assert_eq!(prices(YesPrice::Off, YesLevels::Descending, json!(false)), plain);
}

#[test]
fn tickers_come_at_once_if_asked_for() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let (some, more) = (&tickers[..2], &tickers[1..4]);
    let subscribe = |list: &[String], flag: bool| json!({"channels": ["ticker"], "market_tickers": list, "send_initial_snapshot": flag});
    let mut client = Client::open(&venue);
    let all = client.ask("subscribe", subscribe(some, true));
    assert_eq!(kinds(&all), ["subscribed", "ticker", "ticker"]);
    let shown = &venue.rest(&format!("/markets/{}", tickers[1]))["market"];
    let msg = &all[2]["msg"];
    assert_eq!(msg["market_ticker"], tickers[1].as_str());
    for key in ["yes_bid_dollars", "yes_ask_dollars", "yes_bid_size_fp", "yes_ask_size_fp"] {
        assert_eq!(msg[key], shown[key], "{key}");
    }
    let all = client.ask("subscribe", subscribe(more, true));
    assert_eq!(kinds(&all), ["ok", "ticker", "ticker"], "of those that are new");
    let params = json!({"sid": 1, "action": "add_markets", "market_ticker": tickers[7], "send_initial_snapshot": true});
    assert_eq!(kinds(&client.ask("update_subscription", params)), ["ok", "ticker"]);
    assert_eq!(kinds(&client.ask("subscribe", subscribe(&tickers[8..], false))), ["ok"]);
    let mut everything = Client::open(&venue);
    let params = json!({"channels": ["ticker"], "send_initial_snapshot": true});
    assert_eq!(kinds(&everything.ask("subscribe", params)), ["subscribed"], "not of all markets");
}

#[test]
fn tickers_can_be_asked_for_by_id() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let ids: Vec<Value> = client.books(&tickers)[1..=3]
        .iter()
        .map(|message| message["msg"]["market_id"].clone())
        .collect();
    let params = |more: Value| {
        let mut params = json!({"channels": ["ticker"], "send_initial_snapshot": true});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let all = client.ask("subscribe", params(json!({"market_id": ids[0]})));
    assert_eq!(kinds(&all), ["subscribed", "ticker"]);
    assert_eq!(all[1]["msg"]["market_ticker"], tickers[0].as_str());
    let all = client.ask("subscribe", params(json!({"market_ids": [ids[2], ids[0], ids[2]]})));
    assert_eq!(kinds(&all), ["ok", "ticker"]);
    assert_eq!(all[1]["msg"]["market_ticker"], tickers[2].as_str());
    let mut both = [ids[0].as_str().unwrap(), ids[2].as_str().unwrap()];
    both.sort_unstable();
    assert_eq!(all[0]["msg"], json!({"market_ids": both}));
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_eq!(client.code("subscribe", params(json!({"market_id": unknown}))), 11);
    let delete = json!({"sid": 2, "action": "delete_markets", "market_id": ids[0]});
    let all = client.ask("update_subscription", delete);
    assert_eq!(all[0]["msg"], json!({"market_ids": [ids[2]]}));
}

#[test]
fn a_snapshot_is_sent_again_without_following_the_market() {
    for (ok_first, id_on_first) in [(false, false), (true, false), (false, true)] {
        let venue = venue(|config| {
            config.snapshot_ok_first = ok_first;
            config.snapshot_id_on_first = id_on_first;
        });
        let tickers = venue.tickers();
        let mut client = Client::open(&venue);
        let mut model = Model::default();
        model.apply_all(&client.books(&tickers[..1]));
        let list = [&tickers[0], &tickers[4], &tickers[0]];
        let params = json!({"sids": [1], "action": "get_snapshot", "market_tickers": list});
        let all = client.ask("update_subscription", params);
        model.apply_all(&all);
        let skip = usize::from(ok_first);
        assert_eq!(all.len(), skip + 2, "{all:?}");
        assert!(all[..skip].iter().all(|m| m["type"] == "ok" && m["id"] == 3));
        let ids: Vec<&Value> = all[skip..].iter().map(|m| &m["id"]).collect();
        let second = if id_on_first { Value::Null } else { json!(3) };
        assert_eq!(ids, [&json!(3), &second]);
        model.check(&venue);
        // Nothing is reported of the market that was only looked at: a change would find no number in order.
        model.books.remove(&tickers[4]);
        venue.control("resume");
        let reported = client.until(|m| m["seq"].as_u64().is_some_and(|seq| seq >= 40));
        model.apply_all(&reported);
    }
}

#[test]
fn an_ok_lists_markets_or_not() {
    let ok = |lists: bool, empty: bool, skip: Value| {
        let venue = venue(|config| {
            config.ok_always_lists = lists;
            config.ok_empty_msg = empty;
        });
        let tickers = venue.tickers();
        let mut client = Client::open(&venue);
        let channels = ["orderbook_delta"];
        let params =
            json!({"channels": channels, "market_ticker": tickers[0], "skip_ticker_ack": skip});
        client.ask("subscribe", params);
        let all = client.books(&tickers[..1]);
        assert_eq!(kinds(&all), ["ok"]);
        (all[0].get("msg").cloned(), json!({"market_tickers": tickers[..1]}))
    };
    for (lists, empty) in [(false, false), (true, false), (false, true), (true, true)] {
        let (received, full) = ok(lists, empty, json!(false));
        assert_eq!(received, Some(full));
        let (received, full) = ok(lists, empty, json!(true));
        let expected = if lists { Some(full) } else { empty.then(|| json!({})) };
        assert_eq!(received, expected, "{lists} {empty}");
    }
}

#[test]
fn answers_may_be_late_and_in_another_order_and_stamped() {
    let venue = venue(|config| {
        config.ack_delay_ms = 150;
        config.shuffle_acks = true;
        config.sending_ts = true;
    });
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let begun = Instant::now();
    let sent: Vec<u64> = tickers
        .iter()
        .map(|ticker| {
            let params = json!({"channels": ["orderbook_delta"], "market_ticker": ticker});
            client.send("subscribe", params)
        })
        .collect();
    let (mut model, mut ids) = (Model::default(), Vec::new());
    while model.books.len() < tickers.len() {
        let message = client.next();
        assert!(message["sending_ts_ms"].is_u64(), "{message}");
        ids.extend(message["id"].as_u64());
        model.apply(&message);
    }
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_ne!(ids, sent, "in another order");
    ids.sort_unstable();
    assert_eq!(ids, sent);
    assert_eq!((model.counts["subscribed"], model.counts["ok"]), (1, 11));
}

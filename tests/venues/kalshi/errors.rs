//! What is refused, with which code; what is refused has changed nothing.
use super::client::{Client, kinds};
use super::model::Model;
use super::venue;
use ringbook::sim::kalshi::{CommandScope, KalshiConfig};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn malformed_commands_are_refused() {
    let venue = venue(|_| {});
    let mut client = Client::open(&venue);
    for (text, id, code) in [
        ("{", None, 1),
        ("[1,2]", None, 1),
        ("\"subscribe\"", None, 1),
        (r#"{"id":"5","cmd":"list_subscriptions"}"#, None, 1),
        (r#"{"id":-5,"cmd":"list_subscriptions"}"#, None, 1),
        (r#"{"id":1.5,"cmd":"list_subscriptions"}"#, None, 1),
        (r#"{"id":7,"cmd":7}"#, Some(7), 1),
        (r#"{"id":7,"cmd":"subscribe","params":[]}"#, Some(7), 1),
        (r#"{"id":7,"cmd":"subscribe"}"#, Some(7), 2),
        (r#"{"id":7,"cmd":"unsubscribe"}"#, Some(7), 2),
        (r#"{"id":7,"cmd":"update_subscription","params":null}"#, Some(7), 2),
        (r#"{"id":7,"cmd":"sing","params":{}}"#, Some(7), 5),
        (r#"{"id":7}"#, Some(7), 5),
        (r#"{"id":0,"cmd":"sing"}"#, None, 5),
    ] {
        client.send_text(text);
        let received = client.next();
        assert_eq!(received["type"], "error", "{text}");
        assert_eq!(received["msg"]["code"], code, "{text}");
        assert!(received["msg"]["msg"].as_str().is_some_and(|text| text.len() > 5), "{received}");
        assert_eq!(received.get("id").and_then(Value::as_u64), id, "{text}");
    }
    client.send_text(r#"{"id":0,"cmd":"list_subscriptions"}"#);
    assert_eq!(client.next(), json!({"type": "ok", "msg": []}), "an id of 0 is none");
}

#[test]
fn commands_that_cannot_be_carried_out_change_nothing() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let (a, b) = (&tickers[0], &tickers[1]);
    let books = ["orderbook_delta"];
    for (params, code) in [
        (json!({}), 3),
        (json!({"channels": []}), 3),
        (json!({"channels": null, "market_ticker": a}), 3),
        (json!({"channels": "orderbook_delta", "market_ticker": a}), 1),
        (json!({"channels": [1], "market_ticker": a}), 1),
        (json!({"channels": books, "market_ticker": [a]}), 1),
        (json!({"channels": books, "market_tickers": a}), 1),
        (json!({"channels": books, "market_tickers": [a, 7]}), 1),
        (json!({"channels": books, "market_ticker": a, "use_yes_price": 1}), 1),
        (json!({"channels": books, "market_ticker": a, "skip_ticker_ack": "no"}), 1),
        (json!({"channels": ["ticker"], "send_initial_snapshot": "yes"}), 1),
        (json!({"channels": ["ticker", "ticker_v2"]}), 8),
        (json!({"channels": ["market_lifecycle"]}), 8),
        (json!({"channels": ["multivariate"]}), 8),
        (json!({"channels": books}), 14),
        (json!({"channels": books, "market_tickers": []}), 14),
        (json!({"channels": ["ticker", "trade", "orderbook_delta"]}), 14),
        (json!({"channels": books, "market_ticker": a, "market_tickers": [b]}), 11),
        (json!({"channels": ["ticker"], "market_ticker": a, "market_id": "x"}), 11),
        (json!({"channels": books, "market_id": "x"}), 11),
        (json!({"channels": ["trade"], "market_ids": ["x"]}), 11),
        (json!({"channels": ["market_lifecycle_v2"], "market_ticker": a}), 11),
        (json!({"channels": ["ticker", "orderbook_delta"], "market_tickers": [a, "NO-SUCH"]}), 11),
    ] {
        assert_eq!(client.code("subscribe", params.clone()), code, "{params}");
    }
    assert_eq!(client.settle().1, json!([]), "nothing was subscribed to, not even in part");
    let params = json!({"channels": books, "market_tickers": [a, "NO-SUCH"]});
    let received = client.ask("subscribe", params);
    assert_eq!(received[0]["msg"]["market_ticker"], "NO-SUCH");
    let all = client.ask("subscribe", json!({"channels": ["ticker", "ticker"]}));
    assert_eq!(kinds(&all), ["subscribed"], "a channel that is named twice");
    assert_eq!(all[0]["msg"]["sid"], 1, "no number was used up");
    let combos = client.ask("subscribe", json!({"channels": ["multivariate_market_lifecycle"]}));
    assert_eq!(kinds(&combos), ["subscribed"]);
}

#[test]
fn updates_that_do_not_fit_change_nothing() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let (a, b) = (&tickers[0], &tickers[1]);
    let mut client = Client::open(&venue);
    client.books(&tickers[..1]);
    client.ask("subscribe", json!({"channels": ["market_lifecycle_v2", "trade", "ticker"]}));
    let update =
        |sid: u64, action: &str| json!({"sid": sid, "action": action, "market_tickers": [b]});
    for (params, code) in [
        (json!({"action": "add_markets", "market_ticker": a}), 12),
        (json!({"sid": 1, "sids": [1], "action": "add_markets", "market_ticker": a}), 12),
        (json!({"sids": [], "action": "add_markets", "market_ticker": a}), 12),
        (json!({"sids": [1, 2], "action": "add_markets", "market_ticker": a}), 12),
        (json!({"sid": "1", "action": "add_markets", "market_ticker": a}), 1),
        (json!({"sids": 1, "action": "add_markets", "market_ticker": a}), 1),
        (json!({"sid": 1, "market_ticker": a}), 15),
        (json!({"sid": 1, "action": 3, "market_ticker": a}), 1),
        (json!({"sid": 1, "action": "add_market", "market_ticker": a}), 13),
        (json!({"sid": 1, "action": "add_markets"}), 14),
        (json!({"sid": 1, "action": "add_markets", "market_tickers": []}), 14),
        (json!({"sid": 1, "action": "add_markets", "market_tickers": [b, "NO-SUCH"]}), 11),
        (json!({"sid": 1, "action": "add_markets", "market_id": "x"}), 11),
        (json!({"sid": 1, "action": "get_snapshot", "market_ticker": a}), 11),
        (json!({"sid": 1, "action": "get_snapshot"}), 14),
        (update(9, "add_markets"), 7),
        (update(2, "add_markets"), 11),
        (update(3, "delete_markets"), 11),
        (update(2, "get_snapshot"), 13),
        (update(3, "get_snapshot"), 13),
        (update(4, "get_snapshot"), 13),
    ] {
        assert_eq!(client.code("update_subscription", params.clone()), code, "{params}");
    }
    for (params, code) in [
        (json!({}), 4),
        (json!({"sids": []}), 4),
        (json!({"sids": ["1"]}), 1),
        (json!({"sids": [9]}), 7),
        (json!({"sids": [1, 9]}), 7),
    ] {
        assert_eq!(client.code("unsubscribe", params.clone()), code, "{params}");
    }
    assert_eq!(client.settle().1.as_array().unwrap().len(), 4, "all are still there");
    let all = client.books(&tickers[..1]);
    assert_eq!(all[0]["msg"]["market_tickers"], json!([a]));
    assert_eq!(all[0]["seq"], 2, "no number was used up");
}

#[test]
fn markets_of_a_subscription_and_of_a_session_are_limited() {
    let venue = venue(|config| {
        config.markets_per_subscription_max = 5;
        config.markets_per_session_max = 8;
    });
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let subscribe =
        |channels: Value, list: &[String]| json!({"channels": channels, "market_tickers": list});
    let books = json!(["orderbook_delta"]);
    assert_eq!(client.code("subscribe", subscribe(books.clone(), &tickers[..6])), 26);
    assert_eq!(
        client.code("subscribe", subscribe(json!(["trade", "orderbook_delta"]), &tickers[..5])),
        26
    );
    assert_eq!(client.settle().1, json!([]), "neither of two that do not fit together");
    client.books(&tickers[..5]);
    assert_eq!(client.code("subscribe", subscribe(books.clone(), &tickers[4..6])), 26);
    let params = json!({"sid": 1, "action": "add_markets", "market_ticker": tickers[5]});
    assert_eq!(client.code("update_subscription", params.clone()), 26);
    assert_eq!(kinds(&client.books(&tickers[..5])), ["ok"], "these are in it already");
    // Three are left of the session's eight.
    assert_eq!(client.code("subscribe", subscribe(json!(["ticker"]), &tickers[..4])), 26);
    let some = client.ask("subscribe", subscribe(json!(["ticker"]), &tickers[..3]));
    assert_eq!(kinds(&some), ["subscribed"]);
    let params = |action: &str| json!({"sid": 1, "action": action, "market_ticker": tickers[0]});
    client.ask("update_subscription", params("delete_markets"));
    assert_eq!(
        kinds(&client.ask("update_subscription", params("add_markets"))),
        ["ok", "orderbook_snapshot"]
    );
    let all = client.ask("subscribe", json!({"channels": ["trade"]}));
    assert_eq!(kinds(&all), ["subscribed"], "all markets count for none");
    let mut other = Client::open(&venue);
    assert_eq!(other.books(&tickers[..5]).len(), 6, "another session has its own");
}

/// How many of ten commands at once are refused, of one client or of two in turn.
fn refused(clients: &mut [Client], cmd: &str, params: &Value) -> u64 {
    let mut count = 0;
    for turn in 0..10 {
        let client = &mut clients[turn % 2];
        let id = client.send(cmd, params.clone());
        let received = client.until(|message| message["id"] == id).pop().unwrap();
        if received["type"] == "error" {
            assert_eq!(received["msg"]["code"], 27, "{received}");
            count += 1;
        }
    }
    count
}

#[test]
fn commands_of_a_connection_or_of_all_are_limited() {
    for (scope, expected) in [(CommandScope::Connection, 4), (CommandScope::User, 7)] {
        let venue = venue(|config| {
            config.commands_per_second_max = 3;
            config.commands_scope = scope;
        });
        let mut clients = [Client::open(&venue), Client::open(&venue)];
        let count = refused(&mut clients, "list_subscriptions", &json!({}));
        assert_eq!(count, expected, "{scope:?}");
        assert_eq!(venue.stat("/sent/errors_27"), expected);
        std::thread::sleep(Duration::from_millis(1_100));
        clients[0].settle();
    }
}

#[test]
fn commands_to_a_subscription_are_limited() {
    let venue = venue(|config| config.commands_per_second_of_subscription_max = 2);
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    client.books(&tickers[..1]);
    let params = json!({"sid": 1, "action": "get_snapshot", "market_tickers": [tickers[0]]});
    for _ in 0..2 {
        assert_eq!(
            kinds(&client.ask("update_subscription", params.clone())),
            ["orderbook_snapshot"]
        );
    }
    assert_eq!(client.code("update_subscription", params.clone()), 27);
    assert_eq!(client.code("unsubscribe", json!({"sids": [1]})), 27);
    let books = json!({"channels": ["orderbook_delta"], "market_ticker": tickers[1]});
    assert_eq!(client.code("subscribe", books), 27);
    let trades = client.ask("subscribe", json!({"channels": ["trade"]}));
    assert_eq!(kinds(&trades), ["subscribed"], "another subscription has its own");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(kinds(&client.ask("update_subscription", params)), ["orderbook_snapshot"]);
}

#[test]
fn a_client_that_does_not_read_loses_its_subscription_and_nothing_else() {
    let venue = venue(|config| {
        config.markets = 100;
        config.levels = 60;
        config.outbound_bytes_max = 2_000_000;
    });
    let tickers = venue.tickers();
    let (mut slow, mut quick) = (Client::open(&venue), Client::open(&venue));
    let mut models = [Model::default(), Model::default()];
    let books = slow.books(&tickers);
    models[0].apply_all(&books);
    models[1].apply_all(&quick.books(&tickers));
    slow.ask("subscribe", json!({"channels": ["trade"]}));
    // Far more than the buffers of both sockets take, without reading any of it.
    let bytes: usize = books.iter().map(|m| m.to_string().len()).sum();
    let params = json!({"sid": 1, "action": "get_snapshot", "market_tickers": tickers});
    for _ in 0..24_000_000 / bytes {
        slow.send("update_subscription", params.clone());
    }
    let all = slow.until(|m| m["type"] == "error" && m["msg"]["code"] == 25);
    let (last, before) = all.split_last().unwrap();
    assert_eq!(last["sid"], 1);
    assert!(last.get("id").is_none() && last["msg"]["msg"] == "Subscription buffer overflow");
    models[0].apply_all(before);
    assert!(before.len() > tickers.len(), "{}: it held for a while", before.len());
    let (rest, list) = slow.settle();
    assert_eq!(list, json!([{"channel": "trade", "sid": 2}]));
    assert!(rest.iter().all(|m| m["type"] == "error" && m["msg"]["code"] == 7), "{:?}", rest[0]);
    assert!(!rest.is_empty(), "commands to it that came later");
    assert_eq!(venue.stat("/sent/errors_25"), 1);
    // It can be asked for again, and the other client has noticed nothing.
    let mut again = Model::default();
    again.apply_all(&slow.books(&tickers));
    again.check(&venue);
    quick.settle();
    models[1].check(&venue);
}

#[test]
fn nothing_comes_behind_the_end_of_a_subscription() {
    let size = |m: &Value| m.to_string().len();
    let many = |config: &mut KalshiConfig| {
        config.markets = 80;
        config.levels = 60;
    };
    let roomy = venue(many);
    let all = Client::open(&roomy).books(&roomy.tickers());
    let snapshots = all.iter().filter(|m| m["type"] == "orderbook_snapshot");
    let big = snapshots.clone().max_by_key(|m| size(m)).unwrap();
    let small = snapshots.min_by_key(|m| size(m)).unwrap();
    // The same markets. There is room for what is sent before the books and for the small one, not for the big one.
    let most = size(small) + 190;
    assert!(size(big) > most, "{} {}", size(big), size(small));
    let narrow = venue(|config| {
        many(config);
        config.outbound_bytes_max = most;
    });
    let names = [big, small].map(|m| m["msg"]["market_ticker"].as_str().unwrap().to_owned());
    let mut client = Client::open(&narrow);
    let received = client.books(&names);
    assert_eq!(kinds(&received), ["subscribed", "error"], "{received:?}");
    assert_eq!(received[1]["msg"]["code"], 25);
    assert_eq!(kinds(&client.books(&names[1..])), ["subscribed", "orderbook_snapshot"]);
}

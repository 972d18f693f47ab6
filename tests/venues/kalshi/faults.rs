//! Faults on request: they happen where they were meant, and the rest stays whole.
use super::client::{Client, Place, TIMEOUT, kinds};
use super::model::Model;
use super::venue;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// A client of books, trades and tickers of all markets.
fn everything(place: &Place) -> Client {
    let mut client = Client::open(place);
    client.books(&place.tickers());
    let all = client.ask("subscribe", json!({"channels": ["trade", "ticker"]}));
    assert_eq!(kinds(&all), ["subscribed", "subscribed"]);
    client
}

/// Messages between two numbers that do not follow each other, by their numbers.
fn jumps(all: &[Value], sid: u64) -> Vec<(u64, u64)> {
    let of = all.iter().filter(|m| m["sid"] == sid).filter_map(|m| m["seq"].as_u64());
    let seqs: Vec<u64> = of.collect();
    seqs.windows(2).filter(|p| p[1] != p[0] + 1).map(|p| (p[0], p[1])).collect()
}

/// What is sent in a moment.
fn moment(place: &Place, client: &mut Client) -> Vec<Value> {
    place.play(500);
    client.settle().0
}

#[test]
fn messages_are_lost_and_doubled_on_the_channel_that_is_named() {
    let venue = venue(|config| config.trades_per_10_000 = 2_000);
    let mut client = everything(&venue);
    let mut log = moment(&venue, &mut client);
    assert_eq!((jumps(&log, 1), jumps(&log, 2)), (vec![], vec![]));
    let holes = |log: &[Value], sid: u64| -> u64 {
        let all = jumps(log, sid).into_iter().filter(|(from, to)| from < to);
        all.map(|(from, to)| to - from - 1).sum()
    };
    let doubled = |log: &[Value], sid| jumps(log, sid).iter().filter(|(a, b)| a == b).count();
    assert_eq!(venue.fault("kind=lost&count=2&channel=trade"), 2);
    assert_eq!(venue.fault("kind=doubled&count=3&channel=orderbook_delta"), 3);
    assert_eq!(venue.stat("/faults/lost"), 0, "not before its occasion");
    log.extend(moment(&venue, &mut client));
    assert_eq!((holes(&log, 1), holes(&log, 2)), (0, 2));
    assert_eq!((doubled(&log, 1), doubled(&log, 2)), (3, 0));
    assert_eq!((venue.stat("/faults/lost"), venue.stat("/faults/doubled")), (2, 3));
    // Where no channel is named, tickers are spared: their loss could not be seen.
    venue.fault("kind=lost&count=4");
    log.extend(moment(&venue, &mut client));
    assert_eq!(holes(&log, 1) + holes(&log, 2), 2 + 4);
    venue.fault("kind=doubled&count=5&channel=ticker");
    let more = moment(&venue, &mut client);
    let tickers: Vec<&Value> = more.iter().filter(|m| m["type"] == "ticker").collect();
    assert_eq!(tickers.windows(2).filter(|pair| pair[0] == pair[1]).count(), 5);
    log.extend(more);
    assert_eq!((doubled(&log, 1), doubled(&log, 2)), (3, 0));
}

#[test]
fn the_venue_ends_subscriptions_of_the_channel_that_is_named() {
    let venue = venue(|_| {});
    let mut client = everything(&venue);
    for (query, sid, code) in [
        ("kind=error-10&channel=trade", 2, 10),
        ("kind=error-25&channel=ticker", 3, 25),
        ("kind=error-10", 1, 10),
    ] {
        assert_eq!(venue.fault(query), 1);
        let (all, list) = client.settle();
        assert_eq!(all.len(), 1, "{query}");
        assert_eq!((&all[0]["sid"], &all[0]["msg"]["code"]), (&json!(sid), &json!(code)));
        assert!(list.as_array().unwrap().iter().all(|s| s["sid"] != sid), "{list}");
        assert_eq!(venue.fault(query), 0, "there is none any more");
    }
    assert!(moment(&venue, &mut client).is_empty());
}

#[test]
fn answers_are_lost_and_stalled_and_commands_refused() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    venue.fault("kind=lost-ack");
    let all = client.books(&tickers[..1]);
    assert_eq!(kinds(&all), ["orderbook_snapshot"], "it is subscribed, without an acknowledgement");
    venue.fault("kind=stall-ack&ms=400");
    let begun = Instant::now();
    let stalled = client.send("subscribe", json!({"channels": ["trade"]}));
    let (all, list) = client.settle();
    assert_eq!((all.len(), list.as_array().unwrap().len()), (0, 1), "later commands go on");
    let received = client.next();
    assert_eq!((&received["type"], &received["id"]), (&json!("subscribed"), &json!(stalled)));
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(venue.stat("/faults/stall-ack"), 1);
    for code in [18, 27] {
        venue.fault(&format!("kind=error-{code}&count=1"));
        let params = json!({"channels": ["ticker"]});
        assert_eq!(client.code("subscribe", params), code);
    }
    assert_eq!(client.settle().1.as_array().unwrap().len(), 2);
}

#[test]
fn injected_unknown_messages_change_nothing() {
    let venue = venue(|_| {});
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let mut model = Model::default();
    model.apply_all(&client.books(&tickers));
    for kind in ["unknown", "unknown-type"] {
        assert_eq!(venue.fault(&format!("kind={kind}&channel=orderbook_delta")), 1);
        let (all, _) = client.settle();
        assert_eq!(kinds(&all), ["weather_report"]);
        assert_eq!(venue.stat(&format!("/faults/{kind}")), 1);
    }
    assert_eq!(venue.fault("kind=garbage&channel=trade"), 0, "no subscriber");
    assert_eq!(venue.fault("kind=garbage"), 1);
    let text = client.text();
    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
    venue.fault("kind=unknown-fields&count=5&channel=orderbook_delta");
    let all = moment(&venue, &mut client);
    let unrecognized = |m: &&Value| m.get("weather").is_some() && m["msg"].get("wind").is_some();
    assert_eq!(all.iter().filter(unrecognized).count(), 5);
    assert!(all[..5].iter().all(|m| unrecognized(&m)));
    model.apply_all(&all);
    model.check(&venue);
}

#[test]
fn connections_are_cut_frozen_and_left_half_open() {
    let venue = venue(|config| config.ping_ms = 100);
    let mut clients: Vec<Client> = (0..3).map(|_| everything(&venue)).collect();
    assert_eq!(venue.fault("kind=freeze&count=9"), 3);
    venue.control("resume");
    let (mut pings, begun) = (0, Instant::now());
    while pings < 3 {
        assert!(begun.elapsed() < TIMEOUT);
        match clients[0].poll().unwrap() {
            Some(Message::Ping(_)) => pings += 1,
            Some(other) => panic!("{other}"),
            None => {}
        }
    }
    assert_eq!(venue.fault("kind=cut&count=2&channel=trade"), 2);
    assert_eq!(venue.stat("/clients"), 1);
    let begun = Instant::now();
    while clients.len() > 1 {
        assert!(begun.elapsed() < TIMEOUT, "two connections were cut");
        clients.retain_mut(|client| {
            let message = client.poll();
            assert!(!matches!(message, Ok(Some(Message::Text(_)))));
            message.is_ok()
        });
    }
    venue.control("pause");
    let mut last = everything(&venue);
    assert_eq!(venue.fault("kind=half-open&count=9"), 2);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        assert!(last.poll().unwrap().is_none(), "not even a ping");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let venue = venue(|_| {});
    let status = |method: &str, path: &str| venue.request(method, path, &[]).status;
    for query in [
        "",
        "kind=nothing",
        "kind=lost&channel=weather",
        "kind=lost&count=x",
        "kind=stall-ack&ms=x",
    ] {
        assert_eq!(status("POST", &format!("/sim/fault?{query}")), 400, "{query}");
    }
    assert_eq!(status("GET", "/sim/fault?kind=lost"), 405);
    assert_eq!(status("GET", "/sim/pause"), 405);
    assert_eq!(status("POST", "/sim/stats"), 405);
    assert_eq!(status("POST", "/sim/nothing"), 404);
    assert_eq!(status("GET", "/sim/book?ticker=NO-SUCH"), 404);
}

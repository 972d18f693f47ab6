//! Births and resolutions of markets in a recorded day: clients of each protocol get them at their recorded times.
//!
//! Runs on:  test threads, with a gateway as a process.
use crate::gateway::open;
use crate::replayed::Replayed;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tungstenite::Message;

const BEGIN_NS: u64 = 1_796_011_435_000_000_000;

fn at_ns(ms: u64) -> u64 {
    BEGIN_NS + ms * 1_000_000
}

/// A recording of frames as (milliseconds since its beginning, connection, frame).
fn write(folder: &Path, name: &str, frames: &[(u64, u64, Value)]) -> PathBuf {
    let path = folder.join(name);
    let line = |(place, (ms, connection, frame)): (usize, &(u64, u64, Value))| {
        let at_ns = at_ns(*ms);
        format!("{{\"t\":{at_ns},\"c\":{connection},\"s\":{place},\"k\":\"t\",\"f\":{frame}}}\n")
    };
    std::fs::write(&path, frames.iter().enumerate().map(line).collect::<String>()).unwrap();
    path
}

/// All messages of a client, single ones, until the gateway closes with 1000.
fn messages(address: SocketAddr, path: &str, first: &Value) -> Vec<Value> {
    let mut socket = open(address, format!("ws://{address}{path}"));
    socket.send(Message::text(first.to_string())).unwrap();
    let mut messages = Vec::new();
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                Value::Array(all) => messages.extend(all),
                message => messages.push(message),
            },
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000, "{messages:?}");
                return messages;
            }
            _ => {}
        }
    }
}

/// `from=` and `to=` of a range of milliseconds.
fn range(from_ms: u64, to_ms: u64) -> String {
    format!("?speed=max&from={}&to={}", at_ns(from_ms), at_ns(to_ms))
}

#[test]
fn clients_of_polymarket_get_the_markets_of_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let level = |price: &str| json!({"price": price, "size": "5"});
    let book = |market: &str, token: &str| {
        json!({"market": market, "asset_id": token, "timestamp": "1", "hash": "", "event_type": "book",
               "bids": [level("0.40")], "asks": [level("0.60")]})
    };
    let born = |market: &str, tokens: [&str; 2]| {
        json!({"id": "5", "question": "Rain?", "market": market, "slug": "rain", "assets_ids": tokens,
               "outcomes": ["Yes", "No"], "timestamp": "1", "event_type": "new_market"})
    };
    let resolved = |market: &str, winner: &str| {
        json!({"market": market, "winning_asset_id": winner, "timestamp": "1",
               "event_type": "market_resolved"})
    };
    let frames = [
        (0, 1, book("0xa1", "71")),
        (10, 1, book("0xa1", "72")),
        (20, 1, born("0xb2", ["81", "82"])),
        (1_000, 1, born("0xc3", ["91", "92"])),
        // Each connection has it.
        (1_005, 2, born("0xc3", ["91", "92"])),
        (1_010, 1, book("0xc3", "91")),
        (2_000, 1, resolved("0xc3", "92")),
        (2_005, 2, resolved("0xc3", "92")),
        (2_010, 1, resolved("0xa1", "71")),
        (2_020, 1, resolved("0xdd", "99")),
        (3_000, 1, born("0xe5", ["61", "62"])),
    ];
    let path = write(folder.path(), "polymarket.ndjson", &frames);
    let gateway = Replayed::start(&path, &["--venue", "polymarket"]);
    let subscribe = |custom: bool| json!({"type": "market", "assets_ids": ["71", "91"], "custom_feature_enabled": custom});
    let of_market = |custom: bool| {
        let path = format!("/ws/market{}", range(500, 3_000));
        let mut messages = messages(gateway.address, &path, &subscribe(custom));
        let is_of_market = |message: &Value| {
            ["new_market", "market_resolved"].contains(&message["event_type"].as_str().unwrap())
        };
        messages.retain(is_of_market);
        messages
    };
    let shown = |message: &Value| {
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let at_ms = (text("timestamp").parse::<u64>().unwrap() * 1_000_000 - BEGIN_NS) / 1_000_000;
        [text("event_type"), text("market"), text("winning_asset_id"), at_ms.to_string()].join(" ")
    };
    let events = of_market(true);
    let expected =
        ["new_market 0xc3  1000", "market_resolved 0xc3 92 2000", "market_resolved 0xa1 71 2010"];
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(events[0]["outcomes"], json!(["Yes", "No"]));
    assert_eq!(events[1]["winning_outcome"], "No");
    assert_eq!(of_market(false), [Value::Null; 0]);
    stream_has(gateway.address);
    gateway.stop();
}

/// The same events over `/v1/stream`, with every stage.
fn stream_has(address: SocketAddr) {
    // Beside books, and alone.
    for (kinds, tokens) in [("market,change", &["71"][..]), ("market", &[])] {
        let path = format!("/v1/stream{}&kinds={kinds}", range(500, 3_000));
        let messages = messages(address, &path, &json!({"subscribe": tokens}));
        let of_markets = messages.iter().filter(|message| message["kind"] == "market");
        let shown = of_markets.map(|message| {
            let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            let at_ms = (message["receive_time"].as_u64().unwrap() - BEGIN_NS) / 1_000_000;
            format!("{} {} {} {at_ms}", text("market"), text("stage"), text("winner"))
        });
        let expected = [
            "0xc3 new  1000",
            "0xc3 opened  1000",
            "0xc3 ended  2000",
            "0xc3 resolved 92 2000",
            "0xa1 ended  2010",
            "0xa1 resolved 71 2010",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{kinds}");
    }
}

#[test]
fn clients_of_kalshi_get_the_markets_of_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = BEGIN_NS / 1_000_000_000;
    let begun = |sid: u64, channel: &str| json!({"type": "subscribed", "id": sid, "msg": {"channel": channel, "sid": sid}});
    let snapshot = json!({"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": {
        "market_ticker": "KXA-1", "market_id": "a544d0d6-1e75-513a-93a8-e0b28dfb0961",
        "yes_dollars_fp": [["0.4000", "2.00"]], "no_dollars_fp": [["0.5000", "7.00"]]}});
    let mut seq = 0;
    let mut life = |ticker: &str, event: &str, more: Value| {
        seq += 1;
        let mut body = json!({"market_ticker": ticker, "event_type": event});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        json!({"type": "market_lifecycle_v2", "sid": 2, "seq": seq, "msg": body})
    };
    let created = json!({"open_ts": seconds + 2, "close_ts": seconds + 100,
        "additional_metadata": {"title": "Rain?"}});
    let frames = [
        (0, 1, begun(1, "orderbook_delta")),
        (1, 1, begun(2, "market_lifecycle_v2")),
        (2, 1, snapshot),
        (3, 1, life("KXOLD-1", "created", created.clone())),
        (1_000, 1, life("KXB-1", "created", created)),
        (2_000, 1, life("KXB-1", "activated", json!({}))),
        (2_500, 1, life("KXB-1", "deactivated", json!({}))),
        (
            3_000,
            1,
            life("KXB-1", "determined", json!({"result": "no", "settlement_value": "0.0000"})),
        ),
        (3_500, 1, life("KXB-1", "settled", json!({}))),
        (
            3_600,
            1,
            life("KXA-1", "determined", json!({"result": "yes", "settlement_value": "1.0000"})),
        ),
        (9_000, 1, life("KXA-1", "settled", json!({}))),
    ];
    let path = write(folder.path(), "kalshi.ndjson", &frames);
    let gateway = Replayed::start(&path, &["--venue", "kalshi"]);
    let subscribe =
        json!({"id": 1, "cmd": "subscribe", "params": {"channels": ["market_lifecycle_v2"]}});
    let path = format!("/trade-api/ws/v2{}", range(500, 9_000));
    let messages = messages(gateway.address, &path, &subscribe);
    let lives: Vec<&Value> =
        messages.iter().filter(|message| message["type"] == "market_lifecycle_v2").collect();
    let shown = |message: &&Value| {
        let body = &message["msg"];
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let at_s = body["determination_ts"].as_u64().map_or(0, |at_s| at_s - seconds);
        let (ticker, event, result) = (text("market_ticker"), text("event_type"), text("result"));
        format!("{} {ticker} {event} {result} {at_s}", message["seq"])
    };
    let expected = [
        "1 KXB-1 created  0",
        "2 KXB-1 activated  0",
        "3 KXB-1 determined no 3",
        "4 KXA-1 determined yes 3",
    ];
    assert_eq!(lives.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(lives[0]["msg"]["open_ts"], seconds + 2);
    gateway.stop();
}

//! Markets of Protocol V2 together with those of V1, and catalogs of which a part cannot be followed.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::books::agree;
use crate::engine::{Engine, count, sum};
use crate::program::TIMEOUT;
use crate::venue::Venue;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

#[test]
fn markets_of_both_versions_are_followed_by_their_own_ids() {
    let mut venue =
        Venue::start(&["--markets", "60", "--rate", "300", "--levels", "8", "--v2-share", "60"]);
    let mut engine = Engine::start(&venue, &["--verify-hash", "all"]);
    let tokens = venue.tokens();
    assert_eq!(tokens.len(), 120);
    engine.wait_live(120);
    // Hashes of V1 are right, and those of V2, which are made otherwise here, get no verdict.
    let judged = |stats: &Value| {
        count(stats, "/correctness/checks/hashes_unverifiable") > 50
            && count(stats, "/correctness/checks/hashes_matched") > 50
    };
    engine.wait_for("hashes of both kinds", TIMEOUT, judged);
    venue.pause();
    let verdict = agree(&mut engine, &mut venue, &tokens);
    assert_eq!(verdict.equal, 120, "{verdict:?}");
    let stats = engine.stats();
    for zero in ["unknown_instruments", "decode_errors", "unknown_keys"] {
        assert_eq!(sum(&stats, zero), 0, "{zero}: {stats:#}");
    }
    for zero in ["checks/hashes_mismatched", "repairs/answers_broken"] {
        assert_eq!(count(&stats, &format!("/correctness/{zero}")), 0, "{zero}: {stats:#}");
    }
    assert_eq!(stats["lifecycle"]["skipped"], json!([]), "{stats:#}");
    assert_eq!(venue.stat("violations"), 0);
    engine.program.assert_clean();
}

#[test]
fn markets_named_by_condition_and_position_are_found() {
    let mut venue = Venue::start(&["--markets", "40", "--rate", "50", "--v2-share", "80"]);
    let markets = venue.markets();
    let short = markets.iter().find(|market| market.condition.len() == 64).unwrap();
    // As the stream shows it, where the catalog shows 31 bytes.
    let long = format!("{}00", short.condition);
    let other = markets.iter().find(|market| market.condition.len() == 66).unwrap();
    let flags = ["--no-discovery", "--market", &long, "--token", &other.tokens[1]];
    let mut engine = Engine::start(&venue, &flags);
    engine.wait_live(4);
    for token in short.tokens.iter().chain(&other.tokens) {
        assert_eq!(engine.book(token).status, 200, "{token}");
    }
}

/// A catalog of one page that answers every request; the rest of the venue is not there.
fn catalog(markets: &[Value]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = json!({ "markets": markets }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let body = body.clone();
            std::thread::spawn(move || answer(&stream, &body));
        }
    });
    url
}

fn answer(stream: &TcpStream, body: &str) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            if (&*stream).write_all((head + body).as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn market(number: u32, version: &str) -> Value {
    json!({
        "id": number.to_string(), "slug": format!("market-{number}"), "question": "?", "version": version,
        "conditionId": format!("0x{number:062x}01"), "outcomes": "[\"Yes\",\"No\"]",
        "clobTokenIds": format!("[\"{0}1\",\"{0}2\"]", 7_000_000 + number), "active": true, "closed": false,
        "enableOrderBook": true, "acceptingOrders": true,
    })
}

/// `/health` and `/stats` of an engine that has read a catalog of 100 markets, of which some have an unknown version.
fn health_with(unknown: u32) -> (u16, Value, Value, String) {
    let version = |number| if number < unknown { "v3" } else { "v1" };
    let markets: Vec<Value> = (0..100).map(|number| market(number, version(number))).collect();
    let url = catalog(&markets);
    let flags = ["--gamma-url", &url, "--clob-url", &url, "--ws-url", "ws://127.0.0.1:9"];
    let mut engine = Engine::with_flags(&flags.map(str::to_owned));
    engine.wait_for("a scan", TIMEOUT, |stats| count(stats, "/lifecycle/scans_completed") > 0);
    let (status, health) = engine.health();
    let metrics = engine.get("/metrics").text().to_owned();
    (status, health, engine.stats(), metrics)
}

#[test]
fn markets_that_cannot_be_followed_are_counted_and_reported() {
    let line = |list: &Value| {
        let lines = list.as_array().unwrap().iter().filter_map(Value::as_str);
        lines.filter(|line| line.contains("in the catalog of")).collect::<Vec<_>>().join("; ")
    };
    let (_, health, stats, _) = health_with(1);
    assert_eq!(
        (line(&health["notices"]), line(&health["reasons"])),
        (String::new(), String::new())
    );
    assert_eq!(count(&stats, "/registry/markets"), 99);
    assert_eq!(stats["lifecycle"]["skipped"][0]["reason"], "unknown_version", "{stats:#}");

    let (_, health, stats, metrics) = health_with(5);
    let notice = line(&health["notices"]);
    assert!(notice.starts_with("5 of 100 open markets in the catalog of polymarket"), "{health}");
    assert!(notice.contains("unknown_version 5") && line(&health["reasons"]).is_empty());
    assert_eq!(stats["lifecycle"]["skipped"][0]["markets"], 5);
    let metric =
        "discovery_skipped{venue=\"polymarket\",reason=\"unknown_version\",by_rule=\"false\"} 5";
    assert!(metrics.contains(metric), "{metrics}");

    let (status, health, ..) = health_with(10);
    assert_eq!(status, 503, "{health}");
    assert!(line(&health["reasons"]).starts_with("10 of 100 open markets"), "{health}");
}

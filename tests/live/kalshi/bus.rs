//! Kalshi over a bus: one engine has the venue, a second one the clients.
//!
//! Runs on:  test threads, with venue and engines as processes; the broker on threads of this process.
use super::gateway::Follower;
use super::{KEYS, Kalshi, wait_live};
use crate::bus::mock;
use crate::engine::Engine;
use crate::program::TIMEOUT;
use rustix::process::Signal;
use serde_json::json;

const MARKETS: u64 = 10;

#[test]
fn clients_of_an_engine_that_reads_a_bus_have_kalshis_books() {
    let (_cluster, url) = mock();
    let mut venue = Kalshi::start(&["--markets", &MARKETS.to_string(), "--rate", "100"]);
    let flags = ["--kalshi-connections", "1,1,1,2", "--bus", &url, "--bus-snapshot-seconds", "2"];
    let mut first = venue.engine(&flags);
    wait_live(&mut first, MARKETS);
    let key = format!("any={KEYS}/rsa-public.pem");
    let flags = ["--venue", "kalshi", "--source", "bus", "--bus", &url, "--gateway", "127.0.0.1:0"];
    let flags = [&flags[..], &["--gateway-verify", &key]].concat();
    let mut second = Engine::with_flags(&flags.iter().map(|&f| f.to_owned()).collect::<Vec<_>>());
    let line = second.program.wait_for_line("gateway: kalshi for its clients at ");
    let address = line.split("clients at ").nth(1).unwrap().split(',').next().unwrap();
    let live = |stats: &serde_json::Value| stats["venues"][0]["books_live"] == MARKETS;
    second.wait_for("live books", TIMEOUT, live);
    let tickers: Vec<String> = venue.truth().into_iter().map(|book| book.0).collect();
    let mut follower = Follower::connect(address.parse().unwrap(), "");
    let params = json!({"channels": ["orderbook_delta", "trade"], "market_tickers": tickers});
    follower.send(&json!({"id": 1, "cmd": "subscribe", "params": params}));
    follower.read_until("changes and trades", |me| {
        me.count("orderbook_delta") > 100 && me.count("trade") > 0
    });
    venue.ask("POST", "/sim/pause");
    let truth = venue.truth();
    follower.read_until("equal books", |me| truth.iter().all(|book| me.has(book)));
    second.program.signal(Signal::INT);
    assert!(second.program.wait(TIMEOUT).success(), "{}", second.program);
}

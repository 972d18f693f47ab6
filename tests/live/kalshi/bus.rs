//! Kalshi over a bus: one engine has the venue, a second one the clients.
//!
//! Runs on:  test threads, with venue and engines as processes; the broker on threads of this process.
use super::gateway::Follower;
use super::{KEYS, Kalshi, count, sum, wait_live};
use crate::bus::mock;
use crate::engine::Engine;
use crate::program::TIMEOUT;
use rustix::process::Signal;
use serde_json::{Value, json};

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

/// Two members have no more connections than their account may have, while one joins and leaves, too.
#[test]
fn members_of_a_cluster_share_the_connections_of_an_account() {
    let mut venue = Kalshi::start(&["--markets", "60", "--kalshi-connections-max", "12"]);
    let (broker, url) = mock();
    broker.create_topic("live.slices", 256, 1).unwrap();
    let add = |venue: &Kalshi, name: &str| {
        let bus = url.replace("engine=one", &format!("engine={name}"));
        let cluster = ["--kalshi-connections", "1,1,1,9", "--bus", &bus, "--cluster", "fleet"];
        venue.engine(&cluster)
    };
    let wait = |engine: &mut Engine, members: u64, share: u64| {
        engine.wait_for(&format!("a share of {members} members"), TIMEOUT, |stats: &Value| {
            let figures = ["/cluster/members", "/cluster/connections_share"];
            figures.map(|figure| count(stats, figure)) == [members, share]
                && count(stats, "/pool/connections_active") == share
                && count(stats, "/registry/tokens_pending") == 0
                && sum(stats, "books") == sum(stats, "books_live")
        });
    };
    let mut first = add(&venue, "first");
    wait(&mut first, 1, 6);
    wait_live(&mut first, 60);
    let mut second = add(&venue, "second");
    wait(&mut second, 2, 4);
    wait(&mut first, 2, 4);
    let notice = "first has 4 of the 12 connections of the account; 2 members share them";
    assert!(first.health().1.to_string().contains(notice), "{}", first.health().1);
    let begun = std::time::Instant::now();
    loop {
        let live = [&mut first, &mut second].map(|engine| sum(&engine.stats(), "books_live"));
        if live.iter().sum::<u64>() == 60 && !live.contains(&0) {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "{live:?}");
    }
    assert_eq!(venue.stat("/clients"), 8);
    second.program.signal(Signal::TERM);
    assert!(second.program.wait(TIMEOUT).success(), "{}", second.program);
    wait(&mut first, 1, 6);
    wait_live(&mut first, 60);
    assert_eq!(venue.stat("/faults/connections-max"), 0, "none was refused");
    venue.ask("POST", "/sim/pause");
    let truth: Vec<String> = venue.truth().into_iter().map(|book| book.0).collect();
    assert!(truth.iter().all(|ticker| first.book(ticker).status == 200));
}

//! Both venues through a broker that is a program of its own, killed half-way and started again.
//!
//! Runs on:  test threads, with two venues, one engine and the broker as processes.
use super::both::of_both;
use super::{Kalshi, wait_live};
use crate::engine::{Engine, count, sum};
use crate::program::{POLL_INTERVAL, Program, TIMEOUT, unused_address};
use crate::venue::Venue;
use ringbook::{BusEvent, BusReader, BusState, Level, TokenId};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// The broker is away for so long.
const AWAY: Duration = Duration::from_secs(15);

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

/// `RINGBOOK_TEST_BROKER`: the program `tansu`; `RINGBOOK_TEST_STORAGE`: where it keeps its records.
fn broker(address: SocketAddr) -> Program {
    let mut command = Command::new(std::env::var("RINGBOOK_TEST_BROKER").unwrap());
    let storage = std::env::var("RINGBOOK_TEST_STORAGE");
    let url = format!("tcp://{address}");
    command.args(["broker", "--listener-url", &url, "--advertised-listener-url", &url]);
    command.args(["--storage-engine", storage.as_deref().unwrap_or("memory://tansu/")]);
    let program = Program::start(command);
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < TIMEOUT, "the broker does not start: {program}");
        std::thread::sleep(POLL_INTERVAL);
    }
    program
}

struct Run {
    kalshi: Kalshi,
    polymarket: Venue,
    engine: Engine,
    reader: BusReader,
    ids: HashSet<String>,
    twice: u64,
    lost: u64,
    /// Kalshi's trades when the broker was killed and when it was back.
    marks: Vec<usize>,
}

impl Run {
    fn kalshi_trades(&mut self) -> Vec<String> {
        serde_json::from_str(&self.kalshi.ask("GET", "/sim/trades")).unwrap()
    }

    /// Places of Kalshi's trades that were not read.
    fn missing(&mut self) -> Vec<usize> {
        let all = self.kalshi_trades();
        (0..all.len()).filter(|&place| !self.ids.contains(&all[place])).collect()
    }

    fn read(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            match self.reader.poll(Duration::from_millis(10)).unwrap() {
                Some(BusEvent::Trade(trade)) => {
                    let is_new = self.ids.insert(trade.id.unwrap().to_string());
                    self.twice += u64::from(!is_new);
                }
                Some(BusEvent::Lost { trades, .. }) => self.lost += trades,
                _ => {}
            }
        }
    }

    fn wait(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            if begun.elapsed() > 2 * TIMEOUT {
                let (stats, counts) = (self.engine.stats(), self.reader.counts());
                let (read, lost, shards) = (self.ids.len(), self.lost, sum(&stats, "trades"));
                let line = format!("{read} trades read, {lost} lost, {shards} at the shards");
                let missing = self.missing();
                eprintln!("{:?}; not read: {missing:?}", self.marks);
                let (bus, rings) = (&stats["bus"], &stats["gateway"]);
                panic!("no {what}: {line}, {rings}; {counts:?}\n{bus:#}\n{}", self.engine.program);
            }
            self.read(Duration::from_millis(500));
        }
    }

    fn sent(&mut self) -> u64 {
        self.polymarket.stat("trades") + self.kalshi.trades().len() as u64
    }

    fn live(&self) -> usize {
        self.reader.books().filter(|(_, book)| book.state == BusState::Live).count()
    }

    /// Books of the reader that are not the venues', which stand still.
    fn wrong(&mut self) -> Vec<String> {
        let digits = |level: Level, price: u32, quantity: u64| {
            let Level { price: at, quantity: of } = level;
            (u64::from(at.0 / price), of.0 / quantity)
        };
        let mut wrong = Vec::new();
        for (ticker, bids, asks) in self.kalshi.truth() {
            let book = self.reader.book(&TokenId::new(&ticker).unwrap());
            let is_equal = book.is_some_and(|book| {
                let sides = [&book.book.bids, &book.book.asks];
                let [mut mine_bids, mut mine_asks] =
                    sides.map(|s| s.levels().map(|l| digits(l, 100, 10_000)).collect::<Vec<_>>());
                let (mut bids, mut asks) = (bids.clone(), asks.clone());
                for side in [&mut mine_bids, &mut mine_asks, &mut bids, &mut asks] {
                    side.sort_unstable();
                }
                book.state == BusState::Live && mine_bids == bids && mine_asks == asks
            });
            if !is_equal {
                wrong.push(ticker);
            }
        }
        for token in self.polymarket.tokens() {
            let truth = self.polymarket.truth(&token).unwrap();
            let book = self.reader.book(&TokenId::new(&token).unwrap());
            if !book.is_some_and(|book| crate::cluster_reader::is_equal(book, &truth)) {
                wrong.push(token);
            }
        }
        wrong
    }
}

/// `RINGBOOK_TEST_SECONDS`, 60, and `RINGBOOK_TEST_RATE`, 500 events a second of each venue.
#[test]
#[ignore = "a minute or more, and a broker: RINGBOOK_TEST_BROKER"]
fn books_and_trades_come_through_a_broker_that_is_killed() {
    let seconds = setting("RINGBOOK_TEST_SECONDS", 60);
    let rate = setting("RINGBOOK_TEST_RATE", 500).to_string();
    let markets = setting("RINGBOOK_TEST_MARKETS", 200);
    let flags = ["--markets", &markets.to_string(), "--rate", &rate, "--trades", "1000"];
    let (mut kalshi, mut polymarket) = (Kalshi::start(&flags), Venue::start(&flags));
    kalshi.ask("POST", "/sim/pause");
    polymarket.pause();
    let address = unused_address();
    let mut first = broker(address);
    let journal = kalshi.file("journal").display().to_string();
    let url = format!("kafka://{address}/ten?engine=one&partitions=3&journal={journal}");
    let more = ["--kalshi-connections", "1,2,1,4", "--shards", "1", "--bus", &url];
    let mut engine = Engine::with_flags(&of_both("polymarket,kalshi", &kalshi, &polymarket, &more));
    wait_live(&mut engine, 3 * markets);
    let begun = Instant::now();
    let reader = loop {
        match BusReader::connect(&url, true) {
            Ok(reader) => break reader,
            Err(error) => assert!(begun.elapsed() < TIMEOUT, "{error}"),
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let (ids, twice, lost) = (HashSet::new(), 0, 0);
    let marks = Vec::new();
    let mut run = Run { kalshi, polymarket, engine, reader, ids, twice, lost, marks };
    run.wait("live books", |run| run.live() as u64 == 3 * markets);
    let before = run.sent();
    run.kalshi.ask("POST", "/sim/resume");
    run.polymarket.control("resume");
    run.read(Duration::from_secs(seconds / 2));
    // What the broker had taken and the reader not read yet goes with the broker, unless it keeps its records.
    first.signal(Signal::KILL);
    first.wait(TIMEOUT);
    let unread = run.sent() - before - run.ids.len() as u64;
    let mark = run.kalshi_trades().len();
    run.marks.push(mark);
    eprintln!("{unread} trades unread at the kill");
    run.read(AWAY);
    let mark = run.kalshi_trades().len();
    run.marks.push(mark);
    let second = broker(address);
    let begun = Instant::now();
    let read = run.ids.len();
    run.wait("trades after the broker's return", |run| run.ids.len() > read);
    eprintln!("the first trades {:?} after the broker", begun.elapsed());
    run.read(Duration::from_secs(seconds / 2));
    run.kalshi.ask("POST", "/sim/pause");
    run.polymarket.pause();
    let begun = Instant::now();
    run.wait("equal books", |run| run.wrong().is_empty());
    eprintln!("all books equal {:?} after the venues stood still", begun.elapsed());
    let sent = run.sent() - before;
    run.wait("all trades", |run| run.ids.len() as u64 + run.lost + unread >= sent);
    let stats: Value = run.engine.stats();
    let (read, lost) = (run.ids.len() as u64, run.lost);
    eprintln!(
        "{sent} trades sent, {read} read, {lost} reported as lost, {unread} unread at the kill; {:?}\n{:#}",
        run.reader.counts(),
        stats["bus"]
    );
    assert_eq!(run.twice, 0);
    assert_eq!(count(&stats, "/gateway/ring_losses"), 0);
    drop(second);
}

//! Kalshi: the real `ringbook` against a simulated Kalshi over TLS, with signatures that are verified.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
mod both;
#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod bus;
mod faults;
mod gateway;
mod names;
mod replayed;

use crate::engine::{Engine, count, sum};
use crate::http::Client;
use crate::program::{Program, TIMEOUT};
use crate::venue::{Simulator, Venue};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");

/// A `venue-sim --venue kalshi` process and everything that may be asked of it.
pub(crate) struct Kalshi {
    process: Simulator,
    rest: String,
    ws: String,
    client: Client,
}

impl Kalshi {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let public = format!("{KEYS}/rsa-public.pem");
        let mut all = vec!["--venue", "kalshi", "--key-id", "the-key", "--public-key", &public];
        if !flags.contains(&"--births-per-minute") {
            all.extend(["--births-per-minute", "0", "--resolutions-per-minute", "0"]);
        }
        all.extend(flags);
        let process = Simulator::start(&all);
        let (rest, ws) = (process.printed("rest "), process.printed("ws "));
        let client = process.client(rest.strip_suffix("/trade-api/v2").unwrap());
        let key = process.file("key.pem");
        std::fs::copy(Path::new(KEYS).join("rsa-pkcs1.pem"), &key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { process, rest, ws, client }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.process.file(name)
    }

    /// A database for trades: its file, and the value of `--trades`.
    fn database(&self) -> (PathBuf, String) {
        let path = self.file("trades.db");
        let flag = format!("sqlite:{}", path.display());
        (path, flag)
    }

    fn flags(&self, more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.file(name).to_str().unwrap().to_owned();
        let (ca, key) = (path("ca.pem"), path("key.pem"));
        let flags = [
            "--venue",
            "kalshi",
            "--kalshi-rest-url",
            &self.rest,
            "--kalshi-ws-url",
            &self.ws,
            "--kalshi-key-id",
            "the-key",
            "--kalshi-key",
            &key,
            "--tls-ca",
            &ca,
        ];
        flags.iter().chain(more).map(|&flag| flag.to_owned()).collect()
    }

    pub(crate) fn engine(&self, more: &[&str]) -> Engine {
        Engine::with_flags(&self.flags(more))
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str) -> String {
        let response = self.client.request(method, path).unwrap();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.text().to_owned()
    }

    fn fault(&mut self, kind: &str, count: u64, channel: Option<&str>) -> u64 {
        let channel = channel.map_or(String::new(), |channel| format!("&channel={channel}"));
        let path = format!("/sim/fault?kind={kind}&count={count}{channel}");
        let answer: Value = serde_json::from_str(&self.ask("POST", &path)).unwrap();
        answer["done"].as_u64().unwrap()
    }

    fn stat(&mut self, pointer: &str) -> u64 {
        let stats: Value = serde_json::from_str(&self.ask("GET", "/sim/stats")).unwrap();
        stats.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The trades so far, by their ids; every one another.
    fn trades(&mut self) -> HashSet<String> {
        let list: Vec<String> = serde_json::from_str(&self.ask("GET", "/sim/trades")).unwrap();
        let all: HashSet<String> = list.iter().cloned().collect();
        assert_eq!(all.len(), list.len());
        all
    }

    /// Every open book of the venue, at rest, in terms of YES: ticker, bids and asks as 1/10,000 dollar and
    /// 1/100 contract.
    pub(crate) fn truth(&mut self) -> Vec<(String, Levels, Levels)> {
        let text = self.ask("GET", "/sim/books");
        let books = text.lines().map(|line| {
            let book: Value = serde_json::from_str(line).unwrap();
            let side = |name: &str| -> Levels {
                let levels = book[name].as_array().unwrap().iter();
                levels.map(|level| (fixed(&level[0], 4), fixed(&level[1], 2))).collect()
            };
            let asks = side("no").into_iter().map(|(price, size)| (10_000 - price, size)).collect();
            (book["ticker"].as_str().unwrap().to_owned(), side("yes"), asks)
        });
        books.collect()
    }
}

pub(crate) type Levels = Vec<(u64, u64)>;

/// A decimal in a text, in units of so many digits behind the point; exact or a panic.
fn fixed(value: &Value, digits: usize) -> u64 {
    let text = value.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= digits, "{text}");
    format!("{whole}{fraction:0<digits$}").parse().unwrap()
}

/// Waits until so many books are there and live, and none is pending.
fn wait_live(engine: &mut Engine, books: u64) {
    engine.wait_for(&format!("{books} live books"), TIMEOUT, move |stats| {
        sum(stats, "books_live") == books
            && sum(stats, "books") == books
            && count(stats, "/registry/tokens_pending") == 0
    });
}

/// Waits until the engine has every trade of a venue that stands still.
fn wait_trades(venue: &mut Kalshi, engine: &mut Engine) {
    let made = venue.trades().len() as u64;
    // The shards' own figures come with their next reports.
    engine.wait_for("every trade", TIMEOUT, |stats| {
        count(stats, "/trades/inserted") >= made && sum(stats, "trades") >= made
    });
}

/// Stops the venue and compares every book, level by level; then lets it go on.
fn compare(venue: &mut Kalshi, engine: &mut Engine) -> usize {
    venue.ask("POST", "/sim/pause");
    let books = compare_at_rest(venue, engine);
    venue.ask("POST", "/sim/resume");
    books
}

/// Compares every book with a venue that is paused, level by level.
fn compare_at_rest(venue: &mut Kalshi, engine: &mut Engine) -> usize {
    let truth = venue.truth();
    let begun = Instant::now();
    let mut wrong = Vec::new();
    // What was sent before the pause may still be on its way.
    while begun.elapsed() < TIMEOUT {
        wrong = truth.iter().filter(|book| !equal(engine, book)).map(|b| b.0.clone()).collect();
        if wrong.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(wrong, Vec::<String>::new(), "{:#}\n{}", engine.stats()["pool"], engine.program);
    truth.len()
}

fn equal(engine: &mut Engine, (ticker, bids, asks): &(String, Levels, Levels)) -> bool {
    let response = engine.book(ticker);
    if response.status != 200 || response.header("x-ringbook-state") != Some("live") {
        return false;
    }
    let book = response.json();
    let side = |name: &str| -> Levels {
        let levels = book[name].as_array().unwrap().iter();
        levels.map(|level| (fixed(&level["price"], 4), fixed(&level["size"], 2))).collect()
    };
    side("bids") == *bids && side("asks") == *asks
}

/// The ids of the trades in a database, in the order of their rows.
fn stored(path: &Path) -> Vec<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    let mut rows = database.prepare("SELECT id FROM trades WHERE venue = 'kalshi'").unwrap();
    let ids = rows.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

/// What YES is asked for is what NO is paid.
fn assert_no_side(venue: &mut Kalshi, engine: &mut Engine) {
    let (ticker, _, asks) = venue.truth().swap_remove(7);
    let no = engine.book(&format!("{ticker}&outcome=no")).json();
    let bids = no["bids"].as_array().unwrap().iter();
    let bids: Levels = bids.map(|l| (fixed(&l["price"], 4), fixed(&l["size"], 2))).collect();
    assert_eq!(bids, asks.iter().map(|(p, s)| (10_000 - p, *s)).collect::<Levels>());
}

/// The 16 connections of the fixed table have the first numbers, and names by their task.
fn assert_table(stats: &Value) {
    let names: Vec<&str> = stats["pool"]["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|connection| connection["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names[0], names[2], names[6], names[15]),
        ("ticker-1", "trade-1", "orderbook-1", "orderbook-10")
    );
    let ids = stats["pool"]["connections"].as_array().unwrap().iter();
    let ids: Vec<u64> = ids.map(|connection| count(connection, "/id")).collect();
    assert_eq!(ids, (1..=16).collect::<Vec<_>>());
}

#[test]
fn every_kalshi_book_is_right_and_every_trade_is_stored_once() {
    let flags = ["--markets", "150", "--rate", "600", "--trades", "500", "--paused"];
    let mut venue = Kalshi::start(&flags);
    let (database, trades) = venue.database();
    let mut engine = venue.engine(&[
        "--kalshi-connections",
        "2,2,2,10",
        "--shards",
        "2",
        "--trades",
        &trades,
        "--audit",
        "5",
        "--kalshi-rest-poll",
        "3",
    ]);
    wait_live(&mut engine, 150);
    venue.ask("POST", "/sim/resume");
    let proven = |stats: &Value, times: u64| {
        count(stats, "/correctness/checks/tops_matched") > times
            && count(stats, "/correctness/repairs/audits_matched") > times
            && count(stats, "/correctness/repairs/polls_matched") > times
            && sum(stats, "trades") > times
    };
    engine.wait_for("proofs", TIMEOUT, |stats| proven(stats, 100));
    assert_eq!(compare(&mut venue, &mut engine), 150);
    engine.wait_for("more proofs", TIMEOUT, |stats| proven(stats, 160));
    venue.ask("POST", "/sim/pause");
    wait_trades(&mut venue, &mut engine);
    assert_no_side(&mut venue, &mut engine);
    let made = venue.trades();
    let stats = engine.stats();
    // The venue's own best prices, and its snapshots of live books, at their places of the stream.
    assert!(count(&stats, "/correctness/checks/tops_matched") > 100, "{stats:#}");
    assert_eq!(count(&stats, "/correctness/checks/tops_mismatched"), 0);
    assert!(count(&stats, "/correctness/repairs/audits_matched") > 100, "{stats:#}");
    assert_eq!(count(&stats, "/correctness/repairs/audits_mismatched"), 0);
    // Catalog and books are one service, the stream another.
    let services = stats["services"].as_array().unwrap();
    let named = |place: usize| services[place]["service"].as_str().unwrap();
    assert_eq!((services.len(), named(0), named(1)), (2, "kalshi-rest", "kalshi-ws"));
    assert_eq!(services[0]["health"]["state"], "up");
    assert!(count(&services[0], "/requests") > 3 && count(&services[0], "/failed") == 0);
    assert_eq!(count(&services[1], "/occupation/in_use"), 16);
    // The REST interface as a second opinion, signed.
    let polls = |name: &str| count(&stats, &format!("/correctness/repairs/polls_{name}"));
    assert!(polls("matched") > 100, "{stats:#}");
    assert_eq!(polls("different"), 0, "{stats:#}");
    assert_eq!(count(&stats, "/pool/subscriptions/sequence_holes"), 0);
    assert!(made.len() > 50, "{}", made.len());
    assert_eq!(
        sum(&stats, "trades"),
        made.len() as u64,
        "each is reported once, by two connections"
    );
    assert_table(&stats);
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    let rows = stored(&database);
    assert_eq!(rows.len(), made.len());
    assert_eq!(rows.into_iter().collect::<HashSet<_>>(), made);
    engine.program.assert_clean();
    let lines = engine.program.stderr().join("\n") + &engine.program.stdout().join("\n");
    assert!(!lines.contains("BEGIN") && !lines.contains("MII"), "the key is never shown");
}

#[test]
fn a_kalshi_market_is_followed_by_its_token() {
    let mut kalshi = Kalshi::start(&["--markets", "20", "--rate", "200"]);
    let ticker = kalshi.truth().swap_remove(5).0;
    let more = ["--no-discovery", "--token", &ticker, "--kalshi-connections", "0,0,1,1"];
    let mut engine = kalshi.engine(&more);
    wait_live(&mut engine, 1);
    assert_eq!(engine.book(&ticker).status, 200);
    let wrong = Program::ringbook().args(["run"]).args(kalshi.flags(&["--token", "123"])).output();
    let wrong = wrong.unwrap();
    let line = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{line}");
    assert!(line.contains("--token 123: this is no token id (a ticker in capitals)"), "{line}");
}

#[test]
fn a_capture_of_kalshi_replays_to_equal_books() {
    let flags = ["--markets", "60", "--rate", "300", "--trades", "300"];
    let mut venue = Kalshi::start(&flags);
    let folder = venue.file("capture");
    let shown = folder.to_str().unwrap();
    let (database, trades) = venue.database();
    let more = ["--kalshi-connections", "1,2,1,3", "--shards", "2", "--capture", shown];
    let more: Vec<&str> = more.into_iter().chain(["--trades", &trades]).collect();
    // Trades are made from the start: some come before the book of their market opens.
    let mut engine = venue.engine(&more);
    wait_live(&mut engine, 60);
    for (kind, channel, effect) in [
        ("lost", None, "/pool/subscriptions/sequence_missing"),
        ("error-10", None, "/pool/subscriptions/resubscribes"),
        ("cut", Some("orderbook_delta"), "/pool/reconnects"),
        ("doubled", None, "/pool/subscriptions/sequence_duplicates"),
    ] {
        let before = count(&engine.stats(), effect);
        assert_eq!(venue.fault(kind, 1, channel), 1);
        engine.wait_for(kind, TIMEOUT, |stats| count(stats, effect) > before);
        wait_live(&mut engine, 60);
    }
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    for shards in ["1", "3"] {
        let mut command = Program::ringbook();
        command.args(["replay", "--venue", "kalshi", "--json", "--shards", shards]).arg(&folder);
        let mut replay = Program::start(command);
        // A proof that fails is exit code 1.
        assert!(replay.wait(TIMEOUT).success(), "{replay}");
        let report: Value = serde_json::from_str(&replay.stdout().join("\n")).unwrap();
        assert!(count(&report, "/capture/checkpoints_equal") > 60, "{report:#}");
        assert_eq!(count(&report, "/capture/checkpoints_different"), 0);
        assert_eq!(count(&report, "/sequence_missing"), 1);
        assert_eq!(count(&report, "/sequence_duplicates"), 1);
        assert_eq!(count(&report, "/trades"), stored(&database).len() as u64, "{report:#}");
    }
}

#[test]
fn plots_of_a_recorded_kalshi_have_the_values_of_its_export() {
    let mut venue = Kalshi::start(&["--markets", "4", "--rate", "300", "--trades", "400"]);
    let (scratch, capture) = (venue.file("."), venue.file("capture"));
    let mut engine = venue.engine(&["--shards", "2", "--capture", capture.to_str().unwrap()]);
    wait_live(&mut engine, 4);
    let before = count(&engine.stats(), "/pool/reconnects");
    assert_eq!(venue.fault("cut", 1, Some("orderbook_delta")), 1);
    engine.wait_for("cut", TIMEOUT, |stats| count(stats, "/pool/reconnects") > before);
    wait_live(&mut engine, 4);
    engine.wait_for("trades", TIMEOUT, |stats| {
        sum(stats, "trades") > 100 && sum(stats, "updates") > 3_000
    });
    venue.ask("POST", "/sim/pause");
    let tickers: Vec<String> = venue.truth().into_iter().map(|book| book.0).collect();
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success(), "{}", engine.program);
    for ticker in &tickers {
        crate::plots::check_market(&capture, ticker, &scratch);
    }
    crate::plots::check_day(&capture, &scratch);
}

#[test]
fn trades_of_other_kalshi_markets_are_not_stored() {
    let mut venue = Kalshi::start(&["--markets", "10", "--rate", "100", "--trades", "1000"]);
    let ticker = venue.truth().swap_remove(3).0;
    let (database, trades) = venue.database();
    let more = ["--kalshi-connections", "1,2,1,1", "--trades", &trades];
    let one = ["--market", &ticker, "--no-discovery", "--shards", "2"];
    let mut engine = venue.engine(&more.into_iter().chain(one).collect::<Vec<_>>());
    engine.wait_for("trades of all markets", TIMEOUT, |stats| {
        sum(stats, "trades") > 5 && sum(stats, "trades_without_book") > 50
    });
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    let database = rusqlite::Connection::open(&database).unwrap();
    let markets = "SELECT group_concat(DISTINCT market) FROM trades";
    let stored: String = database.query_row(markets, [], |row| row.get(0)).unwrap();
    assert_eq!(stored, ticker);
}

#[test]
fn kalshi_keys_that_do_not_fit_are_one_line() {
    let venue = Kalshi::start(&["--markets", "5"]);
    let run = |change: &dyn Fn(&mut Vec<String>)| {
        let mut flags = venue.flags(&["--duration", "3", "--kalshi-connections", "0,0,0,1"]);
        change(&mut flags);
        let mut command = Program::ringbook();
        command.arg("run").args(&flags);
        let mut program = Program::start(command);
        let status = program.wait(TIMEOUT);
        program.assert_clean();
        (status.code(), program.stderr())
    };
    let place = |flags: &[String], name: &str| flags.iter().position(|flag| flag == name).unwrap();
    let (code, lines) =
        run(&|flags| flags.retain(|flag| flag != "--kalshi-key-id" && flag != "the-key"));
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
    assert!(lines[0].contains("--kalshi-key-id and --kalshi-key"), "{lines:?}");
    let (code, lines) = run(&|flags| {
        let at = place(flags, "--kalshi-key") + 1;
        flags[at] = format!("{KEYS}/rsa-public.pem");
    });
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
    assert!(lines[0].contains("chmod 600") || lines[0].contains("no private key"), "{lines:?}");
    let open = venue.file("open.pem");
    std::fs::copy(venue.file("key.pem"), &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, lines) = run(&|flags| {
        let at = place(flags, "--kalshi-key") + 1;
        flags[at] = open.to_str().unwrap().to_owned();
    });
    assert_eq!(code, Some(2), "{lines:?}");
    assert!(lines[0].contains("chmod 600"), "{lines:?}");
    let (_, lines) = run(&|flags| {
        let at = place(flags, "--kalshi-key-id") + 1;
        flags[at] = "another".into();
    });
    let printed =
        lines.iter().find(|line| line.contains(" 401")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(printed.contains("--kalshi-key"), "with the remedy: {printed}");
}

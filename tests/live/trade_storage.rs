//! Trades in the database: every one, once, also when the database is away or the process is killed.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{Engine, count};
use crate::program::TIMEOUT;
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MARKETS: &str = "100";
const TOKENS: usize = 200;

struct Stage {
    folder: TempDir,
    venue: Venue,
    engine: Engine,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let venue =
            Venue::start(&["--paused", "--markets", MARKETS, "--rate", "2000", "--burst", "0"]);
        let engine = start(&venue, folder.path());
        Self { folder, venue, engine }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("trades.db")
    }

    fn rows(&self) -> u64 {
        rows(&self.database(), "SELECT count(*) FROM trades")
    }

    /// Lets the venue make so many trades, and waits until all of it has arrived and is reported so.
    fn trade(&mut self, count_of_trades: u64) -> u64 {
        let enough = self.venue.stat("trades") + count_of_trades;
        self.venue.control("resume");
        self.venue.wait_for("trades", |venue| venue.stat("trades") >= enough);
        self.venue.pause();
        let reported = self.venue.stat("trades");
        let arrived = |stats: &Value| count(stats, "/trades/received") >= reported;
        self.engine.wait_for("every trade", TIMEOUT, arrived);
        reported
    }
}

fn start(venue: &Venue, folder: &Path) -> Engine {
    let mut engine = start_without_waiting(venue, folder);
    engine.wait_live(TOKENS);
    engine
}

fn start_without_waiting(venue: &Venue, folder: &Path) -> Engine {
    let database = format!("sqlite:{}", folder.join("trades.db").display());
    let flags = ["--shards", "2", "--trades", &database, "--trades-batch-ms", "50"];
    Engine::start(venue, &flags)
}

fn rows(database: &Path, query: &str) -> u64 {
    let reader = rusqlite::Connection::open(database).unwrap();
    reader.busy_timeout(TIMEOUT).unwrap();
    let count: i64 = reader.query_row(query, [], |row| row.get(0)).unwrap();
    u64::try_from(count).unwrap()
}

#[test]
fn every_trade_is_a_row_across_recycles_and_the_last_line_reports_it() {
    let mut stage = Stage::set();
    let stats = stage.engine.stats();
    let connections = stats["pool"]["connections"].as_array().unwrap().len();
    for id in 1..=connections {
        stage.engine.post(&format!("/admin/recycle?connection={id}"));
    }
    stage.trade(30);
    let done = |stats: &Value| count(stats, "/recycling/completed") >= 1;
    stage.engine.wait_for("a recycle", TIMEOUT, done);
    let reported = stage.trade(30);
    stage.venue.control("resume");
    stage.venue.control("resolve?count=3");
    let resolved = |stats: &Value| count(stats, "/lifecycle/markets_resolved") >= 3;
    stage.engine.wait_for("three winners", TIMEOUT, resolved);
    stage.venue.pause();
    let reported = reported.max(stage.venue.stat("trades"));
    let arrived = |stats: &Value| count(stats, "/trades/received") >= reported;
    stage.engine.wait_for("the last trades", TIMEOUT, arrived);
    stage.engine.program.signal(Signal::INT);
    stage.engine.program.wait(TIMEOUT);
    let line = stage.engine.program.wait_for_line("trades: ");
    let wanted = format!("trades: {reported} received, {reported} inserted into sqlite:");
    assert!(line.contains(&wanted) && line.contains(" 0 lost"), "{line}");
    assert_eq!(stage.rows(), reported);
    let database = stage.database();
    let invalid = "SELECT count(*) FROM trades WHERE venue != 'polymarket' OR price_e6 NOT BETWEEN 1 AND 999999
               OR size_e6 < 1 OR side NOT IN ('buy', 'sell') OR venue_ms < 1700000000000
               OR receive_ns < 1700000000000000000 OR connection < 1 OR length(id) != 66";
    assert_eq!(rows(&database, invalid), 0);
    let markets = rows(&database, "SELECT count(DISTINCT market) FROM trades");
    assert!(markets > 10, "{markets}");
    let named = "SELECT count(*) FROM trades WHERE outcome IN (SELECT outcome FROM tokens)";
    assert_eq!(rows(&database, named), reported, "every trade has its outcome");
    let known = "SELECT count(*) FROM markets JOIN tokens USING (market) WHERE question != ''";
    assert_eq!(rows(&database, known), TOKENS as u64);
    let resolved = "SELECT count(*) FROM markets JOIN tokens ON token = winner
                    WHERE status = 'resolved' AND resolved_ns > 1700000000000000000";
    assert_eq!(rows(&database, resolved), 3);
}

#[test]
fn a_database_that_is_held_is_reported_at_once_and_nothing_is_lost() {
    let mut stage = Stage::set();
    stage.trade(10);
    stage.engine.wait_health(200, "");
    let holder = rusqlite::Connection::open(stage.database()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    stage.venue.control("resume");
    let lead = "has taken no trades for ";
    stage.engine.wait_health(503, lead);
    let (_, health) = stage.engine.health();
    let health = health.to_string();
    let seconds = health.split_once(lead).map_or("0", |(_, rest)| rest.split(' ').next().unwrap());
    assert!(seconds.parse::<u64>().unwrap() < 10, "{health}");
    let reported = stage.trade(30);
    let (stats, _) =
        stage.engine.wait_for("a spill", TIMEOUT, |stats| count(stats, "/trades/journaled") > 0);
    assert_eq!(count(&stats, "/trades/lost"), 0, "{stats:#}");
    holder.execute_batch("ROLLBACK").unwrap();
    stage.engine.wait_health(200, "");
    let stored = move |stats: &Value| count(stats, "/trades/inserted") == reported;
    let (stats, _) = stage.engine.wait_for("every row", TIMEOUT, stored);
    assert_eq!(count(&stats, "/trades/repeated"), 0);
    assert_eq!(stage.rows(), reported);
}

#[test]
fn a_killed_process_leaves_a_database_that_the_next_one_goes_on_with() {
    let mut stage = Stage::set();
    stage.venue.control("resume");
    let some = |stats: &Value| count(stats, "/trades/inserted") > 20;
    let (stats, _) = stage.engine.wait_for("rows", TIMEOUT, some);
    stage.engine.program.signal(Signal::KILL);
    stage.engine.program.wait(TIMEOUT);
    let before = stage.rows();
    assert!(before >= count(&stats, "/trades/inserted"), "what was reported is stored");
    let reader = rusqlite::Connection::open(stage.database()).unwrap();
    let verdict: String = reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    stage.engine = start(&stage.venue, stage.folder.path());
    let more = |stats: &Value| count(stats, "/trades/inserted") > 20;
    stage.engine.wait_for("more rows", TIMEOUT, more);
    stage.engine.program.signal(Signal::TERM);
    stage.engine.program.wait(TIMEOUT);
    assert!(stage.rows() > before);
}

#[test]
fn an_engine_follows_what_the_database_knows_before_the_catalog_answers() {
    let mut stage = Stage::set();
    let known = |stats: &Value| count(stats, "/trades/markets") >= TOKENS as u64 / 2;
    stage.engine.wait_for("markets in the table", TIMEOUT, known);
    stage.engine.program.signal(Signal::TERM);
    stage.engine.program.wait(TIMEOUT);
    // While no engine runs, three markets are decided, and the catalog becomes slow.
    stage.venue.control("resume");
    stage.venue.control("resolve?count=3");
    stage.venue.wait_for("three ends", |venue| venue.stat("markets_resolved") >= 3);
    stage.venue.control("fault?kind=slow&by=5000&ms=60000");
    stage.engine = start_without_waiting(&stage.venue, stage.folder.path());
    let most = TOKENS as u64 - 6;
    let live = |stats: &Value| crate::engine::sum(stats, "books_live") >= most;
    let (stats, _) = stage.engine.wait_for("the books of the table", TIMEOUT, live);
    assert_eq!(count(&stats, "/lifecycle/scans_completed"), 0, "{stats:#}");
    // The catalog decides about those that have ended meanwhile.
    stage.venue.control("fault?kind=slow&by=0");
    let reconciled = |stats: &Value| count(stats, "/lifecycle/markets_expired") >= 3;
    stage.engine.wait_for("three ended markets", TIMEOUT, reconciled);
    // Their prices have settled: who has won is known although no resolution was received.
    let database = stage.database();
    let won = "SELECT count(*) FROM markets JOIN tokens ON token = winner
               WHERE status = 'resolved' AND start_ns > 0";
    stage.venue.wait_for("three winners", |_| rows(&database, won) == 3);
}

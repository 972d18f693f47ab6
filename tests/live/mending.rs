//! Books that the stream does not keep right: fetched over REST, and proven by it.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::books::agree;
use crate::engine::{Engine, count};
use crate::program::PATIENCE;
use crate::venue::Venue;
use std::time::{Duration, Instant};

const MARKETS: &str = "120";
const TOKENS: usize = 240;

fn venue(faults: &[&str]) -> Venue {
    let flags = ["--plain", "--markets", MARKETS, "--rate", "300", "--levels", "8"];
    Venue::start(&[&flags, faults].concat())
}

fn repairs(stats: &serde_json::Value, name: &str) -> u64 {
    count(stats, &format!("/correctness/repairs/{name}"))
}

/// Waits until every book may have been compared over REST so many times.
fn wait_audits(engine: &mut Engine, rounds: u64) {
    let audits = |stats: &serde_json::Value| {
        let verdicts = ["matched", "caught_up", "older", "undecided"];
        verdicts.iter().map(|name| repairs(stats, &format!("audits_{name}"))).sum::<u64>()
    };
    let wanted = audits(&engine.stats()) + rounds * TOKENS as u64;
    engine.wait_for("rounds of audits", PATIENCE, |stats| audits(stats) >= wanted);
}

/// Every book is live and the venue's.
fn assert_right(engine: &mut Engine, venue: &mut Venue) {
    venue.pause();
    let tokens = venue.tokens();
    let verdict = agree(engine, venue, &tokens);
    assert_eq!(verdict.equal, TOKENS, "{verdict:?}");
}

#[test]
fn snapshots_that_never_come_are_fetched() {
    let mut venue = venue(&["--lose-books", "40"]);
    let mut engine = Engine::start(&venue, &["--shards", "2", "--verify-hash", "all"]);
    engine.wait_live(TOKENS);
    let stats = engine.stats();
    let repaired = repairs(&stats, "repaired");
    assert!(repaired >= TOKENS as u64 / 10, "{stats:#}");
    // Books are a service of their own, with a pool of connections, of which is told twice a second.
    let is_told = |stats: &serde_json::Value| stats["services"][1]["health"]["state"] == "up";
    let (stats, _) = engine.wait_for("the service of books", PATIENCE, is_told);
    let books = &stats["services"][1];
    assert_eq!(books["service"], "polymarket-clob");
    assert!(count(books, "/requests") > 0 && count(books, "/failed") == 0, "{books:#}");
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "{stats:#}");
    assert_right(&mut engine, &mut venue);
    let checks = &engine.stats()["correctness"]["checks"];
    assert_eq!(checks["hashes_mismatched"], 0, "{checks:#}");
    assert_eq!(checks["tops_mismatched"], 0, "{checks:#}");
    engine.program.assert_clean();
}

#[test]
fn books_that_missed_a_message_are_mended_without_a_reconnect() {
    let mut venue = venue(&[]);
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(TOKENS);
    venue.order("malformed?count=60");
    engine.wait_for("repairs", PATIENCE, |stats| repairs(stats, "repaired") >= 5);
    engine.wait_live(TOKENS);
    assert_eq!(count(&engine.stats(), "/pool/reconnects"), 0);
    assert_right(&mut engine, &mut venue);
    engine.program.assert_clean();
}

#[test]
fn a_connection_that_only_answers_pings_is_found_and_replaced() {
    let mut venue = venue(&[]);
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(TOKENS);
    venue.order("freeze?connections=all");
    let (stats, _) =
        engine.wait_for("a frozen connection", PATIENCE, |stats| repairs(stats, "frozen") >= 1);
    assert!(repairs(&stats, "audits_behind") >= 1, "it was proven: {stats:#}");
    engine.wait_live(TOKENS);
    assert_right(&mut engine, &mut venue);
    engine.program.assert_clean();
}

#[test]
fn markets_of_which_nothing_is_told_any_more_are_mended_alone() {
    let mut venue = venue(&[]);
    let mut engine = Engine::start(&venue, &["--shards", "1", "--audit", "4"]);
    engine.wait_live(TOKENS);
    venue.order("freeze?markets=3");
    let behind = |stats: &_| repairs(stats, "audits_behind") >= 1;
    engine.wait_for("a book that is behind", PATIENCE, behind);
    // Two more rounds of audits, while the venue stands still.
    venue.pause();
    wait_audits(&mut engine, 2);
    engine.wait_live(TOKENS);
    assert_right(&mut engine, &mut venue);
    let stats = engine.stats();
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "the rest went on: {stats:#}");
    engine.program.assert_clean();
}

#[test]
fn old_and_late_answers_late_connections_new_orders_and_clock_steps_do_no_harm() {
    let mut venue =
        venue(&["--slow-rest", "700", "--fault", "late=20", "--fault", "reordered=500"]);
    let mut engine = Engine::start(&venue, &["--shards", "2", "--audit", "4"]);
    engine.wait_live(TOKENS);
    venue.order("malformed?count=30");
    venue.order("fault?kind=clock&by=5000");
    let begun = Instant::now();
    let faults = ["old_books", "slow_answers", "late_frames", "reordered_frames"];
    while faults.iter().any(|fault| venue.stat(fault) == 0) {
        assert!(begun.elapsed() < PATIENCE, "the venue did not do all that it was told to");
        venue.order("fault?kind=old-books&ms=8000");
        std::thread::sleep(Duration::from_secs(9));
    }
    venue.order("fault?kind=late&rate=0");
    // Held back for at most 3 s.
    std::thread::sleep(Duration::from_secs(9));
    engine.wait_live(TOKENS);
    assert_right(&mut engine, &mut venue);
    engine.program.assert_clean();
}

#[test]
fn a_connection_that_is_only_quiet_is_left_alone() {
    let mut venue = venue(&[]);
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(TOKENS);
    // The whole venue stands still, and so do its books.
    venue.pause();
    let (stats, _) =
        engine.wait_for("a look", PATIENCE, |stats| repairs(stats, "audits_matched") > 0);
    assert!(repairs(&stats, "silences") >= 1, "{stats:#}");
    std::thread::sleep(Duration::from_secs(3));
    let stats = engine.stats();
    assert_eq!(repairs(&stats, "frozen"), 0, "{stats:#}");
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "{stats:#}");
    engine.program.assert_clean();
}

#[test]
fn lost_and_doubled_and_cut_frames_do_no_lasting_harm() {
    let mut venue = venue(&[]);
    let flags = ["--shards", "2", "--verify-hash", "all", "--audit", "5"];
    let mut engine = Engine::start(&venue, &flags);
    engine.wait_live(TOKENS);
    for fault in ["lost&rate=1000", "doubled&rate=2000", "cut&rate=300"] {
        venue.order(&format!("fault?kind={fault}&ms=600000"));
    }
    venue.order("fault?kind=books&ms=2000");
    // Connections ended in mid-frame, too.
    let faults = ["lost_frames", "doubled_frames", "cut"];
    venue.wait_for("faults", |venue| faults.iter().all(|fault| venue.stat(fault) > 0));
    for fault in ["lost", "doubled", "cut"] {
        venue.order(&format!("fault?kind={fault}&rate=0"));
    }
    // What was lost is noticed by the next hash or by an audit, and mended.
    wait_audits(&mut engine, 2);
    engine.wait_live(TOKENS);
    assert_right(&mut engine, &mut venue);
    engine.program.assert_clean();
}

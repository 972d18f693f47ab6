//! Books that missed messages of the stream: repaired and audited over REST.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::count;
use crate::followed::Followed;
use serde_json::Value;

const VENUE: [&str; 7] = ["--plain", "--markets", "120", "--rate", "300", "--levels", "8"];
const TOKENS: u64 = 240;
const ONE_SHARD: [&str; 2] = ["--shards", "1"];

fn repairs(stats: &Value, name: &str) -> u64 {
    count(stats, &format!("/correctness/repairs/{name}"))
}

/// Waits until every book may have been compared over REST so many times.
fn wait_audits(run: &mut Followed, rounds: u64) {
    let audits = |stats: &Value| {
        let verdicts = ["matched", "caught_up", "older", "undecided"];
        verdicts.iter().map(|name| repairs(stats, &format!("audits_{name}"))).sum::<u64>()
    };
    let wanted = audits(&run.engine.stats()) + rounds * TOKENS;
    run.wait_for("rounds of audits", |stats| audits(stats) >= wanted);
}

#[test]
fn snapshots_that_never_come_are_fetched() {
    let venue = [&VENUE[..], &["--lose-books", "40"]].concat();
    let mut run = Followed::start(&venue, &["--shards", "2", "--verify-hash", "all"]);
    let stats = run.engine.stats();
    assert!(repairs(&stats, "repaired") >= TOKENS / 10, "{stats:#}");
    // Books are a service of their own, with a pool of connections, of which is reported twice a second.
    let is_reported = |stats: &Value| stats["services"][1]["health"]["state"] == "up";
    let stats = run.wait_for("the service of books", is_reported);
    let books = &stats["services"][1];
    assert_eq!(books["service"], "polymarket-clob");
    assert!(count(books, "/requests") > 0 && count(books, "/failed") == 0, "{books:#}");
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "{stats:#}");
    run.assert_equal();
    assert_eq!(run.count("/correctness/checks/hashes_mismatched"), 0);
    assert_eq!(run.count("/correctness/checks/tops_mismatched"), 0);
}

#[test]
fn books_that_missed_a_message_are_repaired_without_a_reconnect() {
    let mut run = Followed::start(&VENUE, &ONE_SHARD);
    run.venue.control("malformed?count=60");
    run.wait_for("repairs", |stats| repairs(stats, "repaired") >= 5);
    run.wait_live();
    assert_eq!(run.count("/pool/reconnects"), 0);
    run.assert_equal();
}

#[test]
fn a_connection_that_only_answers_pings_is_found_and_replaced() {
    let mut run = Followed::start(&VENUE, &ONE_SHARD);
    run.venue.control("freeze?connections=all");
    let stats = run.wait_for("a frozen connection", |stats| repairs(stats, "frozen") >= 1);
    assert!(repairs(&stats, "audits_behind") >= 1, "it was proven: {stats:#}");
    run.wait_live();
    run.assert_equal();
}

#[test]
fn markets_that_fall_silent_are_repaired_alone() {
    let mut run = Followed::start(&VENUE, &["--shards", "1", "--audit", "4"]);
    run.venue.control("freeze?markets=3");
    run.wait_for("a book that is behind", |stats| repairs(stats, "audits_behind") >= 1);
    // Two more rounds of audits, while the venue stands still.
    run.venue.pause();
    wait_audits(&mut run, 2);
    run.wait_live();
    run.assert_equal();
    assert_eq!(run.count("/pool/reconnects"), 0, "the rest went on");
}

#[test]
fn old_and_late_answers_late_connections_new_orders_and_clock_steps_do_no_harm() {
    let faults = ["--slow-rest", "700", "--fault", "late=20", "--fault", "reordered=500"];
    let venue = [&VENUE[..], &faults].concat();
    let mut run = Followed::start(&venue, &["--shards", "2", "--audit", "4"]);
    for order in ["malformed?count=30", "fault?kind=clock&by=5000"] {
        run.venue.control(order);
    }
    run.venue.control("fault?kind=old-books&ms=600000");
    let faults = ["old_books", "slow_answers", "late_frames", "reordered_frames"];
    run.venue.wait_for("faults", |venue| faults.iter().all(|fault| venue.stat(fault) > 0));
    run.venue.control("fault?kind=old-books&ms=0");
    run.venue.control("fault?kind=late&rate=0");
    // Longer than frames are held back, and than an old answer is on its way.
    wait_audits(&mut run, 2);
    run.wait_live();
    run.assert_equal();
}

#[test]
fn a_connection_that_is_only_quiet_is_left_alone() {
    let mut run = Followed::start(&VENUE, &ONE_SHARD);
    // The whole venue stands still, and so do its books.
    run.venue.pause();
    let looked =
        |stats: &Value| repairs(stats, "silences") >= 2 && repairs(stats, "audits_matched") >= 2;
    let stats = run.wait_for("two looks", looked);
    assert_eq!(repairs(&stats, "frozen"), 0, "{stats:#}");
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "{stats:#}");
    run.engine.program.assert_clean();
}

#[test]
fn lost_and_doubled_and_cut_frames_do_no_lasting_harm() {
    let flags = ["--shards", "2", "--verify-hash", "all", "--audit", "5"];
    let mut run = Followed::start(&VENUE, &flags);
    for fault in ["lost&rate=1000", "doubled&rate=2000", "cut&rate=300"] {
        run.venue.control(&format!("fault?kind={fault}&ms=600000"));
    }
    run.venue.control("fault?kind=books&ms=2000");
    // Connections ended in mid-frame, too.
    let faults = ["lost_frames", "doubled_frames", "cut"];
    run.venue.wait_for("faults", |venue| faults.iter().all(|fault| venue.stat(fault) > 0));
    for fault in ["lost", "doubled", "cut"] {
        run.venue.control(&format!("fault?kind={fault}&rate=0"));
    }
    // What was lost is noticed by the next hash or by an audit, and repaired.
    wait_audits(&mut run, 2);
    run.wait_live();
    run.assert_equal();
}

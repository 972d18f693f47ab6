//! Connections that end or become silent: stale books, redials, resubscription.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{count, sum};
use crate::followed::Followed;
use crate::program::{TIMEOUT, unused_address};
use crate::venue::Venue;
use std::time::{Duration, Instant};

const TOKENS: u64 = 1200;

/// Drops every connection while the venue refuses upgrades, and lets them in when some were refused; returns when every
/// book is live again. The delays between dials are tested in `control/dial_queue`, in virtual time.
fn outage(run: &mut Followed, status: u16) {
    let token = run.tokens.last().unwrap().clone();
    let refused = run.venue.stat("refused");
    run.venue.control(&format!("refuse?status={status}&ms=0&next=10000"));
    let dropped = run.venue.control("drop?connections=all");
    assert_eq!(dropped["count"], 3, "{dropped}");
    run.wait_for("stale books", |stats| sum(stats, "books_stale") == TOKENS);
    let response = run.engine.book(&token);
    let state = response.header("x-ringbook-state").unwrap().to_owned();
    assert_eq!((response.status, state.as_str()), (200, "stale:disconnected"));
    let end = Instant::now() + TIMEOUT;
    while run.venue.stat("refused") < refused + 3 {
        assert!(Instant::now() < end, "no dial was refused with {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    run.venue.control("refuse?ms=0");
    run.wait_live();
}

#[test]
fn dropped_connections_are_live_again() {
    let venue = ["--markets", "600", "--rate", "150", "--levels", "8"];
    let mut run = Followed::start(&venue, &["--shards", "1"]);
    assert_eq!(run.count("/pool/connections_active"), 3);
    for status in [503, 429] {
        outage(&mut run, status);
    }
    run.venue.control("drop?connections=all");
    run.wait_for("third round of reconnects", |stats| count(stats, "/pool/reconnects") == 9);
    run.wait_live();
    assert_eq!(run.assert_equal().same_hash as u64, TOKENS);
    let stats = run.engine.stats();
    assert_eq!(count(&stats, "/pool/reconnects"), 9);
    assert_eq!(count(&stats, "/pool/connections_opened"), 3);
    let each = stats["pool"]["connections"].as_array().unwrap();
    assert!(each.iter().all(|connection| connection["reconnects"] == 3), "{stats:#}");
    assert!(count(&stats, "/pool/dials_failed") >= 2, "{stats:#}");
    assert_eq!(sum(&stats, "decode_errors"), 0);
    assert_eq!(run.engine.health().0, 200);
    run.engine.program.wait_for_line("its books are stale until it is back");
}

#[test]
fn a_venue_that_is_killed_and_comes_back_is_followed_again() {
    let address = unused_address().to_string();
    let flags = ["--plain", "--markets", "60", "--levels", "6", "--listen", &address];
    let Followed { venue, mut engine, .. } = Followed::start(&flags, &["--shards", "1"]);
    drop(venue);
    engine.wait_for("stale books", TIMEOUT, |stats| sum(stats, "books_stale") == 120);
    let venue = Venue::start(&flags);
    engine.wait_live(120);
    let mut run = Followed { tokens: Vec::new(), venue, engine };
    run.tokens = run.venue.tokens();
    run.assert_equal();
}

/// A frozen connection still answers `PING`, so it is never silent: its books stay as they are,
/// and only the end of the connection repairs them. (Silence of 60 s is tested in `session`.)
#[test]
fn frozen_connections_do_no_harm_and_recover_when_they_end() {
    let venue = ["--plain", "--markets", "60", "--rate", "200", "--levels", "6"];
    let mut run = Followed::start(&venue, &["--shards", "1"]);
    assert_eq!(run.venue.control("freeze?connections=all")["count"], 1);
    run.engine.wait_still(Duration::from_secs(2));
    assert!(run.engine.program.is_running());
    run.venue.control("drop?connections=all");
    run.wait_for("reconnect", |stats| count(stats, "/pool/reconnects") == 1);
    run.wait_live();
    run.assert_equal();
}

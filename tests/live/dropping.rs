//! Connections that end or become silent: stale books, redials, resubscription.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{count, sum};
use crate::followed::Followed;
use crate::program::TIMEOUT;
use crate::venue::Venue;
use std::time::{Duration, Instant};

/// A dropped connection is live again this long after the venue accepts, where a start takes `usual`: five seconds of
/// backoff at most, a heartbeat, and what connecting and reading the books take on this machine at this moment.
fn live_again(usual: Duration) -> Duration {
    Duration::from_secs(6) + 2 * usual
}
const TOKENS: u64 = 1200;

/// Drops every connection while the venue refuses upgrades for `ms`; gives the time from the end
/// of the refusal until every book is live.
fn outage(run: &mut Followed, status: u16, ms: u64) -> Duration {
    let token = run.tokens.last().unwrap().clone();
    run.venue.control(&format!("refuse?status={status}&ms={ms}"));
    let accepts = Instant::now() + Duration::from_millis(ms);
    let dropped = run.venue.control("drop?connections=all");
    assert_eq!(dropped["count"], 3, "{dropped}");
    run.wait_for("stale books", |stats| sum(stats, "books_stale") == TOKENS);
    let response = run.engine.book(&token);
    let state = response.header("x-ringbook-state").unwrap().to_owned();
    if Instant::now() < accepts {
        assert_eq!((response.status, state.as_str()), (200, "stale:disconnected"));
    }
    run.wait_live();
    accepts.elapsed()
}

#[test]
fn dropped_connections_are_live_again_within_five_seconds() {
    let begun = Instant::now();
    let venue = ["--markets", "600", "--rate", "150", "--levels", "8"];
    let mut run = Followed::start(&venue, &["--shards", "1"]);
    let bound = live_again(begun.elapsed());
    assert_eq!(run.count("/pool/connections_active"), 3);
    for status in [503, 429] {
        let took = outage(&mut run, status, 3_000);
        eprintln!("{status}: live again {took:?} after the venue accepts");
        assert!(took < bound, "{status}: {took:?}\n{}", run.engine.program);
        assert!(run.venue.stat("refused") > 0);
    }
    // One that was up for five seconds is dialed at once, one that was not a little later.
    run.wait_for("connections that last", |stats| {
        let connections = stats["pool"]["connections"].as_array().unwrap();
        let now_ns = count(stats, "/now_wall_ns");
        connections.iter().all(|c| now_ns > count(c, "/connected_wall_ns") + 5_500_000_000)
    });
    let begun = Instant::now();
    run.venue.control("drop?connections=all");
    run.wait_for("third round of reconnects", |stats| count(stats, "/pool/reconnects") == 9);
    run.wait_live();
    eprintln!("drop: live again after {:?}", begun.elapsed());
    assert!(begun.elapsed() < bound, "{:?}\n{}", begun.elapsed(), run.engine.program);
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
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    let flags = ["--plain", "--markets", "60", "--levels", "6", "--listen", &address];
    let begun = Instant::now();
    let Followed { venue, engine, .. } = Followed::start(&flags, &["--shards", "1"]);
    let (mut engine, bound) = (engine, live_again(begun.elapsed()));
    drop(venue);
    engine.wait_for("stale books", TIMEOUT, |stats| sum(stats, "books_stale") == 120);
    let venue = Venue::start(&flags);
    let begun = Instant::now();
    engine.wait_live(120);
    eprintln!("a new venue on the same port: live after {:?}", begun.elapsed());
    assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
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

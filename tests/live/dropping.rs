//! Connections that end or fall silent: stale books, redials, resubscription.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::books::agree;
use crate::engine::{Engine, count, sum};
use crate::program::PATIENCE;
use crate::venue::Venue;
use std::time::{Duration, Instant};

/// A dropped connection is live again within this time of the venue accepting; half a second of
/// heartbeat interval and as much for the test's own looking come on top.
const LIVE_AGAIN: Duration = Duration::from_secs(6);
const MARKETS: &str = "600";
const TOKENS: usize = 1200;

fn venue() -> Venue {
    Venue::start(&["--markets", MARKETS, "--rate", "150", "--levels", "8"])
}

/// Drops every connection while the venue refuses upgrades for `ms`; gives the time from the end
/// of the refusal until every book is live.
fn outage(engine: &mut Engine, venue: &mut Venue, status: u16, ms: u64) -> Duration {
    let token = venue.tokens().pop().unwrap();
    venue.order(&format!("refuse?status={status}&ms={ms}"));
    let accepts = Instant::now() + Duration::from_millis(ms);
    let dropped = venue.order("drop?connections=all");
    assert_eq!(dropped["count"], 3, "{dropped}");
    let all_stale = |stats: &_| sum(stats, "books_stale") == TOKENS as u64;
    engine.wait_for("stale books", PATIENCE, all_stale);
    let response = engine.book(&token);
    let state = response.header("x-ringbook-state").unwrap().to_owned();
    let looked = Instant::now();
    if looked < accepts {
        assert_eq!((response.status, state.as_str()), (200, "stale:disconnected"));
    }
    engine.wait_live(TOKENS);
    accepts.elapsed()
}

#[test]
fn dropped_connections_are_live_again_within_five_seconds() {
    let mut venue = venue();
    let tokens = venue.tokens();
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(TOKENS);
    assert_eq!(count(&engine.stats(), "/pool/connections_active"), 3);
    for status in [503, 429] {
        let took = outage(&mut engine, &mut venue, status, 3_000);
        eprintln!("{status}: live again {took:?} after the venue accepts");
        assert!(took < LIVE_AGAIN, "{status}: {took:?}\n{}", engine.program);
        assert!(venue.stat("refused") > 0);
    }
    // One that was up for five seconds is dialled at once, one that was not a little later.
    std::thread::sleep(Duration::from_millis(5_500));
    let begun = Instant::now();
    venue.order("drop?connections=all");
    let again = |stats: &_| count(stats, "/pool/reconnects") == 9;
    engine.wait_for("third round of reconnects", PATIENCE, again);
    engine.wait_live(TOKENS);
    eprintln!("drop: live again after {:?}", begun.elapsed());
    assert!(begun.elapsed() < LIVE_AGAIN, "{:?}\n{}", begun.elapsed(), engine.program);
    venue.pause();
    let verdict = agree(&mut engine, &mut venue, &tokens);
    assert_eq!((verdict.equal, verdict.same_hash), (TOKENS, TOKENS), "{verdict:?}");
    let stats = engine.stats();
    assert_eq!(count(&stats, "/pool/reconnects"), 9);
    assert_eq!(count(&stats, "/pool/connections_opened"), 3);
    let each = stats["pool"]["connections"].as_array().unwrap();
    assert!(each.iter().all(|connection| connection["reconnects"] == 3), "{stats:#}");
    assert!(count(&stats, "/pool/dials_failed") >= 2, "{stats:#}");
    assert_eq!(sum(&stats, "decode_errors"), 0);
    assert_eq!(engine.health().0, 200);
    engine.program.said("its books are stale until it is back");
    engine.program.assert_clean();
}

#[test]
fn a_venue_that_is_killed_and_comes_back_is_followed_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flags = ["--plain", "--markets", "60", "--levels", "6", "--listen"];
    let address = port.to_string();
    let flags: Vec<&str> = flags.into_iter().chain([address.as_str()]).collect();
    let first = Venue::start(&flags);
    let mut engine = Engine::start(&first, &["--shards", "1"]);
    engine.wait_live(120);
    drop(first);
    let stale = |stats: &_| sum(stats, "books_stale") == 120;
    engine.wait_for("stale books", PATIENCE, stale);
    let mut venue = Venue::start(&flags);
    let begun = Instant::now();
    engine.wait_live(120);
    eprintln!("a new venue on the same port: live after {:?}", begun.elapsed());
    assert!(begun.elapsed() < LIVE_AGAIN, "{:?}", begun.elapsed());
    venue.pause();
    let tokens = venue.tokens();
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 120);
    engine.program.assert_clean();
}

/// A frozen connection still answers `PING`, so it is never silent: its books stay as they are,
/// and only the end of the connection mends them. (Silence of 60 s is tested in `session`.)
#[test]
fn frozen_connections_do_no_harm_and_recover_when_they_end() {
    let mut venue = Venue::start(&["--plain", "--markets", "60", "--rate", "200", "--levels", "6"]);
    let tokens = venue.tokens();
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(120);
    assert_eq!(venue.order("freeze?connections=all")["count"], 1);
    std::thread::sleep(Duration::from_secs(1));
    let before = sum(&engine.stats(), "messages");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sum(&engine.stats(), "messages"), before, "the venue is frozen");
    assert!(engine.program.is_running());
    venue.order("drop?connections=all");
    let again = |stats: &_| count(stats, "/pool/reconnects") == 1;
    engine.wait_for("reconnect", PATIENCE, again);
    engine.wait_live(120);
    venue.pause();
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 120);
    engine.program.assert_clean();
}

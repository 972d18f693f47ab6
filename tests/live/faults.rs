//! Frames that the venue should not send: counted, logged at a bounded rate, harmless.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::books::{Verdict, compare};
use crate::engine::{Engine, sum};
use crate::followed::Followed;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::venue::Venue;
use std::time::{Duration, Instant};

/// Kinds of malformed frames that `venue-sim` sends in turn; one is binary.
const KINDS: u64 = 12;
/// Of these, the ones that name a market come first.
const NAMING: u64 = 7;
/// Lines about undecodable input that a shard may log in a second.
const LINES_PER_SECOND: u64 = 5;

fn start() -> Followed {
    let venue = ["--plain", "--markets", "120", "--rate", "150", "--levels", "8"];
    Followed::start(&venue, &["--shards", "1"])
}

/// Everything that could not be read, wherever it is counted.
fn unread(stats: &serde_json::Value) -> u64 {
    sum(stats, "decode_errors") + sum(stats, "unknown_texts")
}

/// The verdict of books whose venue stands still, once what it sent before has arrived.
fn settled(engine: &mut Engine, venue: &mut Venue, tokens: &[String]) -> Verdict {
    let begun = Instant::now();
    loop {
        let verdict = compare(engine, venue, tokens);
        if verdict.differences.is_empty() || begun.elapsed() > TIMEOUT {
            return verdict;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[test]
fn malformed_frames_are_counted_logged_sparingly_and_harmless() {
    let Followed { mut venue, mut engine, tokens } = start();
    let begun = Instant::now();
    for _ in 0..5 {
        venue.control(&format!("malformed?count={}", 100 * KINDS));
        std::thread::sleep(Duration::from_millis(300));
    }
    let sent = 500 * KINDS;
    engine.wait_for("count of them all", TIMEOUT, |stats| unread(stats) >= sent);
    let seconds = begun.elapsed().as_secs() + 2;
    assert_eq!(venue.stat("malformed"), sent);
    venue.pause();
    let verdict = settled(&mut engine, &mut venue, &tokens);
    let stats = engine.stats();
    assert_eq!(unread(&stats), sent, "{stats:#}");
    let of_connections: u64 = {
        let each = stats["pool"]["connections"].as_array().unwrap();
        each.iter().map(|connection| connection["decode_errors"].as_u64().unwrap()).sum()
    };
    assert_eq!(of_connections, sum(&stats, "decode_errors"), "{stats:#}");
    assert!(engine.program.is_running());
    let lines: Vec<String> = engine.program.stderr();
    let lines: Vec<&String> = lines.iter().filter(|line| line.contains("undecodable")).collect();
    let most = LINES_PER_SECOND * seconds;
    assert!((1..=most).contains(&(lines.len() as u64)), "{} lines in {seconds} s", lines.len());
    for line in &lines {
        let place = line.contains("byte ") || line.contains("a binary frame");
        assert!(line.contains("connection-") && place, "{line}");
    }
    eprintln!("after {sent} malformed frames: {verdict:?}");
    assert_eq!(verdict.differences, Vec::<String>::new());
    // A book that may have missed a change is stale; no other state is right here.
    let marked = verdict.others.get("stale:undecoded_message").copied().unwrap_or(0);
    assert_eq!(verdict.equal + marked, tokens.len(), "{verdict:?}");
    engine.program.assert_clean();
}

#[test]
fn undecoded_messages_mark_only_the_market_they_name() {
    let Followed { mut venue, mut engine, tokens } = start();
    // The first kinds name a market, each a random one.
    venue.control(&format!("malformed?count={NAMING}"));
    engine.wait_for("count of them all", TIMEOUT, |stats| unread(stats) >= NAMING);
    venue.pause();
    let verdict = settled(&mut engine, &mut venue, &tokens);
    assert_eq!(verdict.differences, Vec::<String>::new());
    let marked: usize = verdict.others.values().sum();
    assert!(marked <= 2 * NAMING as usize, "{verdict:?}");
    // Nothing of a malformed message was applied: also the marked books are the venue's.
    for token in &tokens {
        let (mine, theirs) = (engine.book(token).json(), venue.truth(token).unwrap());
        assert_eq!((&mine["bids"], &mine["asks"]), (&theirs["bids"], &theirs["asks"]), "{token}");
    }
    // The others may concern any book of their connection: all are asked for over REST and live again.
    venue.control("resume");
    venue.control(&format!("malformed?count={}", KINDS - NAMING));
    let (stats, _) = engine.wait_for("count of them all", TIMEOUT, |stats| unread(stats) >= KINDS);
    assert_eq!(stats["pool"]["reconnects"], 0, "{stats:#}");
    engine.wait_live(240);
    engine.program.assert_clean();
}

#[test]
fn unknown_messages_and_keys_are_passed_over() {
    let Followed { mut venue, mut engine, tokens } = start();
    venue.control("unknown?count=500");
    // Of five frames: two messages of unknown kinds, one without a kind, two in an array, and a
    // book with keys that came later, which is a book.
    let unknown = |stats: &_| sum(stats, "unknown_events") >= 500;
    let (stats, _) = engine.wait_for("unknown events", TIMEOUT, unknown);
    assert_eq!(sum(&stats, "decode_errors"), 0, "{stats:#}");
    assert_eq!(sum(&stats, "unknown_events"), 500, "{stats:#}");
    assert!(sum(&stats, "unknown_keys") >= 99, "{stats:#}");
    Followed { venue, engine, tokens }.assert_equal();
}

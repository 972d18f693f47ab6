//! `ringbook gateway CAPTURE` for Kalshi: books through the stream equal those of `ringbook replay`.
//!
//! Runs on:  test threads, with a venue, an engine and a gateway as processes.
use super::{Kalshi, wait_live};
use crate::engine::{count, sum};
use crate::gateway::Follower;
use crate::program::TIMEOUT;
use crate::replayed::{Books, Replayed, books, middle, read, replay};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn clients_of_a_recorded_day_of_kalshi_have_the_books_of_the_replay() {
    let mut venue = Kalshi::start(&["--markets", "30", "--rate", "300"]);
    let capture = venue.file("capture");
    let shown = capture.to_str().unwrap();
    let mut engine = venue.engine(&["--shards", "2", "--capture", shown]);
    wait_live(&mut engine, 30);
    let before = count(&engine.stats(), "/pool/reconnects");
    assert_eq!(venue.fault("cut", 1, Some("orderbook_delta")), 1);
    engine.wait_for("cut", TIMEOUT, |stats| count(stats, "/pool/reconnects") > before);
    wait_live(&mut engine, 30);
    let changes = sum(&engine.stats(), "updates");
    engine.wait_for("changes", TIMEOUT, |stats| sum(stats, "updates") > changes + 600);
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    let kalshi = ["--venue", "kalshi"];
    let middle = middle(&capture).to_string();
    let last = replay(&capture, &kalshi);
    let half = replay(&capture, &["--venue", "kalshi", "--to", &middle]);
    assert_eq!(last.len(), 30);
    let tokens: Vec<&String> = last.keys().collect();
    let gateway = Replayed::start(&capture, &["--speed", "max", "--gateway-stale", "hold"]);
    let at = |path: &str| {
        let mut follower = Follower::connect(gateway.address, path);
        follower.send(&json!({"subscribe": tokens}));
        follower
    };
    let mut whole = at("/v1/stream");
    let mut first = at(&format!("/v1/stream?to={middle}"));
    let mut second = at(&format!("/v1/stream?from={middle}"));
    read(&mut [&mut whole, &mut first, &mut second], "end", |one| one.closed.is_some());
    let check = |follower: &Follower, expected: &Books| {
        assert_eq!(follower.closed, Some(1000));
        assert_eq!(&books(follower), expected);
    };
    check(&whole, &last);
    check(&first, &half);
    check(&second, &last);
    gateway.stop();
}

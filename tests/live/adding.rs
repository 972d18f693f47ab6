//! Markets that come and go, by themselves or by name.
//!
//! Runs on:  test threads, with one venue and some engines as processes.
use crate::books::{agree, compare};
use crate::engine::{Engine, count, sum};
use crate::followed::Followed;
use crate::program::TIMEOUT;
use crate::venue::Venue;
use std::time::Instant;

fn live_everywhere(stats: &serde_json::Value, books: u64) -> bool {
    sum(stats, "books_live") == books && sum(stats, "books") == books
}

/// A few markets by name, and a few that are born, get their place at once; without the stream's announcements
/// they are found by the next scan.
#[test]
fn markets_by_name_or_announcement_do_not_wait_for_a_scan() {
    let mut venue = Venue::start(&["--plain", "--markets", "60", "--rate", "50", "--levels", "6"]);
    let markets = venue.markets();
    let (slug, condition) = (markets[3].slug.as_str(), markets[5].condition.as_str());
    let token = markets[9].tokens[1].as_str();
    let named = ["--no-discovery", "--market", slug, "--market", condition, "--token", token];
    let absent = ["--market", "no-such-market", "--shards", "1"];
    let begun = Instant::now();
    let mut by_name = Engine::start(&venue, &[&named[..], &absent].concat());
    let mut by_message = Engine::start(&venue, &["--shards", "1"]);
    let mut by_scan = Engine::start(&venue, &["--shards", "1", "--no-custom-features"]);
    by_message.wait_live(120);
    by_scan.wait_live(120);
    by_name.wait_for("three markets", TIMEOUT, |stats| stats["registry"]["markets"] == 3);
    by_name.program.wait_for_line("no-such-market");
    by_name.program.wait_for_line("is opened on shard-0 for");
    let births = Instant::now();
    venue.control("birth?count=3");
    let announced = |stats: &_| count(stats, "/lifecycle/markets_announced") == 3;
    by_message.wait_for("announcements of three markets", TIMEOUT, announced);
    by_name.wait_for("books by name", TIMEOUT, |stats| live_everywhere(stats, 6));
    eprintln!("three markets by name: live {:?} after the start", begun.elapsed());
    by_message.wait_for("books by announcement", TIMEOUT, |stats| live_everywhere(stats, 126));
    eprintln!("three markets born: live {:?} later", births.elapsed());
    let (stats, _) = by_scan.wait_for("scan", TIMEOUT, |stats| stats["registry"]["markets"] == 63);
    assert_eq!(count(&stats, "/lifecycle/markets_announced"), 0, "{stats:#}");
    // On the connection that was there: no new one for six tokens.
    let stats = by_message.stats();
    assert_eq!(count(&stats, "/pool/connections_opened"), 1, "{stats:#}");
    assert_eq!(count(&stats, "/pool/reconnects"), 0, "{stats:#}");
    venue.pause();
    let all = venue.tokens();
    assert_eq!(agree(&mut by_message, &mut venue, &all).equal, 126);
    let three = [&markets[3], &markets[5], &markets[9]];
    let tokens: Vec<String> = three.iter().flat_map(|market| market.tokens.clone()).collect();
    assert_eq!(agree(&mut by_name, &mut venue, &tokens).equal, 6);
    assert_eq!(by_name.book(&markets[0].tokens[0]).status, 404);
    // Announced markets that were not named are not followed.
    assert_eq!(by_name.stats()["registry"]["markets"], 3);
}

#[test]
fn many_births_at_once_are_live_at_once() {
    let mut venue = Venue::start(&["--markets", "60", "--rate", "100", "--levels", "6"]);
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(120);
    let begun = Instant::now();
    venue.control("birth?count=205");
    // What fits on the first connection goes there; the others have one of their own.
    let there = |stats: &_| sum(stats, "books_live") == 530;
    let (stats, _) = engine.wait_for("books of 205 births", TIMEOUT, there);
    eprintln!("205 births: live after {:?}", begun.elapsed());
    assert_eq!(count(&stats, "/registry/markets"), 265, "{stats:#}");
    assert_eq!(count(&stats, "/lifecycle/markets_announced"), 205, "{stats:#}");
    let most = count(&stats, "/pool/tokens_per_connection_max");
    assert_eq!((most, count(&stats, "/pool/tokens_per_connection_target")), (500, 400));
    for connection in stats["pool"]["connections"].as_array().unwrap() {
        assert!(connection["tokens"].as_u64().unwrap() <= most, "{connection}");
    }
    venue.pause();
    // An announcement does not have the smallest order; the next scan of the catalog does.
    let scans = count(&stats, "/lifecycle/scans_completed");
    let scanned = |stats: &_| count(stats, "/lifecycle/scans_completed") > scans;
    engine.wait_for("the next scan", TIMEOUT * 2, scanned);
    let tokens = venue.tokens();
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 530);
}

#[test]
fn resolved_markets_expire() {
    let mut venue =
        Venue::start(&["--plain", "--markets", "100", "--rate", "100", "--levels", "6"]);
    let before = venue.markets();
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(200);
    assert_eq!(venue.control("resolve?count=7")["count"], 7);
    let expired = |stats: &_| count(stats, "/registry/tokens_expired") == 14;
    let (stats, _) = engine.wait_for("14 expired tokens", TIMEOUT, expired);
    assert_eq!(count(&stats, "/lifecycle/markets_resolved"), 7, "{stats:#}");
    assert_eq!(count(&stats, "/registry/tokens_subscribed"), 186, "{stats:#}");
    let connection = &stats["pool"]["connections"][0];
    assert_eq!((&connection["tokens"], &connection["tokens_expired"]), (&200.into(), &14.into()));
    assert!((connection["pollution"].as_f64().unwrap() - 0.07).abs() < 1e-9, "{connection}");
    venue.pause();
    let open = venue.markets();
    assert_eq!(open.len(), 93);
    let tokens: Vec<String> = open.iter().flat_map(|market| market.tokens.clone()).collect();
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 186);
    // The last message of a resolved market was an empty book.
    let gone = before.iter().filter(|market| !open.iter().any(|m| m.condition == market.condition));
    for token in gone.flat_map(|market| &market.tokens) {
        let book = engine.book(token).json();
        assert_eq!(
            (&book["bids"], &book["asks"]),
            (&serde_json::json!([]), &serde_json::json!([]))
        );
    }
    // A reconnect asks for what is open only, and the rest stays as it was.
    venue.control("drop?connections=all");
    engine.wait_for("reconnect", TIMEOUT, |stats| stats["pool"]["reconnects"] == 1);
    let live = |stats: &_| sum(stats, "books_live") >= 186;
    engine.wait_for("books of open markets", TIMEOUT, live);
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 186);
    assert_eq!(engine.health().0, 200);
}

#[test]
fn finer_ticks_are_followed() {
    let venue = ["--plain", "--markets", "60", "--rate", "100", "--levels", "6"];
    let mut run = Followed::start(&venue, &["--shards", "1"]);
    assert!(run.venue.control("tick?count=5")["count"].as_u64() >= Some(1));
    let before = sum(&run.engine.stats(), "updates");
    run.wait_for("traffic", |stats| sum(stats, "updates") > before + 100);
    // `tick_size` is one of the keys that must be the venue's.
    run.assert_equal();
    assert!(run.venue.stat("tick_size_changes") > 0);
}

#[test]
fn no_more_markets_than_wanted_are_followed() {
    let mut venue =
        Venue::start(&["--plain", "--markets", "250", "--rate", "100", "--levels", "6"]);
    let mut engine = Engine::start(&venue, &["--shards", "1", "--markets-max", "40"]);
    engine.wait_live(80);
    venue.control("birth?count=5");
    let unasked = |stats: &_| sum(stats, "messages") > 200;
    let (stats, _) = engine.wait_for("traffic", TIMEOUT, unasked);
    assert_eq!(count(&stats, "/registry/markets"), 40, "{stats:#}");
    venue.pause();
    let tokens = venue.tokens();
    let verdict = compare(&mut engine, &mut venue, &tokens);
    assert_eq!((verdict.equal, verdict.others["none"]), (80, tokens.len() - 80), "{verdict:?}");
}

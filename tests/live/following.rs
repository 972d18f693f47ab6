//! Following the venue: every book live and equal to the venue's own, in every layout.
//!
//! Runs on:  test threads, with one venue and one or more engines as processes.
use crate::books::{KEYS, agree};
use crate::engine::{Engine, count, sum};
use crate::program::TIMEOUT;
use crate::venue::Venue;
use std::time::Instant;

#[test]
fn every_book_equals_the_venues_own_over_tls() {
    let mut venue = Venue::start(&["--markets", "150", "--rate", "400", "--levels", "20"]);
    let begun = Instant::now();
    let mut engine = Engine::start(&venue, &[]);
    let tokens = venue.tokens();
    assert_eq!(tokens.len(), 300);
    engine.wait_live(300);
    eprintln!("300 books live {:?} after the start of the process", begun.elapsed());
    let busy = |stats: &_| sum(stats, "updates") > 1_500 && sum(stats, "trades") > 5;
    engine.wait_for("traffic", TIMEOUT, busy);
    venue.pause();
    let verdict = agree(&mut engine, &mut venue, &tokens);
    eprintln!("{verdict:?}");
    assert_eq!((verdict.equal, verdict.same_hash), (300, 300), "{verdict:?}");
    // The message of a trade follows its book by 30 to 50 ms: the pause may come between them.
    assert!(verdict.same_trade >= 290, "{verdict:?}");
    assert!(verdict.levels > 300 * 10);
    let stats = engine.stats();
    for zero in ["decode_errors", "unknown_events", "unknown_texts", "books_stale"] {
        assert_eq!(sum(&stats, zero), 0, "{zero}: {stats:#}");
    }
    for zero in ["unknown_instruments", "changes_before_snapshot", "changes_stale"] {
        assert_eq!(sum(&stats, zero), 0, "{zero}: {stats:#}");
    }
    assert_eq!(venue.stat("violations"), 0);
    check_statistics(&stats, &mut venue);
    let (status, health) = engine.health();
    assert_eq!((status, &health["healthy"]), (200, &true.into()), "{health}");
    check_metrics(engine.get("/metrics").text());
    check_shape(&mut engine, &tokens[0]);
    engine.program.assert_clean();
}

/// The counts of `/stats` add up, and equal those of the venue.
fn check_statistics(stats: &serde_json::Value, venue: &mut Venue) {
    assert_eq!(count(stats, "/registry/markets"), 150);
    assert_eq!(count(stats, "/registry/tokens_subscribed"), 300);
    assert_eq!(count(stats, "/registry/tokens_pending"), 0);
    assert_eq!(count(stats, "/lifecycle/markets_discovered"), 150);
    assert_eq!(count(stats, "/pool/connections_active"), venue.stat("connections"));
    assert_eq!(venue.stat("subscriptions"), 300);
    let (made, dumped) = (venue.stat("books"), venue.stat("dumped_books"));
    assert_eq!(dumped, 300);
    assert!(sum(stats, "snapshots") <= made + dumped && sum(stats, "snapshots") > 300);
    let connections = stats["pool"]["connections"].as_array().unwrap();
    let tokens: u64 = connections.iter().map(|c| c["tokens"].as_u64().unwrap()).sum();
    let live: u64 = connections.iter().map(|c| c["snapshots"].as_u64().unwrap()).sum();
    assert_eq!((tokens, live), (300, 300), "{stats:#}");
    for connection in connections {
        assert_eq!(connection["state"], "active");
        for key in ["frames", "bytes", "connected_wall_ns", "last_data_wall_ns"] {
            assert!(connection[key].as_u64().unwrap() > 0, "{key}: {connection}");
        }
    }
    assert_eq!(sum(stats, "connections"), connections.len() as u64);
    for link in stats["router"].as_array().unwrap() {
        assert_eq!(link["refused"], 0, "{link}");
    }
}

/// Every sample has a number and a family with a type; the text ends as OpenMetrics wants.
fn check_metrics(text: &str) {
    let mut families = Vec::new();
    let mut samples = 0;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(family) = comment.strip_prefix("TYPE ") {
                families.push(family.split(' ').next().unwrap().to_owned());
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(families.iter().any(|family| name.starts_with(family.as_str())), "{line}");
        assert_eq!(name.matches('{').count(), name.matches('}').count(), "{line}");
        samples += 1;
    }
    assert!(samples > 50, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

fn check_shape(engine: &mut Engine, token: &str) {
    let response = engine.book(token);
    assert_eq!(response.status, 200);
    // The keys in their order, as text: no parser may have sorted them.
    let mut at = 0;
    for key in KEYS {
        let key = format!("\"{key}\":");
        at += response.text()[at..].find(&key).unwrap_or_else(|| panic!("{key}")) + key.len();
    }
    assert_eq!(engine.book("1").status, 404);
    assert_eq!(engine.get("/book?token_id=").status, 400);
}

#[test]
fn layouts_show_the_same_books() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut venue = Venue::start(&["--markets", "120", "--rate", "150", "--levels", "12"]);
    let tokens = venue.tokens();
    let mut layouts: Vec<(&[&str], usize)> = vec![(&["--shards", "1"], 1), (&["--shards", "3"], 3)];
    if cores >= 2 {
        layouts.push((&["--shard-cores", "0-1"], 2));
        layouts.push((&["--shards", "1", "--idle", "spin"], 1));
    }
    for (layout, shards) in layouts {
        venue.control("resume");
        let mut engine = Engine::start(&venue, layout);
        let begun = Instant::now();
        engine.wait_live(240);
        eprintln!("{layout:?}: 240 books live after {:?}", begun.elapsed());
        engine.wait_for("traffic", TIMEOUT, |stats| sum(stats, "updates") > 150);
        venue.pause();
        let verdict = agree(&mut engine, &mut venue, &tokens);
        assert_eq!((verdict.equal, verdict.same_hash), (240, 240), "{layout:?}: {verdict:?}");
        let stats = engine.stats();
        let rows = stats["shards"].as_array().unwrap();
        assert_eq!(rows.len(), shards, "{layout:?}");
        for row in rows {
            assert!(row["healthy"] == true && row["books"].as_u64().unwrap() > 0, "{row}");
        }
        assert_eq!(sum(&stats, "decode_errors"), 0);
        engine.program.signal(rustix::process::Signal::TERM);
        assert!(engine.program.wait(TIMEOUT).success(), "{}", engine.program);
        engine.program.assert_clean();
    }
}

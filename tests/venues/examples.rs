//! The examples, each run against a simulated venue until it has shown what it is for.
//!
//! Runs on:  test threads; engine and venue run on threads of this process.

#[path = "../examples/large_trades.rs"]
mod large_trades;
#[path = "../examples/spreads.rs"]
mod spreads;
#[path = "../examples/tops_csv.rs"]
mod tops_csv;

use ringbook::sim::{SimConfig, Venue};
use ringbook::{Polymarket, Price};
use std::time::Duration;

/// Far above what an example takes.
const TIMEOUT: Duration = Duration::from_secs(120);

fn venue() -> (Venue, Polymarket) {
    let config =
        SimConfig { tls: false, markets: 4, rate: 1_000.0, levels: 8, ..SimConfig::default() };
    let venue = Venue::start(config).unwrap();
    let settings = Polymarket::at(&venue.http_url(), &venue.ws_url());
    (venue, settings)
}

fn lines(out: Vec<u8>) -> Vec<String> {
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_change_of_a_spread_is_printed() {
    let (_venue, settings) = venue();
    let mut out = Vec::new();
    spreads::run(settings, 60, TIMEOUT, &mut out).unwrap();
    let lines = lines(out);
    assert_eq!(lines.len(), 60);
    let mut last = std::collections::HashMap::new();
    for line in &lines {
        let (token, spread) = line.strip_prefix("polymarket ").unwrap().split_once(' ').unwrap();
        assert!(spread.parse::<f64>().unwrap() < 1.0, "{line}");
        assert_ne!(last.insert(token, spread), Some(spread), "a change: {line}");
    }
    assert!(last.len() > 1);
}

#[test]
fn tops_are_written_as_csv() {
    let (_venue, settings) = venue();
    let mut out = Vec::new();
    tops_csv::run(settings, 100, TIMEOUT, &mut out).unwrap();
    let lines = lines(out);
    assert_eq!(lines[0], "read_wall_ns,token,bid,bid_quantity,ask,ask_quantity");
    assert_eq!(lines.len(), 101);
    for line in &lines[1..] {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 6, "{line}");
        assert!(cells[0].parse::<u64>().unwrap() > 1_500_000_000_000_000_000, "{line}");
        let price = |cell: &str| Price::parse(cell.as_bytes());
        assert!(cells[2].is_empty() || price(cells[2]).is_some(), "{line}");
        assert!(cells[4].is_empty() || price(cells[4]).is_some(), "{line}");
    }
}

#[test]
fn a_strategy_reacts_to_large_trades() {
    let (_venue, settings) = venue();
    let mut out = Vec::new();
    large_trades::run(settings, 3, TIMEOUT, &mut out).unwrap();
    let lines = lines(out);
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(line.starts_with("buy ") || line.starts_with("sell "), "{line}");
        let (_, price) = line.split_once(" at ").unwrap();
        assert!(Price::parse(price.as_bytes()).is_some(), "{line}");
    }
}

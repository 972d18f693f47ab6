//! The simulated venue as a client meets it: real sockets, a decoder and a book of the test.

mod client;
mod faults;
mod model;
mod program;
mod rest;
mod stream;

use client::TIMEOUT;
use ringbook::sim::{SimConfig, Stats, Venue};
use std::time::{Duration, Instant};

/// A small venue that stands still at first.
fn venue(change: impl FnOnce(&mut SimConfig)) -> Venue {
    let mut config = SimConfig {
        tls: false,
        markets: 24,
        levels: 12,
        rate: 2_000.0,
        paused: true,
        births_per_minute: 0.0,
        resolutions_per_minute: 0.0,
        ending_soon_percent: 0,
        ..SimConfig::default()
    };
    change(&mut config);
    Venue::start(config).unwrap()
}

/// Waits until the venue's counters are as wanted.
fn wait(venue: &Venue, wanted: impl Fn(&Stats) -> bool) {
    let begun = Instant::now();
    while !wanted(&venue.stats()) {
        assert!(begun.elapsed() < TIMEOUT, "{:?}", venue.stats());
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! The simulated Kalshi as a client meets it: real sockets, signatures, a decoder and books of the test.

mod calendar;
mod client;
mod errors;
mod faults;
mod handshake;
mod model;
mod program;
mod rest;
mod stream;
mod terms;

use client::Place;
use ringbook::sim::kalshi::{KalshiConfig, KalshiVenue};
use std::ops::Deref;

/// A venue of this process, and where it is.
struct Sim {
    place: Place,
    _venue: KalshiVenue,
}

impl Deref for Sim {
    type Target = Place;
    fn deref(&self) -> &Place {
        &self.place
    }
}

/// A small venue that stands still at first.
fn venue(change: impl FnOnce(&mut KalshiConfig)) -> Sim {
    let mut config = KalshiConfig {
        tls: false,
        markets: 12,
        levels: 8,
        rate: 2_000.0,
        paused: true,
        births_per_minute: 0.0,
        deaths_per_minute: 0.0,
        rate_limits: false,
        ..KalshiConfig::default()
    };
    change(&mut config);
    let venue = KalshiVenue::start(&config).unwrap();
    let place = Place { address: venue.address(), ca_pem: venue.ca_pem().map(str::to_owned) };
    Sim { place, _venue: venue }
}

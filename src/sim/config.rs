//! Configuration of a simulated venue, and startup errors.
//!
//! Runs on:  any.
use super::flow::TRADES_PER_10_000;
use super::stream_fault::{KINDS, RATE_OF};
use std::net::SocketAddr;

/// Configuration of a simulated venue. [`SimConfig::default`] is a small quiet one on a free loopback port.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Listening address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a generated certificate authority; plain TCP otherwise.
    pub tls: bool,
    /// The same seed gives the same markets and events.
    pub seed: u64,
    /// Initial markets with two tokens each.
    pub markets: usize,
    /// Mean messages per second over all markets.
    pub rate: f64,
    /// Trades among 10,000 actions; each makes four messages. Recorded sessions have 135.
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    pub levels: usize,
    /// 0: evenly distributed events; 1: about as bursty as recorded sessions.
    pub burst: f64,
    /// Start paused, until [`resume`](crate::sim::Venue::resume).
    pub paused: bool,
    /// Mean new markets per minute.
    pub births_per_minute: f64,
    /// Mean early resolutions per minute, in addition to scheduled ends.
    pub resolutions_per_minute: f64,
    /// Percentage of markets of Protocol V2: with position ids only, or with both kinds of ids. The others
    /// are of V1. 0 for a catalog without versions, as before 2026-08.
    pub v2_percent: u64,
    /// Percentage of initial markets that end within 5 to 60 minutes; the others end in years.
    pub ending_soon_percent: u64,
    /// Answer 429 above Polymarket's published rates.
    pub rate_limits: bool,
    /// Upgrades per second; more are answered with 429. 0 is no limit.
    pub upgrades_per_second_max: u32,
    /// A connection with more tokens gets no snapshot dump.
    pub dump_tokens_max: usize,
    /// Percentage of books omitted from dumps.
    pub lost_books_percent: u64,
    /// Seconds between abrupt closes of a random WebSocket connection; 0 is never.
    pub drop_interval_s: u64,
    /// Malformed frames per minute on random connections.
    pub malformed_per_minute: u64,
    /// Frame faults as in `POST /sim/fault`, with rates per 100,000 frames.
    pub stream_faults: Vec<(String, u64)>,
    /// Delay of REST answers, milliseconds.
    pub slow_rest_ms: u64,
    /// A connection with more queued bytes is closed.
    pub backlog_bytes_max: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: true,
            seed: 1,
            markets: 200,
            rate: 500.0,
            trades_per_10_000: TRADES_PER_10_000,
            levels: 40,
            burst: 1.0,
            paused: false,
            births_per_minute: 2.0,
            resolutions_per_minute: 1.0,
            v2_percent: 0,
            ending_soon_percent: 2,
            rate_limits: true,
            upgrades_per_second_max: 0,
            dump_tokens_max: 750,
            lost_books_percent: 0,
            drop_interval_s: 0,
            malformed_per_minute: 0,
            stream_faults: Vec::new(),
            slow_rest_ms: 0,
            backlog_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A venue did not start or does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A setting is out of range: correct the configuration.
    #[error("{0}")]
    Config(String),
    /// The address cannot be bound: choose another.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Certificate or TLS configuration failed: a bug of the simulator.
    #[error("cannot create a certificate: {0}")]
    Certificate(String),
    /// The venue's thread or event loop could not be started.
    #[error("cannot start the venue: {0}")]
    Start(std::io::Error),
    /// The venue's thread has ended or does not answer.
    #[error("the simulated venue has ended")]
    Gone,
}

impl SimConfig {
    /// Refuses an invalid configuration.
    pub(super) fn check(&self) -> Result<(), SimError> {
        let finite = |name: &str, value: f64, most: f64| {
            if (0.0..=most).contains(&value) {
                return Ok(());
            }
            Err(SimError::Config(format!("{name} is {value}; it must be within 0..={most}")))
        };
        finite("rate", self.rate, 1e6)?;
        finite("burst", self.burst, 3.0)?;
        finite("births per minute", self.births_per_minute, 60_000.0)?;
        finite("resolutions per minute", self.resolutions_per_minute, 60_000.0)?;
        let whole = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(SimError::Config(format!("{name} is {value}; it must be within {least}..={most}")))
        };
        whole("markets", self.markets, 1, 200_000)?;
        whole("levels", self.levels, 1, 400)?;
        whole("trades", self.trades_per_10_000 as usize, 0, 10_000)?;
        whole("lost books percent", self.lost_books_percent as usize, 0, 100)?;
        whole("ending soon percent", self.ending_soon_percent as usize, 0, 100)?;
        whole("V2 percent", self.v2_percent as usize, 0, 100)?;
        for (name, rate) in &self.stream_faults {
            if *rate > RATE_OF || !KINDS.iter().any(|(known, _)| known == name) {
                let known = KINDS.map(|(known, _)| known).join(", ");
                let why = format!(
                    "fault {name}={rate}: it must be one of {known}, at a rate within 0..={RATE_OF} of {RATE_OF} frames"
                );
                return Err(SimError::Config(why));
            }
        }
        whole("backlog bytes", self.backlog_bytes_max, 1024 * 1024, usize::MAX)
    }
}

//! What a simulated venue is to be, and why it may not start.
//!
//! Runs on:  any.
use super::flow::TRADES_PER_10_000;
use super::stream_fault::{KINDS, RATE_OF};
use std::net::SocketAddr;

/// Knobs of a simulated venue. [`SimConfig::default`] is a small quiet one on a free loopback port.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a certificate authority of the venue's own; plain TCP otherwise.
    pub tls: bool,
    /// The same seed gives the same markets and the same sequence of events.
    pub seed: u64,
    /// Markets at the start; each has two tokens.
    pub markets: usize,
    /// Messages a second over all markets, on average.
    pub rate: f64,
    /// Of 10,000 actions, how many are trades; each makes four messages. Recorded sessions have 135.
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    pub levels: usize,
    /// 0 spreads events evenly; 1 is about as bursty as recorded sessions.
    pub burst: f64,
    /// Start with the scenario standing still, until [`resume`](crate::sim::Venue::resume).
    pub paused: bool,
    /// Markets born in a minute, on average.
    pub births_per_minute: f64,
    /// Markets decided early in a minute, on average, besides those whose end comes.
    pub resolutions_per_minute: f64,
    /// Of 100 markets, how many are of Protocol V2: with position ids only, or with both kinds of ids. The others
    /// are of V1. 0 for a catalogue without versions, as it was before 2026-08.
    pub v2_percent: u64,
    /// Of 100 initial markets, how many end within 5 to 60 minutes; the others end in years.
    pub ending_soon_percent: u64,
    /// Answer 429 beyond the venue's published rates.
    pub rate_limits: bool,
    /// Upgrades within one second beyond this are answered with 429; 0 for no limit.
    pub upgrades_per_second_max: u32,
    /// A connection with more tokens than this gets no books at the start, silently.
    pub dump_tokens_max: usize,
    /// Of 100 books due in a dump, how many are silently left out.
    pub lost_books_percent: u64,
    /// Seconds between two abrupt ends of a random WebSocket connection; 0 for never.
    pub drop_interval_s: u64,
    /// Malformed frames a minute, on random connections.
    pub malformed_per_minute: u64,
    /// Faults of frames, as `POST /sim/fault` names them, each with its rate per 100,000 frames.
    pub stream_faults: Vec<(String, u64)>,
    /// Milliseconds by which REST answers are late.
    pub slow_rest_ms: u64,
    /// A connection that lets this many bytes pile up is ended.
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

/// A venue did not start, or no longer answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A knob is out of range: fix the configuration.
    #[error("{0}")]
    Config(String),
    /// The address cannot be listened on: choose another.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Certificate or TLS configuration could not be made: a fault of the simulator's.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// The venue's thread or event loop could not be started.
    #[error("cannot start the venue: {0}")]
    Start(std::io::Error),
    /// The venue's thread has ended or does not answer.
    #[error("the simulated venue has ended")]
    Gone,
}

impl SimConfig {
    /// Refuses what cannot be simulated.
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

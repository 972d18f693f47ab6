//! Configuration of a simulated venue, which is the flags of `venue-sim`, and startup errors.
//!
//! Runs on:  any.
use super::flow::TRADES_PER_10_000;
use super::stream_fault::{KINDS, RATE_OF};
use clap::{ArgAction, Parser};
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// Configuration of a simulated venue. [`SimConfig::default`] is a small quiet one on a free loopback port.
#[derive(Clone, Debug, PartialEq, Parser)]
pub struct SimConfig {
    /// Address to listen on; port 0 selects a free one.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// TLS with a generated certificate authority; plain TCP otherwise.
    #[arg(long = "plain", action = ArgAction::SetFalse, help = "Plain TCP instead of TLS")]
    pub tls: bool,
    /// Seed of markets and events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Initial markets, two tokens each.
    #[arg(long, default_value_t = 200)]
    pub markets: usize,
    /// Average messages per second over all markets.
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// Trades per 10,000 actions; each makes four messages [recorded sessions: 135].
    #[arg(long = "trades", default_value_t = TRADES_PER_10_000, value_name = "COUNT")]
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    #[arg(long, default_value_t = 40)]
    pub levels: usize,
    /// 0 spreads events evenly; 1 is as bursty as recorded sessions.
    #[arg(long, default_value_t = 1.0)]
    pub burst: f64,
    /// Start with the scenario paused, until POST /sim/resume.
    #[arg(long)]
    pub paused: bool,
    /// Average markets created per minute.
    #[arg(long, default_value_t = 2.0, value_name = "COUNT")]
    pub births_per_minute: f64,
    /// Average markets resolved early per minute.
    #[arg(long, default_value_t = 1.0, value_name = "COUNT")]
    pub resolutions_per_minute: f64,
    /// Percentage of markets of Protocol V2: half with position ids only, half with both kinds of ids, which differ.
    /// The others are V1. 0 for a catalog without versions, as before 2026-08.
    #[arg(long = "v2-share", default_value_t = 0, value_name = "PERCENT")]
    pub v2_percent: u64,
    /// Percentage of initial markets that end within 5 to 60 minutes; the others end in years.
    #[arg(long = "ending-soon", default_value_t = 2, value_name = "PERCENT")]
    pub ending_soon_percent: u64,
    /// Answer 429 above the venue's published rates.
    #[arg(long = "no-rate-limits", action = ArgAction::SetFalse,
          help = "Do not answer 429 above the venue's published rates")]
    pub rate_limits: bool,
    /// Fault: answer 429 to further upgrades within one second; 0 for no limit.
    #[arg(long = "upgrades-per-second", default_value_t = 0, value_name = "COUNT")]
    pub upgrades_per_second_max: u32,
    /// Fault: a connection with more tokens gets no initial books, without error.
    #[arg(long, default_value_t = 750, value_name = "TOKENS")]
    pub dump_tokens_max: usize,
    /// Fault: percentage of books omitted from a dump, without error.
    #[arg(long = "lose-books", default_value_t = 0, value_name = "PERCENT")]
    pub lost_books_percent: u64,
    /// Fault: end a random connection at this interval; 0 for never.
    #[arg(long = "drop-every", default_value_t = 0, value_name = "SECONDS")]
    pub drop_interval_s: u64,
    /// Fault: malformed frames per minute, in addition to the valid ones.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub malformed_per_minute: u64,
    /// Fault: rate per 100,000 frames of a kind: lost, doubled, late, reordered, cut or half-open; may be repeated.
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = stream_fault)]
    pub stream_faults: Vec<(String, u64)>,
    /// Fault: delay of REST responses, milliseconds.
    #[arg(long = "slow-rest", default_value_t = 0, value_name = "MS")]
    pub slow_rest_ms: u64,
    /// A connection with more queued bytes is closed.
    #[arg(skip = 64 * 1024 * 1024_usize)]
    pub backlog_bytes_max: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        let line = ["venue-sim", "--listen", "127.0.0.1:0"];
        Self::try_parse_from(line).expect("every flag has a default")
    }
}

/// Parses `KIND=RATE`; the venue validates the values.
fn stream_fault(text: &str) -> Result<(String, u64), String> {
    let (kind, rate) = text.split_once('=').ok_or("it must be KIND=RATE")?;
    let rate = rate.parse().map_err(|_| format!("{rate:?} is not a whole number"))?;
    Ok((kind.to_owned(), rate))
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

/// Refuses a value out of range.
pub(super) fn within<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), SimError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(SimError::Config(format!("{name} is {value}; it must be within {least}..={most}")))
}

impl SimConfig {
    /// Refuses an invalid configuration.
    pub(super) fn check(&self) -> Result<(), SimError> {
        within("rate", self.rate, 0.0..=1e6)?;
        within("burst", self.burst, 0.0..=3.0)?;
        within("births per minute", self.births_per_minute, 0.0..=60_000.0)?;
        within("resolutions per minute", self.resolutions_per_minute, 0.0..=60_000.0)?;
        within("markets", self.markets, 1..=200_000)?;
        within("levels", self.levels, 1..=400)?;
        within("trades", self.trades_per_10_000, 0..=10_000)?;
        within("lost books percent", self.lost_books_percent, 0..=100)?;
        within("ending soon percent", self.ending_soon_percent, 0..=100)?;
        within("V2 percent", self.v2_percent, 0..=100)?;
        for (name, rate) in &self.stream_faults {
            if *rate > RATE_OF || !KINDS.iter().any(|(known, _)| known == name) {
                let known = KINDS.map(|(known, _)| known).join(", ");
                let why = format!(
                    "fault {name}={rate}: it must be one of {known}, at a rate within 0..={RATE_OF} of {RATE_OF} frames"
                );
                return Err(SimError::Config(why));
            }
        }
        within("backlog bytes", self.backlog_bytes_max, 1024 * 1024..=usize::MAX)
    }
}

//! What a simulated Kalshi is to be.
//!
//! Runs on:  any.
use super::super::config::SimError;
use std::net::SocketAddr;

/// Knobs of a simulated Kalshi. [`KalshiConfig::default`] is a small quiet one on a free loopback port. What the
/// venue's own page leaves open is a knob.
#[derive(Clone, Debug, PartialEq)]
pub struct KalshiConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a certificate authority of the venue's own; plain TCP otherwise.
    pub tls: bool,
    /// Seed of markets and of what happens.
    pub seed: u64,
    /// Markets at the start.
    pub markets: usize,
    /// Orders and trades a second over all markets.
    pub rate: f64,
    /// Of 10,000 of them, how many are trades.
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    pub levels: usize,
    /// Nothing happens before it is resumed.
    pub paused: bool,
    /// Markets that are made in a minute; every third opens 5 s later by time alone.
    pub births_per_minute: f64,
    /// Markets that end in a minute; every other closes by time alone.
    pub deaths_per_minute: f64,
    /// Answer 429 beyond 20 REST requests a second.
    pub rate_limits: bool,
    /// The only key that is let in; any if not given.
    pub key_id: Option<String>,
    /// The public key (PEM) that signatures are verified with; they are only required if not given.
    pub public_key: Option<Vec<u8>>,
    /// Milliseconds by which the time of a signature may be off.
    pub skew_ms_max: u64,
    /// Markets of one subscription; more are refused with code 26.
    pub markets_per_subscription_max: usize,
    /// An `ok` carries the list of markets although `skip_ticker_ack` was asked for.
    pub ok_always_lists: bool,
    /// A `get_snapshot` is answered by an `ok` before its snapshots.
    pub snapshot_ok_first: bool,
    /// Only the first snapshot of a `get_snapshot` bears the command's id.
    pub snapshot_id_on_first: bool,
    /// Every message says when it was sent (`sending_ts_ms`).
    pub sending_ts: bool,
    /// Answers to commands that wait come in another order.
    pub shuffle_acks: bool,
    /// Answers come so many milliseconds late.
    pub ack_delay_ms: u64,
}

impl Default for KalshiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: true,
            seed: 1,
            markets: 200,
            rate: 500.0,
            trades_per_10_000: 300,
            levels: 10,
            paused: false,
            births_per_minute: 2.0,
            deaths_per_minute: 1.0,
            rate_limits: true,
            key_id: None,
            public_key: None,
            skew_ms_max: 30_000,
            markets_per_subscription_max: 10_000,
            ok_always_lists: false,
            snapshot_ok_first: false,
            snapshot_id_on_first: false,
            sending_ts: false,
            shuffle_acks: false,
            ack_delay_ms: 0,
        }
    }
}

impl KalshiConfig {
    /// Refuses what cannot be simulated.
    pub(super) fn check(&self) -> Result<(), SimError> {
        let within = |name: &str, value: f64, most: f64| {
            if (0.0..=most).contains(&value) {
                return Ok(());
            }
            Err(SimError::Config(format!("{name} is {value}; it must be within 0..={most}")))
        };
        within("rate", self.rate, 1e6)?;
        within("births per minute", self.births_per_minute, 60_000.0)?;
        within("deaths per minute", self.deaths_per_minute, 60_000.0)?;
        within("markets", self.markets as f64, 1e6)?;
        within("levels", self.levels as f64, 99.0)?;
        within("trades", self.trades_per_10_000 as f64, 10_000.0)
    }
}

//! What a simulated Kalshi is to be.
//!
//! Runs on:  any.
use super::super::config::SimError;
use super::super::frame::MESSAGE_BYTES_MAX;
use std::net::SocketAddr;

/// What may wait for a client at most, whatever was asked for.
pub(super) const OUTBOUND_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// On which scale the prices of bids for NO are reported to a client that does not say what it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YesPrice {
    /// What NO costs.
    #[default]
    Off,
    /// What YES costs.
    On,
    /// What YES costs, whatever the client says.
    Always,
}

/// The order of levels that are reported at what YES costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YesLevels {
    /// The lowest price first, as everywhere.
    #[default]
    Ascending,
    /// The highest price first: the order of what NO costs is kept.
    Descending,
}

/// Whose commands are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandScope {
    /// Those of a connection.
    #[default]
    Connection,
    /// Those of all connections.
    User,
}

/// Knobs of a simulated Kalshi. [`KalshiConfig::default`] is a small quiet one on a free loopback port. What the
/// documentation leaves open (kalshi/protocol.md) is a knob.
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
    /// Markets of all subscriptions of a connection; more are refused with code 26.
    pub markets_per_session_max: usize,
    /// Commands in a second, of whom `commands_scope` says; more are refused with code 27. 0 is without limit.
    pub commands_per_second_max: u32,
    /// Whose commands `commands_per_second_max` counts.
    pub commands_scope: CommandScope,
    /// Commands to one subscription in a second; more are refused with code 27. 0 is without limit.
    pub commands_per_second_of_subscription_max: u32,
    /// Bytes that wait for a client; a subscription for which there is no more room ends with code 25.
    pub outbound_bytes_max: usize,
    /// Bytes of a message from a client; a longer one ends the connection with close code 1009.
    pub message_bytes_max: usize,
    /// Milliseconds between two pings.
    pub ping_ms: u64,
    /// A client that has sent no pong for so many milliseconds is closed; 0 is never.
    pub pong_timeout_ms: u64,
    /// What leaving out `use_yes_price` means.
    pub yes_price: YesPrice,
    /// The order of levels under `use_yes_price`.
    pub yes_levels: YesLevels,
    /// An `ok` that lists nothing has an empty `msg`, and not none.
    pub ok_empty_msg: bool,
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
            markets_per_session_max: 500_000,
            commands_per_second_max: 10_000,
            commands_scope: CommandScope::Connection,
            commands_per_second_of_subscription_max: 0,
            outbound_bytes_max: 128 * 1024 * 1024,
            message_bytes_max: MESSAGE_BYTES_MAX,
            ping_ms: 10_000,
            pong_timeout_ms: 0,
            yes_price: YesPrice::Off,
            yes_levels: YesLevels::Ascending,
            ok_empty_msg: false,
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
        if self.ping_ms == 0 {
            return Err(SimError::Config("the time between two pings is 0".to_owned()));
        }
        within("outbound bytes", self.outbound_bytes_max as f64, OUTBOUND_BYTES_MAX as f64)?;
        within("message bytes", self.message_bytes_max as f64, MESSAGE_BYTES_MAX as f64)?;
        within("markets", self.markets as f64, 1e6)?;
        within("levels", self.levels as f64, 99.0)?;
        within("trades", self.trades_per_10_000 as f64, 10_000.0)
    }
}

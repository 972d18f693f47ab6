//! Configuration of a simulated Kalshi.
//!
//! Runs on:  any.
use super::super::config::SimError;
use super::super::frame::MESSAGE_BYTES_MAX;
use std::net::SocketAddr;

/// Most bytes queued for a client, independent of the configuration.
pub(super) const OUTBOUND_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Price scale of bids for NO for a client that does not specify one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YesPrice {
    /// NO price.
    #[default]
    Off,
    /// YES price.
    On,
    /// YES price, independent of the client's setting.
    Always,
}

/// Order of levels given as YES prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YesLevels {
    /// Lowest price first, as elsewhere.
    #[default]
    Ascending,
    /// Highest price first: the order of the NO prices.
    Descending,
}

/// Scope of the command rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandScope {
    /// Per connection.
    #[default]
    Connection,
    /// All connections together.
    User,
}

/// Configuration of a simulated Kalshi. [`KalshiConfig::default`] is a small quiet one on a free loopback port. What
/// Kalshi's documentation leaves open (kalshi/protocol.md) is a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct KalshiConfig {
    /// Listening address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS with a generated certificate authority; plain TCP otherwise.
    pub tls: bool,
    /// Seed of markets and activity.
    pub seed: u64,
    /// Markets at the start.
    pub markets: usize,
    /// Orders and trades per second over all markets.
    pub rate: f64,
    /// Trades among 10,000 of them.
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    pub levels: usize,
    /// Start paused.
    pub paused: bool,
    /// New markets per minute; every third opens 5 s later by time only.
    pub births_per_minute: f64,
    /// Ended markets per minute; every second closes by time only.
    pub deaths_per_minute: f64,
    /// Answer 429 above 20 REST requests per second.
    pub rate_limits: bool,
    /// The only accepted key id; any if `None`.
    pub key_id: Option<String>,
    /// Public key (PEM) that verifies signatures; if `None`, a signature is required but not verified.
    pub public_key: Option<Vec<u8>>,
    /// Accepted clock skew of a signature, milliseconds.
    pub skew_ms_max: u64,
    /// Most markets of one subscription; code 26 above.
    pub markets_per_subscription_max: usize,
    /// Most markets of all subscriptions of a connection; code 26 above.
    pub markets_per_session_max: usize,
    /// Commands per second within `commands_scope`; code 27 above. 0 is no limit.
    pub commands_per_second_max: u32,
    /// Scope of `commands_per_second_max`.
    pub commands_scope: CommandScope,
    /// Commands per second to one subscription; code 27 above. 0 is no limit.
    pub commands_per_second_of_subscription_max: u32,
    /// Most queued bytes of a client; a subscription that exceeds it ends with code 25.
    pub outbound_bytes_max: usize,
    /// Longest client message, bytes; a longer one closes the connection with code 1009.
    pub message_bytes_max: usize,
    /// Interval of pings, milliseconds.
    pub ping_ms: u64,
    /// A client without a pong for this time is closed, milliseconds; 0 is never.
    pub pong_timeout_ms: u64,
    /// Meaning of a missing `use_yes_price`.
    pub yes_price: YesPrice,
    /// Order of levels under `use_yes_price`.
    pub yes_levels: YesLevels,
    /// An `ok` without a list has an empty `msg` instead of none.
    pub ok_empty_msg: bool,
    /// An `ok` lists the markets in spite of `skip_ticker_ack`.
    pub ok_always_lists: bool,
    /// A `get_snapshot` is answered with an `ok` before its snapshots.
    pub snapshot_ok_first: bool,
    /// Only the first snapshot of a `get_snapshot` has the command's id.
    pub snapshot_id_on_first: bool,
    /// Every message has its send time (`sending_ts_ms`).
    pub sending_ts: bool,
    /// Answers to waiting commands are sent in random order.
    pub shuffle_acks: bool,
    /// Delay of answers, milliseconds.
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
    /// Refuses an invalid configuration.
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

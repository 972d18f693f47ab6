//! Configuration of a simulated Kalshi.
//!
//! Runs on:  any.
use super::super::config::{SimError, within};
use super::super::frame::MESSAGE_BYTES_MAX;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;

/// Most bytes queued for a client, independent of the configuration.
pub(super) const OUTBOUND_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Price scale of bids for NO for a client that does not specify one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum YesLevels {
    /// Lowest price first, as elsewhere.
    #[default]
    Ascending,
    /// Highest price first: the order of the NO prices.
    Descending,
}

/// Scope of the command rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CommandScope {
    /// Per connection.
    #[default]
    Connection,
    /// All connections together.
    User,
}

/// Configuration of a simulated Kalshi. [`KalshiConfig::default`] is a small quiet one on a free loopback port. What
/// Kalshi's documentation leaves open (kalshi/protocol.md) is a setting.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(next_help_heading = "Kalshi")]
pub struct KalshiConfig {
    /// Listening address; port 0 takes a free one.
    #[arg(skip = SocketAddr::from(([127, 0, 0, 1], 0)))]
    pub listen: SocketAddr,
    /// TLS with a generated certificate authority; plain TCP otherwise.
    #[arg(skip = true)]
    pub tls: bool,
    /// Seed of markets and activity.
    #[arg(skip = 1_u64)]
    pub seed: u64,
    /// Markets at the start.
    #[arg(skip = 200_usize)]
    pub markets: usize,
    /// Orders and trades per second over all markets.
    #[arg(skip = 500.0)]
    pub rate: f64,
    /// Trades among 10,000 of them.
    #[arg(skip = 300_u64)]
    pub trades_per_10_000: u64,
    /// Typical levels on one side of a book.
    #[arg(skip = 10_usize)]
    pub levels: usize,
    /// Start paused.
    #[arg(skip)]
    pub paused: bool,
    /// New markets per minute; every third opens 5 s later by time only.
    #[arg(skip = 2.0)]
    pub births_per_minute: f64,
    /// Ended markets per minute; every second closes by time only.
    #[arg(skip = 1.0)]
    pub deaths_per_minute: f64,
    /// Answer 429 above 20 REST requests per second.
    #[arg(skip = true)]
    pub rate_limits: bool,
    /// The only accepted key id; any without it.
    #[arg(long, value_name = "ID")]
    pub key_id: Option<String>,
    /// Public key (PEM) that verifies signatures; if `None`, a signature is required but not verified.
    #[arg(skip)]
    pub public_key: Option<Vec<u8>>,
    /// Accepted clock skew of a signature, milliseconds.
    #[arg(long = "kalshi-skew-max", default_value_t = 30_000, value_name = "MS")]
    pub skew_ms_max: u64,
    /// Markets of one subscription; more are refused with code 26.
    #[arg(long = "subscription-markets-max", default_value_t = 10_000, value_name = "COUNT")]
    pub markets_per_subscription_max: usize,
    /// Markets of all subscriptions of a connection; more are refused with code 26.
    #[arg(long = "kalshi-session-markets-max", default_value_t = 500_000, value_name = "COUNT")]
    pub markets_per_session_max: usize,
    /// Connections of all clients; more are refused with HTTP 429.
    #[arg(long = "kalshi-connections-max", default_value_t = 200, value_name = "COUNT")]
    pub connections_max: usize,
    /// Commands per second; more are refused with code 27; 0 for no limit.
    #[arg(long = "kalshi-commands-per-second", default_value_t = 10_000, value_name = "COUNT")]
    pub commands_per_second_max: u32,
    /// Scope of the command limit.
    #[arg(long = "kalshi-commands-scope", value_enum, default_value_t, value_name = "WHOSE")]
    pub commands_scope: CommandScope,
    /// Commands to one subscription per second; more are refused with code 27; 0 for no limit.
    #[arg(
        long = "kalshi-subscription-commands-per-second",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub commands_per_second_of_subscription_max: u32,
    /// Outbound buffer of a client; a subscription that finds it full ends with code 25.
    #[arg(long = "kalshi-outbound-bytes-max", default_value_t = 128 << 20, value_name = "BYTES")]
    pub outbound_bytes_max: usize,
    /// Maximum client message; a longer one is answered with close code 1009 [at most 1 MiB].
    #[arg(long = "kalshi-message-bytes-max", default_value_t = MESSAGE_BYTES_MAX, value_name = "BYTES")]
    pub message_bytes_max: usize,
    /// Interval of pings, milliseconds.
    #[arg(long = "kalshi-ping-every", default_value_t = 10_000, value_name = "MS")]
    pub ping_ms: u64,
    /// Time without a pong after which a client is closed, milliseconds; 0 for never.
    #[arg(long = "kalshi-pong-timeout", default_value_t = 0, value_name = "MS")]
    pub pong_timeout_ms: u64,
    /// Meaning of a missing `use_yes_price`.
    #[arg(long = "kalshi-yes-price", value_enum, default_value_t, value_name = "WHEN")]
    pub yes_price: YesPrice,
    /// Order of levels under `use_yes_price`.
    #[arg(long = "kalshi-yes-levels", value_enum, default_value_t, value_name = "ORDER")]
    pub yes_levels: YesLevels,
    /// An `ok` without markets has an empty `msg` rather than none.
    #[arg(long = "kalshi-ok-empty-msg")]
    pub ok_empty_msg: bool,
    /// An `ok` lists the markets even with `skip_ticker_ack`.
    #[arg(long)]
    pub ok_always_lists: bool,
    /// A `get_snapshot` is answered by an `ok` before its snapshots.
    #[arg(long)]
    pub snapshot_ok_first: bool,
    /// Only the first snapshot of a `get_snapshot` has its id.
    #[arg(long)]
    pub snapshot_id_on_first: bool,
    /// Every message has its send time (`sending_ts_ms`).
    #[arg(long)]
    pub sending_ts: bool,
    /// Queued commands are carried out in another order.
    #[arg(long)]
    pub shuffle_acks: bool,
    /// Delay before commands are carried out, milliseconds.
    #[arg(long = "ack-delay", default_value_t = 0, value_name = "MS")]
    pub ack_delay_ms: u64,
}

impl Default for KalshiConfig {
    fn default() -> Self {
        Self::try_parse_from(["venue-sim"]).expect("every flag has a default")
    }
}

impl KalshiConfig {
    /// Refuses an invalid configuration.
    pub(super) fn check(&self) -> Result<(), SimError> {
        within("rate", self.rate, 0.0..=1e6)?;
        within("births per minute", self.births_per_minute, 0.0..=60_000.0)?;
        within("deaths per minute", self.deaths_per_minute, 0.0..=60_000.0)?;
        if self.ping_ms == 0 {
            return Err(SimError::Config("the time between two pings is 0".to_owned()));
        }
        within("outbound bytes", self.outbound_bytes_max, 0..=OUTBOUND_BYTES_MAX)?;
        within("message bytes", self.message_bytes_max, 0..=MESSAGE_BYTES_MAX)?;
        within("markets", self.markets, 0..=1_000_000)?;
        within("levels", self.levels, 0..=99)?;
        within("trades", self.trades_per_10_000, 0..=10_000)
    }
}

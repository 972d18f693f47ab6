//! The flags of `ringbook run`.
//!
//! Runs on:  main thread.
use super::bus::BusFlags;
use super::cores::LayoutFlags;
use super::flags::HistogramFlags;
use super::gateway::GatewayAccessFlags;
use super::replay::venue;
use super::venue::connection_table;
use super::{CLOB_URL, GAMMA_URL, WS_URL};
use crate::base::policy::{ConnectionTable, HashChecks};
use crate::gateway::StalePolicy;
use crate::venue::Feed;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags of `ringbook run`.
///
/// Exit code: 0; 1 when it cannot start, a thread did not end, or trades or frames that were to be kept are
/// missing; 2 for wrong flags.
#[derive(Args, Clone, Debug)]
pub struct RunFlags {
    /// Read flags from this file, in TOML: each key is a flag's name without the dashes. Flags on the command line
    /// replace its keys. `ringbook config --example` prints one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Threads and cores.
    #[command(flatten)]
    pub layout: LayoutFlags,

    /// The venue: polymarket or kalshi; or both with a comma between them, each with shards of its own.
    #[arg(long = "venue", value_name = "VENUE", default_value = "polymarket", value_delimiter = ',', value_parser = venue)]
    pub venues: Vec<Feed>,

    /// Catalog of markets of Polymarket.
    #[arg(long, value_name = "URL", default_value = GAMMA_URL)]
    pub gamma_url: String,

    /// REST order books of Polymarket.
    #[arg(long, value_name = "URL", default_value = CLOB_URL)]
    pub clob_url: String,

    /// Market channel of Polymarket.
    #[arg(long, value_name = "URL", default_value = WS_URL)]
    pub ws_url: String,

    /// Kalshi.
    #[command(flatten)]
    pub kalshi: KalshiFlags,

    /// Trust this certificate authority too (PEM), as venue-sim writes it.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// Answer /health, /stats, /metrics and /book here, as in 127.0.0.1:9300.
    #[arg(long, value_name = "ADDRESS")]
    pub serve: Option<SocketAddr>,

    /// Answer local clients that use this name or address in `Host` too, whatever the port; localhost and the
    /// address of --serve are answered anyway (any address, where that is 0.0.0.0 or `[::]`). Repeatable.
    #[arg(long = "serve-name", value_name = "NAME", requires = "serve")]
    pub serve_names: Vec<String>,

    /// Serve books to clients of the venues' own protocols here, as in 127.0.0.1:9400: Polymarket's WebSocket and
    /// CLOB on this port, Kalshi on the second port after it, /v1/stream on both.
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<SocketAddr>,

    /// What a client of a venue's protocol receives when a book is stale: nothing until it is live again, an empty
    /// book, or the end of the connection (close code 1012).
    #[arg(long, requires = "gateway", value_enum, value_name = "POLICY", default_value = "clear")]
    pub gateway_stale: StalePolicy,

    /// MiB that may wait for one gateway client; a client that is slower gets the latest book instead of each change,
    /// then is closed (code 1013).
    #[arg(long, requires = "gateway", value_name = "MIB", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub gateway_buffer: u32,

    /// Follow the markets that clients of the gateway subscribe to and that are not followed yet.
    #[arg(long, requires = "gateway")]
    pub gateway_follow: bool,

    /// TLS and signatures of the gateway.
    #[command(flatten)]
    pub gateway_access: GatewayAccessFlags,

    /// Write the best prices of every book into this file in shared memory, as in /dev/shm/ringbook, for programs on
    /// the same machine; `ringbook::guide::prices` has its layout.
    #[arg(long, value_name = "FILE")]
    pub shm: Option<PathBuf>,

    /// /health reports messages that are more than so many seconds old when they are read: as a notice, after 30 s
    /// as a fault. 0 is never.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(0..=600))]
    pub lag_warn: u64,

    /// Histograms at exit.
    #[command(flatten)]
    pub histograms: HistogramFlags,

    /// Keep histograms of each connection too (70 KB each) and write connections.txt beside the
    /// others.
    #[arg(long, requires = "histograms")]
    pub connection_histograms: bool,

    /// Which hashes of the venue's are compared with our books: off, sampled (one group of changes in
    /// 256) or all (some microseconds each). Best prices are always compared.
    #[arg(long, value_name = "WHICH", default_value = "sampled")]
    pub verify_hash: HashChecks,

    /// Compare every live book with the venue's REST interface once in so many seconds; 0 is never. A
    /// book or connection whose messages stopped unnoticed is found by that.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub audit: u32,

    /// Bounds of the engine's own REST services (polymarket-gamma, polymarket-clob, kalshi-rest) from a
    /// file as `ringbook pools --example` prints it: connections, times, rate, probe. Addresses are those of the
    /// flags.
    #[arg(long, value_name = "FILE")]
    pub pools: Option<PathBuf>,

    /// Give each connection of Polymarket a second one with the same markets: the first arrival of every message is
    /// applied, and how often each was first, by how much, and what only one had is counted. Kalshi's connections are
    /// not raced: an account may have few.
    #[arg(long)]
    pub race: bool,

    /// The database of trades.
    #[command(flatten)]
    pub trades: TradeFlags,

    /// The capture.
    #[command(flatten)]
    pub capture: CaptureFlags,

    /// The bus.
    #[command(flatten)]
    pub bus: BusFlags,

    /// Follow this market (condition id or slug), whatever discovery finds. Repeatable.
    #[arg(long = "market", value_name = "ID")]
    pub markets: Vec<String>,

    /// Follow the market of this token. Repeatable.
    #[arg(long = "token", value_name = "ID")]
    pub tokens: Vec<String>,

    /// Follow only what --market and --token name.
    #[arg(long)]
    pub no_discovery: bool,

    /// Follow at most so many markets.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub markets_max: Option<u32>,

    /// Do not ask the stream for new and resolved markets; discovery finds them within a minute.
    #[arg(long)]
    pub no_custom_features: bool,

    /// Stop by itself after so many seconds; 0 runs until a signal.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub duration: u64,
}

/// Kalshi: key, addresses, connections.
#[derive(Args, Clone, Debug)]
pub struct KalshiFlags {
    /// Id of the API key (a UUID) that --kalshi-key belongs to.
    #[arg(long, value_name = "ID")]
    pub kalshi_key_id: Option<String>,

    /// The private key (PEM) with which every connection is signed. Nobody but its owner may read it.
    #[arg(long, value_name = "FILE")]
    pub kalshi_key: Option<PathBuf>,

    /// Which of the venue's environments: prod or demo. Keys belong to one of them.
    #[arg(long, value_name = "NAME", default_value = "prod")]
    pub kalshi_env: KalshiEnvironment,

    /// Another REST interface, as in https://127.0.0.1:8444/trade-api/v2.
    #[arg(long, value_name = "URL")]
    pub kalshi_rest_url: Option<String>,

    /// Another WebSocket, as in wss://127.0.0.1:8444/trade-api/ws/v2.
    #[arg(long, value_name = "URL")]
    pub kalshi_ws_url: Option<String>,

    /// Allow http:// and ws:// in these addresses: signed requests travel unencrypted. For a simulated venue.
    #[arg(long)]
    pub kalshi_plain_text: bool,

    /// Connections for tickers, trades, the life of markets, and books.
    #[arg(long, value_name = "T,T,L,B", default_value = "2,2,2,144", value_parser = connection_table)]
    pub kalshi_connections: ConnectionTable,

    /// Put at most so many markets on one connection; what the venue refuses as too many is learnt.
    #[arg(long, value_name = "COUNT", default_value_t = 7500,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub kalshi_markets_per_connection: u32,

    /// Compare every live book with the REST interface once in so many seconds; 0 is never. What differs is
    /// counted, and asked for again on the book's connection.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub kalshi_rest_poll: u32,

    /// Follow combos too (tickers that begin with KXMVE; some hundred are made a minute).
    #[arg(long)]
    pub kalshi_combos: bool,
}

/// The trade database.
#[derive(Args, Clone, Debug)]
pub struct TradeFlags {
    /// Store every trade in this database: sqlite:FILE, or postgres://USER@HOST/DATABASE (with
    /// passfile=FILE, sslmode=disable or verify-full, sslrootcert=FILE). Other programs may read it
    /// meanwhile.
    #[arg(long, value_name = "DATABASE")]
    pub trades: Option<String>,

    /// File in which trades wait while the database is away. Default: beside it.
    #[arg(long, value_name = "FILE", requires = "trades")]
    pub trades_journal: Option<PathBuf>,

    /// Store at most so many trades in one transaction.
    #[arg(long, requires = "trades", value_name = "COUNT", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub trades_batch: u32,

    /// A trade waits for others at most so many milliseconds.
    #[arg(long, requires = "trades", value_name = "MS", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub trades_batch_ms: u64,
}

/// The capture.
#[derive(Args, Clone, Debug)]
pub struct CaptureFlags {
    /// Write every received frame, every sent text and the state changes of books into this folder;
    /// `ringbook replay DIR` rebuilds the same books. The folder may hold earlier captures.
    #[arg(long, value_name = "DIR")]
    pub capture: Option<PathBuf>,

    /// A record waits for others at most so many milliseconds: what a killed process may lose.
    #[arg(long, requires = "capture", value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub capture_flush_ms: u64,

    /// Begin another file when one has so many megabytes, compressed.
    #[arg(long, requires = "capture", value_name = "MB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub capture_file_mb: u64,

    /// Begin another file after so many minutes.
    #[arg(long, requires = "capture", value_name = "MINUTES", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub capture_file_minutes: u64,

    /// Write an image of each live book once in so many seconds, so that `ringbook book` reads no more than that; 0 is
    /// never.
    #[arg(long, requires = "capture", value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(0..=300))]
    pub capture_images: u64,

    /// Remove finished files of the folder whose last record is older than so many days. Default: none.
    #[arg(long, value_name = "DAYS", requires = "capture",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub capture_keep_days: Option<u32>,

    /// Remove the oldest finished files of the folder while it has more than so many gigabytes. Default: none.
    #[arg(long, value_name = "GB", requires = "capture",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub capture_keep_gb: Option<u32>,

    /// Run this command of the shell for each closed file, with its path as the last argument: a script that uploads
    /// it, or as in 'cp -t /mnt/backup'. A failure is logged and counted.
    #[arg(long, value_name = "CMD", requires = "capture")]
    pub capture_on_close: Option<String>,
}

/// Kalshi's environments; keys belong to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KalshiEnvironment {
    /// The exchange.
    Prod,
    /// The test exchange.
    Demo,
}

impl ValueEnum for HashChecks {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for StalePolicy {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Hold, Self::Clear, Self::Close]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Hold => "hold",
            Self::Clear => "clear",
            Self::Close => "close",
        }))
    }
}

//! The flags of the command line: names, help, defaults.
//!
//! Runs on:  main thread.
use super::bus::{BusFlags, TailFlags};
use super::gateway::GatewayAccessFlags;
use super::replay::venue;
use super::venue::connection_table;
use super::{
    CLOB_URL, GAMMA_URL, WS_URL,
    archive::{CaptureArgs, ImportArgs},
    bench_live::{BenchGatewayFlags, BenchLiveFlags},
    book::BookArgs,
    export::{CandlesArgs, ExportArgs},
    file::{FileError, Settings, with_file},
    plot::PlotArgs,
    replay::ReplayArgs,
    replay_gateway::GatewayArgs,
};
use crate::base::policy::{ConnectionTable, HashChecks, Idle};
use crate::gateway::StalePolicy;
use crate::io::driver::Driver;
use crate::venue::Feed;
use clap::builder::PossibleValue;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Every order book of a prediction market on one machine, live or replayed.
#[derive(Debug, Parser)]
#[command(name = "ringbook", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How much to log: error, warn, info, debug.
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    pub log: log::LevelFilter,

    /// What is taken from the file of `run --config`.
    #[arg(skip)]
    pub file: Option<Settings>,
}

impl Cli {
    /// Reads a command line and the file of `run --config`; ends the process with a message where the command line is
    /// wrong or asks for help.
    ///
    /// # Errors
    /// [`FileError`]: the faults of the file.
    pub fn of(line: Vec<OsString>) -> Result<Self, FileError> {
        let (line, file) = with_file(line)?;
        match Self::try_parse_from(&line) {
            Ok(cli) => Ok(Self { file, ..cli }),
            Err(error) => match file.and_then(|file| file.fault(&line, &error)) {
                Some(fault) => Err(fault),
                None => error.exit(),
            },
        }
    }

    /// The script with a shell's completions.
    #[must_use]
    pub fn completions(shell: Shell) -> String {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Self::command(), "ringbook", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }

    /// Writes the manual pages: `ringbook.1`, and one for each subcommand.
    ///
    /// # Errors
    /// The folder cannot be made, or a page cannot be written.
    pub fn write_manual(folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(Self::command(), folder)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the venue live.
    Run(Box<RunFlags>),
    /// Follow a simulated venue (embedded, over TLS on loopback) and check every book at the end.
    Demo(Box<DemoFlags>),
    /// Measure latency against a simulated venue at rising rates, until something saturates.
    BenchLive(Box<BenchLiveFlags>),
    /// Measure latency and throughput of the gateway with clients of this process.
    BenchGateway(Box<BenchGatewayFlags>),
    /// Replay captures: the benchmark mode.
    Replay(ReplayArgs),
    /// Serve recorded days in the venues' own protocols.
    Gateway(GatewayArgs),
    /// Print the books of one market as they were at some time of a capture.
    Book(BookArgs),
    /// List, verify, cut and compress captures.
    Capture(CaptureArgs),
    /// Make a capture of recordings of other tools.
    Import(ImportArgs),
    /// Write captures or a database of trades as Parquet.
    Export(ExportArgs),
    /// Make candles of the trades of a database or of captures.
    Candles(CandlesArgs),
    /// Draw one market of a capture: price, depth, trades.
    Plot(PlotArgs),
    /// Compare every book of a running engine with the venue's own, level by level.
    Compare(CompareFlags),
    /// Print the records that engines publish with `run --bus`, one JSON object a line.
    Tail(TailFlags),
    /// Watch a running engine in the terminal: what is well, connections, markets, latency.
    Top(TopFlags),
    /// Print the threads, cores and links that a command line would start.
    Topology(LayoutFlags),
    /// Check the host, setting by setting: value, verdict, remedy. Changes nothing.
    Doctor(DoctorFlags),
    /// Probe every service of a configuration and print a table; with --listen, keep their connections and forward
    /// HTTP and WebSocket over them.
    Pools(PoolsFlags),
    /// Print every metric of /metrics: name, unit, meaning, what to do when it rises.
    Counters,
    /// Print an example of the file that `run --config` reads, or check one.
    Config(ConfigFlags),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages: ringbook(1) and one for each command.
    Man {
        /// Folder for the pages; made where it is missing.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Flags of `ringbook config`.
///
/// Exit code: 0; 2 when the file has faults.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct ConfigFlags {
    /// Print a file with every key in comments: what it is, and its default.
    #[arg(long)]
    pub example: bool,

    /// Check this file as `run --config` would, and print all its faults.
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

/// An idle policy.
fn idle(text: &str) -> Result<Idle, String> {
    Idle::parse(text)
        .ok_or_else(|| "use park, adaptive, adaptive:CPU% such as adaptive:50%, or spin".to_owned())
}

impl ValueEnum for HashChecks {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for Driver {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Epoll, Self::Native]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Epoll => "epoll",
            Self::Native => "native",
        }))
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

/// Kalshi's environments; keys belong to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KalshiEnvironment {
    /// The exchange.
    Prod,
    /// The test exchange.
    Demo,
}

/// Threads and cores.
#[derive(Args, Clone, Debug, Default)]
pub struct LayoutFlags {
    /// Core of the control thread (registry, discovery, dials). Default: not pinned, or the first
    /// core where there are enough.
    #[arg(long, value_name = "CORE")]
    pub control_core: Option<u32>,

    /// Shards and their cores.
    #[command(flatten)]
    pub shards: ShardFlags,

    /// Core of the serve thread (--serve). Default: that of the control thread.
    #[arg(long, value_name = "CORE")]
    pub serve_core: Option<u32>,

    /// What a shard does without work: park (sleep until woken), adaptive (poll while messages come
    /// often enough, otherwise sleep), adaptive:CPU% (the same within so much CPU time) or
    /// spin (poll; lowest delay, needs a core of its own). Default: park.
    #[arg(long, value_name = "POLICY", value_parser = idle)]
    pub idle: Option<Idle>,

    /// Readiness driver of the shards: epoll (an epoll set of the shard) or native (the runtime's
    /// reactor, slower; for comparison).
    #[arg(long, value_name = "DRIVER", default_value = "epoll")]
    pub driver: Driver,
}

/// Shards and their cores. A replay without them has one shard, on no core of its own.
#[derive(Args, Clone, Debug, Default)]
pub struct ShardFlags {
    /// Cores of the shards, one shard a core, as in 1-3,5. Default: all but the control core; `replay` pins
    /// nothing.
    #[arg(long, value_name = "CORES")]
    pub shard_cores: Option<String>,

    /// Number of shards, where --shard-cores does not say. More shards than cores share cores.
    #[arg(long, value_name = "COUNT")]
    pub shards: Option<u16>,
}

/// Histograms at exit.
#[derive(Args, Clone, Debug)]
pub struct HistogramFlags {
    /// Write latency histograms into this folder at exit (text and HdrHistogram logs).
    #[arg(long, value_name = "DIR")]
    pub histograms: Option<PathBuf>,
}

/// Flags of `ringbook doctor`.
///
/// Exit code: 0; 1 when something prevents running; 2 for wrong flags or a wrong profile.
#[derive(Args, Clone, Debug)]
pub struct DoctorFlags {
    /// The layout that the host is to carry.
    #[command(flatten)]
    pub layout: LayoutFlags,

    /// Expected host: laptop, vm-2, server-32, or a file. Default: what fits it best.
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,

    /// Also measure for so many seconds: what interrupts each core, how late a sleeping thread
    /// wakes up. Loads the cores meanwhile.
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=600))]
    pub measure: u64,
}

/// Flags of `ringbook pools`.
///
/// Exit code: 0; 1 when a service is down, or the pools cannot start; 2 for wrong flags or a wrong configuration.
#[derive(Args, Clone, Debug)]
pub struct PoolsFlags {
    /// Services, in TOML.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Until a signal, forward http://ADDRESS/SERVICE/path and ws://ADDRESS/SERVICE over the services' pooled
    /// connections, and answer /stats and /metrics; as in 127.0.0.1:9500.
    #[arg(long, value_name = "ADDRESS", requires = "config", conflicts_with_all = ["example", "timeout"])]
    pub listen: Option<SocketAddr>,

    /// Listen without TLS on an address that is not of this host.
    #[arg(long, requires = "listen")]
    pub listen_insecure: bool,

    /// Answer clients that use this name or address in `Host` too, whatever the port; localhost and the address of
    /// --listen are answered anyway. Repeatable.
    #[arg(long = "listen-name", value_name = "NAME", requires = "listen")]
    pub listen_names: Vec<String>,

    /// Print a configuration to begin with, and end.
    #[arg(long)]
    pub example: bool,

    /// Print one JSON array; with --listen, at the end.
    #[arg(long)]
    pub json: bool,

    /// Trust this certificate authority too (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// A service that has not answered within so many milliseconds is down.
    #[arg(long, value_name = "MS", default_value_t = 5000,
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout: u64,
}

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
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
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

/// Flags of `ringbook demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoFlags {
    /// Threads and cores.
    #[command(flatten)]
    pub layout: LayoutFlags,

    /// Serve books in Polymarket's own protocol and at /v1/stream here, as in 127.0.0.1:9400.
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<SocketAddr>,

    /// TLS and signatures of the gateway.
    #[command(flatten)]
    pub gateway_access: GatewayAccessFlags,

    /// Markets of the embedded venue, two tokens each.
    #[arg(long, value_name = "COUNT", default_value_t = 2000)]
    pub markets: u32,

    /// Events a second over all markets.
    #[arg(long, value_name = "EVENTS", default_value_t = 2000.0)]
    pub rate: f64,

    /// Typical levels on one side of a book.
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    pub levels: u32,

    /// How bursty events come: 0 evenly, 1 as recorded sessions.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub burst: f64,

    /// Seed of the venue's scenario.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,

    /// Plain TCP instead of TLS.
    #[arg(long)]
    pub plain: bool,

    /// How many seconds to follow the venue before the check.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub duration: u64,

    /// Answer /health, /stats, /metrics and /book here. Default: a free port on loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub serve: SocketAddr,

    /// Write the best prices of every book into this file in shared memory, as in /dev/shm/ringbook, for programs on
    /// the same machine; `ringbook::guide::prices` has its layout.
    #[arg(long, value_name = "FILE")]
    pub shm: Option<PathBuf>,

    /// Histograms at exit.
    #[command(flatten)]
    pub histograms: HistogramFlags,
}

/// Flags of `ringbook top`.
///
/// Exit code: 0; 1 when no engine answers at the start or the terminal fails; 2 when standard output is no terminal.
#[derive(Args, Clone, Debug)]
pub struct TopFlags {
    /// The running engine (its --serve address).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9300")]
    pub url: String,

    /// Seconds between two questions to it.
    #[arg(long, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
}

/// Flags of `ringbook compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareFlags {
    /// The running engine (its --serve address).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9300")]
    pub engine_url: String,

    /// Catalog of markets.
    #[arg(long, value_name = "URL", default_value = GAMMA_URL)]
    pub gamma_url: String,

    /// The venue's own books.
    #[arg(long, value_name = "URL", default_value = CLOB_URL)]
    pub clob_url: String,

    /// Trust this certificate authority too (PEM), as venue-sim writes it.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

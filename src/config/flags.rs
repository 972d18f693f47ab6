//! The commands, and the flags of those without a file of their own: names, help, defaults.
//!
//! Runs on:  main thread.
use super::bus::{ClusterCommand, TailFlags};
use super::cores::LayoutFlags;
use super::gateway::GatewayAccessFlags;
use super::run::RunFlags;
use super::{
    CLOB_URL, GAMMA_URL,
    archive::{CaptureArgs, ImportArgs},
    bench_live::{BenchGatewayFlags, BenchLiveFlags},
    book::BookArgs,
    export::{CandlesArgs, ExportArgs},
    file::{FileError, Settings, with_file},
    plot::PlotArgs,
    replay::ReplayArgs,
    replay_gateway::GatewayArgs,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
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
    /// Look at the machines of a cluster (`run --cluster`).
    Cluster {
        /// What to do.
        #[command(subcommand)]
        command: ClusterCommand,
    },
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

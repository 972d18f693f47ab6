//! The flags of `ringbook bench-live` and `ringbook bench-gateway`.
//!
//! Runs on:  main thread.
use super::cores::LayoutFlags;
use std::path::PathBuf;

/// What both benchmarks measure on.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchFlags {
    /// Which thread runs where. Without --shards or --shard-cores there is one shard.
    #[command(flatten)]
    pub layout: LayoutFlags,

    /// Measured seconds of a step, 1 to 600.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,

    /// Seconds at the step's rate before they are measured, 0 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warm_up: u64,

    /// Markets of the embedded venue, two tokens each.
    #[arg(long, value_name = "COUNT", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub markets: u32,

    /// Spread the tokens evenly over about so many connections. Default: as `run` does, 400 on each.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: Option<u32>,

    /// Typical levels on one side of a book.
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    pub levels: u32,

    /// How bursty changes come: 0 evenly, 1 as recorded sessions.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    pub burst: f64,

    /// Seed of the venue's scenario.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,

    /// Plain TCP instead of TLS from the venue.
    #[arg(long)]
    pub plain: bool,

    /// Core of the venue's thread, which polls while it measures. Default: one without a shard, if
    /// there is one.
    #[arg(long, value_name = "CORE")]
    pub venue_core: Option<u32>,

    /// Write percentiles as a plot.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print the results as one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Follow an embedded venue at rising rates and print how long each change took from its intended
/// sending to the changed book.
///
/// The venue sends open loop: every change has a time fixed beforehand and carries it, so that
/// whoever falls behind shows as latency. How late the venue itself was is shown apart. The ladder
/// ends after the first step that was not kept up with. At the end every live book is compared with
/// the venue's own.
///
/// Exit code: 0; 1 when a book differs or the run is not possible; 2 for wrong flags.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchLiveFlags {
    /// What is measured on.
    #[command(flatten)]
    pub bench: BenchFlags,

    /// Level changes a second, one step each, rising; `k` and `M` may follow a number.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "1000,2000,5000,10000,20000,50000,100000,200000"
    )]
    pub rates: String,

    /// Measure every rate, even after one that was not kept up with.
    #[arg(long)]
    pub all_rates: bool,
}

/// What the clients of the gateway speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GatewayProtocol {
    /// Polymarket's market channel.
    Market,
    /// ringbook's own stream.
    Stream,
}

/// Follow an embedded venue through the gateway with clients of this process and print how long a
/// change took from its read by the shard to the frame written to a client.
///
/// The venue sends open loop, as in bench-live. Clients are plain sockets on one thread that counts
/// frames; the first one of each step builds its books, which are compared with the venue's. Each
/// number of clients is one step per rate.
///
/// Exit code: 0; 1 when a book differs or the run is not possible; 2 for wrong flags.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchGatewayFlags {
    /// What is measured on.
    #[command(flatten)]
    pub bench: BenchFlags,

    /// Level changes a second, rising; `k` and `M` may follow a number.
    #[arg(long, value_name = "LIST", default_value = "10000")]
    pub rates: String,

    /// Clients, one step each and rate.
    #[arg(long, value_name = "LIST", default_value = "0,1,100,1000")]
    pub clients: String,

    /// Tokens of each client: one number, or one for each of --clients.
    #[arg(long, value_name = "LIST", default_value = "0,4000,1600,160")]
    pub tokens: String,

    /// What the clients speak.
    #[arg(long, value_name = "PROTOCOL", default_value = "market")]
    pub protocol: GatewayProtocol,

    /// The last client of each step with two or more never reads.
    #[arg(long)]
    pub never_reads: bool,

    /// The serve thread polls instead of sleeping; it needs a core of its own. Default: as the shards.
    #[arg(long)]
    pub serve_spin: bool,

    /// Core of the clients' thread. Default: not pinned.
    #[arg(long, value_name = "CORE")]
    pub clients_core: Option<u32>,

    /// The clients read at this interval, so that no write has to wake them. Default: as soon as data is there.
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub clients_read_us: Option<u64>,
}

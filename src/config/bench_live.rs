//! The flags of `ringbook bench-live`.
//!
//! Runs on:  main thread.
use super::flags::LayoutFlags;
use std::path::PathBuf;

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
    /// Which thread runs where. Without --shards or --shard-cores there is one shard.
    #[command(flatten)]
    pub layout: LayoutFlags,

    /// Level changes a second, one step each, rising; `k` and `M` may follow a number.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "1000,2000,5000,10000,20000,50000,100000,200000"
    )]
    pub rates: String,

    /// Measured seconds of a step, 1 to 600.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,

    /// Seconds at the step's rate before they are measured, 0 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warm_up: u64,

    /// Measure every rate, even after one that was not kept up with.
    #[arg(long)]
    pub all_rates: bool,

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

    /// Plain TCP instead of TLS.
    #[arg(long)]
    pub plain: bool,

    /// Core of the venue's thread, which polls while it measures. Default: one without a shard, if
    /// there is one.
    #[arg(long, value_name = "CORE")]
    pub venue_core: Option<u32>,

    /// Write percentiles by rate as a plot.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print the results as one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

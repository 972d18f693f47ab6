//! The flags of `ringbook replay`.
//!
//! Runs on:  the starting thread.
use crate::base::limits::REPLAY_SHARDS_MAX;
use crate::io::file::Source;
use crate::replay::plan::{Plan, Speed};
use std::path::PathBuf;

/// Feed recorded frames through the live decoder and books, and print how fast that was.
///
/// FILE holds frames, one a line: as received, as capture records ({"t":..,"c":..,"s":..,"k":"t",
/// "f":FRAME}), or wrapped ({"recv_ns":..,"raw":"FRAME"}, {"msg":FRAME}). It may be plain,
/// zstd or gzip, whatever its name. Subscriptions are implied by what appears.
///
/// Exit code: 0; 1 when a file cannot be read to its end (what was read is replayed and printed);
/// 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files in order; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Shard threads; every market belongs to one
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(REPLAY_SHARDS_MAX)))]
    pub shards: u16,

    /// Passes over all files; books are forgotten in between, counts add up
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// `max`, or a multiple of the recorded speed such as `1x` or `2.5x` (needs receive times)
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub speed: Speed,

    /// Print the results as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Write every final book here: sorted by token, one a line, as the CLOB's /book and its state
    #[arg(long, value_name = "FILE")]
    pub books_out: Option<PathBuf>,
}

impl ReplayArgs {
    /// Checks the flags against each other.
    ///
    /// # Errors
    /// Which is wrong and what to use instead, in words for a person: *say it, exit code 2*.
    pub fn plan(&self) -> Result<Plan, String> {
        let files = self.files.iter().cloned().map(Source::of).collect();
        Plan::new(files, self.shards, self.repeat, self.speed, self.books_out.clone())
    }
}

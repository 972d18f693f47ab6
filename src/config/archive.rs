//! The flags of `ringbook capture`.
//!
//! Runs on:  the starting thread.
use super::replay::{range, time, venue};
use super::replay_gateway::{recordings, within};
use crate::replay::Recording;
use crate::venue::Feed;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// List, verify, cut, merge and compress captures.
#[derive(Clone, Debug, clap::Args)]
pub struct CaptureArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CaptureCommand,
}

/// What to do with captures.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CaptureCommand {
    /// List the days of captures: times, files, sizes, gaps.
    Ls(ListArgs),
    /// Read captures whole, and compare them with their indices and manifests.
    Verify(FolderArgs),
    /// Write a part of captures, by time or market, as a capture of its own.
    Cut(CutArgs),
    /// Write the captures of several machines as one without repetition.
    Merge(MergeArgs),
    /// Compress finished files more; replays are the same.
    Compact(CompactArgs),
}

/// Folders of captures.
///
/// Exit code: 0; 1 when a file is missing, shorter than its index or manifest says, or damaged, with a line for each
/// fault; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct FolderArgs {
    /// Folders of captures, or a folder of such folders
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
}

impl FolderArgs {
    /// The folders with captures.
    ///
    /// # Errors
    /// A folder cannot be listed; exit code 1.
    pub fn folders(&self) -> Result<Vec<PathBuf>, String> {
        let found = self.captures.iter().map(|path: &PathBuf| within(Path::new(path)));
        Ok(found.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// Flags of `ringbook capture ls`.
///
/// Exit code: 0; 1 when a folder has no capture or cannot be read; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// The folders.
    #[command(flatten)]
    pub folders: FolderArgs,

    /// List the markets whose books were opened too: reads the captures whole
    #[arg(long)]
    pub markets: bool,

    /// Print JSON on a terminal too: a line for each day and market
    #[arg(long)]
    pub json: bool,
}

/// Flags of `ringbook capture cut`.
///
/// The books of an engine depend on all it has received: the part begins at the start of the engine that was recording
/// at --from, and its replay has the books of the whole.
///
/// Exit code: 0; 1 when nothing is in the range, a market has no book, a file is damaged (the rest is written), or the
/// output cannot be written; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct CutArgs {
    /// The folders, of one machine, in any order.
    #[command(flatten)]
    pub folders: FolderArgs,

    /// Folder of the part, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Leave out engines that were replaced before this time (2026-11-27T07:15:00Z, or nanoseconds since 1970)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<u64>,

    /// Leave out what was received at this time and later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<u64>,

    /// Only this market: a slug, a condition id, a token id or a ticker; may be repeated
    #[arg(long, value_name = "MARKET")]
    pub market: Vec<String>,
}

impl CutArgs {
    /// The range of receive times.
    ///
    /// # Errors
    /// One line: it is empty; exit code 2.
    pub fn range(&self) -> Result<Range<u64>, String> {
        let range = range(self.from, self.to, ["--from", "--to"])?;
        Ok(range.unwrap_or(0..u64::MAX))
    }
}

/// Flags of `ringbook capture merge`.
///
/// Each market is taken from one capture at a time; where messages are missing there it continues with another one. The
/// clocks of the machines must agree.
///
/// Exit code: 0; 1 when something is missing in every capture or an input is damaged, with a line for each (the rest is
/// written), or the output cannot be written; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// The captures, of one venue, one for each machine, the preferred one first; each a folder, or a folder of such
    /// folders
    #[arg(value_name = "CAPTURE", required = true, num_args = 2..)]
    pub captures: Vec<PathBuf>,

    /// Folder of the merged capture, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

impl MergeArgs {
    /// One recording for each machine, with its name.
    ///
    /// # Errors
    /// A file cannot be read, its venue is not recognized, or one has two venues; exit code 1.
    pub fn recordings(&self) -> Result<Vec<(Recording, String)>, String> {
        let of = |path: &PathBuf| {
            let mut found = recordings(std::slice::from_ref(path), None)?;
            match (found.pop(), found.is_empty()) {
                (Some(recording), true) => Ok((recording, path.display().to_string())),
                _ => Err(format!(
                    "{}: captures of both venues: merge those of each venue",
                    path.display()
                )),
            }
        };
        self.captures.iter().map(of).collect()
    }
}

/// Flags of `ringbook capture compact`.
///
/// A file is replaced after its new form was read again and compared; if anything fails it stays as it was.
///
/// Exit code: 0; 1 when a file cannot be compressed, with a line for each; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct CompactArgs {
    /// The folders.
    #[command(flatten)]
    pub folders: FolderArgs,

    /// Only finished files whose last record is older than so many days; 0 for all finished files
    #[arg(long, value_name = "DAYS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=36_500))]
    pub older_than_days: u32,

    /// Level of zstd: smaller and slower
    #[arg(long, value_name = "LEVEL", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub level: i32,
}

/// Make a capture of recordings of other tools.
///
/// Frames are kept byte for byte, with their receive times and connections where the lines have them. Without receive
/// times the venue's stand in their place. What is missing in a file is a loss in the capture: its books are stale
/// there.
///
/// Exit code: 0; 1 when something is missing or cannot be read (a line for each kind; the rest is written), or the
/// output cannot be written; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// Recordings as `ringbook replay` reads them, of one venue, in order; or levels.parquet of `ringbook export`
    #[arg(value_name = "RECORDING", required = true)]
    pub recordings: Vec<PathBuf>,

    /// Folder of the capture, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Venue of the recordings: polymarket or kalshi [default: recognized by the first message of each file]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,
}

impl ImportArgs {
    /// Whether these are tables of `ringbook export`.
    #[must_use]
    pub fn has_tables(&self) -> bool {
        self.recordings.iter().all(|path| path.extension().is_some_and(|end| end == "parquet"))
    }

    /// The recording.
    ///
    /// # Errors
    /// A file cannot be read, its venue is not recognized, or there are two; exit code 1.
    pub fn recording(&self) -> Result<Recording, String> {
        let mut found = recordings(&self.recordings, self.venue)?;
        match (found.pop(), found.is_empty()) {
            (Some(recording), true) => Ok(recording),
            _ => Err("these are recordings of both venues: import each with --venue VENUE and an --out of its own".to_owned()),
        }
    }
}

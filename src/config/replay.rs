//! The flags of `ringbook replay`.
//!
//! Runs on:  the starting thread.
use super::cores::ShardFlags;
use super::flags::HistogramFlags;
use super::{UsageError, shard_cores};
use crate::io::executor::usable_cores;
use crate::io::file::{Source, look, same_file, segments};
use crate::io::progress::Progress;
use crate::replay::plan::{Plan, Speed, parse_time};
use crate::replay::{Recording, venue_of};
use crate::topology::{RequestedLayout, Topology};
use crate::venue::{self, Feed};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Which part of recordings a command reads.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PartFlags {
    /// Whose frames they are: polymarket or kalshi. Of recordings of both, those of the other venue are left out
    /// [default: recognized by the first message of each file]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// Begin here (2026-11-27T07:15:00Z, or nanoseconds since 1970), not at the first record
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<u64>,

    /// End here: leave out what was received at that time and later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<u64>,
}

impl PartFlags {
    /// The range of receive times, if one is given.
    ///
    /// # Errors
    /// One line: it is empty.
    pub fn range(&self) -> Result<Option<Range<u64>>, String> {
        range(self.from, self.to, ["--from", "--to"])
    }
}

/// Feed recorded frames through the live decoder and books, and print how fast that was.
///
/// FILE holds frames, one a line: as received, as capture records ({"t":..,"c":..,"s":..,"k":"t",
/// "f":FRAME}), behind a time (TIME FRAME), or in an envelope: FRAME as an object, a list or a JSON string under raw,
/// data, payload, message, msg, frame or body, with the receive time beside it (recv_ns, received_at, local_timestamp,
/// ts, ..). It may be plain, zstd or gzip, whatever its name. Subscriptions are implied by what appears, unless it is a
/// capture of `ringbook run --capture DIR`: then the very books of that run come of it, and are compared with the
/// proofs in it. DIR stands for all files in it. In a range (--from, --to) books begin
/// with images of before in such a capture, else with their first snapshot. Of
/// captures of both venues, each venue has a summary of its own.
///
/// Exit code: 0; 1 when a file cannot be read to its end, is empty, damaged or missing, holds NUL bytes or lines
/// beyond every bound, or when none of its lines is understood (what was read is replayed and printed); 2 for wrong
/// flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files or folders of captures, in order; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Shards and their cores.
    #[command(flatten)]
    pub shards: ShardFlags,

    /// Venue and range of time.
    #[command(flatten)]
    pub part: PartFlags,

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

    /// Draw message rate, lag (venue time to receive time) and latency of this replay over the recorded time, with gaps
    /// and lost connections, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// Write every final book here: sorted by token, one a line, as the CLOB's /book and its state; those of a second
    /// venue behind those of the first
    #[arg(long, value_name = "FILE")]
    pub books_out: Option<PathBuf>,

    /// Histograms at exit.
    #[command(flatten)]
    pub histograms: HistogramFlags,
}

impl ReplayArgs {
    /// Checks the flags together: a plan for each venue.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn plans(&self) -> Result<Vec<Plan>, String> {
        let files = files(&self.files)?;
        let range = self.part.range()?;
        let (shards, cores) = self.layout().map_err(|error| error.0)?;
        let plan = |files| -> Result<Plan, String> {
            let books_out = self.books_out.clone();
            let plan = Plan::new(files, shards, self.repeat, self.speed, books_out)?;
            let plan = plan.on_cores(cores.clone()).between(range.clone());
            Ok(plan.measuring_day(self.plot.is_some()))
        };
        if let Some(out) = &self.plot {
            check_output("--plot", out, &files)?;
            if self.books_out.as_ref() == Some(out) {
                return Err("--plot and --books-out name one file; give each its own".into());
            }
        }
        // What no plan can have is reported of all files.
        let whole = plan(files.clone())?;
        let Some(recordings) = by_venue(files, self.part.venue) else {
            return Ok(vec![whole.of(venue::ALL[0])]);
        };
        let of = |(place, Recording { feed, files }): (usize, Recording)| {
            Ok(plan(files)?.of(feed).appending_books(place > 0))
        };
        recordings.into_iter().enumerate().map(of).collect()
    }
}

impl ReplayArgs {
    /// The number of shards, and their cores where they are named.
    fn layout(&self) -> Result<(u16, Vec<u32>), UsageError> {
        let (shards, cores) = (self.shards.shards, shard_cores(&self.shards)?);
        if cores.is_empty() {
            return Ok((shards.unwrap_or(1), cores));
        }
        let asked = RequestedLayout { shards, shard_cores: cores, ..RequestedLayout::default() };
        let count = Topology::plan(&asked, &usable_cores())?.shards.len();
        Ok((u16::try_from(count).unwrap_or(u16::MAX), asked.shard_cores))
    }
}

/// Checks that an output file is none of the inputs.
pub(super) fn check_output(flag: &str, out: &Path, files: &[Source]) -> Result<(), String> {
    if out.as_os_str() == "-" {
        return Err(format!("{flag} takes a file name; standard output has the results"));
    }
    let is_input = |source: &&Source| matches!(source, Source::Path(path) if same_file(path, out));
    match files.iter().find(is_input) {
        Some(source) => Err(format!("{flag} would overwrite {source}")),
        None => Ok(()),
    }
}

/// The files of each venue, recognized by the first message of each file; a file without one goes with the one before
/// it. With a venue only its files, and all files where none is recognized as its. `None` where none is recognized.
pub(super) fn by_venue(files: Vec<Source>, venue: Option<Feed>) -> Option<Vec<Recording>> {
    if let (Some(feed), 1) = (venue, files.len()) {
        return Some(vec![Recording { feed, files }]);
    }
    let mut progress = Progress::of_bytes(files.iter().map(stored_bytes).sum());
    let found = files.iter().map(|source| {
        let found = venue_of(std::slice::from_ref(source));
        progress.file_done(stored_bytes(source).unwrap_or(0));
        found
    });
    let found: Vec<Option<Feed>> = found.collect();
    progress.finish();
    if let Some(feed) = venue.filter(|_| !found.contains(&venue)) {
        return Some(vec![Recording { feed, files }]);
    }
    let mut feed = found.iter().copied().flatten().next()?;
    let mut recordings: Vec<Recording> = Vec::new();
    for (source, found) in files.into_iter().zip(found) {
        feed = found.unwrap_or(feed);
        match recordings.iter_mut().find(|known| known.feed == feed) {
            Some(known) => known.files.push(source),
            None => recordings.push(Recording { feed, files: vec![source] }),
        }
    }
    recordings.retain(|known| venue.is_none_or(|venue| known.feed == venue));
    Some(recordings)
}

fn stored_bytes(source: &Source) -> Option<u64> {
    look(source).ok()?.len
}

/// The files that are named; a folder stands for the segments in it.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<Source>, String> {
    let mut files = Vec::new();
    for path in named {
        let within = if path.is_dir() { segments(path)? } else { Vec::new() };
        match within.is_empty() {
            false => files.extend(within.into_iter().map(Source::Path)),
            // A folder that holds none is refused where files are looked at, as a wrong file is.
            true => files.push(Source::of(path.clone())),
        }
    }
    Ok(files)
}

/// The times between two flags of these names, if either is given.
pub(super) fn range(
    from: Option<u64>,
    to: Option<u64>,
    [from_flag, to_flag]: [&str; 2],
) -> Result<Option<Range<u64>>, String> {
    let range = from.unwrap_or(0)..to.unwrap_or(u64::MAX);
    if range.is_empty() {
        return Err(format!("{from_flag} must be before {to_flag}"));
    }
    Ok((from.is_some() || to.is_some()).then_some(range))
}

/// A venue by its name.
pub(super) fn venue(text: &str) -> Result<Feed, String> {
    crate::venue::of(text).ok_or_else(|| format!("expected {}", crate::venue::names()))
}

/// Nanoseconds since the Unix epoch.
pub(super) fn time(text: &str) -> Result<u64, String> {
    parse_time(text)
}

#[cfg(test)]
mod tests;

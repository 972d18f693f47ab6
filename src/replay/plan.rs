//! The plan of a replay: validated settings.
//!
//! Runs on:  the starting thread (pure).
use crate::base::limits::REPLAY_SHARDS_MAX;
use crate::io::file::Source;
use crate::venue::{self, Feed};
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Speed of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the shards process frames.
    #[default]
    Max,
    /// A multiple of the recorded pace; positive.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    /// `max`, or a positive decimal with suffix `x`: `1x`, `2.5x`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix(['x', 'X']).and_then(|digits| {
            let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            digits.parse::<f64>().ok().filter(|_| plain)
        });
        match factor {
            Some(factor) if (1e-3..=1e6).contains(&factor) => Ok(Self::Times(factor)),
            _ => {
                Err("use `max`, or a factor from 0.001x to 1000000x such as `1x` or `2.5x`".into())
            }
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Times(factor) => write!(f, "{factor}x"),
        }
    }
}

/// Nanoseconds since the Unix epoch, of a number or of a time as RFC 3339 writes it.
///
/// # Errors
/// What is expected.
pub fn parse_time(text: &str) -> Result<u64, String> {
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        "expected a time such as 2026-11-27T07:15:00Z, or nanoseconds since 1970".to_owned()
    })?;
    u64::try_from(at.as_nanosecond()).map_err(|_| "a time after 1970 is expected".to_owned())
}

/// A time for people, in milliseconds; [`parse_time`] reads it.
#[must_use]
pub fn time_text(at_ns: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The plan of a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    files: Vec<Source>,
    shards: u16,
    cores: Vec<u32>,
    repeat: u32,
    speed: Speed,
    books_out: Option<PathBuf>,
    appends_books: bool,
    range: Option<Range<u64>>,
    is_ordered: bool,
    measures_day: bool,
    markets: Vec<String>,
    resumes: Option<Resumption>,
    text: Option<Arc<[u8]>>,
    feed: Feed,
}

/// Where a replay begins within the records of an engine: books come from images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// Shards of the engine.
    pub(super) shards: u16,
    /// With images of all markets: what was received before this time, nanoseconds since the Unix epoch, is not
    /// counted. Otherwise the range begins with the image of its only market.
    pub(super) counts_from_ns: Option<u64>,
}

impl Plan {
    /// Validates everything that needs no file access.
    ///
    /// # Errors
    /// One line: the flag and what it expects.
    pub fn new(
        files: Vec<Source>,
        shards: u16,
        repeat: u32,
        speed: Speed,
        books_out: Option<PathBuf>,
    ) -> Result<Self, String> {
        if files.is_empty() {
            return Err("name at least one file, or `-` for standard input".into());
        }
        if !(1..=REPLAY_SHARDS_MAX).contains(&shards) {
            return Err(format!("--shards takes 1 to {REPLAY_SHARDS_MAX}"));
        }
        if repeat == 0 {
            return Err("--repeat takes 1 or more".into());
        }
        let stdin = files.iter().filter(|&file| *file == Source::Stdin).count();
        if stdin > 1 {
            return Err("standard input (`-`) can be read only once".into());
        }
        if stdin == 1 && repeat > 1 {
            return Err("standard input (`-`) cannot be repeated: save it to a file first".into());
        }
        if books_out.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            return Err("--books-out takes a file name; standard output has the results".into());
        }
        Ok(Self {
            files,
            shards,
            cores: Vec::new(),
            repeat,
            speed,
            books_out,
            appends_books: false,
            range: None,
            is_ordered: false,
            measures_day: false,
            markets: Vec::new(),
            resumes: None,
            text: None,
            feed: venue::ALL[0],
        })
    }

    /// Runs each shard on the executor of a live shard, pinned to the core of its place; none: on threads that are not
    /// pinned and need no io_uring.
    #[must_use]
    pub fn on_cores(self, cores: Vec<u32>) -> Self {
        Self { cores, ..self }
    }

    /// The core of a shard, if it is pinned.
    pub fn core(&self, shard: u16) -> Option<u32> {
        self.cores.get(usize::from(shard)).copied()
    }

    /// Restricts the replay to records received from `range.start` to before `range.end`, nanoseconds since
    /// the Unix epoch.
    #[must_use]
    pub fn between(self, range: Option<Range<u64>>) -> Self {
        Self { range, ..self }
    }

    /// Passes records on in receive order across shards; otherwise in the order of the files. A replay at recorded
    /// speed does that always.
    #[must_use]
    pub fn in_receive_order(self) -> Self {
        Self { is_ordered: true, ..self }
    }

    /// Whether [`Plan::in_receive_order`] was called.
    pub const fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// Measures rate, lag and latency over the recorded time too.
    #[must_use]
    pub fn measuring_day(self, measures_day: bool) -> Self {
        Self { measures_day, ..self }
    }

    /// Whether rate, lag and latency are measured over the recorded time.
    pub const fn measures_day(&self) -> bool {
        self.measures_day
    }

    /// Writes the final books behind what the file has.
    #[must_use]
    pub fn appending_books(self, appends_books: bool) -> Self {
        Self { appends_books, ..self }
    }

    /// Whether the final books are written behind what the file has.
    pub const fn appends_books(&self) -> bool {
        self.appends_books
    }

    /// Leaves out records that concern other markets only; a slug, an id, a ticker or a token each. None: nothing is
    /// left out.
    #[must_use]
    pub fn of_markets(self, markets: Vec<String>) -> Self {
        Self { markets, ..self }
    }

    /// The markets of [`Plan::of_markets`].
    pub fn markets(&self) -> &[String] {
        &self.markets
    }

    /// Begins within the capture of an engine.
    #[must_use]
    pub(super) fn resuming(self, resumes: Resumption) -> Self {
        Self { resumes: Some(resumes), ..self }
    }

    pub(super) const fn resumes(&self) -> Option<Resumption> {
        self.resumes
    }

    /// Has the records of the range that concern its market: the files need not be read, unless something is missing.
    #[must_use]
    pub(super) fn with_text(self, text: Option<Arc<[u8]>>) -> Self {
        Self { text, ..self }
    }

    pub(super) const fn text(&self) -> Option<&Arc<[u8]>> {
        self.text.as_ref()
    }

    /// Sets the venue of the frames.
    #[must_use]
    pub fn of(self, feed: Feed) -> Self {
        Self { feed, ..self }
    }

    /// The venue of the frames.
    pub const fn feed(&self) -> Feed {
        self.feed
    }

    /// The range of receive times, if restricted.
    pub const fn range(&self) -> Option<&Range<u64>> {
        self.range.as_ref()
    }

    /// Inputs in order; at least one.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// Number of shards, at least one.
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// Number of passes, at least one.
    pub const fn repeat(&self) -> u32 {
        self.repeat
    }

    /// The speed.
    pub const fn speed(&self) -> Speed {
        self.speed
    }

    /// Where to write the final books.
    pub fn books_out(&self) -> Option<&std::path::Path> {
        self.books_out.as_deref()
    }
}

#[cfg(test)]
mod tests;

//! Results of a replay as text and as JSON.
//!
//! Runs on:  the starting thread (pure).
use super::cost::Cost;
use super::plan::time_text;
use crate::counter::latency::LatencySummary;
use crate::counter::shard::CheckCounts;
use serde::Serialize;
use std::fmt::Write as _;

/// Results of a replay. Counts are sums over all passes; book states and the digest are those after the last pass.
/// No count depends on the number of shards.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayReport {
    /// Version of the program.
    pub version: String,
    /// The host in one line; `ringbook doctor` has the details.
    pub host: String,
    /// Name of the venue.
    pub venue: String,
    /// Inputs in order.
    pub files: Vec<String>,
    /// Number of shards.
    pub shards: u16,
    /// Passes requested.
    pub repeat: u32,
    /// `max` or a factor such as `2.5x`.
    pub speed: String,
    /// Stopped before the end of the input.
    pub interrupted: bool,
    /// Frames of the venue: text and binary.
    pub frames: u64,
    /// Venue messages in the frames (an array frame has many).
    pub messages: u64,
    /// Bytes of the frames, without what the capture format adds.
    pub bytes: u64,
    /// Level changes applied.
    pub changes: u64,
    /// Snapshots applied.
    pub snapshots: u64,
    /// Trades seen.
    pub trades: u64,
    /// Frames, messages or capture records that could not be decoded.
    pub errors: u64,
    /// Messages of an unknown type.
    pub unknown_events: u64,
    /// Messages of a known type with unknown keys.
    pub unknown_keys: u64,
    /// Texts that are no JSON object or array, including `PONG`.
    pub unknown_texts: u64,
    /// Changes of a book without a snapshot: not applied.
    pub changes_before_snapshot: u64,
    /// Changes older than the book's snapshot: not applied.
    pub changes_stale: u64,
    /// Messages about tokens without a book (invalid id, too many books).
    pub unknown_instruments: u64,
    /// Trades already received on another connection.
    pub trades_repeated: u64,
    /// Gaps in sequence numbers.
    pub sequence_holes: u64,
    /// Messages missing in these gaps.
    pub sequence_missing: u64,
    /// Messages with a repeated number: not applied.
    pub sequence_duplicates: u64,
    /// Sessions that restarted on a connection whose end is not in the input: its books were stale
    /// until their next snapshot.
    pub sequence_restarts: u64,
    /// From the start of reading to the end of the last shard, nanoseconds.
    pub elapsed_ns: u64,
    /// What the frames cost the shards, sum. Excludes waits for the reader and time in which other threads used the
    /// core.
    #[serde(flatten)]
    pub cost: Cost,
    /// Instructions of the shards a frame, if they are counted here.
    pub instructions_per_frame: Option<f64>,
    /// `messages / busy_ns`: throughput of one core.
    pub messages_per_second_per_core: f64,
    /// `frames / busy_ns`.
    pub frames_per_second_per_core: f64,
    /// `messages / elapsed_ns`: throughput of this run, including reading.
    pub messages_per_second: f64,
    /// Percentiles per message of decoding, applying and both. Messages of an array frame
    /// count from the start of the frame, so a large dump appears in the highest percentiles.
    pub latencies: Vec<LatencySummary>,
    /// Books by state.
    pub books: BooksReport,
    /// Best-price checks of all passes. Hashes are not checked.
    pub checks: CheckCounts,
    /// SHA-1 of the final books in the format of `--books-out`.
    pub digest: String,
    /// Records of a capture other than frames.
    pub capture: CaptureReport,
    /// Per shard.
    pub per_shard: Vec<ShardLine>,
    /// The first undecodable inputs, but for files of which no line is understood: `failures` has one line for each.
    pub first_errors: Vec<ErrorLine>,
    /// Files that could not be read to their end, one line each.
    pub failures: Vec<String>,
}

/// Books after the last pass, by state.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct BooksReport {
    /// All.
    pub total: u64,
    /// Live.
    pub live: u64,
    /// Without a snapshot.
    pub awaiting_snapshot: u64,
    /// Stale.
    pub stale: u64,
}

/// Records of a capture other than frames.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub struct CaptureReport {
    /// Connections opened.
    pub opened: u64,
    /// Connections ended.
    pub ended: u64,
    /// Lost frames.
    pub frames_lost: u64,
    /// Texts sent by the capturing engine.
    pub sent: u64,
    /// Binary frames.
    pub binary_frames: u64,
    /// Records of an unknown kind.
    pub unknown_kinds: u64,
    /// Frames that the live engine skipped because another connection had taken over.
    pub frames_skipped: u64,
    /// Digest checkpoints at which the book is equal to that of the live engine.
    pub checkpoints_equal: u64,
    /// Digest checkpoints at which it differs.
    pub checkpoints_different: u64,
    /// Digest checkpoints that cannot be compared, because frames are missing in the capture or outside the range.
    pub checkpoints_skipped: u64,
    /// Of a range: its first books are those of images since this time, nanoseconds since the Unix epoch; `None` where
    /// books begin with their first snapshot.
    pub images_since_ns: Option<u64>,
}

/// Figures of one shard.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ShardLine {
    /// The shard.
    pub shard: u16,
    /// Frames counted on it.
    pub frames: u64,
    /// Messages counted on it.
    pub messages: u64,
    /// CPU time spent on frames, nanoseconds.
    pub busy_ns: u64,
    /// Books after the last pass.
    pub books: u64,
}

/// One undecodable input.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct ErrorLine {
    /// The file.
    pub file: String,
    /// Line number from 1.
    pub line: u64,
    /// Byte offset from 0 in the decompressed file.
    pub offset: u64,
    /// The error.
    pub why: String,
}

impl std::fmt::Display for ErrorLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, offset, why } = self;
        write!(f, "{file}, line {line}, byte {offset}: {why}")
    }
}

impl ReplayReport {
    pub(super) fn set_rates(&mut self) {
        let rate = |count: u64, ns: u64| {
            if ns == 0 { 0.0 } else { (count as f64 * 1e9 / ns as f64).round() }
        };
        self.messages_per_second_per_core = rate(self.messages, self.cost.busy_ns);
        self.frames_per_second_per_core = rate(self.frames, self.cost.busy_ns);
        let per_frame = |instructions| (instructions as f64 / self.frames.max(1) as f64).round();
        self.instructions_per_frame = self.cost.instructions.map(per_frame);
        self.messages_per_second = rate(self.messages, self.elapsed_ns);
    }

    /// One JSON object on one line.
    pub fn to_json(&self) -> String {
        sonic_rs::to_string(self).expect("plain numbers and texts are JSON")
    }

    /// A table as text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name:<22}{value}");
        };
        let stopped = if self.interrupted { ", stopped before the end" } else { "" };
        let (files, repeat) = (self.files.join(", "), self.repeat);
        row("replayed", format!("{files}; {repeat} time(s), speed {}{stopped}", self.speed));
        row("host", self.host.clone());
        row("venue", self.venue.clone());
        if let Some(since_ns) = self.capture.images_since_ns {
            row("continued", format!("from images since {}", time_text(since_ns)));
        }
        for (name, value) in self.counts() {
            row(name, grouped(value));
        }
        let books = &self.books;
        row(
            "books",
            format!(
                "{} (live {}, awaiting snapshot {}, stale {})",
                grouped(books.total),
                grouped(books.live),
                grouped(books.awaiting_snapshot),
                grouped(books.stale)
            ),
        );
        row("elapsed", format!("{:.3} s", seconds(self.elapsed_ns)));
        let busy_s = seconds(self.cost.busy_ns);
        row("busy", format!("{busy_s:.3} s of CPU on {} shard(s)", self.shards));
        row("instructions/frame", self.instructions());
        row("messages/s per core", grouped(self.messages_per_second_per_core as u64));
        row("frames/s per core", grouped(self.frames_per_second_per_core as u64));
        row("messages/s total", grouped(self.messages_per_second as u64));
        if self.shards > 1 {
            for shard in &self.per_shard {
                let ShardLine { frames, messages, busy_ns, books, .. } = *shard;
                row(
                    &format!("shard {}", shard.shard),
                    format!(
                        "{} frames, {} messages, {} books, busy {:.3} s",
                        grouped(frames),
                        grouped(messages),
                        grouped(books),
                        seconds(busy_ns)
                    ),
                );
            }
        }
        row(
            "latency, ns",
            format!("{:>9}{:>9}{:>9}{:>9}{:>11}", "p50", "p90", "p99", "p99.9", "max"),
        );
        for latency in &self.latencies {
            let LatencySummary { stage, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = latency;
            let name = format!("  {stage}");
            row(&name, format!("{p50_ns:>9}{p90_ns:>9}{p99_ns:>9}{p999_ns:>9}{max_ns:>11}"));
        }
        row("digest", self.digest.clone());
        out
    }

    fn instructions(&self) -> String {
        match (self.instructions_per_frame, &self.cost.instructions_uncounted) {
            (Some(count), _) => grouped(count as u64),
            (None, Some(why)) => format!("not counted here: {why}"),
            (None, None) => "0".to_owned(),
        }
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let capture = &self.capture;
        let mut counts = vec![
            ("frames", self.frames),
            ("messages", self.messages),
            ("bytes", self.bytes),
            ("changes", self.changes),
            ("snapshots", self.snapshots),
            ("trades", self.trades),
            ("errors", self.errors),
            ("unknown events", self.unknown_events),
            ("unknown keys", self.unknown_keys),
            ("unknown texts", self.unknown_texts),
        ];
        let rare = [
            ("early changes", self.changes_before_snapshot),
            ("old changes", self.changes_stale),
            ("unknown tokens", self.unknown_instruments),
            ("trades repeated", self.trades_repeated),
            ("sequence holes", self.sequence_holes),
            ("sequence missing", self.sequence_missing),
            ("sequence repeated", self.sequence_duplicates),
            ("session restarts", self.sequence_restarts),
            ("tops matched", self.checks.tops_matched),
            ("tops mismatched", self.checks.tops_mismatched),
            ("tops unverifiable", self.checks.tops_unverifiable),
            ("connections opened", capture.opened),
            ("connections ended", capture.ended),
            ("frames lost", capture.frames_lost),
            ("texts sent", capture.sent),
            ("binary frames", capture.binary_frames),
            ("unknown records", capture.unknown_kinds),
            ("frames skipped", capture.frames_skipped),
            ("checkpoints equal", capture.checkpoints_equal),
            ("checkpoints different", capture.checkpoints_different),
            ("checkpoints skipped", capture.checkpoints_skipped),
        ];
        counts.extend(rare.into_iter().filter(|&(_, value)| value > 0));
        counts
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;

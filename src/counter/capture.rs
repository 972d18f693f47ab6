//! Figures of the capture. One writer, any readers.
//!
//! Runs on:  the capture's thread (writer), control core and main thread (readers).
use super::figure::board;
use crate::counter::loss::FrameCount;
use serde::{Deserialize, Serialize};

/// Frames captured, written and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureReport {
    /// Its folder.
    pub folder: String,
    /// Frames taken over from the shards.
    pub frames: u64,
    /// Records written: frames, and what becomes of books beside them.
    pub records: u64,
    /// Bytes of their lines.
    pub text_bytes: u64,
    /// Bytes written, compressed.
    pub bytes: u64,
    /// Segments begun.
    pub segments: u64,
    /// Bytes of lines that are not written yet.
    pub waiting_bytes: u64,
    /// Old files removed.
    #[serde(default)]
    pub removed: u64,
    /// Their bytes.
    #[serde(default)]
    pub removed_bytes: u64,
    /// Commands run for closed files.
    #[serde(default)]
    pub commands: u64,
    /// Of them failed, or not run because too many files waited.
    #[serde(default)]
    pub commands_failed: u64,
    /// Frames that are not in the capture; a marker stands where they are missing.
    pub lost: u64,
    /// Trades in them.
    pub lost_trades: u64,
    /// When the last block was written, nanoseconds since the Unix epoch; 0 before the first.
    pub last_write_wall_ns: u64,
    /// Since when nothing can be written, nanoseconds since the Unix epoch; 0 while it can.
    pub failing_since_wall_ns: u64,
    /// The last error of the disk; empty while there is none.
    pub error: String,
    /// Why frames are not in the capture, the last time; empty while none are missing.
    pub loss: String,
}

impl CaptureReport {
    /// Lost frames and trades.
    pub const fn lost_count(&self) -> FrameCount {
        FrameCount { frames: self.lost, trades: self.lost_trades }
    }

    /// One line for people, at the end.
    pub fn line(&self) -> String {
        let Self { folder, frames, records, text_bytes, bytes, segments, lost, .. } = self;
        let waiting = match self.waiting_bytes {
            0 => String::new(),
            bytes => format!(", {bytes} bytes could not be written: {}", self.error),
        };
        let trades = self.lost_count().with_trades();
        let loss = if *lost > 0 { format!("{trades}: {}", self.loss) } else { String::new() };
        format!(
            "capture: {frames} frames and {} other records in {segments} segments of {folder}: {text_bytes} bytes of lines, {bytes} compressed; {lost} frames lost{loss}{waiting}",
            records.saturating_sub(*frames),
        )
    }

    /// The fault and its consequence, one line; `None` without one.
    pub fn trouble(&self, now_wall_ns: u64) -> Option<String> {
        let Self { folder, error, failing_since_wall_ns: since, lost, loss, .. } = self;
        let trades = self.lost_count().with_trades();
        let missing = || {
            format!(
                "{lost} frames are not in the capture in {folder}{trades}: {loss}; its manifest says when"
            )
        };
        if *since > 0 {
            let seconds = now_wall_ns.saturating_sub(*since) / 1_000_000_000;
            let missing = if *lost > 0 { format!("; {}", missing()) } else { String::new() };
            return Some(format!(
                "the capture in {folder} cannot be written for {seconds} s: {error}; records wait in memory, then frames are dropped and marked: make room{missing}"
            ));
        }
        (*lost > 0).then(missing)
    }

    /// At the end: whether all that came is in the files.
    pub const fn is_complete(&self) -> bool {
        self.lost == 0 && self.waiting_bytes == 0 && self.failing_since_wall_ns == 0
    }
}

board! {
    /// The capture's figures. One thread writes them.
    CaptureBoard of CaptureReport {
        texts: folder; messages: error, loss; figures:
            frames, records, text_bytes, bytes, segments, waiting_bytes, removed, removed_bytes,
            commands, commands_failed, lost, lost_trades, last_write_wall_ns,
            failing_since_wall_ns,
    }
}

impl CaptureBoard {
    /// All figures 0.
    pub fn new(folder: String) -> Self {
        Self { folder, ..Self::default() }
    }

    /// The folder.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Counts frames that are not in the capture, and remembers why.
    pub fn lose(&self, count: FrameCount, cause: &str) {
        self.lost.add(count.frames);
        self.lost_trades.add(count.trades);
        if let Ok(mut loss) = self.loss.lock() {
            cause.clone_into(&mut loss);
        }
    }
}

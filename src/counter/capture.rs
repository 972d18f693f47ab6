//! Figures of the capture. One writer, any readers.
//!
//! Runs on:  the capture's thread (writer), control core and main thread (readers).
use super::figure::Figure;
use crate::counter::loss::FrameCount;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

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
    #[must_use]
    pub const fn lost_count(&self) -> FrameCount {
        FrameCount { frames: self.lost, trades: self.lost_trades }
    }

    /// One line for people, at the end.
    #[must_use]
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
    #[must_use]
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
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.lost == 0 && self.waiting_bytes == 0 && self.failing_since_wall_ns == 0
    }
}

/// The capture's figures. One thread writes them.
#[derive(Debug, Default)]
pub struct CaptureBoard {
    folder: String,
    error: Mutex<String>,
    loss: Mutex<String>,
    /// See [`CaptureReport::frames`].
    pub frames: Figure,
    /// See [`CaptureReport::records`].
    pub records: Figure,
    /// See [`CaptureReport::text_bytes`].
    pub text_bytes: Figure,
    /// See [`CaptureReport::bytes`].
    pub bytes: Figure,
    /// See [`CaptureReport::segments`].
    pub segments: Figure,
    /// See [`CaptureReport::waiting_bytes`].
    pub waiting_bytes: Figure,
    /// See [`CaptureReport::removed`].
    pub removed: Figure,
    /// See [`CaptureReport::removed_bytes`].
    pub removed_bytes: Figure,
    /// See [`CaptureReport::commands`].
    pub commands: Figure,
    /// See [`CaptureReport::commands_failed`].
    pub commands_failed: Figure,
    /// See [`CaptureReport::lost`].
    pub lost: Figure,
    /// See [`CaptureReport::lost_trades`].
    pub lost_trades: Figure,
    /// See [`CaptureReport::last_write_wall_ns`].
    pub last_write_wall_ns: Figure,
    /// See [`CaptureReport::failing_since_wall_ns`].
    pub failing_since_wall_ns: Figure,
}

impl CaptureBoard {
    /// All figures 0.
    #[must_use]
    pub fn new(folder: String) -> Self {
        Self { folder, ..Self::default() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Sets the error of the disk; empty for none.
    pub fn set_error(&self, text: &str) {
        if let Ok(mut error) = self.error.lock() {
            text.clone_into(&mut error);
        }
    }

    /// Counts frames that are not in the capture, and remembers why.
    pub fn lose(&self, count: FrameCount, cause: &str) {
        self.lost.add(count.frames);
        self.lost_trades.add(count.trades);
        if let Ok(mut loss) = self.loss.lock() {
            cause.clone_into(&mut loss);
        }
    }

    /// The figures now.
    #[must_use]
    pub fn read(&self) -> CaptureReport {
        CaptureReport {
            folder: self.folder.clone(),
            error: self.error.lock().map(|text| text.clone()).unwrap_or_default(),
            loss: self.loss.lock().map(|text| text.clone()).unwrap_or_default(),
            frames: self.frames.get(),
            records: self.records.get(),
            text_bytes: self.text_bytes.get(),
            bytes: self.bytes.get(),
            segments: self.segments.get(),
            waiting_bytes: self.waiting_bytes.get(),
            removed: self.removed.get(),
            removed_bytes: self.removed_bytes.get(),
            commands: self.commands.get(),
            commands_failed: self.commands_failed.get(),
            lost: self.lost.get(),
            lost_trades: self.lost_trades.get(),
            last_write_wall_ns: self.last_write_wall_ns.get(),
            failing_since_wall_ns: self.failing_since_wall_ns.get(),
        }
    }
}

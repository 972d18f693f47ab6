//! Progress bar, drawn on a terminal only.
//!
//! Runs on:  the replay's reader. Writes to standard error.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress of the reader in stored (compressed) bytes.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Bytes of the files before this one.
    before: u64,
    turns: u32,
}

impl Progress {
    /// A bar for `total` bytes, or a running count if the total is unknown. Draws nothing
    /// unless standard error is a terminal.
    pub(super) fn new(total: Option<u64>) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(5);
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => {
                "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  ETA {eta}"
            }
            None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, before: 0, turns: 0 }
    }

    /// One that is never drawn.
    pub(super) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), before: 0, turns: 0 }
    }

    /// Sets the bytes read of the current file. Updates the bar at intervals only.
    pub(super) fn at(&mut self, taken: u64) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(1024) && !self.bar.is_hidden() {
            self.bar.set_position(self.before + taken);
        }
    }

    /// Keeps the bar moving while nothing is read.
    pub(super) fn tick(&self) {
        self.bar.tick();
    }

    pub(super) fn file_done(&mut self, taken: u64) {
        self.before += taken;
        self.bar.set_position(self.before);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! The terminal's status line: progress of a command with the time that is left, or what it reports.
//!
//! Runs on:  any thread. Draws nothing unless standard error is a terminal; five times a second at most.
use super::output::{clear_status, show_status, stderr_columns};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Draws a second.
const HZ: u8 = 5;
/// Columns of a terminal that does not say how many it has, and the fewest that are used.
const COLUMNS: u16 = 80;
const COLUMNS_MIN: u16 = 8;

/// The status line of a command. Dropping it clears the line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// One for each of those that share the line.
    users: Arc<()>,
    /// Bytes of the current file that are counted.
    counted: u64,
    turns: u32,
}

impl Progress {
    /// Of a command that reads `total` stored (compressed) bytes; a running count if the total is unknown.
    pub fn of_bytes(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => {
                "{bar:24} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  ETA {eta}"
            }
            None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}",
        };
        Self::drawn(total, template)
    }

    /// Of a command that handles `total` things.
    pub fn of_items(total: u64, things: &str) -> Self {
        let template = "{bar:24} {percent:>3} %  {human_pos} of {human_len} {msg}  ETA {eta}";
        let this = Self::drawn(Some(total), template);
        this.bar.set_message(things.to_owned());
        this
    }

    /// Of a command that waits, and does not know for how long.
    pub fn of_wait(what: String) -> Self {
        let this = Self::drawn(None, "{spinner} {msg}  {elapsed}");
        this.bar.set_message(what);
        if !this.bar.is_hidden() {
            this.bar.tick();
            this.bar.enable_steady_tick(Duration::from_secs(1) / u32::from(HZ));
        }
        this
    }

    /// Of a command that sets the text itself.
    pub fn of_text() -> Self {
        Self::drawn(None, "{msg}")
    }

    /// One that is never drawn.
    pub fn hidden() -> Self {
        Self::of(ProgressBar::hidden())
    }

    /// Another part of the same work, on the same line, which is cleared with the last one.
    pub fn share(&self) -> Self {
        let mut part = Self::of(self.bar.clone());
        part.users = Arc::clone(&self.users);
        part
    }

    fn of(bar: ProgressBar) -> Self {
        Self { bar, users: Arc::default(), counted: 0, turns: 0 }
    }

    fn drawn(total: Option<u64>, template: &str) -> Self {
        if !super::output::stderr_is_terminal() {
            return Self::hidden();
        }
        let target = ProgressDrawTarget::term_like_with_hz(Box::<StatusTerm>::default(), HZ);
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self::of(bar)
    }

    /// Sets the bytes read of the current file; cheap, for each record.
    pub fn at(&mut self, taken: u64) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(1024) && !self.bar.is_hidden() {
            self.count(taken);
        }
    }

    fn count(&mut self, taken: u64) {
        self.bar.inc(taken.saturating_sub(self.counted));
        self.counted = taken;
    }

    /// The current file was read to its end, `taken` bytes.
    pub fn file_done(&mut self, taken: u64) {
        self.count(taken);
        self.counted = 0;
    }

    /// One thing more is done.
    pub fn add(&self) {
        self.bar.inc(1);
    }

    /// Draws this text.
    pub fn show(&self, text: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text());
        }
    }

    /// Keeps the line moving while nothing is read.
    pub fn tick(&self) {
        self.bar.tick();
    }

    /// Clears the line, unless others share it.
    pub fn finish(&mut self) {
        *self = Self::hidden();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Where the last two end at once, the bar clears the line with its last owner.
        if Arc::strong_count(&self.users) == 1 {
            self.bar.finish_and_clear();
        }
    }
}

/// Columns that a line may have: one stays free, since a character in the last one begins a new line on some terminals.
fn columns() -> u16 {
    stderr_columns().unwrap_or(COLUMNS).max(COLUMNS_MIN) - 1
}

/// The status line as a terminal of one line, so that log lines and the bar do not mix.
#[derive(Debug, Default)]
struct StatusTerm {
    line: Mutex<String>,
}

impl StatusTerm {
    fn change(&self, change: impl FnOnce(&mut String)) -> io::Result<()> {
        change(&mut self.line.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl TermLike for StatusTerm {
    fn width(&self) -> u16 {
        columns()
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.change(|line| line.push_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.change(String::clear)
    }

    fn flush(&self) -> io::Result<()> {
        self.change(|line| {
            match line.trim() {
                "" => clear_status(),
                shown => show_status(shown.chars().take(columns().into())),
            }
            line.clear();
        })
    }
}

//! Standard output and standard error: the only file that writes to them.
//!
//! Runs on:  any thread may write to standard error; status line and standard output belong to the main thread.
//!
//! Either may fail while the program runs: a closed terminal, a pipe without reader, a full disk. No such failure ends
//! the program, which has an engine to run and files to write. `println!` and similar macros panic; `tests/tidy.rs`
//! forbids them.
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// A status line is shown and must be cleared before other output.
static STATUS_SHOWN: AtomicBool = AtomicBool::new(false);
static LOSS_REPORTED: AtomicBool = AtomicBool::new(false);

static READER_GONE: AtomicBool = AtomicBool::new(false);

/// Clears the terminal's line.
const WIPE: &[u8] = b"\r\x1b[K";

/// Standard output as a file, for what is no text.
///
/// # Errors
/// There is none.
pub(super) fn as_file() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Prints to standard output, without a newline.
pub fn print(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let result = write!(stdout, "{text}").and_then(|()| stdout.flush());
    drop(stdout);
    report_loss(result);
}

/// Prints a line to standard output.
pub fn print_line(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Whether the reader of standard output has gone (`| head`): it has all that it wanted.
pub fn reader_is_gone() -> bool {
    READER_GONE.load(Ordering::Relaxed)
}

/// Whether text for standard output is lost, as on a full disk; that was reported.
pub fn text_is_lost() -> bool {
    LOSS_REPORTED.load(Ordering::Relaxed)
}

pub(super) fn note_error(error: &io::Error) {
    if error.kind() == ErrorKind::BrokenPipe {
        READER_GONE.store(true, Ordering::Relaxed);
    }
}

/// A closed pipe is no loss; an unwritten file is.
fn report_loss(result: io::Result<()>) {
    let Err(error) = result else { return };
    note_error(&error);
    if error.kind() != ErrorKind::BrokenPipe && !LOSS_REPORTED.swap(true, Ordering::Relaxed) {
        complain(format_args!(
            "ringbook: standard output cannot be written: {error}; its text is lost"
        ));
    }
}

/// Prints a line to standard error.
pub fn complain(text: impl Display) {
    // One write, so that lines of several threads do not mix.
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

/// Standard error as a writer; clears the status line first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        // Under the lock: a line that comes between would stand behind the status.
        if STATUS_SHOWN.swap(false, Ordering::Relaxed) {
            let _ = stderr.write_all(WIPE);
        }
        let _ = stderr.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces the status line.
pub fn show_status(line: impl Iterator<Item = char>) {
    let shown: String = "\r\x1b[K".chars().chain(line).collect();
    let mut stderr = io::stderr().lock();
    // One write, since a terminal may show what a part of it draws.
    let _ = stderr.write_all(shown.as_bytes());
    STATUS_SHOWN.store(true, Ordering::Relaxed);
}

/// Clears the status line.
pub fn clear_status() {
    // Not `write_all`, which writes nothing of nothing.
    let _ = Stderr.write(b"");
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Columns of the terminal of standard error, if it says how many it has.
pub fn stderr_columns() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// Whether SIGHUP was ignored at startup (`nohup`): the program then survives its terminal.
pub fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// The mask of ignored signals; SIGHUP (1) is the lowest bit.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests;

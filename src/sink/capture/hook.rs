//! The user's command for each closed file of a capture.
//!
//! Runs on:  the thread `capture-close`, which waits for the command. Bounds: `WAITING_MAX` files that wait for it.
use crate::counter::capture::CaptureBoard;
use crate::io::child::run_with_path;
use crate::io::executor::no_thread;
use crate::io::threads::{ends_within, lower_priority};
use log::{info, warn};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Files that wait for the command while it runs; further ones are counted as failures.
const WAITING_MAX: usize = 1024;

/// Runs the command for one file after the other.
#[derive(Debug)]
pub(super) struct CloseHook {
    thread: JoinHandle<()>,
    board: Arc<CaptureBoard>,
}

/// The capture's end: the files.
#[derive(Debug)]
pub(super) struct ClosedFiles {
    files: SyncSender<PathBuf>,
    board: Arc<CaptureBoard>,
}

impl CloseHook {
    /// Starts its thread.
    ///
    /// # Errors
    /// One line: no thread can be started.
    pub(super) fn start(
        command: String,
        board: Arc<CaptureBoard>,
    ) -> Result<(Self, ClosedFiles), String> {
        let (files, waiting) = sync_channel::<PathBuf>(WAITING_MAX);
        let (counters, counted) = (Arc::clone(&board), Arc::clone(&board));
        let run = move || {
            lower_priority();
            for path in waiting {
                counters.commands.add(1);
                let shown = path.display();
                match run_with_path(&command, &path) {
                    Ok(()) => info!("--capture-on-close: `{command}` has handled {shown}"),
                    Err(why) => {
                        counters.commands_failed.add(1);
                        warn!("--capture-on-close: `{command}` failed for {shown}: {why}");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("capture-close".into())
            .spawn(run)
            .map_err(|error| no_thread("capture-close", &error).to_string())?;
        Ok((Self { thread, board }, ClosedFiles { files, board: counted }))
    }

    /// Waits until the command has run for all files, at most `timeout_ns`; after the capture's end was dropped.
    pub(super) fn finish(self, timeout_ns: u64) {
        let Self { thread, board } = self;
        if !ends_within(thread, timeout_ns) {
            board.commands_failed.add(1);
            let seconds = timeout_ns / 1_000_000_000;
            warn!(
                "--capture-on-close: the command runs longer than {seconds} s after the end; files that wait are left"
            );
        }
    }
}

impl ClosedFiles {
    /// A file is closed. Never waits.
    pub(super) fn push(&self, path: PathBuf) {
        if let Err(error) = self.files.try_send(path) {
            let (TrySendError::Full(path) | TrySendError::Disconnected(path)) = error;
            self.board.commands_failed.add(1);
            let shown = path.display();
            warn!(
                "--capture-on-close: the command is {WAITING_MAX} files behind; not run for {shown}"
            );
        }
    }
}

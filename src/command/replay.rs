//! `ringbook replay`: captures to books, with figures.
//!
//! Runs on:  main thread; reader and shards have their own threads.
use super::Failure;
use crate::config::{UsageError, replay::ReplayArgs};
use crate::io::file::NewFile;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Replays and prints. A signal ends the input; a second one ends the process.
///
/// # Errors
/// A flag is unusable.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let plans = args.plans().map_err(UsageError)?;
    let plot = args.plot.as_deref().map(NewFile::create).transpose();
    let plot = plot.map_err(|line| UsageError(format!("--plot: {line}")))?;
    let stop = stop_on_signals();
    Ok(ExitCode::from(crate::replay::execute(&plans, args.json, plot, &stop)))
}

/// A flag set by the first signal; the second one ends the process.
pub(super) fn stop_on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    super::terminal::survive_file_limit();
    for signal in super::terminal::stop_signals() {
        // Without handlers a signal ends the process as usual, which is good enough. A terminal that closes
        // sends SIGHUP more than once.
        if signal != signal_hook::consts::SIGHUP {
            let ends = signal_hook::flag::register_conditional_shutdown;
            let _ = ends(signal, 130, Arc::clone(&stop));
        }
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    stop
}

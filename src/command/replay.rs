//! `ringbook replay`: captures to books, with figures.
//!
//! Runs on:  main thread; reader and shards have their own threads.
use super::{Failure, histograms::HistogramFiles};
use crate::config::{UsageError, make_histograms, replay::ReplayArgs};
use crate::io::file::NewFile;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Replays and prints. A signal ends the input; a second one ends the process.
///
/// # Errors
/// A flag is unusable, or the histograms cannot be written.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let plans = args.plans().map_err(UsageError)?;
    let plot = args.plot.as_deref().map(NewFile::create).transpose();
    let plot = plot.map_err(|line| UsageError(format!("--plot: {line}")))?;
    let folder = &args.histograms.histograms;
    make_histograms(folder.as_deref())?;
    let mut files = HistogramFiles::new(folder.clone());
    let stop = stop_on_signals();
    let code = crate::replay::execute(&plans, args.json, plot, &stop, |measured| {
        files.add(measured.start_wall_ns, measured.report.elapsed_ns, &measured.latencies);
    });
    let written = files.write();
    written.map_err(|line| format!("--histograms {line}"))?;
    Ok(ExitCode::from(code))
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

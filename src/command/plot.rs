//! `ringbook plot`: one market of a capture as a plot.
//!
//! Runs on:  main thread; reader and shard have their own threads.
use super::{Failure, replay::stop_on_signals};
use crate::config::{UsageError, plot::PlotArgs};
use crate::io::file::NewFile;
use crate::io::output::{complain, print, print_line};
use crate::replay::{MarketPlot, ReplayError, plot};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Replays and draws. A signal ends the input; what was read is drawn.
///
/// # Errors
/// A flag is unusable, or there is nothing to draw.
pub fn run(args: &PlotArgs) -> Result<ExitCode, Failure> {
    let (plans, wanted) = args.plans().map_err(UsageError)?;
    let out = args.out.as_deref().map(|path| NewFile::create(path).map(|file| (file, path)));
    let out = out.transpose().map_err(|line| UsageError(format!("--out: {line}")))?;
    let stop = stop_on_signals();
    let MarketPlot { svg, summary, failures } =
        plot(&plans, &wanted, &stop).map_err(|error| match error {
            ReplayError::Input(line) => line.into(),
            ReplayError::Usage(line) => Failure { line, code: 2 },
        })?;
    match out {
        Some((file, path)) => {
            file.finish(svg.as_bytes())?;
            print_line(format_args!("{}: {summary}", path.display()));
        }
        None => print(svg),
    }
    failures.iter().for_each(|line| complain(format_args!("ringbook plot: {line}")));
    Ok(match (stop.load(Ordering::Relaxed), failures.is_empty()) {
        (true, _) => ExitCode::from(130),
        (false, false) => ExitCode::from(1),
        (false, true) => ExitCode::SUCCESS,
    })
}

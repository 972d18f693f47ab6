//! `ringbook export` and `ringbook candles`: captures and databases to files.
//!
//! Runs on:  main thread; a replay has its own threads.
use super::Failure;
use crate::config::UsageError;
use crate::config::export::{CandlesArgs, ExportArgs};
use std::process::ExitCode;

/// Exports. A signal ends the input and completes the files; a second one ends the process.
///
/// # Errors
/// A flag is unusable.
pub fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let plan = args.plan().map_err(UsageError)?;
    let stop = super::replay::stop_on_signals();
    Ok(ExitCode::from(crate::export::execute(&plan, &stop)))
}

/// Makes candles. A signal ends the input and completes the file; a second one ends the process.
///
/// # Errors
/// A flag is unusable.
pub fn candles(args: &CandlesArgs) -> Result<ExitCode, Failure> {
    let plan = args.plan().map_err(UsageError)?;
    let stop = super::replay::stop_on_signals();
    Ok(ExitCode::from(crate::export::candles::execute(&plan, &stop)))
}

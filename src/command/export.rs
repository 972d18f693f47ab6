//! `ringbook export`: captures and databases as Parquet.
//!
//! Runs on:  main thread; a replay has threads of its own.
use super::Failure;
use crate::config::{UsageError, export::ExportArgs};
use std::process::ExitCode;

/// Exports; a signal stops it and finishes the files with what was read, a second one ends at once.
///
/// # Errors
/// A flag is unusable.
pub fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let plan = args.plan().map_err(UsageError)?;
    let stop = super::replay::stop_on_signals();
    Ok(ExitCode::from(crate::export::execute(&plan, &stop)))
}

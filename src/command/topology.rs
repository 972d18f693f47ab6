//! `ringbook topology`: threads, cores and links of a command line.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::config::{UsageError, cores::LayoutFlags, layout};
use crate::io::executor::usable_cores;
use crate::io::output::print;
use crate::topology::Topology;
use std::process::ExitCode;

/// Prints the table.
///
/// # Errors
/// The layout does not fit this machine.
pub fn run(flags: &LayoutFlags) -> Result<ExitCode, Failure> {
    let topology = Topology::plan(&layout(flags)?, &usable_cores()).map_err(UsageError::from)?;
    print(&topology);
    Ok(ExitCode::SUCCESS)
}

//! `ringbook completions` and `ringbook man`: what a shell and `man` need, from the declared flags.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::config::flags::Cli;
use crate::io::output::print;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

/// Prints the completions.
pub fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    print(Cli::completions(shell));
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
///
/// # Errors
/// The folder cannot be written.
pub fn man(folder: &Path) -> Result<ExitCode, Failure> {
    Cli::write_manual(folder).map_err(|error| {
        format!("{}: the manual pages cannot be written: {error}", folder.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

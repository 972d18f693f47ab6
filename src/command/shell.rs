//! `ringbook completions` and `ringbook man`: what a shell and `man` need, from the declared flags.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::config::flags::Cli;
use crate::io::output::print;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

/// Prints the completions.
///
/// # Errors
/// None.
pub fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ringbook", &mut script);
    print(String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
///
/// # Errors
/// The folder cannot be written.
pub fn man(folder: &Path) -> Result<ExitCode, Failure> {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let line = format!("{}: the manual pages cannot be written: {error}", folder.display());
            Err(Failure { line, code: 1 })
        }
    }
}

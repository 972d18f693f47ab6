//! `ringbook config`: an example of the file of `run --config`, and the check of one.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::base::text::counted;
use crate::config::file::{FileError, check, example};
use crate::config::flags::ConfigFlags;
use crate::io::output::{print, print_line};
use std::process::ExitCode;

/// Prints the example, or the result of the check.
///
/// # Errors
/// The faults of the file, one line each, exit code 2.
pub fn run(flags: &ConfigFlags) -> Result<ExitCode, Failure> {
    let Some(path) = &flags.check else {
        print(example());
        return Ok(ExitCode::SUCCESS);
    };
    let faults = |FileError(lines)| Failure { line: lines.join("\n"), code: 2 };
    let settings = check(path).map_err(faults)?;
    let settings = counted(settings as u64, "setting", "settings");
    print_line(format_args!("{}: {settings}, no faults", path.display()));
    Ok(ExitCode::SUCCESS)
}

//! Subcommands: flags to work, results to exit codes.
//!
//! Runs on:  main thread, not pinned.
pub mod archive;
pub mod bench_live;
pub mod book;
pub mod cluster;
mod columns;
pub mod compare;
pub mod config;
pub mod counters;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod gateway;
pub mod histograms;
pub mod plot;
pub mod pools;
pub mod replay;
pub mod run;
pub mod shell;
pub mod tail;
pub mod terminal;
pub mod top;
pub mod topology;

use crate::config::UsageError;
use crate::config::file::FileError;
use crate::config::flags::{Cli, Command};
use crate::engine::EngineError;
use crate::io::output::{self, complain};
use std::ffi::OsString;
use std::process::ExitCode;

/// Main function of the program `ringbook`, with its command line.
pub fn command_line(line: Vec<OsString>) -> ExitCode {
    let cli = match Cli::of(line) {
        Ok(cli) => cli,
        Err(FileError(lines)) => return fail(&Failure { line: lines.join("\n"), code: 2 }),
    };
    terminal::start_logging(cli.log);
    // An engine has its work elsewhere; what it prints is a summary.
    let is_printer = !matches!(cli.command, Command::Run(_) | Command::Demo(_));
    let result = match cli.command {
        Command::Run(flags) => run::run(&flags),
        Command::Demo(flags) => demo::run(&flags),
        Command::BenchLive(flags) => bench_live::run(&flags),
        Command::BenchGateway(flags) => bench_live::gateway::run(&flags),
        Command::Replay(args) => replay::run(&args),
        Command::Gateway(args) => gateway::run(&args),
        Command::Book(args) => book::run(&args),
        Command::Capture(args) => archive::run(&args.command),
        Command::Import(args) => archive::import(&args),
        Command::Export(args) => export::run(&args),
        Command::Candles(args) => export::candles(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Compare(flags) => compare::run(&flags),
        Command::Tail(flags) => tail::run(&flags),
        Command::Cluster { command } => cluster::run(&command),
        Command::Top(flags) => top::run(&flags),
        Command::Topology(flags) => topology::run(&flags),
        Command::Doctor(flags) => doctor::run(&flags),
        Command::Pools(flags) => pools::run(&flags),
        Command::Counters => counters::run(),
        Command::Config(flags) => config::run(&flags),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder } => shell::man(&folder),
    };
    match result {
        // What was asked for did not arrive; the line is on standard error.
        Ok(ExitCode::SUCCESS) if is_printer && output::text_is_lost() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(Failure { line, code }) => {
            // Usage: values that contradict each other, perhaps those of the file.
            let place = cli.file.filter(|_| code == 2).and_then(|file| file.place(&line));
            fail(&Failure { line: place.unwrap_or(line), code })
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    failure.line.lines().for_each(|line| complain(format_args!("ringbook: {line}")));
    ExitCode::from(failure.code)
}

/// Failure of a command: one line and the exit code, 2 for usage, 1 otherwise.
#[derive(Debug)]
pub struct Failure {
    /// Line with the remedy.
    pub line: String,
    /// Exit code.
    pub code: u8,
}

impl From<String> for Failure {
    fn from(line: String) -> Self {
        Self { line, code: 1 }
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self { line: format!("{error}; `ringbook --help` lists all flags"), code: 2 }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = error.exit_code();
        let line = match error {
            EngineError::Setting(error) => UsageError::from(error).0,
            EngineError::Topology(error) => UsageError::from(error).0,
            error => error.to_string(),
        };
        Self { line, code }
    }
}

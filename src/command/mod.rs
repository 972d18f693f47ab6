//! The subcommands: each turns flags into work and results into an exit code.
//!
//! Runs on:  main thread, never pinned.
pub mod bench_live;
pub mod compare;
pub mod counters;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod histograms;
pub mod pools;
pub mod replay;
pub mod run;
pub mod terminal;
pub mod topology;

use crate::config::UsageError;
use crate::config::flags::{Cli, Command};
use crate::engine::EngineError;
use crate::io::output::complain;
use std::process::ExitCode;

/// The program `ringbook`: what its command line asks for.
#[must_use]
pub fn command_line() -> ExitCode {
    let cli = Cli::of_this_process();
    terminal::start_logging(cli.log);
    let result = match cli.command {
        Command::Run(flags) => run::run(&flags),
        Command::Demo(flags) => demo::run(&flags),
        Command::BenchLive(flags) => bench_live::run(&flags),
        Command::Replay(args) => replay::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Compare(flags) => compare::run(&flags),
        Command::Topology(flags) => topology::run(&flags),
        Command::Doctor(flags) => doctor::run(&flags),
        Command::Pools(flags) => pools::run(&flags),
        Command::Counters => counters::run(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            complain(format_args!("ringbook: {}", failure.line));
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command ended: one line for people, and the exit code (2 usage, 1 anything else).
#[derive(Debug)]
pub struct Failure {
    /// What happened and what to do.
    pub line: String,
    /// Exit code.
    pub code: u8,
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self { line: format!("{error}; `ringbook --help` lists all flags"), code: 2 }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { code: error.exit_code(), line: error.to_string() }
    }
}

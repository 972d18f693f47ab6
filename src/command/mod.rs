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
use crate::engine::EngineError;

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

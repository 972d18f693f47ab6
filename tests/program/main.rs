//! The subcommands and the tuning program as a user runs them: real binaries, real files.
#![allow(clippy::unwrap_used)] // tests

mod candles;
mod configuration;
mod deployment;
mod export;
mod hftbacktest;
mod plot;
mod progress;
mod replay;
mod tuning;

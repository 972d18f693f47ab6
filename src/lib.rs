//! **ringbook**: a thread-per-core market-data engine for prediction markets.
//!
//! See the [README](https://crates.io/crates/ringbook) for how to use it.

pub mod base;
pub mod command;
pub mod config;
pub mod control;
pub mod counter;
pub mod engine;
pub mod io;
pub mod link;
pub mod market;
pub mod replay;
pub mod ring;
pub mod serve;
pub mod session;
pub mod shard;
pub mod sim;
pub mod topology;
pub mod venue;
pub mod wire;

//! What the engine counts: latency histograms, and the report that every reader of it shares.
//!
//! Runs on:  any (pure).
pub mod capture;
pub mod figure;
pub mod latency;
pub mod loss;
mod merge;
pub mod report;
pub mod service;
pub mod shard;
pub mod trades;

//! What the engine counts: latency histograms, and the report that every reader of it shares.
//!
//! Runs on:  any (pure).
pub mod latency;
pub mod report;
pub mod shard;

//! What the engine counts: latency histograms, and the report that every reader of it shares.
//!
//! Runs on:  any (pure).
pub mod bus;
pub mod bus_source;
pub mod capture;
pub mod cluster;
pub mod figure;
pub mod fold;
pub mod health;
pub mod latency;
pub mod loss;
pub mod race;
pub mod report;
pub mod service;
pub mod shard;
pub mod trades;

//! Desired state: markets, the connections that carry them, dials, REST requests.
//!
//! Runs on:  control core. Owns: registry, placement, discovery, dials. Does not use `shard`.
//!
//! Decisions are pure: time is an argument, actions are returned. `dial`, `controller` and `shard_proxy` execute them.
mod clock;
mod connections;
pub mod controller;
pub mod dial;
pub mod dial_queue;
mod dialer;
pub mod discovery;
pub mod exchange;
mod health;
pub mod io_request;
mod lag;
pub mod lifecycle;
mod market_publisher;
mod markets;
mod names;
pub mod placement;
pub mod recycler;
pub mod registry;
mod reporting;
pub mod resolutions;
pub mod run;
mod schema_drift;
pub mod shard_proxy;
pub mod skips;
mod slices;
pub mod snapshot_requester;
mod status_report;
mod stream_statistics;
pub mod supervisor;
#[cfg(test)]
mod tests;

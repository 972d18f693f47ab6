//! What should be: every market, the connection it belongs on, and who dials when.
//!
//! Runs on:  control core. Owns: registry, placement, discovery, dials. Never names `shard`.
pub mod dial;
pub mod shard_proxy;

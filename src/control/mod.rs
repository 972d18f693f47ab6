//! What should be: every market, the connection it belongs on, and who dials when.
//!
//! Runs on:  control core. Owns: registry, placement, discovery, dials. Never names `shard`.
//!
//! All decisions are pure (time comes in, actions come out); only `dial`, `pump` and
//! `shard_proxy` act.
mod announce;
pub mod catalogue;
mod clock;
pub mod dial;
pub mod dialing;
pub mod discovery;
pub mod exchange;
mod lag;
pub mod lifecycle;
mod names;
mod picture;
pub mod placement;
pub mod pump;
mod recycle;
pub mod recycling;
pub mod registry;
pub mod resolutions;
pub mod resync;
pub mod run;
pub mod shard_proxy;
pub mod skips;
mod stream;
pub mod supervisor;
#[cfg(test)]
mod tests;

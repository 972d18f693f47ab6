//! Polymarket's market channel and catalogue.
//!
//! Runs on:  any (pure).
#![doc = include_str!("protocol.md")]
pub mod catalog;
pub mod decode;
pub mod dialog;
pub mod message;
pub(super) mod named;
mod scan;
pub mod subscribe;

//! Polymarket's market channel and catalogue.
//!
//! Runs on:  any (pure).
pub mod catalog;
pub mod decode;
pub mod dialog;
pub mod message;
pub(super) mod named;
mod scan;
pub mod subscribe;

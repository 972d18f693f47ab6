//! Polymarket's market channel and catalogue.
//!
//! Runs on:  any (pure).
pub mod catalog;
pub mod decode;
pub mod dialog;
pub mod message;
mod scan;
pub mod subscribe;

//! Kalshi's WebSocket v2 and catalogue.
//!
//! Runs on:  any (pure).
pub mod catalog;
pub mod command;
pub mod decode;
pub mod dialog;
pub mod message;
pub mod orderbooks;
pub mod sequence;
pub mod sign;

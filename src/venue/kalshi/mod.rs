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

/// Requests a second and at once of the smallest tier: 200 tokens a second at 10 a request, two seconds' worth at
/// once (kalshi.md, 4).
pub const REST_RATE: (u32, u32) = (20, 40);

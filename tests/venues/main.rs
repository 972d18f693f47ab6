//! The simulated venues as a client meets them, and the examples against one.
#![allow(clippy::unwrap_used)] // tests

mod examples;
mod kalshi;
mod polymarket;

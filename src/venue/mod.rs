//! The venues.
//!
//! Runs on:  any (pure).
pub mod polymarket;

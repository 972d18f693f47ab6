//! Polymarket.
//!
//! Runs on:  any (pure).
pub mod catalog;

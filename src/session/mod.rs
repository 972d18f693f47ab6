//! One connection without its socket.
//!
//! Runs on:  any (pure).
pub mod backoff;

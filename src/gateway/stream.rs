//! `/v1/stream`: ringbook's own stream of book updates, for both venues.
//!
//! Runs on:  serve core (pure). Owns: nothing.

//! Kalshi's WebSocket protocol, as its server speaks it.
//!
//! Runs on:  serve core (pure). Owns: nothing.

//! Polymarket's market channel, as its server speaks it.
//!
//! Runs on:  serve core (pure). Owns: nothing.

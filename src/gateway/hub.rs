//! The hub: replicas of the subscribed books, and the clients that subscribe to them.
//!
//! Runs on:  serve core (pure). Owns: replicas and sessions.

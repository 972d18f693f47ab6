//! The gateway of recorded days: one replay per client, served as the live gateway serves its clients.
//!
//! Runs on:  serve core (sessions begin and end); a thread per replay reads. `server` is the serve core, `sessions`
//! are the replays of its clients, `tardis` the ranges of the tardis interface.
pub mod server;
pub mod sessions;
mod tardis;

//! Polymarket's market channel and the read-only part of its CLOB interface, as their server speaks them.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   `session::TOKENS_MAX`, `rest::TOKENS_PER_REQUEST_MAX`, `json::DEPTH_MAX`.
//!
//! The facts of the protocol are those of `src/venue/polymarket/protocol.md`. [`session`] reads what a client sends,
//! [`encode`] writes what it receives, [`rest`] answers its requests; [`polypy`] is the interface of a web page.
pub mod encode;
pub mod gamma;
pub(super) mod history;
mod json;
pub mod markets;
pub mod polypy;
pub mod rest;
pub mod session;

pub use session::Session;

use crate::base::id::Venue;

/// Whose markets are listed.
const VENUE: Venue = Venue::named("polymarket");

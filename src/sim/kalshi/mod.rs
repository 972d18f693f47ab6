//! A simulated Kalshi: REST and WebSocket v2 over real TCP and TLS, for tests and demos.
//!
//! Runs on:  one thread of its own, started by [`KalshiVenue::start`].
//! Owns:     one listening port with `/trade-api/v2`, `/trade-api/ws/v2` and `/sim`.
//!
//! Books, encoders and numbers are separate from the engine's. Modules, bottom up: `market`, `exchange`, `messages`
//! (encoders), `session` (subscriptions and numbers), `command`, `handle_command`, `auth`, `filter`, `rest`, `server`.
mod allowance;
mod auth;
mod command;
mod config;
mod exchange;
mod faults;
mod filter;
mod handle_command;
mod market;
mod messages;
mod rest;
mod server;
mod session;
mod venue;

pub use config::{CommandScope, KalshiConfig, YesLevels, YesPrice};
pub use venue::KalshiVenue;

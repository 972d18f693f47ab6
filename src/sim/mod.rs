//! A simulated Polymarket over real TCP and TLS, for tests, demos and benchmarks.
//!
//! Runs on:  one thread of its own, started by [`Venue::start`].
//! Owns:     one listening port with Gamma, CLOB REST, the market channel and `/sim`.
//! Bounds:   requests, client messages and each connection's backlog.
//!
//! It uses only `base` of the engine: encoders, books and frames are separate, so that an encoder cannot share a bug
//! with the decoder.
//!
//! Modules, bottom up. State: `book`, `market`, `flow` (orders and trades), `scenario` (their times), `exchange`
//! (virtual time), `pace` (scheduled times, for measurements). Encoding: `summary`, `message`, `catalog`, `fault`,
//! `frame`. Protocol: `request`, `subscription`, `quota`, `admission`, `channel`, `routes`, `steering`,
//! `stream_fault`, `client_faults`. Sockets: `sockets`, `connection`, `connections`, `server`. [`kalshi`] is a
//! simulated Kalshi on the same base.
mod admission;
mod book;
mod catalog;
mod certificate;
mod channel;
mod client_faults;
mod clock;
mod config;
mod connection;
mod connections;
mod exchange;
mod fault;
mod flow;
mod frame;
mod json;
pub mod kalshi;
mod market;
mod message;
mod old_books;
mod pace;
mod quota;
mod request;
mod routes;
mod scenario;
mod server;
mod sockets;
mod stats;
mod steering;
mod stream_fault;
mod subscription;
mod summary;
mod venue;

pub use config::{SimConfig, SimError};
pub use pace::{GivenUp, Pace, PaceReport, STAMP_DIGITS, STEP_DIGITS};
pub use stats::Stats;
pub use venue::{Host, Venue};

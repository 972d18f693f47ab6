//! A simulated Polymarket over real TCP and TLS, for tests, demos and benchmarks.
//!
//! Runs on:  one thread of its own, started by [`Venue::start`].
//! Owns:     one listening port with Gamma, CLOB REST, the market channel and `/sim`.
//! Bounds:   requests, client messages and each connection's backlog are limited.
//!
//! It shares nothing with the engine but `base`: own encoders, own books, own frames. An encoder
//! that shared the decoder's bug would prove nothing.
//!
//! From the inside out: `book`, `market`, `flow` (what traders do), `scenario` (when), `exchange`
//! (all of it in virtual time), `pace` (a flow at times fixed beforehand, for measurements);
//! `summary`, `message`, `catalog`, `fault` (messages);
//! `frame`, `request`, `subscription`, `quota` (encoding); `connection`, `connections`,
//! `channel`, `routes`, `steering`, `stream_fault`, `server` (to whom). [`kalshi`] is another venue on the same
//! foundations.
mod book;
mod catalog;
mod certificate;
mod channel;
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

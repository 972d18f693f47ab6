//! The live tests: the real `ringbook` against the real `venue-sim`, as processes on loopback.
//!
//! Runs on:  test threads; every process is killed when its test ends, whatever happens.
//!
//! Nothing here shares code with the engine but the rustls configuration of the test HTTP
//! client: books are compared as JSON, level by level, by `books`.
#![allow(clippy::unwrap_used)] // tests

mod adding;
mod archive;
mod bench;
mod books;
#[cfg(feature = "kafka")]
mod bus;
#[cfg(feature = "kafka")]
mod bus_schema;
#[cfg(feature = "kafka")]
mod bus_source;
mod capturing;
#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod cluster_reader;
mod database;
mod dropping;
mod engine;
mod events;
mod faults;
mod followed;
mod following;
mod gateway;
mod gateway_clients;
mod gateway_history;
mod gateway_tls;
mod hostile;
mod http;
mod kalshi;
mod library;
mod losses;
mod merging;
mod outage;
mod outputs;
mod page;
mod plots;
mod prices;
mod program;
mod proxy;
mod racing;
mod refused;
mod repairing;
mod replayed;
mod replayed_markets;
mod sharing;
mod startup_errors;
mod status;
mod stopping;
mod stream;
mod tardis;
mod tardis_replay;
mod third_venue;
mod top;
mod trade_storage;
mod venue;
mod versions;

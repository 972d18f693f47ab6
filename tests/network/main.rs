//! Sockets of the engine against servers and clients of the tests: REST, pools, the local server, WebSocket.
#![allow(clippy::unwrap_used)] // tests

mod autobahn;
mod autobahn_server;
mod fetch;
mod pools;
mod serve_http;

//! TLS, WebSocket and HTTP over memory, without sockets and clocks.
//!
//! Runs on:  any (pure).
pub mod endpoint;
pub mod http;
pub mod tls;
pub mod websocket;

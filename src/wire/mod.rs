//! Bytes in, frames out: TLS, WebSocket, HTTP, each without its socket and without a clock.
//!
//! Runs on:  any (pure).
pub mod endpoint;
pub mod http;
pub mod tls;
pub mod websocket;

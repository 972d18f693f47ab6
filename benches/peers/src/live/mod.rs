//! One paced sender over loopback, and the clients that turn its frames into books.
//!
//! The sender is the same for all: a thread of its own on its own core, plain TCP, server frames
//! written by hand. Each frame carries the time at which it was *meant* to be written, so that a
//! client that holds the sender up is charged for it (no coordinated omission).

mod boomnet;
pub mod client;
pub mod frame;
mod glommio;
mod memory;
mod ours;
pub mod recorder;
pub mod request;
pub mod sender;
mod tokio;
mod uring;
pub mod venue;

pub use client::{Client, NAMES};

/// Path of the market channel.
pub const CHANNEL: &str = "/ws/market";

//! The rim: the only files that name the runtime, the kernel or a clock.
//!
//! Runs on:  the core that owns the object. Knows no venue.
pub mod authority;
pub mod blocking;
pub mod clock;
pub mod connection;
pub mod dial;
pub mod driver;
pub mod executor;
pub mod file;
mod gzip_members;
pub mod host;
pub mod line;
pub mod listen;
pub mod lock;
mod native;
pub mod output;
mod packed;
pub mod probe;
pub mod resolve;
pub mod socket;
pub mod threads;
mod zstd_frames;

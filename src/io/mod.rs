//! The I/O boundary: the only files that use the runtime, the kernel and the clocks.
//!
//! Runs on:  the core that owns the object. Independent of venues.
pub mod authority;
pub mod blocking;
pub mod child;
pub mod client_stream;
pub mod clock;
pub mod connection;
pub mod dial;
pub mod direct_socket;
pub mod driver;
pub mod executor;
pub mod file;
mod gzip_members;
pub mod handoff;
pub mod host;
pub mod instructions;
pub mod journal;
pub mod line;
pub mod listen;
pub mod lock;
mod native;
pub mod output;
mod packed;
pub mod probe;
pub mod progress;
pub mod resolve;
pub mod shared_memory;
pub mod socket;
pub mod threads;
pub mod wake;
pub mod write_queue;
mod zstd_frames;

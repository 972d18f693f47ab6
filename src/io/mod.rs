//! The rim: the only files that name the runtime, the kernel or a clock.
//!
//! Runs on:  the core that owns the object. Knows no venue.
pub mod clock;
pub mod file;

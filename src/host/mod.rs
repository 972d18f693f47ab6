//! What a host is like, and what that means for the engine: facts in, one verdict for each setting out.
//!
//! Runs on:  main thread, before anything starts (pure: `io::host` gathers the facts).
//!
//! `tuning/` changes what is judged here; `ringbook doctor` prints it. Both read the same profiles.
pub mod facts;
pub mod judge;
pub mod kernel_text;
pub mod profile;
pub mod show;
#[cfg(test)]
mod tests;

pub use facts::{Facts, Share};
pub use judge::{Finding, Verdict, judge};
pub use profile::{Profile, ProfileError};

//! Assessment of the host: facts in, one finding per setting out.
//!
//! Runs on:  main thread at startup (pure: `io::host` collects the facts).
//!
//! `tuning/` changes these settings; `ringbook doctor` prints the findings. Both use the same profiles.
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

//! Backoff: how long to wait before the next attempt at something that failed.
//!
//! Runs on:  any (pure).
//! Bounds:   every delay is between `BACKOFF_MIN_NS` and the longest that it was made for.
use crate::base::limits::{BACKOFF_MAX_NS, BACKOFF_MIN_NS};
use crate::base::random::Random;

/// Exponential backoff with full jitter above a floor.
///
/// The n-th delay is uniform between [`BACKOFF_MIN_NS`] and `BACKOFF_MIN_NS * 2^n`, the latter at
/// most the longest: many that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    max_ns: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// Nothing has failed yet; no delay is above [`BACKOFF_MAX_NS`].
    pub const fn new() -> Self {
        Self::up_to(BACKOFF_MAX_NS)
    }

    /// Nothing has failed yet; no delay is above `max_ns`, or above [`BACKOFF_MIN_NS`] if that is longer.
    pub const fn up_to(max_ns: u64) -> Self {
        let max_ns = if max_ns < BACKOFF_MIN_NS { BACKOFF_MIN_NS } else { max_ns };
        Self { failures: 0, max_ns }
    }

    /// Counts one more failure and draws the delay before the next attempt, nanoseconds.
    pub const fn next_delay_ns(&mut self, random: &mut Random) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let doublings = if self.failures < 32 { self.failures } else { 32 };
        let longest = BACKOFF_MIN_NS << doublings;
        let longest = if longest < self.max_ns { longest } else { self.max_ns };
        BACKOFF_MIN_NS + random.below(longest - BACKOFF_MIN_NS + 1)
    }

    /// An attempt succeeded: the next failure starts again from the shortest delay.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

const _: () = assert!(BACKOFF_MIN_NS < BACKOFF_MAX_NS && BACKOFF_MIN_NS <= u64::MAX >> 33);

#[cfg(test)]
mod tests;

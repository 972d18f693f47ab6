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
    #[must_use]
    pub const fn new() -> Self {
        Self::up_to(BACKOFF_MAX_NS)
    }

    /// Nothing has failed yet; no delay is above `max_ns`, or above [`BACKOFF_MIN_NS`] if that is longer.
    #[must_use]
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

    /// Failures since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

const _: () = assert!(BACKOFF_MIN_NS < BACKOFF_MAX_NS && BACKOFF_MIN_NS <= u64::MAX >> 33);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_delay_is_chosen_by_who_waits() {
        let mut random = Random::new(7);
        for max_ns in [0, BACKOFF_MIN_NS, 2 * BACKOFF_MAX_NS] {
            let mut backoff = Backoff::up_to(max_ns);
            let delays: Vec<u64> = (0..400).map(|_| backoff.next_delay_ns(&mut random)).collect();
            let max_ns = max_ns.max(BACKOFF_MIN_NS);
            assert!(delays.iter().all(|delay| (BACKOFF_MIN_NS..=max_ns).contains(delay)));
            assert!(delays.iter().any(|&delay| delay > max_ns * 9 / 10));
        }
    }

    #[test]
    fn delays_grow_within_their_bounds_and_spread() {
        let mut random = Random::new(7);
        let mut longest = [0u64; 12];
        for _ in 0..500 {
            let mut backoff = Backoff::new();
            for (n, longest) in longest.iter_mut().enumerate() {
                let delay = backoff.next_delay_ns(&mut random);
                let bound = (BACKOFF_MIN_NS << (n + 1)).min(BACKOFF_MAX_NS);
                assert!((BACKOFF_MIN_NS..=bound).contains(&delay), "{n}: {delay}");
                *longest = delay.max(*longest);
            }
        }
        assert!(longest.iter().take(5).is_sorted());
        assert!(longest[11] > BACKOFF_MAX_NS * 9 / 10);
    }

    #[test]
    fn success_starts_over_and_many_failures_do_not_overflow() {
        let mut random = Random::new(1);
        let mut backoff = Backoff::new();
        for _ in 0..100 {
            assert!(backoff.next_delay_ns(&mut random) <= BACKOFF_MAX_NS);
        }
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.next_delay_ns(&mut random) <= 2 * BACKOFF_MIN_NS);
    }
}

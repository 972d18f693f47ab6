//! When a shard polls and when it sleeps.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: what the last pauses were like.
//! Bounds:   a poll without result lasts [`ADAPTIVE_SPIN_NS`] at most under [`Idle::Adaptive`].
use crate::base::limits::{ADAPTIVE_PROBE_PAUSES, ADAPTIVE_SPIN_NS, HOUSEKEEPING_INTERVAL_NS};
use crate::base::policy::Idle;

/// Full marks of [`Pacer::worth`].
const WORTH_MAX: u32 = 256;
/// Polling goes on while at least this share of the last polls found work. Below it a pause is
/// mostly longer than [`ADAPTIVE_SPIN_NS`] and the poll is lost on top of the sleep.
const WORTH_MIN: u32 = WORTH_MAX / 4;
/// One poll changes the mark by this part of its distance to the result.
const WORTH_PART: u32 = 8;

/// Decides how long a shard may sleep.
#[derive(Debug)]
pub(super) struct Pacer {
    policy: Idle,
    /// Until when this pause is polled; `None` before a pause and where it is not polled at all.
    polls_until_ns: Option<u64>,
    /// How often polling found work lately, 0 to [`WORTH_MAX`].
    worth: u32,
    /// Pauses since the last one that was polled.
    unpolled: u32,
    pausing: bool,
}

impl Pacer {
    pub(super) fn new(policy: Idle) -> Self {
        Self { policy, polls_until_ns: None, worth: WORTH_MAX, unpolled: 0, pausing: false }
    }

    /// How long the next wait for work may last, nanoseconds; `worked` says whether the last step
    /// had any, which ended at `now_ns` (monotonic).
    pub(super) fn timeout_ns(&mut self, worked: bool, now_ns: u64) -> u64 {
        match self.policy {
            Idle::Spin => 0,
            Idle::Park => u64::from(!worked) * HOUSEKEEPING_INTERVAL_NS,
            Idle::Adaptive => self.adapted(worked, now_ns),
        }
    }

    fn adapted(&mut self, worked: bool, now_ns: u64) -> u64 {
        if worked {
            if self.pausing && self.polls_until_ns.take().is_some() {
                self.worth += (WORTH_MAX - self.worth).div_ceil(WORTH_PART);
            }
            self.pausing = false;
            return 0;
        }
        if !self.pausing {
            self.pausing = true;
            self.unpolled += 1;
            // Now and then one is polled all the same: the venue may have become busy.
            let polled = self.worth >= WORTH_MIN || self.unpolled >= ADAPTIVE_PROBE_PAUSES;
            self.polls_until_ns = polled.then(|| now_ns.saturating_add(ADAPTIVE_SPIN_NS));
        }
        match self.polls_until_ns {
            Some(until_ns) if now_ns < until_ns => 0,
            Some(_) => {
                self.polls_until_ns = None;
                self.unpolled = 0;
                self.worth -= self.worth.div_ceil(WORTH_PART);
                HOUSEKEEPING_INTERVAL_NS
            }
            None => HOUSEKEEPING_INTERVAL_NS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `count` pauses of `gap_ns`; a look costs 1 µs. Gives the time that was polled away and
    /// the number of sleeps.
    fn pauses(pacer: &mut Pacer, gap_ns: u64, count: u64) -> (u64, u64) {
        let (mut polled_ns, mut sleeps, mut now_ns) = (0, 0, 1);
        for _ in 0..count {
            assert_eq!(pacer.timeout_ns(true, now_ns), 0, "after work there may be more");
            let end_ns = now_ns + gap_ns;
            while now_ns < end_ns {
                let timeout_ns = pacer.timeout_ns(false, now_ns);
                if timeout_ns > 0 {
                    sleeps += 1;
                    break;
                }
                polled_ns += 1_000;
                now_ns += 1_000;
            }
            now_ns = end_ns;
        }
        (polled_ns, sleeps)
    }

    #[test]
    fn short_pauses_are_polled_and_long_ones_slept_through() {
        let mut pacer = Pacer::new(Idle::Adaptive);
        let (_, sleeps) = pauses(&mut pacer, ADAPTIVE_SPIN_NS / 2, 1000);
        assert_eq!(sleeps, 0, "polling always paid");
        let (_, sleeps) = pauses(&mut pacer, 1_000_000, 100);
        assert_eq!(sleeps, 100, "every long pause is slept in the end");
        let (polled_ns, _) = pauses(&mut pacer, 1_000_000, 1000);
        let most = 1000 / u64::from(ADAPTIVE_PROBE_PAUSES) + 2;
        assert!(polled_ns <= most * ADAPTIVE_SPIN_NS, "{polled_ns} ns polled in a quiet second");
        assert!(polled_ns >= ADAPTIVE_SPIN_NS, "never looks whether it became busy");
        // Busy again: a hundred probes' worth of messages later, all of them are polled for.
        pauses(&mut pacer, ADAPTIVE_SPIN_NS / 2, 100 * u64::from(ADAPTIVE_PROBE_PAUSES));
        assert_eq!(pauses(&mut pacer, ADAPTIVE_SPIN_NS / 2, 1000).1, 0);
    }

    #[test]
    fn spin_never_sleeps_and_park_sleeps_at_once() {
        let mut spin = Pacer::new(Idle::Spin);
        assert_eq!(pauses(&mut spin, 1_000_000, 10).1, 0);
        let mut park = Pacer::new(Idle::Park);
        assert_eq!(pauses(&mut park, 1_000_000, 10), (0, 10));
    }
}

//! Rate limit of a service: a token bucket, and pauses that the service requests.
//!
//! Runs on:  any (pure; time is an argument). Owns: two points in time.
//! Bounds:   no reservation waits for longer than its caller's limit.
//!
//! Generic cell rate algorithm: the state is the time at which the bucket is full again, so there are no refills and no
//! accumulated rounding. Waiting requests have a reserved slot and proceed in order of arrival.
use crate::base::time::SECOND_NS;

/// Sustained rate and burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second, above 0.
    pub per_second: f64,
    /// Requests at once after idle time, at least 1.
    pub burst: u32,
}

/// The delay would exceed the caller's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFast {
    /// The delay, nanoseconds.
    pub wait_ns: u64,
    /// Whether the service requested the pause.
    pub by_service: bool,
}

/// The bucket of one service.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Interval at the sustained rate; 0 means no limit.
    interval_ns: u64,
    /// How far a burst may be ahead of the sustained rate.
    ahead_ns: u64,
    /// Time at which the bucket is full.
    full_ns: u64,
    paused_until_ns: u64,
}

impl Bucket {
    /// A full bucket; without `rate`, only the service's pauses limit.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        let interval_ns = rate.map_or(0, |rate| {
            // 1 ns to 1 h for any configured value.
            let ns = SECOND_NS as f64 / rate.per_second;
            ns.clamp(1.0, 3600.0 * SECOND_NS as f64) as u64
        });
        let burst = rate.map_or(1, |rate| u64::from(rate.burst.max(1)));
        let ahead_ns = interval_ns.saturating_mul(burst - 1);
        Self { interval_ns, ahead_ns, full_ns: 0, paused_until_ns: 0 }
    }

    /// Reserves a slot; returns the delay until then, nanoseconds.
    ///
    /// # Errors
    /// [`TooFast`] if the delay exceeds `timeout_ns`; nothing is reserved.
    pub fn reserve(&mut self, now_ns: u64, timeout_ns: u64) -> Result<u64, TooFast> {
        let pause_ns = self.pause_ns(now_ns);
        let full_ns = self.full_ns.max(now_ns);
        let bucket_ns = full_ns.saturating_sub(self.ahead_ns).saturating_sub(now_ns);
        let wait_ns = pause_ns.max(bucket_ns);
        if wait_ns > timeout_ns {
            return Err(TooFast { wait_ns, by_service: pause_ns > bucket_ns });
        }
        self.full_ns = full_ns.saturating_add(self.interval_ns);
        Ok(wait_ns)
    }

    /// Remaining pause requested by the service, nanoseconds.
    #[must_use]
    pub const fn pause_ns(&self, now_ns: u64) -> u64 {
        self.paused_until_ns.saturating_sub(now_ns)
    }

    /// The service requests a pause. The longest one counts.
    pub fn pause(&mut self, now_ns: u64, for_ns: u64) {
        self.paused_until_ns = self.paused_until_ns.max(now_ns.saturating_add(for_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MILLISECOND_NS;
    use proptest::prelude::*;

    #[test]
    fn a_burst_has_no_delay_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(Some(Rate { per_second: 10.0, burst: 3 }));
        let waits: Vec<u64> =
            (0..5).map(|_| bucket.reserve(SECOND_NS, SECOND_NS).unwrap()).collect();
        assert_eq!(waits, [0, 0, 0, 100 * MILLISECOND_NS, 200 * MILLISECOND_NS]);
        let error = bucket.reserve(SECOND_NS, 250 * MILLISECOND_NS).unwrap_err();
        assert_eq!(error, TooFast { wait_ns: 300 * MILLISECOND_NS, by_service: false });
        // A refused reservation has no effect.
        assert_eq!(bucket.reserve(SECOND_NS, SECOND_NS), Ok(300 * MILLISECOND_NS));
        assert_eq!(bucket.reserve(100 * SECOND_NS, 0), Ok(0));
    }

    #[test]
    fn a_pause_holds_for_all_and_the_longest_counts() {
        let mut bucket = Bucket::new(None);
        assert!((0..1000).all(|_| bucket.reserve(5, 0) == Ok(0)));
        bucket.pause(10, 3 * SECOND_NS);
        bucket.pause(10, SECOND_NS);
        assert_eq!(bucket.reserve(10, 5 * SECOND_NS), Ok(3 * SECOND_NS));
        let error = bucket.reserve(10, SECOND_NS).unwrap_err();
        assert_eq!(error, TooFast { wait_ns: 3 * SECOND_NS, by_service: true });
        assert_eq!(bucket.pause_ns(10 + 3 * SECOND_NS), 0);
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_the_burst_and_the_pace(
            per_second in 1.0f64..1000.0, burst in 1u32..20,
            gaps in prop::collection::vec(0u64..50 * MILLISECOND_NS, 1..200),
        ) {
            let mut bucket = Bucket::new(Some(Rate { per_second, burst }));
            let mut now_ns = 0;
            let mut went = Vec::new();
            for gap_ns in gaps {
                now_ns += gap_ns;
                went.push(now_ns + bucket.reserve(now_ns, u64::MAX).unwrap());
            }
            prop_assert!(went.is_sorted(), "in the order in which they came");
            for (place, start) in went.iter().enumerate() {
                for (further, end) in went[place..].iter().enumerate() {
                    let allowed = f64::from(burst) + (end - start) as f64 / 1e9 * per_second + 0.01;
                    prop_assert!((further + 1) as f64 <= allowed + 1e-6 * further as f64);
                }
            }
        }
    }
}

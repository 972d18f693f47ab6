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
    pub const fn pause_ns(&self, now_ns: u64) -> u64 {
        self.paused_until_ns.saturating_sub(now_ns)
    }

    /// The service requests a pause. The longest one counts.
    pub fn pause(&mut self, now_ns: u64, for_ns: u64) {
        self.paused_until_ns = self.paused_until_ns.max(now_ns.saturating_add(for_ns));
    }
}

#[cfg(test)]
mod tests;

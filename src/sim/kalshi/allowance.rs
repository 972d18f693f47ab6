//! A token bucket.
//!
//! Runs on:  the venue's thread (pure; time is an argument).

/// A token bucket with a maximum.
#[derive(Debug)]
pub(super) struct Allowance {
    per_second: f64,
    most: f64,
    tokens: f64,
    at_ms: u64,
}

impl Allowance {
    /// A full bucket.
    pub(super) const fn new(per_second: f64, most: f64) -> Self {
        Self { per_second, most, tokens: most, at_ms: 0 }
    }

    /// A bucket of `per_second` tokens per second and as maximum; `None` (no limit) for 0.
    pub(super) fn of_commands(per_second: u32) -> Option<Self> {
        (per_second > 0).then(|| Self::new(f64::from(per_second), f64::from(per_second)))
    }

    /// Takes `cost` tokens if available; false otherwise.
    pub(super) fn take(&mut self, now_ms: u64, cost: f64) -> bool {
        let passed = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.at_ms = now_ms;
        self.tokens = (self.tokens + passed * self.per_second).min(self.most);
        let enough = self.tokens >= cost;
        if enough {
            self.tokens -= cost;
        }
        enough
    }
}

#[cfg(test)]
mod tests;

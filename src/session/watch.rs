//! Whether a connection's silence is to be checked: silence alone does not tell quiet from frozen.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: one connection's mean gap.
//!
//! A connection of busy markets is checked after seconds, one of dead markets after minutes. The
//! check (asking the venue's REST interface) decides, so a needless one costs a request and no connection.
use crate::base::limits::{DATA_SILENCE_GAPS, DATA_SILENCE_MAX_NS, DATA_SILENCE_MIN_NS};
use crate::base::time::SECOND_NS;

/// The mean is taken over about so long.
const WINDOW_NS: u64 = 300 * SECOND_NS;

/// What is known of a connection's gaps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    looked_ns: u64,
    /// Data seen and time passed, both fading with the window.
    arrivals: f64,
    span_ns: f64,
    counted: u64,
    measured_ns: u64,
}

impl Watch {
    /// A new socket: silence counts from now on; what is known of the connection's pace stays.
    pub fn begin(&mut self, now_ns: u64) {
        (self.looked_ns, self.measured_ns) = (now_ns, now_ns);
    }

    /// Call it several times a second with the number of arrivals so far and the last one's time
    /// (0 for never). True when the silence is to be checked now.
    pub fn poll(&mut self, arrivals: u64, last_ns: u64, now_ns: u64) -> bool {
        let passed_ns = now_ns.saturating_sub(self.measured_ns);
        self.measured_ns = now_ns;
        let fading = 1.0 - (passed_ns as f64 / WINDOW_NS as f64).min(1.0);
        // A new socket counts from zero.
        let new = arrivals.checked_sub(self.counted).unwrap_or(arrivals);
        self.counted = arrivals;
        self.arrivals = self.arrivals * fading + new as f64;
        self.span_ns = self.span_ns * fading + passed_ns as f64;
        let since_ns = last_ns.max(self.looked_ns);
        if now_ns.saturating_sub(since_ns) < self.timeout_ns() {
            return false;
        }
        self.looked_ns = now_ns;
        true
    }

    /// Silence that is not checked, nanoseconds.
    pub fn timeout_ns(&self) -> u64 {
        let gap_ns = self.span_ns / self.arrivals.max(1.0);
        let timeout_ns = (gap_ns * DATA_SILENCE_GAPS as f64) as u64;
        timeout_ns.clamp(DATA_SILENCE_MIN_NS, DATA_SILENCE_MAX_NS)
    }
}

#[cfg(test)]
mod tests;

//! The simulator's clocks: virtual time follows the host's clock unless paused.
//!
//! Runs on:  the venue's thread.
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(0)
}

/// Virtual milliseconds: real time without pauses.
#[derive(Debug)]
pub(super) struct Clock {
    /// Time at which virtual time 0 would have been without pauses.
    origin: Instant,
    started: Instant,
    paused_ms: Option<u64>,
}

impl Clock {
    pub(super) fn new(paused: bool) -> Self {
        let now = Instant::now();
        Self { origin: now, started: now, paused_ms: paused.then_some(0) }
    }

    /// Real milliseconds since the start, including pauses.
    pub(super) fn uptime_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Virtual milliseconds since the start.
    pub(super) fn virtual_ms(&self) -> u64 {
        self.paused_ms.unwrap_or_else(|| millis(self.origin.elapsed()))
    }

    /// Whether virtual time is stopped.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_ms.is_some()
    }

    /// Stops virtual time.
    pub(super) fn pause(&mut self) {
        self.paused_ms = Some(self.virtual_ms());
    }

    /// Continues virtual time; returns the wall clock at virtual time 0, milliseconds since the
    /// Unix epoch.
    pub(super) fn resume(&mut self) -> u64 {
        if let Some(at_ms) = self.paused_ms.take() {
            self.origin =
                Instant::now().checked_sub(Duration::from_millis(at_ms)).unwrap_or(self.origin);
        }
        wall_ms().saturating_sub(self.virtual_ms())
    }

    /// Sets virtual time back to `virtual_ms` because the machine was too slow; returns what
    /// [`resume`](Self::resume) returns.
    pub(super) fn hold_back(&mut self, virtual_ms: u64) -> u64 {
        self.paused_ms = Some(virtual_ms);
        self.resume()
    }

    /// Time until virtual time `at_ms`.
    pub(super) fn until(&self, at_ms: u64) -> Duration {
        let at = self.origin + Duration::from_millis(at_ms);
        at.saturating_duration_since(Instant::now())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

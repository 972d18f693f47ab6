//! Detects a host clock behind the venue's clock.
//!
//! Runs on:  control core (pure).
//!
//! Input is the smallest difference of receive and venue time. Below zero it can only be the clocks; above zero it may
//! be the network, which `lag` reports.
use crate::base::limits::CLOCK_ERROR_MS;

/// Milliseconds that the host is behind, from the smallest difference of receive and venue time.
pub(super) fn behind_ms(offset_ms: Option<i64>) -> u64 {
    offset_ms.unwrap_or(0).min(0).unsigned_abs()
}

/// The last difference, and whether it was logged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostClockCheck {
    behind_ms: u64,
    logged: bool,
}

impl HostClockCheck {
    /// Takes the smallest difference of each shard, milliseconds. The largest of them counts: a shard may have a single
    /// connection with wrong times. Returns a log line when the host falls behind.
    pub(super) fn on_offsets(
        &mut self,
        offsets: impl Iterator<Item = Option<i64>>,
        venue: &str,
    ) -> Option<String> {
        self.behind_ms = behind_ms(offsets.flatten().max());
        let line = self.line(venue);
        let first = line.is_some() && !self.logged;
        self.logged = line.is_some() || self.logged && self.behind_ms > CLOCK_ERROR_MS / 2;
        line.filter(|_| first)
    }

    /// The notice of `/health`; `None` while the difference is at most `CLOCK_ERROR_MS`.
    pub(super) fn line(&self, venue: &str) -> Option<String> {
        (self.behind_ms > CLOCK_ERROR_MS).then(|| {
            format!(
                "host clock is {:.0} s behind the venue's: messages of {venue} carry times that this host has not \
                 reached; books follow the venue's clock, ages and files have the host's: run chrony",
                self.behind_ms as f64 / 1e3
            )
        })
    }
}

#[cfg(test)]
mod tests;

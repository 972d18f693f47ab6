//! Counters, latencies and health of one pool.
//!
//! Runs on:  the pool's core (pure; time is an argument). Owns: counters and three histograms (30 KB each).
//! Bounds:   `POOL_LATENCY_MAX_NS`; longer times are recorded as that.
use super::error::{ErrorKind, PoolError};
use super::service::Service;
use super::slots::SlotCounts;
use crate::base::limits::POOL_LATENCY_MAX_NS;
use crate::base::time::Now;
use crate::counter::latency::LatencySummary;
pub use crate::counter::service::{Health, HealthState, Occupation, ServiceReport};
use hdrhistogram::Histogram;

/// Statistics of one pool.
#[derive(Debug)]
pub struct Statistics {
    requests: u64,
    failed: u64,
    repeated: u64,
    redirected: u64,
    opened: u64,
    open_failed: u64,
    acquired: u64,
    acquire_sum_ns: u64,
    errors: [u64; ErrorKind::ALL.len()],
    acquire: Histogram<u64>,
    request: Histogram<u64>,
    connect: Histogram<u64>,
    health: Health,
    /// A probe failed: only a successful probe sets the state to up again.
    down_by_probe: bool,
}

impl Default for Statistics {
    fn default() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, POOL_LATENCY_MAX_NS, 2).expect("constant bounds");
        Self {
            requests: 0,
            failed: 0,
            repeated: 0,
            redirected: 0,
            opened: 0,
            open_failed: 0,
            acquired: 0,
            acquire_sum_ns: 0,
            errors: [0; ErrorKind::ALL.len()],
            acquire: histogram(),
            request: histogram(),
            connect: histogram(),
            health: Health::default(),
            down_by_probe: false,
        }
    }
}

impl Statistics {
    /// A connection was acquired after `took_ns`.
    pub fn on_acquired(&mut self, took_ns: u64) {
        self.acquired += 1;
        self.acquire_sum_ns = self.acquire_sum_ns.saturating_add(took_ns);
        self.acquire.saturating_record(took_ns.max(1));
    }

    /// A request ended after `took_ns`.
    pub fn on_request(&mut self, took_ns: u64, failed: bool) {
        self.requests += 1;
        self.failed += u64::from(failed);
        self.request.saturating_record(took_ns.max(1));
    }

    /// A request was repeated because its connection had died.
    pub const fn on_repeated(&mut self) {
        self.repeated += 1;
    }

    /// A redirect was followed.
    pub const fn on_redirected(&mut self) {
        self.redirected += 1;
    }

    /// Counts an error.
    pub const fn on_error(&mut self, kind: ErrorKind) {
        self.errors[kind as usize] += 1;
    }

    /// An attempt to open a connection ended; `Ok` has its duration, nanoseconds.
    pub fn on_opened(&mut self, result: Result<u64, &PoolError>, now: Now) {
        match result {
            Ok(took_ns) => {
                self.opened += 1;
                self.connect.saturating_record(took_ns.max(1));
                if !self.down_by_probe {
                    self.become_state(HealthState::Up, now.wall_ns);
                }
            }
            Err(error) => {
                self.open_failed += 1;
                self.on_error(error.kind());
                self.on_down(error, now);
            }
        }
    }

    /// A probe ended; `Ok` has its duration, nanoseconds.
    pub fn on_probe(&mut self, result: Result<u64, &PoolError>, now: Now) {
        self.health.probes += 1;
        self.health.last_probe_ns = now.wall_ns;
        match result {
            Ok(took_ns) => {
                self.health.probe_took_ns = took_ns;
                self.down_by_probe = false;
                self.become_state(HealthState::Up, now.wall_ns);
            }
            Err(error) => {
                self.health.probes_failed += 1;
                self.down_by_probe = true;
                self.on_down(error, now);
            }
        }
    }

    fn on_down(&mut self, error: &PoolError, now: Now) {
        self.health.last_error = Some(error.to_string());
        self.health.last_error_ns = now.wall_ns;
        self.become_state(HealthState::Down, now.wall_ns);
    }

    fn become_state(&mut self, state: HealthState, wall_ns: u64) {
        if self.health.state != state {
            self.health.state = state;
            self.health.since_ns = wall_ns;
        }
    }

    /// Health of the service.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Whether the last probe failed; a new connection does not change that.
    pub const fn is_down_by_probe(&self) -> bool {
        self.down_by_probe
    }

    /// Share of failed requests; without requests, of failed connection attempts.
    fn error_rate(&self) -> f64 {
        let (failed, all) = match self.requests {
            0 => (self.open_failed, self.opened + self.open_failed),
            requests => (self.failed, requests),
        };
        if all == 0 { 0.0 } else { failed as f64 / all as f64 }
    }

    /// The report of `service`, with the counters of its slots.
    pub fn report(
        &self,
        service: &Service,
        counts: &SlotCounts,
        occupation: Occupation,
    ) -> ServiceReport {
        let errors = ErrorKind::ALL.iter().map(|&kind| (kind.name(), self.errors[kind as usize]));
        let reuse_rate = match counts.acquired {
            0 => 0.0,
            acquired => counts.reused as f64 / acquired as f64,
        };
        ServiceReport {
            service: service.name.clone(),
            stream: false,
            kind: service.kind.name(),
            address: service.url(),
            min: service.limits.min,
            max: service.limits.max,
            occupation,
            acquired: counts.acquired,
            reuse_rate,
            opened: counts.opened,
            closed: counts.closed(),
            closed_broken: counts.closed_broken,
            timed_out: counts.timed_out,
            cancelled: counts.cancelled,
            leaks: counts.leaks,
            peak_in_use: counts.peak_in_use,
            peak_waiting: counts.peak_waiting,
            requests: self.requests,
            failed: self.failed,
            error_rate: self.error_rate(),
            repeated: self.repeated,
            redirected: self.redirected,
            errors: errors.filter(|(_, count)| *count > 0).collect(),
            acquire_mean_ns: self.acquire_sum_ns.checked_div(self.acquired).unwrap_or(0),
            acquire: LatencySummary::of("acquire", &self.acquire),
            request: LatencySummary::of("request", &self.request),
            connect: LatencySummary::of("connect", &self.connect),
            health: self.health.clone(),
        }
    }
}

#[cfg(test)]
mod tests;

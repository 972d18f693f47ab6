//! What a pool has done, and how its service is.
//!
//! Runs on:  the pool's core (pure; time is an argument). Owns: counters and three histograms (30 KB each).
//! Bounds:   `POOL_LATENCY_MAX_NS`; longer ones are recorded as that.
use super::error::{ErrorKind, PoolError};
use super::slots::SlotCounts;
use crate::base::limits::POOL_LATENCY_MAX_NS;
use crate::base::time::Now;
use crate::counter::latency::LatencySummary;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether a service is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// The last probe went well; or the last attempt to connect, where no probe says otherwise.
    Up,
    /// It did not.
    Down,
}

impl HealthState {
    /// The state in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How a service is. Times are nanoseconds since the Unix epoch, 0 for never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether it is there.
    pub state: HealthState,
    /// Since when it is in that state.
    pub since_ns: u64,
    /// When it was probed last.
    pub last_probe_ns: u64,
    /// How long the last probe that went well took, nanoseconds.
    pub probe_took_ns: u64,
    /// Probes sent.
    pub probes: u64,
    /// Of these, probes that failed.
    pub probes_failed: u64,
    /// The last failure, even if it is over.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_ns: u64,
    /// It is down because a probe says so: that it takes connections does not mend that.
    #[serde(skip)]
    down_by_probe: bool,
}

impl Health {
    fn become_state(&mut self, state: HealthState, wall_ns: u64) {
        if self.state != state {
            self.state = state;
            self.since_ns = wall_ns;
        }
    }
}

/// The books of one pool.
#[derive(Debug)]
pub struct Statistics {
    requests: u64,
    failed: u64,
    repeated: u64,
    redirected: u64,
    errors: [u64; ErrorKind::ALL.len()],
    acquire: Histogram<u64>,
    request: Histogram<u64>,
    connect: Histogram<u64>,
    health: Health,
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
            errors: [0; ErrorKind::ALL.len()],
            acquire: histogram(),
            request: histogram(),
            connect: histogram(),
            health: Health::default(),
        }
    }
}

impl Statistics {
    /// Somebody has waited for a connection, nanoseconds, and got one.
    pub fn on_acquired(&mut self, took_ns: u64) {
        self.acquire.saturating_record(took_ns.max(1));
    }

    /// A request is over after so many nanoseconds.
    pub fn on_request(&mut self, took_ns: u64, failed: bool) {
        self.requests += 1;
        self.failed += u64::from(failed);
        self.request.saturating_record(took_ns.max(1));
    }

    /// A request is sent once more because its connection had died.
    pub const fn on_repeated(&mut self) {
        self.repeated += 1;
    }

    /// A redirect is followed.
    pub const fn on_redirected(&mut self) {
        self.redirected += 1;
    }

    /// Something failed.
    pub const fn on_error(&mut self, kind: ErrorKind) {
        self.errors[kind as usize] += 1;
    }

    /// A connection was opened after so many nanoseconds, or was not.
    pub fn on_opened(&mut self, result: Result<u64, &PoolError>, now: Now) {
        match result {
            Ok(took_ns) => {
                self.connect.saturating_record(took_ns.max(1));
                if !self.health.down_by_probe {
                    self.health.become_state(HealthState::Up, now.wall_ns);
                }
            }
            Err(error) => {
                self.on_error(error.kind());
                self.on_down(error, now);
            }
        }
    }

    /// A probe is over after so many nanoseconds.
    pub fn on_probe(&mut self, result: Result<u64, &PoolError>, now: Now) {
        self.health.probes += 1;
        self.health.last_probe_ns = now.wall_ns;
        match result {
            Ok(took_ns) => {
                self.health.probe_took_ns = took_ns;
                self.health.down_by_probe = false;
                self.health.become_state(HealthState::Up, now.wall_ns);
            }
            Err(error) => {
                self.health.probes_failed += 1;
                self.health.down_by_probe = true;
                self.on_down(error, now);
            }
        }
    }

    fn on_down(&mut self, error: &PoolError, now: Now) {
        self.health.last_error = Some(error.to_string());
        self.health.last_error_ns = now.wall_ns;
        self.health.become_state(HealthState::Down, now.wall_ns);
    }

    /// How the service is.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// The report, without what the slots know.
    fn report(&self) -> PoolReport {
        let errors = ErrorKind::ALL.iter().map(|&kind| (kind.name(), self.errors[kind as usize]));
        PoolReport {
            requests: self.requests,
            failed: self.failed,
            repeated: self.repeated,
            redirected: self.redirected,
            errors: errors.filter(|(_, count)| *count > 0).collect(),
            acquire: LatencySummary::of("acquire", &self.acquire),
            request: LatencySummary::of("request", &self.request),
            connect: LatencySummary::of("connect", &self.connect),
            health: self.health.clone(),
            ..PoolReport::default()
        }
    }
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Occupation {
    /// Connections lent.
    pub in_use: usize,
    /// Connections that wait for somebody.
    pub idle: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Those who wait for a connection.
    pub waiting: usize,
}

/// What is told of one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolReport {
    /// The service's name.
    pub service: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its address.
    pub address: String,
    /// Connections kept open.
    pub min: usize,
    /// Connections at most.
    pub max: usize,
    /// How full it is.
    pub occupation: Occupation,
    /// Connections lent since the start.
    pub acquired: u64,
    /// Share of these that somebody had before, 0 to 1.
    pub reuse_rate: f64,
    /// Connections opened.
    pub opened: u64,
    /// Connections closed.
    pub closed: u64,
    /// Of these, broken ones.
    pub closed_broken: u64,
    /// Waiters whose time was over.
    pub timed_out: u64,
    /// Waiters that went away.
    pub cancelled: u64,
    /// Connections lent for too long.
    pub leaks: u64,
    /// Most connections lent at once.
    pub peak_in_use: usize,
    /// Most waiters at once.
    pub peak_waiting: usize,
    /// Requests that are over.
    pub requests: u64,
    /// Of these, requests that got no answer.
    pub failed: u64,
    /// Requests sent once more because a kept connection had died.
    pub repeated: u64,
    /// Redirects followed.
    pub redirected: u64,
    /// Errors by kind, those that happened.
    pub errors: BTreeMap<&'static str, u64>,
    /// Waiting for a connection.
    pub acquire: LatencySummary,
    /// Whole requests.
    pub request: LatencySummary,
    /// Opening connections.
    pub connect: LatencySummary,
    /// How the service is.
    pub health: Health,
}

impl PoolReport {
    /// The report of a pool with these books.
    #[must_use]
    pub fn of(
        service: &super::service::Service,
        statistics: &Statistics,
        counts: &SlotCounts,
        occupation: Occupation,
    ) -> Self {
        let reuse_rate = match counts.acquired {
            0 => 0.0,
            acquired => counts.reused as f64 / acquired as f64,
        };
        Self {
            service: service.name.clone(),
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
            ..statistics.report()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_places_and_health_its_times() {
        for (place, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
        let mut statistics = Statistics::default();
        let at = |wall_ns| Now { mono_ns: 0, wall_ns };
        assert_eq!(statistics.health().state, HealthState::Unknown);
        statistics.on_opened(Ok(5), at(10));
        statistics.on_probe(Ok(7), at(20));
        statistics.on_probe(Err(&PoolError::Unhealthy { status: 500 }), at(30));
        statistics.on_probe(Err(&PoolError::Unhealthy { status: 503 }), at(40));
        let health = statistics.health();
        assert_eq!((health.state, health.since_ns), (HealthState::Down, 30));
        assert_eq!((health.last_probe_ns, health.probe_took_ns, health.probes), (40, 7, 3));
        assert_eq!(health.last_error.as_deref(), Some("the probe was answered with HTTP 503"));
        // That it takes connections does not make it healthy.
        statistics.on_opened(Ok(5), at(45));
        assert_eq!(statistics.health().state, HealthState::Down);
        statistics.on_probe(Ok(9), at(50));
        assert_eq!(statistics.health().state, HealthState::Up);
        assert_eq!((statistics.health().since_ns, statistics.health().last_error_ns), (50, 40));
    }
}

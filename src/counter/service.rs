//! The report of one backend service and of its connection pool.
//!
//! Runs on:  any (pure).
use super::latency::LatencySummary;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Whether a service is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Occupation {
    /// Connections leased.
    pub in_use: usize,
    /// Connections that wait for somebody.
    pub idle: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Those who wait for a connection.
    pub waiting: usize,
}

/// The report of one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct ServiceReport {
    /// The service's name.
    pub service: String,
    /// Its connections are streams of market data: they are leased to nobody, sent no requests and not probed, and such
    /// figures are left out.
    #[serde(skip)]
    pub stream: bool,
    /// Its kind.
    #[serde(skip_deserializing)]
    pub kind: &'static str,
    /// Its address.
    pub address: String,
    /// Connections kept open.
    pub min: usize,
    /// Connections at most.
    pub max: usize,
    /// How full it is.
    pub occupation: Occupation,
    /// Connections leased since the start.
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
    /// Connections leased for too long.
    pub leaks: u64,
    /// Most connections leased at once.
    pub peak_in_use: usize,
    /// Most waiters at once.
    pub peak_waiting: usize,
    /// Requests that are over.
    pub requests: u64,
    /// Of these, requests that got no answer.
    pub failed: u64,
    /// Share of the requests that got no answer, 0 to 1; where there are no requests, of the attempts to connect.
    pub error_rate: f64,
    /// Requests sent once more because a kept connection had died.
    pub repeated: u64,
    /// Redirects followed.
    pub redirected: u64,
    /// Errors by kind, those that happened.
    #[serde(skip_deserializing)]
    pub errors: BTreeMap<&'static str, u64>,
    /// Mean wait for a connection, nanoseconds.
    pub acquire_mean_ns: u64,
    /// Waiting for a connection.
    pub acquire: LatencySummary,
    /// Whole requests.
    pub request: LatencySummary,
    /// Opening connections.
    pub connect: LatencySummary,
    /// How the service is.
    pub health: Health,
}

#[derive(Serialize)]
struct StreamReport<'a> {
    service: &'a str,
    kind: &'static str,
    address: &'a str,
    min: usize,
    max: usize,
    occupation: StreamOccupation,
    opened: u64,
    closed: u64,
    closed_broken: u64,
    error_rate: f64,
    errors: &'a BTreeMap<&'static str, u64>,
    connect: &'a LatencySummary,
    health: StreamHealth<'a>,
}

#[derive(Serialize)]
struct StreamOccupation {
    in_use: usize,
    opening: usize,
    waiting: usize,
}

#[derive(Serialize)]
struct StreamHealth<'a> {
    state: HealthState,
    since_ns: u64,
    last_error: Option<&'a str>,
    last_error_ns: u64,
}

impl Serialize for ServiceReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.stream {
            return Self::serialize(self, serializer);
        }
        let Occupation { in_use, opening, waiting, idle: _ } = self.occupation;
        let Health { state, since_ns, last_error_ns, .. } = self.health;
        let last_error = self.health.last_error.as_deref();
        let report = StreamReport {
            service: &self.service,
            kind: self.kind,
            address: &self.address,
            min: self.min,
            max: self.max,
            occupation: StreamOccupation { in_use, opening, waiting },
            opened: self.opened,
            closed: self.closed,
            closed_broken: self.closed_broken,
            error_rate: self.error_rate,
            errors: &self.errors,
            connect: &self.connect,
            health: StreamHealth { state, since_ns, last_error, last_error_ns },
        };
        report.serialize(serializer)
    }
}

/// A stream's report has a part of the fields; the others are 0.
impl<'de> Deserialize<'de> for ServiceReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

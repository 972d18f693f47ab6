//! Statistics of the stream, reported like a service pool.
//!
//! Runs on:  control core (pure; time is an argument). Owns: counters and histograms.
use super::dial::{DialError, Target};
use crate::base::limits::DIAL_TIMEOUT_NS;
use crate::base::time::Now;
use crate::counter::report::PoolReport;
use crate::counter::service::{Occupation, ServiceReport};
use crate::io::connection::ConnectionError;
use crate::io::{dial::ConnectError, resolve::ResolveError};
use crate::pool::slots::SlotCounts;
use crate::pool::statistics::Statistics;
use crate::pool::{Kind, PoolError, Service};

/// Counters and histograms of the stream.
#[derive(Debug)]
pub(super) struct StreamStatistics {
    name: &'static str,
    kind: Kind,
    url: String,
    host: String,
    statistics: Statistics,
}

impl StreamStatistics {
    /// No dial.
    pub(super) fn new(name: &'static str, target: &Target) -> Self {
        let kind = if target.tls.is_some() { Kind::Wss } else { Kind::Ws };
        let (url, host) = (target.url.clone(), target.host.clone());
        Self { name, kind, url, host, statistics: Statistics::default() }
    }

    /// Duration of a successful dial up to the upgrade, nanoseconds.
    pub(super) fn on_up(&mut self, took_ns: u64, now: Now) {
        self.statistics.on_opened(Ok(took_ns), now);
    }

    /// A failed dial.
    pub(super) fn on_failure(&mut self, error: &DialError, now: Now) {
        self.statistics.on_opened(Err(&of_a_pool(error)), now);
    }

    /// The name of the host cannot be resolved.
    pub(super) fn on_unresolved(&mut self, why: &str, now: Now) {
        let error = ResolveError::Failed { host: self.host.clone(), why: why.to_owned() };
        self.statistics.on_opened(Err(&ConnectionError::Resolve(error).into()), now);
    }

    /// Report with the figures of connections and dials.
    pub(super) fn report(&self, pool: &PoolReport, dialing: usize) -> ServiceReport {
        let (up, waiting) = (pool.connections_active as usize, pool.connections_waiting as usize);
        let opened = pool.connections_opened + pool.reconnects;
        let occupation = Occupation {
            in_use: up,
            idle: 0,
            opening: dialing,
            waiting: waiting.saturating_sub(dialing),
        };
        let report = Service::new(self.name, self.kind, &self.url)
            .map(|service| self.statistics.report(&service, &SlotCounts::default(), occupation));
        ServiceReport {
            stream: true,
            address: self.url.clone(),
            // Placement wants each of them up.
            min: up + waiting,
            max: up + waiting,
            opened,
            closed: opened.saturating_sub(pool.connections_active),
            // Only the venue or the path ends a connection that is dialed again.
            closed_broken: pool.reconnects,
            ..report.unwrap_or_default()
        }
    }
}

fn of_a_pool(error: &DialError) -> PoolError {
    match error {
        DialError::Connect { address, error } => {
            let tried = address.iter().map(|address| (*address, error.to_string())).collect();
            ConnectionError::Connect(ConnectError { tried }).into()
        }
        DialError::Tls(error) => ConnectionError::Tls(error.clone()).into(),
        DialError::Sign(why) => ConnectionError::BadRequest(why.clone()).into(),
        DialError::WebSocket(error) => PoolError::WebSocket(error.clone()),
        DialError::Ended => ConnectionError::Broken(error.to_string()).into(),
        DialError::Timeout(stage) => {
            ConnectionError::Timeout { stage, after_ns: DIAL_TIMEOUT_NS }.into()
        }
    }
}

#[cfg(test)]
mod tests;

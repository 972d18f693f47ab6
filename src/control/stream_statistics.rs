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
mod tests {
    use super::*;
    use crate::control::tests::fixture::target;
    use crate::counter::service::HealthState;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn dials_are_counted_like_a_pools() {
        let mut stream = StreamStatistics::new("some-ws", &target());
        let at = |wall_ns| Now { mono_ns: 0, wall_ns };
        let mut pool = PoolReport { connections_waiting: 3, ..PoolReport::default() };
        let mut reports = vec![stream.report(&PoolReport::default(), 0), stream.report(&pool, 1)];
        let report = stream.report(&pool, 1);
        assert_eq!((report.min, report.occupation.opening, report.occupation.waiting), (3, 1, 2));
        assert_eq!(report.health.state, HealthState::Unknown);
        stream.on_unresolved("no such host", at(5));
        stream.on_failure(&DialError::Timeout("connecting"), at(6));
        let report = stream.report(&pool, 0);
        assert_eq!((report.health.state, report.health.since_ns), (HealthState::Down, 5));
        assert_eq!((report.errors["resolve"], report.errors["timeout"]), (1, 1));
        stream.on_up(7_000, at(9));
        pool = PoolReport { connections_active: 3, connections_opened: 3, reconnects: 2, ..pool };
        pool.connections_waiting = 0;
        let report = stream.report(&pool, 0);
        assert_eq!((report.service.as_str(), report.kind), ("some-ws", "ws"));
        assert_eq!((report.opened, report.closed, report.occupation.in_use), (5, 2, 3));
        assert_eq!((report.health.since_ns, report.connect.count), (9, 1));
        assert_eq!(report.closed_broken, 2);
        reports.push(report);
        each_figure_moves(&reports);
    }

    /// Every number of the stream has another value in one of the reports.
    fn each_figure_moves(reports: &[ServiceReport]) {
        fn numbers(value: &Value, path: &str, into: &mut BTreeMap<String, BTreeSet<String>>) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                    numbers(field, &format!("{path}.{name}"), into);
                }),
                Value::Number(n) => {
                    into.entry(path.to_owned()).or_default().insert(n.to_string());
                }
                _ => {}
            }
        }
        let mut figures = BTreeMap::new();
        for report in reports {
            numbers(&serde_json::to_value(report).unwrap(), "", &mut figures);
        }
        // Errors occur in one report only.
        figures.retain(|path, _| !path.starts_with(".errors."));
        let still: Vec<_> = figures.iter().filter(|(_, values)| values.len() < 2).collect();
        assert!(still.is_empty(), "{still:?}");
        for shown in [".occupation.in_use", ".closed_broken", ".connect.p99_ns", ".error_rate"] {
            assert!(figures.contains_key(shown), "{shown}: {figures:?}");
        }
        for gone in [".requests", ".occupation.idle", ".leaks", ".health.probes", ".acquire.count"]
        {
            assert!(!figures.contains_key(gone), "{gone}");
        }
    }
}

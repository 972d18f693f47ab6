//! Counts of dials.
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
    for gone in [".requests", ".occupation.idle", ".leaks", ".health.probes", ".acquire.count"] {
        assert!(!figures.contains_key(gone), "{gone}");
    }
}

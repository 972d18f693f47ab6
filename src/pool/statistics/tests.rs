//! Rates of errors, waits and kinds.
use super::*;

#[test]
fn the_error_rate_and_the_mean_wait_are_exact() {
    let mut statistics = Statistics::default();
    let service = Service::new("x", super::super::Kind::Http, "http://x.test").unwrap();
    let report = |statistics: &Statistics| {
        let report = statistics.report(&service, &SlotCounts::default(), Occupation::default());
        (report.error_rate, report.acquire_mean_ns)
    };
    assert_eq!(report(&statistics), (0.0, 0));
    let error = PoolError::Unhealthy { status: 500 };
    statistics.on_opened(Err(&error), Now::default());
    assert_eq!(report(&statistics), (1.0, 0), "there were no requests");
    for took_ns in [0, 0, 1_000_003] {
        statistics.on_acquired(took_ns);
    }
    (0..4).for_each(|number| statistics.on_request(5, number == 0));
    assert_eq!(report(&statistics), (0.25, 333_334));
}

#[test]
fn error_kinds_are_indices_and_health_has_its_times() {
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
    assert_eq!(health.last_error.as_deref(), Some("the response to the probe was HTTP 503"));
    // A connection does not clear a failed probe.
    statistics.on_opened(Ok(5), at(45));
    assert_eq!(statistics.health().state, HealthState::Down);
    statistics.on_probe(Ok(9), at(50));
    assert_eq!(statistics.health().state, HealthState::Up);
    assert_eq!((statistics.health().since_ns, statistics.health().last_error_ns), (50, 40));
}

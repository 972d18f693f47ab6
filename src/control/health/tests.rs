//! Conditions of `/health`, each begun and ended.
use super::*;
use crate::base::limits::{LAG_REASON_NS, SCHEMA_DRIFT_WINDOW_NS};
use crate::control::discovery::{Discovery, Lookup};
use crate::control::io_request::Fetched;
use crate::control::lifecycle::{Lifecycle, LifecycleOptions};
use crate::control::registry::Source;
use crate::control::tests::fixture::{POLYMARKET, id, info, parts, shard, token};
use crate::counter::health::condition_of;
use crate::counter::latency::{Latencies, Stage};
use crate::counter::report::EngineReport;

/// Every line of `/health` is declared, and so described in the guide.
fn assert_declared(health: &HealthReport) {
    for line in health.reasons.iter().chain(&health.notices) {
        assert!(condition_of(line).is_some(), "not declared in counter/health.rs: {line}");
    }
}

const LATER: Now = Now { mono_ns: 10 * HEALTH_GRACE_NS, wall_ns: 10 * HEALTH_GRACE_NS };

/// The report of a venue alone.
fn settled(control: &Controller, now: Now) -> EngineReport {
    let mut report = control.report(now);
    report.health.settle();
    assert_declared(&report.health);
    report
}

/// A controller with one shard, and one connection that is up.
fn control() -> Controller {
    let mut control = Controller::new(parts(POLYMARKET, vec![shard(0).0]), Now::default());
    control.markets.registry.register(info(1), 0, Source::Manual);
    let opened =
        control.connections.placement.force_subscribe(&[id(1)], 0, &mut control.markets.registry);
    control.connections.placement.on_active(opened.expect("it was pending"), 0);
    control.shards[0].heartbeat_seen_ns = LATER.mono_ns;
    control
}

#[test]
fn a_book_that_no_shard_has_yet_is_awaited_until_its_market_ends() {
    let mut control = control();
    let market = id(1);
    let known = control.why_awaited(&token("100"), LATER);
    assert!(known.is_some_and(|why| why.contains("is being opened on connection-1")));
    assert_eq!(control.why_awaited(&token("7"), LATER), None, "nobody follows it");
    control.markets.registry.mark_pending(&market, 0);
    let pending = control.why_awaited(&token("100"), LATER);
    assert!(pending.is_some_and(|why| why.contains("waits for a connection")));
    control.markets.registry.mark_expired(&market, 0);
    assert_eq!(control.why_awaited(&token("100"), LATER), None);
    control.markets.discovery = Discovery::new(POLYMARKET, true, 1);
    assert!(control.why_awaited(&token("7"), LATER).is_some(), "before the first scan");
}

#[test]
fn an_engine_whose_scans_do_not_complete_is_not_healthy() {
    use crate::base::limits::SCAN_LATE_NS;
    use crate::control::discovery::Failure;
    let mut control = control();
    control.markets.discovery = Discovery::new(POLYMARKET, true, 1);
    assert!(control.markets.discovery.poll(LATER.mono_ns).is_some());
    let failure = Failure { reason: "HTTP 403".into(), ..Failure::default() };
    control.markets.discovery.on_failure(LATER.mono_ns, failure);
    let mut at = |mono_ns| {
        control.shards[0].heartbeat_seen_ns = mono_ns;
        settled(&control, Now { mono_ns, wall_ns: mono_ns }).health
    };
    assert!(at(LATER.mono_ns + SCAN_LATE_NS - 1).healthy);
    let late = at(LATER.mono_ns + SCAN_LATE_NS);
    assert!(!late.healthy && late.reasons[0].contains("HTTP 403"), "{late:?}");
}

#[test]
fn an_engine_that_does_not_understand_the_venue_is_not_healthy() {
    let mut control = control();
    let mut note = |messages, unknown_events, mono_ns| {
        let intake = &mut control.shards[0].heartbeat.intake;
        (intake.messages, intake.unknown_events) = (messages, unknown_events);
        control.reporting.schema.update(&control.shards, mono_ns);
        settled(&control, LATER).health.reasons.len()
    };
    assert_eq!(note(10_000, 499, SCHEMA_DRIFT_WINDOW_NS), 0);
    assert_eq!(note(10_100, 599, SCHEMA_DRIFT_WINDOW_NS + 1), 0, "the window is not over");
    assert_eq!(note(10_100, 599, 2 * SCHEMA_DRIFT_WINDOW_NS), 1);
    assert_eq!(note(20_100, 599, 3 * SCHEMA_DRIFT_WINDOW_NS), 0, "it is understood again");
}

#[test]
fn a_shard_that_does_not_report_is_a_reason() {
    let mut control = control();
    let at = |control: &mut Controller, silent_ns| {
        control.shards[0].heartbeat_seen_ns = LATER.mono_ns - silent_ns;
        let report = settled(control, LATER);
        (report.shards[0].healthy, report.health.healthy, report.health.reasons)
    };
    assert_eq!(at(&mut control, HEARTBEAT_MISSED_NS - 1), (true, true, Vec::new()));
    let (shard, engine, reasons) = at(&mut control, HEARTBEAT_MISSED_NS);
    assert!(!shard && !engine && reasons.len() == 1, "{reasons:?}");
    assert!(reasons[0].starts_with("shard-0 has not reported for 3 s"), "{reasons:?}");
    // One that never did has as long, from the start on.
    control.shards[0].heartbeat_seen_ns = 0;
    let young = Now { mono_ns: HEARTBEAT_MISSED_NS - 1, wall_ns: 1 };
    assert!(settled(&control, young).shards[0].healthy);
    assert!(!settled(&control, LATER).shards[0].healthy);
}

#[test]
fn an_engine_that_follows_nothing_is_not_healthy_after_the_grace() {
    let mut control = control();
    assert!(settled(&control, LATER).health.healthy);
    let market = id(1);
    control.markets.registry.mark_expired(&market, LATER.mono_ns);
    let health = settled(&control, LATER).health;
    assert_eq!(health.reasons, ["no market is followed: all that were known are over"]);
    control.look_up(Lookup::Slug("x".into()));
    assert!(control.markets.discovery.poll(LATER.mono_ns).is_some());
    let nothing = Fetched::Response { status: 200, retry_after_s: None, body: b"[]".to_vec() };
    control.on_fetched(nothing, LATER);
    let young = Now { mono_ns: 1, wall_ns: 1 };
    control.shards[0].heartbeat_seen_ns = 1;
    let health = settled(&control, young).health;
    let line = "no market is followed: market x: the venue lists no such open market; check the name with the venue";
    assert!(health.healthy && health.notices.contains(&line.to_owned()), "{health:?}");
    control.shards[0].heartbeat_seen_ns = LATER.mono_ns;
    assert_eq!(settled(&control, LATER).health.reasons, [line]);
}

#[test]
fn an_engine_that_waits_for_clients_is_healthy_without_a_market() {
    let mut control = control();
    control.markets.registry.mark_expired(&id(1), LATER.mono_ns);
    assert!(!settled(&control, LATER).health.healthy);
    let options = LifecycleOptions { awaits_clients: true, ..LifecycleOptions::default() };
    control.markets.lifecycle = Lifecycle::new(options);
    assert!(settled(&control, LATER).health.healthy);
}

#[test]
fn old_messages_are_a_notice_then_a_reason() {
    let mut control = control().with_lag_warn(2_000_000_000);
    let mut window = |at_ns| {
        let mut latencies = Latencies::default();
        latencies.record(Stage::VenueToRead, 3_000_000_000);
        control.reporting.lag.on_window(0, latencies.stage(Stage::VenueToRead), at_ns);
        settled(&control, LATER).health
    };
    let health = window(LATER.mono_ns);
    assert!(health.healthy && health.notices[0].contains("messages are 3.0 s old"), "{health:?}");
    assert!(health.notices[0].contains("--lag-warn"));
    let mut control = self::control().with_lag_warn(2_000_000_000);
    let mut latencies = Latencies::default();
    latencies.record(Stage::VenueToRead, 3_000_000_000);
    let ages = latencies.stage(Stage::VenueToRead);
    control.reporting.lag.on_window(0, ages, LATER.mono_ns - LAG_REASON_NS);
    assert!(!settled(&control, LATER).health.healthy);
}

#[test]
fn an_engine_whose_books_are_all_behind_is_not_healthy() {
    let mut control = control();
    assert_eq!(settled(&control, LATER).health.reasons, Vec::<String>::new());
    control.shards[0].heartbeat.books.books = 1;
    control.shards[0].heartbeat.books.awaiting = 1;
    let health = settled(&control, LATER).health;
    assert!(!health.healthy && health.reasons[0].contains("no book is live"), "{health:?}");
    let young = Now { mono_ns: 1, wall_ns: 1 };
    control.shards[0].heartbeat_seen_ns = 1;
    assert!(settled(&control, young).health.healthy, "not yet judged");
}

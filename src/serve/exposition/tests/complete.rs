//! Test: every number of `/stats` is in `/metrics`. Each is changed in turn, and the encode must change.
//!
//! Runs on:  tests.
use super::super::{ServeReport, encode};
use crate::counter::bus::BusReport;
use crate::counter::bus_source::BusSourceReport;
use crate::counter::capture::CaptureReport;
use crate::counter::cluster::ClusterReport;
use crate::counter::latency::{LatencySummary, Stage};
use crate::counter::report::{
    ConnectionReport, EngineReport, ExchangeReport, HandoverReport, LinkReport, ReplacementReport,
    ShardReport, SkipReport, VenueReport,
};
use crate::counter::service::ServiceReport;
use crate::counter::trades::TradeReport;
use serde_json::Value;
use std::sync::Arc;

/// Path prefixes of numbers that are in `/stats` only.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("venues[].shards[]", "shard numbers are identifiers"),
    ("recycling.replacements[]", "replacements under way; their number is a metric"),
    ("recycling.queued[]", "connections that wait for one are identifiers"),
    ("recycling.handovers[]", "a list of recent events; their sums are metrics"),
    ("correctness.checks.", "the sum over the shards of ringbook_shard_tops_ and _hashes_"),
    ("correctness.repairs.", "the sum over the shards of the shard metrics"),
    (
        "pool.connections[].subscriptions.",
        "150 connections make too many series; their sum is a metric",
    ),
    ("shards[].core", "a CPU number is an identifier"),
    ("trades.connections_active", "in ringbook_connections_active"),
    ("trades.reconnections", "in ringbook_reconnects"),
    ("trades.last_reconnect_wall_ns", "in ringbook_last_reconnect_age_seconds"),
];

/// A report with one element in each list and each option.
pub(super) fn one_of_everything() -> EngineReport {
    let mut report = EngineReport {
        venues: vec![VenueReport { shards: vec![0], ..VenueReport::default() }],
        exchange: Some(ExchangeReport::default()),
        services: vec![ServiceReport::default()],
        router: vec![LinkReport::default()],
        shards: vec![ShardReport { core: Some(0), ..ShardReport::default() }],
        trades: Some(TradeReport::default()),
        capture: Some(CaptureReport::default()),
        bus: Some(BusReport::default()),
        bus_source: Some(BusSourceReport::default()),
        cluster: Some(ClusterReport::default()),
        latencies: vec![LatencySummary {
            stage: Stage::ALL[0].name().to_owned(),
            ..LatencySummary::default()
        }],
        ..EngineReport::default()
    };
    report.pool.connections.push(ConnectionReport::default());
    report
        .recycling
        .handovers
        .push(HandoverReport { merged: vec![0], ..HandoverReport::default() });
    report.recycling.replacements.push(ReplacementReport {
        from: vec![0],
        owing: Some(0),
        ..ReplacementReport::default()
    });
    report.recycling.queued.push(0);
    report.lifecycle.skipped.push(SkipReport::default());
    report.recycling.success_rate = Some(0.0);
    report.correctness.score = Some(0.0);
    report
}

/// Calls `visit` with path and value of each number and flag, in order.
fn leaves(value: &mut Value, path: &str, visit: &mut impl FnMut(&str, &mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(field, &format!("{path}{dot}{name}"), visit);
            }
        }
        Value::Array(items) => {
            for item in items {
                leaves(item, &format!("{path}[]"), visit);
            }
        }
        Value::Number(_) | Value::Bool(_) => visit(path, value),
        Value::String(_) | Value::Null => {}
    }
}

/// Paths of empty lists and options, which hide their numbers.
fn hidden(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| hidden(field, &format!("{path}.{name}"), found));
        }
        Value::Array(items) if items.is_empty() => found.push(path.to_owned()),
        Value::Array(items) => items.iter().for_each(|item| hidden(item, path, found)),
        Value::Null => found.push(path.to_owned()),
        Value::Number(_) | Value::Bool(_) | Value::String(_) => {}
    }
}

fn shown(json: &Value) -> String {
    let mut report: EngineReport = serde_json::from_value(json.clone()).unwrap();
    // `&'static str` keys cannot be deserialized.
    report.services[0].errors.insert("timeout", 1);
    encode(&Arc::new(report), &ServeReport::default())
}

#[test]
fn every_number_of_stats_is_in_metrics() {
    let mut json = serde_json::to_value(one_of_everything()).unwrap();
    let mut empty = Vec::new();
    hidden(&json, "", &mut empty);
    let texts = [".health.reasons", ".health.notices", ".services.health.last_error"];
    empty.retain(|path| !texts.contains(&path.as_str()));
    assert_eq!(empty, [""; 0], "fill these in `one_of_everything`: their numbers are not tested");

    // All values differ, and the time of the report is the latest.
    let mut count = 0_u32;
    leaves(&mut json, "", &mut |path, value| {
        count += 1;
        *value = match &*value {
            Value::Bool(_) => false.into(),
            Value::Number(number) if number.is_f64() => (f64::from(count) / 1e4).into(),
            _ if path == "now_wall_ns" => 1_000_000_000_u64.into(),
            _ => (1000 + count).into(),
        };
    });
    let before = shown(&json);
    let mut forgotten = Vec::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for changed in 0..count {
        let (mut json, mut place, mut name) = (json.clone(), 0, String::new());
        leaves(&mut json, "", &mut |path, value| {
            if place == changed {
                path.clone_into(&mut name);
                *value = match &*value {
                    Value::Bool(flag) => (!*flag).into(),
                    Value::Number(number) if number.is_f64() => 0.987_654.into(),
                    Value::Number(number) => (number.as_u64().unwrap() + 5000).into(),
                    _ => unreachable!("only numbers and flags are visited"),
                };
            }
            place += 1;
        });
        let exception = EXCEPTIONS.iter().position(|(path, _)| name.starts_with(path));
        match exception {
            Some(place) => used[place] = true,
            None if shown(&json) == before => forgotten.push(name),
            None => {}
        }
    }
    assert_eq!(
        forgotten, [""; 0],
        "these are in /stats and not in /metrics: add rows to serve/metrics, or an exception with its reason"
    );
    assert!(count > 250, "{count} numbers");
    let unused = EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used).map(|(e, _)| e.0);
    assert_eq!(unused.collect::<Vec<_>>(), [""; 0], "these exceptions match nothing");
}

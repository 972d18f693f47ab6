//! Test: folding two reports loses no field. Each is changed in turn, and the sum must change.
//!
//! Runs on:  tests.
use super::complete::one_of_everything;
use crate::counter::fold::Fold as _;
use crate::counter::report::EngineReport;
use serde_json::Value;

/// Path prefixes of fields that do not affect the sum.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("version", "a constant"),
    ("correctness.score", "computed from the folded checks"),
    ("recycling.success_rate", "computed from the folded counts"),
    ("latencies", "the supervisor adds the histograms"),
    ("services[].kind", "a constant that cannot be deserialized"),
];
/// Taken from the other report only: one sink serves all venues, so both reports have the same figures.
const SHARED: &[&str] = &["trades.", "capture.", "bus.", "bus_source.", "cluster."];
/// Fields of the sink's report that each venue adds to.
const ADDED: &[&str] =
    &["trades.connections_active", "trades.reconnections", "trades.last_reconnect_wall_ns"];

/// Calls `visit` with path and value of each leaf, in order.
fn leaves(value: &mut Value, path: &str, visit: &mut impl FnMut(&str, &mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(field, &format!("{path}{dot}{name}"), visit);
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|i| leaves(i, &format!("{path}[]"), visit))
        }
        Value::Null => {}
        _ => visit(path, value),
    }
}

/// A report with one element in each list, all numbers different.
fn filled(base: u64, flags: bool) -> Value {
    let mut report = one_of_everything();
    report.health.reasons.push(String::new());
    report.health.notices.push(String::new());
    let mut json = serde_json::to_value(report).unwrap();
    let mut count = base;
    leaves(&mut json, "", &mut |_, value| {
        count += 10;
        *value = match &*value {
            Value::Bool(_) => flags.into(),
            Value::Number(number) if number.is_f64() => (count as f64 / 1e6).into(),
            Value::Number(_) => count.into(),
            Value::String(text) if text == "unknown" => "up".into(),
            _ => format!("text {count}").into(),
        };
    });
    json
}

fn folded(mine: &Value, other: &Value) -> Value {
    let report = |json: &Value| serde_json::from_value::<EngineReport>(json.clone()).unwrap();
    let mut sum = report(mine);
    sum.fold(report(other));
    serde_json::to_value(sum).unwrap()
}

/// Values close to this one.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![(!flag).into()],
        Value::Number(number) if number.is_f64() => vec![0.987_654.into()],
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![(number + 20_000).into(), 1.into()]
        }
        Value::String(text) if text == "up" => vec!["down".into()],
        _ => vec!["another text".into()],
    }
}

/// Two reports, and their sum.
struct Pair {
    reports: [Value; 2],
    sum: Value,
}

impl Pair {
    fn new(flags: bool) -> Self {
        // The range fits the smallest integer type.
        let reports = [filled(1_000, flags), filled(10_000, flags)];
        let sum = folded(&reports[0], &reports[1]);
        Self { reports, sum }
    }

    /// Whether the leaf at this position of one report affects the sum.
    fn counts(&self, report: usize, place: usize) -> bool {
        let mut leaf = Value::Null;
        self.visit(report, place, &mut |value| leaf = value.clone());
        changes(&leaf).into_iter().any(|new| {
            let mut reports = self.reports.clone();
            reports[report] = self.visit(report, place, &mut |value| *value = new.clone());
            folded(&reports[0], &reports[1]) != self.sum
        })
    }

    fn visit(&self, report: usize, wanted: usize, visit: &mut impl FnMut(&mut Value)) -> Value {
        let (mut report, mut place) = (self.reports[report].clone(), 0);
        leaves(&mut report, "", &mut |_, value| {
            if place == wanted {
                visit(value);
            }
            place += 1;
        });
        report
    }
}

#[test]
fn every_field_of_two_reports_is_in_their_sum() {
    let pairs = [Pair::new(true), Pair::new(false)];
    let (mut lost, mut paths) = (Vec::new(), Vec::new());
    let mut used = vec![false; EXCEPTIONS.len()];
    leaves(&mut filled(0, true), "", &mut |path, _| paths.push(path.to_owned()));
    assert!(paths.len() > 250, "{} leaves", paths.len());
    for (place, path) in paths.iter().enumerate() {
        if let Some(exception) = EXCEPTIONS.iter().position(|(start, _)| path.starts_with(start)) {
            used[exception] = true;
            continue;
        }
        let shared =
            SHARED.iter().any(|start| path.starts_with(start)) && !ADDED.contains(&path.as_str());
        let counts = |report| pairs.iter().any(|pair| pair.counts(report, place));
        if !counts(0) || !shared && !counts(1) {
            lost.push(path);
        }
    }
    assert_eq!(lost, [""; 0], "fields lost by `counter::fold`");
    assert!(used.iter().all(|used| *used), "an exception matches nothing");
}

#[test]
fn sums_are_sums_and_a_part_that_one_venue_has_is_kept() {
    let (mine, other) = (filled(1_000, true), filled(10_000, true));
    let sum = folded(&mine, &other);
    let number = |json: &Value, pointer: &str| json.pointer(pointer).unwrap().as_u64().unwrap();
    for pointer in [
        "/recycling/completed",
        "/recycling/markets_migrated",
        "/correctness/snapshot_requests/requests",
        "/correctness/snapshot_requests/tokens_waiting",
        "/pool/connections_active",
        "/pool/subscriptions/commands",
        "/registry/tokens",
        "/lifecycle/pages",
        "/trades/reconnections",
    ] {
        let wanted = number(&mine, pointer) + number(&other, pointer);
        assert_eq!(number(&sum, pointer), wanted, "{pointer}");
    }
    assert_eq!(number(&sum, "/trades/received"), number(&mine, "/trades/received"));
    let texts = |pointer: &str| sum.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    assert_eq!(texts("/recycling/last_failure").matches("text").count(), 2);
    assert_eq!(sum["shards"].as_array().unwrap().len(), 2);
    for part in ["exchange", "trades", "capture", "bus"] {
        let mut without = mine.clone();
        without[part] = Value::Null;
        assert_eq!(folded(&without, &other)[part], other[part]);
        assert_eq!(folded(&other, &without)[part], other[part]);
    }
}

//! The files of `tuning` for Prometheus, Grafana and containers against the program.
//!
//! Runs on:  test threads, with one process each.
use ringbook::serve::metrics::{self, Kind, Metric};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const TUNING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning");

fn file(name: &str) -> PathBuf {
    Path::new(TUNING).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// Metrics by the names of their series.
fn series() -> BTreeMap<String, Metric> {
    let name = |metric: &Metric| match metric.kind {
        Kind::Counter => format!("{}_total", metric.name),
        Kind::Gauge => metric.name.to_owned(),
        Kind::Info => format!("{}_info", metric.name),
    };
    metrics::all().into_iter().map(|metric| (name(&metric), metric)).collect()
}

/// The series that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("ringbook_")).collect()
}

#[test]
fn alerts_and_board_name_series_that_exist() {
    let series = series();
    for (name, least) in [
        ("observe/alerts.yml", 15),
        ("observe/alerts.test.yml", 15),
        ("observe/dashboard.json", 50),
    ] {
        let mut text = text(name);
        if name.ends_with("json") {
            // Descriptions have names without suffix.
            let board: Value = serde_json::from_str(&text).unwrap();
            text =
                expressions(&board).into_iter().map(|(expression, _)| expression + "\n").collect();
        }
        let named = named(&text);
        let unknown: Vec<_> = named.iter().filter(|name| !series.contains_key(**name)).collect();
        assert_eq!(unknown, Vec::<&&str>::new(), "{name}");
        assert!(named.len() >= least, "{name}: {}", named.len());
    }
}

/// Expressions of the panels, each with its panel.
fn expressions(board: &Value) -> Vec<(String, &Value)> {
    let panels = board["panels"].as_array().unwrap();
    let targets = |panel: &'_ Value| panel["targets"].as_array().cloned().unwrap_or_default();
    let of_panel = |panel| {
        let expression = move |target: Value| (target["expr"].as_str().unwrap().to_owned(), panel);
        targets(panel).into_iter().map(expression)
    };
    panels.iter().flat_map(of_panel).collect()
}

#[test]
fn panels_explain_their_metrics_as_the_program_does() {
    let (series, board) = (series(), text("observe/dashboard.json"));
    let board: Value = serde_json::from_str(&board).unwrap();
    let expressions = expressions(&board);
    assert!(expressions.len() > 40, "{}", expressions.len());
    for (expression, panel) in expressions {
        for name in named(&expression) {
            let Metric { name, meaning, when_it_rises, .. } = series[name];
            let wanted = format!("`{name}`: {meaning}. When it rises: {when_it_rises}.");
            let description = panel["description"].as_str().unwrap();
            assert!(description.contains(&wanted), "{}: wanted {wanted}", panel["title"]);
        }
    }
}

#[test]
fn every_alert_fires_for_its_fault_and_none_for_a_healthy_engine() {
    let names = |line: &str| line.trim_start().strip_prefix("- alert: ").map(str::to_owned);
    let alerts: Vec<String> = text("observe/alerts.yml").lines().filter_map(names).collect();
    let tested = text("observe/alerts.test.yml");
    for alert in &alerts {
        assert!(tested.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested");
    }
    let Ok(version) = Command::new("promtool").arg("--version").output() else {
        eprintln!("skipped: there is no promtool (Debian's package prometheus)");
        return;
    };
    assert!(version.status.success());
    for arguments in [["test", "rules", "alerts.test.yml"], ["check", "config", "prometheus.yml"]] {
        let output =
            Command::new("promtool").args(arguments).current_dir(file("observe")).output().unwrap();
        let lines = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{lines}{}", String::from_utf8_lossy(&output.stderr));
    }
    queries_of_the_board_are_promql();
}

/// `promtool` has no check of a query without a server, but one of rules.
fn queries_of_the_board_are_promql() {
    let board: Value = serde_json::from_str(&text("observe/dashboard.json")).unwrap();
    let rule = |(number, (expression, _)): (usize, (String, &Value))| {
        let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        serde_json::json!({ "record": format!("query:{number}"), "expr": expression })
    };
    let rules: Vec<Value> = expressions(&board).into_iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    let groups = serde_json::json!({ "groups": [{ "name": "board", "rules": rules }] });
    std::fs::write(&file, groups.to_string()).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout);
    assert!(lines.contains(&format!("{} rules found", rules.len())), "{lines}");
    assert!(output.status.success(), "{lines}{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a short demo under the profile, without the system calls whose names begin so.
fn demo_under_the_profile(without: &str) -> Option<(i32, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/seccomp.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(file("container/seccomp.json")).arg(without);
    command.arg(env!("CARGO_BIN_EXE_ringbook"));
    let output = command.args(["demo", "--markets", "20", "--duration", "3"]).output().ok()?;
    let lines = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap();
    (code != 77).then(|| (code, String::from_utf8_lossy(&lines).into_owned()))
}

#[test]
fn the_seccomp_profile_allows_what_an_engine_needs() {
    let Some((code, lines)) = demo_under_the_profile("-") else {
        eprintln!("skipped: python3 or the table of system calls is missing");
        return;
    };
    assert_eq!(code, 0, "{lines}");
    // The profile does refuse what it does not name.
    let (code, lines) = demo_under_the_profile("io_uring_").unwrap();
    assert_eq!(code, 1);
    assert!(lines.contains("io_uring_setup"), "{lines}");
}

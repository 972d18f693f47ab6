//! `ringbook counters`: the table of all metrics.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::io::output::print;
use crate::serve::metrics;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Prints every metric with unit, labels, meaning and advice.
pub fn run() -> Result<ExitCode, Failure> {
    let mut out = String::new();
    for metric in metrics::all() {
        let labels =
            if metric.labels.is_empty() { String::new() } else { format!(" by {}", metric.labels) };
        let _ = writeln!(out, "{} ({}{labels})", metric.name, metric.unit);
        let _ = writeln!(out, "    {}", metric.meaning);
        let _ = writeln!(out, "    when it rises: {}", metric.when_it_rises);
    }
    print(&out);
    Ok(ExitCode::SUCCESS)
}

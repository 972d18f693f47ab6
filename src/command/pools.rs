//! `ringbook pools`: probes every service of a configuration.
//!
//! Runs on:  main thread; the probes run on an executor.
use super::Failure;
use crate::base::limits::{POOL_SERVICES_MAX, THREAD_END_NS};
use crate::base::time::{MICROSECOND_NS, MILLISECOND_NS};
use crate::config::flags::PoolsFlags;
use crate::config::{UsageError, pools, tls_ca};
use crate::io::executor::{Executor, StartError, no_thread};
use crate::io::output::print;
use crate::io::resolve::Resolver;
use crate::pool::error::PoolError;
use crate::pool::statistics::ServiceReport;
use crate::pool::{Manager, Service};
use crate::wire::tls::client_config;
use serde::Serialize;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The service's name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its address.
    pub address: String,
    /// Whether it responded.
    pub up: bool,
    /// Duration of name lookup, connect and handshake, nanoseconds; `None` if they failed.
    pub connect_ns: Option<u64>,
    /// Duration of the request, nanoseconds; `None` without a response.
    pub probe_ns: Option<u64>,
    /// Why it did not respond.
    pub error: Option<String>,
}

/// Probes and prints.
///
/// # Errors
/// The configuration is unusable (exit code 2), or no thread can start.
pub fn run(flags: &PoolsFlags) -> Result<ExitCode, Failure> {
    if flags.example {
        print(pools::EXAMPLE);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(path) = &flags.config else {
        let line = "--config is missing: name a file, or print one to begin with by --example";
        return Err(UsageError(line.into()).into());
    };
    let services = pools::load(path)
        .map_err(|error| Failure { line: error.of("--config").to_string(), code: 2 })?;
    let authority = tls_ca(flags.tls_ca.as_deref())?;
    let tls = client_config(authority.as_deref()).map_err(|e| UsageError(e.to_string()))?;
    let rows = probe(services, tls, flags.timeout * MILLISECOND_NS);
    let rows = rows.map_err(|error| Failure { line: error.to_string(), code: 1 })?;
    if flags.json {
        let text = sonic_rs::to_string(&rows).expect("a row is plain data");
        print(text + "\n");
    } else {
        print(table(&rows));
    }
    let all_up = rows.iter().all(|row| row.up);
    Ok(if all_up { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Probes all services at once, up to `timeout_ns`.
fn probe(
    mut services: Vec<Service>,
    tls: std::sync::Arc<rustls::ClientConfig>,
    timeout_ns: u64,
) -> Result<Vec<Row>, StartError> {
    assert!(services.len() <= POOL_SERVICES_MAX, "the configuration was checked");
    for service in &mut services {
        let limits = &mut service.limits;
        // One connection, opened by the probe, whose own time is the one that counts.
        (limits.min, limits.health_interval_ns) = (0, 0);
        limits.connect_timeout_ns = limits.connect_timeout_ns.min(timeout_ns);
    }
    let resolver = Resolver::new().map_err(|error| no_thread("resolve", &error))?;
    let executor = Executor::start("pools", None, move || async move {
        let manager = Manager::new(services, &resolver, &tls)?;
        let answers = manager.probe_all(timeout_ns).await;
        let rows = answers.iter().zip(manager.reports());
        let rows = rows.map(|(answer, report)| row(answer, report)).collect();
        manager.stop(0).await;
        Ok(rows)
    })?;
    let rows = executor.join_within(timeout_ns.saturating_add(THREAD_END_NS))?;
    rows.map_err(|error: PoolError| StartError(error.to_string()))
}

fn row(answer: &Result<u64, PoolError>, report: ServiceReport) -> Row {
    Row {
        name: report.service,
        kind: report.kind,
        address: report.address,
        up: answer.is_ok(),
        connect_ns: (report.connect.count > 0).then_some(report.connect.max_ns),
        probe_ns: answer.as_ref().ok().copied(),
        error: answer.as_ref().err().map(ToString::to_string),
    }
}

/// The table, with columns as wide as their content.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let time = |ns: Option<u64>| {
        ns.map_or_else(
            || "-".to_owned(),
            |ns| format!("{:.1} ms", (ns / MICROSECOND_NS) as f64 / 1e3),
        )
    };
    let titles = ["service", "kind", "address", "health", "connect", "probe"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let health = if row.up { "up" } else { "down" }.to_owned();
        let (name, address) = (row.name.clone(), row.address.clone());
        [name, row.kind.to_owned(), address, health, time(row.connect_ns), time(row.probe_ns)]
    });
    let lines: Vec<[String; 6]> = std::iter::once(titles).chain(cells).collect();
    let widths: Vec<usize> = (0..6)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (place, line) in lines.iter().enumerate() {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Times stand under each other by their units.
            let _ = if column < 4 {
                write!(text, "{cell:<width$}  ")
            } else {
                write!(text, "{cell:>width$}  ")
            };
        }
        let error = place.checked_sub(1).and_then(|row| rows[row].error.as_deref());
        text.push_str(error.unwrap_or_default());
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let row = |name: &str, probe_ns: Option<u64>, error: Option<&str>| Row {
            name: name.to_owned(),
            kind: "http",
            address: "http://127.0.0.1:1".to_owned(),
            up: error.is_none(),
            connect_ns: Some(12_345_678),
            probe_ns,
            error: error.map(str::to_owned),
        };
        let rows = [row("a", Some(1_250_000), None), row("longer", None, Some("no answer"))];
        let expected = "\
service  kind  address             health  connect   probe
a        http  http://127.0.0.1:1  up      12.3 ms  1.2 ms
longer   http  http://127.0.0.1:1  down    12.3 ms       -  no answer
";
        assert_eq!(table(&rows), expected);
    }
}

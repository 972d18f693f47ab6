//! `ringbook pools`: probes every service of a configuration, or forwards to them until a signal.
//!
//! Runs on:  main thread; probes and pools run on an executor.
use super::Failure;
use super::columns::columns;
use crate::base::limits::{FORWARD_DRAIN_NS, POOL_SERVICES_MAX, THREAD_END_NS};
use crate::base::time::{MICROSECOND_NS, MILLISECOND_NS, SECOND_NS};
use crate::config::flags::PoolsFlags;
use crate::config::{UsageError, pools, tls_ca};
use crate::io::authority::ServeName;
use crate::io::executor::{Executor, StartError, check_host, no_thread};
use crate::io::listen::Listener;
use crate::io::output::print;
use crate::io::progress::Progress;
use crate::io::resolve::Resolver;
use crate::pool::error::PoolError;
use crate::pool::statistics::ServiceReport;
use crate::pool::{Manager, Service};
use crate::serve::proxy::{Proxy, route::OWN_PATHS};
use crate::wire::tls::client_config;
use log::info;
use serde::Serialize;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    if let Some(address) = flags.listen {
        pools::check_paths(&services, &OWN_PATHS)
            .map_err(|error| Failure { line: error.of("--config").to_string(), code: 2 })?;
        let names = pools::listen_names(address, flags.listen_insecure, &flags.listen_names)?;
        return listen(flags, services, address, names);
    }
    let authority = tls_ca(flags.tls_ca.as_deref())?;
    let tls = client_config(authority.as_deref()).map_err(|e| UsageError(e.to_string()))?;
    let rows = probe(services, tls, flags.timeout * MILLISECOND_NS);
    let rows = rows.map_err(|error| error.to_string())?;
    if flags.json {
        let text = sonic_rs::to_string(&rows).expect("a row is plain data");
        print(text + "\n");
    } else {
        print(table(&rows));
    }
    let all_up = rows.iter().all(|row| row.up);
    Ok(if all_up { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Forwards until a signal, then prints what the pools did.
fn listen(
    flags: &PoolsFlags,
    services: Vec<Service>,
    address: SocketAddr,
    names: Vec<ServeName>,
) -> Result<ExitCode, Failure> {
    check_host().map_err(|error| error.to_string())?;
    let authority = tls_ca(flags.tls_ca.as_deref())?;
    let tls = client_config(authority.as_deref()).map_err(|e| UsageError(e.to_string()))?;
    let listener = Listener::bind(address).map_err(|error| format!("--listen: {error}"))?;
    let signals = super::run::listen()?;
    let resolver = Resolver::new().map_err(|error| no_thread("resolve", &error).to_string())?;
    let address = listener.address();
    let listed: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    info!("http://{address}/SERVICE/… is forwarded to {}; /stats and /metrics", listed.join(", "));
    let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (asked, ended) = (Arc::clone(&stop), Arc::clone(&stopped));
    let executor = Executor::start("pools", None, move || async move {
        let reports = match Manager::new(services, &resolver, &tls) {
            Ok(manager) => Ok(Proxy::new(manager, listener, &names).run(asked).await),
            Err(error) => Err(error),
        };
        ended.store(true, Ordering::Release);
        reports
    });
    let executor = executor.map_err(|error| error.to_string())?;
    signals.poll_until(|| stopped.load(Ordering::Acquire));
    stop.store(true, Ordering::Release);
    let reports = executor.join_within(FORWARD_DRAIN_NS.saturating_add(THREAD_END_NS));
    let reports = reports.map_err(|error| error.to_string())?;
    let reports = reports.map_err(|error: PoolError| error.to_string())?;
    if flags.json {
        print(sonic_rs::to_string(&reports).expect("a report is plain data") + "\n");
    } else {
        print(statistics(&reports));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the pools did, one line per service.
pub fn statistics(reports: &[ServiceReport]) -> String {
    let titles = [
        "service", "kind", "health", "requests", "failed", "repeated", "opened", "reused", "p50",
        "p99",
    ];
    let ms = |count: u64, ns: u64| {
        if count == 0 { "-".to_owned() } else { format!("{:.1} ms", ns as f64 / 1e6) }
    };
    let cells = reports.iter().map(|report| {
        let request = &report.request;
        vec![
            report.service.clone(),
            report.kind.to_owned(),
            report.health.state.name().to_owned(),
            report.requests.to_string(),
            report.failed.to_string(),
            report.repeated.to_string(),
            report.opened.to_string(),
            format!("{:.0} %", report.reuse_rate * 100.0),
            ms(request.count, request.p50_ns),
            ms(request.count, request.p99_ns),
        ]
    });
    columns(&titles, cells, 3)
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
    let count = services.len();
    let executor = Executor::start("pools", None, move || async move {
        let manager = Manager::new(services, &resolver, &tls)?;
        let answers = manager.probe_all(timeout_ns).await;
        let rows = answers.iter().zip(manager.reports());
        let rows = rows.map(|(answer, report)| row(answer, report)).collect();
        manager.stop(0).await;
        Ok(rows)
    })?;
    let wait = format!("{count} services, at most {} s", timeout_ns.div_ceil(SECOND_NS));
    let _progress = Progress::of_wait(wait);
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
pub fn table(rows: &[Row]) -> String {
    let time = |ns: Option<u64>| {
        ns.map_or_else(
            || "-".to_owned(),
            |ns| format!("{:.1} ms", (ns / MICROSECOND_NS) as f64 / 1e3),
        )
    };
    let titles = ["service", "kind", "address", "health", "connect", "probe"];
    let cells = rows.iter().map(|row| {
        let health = if row.up { "up" } else { "down" }.to_owned();
        let (name, address) = (row.name.clone(), row.address.clone());
        let times = [time(row.connect_ns), time(row.probe_ns)];
        let mut cells = vec![name, row.kind.to_owned(), address, health];
        cells.extend(times);
        cells.extend(row.error.clone());
        cells
    });
    columns(&titles, cells, 4)
}

#[cfg(test)]
mod tests;

//! `ringbook run`: follows the venues until a signal.
//!
//! Runs on:  main thread.
use super::{
    Failure,
    histograms::HistogramFiles,
    terminal::{EngineStatus, Signals},
};
use crate::base::time::{Clock as _, MILLISECOND_NS, SECOND_NS};
use crate::bus::address::BusOptions;
use crate::config::{Config, make_histograms, run::RunFlags};
use crate::counter::{
    latency::Latencies,
    race::RaceCounts,
    report::{CorrectnessReport, EngineReport},
    service::ServiceReport,
};
use crate::engine::{Engine, EngineError, ShutdownReport};
use crate::io::blocking::{ServiceCheck, check_services};
use crate::io::executor::no_thread;
use crate::io::{clock::HostClock, host::summary, output::complain};
use crate::link::main_control::ControlEvent;
use crate::price_table::PriceTable;
use crate::topology::Topology;
use crate::wire::tls::client_config;
use log::{info, warn};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Runs until a signal or `--duration`.
///
/// # Errors
/// The engine cannot start.
pub fn run(flags: &RunFlags) -> Result<ExitCode, Failure> {
    let config = Config::from_flags(flags)?;
    make_histograms(config.histograms.as_deref())?;
    let signals = listen()?;
    look_first(&config, &signals)?;
    let mut session = Session::start(&config)?;
    for venue in config.followed() {
        info!("catalog {}, stream {}", venue.catalog.url, venue.ws.url);
    }
    let clock = HostClock::new();
    let duration_ns = (flags.duration > 0).then(|| flags.duration.saturating_mul(SECOND_NS));
    let deadline_ns = duration_ns.map(|ns| clock.mono_ns().saturating_add(ns));
    signals.poll_until(|| {
        session.look();
        deadline_ns.is_some_and(|deadline_ns| clock.mono_ns() >= deadline_ns)
    });
    session.stop()
}

/// Stops where waiting is useless: an unknown host, an untrusted certificate. An unreachable venue is waited for.
fn look_first(config: &Config, signals: &Signals) -> Result<(), Failure> {
    let tls = client_config(config.tls_ca.as_deref());
    let tls = tls.map_err(|error| Failure { line: error.to_string(), code: 2 })?;
    let (mut flags, mut services) = (Vec::new(), Vec::new());
    for venue in config.followed() {
        flags.extend(venue.feed.address_flags());
        services.extend([venue.catalog.clone(), venue.ws.clone()]);
    }
    let own = config.own_names();
    if let Some(why) = services.iter().find_map(|service| own.find_fault(&service.host)) {
        return Err(format!("--gateway-impersonate: {why}").into());
    }
    let looks = check_services(&services, &tls, || signals.asked());
    let looks = looks.map_err(|error| error.to_string())?;
    for ((flag, service), look) in flags.into_iter().zip(&services).zip(looks) {
        match look {
            // A venue that is away: the engine says so and tries again.
            ServiceCheck::Fine | ServiceCheck::Away(_) => {}
            ServiceCheck::Wrong(why) => {
                return Err(format!("{flag} {}: {why}", service.url).into());
            }
        }
    }
    Ok(())
}

/// Signal handlers.
///
/// # Errors
/// The kernel refuses a handler.
pub fn listen() -> Result<Signals, Failure> {
    Ok(Signals::listen().map_err(|error| no_thread("signals", &error).to_string())?)
}

/// A running engine with the main thread's state.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    histograms: HistogramFiles,
    status: EngineStatus,
    prices: Option<PriceTable>,
    /// The machine.
    host: String,
    /// The last status report.
    pub report: Option<Box<EngineReport>>,
    /// The last interval's histograms.
    pub interval: Option<Box<Latencies>>,
}

impl Session {
    /// Starts the engine.
    ///
    /// # Errors
    /// It cannot start.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let Some(path) = &config.shm else {
            return Self::of(Engine::start(config, |_| ()), config);
        };
        let prices = PriceTable::create(path);
        let prices = prices.map_err(|line| format!("--shm {line}"))?;
        let session = Self::of(Engine::start(config, |_| prices.writer()), config)?;
        info!("best prices are in {}", path.display());
        Ok(Self { prices: Some(prices), ..session })
    }

    /// Takes an engine started with this configuration.
    ///
    /// # Errors
    /// It did not start.
    pub fn of(engine: Result<Engine, EngineError>, config: &Config) -> Result<Self, Failure> {
        let engine = engine?;
        let ignored = config.ignored_services();
        if !ignored.is_empty() {
            let (ignored, asked) = (ignored.join(", "), config.asked_services().join(" and "));
            warn!("--pools: this run asks {asked} only; it ignores {ignored}");
        }
        for note in &engine.topology().notes {
            warn!("{note}");
        }
        let topology = engine.topology();
        let serve = Some(&topology.serve).filter(|_| config.has_hub());
        let threads: Vec<String> = (std::iter::once(&topology.control).chain(&topology.shards))
            .chain(serve)
            .map(|thread| {
                let core =
                    thread.core.map_or_else(|| "any core".into(), |core| format!("core {core}"));
                format!("{} on {core} ({})", thread.name, thread.idle)
            })
            .collect();
        info!("{}; `ringbook topology` has the links", threads.join(", "));
        if let Some(address) = engine.serving() {
            info!("http://{address}/ answers health, stats, metrics and book?token_id=");
        }
        if let Some(bus) = &config.bus {
            let BusOptions { servers, prefix, engine, .. } = bus;
            info!("bus: topics {prefix}.* at {servers}, as engine {engine}");
        }
        if let Some(BusOptions { servers, prefix, .. }) = &config.source {
            info!("source: topics {prefix}.* at {servers}");
        }
        for (site, address) in engine.gateways() {
            let stream = if site.has_stream() { ", /v1/stream too" } else { "" };
            let tls = if config.gateway_access.tls().is_some() { ", with TLS" } else { "" };
            info!("gateway: {} for its clients at {address}{stream}{tls}", site.name());
        }
        if let Some((_, address)) = engine.gateways().first() {
            config.gateway_access.advice(*address).iter().for_each(|line| info!("{line}"));
        }
        let host = summary();
        info!("host: {host}");
        let histograms = HistogramFiles::new(config.histograms.clone());
        let status = EngineStatus::on_terminal();
        Ok(Self { engine, histograms, status, prices: None, host, report: None, interval: None })
    }

    /// Threads and cores.
    pub fn topology(&self) -> &Topology {
        self.engine.topology()
    }

    /// Requests the histograms of the interval; they arrive within two seconds.
    pub fn cut_interval(&mut self) -> bool {
        self.interval = None;
        self.engine.cut_interval()
    }

    /// Address of the local server.
    pub fn serving(&self) -> Option<SocketAddr> {
        self.engine.serving()
    }

    /// Address of the gateway of the first venue.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.engine.gateways().first().map(|&(_, address)| address)
    }

    /// Takes events and updates the status line.
    pub fn look(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                ControlEvent::Report(report) => {
                    self.status.show(&report);
                    self.report = Some(report);
                }
                ControlEvent::Interval { start_wall_ns, duration_ns, latencies } => {
                    self.histograms.add(start_wall_ns, duration_ns, &latencies);
                    self.interval = Some(latencies);
                }
                ControlEvent::Connections(all) => self.histograms.add_connections(&all),
                ControlEvent::Forced { .. }
                | ControlEvent::Recycling { .. }
                | ControlEvent::Stopped { .. } => {}
            }
        }
    }

    /// Stops the engine, writes the histograms, prints a summary.
    ///
    /// # Errors
    /// The histograms cannot be written.
    pub fn stop(self) -> Result<ExitCode, Failure> {
        let Self { engine, mut histograms, status, prices, host, .. } = self;
        drop(status);
        let clock = HostClock::new();
        let begun_ns = clock.mono_ns();
        let ending = engine.stop(|event| match event {
            ControlEvent::Interval { start_wall_ns, duration_ns, latencies } => {
                histograms.add(*start_wall_ns, *duration_ns, latencies);
            }
            ControlEvent::Connections(all) => histograms.add_connections(all),
            _ => {}
        });
        for left in &ending.left_behind {
            warn!("{left}");
        }
        if let Some(unplaced) = prices.map(|prices| prices.unplaced()).filter(|&count| count > 0) {
            warn!("--shm: {unplaced} books found no record; follow fewer markets");
        }
        // Files first: what is printed may have nowhere to go.
        let written = histograms.write().map(|dir| dir.map(std::path::Path::to_owned));
        if let Some(report) = &ending.report {
            complain(last_line(report));
            complain(correctness_line(&report.correctness));
            complain(services_line(&report.services));
            race_lines(report).iter().for_each(complain);
        }
        if let Some(trades) = &ending.trades {
            complain(trades.line());
        }
        if let Some(capture) = &ending.capture {
            complain(capture.line());
        }
        if let Some(bus) = &ending.bus {
            complain(bus.line());
        }
        complain(format_args!("host: {host}"));
        complain(histograms.table().trim_end());
        let dir = written.map_err(|line| format!("--histograms {line}"))?;
        if let Some(dir) = dir {
            info!("histograms are in {}", dir.display());
        }
        info!("stopped in {} ms", (clock.mono_ns() - begun_ns) / MILLISECOND_NS);
        let missing = missing(&ending);
        for line in &missing {
            complain(format_args!("ringbook: {line}"));
        }
        let is_complete = ending.left_behind.is_empty() && missing.is_empty();
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Lost data, one line each; exit code 1.
fn missing(ending: &ShutdownReport) -> Vec<String> {
    let trades = ending.trades.as_ref().filter(|trades| !trades.is_complete()).map(|trades| {
        let (lost, queued) = (trades.lost, trades.queued);
        format!(
            "{} trades are in neither {} nor {}; the log says why",
            lost + queued,
            trades.store,
            trades.journal
        )
    });
    let capture = ending.capture.as_ref().filter(|capture| !capture.is_complete()).map(|capture| {
        let why = if capture.loss.is_empty() { &capture.error } else { &capture.loss };
        let (lost, folder) = (capture.lost, &capture.folder);
        if lost == 0 {
            return format!("what came last may be missing in {folder}: {why}");
        }
        let trades = capture.lost_count().with_trades();
        format!("{lost} frames are not in {folder}{trades}: {why}; its manifest says when")
    });
    let bus = ending.bus.as_ref().filter(|bus| !bus.is_complete());
    let bus = bus.map(|bus| {
        let (lost, broker) = (bus.trades_lost, &bus.broker);
        format!("{lost} trades are not on the bus at {broker}: there was no room for them")
    });
    trades.into_iter().chain(capture).chain(bus).collect()
}

fn correctness_line(correctness: &CorrectnessReport) -> String {
    let CorrectnessReport { score, checks, repairs, .. } = correctness;
    let Some(score) = score else {
        return "books against venue-reported values: nothing to compare".into();
    };
    format!(
        "books against venue-reported values: {:.4} % right; best prices {} right, {} wrong, {} unverifiable; hashes {} right, {} explained later, {} wrong, {} unverifiable; over REST {} repaired, {} compared equal, {} behind, {} wrong; {} frozen connections",
        score * 100.0,
        checks.tops_matched,
        checks.tops_mismatched,
        checks.tops_unverifiable,
        checks.hashes_matched,
        checks.hashes_explained,
        checks.hashes_mismatched,
        checks.hashes_unverifiable,
        repairs.repaired,
        repairs.audits_matched,
        repairs.audits_behind,
        repairs.audits_mismatched,
        repairs.frozen,
    )
}

fn services_line(services: &[ServiceReport]) -> String {
    let asked = services.iter().filter(|service| service.requests > 0).map(|service| {
        let ServiceReport { service: name, requests, failed, opened, reuse_rate, request, .. } =
            service;
        format!(
            "{name} {requests} requests, {failed} failed, {opened} connections, {:.0} % reused, p99 {:.1} ms",
            reuse_rate * 100.0,
            request.p99_ns as f64 / 1e6
        )
    });
    let asked: Vec<String> = asked.collect();
    if asked.is_empty() {
        return "services: nothing was asked".into();
    }
    format!("services: {}", asked.join("; "))
}

/// How the connections that raced were against each other.
fn race_lines(report: &EngineReport) -> Vec<String> {
    let raced = report.pool.connections.iter().filter(|c| c.race != RaceCounts::default());
    let mut lines: Vec<String> = raced.map(|c| c.race.row(&c.name, "messages")).collect();
    if !lines.is_empty() {
        lines.insert(0, RaceCounts::heading("connection"));
    }
    lines
}

fn last_line(report: &EngineReport) -> String {
    let sum = |of: fn(&crate::counter::report::ShardReport) -> u64| -> u64 {
        report.shards.iter().map(of).sum()
    };
    let seconds = report.now_wall_ns.saturating_sub(report.started_wall_ns) as f64 / 1e9;
    format!(
        "{seconds:.1} s: {} frames, {} bytes, {} messages, {} changes, {} snapshots, {} trades, {} undecodable, {} reconnects; {} markets, {} books in {} bytes",
        sum(|shard| shard.intake.frames),
        sum(|shard| shard.bytes),
        sum(|shard| shard.intake.messages),
        sum(|shard| shard.books.updates),
        sum(|shard| shard.books.snapshots),
        sum(|shard| shard.books.trades),
        sum(|shard| shard.intake.decode_errors),
        report.pool.reconnects,
        report.registry.markets,
        sum(|shard| shard.books.books),
        sum(|shard| shard.book_bytes),
    )
}

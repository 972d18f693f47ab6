//! `ringbook demo`: follows a simulated venue over real sockets and checks every book.
//!
//! Runs on:  main thread; the venue has its own threads.
use super::{
    Failure,
    compare::{Comparison, Verdict},
    run::{Session, listen},
    terminal::LOOK_INTERVAL,
};
use crate::base::policy::HashChecks;
use crate::base::time::{Clock as _, SECOND_NS};
use crate::config::{Config, Polymarket, UsageError, flags::DemoFlags, make_histograms};
use crate::counter::report::EngineReport;
use crate::io::{blocking::BlockingClient, clock::HostClock, output::print_line};
use crate::sim::{SimConfig, SimError, Venue};
use crate::topology::RequestedLayout;
use crate::wire::{endpoint::Endpoint, tls::client_config};
use log::{info, warn};
use std::process::ExitCode;
use std::time::Duration;

/// Without a message for this time, the shards have applied everything that a paused venue had sent.
const QUIET_NS: u64 = SECOND_NS;
const QUIET_TIMEOUT_NS: u64 = 10 * SECOND_NS;

/// Follows the embedded venue for `--duration` or until a signal, then compares.
///
/// # Errors
/// Venue or engine cannot start, or a live book differs.
pub fn run(flags: &DemoFlags) -> Result<ExitCode, Failure> {
    let venue = Venue::start(sim_config(flags)).map_err(explain)?;
    let mut layout = crate::config::layout(&flags.layout)?;
    if layout.shards.is_none() && layout.shard_cores.is_empty() {
        layout.shards = Some(2);
    }
    let mut config = engine_config(layout, &venue)?;
    config.driver = flags.layout.driver;
    config.serve = Some(flags.serve);
    config.shm.clone_from(&flags.shm);
    config.gateway_flags(flags.gateway, &flags.gateway_access).map_err(UsageError::from)?;
    config.prepare_gateway().map_err(UsageError::from)?;
    make_histograms(flags.histograms.histograms.as_deref())?;
    config.histograms.clone_from(&flags.histograms.histograms);
    let signals = listen()?;
    info!("venue {} with {} markets, {} events/s", venue.http_url(), flags.markets, flags.rate);
    let mut session = Session::start(&config)?;
    let clock = HostClock::new();
    let deadline_ns = clock.mono_ns().saturating_add(flags.duration.saturating_mul(SECOND_NS));
    signals.poll_until(|| {
        session.look();
        clock.mono_ns() >= deadline_ns
    });
    venue.pause().map_err(explain)?;
    if !await_quiet(&mut session, &clock, QUIET_TIMEOUT_NS, |_| true) {
        warn!("messages still arrive {} s after the pause", QUIET_TIMEOUT_NS / SECOND_NS);
    }
    let verdict = check(&session, &config);
    if let Some(report) = &session.report {
        info!("{} connections, {} shards", report.pool.connections_active, report.shards.len());
    }
    let code = session.stop()?;
    let sent = venue.stats();
    venue.stop();
    let verdict = verdict.map_err(|line| format!("no check: {line}"))?;
    print_line(format_args!("the venue sent {} events", sent.events()));
    print_line(&verdict);
    if verdict.different > 0 || verdict.equal == 0 {
        return Err("the books are not the venue's".to_owned().into());
    }
    print_line("every live book equals the venue's");
    Ok(code)
}

/// Whether `holds` and no message was decoded for `QUIET_NS` by the shards' own reports, before the timeout.
pub fn await_quiet(
    session: &mut Session,
    clock: &HostClock,
    timeout_ns: u64,
    holds: impl Fn(&EngineReport) -> bool,
) -> bool {
    let deadline_ns = clock.mono_ns() + timeout_ns;
    let (mut last, mut since_wall_ns) = (None, clock.now().wall_ns);
    while clock.mono_ns() < deadline_ns {
        session.look();
        if let Some(report) = &session.report {
            let messages: u64 = report.shards.iter().map(|shard| shard.intake.messages).sum();
            let heartbeats = || report.shards.iter().map(|shard| shard.heartbeat_wall_ns);
            if last != Some(messages) || !holds(report) {
                last = Some(messages);
                since_wall_ns = since_wall_ns.max(heartbeats().max().unwrap_or_default());
            } else if heartbeats().all(|wall_ns| wall_ns >= since_wall_ns + QUIET_NS) {
                return true;
            }
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    false
}

/// Compares every book with the venue's.
///
/// # Errors
/// One line: engine or venue does not respond.
pub fn check(session: &Session, config: &Config) -> Result<Verdict, String> {
    comparison(session, config)?.run()
}

/// Clients of the engine and of the embedded venue.
///
/// # Errors
/// One line: nothing is served, or an address is invalid.
pub fn comparison(session: &Session, config: &Config) -> Result<Comparison, String> {
    let address = session.serving().ok_or("nothing is served")?;
    let tls = client_config(config.tls_ca.as_deref()).map_err(|error| error.to_string())?;
    let engine = Endpoint::parse(&format!("http://{address}"), ["http", "https"]);
    let venue = config.venues.first().ok_or("no venue is followed")?;
    let client = |service: Endpoint| BlockingClient::new(service, tls.clone());
    Ok(Comparison {
        engine: client(engine.map_err(|error| error.to_string())?),
        gamma: client(venue.catalog.clone()),
        venue: client(venue.books.clone()),
        venue_path: "/sim/truth/",
    })
}

fn sim_config(flags: &DemoFlags) -> SimConfig {
    SimConfig {
        tls: !flags.plain,
        seed: flags.seed,
        markets: flags.markets as usize,
        rate: flags.rate,
        levels: flags.levels as usize,
        burst: flags.burst,
        ..SimConfig::default()
    }
}

/// Settings of an engine that follows the whole venue and serves on a free port.
///
/// # Errors
/// The venue's addresses are invalid: an internal error.
pub fn engine_config(layout: RequestedLayout, venue: &Venue) -> Result<Config, Failure> {
    let mut config = Config::default();
    let settings = Polymarket::at(&venue.http_url(), &venue.ws_url());
    config.venue(settings).map_err(UsageError::from)?;
    config
        .all_markets(true)
        .serve((std::net::Ipv4Addr::LOCALHOST, 0).into())
        .verify_hash(HashChecks::All)
        .audit(Duration::from_secs(10));
    config.layout = layout;
    config.tls_ca = venue.ca_pem().map(|pem| pem.as_bytes().to_vec());
    Ok(config)
}

/// Failure of the embedded venue.
pub fn explain(error: SimError) -> Failure {
    let code = if matches!(error, SimError::Config(_)) { 2 } else { 1 };
    Failure { line: format!("the embedded venue: {error}"), code }
}

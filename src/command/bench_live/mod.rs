//! `ringbook bench-live`: latency at rising rates against an embedded venue, until it saturates.
//!
//! Runs on:  main thread; venue and engine have their own threads.
//!
//! Modules: `ladder` (rates and verdict), `probe` (latencies on the shards), `step` (one rate), `table`
//! (output); `gateway` is `ringbook bench-gateway`.
pub mod gateway;
mod ladder;
mod probe;
mod step;
mod table;

use super::{Failure, demo, run::Session};
use crate::base::limits;
use crate::base::policy::HashChecks;
use crate::base::time::{Clock as _, SECOND_NS};
use crate::config::{
    Config, UsageError,
    bench_live::{BenchFlags, BenchLiveFlags},
};
use crate::counter::report::EngineReport;
use crate::engine::Engine;
use crate::io::{
    clock::HostClock,
    executor::usable_cores,
    file::NewFile,
    output::{print, print_line},
    threads,
};
use crate::plot::steps::Steps;
use crate::sim::{Host, SimConfig, Venue};
use crate::topology::{RequestedLayout, Topology};
use ladder::Verdict;
use log::{info, warn};
use probe::Probe;
use std::process::ExitCode;
use std::sync::Arc;
use step::{Length, Rig, Step};
use table::{Books, Outcome, Setting};

/// Time until all books are live, plus 1 s per 1,000 tokens: a shard with few tokens waits up to a minute for more.
const LIVE_TIMEOUT_NS: u64 = 90 * SECOND_NS;
/// Time until books are live after a step that ended connections.
const REPAIR_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// A backlog of a quarter of this at the venue ends the step.
const BACKLOG_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Runs the steps until one is not kept up with, then compares every book.
///
/// # Errors
/// A flag is unusable, venue or engine cannot start, or a live book differs.
pub fn run(flags: &BenchLiveFlags) -> Result<ExitCode, Failure> {
    let rates = ladder::parse_rates(&flags.rates);
    let rates = rates.map_err(|why| UsageError(format!("--rates {}: {why}", flags.rates)))?;
    let bench = &flags.bench;
    let layout = layout(bench)?;
    let venue_core = venue_core(bench, &layout)?;
    let svg = bench.svg.as_deref().map(create).transpose()?;
    let mut rig = start(bench, layout, venue_core, rates.len(), |_| Ok(()))?;
    let setting = setting(bench, &rig, venue_core);
    if !bench.json {
        print(table::heading(&setting));
    }
    let steps = climb(flags, &rates, &mut rig)?;
    // What was measured is shown even when the books cannot be compared.
    let (books, failure) = match compare(&mut rig) {
        Ok(books) => (Some(books), None),
        Err(failure) => (None, Some(failure)),
    };
    let outcome = Outcome::new(setting, steps, books);
    let drawn = svg.map(|file| write_plot(file, &outcome.plot())).transpose();
    let code = rig.session.stop()?;
    rig.venue.stop();
    if bench.json {
        print_line(table::json(&outcome));
    } else {
        print(table::ending(&outcome));
    }
    drawn?;
    match (failure, outcome.books) {
        (Some(failure), _) => Err(failure),
        (None, Some(books)) if books.different > 0 || books.equal == 0 => {
            Err("the books are not the venue's".to_owned().into())
        }
        _ => Ok(code),
    }
}

/// One shard unless requested, so that one core saturates.
fn layout(flags: &BenchFlags) -> Result<RequestedLayout, Failure> {
    let mut layout = crate::config::layout(&flags.layout)?;
    if layout.shards.is_none() && layout.shard_cores.is_empty() {
        layout.shards = Some(1);
    }
    Ok(layout)
}

/// The requested core, or the last one without a shard; those of control and serve core last.
fn venue_core(flags: &BenchFlags, layout: &RequestedLayout) -> Result<Option<u32>, Failure> {
    let usable = usable_cores();
    if let Some(core) = flags.venue_core {
        if !usable.contains(&core) {
            let line = format!("--venue-core {core}: not usable here; usable: {usable:?}");
            return Err(UsageError(line).into());
        }
        return Ok(Some(core));
    }
    let plan = Topology::plan(layout, &usable).map_err(crate::engine::EngineError::Topology)?;
    Ok(free_core(&plan, &usable))
}

fn free_core(plan: &Topology, usable: &[u32]) -> Option<u32> {
    let without_shard =
        || usable.iter().rev().filter(|&&core| plan.shards.iter().all(|s| s.core != Some(core)));
    let others = [plan.control.core, plan.serve.core];
    let alone = without_shard().find(|&&core| !others.contains(&Some(core)));
    alone.or_else(|| without_shard().next()).copied()
}

fn create(path: &std::path::Path) -> Result<NewFile, UsageError> {
    NewFile::create(path).map_err(|line| UsageError(format!("--svg: {line}")))
}

fn write_plot(file: NewFile, steps: &Steps) -> Result<(), Failure> {
    let svg = steps.render().ok_or("no step has a value: there is nothing to draw".to_owned());
    let written = svg.and_then(|svg| file.finish(svg.as_bytes()));
    Ok(written.map_err(|line| format!("--svg: {line}"))?)
}

/// Starts venue and engine, with settings that `prepare` changes; returns when every book is live.
fn start(
    flags: &BenchFlags,
    layout: RequestedLayout,
    venue_core: Option<u32>,
    steps: usize,
    prepare: impl FnOnce(&mut Config) -> Result<(), Failure>,
) -> Result<Rig, Failure> {
    let signals = super::run::listen()?;
    let clock = HostClock::new();
    let at_start = move || {
        if let Some(core) = venue_core.filter(|&core| !threads::pin_current(core)) {
            warn!("the venue's thread cannot be pinned to core {core}");
        }
    };
    let host = Host { clock: Box::new(clock.clone()), at_start: Box::new(at_start) };
    let venue = Venue::start_on(host, sim_config(flags)).map_err(demo::explain)?;
    let mut config = engine_config(flags, layout, &venue)?;
    prepare(&mut config)?;
    let mut probe = Probe::new(steps);
    let engine = Engine::start(&config, |_| probe.handler(clock.clone()));
    let session = Session::of(engine, &config)?;
    let mut rig = Rig {
        venue,
        session,
        probe,
        clock,
        signals,
        warm_up_sent: 0,
        config,
        client_frames: Arc::default(),
    };
    let tokens = u64::from(flags.markets) * 2;
    let timeout_ns = LIVE_TIMEOUT_NS + tokens * SECOND_NS / 1000;
    if !rig.wait_live(tokens, timeout_ns) {
        let line = match rig.signals.asked() {
            true => "ended before every book was live".to_owned(),
            false => format!("not every book was live after {} s", timeout_ns / SECOND_NS),
        };
        rig.session.stop()?;
        return Err(line.into());
    }
    // What the engine measured of the dumps belongs to no step.
    rig.read_to_applied();
    Ok(rig)
}

impl Rig {
    /// Whether exactly so many books become live before the timeout or a signal.
    fn wait_live(&mut self, tokens: u64, timeout_ns: u64) -> bool {
        let deadline_ns = self.clock.mono_ns() + timeout_ns;
        let mut is_live = false;
        self.signals.poll_until(|| {
            self.session.look();
            is_live = self.session.report.as_deref().is_some_and(|r| live_books(r) == tokens);
            is_live || self.clock.mono_ns() >= deadline_ns
        });
        is_live
    }
}

fn live_books(report: &EngineReport) -> u64 {
    report.shards.iter().map(|shard| shard.books.live).sum()
}

fn sim_config(flags: &BenchFlags) -> SimConfig {
    SimConfig {
        tls: !flags.plain,
        seed: flags.seed,
        markets: flags.markets as usize,
        // Everything that happens is paced.
        rate: 0.0,
        births_per_minute: 0.0,
        resolutions_per_minute: 0.0,
        ending_soon_percent: 0,
        levels: flags.levels as usize,
        burst: flags.burst,
        rate_limits: false,
        backlog_bytes_max: BACKLOG_BYTES_MAX,
        ..SimConfig::default()
    }
}

fn engine_config(
    flags: &BenchFlags,
    layout: RequestedLayout,
    venue: &Venue,
) -> Result<Config, Failure> {
    let mut config = demo::engine_config(layout, venue)?;
    config.driver = flags.layout.driver;
    // Stamps stand where hashes would; and nothing but the flow is to be measured.
    config.hash_checks = HashChecks::Off;
    config.audit_round_ns = 0;
    // So few tokens do not wait for company.
    let mut tokens = limits::TOKENS_PER_CONNECTION_TARGET.min(2 * flags.markets as usize);
    if let Some(sockets) = flags.sockets {
        let shards = config.layout.shards.map_or(config.layout.shard_cores.len(), usize::from);
        let each = tokens_per_connection(flags.markets as usize, sockets as usize, shards);
        tokens = each.map_err(|why| UsageError(format!("--sockets {sockets}: {why}")))?;
    }
    config.venues.iter_mut().for_each(|venue| venue.tokens_per_connection = tokens);
    Ok(config)
}

/// Tokens per connection: whole markets of two.
fn tokens_per_connection(markets: usize, sockets: usize, shards: usize) -> Result<usize, String> {
    let tokens = 2 * markets.div_ceil(sockets);
    let most = limits::CONNECTIONS_PER_SHARD_MAX * 3 / 4 * shards;
    if sockets > markets {
        return Err(format!("each carries a market or more, and there are {markets} markets"));
    }
    if tokens > limits::TOKENS_PER_CONNECTION_TARGET {
        let least = (2 * markets).div_ceil(limits::TOKENS_PER_CONNECTION_TARGET);
        return Err(format!("{markets} markets need {least} or more; or use fewer --markets"));
    }
    if sockets > most {
        return Err(format!("{most} are the most for {shards} shards; use more --shards"));
    }
    Ok(tokens)
}

fn setting(flags: &BenchFlags, rig: &Rig, venue_core: Option<u32>) -> Setting {
    let topology = rig.session.topology();
    let report = rig.session.report.as_ref();
    Setting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: threads::machine_line(),
        threads: topology.threads().map(|t| (t.name.clone(), t.core)).collect(),
        idle: topology.shards[0].idle.to_string(),
        venue_core,
        markets: flags.markets,
        tokens: u64::from(flags.markets) * 2,
        connections: report.map_or(0, |report| report.pool.connections_active),
        levels: flags.levels,
        burst: flags.burst,
        tls: !flags.plain,
        seed: flags.seed,
        warm_up: flags.warm_up,
        rule: ladder::RULE.to_owned(),
    }
}

fn climb(flags: &BenchLiveFlags, rates: &[u64], rig: &mut Rig) -> Result<Vec<Step>, Failure> {
    let length = Length { seconds: flags.bench.seconds, warm_up: flags.bench.warm_up };
    let mut steps = Vec::new();
    for (place, &rate) in rates.iter().enumerate() {
        if rig.signals.asked() {
            break;
        }
        let step = rig.measure(place as u8 + 1, rate, length)?;
        let verdict = step.verdict;
        if !flags.bench.json {
            print(table::line(&step));
        }
        steps.push(step);
        if verdict == Verdict::Cut || (verdict != Verdict::KeptUp && !flags.all_rates) {
            break;
        }
    }
    Ok(steps)
}

/// Pauses the venue and compares; ended connections have time to return.
fn compare(rig: &mut Rig) -> Result<Books, Failure> {
    rig.venue.pause().map_err(demo::explain)?;
    let tokens = rig.venue.stats().live_markets * 2;
    demo::await_quiet(&mut rig.session, &rig.clock, REPAIR_TIMEOUT_NS, |report| {
        live_books(report) == tokens
    });
    info!("comparing {tokens} books with the venue's");
    let verdict = demo::check(&rig.session, &rig.config);
    let verdict = verdict.map_err(|line| format!("no check: {line}"))?;
    verdict.differences.iter().for_each(|line| warn!("{line}"));
    Ok(Books {
        equal: verdict.equal,
        levels: verdict.levels,
        different: verdict.different,
        not_live: verdict.not_live.values().sum(),
    })
}

#[cfg(test)]
mod tests;

//! `ringbook bench-gateway`: latency and throughput of the gateway with clients of this process.
//!
//! Runs on:  main thread; venue, engine and clients have their own threads.
mod books;
mod clients;
mod frames;
mod table;

use super::ladder::{self, RUNGS_MAX};
use super::step::{Length, Rig};
use super::{create, layout, setting, start, venue_core, write_plot};
use crate::base::time::{Clock as _, MILLISECOND_NS, SECOND_NS};
use crate::command::{Failure, demo, terminal::LOOK_INTERVAL};
use crate::config::{
    UsageError,
    bench_live::{BenchGatewayFlags, GatewayProtocol},
};
use crate::counter::latency::{LatencySummary, Stage};
use crate::io::executor::usable_cores;
use crate::io::output::{print, print_line};
use books::{TextBook, TextBooks};
use clients::{Clients, Plan};
use serde::Deserialize;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use table::{ClientBooks, Counts, GatewayOutcome, GatewayStep, GatewayVerdict};

pub(super) const THREAD: &str = "bench-clients";
/// Nothing has come for this long: all that was sent has arrived.
const QUIET_NS: u64 = 300 * MILLISECOND_NS;
const BOOKS_TIMEOUT_NS: u64 = 120 * SECOND_NS;
/// Time for the last frames of a step.
const DRAIN_TIMEOUT_NS: u64 = 30 * SECOND_NS;
const CLIENTS_MAX: usize = 4_000;

/// The steps of a run: clients and the tokens of each.
type Steps = Vec<(usize, usize)>;

/// Runs the steps, then compares.
///
/// # Errors
/// A flag is unusable, venue, engine or clients cannot start, or a book of a client differs.
pub fn run(flags: &BenchGatewayFlags) -> Result<ExitCode, Failure> {
    let bench = &flags.bench;
    let rates = ladder::parse_rates(&flags.rates);
    let rates = rates.map_err(|why| UsageError(format!("--rates {}: {why}", flags.rates)))?;
    let steps = steps(flags).map_err(UsageError)?;
    if rates.len() * steps.len() > RUNGS_MAX {
        return Err(UsageError(format!(
            "{RUNGS_MAX} steps are the most; use fewer --clients or --rates"
        ))
        .into());
    }
    if let Some(core) = flags.clients_core.filter(|core| !usable_cores().contains(core)) {
        return Err(UsageError(format!("--clients-core {core}: not usable here")).into());
    }
    let layout = layout(bench)?;
    let venue_core = venue_core(bench, &layout)?;
    let svg = bench.svg.as_deref().map(create).transpose()?;
    let mut rig = start(bench, layout, venue_core, rates.len() * steps.len(), |config| {
        config.gateway_spin = flags.serve_spin;
        let set = config.gateway((Ipv4Addr::LOCALHOST, 0).into(), false);
        set.map(|_| ()).map_err(|error| UsageError(error.to_string()).into())
    })?;
    let protocol = match flags.protocol {
        GatewayProtocol::Market => "market",
        GatewayProtocol::Stream => "stream",
    };
    let mut outcome = GatewayOutcome::new(setting(bench, &rig, venue_core), protocol);
    if !bench.json {
        print(outcome.heading());
    }
    let result = measure_all(flags, &rates, &steps, &mut rig, &mut outcome);
    let drawn = svg.map(|file| write_plot(file, &outcome.plot())).transpose();
    let code = rig.session.stop()?;
    rig.venue.stop();
    if bench.json {
        print_line(outcome.json());
    } else {
        print(outcome.ending());
    }
    result?;
    drawn?;
    if outcome.steps.iter().any(|step| step.books.different > 0) {
        return Err("a client's books are not the venue's".to_owned().into());
    }
    Ok(code)
}

fn steps(flags: &BenchGatewayFlags) -> Result<Steps, String> {
    let numbers = |name: &str, list: &str, most: usize| -> Result<Vec<usize>, String> {
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|&n| n <= most);
        let all = list.split(',').map(|text| {
            number(text)
                .ok_or_else(|| format!("--{name} {list}: `{text}` is no number up to {most}"))
        });
        all.collect()
    };
    let clients = numbers("clients", &flags.clients, CLIENTS_MAX)?;
    let tokens = numbers("tokens", &flags.tokens, 200_000)?;
    if tokens.len() > 1 && tokens.len() != clients.len() {
        return Err(format!("--tokens {}: one number, or one for each of --clients", flags.tokens));
    }
    let of = |place: usize| tokens[if tokens.len() == 1 { 0 } else { place }];
    let steps: Steps = clients.iter().enumerate().map(|(at, &count)| (count, of(at))).collect();
    if steps.iter().any(|&(clients, tokens)| clients > 0 && tokens == 0) {
        return Err(format!("--tokens {}: each client needs one or more", flags.tokens));
    }
    Ok(steps)
}

fn measure_all(
    flags: &BenchGatewayFlags,
    rates: &[u64],
    steps: &Steps,
    rig: &mut Rig,
    outcome: &mut GatewayOutcome,
) -> Result<(), Failure> {
    let comparison = demo::comparison(&rig.session, &rig.config);
    let tokens = comparison.and_then(|mut comparison| comparison.tokens())?;
    for &(clients, each) in steps {
        for &rate in rates {
            if rig.signals.asked() {
                return Ok(());
            }
            let plan = plan(flags, rig, &tokens, (clients, each.min(tokens.len())))?;
            let number = outcome.steps.len() as u8 + 1;
            let step = measure(flags, rig, plan, (number, rate, each.min(tokens.len())))?;
            if !flags.bench.json {
                print(table::line(&step));
            }
            outcome.steps.push(step);
        }
    }
    Ok(())
}

/// Tokens of a client: neighbours, so that it has both outcomes of each market.
fn tokens_of(client: usize, each: usize, tokens: &[String]) -> impl Iterator<Item = &String> {
    let first = client * each % tokens.len().max(1) / 2 * 2;
    tokens.iter().cycle().skip(first).take(each)
}

fn plan(
    flags: &BenchGatewayFlags,
    rig: &Rig,
    tokens: &[String],
    (clients, each): (usize, usize),
) -> Result<Plan, String> {
    let address = rig.session.gateway().ok_or("there is no gateway")?;
    let list = |client: usize| {
        let all: Vec<&str> = tokens_of(client, each, tokens).map(String::as_str).collect();
        format!("[\"{}\"]", all.join("\",\""))
    };
    let (path, before, after) = match flags.protocol {
        GatewayProtocol::Market => ("/ws/market", r#"{"type":"market","assets_ids":"#, "}"),
        GatewayProtocol::Stream => ("/v1/stream", r#"{"subscribe":"#, "}"),
    };
    let texts = (0..clients).map(|client| format!("{before}{}{after}", list(client))).collect();
    let (never_reads, core) = (flags.never_reads, flags.clients_core);
    let interval = flags.clients_read_us.map(Duration::from_micros);
    Ok(Plan { address, path, texts, never_reads, core, interval })
}

fn measure(
    flags: &BenchGatewayFlags,
    rig: &mut Rig,
    plan: Plan,
    (number, rate, tokens): (u8, u64, usize),
) -> Result<GatewayStep, Failure> {
    let (clients, subscription) = (plan.texts.len(), plan.texts.first().cloned());
    let patient = !(plan.never_reads && clients > 1);
    let running = Clients::start(plan, Arc::clone(&rig.client_frames))?;
    if !rig.await_books(&running, clients) {
        let fault = running.stop().fault.unwrap_or_default();
        return Err(format!("the clients have not received their books; {fault}").into());
    }
    rig.read_to_applied();
    let before = rig.counts()?;
    let length = Length { seconds: flags.bench.seconds, warm_up: flags.bench.warm_up };
    let engine = rig.measure(number, rate, length)?;
    let stage = Stage::ReadToWritten;
    let interval = rig.session.interval.as_ref();
    let read_to_written =
        interval.map(|all| LatencySummary::of(stage.name(), all.stage(stage))).unwrap_or_default();
    rig.await_quiet(&running, DRAIN_TIMEOUT_NS);
    let after = rig.counts()?;
    let ended_count = running.ended();
    let ended = running.stop();
    let books = rig.compare_client(&ended.texts, subscription.as_deref())?;
    let serve_seconds = engine.serve_cpu * engine.seconds as f64;
    let frames = engine.client_frames as f64;
    let mut step = GatewayStep {
        clients,
        tokens: if clients > 0 { tokens } else { 0 },
        frames_per_second: frames / engine.seconds as f64,
        frames_per_cpu_second: if serve_seconds > 0.0 { frames / serve_seconds } else { 0.0 },
        clients_cpu: engine.clients_cpu,
        read_to_written,
        counts: after.since(before),
        ended: ended_count,
        fault: ended.fault,
        books,
        verdict: GatewayVerdict::KeptUp,
        engine,
    };
    step.judge(patient);
    Ok(step)
}

#[derive(Deserialize)]
struct Stats {
    gateway: GatewayStats,
}

#[derive(Clone, Copy, Deserialize)]
struct GatewayStats {
    frames: u64,
    conflated: u64,
    closed_slow: u64,
    ring_losses: u64,
}

impl GatewayStats {
    const fn since(self, before: Self) -> Counts {
        Counts {
            frames: self.frames.saturating_sub(before.frames),
            // That of a client is gone with it.
            conflated: self.conflated.saturating_sub(before.conflated),
            closed_slow: self.closed_slow.saturating_sub(before.closed_slow),
            ring_losses: self.ring_losses.saturating_sub(before.ring_losses),
        }
    }
}

impl Rig {
    fn counts(&self) -> Result<GatewayStats, String> {
        let mut comparison = demo::comparison(&self.session, &self.config)?;
        let answer = comparison.engine.get("/stats")?;
        let stats = sonic_rs::from_slice::<Stats>(&answer.body);
        Ok(stats.map_err(|error| format!("/stats: {error}"))?.gateway)
    }

    /// Waits until each client has a frame and no more come; false if that takes too long.
    fn await_books(&mut self, running: &Clients, clients: usize) -> bool {
        let deadline_ns = self.clock.mono_ns() + BOOKS_TIMEOUT_NS;
        let has_begun = || running.begun() >= clients;
        self.signals.poll_until(|| {
            self.session.look();
            has_begun() || self.clock.mono_ns() > deadline_ns || running.ended() > 0
        });
        has_begun() && self.await_quiet(running, BOOKS_TIMEOUT_NS)
    }

    /// Waits until no more bytes come; false if that takes too long.
    fn await_quiet(&mut self, running: &Clients, timeout_ns: u64) -> bool {
        let deadline_ns = self.clock.mono_ns() + timeout_ns;
        let mut last = (running.bytes(), self.clock.mono_ns());
        while self.clock.mono_ns() - last.1 < QUIET_NS {
            if self.clock.mono_ns() > deadline_ns {
                return false;
            }
            self.session.look();
            std::thread::sleep(LOOK_INTERVAL);
            if running.bytes() != last.0 {
                last = (running.bytes(), self.clock.mono_ns());
            }
        }
        true
    }

    /// Compares the books that these texts build with the venue's; `subscription` is what the client has sent.
    fn compare_client(
        &self,
        texts: &[Vec<u8>],
        subscription: Option<&str>,
    ) -> Result<ClientBooks, String> {
        let mut books = TextBooks::default();
        texts.iter().try_for_each(|text| books.on_text(text))?;
        let mut result = ClientBooks::default();
        let list = subscription.and_then(|text| text.split_once('[')?.1.split_once(']'));
        for token in list.map_or("", |(list, _)| list).split(',').map(|text| text.trim_matches('"'))
        {
            // A market that has ended has no book.
            let Some(truth) = self.venue.truth(token) else { continue };
            let truth =
                TextBook::parse(&truth).map_err(|why| format!("the venue's book: {why}"))?;
            match books.get(token) == Some(&truth) {
                true => {
                    result.equal += 1;
                    result.levels += truth.bids.len() + truth.asks.len();
                }
                false => result.different += 1,
            }
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests;

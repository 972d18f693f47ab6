//! Output of the benchmark: a table, a plot, or JSON.
//!
//! Runs on:  main thread (pure).
use super::ladder::Verdict;
use super::step::Step;
use crate::command::histograms::duration;
use crate::plot::steps::{Curve, Steps};
use serde::Serialize;
use std::fmt::Write as _;

const SHARDS_SHOWN: usize = 4;

/// What was measured on what.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Setting {
    /// Version of the program.
    pub version: String,
    /// Processor, cores and kernel.
    pub machine: String,
    /// Threads of the engine and their cores.
    pub threads: Vec<(String, Option<u32>)>,
    /// Idle behavior.
    pub idle: String,
    /// Core of the venue's thread, if pinned.
    pub venue_core: Option<u32>,
    /// Markets of the venue.
    pub markets: u32,
    /// Tokens, each with a book.
    pub tokens: u64,
    /// Connections at the start.
    pub connections: u64,
    /// Typical levels on one side of a book.
    pub levels: u32,
    /// 0 for even changes.
    pub burst: f64,
    /// TLS, or plain TCP.
    pub tls: bool,
    /// Seed of the venue's scenario.
    pub seed: u64,
    /// Warm-up seconds per rate.
    pub warm_up: u64,
    /// Rule of the verdict.
    pub rule: String,
}

/// Comparison at the end, without hashes: stamps replace them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Books {
    /// Live books equal to the venue's in every level.
    pub equal: usize,
    /// Their levels.
    pub levels: usize,
    /// Live books that differ.
    pub different: usize,
    /// Other books.
    pub not_live: usize,
}

/// Results of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// What was measured on what.
    pub setting: Setting,
    /// The steps, rising.
    pub steps: Vec<Step>,
    /// Highest rate kept up with; 0 if none.
    pub highest_rate_kept: u64,
    /// Why the steps ended early.
    pub ended_by: Option<Verdict>,
    /// Comparison at the end, if possible.
    pub books: Option<Books>,
}

impl Outcome {
    pub(super) fn new(setting: Setting, steps: Vec<Step>, books: Option<Books>) -> Self {
        let kept = steps.iter().filter(|step| step.verdict == Verdict::KeptUp);
        let highest_rate_kept = kept.map(|step| step.rate).max().unwrap_or(0);
        let last = steps.last().map(|step| step.verdict);
        let ended_by = last.filter(|&verdict| verdict != Verdict::KeptUp);
        Self { setting, steps, highest_rate_kept, ended_by, books }
    }
}

impl Outcome {
    /// Percentiles by rate.
    pub(super) fn plot(&self) -> Steps {
        let steps: Vec<&Step> = self.steps.iter().filter(|s| s.latency.count > 0).collect();
        let curve = |name, value_ns: fn(&Step) -> u64| Curve {
            name,
            values_ns: steps.iter().map(|step| value_ns(step)).collect(),
        };
        let late = steps.iter().find(|step| step.verdict != Verdict::KeptUp);
        Steps {
            title: "From the venue's intended send to the book",
            lines: self.setting.lines(),
            axis: "level changes a second",
            rates: steps.iter().map(|step| step.rate as f64).collect(),
            curves: vec![
                curve("max", |step| step.latency.max_ns),
                curve("p99.9", |step| step.latency.p999_ns),
                curve("p99", |step| step.latency.p99_ns),
                curve("p50", |step| step.latency.p50_ns),
                curve("venue late, p99", |step| step.venue_late.p99_ns),
            ],
            limit: late.map(|step| (step.rate as f64, step.verdict.text().to_owned())),
        }
    }
}

impl Setting {
    pub(super) fn lines(&self) -> [String; 2] {
        let core = |core: Option<u32>| core.map_or_else(|| "any".to_owned(), |n| n.to_string());
        let shards = self.threads.iter().filter(|(name, _)| name.starts_with("shard")).count();
        // With many shards the line would leave the plot; JSON has all of them.
        let shown = |name: &str| name == "control" || (name != "serve" && shards <= SHARDS_SHOWN);
        let mut threads: Vec<String> = (self.threads.iter())
            .filter(|(name, _)| shown(name))
            .map(|(name, on)| format!("{name}: {}", core(*on)))
            .collect();
        if shards > SHARDS_SHOWN {
            threads.push(format!("{shards} shards"));
        }
        threads.push(format!("venue: {}", core(self.venue_core)));
        let transport = if self.tls { "TLS" } else { "plain TCP" };
        let flow = if self.burst > 0.0 { format!("burst {}", self.burst) } else { "even".into() };
        let plural = if self.connections == 1 { "" } else { "s" };
        [
            format!("ringbook {} on {}", self.version, self.machine),
            format!(
                "{} books on {} connection{plural}, {transport}, {flow}, idle {}; cores {}",
                self.tokens,
                self.connections,
                self.idle,
                threads.join(", ")
            ),
        ]
    }
}

/// Lines above the steps.
pub(super) fn heading(setting: &Setting) -> String {
    let [machine, layout] = setting.lines();
    let columns = format!(
        "{:>9}{:>10}{:>9}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>12}{:>7}{:>7}  verdict",
        "rate",
        "received",
        "in time",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "p50",
        "p99",
        "late p99",
        "shard",
        "venue"
    );
    let groups = format!(
        "{:>28}{:>55}{:>22}{:>12}{:>14}",
        "changes", "venue's intended send to book changed", "read to book", "venue", "cores used"
    );
    format!("{machine}\n{layout}\n\n{groups}\n{columns}\n")
}

pub(super) fn line(step: &Step) -> String {
    let late = &step.latency;
    let [p50, p90, p99, p999, max] =
        [late.p50_ns, late.p90_ns, late.p99_ns, late.p999_ns, late.max_ns].map(duration);
    let read = &step.read_to_applied;
    let [read50, read99, venue99] =
        [read.p50_ns, read.p99_ns, step.venue_late.p99_ns].map(duration);
    let shards = step.shard_cpu.iter().sum::<f64>();
    let mut out = format!(
        "{:>9}{:>10}{:>8.1}%{p50:>11}{p90:>11}{p99:>11}{p999:>11}{max:>11}{read50:>11}{read99:>11}{venue99:>12}{shards:>7.2}{:>7.2}  {}",
        step.rate,
        step.received,
        step.in_time_share * 100.0,
        step.venue_cpu,
        step.verdict.text()
    );
    if step.received != step.sent {
        let _ = write!(out, " ({} of {} sent never came)", step.sent - step.received, step.sent);
    }
    if step.held_up > 0 {
        let _ = write!(out, " ({} sent while a socket was full)", step.held_up);
    }
    if step.reconnects > 0 {
        let _ = write!(out, " ({} reconnects)", step.reconnects);
    }
    out + "\n"
}

/// Lines below the steps.
pub(super) fn ending(outcome: &Outcome) -> String {
    let Outcome { steps, highest_rate_kept, ended_by, books, setting } = outcome;
    let mut out = format!("\n{}\n", setting.rule);
    if steps.is_empty() {
        out.push_str("nothing was measured\n");
    } else if *highest_rate_kept > 0 {
        let _ = writeln!(out, "highest rate kept: {highest_rate_kept} changes a second");
    } else {
        out.push_str("no rate was kept\n");
    }
    match ended_by {
        Some(Verdict::VenueTooSlow) => out.push_str(
            "the venue was not on time: that is too fast for it, or others took its core; what the \
             engine can take is not known\n",
        ),
        Some(verdict) => {
            let _ = writeln!(out, "the last one: {}", verdict.text());
        }
        None if !steps.is_empty() => out.push_str("nothing saturated: the ladder may go higher\n"),
        None => {}
    }
    let Some(Books { equal, levels, different, not_live }) = books else { return out };
    let _ = writeln!(
        out,
        "{equal} live books equal the venue's in all {levels} levels (hashes aside: stamps stand in \
         their place), {different} differ, {not_live} are not live"
    );
    out
}

pub(super) fn json(outcome: &Outcome) -> String {
    sonic_rs::to_string(outcome).expect("numbers and texts are JSON")
}

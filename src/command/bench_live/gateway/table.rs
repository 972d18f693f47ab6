//! Output of the benchmark of the gateway: a table, a plot, or JSON.
//!
//! Runs on:  main thread (pure).
use super::super::ladder::Verdict;
use super::super::step::Step;
use super::super::table::Setting;
use crate::command::histograms::duration;
use crate::counter::latency::LatencySummary;
use crate::plot::steps::{Curve, Steps};
use serde::Serialize;
use std::fmt::Write as _;

/// p99 from read to written above which the gateway has not kept up.
pub(super) const WRITTEN_LATE_NS_MAX: u64 = super::super::ladder::ENGINE_LATE_NS_MAX;

const RULE: &str = "kept up: as bench-live; and no update of a shard lost, no client that reads conflated or closed, \
    read to written at most 100 ms at p99";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GatewayVerdict {
    /// It kept up, as did venue and engine.
    KeptUp,
    /// Venue or engine did not: no statement about the gateway.
    Before,
    /// Updates did not fit into the ring of their shard, or clients that read were conflated or closed.
    Lossy,
    /// Frames were late.
    Late,
}

/// Differences of the gateway's counters over a step.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) frames: u64,
    /// Changes that were replaced by a later book.
    pub(super) conflated: u64,
    pub(super) closed_slow: u64,
    /// Images in place of updates that did not fit.
    pub(super) ring_losses: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ClientBooks {
    /// Equal to the venue's in every level.
    pub(super) equal: usize,
    pub(super) different: usize,
    /// Levels of the equal ones.
    pub(super) levels: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct GatewayStep {
    pub(super) clients: usize,
    /// Tokens of each.
    pub(super) tokens: usize,
    /// Frames received by the clients within the measured time, per second.
    pub(super) frames_per_second: f64,
    /// The same per second of CPU time of the serve thread; 0 if it used none. A thread that polls uses all.
    pub(super) frames_per_cpu_second: f64,
    /// CPU share of the clients' thread.
    pub(super) clients_cpu: f64,
    /// Read by the shard to written to a client, warm-up included.
    pub(super) read_to_written: LatencySummary,
    pub(super) counts: Counts,
    /// Connections that ended.
    pub(super) ended: usize,
    /// Why, of the first.
    pub(super) fault: Option<String>,
    pub(super) books: ClientBooks,
    pub(super) verdict: GatewayVerdict,
    /// Venue and shard.
    pub(super) engine: Step,
}

impl GatewayStep {
    /// The verdict; `patient` clients all read.
    pub(super) fn judge(&mut self, patient: bool) {
        let Counts { conflated, ring_losses, .. } = self.counts;
        let unread = usize::from(!patient);
        self.verdict = if self.engine.verdict != Verdict::KeptUp {
            GatewayVerdict::Before
        } else if ring_losses > 0 || (patient && conflated > 0) || self.ended > unread {
            GatewayVerdict::Lossy
        } else if self.read_to_written.p99_ns > WRITTEN_LATE_NS_MAX {
            GatewayVerdict::Late
        } else {
            GatewayVerdict::KeptUp
        };
    }

    fn verdict_text(&self) -> &'static str {
        match self.verdict {
            GatewayVerdict::KeptUp => "kept up",
            GatewayVerdict::Before => self.engine.verdict.text(),
            GatewayVerdict::Lossy => "gateway saturated",
            GatewayVerdict::Late => "gateway late",
        }
    }
}

/// Results of a run.
#[derive(Debug, Serialize)]
pub(super) struct GatewayOutcome {
    /// What was measured on what.
    pub(super) setting: Setting,
    /// `market` or `stream`.
    pub(super) protocol: &'static str,
    pub(super) steps: Vec<GatewayStep>,
    /// When a step counts as kept up with.
    pub(super) rule: &'static str,
}

impl GatewayOutcome {
    pub(super) const fn new(setting: Setting, protocol: &'static str) -> Self {
        Self { setting, protocol, steps: Vec::new(), rule: RULE }
    }

    /// Lines above the steps.
    pub(super) fn heading(&self) -> String {
        let [machine, layout] = self.setting.lines();
        let groups = format!(
            "{:>27}{:>10}{:>20}{:>31}{:>20}{:>11}{:>22}",
            "tokens", "", "read to applied", "read to written", "added", "frames", "cores used"
        );
        let mut columns = String::new();
        for (name, width) in COLUMNS {
            let _ = write!(columns, "{name:>width$}");
        }
        format!("{machine}\n{layout}, {} protocol\n\n{groups}\n{columns}  verdict\n", self.protocol)
    }

    /// Lines below the steps.
    pub(super) fn ending(&self) -> String {
        let mut out = format!("\n{}\n", self.rule);
        let sum = |of: fn(&ClientBooks) -> usize| -> usize {
            self.steps.iter().map(|step| of(&step.books)).sum()
        };
        let _ = writeln!(
            out,
            "books of each step's first client: {} equal the venue's in all {} levels, {} differ",
            sum(|books| books.equal),
            sum(|books| books.levels),
            sum(|books| books.different)
        );
        out
    }

    /// Percentiles by frames a second.
    pub(super) fn plot(&self) -> Steps {
        let mut steps: Vec<&GatewayStep> =
            self.steps.iter().filter(|step| step.read_to_written.count > 0).collect();
        steps.sort_by(|a, b| a.frames_per_second.total_cmp(&b.frames_per_second));
        let curve = |name, value_ns: fn(&GatewayStep) -> u64| Curve {
            name,
            values_ns: steps.iter().map(|step| value_ns(step)).collect(),
        };
        let late = steps.iter().find(|step| step.verdict != GatewayVerdict::KeptUp);
        Steps {
            title: "From the shard's read to the frame written to a client",
            lines: self.setting.lines(),
            axis: "frames a second to all clients",
            rates: steps.iter().map(|step| step.frames_per_second.max(1.0)).collect(),
            curves: vec![
                curve("p99.9", |step| step.read_to_written.p999_ns),
                curve("p99", |step| step.read_to_written.p99_ns),
                curve("p50", |step| step.read_to_written.p50_ns),
                curve("to book, p99", |step| step.engine.read_to_applied.p99_ns),
            ],
            limit: late.map(|s| (s.frames_per_second.max(1.0), s.verdict_text().to_owned())),
        }
    }

    pub(super) fn json(&self) -> String {
        sonic_rs::to_string(self).expect("numbers and texts are JSON")
    }
}

const COLUMNS: [(&str, usize); 16] = [
    ("changes/s", 10),
    ("clients", 8),
    ("each", 9),
    ("frames/s", 10),
    ("p50", 10),
    ("p99", 10),
    ("p50", 10),
    ("p99", 10),
    ("p99.9", 11),
    ("p50", 10),
    ("p99", 10),
    ("/CPU-s", 11),
    ("serve", 7),
    ("shard", 7),
    ("clients", 8),
    ("lost", 6),
];

pub(super) fn line(step: &GatewayStep) -> String {
    let GatewayStep { engine, read_to_written: written, counts, .. } = step;
    let applied = &engine.read_to_applied;
    let added = |written_ns: u64, applied_ns: u64| match written.count {
        0 => String::new(),
        _ => duration(written_ns.saturating_sub(applied_ns)),
    };
    let [a50, a99] = [applied.p50_ns, applied.p99_ns].map(duration);
    let [w50, w99, w999] = [written.p50_ns, written.p99_ns, written.p999_ns]
        .map(|ns| if written.count == 0 { String::new() } else { duration(ns) });
    let (d50, d99) = (added(written.p50_ns, applied.p50_ns), added(written.p99_ns, applied.p99_ns));
    let per_cpu = match step.frames_per_cpu_second {
        count if count > 0.0 => format!("{count:.0}"),
        _ => String::new(),
    };
    let mut out = format!(
        "{:>10}{:>8}{:>9}{:>10.0}{a50:>10}{a99:>10}{w50:>10}{w99:>10}{w999:>11}{d50:>10}{d99:>10}{per_cpu:>11}\
         {:>7.2}{:>7.2}{:>8.2}{:>6}  {}",
        engine.rate,
        step.clients,
        step.tokens,
        step.frames_per_second,
        engine.serve_cpu,
        engine.shard_cpu.iter().sum::<f64>(),
        step.clients_cpu,
        counts.ring_losses,
        step.verdict_text()
    );
    for (count, what) in [
        (counts.conflated, "changes conflated"),
        (counts.closed_slow, "clients closed as too slow"),
        (step.books.different as u64, "BOOKS DIFFER"),
    ] {
        if count > 0 {
            let _ = write!(out, " ({count} {what})");
        }
    }
    if let Some(fault) = &step.fault {
        let _ = write!(out, " ({fault})");
    }
    out + "\n"
}

//! Assessment of a host: one finding per setting, with a remedy.
//!
//! Runs on:  main thread (pure).
//!
//! *bad* prevents running or invalidates measurements; *warn* costs latency or jitter; *info* describes what no setting
//! changes.
mod cpu;
mod memory;
mod system;

use super::{Facts, Profile};
use serde::Serialize;

/// Assessment of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected.
    Ok,
    /// Informational.
    Info,
    /// Costs latency or jitter.
    Warn,
    /// Prevents running.
    Bad,
}

impl Verdict {
    /// Name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The assessment of one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Setting name.
    pub setting: &'static str,
    /// The stage of `tuning/tune` that sets it, if any.
    pub stage: Option<&'static str>,
    /// Assessment.
    pub verdict: Verdict,
    /// Observed state, as text.
    pub found: String,
    /// Remedy on one line; empty if none is needed.
    pub remedy: String,
}

impl Finding {
    fn new(
        setting: &'static str,
        stage: Option<&'static str>,
        verdict: Verdict,
        found: impl Into<String>,
    ) -> Self {
        Self { setting, stage, verdict, found: found.into(), remedy: String::new() }
    }

    fn ok(setting: &'static str, stage: Option<&'static str>, found: impl Into<String>) -> Self {
        Self::new(setting, stage, Verdict::Ok, found)
    }

    fn info(setting: &'static str, stage: Option<&'static str>, found: impl Into<String>) -> Self {
        Self::new(setting, stage, Verdict::Info, found)
    }

    /// `ok`, or a warning with the remedy if `fine` is false.
    fn unless(fine: bool, ok: Self, remedy: impl Into<String>) -> Self {
        if fine { ok } else { Self { verdict: Verdict::Warn, remedy: remedy.into(), ..ok } }
    }

    fn bad(mut self, remedy: impl Into<String>) -> Self {
        (self.verdict, self.remedy) = (Verdict::Bad, remedy.into());
        self
    }
}

/// The command that applies a stage.
fn tune(stage: &str, profile: &Profile) -> String {
    format!("sudo tuning/tune init --profile {} {stage}", profile.name)
}

/// Assesses all settings, always in the same order.
pub fn judge(facts: &Facts, profile: &Profile) -> Vec<Finding> {
    vec![
        system::kernel(facts),
        system::io_uring(facts),
        system::locked_memory(facts, profile),
        system::open_files(facts, profile),
        cpu::cores(facts, profile),
        cpu::cpu_quota(facts),
        cpu::isolation(facts, profile),
        cpu::kernel_workers(facts, profile),
        cpu::interrupts(facts, profile),
        cpu::governor(facts, profile),
        cpu::idle_states(facts, profile),
        cpu::halt_polling(facts, profile),
        cpu::steal(facts),
        cpu::load(facts),
        memory::huge_pages(facts, profile),
        memory::swap(facts),
        memory::memory_bound(facts),
        memory::numa(facts),
        system::socket_buffers(facts, profile),
        system::busy_poll(facts, profile),
        system::backlog(facts, profile),
        system::slow_start(facts, profile),
        system::clock_source(facts, profile),
        system::tsc(facts),
        system::time_daemon(facts),
        system::mitigations(facts),
    ]
}

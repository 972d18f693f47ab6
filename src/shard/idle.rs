//! When a shard polls and when it sleeps.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: what the last pauses were like.
//! Bounds:   a poll without result lasts [`ADAPTIVE_POLL_MAX_NS`] at most under [`Idle::Adaptive`].
use crate::base::limits::{ADAPTIVE_POLL_MAX_NS, HOUSEKEEPING_INTERVAL_NS, WAKE_UP_COST_NS};
use crate::base::policy::Idle;
use crate::base::time::MILLISECOND_NS;

/// A pause is polled while the expected gap is below this many times the cost of a wake-up.
const SPIN_FACTOR: u64 = 4;
/// A new gap has this part of the weight of all.
const GAP_PART: u64 = 16;
/// A sleep that ends before the message is expected is at least so long, and as long as the CPU time that it costs.
const PRE_SLEEP_MIN_NS: u64 = WAKE_UP_COST_NS / 4;
const WHOLE: u64 = 1 << 16;

/// The gap between the end of a step with work and the next one with work, learned from the last gaps.
#[derive(Debug)]
struct Gaps {
    /// Mean of the gaps, each counted as [`ADAPTIVE_POLL_MAX_NS`] at most: what polling for the next one takes,
    /// nanoseconds.
    poll_ns: u64,
    /// Share of the gaps that end within [`ADAPTIVE_POLL_MAX_NS`], 0 to [`WHOLE`].
    short: u64,
    /// Mean of those.
    short_ns: u64,
}

impl Gaps {
    const fn new() -> Self {
        Self { poll_ns: ADAPTIVE_POLL_MAX_NS, short: 0, short_ns: ADAPTIVE_POLL_MAX_NS }
    }

    fn add(&mut self, gap_ns: u64) {
        let approach = |mean: &mut u64, value: u64| {
            *mean = *mean - *mean / GAP_PART + value / GAP_PART;
        };
        let is_short = gap_ns <= ADAPTIVE_POLL_MAX_NS;
        approach(&mut self.poll_ns, gap_ns.min(ADAPTIVE_POLL_MAX_NS));
        approach(&mut self.short, u64::from(is_short) * WHOLE);
        if is_short {
            approach(&mut self.short_ns, gap_ns);
        }
    }

    /// Whether the polling that catches one wake-up takes less than the wake-up costs, times the factor. For gaps
    /// without memory, or all alike, that polling is as long as the mean gap.
    const fn are_worth_polling(&self) -> bool {
        self.poll_ns * WHOLE <= SPIN_FACTOR * WAKE_UP_COST_NS * self.short
    }
}

/// CPU time of a sleep, its wake-up and the work that ended it, before any is observed.
const SLEEP_CPU_NS: u64 = WAKE_UP_COST_NS / 4;
/// CPU time that a quiet shard saves up at most, and that a busy one overspends at most.
const SAVED_MAX_NS: i64 = 2 * MILLISECOND_NS as i64;
/// A pause uses this part of what is saved, so that the next ones have some too.
const ALLOWANCE_PART: u64 = 4;
/// Fewer sleeps between two observations say little about the cost of one: their share of the CPU time is small.
const SLEEPS_OBSERVED_MIN: u64 = 32;

/// What the thread did since its CPU time was last observed.
#[derive(Debug, Default)]
struct Interval {
    /// Time in steps that did not sleep, nanoseconds.
    awake_ns: u64,
    sleeps: u64,
}

/// CPU time within a percentage: a bucket of time awake.
#[derive(Debug)]
struct Budget {
    percent: u64,
    /// Negative where more was spent than the bucket had: the next pauses make up for it.
    saved_ns: i64,
    /// CPU time of a sleep, as observed.
    sleep_cpu_ns: u64,
    interval: Interval,
    /// CPU time of the thread at the last observation.
    cpu_ns: Option<u64>,
}

impl Budget {
    fn new(percent: u8) -> Self {
        let (saved_ns, sleep_cpu_ns) = (SAVED_MAX_NS, SLEEP_CPU_NS);
        let percent = percent.into();
        Self { percent, saved_ns, sleep_cpu_ns, interval: Interval::default(), cpu_ns: None }
    }

    /// A step took so long, and slept or not.
    fn spend(&mut self, elapsed_ns: u64, slept: bool) {
        self.interval.sleeps += u64::from(slept);
        self.interval.awake_ns += if slept { 0 } else { elapsed_ns };
        let spent_ns = if slept { self.sleep_cpu_ns } else { elapsed_ns };
        let saved_ns = (self.saved_ns + (elapsed_ns * self.percent / 100) as i64).min(SAVED_MAX_NS);
        self.saved_ns = (saved_ns - spent_ns as i64).max(-SAVED_MAX_NS);
    }

    /// The thread has used so much CPU time: what its steps without sleep do not account for, its sleeps cost. A thread
    /// that others keep from running uses less than its steps last; its sleeps then count as free, and it stays below
    /// the percentage.
    fn observe(&mut self, cpu_ns: u64) {
        let interval = std::mem::take(&mut self.interval);
        let Some(before_ns) = self.cpu_ns.replace(cpu_ns) else { return };
        if interval.sleeps < SLEEPS_OBSERVED_MIN {
            return;
        }
        let used_ns = cpu_ns.saturating_sub(before_ns);
        let observed_ns = used_ns.saturating_sub(interval.awake_ns) / interval.sleeps;
        self.sleep_cpu_ns = u64::midpoint(self.sleep_cpu_ns, observed_ns);
    }

    /// How long the shard may poll now.
    const fn allowance_ns(&self) -> u64 {
        if self.percent >= 100 {
            return u64::MAX;
        }
        if self.saved_ns < 0 { 0 } else { self.saved_ns as u64 / ALLOWANCE_PART }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// There was work in the last step.
    None,
    Polled,
    /// Slept until there is work.
    Slept,
}

/// Decides how long a shard may sleep.
#[derive(Debug)]
pub(super) struct Pacer {
    policy: Idle,
    gaps: Gaps,
    budget: Budget,
    pause: Pause,
    /// End of the last step, and of the last one with work; monotonic.
    step_ns: u64,
    work_ns: u64,
    /// The last wait was a sleep.
    slept: bool,
}

impl Pacer {
    pub(super) fn new(policy: Idle) -> Self {
        let percent = match policy {
            Idle::Adaptive { cpu_percent } => cpu_percent,
            Idle::Park | Idle::Spin => 100,
        };
        let budget = Budget::new(percent);
        let (gaps, pause) = (Gaps::new(), Pause::None);
        Self { policy, gaps, budget, pause, step_ns: 0, work_ns: 0, slept: false }
    }

    /// How long the next wait for work may last, nanoseconds; `worked` says whether the last step
    /// had any, which ended at `now_ns` (monotonic).
    pub(super) fn timeout_ns(&mut self, worked: bool, now_ns: u64) -> u64 {
        match self.policy {
            Idle::Spin => 0,
            Idle::Park => u64::from(!worked) * HOUSEKEEPING_INTERVAL_NS,
            Idle::Adaptive { .. } => {
                let elapsed_ns = now_ns.saturating_sub(self.step_ns);
                self.budget.spend(elapsed_ns, self.slept);
                let timeout_ns = if worked { self.work(now_ns) } else { self.pause(now_ns) };
                self.step_ns = now_ns;
                self.slept = timeout_ns > 0;
                timeout_ns
            }
        }
    }

    /// Takes the CPU time that the thread has used so far, nanoseconds; for each heartbeat.
    pub(super) fn observe_cpu(&mut self, cpu_ns: u64) {
        self.budget.observe(cpu_ns);
    }

    /// After work there may be more.
    fn work(&mut self, now_ns: u64) -> u64 {
        if self.pause != Pause::None {
            self.gaps.add(now_ns.saturating_sub(self.work_ns));
            self.pause = Pause::None;
        }
        self.work_ns = now_ns;
        0
    }

    fn pause(&mut self, now_ns: u64) -> u64 {
        let paused_ns = now_ns.saturating_sub(self.work_ns);
        let allowance_ns = self.budget.allowance_ns();
        match self.pause {
            Pause::None if self.gaps.are_worth_polling() => {
                self.pause = Pause::Polled;
                // With less than the whole pause to poll, its end is polled: that is when work comes.
                let polled_ns = allowance_ns.saturating_add(paused_ns);
                let ahead_ns = self.gaps.short_ns.saturating_sub(polled_ns);
                let least_ns = PRE_SLEEP_MIN_NS.max(self.budget.sleep_cpu_ns);
                if ahead_ns >= least_ns { ahead_ns } else { 0 }
            }
            Pause::Polled if paused_ns < ADAPTIVE_POLL_MAX_NS && allowance_ns > 0 => 0,
            _ => {
                self.pause = Pause::Slept;
                HOUSEKEEPING_INTERVAL_NS
            }
        }
    }
}

#[cfg(test)]
mod tests;

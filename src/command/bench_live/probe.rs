//! Handler that records the age of every stamped change when its book is changed.
//!
//! Runs on:  shard cores (records without lock or allocation), main thread (reads).
//! Bounds:   one table of counters per shard and step, 37 KB.
use crate::base::time::Clock as _;
use crate::io::clock::HostClock;
use crate::shard::publish::{BookView, Change, Handler};
use crate::sim::{STAMP_DIGITS, STEP_DIGITS};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values below 2^this have their own counter; above, each octave has half as many: an error below 0.8 %.
const EXACT_BITS: u32 = 8;
const PER_OCTAVE: usize = 1 << (EXACT_BITS - 1);
/// Largest value: 18 minutes.
const VALUE_BITS: u32 = 40;
const BUCKETS: usize = (1 << EXACT_BITS) + (VALUE_BITS - EXACT_BITS) as usize * PER_OCTAVE;

/// Counters of all shards.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Per shard; each has one writer.
    shards: Vec<Arc<[Step]>>,
}

#[derive(Debug)]
struct Step {
    /// End of the step, monotonic nanoseconds.
    end_ns: AtomicU64,
    received: AtomicU64,
    in_time: AtomicU64,
    max_ns: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

#[derive(Clone, Debug)]
pub(super) struct StepProgress {
    /// Messages applied.
    pub received: u64,
    /// Those applied before the end of the step.
    pub in_time: u64,
    /// Intended send time to applied, nanoseconds.
    pub latency: Histogram<u64>,
}

impl Probe {
    pub(super) fn new(steps: usize) -> Self {
        debug_assert!(steps < 256, "a stamp has two digits for the step");
        Self { shards: vec![steps_of(steps + 1)] }
    }

    /// Handler of the next shard.
    pub(super) fn handler(&mut self, clock: HostClock) -> Stopwatch {
        let steps = Arc::clone(&self.shards[self.shards.len() - 1]);
        // One spare table is always there, so that the number of steps need not be kept.
        self.shards.push(steps_of(steps.len()));
        Stopwatch { clock, steps }
    }

    pub(super) fn set_end(&self, step: u8, end_ns: u64) {
        for steps in &self.shards {
            steps[usize::from(step)].end_ns.store(end_ns, Ordering::Relaxed);
        }
    }

    /// Messages of a step applied so far; step 0 is every warm-up.
    pub(super) fn received(&self, step: u8) -> u64 {
        let of = |steps: &Arc<[Step]>| steps[usize::from(step)].received.load(Ordering::Relaxed);
        self.shards.iter().map(of).sum()
    }

    /// Current figures of a step.
    pub(super) fn progress(&self, step: u8) -> StepProgress {
        let bounds = Histogram::new_with_bounds(1, 1 << VALUE_BITS, 3);
        let mut latency = bounds.expect("the bounds are constant");
        let (mut received, mut in_time, mut max_ns) = (0, 0, 0);
        for steps in &self.shards {
            let step = &steps[usize::from(step)];
            received += step.received.load(Ordering::Relaxed);
            in_time += step.in_time.load(Ordering::Relaxed);
            max_ns = max_ns.max(step.max_ns.load(Ordering::Relaxed));
        }
        for steps in &self.shards {
            for (bucket, count) in steps[usize::from(step)].buckets.iter().enumerate() {
                // The largest value is known exactly: no bucket says more.
                let value = top_of(bucket).min(max_ns).max(1);
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    latency.saturating_record_n(value, count);
                }
            }
        }
        StepProgress { received, in_time, latency }
    }
}

fn steps_of(count: usize) -> Arc<[Step]> {
    let zero = || AtomicU64::new(0);
    let step = || Step {
        end_ns: zero(),
        received: zero(),
        in_time: zero(),
        max_ns: zero(),
        buckets: std::iter::repeat_with(zero).take(BUCKETS).collect(),
    };
    std::iter::repeat_with(step).take(count).collect()
}

/// Reads the stamp and the clock, counts.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: HostClock,
    steps: Arc<[Step]>,
}

impl Handler for Stopwatch {
    const WANTS_MARKETS: bool = false;

    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        let Some(hash) = &view.facts.hash else { return };
        // Each message has an entry of either outcome: one of them stands for it.
        if hash[STEP_DIGITS.end] != b'0' {
            return;
        }
        let (Some(intended_ns), Some(step)) = (hex(&hash[STAMP_DIGITS]), hex(&hash[STEP_DIGITS]))
        else {
            return;
        };
        if let Some(step) = self.steps.get(step as usize) {
            step.record(intended_ns, self.clock.mono_ns());
        }
    }
}

impl Step {
    fn record(&self, intended_ns: u64, now_ns: u64) {
        let age_ns = now_ns.saturating_sub(intended_ns);
        add(&self.received, 1);
        add(&self.in_time, u64::from(now_ns <= self.end_ns.load(Ordering::Relaxed)));
        if age_ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.store(age_ns, Ordering::Relaxed);
        }
        add(&self.buckets[bucket_of(age_ns)], 1);
    }
}

/// One writer: load and store suffice.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
}

fn bucket_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    let bits = u64::BITS - value.leading_zeros();
    if bits <= EXACT_BITS {
        return value as usize;
    }
    let octave = bits - EXACT_BITS;
    let within = (value >> octave) as usize - PER_OCTAVE;
    (1 << EXACT_BITS) + (octave as usize - 1) * PER_OCTAVE + within
}

/// Largest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    if bucket < 1 << EXACT_BITS {
        return bucket as u64;
    }
    let above = bucket - (1 << EXACT_BITS);
    let (octave, within) = (above / PER_OCTAVE + 1, above % PER_OCTAVE);
    (((PER_OCTAVE + within + 1) as u64) << octave) - 1
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests;

//! Latency histograms: one set per shard, recorded by one thread, merged by the control core.
//!
//! Runs on:  any (pure). Bounds: 1 ns to 10 minutes at two significant digits, 34 KB a stage.
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What is measured. The order is the order of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Venue timestamp (milliseconds) to the read of the frame: includes clock difference.
    VenueToRead,
    /// Read of the socket to the frame's decoding done.
    ReadToDecoded,
    /// Decoding done to the books changed.
    DecodedToApplied,
    /// Read of the socket to the books changed.
    ReadToApplied,
    /// Read of the socket to a frame of it written to a client of the gateway.
    ReadToWritten,
    /// An order's wait in the ring from the control core.
    ControlRing,
    /// Lateness of a wake-up: when the shard meant to wake and when it did.
    WakeUp,
}

impl Stage {
    /// Every stage, in the order of the path.
    pub const ALL: [Self; 7] = [
        Self::VenueToRead,
        Self::ReadToDecoded,
        Self::DecodedToApplied,
        Self::ReadToApplied,
        Self::ReadToWritten,
        Self::ControlRing,
        Self::WakeUp,
    ];

    /// Name in reports, metrics and file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VenueToRead => "venue_to_read",
            Self::ReadToDecoded => "read_to_decoded",
            Self::DecodedToApplied => "decoded_to_applied",
            Self::ReadToApplied => "read_to_applied",
            Self::ReadToWritten => "read_to_written",
            Self::ControlRing => "control_ring",
            Self::WakeUp => "wake_up",
        }
    }
}

/// Longest value kept, nanoseconds; longer ones count as this.
const LATENCY_MAX_NS: u64 = 600_000_000_000;

/// One histogram per stage, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    stages: [Histogram<u64>; Stage::ALL.len()],
}

impl Default for Latencies {
    fn default() -> Self {
        Self { stages: std::array::from_fn(|_| histogram()) }
    }
}

impl Latencies {
    /// Records one value; never allocates.
    pub fn record(&mut self, stage: Stage, ns: u64) {
        self.record_n(stage, ns, 1);
    }

    /// Records a value that stands for `count` values; never allocates.
    pub fn record_n(&mut self, stage: Stage, ns: u64, count: u64) {
        self.stages[stage as usize].saturating_record_n(ns.max(1), count);
    }

    /// The histogram of one stage.
    pub fn stage(&self, stage: Stage) -> &Histogram<u64> {
        &self.stages[stage as usize]
    }

    /// Adds values of one stage.
    pub fn add_stage(&mut self, stage: Stage, values: &Histogram<u64>) {
        self.stages[stage as usize].add(values).expect("all histograms have the same bounds");
    }

    /// Adds everything that `other` counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            mine.add(theirs).expect("all sets have the same bounds");
        }
    }

    /// Forgets all counts and keeps the memory.
    pub fn clear(&mut self) {
        self.stages.iter_mut().for_each(Histogram::reset);
    }

    /// Buckets of every stage, in the order of the path.
    pub fn buckets(&self) -> Vec<StageBuckets> {
        Stage::ALL.iter().map(|&stage| StageBuckets::of(stage, self.stage(stage))).collect()
    }

    /// Percentiles of every stage, in the order of the path.
    pub fn summaries(&self) -> Vec<LatencySummary> {
        Stage::ALL.iter().map(|&s| LatencySummary::of(s.name(), self.stage(s))).collect()
    }
}

/// The values of one stage, in buckets of which the widest is a sixteenth of its values.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct StageBuckets {
    /// What was measured.
    pub stage: &'static str,
    /// Largest value of a bucket in nanoseconds, and the values in it, ascending; without empty ones.
    pub buckets: Vec<(u64, u64)>,
}

/// The largest value that is in one bucket with `ns`: values share their four highest bits.
const fn bucket_of(ns: u64) -> u64 {
    let bits = u64::BITS - ns.leading_zeros();
    let shift = bits.saturating_sub(5);
    ((((ns >> shift) as u128 + 1) << shift) - 1) as u64
}

impl StageBuckets {
    fn of(stage: Stage, histogram: &Histogram<u64>) -> Self {
        let mut buckets: Vec<(u64, u64)> = Vec::new();
        for value in histogram.iter_recorded() {
            let upper = bucket_of(value.value_iterated_to());
            match buckets.last_mut() {
                Some((last, count)) if *last == upper => *count += value.count_at_value(),
                _ => buckets.push((upper, value.count_at_value())),
            }
        }
        Self { stage: stage.name(), buckets }
    }
}

/// What one connection's frames took; kept only where it was asked for.
#[derive(Clone, Debug)]
pub struct ConnectionLatencies {
    /// [`Stage::VenueToRead`] of the last message of each frame.
    pub venue_to_read: Histogram<u64>,
    /// [`Stage::ReadToApplied`] of the last message of each frame.
    pub read_to_applied: Histogram<u64>,
}

impl Default for ConnectionLatencies {
    fn default() -> Self {
        Self { venue_to_read: histogram(), read_to_applied: histogram() }
    }
}

impl ConnectionLatencies {
    /// Records one frame; never allocates. A frame of snapshots has no time of the venue.
    pub fn record(&mut self, venue_to_read_ns: Option<u64>, read_to_applied_ns: u64) {
        if let Some(ns) = venue_to_read_ns {
            self.venue_to_read.saturating_record(ns.max(1));
        }
        self.read_to_applied.saturating_record(read_to_applied_ns.max(1));
    }
}

/// An empty histogram, as those of [`Latencies`].
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, 2).expect("the bounds are constant")
}

/// Percentiles of one histogram, nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct LatencySummary {
    /// What was measured.
    pub stage: String,
    /// Values recorded.
    pub count: u64,
    /// Smallest value.
    pub min_ns: u64,
    /// Half of the values are at most this.
    pub p50_ns: u64,
    /// 90 % of the values are at most this.
    pub p90_ns: u64,
    /// 99 % of the values are at most this.
    pub p99_ns: u64,
    /// 99.9 % of the values are at most this.
    pub p999_ns: u64,
    /// Largest value.
    pub max_ns: u64,
}

impl LatencySummary {
    /// The percentiles of `histogram` under the name `stage`.
    pub fn of(stage: &str, histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            stage: stage.to_owned(),
            count: histogram.len(),
            min_ns: histogram.min(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests;

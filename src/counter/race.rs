//! A race: who has the messages of the same markets first, by how much, and what only one has.
//!
//! Runs on:  any (pure).
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time in the figures, nanoseconds: a minute.
const LATER_NS_MAX: u64 = 60_000_000_000;

/// How often an engine or a connection was first, and how late it was otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaceCounts {
    /// It was first.
    pub first: u64,
    /// Another one was first.
    pub later: u64,
    /// Only this one had it within the time that is waited, although another one had a live book; part of `first`.
    pub alone: u64,
    /// It did not have it within that time after the first one, although its book was live.
    pub missed: u64,
    /// Median of the time after the first one, nanoseconds; 0 if it never was later.
    pub later_p50_ns: u64,
    /// 99th percentile of the same.
    pub later_p99_ns: u64,
    /// Maximum of the same.
    pub later_max_ns: u64,
}

/// The counts as they grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct RaceFigures {
    pub(crate) counts: RaceCounts,
    /// Nanoseconds.
    later: Option<Box<Histogram<u32>>>,
}

impl RaceFigures {
    /// It came so long after the first one.
    pub(crate) fn add_later(&mut self, ns: u64) {
        self.counts.later += 1;
        let new = || {
            Histogram::new_with_bounds(1, LATER_NS_MAX, 2).expect("the bounds are constant").into()
        };
        self.later.get_or_insert_with(new).saturating_record(ns);
    }

    /// The counts with the times.
    pub(crate) fn counts(&self) -> RaceCounts {
        let Some(later) = &self.later else { return self.counts };
        RaceCounts {
            later_p50_ns: later.value_at_quantile(0.5),
            later_p99_ns: later.value_at_quantile(0.99),
            later_max_ns: later.max(),
            ..self.counts
        }
    }
}

impl RaceCounts {
    /// The heading of [`RaceCounts::row`].
    pub fn heading(racer: &str) -> String {
        format!(
            "{racer:<20} {:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8}",
            "of", "first", "later", "p50 ms", "p99 ms", "max ms", "alone", "missed"
        )
    }

    /// A row of a table for people.
    pub fn row(&self, racer: &str, of: &str) -> String {
        let Self { first, later, alone, missed, .. } = self;
        let ms = |ns: u64| format!("{:.1}", ns as f64 / 1e6);
        let [p50, p99, max] = [self.later_p50_ns, self.later_p99_ns, self.later_max_ns].map(ms);
        format!(
            "{racer:<20} {of:<8} {first:>10} {later:>10} {p50:>10} {p99:>10} {max:>10} {alone:>8} {missed:>8}"
        )
    }
}

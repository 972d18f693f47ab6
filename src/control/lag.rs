//! Age of messages when they are read, per shard.
//!
//! Runs on:  control core (pure; time is an argument). Owns: the last window of each shard.
//!
//! A connection that is written or read too slowly loses no message; only their age shows it. The age contains the
//! difference of the two clocks.
use crate::base::id::ShardId;
use crate::base::limits::{LAG_FORGET_NS, LAG_REASON_NS, LAG_WARN_NS};
use crate::base::time::SECOND_NS;
use hdrhistogram::Histogram;

/// Message age of one shard.
#[derive(Clone, Debug)]
pub(super) struct Lag {
    warn_ns: u64,
    shards: Vec<ShardLag>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ShardLag {
    /// Start of the first of the windows in a row that were too old.
    since_ns: Option<u64>,
    /// Last window with a message.
    message_ns: u64,
    /// 90th percentile of the age in the last such window.
    age_ns: u64,
}

impl Lag {
    pub(super) fn new(shards: usize) -> Self {
        Self { warn_ns: LAG_WARN_NS, shards: vec![ShardLag::default(); shards] }
    }

    /// Sets the limit, nanoseconds; 0 disables it.
    pub(super) fn warn_at(&mut self, warn_ns: u64) {
        self.warn_ns = warn_ns;
    }

    /// Takes a finished window of `venue_to_read` of one shard.
    pub(super) fn on_window(&mut self, place: usize, ages: &Histogram<u64>, now_ns: u64) {
        let warn_ns = self.warn_ns;
        let Some(shard) = self.shards.get_mut(place) else { return };
        if ages.is_empty() {
            if now_ns.saturating_sub(shard.message_ns) >= LAG_FORGET_NS {
                shard.since_ns = None;
            }
            return;
        }
        shard.message_ns = now_ns;
        shard.age_ns = ages.value_at_quantile(0.9);
        let late = warn_ns > 0 && shard.age_ns > warn_ns;
        shard.since_ns = late.then(|| shard.since_ns.unwrap_or(now_ns));
    }

    /// A line per shard with messages that are too old, and whether it has lasted.
    pub(super) fn lines(
        &self,
        ids: impl Iterator<Item = ShardId>,
        now_ns: u64,
    ) -> Vec<(String, bool)> {
        let late = self.shards.iter().zip(ids).filter_map(|(shard, id)| {
            let lasted_ns = now_ns.saturating_sub(shard.since_ns?);
            let line = format!(
                "{id}: messages are {:.1} s old when they are read (1 in 10, for {} s; the bound of --lag-warn is {} s): the venue, the network or this core is behind, or a clock is wrong",
                shard.age_ns as f64 / 1e9,
                lasted_ns / SECOND_NS,
                self.warn_ns / SECOND_NS,
            );
            Some((line, lasted_ns >= LAG_REASON_NS))
        });
        late.collect()
    }
}

#[cfg(test)]
mod tests;

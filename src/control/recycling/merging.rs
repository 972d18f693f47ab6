//! Which connections are merged: the smallest of a shard that together fit on one.
//!
//! Runs on:  control core (pure; times are monotonic nanoseconds).
//! Bounds:   `MERGE_CONNECTIONS_MAX` connections at once, none younger than `RECYCLE_AGE_MIN_NS`.
//!
//! A connection that the deaths of its markets have left with few tokens costs a socket, a heartbeat and a slot.
//! New markets fill the fullest first, so small ones run empty where markets are born. Where few are, they stay
//! small, and are merged. Each merge saves at least one connection; the merged one is young, and has room left
//! ([`MERGE_FILL_PERCENT`]), so that the next births neither split it nor have it merged again at once.
use super::Candidate;
use crate::base::id::{ConnectionId, ShardId};
use crate::base::limits::{
    MERGE_CONNECTIONS_MAX, MERGE_FILL_PERCENT, MERGE_POSTPONED_NS, RECYCLE_AGE_MIN_NS,
    TOKENS_PER_CONNECTION_TARGET,
};
use std::collections::BTreeMap;

/// When connections are merged, and into how large a one.
#[derive(Clone, Debug)]
pub(super) struct Merging {
    /// Younger connections are left alone.
    pub(super) age_min_ns: u64,
    /// Tokens of the connections that are merged, all together.
    pub(super) tokens_max: usize,
    not_before_ns: u64,
}

impl Default for Merging {
    fn default() -> Self {
        let tokens_max = TOKENS_PER_CONNECTION_TARGET * MERGE_FILL_PERCENT / 100;
        Self { age_min_ns: RECYCLE_AGE_MIN_NS, tokens_max, not_before_ns: 0 }
    }
}

impl Merging {
    /// Not before a while from now.
    pub(super) const fn postpone(&mut self, now_ns: u64) {
        self.not_before_ns = now_ns + MERGE_POSTPONED_NS;
    }

    /// The connections of one shard that are to be replaced by one: the group that saves the most connections.
    pub(super) fn choose(&self, ready: &[Candidate], now_ns: u64) -> Option<Vec<ConnectionId>> {
        if now_ns < self.not_before_ns {
            return None;
        }
        let mut shards: BTreeMap<ShardId, Vec<&Candidate>> = BTreeMap::new();
        for candidate in ready.iter().filter(|candidate| self.may_merge(candidate)) {
            shards.entry(candidate.shard).or_default().push(candidate);
        }
        let groups = shards.into_values().map(|of_shard| self.smallest(of_shard));
        let groups = groups.filter(|group| group.len() > 1);
        groups.max_by_key(Vec::len)
    }

    /// Old enough, small enough, and nearly all of its books live.
    fn may_merge(&self, candidate: &Candidate) -> bool {
        let active = candidate.active();
        let is_live = 10 * candidate.live >= 9 * active;
        candidate.age_ns >= self.age_min_ns && active > 0 && active < self.tokens_max && is_live
    }

    fn smallest(&self, mut of_shard: Vec<&Candidate>) -> Vec<ConnectionId> {
        of_shard.sort_by_key(|candidate| (candidate.active(), candidate.connection));
        let mut tokens = 0;
        let fits = of_shard.into_iter().take(MERGE_CONNECTIONS_MAX).take_while(|candidate| {
            tokens += candidate.active();
            tokens <= self.tokens_max
        });
        fits.map(|candidate| candidate.connection).collect()
    }
}

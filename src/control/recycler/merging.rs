//! Which connections are merged: the smallest of a shard that together fit on one.
//!
//! Runs on:  control core (pure; times are monotonic nanoseconds).
//! Bounds:   `MERGE_CONNECTIONS_MAX` connections at once, none younger than `MERGE_AGE_MIN_NS` unless it is taken
//! along.
//!
//! A connection that the deaths of its markets have left with few tokens costs a socket, a heartbeat and a slot.
//! New markets fill the fullest first, so small ones run empty where markets are born. Where few are, they stay
//! small, and are merged. Each merge saves at least one connection; the merged one is young, and has room left
//! (`MERGE_FILL_PERCENT`), so that the next births neither split it nor have it merged again at once. A shard with
//! many connections more than are necessary (`MERGE_SPARE_PERCENT`) does not insist on room that is left: halves of
//! full ones are merged too, up to the limit of a connection.
//!
//! A connection that is replaced for its expired tokens takes the smallest of its shard along, whatever their age: its
//! replacement costs the same. A shard may have one connection more than 1.25 times the necessary ones: a market born
//! while each has its target of active tokens opens it, and it stays until it is `MERGE_AGE_MIN_NS` old or another is
//! replaced. Where no market is born, connections that are more than half full stay: no two fit on one.
use super::Candidate;
use crate::base::id::{ConnectionId, ShardId};
use crate::base::limits::{
    MERGE_AGE_MIN_NS, MERGE_CONNECTIONS_MAX, MERGE_FILL_PERCENT, MERGE_POSTPONED_NS,
    MERGE_SPARE_PERCENT, RECYCLE_FULL_PERCENT, TOKENS_PER_CONNECTION_MAX,
    TOKENS_PER_CONNECTION_TARGET,
};
use std::collections::BTreeMap;

/// When connections are merged, and into how large a one.
#[derive(Clone, Debug)]
pub(super) struct Merging {
    /// Younger connections are left alone.
    pub(super) age_min_ns: u64,
    /// Tokens of a usual connection.
    pub(super) target: usize,
    /// Tokens of the connections that are merged, all together.
    pub(super) tokens_max: usize,
    /// The same in a shard that has many connections too many.
    pub(super) tokens_limit: usize,
    not_before_ns: u64,
}

impl Default for Merging {
    fn default() -> Self {
        Self::of_connections_of(TOKENS_PER_CONNECTION_TARGET)
    }
}

impl Merging {
    /// For connections that have so many tokens, at most [`TOKENS_PER_CONNECTION_TARGET`].
    pub(super) fn of_connections_of(tokens: usize) -> Self {
        let target = tokens.clamp(1, TOKENS_PER_CONNECTION_TARGET);
        Self {
            age_min_ns: MERGE_AGE_MIN_NS,
            target,
            tokens_max: target * MERGE_FILL_PERCENT / 100,
            tokens_limit: target * TOKENS_PER_CONNECTION_MAX / TOKENS_PER_CONNECTION_TARGET,
            not_before_ns: 0,
        }
    }

    /// Not before a while from now.
    pub(super) fn postpone(&mut self, now_ns: u64) {
        self.not_before_ns = now_ns + MERGE_POSTPONED_NS.min(self.age_min_ns);
    }

    /// The connections of one shard that are to be replaced by one: the group that saves the most connections.
    pub(super) fn choose(&self, ready: &[Candidate], now_ns: u64) -> Option<Vec<ConnectionId>> {
        if now_ns < self.not_before_ns {
            return None;
        }
        let mut shards: BTreeMap<ShardId, Vec<&Candidate>> = BTreeMap::new();
        for candidate in ready.iter().filter(|candidate| candidate.active() > 0) {
            shards.entry(candidate.shard).or_default().push(candidate);
        }
        let groups = shards.into_values().map(|of_shard| self.group(of_shard));
        let groups = groups.filter(|group| group.len() > 1);
        groups.max_by_key(Vec::len)
    }

    /// The smallest that fit on one.
    fn group(&self, mut of_shard: Vec<&Candidate>) -> Vec<ConnectionId> {
        let tokens: usize = of_shard.iter().map(|candidate| candidate.active()).sum();
        let necessary = tokens.div_ceil(self.target);
        let many = 100 * of_shard.len() > (100 + MERGE_SPARE_PERCENT) * necessary;
        let tokens_max = if many { self.tokens_limit } else { self.tokens_max };
        of_shard.retain(|candidate| self.may_merge(candidate));
        smallest_within(of_shard, tokens_max, MERGE_CONNECTIONS_MAX)
    }

    /// Whether a connection has few free slots, counting expired tokens as taken.
    pub(super) const fn is_nearly_full(&self, tokens: usize) -> bool {
        let slots = self.target * TOKENS_PER_CONNECTION_MAX / TOKENS_PER_CONNECTION_TARGET;
        100 * tokens >= RECYCLE_FULL_PERCENT * slots
    }

    /// The smallest of `others`, of any age, that fit on the replacement of `candidate` beside its active tokens.
    pub(super) fn taken_along(
        &self,
        candidate: &Candidate,
        mut others: Vec<&Candidate>,
        now_ns: u64,
    ) -> Vec<ConnectionId> {
        if now_ns < self.not_before_ns {
            return Vec::new();
        }
        others.retain(|other| {
            other.connection != candidate.connection
                && other.shard == candidate.shard
                && other.active() > 0
                && is_live(other)
        });
        let room = self.target.min(self.tokens_limit).saturating_sub(candidate.active());
        smallest_within(others, room, MERGE_CONNECTIONS_MAX - 1)
    }

    fn may_merge(&self, candidate: &Candidate) -> bool {
        candidate.age_ns >= self.age_min_ns && is_live(candidate)
    }
}

/// Nearly all of its books are live.
const fn is_live(candidate: &Candidate) -> bool {
    10 * candidate.live >= 9 * candidate.active()
}

/// The smallest of these, at most `count`, that have together at most `tokens_max` tokens.
fn smallest_within(mut all: Vec<&Candidate>, tokens_max: usize, count: usize) -> Vec<ConnectionId> {
    all.sort_by_key(|candidate| (candidate.active(), candidate.connection));
    let mut tokens = 0;
    let fits = all.into_iter().take(count).take_while(|candidate| {
        tokens += candidate.active();
        tokens <= tokens_max
    });
    fits.map(|candidate| candidate.connection).collect()
}

//! The engines of a cluster, those of all racks: they share the limits of one account.
//!
//! Runs on:  the thread `cluster` (pure). Bounds: `SLICES` claims of each group.
use super::claim::{Claim, ClaimState};
use crate::base::limits::CLUSTER_HOLD_NS;
use std::collections::{BTreeMap, BTreeSet};

/// The engines that have claimed slices.
#[derive(Debug, Default)]
pub struct Members {
    /// The engine of the last claim, by the key of claims.
    owners: BTreeMap<String, String>,
    /// When each engine was last seen with a slice.
    seen_ns: BTreeMap<String, u64>,
}

impl Members {
    /// A claim of any rack was read.
    pub fn on_claim(&mut self, claim: &Claim<'_>, now_ns: u64) {
        let engine = claim.engine.to_string();
        let before = match claim.state {
            ClaimState::Released => self.owners.remove(&claim.key()),
            _ => self.owners.insert(claim.key(), engine.clone()),
        };
        self.seen_ns.extend(before.into_iter().chain([engine]).map(|engine| (engine, now_ns)));
    }

    /// How many there are with `own`. One without a slice counts as long as it may go on: it has its connections.
    pub fn count(&mut self, own: &str, now_ns: u64) -> u64 {
        let owners: BTreeSet<&String> = self.owners.values().collect();
        self.seen_ns.retain(|engine, seen_ns| {
            owners.contains(engine) || now_ns < *seen_ns + CLUSTER_HOLD_NS
        });
        1 + self.seen_ns.keys().filter(|engine| *engine != own).count() as u64
    }
}

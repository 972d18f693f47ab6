//! Which engines of clusters publish which slices: what readers ignore after a claim.
//!
//! Runs on:  a reader's thread (pure). Bounds: the last claim of each engine on each slice; groups are never forgotten.
//!
//! Members of one group (a cluster, or a rack of one) divide the slices among themselves. The owner of a slice in its
//! group is the engine with the newest `live` claim, by the claim's offset. Members whose claim is older, or that have
//! none, are fenced: their books are followed only where the owner's is not live. They are kept up to date, because a
//! member's first books may be read before its claim. Engines without any claim are in no cluster, and are not fenced.
use crate::base::limits::BUS_FENCE_NS;
use crate::cluster::claim::{Claim, ClaimState};
use std::collections::HashMap;
use std::sync::Arc;

/// The last claim of an engine on a slice.
#[derive(Debug)]
struct LastClaim {
    engine: Arc<str>,
    group: Arc<str>,
    offset: i64,
    state: ClaimState,
    read_ns: u64,
}

/// The claims that were read.
#[derive(Debug, Default)]
pub(super) struct Slices {
    claims: HashMap<u8, Vec<LastClaim>>,
    groups: HashMap<Arc<str>, Arc<str>>,
}

/// What is done with the records of an engine for a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// They are taken.
    Open,
    /// The owner's have precedence.
    Fenced,
    /// The same, and the engine should have ended long ago.
    Late,
}

impl Slices {
    /// A claim was read.
    pub(super) fn on_claim(&mut self, claim: &Claim<'_>, offset: i64, now_ns: u64) {
        let (engine, group): (Arc<str>, Arc<str>) = ((*claim.engine).into(), (*claim.group).into());
        self.groups.insert(Arc::clone(&engine), Arc::clone(&group));
        let claims = self.claims.entry(claim.slice).or_default();
        if claims.iter().any(|known| known.engine == engine && known.offset > offset) {
            return;
        }
        claims.retain(|known| known.engine != engine);
        let new = LastClaim { engine, group, offset, state: claim.state, read_ns: now_ns };
        claims.push(new);
    }

    /// Whether the records of an engine for a slice are taken.
    pub(super) fn fence(&self, engine: &Arc<str>, slice: u8, now_ns: u64) -> Fence {
        let owner = || {
            let group = self.groups.get(engine)?;
            let claims = self.claims.get(&slice)?;
            let live = claims.iter().filter(|c| c.group == *group && c.state == ClaimState::Live);
            let owner = live.max_by_key(|claim| claim.offset)?;
            let own = claims.iter().filter(|claim| claim.engine == *engine);
            let is_newer = own.map(|claim| claim.offset).max() >= Some(owner.offset);
            (!is_newer).then_some(owner)
        };
        match owner() {
            None => Fence::Open,
            Some(owner) if now_ns < owner.read_ns + BUS_FENCE_NS => Fence::Fenced,
            Some(_) => Fence::Late,
        }
    }
}

#[cfg(test)]
mod tests;

//! What the claims of all members amount to: who has which slices.
//!
//! Runs on:  main thread of `ringbook cluster status` (pure).
//! Bounds:   `SLICES` entries for each group.
use super::claim::{Claim, ClaimState};
use crate::base::slices::SLICES;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Slices that a line names.
const NAMED: usize = 8;

/// The claims on one slice.
#[derive(Clone, Debug)]
struct SliceClaims {
    /// The engine of the last one.
    engine: String,
    state: ClaimState,
    /// The engine of the last one that was live: it goes on while another one opens the books.
    live: Option<String>,
}

/// A record of the topic `events`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EngineEvent<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    engine: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
}

/// The claims on the bus, and the engines that run.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    groups: BTreeMap<String, BTreeMap<u8, SliceClaims>>,
    running: BTreeSet<String>,
}

/// A cluster at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// For people.
    pub lines: Vec<String>,
    /// Every slice has a live owner in each of the expected groups.
    pub is_well: bool,
}

/// One member.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    live: usize,
    opening: usize,
}

impl Overview {
    /// Takes a claim; those of one slice in their order.
    pub fn on_claim(&mut self, claim: &Claim<'_>) {
        let slices = self.groups.entry(claim.group.to_string()).or_default();
        let before = slices.get_mut(&claim.slice).and_then(|slice| slice.live.take());
        let engine = claim.engine.to_string();
        let live = match claim.state {
            ClaimState::Live => Some(engine.clone()),
            ClaimState::Taken => before,
            ClaimState::Released => None,
        };
        slices.insert(claim.slice, SliceClaims { engine, state: claim.state, live });
    }

    /// Takes a record of the topic `events`.
    pub fn on_event(&mut self, text: &str) {
        let Ok(event) = sonic_rs::from_str::<EngineEvent<'_>>(text) else { return };
        if event.kind == "engine" {
            match &*event.state {
                "running" => _ = self.running.insert(event.engine.into_owned()),
                _ => _ = self.running.remove(&*event.engine),
            }
        }
    }

    /// Whether every engine that has a slice has reported that it runs.
    pub fn is_complete(&self) -> bool {
        let mut owners = self.groups.values().flat_map(BTreeMap::values);
        owners.all(|slice| self.running.contains(&slice.engine))
    }

    /// The status of a cluster of so many groups.
    pub fn status(&self, cluster: &str, replicas: usize) -> Status {
        let rack = |group: &str| {
            let rest = group.strip_prefix(cluster);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let groups: Vec<_> = self.groups.iter().filter(|(group, _)| rack(group)).collect();
        let mut status = Status { lines: Vec::new(), is_well: groups.len() >= replicas };
        if groups.len() != replicas {
            let found = groups.len();
            status.lines.push(format!("cluster {cluster}: {found} groups, {replicas} expected"));
        }
        let counts =
            groups.iter().map(|(group, slices)| self.add_group(group, slices, &mut status));
        let members: usize = counts.sum();
        if members > 0 {
            let parts = members + 1;
            status
                .lines
                .push(format!("an account's connections: 1/{parts} for each of {members} members"));
        }
        status
    }

    /// Gives the number of its members that run.
    fn add_group(
        &self,
        group: &str,
        slices: &BTreeMap<u8, SliceClaims>,
        status: &mut Status,
    ) -> usize {
        let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
        let (mut moving, mut missing) = (0, Vec::new());
        for number in 0..=u8::MAX {
            let Some(slice) = slices.get(&number) else {
                missing.push(number);
                continue;
            };
            let share = shares.entry(&slice.engine).or_default();
            match slice.state {
                ClaimState::Live => share.live += 1,
                ClaimState::Taken => {
                    moving += 1;
                    share.opening += 1;
                }
                ClaimState::Released => {}
            }
            if !slice.live.as_ref().is_some_and(|engine| self.running.contains(engine)) {
                missing.push(number);
            }
        }
        let live = SLICES - missing.len();
        let members = shares.keys().filter(|engine| self.running.contains(**engine)).count();
        status.lines.push(format!(
            "group {group}: {members} members run, {live} of {SLICES} slices have a live owner, {moving} are moving"
        ));
        for (engine, Share { live, opening }) in shares {
            let runs = if self.running.contains(engine) { "" } else { ", does not run" };
            status.lines.push(format!("  {engine}: {live} live, {opening} being opened{runs}"));
        }
        if !missing.is_empty() {
            status.is_well = false;
            let mut line = format!("  without a live owner: {} slices:", missing.len());
            for slice in missing.iter().take(NAMED) {
                let _ = write!(line, " {slice}");
            }
            line.push_str(if missing.len() > NAMED { " …" } else { "" });
            status.lines.push(line);
        }
        members
    }
}

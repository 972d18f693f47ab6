//! The recycler: which connections are replaced, when, and with what result. Decisions only.
//!
//! Runs on:  control core (pure; times are monotonic nanoseconds). Owns: the attempts under way.
//! Bounds:   `RECYCLES_MAX` attempts at once, one for a connection; `RECYCLE_PROOFS_MAX` handovers kept.
//!
//! Make before break: a replacement is dialed and subscribes to the same markets. When it has delivered every
//! snapshot and was up for `RECYCLE_SETTLE_NS` since, the shard is ordered to switch. A failure before that leaves the
//! old connections as they are.
//!
//! Connections of one shard that together fit on one are replaced by one (`merging`); one that is replaced for its
//! expired tokens takes the small ones of its shard along.
mod merging;
#[cfg(test)]
mod tests;

use crate::base::id::{ConnectionId, ShardId, TokenId};
use crate::base::limits::{
    RACE_RETRY_NS, RECYCLE_AGE_MIN_NS, RECYCLE_AGE_NS, RECYCLE_FILL_TIMEOUT_NS,
    RECYCLE_FULL_POLLUTION_PERCENT, RECYCLE_POLLUTION_PERCENT, RECYCLE_PROOFS_MAX,
    RECYCLE_RETRY_MAX_NS, RECYCLE_RETRY_MIN_NS, RECYCLE_SETTLE_NS, RECYCLE_SWITCH_TIMEOUT_NS,
    RECYCLE_UNHEALTHY_NS, RECYCLES_MAX,
};
use crate::base::time::Now;
use crate::counter::report::{HandoverReport, RecycleReport, ReplacementReport};
use crate::counter::shard::HandoverCounts;
use merging::Merging;
use std::collections::{BTreeMap, VecDeque};

/// Why a connection is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// At least `RECYCLE_POLLUTION_PERCENT` of its tokens have expired, or `RECYCLE_FULL_POLLUTION_PERCENT` and it is
    /// nearly full.
    Polluted,
    /// Its socket is `RECYCLE_AGE_NS` old.
    Aged,
    /// Most of its books have not been live for `RECYCLE_UNHEALTHY_NS`.
    Unhealthy,
    /// Its tokens and those of others of its shard fit on one connection.
    Merge,
    /// Requested by a user.
    Asked,
    /// It is to race: both deliver until there is another reason.
    Race,
}

impl Reason {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polluted => "polluted",
            Self::Aged => "aged",
            Self::Unhealthy => "unhealthy",
            Self::Merge => "merge",
            Self::Asked => "asked",
            Self::Race => "race",
        }
    }
}

/// What is known of a connection that may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The connection.
    pub connection: ConnectionId,
    /// The shard of its markets.
    pub shard: ShardId,
    /// How long its socket has been up.
    pub age_ns: u64,
    /// Tokens on it.
    pub tokens: usize,
    /// Of these, tokens whose market has expired.
    pub tokens_expired: usize,
    /// Of these, books that are live.
    pub live: usize,
}

impl Candidate {
    /// Tokens whose market has not expired.
    pub const fn active(&self) -> usize {
        self.tokens.saturating_sub(self.tokens_expired)
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Open a replacement; then [`Recycler::on_begun`] or [`Recycler::on_refused`].
    Begin {
        /// The connections to be replaced: one, or several that are merged.
        from: Vec<ConnectionId>,
        /// Why.
        reason: Reason,
    },
    /// Let the replacement take over.
    Switch {
        /// The replacement.
        to: ConnectionId,
    },
    /// Close the replacement; the old connections stay.
    Abandon {
        /// The replacement.
        to: ConnectionId,
        /// The reason.
        why: &'static str,
    },
}

/// Why a requested replacement does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecycleError {
    /// No such connection is up.
    #[error("no such connection is up")]
    NotUp,
    /// It is being replaced already, or is a replacement.
    #[error("this connection is being replaced already")]
    UnderWay,
    /// It is one of a fixed table, which has no room for a replacement beside it.
    #[error(
        "this venue's connections are a fixed number and are not replaced while they work; one that fails is dialed again"
    )]
    Fixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Dialed, not up yet.
    Opening,
    /// Up; snapshots are missing.
    Filling,
    /// Has every snapshot since then.
    Settling(u64),
    /// The shard was ordered to switch then.
    Switching(u64),
}

#[derive(Clone, Debug)]
struct Attempt {
    from: Vec<ConnectionId>,
    reason: Reason,
    phase: Phase,
    began: Now,
    up_ns: u64,
    filled_ns: u64,
    tokens: Vec<TokenId>,
}

impl Attempt {
    fn is_race(&self) -> bool {
        self.reason == Reason::Race
    }

    fn report(&self, to: ConnectionId) -> ReplacementReport {
        let phase = match self.phase {
            Phase::Opening => "opening",
            Phase::Filling => "filling",
            Phase::Settling(_) => "settling",
            Phase::Switching(_) => "switching",
        };
        ReplacementReport {
            from: self.from.iter().map(|connection| connection.0).collect(),
            to: to.0,
            reason: self.reason.name().to_owned(),
            phase: phase.to_owned(),
            began_wall_ns: self.began.wall_ns,
            tokens: self.tokens.len() as u64,
            owing: None,
        }
    }
}

/// When a connection whose replacement failed may be tried again.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until_ns: u64,
    length_ns: u64,
}

/// The attempts of all connections.
#[derive(Clone, Debug, Default)]
pub struct Recycler {
    /// By replacement.
    attempts: BTreeMap<ConnectionId, Attempt>,
    merging: Merging,
    asked: VecDeque<ConnectionId>,
    pauses: BTreeMap<ConnectionId, Pause>,
    unhealthy_since: BTreeMap<ConnectionId, u64>,
    counts: RecycleReport,
    handovers: VecDeque<HandoverReport>,
    /// Every connection has another one to race with.
    races: bool,
}

impl Recycler {
    /// For connections that are filled with so many tokens.
    #[must_use]
    pub fn for_connections_of(tokens: usize) -> Self {
        Self { merging: Merging::of_connections_of(tokens), ..Self::default() }
    }

    /// Whether every connection is to have another one to race with.
    pub const fn racing(mut self, races: bool) -> Self {
        self.races = races;
        self
    }

    /// Whether a connection races with another one and carries the books.
    pub fn is_racing(&self, from: ConnectionId) -> bool {
        let races = |attempt: &Attempt| attempt.is_race() && attempt.from.contains(&from);
        self.attempts.values().any(races)
    }

    /// Queues the replacement of this connection, whatever its age.
    ///
    /// # Errors
    /// [`RecycleError`]; nothing has changed then.
    pub fn ask(&mut self, from: ConnectionId, is_up: bool) -> Result<(), RecycleError> {
        if !is_up {
            return Err(RecycleError::NotUp);
        }
        let part = |(to, attempt): (&ConnectionId, &Attempt)| {
            *to == from || !attempt.is_race() && attempt.from.contains(&from)
        };
        if self.attempts.iter().any(part) || self.asked.contains(&from) {
            return Err(RecycleError::UnderWay);
        }
        self.asked.push_back(from);
        Ok(())
    }

    /// What is to be done now, given all connections that are up and not part of an attempt, and those that race and
    /// carry the books.
    pub fn poll(&mut self, now_ns: u64, candidates: &[Candidate]) -> Vec<Decision> {
        let mut decisions = self.poll_attempts(now_ns);
        self.note_health(now_ns, candidates);
        self.end_races(now_ns, candidates);
        let busy = self.attempts.values().filter(|attempt| !attempt.is_race()).count();
        let mut free = RECYCLES_MAX.saturating_sub(busy);
        while free > 0
            && let Some(from) = self.asked.pop_front()
        {
            // It may be closed by now.
            if candidates.iter().any(|candidate| candidate.connection == from) {
                decisions.push(Decision::Begin { from: vec![from], reason: Reason::Asked });
                free -= 1;
            }
        }
        let ready: Vec<Candidate> = candidates
            .iter()
            .filter(|c| !self.is_paused(c.connection, now_ns) && !is_begun(&decisions, c))
            .filter(|c| !self.attempts.values().any(|attempt| attempt.from.contains(&c.connection)))
            .copied()
            .collect();
        let merges = self.attempts.values().any(|attempt| attempt.reason == Reason::Merge);
        if free > 0
            && !merges
            && let Some(from) = self.merging.choose(&ready, now_ns)
        {
            decisions.push(Decision::Begin { from, reason: Reason::Merge });
            free -= 1;
        }
        for (reason, candidate) in self.due(&ready, now_ns) {
            if free > 0 && !is_begun(&decisions, candidate) {
                let mut from = vec![candidate.connection];
                if reason == Reason::Polluted {
                    let others = ready.iter().filter(|c| !is_begun(&decisions, c)).collect();
                    from.extend(self.merging.taken_along(candidate, others, now_ns));
                }
                decisions.push(Decision::Begin { from, reason });
                free -= 1;
            }
        }
        let alone = ready.iter().filter(|c| self.races && c.active() > 0);
        for candidate in alone {
            if !is_begun(&decisions, candidate) {
                let from = vec![candidate.connection];
                decisions.push(Decision::Begin { from, reason: Reason::Race });
            }
        }
        decisions
    }

    /// Those that carry the books and are to be replaced: the ones that they race with take over.
    fn end_races(&mut self, now_ns: u64, candidates: &[Candidate]) {
        for candidate in candidates {
            if !self.is_racing(candidate.connection) {
                continue;
            }
            let asked = self.asked.iter().position(|asked| *asked == candidate.connection);
            let reason = match asked {
                Some(place) => self.asked.remove(place).map(|_| Reason::Asked),
                None => self.reason(candidate, now_ns),
            };
            let of = |attempt: &&mut Attempt| attempt.from.contains(&candidate.connection);
            if let (Some(reason), Some(attempt)) = (reason, self.attempts.values_mut().find(of)) {
                attempt.reason = reason;
            }
        }
    }

    /// Connections that are to be replaced by themselves, the worst first.
    fn due<'a>(&self, ready: &'a [Candidate], now_ns: u64) -> Vec<(Reason, &'a Candidate)> {
        let mut due: Vec<(Reason, &Candidate)> = ready
            .iter()
            .filter_map(|candidate| Some((self.reason(candidate, now_ns)?, candidate)))
            .collect();
        due.sort_by_key(|(reason, candidate)| {
            let rank = match reason {
                Reason::Unhealthy => 0,
                Reason::Polluted => 1,
                Reason::Aged | Reason::Merge | Reason::Asked | Reason::Race => 2,
            };
            (rank, std::cmp::Reverse(candidate.age_ns))
        });
        due
    }

    /// Merges connections that are at least so old into one with at most so many tokens, whatever is usual.
    pub const fn set_merging(&mut self, age_min_ns: u64, tokens_max: usize) {
        self.merging.age_min_ns = age_min_ns;
        self.merging.tokens_max = tokens_max;
        self.merging.tokens_limit = tokens_max;
    }

    /// Nothing is merged for a while: the engine is not healthy.
    pub fn postpone_merging(&mut self, now_ns: u64) {
        self.merging.postpone(now_ns);
    }

    fn reason(&self, candidate: &Candidate, now_ns: u64) -> Option<Reason> {
        let &Candidate { connection, age_ns, tokens, tokens_expired, .. } = candidate;
        // Without an active market it is closed, and not replaced.
        if tokens_expired >= tokens {
            return None;
        }
        let since_ns = self.unhealthy_since.get(&connection);
        if since_ns.is_some_and(|&since_ns| now_ns >= since_ns + RECYCLE_UNHEALTHY_NS) {
            return Some(Reason::Unhealthy);
        }
        let (age_min_ns, percent) = if self.merging.is_nearly_full(tokens) {
            (self.merging.age_min_ns.min(RECYCLE_AGE_MIN_NS), RECYCLE_FULL_POLLUTION_PERCENT)
        } else {
            (RECYCLE_AGE_MIN_NS, RECYCLE_POLLUTION_PERCENT)
        };
        if age_ns >= age_min_ns && 100 * tokens_expired >= percent * tokens {
            return Some(Reason::Polluted);
        }
        (age_ns >= RECYCLE_AGE_NS).then_some(Reason::Aged)
    }

    fn note_health(&mut self, now_ns: u64, candidates: &[Candidate]) {
        let known = |id: &ConnectionId| candidates.iter().any(|c| c.connection == *id);
        self.unhealthy_since.retain(|id, _| known(id));
        self.pauses.retain(|id, _| known(id));
        for candidate in candidates {
            if 2 * candidate.live
                < candidate.tokens - candidate.tokens_expired.min(candidate.tokens)
            {
                self.unhealthy_since.entry(candidate.connection).or_insert(now_ns);
            } else {
                self.unhealthy_since.remove(&candidate.connection);
            }
        }
    }

    fn is_paused(&self, connection: ConnectionId, now_ns: u64) -> bool {
        self.pauses.get(&connection).is_some_and(|pause| now_ns < pause.until_ns)
    }

    fn poll_attempts(&mut self, now_ns: u64) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for (&to, attempt) in &mut self.attempts {
            let abandon = |why| Decision::Abandon { to, why };
            let began_ns = attempt.began.mono_ns;
            match attempt.phase {
                Phase::Opening if now_ns >= began_ns + RECYCLE_FILL_TIMEOUT_NS => {
                    decisions.push(abandon("the replacement did not come up"));
                }
                Phase::Filling if now_ns >= attempt.up_ns + RECYCLE_FILL_TIMEOUT_NS => {
                    decisions.push(abandon("the replacement did not deliver every snapshot"));
                }
                Phase::Settling(since_ns)
                    if !attempt.is_race() && now_ns >= since_ns + RECYCLE_SETTLE_NS =>
                {
                    attempt.phase = Phase::Switching(now_ns);
                    decisions.push(Decision::Switch { to });
                }
                Phase::Switching(since_ns) if now_ns >= since_ns + RECYCLE_SWITCH_TIMEOUT_NS => {
                    decisions.push(abandon("the shard did not switch in time"));
                }
                _ => {}
            }
        }
        decisions
    }

    /// A replacement is being opened for these tokens.
    pub fn on_begun(
        &mut self,
        from: &[ConnectionId],
        to: ConnectionId,
        reason: Reason,
        tokens: Vec<TokenId>,
        now: Now,
    ) {
        self.counts.initiated += 1;
        let (from, phase, began) = (from.to_vec(), Phase::Opening, now);
        let attempt = Attempt { from, reason, phase, began, up_ns: 0, filled_ns: 0, tokens };
        self.attempts.insert(to, attempt);
    }

    /// No replacement can be opened now.
    pub fn on_refused(&mut self, from: &[ConnectionId], now_ns: u64) {
        from.iter().for_each(|&from| self.pause(from, now_ns));
    }

    fn pause(&mut self, from: ConnectionId, now_ns: u64) {
        let before = self.pauses.get(&from).map_or(RECYCLE_RETRY_MIN_NS / 2, |p| p.length_ns);
        let length_ns = (2 * before).min(RECYCLE_RETRY_MAX_NS);
        self.pauses.insert(from, Pause { until_ns: now_ns + length_ns, length_ns });
    }

    /// A connection is up; of interest if it is a replacement.
    pub fn on_up(&mut self, to: ConnectionId, now_ns: u64) {
        if let Some(attempt) = self.attempts.get_mut(&to)
            && attempt.phase == Phase::Opening
        {
            (attempt.phase, attempt.up_ns) = (Phase::Filling, now_ns);
        }
    }

    /// How many snapshots a replacement has yet to deliver.
    pub fn on_owing(&mut self, to: ConnectionId, owing: u32, now_ns: u64) {
        let Some(attempt) = self.attempts.get_mut(&to) else { return };
        match (attempt.phase, owing) {
            (Phase::Filling, 0) => {
                (attempt.phase, attempt.filled_ns) = (Phase::Settling(now_ns), now_ns);
            }
            // A market was added to both.
            (Phase::Settling(_), 1..) if attempt.is_race() => {
                attempt.phase = Phase::Settling(now_ns);
            }
            // A book became live on an old connection that the new one has not had.
            (Phase::Settling(_), 1..) => attempt.phase = Phase::Filling,
            _ => {}
        }
    }

    /// A connection is gone. If it was part of an attempt: the replacement to be closed.
    pub fn on_down(&mut self, connection: ConnectionId, now_ns: u64) -> Option<Decision> {
        let part = |(&to, attempt): (&ConnectionId, &Attempt)| {
            if to == connection {
                return Some((to, "the replacement was lost"));
            }
            let why = "the old connection ended before its replacement had every snapshot";
            attempt.from.contains(&connection).then_some((to, why))
        };
        let (to, why) = self.attempts.iter().find_map(part)?;
        self.fail(to, why, now_ns);
        Some(Decision::Abandon { to, why })
    }

    /// An attempt has failed; the old connections stay and are not tried again at once.
    pub fn fail(&mut self, to: ConnectionId, why: &'static str, now_ns: u64) {
        if let Some(attempt) = self.attempts.remove(&to) {
            self.counts.failed += 1;
            why.clone_into(&mut self.counts.last_failure);
            if self.races {
                let until_ns = now_ns + RACE_RETRY_NS;
                let pause = Pause { until_ns, length_ns: RACE_RETRY_NS };
                return self.pauses.extend(attempt.from.iter().map(|&from| (from, pause)));
            }
            attempt.from.iter().for_each(|&from| self.pause(from, now_ns));
        }
    }

    /// The replacement has everything. Gives the tokens that it subscribed to, and the handover.
    pub fn on_handed_over(
        &mut self,
        to: ConnectionId,
        counts: HandoverCounts,
        now: Now,
    ) -> Option<(Vec<TokenId>, HandoverReport)> {
        let attempt = self.attempts.remove(&to)?;
        self.pauses.retain(|id, _| !attempt.from.contains(id));
        let mut from = attempt.from.iter().map(|from| from.0);
        let ordered_ns = match attempt.phase {
            Phase::Switching(at_ns) => at_ns,
            _ => now.mono_ns.saturating_sub(counts.switch_ns),
        };
        let began_ns = attempt.began.mono_ns;
        let span = |from_ns: u64, to_ns: u64| to_ns.saturating_sub(from_ns);
        let filled_ns = if attempt.filled_ns == 0 { ordered_ns } else { attempt.filled_ns };
        let handover = HandoverReport {
            from: from.next().unwrap_or(0),
            merged: from.collect(),
            to: to.0,
            reason: attempt.reason.name().into(),
            began_wall_ns: attempt.began.wall_ns,
            dial_ns: span(began_ns, attempt.up_ns),
            fill_ns: span(attempt.up_ns, filled_ns),
            settle_ns: span(filled_ns, ordered_ns),
            overlap_ns: span(attempt.up_ns, now.mono_ns),
            interrupted: counts.live.saturating_sub(counts.live_after),
            counts,
        };
        self.counts.completed += 1;
        self.counts.merges += u64::from(attempt.reason == Reason::Merge);
        self.counts.connections_merged += handover.merged.len() as u64;
        self.counts.markets_migrated += counts.markets;
        self.counts.overlap_ns += handover.overlap_ns;
        self.counts.interrupted += handover.interrupted;
        if self.handovers.len() == RECYCLE_PROOFS_MAX {
            self.handovers.pop_front();
        }
        self.handovers.push_back(handover.clone());
        Some((attempt.tokens, handover))
    }

    /// The counters.
    pub fn report(&self) -> RecycleReport {
        RecycleReport {
            under_way: self.attempts.len() as u64,
            success_rate: self.counts.rate(),
            replacements: self.attempts.iter().map(|(&to, attempt)| attempt.report(to)).collect(),
            queued: self.asked.iter().map(|connection| connection.0).collect(),
            handovers: self.handovers.iter().cloned().collect(),
            ..self.counts.clone()
        }
    }
}

/// Whether one of these decisions replaces the connection.
fn is_begun(decisions: &[Decision], candidate: &Candidate) -> bool {
    let begins = |decision: &Decision| matches!(decision, Decision::Begin { from, .. } if from.contains(&candidate.connection));
    decisions.iter().any(begins)
}

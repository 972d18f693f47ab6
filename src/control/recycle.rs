//! Recycling carried out: replacements opened, switched to, given up.
//!
//! Runs on:  control core. Owns: nothing; drives `recycling` and `placement`.
use super::{
    placement::{Action, ConnectionState, ReplaceError},
    pump::Control,
    recycling::{Candidate, Decision, Reason, RecycleError},
};
use crate::base::limits::{RECYCLE_INTERVAL_NS, TOKENS_PER_CONNECTION_MAX};
use crate::base::{id::ConnectionId, time::Now};
use crate::counter::shard::HandoverCounts;
use crate::link::shard_control::ConnectionBeat;
use log::{info, warn};
use std::collections::BTreeMap;

impl Control {
    /// Replaces a connection, whatever its age.
    ///
    /// # Errors
    /// [`RecycleError`]; nothing has changed then.
    pub fn force_recycle(&mut self, connection: ConnectionId) -> Result<(), RecycleError> {
        let is_up = self.placement.state(connection) == Some(ConnectionState::Active);
        if is_up && self.placement.is_fixed() {
            return Err(RecycleError::Fixed);
        }
        self.next_recycle_ns = 0;
        self.recycling.ask(connection, is_up)
    }

    /// Merges connections of at least this age, nanoseconds, into one of at most so many tokens.
    pub fn set_merging(&mut self, age_min_ns: u64, tokens_max: usize) {
        self.recycling.set_merging(age_min_ns, tokens_max.min(TOKENS_PER_CONNECTION_MAX));
    }

    pub(super) fn step_recycling(&mut self, now: Now) {
        // A fixed table is not recycled: a market leaves its subscription at the venue too.
        if self.placement.is_fixed() || now.mono_ns < self.next_recycle_ns {
            return;
        }
        self.next_recycle_ns = now.mono_ns + RECYCLE_INTERVAL_NS;
        let candidates = self.candidates(now);
        for decision in self.recycling.poll(now.mono_ns, &candidates) {
            self.decide(decision, now);
        }
    }

    /// Connections that are up, and no part of a replacement.
    fn candidates(&self, now: Now) -> Vec<Candidate> {
        let beats = self.shards.iter().flat_map(|shard| &shard.heartbeat.connections);
        let beats: BTreeMap<ConnectionId, &ConnectionBeat> =
            beats.map(|beat| (beat.connection, beat)).collect();
        let active = self.placement.connections().filter(|&(connection, _, state)| {
            state == ConnectionState::Active && self.placement.is_whole(connection)
        });
        let known = active.filter_map(|(connection, shard, _)| {
            let beat = beats.get(&connection).filter(|beat| beat.up)?;
            let load = self.registry.load(connection)?;
            Some(Candidate {
                connection,
                shard,
                age_ns: now.mono_ns.saturating_sub(beat.attached_ns),
                tokens: load.tokens,
                tokens_expired: load.tokens_expired,
                live: beat.live as usize,
            })
        });
        known.collect()
    }

    fn decide(&mut self, decision: Decision, now: Now) {
        match decision {
            Decision::Begin { from, reason } => self.begin(&from, reason, now),
            Decision::Switch { to } => {
                if let Some(shard) = self.proxy_of(to) {
                    shard.switch(to, now);
                }
            }
            Decision::Abandon { to, why } => {
                self.recycling.fail(to, why, now.mono_ns);
                self.abandon(to, why, now);
            }
        }
    }

    fn begin(&mut self, from: &[ConnectionId], reason: Reason, now: Now) {
        if reason == Reason::Merge && !self.is_calm(now) {
            return self.recycling.postpone_merging(now.mono_ns);
        }
        match self.placement.begin_replacement(from, &self.registry) {
            Ok(to) => {
                let are = if from.len() > 1 { "are" } else { "is" };
                info!("{} {are} replaced by {to}: {}", names(from), reason.name());
                let tokens = from.iter().flat_map(|from| self.registry.active_tokens_of(*from));
                self.recycling.on_begun(from, to, reason, tokens.collect(), now);
            }
            Err(ReplaceError::NoConnectionLeft | ReplaceError::NotReplaceable) => {
                self.recycling.on_refused(from, now.mono_ns);
            }
            Err(ReplaceError::Refused(why)) => warn!("{} not replaced: {why:?}", names(from)),
        }
    }

    /// Closes a replacement.
    fn abandon(&mut self, to: ConnectionId, why: &str, now: Now) {
        let from = self.placement.replaces(to).to_vec();
        warn!("{}: not replaced: {why}; {to} is closed", names(&from));
        self.placement.abandon_replacement(to);
        for from in from {
            if !self.is_attached(from) {
                // It had ended and its replacement had taken over, which is lost now too.
                self.dials.request(from, now.mono_ns);
            }
        }
    }

    /// A socket is gone: its attempt, if it was part of one, has failed. True when it was a
    /// replacement, which is closed and not dialled again.
    pub(super) fn recycle_lost(&mut self, connection: ConnectionId, now: Now) -> bool {
        match self.recycling.on_down(connection, now.mono_ns) {
            Some(Decision::Abandon { to, why }) => {
                self.abandon(to, why, now);
                to == connection
            }
            _ => false,
        }
    }

    /// Whether a connection has books that no replacement is to take over: what had taken over was given up
    /// before the shard could say so, and the books go back.
    pub(super) fn is_given_back(&self, connection: ConnectionId) -> bool {
        let active = self.registry.load(connection).is_some_and(|load| load.active() > 0);
        active && self.placement.replaced_by(connection).is_none()
    }

    /// A replacement has taken over; the old connections are closed by the next placement.
    pub(super) fn on_handed_over(&mut self, to: ConnectionId, counts: HandoverCounts, now: Now) {
        let Some((tokens, proof)) = self.recycling.on_handed_over(to, counts, now) else {
            // Given up in the meantime, and the order to close it is on its way: the shard moves the books back.
            return warn!(
                "{to} took over too late: its books go back to the connections that had them"
            );
        };
        info!("recycled: {}", sonic_rs::to_string(&proof).unwrap_or_default());
        if let Err(error) = self.placement.complete_replacement(to, now.mono_ns, &mut self.registry)
        {
            let from = self.placement.replaces(to);
            warn!("{}: not replaced: {error:?}; {to} is closed", names(from));
            self.placement.abandon_replacement(to);
            return;
        }
        // Markets that expired meanwhile stayed behind.
        let active: Vec<_> = self.registry.active_tokens_of(to).collect();
        let expired: Vec<_> = tokens.into_iter().filter(|token| !active.contains(token)).collect();
        if !expired.is_empty() {
            self.carry_out(Action::Unsubscribe { connection: to, tokens: expired }, now);
        }
    }

    pub(super) fn note_owing(&mut self, place: usize, now: Now) {
        for beat in &self.shards[place].heartbeat.connections {
            if let Some(owing) = beat.owing {
                self.recycling.on_owing(beat.connection, owing, now.mono_ns);
            }
        }
    }
}

/// What connections are called, one after the other.
fn names(connections: &[ConnectionId]) -> String {
    let names: Vec<String> = connections.iter().map(ToString::to_string).collect();
    names.join(", ")
}

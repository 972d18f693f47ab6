//! Recycling carried out: replacements opened, switched to, given up.
//!
//! Runs on:  control core. Owns: nothing; drives `recycling` and `placement`.
use super::{
    placement::{Action, ConnectionState, ReplaceError},
    pump::Control,
    recycling::{Candidate, Decision, RecycleError},
};
use crate::base::{id::ConnectionId, limits::RECYCLE_INTERVAL_NS, time::Now};
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
        let known = active.filter_map(|(connection, _, _)| {
            let beat = beats.get(&connection).filter(|beat| beat.up)?;
            let load = self.registry.load(connection)?;
            Some(Candidate {
                connection,
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
            Decision::Begin { from, reason } => {
                match self.placement.begin_replacement(from, &self.registry) {
                    Ok(to) => {
                        info!("{from} is replaced by {to}: {}", reason.name());
                        let tokens = self.registry.active_tokens_of(from).collect();
                        self.recycling.on_begun(from, to, reason, tokens, now);
                    }
                    Err(ReplaceError::NoConnectionLeft | ReplaceError::NotReplaceable) => {
                        self.recycling.on_refused(from, now.mono_ns);
                    }
                    Err(ReplaceError::Refused(why)) => warn!("{from} is not replaced: {why:?}"),
                }
            }
            Decision::Switch { to } => {
                if let Some(shard) = self.proxy_of(to) {
                    shard.switch(to, now);
                }
            }
            Decision::Abandon { from, to, why } => {
                self.recycling.fail(from, why, now.mono_ns);
                self.abandon(from, to, why, now);
            }
        }
    }

    /// Closes a replacement.
    fn abandon(&mut self, from: ConnectionId, to: ConnectionId, why: &str, now: Now) {
        warn!("{from} stays: {why}; {to} is closed");
        self.placement.abandon_replacement(to);
        if !self.is_attached(from) {
            // It had ended and its replacement had taken over, which is lost now too.
            self.dials.request(from, now.mono_ns);
        }
    }

    /// A socket is gone: its attempt, if it was part of one, has failed. True when it was a
    /// replacement, which is closed and not dialled again.
    pub(super) fn recycle_lost(&mut self, connection: ConnectionId, now: Now) -> bool {
        match self.recycling.on_down(connection, now.mono_ns) {
            Some(Decision::Abandon { from, to, why }) => {
                self.abandon(from, to, why, now);
                to == connection
            }
            _ => false,
        }
    }

    /// A replacement has taken over; the old connection is closed by the next placement.
    pub(super) fn on_handed_over(
        &mut self,
        from: ConnectionId,
        to: ConnectionId,
        counts: HandoverCounts,
        now: Now,
    ) {
        let Some((to, tokens, proof)) = self.recycling.on_handed_over(from, counts, now) else {
            // Given up in the meantime: the shard has moved the books, and the close of the replacement
            // moves them back.
            return warn!("{to} took over from {from} too late");
        };
        info!("recycled: {}", sonic_rs::to_string(&proof).unwrap_or_default());
        if let Err(error) = self.placement.complete_replacement(to, now.mono_ns, &mut self.registry)
        {
            warn!("{from} stays: {error:?}; {to} is closed");
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

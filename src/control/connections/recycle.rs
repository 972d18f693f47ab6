//! Executes the recycler's decisions: replacements begun, abandoned, completed.
//!
//! Runs on:  control core.
use super::Connections;
use crate::base::limits::{RECYCLE_INTERVAL_NS, TOKENS_PER_CONNECTION_MAX};
use crate::base::{id::ConnectionId, time::Now};
use crate::control::placement::{Action, ConnectionState, OpenConnection, ReplaceError};
use crate::control::recycler::{Candidate, Decision, Reason, RecycleError};
use crate::control::registry::Registry;
use crate::control::shard_proxy::ShardProxy;
use crate::counter::shard::HandoverCounts;
use crate::link::shard_control::{ConnectionBeat, Heartbeat};
use log::{info, warn};
use std::collections::BTreeMap;

impl Connections {
    /// Queues the replacement of a connection of any age.
    ///
    /// # Errors
    /// [`RecycleError`]; nothing has changed.
    pub(in crate::control) fn force_recycle(
        &mut self,
        connection: ConnectionId,
    ) -> Result<(), RecycleError> {
        let is_up = self.placement.state(connection) == Some(ConnectionState::Active);
        if is_up && self.placement.is_fixed() {
            return Err(RecycleError::Fixed);
        }
        self.next_recycle_ns = 0;
        self.recycler.ask(connection, is_up)
    }

    /// Sets the merge limits: least age in nanoseconds, most tokens.
    pub(in crate::control) fn set_merging(&mut self, age_min_ns: u64, tokens_max: usize) {
        self.recycler.set_merging(age_min_ns, tokens_max.min(TOKENS_PER_CONNECTION_MAX));
    }

    /// Due decisions of the recycler.
    pub(in crate::control) fn poll_recycler(
        &mut self,
        registry: &Registry,
        shards: &[ShardProxy],
        now: Now,
    ) -> Vec<Decision> {
        // A fixed table is not recycled: a market leaves its subscription at the venue too.
        if self.placement.is_fixed() || now.mono_ns < self.next_recycle_ns {
            return Vec::new();
        }
        self.next_recycle_ns = now.mono_ns + RECYCLE_INTERVAL_NS;
        let candidates = self.candidates(registry, shards, now);
        self.recycler.poll(now.mono_ns, &candidates)
    }

    /// Connections that are up and not part of a replacement, and those that race and carry the books.
    fn candidates(&self, registry: &Registry, shards: &[ShardProxy], now: Now) -> Vec<Candidate> {
        let beats = shards.iter().flat_map(|shard| &shard.heartbeat.connections);
        let beats: BTreeMap<ConnectionId, &ConnectionBeat> =
            beats.map(|beat| (beat.connection, beat)).collect();
        let active = self.placement.connections().filter(|open| {
            open.state == ConnectionState::Active
                && (self.placement.is_whole(open.id) || self.recycler.is_racing(open.id))
        });
        let known = active.filter_map(|OpenConnection { id: connection, shard, .. }| {
            let beat = beats.get(&connection).filter(|beat| beat.up)?;
            let load = registry.load(connection)?;
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

    /// Opens a replacement if placement has room.
    pub(in crate::control) fn begin_replacement(
        &mut self,
        from: &[ConnectionId],
        reason: Reason,
        registry: &Registry,
        now: Now,
    ) {
        match self.placement.begin_replacement(from, registry) {
            Ok(to) => {
                let (names, why) = (self.names(from), reason.name());
                match reason {
                    Reason::Race => info!("{names} races with {to}"),
                    _ if from.len() > 1 => info!("{names} are replaced by {to}: {why}"),
                    _ => info!("{names} is replaced by {to}: {why}"),
                }
                let tokens = from.iter().flat_map(|from| registry.active_tokens_of(*from));
                self.recycler.on_begun(from, to, reason, tokens.collect(), now);
            }
            Err(ReplaceError::NoConnectionLeft | ReplaceError::NotReplaceable) => {
                self.recycler.on_refused(from, now.mono_ns);
            }
            Err(ReplaceError::Refused(why)) => {
                warn!("{} not replaced: {why:?}", self.names(from));
            }
        }
    }

    /// Closes a replacement. Returns the connections to dial: old ones that had ended after it took over.
    pub(in crate::control) fn abandon_replacement(
        &mut self,
        to: ConnectionId,
        why: &str,
    ) -> Vec<ConnectionId> {
        let from = self.placement.replaces(to).to_vec();
        warn!("{}: not replaced: {why}; {to} is closed", self.names(&from));
        self.placement.abandon_replacement(to);
        from.into_iter().filter(|&from| !self.is_attached(from)).collect()
    }

    /// A socket ended: the replacement that it was part of has failed. Returns whether it was the new connection, which
    /// is closed, and the connections to dial.
    pub(super) fn recycle_lost(
        &mut self,
        connection: ConnectionId,
        now: Now,
    ) -> (bool, Vec<ConnectionId>) {
        match self.recycler.on_down(connection, now.mono_ns) {
            Some(Decision::Abandon { to, why }) => {
                (to == connection, self.abandon_replacement(to, why))
            }
            _ => (false, Vec::new()),
        }
    }

    /// Whether a connection has books whose replacement was abandoned before the shard reported the takeover: they
    /// return to it.
    pub(in crate::control) fn is_given_back(
        &self,
        connection: ConnectionId,
        registry: &Registry,
    ) -> bool {
        let active = registry.load(connection).is_some_and(|load| load.active() > 0);
        active && self.placement.replaced_by(connection).is_none()
    }

    /// A replacement took over; placement closes the old connections. Returns actions for markets that expired
    /// meanwhile.
    pub(in crate::control) fn on_handed_over(
        &mut self,
        to: ConnectionId,
        counts: HandoverCounts,
        registry: &mut Registry,
        now: Now,
    ) -> Option<Action> {
        let Some((tokens, handover)) = self.recycler.on_handed_over(to, counts, now) else {
            // The replacement was given up, and the command to close it is on its way: the shard moves the books back.
            warn!("{to} took over too late: its books go back to the connections that had them");
            return None;
        };
        info!("recycled: {}", sonic_rs::to_string(&handover).unwrap_or_default());
        if let Err(error) = self.placement.complete_replacement(to, now.mono_ns, registry) {
            let from = self.names(self.placement.replaces(to));
            warn!("{from}: not replaced: {error:?}; {to} is closed");
            self.placement.abandon_replacement(to);
            return None;
        }
        let active: Vec<_> = registry.active_tokens_of(to).collect();
        let expired: Vec<_> = tokens.into_iter().filter(|token| !active.contains(token)).collect();
        (!expired.is_empty()).then_some(Action::Unsubscribe { connection: to, tokens: expired })
    }

    /// Passes on how many snapshots each replacement lacks, from heartbeats.
    pub(in crate::control) fn on_heartbeat(&mut self, heartbeat: &Heartbeat, now: Now) {
        for beat in &heartbeat.connections {
            if let Some(owing) = beat.owing {
                self.recycler.on_owing(beat.connection, owing, now.mono_ns);
            }
        }
    }
}

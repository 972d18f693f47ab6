//! Connections of one venue: placement, replacement, and which sockets shards hold.
//!
//! Runs on:  control core. Owns: placement, recycler, attach time of each socket.
//! Bounds:   those of placement and recycler.
mod announce;
mod force;
mod recycle;

pub(super) use force::Forced;

use super::placement::Placement;
use super::recycler::Recycler;
use super::registry::Registry;
use crate::base::id::{ConnectionId, ShardId, TokenId};
use crate::base::limits::CONNECTIONS_PER_SHARD_MAX;
use crate::base::time::{Now, SECOND_NS};
use crate::link::shard_control::Heartbeat;
use log::{debug, info, warn};
use std::collections::{BTreeMap, BTreeSet};

/// A socket missing in heartbeats is redialed if it was attached this long before.
const AUDIT_AFTER_NS: u64 = 3 * SECOND_NS;

/// The connections of one venue.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) placement: Placement,
    pub(super) recycler: Recycler,
    next_recycle_ns: u64,
    /// Attach time of each socket, monotonic nanoseconds.
    attached_ns: BTreeMap<ConnectionId, u64>,
    /// Connections of a fixed table that are up without markets and not logged yet: time they came up, monotonic.
    unannounced: BTreeMap<ConnectionId, u64>,
    /// Shards without room that were logged.
    full_shards: BTreeSet<ShardId>,
}

impl Connections {
    /// No connection.
    pub(super) const fn new(placement: Placement, recycler: Recycler) -> Self {
        Self {
            placement,
            recycler,
            next_recycle_ns: 0,
            attached_ns: BTreeMap::new(),
            unannounced: BTreeMap::new(),
            full_shards: BTreeSet::new(),
        }
    }

    /// Number of sockets that shards hold.
    pub(super) fn attached(&self) -> usize {
        self.attached_ns.len()
    }

    pub(super) fn is_attached(&self, connection: ConnectionId) -> bool {
        self.attached_ns.contains_key(&connection)
    }

    /// A socket ended while the engine stops: no redial.
    pub(super) fn detach(&mut self, connection: ConnectionId) {
        self.attached_ns.remove(&connection);
    }

    /// A dial succeeded; the socket goes to its shard.
    pub(super) fn on_dialed(&mut self, connection: ConnectionId, now: Now) {
        self.placement.on_active(connection, now.wall_ns);
        self.attached_ns.insert(connection, now.mono_ns);
    }

    /// The shard holds the socket.
    pub(super) fn on_up(&mut self, connection: ConnectionId, registry: &Registry, now: Now) {
        debug!("{} is up", self.placement.name(connection));
        self.announce_up(connection, registry, now);
        self.recycler.on_up(connection, now.mono_ns);
    }

    /// A socket ended. Returns the connections to dial.
    pub(super) fn on_down(
        &mut self,
        connection: ConnectionId,
        why: &str,
        now: Now,
    ) -> Vec<ConnectionId> {
        if self.attached_ns.remove(&connection).is_none() {
            return Vec::new();
        }
        let (is_closed, mut redial) = self.recycle_lost(connection, now);
        if !is_closed {
            self.unannounced.remove(&connection);
            self.log_loss(connection, why);
            self.placement.on_waiting(connection, why);
            redial.push(connection);
        }
        redial
    }

    /// A socket ended after its replacement took over: no redial.
    pub(super) fn on_taken_over(&mut self, connection: ConnectionId, why: &str) {
        let name = self.placement.name(connection);
        info!("{name}: {why}; its replacement has taken over");
        self.attached_ns.remove(&connection);
        self.placement.on_waiting(connection, why);
    }

    /// The connection is closed and will not be dialed.
    pub(super) fn on_closed(
        &mut self,
        connection: ConnectionId,
        registry: &mut Registry,
        now: Now,
    ) {
        self.attached_ns.remove(&connection);
        self.placement.on_closed(connection, now.mono_ns, registry);
    }

    /// The venue refused more markets on this connection: its cap is set, and the tokens are pending again.
    pub(super) fn on_full(
        &mut self,
        connection: ConnectionId,
        tokens: &[TokenId],
        registry: &mut Registry,
        now: Now,
    ) {
        let name = self.placement.name(connection);
        warn!("{name}: the venue takes no more markets here; {} go elsewhere", tokens.len());
        self.placement.on_full(connection, tokens, now.mono_ns, registry);
    }

    /// Connections whose socket ended without a report, because the ring was full.
    pub(super) fn lost(&self, heartbeat: &Heartbeat) -> Vec<ConnectionId> {
        let down = heartbeat.connections.iter().filter(|beat| !beat.up);
        let lost = down.map(|beat| beat.connection).filter(|id| {
            let attached = self.attached_ns.get(id);
            attached.is_some_and(|&at| heartbeat.at.mono_ns > at + AUDIT_AFTER_NS)
        });
        lost.collect()
    }

    /// Logs each shard whose markets find no connection, once per occurrence.
    pub(super) fn warn_of_full_shards(&mut self, registry: &Registry) {
        let full: BTreeSet<ShardId> = self.placement.shards_without_room().collect();
        for shard in full.difference(&self.full_shards) {
            let tokens = registry.pending_tokens(*shard);
            warn!(
                "{shard}: {tokens} tokens have no connection, since it has {CONNECTIONS_PER_SHARD_MAX}; use more --shards"
            );
        }
        self.full_shards = full;
    }
}

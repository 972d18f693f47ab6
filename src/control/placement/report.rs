//! What placement says of its connections, for `/stats` and `/health`.
//!
//! Runs on:  the control core (pure).
use super::{Connection, ConnectionState, Placement};
use crate::base::id::{ConnectionId, ShardId};
use crate::control::registry::Registry;
use crate::counter::report::{ConnectionReport, PoolReport, SubscriptionReport};
use crate::venue::Role;

impl ConnectionState {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dialing => "dialing",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Closing => "closing",
        }
    }
}

/// A connection that is not closed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenConnection {
    /// Its number.
    pub id: ConnectionId,
    /// The shard that owns it.
    pub shard: ShardId,
    /// Its state.
    pub state: ConnectionState,
}

impl Placement {
    /// The state of a connection; `None` when it is unknown or closed.
    pub fn state(&self, connection: ConnectionId) -> Option<ConnectionState> {
        self.connections.get(&connection).map(|known| known.state)
    }

    /// The shard of a connection; `None` when it is unknown or closed.
    pub fn shard(&self, connection: ConnectionId) -> Option<ShardId> {
        self.connections.get(&connection).map(|known| known.shard)
    }

    /// Every connection that is not closed yet, by number.
    pub fn connections(&self) -> impl Iterator<Item = OpenConnection> {
        let open = self.connections.iter();
        open.map(|(&id, known)| OpenConnection { id, shard: known.shard, state: known.state })
    }

    /// Tokens that the connections for books which are not closing could carry together at the target.
    pub fn capacity_tokens(&self) -> u64 {
        let carries =
            |c: &&Connection| c.role == Role::Books && c.state != ConnectionState::Closing;
        let open = self.connections.values().filter(carries);
        (open.count() * self.target) as u64
    }

    /// Shards whose pending markets found no connection at the last attempt.
    pub fn shards_without_room(&self) -> impl Iterator<Item = ShardId> {
        let blocked = self.blocked.iter().enumerate().filter(|&(_, &blocked)| blocked);
        blocked.map(|(shard, _)| ShardId(shard as u16))
    }

    /// The part of the report that placement knows; sockets' counters and `dials_failed` are
    /// added by the executor.
    pub fn report(&self, registry: &Registry) -> PoolReport {
        let with = |state| self.connections.values().filter(move |c| c.state == state).count();
        let waiting = with(ConnectionState::Waiting) + with(ConnectionState::Dialing);
        PoolReport {
            tokens_per_connection_target: self.target as u64,
            tokens_per_connection_max: registry.tokens_per_connection() as u64,
            capacity_tokens: self.capacity_tokens(),
            connections_active: with(ConnectionState::Active) as u64,
            connections_waiting: waiting as u64,
            connections_draining: with(ConnectionState::Closing) as u64,
            connections_opened: self.connections_opened,
            dials_failed: 0,
            reconnects: self.reconnects,
            last_reconnect_wall_ns: self.last_reconnect_wall_ns,
            markets_moved: self.moved(),
            subscriptions: SubscriptionReport::default(),
            connections: self
                .connections
                .iter()
                .map(|(&id, known)| connection_report((id, self.name(id)), known, registry))
                .collect(),
        }
    }
}

fn connection_report(
    (id, name): (ConnectionId, String),
    known: &Connection,
    registry: &Registry,
) -> ConnectionReport {
    let load = registry.load(id);
    ConnectionReport {
        id: id.0,
        name,
        shard: known.shard.0,
        state: known.state.name().to_owned(),
        why: known.why.clone(),
        tokens: load.map_or(0, |load| load.tokens as u64),
        tokens_expired: load.map_or(0, |load| load.tokens_expired as u64),
        pollution: load.map_or(0.0, |load| load.pollution()),
        reconnects: known.connects.saturating_sub(1),
        connected_wall_ns: known.connected_wall_ns,
        ..ConnectionReport::default()
    }
}

//! Log lines about opened and lost connections.
//!
//! Runs on:  control core. Bounds: one entry per connection of a fixed table, for `START_GATE_NS` at most.
use super::Connections;
use crate::base::id::{ConnectionId, ShardId};
use crate::base::limits::START_GATE_NS;
use crate::base::time::Now;
use crate::control::placement::ConnectionState;
use crate::control::registry::Registry;
use crate::venue::Role;
use log::{debug, info, warn};

impl Connections {
    /// Logs the first dial of a connection.
    pub(in crate::control) fn log_open(&self, to: ConnectionId, shard: ShardId, tokens: usize) {
        let name = self.placement.name(to);
        let replaces = self.placement.replaces(to);
        match tokens {
            // A fixed table is there before its markets.
            0 => debug!("{name} is opened on {shard}"),
            count if replaces.is_empty() => {
                info!("{name} is opened on {shard} for {count} tokens");
            }
            count => {
                let from = self.names(replaces);
                info!("{name} is opened on {shard} for {count} tokens of {from}");
            }
        }
    }

    /// A connection of a fixed table is up. One for books is logged with its first markets, or without after
    /// `START_GATE_NS`.
    pub(super) fn announce_up(&mut self, connection: ConnectionId, registry: &Registry, now: Now) {
        if !self.placement.is_fixed() {
            return;
        }
        let tokens = self.placement.subscription(connection, registry).len();
        if self.placement.role(connection) == Role::Books && tokens == 0 {
            self.unannounced.insert(connection, now.mono_ns);
        } else {
            self.announce(connection, tokens);
        }
    }

    /// Tokens were added to a connection.
    pub(in crate::control) fn announce_tokens(&mut self, connection: ConnectionId, tokens: usize) {
        if self.unannounced.remove(&connection).is_some() {
            self.announce(connection, tokens);
        }
    }

    /// Logs connections that are up without markets for longer than `START_GATE_NS`.
    pub(in crate::control) fn announce_idle(&mut self, now: Now) {
        while let Some((&connection, _)) =
            self.unannounced.iter().find(|(_, up_ns)| now.mono_ns >= **up_ns + START_GATE_NS)
        {
            self.announce_tokens(connection, 0);
        }
    }

    fn announce(&self, connection: ConnectionId, tokens: usize) {
        let name = self.placement.name(connection);
        let Some(shard) = self.placement.shard(connection) else { return };
        match self.placement.role(connection) {
            Role::Books => info!("{name} is opened on {shard} for {tokens} tokens"),
            _ => info!("{name} is opened on {shard} for all markets"),
        }
    }

    /// Logs a lost connection and the effect until it is back.
    pub(super) fn log_loss(&self, connection: ConnectionId, why: &str) {
        let name = self.placement.name(connection);
        let role = self.placement.role(connection);
        let (what, until) = match role {
            Role::Books => return warn!("{name}: {why}; its books are stale until it is back"),
            Role::Tickers => ("best prices are not compared with the venue's", "no book is stale"),
            Role::Trades => ("trades are missed", "no trade is missed"),
            Role::Lifecycle => ("markets come and go by the catalog only", "no market is missed"),
        };
        let other = self.placement.connections().find(|other| {
            other.id != connection
                && other.state == ConnectionState::Active
                && self.placement.role(other.id) == role
        });
        match other {
            Some(other) => {
                let other = self.placement.name(other.id);
                info!("{name}: {why}; {until}, {other} goes on");
            }
            None => warn!("{name}: {why}; {what} until it is back, no book is stale"),
        }
    }

    /// Names of connections, separated by commas.
    pub(super) fn names(&self, connections: &[ConnectionId]) -> String {
        let names: Vec<String> = connections.iter().map(|&id| self.placement.name(id)).collect();
        names.join(", ")
    }
}

//! Events about markets of other shards, until they are sent there.
//!
//! Runs on:  shard cores, replay (pure). Owns: the events of one step; the shard sends them at its end.
use crate::base::id::{ConnectionId, ShardId};
use crate::base::routing::shard_of;
use crate::link::shard_shard::ForwardedEvent;
use crate::market::event::Event;
use std::collections::VecDeque;

/// Which shard a market belongs to, and what is to be sent there.
#[derive(Debug, Default)]
pub(crate) struct Forwarder {
    /// Number of the venue's shards; 0 and 1 are the same.
    shards: u16,
    /// The id of the first of them.
    first: u16,
    pending: VecDeque<(ShardId, ForwardedEvent)>,
}

impl Forwarder {
    /// There are `shards` shards, with ids from `first` on.
    pub(super) const fn set_shards(&mut self, shards: u16, first: u16) {
        (self.shards, self.first) = (shards, first);
    }

    /// Whether there are other shards.
    pub(super) const fn is_active(&self) -> bool {
        self.shards > 1
    }

    /// Keeps an event for the shard that its market belongs to. False where that is `ours`.
    pub(super) fn forward(
        &mut self,
        ours: ShardId,
        event: &Event<'_>,
        connection: ConnectionId,
        read_wall_ns: u64,
    ) -> bool {
        let owner = shard_of(event.market().as_bytes(), self.shards);
        if owner.0 + self.first == ours.0 {
            return false;
        }
        let event = ForwardedEvent::new(event, connection, read_wall_ns);
        self.pending.extend(event.map(|event| (owner, event)));
        true
    }

    /// The next event that another shard is to receive, in order.
    pub(crate) fn poll(&mut self) -> Option<(ShardId, ForwardedEvent)> {
        self.pending.pop_front()
    }
}

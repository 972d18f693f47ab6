//! Slots of the connections of a capture.
//!
//! Runs on:  the replay's reader (pure). Bounds: `REPLAY_CONNECTIONS_MAX` slots.
use crate::base::limits::REPLAY_CONNECTIONS_MAX;
use crate::shard::books::ConnectionSlot;
use std::collections::HashMap;

/// Slots of the connections. Slot 0 is for frames without a connection.
///
/// A slot is free again once its connection has ended: no live book refers to it then.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: HashMap<u64, ConnectionSlot>,
    free: Vec<ConnectionSlot>,
    used: u32,
}

impl Connections {
    /// Whether the connection has a slot.
    pub(super) fn is_known(&self, connection: u64) -> bool {
        self.slots.contains_key(&connection)
    }

    /// Whether any connection has a slot.
    pub(super) fn any(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The slot of a connection, or of frames without one.
    pub(super) fn slot_of(&mut self, connection: Option<u64>) -> ConnectionSlot {
        connection.map_or(ConnectionSlot(0), |connection| self.slot(connection))
    }

    pub(super) fn slot(&mut self, connection: u64) -> ConnectionSlot {
        if let Some(&slot) = self.slots.get(&connection) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.used = (self.used + 1).min(REPLAY_CONNECTIONS_MAX);
            ConnectionSlot(self.used)
        });
        if slot.0 < REPLAY_CONNECTIONS_MAX {
            self.slots.insert(connection, slot);
        }
        slot
    }

    pub(super) fn ended(&mut self, connection: u64) {
        if let Some(slot) = self.slots.remove(&connection) {
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests;

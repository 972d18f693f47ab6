//! The connections of one shard: which sockets are up, what is subscribed on each.
//!
//! Runs on:  shard cores. Owns: sockets and sessions.
//! Bounds:   `CONNECTION_SLOTS_MAX`; slots are reused.
use super::books::ConnectionSlot;
use super::intake::FrameProgress;
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::{CONNECTION_SLOTS_MAX, SNAPSHOT_TIMEOUT_NS},
    time::Now,
};
use crate::counter::{latency::ConnectionLatencies, race::RaceCounts};
use crate::io::{driver::Readiness, socket::Stream};
use crate::link::shard_control::ConnectionBeat;
use crate::session::watch::Watch;
use crate::session::{Session, SessionCounts, SessionError};
use crate::venue::SubscriptionProtocol;
use std::collections::VecDeque;
use std::io::ErrorKind;

/// A socket and its protocol state.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) stream: Box<dyn Stream>,
    pub(super) session: Box<Session>,
    /// Frames that wait for a large one before them; while there are any, nothing is read.
    pub(super) backlog: VecDeque<Waiting>,
    /// Memory of its unfinished frames and of its backlog, bytes, as the shard has counted it.
    pub(super) held_bytes: usize,
    /// The kernel was asked to report when there is room to write.
    waits_for_room: bool,
}

/// A frame that is decoded in parts, or that came behind one.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) text: String,
    /// It came as a binary frame: it is not to be decoded.
    pub(super) binary: bool,
    pub(super) progress: FrameProgress,
    pub(super) read: Now,
}

impl Waiting {
    pub(super) fn new(text: String, binary: bool, read: Now) -> Self {
        Self { text, binary, progress: FrameProgress::default(), read }
    }
}

/// One connection, with or without a socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) transport: Option<Transport>,
    pub(super) tokens: Vec<TokenId>,
    /// What is asked of the venue, and what its answers mean.
    pub(super) protocol: Box<dyn SubscriptionProtocol>,
    pub(super) decode_errors: u64,
    /// Age of the last message with a time when it was read, nanoseconds; 0 before the first.
    pub(super) lag_ns: u64,
    pub(super) attached_ns: u64,
    /// When its books are counted next, monotonic nanoseconds.
    pub(super) snapshot_check_ns: u64,
    /// When some of its books are compared next, monotonic nanoseconds, and which were last.
    pub(super) audit_ns: u64,
    pub(super) audited: usize,
    pub(super) watch: Watch,
    /// The connections from which it takes over, once its socket is up.
    pub(super) replaces: Vec<ConnectionId>,
    /// A replacement that was given up: its messages are ignored.
    pub(super) retired: bool,
    /// The connection that has taken over its books, reported to the handler when it is closed.
    pub(super) replaced_by: Option<ConnectionId>,
    /// To be forgotten when its socket is gone.
    pub(super) leaving: bool,
    /// What its frames took, where that was asked for.
    pub(super) latencies: Option<Box<ConnectionLatencies>>,
    /// What earlier sockets did.
    past: SessionCounts,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
}

impl Connections {
    /// The slot of a connection, made if it is new; `None` when there are too many.
    pub(super) fn open(
        &mut self,
        id: ConnectionId,
        protocol: impl FnOnce() -> Box<dyn SubscriptionProtocol>,
    ) -> Option<ConnectionSlot> {
        if let Some(slot) = self.find(id) {
            return Some(slot);
        }
        let free = self.slots.iter().position(Option::is_none);
        let place = free.unwrap_or(self.slots.len());
        if place >= CONNECTION_SLOTS_MAX {
            return None;
        }
        if place == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[place] = Some(Connection {
            id,
            transport: None,
            tokens: Vec::new(),
            protocol: protocol(),
            decode_errors: 0,
            lag_ns: 0,
            attached_ns: 0,
            snapshot_check_ns: 0,
            audit_ns: 0,
            audited: 0,
            watch: Watch::default(),
            replaces: Vec::new(),
            retired: false,
            replaced_by: None,
            leaving: false,
            latencies: None,
            past: SessionCounts::default(),
        });
        Some(ConnectionSlot(place as u32))
    }

    /// The slot of a known connection. A scan: commands are rare and connections few.
    pub(super) fn find(&self, id: ConnectionId) -> Option<ConnectionSlot> {
        let same = |c: &Option<Connection>| c.as_ref().is_some_and(|c| c.id == id && !c.leaving);
        self.slots.iter().position(same).map(|place| ConnectionSlot(place as u32))
    }

    /// The replacement of a connection whose socket is not up yet.
    pub(super) fn find_replacement(&self, of: ConnectionId) -> Option<ConnectionSlot> {
        let is = |c: &Option<Connection>| c.as_ref().is_some_and(|c| c.replaces.contains(&of));
        self.slots.iter().position(is).map(|place| ConnectionSlot(place as u32))
    }

    pub(super) fn get_mut(&mut self, slot: ConnectionSlot) -> Option<&mut Connection> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn forget(&mut self, slot: ConnectionSlot) {
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = None;
        }
    }

    /// Number of slots to walk.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The connection that holds the most memory, and how much, bytes.
    pub(super) fn largest_holder(&self) -> Option<(ConnectionSlot, usize)> {
        let held = |connection: &Option<Connection>| {
            Some(connection.as_ref()?.transport.as_ref()?.held_bytes)
        };
        let holders = self.slots.iter().enumerate();
        let holders =
            holders.filter_map(|(place, c)| Some((ConnectionSlot(place as u32), held(c)?)));
        holders.max_by_key(|&(_, held)| held)
    }

    pub(super) fn any_transport(&self) -> bool {
        self.slots.iter().flatten().any(|connection| connection.transport.is_some())
    }

    pub(super) fn beats(
        &self,
        live_on: impl Fn(ConnectionSlot) -> u32,
        owing: impl Fn(ConnectionSlot) -> Option<u32>,
        race: impl Fn(ConnectionSlot) -> RaceCounts,
    ) -> impl Iterator<Item = ConnectionBeat> {
        self.slots.iter().enumerate().filter_map(move |(place, connection)| {
            let connection = connection.as_ref().filter(|connection| !connection.leaving)?;
            Some(ConnectionBeat {
                connection: connection.id,
                up: connection.transport.is_some(),
                live: live_on(ConnectionSlot(place as u32)),
                owing: owing(ConnectionSlot(place as u32)),
                race: race(ConnectionSlot(place as u32)),
                decode_errors: connection.decode_errors,
                lag_ns: connection.lag_ns,
                attached_ns: connection.attached_ns,
                session: connection.counts(),
                subscription: connection.protocol.counts(),
            })
        })
    }
}

impl Connection {
    /// Puts a socket under the connection.
    pub(super) fn attach(&mut self, stream: Box<dyn Stream>, session: Box<Session>, now_ns: u64) {
        self.attached_ns = now_ns;
        self.snapshot_check_ns = now_ns + SNAPSHOT_TIMEOUT_NS;
        self.audit_ns = now_ns + SNAPSHOT_TIMEOUT_NS;
        self.watch.begin(now_ns);
        let backlog = VecDeque::new();
        self.transport =
            Some(Transport { stream, session, backlog, held_bytes: 0, waits_for_room: false });
    }

    /// Takes the socket away; what it did is kept in the counters. Gives the memory that it held, bytes.
    pub(super) fn detach(&mut self, readiness: &mut Readiness, key: u32) -> usize {
        self.past = self.counts();
        self.attached_ns = 0;
        let Some(transport) = self.transport.take() else { return 0 };
        readiness.remove(&*transport.stream, key);
        transport.held_bytes
    }

    /// Sums over all sockets; times of the present one, or of the last.
    fn counts(&self) -> SessionCounts {
        let Some(transport) = &self.transport else { return self.past };
        let now = transport.session.counts();
        SessionCounts {
            frames: self.past.frames + now.frames,
            bytes: self.past.bytes + now.bytes,
            ..*now
        }
    }
}

impl Transport {
    /// Memory of its unfinished frames and of its backlog, bytes.
    fn held_bytes_now(&self) -> usize {
        let backlog = self.backlog.iter().map(|waiting| waiting.text.capacity()).sum::<usize>();
        self.session.unfinished_bytes().saturating_add(backlog)
    }

    /// Counts anew what it holds; `sum` is of all connections of the shard.
    pub(super) fn update_held_bytes(&mut self, sum: &mut usize) {
        let held = self.held_bytes_now();
        *sum = sum.saturating_sub(self.held_bytes).saturating_add(held);
        self.held_bytes = held;
    }

    /// Sends what the session wants sent, as far as there is room.
    ///
    /// # Errors
    /// The socket is gone.
    pub(super) fn flush(
        &mut self,
        readiness: &mut Readiness,
        key: u32,
    ) -> Result<(), SessionError> {
        while !self.session.output().is_empty() {
            match self.stream.write(self.session.output()) {
                Ok(count) => self.session.on_sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.waits_for_room {
                        self.waits_for_room = true;
                        let asked = readiness.want_write(&*self.stream, key, true);
                        asked.map_err(|_| self.session.handle_end())?;
                    }
                    return Ok(());
                }
                Err(_) => return Err(self.session.handle_end()),
            }
        }
        if self.waits_for_room {
            self.waits_for_room = false;
            let asked = readiness.want_write(&*self.stream, key, false);
            asked.map_err(|_| self.session.handle_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

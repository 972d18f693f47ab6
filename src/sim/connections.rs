//! Open connections by slot, and the queues of frames to them.
//!
//! Runs on:  the venue's thread.
//! Bounds:   a connection with too large a backlog is closed.
use std::sync::Arc;

use super::config::SimConfig;
use super::connection::{Client, Connection, Fate};
use super::exchange::Outlet;
use super::stats::Counters;
use super::stream_fault::{BEHIND_MS, KINDS, Kind, LATE_MS, StreamFaults};

pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Slots with bytes to send.
    dirty: Vec<usize>,
    /// Slots to close: they do not read.
    overdue: Vec<usize>,
    /// Flushes with a full socket.
    held_up: u64,
    backlog_bytes_max: usize,
    counters: Arc<Counters>,
    pub(super) faults: StreamFaults,
    /// The venue's time, for the end of faults.
    pub(super) now_ms: u64,
}

impl Connections {
    pub(super) fn new(config: &SimConfig, counters: Arc<Counters>) -> Self {
        let mut faults = StreamFaults::new(1);
        for (name, rate) in &config.stream_faults {
            if let Some((_, kind)) = KINDS.iter().find(|(known, _)| known == name) {
                faults.set(*kind, *rate, u64::MAX);
            }
        }
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            overdue: Vec::new(),
            held_up: 0,
            backlog_bytes_max: config.backlog_bytes_max,
            counters,
            faults,
            now_ms: 0,
        }
    }

    pub(super) fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    pub(super) fn fill(&mut self, slot: usize, connection: Option<Connection>) {
        if connection.is_none() {
            self.free.push(slot);
        }
        self.slots[slot] = connection;
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn take(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(connection)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, &Connection)> {
        let open = self.slots.iter().enumerate();
        open.filter_map(|(slot, connection)| Some((slot, connection.as_ref()?)))
    }

    pub(super) fn clients(&self) -> Vec<usize> {
        let upgraded = self.slots().filter(|(_, connection)| connection.client.is_some());
        upgraded.map(|(slot, _)| slot).collect()
    }

    pub(super) fn mark(&mut self, slot: usize) {
        if let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Records received bytes and writability of a socket.
    pub(super) fn mark_writable(&mut self, slot: usize, writable: bool) {
        if let Some(connection) = self.get(slot) {
            connection.full &= !writable;
        }
        self.mark(slot);
    }

    /// Sends queued bytes; returns the closed slots.
    pub(super) fn flush(&mut self) -> Vec<usize> {
        let mut over = std::mem::take(&mut self.overdue);
        let mut written = 0;
        for slot in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.slots[slot].as_mut() else { continue };
            if self.now_ms < connection.held_until_ms {
                self.dirty.push(slot);
                continue;
            }
            connection.dirty = connection.release(self.now_ms);
            if connection.dirty {
                self.dirty.push(slot);
            }
            if connection.flush(&mut written) == Fate::Over {
                over.push(slot);
            }
            self.held_up += u64::from(connection.full);
        }
        self.counters.bytes_sent.add(written);
        over
    }

    /// Flushes with a full socket since the last call.
    pub(super) const fn take_held_up(&mut self) -> u64 {
        std::mem::replace(&mut self.held_up, 0)
    }

    /// Queued plaintext bytes of all connections.
    pub(super) fn backlog(&self) -> usize {
        self.slots().map(|(_, connection)| connection.backlog()).sum()
    }

    /// Appends complete frames; counts them.
    pub(super) fn append(&mut self, slot: usize, frames: &[u8], count: u64) {
        let Some(connection) = self.get(slot) else { return };
        if connection.client.as_ref().is_some_and(|client| client.half_open) {
            return;
        }
        connection.release(u64::MAX);
        connection.output.extend_from_slice(frames);
        self.counters.frames.add(count);
        self.mark(slot);
    }

    fn push(&mut self, slot: usize, frame: &[u8], admits: impl Fn(&Client) -> bool) {
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        let receives = |c: &Client| !c.frozen && !c.half_open && admits(c);
        let admitted = connection.client.as_deref().is_some_and(receives);
        if !admitted || connection.closing {
            return;
        }
        match self.faults.roll(self.now_ms) {
            None => connection.append(frame),
            Some(Kind::Lost) => return self.counters.lost_frames.add(1),
            Some(Kind::Doubled) => {
                self.counters.doubled_frames.add(1);
                connection.append(frame);
                connection.append(frame);
            }
            Some(Kind::Late) => {
                self.counters.late_frames.add(1);
                connection.append(frame);
                connection.held_until_ms = self.now_ms + LATE_MS;
            }
            Some(Kind::Reordered) => {
                if connection.keep_behind(frame, self.now_ms + BEHIND_MS) {
                    self.counters.reordered_frames.add(1);
                } else {
                    connection.append(frame);
                }
            }
            Some(Kind::Cut) => {
                self.counters.cut.add(1);
                let place = self.faults.place(frame.len());
                connection.release(u64::MAX);
                connection.output.extend_from_slice(&frame[..place]);
                connection.closing = true;
            }
            Some(Kind::HalfOpen) => {
                self.counters.half_open.add(1);
                if let Some(client) = &mut connection.client {
                    client.half_open = true;
                }
                return;
            }
        }
        self.counters.frames.add(1);
        if connection.backlog() > self.backlog_bytes_max {
            connection.closing = true;
            self.counters.slow_clients.add(1);
            self.overdue.push(slot);
        }
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }
}

impl Outlet for Connections {
    fn send(&mut self, connection: usize, frame: &[u8]) {
        self.push(connection, frame, |_| true);
    }

    fn send_custom(&mut self, connection: usize, frame: &[u8]) {
        self.push(connection, frame, |client| client.custom);
    }

    fn broadcast_custom(&mut self, frame: &[u8]) {
        for slot in 0..self.slots.len() {
            self.push(slot, frame, |client| client.custom);
        }
    }
}

//! Control end of the links with one shard: commands out, reports in.
//!
//! Runs on:  control core. Owns: the producer of `control_shard`, commands that did not fit.
//! Bounds:   the backlog holds refused commands and is retried every cycle.
use crate::base::{
    id::{ConnectionId, ShardId, TokenId},
    time::Now,
};
use crate::counter::report::LinkReport;
use crate::io::{driver::Doorbell, socket::Stream};
use crate::link::{
    control_shard::{NamedOpening, ShardCommand, StampedCommand},
    shard_control::{Heartbeat, Report},
};
use crate::market::info::MarketEvent;
use crate::ring::{Consumer, Gauge, Producer};
use crate::session::Session;
use crate::venue::Role;
use std::collections::VecDeque;

/// Control end of one shard.
#[derive(Debug)]
pub struct ShardProxy {
    /// Its id.
    pub id: ShardId,
    /// Its CPU, if pinned.
    pub core: Option<u32>,
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
    /// Arrival of that heartbeat, monotonic nanoseconds; 0 before the first.
    pub heartbeat_seen_ns: u64,
    /// Time of heartbeats in the ring: count, sum and maximum, nanoseconds.
    pub report_waits: [u64; 3],
    /// It has ended.
    pub stopped: bool,
    commands: Producer<StampedCommand>,
    commands_gauge: Gauge<StampedCommand>,
    reports: Consumer<Report>,
    reports_gauge: Gauge<Report>,
    backlog: VecDeque<ShardCommand>,
    doorbell: Doorbell,
}

impl ShardProxy {
    /// With the ends of the links of shard `id`.
    #[must_use]
    pub fn new(
        id: ShardId,
        core: Option<u32>,
        commands: Producer<StampedCommand>,
        reports: Consumer<Report>,
        reports_gauge: Gauge<Report>,
        doorbell: Doorbell,
    ) -> Self {
        Self {
            id,
            core,
            heartbeat: Heartbeat::default(),
            heartbeat_seen_ns: 0,
            report_waits: [0; 3],
            stopped: false,
            commands_gauge: commands.gauge(),
            commands,
            reports,
            reports_gauge,
            backlog: VecDeque::new(),
            doorbell,
        }
    }

    /// Opens the books of a connection that is being dialed.
    pub fn open(
        &mut self,
        (connection, role): (ConnectionId, Role),
        books: Box<[NamedOpening]>,
        replaces: &[ConnectionId],
        now: Now,
    ) {
        self.send(ShardCommand::Open { connection, books, role, replaces: replaces.into() }, now);
    }

    /// Commands the switch to a replacement.
    pub fn switch(&mut self, to: ConnectionId, now: Now) {
        self.send(ShardCommand::Switch { to }, now);
    }

    /// Passes a socket.
    pub fn attach(
        &mut self,
        connection: ConnectionId,
        stream: Box<dyn Stream>,
        session: Box<Session>,
        now: Now,
    ) {
        self.send(ShardCommand::Attach { connection, stream, session }, now);
    }

    /// Adds books to a connection.
    pub fn subscribe(&mut self, connection: ConnectionId, books: Box<[NamedOpening]>, now: Now) {
        self.send(ShardCommand::Subscribe { connection, books }, now);
    }

    /// Updates the facts of these books.
    pub fn describe(&mut self, books: Box<[NamedOpening]>, now: Now) {
        self.send(ShardCommand::Describe { books }, now);
    }

    /// Removes books from a connection.
    pub fn unsubscribe(&mut self, connection: ConnectionId, tokens: Box<[TokenId]>, now: Now) {
        self.send(ShardCommand::Unsubscribe { connection, tokens }, now);
    }

    /// Closes a connection for good.
    pub fn close(&mut self, connection: ConnectionId, now: Now) {
        self.send(ShardCommand::Close { connection }, now);
    }

    /// Passes books of a REST response.
    pub fn books(&mut self, text: String, question: u32, now: Now) {
        self.send(ShardCommand::Books { text, question }, now);
    }

    /// Whether market events fit: half of the ring is reserved for other commands.
    pub fn has_spare_room(&self) -> bool {
        self.backlog.is_empty() && self.commands_gauge.depth() < self.commands_gauge.capacity() / 2
    }

    /// Reports a new stage of a market.
    pub fn market(&mut self, event: MarketEvent, now: Now) {
        self.send(ShardCommand::Market(Box::new(event)), now);
    }

    /// Requests the histograms.
    pub fn swap_latencies(&mut self, now: Now) {
        self.send(ShardCommand::SwapLatencies { empty: Box::default() }, now);
    }

    /// Closes everything and ends the shard.
    pub fn stop(&mut self, now: Now) {
        self.send(ShardCommand::Stop, now);
    }

    /// Takes a heartbeat.
    pub fn on_heartbeat(&mut self, heartbeat: Heartbeat, now: Now) {
        let wait_ns = now.mono_ns.saturating_sub(heartbeat.at.mono_ns);
        let [count, sum_ns, max_ns] = self.report_waits;
        self.report_waits = [count + 1, sum_ns + wait_ns, max_ns.max(wait_ns)];
        self.heartbeat = heartbeat;
        self.heartbeat_seen_ns = now.mono_ns;
    }

    /// Retries refused commands. Call once per cycle.
    pub fn flush(&mut self, now: Now) {
        if self.backlog.is_empty() {
            // Otherwise a sleeping shard would be woken a hundred times a second.
            return;
        }
        while let Some(command) = self.backlog.pop_front() {
            if let Err(back) =
                self.commands.try_send(StampedCommand { sent_ns: now.mono_ns, command })
            {
                self.backlog.push_front(back.command);
                break;
            }
        }
        self.doorbell.ring();
    }

    fn send(&mut self, command: ShardCommand, now: Now) {
        // First in, first out: a command never overtakes the backlog.
        self.backlog.push_back(command);
        self.flush(now);
    }

    /// The next report.
    pub fn receive(&mut self) -> Option<Report> {
        self.reports.try_receive()
    }

    /// Counters of both links.
    pub fn links(&self) -> [LinkReport; 2] {
        let beat = &self.heartbeat;
        let commands = LinkReport {
            name: format!("control_{}", self.id),
            routed: self.commands_gauge.sent(),
            refused: self.commands_gauge.refused(),
            depth: (self.commands_gauge.depth() + self.backlog.len()) as u64,
            capacity: self.commands_gauge.capacity() as u64,
            delay_mean_ns: beat.command_wait_ns.checked_div(beat.commands).unwrap_or(0),
            delay_max_ns: beat.command_wait_max_ns,
        };
        let reports = LinkReport {
            name: format!("{}_control", self.id),
            routed: self.reports_gauge.sent(),
            refused: self.reports_gauge.refused(),
            depth: self.reports_gauge.depth() as u64,
            capacity: self.reports_gauge.capacity() as u64,
            delay_mean_ns: self.report_waits[1].checked_div(self.report_waits[0]).unwrap_or(0),
            delay_max_ns: self.report_waits[2],
        };
        [commands, reports]
    }
}

#[cfg(test)]
mod tests;

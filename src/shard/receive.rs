//! From a socket's bytes to applied frames, and what the end of a socket means.
//!
//! Runs on:  shard cores; allocates for frames that wait for a large one, for market updates and at a disconnect.
//! Bounds:   `READS_PER_CONNECTION` reads of a socket at a time, fewer after `FRAMES_PER_TURN` frames;
//!           `LARGE_FRAME_PART_BYTES` of one large frame a step, and nothing is read from its socket until it is
//!           done. `UNFINISHED_BYTES_MAX` of unfinished frames: the connection that holds the most of them is closed.
use super::books::{ConnectionSlot, DisconnectOutcome};
use super::connections::{Connection, Transport, Waiting};
use super::intake::{Findings, FrameProgress, Intake};
use super::{
    Shard, Tally,
    publish::{ConnectionChange, Handler},
};
use crate::base::{
    id::ConnectionId,
    limits::{
        FRAMES_PER_TURN, LARGE_FRAME_PART_BYTES, LOG_LINES_PER_SECOND, READS_PER_CONNECTION,
        UNFINISHED_BYTES_FLOOR, UNFINISHED_BYTES_MAX,
    },
    time::{Clock, Now},
};
use crate::counter::latency::ConnectionLatencies;
use crate::link::shard_capture::CaptureSender;
use crate::link::shard_control::Report;
use crate::market::book::StaleReason;
use crate::ring::Producer;
use crate::session::{Incoming, Receive, SessionError, WebSocketError};
use crate::venue::{BadInput, SubscriptionProtocol};
use std::collections::VecDeque;
use std::io::ErrorKind;

/// What the frames of one turn held.
#[derive(Clone, Copy, Debug, Default)]
struct TurnSummary {
    data: bool,
    pong: bool,
    bad_count: u64,
    /// Age of the last message with a time, nanoseconds.
    lag_ns: Option<u64>,
}

/// Takes the frames of one connection into the books, and reports what else they hold.
struct FrameReader<'a, H, C> {
    slot: ConnectionSlot,
    id: ConnectionId,
    intake: &'a mut Intake<H, C>,
    findings: &'a mut Findings,
    protocol: &'a mut Box<dyn SubscriptionProtocol>,
    latencies: &'a mut Option<Box<ConnectionLatencies>>,
    tally: &'a mut Tally,
    reports: &'a mut Producer<Report>,
    summary: TurnSummary,
}

/// Takes the messages of one read: at once, or behind those that wait.
struct Messages<'m, 'a, H, C> {
    reader: FrameReader<'a, H, C>,
    capture: &'m mut Option<CaptureSender>,
    backlog: &'m mut VecDeque<Waiting>,
    /// Connections with a backlog.
    large: &'m mut VecDeque<ConnectionSlot>,
    passed: bool,
    read: Now,
}

/// A connection that is up, as its frames are read.
struct Receiving<'c, 'a, H, C> {
    reader: FrameReader<'a, H, C>,
    transport: &'c mut Transport,
    /// Another connection carries its books by now, or they are closed: the venue may go on sending until it answers
    /// our close.
    passed: bool,
}

impl Connection {
    #[inline]
    fn receiving<'c: 'a, 'a, H, C>(
        &'c mut self,
        slot: ConnectionSlot,
        intake: &'a mut Intake<H, C>,
        findings: &'a mut Findings,
        tally: &'a mut Tally,
        reports: &'a mut Producer<Report>,
    ) -> Option<Receiving<'c, 'a, H, C>> {
        let Self { id, leaving, retired, transport, latencies, protocol, .. } = self;
        let (id, summary, passed) = (*id, TurnSummary::default(), *leaving || *retired);
        let transport = transport.as_mut()?;
        let reader = FrameReader {
            slot,
            id,
            intake,
            findings,
            protocol,
            latencies,
            tally,
            reports,
            summary,
        };
        Some(Receiving { reader, transport, passed })
    }
}

impl<H: Handler, C: Clock> FrameReader<'_, H, C> {
    /// Applies about `budget_bytes` of a text frame; what `progress` covers was applied before.
    #[inline]
    fn on_text(
        &mut self,
        text: &str,
        progress: &mut FrameProgress,
        budget_bytes: usize,
        read: Now,
    ) {
        let from = (self.slot, Some(&mut *self.protocol));
        self.intake.on_part(text, progress, budget_bytes, from, read, self.findings);
        self.report();
        if let Some(latencies) = self.latencies
            && let Findings { venue_to_read_ns, read_to_applied_ns: Some(applied_ns), .. } =
                *self.findings
            && progress.is_done()
        {
            latencies.record(venue_to_read_ns, applied_ns);
        }
    }

    fn on_binary(&mut self, text: &str, read: Now) {
        let from = (self.slot, Some(&mut *self.protocol));
        self.intake.on_binary(text, from, read, self.findings);
        self.report();
    }

    /// Adds what one frame held, and sends market updates on.
    fn report(&mut self) {
        let Self { findings, summary, reports, id, .. } = self;
        summary.data |= findings.data;
        summary.pong |= findings.pong;
        summary.lag_ns = findings.venue_to_read_ns.or(summary.lag_ns);
        if let Some(input) = findings.bad {
            summary.bad_count += u64::from(findings.bad_count);
            self.tally.sample(*id, input, reports);
        }
        for what in findings.unrecognized.drain(..) {
            let _ = reports.try_send(Report::Unrecognized { connection: *id, what });
        }
        for update in findings.updates.drain(..) {
            let _ = reports.try_send(Report::MarketUpdate(update));
        }
    }
}

impl<H: Handler, C: Clock> Receive for Messages<'_, '_, H, C> {
    fn on_message(&mut self, message: Incoming<'_>) {
        let Self { reader, capture, backlog, large, passed, read } = self;
        let (slot, read) = (reader.slot, *read);
        if let Some(capture) = capture {
            capture.message(reader.id, read.wall_ns, &message, *passed);
        }
        if *passed {
            return;
        }
        let is_free = backlog.is_empty();
        match message {
            Incoming::Text(text) if is_free => {
                reader.on_text(text, &mut FrameProgress::default(), usize::MAX, read);
            }
            Incoming::Text(text) => backlog.push_back(Waiting::new(text.to_owned(), false, read)),
            // What is captured is read at once, however long: a replay cannot know what came between two parts.
            Incoming::Large(text) if is_free && capture.is_some() => {
                reader.on_text(&text, &mut FrameProgress::default(), usize::MAX, read);
            }
            Incoming::Large(text) => {
                if is_free {
                    large.push_back(slot);
                }
                backlog.push_back(Waiting::new(text, false, read));
            }
            Incoming::Binary(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                match is_free {
                    true => reader.on_binary(&text, read),
                    false => backlog.push_back(Waiting::new(text.into_owned(), true, read)),
                }
            }
            Incoming::Close { .. } => {}
        }
    }

    #[inline]
    fn announce(&mut self, payload: &[u8]) {
        if !self.passed && self.backlog.is_empty() {
            self.reader.intake.announce(payload);
        }
    }
}

impl Tally {
    /// Shows the control core something undecodable, at a bounded rate.
    fn sample(
        &mut self,
        connection: ConnectionId,
        input: BadInput,
        reports: &mut Producer<Report>,
    ) {
        if self.bad_samples < LOG_LINES_PER_SECOND {
            self.bad_samples += 1;
            let withheld = std::mem::take(&mut self.bad_withheld);
            let _ = reports.try_send(Report::Bad { connection, input, withheld });
        } else {
            self.bad_withheld += 1;
        }
    }
}

impl<H: Handler, C: Clock> Shard<H, C> {
    /// Reads one socket, within the budget, into books.
    pub(super) fn receive(&mut self, slot: ConnectionSlot) {
        let mut outcome = Ok(());
        let mut frames_before = None;
        let mut drained = false;
        for _ in 0..READS_PER_CONNECTION {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            let Some(transport) = &mut connection.transport else { return };
            let frames = transport.session.counts().frames;
            let read_frames = frames - *frames_before.get_or_insert(frames);
            if !transport.backlog.is_empty() || read_frames > FRAMES_PER_TURN {
                break;
            }
            let count = match transport.stream.read(&mut self.buffer) {
                Ok(0) => {
                    outcome = Err(transport.session.handle_end());
                    break;
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    drained = true;
                    break;
                }
                Err(_) => {
                    outcome = Err(transport.session.handle_end());
                    break;
                }
            };
            let read = self.intake.clock.now();
            self.tally.bytes += count as u64;
            outcome = self.handle_bytes(slot, count, read);
            drained = count < self.buffer.len();
            if outcome.is_err() || drained {
                break;
            }
        }
        self.schedule.unread |= !drained;
        self.update_held_bytes(slot);
        match outcome {
            Ok(()) if self.capabilities.is_sequenced() => {
                self.poll_protocol(slot, self.intake.clock.now())
            }
            Ok(()) => self.flush(slot),
            Err(error) => self.disconnect(slot, &error),
        }
    }

    /// Counts the memory that a connection holds, and closes the largest holders while all hold too much.
    fn update_held_bytes(&mut self, slot: ConnectionSlot) {
        let Self { connections, tally, .. } = self;
        let Some(Some(transport)) = connections.get_mut(slot).map(|c| &mut c.transport) else {
            return;
        };
        transport.update_held_bytes(&mut tally.unfinished_bytes);
        while self.tally.unfinished_bytes > UNFINISHED_BYTES_MAX {
            match self.connections.largest_holder() {
                Some((holder, held)) if held > UNFINISHED_BYTES_FLOOR => {
                    self.disconnect(holder, &SessionError::FrameMemory(held));
                }
                _ => return,
            }
        }
    }

    /// Runs `count` bytes of the buffer through the session and every frame into the books.
    pub(super) fn handle_bytes(
        &mut self,
        slot: ConnectionSlot,
        count: usize,
        read: Now,
    ) -> Result<(), SessionError> {
        let Self { connections, intake, findings, links, buffer, tally, large, capture, .. } = self;
        let Some(connection) = connections.get_mut(slot) else { return Ok(()) };
        let receiving = connection.receiving(slot, intake, findings, tally, &mut links.reports);
        let Some(Receiving { reader, transport, passed }) = receiving else { return Ok(()) };
        let (session, backlog) = (&mut transport.session, &mut transport.backlog);
        let mut messages = Messages { reader, capture, backlog, large, passed, read };
        let result = session.receive(&buffer[..count], read.mono_ns, &mut messages);
        let summary = messages.reader.summary;
        self.note(slot, summary, read);
        result
    }

    fn note(&mut self, slot: ConnectionSlot, summary: TurnSummary, read: Now) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.decode_errors += summary.bad_count;
        connection.lag_ns = summary.lag_ns.unwrap_or(connection.lag_ns);
        let Some(transport) = &mut connection.transport else { return };
        if summary.pong {
            transport.session.on_pong(read.mono_ns);
        }
        if summary.data {
            transport.session.on_data(read.mono_ns);
            connection.protocol.on_data(read.mono_ns);
            self.tally.last_data_wall_ns = read.wall_ns;
        }
    }

    /// Goes on with one large frame for one part, and with the short ones behind it. Gives the
    /// number of parts.
    pub(super) fn decode_backlogs(&mut self) -> usize {
        let Some(slot) = self.large.pop_front() else { return 0 };
        let Self { connections, intake, findings, links, tally, .. } = self;
        // A socket that has ended took its backlog with it: its books are stale.
        let Some(connection) = connections.get_mut(slot) else { return 1 };
        let receiving = connection.receiving(slot, intake, findings, tally, &mut links.reports);
        let Some(Receiving { mut reader, transport, passed }) = receiving else { return 1 };
        if passed {
            transport.backlog.clear();
        }
        let mut left_bytes = LARGE_FRAME_PART_BYTES;
        let mut read = Now::default();
        while left_bytes > 0
            && let Some(waiting) = transport.backlog.front_mut()
        {
            read = waiting.read;
            let Waiting { text, binary, progress, .. } = waiting;
            match *binary {
                true => reader.on_binary(text, read),
                false => reader.on_text(text, progress, left_bytes, read),
            }
            left_bytes = left_bytes.saturating_sub(text.len());
            if *binary || progress.is_done() {
                transport.backlog.pop_front();
            }
        }
        let summary = reader.summary;
        if !transport.backlog.is_empty() {
            self.large.push_back(slot);
        }
        transport.update_held_bytes(&mut tally.unfinished_bytes);
        self.note(slot, summary, read);
        1
    }

    pub(super) fn flush(&mut self, slot: ConnectionSlot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Some(transport) = &mut connection.transport else { return };
        if let Err(error) = transport.flush(&mut self.readiness, slot.0) {
            self.disconnect(slot, &error);
        }
    }

    /// Reports a connection that is closed by command to the handler: replaced, or down if its socket was up until now.
    pub(super) fn publish_closed(&mut self, slot: ConnectionSlot, was_up: bool) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let (id, by) = (connection.id, connection.replaced_by);
        // A replacement that was given up is closed before.
        match by.filter(|by| self.connections.find(*by).is_some()) {
            Some(by) => {
                self.intake.books.store.on_connection(id, ConnectionChange::Replaced { by })
            }
            None if was_up => {
                self.intake.books.store.on_connection(id, ConnectionChange::Down { why: "closed" });
            }
            None => {}
        }
    }

    /// A connection is closed for good.
    pub(super) fn forget(&mut self, slot: ConnectionSlot) {
        self.report_latencies(slot);
        self.connections.forget(slot);
    }

    /// Tells what the frames of a connection took, where that was recorded.
    pub(super) fn report_latencies(&mut self, slot: ConnectionSlot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let (connection, latencies) = (connection.id, connection.latencies.take());
        if let Some(latencies) = latencies {
            // If refused, this connection's histograms are lost, and counted as a refusal.
            let _ =
                self.links.reports.try_send(Report::ConnectionLatencies { connection, latencies });
        }
    }

    /// A socket is over: books become stale, control hears why and dials again.
    pub(super) fn disconnect(&mut self, slot: ConnectionSlot, why: &SessionError) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let held = connection.detach(&mut self.readiness, slot.0);
        self.tally.unfinished_bytes = self.tally.unfinished_bytes.saturating_sub(held);
        self.tally.closed_for_memory += u64::from(matches!(why, SessionError::FrameMemory(_)));
        self.tally.closed_for_flood +=
            u64::from(matches!(why, SessionError::WebSocket(WebSocketError::Flood(_))));
        let (id, leaving) = (connection.id, connection.leaving);
        let now = self.intake.clock.now();
        self.capture_progress(now);
        if let Some(capture) = &mut self.capture {
            capture.ended(id, now.wall_ns, &why.to_string());
        }
        if leaving {
            self.publish_closed(slot, true);
            return self.forget(slot);
        }
        let taken_over = self.on_disconnect(slot, now) == DisconnectOutcome::TakenOver;
        let why = why.to_string();
        // What is taken over is reported as replaced, once it is closed.
        if !taken_over {
            self.intake.books.store.on_connection(id, ConnectionChange::Down { why: &why });
        }
        let report = Report::Down { connection: id, why, taken_over };
        // If refused, the next heartbeat reports that the socket is gone.
        let _ = self.links.reports.try_send(report);
    }

    /// What a connection has not delivered is lost: its books are stale, and a handover that it is part of ends.
    pub(super) fn on_disconnect(&mut self, slot: ConnectionSlot, now: Now) -> DisconnectOutcome {
        let books = &mut self.intake.books;
        let end = books.on_disconnect(slot, now);
        if let Some(connection) = self.connections.get_mut(slot) {
            // Where another connection has taken over, none of them hangs on this one any more.
            let reason = StaleReason::Disconnected;
            books.store.set_tokens_stale(&connection.tokens, slot, reason, now.wall_ns);
        }
        if let DisconnectOutcome::GivenUp { to } = end
            && let Some(replacement) = self.connections.get_mut(to)
        {
            replacement.retired = true;
        }
        end
    }
}

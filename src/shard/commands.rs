//! Commands of the control core, handled by the shard.
//!
//! Runs on:  shard cores. Mirrors `control::shard_proxy`: `ShardProxy::open` ends in `on_open`.
use super::{
    Shard,
    books::ConnectionSlot,
    connections::Connection,
    publish::{ConnectionChange, Handler},
};
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::CLOSE_TIMEOUT_NS,
    time::{Clock, Now, SECOND_NS},
};
use crate::capture::line::AnnotationRecord;
use crate::io::socket::Stream;
use crate::link::control_shard::{NamedOpening, ShardCommand};
use crate::link::shard_control::Report;
use crate::market::book::StaleReason;
use crate::session::{Session, SessionError};
use crate::venue::{ProtocolAction, Role, SubscriptionProtocol};
use std::collections::HashSet;

impl<H: Handler, C: Clock> Shard<H, C> {
    pub(super) fn on_command(&mut self, command: ShardCommand, now: Now) {
        match command {
            ShardCommand::Open { connection, books, role, replaces } if replaces.is_empty() => {
                self.on_open(connection, role, &books, now);
            }
            ShardCommand::Open { connection, books, replaces, .. } => {
                self.on_open_replacement(connection, &replaces, &books);
            }
            ShardCommand::Switch { to } => self.on_switch(to, now),
            ShardCommand::Attach { connection, stream, session } => {
                self.on_attach(connection, stream, session, now);
            }
            ShardCommand::Subscribe { connection, books } => {
                self.on_subscribe(connection, &books, now)
            }
            ShardCommand::Describe { books } => {
                if let Some(capture) = &mut self.capture {
                    let (note, none) = (AnnotationRecord::Described, ConnectionId(0));
                    capture.books(note, none, now.wall_ns, books.iter());
                }
                books.iter().for_each(|book| self.intake.books.describe(&book.opening));
            }
            ShardCommand::Unsubscribe { connection, tokens } => {
                self.on_unsubscribe(connection, &tokens, now);
            }
            ShardCommand::Close { connection } => self.on_close(connection, now),
            ShardCommand::Market(event) => self.intake.books.store.on_market(&event),
            ShardCommand::Books { text, question } => self.on_rest_answer(text, question, now),
            ShardCommand::SwapLatencies { empty } => {
                let filled = std::mem::replace(&mut self.intake.latencies, empty);
                // If refused, one interval of histograms is lost; the link counts it.
                let _ = self.links.reports.try_send(Report::Latencies(filled));
            }
            ShardCommand::Stop => self.on_stop(now),
        }
    }

    /// Opens books on a connection; gives the tokens that are new there.
    fn on_open(
        &mut self,
        id: ConnectionId,
        role: Role,
        books: &[NamedOpening],
        now: Now,
    ) -> Vec<TokenId> {
        let feed = self.feed;
        let opened = self.connections.open(id, || feed.subscription(role));
        let Some(slot) = opened else { return Vec::new() };
        self.intake.books.store.name_connection(slot, id);
        let Some(connection) = self.connections.get_mut(slot) else { return Vec::new() };
        if self.config.times_connections {
            connection.latencies.get_or_insert_default();
        }
        let mut added = Vec::with_capacity(books.len());
        let mut opened = Vec::new();
        let mut known: HashSet<TokenId> = connection.tokens.iter().copied().collect();
        for book in books {
            let opening = &book.opening;
            let full = connection.tokens.len() >= self.capabilities.tokens_per_connection_max;
            if full || !known.insert(opening.token) {
                continue;
            }
            if self.intake.books.open(opening, slot).is_ok() {
                connection.tokens.push(opening.token);
                added.push(opening.token);
                if self.capture.is_some() {
                    opened.push(book);
                }
            }
        }
        if let Some(capture) = &mut self.capture
            && !opened.is_empty()
        {
            capture.books(AnnotationRecord::Books, id, now.wall_ns, opened.into_iter());
        }
        added
    }

    fn on_attach(
        &mut self,
        id: ConnectionId,
        stream: Box<dyn Stream>,
        session: Box<Session>,
        now: Now,
    ) {
        // Closed in the meantime: dropping the socket is all that is left to do.
        let Some(slot) = self.connections.find(id) else { return };
        if self.connections.get_mut(slot).is_some_and(|connection| connection.transport.is_some()) {
            // What the old socket has not delivered is lost; the new one's snapshots repair the books.
            self.capture_progress(now);
            if let Some(capture) = &mut self.capture {
                capture.ended(id, now.wall_ns, "another socket has come");
            }
            self.on_disconnect(slot, now);
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let held = connection.detach(&mut self.readiness, slot.0);
        self.tally.unfinished_bytes = self.tally.unfinished_bytes.saturating_sub(held);
        connection.attach(stream, session, now.mono_ns);
        let replaces = std::mem::take(&mut connection.replaces);
        if !replaces.is_empty() {
            self.begin_handovers(slot, &replaces, now);
        } else if let Some(capture) = &mut self.capture {
            capture.tokens(AnnotationRecord::Opened, id, now.wall_ns, None, &[]);
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Some(transport) = &mut connection.transport else { return };
        let started = self
            .readiness
            .add(&*transport.stream, slot.0)
            .map_err(|_| transport.session.handle_end());
        if let Err(error) = started {
            return self.disconnect(slot, &error);
        }
        connection.protocol.begin(&connection.tokens, now.mono_ns);
        transport.session.start_heartbeat(now.mono_ns);
        self.poll_protocol(slot, now);
        // If refused, the next heartbeat reports that the socket is up.
        let _ = self.links.reports.try_send(Report::Up { connection: id });
        self.intake.books.store.on_connection(id, ConnectionChange::Up);
        // The venue's first bytes may have come with the answer to the upgrade.
        let outcome = self.handle_bytes(slot, 0, now);
        if let Err(error) = outcome {
            self.disconnect(slot, &error);
        }
    }

    fn on_subscribe(&mut self, id: ConnectionId, books: &[NamedOpening], now: Now) {
        let added = self.on_open(id, Role::Books, books, now);
        if !added.is_empty() {
            self.postpone_snapshot_check(id, now);
            self.ask_for(id, now, |protocol| protocol.add(&added));
            if self.config.races {
                self.add_to_racer(id, &added, now);
            }
        }
    }

    fn on_unsubscribe(&mut self, id: ConnectionId, tokens: &[TokenId], now: Now) {
        let Some(slot) = self.connections.find(id) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.tokens.retain(|token| !tokens.contains(token));
        if let Some(capture) = &mut self.capture {
            capture.tokens(AnnotationRecord::Dropped, id, now.wall_ns, None, tokens);
        }
        tokens.iter().for_each(|token| self.intake.books.close_on(token, slot));
        self.ask_for(id, now, |protocol| protocol.delete(tokens));
    }

    /// Asks on a connection if its socket is up; a new socket subscribes everything anyway.
    pub(super) fn ask_for(
        &mut self,
        id: ConnectionId,
        now: Now,
        ask: impl FnOnce(&mut dyn SubscriptionProtocol),
    ) {
        let Some(slot) = self.connections.find(id) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.transport.is_some() {
            ask(&mut *connection.protocol);
            self.poll_protocol(slot, now);
        }
    }

    /// Does what the protocol of a connection wants done, and sends its messages.
    pub(super) fn poll_protocol(&mut self, slot: ConnectionSlot, now: Now) {
        let Self { connections, intake, links, capture, unsent, .. } = self;
        let Some(connection) = connections.get_mut(slot) else { return };
        let Connection { id, tokens, protocol, transport: Some(transport), .. } = connection else {
            return;
        };
        let mut outcome = Ok(());
        while let Some(turn) = protocol.poll_action(now.mono_ns, tokens) {
            match turn {
                // They were marked before anything that came behind the hole was applied.
                ProtocolAction::Suspect => {}
                ProtocolAction::Resubscribe => {
                    let why = StaleReason::Disconnected;
                    intake.books.store.set_tokens_stale(tokens, slot, why, now.wall_ns);
                }
                ProtocolAction::Reconnect(why) => outcome = Err(SessionError::Unanswered(why)),
                ProtocolAction::Full { tokens: refused } => {
                    tokens.retain(|token| !refused.contains(token));
                    if let Some(capture) = capture {
                        capture.tokens(AnnotationRecord::Dropped, *id, now.wall_ns, None, &refused);
                    }
                    refused.iter().for_each(|token| intake.books.close_on(token, slot));
                    let report = Report::Full { connection: *id, tokens: refused.into() };
                    // Control counts them as subscribed until it receives this.
                    unsent.extend(links.reports.try_send(report).err());
                }
            }
        }
        while outcome.is_ok()
            && let Some(text) = protocol.poll(now.mono_ns)
        {
            if let Some(capture) = capture {
                capture.sent(*id, now.wall_ns, &text);
            }
            outcome = transport.session.send_text(&text);
        }
        match outcome {
            Ok(()) => self.flush(slot),
            Err(error) => self.disconnect(slot, &error),
        }
    }

    fn on_close(&mut self, id: ConnectionId, now: Now) {
        let Some(slot) = self.connections.find(id) else { return };
        self.intake.books.on_closed(slot, now);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if let Some(capture) = &mut self.capture {
            capture.tokens(AnnotationRecord::Closed, id, now.wall_ns, None, &connection.tokens);
        }
        for token in std::mem::take(&mut connection.tokens) {
            self.intake.books.close_on(&token, slot);
        }
        connection.leaving = true;
        self.begin_close(slot, now);
    }

    fn on_stop(&mut self, now: Now) {
        self.schedule.stop_deadline_ns = Some(now.mono_ns + CLOSE_TIMEOUT_NS + SECOND_NS);
        if let Some(capture) = &mut self.capture {
            capture.note(AnnotationRecord::Stopping, ConnectionId(0), now.wall_ns);
        }
        self.write_checkpoints(usize::MAX, now);
        self.schedule.housekeeping_ns = now.mono_ns;
        for place in 0..self.connections.slots() {
            self.begin_close(ConnectionSlot(place), now);
        }
    }

    /// Begins the closing handshake; the session ends at the venue's answer or at its deadline.
    fn begin_close(&mut self, slot: ConnectionSlot, now: Now) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        match &mut connection.transport {
            Some(transport) => {
                transport.session.close(now.mono_ns);
                self.flush(slot);
            }
            None if connection.leaving => {
                self.publish_closed(slot, false);
                self.forget(slot);
            }
            None => {}
        }
    }
}

//! A connection that takes over from another, or from several: opened beside them, switched to, reported.
//!
//! Runs on:  shard cores. Owns: nothing; `books/handover` matches the two streams.
use super::books::{ConnectionSlot, HandoverProgress};
use super::{Shard, publish::Handler};
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::TOKENS_PER_CONNECTION_MAX,
    time::{Clock, Now},
};
use crate::capture::line::AnnotationRecord;
use crate::link::{control_shard::NamedOpening, shard_control::Report};
use crate::session::SessionError;
use crate::venue::Role;

impl<H: Handler, C: Clock> Shard<H, C> {
    /// Knows a connection that will carry the books of others, which keep them for now.
    pub(super) fn on_open_replacement(
        &mut self,
        id: ConnectionId,
        from: &[ConnectionId],
        books: &[NamedOpening],
    ) {
        let feed = self.feed;
        if from.iter().any(|&from| self.connections.find(from).is_none()) {
            return;
        }
        let opened = self.connections.open(id, || feed.subscription(Role::Books));
        let Some(slot) = opened else { return };
        self.intake.books.store.name_connection(slot, id);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if self.config.times_connections {
            connection.latencies.get_or_insert_default();
        }
        let tokens = books.iter().map(|book| book.opening.token).take(TOKENS_PER_CONNECTION_MAX);
        let held = |token: &TokenId| self.intake.books.find(token.as_str()).is_some();
        connection.tokens = tokens.filter(held).collect();
        connection.replaces = from.to_vec();
    }

    /// The socket of a replacement is up: it takes over from these connections.
    pub(super) fn begin_handovers(
        &mut self,
        slot: ConnectionSlot,
        from: &[ConnectionId],
        now: Now,
    ) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let (id, tokens) = (connection.id, connection.tokens.clone());
        let mut begun = false;
        for &from in from {
            // Closed in the meantime, and its books with it.
            let Some(old) = self.connections.find(from) else { continue };
            let books = &self.intake.books;
            let of_old: Vec<TokenId> =
                tokens.iter().copied().filter(|token| books.store.is_on(token, old)).collect();
            self.begin_handover(slot, (from, old), &of_old, now);
            begun = true;
        }
        if let Some(capture) = &mut self.capture
            && !begun
        {
            capture.tokens(AnnotationRecord::Opened, id, now.wall_ns, None, &[]);
        }
    }

    /// Markets that were added to a connection are added to the one that it races with, or will race with.
    pub(super) fn add_to_racer(&mut self, from: ConnectionId, added: &[TokenId], now: Now) {
        let Some(old) = self.connections.find(from) else { return };
        let racer = self.intake.books.matcher.racer_of(old);
        let coming = || self.connections.find_replacement(from);
        let Some(to) = racer.or_else(coming) else { return };
        let Some(connection) = self.connections.get_mut(to) else { return };
        connection.tokens.extend(added);
        let id = connection.id;
        if racer.is_some() {
            self.begin_handover(to, (from, old), added, now);
            self.postpone_snapshot_check(id, now);
            self.ask_for(id, now, |protocol| protocol.add(added));
        }
    }

    fn begin_handover(
        &mut self,
        to: ConnectionSlot,
        (from, old): (ConnectionId, ConnectionSlot),
        tokens: &[TokenId],
        now: Now,
    ) {
        if let Some(capture) = &mut self.capture
            && let Some(connection) = self.connections.get_mut(to)
        {
            let note = AnnotationRecord::Opened;
            capture.tokens(note, connection.id, now.wall_ns, Some(from), tokens);
        }
        self.intake.books.begin_handover(old, to, tokens);
    }

    pub(super) fn on_switch(&mut self, to: ConnectionId, now: Now) {
        let Some(slot) = self.connections.find(to) else { return };
        if let Some(capture) = &mut self.capture {
            capture.note(AnnotationRecord::Switch, to, now.wall_ns);
        }
        self.intake.books.switch(slot, now.mono_ns);
        self.poll_handovers(now);
    }

    /// Moves markets whose turn it is, and reports a handover that has ended.
    pub(super) fn poll_handovers(&mut self, now: Now) {
        self.capture_progress(now);
        if let Some(capture) = &mut self.capture
            && self.intake.books.has_handovers()
        {
            capture.note(AnnotationRecord::Matched, ConnectionId(0), now.wall_ns);
        }
        while let Some(done) = self.intake.books.poll_handover(now) {
            let to = self.connections.get_mut(done.to);
            let to = to.map_or(ConnectionId(0), |connection| connection.id);
            for from in done.from {
                if let Some(old) = self.connections.get_mut(from) {
                    old.replaced_by = Some(to);
                }
            }
            if let Some(capture) = &mut self.capture {
                capture.note(AnnotationRecord::TakenOver, to, now.wall_ns);
            }
            self.unsent.push_back(Report::HandedOver { to, counts: done.counts });
        }
        for place in 0..self.connections.slots() {
            let slot = ConnectionSlot(place);
            if self.intake.books.matcher.is_overrun(slot) {
                self.disconnect(slot, &SessionError::Overrun);
            }
        }
        while let Some(report) = self.unsent.pop_front() {
            if let Err(back) = self.links.reports.try_send(report) {
                self.unsent.push_front(back);
                return;
            }
        }
    }

    /// Writes down how far each replacement has come: what is decided next depends on all its markets.
    pub(super) fn capture_progress(&mut self, now: Now) {
        let Self { connections, intake, capture, .. } = self;
        let Some(capture) = capture else { return };
        for (to, progress) in intake.books.handover_progress() {
            if let Some(connection) = connections.get_mut(to) {
                let HandoverProgress { owing, first_ms, newest_ms } = progress;
                capture.progress(connection.id, now.wall_ns, owing, first_ms, newest_ms);
            }
        }
    }
}

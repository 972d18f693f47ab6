//! What a shard does with each order of the control core.
//!
//! Runs on:  shard cores. Mirrors `control::shard_proxy`: `ShardProxy::open` ends in `on_open`.
use super::{Shard, books::ConnectionSlot, publish::Handler};
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::TOKENS_PER_CONNECTION_MAX,
    time::{Clock, Now},
};
use crate::io::socket::Stream;
use crate::link::{control_shard::Order, shard_control::Report};
use crate::market::book::{BookOpening, StaleReason};
use crate::session::Session;

impl<H: Handler, C: Clock> Shard<H, C> {
    pub(super) fn on_order(&mut self, order: Order, now: Now) {
        match order {
            Order::Open { connection, books, replaces: None } => {
                self.on_open(connection, &books);
            }
            Order::Open { connection, books, replaces: Some(from) } => {
                self.on_open_replacement(connection, from, &books);
            }
            Order::Switch { to } => self.on_switch(to, now),
            Order::Attach { connection, stream, session } => {
                self.on_attach(connection, stream, session, now);
            }
            Order::Subscribe { connection, books } => self.on_subscribe(connection, &books, now),
            Order::Describe { books } => {
                books.iter().for_each(|opening| self.intake.books.describe(opening));
            }
            Order::Unsubscribe { connection, tokens } => self.on_unsubscribe(connection, &tokens),
            Order::Close { connection } => self.on_close(connection, now),
            Order::Books { text } => self.on_books(text, now),
            Order::SwapLatencies { empty } => {
                let filled = std::mem::replace(&mut self.intake.latencies, empty);
                // If refused, one interval of histograms is lost; the link counts it.
                let _ = self.links.reports.try_send(Report::Latencies(filled));
            }
            Order::Stop => self.on_stop(now),
        }
    }

    /// Opens books on a connection; gives the tokens that are new there.
    fn on_open(&mut self, id: ConnectionId, books: &[BookOpening]) -> Vec<TokenId> {
        let Some(slot) = self.connections.open(id) else { return Vec::new() };
        let Some(connection) = self.connections.get_mut(slot) else { return Vec::new() };
        if self.times_connections {
            connection.latencies.get_or_insert_default();
        }
        let mut added = Vec::with_capacity(books.len());
        for opening in books {
            let full = connection.tokens.len() >= TOKENS_PER_CONNECTION_MAX;
            if full || connection.tokens.contains(&opening.token) {
                continue;
            }
            if self.intake.books.open(opening, slot).is_ok() {
                connection.tokens.push(opening.token);
                added.push(opening.token);
            }
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
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.line.is_some() {
            // What the old socket has yet to say is lost; the new one's snapshots mend the books.
            let (books, why) = (&mut self.intake.books, StaleReason::Disconnected);
            books.set_tokens_stale(&connection.tokens, slot, why, now.wall_ns);
        }
        connection.detach(&mut self.readiness, slot.0);
        connection.attach(stream, session, now.mono_ns);
        if let Some(from) = connection.replaces.take() {
            self.intake.books.begin_handover(from, slot, &connection.tokens);
        }
        let first = self.feed.first_message(&connection.tokens);
        let Some(line) = &mut connection.line else { return };
        let started = self
            .readiness
            .add(&*line.stream, slot.0)
            .map_err(|_| line.session.handle_end())
            .and_then(|()| line.session.send_text(&first));
        if let Err(error) = started {
            return self.hang_up(slot, &error);
        }
        line.session.start_heartbeat(now.mono_ns);
        // If refused, the next heartbeat says that the socket is up.
        let _ = self.links.reports.try_send(Report::Up { connection: id });
        self.flush(slot);
        // The venue's first bytes may have come with the answer to the upgrade.
        let outcome = self.handle_bytes(slot, 0, now);
        if let Err(error) = outcome {
            self.hang_up(slot, &error);
        }
    }

    fn on_subscribe(&mut self, id: ConnectionId, books: &[BookOpening], now: Now) {
        let added = self.on_open(id, books);
        if !added.is_empty() {
            self.postpone_census(id, now);
            let message = self.feed.subscribe(&added);
            self.send(id, &message);
        }
    }

    fn on_unsubscribe(&mut self, id: ConnectionId, tokens: &[TokenId]) {
        let Some(slot) = self.connections.find(id) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.tokens.retain(|token| !tokens.contains(token));
        tokens.iter().for_each(|token| self.intake.books.close_on(token, slot));
        let message = self.feed.unsubscribe(tokens);
        self.send(id, &message);
    }

    /// Sends on a connection if its socket is up; a new socket subscribes everything anyway.
    fn send(&mut self, id: ConnectionId, message: &str) {
        let Some(slot) = self.connections.find(id) else { return };
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Some(line) = &mut connection.line else { return };
        match line.session.send_text(message) {
            Ok(()) => self.flush(slot),
            Err(error) => self.hang_up(slot, &error),
        }
    }

    fn on_close(&mut self, id: ConnectionId, now: Now) {
        let Some(slot) = self.connections.find(id) else { return };
        self.intake.books.abandon(slot, now);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        for token in std::mem::take(&mut connection.tokens) {
            self.intake.books.close_on(&token, slot);
        }
        connection.leaving = true;
        self.begin_close(slot, now);
    }

    fn on_stop(&mut self, now: Now) {
        self.schedule.stopping = true;
        self.schedule.housekeeping_ns = now.mono_ns;
        for place in 0..self.connections.slots() {
            self.begin_close(ConnectionSlot(place), now);
        }
    }

    /// Says goodbye; the session ends at the venue's answer or at its deadline.
    fn begin_close(&mut self, slot: ConnectionSlot, now: Now) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        match &mut connection.line {
            Some(line) => {
                line.session.close(now.mono_ns);
                self.flush(slot);
            }
            None if connection.leaving => self.forget(slot),
            None => {}
        }
    }
}

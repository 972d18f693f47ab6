//! The states of a shard's books, and the connections that they hang on.
//!
//! Runs on:  shard cores, replay (pure). Owns: nothing; one place changes a state, and counts it.
use super::{Books, ConnectionSlot, view};
use crate::base::id::{BookIndex, TokenId};
use crate::market::book::{BookState, StaleReason};
use crate::shard::publish::Handler;

impl<H: Handler> Books<H> {
    /// Marks every live book as behind; gives their number.
    pub fn set_all_stale(&mut self, why: StaleReason, wall_ns: u64) -> usize {
        let before = self.counts.live;
        for index in (0..self.slots.len() as u32).map(BookIndex) {
            self.set_stale(index, why, wall_ns);
        }
        (before - self.counts.live) as usize
    }

    /// Marks every live book of `connection` as behind; gives their number.
    pub fn set_connection_stale(
        &mut self,
        connection: ConnectionSlot,
        why: StaleReason,
        wall_ns: u64,
    ) -> usize {
        let mut marked = 0;
        for index in (0..self.slots.len() as u32).map(BookIndex) {
            let slot = &self.slots[index];
            if slot.open && slot.connection == connection && slot.state == BookState::Live {
                self.set_stale(index, why, wall_ns);
                marked += 1;
            }
        }
        marked
    }

    /// Marks the live books among `tokens` that hang on `connection` as behind.
    pub fn set_tokens_stale(
        &mut self,
        tokens: &[TokenId],
        connection: ConnectionSlot,
        why: StaleReason,
        wall_ns: u64,
    ) {
        for token in tokens {
            let Some(index) = self.find(token.as_str()) else { continue };
            if self.slots[index].connection == connection {
                self.set_stale(index, why, wall_ns);
            }
        }
    }

    pub(super) fn set_stale(&mut self, index: BookIndex, why: StaleReason, since_wall_ns: u64) {
        if self.slots[index].state == BookState::Live {
            self.set_state(index, BookState::Stale { why, since_wall_ns }, since_wall_ns);
        }
    }

    pub(super) fn set_state(&mut self, index: BookIndex, state: BookState, wall_ns: u64) {
        let slot = &mut self.slots[index];
        if slot.state == state {
            return;
        }
        let before = std::mem::replace(&mut slot.state, state);
        if state != BookState::Live {
            slot.group.forget();
        }
        let connection = slot.connection;
        *self.counter_of(before) -= 1;
        *self.counter_of(state) += 1;
        match (before, state) {
            (BookState::Live, _) => *self.live_counter(connection) -= 1,
            (_, BookState::Live) => *self.live_counter(connection) += 1,
            _ => {}
        }
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_status(&view, before);
    }

    pub(super) fn counter_of(&mut self, state: BookState) -> &mut u64 {
        match state {
            BookState::AwaitingSnapshot => &mut self.counts.awaiting,
            BookState::Live => &mut self.counts.live,
            BookState::Stale { .. } => &mut self.counts.stale,
        }
    }

    pub(super) fn live_counter(&mut self, connection: ConnectionSlot) -> &mut u32 {
        let place = connection.0 as usize;
        if place >= self.live_on.len() {
            self.live_on.resize(place + 1, 0);
        }
        &mut self.live_on[place]
    }

    pub(super) fn hang_on(&mut self, index: BookIndex, connection: ConnectionSlot) {
        let slot = &mut self.slots[index];
        if slot.connection == connection {
            return;
        }
        let before = std::mem::replace(&mut slot.connection, connection);
        if slot.state == BookState::Live {
            *self.live_counter(before) -= 1;
            *self.live_counter(connection) += 1;
        }
    }

    /// Whether there is a book of this token that hangs on `connection`.
    #[must_use]
    pub fn is_on(&self, token: &TokenId, connection: ConnectionSlot) -> bool {
        let found = self.find(token.as_str());
        found.is_some_and(|index| self.slots[index].connection == connection)
    }

    /// The books among `tokens` that hang on `connection` and are not live.
    pub fn not_live_of(
        &self,
        tokens: &[TokenId],
        connection: ConnectionSlot,
        into: &mut Vec<TokenId>,
    ) {
        into.extend(tokens.iter().filter(|token| {
            let slot = self.find(token.as_str()).map(|index| &self.slots[index]);
            slot.is_some_and(|s| s.connection == connection && s.state != BookState::Live)
        }));
    }

    /// Live books that hang on `connection`.
    #[must_use]
    pub fn live_on(&self, connection: ConnectionSlot) -> u32 {
        self.live_on.get(connection.0 as usize).copied().unwrap_or(0)
    }
}

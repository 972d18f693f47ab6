//! Replacements: a connection takes over the markets of another, or of several (make before break).
//!
//! Runs on:  the control core (pure).
//!
//! The replacement subscribes to the same active tokens while the old connections still serve.
//! Until the switch the registry knows these markets on the old connections only, so a token is
//! never on two. Markets that come meanwhile go on the replacement.
use super::{Action, Connection, ConnectionState, Placement};
use crate::base::id::ConnectionId;
use crate::base::limits;
use crate::control::registry::{PlaceError, Registry};

/// Why a replacement cannot begin or be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceError {
    /// The connection is unknown, closing, carries nothing active or is part of another
    /// replacement. *Leave it.*
    NotReplaceable,
    /// The shard has its full number of connections. *Try again later.*
    NoConnectionLeft,
    /// The registry refused the switch. *Abandon the replacement; it is a bug of ours.*
    Refused(PlaceError),
}

impl Placement {
    /// Begins to replace `from`, one connection or several of one shard: the [`Action::Open`] of the new
    /// connection, with their active tokens, comes out of the next [`Placement::poll`]. They take no new
    /// markets until the replacement is completed or abandoned; the new connection does.
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has changed then.
    pub fn begin_replacement(
        &mut self,
        from: &[ConnectionId],
        registry: &Registry,
    ) -> Result<ConnectionId, ReplaceError> {
        let first = from.first().and_then(|from| self.connections.get(from));
        let shard = first.ok_or(ReplaceError::NotReplaceable)?.shard;
        let mut active = 0;
        for from in from {
            let old = self.connections.get(from).ok_or(ReplaceError::NotReplaceable)?;
            let free = old.replaces.is_empty() && old.replaced_by.is_none();
            let tokens = registry.load(*from).map_or(0, |load| load.active());
            if !free || tokens == 0 || old.state == ConnectionState::Closing || old.shard != shard {
                return Err(ReplaceError::NotReplaceable);
            }
            active += tokens;
        }
        if active > limits::TOKENS_PER_CONNECTION_MAX {
            return Err(ReplaceError::NotReplaceable);
        }
        let to = self.add(shard).map_err(|_| ReplaceError::NoConnectionLeft)?;
        if let Some(new) = self.connections.get_mut(&to) {
            new.replaces = from.to_vec();
        }
        let mut tokens = Vec::with_capacity(active);
        for from in from {
            if let Some(old) = self.connections.get_mut(from) {
                old.replaced_by = Some(to);
            }
            tokens.extend(registry.active_tokens_of(*from));
        }
        self.queued.push(Action::Open { connection: to, shard, tokens });
        Ok(to)
    }

    /// The replacement serves: it takes over the active markets, and the old connections are closed
    /// by the next [`Placement::poll`].
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has changed then.
    pub fn complete_replacement(
        &mut self,
        to: ConnectionId,
        now_ns: u64,
        registry: &mut Registry,
    ) -> Result<(), ReplaceError> {
        let new = self.connections.get(&to).filter(|new| new.state != ConnectionState::Closing);
        let from = new.map(|new| new.replaces.clone()).unwrap_or_default();
        if from.is_empty() {
            return Err(ReplaceError::NotReplaceable);
        }
        if self.load(to, registry) > registry.tokens_per_connection() {
            return Err(ReplaceError::Refused(PlaceError::ConnectionFull));
        }
        for from in from {
            registry.reassign(from, to, now_ns).map_err(ReplaceError::Refused)?;
            self.part(from, to);
        }
        Ok(())
    }

    /// Neither has to do with the other any more.
    pub(super) fn part(&mut self, from: ConnectionId, to: ConnectionId) {
        if let Some(new) = self.connections.get_mut(&to) {
            new.replaces.retain(|&old| old != from);
        }
        if let Some(old) = self.connections.get_mut(&from) {
            old.replaced_by = None;
        }
    }

    /// The replacement is given up: it is closed by the next [`Placement::poll`], and the old
    /// connections go on. Nothing happens when `to` is no replacement.
    pub fn abandon_replacement(&mut self, to: ConnectionId) {
        let from = self.replaces(to).to_vec();
        if from.is_empty() {
            return;
        }
        from.into_iter().for_each(|from| self.part(from, to));
        let mut actions = std::mem::take(&mut self.queued);
        self.close(to, "the replacement was given up", &mut actions);
        self.queued = actions;
    }

    /// Whether a connection is part of no replacement.
    pub fn is_whole(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.replaces.is_empty() && known.replaced_by.is_none())
    }

    /// The replacement of a connection, while it has not taken over.
    pub fn replaced_by(&self, from: ConnectionId) -> Option<ConnectionId> {
        self.connections.get(&from).and_then(|old| old.replaced_by)
    }

    /// The connections that `to` is to take over from.
    pub fn replaces(&self, to: ConnectionId) -> &[ConnectionId] {
        self.connections.get(&to).map_or(&[], |new| &new.replaces)
    }

    /// Whether `connection` is one of several that a replacement is to take over from.
    pub(super) fn is_merged(&self, connection: ConnectionId) -> bool {
        self.replaced_by(connection).is_some_and(|to| self.replaces(to).len() > 1)
    }

    /// `gone` is forgotten: nobody refers to it any more.
    pub(super) fn unlink(&mut self, gone: ConnectionId, known: &Connection) {
        for from in &known.replaces {
            if let Some(old) = self.connections.get_mut(from)
                && old.replaced_by == Some(gone)
            {
                old.replaced_by = None;
            }
        }
        if let Some(new) = known.replaced_by.and_then(|to| self.connections.get_mut(&to)) {
            new.replaces.retain(|&from| from != gone);
        }
    }
}

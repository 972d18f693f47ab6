//! Replacements: a connection takes over the markets of another (make before break).
//!
//! Runs on:  the control core (pure).
//!
//! The replacement subscribes to the same active tokens while the old connection still serves.
//! Until the switch the registry knows these markets on the old connection only, so a token is
//! never on two. Markets that come meanwhile go on the replacement.
use super::{Action, Connection, ConnectionState, Placement};
use crate::base::id::ConnectionId;
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
    /// Begins to replace `from`: the [`Action::Open`] of the new connection, with the active
    /// tokens of `from`, comes out of the next [`Placement::poll`]. `from` takes no new markets
    /// until the replacement is completed or abandoned; the new connection does.
    ///
    /// # Errors
    /// [`ReplaceError`]; nothing has changed then.
    pub fn begin_replacement(
        &mut self,
        from: ConnectionId,
        registry: &Registry,
    ) -> Result<ConnectionId, ReplaceError> {
        let old = self.connections.get(&from).ok_or(ReplaceError::NotReplaceable)?;
        let free = old.replaces.is_none() && old.replaced_by.is_none();
        let active = registry.load(from).is_some_and(|load| load.active() > 0);
        if !free || !active || old.state == ConnectionState::Closing {
            return Err(ReplaceError::NotReplaceable);
        }
        let shard = old.shard;
        let to = self.add(shard).map_err(|_| ReplaceError::NoConnectionLeft)?;
        if let Some(new) = self.connections.get_mut(&to) {
            new.replaces = Some(from);
        }
        if let Some(old) = self.connections.get_mut(&from) {
            old.replaced_by = Some(to);
        }
        let tokens = registry.active_tokens_of(from).collect();
        self.queued.push(Action::Open { connection: to, shard, tokens });
        Ok(to)
    }

    /// The replacement serves: it takes over the active markets, and the old connection is closed
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
        let from = new.and_then(|new| new.replaces).ok_or(ReplaceError::NotReplaceable)?;
        registry.reassign(from, to, now_ns).map_err(ReplaceError::Refused)?;
        self.part(from, to);
        Ok(())
    }

    /// Neither has to do with the other any more.
    pub(super) fn part(&mut self, from: ConnectionId, to: ConnectionId) {
        if let Some(new) = self.connections.get_mut(&to) {
            new.replaces = None;
        }
        if let Some(old) = self.connections.get_mut(&from) {
            old.replaced_by = None;
        }
    }

    /// The replacement is given up: it is closed by the next [`Placement::poll`], and the old
    /// connection goes on. Nothing happens when `to` is no replacement.
    pub fn abandon_replacement(&mut self, to: ConnectionId) {
        let from = self.connections.get_mut(&to).and_then(|new| new.replaces.take());
        if let Some(old) = from.and_then(|from| self.connections.get_mut(&from)) {
            old.replaced_by = None;
            let mut actions = std::mem::take(&mut self.queued);
            self.close(to, "the replacement was given up", &mut actions);
            self.queued = actions;
        }
    }

    /// Whether a connection is part of no replacement.
    #[must_use]
    pub fn is_whole(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.replaces.is_none() && known.replaced_by.is_none())
    }

    /// The replacement of a connection, while it has not taken over.
    #[must_use]
    pub fn replaced_by(&self, from: ConnectionId) -> Option<ConnectionId> {
        self.connections.get(&from).and_then(|old| old.replaced_by)
    }

    /// The connection that `to` is to take over from.
    #[must_use]
    pub fn replaces(&self, to: ConnectionId) -> Option<ConnectionId> {
        self.connections.get(&to).and_then(|new| new.replaces)
    }

    /// `gone` is forgotten: nobody refers to it any more.
    pub(super) fn unlink(&mut self, gone: ConnectionId, known: &Connection) {
        if let Some(old) = known.replaces.and_then(|from| self.connections.get_mut(&from))
            && old.replaced_by == Some(gone)
        {
            old.replaced_by = None;
        }
        if let Some(new) = known.replaced_by.and_then(|to| self.connections.get_mut(&to))
            && new.replaces == Some(gone)
        {
            new.replaces = None;
        }
    }
}

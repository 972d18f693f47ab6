//! Placement: which connections exist, and which markets go on them.
//!
//! Runs on:  the control core (pure). Times are monotonic nanoseconds unless they end in `_wall_ns`.
//! Owns:     the list of connections; what each carries is the registry's.
//! Bounds:   [`limits::TOKENS_PER_CONNECTION_MAX`] tokens a connection,
//!           [`limits::CONNECTIONS_PER_SHARD_MAX`] connections a shard.
//!
//! Spare slots first: whatever waits goes at once on a connection of its shard with fewer than
//! [`limits::TOKENS_PER_CONNECTION_TARGET`] active tokens, the fullest that is up before the others,
//! so that small ones run empty; expired tokens take slots between the target and the limit only.
//! Where no slot is free, a connection is opened at once for the shard's first market, for a whole
//! connection's worth, and for a market that must not wait: named by a person, announced by the
//! stream, or about to end ([`Registry::hasten`]). Leftovers of discovery wait for company: every
//! [`limits::PLACEMENT_INTERVAL_NS`], and after a scan, [`limits::PENDING_TOKENS_WORTH_CONNECTION`]
//! of them are worth a connection. Fewer wait at most two intervals: then they take slots up to the
//! limit, or else a small connection. A connection whose last active market has gone is closed and
//! not replaced.
mod fixed;
mod replace;
mod report;
#[cfg(test)]
mod tests;

pub use replace::ReplaceError;
pub use report::OpenConnection;

use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::base::limits;
use crate::base::policy::ConnectionTable;
use crate::control::registry::{Registry, Status};
use crate::venue::Role;
use fixed::Fixed;
use std::collections::{BTreeMap, BTreeSet};

/// Longest wait of a pending market.
const WAIT_MAX_NS: u64 = 2 * limits::PLACEMENT_INTERVAL_NS;

/// What the control core must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial a new connection that subscribes to these tokens. It is in the state
    /// [`ConnectionState::Waiting`] until the executor says otherwise; at hand-over the executor
    /// reads [`Placement::subscription`] again, which may have grown by then.
    Open {
        /// The new connection.
        connection: ConnectionId,
        /// The shard that is to own it.
        shard: ShardId,
        /// Its tokens; a market's tokens follow each other.
        tokens: Vec<TokenId>,
    },
    /// Subscribe to more tokens on a connection. To be ignored while the connection has not been
    /// handed over, since the hand-over reads [`Placement::subscription`].
    Subscribe {
        /// The connection.
        connection: ConnectionId,
        /// The tokens that are new on it.
        tokens: Vec<TokenId>,
    },
    /// Unsubscribe from tokens whose market was removed.
    Unsubscribe {
        /// The connection.
        connection: ConnectionId,
        /// The tokens that left it.
        tokens: Vec<TokenId>,
    },
    /// Close a connection for good; then call [`Placement::on_closed`].
    Close {
        /// The connection.
        connection: ConnectionId,
    },
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// A dial is in progress.
    Dialing,
    /// It waits for its next dial.
    Waiting,
    /// It is up.
    Active,
    /// It is being closed for good.
    Closing,
}

/// Why [`Placement::force_subscribe`] opened nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForceError {
    /// None of the markets is registered and pending. *Report it to the caller.*
    #[error("none of the tokens is known and waits for a connection")]
    NothingPending,
    /// The shard has [`limits::CONNECTIONS_PER_SHARD_MAX`] connections. *Report it to the caller.*
    #[error("the shard has as many connections as it may have")]
    NoConnectionLeft,
}

#[derive(Clone, Debug)]
struct Connection {
    shard: ShardId,
    role: Role,
    /// Its place among those of its role, from 1 on, in a fixed table.
    place: u16,
    state: ConnectionState,
    why: String,
    connected_wall_ns: u64,
    connects: u64,
    /// The connections that this one is to take over from.
    replaces: Vec<ConnectionId>,
    /// The connection that is to take over from this one.
    replaced_by: Option<ConnectionId>,
}

/// The connections of all shards. Decides; does nothing itself.
#[derive(Clone, Debug)]
pub struct Placement {
    connections: BTreeMap<ConnectionId, Connection>,
    by_shard: Vec<BTreeSet<ConnectionId>>,
    last_id: u32,
    /// The table, where connections are not opened as they are needed.
    fixed: Option<Fixed>,
    /// Tokens that are put on a connection, and pending tokens that are worth one.
    target: usize,
    worth: usize,
    next_check_ns: Option<u64>,
    check_requested: bool,
    /// Per shard: no room was found; not tried again before the next check.
    blocked: Vec<bool>,
    /// Each connection has a second one with the same tokens, as if that took over from it.
    races: bool,
    queued: Vec<Action>,
    connections_opened: u64,
    reconnects: u64,
    last_reconnect_wall_ns: u64,
}

impl Placement {
    /// No connections yet, for `shards` shards (at least one).
    #[must_use]
    pub fn new(shards: u16) -> Self {
        let shards = usize::from(shards.max(1));
        Self {
            connections: BTreeMap::new(),
            by_shard: vec![BTreeSet::new(); shards],
            last_id: 0,
            fixed: None,
            target: limits::TOKENS_PER_CONNECTION_TARGET,
            worth: limits::PENDING_TOKENS_WORTH_CONNECTION,
            next_check_ns: None,
            check_requested: false,
            blocked: vec![false; shards],
            races: false,
            queued: Vec::new(),
            connections_opened: 0,
            reconnects: 0,
            last_reconnect_wall_ns: 0,
        }
    }

    /// Puts `tokens` on a connection instead of [`limits::TOKENS_PER_CONNECTION_TARGET`], which is
    /// also the most.
    #[must_use]
    pub fn with_target(mut self, tokens: usize) -> Self {
        self.target = tokens.clamp(1, limits::TOKENS_PER_CONNECTION_TARGET);
        self.worth = limits::PENDING_TOKENS_WORTH_CONNECTION.min(self.target.div_ceil(2));
        self
    }

    /// Puts new markets on a connection that is to be replaced, and not on the other one: the shard adds them there.
    pub const fn racing(mut self, races: bool) -> Self {
        self.races = races;
        self
    }

    /// Has these connections from the start, and no others, with at most `tokens` tokens each. Their numbers follow one
    /// another from 1 or from [`Placement::number_above`] on, in the order of [`Role::ALL`], and stay theirs whatever
    /// becomes of their sockets, and of the share that [`Placement::share_among`] sets.
    #[must_use]
    pub fn fixed(mut self, table: ConnectionTable, tokens: usize) -> Self {
        self.fixed = Some(Fixed::new(table));
        self.target = tokens.max(1);
        self
    }

    /// Gives connections that are opened from now on numbers above this one.
    pub fn number_above(&mut self, id: u32) {
        self.last_id = self.last_id.max(id);
    }

    /// Check for pending markets at the next [`Placement::poll`], as when a scan has completed.
    pub const fn request_check(&mut self) {
        self.check_requested = true;
    }

    /// What is to be done now. Cheap when nothing is; to be called every cycle of the core.
    pub fn poll(&mut self, now_ns: u64, registry: &mut Registry) -> Vec<Action> {
        if self.fixed.is_some() {
            return self.poll_fixed(now_ns, registry);
        }
        let mut actions = std::mem::take(&mut self.queued);
        self.close_idle(now_ns, registry, &mut actions);
        let due = self.next_check_ns.is_none_or(|at| now_ns >= at);
        let check = due || std::mem::take(&mut self.check_requested);
        if due {
            self.next_check_ns = Some(now_ns + limits::PLACEMENT_INTERVAL_NS);
        }
        if check {
            self.blocked.fill(false);
        }
        for shard in (0..self.by_shard.len() as u16).map(ShardId) {
            if registry.pending_tokens(shard) == 0 {
                continue;
            }
            let added = self.fill(shard, self.target, now_ns, registry);
            actions.extend(added);
            let worth = if check { self.worth } else { self.target };
            let at_once =
                |placement: &Self, registry: &Registry| match registry.pending_tokens(shard) {
                    0 => false,
                    tokens if tokens >= worth => true,
                    _ => registry.has_urgent(shard) || !placement.has_open(shard),
                };
            while at_once(self, registry)
                && let Ok(action) = self.open_pending(shard, check, now_ns, registry)
            {
                actions.push(action);
            }
            let waited = registry.oldest_pending_since(shard).is_some_and(|since| {
                now_ns >= since.saturating_add(WAIT_MAX_NS)
                    || at_once(self, registry) && self.is_full(shard)
            });
            if waited && !self.blocked[usize::from(shard.0)] {
                self.place_rest(shard, now_ns, registry, &mut actions);
            }
        }
        actions
    }

    /// Opens a connection at once for the pending ones among `markets`, without threshold but
    /// within the limits. The first pending market decides the shard; markets of other shards and
    /// those beyond [`limits::TOKENS_PER_CONNECTION_MAX`] stay pending, so ask again for them.
    /// The [`Action::Open`] comes out of the next [`Placement::poll`].
    ///
    /// # Errors
    /// [`ForceError`]; nothing has changed then.
    pub fn force_subscribe(
        &mut self,
        markets: &[MarketId],
        now_ns: u64,
        registry: &mut Registry,
    ) -> Result<ConnectionId, ForceError> {
        let pending = markets.iter().filter_map(|market| registry.market(market));
        let mut pending = pending.filter(|record| record.status == Status::Pending);
        let first = pending.next().ok_or(ForceError::NothingPending)?;
        let shard = first.shard;
        let same_shard = pending.filter(|record| record.shard == shard);
        let mut batch = vec![first.info.market];
        batch.extend(same_shard.map(|record| record.info.market));
        let connection = self.add(shard)?;
        let tokens = put(&batch, connection, now_ns, registry);
        self.queued.push(Action::Open { connection, shard, tokens });
        Ok(connection)
    }

    /// [`Placement::force_subscribe`] for the markets that these tokens belong to.
    ///
    /// # Errors
    /// [`ForceError`]; nothing has changed then.
    pub fn force_subscribe_tokens(
        &mut self,
        tokens: &[TokenId],
        now_ns: u64,
        registry: &mut Registry,
    ) -> Result<ConnectionId, ForceError> {
        let records = tokens.iter().filter_map(|token| registry.market_of(token));
        let markets: Vec<MarketId> = records.map(|record| record.info.market).collect();
        self.force_subscribe(&markets, now_ns, registry)
    }

    /// A dial of the connection has begun.
    pub fn on_dialing(&mut self, connection: ConnectionId) {
        self.set_state(connection, ConnectionState::Dialing, "");
    }

    /// The connection is down and waits for its next dial; `why` is for people.
    pub fn on_waiting(&mut self, connection: ConnectionId, why: &str) {
        self.set_state(connection, ConnectionState::Waiting, why);
    }

    /// The connection is up since `wall_ns` (Unix nanoseconds).
    pub fn on_active(&mut self, connection: ConnectionId, wall_ns: u64) {
        self.set_state(connection, ConnectionState::Active, "");
        if let Some(known) = self.connections.get_mut(&connection) {
            known.connected_wall_ns = wall_ns;
            known.connects += 1;
            let counter = if known.connects == 1 {
                &mut self.connections_opened
            } else {
                self.last_reconnect_wall_ns = wall_ns;
                &mut self.reconnects
            };
            *counter += 1;
        }
    }

    /// The connection is closed for good and may be forgotten. Markets that are still on it
    /// (none after an [`Action::Close`]) wait again.
    pub fn on_closed(&mut self, connection: ConnectionId, now_ns: u64, registry: &mut Registry) {
        if let Some(known) = self.connections.remove(&connection) {
            self.by_shard[usize::from(known.shard.0)].remove(&connection);
            self.unlink(connection, &known);
            registry.release(connection, now_ns);
        }
    }

    /// The tokens that a connection is to subscribe to when it comes up: its active ones, and
    /// those of the connections that it is to take over from.
    pub fn subscription(&self, connection: ConnectionId, registry: &Registry) -> Vec<TokenId> {
        let sources = self.replaces(connection).iter().copied().chain([connection]);
        sources.flat_map(|source| registry.active_tokens_of(source)).collect()
    }

    fn set_state(&mut self, connection: ConnectionId, state: ConnectionState, why: &str) {
        if let Some(known) = self.connections.get_mut(&connection)
            && known.state != ConnectionState::Closing
        {
            known.state = state;
            why.clone_into(&mut known.why);
        }
    }

    fn is_full(&self, shard: ShardId) -> bool {
        self.by_shard[usize::from(shard.0)].len() >= limits::CONNECTIONS_PER_SHARD_MAX
    }

    /// A new, empty connection.
    fn add(&mut self, shard: ShardId) -> Result<ConnectionId, ForceError> {
        if self.is_full(shard) {
            return Err(ForceError::NoConnectionLeft);
        }
        self.last_id += 1;
        let connection = ConnectionId(self.last_id);
        self.insert(connection, shard, Role::Books, 0);
        Ok(connection)
    }

    fn insert(&mut self, connection: ConnectionId, shard: ShardId, role: Role, place: u16) {
        self.by_shard[usize::from(shard.0)].insert(connection);
        let (state, why) = (ConnectionState::Waiting, "not dialed yet".to_owned());
        let (connected_wall_ns, connects) = (0, 0);
        let (replaces, replaced_by) = (Vec::new(), None);
        let new = Connection {
            shard,
            role,
            place,
            state,
            why,
            connected_wall_ns,
            connects,
            replaces,
            replaced_by,
        };
        self.connections.insert(connection, new);
    }

    /// A new connection for the shard's oldest pending markets; with `all`, no more are on their way.
    fn open_pending(
        &mut self,
        shard: ShardId,
        all: bool,
        now_ns: u64,
        registry: &mut Registry,
    ) -> Result<Action, ForceError> {
        let connection = self.add(shard)?;
        // A rest that is not worth a connection of its own rides along instead of waiting.
        let rest = registry.pending_tokens(shard).saturating_sub(self.target);
        let extra = if all && rest < self.worth { rest } else { 0 };
        let batch = registry.pending_batch(shard, self.target + extra);
        let tokens = put(&batch, connection, now_ns, registry);
        Ok(Action::Open { connection, shard, tokens })
    }

    /// Places every pending market of a shard that found no slot below the target: in slots up to
    /// the limit, then on a small connection.
    fn place_rest(
        &mut self,
        shard: ShardId,
        now_ns: u64,
        registry: &mut Registry,
        actions: &mut Vec<Action>,
    ) {
        actions.extend(self.fill(shard, limits::TOKENS_PER_CONNECTION_MAX, now_ns, registry));
        while registry.pending_tokens(shard) > 0 {
            let Ok(action) = self.open_pending(shard, true, now_ns, registry) else {
                self.blocked[usize::from(shard.0)] = true;
                return;
            };
            actions.push(action);
        }
    }

    /// Puts pending markets on the connections of a shard, up to `bound` tokens each.
    fn fill(
        &self,
        shard: ShardId,
        bound: usize,
        now_ns: u64,
        registry: &mut Registry,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for (connection, room) in self.with_room(shard, bound, registry) {
            let batch = registry.pending_batch(shard, room);
            let tokens = put(&batch, connection, now_ns, registry);
            if !tokens.is_empty() {
                actions.push(Action::Subscribe { connection, tokens });
            }
        }
        actions
    }

    /// Connections of a shard that may take more until they have `bound` tokens, and how many: those
    /// that are up first, then the fullest.
    fn with_room(
        &self,
        shard: ShardId,
        bound: usize,
        registry: &Registry,
    ) -> Vec<(ConnectionId, usize)> {
        let of_shard = self.by_shard[usize::from(shard.0)].iter();
        let mut open: Vec<(bool, usize, ConnectionId)> = of_shard
            .filter_map(|&connection| {
                let known = &self.connections[&connection];
                let other = if self.races {
                    !known.replaces.is_empty()
                } else {
                    known.replaced_by.is_some()
                };
                let ends = other || known.state == ConnectionState::Closing;
                let tokens = self.load(connection, registry);
                let expired = registry.load(connection).map_or(0, |load| load.tokens_expired);
                let free = bound.saturating_sub(tokens - expired);
                let room = free.min(bound.max(self.slots()).saturating_sub(tokens));
                let away = known.state != ConnectionState::Active;
                (!ends && room > 0).then_some((away, room, connection))
            })
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, room, connection)| (connection, room)).collect()
    }

    /// Most tokens of a connection with expired ones: a market that ended does not make the next one open a connection.
    const fn slots(&self) -> usize {
        self.target * limits::TOKENS_PER_CONNECTION_MAX / limits::TOKENS_PER_CONNECTION_TARGET
    }

    /// Tokens of a connection, those that it is to take over too.
    fn load(&self, connection: ConnectionId, registry: &Registry) -> usize {
        let own = registry.load(connection).map_or(0, |load| load.tokens);
        let coming = self.replaces(connection).iter().filter_map(|from| registry.load(*from));
        own + coming.map(|load| load.active()).sum::<usize>()
    }

    /// Whether a shard has a connection that stays.
    fn has_open(&self, shard: ShardId) -> bool {
        let mut of_shard = self.by_shard[usize::from(shard.0)].iter();
        of_shard.any(|connection| self.connections[connection].state != ConnectionState::Closing)
    }

    fn close_idle(&mut self, now_ns: u64, registry: &mut Registry, actions: &mut Vec<Action>) {
        let idle: Vec<ConnectionId> = registry.idle_connections().collect();
        for connection in idle {
            let known = self.connections.get(&connection);
            if known.is_some_and(|known| !known.replaces.is_empty()) {
                // Markets of its own have ended, and those that it is to take over have not.
                continue;
            }
            if self.is_merged(connection) {
                // It is closed with the others that are merged with it, whatever becomes of that.
                continue;
            }
            let replaced_by = known.and_then(|known| known.replaced_by);
            registry.release(connection, now_ns);
            self.close(connection, "no active market is left", actions);
            let Some(to) = replaced_by else { continue };
            if registry.load(to).is_some_and(|load| load.active() > 0) {
                // What was to take over from it has nothing to take over, and markets of its own.
                self.part(connection, to);
            } else {
                self.close(to, "nothing is left to take over", actions);
            }
        }
    }

    fn close(&mut self, connection: ConnectionId, why: &str, actions: &mut Vec<Action>) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        if known.state != ConnectionState::Closing {
            known.state = ConnectionState::Closing;
            why.clone_into(&mut known.why);
            actions.push(Action::Close { connection });
        }
    }
}

/// Puts the pending ones of these markets on a connection as far as they fit; the tokens that are on it now.
fn put(
    markets: &[MarketId],
    connection: ConnectionId,
    now_ns: u64,
    registry: &mut Registry,
) -> Vec<TokenId> {
    let mut tokens = Vec::new();
    for market in markets {
        let pending = registry.market(market).is_some_and(|r| r.status == Status::Pending);
        if pending
            && registry.mark_subscribed(market, connection, now_ns).is_ok()
            && let Some(record) = registry.market(market)
        {
            tokens.extend(record.info.tokens.iter().map(|outcome| outcome.token));
        }
    }
    tokens
}

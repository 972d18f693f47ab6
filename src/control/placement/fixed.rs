//! A fixed table of connections: which there are from the start, and how markets spread over them.
//!
//! Runs on:  the control core (pure). Times are monotonic nanoseconds.
//! Bounds:   [`limits::MOVES_PER_CHECK`] markets move for balance at a time.
//!
//! A market goes to the connection of its shard that is up and carries the least. A connection that is down for
//! longer than [`limits::AWAY_TIMEOUT_NS`] gives its markets to the others; one that comes back takes its share
//! again, little by little. What the venue refused a connection as too much is its cap from then on.
use super::{Action, Connection, ConnectionState, Placement, put};
use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::base::limits;
use crate::base::policy::ConnectionTable;
use crate::control::registry::Registry;
use crate::venue::Role;
use std::collections::BTreeMap;

/// What a fixed table needs beside the connections themselves.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    table: ConnectionTable,
    /// What this engine has of the table, and what was opened of it.
    share: ConnectionTable,
    opened: Option<ConnectionTable>,
    /// The number before the first one's.
    base: Option<u32>,
    /// Markets wait until the connections had time to come up, so that the first does not get them all.
    gate_ns: Option<u64>,
    next_check_ns: u64,
    /// Connections that are down, since when.
    away: BTreeMap<ConnectionId, u64>,
    /// What the venue was found to take on a connection.
    caps: BTreeMap<ConnectionId, usize>,
    /// Markets that left a connection which failed, or moved for balance.
    pub(super) moved: u64,
}

impl Fixed {
    pub(super) const fn new(table: ConnectionTable) -> Self {
        Self {
            table,
            share: table,
            opened: None,
            base: None,
            gate_ns: None,
            next_check_ns: 0,
            away: BTreeMap::new(),
            caps: BTreeMap::new(),
            moved: 0,
        }
    }
}

/// Connections of a table for one purpose.
const fn count(table: ConnectionTable, role: Role) -> u16 {
    match role {
        Role::Tickers => table.tickers,
        Role::Trades => table.trades,
        Role::Lifecycle => table.lifecycle,
        Role::Books => table.books,
    }
}

impl Placement {
    /// What a connection is for.
    pub fn role(&self, connection: ConnectionId) -> Role {
        self.connections.get(&connection).map_or(Role::Books, |known| known.role)
    }

    /// What a connection is called: fixed ones by their purpose and their place among those, as in `orderbook-1`.
    pub fn name(&self, connection: ConnectionId) -> String {
        let fixed = self.fixed.is_some().then(|| self.connections.get(&connection)).flatten();
        fixed.map_or_else(
            || connection.to_string(),
            |known| format!("{}-{}", known.role.name(), known.place),
        )
    }

    /// Markets that left a connection which failed, or moved for balance.
    pub fn moved(&self) -> u64 {
        self.fixed.as_ref().map_or(0, |fixed| fixed.moved)
    }

    /// Has a member's share of the table, of so many members; nothing for 0.
    pub fn share_among(&mut self, members: u64) {
        let shards = self.by_shard.len() as u16;
        if let Some(fixed) = &mut self.fixed {
            fixed.share = fixed.table.share(members, shards);
        }
    }

    /// Connections of the table, and of its share; `None` without a table.
    pub fn share(&self) -> Option<[u32; 2]> {
        self.fixed.as_ref().map(|fixed| [fixed.table.total(), fixed.share.total()])
    }

    /// True where the connections are a fixed table.
    pub const fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// The venue takes no more on a connection; these tokens wait for another.
    pub fn on_full(
        &mut self,
        connection: ConnectionId,
        tokens: &[TokenId],
        now_ns: u64,
        registry: &mut Registry,
    ) {
        for token in tokens {
            let Some(record) = registry.market_of(token) else { continue };
            if record.connection == Some(connection) {
                let market = record.info.market;
                registry.mark_pending(&market, now_ns);
            }
        }
        let load = registry.load(connection).map_or(0, |load| load.tokens);
        if let Some(fixed) = &mut self.fixed {
            fixed.caps.insert(connection, load);
        }
    }

    /// What is to be done now with a fixed table.
    pub(super) fn poll_fixed(&mut self, now_ns: u64, registry: &mut Registry) -> Vec<Action> {
        let Some(mut fixed) = self.fixed.take() else { return Vec::new() };
        let mut actions = std::mem::take(&mut self.queued);
        // Tokens are subscribed on their new connection before they leave the old one.
        let mut left = Vec::new();
        if fixed.opened != Some(fixed.share) {
            self.open_share(&mut fixed, now_ns, registry, (&mut actions, &mut left));
        }
        let all_up = self.books().all(|(_, known)| known.state == ConnectionState::Active);
        if all_up || fixed.gate_ns.is_some_and(|gate_ns| now_ns >= gate_ns) {
            fixed.gate_ns = None;
        }
        self.leave_away(&mut fixed, now_ns, registry, &mut left);
        if fixed.gate_ns.is_none() {
            for shard in (0..self.by_shard.len() as u16).map(ShardId) {
                self.spread(&fixed, shard, now_ns, registry, &mut actions);
            }
            if now_ns >= fixed.next_check_ns {
                fixed.next_check_ns = now_ns + limits::BALANCE_INTERVAL_NS;
                for shard in (0..self.by_shard.len() as u16).map(ShardId) {
                    self.balance(&mut fixed, shard, now_ns, registry, &mut actions, &mut left);
                }
            }
        }
        actions.append(&mut left);
        self.fixed = Some(fixed);
        actions
    }

    fn books(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        let all = self.connections.iter().map(|(&id, known)| (id, known));
        all.filter(|(_, known)| known.role == Role::Books)
    }

    /// Opens what the share has more than before, and closes what it has less: markets of those wait for another one.
    fn open_share(
        &mut self,
        fixed: &mut Fixed,
        now_ns: u64,
        registry: &mut Registry,
        (actions, left): (&mut Vec<Action>, &mut Vec<Action>),
    ) {
        if self.connections.is_empty() {
            fixed.gate_ns = Some(now_ns + limits::START_GATE_NS);
        }
        fixed.opened = Some(fixed.share);
        let mut number = *fixed.base.get_or_insert(self.last_id);
        for role in Role::ALL {
            for place in 0..count(fixed.table, role) {
                number += 1;
                let connection = ConnectionId(number);
                let shard = ShardId(place % self.by_shard.len() as u16);
                let is_open = self.connections.contains_key(&connection);
                if place >= count(fixed.share, role) {
                    fixed.moved += registry.load(connection).map_or(0, |load| load.active() as u64);
                    registry.release(connection, now_ns);
                    self.close(connection, "it is another member's share", left);
                } else if !is_open && !self.is_full(shard) {
                    self.insert(connection, shard, role, place + 1);
                    actions.push(Action::Open { connection, shard, tokens: Vec::new() });
                }
            }
        }
        self.last_id = number;
    }

    /// Markets of connections that have been down for too long wait again, if another connection could take them.
    fn leave_away(
        &self,
        fixed: &mut Fixed,
        now_ns: u64,
        registry: &mut Registry,
        left: &mut Vec<Action>,
    ) {
        let up = |state| state == ConnectionState::Active;
        let down: Vec<(ConnectionId, ShardId)> = self
            .books()
            .filter(|(_, known)| !up(known.state))
            .map(|(id, known)| (id, known.shard))
            .collect();
        fixed.away.retain(|id, _| down.iter().any(|(down, _)| down == id));
        for (connection, shard) in down {
            let since_ns = *fixed.away.entry(connection).or_insert(now_ns);
            let others = self.books().any(|(_, known)| known.shard == shard && up(known.state));
            let late = now_ns >= since_ns + limits::AWAY_TIMEOUT_NS;
            let Some(load) = registry.load(connection).filter(|load| load.active() > 0) else {
                continue;
            };
            if late && others {
                fixed.moved += load.active() as u64;
                let tokens = registry.tokens_of(connection).collect();
                registry.release(connection, now_ns);
                left.push(Action::Unsubscribe { connection, tokens });
            }
        }
    }

    /// Puts every pending market of a shard on the connection that carries the least.
    fn spread(
        &self,
        fixed: &Fixed,
        shard: ShardId,
        now_ns: u64,
        registry: &mut Registry,
        actions: &mut Vec<Action>,
    ) {
        if registry.pending_tokens(shard) == 0 {
            return;
        }
        let mut loads = self.loads(fixed, shard, registry);
        let mut batches: BTreeMap<ConnectionId, Vec<MarketId>> = BTreeMap::new();
        for market in registry.pending_batch(shard, usize::MAX) {
            let tokens = registry.market(&market).map_or(0, |record| record.info.tokens.len());
            // One that takes no more is left out; the next one has more on it, but perhaps a higher cap.
            let fits = loop {
                match loads.pop_first() {
                    Some((_, (load, _, cap))) if load + tokens > cap => {}
                    other => break other,
                }
            };
            let Some((_, (load, connection, cap))) = fits else { break };
            loads.insert((load + tokens, connection), (load + tokens, connection, cap));
            batches.entry(connection).or_default().push(market);
        }
        for (connection, batch) in batches {
            let tokens = put(&batch, connection, now_ns, registry);
            if !tokens.is_empty() {
                actions.push(Action::Subscribe { connection, tokens });
            }
        }
    }

    /// Connections of a shard that are up, the least loaded first: load, connection, cap.
    fn loads(
        &self,
        fixed: &Fixed,
        shard: ShardId,
        registry: &Registry,
    ) -> BTreeMap<(usize, ConnectionId), (usize, ConnectionId, usize)> {
        let up = self
            .books()
            .filter(|(_, known)| known.shard == shard && known.state == ConnectionState::Active);
        up.map(|(id, _)| {
            let load = registry.load(id).map_or(0, |load| load.tokens);
            let cap = fixed.caps.get(&id).copied().unwrap_or(self.target);
            ((load, id), (load, id, cap))
        })
        .collect()
    }

    /// Moves markets from the connection that carries the most to the one that carries the least.
    fn balance(
        &self,
        fixed: &mut Fixed,
        shard: ShardId,
        now_ns: u64,
        registry: &mut Registry,
        actions: &mut Vec<Action>,
        left: &mut Vec<Action>,
    ) {
        let loads = self.loads(fixed, shard, registry);
        let (Some(&(least, to, cap)), Some(&(most, from, _))) =
            (loads.values().next(), loads.values().next_back())
        else {
            return;
        };
        let apart = most - least;
        if apart <= limits::BALANCE_SLACK.max(most / 4) {
            return;
        }
        let room = cap.saturating_sub(least);
        let count = (apart / 2).min(limits::MOVES_PER_CHECK).min(room);
        let tokens: Vec<TokenId> = registry.active_tokens_of(from).take(count).collect();
        let markets: Vec<MarketId> = tokens
            .iter()
            .filter_map(|token| registry.market_of(token))
            .map(|record| record.info.market)
            .collect();
        for market in &markets {
            registry.mark_pending(market, now_ns);
        }
        let tokens = put(&markets, to, now_ns, registry);
        if tokens.is_empty() {
            return;
        }
        fixed.moved += markets.len() as u64;
        actions.push(Action::Subscribe { connection: to, tokens: tokens.clone() });
        left.push(Action::Unsubscribe { connection: from, tokens });
    }
}

#[cfg(test)]
mod tests;

//! Lookups: what the control core asks the registry. Nothing here changes it.
//!
//! Runs on:  the control core (pure).
use super::{Load, Record, Registry, Status};
use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::counter::report::RegistryReport;

impl Registry {
    /// The record of a market.
    pub fn market(&self, market: &MarketId) -> Option<&Record> {
        self.by_market.get(market).map(|&slot| self.record(slot))
    }

    /// The record of the market that a token belongs to.
    pub fn market_of(&self, token: &TokenId) -> Option<&Record> {
        self.by_token.get(token).map(|&slot| self.record(slot))
    }

    /// True when the market is registered, or was and has been removed.
    pub fn is_known(&self, market: &MarketId) -> bool {
        self.by_market.contains_key(market)
            || self.is_shared(market)
            || self.remembered.contains_key(market)
    }

    /// Every registered market, in no particular order. O(markets).
    pub fn markets(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().flatten()
    }

    /// Tokens that one connection carries at most.
    pub const fn tokens_per_connection(&self) -> usize {
        self.tokens_per_connection
    }

    /// Markets that are registered at most.
    pub const fn markets_max(&self) -> usize {
        self.markets_max
    }

    /// Tokens of a shard that wait for a connection.
    pub fn pending_tokens(&self, shard: ShardId) -> usize {
        self.pending.get(usize::from(shard.0)).map_or(0, |pending| pending.tokens)
    }

    /// Whether a pending market of a shard must not wait for company.
    pub fn has_urgent(&self, shard: ShardId) -> bool {
        self.pending.get(usize::from(shard.0)).is_some_and(|pending| pending.urgent > 0)
    }

    /// Tokens that wait for a connection.
    pub const fn pending_tokens_total(&self) -> u64 {
        self.counts.tokens_pending
    }

    /// The markets of a shard that have waited longest and together have at most `tokens_max`
    /// tokens, in order. They stay pending until [`Registry::mark_subscribed`].
    pub fn pending_batch(&self, shard: ShardId, tokens_max: usize) -> Vec<MarketId> {
        let mut batch = Vec::new();
        let mut tokens = 0;
        for &slot in self.pending.get(usize::from(shard.0)).iter().flat_map(|p| p.queue.values()) {
            let info = &self.record(slot).info;
            tokens += info.tokens.len();
            if tokens > tokens_max {
                break;
            }
            batch.push(info.market);
        }
        batch
    }

    /// When the longest wait of a shard's pending markets began, monotonic nanoseconds.
    pub fn oldest_pending_since(&self, shard: ShardId) -> Option<u64> {
        let (_, &slot) = self.pending.get(usize::from(shard.0))?.queue.first_key_value()?;
        Some(self.record(slot).since_ns)
    }

    /// Markets that are not expired and end before `wall_ns` (Unix nanoseconds), soonest first.
    pub fn expiring_before(&self, wall_ns: u64) -> impl Iterator<Item = &Record> {
        self.by_end.range(..(wall_ns, 0)).map(|&(_, slot)| self.record(slot))
    }

    /// Markets that expired before `now_ns` (monotonic), longest ago first.
    pub fn expired_before(&self, now_ns: u64) -> impl Iterator<Item = &Record> {
        self.expired.range(..(now_ns, 0)).map(|&(_, slot)| self.record(slot))
    }

    /// What a connection carries; `None` when nothing.
    pub fn load(&self, connection: ConnectionId) -> Option<&Load> {
        self.loads.get(&connection)
    }

    /// The markets on a connection, expired ones too.
    pub fn markets_of(&self, connection: ConnectionId) -> impl Iterator<Item = &Record> {
        let slots = self.loads.get(&connection).map(|load| &load.slots);
        slots.into_iter().flatten().map(|&slot| self.record(slot))
    }

    /// The tokens on a connection, expired ones too; a market's tokens follow each other.
    pub fn tokens_of(&self, connection: ConnectionId) -> impl Iterator<Item = TokenId> {
        self.markets_of(connection).flat_map(|record| &record.info.tokens).map(|o| o.token)
    }

    /// The tokens on a connection whose market has not expired: what it should subscribe to.
    pub fn active_tokens_of(&self, connection: ConnectionId) -> impl Iterator<Item = TokenId> {
        self.markets_of(connection)
            .filter(|record| record.status == Status::Subscribed)
            .flat_map(|record| &record.info.tokens)
            .map(|outcome| outcome.token)
    }

    /// Connections that lost their last active market and were not released since.
    pub fn idle_connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.idle.iter().copied()
    }

    /// Markets and tokens by status. O(1) but for markets that share their tokens.
    pub fn report(&self) -> RegistryReport {
        let mut report = self.counts.clone();
        report.markets_shared = self.shared.len() as u64;
        report.markets += report.markets_shared;
        report.tokens += self.shared.tokens();
        report
    }
}

//! The registry: every market the engine knows, its status and its connection.
//!
//! Runs on:  the control core, which is its only writer (pure: no clock, no socket).
//! Owns:     the market records and their indexes.
//! Bounds:   [`limits::MARKETS_MAX`] markets, or what the connections carry together if that is more,
//!           [`limits::TOKENS_PER_MARKET_MAX`] tokens each,
//!           [`limits::TOKENS_PER_CONNECTION_MAX`] tokens a connection,
//!           [`limits::REMEMBERED_MARKETS_MAX`] ids of markets that were removed.
//!
//! A market is the unit: its tokens change status and connection together. Every change goes
//! through `Registry::change`, which takes the market out of all indexes and puts it back, so
//! an index cannot be forgotten. Changes and lookups cost O(log n).
mod load;
mod lookup;
mod shared;
#[cfg(test)]
mod tests;

pub use load::Load;

use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::base::{limits, routing};
use crate::counter::report::RegistryReport;
use crate::market::info::{MarketInfo, Resolution};
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where a market is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It waits for a connection.
    Pending,
    /// It is on a connection.
    Subscribed,
    /// It ended, resolved or closed; it may still be on a connection until it is removed.
    Expired,
}

/// The source of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The venue's catalog.
    Catalog,
    /// The venue's stream (`new_market`).
    Stream,
    /// A person: registered even if it was removed before.
    Manual,
}

/// What became of [`Registry::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is pending now, or its books are those of another market.
    New,
    /// It is registered already, or was and has been removed. Nothing changed.
    Known,
    /// It cannot be registered. *Count and go on.*
    Refused(Refusal),
}

/// Why a market cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no token, the same token twice, or more than [`limits::TOKENS_PER_MARKET_MAX`].
    Tokens,
    /// One of its tokens, but not all, belongs to another market.
    TokenTaken,
    /// [`Registry::markets_max`] markets are registered.
    Full,
}

/// Why a market cannot be put on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceError {
    /// No such market. *Count and go on.*
    Unknown,
    /// It has expired. *Count and go on.*
    Expired,
    /// The connection carries markets of another shard. *Choose another connection.*
    OtherShard,
    /// The connection would exceed [`limits::TOKENS_PER_CONNECTION_MAX`]. *Choose another.*
    ConnectionFull,
}

/// One registered market.
#[derive(Clone, Debug)]
pub struct Record {
    /// What is known of it.
    pub info: MarketInfo,
    /// The shard its books live on.
    pub shard: ShardId,
    /// Its status.
    pub status: Status,
    /// Its connection; always there when subscribed, never when pending.
    pub connection: Option<ConnectionId>,
    /// Its first source.
    pub source: Source,
    /// When its status began, monotonic nanoseconds.
    pub since_ns: u64,
    /// How the venue has decided it, and when, nanoseconds since the Unix epoch.
    pub resolution: Option<(Resolution, u64)>,
    /// It must not wait for company while it is pending.
    pub urgent: bool,
    /// Place in the queue of pending markets; grows with every wait that begins.
    sequence: u64,
}

type Slot = u32;

/// Every market, by id, token, connection, status and end. Single writer.
#[derive(Clone, Debug)]
pub struct Registry {
    shards: u16,
    tokens_per_connection: usize,
    markets_max: usize,
    slots: Vec<Option<Record>>,
    free: Vec<Slot>,
    by_market: HashMap<MarketId, Slot, FixedState>,
    by_token: HashMap<TokenId, Slot, FixedState>,
    pending: Vec<Pending>,
    subscribed: BTreeSet<Slot>,
    expired: BTreeSet<(u64, Slot)>,
    by_end: BTreeSet<(u64, Slot)>,
    loads: BTreeMap<ConnectionId, Load>,
    idle: BTreeSet<ConnectionId>,
    redescribed: Vec<MarketId>,
    /// Markets whose last change is not published; `None` when nothing is published.
    unpublished: Option<BTreeSet<MarketId>>,
    /// Markets whose tokens are another one's.
    shared: shared::Shared,
    remembered: HashMap<MarketId, u64, FixedState>,
    remembered_order: BTreeMap<u64, MarketId>,
    sequence: u64,
    counts: RegistryReport,
}

/// The pending markets of one shard, oldest first.
#[derive(Clone, Debug, Default)]
struct Pending {
    queue: BTreeMap<u64, Slot>,
    tokens: usize,
    /// Of these, markets that must not wait for company.
    urgent: usize,
}

impl Registry {
    /// An empty registry for `shards` shards (at least one).
    #[must_use]
    pub fn new(shards: u16) -> Self {
        let shards = shards.max(1);
        Self {
            shards,
            tokens_per_connection: limits::TOKENS_PER_CONNECTION_MAX,
            markets_max: limits::MARKETS_MAX,
            slots: Vec::new(),
            free: Vec::new(),
            by_market: HashMap::default(),
            by_token: HashMap::default(),
            pending: vec![Pending::default(); usize::from(shards)],
            subscribed: BTreeSet::new(),
            expired: BTreeSet::new(),
            by_end: BTreeSet::new(),
            loads: BTreeMap::new(),
            idle: BTreeSet::new(),
            redescribed: Vec::new(),
            unpublished: None,
            shared: shared::Shared::default(),
            remembered: HashMap::default(),
            remembered_order: BTreeMap::new(),
            sequence: 0,
            counts: RegistryReport::default(),
        }
    }

    /// The same for connections that carry at most so many tokens.
    #[must_use]
    pub const fn carrying(mut self, tokens_per_connection: usize) -> Self {
        self.tokens_per_connection = tokens_per_connection;
        self
    }

    /// The same for at most so many markets, instead of [`limits::MARKETS_MAX`].
    #[must_use]
    pub const fn holding(mut self, markets_max: usize) -> Self {
        self.markets_max = markets_max;
        self
    }

    /// Adds a market, pending, with all its tokens. `now_ns` is monotonic.
    ///
    /// A market that was removed counts as known, so that a catalog that still lists it does
    /// not bring it back; only [`Source::Manual`] does.
    pub fn register(&mut self, info: MarketInfo, now_ns: u64, source: Source) -> Registered {
        if self.by_market.contains_key(&info.market) || self.is_shared(&info.market) {
            self.refresh_shared(&info);
            return Registered::Known;
        }
        if self.remembered.contains_key(&info.market) && source != Source::Manual {
            return Registered::Known;
        }
        if let Some(refusal) = self.refusal(&info) {
            if refusal == Refusal::TokenTaken && self.share(&info, now_ns) {
                return Registered::New;
            }
            return Registered::Refused(refusal);
        }
        if let Some(order) = self.remembered.remove(&info.market) {
            self.remembered_order.remove(&order);
        }
        let shard = self.shard_of(&info.market);
        let slot = self.free.pop().unwrap_or(self.slots.len() as Slot);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.by_market.insert(info.market, slot);
        for outcome in &info.tokens {
            self.by_token.insert(outcome.token, slot);
        }
        let sequence = self.next_sequence();
        let (status, connection) = (Status::Pending, None);
        self.mark_unpublished(&info.market);
        let (since_ns, resolution) = (now_ns, None);
        let urgent = source != Source::Catalog;
        self.slots[slot as usize] = Some(Record {
            info,
            shard,
            status,
            connection,
            source,
            since_ns,
            resolution,
            urgent,
            sequence,
        });
        self.enter(slot);
        Registered::New
    }

    /// The shard of a market, registered or not.
    #[must_use]
    pub fn shard_of(&self, market: &MarketId) -> ShardId {
        routing::shard_of(market.as_bytes(), self.shards)
    }

    /// Takes over what the catalog says anew about a registered market (end, tick, names).
    /// False, and nothing changed, when it is not registered or its tokens differ.
    pub fn refresh(&mut self, info: &MarketInfo) -> bool {
        let Some(&slot) = self.by_market.get(&info.market) else { return false };
        let known = &self.record(slot).info;
        let tokens = |info: &MarketInfo| info.tokens.iter().map(|o| o.token).collect::<Vec<_>>();
        if tokens(known) != tokens(info) {
            return false;
        }
        if known != info {
            let facts = |info: &MarketInfo| (info.tick_size, info.min_order_size, info.neg_risk);
            if facts(known) != facts(info) && self.record(slot).status == Status::Subscribed {
                self.redescribed.push(info.market);
            }
            self.mark_unpublished(&info.market);
            let info = info.clone();
            self.change(slot, |record| record.info = info);
        }
        true
    }

    /// Subscribed markets whose tick size, smallest order or set changed since the last call:
    /// their shards are to be updated.
    pub fn take_redescribed(&mut self) -> Vec<MarketId> {
        std::mem::take(&mut self.redescribed)
    }

    /// Puts a market on a connection; one that is on another connection moves.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing has changed then.
    pub fn mark_subscribed(
        &mut self,
        market: &MarketId,
        connection: ConnectionId,
        now_ns: u64,
    ) -> Result<(), PlaceError> {
        let slot = *self.by_market.get(market).ok_or(PlaceError::Unknown)?;
        let record = self.record(slot);
        if record.status == Status::Expired {
            return Err(PlaceError::Expired);
        }
        if record.connection == Some(connection) {
            return Ok(());
        }
        if let Some(load) = self.loads.get(&connection) {
            if load.shard != record.shard {
                return Err(PlaceError::OtherShard);
            }
            if load.tokens + record.info.tokens.len() > self.tokens_per_connection {
                return Err(PlaceError::ConnectionFull);
            }
        }
        self.change(slot, |record| {
            record.status = Status::Subscribed;
            record.connection = Some(connection);
            record.since_ns = now_ns;
        });
        Ok(())
    }

    /// Takes a market off its connection, which the caller unsubscribes, and lets it wait again,
    /// last in the queue but not for company. False when it is unknown or pending already.
    pub fn mark_pending(&mut self, market: &MarketId, now_ns: u64) -> bool {
        let Some(&slot) = self.by_market.get(market) else { return false };
        if self.record(slot).status == Status::Pending {
            return false;
        }
        let sequence = self.next_sequence();
        self.change(slot, |record| {
            record.status = Status::Pending;
            record.connection = None;
            record.urgent = true;
            record.since_ns = now_ns;
            record.sequence = sequence;
        });
        true
    }

    /// A market that is pending does not wait for company: it gets a connection at once.
    pub fn hasten(&mut self, market: &MarketId) {
        let Some(&slot) = self.by_market.get(market) else { return };
        if !self.record(slot).urgent {
            self.change(slot, |record| record.urgent = true);
        }
    }

    /// Marks a market expired; it stays on its connection. False when unknown or expired already. A market that
    /// another one shares its books with stays as it is until that one is over too.
    pub fn mark_expired(&mut self, market: &MarketId, now_ns: u64) -> bool {
        if let Some(is_new) = self.expire_shared(market, now_ns) {
            return is_new;
        }
        let Some(&slot) = self.by_market.get(market) else { return false };
        if self.record(slot).status == Status::Expired {
            return false;
        }
        self.mark_unpublished(market);
        self.change(slot, |record| {
            record.status = Status::Expired;
            record.since_ns = now_ns;
        });
        true
    }

    /// The venue has decided a market, or says that it has without saying how. A venue may amend its decision: the
    /// last one counts.
    pub fn resolve(&mut self, market: &MarketId, resolution: Resolution, wall_ns: u64) {
        let Some(&slot) = self.by_market.get(market) else { return };
        let record = self.record(slot);
        let mut resolution = resolution.completed(&record.info.tokens);
        if let Some((known, _)) = &record.resolution {
            resolution = resolution.after(known);
            if !resolution.is_decided() || resolution == *known {
                return;
            }
        }
        self.mark_unpublished(market);
        self.change(slot, |record| record.resolution = Some((resolution, wall_ns)));
    }

    /// From now on [`Registry::take_unpublished`] gives what has changed.
    pub fn track_changes(&mut self) {
        self.unpublished.get_or_insert_default();
    }

    /// The next market whose facts, end or outcome have changed; each once, however often it did.
    pub fn take_unpublished(&mut self) -> Option<MarketId> {
        self.unpublished.as_mut()?.pop_first()
    }

    /// It is to be given by [`Registry::take_unpublished`] (again).
    pub fn mark_unpublished(&mut self, market: &MarketId) {
        if let Some(unpublished) = &mut self.unpublished {
            unpublished.insert(*market);
        }
    }

    /// An expired market trades again after all: it is subscribed where it still is on a
    /// connection, else pending. False when it is unknown or not expired.
    pub fn revive(&mut self, market: &MarketId, now_ns: u64) -> bool {
        if self.revive_shared(market) {
            return true;
        }
        let Some(&slot) = self.by_market.get(market) else { return false };
        let record = self.record(slot);
        if record.status != Status::Expired {
            return false;
        }
        let on_none = record.connection.is_none();
        self.mark_unpublished(market);
        if on_none {
            return self.mark_pending(market, now_ns);
        }
        self.change(slot, |record| {
            record.status = Status::Subscribed;
            record.since_ns = now_ns;
        });
        true
    }

    /// Moves every market that is not expired from one connection to another; the expired stay.
    /// The tokens moved.
    ///
    /// # Errors
    /// [`PlaceError::OtherShard`] or [`PlaceError::ConnectionFull`]; nothing has moved then.
    pub fn reassign(
        &mut self,
        from: ConnectionId,
        to: ConnectionId,
        now_ns: u64,
    ) -> Result<usize, PlaceError> {
        let Some(source) = self.loads.get(&from) else { return Ok(0) };
        if from == to {
            return Ok(0);
        }
        if let Some(target) = self.loads.get(&to) {
            if target.shard != source.shard {
                return Err(PlaceError::OtherShard);
            }
            if target.tokens + source.active() > self.tokens_per_connection {
                return Err(PlaceError::ConnectionFull);
            }
        }
        let moved = source.active();
        for slot in self.slots_on(from, Status::Subscribed) {
            self.change(slot, |record| {
                record.connection = Some(to);
                record.since_ns = now_ns;
            });
        }
        Ok(moved)
    }

    /// A connection is gone: its active markets wait again, its expired ones lose it.
    pub fn release(&mut self, connection: ConnectionId, now_ns: u64) {
        self.drop_expired(connection);
        for slot in self.slots_on(connection, Status::Subscribed) {
            let market = self.record(slot).info.market;
            self.mark_pending(&market, now_ns);
        }
        self.idle.remove(&connection);
    }

    /// Takes the expired markets off a connection, as when it reconnects without them. The
    /// tokens that left.
    pub fn drop_expired(&mut self, connection: ConnectionId) -> usize {
        let before = self.load(connection).map_or(0, |load| load.tokens_expired);
        for slot in self.slots_on(connection, Status::Expired) {
            self.change(slot, |record| record.connection = None);
        }
        before
    }

    /// Forgets a market but for its id, which stays known. Its last state, if there was one.
    pub fn remove(&mut self, market: &MarketId) -> Option<Record> {
        self.unshare(market);
        let slot = self.by_market.remove(market)?;
        let connection = self.record(slot).connection;
        self.leave(slot);
        let record = self.slots[slot as usize].take().expect("indexed slots are filled");
        self.free.push(slot);
        for outcome in &record.info.tokens {
            self.by_token.remove(&outcome.token);
        }
        if let Some(connection) = connection {
            self.settle(connection);
        }
        let order = self.next_sequence();
        self.remembered.insert(*market, order);
        self.remembered_order.insert(order, *market);
        if self.remembered.len() > limits::REMEMBERED_MARKETS_MAX
            && let Some((_, oldest)) = self.remembered_order.pop_first()
        {
            self.remembered.remove(&oldest);
        }
        Some(record)
    }

    // ---- Indexes ---------------------------------------------------------------------------

    /// The only way to change a record: out of every index, change, back in.
    fn change(&mut self, slot: Slot, apply: impl FnOnce(&mut Record)) {
        let before = self.record(slot).connection;
        self.leave(slot);
        apply(self.slots[slot as usize].as_mut().expect("indexed slots are filled"));
        let after = self.record(slot).connection;
        self.enter(slot);
        for connection in [before, after].into_iter().flatten() {
            self.settle(connection);
        }
    }

    fn enter(&mut self, slot: Slot) {
        let record = self.slots[slot as usize].as_ref().expect("indexed slots are filled");
        let tokens = record.info.tokens.len();
        self.counts.markets += 1;
        self.counts.tokens += tokens as u64;
        *tokens_with(&mut self.counts, record.status) += tokens as u64;
        match record.status {
            Status::Pending => {
                let pending = &mut self.pending[usize::from(record.shard.0)];
                pending.queue.insert(record.sequence, slot);
                pending.tokens += tokens;
                pending.urgent += usize::from(record.urgent);
            }
            Status::Subscribed => _ = self.subscribed.insert(slot),
            Status::Expired => _ = self.expired.insert((record.since_ns, slot)),
        }
        if record.status != Status::Expired
            && let Some(end) = record.info.end_wall_ns
        {
            self.by_end.insert((end, slot));
        }
        if let Some(connection) = record.connection {
            let load = self.loads.entry(connection).or_insert_with(|| Load::new(record.shard));
            load.add(slot, tokens, record.status);
        }
    }

    fn leave(&mut self, slot: Slot) {
        let record = self.slots[slot as usize].as_ref().expect("indexed slots are filled");
        let tokens = record.info.tokens.len();
        self.counts.markets -= 1;
        self.counts.tokens -= tokens as u64;
        *tokens_with(&mut self.counts, record.status) -= tokens as u64;
        match record.status {
            Status::Pending => {
                let pending = &mut self.pending[usize::from(record.shard.0)];
                pending.queue.remove(&record.sequence);
                pending.tokens -= tokens;
                pending.urgent -= usize::from(record.urgent);
            }
            Status::Subscribed => _ = self.subscribed.remove(&slot),
            Status::Expired => _ = self.expired.remove(&(record.since_ns, slot)),
        }
        if let Some(end) = record.info.end_wall_ns {
            self.by_end.remove(&(end, slot));
        }
        if let Some(load) = record.connection.and_then(|c| self.loads.get_mut(&c)) {
            load.subtract(slot, tokens, record.status);
        }
    }

    /// After a change: a connection without active markets is idle, one without any has no load.
    fn settle(&mut self, connection: ConnectionId) {
        let load = self.loads.get(&connection);
        if load.is_some_and(|load| load.active() > 0) {
            self.idle.remove(&connection);
            return;
        }
        if load.is_some_and(|load| load.tokens == 0) {
            self.loads.remove(&connection);
        }
        self.idle.insert(connection);
    }

    fn record(&self, slot: Slot) -> &Record {
        self.slots[slot as usize].as_ref().expect("indexed slots are filled")
    }

    fn slots_on(&self, connection: ConnectionId, status: Status) -> Vec<Slot> {
        let slots = self.loads.get(&connection).map(|load| &load.slots);
        let with_status = |&slot: &Slot| self.record(slot).status == status;
        slots.into_iter().flatten().copied().filter(with_status).collect()
    }

    const fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn refusal(&self, info: &MarketInfo) -> Option<Refusal> {
        let tokens = &info.tokens;
        let twice =
            (1..tokens.len()).any(|i| tokens[..i].iter().any(|o| o.token == tokens[i].token));
        if tokens.is_empty() || tokens.len() > limits::TOKENS_PER_MARKET_MAX || twice {
            return Some(Refusal::Tokens);
        }
        if tokens.iter().any(|outcome| self.by_token.contains_key(&outcome.token)) {
            return Some(Refusal::TokenTaken);
        }
        (self.by_market.len() >= self.markets_max).then_some(Refusal::Full)
    }
}

const fn tokens_with(counts: &mut RegistryReport, status: Status) -> &mut u64 {
    match status {
        Status::Pending => &mut counts.tokens_pending,
        Status::Subscribed => &mut counts.tokens_subscribed,
        Status::Expired => &mut counts.tokens_expired,
    }
}

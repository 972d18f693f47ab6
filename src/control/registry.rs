//! Registry: every market, its status and its connection.
//!
//! Runs on:  control core, the only writer (pure; time is an argument).
//! Owns:     market records and their indexes.
//! Bounds:   [`limits::MARKETS_MAX`] markets, or what the connections carry together if more,
//!           [`limits::TOKENS_PER_MARKET_MAX`] tokens each,
//!           [`limits::TOKENS_PER_CONNECTION_MAX`] tokens per connection,
//!           [`limits::REMEMBERED_MARKETS_MAX`] ids of removed markets.
//!
//! Tokens of a market change status and connection together. Every change goes through `Registry::change`, which
//! removes the market from all indexes and inserts it again. Changes and lookups cost O(log n).
mod load;
mod lookup;
mod shared;
mod slices;
#[cfg(test)]
mod tests;

pub use load::Load;
pub use slices::Progress;

use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::base::slices::{SliceSet, slice_of};
use crate::base::{limits, routing};
use crate::counter::report::RegistryReport;
use crate::market::info::{MarketInfo, Resolution};
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Status of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Its slice is another machine's.
    Elsewhere,
    /// Waits for a connection.
    Pending,
    /// On a connection.
    Subscribed,
    /// Ended, resolved or closed; on a connection until removed.
    Expired,
}

/// The source of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The venue's catalog.
    Catalog,
    /// The venue's stream (`new_market`).
    Stream,
    /// A user: registered even if it was removed before.
    Manual,
}

/// Result of [`Registry::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Now pending, or sharing the books of another market.
    New,
    /// Registered already, or removed before. Nothing changed.
    Known,
    /// Refused; the caller counts it.
    Refused(Refusal),
}

/// Why a market is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token, a repeated token, or more than [`limits::TOKENS_PER_MARKET_MAX`].
    Tokens,
    /// Some of its tokens belong to another market.
    TokenTaken,
    /// [`Registry::markets_max`] is reached.
    Full,
}

/// Why a market cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceError {
    /// No such market; the caller counts it.
    Unknown,
    /// Expired; the caller counts it.
    Expired,
    /// The connection carries markets of another shard; choose another one.
    OtherShard,
    /// The connection would exceed [`limits::TOKENS_PER_CONNECTION_MAX`]; choose another one.
    ConnectionFull,
}

/// One registered market.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its facts.
    pub info: MarketInfo,
    /// Shard of its books.
    pub shard: ShardId,
    /// Its slice.
    pub slice: u8,
    /// Its status.
    pub status: Status,
    /// Its connection: set if subscribed, unset if pending.
    pub connection: Option<ConnectionId>,
    /// Its first source.
    pub source: Source,
    /// Start of its status, monotonic nanoseconds.
    pub since_ns: u64,
    /// Result and its time, nanoseconds since the Unix epoch.
    pub resolution: Option<(Resolution, u64)>,
    /// While pending it must be placed at once.
    pub urgent: bool,
    /// Position in the queue of pending markets; grows with every wait.
    sequence: u64,
}

type Slot = u32;

/// Every market, by id, token, connection, status and end. Single writer.
#[derive(Clone, Debug)]
pub struct Registry {
    shards: u16,
    tokens_per_connection: usize,
    markets_max: usize,
    /// Slices whose markets are followed.
    slices: SliceSet,
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
    /// Unpublished changed markets; `None` if nothing is published.
    unpublished: Option<BTreeSet<MarketId>>,
    /// Markets that share the tokens of another one.
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
    /// Those that must be placed at once.
    urgent: usize,
}

impl Registry {
    /// An empty registry for at least one shard.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        let shards = shards.max(1);
        Self {
            shards,
            tokens_per_connection: limits::TOKENS_PER_CONNECTION_MAX,
            markets_max: limits::MARKETS_MAX,
            slices: SliceSet::ALL,
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

    /// Sets the most tokens of a connection.
    #[must_use]
    pub const fn carrying(mut self, tokens_per_connection: usize) -> Self {
        self.tokens_per_connection = tokens_per_connection;
        self
    }

    /// Sets the most markets, instead of [`limits::MARKETS_MAX`].
    #[must_use]
    pub const fn holding(mut self, markets_max: usize) -> Self {
        self.markets_max = markets_max;
        self
    }

    /// Adds a market with all its tokens, pending. `now_ns` is monotonic.
    ///
    /// A removed market returns only from [`Source::Manual`], because a catalog may list it still.
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
        let slice = slice_of(info.market.as_bytes());
        let (status, connection) = (self.status_of_waiting(slice), None);
        self.mark_unpublished(&info.market);
        let (since_ns, resolution) = (now_ns, None);
        let urgent = source != Source::Catalog;
        self.slots[slot as usize] = Some(Record {
            info,
            shard,
            slice,
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

    /// Shard of a market, registered or not.
    pub fn shard_of(&self, market: &MarketId) -> ShardId {
        routing::shard_of(market.as_bytes(), self.shards)
    }

    /// Updates end, tick size and names of a registered market. False, without change, if it is not registered or its
    /// tokens differ.
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

    /// Subscribed markets whose tick size, smallest order or set changed since the last call: update their shards.
    pub fn take_redescribed(&mut self) -> Vec<MarketId> {
        std::mem::take(&mut self.redescribed)
    }

    /// Places a market on a connection, or moves it there.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing has changed.
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
        if record.status == Status::Elsewhere {
            return Err(PlaceError::Unknown);
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

    /// Makes a market pending, last in the queue and urgent, or leaves it to the machine that has its slice; the caller
    /// unsubscribes. False if unknown or pending.
    pub fn mark_pending(&mut self, market: &MarketId, now_ns: u64) -> bool {
        let Some(&slot) = self.by_market.get(market) else { return false };
        let status = self.status_of_waiting(self.record(slot).slice);
        if self.record(slot).status == status {
            return false;
        }
        let sequence = self.next_sequence();
        self.change(slot, |record| {
            record.status = status;
            record.connection = None;
            record.urgent = true;
            record.since_ns = now_ns;
            record.sequence = sequence;
        });
        true
    }

    /// Makes a pending market urgent: it gets a connection at once.
    pub fn hasten(&mut self, market: &MarketId) {
        let Some(&slot) = self.by_market.get(market) else { return };
        if !self.record(slot).urgent {
            self.change(slot, |record| record.urgent = true);
        }
    }

    /// Marks a market expired; it stays on its connection. False if unknown or expired. A market whose books another
    /// one shares stays until that one has ended.
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

    /// Takes the result of a market, or that it has one. Venues may amend a result: the last one counts.
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

    /// Enables [`Registry::take_unpublished`].
    pub fn track_changes(&mut self) {
        self.unpublished.get_or_insert_default();
    }

    /// Next market with changed facts, end or result; once for several changes.
    pub fn take_unpublished(&mut self) -> Option<MarketId> {
        self.unpublished.as_mut()?.pop_first()
    }

    /// Marks every market as unpublished.
    pub fn mark_all_unpublished(&mut self) {
        let all = self.markets().map(|record| record.info.market).collect::<Vec<_>>();
        all.iter().for_each(|market| self.mark_unpublished(market));
    }

    /// Marks a market as unpublished.
    pub fn mark_unpublished(&mut self, market: &MarketId) {
        if let Some(unpublished) = &mut self.unpublished {
            unpublished.insert(*market);
        }
    }

    /// Reverts the expiry of a market: subscribed if still on a connection, else pending. False if unknown or not
    /// expired.
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

    /// Moves the markets that are not expired from one connection to another; returns their tokens.
    ///
    /// # Errors
    /// [`PlaceError::OtherShard`] or [`PlaceError::ConnectionFull`]; nothing has moved.
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

    /// Removes a connection: active markets are pending, expired ones have no connection.
    pub fn release(&mut self, connection: ConnectionId, now_ns: u64) {
        self.drop_expired(connection);
        for slot in self.slots_on(connection, Status::Subscribed) {
            let market = self.record(slot).info.market;
            self.mark_pending(&market, now_ns);
        }
        self.idle.remove(&connection);
    }

    /// Removes expired markets from a connection that reconnects without them; returns their tokens.
    pub fn drop_expired(&mut self, connection: ConnectionId) -> usize {
        let before = self.load(connection).map_or(0, |load| load.tokens_expired);
        for slot in self.slots_on(connection, Status::Expired) {
            self.change(slot, |record| record.connection = None);
        }
        before
    }

    /// Removes a market but for its id. Returns its last state.
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

    /// Changes a record: removed from every index, changed, inserted again.
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
            Status::Elsewhere => {}
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
            Status::Elsewhere => {}
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

    /// Updates the load of a connection after a change: idle without active markets, no load without any.
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
        Status::Elsewhere => &mut counts.tokens_elsewhere,
        Status::Pending => &mut counts.tokens_pending,
        Status::Subscribed => &mut counts.tokens_subscribed,
        Status::Expired => &mut counts.tokens_expired,
    }
}

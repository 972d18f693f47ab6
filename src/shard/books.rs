//! The books of one shard, found by token, and how an event changes them.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: the books and their index.
//! Bounds:   `BOOKS_PER_SHARD_MAX`; a book allocates only while it grows. Books never move.
use super::publish::{BookView, Change, Handler};
use crate::base::{
    id::{BookIndex, ConnectionId, MarketId, ShardId, TokenId},
    limits::BOOKS_PER_SHARD_MAX,
    policy::HashChecks,
    routing::shard_of,
    time::Now,
};
use crate::counter::shard::{BookCounts, CheckCounts};
use crate::link::{shard_shard::ForwardedEvent, shard_trade::TradeSender};
use crate::market::book::{
    Book, BookOpening, BookState, SideFull, StaleReason,
    image::{BookFacts, BookImage},
};
use crate::market::event::{ChangeSpan, Changes, Event, Snapshot, TickSize, Trade};
use checks::{Checks, Group};
use early::Early;
use foldhash::quality::RandomState;
use handover::Handover;
use index::Index;
use numbered::{Past, Remembered};
use repairs::Repairs;
use slots::{Slot, Slots};
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher as _;
use times::VenueClock;

mod checks;
mod damage;
mod early;
mod events;
mod handover;
mod index;
mod numbered;
mod repairs;
mod slots;
mod states;
mod times;

pub use handover::{HandedOver, HandoverProgress, LineEnd};
pub use repairs::Behind;

/// A connection's place within its shard; what a book says it hangs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSlot(pub u32);

/// Which books a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Those that were opened; anything else is counted as foreign.
    Listed,
    /// Every token that is mentioned and whose market hashes to this one of `shards` shards:
    /// replay, where subscriptions are implied by what appears.
    Implied {
        /// Number of shards, at least one.
        shards: u16,
    },
}

/// The shard holds [`BOOKS_PER_SHARD_MAX`] books; the book was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardFull;

/// How far the books are weighed.
#[derive(Clone, Copy, Debug, Default)]
struct Weighed {
    next: usize,
    sum: u64,
    whole: u64,
}

/// The books of one shard.
#[derive(Debug)]
pub struct Books<H> {
    shard: ShardId,
    admission: Admission,
    /// Only the connection that a book hangs on speaks for it, and trades come on several connections.
    sequenced: bool,
    trades: Remembered,
    early: Early,
    past: Past,
    /// How many shards there are, and what other shards are to be told.
    shards: u16,
    first: u16,
    passing: VecDeque<(ShardId, ForwardedEvent)>,
    handler: H,
    hasher: RandomState,
    by_token: Index,
    by_market: Index,
    slots: Slots,
    free: Vec<BookIndex>,
    live_on: Vec<u32>,
    /// Where trades go besides the handler, and what connections are called there, by slot.
    tap: Option<TradeSender>,
    names: Vec<ConnectionId>,
    /// Changes of the message at hand that were applied: book, place in the message.
    applied: Vec<(BookIndex, u32)>,
    weighed: Weighed,
    counts: BookCounts,
    checks: Checks,
    repairs: Repairs,
    handovers: Vec<Handover>,
    /// Venue times of the last changes of tick sizes; rare.
    ticks: BTreeMap<BookIndex, u64>,
    /// The times of snapshots that were refused because nothing had reached them, Unix milliseconds.
    refused_ms: BTreeMap<BookIndex, u64>,
    clock: VenueClock,
}

impl<H: Handler> Books<H> {
    /// No books yet.
    #[must_use]
    pub fn new(shard: ShardId, admission: Admission, handler: H) -> Self {
        Self {
            shard,
            admission,
            sequenced: false,
            trades: Remembered::default(),
            early: Early::default(),
            past: Past::default(),
            shards: 1,
            first: 0,
            passing: VecDeque::new(),
            handler,
            hasher: RandomState::default(),
            by_token: Index::default(),
            by_market: Index::default(),
            slots: Slots::default(),
            free: Vec::new(),
            live_on: Vec::new(),
            tap: None,
            names: Vec::new(),
            applied: Vec::new(),
            weighed: Weighed::default(),
            counts: BookCounts::default(),
            checks: Checks::default(),
            repairs: Repairs::default(),
            handovers: Vec::new(),
            ticks: BTreeMap::new(),
            refused_ms: BTreeMap::new(),
            clock: VenueClock::default(),
        }
    }

    /// The same with these hashes compared.
    #[must_use]
    pub fn checking(mut self, hashes: HashChecks) -> Self {
        self.checks.hashes = hashes;
        self
    }

    /// The same for a venue whose messages are numbered: only the connection that a book hangs on speaks for it, and
    /// a trade that another connection told is not told again.
    #[must_use]
    pub const fn sequenced(mut self, sequenced: bool) -> Self {
        self.sequenced = sequenced;
        self
    }

    /// The same with every trade sent on.
    #[must_use]
    pub fn tapped(mut self, tap: TradeSender) -> Self {
        self.tap = Some(tap);
        self
    }

    /// What the connection in a slot is called from now on.
    pub fn name_connection(&mut self, slot: ConnectionSlot, name: ConnectionId) {
        let place = slot.0 as usize;
        if place >= self.names.len() {
            self.names.resize(place + 1, ConnectionId::default());
        }
        self.names[place] = name;
    }

    /// Opens a book that hangs on `connection`, or moves it there if it is open already.
    ///
    /// # Errors
    /// [`ShardFull`]: *count and go on*.
    pub fn open(
        &mut self,
        opening: &BookOpening,
        connection: ConnectionSlot,
    ) -> Result<BookIndex, ShardFull> {
        if let Some(index) = self.find_in(opening.market.as_str(), opening.token.as_str()) {
            if self.sequenced && self.slots[index].connection != connection {
                // What the old connection still says is no continuation of what the new one will.
                self.set_stale(index, StaleReason::Moving, self.slots[index].facts.updated_wall_ns);
            }
            self.hang_on(index, connection);
            return Ok(index);
        }
        if self.counts.books as usize >= BOOKS_PER_SHARD_MAX {
            return Err(ShardFull);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => BookIndex(self.slots.len() as u32),
        };
        let slot = Slot {
            token: opening.token,
            market: opening.market,
            open: true,
            sibling: index,
            connection,
            state: BookState::AwaitingSnapshot,
            snapshot_ms: 0,
            group: Group::default(),
            facts: BookFacts {
                tick_size: opening.tick_size,
                min_order_size: opening.min_order_size,
                neg_risk: opening.neg_risk,
                ..BookFacts::default()
            },
            book: Book::default(),
        };
        match self.slots.get_mut(index) {
            Some(free) => {
                let queued = free.group.queued;
                *free = slot;
                free.group.queued = queued;
            }
            None => self.slots.push(slot),
        }
        self.enter(index);
        self.counts.books += 1;
        self.counts.awaiting += 1;
        self.deliver_early(index);
        Ok(index)
    }

    /// Enters a book into the indices and among its siblings.
    fn enter(&mut self, index: BookIndex) {
        let Slot { token, market, .. } = self.slots[index];
        self.by_token.insert(self.hash(token.as_bytes()), index.0);
        match self.find_market(market.as_bytes()) {
            None => self.by_market.insert(self.hash(market.as_bytes()), index.0),
            // The siblings form a ring.
            Some(sibling) => {
                let next = std::mem::replace(&mut self.slots[sibling].sibling, index);
                self.slots[index].sibling = next;
            }
        }
    }

    /// Closes a book that hangs on `connection`; one that hangs on another stays.
    pub fn close_on(&mut self, token: &TokenId, connection: ConnectionSlot) {
        let found = self.find(token.as_str());
        if found.is_some_and(|index| self.slots[index].connection == connection) {
            self.close(token);
        }
    }

    /// Takes over what the catalog says of an open book. The stream knows the tick size better.
    pub fn describe(&mut self, opening: &BookOpening) {
        let Some(index) = self.find(opening.token.as_str()) else { return };
        let facts = &mut self.slots[index].facts;
        facts.min_order_size = opening.min_order_size.or(facts.min_order_size);
        facts.tick_size = facts.tick_size.or(opening.tick_size);
        facts.neg_risk = opening.neg_risk;
    }

    /// Closes a book and forgets its levels.
    pub fn close(&mut self, token: &TokenId) {
        let Some(index) = self.find(token.as_str()) else { return };
        self.set_state(index, BookState::AwaitingSnapshot, 0);
        let Slot { market, sibling: next, .. } = self.slots[index];
        self.by_token.remove(self.hash(token.as_bytes()), index.0);
        let market_hash = self.hash(market.as_bytes());
        if next == index {
            self.by_market.remove(market_hash, index.0);
        } else {
            // Nothing happens where another book of the ring stands for the market.
            self.by_market.replace(market_hash, index.0, next.0);
            let mut before = next;
            while self.slots[before].sibling != index {
                before = self.slots[before].sibling;
            }
            self.slots[before].sibling = next;
        }
        let slot = &mut self.slots[index];
        (slot.open, slot.sibling, slot.book) = (false, index, Book::default());
        self.checks.forget(index);
        self.repairs.forget(index);
        self.repairs.forget_pair(index.min(next));
        self.ticks.remove(&index);
        self.refused_ms.remove(&index);
        self.free.push(index);
        self.counts.books -= 1;
        self.counts.awaiting -= 1;
    }

    /// Half a hash is enough: 2^20 books share one 128 times or so, and then their texts differ.
    fn hash(&self, text: &[u8]) -> u32 {
        (self.hasher.hash_one(text) >> 32) as u32
    }

    /// The book of a token.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<BookIndex> {
        let token = token.as_bytes();
        let same = |place: u32| self.slots[BookIndex(place)].token.as_bytes() == token;
        self.by_token.find(self.hash(token), same).map(BookIndex)
    }

    /// The book of a token, as a message that also names the market means it. Where books are
    /// implied by what appears, a token that comes under two markets has two books: which shard
    /// sees a message depends on the market alone, and so must what it does.
    fn find_in(&self, market: &str, token: &str) -> Option<BookIndex> {
        if self.admission == Admission::Listed || market.is_empty() {
            return self.find(token);
        }
        let (market, token) = (market.as_bytes(), token.as_bytes());
        let same = |place: u32| {
            let slot = &self.slots[BookIndex(place)];
            slot.token.as_bytes() == token && slot.market.as_bytes() == market
        };
        self.by_token.find(self.hash(token), same).map(BookIndex)
    }

    /// The same without a hash, if `token` is a sibling of `found` or itself, and `found` was found
    /// for the same message: so it nearly always is. Siblings are of one market.
    fn find_beside(&self, found: BookIndex, market: &str, token: &str) -> Option<BookIndex> {
        if self.admission != Admission::Listed && market.is_empty() {
            return None;
        }
        let is_of = |at: BookIndex| self.slots[at].token.as_bytes() == token.as_bytes();
        let sibling = self.slots[found].sibling;
        if is_of(sibling) {
            return Some(sibling);
        }
        is_of(found).then_some(found)
    }

    fn find_market(&self, market: &[u8]) -> Option<BookIndex> {
        let same = |place: u32| self.slots[BookIndex(place)].market.as_bytes() == market;
        self.by_market.find(self.hash(market), same).map(BookIndex)
    }

    /// Applies one event that was read at `read` from `connection`, unless the connection shares
    /// its tokens with another and this is the other's to say.
    #[inline]
    pub fn on_event(&mut self, event: &Event<'_>, connection: ConnectionSlot, read: Now) {
        self.observe_time(event, connection, read.wall_ns);
        if !self.handovers.is_empty() && self.on_overlap(event, connection, read) {
            return;
        }
        self.apply(event, connection, read.wall_ns);
    }

    #[inline]
    fn apply(&mut self, event: &Event<'_>, connection: ConnectionSlot, read_wall_ns: u64) {
        match event {
            Event::Snapshot(snapshot) => self.on_snapshot(snapshot, connection, read_wall_ns),
            Event::Changes(changes) => self.on_changes(changes, read_wall_ns),
            Event::Delta(delta) => self.on_delta(delta, connection, read_wall_ns),
            Event::Trade(_) | Event::TopOfBook(_)
                if self.shards > 1 && self.pass_on(event, connection, read_wall_ns) => {}
            Event::Trade(trade) => {
                let name = self.names.get(connection.0 as usize).copied().unwrap_or_default();
                self.on_trade(trade, name, read_wall_ns);
            }
            Event::TickSize(tick) => self.on_tick_size(tick, read_wall_ns),
            Event::TopOfBook(top) => self.on_top(top, read_wall_ns),
        }
    }

    fn on_snapshot(&mut self, event: &Snapshot<'_>, connection: ConnectionSlot, wall_ns: u64) {
        let Some(index) = self.admit(event.market, event.token) else { return };
        let listed = self.admission == Admission::Listed;
        if self.sequenced && listed && self.slots[index].connection != connection {
            self.counts.unknown_instruments += 1;
            return;
        }
        self.hang_on(index, connection);
        if self.sequenced {
            self.weigh_snapshot(index, event);
        } else if !self.takes_snapshot(index, event.timestamp_ms, wall_ns) {
            self.counts.snapshots_refused += 1;
            return;
        }
        self.counts.snapshots += 1;
        self.end_group_before(index, event.timestamp_ms, wall_ns);
        let slot = &mut self.slots[index];
        if slot.state != BookState::Live {
            // A new book: what was said of the one before has no bearing on it.
            slot.group.forget();
            self.checks.forget(index);
            self.repairs.forget(index);
        }
        let result = slot.book.replace(event.bids, event.asks);
        slot.take_stream_facts(event, self.ticks.get(&index).copied().unwrap_or(0), wall_ns);
        if event.hash.is_some() {
            slot.group.snapshot();
            self.checks.queue(index, slot);
        }
        match result {
            Ok(()) => self.set_state(index, BookState::Live, wall_ns),
            Err(SideFull) => self.set_stale(index, StaleReason::TooManyLevels, wall_ns),
        }
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_snapshot(&view);
    }

    fn on_changes(&mut self, event: &Changes<'_>, wall_ns: u64) {
        // First all changes, then the handler: it sees the book after the whole message.
        self.applied.clear();
        let mut last = None;
        for (place, (token, change)) in event.iter().enumerate() {
            let found = last.and_then(|last| self.find_beside(last, event.market, token));
            let Some(index) = found.or_else(|| self.admit(event.market, token)) else { continue };
            // Both books of a market were opened together. So the second is fetched while the first
            // is still on its way from memory, and not after it.
            if last.is_none()
                && event.changes.len() > 1
                && let Some(beside) = self.slots.get(BookIndex(index.0 ^ 1))
            {
                beside.touch();
            }
            last = Some(index);
            self.end_group_before(index, event.timestamp_ms, wall_ns);
            let slot = &mut self.slots[index];
            if slot.state != BookState::Live
                && !self.on_change_unsure(index, event.timestamp_ms, change)
            {
                continue;
            }
            let slot = &mut self.slots[index];
            if event.timestamp_ms < slot.snapshot_ms {
                self.counts.changes_stale += 1;
                if !slot.is_in_snapshot(event.timestamp_ms, wall_ns) {
                    self.set_stale(index, StaleReason::TimesDisagree, wall_ns);
                }
                continue;
            }
            self.counts.updates += 1;
            if event.timestamp_ms < slot.facts.timestamp_ms {
                // Of an earlier book than ours.
                slot.group.open = false;
                self.checks.counts.tops_unverifiable += 1;
            } else {
                slot.group.change(change.best_bid, change.best_ask);
                self.checks.queue(index, slot);
            }
            slot.facts.timestamp_ms = event.timestamp_ms;
            slot.facts.hash = change.hash;
            slot.facts.updates += 1;
            slot.facts.updated_wall_ns = wall_ns;
            if slot.book.set(change.side, change.level) == Err(SideFull) {
                self.set_stale(index, StaleReason::TooManyLevels, wall_ns);
            }
            self.applied.push((index, place as u32));
        }
        for at in 0..self.applied.len() {
            let (index, place) = self.applied[at];
            let change = &event.changes[place as usize];
            let change = Change {
                side: change.side,
                level: change.level,
                venue_best_bid: change.best_bid,
                venue_best_ask: change.best_ask,
            };
            let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
            handler.on_price_change(&view, &change);
        }
    }

    /// A change of a book that is not live: kept for its repair. True when it is applied too.
    #[cold]
    fn on_change_unsure(
        &mut self,
        index: BookIndex,
        timestamp_ms: u64,
        change: &ChangeSpan,
    ) -> bool {
        self.repairs.keep(index, timestamp_ms, change);
        let slot = &mut self.slots[index];
        if slot.state != BookState::AwaitingSnapshot {
            return true;
        }
        self.counts.changes_before_snapshot += 1;
        slot.facts.timestamp_ms = slot.facts.timestamp_ms.max(timestamp_ms);
        false
    }

    fn on_trade(&mut self, event: &Trade<'_>, name: ConnectionId, wall_ns: u64) {
        if self.sequenced && !self.trades.is_new(self.hasher.hash_one(event.transaction_hash)) {
            self.counts.trades_repeated += 1;
            return;
        }
        // The stream of a venue that numbers its messages brings the trades of markets that nobody follows, too.
        let of_all = self.sequenced && self.admission == Admission::Listed;
        let found = match of_all {
            true => self.find_in(event.market, event.token),
            false => self.admit(event.market, event.token),
        };
        match found {
            Some(index) => self.apply_trade(index, event, name, wall_ns),
            None if of_all => self.on_trade_without_book(event, name, wall_ns),
            None => {}
        }
    }

    fn apply_trade(
        &mut self,
        index: BookIndex,
        event: &Trade<'_>,
        name: ConnectionId,
        wall_ns: u64,
    ) {
        self.counts.trades += 1;
        if let Some(tap) = &mut self.tap {
            let Slot { market, token, .. } = self.slots[index];
            tap.send((market, token), event, name, wall_ns);
        }
        let Self { slots, checks, .. } = self;
        let (market, before) = (slots[index].market, slots[index].facts.last_trade);
        checks.on_trade(&market, event.price, before, wall_ns, |index| {
            if let Some(slot) = slots.get_mut(index) {
                slot.group.hash_was_right();
            }
        });
        // The last trade price is one value per market, the same for all its tokens.
        self.for_market(index, |slot| slot.facts.last_trade = Some(event.price));
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_trade(&view, event);
    }

    fn on_tick_size(&mut self, event: &TickSize<'_>, wall_ns: u64) {
        let Some(index) = self.admit(event.market, event.token) else { return };
        if !self.takes_tick_size(index, event.timestamp_ms, wall_ns) {
            return;
        }
        // The hash of the group that ends here was made with the old step.
        self.end_group_before(index, event.timestamp_ms, wall_ns);
        self.slots[index].facts.tick_size = Some(event.new);
        self.ticks.insert(index, event.timestamp_ms);
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_tick_size(&view, event);
    }

    fn for_market(&mut self, first: BookIndex, mut apply: impl FnMut(&mut Slot)) {
        let mut at = first;
        loop {
            let slot = &mut self.slots[at];
            apply(slot);
            at = slot.sibling;
            if at == first {
                return;
            }
        }
    }

    /// The book of a token of `market`; counted when it is not held here.
    fn admit(&mut self, market: &str, token: &str) -> Option<BookIndex> {
        let found = self.find_in(market, token);
        if found.is_some() {
            return found;
        }
        if let Admission::Implied { shards } = self.admission {
            if shard_of(market.as_bytes(), shards) != self.shard {
                return None;
            }
            if let (Some(market), Some(token)) = (MarketId::new(market), TokenId::new(token)) {
                let opening = BookOpening {
                    market,
                    token,
                    tick_size: None,
                    min_order_size: None,
                    neg_risk: false,
                };
                if let Ok(index) = self.open(&opening, ConnectionSlot::default()) {
                    return Some(index);
                }
            }
        }
        self.counts.unknown_instruments += 1;
        None
    }

    /// A message could not be decoded: the book of `token` may have missed a change. Where the
    /// token is not known (empty), any book of `market` may have.
    pub fn on_undecoded(&mut self, market: &str, token: &str, wall_ns: u64) {
        if !token.is_empty() {
            if let Some(index) = self.find_in(market, token) {
                self.set_stale(index, StaleReason::UndecodedMessage, wall_ns);
            }
            return;
        }
        let Some(first) = self.find_market(market.as_bytes()) else { return };
        let mut at = first;
        loop {
            self.set_stale(at, StaleReason::UndecodedMessage, wall_ns);
            at = self.slots[at].sibling;
            if at == first {
                return;
            }
        }
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> &BookCounts {
        &self.counts
    }

    /// What comparing the books with the venue's word gave.
    #[must_use]
    pub fn checks(&self) -> &CheckCounts {
        &self.checks.counts
    }

    fn index_bytes(&self) -> u64 {
        (self.slots.heap_bytes() + self.by_token.heap_bytes() + self.by_market.heap_bytes()) as u64
    }

    /// Weighs the next `count` books and gives the heap bytes of all as of the last whole round,
    /// so that a report of 100,000 books does not stop the data.
    pub fn weigh(&mut self, count: usize) -> u64 {
        let end = (self.weighed.next + count).min(self.slots.len());
        for index in (self.weighed.next as u32..end as u32).map(BookIndex) {
            self.weighed.sum += self.slots[index].book.heap_bytes() as u64;
        }
        self.weighed.next = end;
        if end == self.slots.len() {
            self.weighed = Weighed { whole: self.weighed.sum, ..Weighed::default() };
        }
        self.weighed.whole + self.index_bytes()
    }

    /// Copies one book; false when it is not held here.
    pub fn fill_image(&self, token: &str, image: &mut BookImage) -> bool {
        self.find(token).is_some_and(|index| self.fill_image_at(index, image))
    }

    /// Copies the book at one place; false when none is open there.
    pub fn fill_image_at(&self, index: BookIndex, image: &mut BookImage) -> bool {
        let Some(slot) = self.slots.get(index).filter(|slot| slot.open) else {
            return false;
        };
        image.fill(slot.market, slot.token, slot.state, slot.facts, &slot.book);
        true
    }

    /// Token, market and place of every open book, in no order.
    pub fn places(&self) -> impl Iterator<Item = (TokenId, MarketId, BookIndex)> {
        let open = self.slots.iter().filter(|(_, slot)| slot.open);
        open.map(|(index, slot)| (slot.token, slot.market, index))
    }

    /// Gives the user's handler back.
    pub fn into_handler(self) -> H {
        self.handler
    }
}

/// What a handler is shown, and the handler: two parts of `Books` at once.
fn view<'a, H>(
    slots: &'a Slots,
    index: BookIndex,
    shard: ShardId,
    read_wall_ns: u64,
    handler: &'a mut H,
) -> (BookView<'a>, &'a mut H) {
    let slot = &slots[index];
    let view = BookView {
        venue: slots.venue,
        shard,
        market: &slot.market,
        token: &slot.token,
        state: slot.state,
        facts: &slot.facts,
        book: &slot.book,
        read_wall_ns,
    };
    (view, handler)
}

#[cfg(test)]
mod tests;

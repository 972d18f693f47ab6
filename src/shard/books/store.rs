//! The books of one shard: which it holds, their states, and the connections that carry them.
//!
//! Runs on:  shard cores, replay (pure). Owns: the books, their index, the handler.
//! Bounds:   `BOOKS_PER_SHARD_MAX`; a book allocates only while it grows. Books never move.
use super::directory::Directory;
use super::slots::{Occupancy, Rotation, Slot, Slots};
use super::stored::ImageTurns;
use super::updates::{Mark, Updates};
use super::{Admission, ConnectionSlot, ShardFull};
use crate::base::{
    id::{BookIndex, ConnectionId, MarketId, ShardId, TokenId, Venue},
    limits::BOOKS_PER_SHARD_MAX,
    routing::shard_of,
};
use crate::counter::shard::BookCounts;
use crate::link::shard_updates::{BookUpdate, BookUpdateKind, SubscriptionKey, UpdateRequest};
use crate::market::book::{
    Book, BookOpening, BookState, StaleReason,
    image::{BookFacts, BookImage},
};
use crate::market::info::MarketEvent;
use crate::ring::Producer;
use crate::shard::publish::{BookView, ConnectionChange, ConnectionView, Handler, MarketView};

/// One connection, as far as books are concerned.
#[derive(Clone, Copy, Debug, Default)]
struct Carrier {
    name: ConnectionId,
    live_books: u32,
}

/// Heap bytes of the levels of all books, measured some books at a time.
#[derive(Clone, Copy, Debug, Default)]
struct MemoryUsage {
    next: usize,
    sum: u64,
    /// As of the last whole round.
    whole: u64,
}

/// The books of one shard. A state changes here only: it is counted and published.
#[derive(Debug)]
pub(crate) struct Store<H> {
    pub(super) shard: ShardId,
    venue: Venue,
    pub(super) admission: Admission,
    pub(super) directory: Directory,
    pub(super) slots: Slots,
    /// By slot.
    carriers: Vec<Carrier>,
    pub(super) counts: BookCounts,
    memory: MemoryUsage,
    checkpoints: Rotation,
    pub(super) images: ImageTurns,
    pub(super) updates: Updates,
    /// Probably the book of the message at hand.
    pub(super) expected: Option<BookIndex>,
    pub(super) handler: H,
}

/// Access by token, market and place.
impl<H> Store<H> {
    pub(super) fn new(shard: ShardId, venue: Venue, admission: Admission, handler: H) -> Self {
        Self {
            shard,
            venue,
            admission,
            directory: Directory::default(),
            slots: Slots::default(),
            carriers: Vec::new(),
            counts: BookCounts::default(),
            memory: MemoryUsage::default(),
            checkpoints: Rotation::default(),
            images: ImageTurns::default(),
            updates: Updates::default(),
            expected: None,
            handler,
        }
    }

    #[must_use]
    #[inline]
    pub(super) fn find(&self, token: &str) -> Option<BookIndex> {
        self.directory.find(&self.slots, token.as_bytes())
    }

    /// The book of a token, as a message that also names the market means it. Where books are
    /// implied by what appears, a token that comes under two markets has two books: which shard
    /// sees a message depends on the market alone, and so must what it does.
    #[inline]
    pub(super) fn find_in(&self, market: &str, token: &[u8]) -> Option<BookIndex> {
        if let Some(index) = self.expected
            && let slot = &self.slots[index]
            && slot.is_open()
            && slot.token.is(token)
            && (self.admission == Admission::Listed || slot.market.is(market.as_bytes()))
        {
            return Some(index);
        }
        if self.admission == Admission::Listed || market.is_empty() {
            return self.directory.find(&self.slots, token);
        }
        self.directory.find_in(&self.slots, market.as_bytes(), token)
    }

    /// The same without a hash, if `token` is a sibling of `found` or itself, and `found` was found
    /// for the same message: so it nearly always is. Siblings are of one market.
    #[inline]
    pub(super) fn find_beside(
        &self,
        found: BookIndex,
        market: &str,
        token: &[u8],
    ) -> Option<BookIndex> {
        if self.admission != Admission::Listed && market.is_empty() {
            return None;
        }
        let sibling = self.slots[found].sibling;
        if self.slots[sibling].token.is(token) {
            return Some(sibling);
        }
        self.slots[found].token.is(token).then_some(found)
    }

    pub(super) fn find_market(&self, market: &str) -> Option<BookIndex> {
        self.directory.find_market(&self.slots, market.as_bytes())
    }

    pub(super) fn slot(&self, token: &str) -> Option<&Slot> {
        self.find(token).map(|index| &self.slots[index])
    }

    /// Copies one book; false when it is not held here.
    pub(super) fn fill_image(&self, token: &str, image: &mut BookImage) -> bool {
        self.find(token).is_some_and(|index| self.fill_image_at(index, image))
    }

    /// Copies the book at one place; false when none is open there.
    pub(super) fn fill_image_at(&self, index: BookIndex, image: &mut BookImage) -> bool {
        let Some(slot) = self.slots.get(index).filter(|slot| slot.is_open()) else {
            return false;
        };
        image.fill(slot.market, slot.token, slot.state, slot.facts, &slot.book);
        image.proof = self.slots.proof(index);
        true
    }

    pub(super) fn digest(&self, token: &str) -> Option<u64> {
        let slot = self.slot(token)?;
        (slot.state == BookState::Live).then(|| slot.digest())
    }

    /// Updates of subscribed books go to `sender`.
    pub(crate) fn set_update_sender(&mut self, sender: Producer<BookUpdate>) {
        self.updates.set_sender(sender);
    }

    /// A request of the serve core.
    pub(crate) fn on_update_request(&mut self, request: UpdateRequest) {
        let Self { updates, slots, directory, .. } = self;
        let find = |slots: &Slots, token: &TokenId| directory.find(slots, token.as_bytes());
        updates.on_request(slots, request, find);
    }

    /// Sends at most `count` images of marked books. Whether updates were sent since the last call.
    pub(crate) fn send_updates(&mut self, count: usize) -> bool {
        self.updates.send_marked(&mut self.slots, count);
        self.updates.take_unannounced()
    }

    /// The next `count` live books in turn, each with its digest; fewer where there are fewer.
    pub(crate) fn checkpoint(&mut self, count: usize, mut each: impl FnMut(&TokenId, u64)) {
        let Self { checkpoints, slots, .. } = self;
        checkpoints.next_live(slots, count, |slot| each(&slot.token, slot.digest()));
    }

    /// Heap bytes of all books and of their index: measures the next `count` books, so that a report of
    /// 100,000 books does not delay the data; the others count as of the last whole round.
    pub(crate) fn memory_usage(&mut self, count: usize) -> u64 {
        let Self { memory, slots, directory, .. } = self;
        let end = (memory.next + count).min(slots.len());
        for index in (memory.next as u32..end as u32).map(BookIndex) {
            memory.sum += slots[index].book.heap_bytes() as u64;
        }
        memory.next = end;
        if end == slots.len() {
            *memory = MemoryUsage { whole: memory.sum, ..MemoryUsage::default() };
        }
        memory.whole + (slots.heap_bytes() + directory.heap_bytes()) as u64
    }
}

/// Connections.
impl<H> Store<H> {
    fn carrier(&mut self, connection: ConnectionSlot) -> &mut Carrier {
        let place = connection.0 as usize;
        if place >= self.carriers.len() {
            self.carriers.resize(place + 1, Carrier::default());
        }
        &mut self.carriers[place]
    }

    pub(crate) fn name_connection(&mut self, connection: ConnectionSlot, name: ConnectionId) {
        self.carrier(connection).name = name;
    }

    pub(super) fn connection_name(&self, connection: ConnectionSlot) -> ConnectionId {
        self.carriers.get(connection.0 as usize).map_or_else(ConnectionId::default, |c| c.name)
    }

    pub(super) fn live_on(&self, connection: ConnectionSlot) -> u32 {
        self.carriers.get(connection.0 as usize).map_or(0, |carrier| carrier.live_books)
    }

    /// Whether there is a book of this token that `connection` carries.
    pub(crate) fn is_on(&self, token: &TokenId, connection: ConnectionSlot) -> bool {
        self.slot(token.as_str()).is_some_and(|slot| slot.connection == connection)
    }

    /// The books among `tokens` that `connection` carries and that are live, or that are not.
    pub(crate) fn tokens_on(
        &self,
        tokens: &[TokenId],
        connection: ConnectionSlot,
        live: bool,
        into: &mut Vec<TokenId>,
    ) {
        into.extend(tokens.iter().filter(|token| {
            let slot = self.slot(token.as_str());
            slot.is_some_and(|slot| {
                slot.connection == connection && (slot.state == BookState::Live) == live
            })
        }));
    }

    pub(super) fn assign(&mut self, index: BookIndex, connection: ConnectionSlot) {
        let slot = &mut self.slots[index];
        if slot.connection == connection {
            return;
        }
        let before = std::mem::replace(&mut slot.connection, connection);
        if slot.state == BookState::Live {
            self.carrier(before).live_books -= 1;
            self.carrier(connection).live_books += 1;
        }
    }
}

/// Opening and closing.
impl<H: Handler> Store<H> {
    pub(super) fn open(
        &mut self,
        opening: &BookOpening,
        connection: ConnectionSlot,
    ) -> Result<BookIndex, ShardFull> {
        if self.counts.books as usize >= BOOKS_PER_SHARD_MAX {
            return Err(ShardFull);
        }
        let index = self.slots.insert(Slot::new(opening, connection));
        self.directory.insert(&mut self.slots, index);
        self.counts.books += 1;
        self.counts.awaiting += 1;
        self.updates.on_open(&mut self.slots, index);
        let (view, handler) = self.view(index, 0);
        handler.on_open(&view);
        Ok(index)
    }

    /// The book of a token of `market`, opened if it is implied; counted when it is not held here.
    #[inline]
    pub(super) fn admit(&mut self, market: &str, token: &str) -> Option<BookIndex> {
        let found = self.find_in(market, token.as_bytes());
        if found.is_some() { found } else { self.admit_unknown(market, token) }
    }

    #[cold]
    pub(super) fn admit_unknown(&mut self, market: &str, token: &str) -> Option<BookIndex> {
        if let Admission::Implied { shards } = self.admission {
            if shard_of(market.as_bytes(), shards) != self.shard {
                return None;
            }
            if let (Some(market), Some(token)) = (MarketId::new(market), TokenId::new(token)) {
                let (tick_size, min_order_size, neg_risk) = (None, None, false);
                let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
                if let Ok(index) = self.open(&opening, ConnectionSlot::default()) {
                    return Some(index);
                }
            }
        }
        self.counts.unknown_instruments += 1;
        None
    }

    /// Takes over the catalog's fields of an open book. The tick size of the stream is newer.
    pub(super) fn describe(&mut self, opening: &BookOpening) {
        let Some(index) = self.find(opening.token.as_str()) else { return };
        let facts = &mut self.slots[index].facts;
        facts.min_order_size = opening.min_order_size.or(facts.min_order_size);
        facts.tick_size = facts.tick_size.or(opening.tick_size);
        facts.neg_risk = opening.neg_risk;
    }

    /// Closes a book and frees its levels.
    pub(super) fn close(&mut self, index: BookIndex) {
        self.set_state(index, BookState::AwaitingSnapshot, 0);
        self.updates.on_close(&mut self.slots, index);
        let (view, handler) = self.view(index, 0);
        handler.on_close(&view);
        self.directory.remove(&mut self.slots, index);
        self.slots.remove(index);
        self.counts.books -= 1;
        self.counts.awaiting -= 1;
    }
}

/// States.
impl<H: Handler> Store<H> {
    /// What a handler is shown of a book, and the handler.
    #[inline]
    pub(super) fn view(&mut self, index: BookIndex, read_wall_ns: u64) -> (BookView<'_>, &mut H) {
        self.try_view(index, read_wall_ns).expect("the index of a book")
    }

    /// The same, `None` where there is no such place.
    #[inline]
    pub(super) fn try_view(
        &mut self,
        index: BookIndex,
        read_wall_ns: u64,
    ) -> Option<(BookView<'_>, &mut H)> {
        let Self { slots, handler, .. } = self;
        let slot = slots.get(index)?;
        let view = BookView {
            venue: self.venue,
            shard: self.shard,
            index,
            market: &slot.market,
            token: &slot.token,
            state: slot.state,
            facts: &slot.facts,
            book: &slot.book,
            read_wall_ns,
        };
        Some((view, handler))
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
        // That a book is live is in its image.
        if slot.is_subscribed() && state != BookState::Live {
            self.updates.publish(&mut self.slots, index, wall_ns, BookUpdateKind::State(state));
        }
        for counter in counters_of(&mut self.counts, before).into_iter().flatten() {
            *counter -= 1;
        }
        for counter in counters_of(&mut self.counts, state).into_iter().flatten() {
            *counter += 1;
        }
        match (before, state) {
            (BookState::Live, _) => self.carrier(connection).live_books -= 1,
            (_, BookState::Live) => self.carrier(connection).live_books += 1,
            _ => {}
        }
        let (view, handler) = self.view(index, wall_ns);
        handler.on_status(&view, before);
    }

    /// The whole book is new: tells the handler and the subscribers.
    pub(super) fn publish_snapshot(&mut self, index: BookIndex, wall_ns: u64) {
        if self.slots[index].is_subscribed() {
            self.updates.publish_image(&mut self.slots, index, wall_ns);
        }
        let (view, handler) = self.view(index, wall_ns);
        handler.on_snapshot(&view);
    }

    /// Makes a book stale if it is live; what it was asked for before is no answer any more.
    pub(super) fn set_stale(&mut self, index: BookIndex, why: StaleReason, since_wall_ns: u64) {
        self.slots[index].group.has_lost = true;
        if self.slots[index].state == BookState::Live {
            self.set_state(index, BookState::Stale { why, since_wall_ns }, since_wall_ns);
        }
    }

    /// Makes every live book stale; gives their number.
    pub(super) fn set_all_stale(&mut self, why: StaleReason, wall_ns: u64) -> usize {
        let before = self.counts.live;
        for index in self.slots.indices() {
            self.set_stale(index, why, wall_ns);
        }
        (before - self.counts.live) as usize
    }

    /// Makes every live book of `connection` stale; gives their number.
    pub(super) fn set_connection_stale(
        &mut self,
        connection: ConnectionSlot,
        why: StaleReason,
        wall_ns: u64,
    ) -> usize {
        let before = self.counts.live;
        for index in self.slots.indices() {
            let slot = &self.slots[index];
            if slot.is_open() && slot.connection == connection {
                self.set_stale(index, why, wall_ns);
            }
        }
        (before - self.counts.live) as usize
    }

    /// Makes the live books among `tokens` that `connection` carries stale.
    pub(crate) fn set_tokens_stale(
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

    /// Makes every live book of the market of `first` stale.
    pub(super) fn set_market_stale(&mut self, first: BookIndex, why: StaleReason, wall_ns: u64) {
        let mut at = first;
        loop {
            self.set_stale(at, why, wall_ns);
            at = self.slots[at].sibling;
            if at == first {
                return;
            }
        }
    }
}

/// Events about markets and connections, outside the data path.
impl<H: Handler> Store<H> {
    /// A market of this shard reached another stage.
    pub(crate) fn on_market(&mut self, event: &MarketEvent) {
        self.updates.publish_market(event, 0);
        let MarketEvent { stage, info, resolution, is_repeated } = event;
        if *is_repeated {
            return;
        }
        let (venue, shard, resolution) = (self.venue, self.shard, resolution.as_ref());
        self.handler.on_market(&MarketView { venue, shard, stage: *stage, info, resolution });
    }

    /// A connection is up, down or replaced.
    pub(crate) fn on_connection(&mut self, connection: ConnectionId, change: ConnectionChange<'_>) {
        let (venue, shard) = (self.venue, self.shard);
        self.handler.on_connection(&ConnectionView { venue, shard, connection, change });
    }
}

impl Slot {
    fn new(opening: &BookOpening, connection: ConnectionSlot) -> Self {
        Self {
            token: opening.token,
            market: opening.market,
            occupancy: Occupancy::Open,
            sibling: BookIndex::default(),
            connection,
            state: BookState::AwaitingSnapshot,
            subscription: SubscriptionKey::NONE,
            mark: Mark::None,
            snapshot_ms: 0,
            group: super::group::Group::default(),
            facts: BookFacts {
                tick_size: opening.tick_size,
                min_order_size: opening.min_order_size,
                neg_risk: opening.neg_risk,
                ..BookFacts::default()
            },
            book: Book::default(),
        }
    }

    fn digest(&self) -> u64 {
        self.book.digest(&self.token, self.facts.timestamp_ms)
    }
}

/// The counter of a state, and that of the reason of a stale book.
const fn counters_of(counts: &mut BookCounts, state: BookState) -> [Option<&mut u64>; 2] {
    let BookState::Stale { why, .. } = state else {
        return match state {
            BookState::Live => [Some(&mut counts.live), None],
            _ => [Some(&mut counts.awaiting), None],
        };
    };
    let reason = match why {
        StaleReason::Disconnected => &mut counts.stale_disconnected,
        StaleReason::FramesLost => &mut counts.stale_frames_lost,
        StaleReason::TooManyLevels => &mut counts.stale_too_many_levels,
        StaleReason::UndecodedMessage => &mut counts.stale_undecoded,
        StaleReason::Disproved => &mut counts.stale_disproved,
        StaleReason::Behind => &mut counts.stale_behind,
        StaleReason::Moving => &mut counts.stale_moving,
        StaleReason::TimesDisagree => &mut counts.stale_times_disagree,
    };
    [Some(&mut counts.stale), Some(reason)]
}

//! The books of one venue on the bus, for its handler and for the serve core.
//!
//! Runs on:  the thread `bus-source` (pure; time is an argument). Owns: the handler, subscriptions, updates to send.
//! Bounds:   one entry for each book and market; `UPDATE_SUBSCRIPTIONS_MAX` subscriptions, `UPDATE_BUFFERS_MAX`
//! buffers.
//!
//! The levels are those of the reader's books. A book that was live and waits for its next snapshot is stale here: it
//! has levels, and somebody may have them.
use crate::base::id::{BookIndex, MarketId, ShardId, TokenId, Venue};
use crate::base::limits::{UPDATE_BUFFERS_MAX, UPDATE_SUBSCRIPTIONS_MAX};
use crate::bus::books::{Applied, BusBook, BusBooks, BusEvent, BusState, BusTrade};
use crate::counter::bus_source::SourceBooks;
use crate::counter::shard::BookCounts;
use crate::link::shard_updates::{
    BookUpdate, BookUpdateKind, LevelChange, SubscriptionKey, TradeUpdate, UpdateRequest,
};
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::book::{Book, BookState, Level, Side, StaleReason};
use crate::market::event::{TickSize, Trade};
use crate::market::info::{MarketEvent, MarketStage};
use crate::shard::publish::{BookView, Change, Handler, MarketView};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};

/// What is held of a book beside its levels.
#[derive(Debug)]
struct Entry {
    index: BookIndex,
    market: MarketId,
    state: BookState,
    facts: BookFacts,
}

/// The books of one venue.
#[derive(Debug)]
pub struct VenueBooks<H> {
    venue: Venue,
    shard: ShardId,
    handler: H,
    entries: HashMap<TokenId, Entry, FixedState>,
    subscriptions: HashMap<TokenId, SubscriptionKey, FixedState>,
    /// The stage of each market that is not resolved.
    stages: HashMap<MarketId, MarketStage, FixedState>,
    /// The other token of markets with two.
    siblings: HashMap<TokenId, TokenId, FixedState>,
    free: Vec<BookIndex>,
    next_index: u32,
    /// In place of levels that have not come.
    empty: Book,
    #[expect(clippy::vec_box, reason = "the ring carries boxes")]
    buffers: Vec<Box<BookImage>>,
    /// To be sent, in order.
    updates: VecDeque<BookUpdate>,
    counts: BookCounts,
}

impl<H: Handler> VenueBooks<H> {
    /// No books yet.
    #[must_use]
    pub fn new(venue: Venue, shard: ShardId, handler: H) -> Self {
        Self {
            venue,
            shard,
            handler,
            entries: HashMap::default(),
            subscriptions: HashMap::default(),
            stages: HashMap::default(),
            siblings: HashMap::default(),
            free: Vec::new(),
            next_index: 0,
            empty: Book::default(),
            buffers: Vec::new(),
            updates: VecDeque::new(),
            counts: BookCounts::default(),
        }
    }

    /// The venue.
    pub const fn venue(&self) -> Venue {
        self.venue
    }

    /// The next update to send.
    pub fn poll_update(&mut self) -> Option<BookUpdate> {
        self.updates.pop_front()
    }

    /// The figures.
    pub fn figures(&self) -> SourceBooks {
        SourceBooks {
            venue: self.venue.name().to_owned(),
            markets: self.stages.len() as u64,
            counts: self.counts,
        }
    }

    /// A request of the serve core.
    pub fn on_request(&mut self, request: UpdateRequest, books: &BusBooks) {
        match request {
            UpdateRequest::Subscribe { token, key } => {
                if self.subscriptions.len() < UPDATE_SUBSCRIPTIONS_MAX {
                    self.subscriptions.insert(token, key);
                    self.send_image(&token, books, false);
                }
            }
            UpdateRequest::Unsubscribe { token } => {
                self.subscriptions.remove(&token);
            }
            UpdateRequest::Buffer(image) => {
                if self.buffers.len() < UPDATE_BUFFERS_MAX {
                    self.buffers.push(image);
                }
            }
        }
    }

    /// Copies a book; false when there is none.
    pub fn fill_image(&self, token: &TokenId, books: &BusBooks, image: &mut BookImage) -> bool {
        let Some(Entry { market, state, facts, .. }) = self.entries.get(token) else {
            return false;
        };
        image.fill(*market, *token, *state, *facts, levels(&self.empty, books.book(token)));
        true
    }

    /// What a record has changed, in `books` already.
    pub fn on_applied(&mut self, applied: &Applied, books: &BusBooks, now_wall_ns: u64) {
        match applied {
            Applied::Image { token, gap, is_known } => {
                let Some(book) = books.book(token) else { return };
                self.take_facts(token, book);
                if *is_known && self.state(token) == Some(BookState::Live) {
                    return;
                }
                self.counts.snapshots += 1;
                self.set_state(token, book, now_wall_ns);
                self.publish_image(token, books, *gap);
            }
            Applied::Changes { token, levels } => {
                let Some(book) = books.book(token) else { return };
                self.take_facts(token, book);
                self.counts.updates += levels.len() as u64;
                self.publish_changes(token, book, levels);
                self.on_state(token, books, now_wall_ns);
            }
            Applied::TickSize { token, old, new } => {
                let Some(book) = books.book(token) else { return };
                self.take_facts(token, book);
                let (timestamp_ms, old, new) = (book.venue_time_ms, *old, *new);
                self.publish(token, book, BookUpdateKind::TickSize { timestamp_ms, old, new });
                let (market, token_text) = (book.market.as_str(), token.as_str());
                let tick = TickSize { market, token: token_text, timestamp_ms, old, new };
                self.with_view(token, Some(book), |handler, view| {
                    handler.on_tick_size(view, &tick);
                });
            }
            Applied::State(token) => self.on_state(token, books, now_wall_ns),
            Applied::Other(BusEvent::Trade(trade)) => self.on_trade(trade, books),
            Applied::Other(_) => {}
        }
    }

    /// The state of a book may have changed.
    fn on_state(&mut self, token: &TokenId, books: &BusBooks, now_wall_ns: u64) {
        let Some(book) = books.book(token) else { return };
        let Some(before) = self.state(token) else { return };
        if book.state == BusState::Closed {
            return self.close(token, book);
        }
        self.set_state(token, book, now_wall_ns);
        // That a book is live is in its image.
        if before != BookState::Live && self.state(token) == Some(BookState::Live) {
            self.publish_image(token, books, false);
        }
    }

    /// Nobody changes the books any more.
    pub fn set_all_stale(&mut self, books: &BusBooks, now_wall_ns: u64) {
        let live = self.entries.iter().filter(|(_, entry)| entry.state == BookState::Live);
        let live: Vec<TokenId> = live.map(|(token, _)| *token).collect();
        let (why, since_wall_ns) = (StaleReason::Disconnected, now_wall_ns);
        for token in live {
            if let Some(book) = books.book(&token) {
                self.move_to(&token, book, BookState::Stale { why, since_wall_ns });
            }
        }
    }

    /// A market has come to another stage. Each is reported once; of what was over before, nothing is.
    pub fn on_market(&mut self, event: MarketEvent) {
        let MarketEvent { stage, info, .. } = &event;
        let before = self.stages.get(&info.market).copied();
        let is_over = *stage >= MarketStage::Ended;
        if before == Some(*stage) || before.is_none() && is_over {
            return;
        }
        if *stage == MarketStage::Resolved {
            self.stages.remove(&info.market);
            for outcome in &info.tokens {
                self.siblings.remove(&outcome.token);
            }
        } else {
            self.stages.insert(info.market, *stage);
            if let [one, other] = &info.tokens[..] {
                self.siblings.insert(one.token, other.token);
                self.siblings.insert(other.token, one.token);
            }
        }
        let (venue, shard, resolution) = (self.venue, self.shard, event.resolution.as_ref());
        self.handler.on_market(&MarketView { venue, shard, stage: *stage, info, resolution });
        let (key, what) = (SubscriptionKey::NONE, BookUpdateKind::Market(Box::new(event)));
        self.updates.push_back(BookUpdate { key, read_wall_ns: 0, version: 0, what });
    }

    fn state(&self, token: &TokenId) -> Option<BookState> {
        self.entries.get(token).map(|entry| entry.state)
    }

    /// Opens a book that is not open.
    fn open(&mut self, token: &TokenId, market: MarketId, book: Option<&BusBook>) {
        if self.entries.contains_key(token) {
            return;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.next_index += 1;
            BookIndex(self.next_index - 1)
        });
        let (state, facts) = (BookState::AwaitingSnapshot, BookFacts::default());
        self.entries.insert(*token, Entry { index, market, state, facts });
        self.counts.books += 1;
        self.counts.awaiting += 1;
        self.with_view(token, book, |handler, view| handler.on_open(view));
    }

    fn close(&mut self, token: &TokenId, book: &BusBook) {
        self.move_to(token, book, BookState::AwaitingSnapshot);
        self.publish(token, book, BookUpdateKind::Closed);
        self.with_view(token, Some(book), |handler, view| handler.on_close(view));
        if let Some(entry) = self.entries.remove(token) {
            self.free.push(entry.index);
            self.counts.books -= 1;
            self.counts.awaiting -= 1;
        }
    }

    fn take_facts(&mut self, token: &TokenId, book: &BusBook) {
        self.open(token, book.market, Some(book));
        let Some(entry) = self.entries.get_mut(token) else { return };
        let before = entry.facts;
        entry.facts = BookFacts {
            timestamp_ms: book.venue_time_ms,
            min_order_size: book.min_order_size.or(before.min_order_size),
            tick_size: book.tick_size.or(before.tick_size),
            last_trade: before.last_trade.or(book.last_trade),
            updates: book.version,
            updated_wall_ns: book.receive_time_ns,
            ..BookFacts::default()
        };
    }

    /// Gives a book the state that it has on the bus.
    fn set_state(&mut self, token: &TokenId, book: &BusBook, now_wall_ns: u64) {
        let Some(before) = self.state(token) else { return };
        let stale = |why| BookState::Stale { why, since_wall_ns: now_wall_ns };
        let state = match &book.state {
            BusState::Live => BookState::Live,
            BusState::Stale(why) => stale(reason(why)),
            BusState::AwaitingSnapshot | BusState::Closed => match before {
                BookState::Live => stale(StaleReason::Disconnected),
                before => before,
            },
        };
        let is_same = match (before, state) {
            (BookState::Stale { why, .. }, BookState::Stale { why: other, .. }) => why == other,
            _ => before == state,
        };
        if !is_same {
            self.move_to(token, book, state);
        }
    }

    fn move_to(&mut self, token: &TokenId, book: &BusBook, state: BookState) {
        let Some(entry) = self.entries.get_mut(token) else { return };
        let before = std::mem::replace(&mut entry.state, state);
        if before == state {
            return;
        }
        *counter(&mut self.counts, before) -= 1;
        *counter(&mut self.counts, state) += 1;
        if state != BookState::Live {
            self.publish(token, book, BookUpdateKind::State(state));
        }
        self.with_view(token, Some(book), |handler, view| handler.on_status(view, before));
    }

    fn on_trade(&mut self, trade: &BusTrade, books: &BusBooks) {
        let BusTrade { token, market, price, quantity, side, .. } = *trade;
        let book = books.book(&token);
        self.open(&token, market, book);
        self.counts.trades += 1;
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.facts.last_trade = Some(price);
        }
        let (id, fee_rate_bps, timestamp_ms) = (trade.id, trade.fee_rate_bps, trade.venue_time_ms);
        if let Some(&key) = self.subscriptions.get(&token) {
            let what = TradeUpdate { timestamp_ms, price, quantity, side, fee_rate_bps, id };
            let what = BookUpdateKind::Trade(what);
            let (read_wall_ns, version) = (trade.receive_time_ns, book.map_or(0, |b| b.version));
            self.updates.push_back(BookUpdate { key, read_wall_ns, version, what });
        }
        let event = Trade {
            market: market.as_str(),
            token: token.as_str(),
            timestamp_ms,
            price,
            quantity,
            side,
            fee_rate_bps,
            transaction_hash: trade.id.as_ref().map_or("", |id| id.as_str()),
        };
        self.with_view(&token, book, |handler, view| handler.on_trade(view, &event));
    }

    fn publish_changes(&mut self, token: &TokenId, book: &BusBook, levels: &[(Side, Level)]) {
        for (place, &(side, level)) in levels.iter().enumerate() {
            let change = LevelChange {
                timestamp_ms: book.venue_time_ms,
                side,
                level,
                hash: None,
                best_bid: None,
                best_ask: None,
                first: place == 0,
            };
            self.publish(token, book, BookUpdateKind::Change(change));
        }
        for &(side, level) in levels {
            let change = Change { side, level, venue_best_bid: None, venue_best_ask: None };
            self.with_view(token, Some(book), |handler, view| {
                handler.on_price_change(view, &change);
            });
        }
    }

    /// The whole book is new: to the subscriber, and to the handler if it is live.
    fn publish_image(&mut self, token: &TokenId, books: &BusBooks, lost: bool) {
        self.send_image(token, books, lost);
        if self.state(token) == Some(BookState::Live) {
            let book = books.book(token);
            self.with_view(token, book, |handler, view| handler.on_snapshot(view));
        }
    }

    fn send_image(&mut self, token: &TokenId, books: &BusBooks, lost: bool) {
        let Some(&key) = self.subscriptions.get(token) else { return };
        let mut image = self.buffers.pop().unwrap_or_default();
        if !self.fill_image(token, books, &mut image) {
            return self.buffers.push(image);
        }
        let sibling = self.siblings.get(token).copied();
        let sibling = sibling.filter(|sibling| self.entries.contains_key(sibling));
        let BookFacts { updated_wall_ns: read_wall_ns, updates: version, .. } = image.facts;
        let what = BookUpdateKind::Image { image, sibling, lost };
        self.updates.push_back(BookUpdate { key, read_wall_ns, version, what });
    }

    /// An update of a book, if the serve core subscribes to it.
    fn publish(&mut self, token: &TokenId, book: &BusBook, what: BookUpdateKind) {
        if let Some(&key) = self.subscriptions.get(token) {
            let (read_wall_ns, version) = (book.receive_time_ns, book.version);
            self.updates.push_back(BookUpdate { key, read_wall_ns, version, what });
        }
    }

    fn with_view(
        &mut self,
        token: &TokenId,
        book: Option<&BusBook>,
        call: impl FnOnce(&mut H, &BookView<'_>),
    ) {
        let Some(Entry { index, market, state, facts }) = self.entries.get(token) else { return };
        let view = BookView {
            venue: self.venue,
            shard: self.shard,
            index: *index,
            market,
            token,
            state: *state,
            facts,
            book: levels(&self.empty, book),
            read_wall_ns: facts.updated_wall_ns,
        };
        call(&mut self.handler, &view);
    }
}

fn levels<'a>(empty: &'a Book, book: Option<&'a BusBook>) -> &'a Book {
    book.map_or(empty, |book| &book.book)
}

/// The reason of a stale book. Those that only the bus has are of records that are missing, or of an engine that is.
fn reason(name: &str) -> StaleReason {
    match name {
        "engine_silent" => StaleReason::Disconnected,
        name => StaleReason::named(name).unwrap_or(StaleReason::FramesLost),
    }
}

/// The counter of a state.
const fn counter(counts: &mut BookCounts, state: BookState) -> &mut u64 {
    match state {
        BookState::Live => &mut counts.live,
        BookState::AwaitingSnapshot => &mut counts.awaiting,
        BookState::Stale { .. } => &mut counts.stale,
    }
}

#[cfg(test)]
mod tests;

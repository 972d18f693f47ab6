//! The books of one shard, and how an event changes them.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: the parts, each with bounds of its own.
//!
//! Each part has one responsibility. Here and in `apply`, `repair`, `handover` and `damage` is what needs several.
//!
//! | part | is |
//! |---|---|
//! | `store` | the books, found by token and market; their states and connections |
//! | `verifier` | best prices and hashes, compared with what the venue reports |
//! | `times` | which venue times cannot be right |
//! | `auditor` | live books, compared with the REST interface and with each other |
//! | `repairer` | books that are not live, asked for over REST |
//! | `matcher` | replacements of connections |
//! | `trades` | each trade once, early ones kept |
//! | `forwarder` | events of other shards' markets |
//! | `ahead` | books of messages further on in the same read, fetched early |
//! | `updates` | subscribed books, and what the serve core receives of them |
use super::publish::Handler;
use crate::base::{
    id::{BookIndex, MarketId, ShardId, TokenId},
    policy::HashChecks,
};
use crate::counter::shard::{BookCounts, CheckCounts, RepairCounts};
use crate::link::shard_trade::TradeSender;
use crate::market::book::{BookOpening, StaleReason, image::BookImage};
use crate::market::info::MarketEvent;
use crate::venue::Feed;
use ahead::LookAhead;
use auditor::Auditor;
use forwarder::Forwarder;
use matcher::StreamMatcher;
use repairer::Repairer;
use store::Store;
use times::VenueTimes;
use trades::Trades;
use verifier::Verifier;

mod ahead;
mod apply;
mod auditor;
mod damage;
mod directory;
mod forwarder;
mod group;
mod handover;
mod index;
mod market_matcher;
mod matcher;
mod repair;
mod repairer;
mod slots;
mod store;
mod stored;
mod times;
mod trades;
mod updates;
mod verifier;

pub use auditor::Behind;
pub use matcher::{DisconnectOutcome, HandedOver, HandoverProgress};
pub(crate) use stored::{ImageOutcome, ImageTurn, StoredBook};

/// A connection's place within its shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSlot(pub u32);

/// Which books a shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Those that were opened; anything else is counted as an unknown instrument.
    Listed,
    /// Every token that is mentioned and whose market hashes to this one of `shards` shards:
    /// replay, where subscriptions are implied by what appears.
    Implied {
        /// Number of shards, at least one.
        shards: u16,
    },
}

/// The shard holds [`BOOKS_PER_SHARD_MAX`](crate::base::limits::BOOKS_PER_SHARD_MAX) books; the book was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardFull;

/// An open book and its place.
#[derive(Clone, Copy, Debug)]
pub struct OpenBook {
    /// Its token.
    pub token: TokenId,
    /// The market of the token.
    pub market: MarketId,
    /// For [`Books::fill_image_at`].
    pub index: BookIndex,
}

/// The books of one shard.
#[derive(Debug)]
pub struct Books<H> {
    /// The books themselves.
    pub(super) store: Store<H>,
    verifier: Verifier,
    times: VenueTimes,
    auditor: Auditor,
    repairer: Repairer,
    /// Replacements of connections.
    pub(super) matcher: StreamMatcher,
    trades: Trades,
    /// What other shards are to receive.
    pub(super) forwarder: Forwarder,
    ahead: LookAhead,
    /// Messages are numbered: only the connection that carries a book changes it, and trades come on several.
    sequenced: bool,
    /// Changes of the message at hand that were applied: book, place in the message.
    applied: Vec<(BookIndex, u32)>,
}

impl<H: Handler> Books<H> {
    /// No books yet, of the venue of `feed`.
    #[must_use]
    pub fn new(shard: ShardId, feed: Feed, admission: Admission, handler: H) -> Self {
        Self {
            store: Store::new(shard, feed.venue(), admission, handler),
            verifier: Verifier::default(),
            times: VenueTimes::default(),
            auditor: Auditor::default(),
            repairer: Repairer::default(),
            matcher: StreamMatcher::default(),
            trades: Trades::default(),
            forwarder: Forwarder::default(),
            ahead: LookAhead::new(feed.capabilities().is_sequenced()),
            sequenced: feed.capabilities().is_sequenced(),
            applied: Vec::new(),
        }
    }

    /// A market has come to another stage: to the handler.
    pub(crate) fn on_market(&mut self, event: &MarketEvent) {
        self.store.on_market(event);
    }

    /// The same with these hashes compared.
    #[must_use]
    pub fn with_hash_checks(mut self, hashes: HashChecks) -> Self {
        self.verifier.set_policy(hashes);
        self
    }

    pub(crate) const fn set_hash_checks(&mut self, hashes: HashChecks) {
        self.verifier.set_policy(hashes);
    }

    /// The same with every trade sent to the sink.
    #[must_use]
    pub fn with_trade_sender(mut self, sender: TradeSender) -> Self {
        self.trades.set_sink(sender);
        self
    }

    /// The same as one of `shards` shards, with ids from `first` on, that forward events to one another.
    #[must_use]
    pub const fn with_shards(mut self, shards: u16, first: u16) -> Self {
        self.forwarder.set_shards(shards, first);
        self
    }

    /// A message that names `token` at its beginning is further on in the same read.
    #[inline]
    pub(crate) fn announce(&mut self, frame: &[u8], token: &[u8]) {
        self.ahead.announce(frame, token, &self.store.directory);
    }

    /// A message has come.
    #[inline]
    pub(crate) fn begin_frame(&mut self, frame: &str) {
        let Self { ahead, store, .. } = self;
        store.expected = ahead.take(frame, &store.slots, &store.directory);
    }

    /// Opens a book that `connection` carries, or moves it there if it is open already.
    ///
    /// # Errors
    /// [`ShardFull`]: *count and go on*.
    pub fn open(
        &mut self,
        opening: &BookOpening,
        connection: ConnectionSlot,
    ) -> Result<BookIndex, ShardFull> {
        let store = &mut self.store;
        if let Some(index) = store.find_in(opening.market.as_str(), opening.token.as_bytes()) {
            let slot = &store.slots[index];
            if self.sequenced && slot.connection != connection {
                // The messages of the old connection do not continue those of the new one.
                store.set_stale(index, StaleReason::Moving, slot.facts.updated_wall_ns);
            }
            store.assign(index, connection);
            return Ok(index);
        }
        let index = store.open(opening, connection)?;
        self.times.forget(index);
        self.deliver_early(index);
        Ok(index)
    }

    /// Closes a book that `connection` carries; one that another carries stays.
    pub fn close_on(&mut self, token: &TokenId, connection: ConnectionSlot) {
        if self.store.is_on(token, connection) {
            self.close(token);
        }
    }

    /// Takes over the catalog's fields of an open book. The tick size of the stream is newer.
    pub fn describe(&mut self, opening: &BookOpening) {
        self.store.describe(opening);
    }

    /// Closes a book and frees its levels.
    pub fn close(&mut self, token: &TokenId) {
        let Some(index) = self.store.find(token.as_str()) else { return };
        let sibling = self.store.slots[index].sibling;
        self.store.close(index);
        self.verifier.forget(index);
        self.times.forget(index);
        self.repairer.forget(index);
        self.auditor.forget(index.min(sibling));
    }

    /// The book of a token.
    pub fn find(&self, token: &str) -> Option<BookIndex> {
        self.store.find(token)
    }

    /// The digest of a live book.
    pub fn digest(&self, token: &str) -> Option<u64> {
        self.store.digest(token)
    }

    /// Copies one book; false when it is not held here.
    pub fn fill_image(&self, token: &str, image: &mut BookImage) -> bool {
        self.store.fill_image(token, image)
    }

    /// Copies the book at one place; false when none is open there.
    pub fn fill_image_at(&self, index: BookIndex, image: &mut BookImage) -> bool {
        self.store.fill_image_at(index, image)
    }

    /// Every open book, in no order.
    pub fn open_books(&self) -> impl Iterator<Item = OpenBook> {
        let open = self.store.slots.iter().filter(|(_, slot)| slot.is_open());
        open.map(|(index, slot)| OpenBook { token: slot.token, market: slot.market, index })
    }

    /// Makes every live book stale; gives their number.
    pub fn set_all_stale(&mut self, why: StaleReason, wall_ns: u64) -> usize {
        self.store.set_all_stale(why, wall_ns)
    }

    /// Makes every live book of `connection` stale; gives their number.
    pub fn set_connection_stale(
        &mut self,
        connection: ConnectionSlot,
        why: StaleReason,
        wall_ns: u64,
    ) -> usize {
        self.store.set_connection_stale(connection, why, wall_ns)
    }

    /// A message could not be decoded: the book of `token` may have missed a change. Where the
    /// token is not known (empty), any book of `market` may have.
    pub fn on_undecoded(&mut self, market: &str, token: &str, wall_ns: u64) {
        self.store.on_undecoded(market, token, wall_ns);
    }

    /// Live books that `connection` carries.
    pub fn live_on(&self, connection: ConnectionSlot) -> u32 {
        self.store.live_on(connection)
    }

    /// Heap bytes of all books; see `Store`.
    pub fn memory_usage(&mut self, count: usize) -> u64 {
        self.store.memory_usage(count)
    }

    /// Which hashes are compared.
    pub const fn hash_checks(&self) -> HashChecks {
        self.verifier.policy()
    }

    /// Compares books whose last message was a while ago, and gives hashes that no trade explained their verdict:
    /// as many as cost `count` comparisons. Call it some times a second.
    pub fn settle(&mut self, count: usize, now_wall_ns: u64) {
        self.settle_some(count, now_wall_ns, |_| true);
    }

    /// The same with the books of `mine` only.
    pub(crate) fn settle_some(
        &mut self,
        count: usize,
        now_wall_ns: u64,
        mine: impl Fn(&MarketId) -> bool,
    ) {
        self.verifier.settle(&mut self.store, count, now_wall_ns, mine);
    }

    /// Compares all that waits for a comparison: at the end of a recording.
    pub fn settle_all(&mut self) {
        self.settle(usize::MAX, u64::MAX);
    }

    /// The host's clock less the venue's as the messages show it, milliseconds; below zero the host is behind.
    pub const fn clock_offset_ms(&self) -> Option<i64> {
        self.times.clock_offset_ms()
    }

    /// The counters.
    pub const fn counts(&self) -> &BookCounts {
        &self.store.counts
    }

    /// What comparing best prices and hashes gave.
    pub const fn checks(&self) -> &CheckCounts {
        &self.verifier.counts
    }

    /// What repairs and audits did.
    pub fn repairs(&self) -> RepairCounts {
        self.auditor.counts.plus(&self.repairer.counts)
    }

    /// Gives the user's handler back.
    pub fn into_handler(self) -> H {
        self.store.handler
    }
}

#[cfg(test)]
mod tests;

//! Subscribed books: what the serve core receives of them, and when the ring to it is full.
//!
//! Runs on:  shard cores (pure). Owns: the producer of the ring, buffers for images, subscriptions of tokens.
//! Bounds:   `UPDATE_SUBSCRIPTIONS_MAX` subscriptions, as many marked books, `UPDATE_BUFFERS_MAX` buffers;
//!           `UPDATE_TRADES_MAX` trades that did not fit.
//!
//! A book whose update does not fit is marked, and no change of it is sent until its image is. A trade that does not
//! fit waits, and so does each one after it: the image of a marked book goes before its trades. Without subscribers a
//! message costs one branch for each of its books.
use super::Books;
use super::slots::{Occupancy, Slots};
use crate::base::id::{BookIndex, TokenId, TradeId};
use crate::base::limits::{UPDATE_BUFFERS_MAX, UPDATE_SUBSCRIPTIONS_MAX, UPDATE_TRADES_MAX};
use crate::link::shard_updates::{
    BookUpdate, BookUpdateKind, LevelChange, SubscriptionKey, TradeUpdate, UpdateRequest,
};
use crate::market::book::Level;
use crate::market::book::image::BookImage;
use crate::market::event::{ChangeSpan, Delta, Trade};
use crate::market::info::MarketEvent;
use crate::ring::Producer;
use std::collections::{HashMap, VecDeque};

/// Whether a book's image must be sent before anything else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Image,
    /// And updates before it were lost.
    Lost,
}

/// What no image has.
#[derive(Debug)]
struct Other {
    /// The open book of a trade.
    book: Option<BookIndex>,
    update: BookUpdate,
}

/// The subscribed books of one shard.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    sender: Option<Producer<BookUpdate>>,
    wanted: HashMap<TokenId, SubscriptionKey, foldhash::fast::FixedState>,
    #[expect(clippy::vec_box, reason = "the ring carries boxes, so that a shard moves a pointer")]
    buffers: Vec<Box<BookImage>>,
    /// Books with a mark, in the order in which their images go out; and some whose image went out before its turn.
    marked: VecDeque<BookIndex>,
    /// What no image has and did not fit: trades, books that have closed, stages of markets.
    other: VecDeque<Other>,
    /// Trades among it.
    trades: usize,
    /// Trades that were not among it for want of room, and of which the serve core does not know yet.
    trades_lost: u64,
    /// Something was sent since the serve core was last woken.
    unannounced: bool,
}

impl Updates {
    /// Updates go to `sender`. Reserves what subscriptions need, so that none grows a table later: 46 MB of addresses,
    /// of which what is used becomes memory.
    pub(super) fn set_sender(&mut self, sender: Producer<BookUpdate>) {
        self.sender = Some(sender);
        self.wanted.reserve(UPDATE_SUBSCRIPTIONS_MAX);
        self.marked.reserve(UPDATE_SUBSCRIPTIONS_MAX);
        self.buffers.reserve(UPDATE_BUFFERS_MAX);
    }

    /// Whether something was sent since the last call.
    pub(crate) fn take_unannounced(&mut self) -> bool {
        std::mem::take(&mut self.unannounced)
    }

    /// A request of the serve core; `find` gives the book of a token.
    pub(super) fn on_request(
        &mut self,
        slots: &mut Slots,
        request: UpdateRequest,
        find: impl FnOnce(&Slots, &TokenId) -> Option<BookIndex>,
    ) {
        match request {
            UpdateRequest::Subscribe { token, key } => {
                if self.wanted.len() >= UPDATE_SUBSCRIPTIONS_MAX {
                    return;
                }
                self.wanted.insert(token, key);
                if let Some(index) = find(slots, &token) {
                    self.subscribe(slots, index, key);
                }
            }
            UpdateRequest::Unsubscribe { token } => {
                self.wanted.remove(&token);
                if let Some(index) = find(slots, &token) {
                    slots[index].occupancy = Occupancy::Open;
                }
            }
            UpdateRequest::Buffer(image) => {
                if self.buffers.len() < UPDATE_BUFFERS_MAX {
                    self.buffers.push(image);
                }
            }
        }
    }

    pub(super) fn on_open(&mut self, slots: &mut Slots, index: BookIndex) {
        if self.wanted.is_empty() {
            return;
        }
        if let Some(&key) = self.wanted.get(&slots[index].token) {
            self.subscribe(slots, index, key);
        }
    }

    /// A book closes. The subscription of its token stays.
    pub(super) fn on_close(&mut self, slots: &mut Slots, index: BookIndex) {
        let slot = &mut slots[index];
        let was_subscribed = slot.is_subscribed();
        slot.occupancy = Occupancy::Open;
        if was_subscribed {
            let key = slot.subscription;
            // No image of another book of the token goes before its trades.
            for other in self.other.iter_mut().filter(|other| other.book == Some(index)) {
                other.book = None;
            }
            self.publish_other(key, 0, BookUpdateKind::Closed);
        }
    }

    /// Sends an update of a subscribed book; marks the book where it does not fit. Whether it was sent.
    #[cold]
    #[inline(never)]
    pub(super) fn publish(
        &mut self,
        slots: &mut Slots,
        index: BookIndex,
        read_wall_ns: u64,
        what: BookUpdateKind,
    ) -> bool {
        let slot = &slots[index];
        let (key, is_marked) = (slot.subscription, slot.mark != Mark::None);
        let is_trade = matches!(what, BookUpdateKind::Trade(_));
        let update = BookUpdate { key, read_wall_ns, version: slot.facts.updates, what };
        if is_marked || (is_trade && self.trades > 0) {
            if is_trade {
                self.hold_trade(slots, index, update);
            }
            return false;
        }
        match self.send(update) {
            Ok(()) => return true,
            Err(update) if is_trade => self.hold_trade(slots, index, update),
            Err(_) => self.mark(slots, index, Mark::Lost),
        }
        false
    }

    fn hold_trade(&mut self, slots: &mut Slots, index: BookIndex, update: BookUpdate) {
        if self.trades < UPDATE_TRADES_MAX {
            self.trades += 1;
            self.other.push_back(Other { book: Some(index), update });
        } else {
            self.trades_lost += 1;
            self.mark(slots, index, Mark::Lost);
        }
    }

    /// One change of a message, after the whole message was applied. Whether it was sent.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_change(
        &mut self,
        slots: &mut Slots,
        index: BookIndex,
        timestamp_ms: u64,
        change: &ChangeSpan,
        first: bool,
    ) -> bool {
        let ChangeSpan { side, level, hash, best_bid, best_ask, .. } = *change;
        let change = LevelChange { timestamp_ms, side, level, hash, best_bid, best_ask, first };
        let read_wall_ns = slots[index].facts.updated_wall_ns;
        self.publish(slots, index, read_wall_ns, BookUpdateKind::Change(change))
    }

    /// A relative change, which has made `level`.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_delta(
        &mut self,
        slots: &mut Slots,
        index: BookIndex,
        event: &Delta<'_>,
        level: Level,
    ) {
        let Delta { timestamp_ms, side, .. } = *event;
        let (hash, best_bid, best_ask, first) = (None, None, None, true);
        let change = LevelChange { timestamp_ms, side, level, hash, best_bid, best_ask, first };
        let read_wall_ns = slots[index].facts.updated_wall_ns;
        self.publish(slots, index, read_wall_ns, BookUpdateKind::Change(change));
    }

    /// The whole book is new: sends its image, or marks it.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_image(&mut self, slots: &mut Slots, index: BookIndex, read_wall_ns: u64) {
        if slots[index].mark == Mark::None && !self.send_image(slots, index, read_wall_ns, false) {
            self.mark(slots, index, Mark::Image);
        }
    }

    /// A market of this shard has come to another stage, at `wall_ns` in a recording; 0 is now.
    pub(super) fn publish_market(&mut self, event: &MarketEvent, wall_ns: u64) {
        if self.sender.is_some() {
            let what = BookUpdateKind::Market(Box::new(event.clone()));
            self.publish_other(SubscriptionKey::NONE, wall_ns, what);
        }
    }

    /// Behind what waits already.
    fn publish_other(&mut self, key: SubscriptionKey, read_wall_ns: u64, what: BookUpdateKind) {
        if self.other.len() < UPDATE_SUBSCRIPTIONS_MAX {
            let update = BookUpdate { key, read_wall_ns, version: 0, what };
            self.other.push_back(Other { book: None, update });
        }
    }

    /// Whether something waits for room or for a buffer.
    fn has_unsent(&self) -> bool {
        !self.marked.is_empty() || !self.other.is_empty() || self.trades_lost > 0
    }

    /// Sends what no image has. Whether all of it did fit.
    fn send_other(&mut self, slots: &mut Slots) -> bool {
        if self.sender.is_none() {
            return self.other.is_empty();
        }
        while let Some(Other { book, update }) = self.other.pop_front() {
            let is_before_image = book.filter(|&index| {
                let slot = &slots[index];
                slot.is_subscribed() && slot.subscription == update.key && slot.mark != Mark::None
            });
            let has_image =
                is_before_image.is_none_or(|index| self.send_marked_image(slots, index));
            let is_trade = matches!(update.what, BookUpdateKind::Trade(_));
            let sent = if has_image { self.send(update) } else { Err(update) };
            if let Err(update) = sent {
                self.other.push_front(Other { book, update });
                return false;
            }
            self.trades -= usize::from(is_trade);
        }
        if self.trades_lost > 0 {
            let (key, what) = (SubscriptionKey::NONE, BookUpdateKind::TradesLost(self.trades_lost));
            let update = BookUpdate { key, read_wall_ns: 0, version: 0, what };
            if self.send(update).is_err() {
                return false;
            }
            self.trades_lost = 0;
        }
        true
    }

    #[expect(clippy::result_large_err, reason = "a full ring gives the update back")]
    fn send(&mut self, update: BookUpdate) -> Result<(), BookUpdate> {
        let Some(sender) = &mut self.sender else { return Err(update) };
        let sent = sender.try_send(update);
        self.unannounced |= sent.is_ok();
        sent
    }

    fn subscribe(&mut self, slots: &mut Slots, index: BookIndex, key: SubscriptionKey) {
        let slot = &mut slots[index];
        (slot.occupancy, slot.subscription) = (Occupancy::Subscribed, key);
        self.mark(slots, index, Mark::Image);
    }

    fn mark(&mut self, slots: &mut Slots, index: BookIndex, mark: Mark) {
        let slot = &mut slots[index];
        if slot.mark == Mark::None {
            self.marked.push_back(index);
        }
        if slot.mark != Mark::Lost {
            slot.mark = mark;
        }
    }

    fn send_image(
        &mut self,
        slots: &Slots,
        index: BookIndex,
        read_wall_ns: u64,
        lost: bool,
    ) -> bool {
        let Some(mut image) = self.buffers.pop() else { return false };
        let slot = &slots[index];
        image.fill(slot.market, slot.token, slot.state, slot.facts, &slot.book);
        let sibling = (slot.sibling != index).then(|| slots[slot.sibling].token);
        let (key, version) = (slot.subscription, slot.facts.updates);
        let what = BookUpdateKind::Image { image, sibling, lost };
        match self.send(BookUpdate { key, read_wall_ns, version, what }) {
            Ok(()) => true,
            Err(BookUpdate { what: BookUpdateKind::Image { image, .. }, .. }) => {
                self.buffers.push(image);
                false
            }
            Err(_) => false,
        }
    }

    /// Sends the image that a mark asks for. Whether it did fit.
    fn send_marked_image(&mut self, slots: &mut Slots, index: BookIndex) -> bool {
        let slot = &slots[index];
        let (lost, read_wall_ns) = (slot.mark == Mark::Lost, slot.facts.updated_wall_ns);
        let sent = self.send_image(slots, index, read_wall_ns, lost);
        if sent {
            slots[index].mark = Mark::None;
        }
        sent
    }

    /// Sends what did not fit before, as far as it fits now: at most `count` images. Gives their number.
    pub(super) fn send_marked(&mut self, slots: &mut Slots, count: usize) -> usize {
        if !self.send_other(slots) {
            return 0;
        }
        for sent in 0..count {
            let Some(&index) = self.marked.front() else { return sent };
            let slot = &mut slots[index];
            if !slot.is_subscribed() {
                slot.mark = Mark::None;
            } else if slot.mark != Mark::None && !self.send_marked_image(slots, index) {
                return sent;
            }
            self.marked.pop_front();
        }
        count
    }
}

/// For a replay, which waits for its subscriber.
impl<H> Books<H> {
    /// Updates of subscribed books go to `sender`.
    pub(crate) fn set_update_sender(&mut self, sender: Producer<BookUpdate>) {
        self.store.set_update_sender(sender);
    }

    /// A request of the subscriber.
    pub(crate) fn on_update_request(&mut self, request: UpdateRequest) {
        self.store.on_update_request(request);
    }

    /// Sends at most `count` images of marked books. Whether updates were sent since the last call.
    pub(crate) fn send_updates(&mut self, count: usize) -> bool {
        self.store.send_updates(count)
    }

    /// Whether updates did not fit and are not sent yet.
    pub(crate) fn has_unsent_updates(&self) -> bool {
        self.store.updates.has_unsent()
    }

    /// A market has come to another stage at `wall_ns`; 0 where that is not known.
    pub(crate) fn publish_market(&mut self, event: &MarketEvent, wall_ns: u64) {
        self.store.updates.publish_market(event, wall_ns);
    }

    /// The books of this one are closed for the subscriber, whose subscriptions continue with `next`, which has no book
    /// yet.
    pub(crate) fn pass_updates_to(&mut self, next: &mut Self) {
        let super::Store { updates, slots, .. } = &mut self.store;
        for index in slots.indices() {
            updates.on_close(slots, index);
        }
        let mut updates = std::mem::take(updates);
        updates.marked.clear();
        updates.other.iter_mut().for_each(|other| other.book = None);
        next.store.updates = updates;
    }
}

impl BookUpdateKind {
    pub(super) fn of_trade(event: &Trade<'_>) -> Self {
        let Trade { timestamp_ms, price, quantity, side, fee_rate_bps, .. } = *event;
        let id = TradeId::new(event.transaction_hash);
        Self::Trade(TradeUpdate { timestamp_ms, price, quantity, side, fee_rate_bps, id })
    }
}

#[cfg(test)]
mod tests;

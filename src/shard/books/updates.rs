//! Subscribed books: what the serve core receives of them, and when the ring to it is full.
//!
//! Runs on:  shard cores (pure). Owns: the producer of the ring, buffers for images, subscriptions of tokens.
//! Bounds:   `UPDATE_SUBSCRIPTIONS_MAX` subscriptions, as many marked books, `UPDATE_BUFFERS_MAX` buffers.
//!
//! A book whose update does not fit is marked, and nothing more is sent of it until its image is. Without subscribers a
//! message costs one branch for each of its books.
use super::Books;
use super::slots::{Occupancy, Slots};
use crate::base::id::{BookIndex, TokenId, TradeId};
use crate::base::limits::{UPDATE_BUFFERS_MAX, UPDATE_SUBSCRIPTIONS_MAX};
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

/// The subscribed books of one shard.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    sender: Option<Producer<BookUpdate>>,
    wanted: HashMap<TokenId, SubscriptionKey, foldhash::fast::FixedState>,
    #[expect(clippy::vec_box, reason = "the ring carries boxes, so that a shard moves a pointer")]
    buffers: Vec<Box<BookImage>>,
    /// Books with a mark, in the order in which their images go out.
    marked: VecDeque<BookIndex>,
    /// What is of no open book and did not fit: books that have closed, stages of markets.
    other: VecDeque<BookUpdate>,
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

    /// A book has opened.
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
        let slot = &mut slots[index];
        let (key, mark) = (slot.subscription, slot.mark);
        if mark != Mark::None {
            // The image has every change and state, but no trade.
            if matches!(what, BookUpdateKind::Trade(_)) {
                slot.mark = Mark::Lost;
            }
            return false;
        }
        let update = BookUpdate { key, read_wall_ns, version: slot.facts.updates, what };
        let sent = self.sender.as_mut().is_some_and(|sender| sender.try_send(update).is_ok());
        self.unannounced |= sent;
        if !sent {
            self.mark(slots, index, Mark::Lost);
        }
        sent
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
            self.other.push_back(BookUpdate { key, read_wall_ns, version: 0, what });
        }
    }

    /// Whether something waits for room or for a buffer.
    fn has_unsent(&self) -> bool {
        !self.marked.is_empty() || !self.other.is_empty()
    }

    /// Sends what is of no open book. Whether all of it did fit.
    fn send_other(&mut self) -> bool {
        let Some(sender) = &mut self.sender else { return self.other.is_empty() };
        while let Some(update) = self.other.pop_front() {
            if let Err(back) = sender.try_send(update) {
                self.other.push_front(back);
                return false;
            }
            self.unannounced = true;
        }
        true
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
        let (Some(sender), Some(mut image)) = (&mut self.sender, self.buffers.pop()) else {
            return false;
        };
        let slot = &slots[index];
        image.fill(slot.market, slot.token, slot.state, slot.facts, &slot.book);
        let sibling = (slot.sibling != index).then(|| slots[slot.sibling].token);
        let (key, version) = (slot.subscription, slot.facts.updates);
        let what = BookUpdateKind::Image { image, sibling, lost };
        match sender.try_send(BookUpdate { key, read_wall_ns, version, what }) {
            Ok(()) => self.unannounced = true,
            Err(BookUpdate { what: BookUpdateKind::Image { image, .. }, .. }) => {
                self.buffers.push(image);
                return false;
            }
            Err(_) => return false,
        }
        true
    }

    /// Sends what did not fit before, as far as it fits now: at most `count` images. Gives their number.
    pub(super) fn send_marked(&mut self, slots: &mut Slots, count: usize) -> usize {
        if !self.send_other() {
            return 0;
        }
        for sent in 0..count {
            let Some(&index) = self.marked.front() else { return sent };
            let slot = &slots[index];
            if slot.is_subscribed() {
                let (lost, read_wall_ns) = (slot.mark == Mark::Lost, slot.facts.updated_wall_ns);
                if !self.send_image(slots, index, read_wall_ns, lost) {
                    return sent;
                }
            }
            slots[index].mark = Mark::None;
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
        next.store.updates = updates;
    }
}

impl BookUpdateKind {
    /// The update for a trade.
    pub(super) fn of_trade(event: &Trade<'_>) -> Self {
        let Trade { timestamp_ms, price, quantity, side, fee_rate_bps, .. } = *event;
        let id = TradeId::new(event.transaction_hash);
        Self::Trade(TradeUpdate { timestamp_ms, price, quantity, side, fee_rate_bps, id })
    }
}

#[cfg(test)]
mod tests;

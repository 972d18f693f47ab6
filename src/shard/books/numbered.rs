//! Books of a venue that numbers its messages: relative changes, and two witnesses that cost nothing.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: the ids of the trades told last.
//! Bounds:   `TRADE_IDS_STORED_MAX`, `TOPS_REMEMBERED`, `AUDITS_OPEN_MAX` differences.
//!
//! A ticker has the best prices after all changes of its millisecond (kalshi/protocol.md, 5). It arrives on another
//! connection than the changes, before or after them. And a snapshot of a live book, asked for or not, must be what
//! the book is at that place of the stream.
use super::repairs::{Poll, Repairs, same};
use super::{Books, ConnectionSlot, Slot, view};
use crate::base::id::{BookIndex, ShardId, TokenId};
use crate::base::limits::{
    AUDIT_TIMEOUT_NS, AUDITS_OPEN_MAX, POLL_AGE_NS, TOPS_REMEMBERED, TRADE_IDS_STORED_MAX,
};
use crate::base::price::Price;
use crate::base::routing::shard_of;
use crate::base::time::Now;
use crate::link::shard_shard::ForwardedEvent;
use crate::market::book::{AddError, Book, BookState, StaleReason};
use crate::market::event::{Delta, Event, Snapshot, TopOfBook};
use crate::shard::publish::{Change, Handler};
use std::collections::{HashSet, VecDeque};

/// The trades that were told last, by a hash of their ids, oldest first.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Remembered {
    /// Whether a trade is told for the first time. Two of 65,536 share a hash of 64 bits once in 10^9 times.
    pub(super) fn is_new(&mut self, trade: u64) -> bool {
        if !self.known.insert(trade) {
            return false;
        }
        if self.order.len() >= TRADE_IDS_STORED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(trade);
        true
    }
}

/// Best prices of books at the end of milliseconds that are over, the last ones of the shard: a ticker may come behind
/// later changes of its book.
#[derive(Debug, Default)]
pub(super) struct Past {
    tops: VecDeque<(BookIndex, u64, [Price; 2])>,
}

impl Past {
    /// Keeps the best prices of a book as a millisecond left it.
    fn keep(&mut self, index: BookIndex, timestamp_ms: u64, book: &Book) {
        if self.tops.len() >= TOPS_REMEMBERED {
            self.tops.pop_front();
        }
        let bid = book.best_bid().map_or(Price::ZERO, |level| level.price);
        let ask = book.best_ask().map_or(Price::ONE, |level| level.price);
        self.tops.push_back((index, timestamp_ms, [bid, ask]));
    }

    /// The best prices of a book at the end of a millisecond in which it changed, if they are still known.
    fn find(&self, index: BookIndex, timestamp_ms: u64) -> Option<[Price; 2]> {
        let of = |&&(book, ms, _): &&(BookIndex, u64, _)| book == index && ms <= timestamp_ms;
        let (_, ms, tops) = self.tops.iter().rev().find(of)?;
        (*ms == timestamp_ms).then_some(*tops)
    }
}

impl<H: Handler> Books<H> {
    /// The same as one of `shards` shards, numbered from `first` on, that pass events on to one another.
    #[must_use]
    pub fn beside(mut self, shards: u16, first: u16) -> Self {
        (self.shards, self.first) = (shards.max(1), first);
        self
    }

    /// Keeps an event for the shard whose market it is about. False where that is this one.
    pub(super) fn pass_on(
        &mut self,
        event: &Event<'_>,
        connection: ConnectionSlot,
        read_wall_ns: u64,
    ) -> bool {
        let owner = shard_of(event.market().as_bytes(), self.shards);
        if !self.sequenced || owner.0 + self.first == self.shard.0 {
            return false;
        }
        let name = self.names.get(connection.0 as usize).copied().unwrap_or_default();
        let passed = ForwardedEvent::new(event, name, read_wall_ns);
        self.passing.extend(passed.map(|passed| (owner, passed)));
        true
    }

    /// The next event that another shard is to be told, in order.
    pub fn poll_passing(&mut self) -> Option<(ShardId, ForwardedEvent)> {
        self.passing.pop_front()
    }

    /// An event that another shard received.
    pub fn on_passed(&mut self, passed: &ForwardedEvent) {
        match passed.event() {
            Event::Trade(trade) => self.on_trade(&trade, passed.connection, passed.read_wall_ns),
            Event::TopOfBook(top) => self.on_top(&top, passed.read_wall_ns),
            _ => {}
        }
    }

    /// A relative change: of a book that is not live it says nothing, since what was before is not known.
    pub(super) fn on_delta(&mut self, event: &Delta<'_>, connection: ConnectionSlot, wall_ns: u64) {
        let Some(index) = self.admit(event.market, event.token) else { return };
        self.end_claim_before(index, event.timestamp_ms, wall_ns);
        let slot = &mut self.slots[index];
        if slot.state == BookState::Live && slot.facts.timestamp_ms < event.timestamp_ms {
            self.past.keep(index, slot.facts.timestamp_ms, &slot.book);
        }
        if slot.state != BookState::Live || slot.connection != connection {
            let counter = match slot.state {
                BookState::AwaitingSnapshot => &mut self.counts.changes_before_snapshot,
                _ => &mut self.counts.changes_stale,
            };
            *counter += 1;
            return;
        }
        self.counts.updates += 1;
        slot.facts.timestamp_ms = slot.facts.timestamp_ms.max(event.timestamp_ms);
        slot.facts.updates += 1;
        slot.facts.updated_wall_ns = wall_ns;
        let (side, price) = (event.side, event.price);
        let level = match slot.book.add(side, price, event.units) {
            Ok(level) => level,
            Err(error) => {
                let why = match error {
                    AddError::SideFull => StaleReason::TooManyLevels,
                    AddError::Negative => StaleReason::Disproved,
                };
                return self.set_stale(index, why, wall_ns);
            }
        };
        let change = Change { side, level, venue_best_bid: None, venue_best_ask: None };
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_price_change(&view, &change);
    }

    /// The venue's own best prices: a cross-check, never a source. That they are sent implies a book.
    pub(super) fn on_top(&mut self, event: &TopOfBook<'_>, wall_ns: u64) {
        let Some(index) = self.admit(event.market, event.token) else { return };
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_ticker(&view, event);
        if !self.sequenced || event.timestamp_ms == 0 {
            return;
        }
        let slot = &mut self.slots[index];
        let bid = event.best_bid.unwrap_or(Price::ZERO);
        let ask = event.best_ask.unwrap_or(Price::ONE);
        let is_ahead = event.timestamp_ms >= slot.facts.timestamp_ms;
        let waits =
            |claim_ms| claim_ms >= slot.facts.timestamp_ms && claim_ms != event.timestamp_ms;
        if slot.state != BookState::Live || is_ahead && slot.group.claimed().is_some_and(waits) {
            // A claim waits for its book to move on: that of a later time is no sign that it has, for more changes
            // of the millisecond may be on their way.
            self.checks.counts.tops_unverifiable += 1;
        } else if is_ahead {
            slot.group.claim(event.timestamp_ms, bid, ask);
        } else {
            // The book's own messages were faster.
            let past = self.past.find(index, event.timestamp_ms);
            if self.checks.on_past_top(&mut slot.group, past, [bid, ask]) {
                self.set_stale(index, StaleReason::Disproved, wall_ns);
            }
        }
    }

    /// A change of a later time: what the venue said of the best prices before is compared, if the book has
    /// heard of that time too.
    fn end_claim_before(&mut self, index: BookIndex, timestamp_ms: u64, wall_ns: u64) {
        let slot = &mut self.slots[index];
        let Some(claim_ms) = slot.group.claimed_before(timestamp_ms) else { return };
        if slot.state != BookState::Live || slot.facts.timestamp_ms != claim_ms {
            slot.group.forget_claim();
            self.checks.counts.tops_unverifiable += 1;
            return;
        }
        let disproved = self.checks.on_top(&mut slot.group, &slot.book);
        slot.group.forget_claim();
        if disproved {
            self.set_stale(index, StaleReason::Disproved, wall_ns);
        }
    }

    /// A snapshot of a book that is live: it must say what the book is.
    pub(super) fn weigh_snapshot(&mut self, index: BookIndex, event: &Snapshot<'_>) {
        let slot = &self.slots[index];
        if slot.state != BookState::Live {
            return;
        }
        let mut said = Book::default();
        if said.replace(event.bids, event.asks).is_err() {
            return;
        }
        let counts = &mut self.repairs.counts;
        match same(&said, &slot.book) {
            true => counts.audits_matched += 1,
            false => counts.audits_mismatched += 1,
        }
    }

    /// A book of the REST interface, which has neither number nor time: a second opinion, never a source. Where it
    /// differs from a book of which something was said lately, one of the two is merely later than the other.
    pub(super) fn on_polled(&mut self, index: BookIndex, event: &Snapshot<'_>, read: Now) {
        let slot = &self.slots[index];
        let Repairs { counts, polls, .. } = &mut self.repairs;
        let mut said = Book::default();
        if slot.state != BookState::Live || said.replace(event.bids, event.asks).is_err() {
            counts.polls_undecided += 1;
            return;
        }
        let updated_wall_ns = slot.facts.updated_wall_ns;
        if same(&said, &slot.book) {
            counts.polls_matched += 1;
        } else if updated_wall_ns + POLL_AGE_NS > read.wall_ns || polls.len() >= AUDITS_OPEN_MAX {
            counts.polls_undecided += 1;
        } else {
            // Its message may be on its way.
            let (token, read_ns) = (slot.token, read.mono_ns);
            polls.push_back(Poll { index, token, updated_wall_ns, read_ns });
        }
    }

    /// The next book that differs from the REST interface and of which nothing was said since either.
    pub fn poll_different(&mut self, now_ns: u64) -> Option<(ConnectionSlot, TokenId)> {
        loop {
            let Repairs { counts, polls, .. } = &mut self.repairs;
            let poll = *polls.front()?;
            if now_ns < poll.read_ns + AUDIT_TIMEOUT_NS {
                return None;
            }
            polls.pop_front();
            let rests = |slot: &&Slot| {
                slot.open
                    && slot.token == poll.token
                    && slot.state == BookState::Live
                    && slot.facts.updated_wall_ns == poll.updated_wall_ns
            };
            match self.slots.get(poll.index).filter(rests) {
                None => counts.polls_undecided += 1,
                Some(slot) => {
                    counts.polls_different += 1;
                    return Some((slot.connection, poll.token));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

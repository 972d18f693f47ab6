//! Events, applied to books.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). The hot path from decoded event to handler.
use super::matcher::Match;
use super::slots::Slot;
use super::verifier::on_proof;
use super::{Admission, Books, ConnectionSlot};
use crate::base::id::{BookIndex, ConnectionId};
use crate::base::prefetch::prefetch;
use crate::base::time::Now;
use crate::link::shard_shard::ForwardedEvent;
use crate::link::shard_updates::{BookUpdateKind, TickerUpdate};
use crate::market::book::{AddError, BookState, SideFull, StaleReason};
use crate::market::event::{
    ChangeSpan, Changes, Delta, Event, Snapshot, TickSize, TopOfBook, Trade,
};
use crate::shard::publish::{Change, Handler};

impl<H: Handler> Books<H> {
    /// Applies one event that was read at `read` from `connection`, unless the connection shares
    /// its tokens with another and the other's event is the one that counts.
    #[inline]
    pub fn on_event(&mut self, event: &Event<'_>, connection: ConnectionSlot, read: Now) {
        self.times.observe(event, connection, read.wall_ns, &self.store.directory);
        let mut carrier = connection;
        if self.matcher.is_active() {
            match self.matcher.on_event(&self.store, event, connection, read) {
                Match::Skip => return,
                Match::Apply => {}
                Match::ApplyFor(other) => carrier = other,
                Match::ApplyBehind(open) => return self.apply_behind(event, open, read.wall_ns),
            }
        }
        self.apply(event, carrier, read.wall_ns);
    }

    #[inline]
    pub(super) fn apply(&mut self, event: &Event<'_>, connection: ConnectionSlot, wall_ns: u64) {
        match event {
            Event::Changes(changes) => self.on_changes(changes, wall_ns),
            _ => self.apply_other(event, connection, wall_ns),
        }
    }

    #[inline(never)]
    fn apply_other(&mut self, event: &Event<'_>, connection: ConnectionSlot, wall_ns: u64) {
        match event {
            Event::Snapshot(snapshot) => self.on_snapshot(snapshot, connection, wall_ns),
            Event::Changes(changes) => self.on_changes(changes, wall_ns),
            Event::Delta(delta) => self.on_delta(delta, connection, wall_ns),
            Event::Trade(_) | Event::TopOfBook(_)
                if self.forwarder.is_active() && self.forward(event, connection, wall_ns) => {}
            Event::Trade(trade) => {
                let name = self.store.connection_name(connection);
                self.on_trade(trade, name, wall_ns);
            }
            Event::TickSize(tick) => self.on_tick_size(tick, wall_ns),
            Event::TopOfBook(top) => self.on_top(top, wall_ns),
        }
    }

    /// Keeps an event for the shard whose market it is about. False where that is this one.
    fn forward(&mut self, event: &Event<'_>, connection: ConnectionSlot, wall_ns: u64) -> bool {
        let name = self.store.connection_name(connection);
        self.sequenced && self.forwarder.forward(self.store.shard, event, name, wall_ns)
    }

    /// An event that another shard received.
    pub fn on_forwarded(&mut self, forwarded: &ForwardedEvent) {
        match forwarded.event() {
            Event::Trade(trade) => {
                self.on_trade(&trade, forwarded.connection, forwarded.read_wall_ns)
            }
            Event::TopOfBook(top) => self.on_top(&top, forwarded.read_wall_ns),
            _ => {}
        }
    }

    fn on_snapshot(&mut self, event: &Snapshot<'_>, connection: ConnectionSlot, wall_ns: u64) {
        let Self { store, verifier, times, auditor, repairer, .. } = self;
        let Some(index) = store.admit(event.market, event.token) else { return };
        let listed = store.admission == Admission::Listed;
        if self.sequenced && listed && store.slots[index].connection != connection {
            store.counts.unknown_instruments += 1;
            return;
        }
        store.assign(index, connection);
        if self.sequenced {
            auditor.on_numbered_snapshot(&store.slots[index], event);
        } else if !times.takes_snapshot(store, index, event.timestamp_ms, wall_ns) {
            store.counts.snapshots_refused += 1;
            return;
        }
        store.counts.snapshots += 1;
        verifier.end_group_before(store, index, event.timestamp_ms, wall_ns);
        let slot = &mut store.slots[index];
        if slot.state != BookState::Live {
            // A new book: what waits for a comparison is of the one before.
            slot.group.forget();
            verifier.forget(index);
            repairer.forget(index);
        }
        let result = slot.book.replace(event.bids, event.asks);
        slot.take_stream_facts(event, times.tick(index).ms, wall_ns);
        times.on_snapshot_tick(index, event);
        if event.hash.is_some() {
            slot.group.snapshot();
            verifier.queue(index, slot);
        }
        match result {
            Ok(()) => store.set_state(index, BookState::Live, wall_ns),
            Err(error) => store.set_stale(index, error.into(), wall_ns),
        }
        store.publish_snapshot(index, wall_ns);
    }

    #[inline(never)]
    pub(super) fn on_changes(&mut self, event: &Changes<'_>, wall_ns: u64) {
        // First all changes, then the handler: it sees the book after the whole message.
        self.applied.clear();
        let (mut last, mut has_subscribed) = (None, false);
        for (place, change) in event.changes.iter().enumerate() {
            let Some(index) = self.book_of(event, change, last) else { continue };
            last = Some(index);
            let subscribed = self.apply_change(index, event.timestamp_ms, change, wall_ns);
            if let Some(is_subscribed) = subscribed {
                self.applied.push((index, place as u32));
                has_subscribed |= is_subscribed;
            }
        }
        if has_subscribed {
            self.publish_changes(event);
        }
        let Self { store, applied, .. } = self;
        for &(index, place) in &*applied {
            let change = event.changes.get(place as usize);
            let (Some(change), Some((view, handler))) = (change, store.try_view(index, wall_ns))
            else {
                continue;
            };
            let change = Change {
                side: change.side,
                level: change.level,
                venue_best_bid: change.best_bid,
                venue_best_ask: change.best_ask,
            };
            handler.on_price_change(&view, &change);
        }
    }

    /// The book of a change, as [`Store::admit`](super::store::Store::admit) gives it; `last` is that of the change
    /// before it.
    #[inline]
    fn book_of(
        &mut self,
        event: &Changes<'_>,
        change: &ChangeSpan,
        last: Option<BookIndex>,
    ) -> Option<BookIndex> {
        let store = &mut self.store;
        let token = change.token.bytes_of(event.frame);
        if let Some(last) = last {
            let beside = store.find_beside(last, event.market, token);
            if beside.is_some() {
                return beside;
            }
        }
        let Some(index) = store.find_in(event.market, token) else {
            return store.admit_unknown(event.market, change.token.of(event.frame));
        };
        // Both books of a market were opened together. So the second is fetched while the first
        // is still on its way from memory, and not after it. One that was announced has been fetched.
        if last.is_none() && store.expected.is_none() && event.changes.len() > 1 {
            store.slots.get(BookIndex(index.0 ^ 1)).inspect(|slot| prefetch(*slot));
        }
        Some(index)
    }

    /// Sends the applied changes of subscribed books.
    #[cold]
    fn publish_changes(&mut self, event: &Changes<'_>) {
        let Self { store, applied, .. } = self;
        let mut first = true;
        for &(index, place) in &*applied {
            let change = &event.changes[place as usize];
            if store.slots[index].is_subscribed() {
                let (slots, ms) = (&mut store.slots, event.timestamp_ms);
                first &= !store.updates.publish_change(slots, index, ms, change, first);
            }
        }
    }

    /// Applies one absolute change; gives whether its book is subscribed, `None` when it is not applied.
    #[inline(never)]
    fn apply_change(
        &mut self,
        index: BookIndex,
        timestamp_ms: u64,
        change: &ChangeSpan,
        wall_ns: u64,
    ) -> Option<bool> {
        let Self { store, verifier, times, repairer, .. } = self;
        let mut slot = &mut store.slots[index];
        if slot.group.ends_before(timestamp_ms, slot.facts.timestamp_ms)
            && let Some(proof) = verifier.end_group(index, slot, wall_ns)
        {
            on_proof(store, index, proof, wall_ns);
            slot = &mut store.slots[index];
        }
        if slot.state != BookState::Live {
            repairer.keep(index, timestamp_ms, change);
            if slot.state == BookState::AwaitingSnapshot {
                store.counts.changes_before_snapshot += 1;
                slot.facts.timestamp_ms = slot.facts.timestamp_ms.max(timestamp_ms);
                return None;
            }
        }
        if timestamp_ms < slot.snapshot_ms {
            store.counts.changes_stale += 1;
            if !slot.is_in_snapshot(timestamp_ms, wall_ns) {
                times.on_earlier(index, timestamp_ms);
                store.set_stale(index, StaleReason::TimesDisagree, wall_ns);
            }
            return None;
        }
        store.counts.updates += 1;
        if timestamp_ms < slot.facts.timestamp_ms {
            // Of an earlier book than ours.
            slot.group.open = false;
            verifier.counts.tops_unverifiable += 1;
        } else {
            slot.group.change(change.best_bid, change.best_ask);
            verifier.queue(index, slot);
        }
        slot.facts.timestamp_ms = timestamp_ms;
        slot.facts.hash = change.hash;
        slot.facts.updates += 1;
        slot.facts.updated_wall_ns = wall_ns;
        let is_subscribed = slot.is_subscribed();
        if slot.book.set(change.side, change.level) == Err(SideFull) {
            store.set_stale(index, StaleReason::TooManyLevels, wall_ns);
        }
        Some(is_subscribed)
    }

    /// A relative change: it is nothing without the level before it, so a book that is not live ignores it.
    fn on_delta(&mut self, event: &Delta<'_>, connection: ConnectionSlot, wall_ns: u64) {
        let Self { store, verifier, .. } = self;
        let Some(index) = store.admit(event.market, event.token) else { return };
        let is_applied =
            |slot: &Slot| slot.state == BookState::Live && slot.connection == connection;
        // Another connection's change does not show that a millisecond of the book is over.
        if is_applied(&store.slots[index]) {
            verifier.before_delta(store, index, event.timestamp_ms, wall_ns);
        }
        let slot = &mut store.slots[index];
        if !is_applied(slot) {
            let counter = match slot.state {
                BookState::AwaitingSnapshot => &mut store.counts.changes_before_snapshot,
                _ => &mut store.counts.changes_stale,
            };
            *counter += 1;
            return;
        }
        store.counts.updates += 1;
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
                return store.set_stale(index, why, wall_ns);
            }
        };
        if store.slots[index].is_subscribed() {
            store.updates.publish_delta(&mut store.slots, index, event, level);
        }
        let change = Change { side, level, venue_best_bid: None, venue_best_ask: None };
        let (view, handler) = store.view(index, wall_ns);
        handler.on_price_change(&view, &change);
    }

    fn on_trade(&mut self, event: &Trade<'_>, name: ConnectionId, wall_ns: u64) {
        let Self { store, trades, .. } = self;
        if self.sequenced && !trades.is_new(store.directory.hash_whole(event.transaction_hash)) {
            store.counts.trades_repeated += 1;
            return;
        }
        // The stream of a venue that numbers its messages brings the trades of markets that nobody follows, too.
        let of_all = self.sequenced && store.admission == Admission::Listed;
        let found = match of_all {
            true => store.find_in(event.market, event.token.as_bytes()),
            false => store.admit(event.market, event.token),
        };
        match found {
            Some(index) => self.apply_trade(index, event, name, wall_ns),
            None if of_all => self.on_trade_without_book(event, name, wall_ns),
            None => {}
        }
    }

    /// A trade of a market that has no book here, or none any more.
    #[cold]
    fn on_trade_without_book(&mut self, event: &Trade<'_>, name: ConnectionId, wall_ns: u64) {
        self.store.counts.trades_without_book += 1;
        if let Some(trade) = ForwardedEvent::new(&Event::Trade(*event), name, wall_ns) {
            let hash = self.store.directory.hash(trade.token.as_bytes());
            self.trades.keep_early(hash, trade);
        }
    }

    /// A book has opened: the trades that came before it are its own.
    pub(super) fn deliver_early(&mut self, index: BookIndex) {
        let Slot { market, token, .. } = self.store.slots[index];
        let hash = self.store.directory.hash(token.as_bytes());
        for early in self.trades.take_early(hash, market, token) {
            if let Event::Trade(trade) = early.event() {
                self.apply_trade(index, &trade, early.connection, early.read_wall_ns);
            }
        }
    }

    fn apply_trade(
        &mut self,
        index: BookIndex,
        event: &Trade<'_>,
        name: ConnectionId,
        wall_ns: u64,
    ) {
        let Self { store, verifier, trades, .. } = self;
        store.counts.trades += 1;
        trades.send(&store.slots[index], event, name, wall_ns);
        verifier.on_trade(store, index, event.price, wall_ns);
        // The last trade price is one value per market, the same for all its tokens.
        store.slots.for_market(index, |slot| slot.facts.last_trade = Some(event.price));
        if store.slots[index].is_subscribed() {
            store.updates.publish(
                &mut store.slots,
                index,
                wall_ns,
                BookUpdateKind::of_trade(event),
            );
        }
        let (view, handler) = store.view(index, wall_ns);
        handler.on_trade(&view, event);
    }

    fn on_tick_size(&mut self, event: &TickSize<'_>, wall_ns: u64) {
        let Self { store, verifier, times, .. } = self;
        let (ms, sequenced) = (event.timestamp_ms, self.sequenced);
        let Some(index) = store.admit(event.market, event.token) else { return };
        if !times.takes_tick_size(store, index, ms, wall_ns, sequenced) {
            return;
        }
        // The hash of the group that ends here was made with the old step.
        verifier.end_group_before(store, index, ms, wall_ns);
        store.slots[index].facts.tick_size = Some(event.new);
        times.on_tick_size(index, ms);
        if store.slots[index].is_subscribed() {
            let TickSize { timestamp_ms, old, new, .. } = *event;
            let tick = BookUpdateKind::TickSize { timestamp_ms, old, new };
            store.updates.publish(&mut store.slots, index, wall_ns, tick);
        }
        let (view, handler) = store.view(index, wall_ns);
        handler.on_tick_size(&view, event);
    }

    /// The venue's own best prices: compared with the book, never applied. That they are sent implies a book.
    fn on_top(&mut self, event: &TopOfBook<'_>, wall_ns: u64) {
        let Self { store, verifier, .. } = self;
        let Some(index) = store.admit(event.market, event.token) else { return };
        if store.slots[index].is_subscribed() {
            let TopOfBook { timestamp_ms, last_price, volume, open_interest, .. } = *event;
            let ticker = TickerUpdate { timestamp_ms, last_price, volume, open_interest };
            let ticker = BookUpdateKind::Ticker(ticker);
            store.updates.publish(&mut store.slots, index, wall_ns, ticker);
        }
        let (view, handler) = store.view(index, wall_ns);
        handler.on_ticker(&view, event);
        if self.sequenced && event.timestamp_ms > 0 {
            verifier.on_ticker(store, index, event, wall_ns);
        }
    }
}

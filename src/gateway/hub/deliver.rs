//! Updates of books to frames for the clients that subscribe to them.
//!
//! Runs on:  serve core (pure). A frame that is the same for several clients is encoded once.
use super::client::Protocol;
use super::event::{Context, Event, Lazy, Queue, frame, push_top, write_event};
use super::tardis::push_image;
use super::{ClientId, Hub, Subscribed};
use crate::base::limits::GATEWAY_TRADES_MAX;
use crate::base::price::Quantity;
use crate::base::time::{MILLISECOND_NS, Now};
use crate::gateway::Replica;
use crate::gateway::outbox::{FrameClass, Pushed};
use crate::gateway::polymarket::encode as market;
use crate::gateway::stream::backlog::{Backlog, BacklogEvent};
use crate::gateway::stream::encode::{self as stream, Behind, EventHead};
use crate::gateway::stream::{Kind, tops::Top};
use crate::link::shard_updates::{
    BookUpdate, BookUpdateKind, LevelChange, SubscriptionKey, UpdateRequest,
};
use crate::market::book::{Book, BookState, Side};
use crate::market::info::{MarketEvent, MarketStage};
use std::rc::Rc;

/// Books of one frame of an initial dump: half a megabyte.
const DUMP_BOOKS: usize = 256;
/// Bytes of a book without its levels, and of a level, in a dump.
const DUMP_BOOK_BYTES: usize = 450;
const DUMP_LEVEL_BYTES: usize = 36;

fn quantity_at(book: &Book, change: &LevelChange) -> Quantity {
    let mut levels = match change.side {
        Side::Bid => book.bids.levels(),
        Side::Ask => book.asks.levels(),
    };
    let level = levels.find(|level| level.price == change.level.price);
    level.map_or(Quantity::ZERO, |level| level.quantity)
}

impl Hub {
    /// An update from a shard.
    pub fn on_update(&mut self, shard: usize, update: BookUpdate, now: Now) {
        let BookUpdate { key, read_wall_ns, version, what } = update;
        match what {
            BookUpdateKind::Market(event) => {
                return self.on_market(shard, &event, read_wall_ns, now);
            }
            BookUpdateKind::TradesLost(trades) => return self.on_trades_lost(trades),
            _ => {}
        }
        let is_continuation = matches!(what, BookUpdateKind::Change(change) if !change.first);
        if !is_continuation {
            self.end_message(now);
        }
        let Some(book) = self.books.get_mut(&key) else {
            if let BookUpdateKind::Image { image, .. } = what {
                self.requests.push_back((shard, UpdateRequest::Buffer(image)));
            }
            return;
        };
        let BookUpdateKind::Image { image, sibling, lost } = what else {
            return self.on_event(key, (read_wall_ns, version), what, now);
        };
        book.sibling = sibling;
        let before = book.replica.take();
        let replica = Replica::new(self.shards[shard], &image, version, read_wall_ns);
        book.replica = replica.map(|replica| replica.after(before.as_ref()));
        self.counts.ring_losses += u64::from(lost);
        self.requests.push_back((shard, UpdateRequest::Buffer(image)));
        self.on_image(key, lost, before.as_ref(), now);
    }

    /// An update of a book that is not the book as a whole.
    fn on_event(
        &mut self,
        key: SubscriptionKey,
        (read_wall_ns, version): (u64, u64),
        what: BookUpdateKind,
        now: Now,
    ) {
        let Some(book) = self.books.get_mut(&key) else { return };
        let Some(replica) = &mut book.replica else {
            return self.on_trades_lost(u64::from(matches!(what, BookUpdateKind::Trade(_))));
        };
        replica.read_wall_ns = read_wall_ns;
        self.read_wall_ns = read_wall_ns;
        replica.version = version.max(replica.version);
        match what {
            BookUpdateKind::Change(change) => {
                let before = match book.needs_quantities {
                    true => quantity_at(&replica.book, &change),
                    false => Quantity::ZERO,
                };
                // The shard has applied it to an equal book.
                let _ = replica.book.set(change.side, change.level);
                replica.facts.timestamp_ms = replica.facts.timestamp_ms.max(change.timestamp_ms);
                replica.facts.hash = change.hash;
                self.message.push((key, change, before));
            }
            BookUpdateKind::State(state) => {
                replica.state = state;
                self.publish(key, Event::State, now);
            }
            BookUpdateKind::Closed => {
                replica.state = BookState::AwaitingSnapshot;
                self.publish(key, Event::Closed, now);
                self.on_closed(key, now);
            }
            BookUpdateKind::Trade(trade) => {
                replica.on_trade(&trade);
                self.trades.push_back((replica.token, trade));
                if self.trades.len() > GATEWAY_TRADES_MAX {
                    self.trades.pop_front();
                }
                self.publish(key, Event::Trade(&trade), now);
            }
            BookUpdateKind::TickSize { timestamp_ms, old, new } => {
                replica.facts.tick_size = Some(new);
                self.publish(key, Event::TickSize { timestamp_ms, old, new }, now);
            }
            BookUpdateKind::Ticker(ticker) => {
                replica.on_ticker(&ticker);
                self.publish_ticker(key, now);
            }
            BookUpdateKind::Image { .. }
            | BookUpdateKind::Market(_)
            | BookUpdateKind::TradesLost(_) => {}
        }
    }

    fn on_closed(&mut self, key: SubscriptionKey, now: Now) {
        if let Some(book) = self.books.get_mut(&key) {
            book.replica = None;
        }
        self.leave_for_bus(key, now);
    }

    /// A market has come to another stage, in a recording at `read_wall_ns`: all clients that want markets get it,
    /// whatever books they have.
    fn on_market(&mut self, shard: usize, event: &MarketEvent, read_wall_ns: u64, now: Now) {
        self.end_message(now);
        let wall_ns = if read_wall_ns > 0 { read_wall_ns } else { now.wall_ns };
        let Self { clients, ready, counts, text, bodies, frames, backlog, .. } = self;
        let mut queue = Queue { ready, counts, now, read_wall_ns: 0 };
        let wall_ms = wall_ns / MILLISECOND_NS;
        let (mut market_frame, mut stream_frame) = (Lazy::default(), None);
        bodies.begin();
        for (place, client) in clients.iter_mut().enumerate() {
            let (id, Some(client)) = (ClientId(place as u32), client) else { continue };
            if event.is_repeated && client.bus.is_none() {
                continue;
            }
            match &mut client.protocol {
                Protocol::Market(session) if session.custom() => {
                    let info = &event.info;
                    let frame = match (event.stage, &event.resolution) {
                        (MarketStage::New, _) => {
                            market_frame.get(text, |text| market::new_market(text, info, wall_ms))
                        }
                        (MarketStage::Resolved, Some(resolution)) => {
                            market_frame.get(text, |text| {
                                market::market_resolved(text, info, resolution, wall_ms);
                            })
                        }
                        _ => continue,
                    };
                    queue.push(id, client, frame, FrameClass::Other);
                }
                Protocol::Market(_) => {}
                Protocol::Stream(session, _) if session.kinds.contain(Kind::Market) => {
                    let frame: &Rc<[u8]> = stream_frame.get_or_insert_with(|| {
                        let venue = &self.shards[shard];
                        text.clear();
                        stream::market(text, backlog.next_sequence(), venue, event, wall_ns);
                        let frame = frame(text);
                        backlog.push(BacklogEvent {
                            key: None,
                            kind: Kind::Market,
                            frame: Rc::clone(&frame),
                        });
                        frame
                    });
                    if !client.holds_market(event.info.market, frame) {
                        queue.push(id, client, frame, FrameClass::Other);
                    }
                }
                Protocol::Stream(..) | Protocol::Tardis(_) | Protocol::Polypy(_) => {}
                Protocol::Kalshi(session) => {
                    frames.clear();
                    session.on_lifecycle(event, wall_ns, bodies, frames);
                    for text in frames.iter() {
                        queue.push(id, client, &frame(text), FrameClass::Other);
                    }
                }
            }
        }
        self.catalog.on_event(self.shards[shard], event);
        self.follow_for_bus(event, now);
    }

    /// The whole book. What the image has instead of updates that did not fit is sent too: a state that is not live
    /// before it, so that nobody trusts the book; a new price step; that the book is live behind it.
    fn on_image(&mut self, key: SubscriptionKey, lost: bool, before: Option<&Replica>, now: Now) {
        let Some(book) = self.books.get(&key) else { return };
        let Some(replica) = &book.replica else { return };
        let (state, facts) = (replica.state, replica.facts);
        let is_live = state == BookState::Live;
        let is_other = before.is_none_or(|before| before.state != state);
        let wanted = book.clients.iter().any(|&id| {
            let client = self.clients[id.0 as usize].as_ref();
            client.is_some_and(|client| matches!(client.protocol, Protocol::Market(_)))
        });
        if let Some(sibling) = book.sibling.filter(|_| wanted) {
            self.open_sibling(sibling);
        }
        if before.is_some() && is_other && !is_live {
            self.publish(key, Event::State, now);
        }
        if let (Some(before), Some(new)) = (before, facts.tick_size)
            && before.facts.tick_size != Some(new)
        {
            let (timestamp_ms, old) = (facts.timestamp_ms, before.facts.tick_size);
            self.publish(key, Event::TickSize { timestamp_ms, old, new }, now);
        }
        self.publish(key, Event::Image { lost }, now);
        if is_other && is_live {
            self.publish(key, Event::State, now);
        }
        let Self { books, clients, .. } = self;
        let is_last = |id: &ClientId| {
            let client = clients[id.0 as usize].as_mut();
            let dump = client.and_then(|client| client.dump.as_mut());
            dump.is_some_and(|dump| dump.missing.remove(&key) && dump.missing.is_empty())
        };
        let complete: Vec<ClientId> = books[&key].clients.iter().copied().filter(is_last).collect();
        for id in complete {
            self.send_dump(id, now);
        }
    }

    /// Sends the changes of the venue message that has ended. Call it when there are no more updates.
    pub fn end_message(&mut self, now: Now) {
        if self.message.is_empty() {
            return;
        }
        let message = std::mem::take(&mut self.message);
        self.messages += 1;
        self.publish_price_change(&message, now);
        let mut rest = &message[..];
        // The changes of one book follow one another, or nearly so; each event has those that do.
        while let Some(&(key, ..)) = rest.first() {
            let count = rest.iter().take_while(|(next, ..)| *next == key).count();
            self.publish(key, Event::Changes(&rest[..count]), now);
            rest = &rest[count..];
        }
        self.message = message;
        self.message.clear();
    }

    /// One frame with the changes of both outcomes, to each client of the market channel that has one of the books.
    fn publish_price_change(
        &mut self,
        message: &[(SubscriptionKey, LevelChange, Quantity)],
        now: Now,
    ) {
        let Self { books, clients, ready, counts, text, messages, read_wall_ns, .. } = self;
        let mut queue = Queue { ready, counts, now, read_wall_ns: *read_wall_ns };
        let mut shared = Lazy::default();
        for &(key, ..) in message {
            let Some(book) = books.get(&key) else { continue };
            if book.replica.as_ref().is_none_or(|replica| replica.state != BookState::Live) {
                continue;
            }
            for &id in &book.clients {
                let Some(client) = &mut clients[id.0 as usize] else { continue };
                let is_due = matches!(client.protocol, Protocol::Market(_))
                    && client.message != *messages
                    && client.takes_changes(key);
                if !is_due {
                    continue;
                }
                client.message = *messages;
                let frame = shared.get(text, |text| write_price_change(text, books, message));
                if queue.push(id, client, frame, FrameClass::Change(key)) != Pushed::Queued {
                    let others = message.iter().map(|&(other, ..)| other);
                    for other in others.filter(|other| client.books.contains_key(other)) {
                        client.outbox.mark(other, true);
                    }
                }
            }
        }
    }

    /// A ticker of the venue: Kalshi's clients get theirs, with the best prices of the replica.
    fn publish_ticker(&mut self, key: SubscriptionKey, now: Now) {
        let Self { books, clients, ready, counts, bodies, frames, read_wall_ns, .. } = self;
        let Some(book) = books.get(&key) else { return };
        let Some(replica) = &book.replica else { return };
        let mut queue = Queue { ready, counts, now, read_wall_ns: *read_wall_ns };
        bodies.begin();
        for &id in &book.clients {
            let Some(client) = &mut clients[id.0 as usize] else { continue };
            let Protocol::Kalshi(session) = &mut client.protocol else { continue };
            frames.clear();
            session.on_ticker(replica, bodies, frames);
            for text in frames.iter() {
                queue.push(id, client, &frame(text), FrameClass::Other);
            }
        }
    }

    /// Sends an event of a book to its clients, except changes to those of the market channel.
    fn publish(&mut self, key: SubscriptionKey, event: Event<'_>, now: Now) {
        let Self { books, clients, ready, counts, text, bodies, frames, backlog, catalog, .. } =
            self;
        let messages = &mut self.tardis;
        let Some(book) = books.get_mut(&key) else { return };
        let Some(replica) = &book.replica else { return };
        let outcome = if book.is_streamed { catalog.outcome(&book.token) } else { None };
        let read_wall_ns = if event.is_read() { self.read_wall_ns } else { 0 };
        let mut queue = Queue { ready, counts, now, read_wall_ns };
        let mut stream_frame = None;
        if book.is_streamed {
            let sequence = backlog.next_sequence();
            let frame = write_event(text, replica, event, (sequence, outcome));
            book.sequences.last = sequence;
            store(backlog, key, event.kind(), &frame);
            stream_frame = Some(frame);
        }
        let top = (replica.book.best_bid(), replica.book.best_ask());
        let is_new_top = top != book.top && replica.state == BookState::Live;
        if is_new_top {
            book.top = top;
        }
        let stale = self.settings.stale;
        let context = Context { key, event, replica, outcome, is_new_top, stale };
        bodies.begin();
        let (mut main, mut other, mut tops) = (Lazy::default(), Lazy::default(), Lazy::default());
        let mut requests = Vec::new();
        for &id in &book.clients {
            let Some(client) = &mut clients[id.0 as usize] else { continue };
            match &mut client.protocol {
                Protocol::Market(_) => {
                    context.to_market(id, client, &mut queue, text, (&mut main, &mut other));
                }
                Protocol::Stream(..) => {
                    let last = backlog.last_sequence();
                    let frame = stream_frame.as_ref();
                    context.to_stream(id, client, &mut queue, frame, (text, &mut tops, last));
                }
                Protocol::Polypy(_) => {}
                Protocol::Tardis(_) => context.to_tardis(id, client, &mut queue, messages),
                Protocol::Kalshi(_) => {
                    context.to_kalshi(id, client, &mut queue, bodies, frames);
                    let Protocol::Kalshi(session) = &mut client.protocol else { continue };
                    while let Some(request) = session.poll_request() {
                        requests.push((id, request));
                    }
                }
            }
        }
        for (id, request) in requests {
            self.handle(id, vec![request], now);
        }
    }

    /// Sends the books of a client's subscription in one array, those that are live.
    pub(super) fn send_dump(&mut self, id: ClientId, now: Now) {
        let Self { books, clients, ready, counts, text, settings, .. } = self;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let Some(dump) = client.dump.take() else { return };
        let mut queue = Queue { ready, counts, now, read_wall_ns: 0 };
        let live: Vec<(SubscriptionKey, &Replica)> = dump
            .order
            .iter()
            .filter(|key| dump.keys.contains(key))
            .filter_map(|&key| Some((key, books.get(&key)?.replica.as_ref()?)))
            .filter(|(_, replica)| replica.state == BookState::Live)
            .collect();
        let mut rest = &live[..];
        while !rest.is_empty() {
            let (chunk, others) = rest.split_at(books_of_frame(rest, settings.buffer_bytes / 8));
            rest = others;
            let is_room = client.outbox.bytes() <= settings.buffer_bytes / 4;
            if is_room {
                text.clear();
                market::initial_dump(text, chunk.iter().map(|&(_, replica)| replica));
                queue.push(id, client, &frame(text), FrameClass::Other);
            }
            for &(key, _) in chunk {
                client.books.insert(key, is_room);
                if !is_room {
                    client.outbox.mark(key, false);
                }
            }
        }
        if live.is_empty() {
            queue.push(id, client, &frame("[]"), FrameClass::Other);
        }
    }

    /// Queues the images that a client waits for, as far as there is room.
    pub(super) fn refill(&mut self, id: ClientId, now: Now) {
        let Self { books, clients, ready, counts, text, bodies, frames, backlog, catalog, .. } =
            self;
        let messages = &mut self.tardis;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let mut queue = Queue { ready, counts, now, read_wall_ns: 0 };
        let mut requests = Vec::new();
        while let Some(marked) = client.outbox.take_marked() {
            let key = marked.key;
            let Some(Subscribed { replica: Some(replica), .. }) = books.get(&key) else {
                if marked.gap {
                    client.gaps.insert(key);
                }
                continue;
            };
            text.clear();
            match &mut client.protocol {
                Protocol::Market(_) if replica.state == BookState::Live => {
                    market::book(text, replica)
                }
                Protocol::Market(_) | Protocol::Polypy(_) => continue,
                Protocol::Stream(session, tops) => {
                    let head = EventHead::from_replica(
                        replica,
                        backlog.last_sequence(),
                        catalog.outcome(&replica.token),
                    );
                    if session.kinds.contain(Kind::Snapshot) {
                        let gap = marked.gap;
                        stream::snapshot(text, &head, &replica.book, &replica.facts, gap);
                    }
                    if session.kinds.contain(Kind::Top)
                        && tops.on_top(key, Top::from_replica(replica), now.mono_ns)
                    {
                        if !text.is_empty() {
                            client.outbox.push_marked(frame(text), now.mono_ns);
                            text.clear();
                        }
                        let (bid, ask) = (replica.book.best_bid(), replica.book.best_ask());
                        stream::top(text, &head, bid, ask);
                    }
                }
                Protocol::Tardis(session) => {
                    let to = (&mut **session, &mut client.outbox);
                    if !push_image(to, replica, messages, now.mono_ns) {
                        continue;
                    }
                }
                Protocol::Kalshi(session) => {
                    bodies.begin();
                    frames.clear();
                    session.on_image(replica, bodies, frames);
                    for text in frames.iter() {
                        client.outbox.push_marked(frame(text), now.mono_ns);
                    }
                    while let Some(request) = session.poll_request() {
                        requests.push(request);
                    }
                }
            }
            if !text.is_empty() {
                client.outbox.push_marked(frame(text), now.mono_ns);
            }
            if let Some(has_image) = client.books.get_mut(&key) {
                *has_image = true;
            }
            queue.announce(id, client);
        }
        if !requests.is_empty() {
            self.handle(id, requests, now);
        }
    }

    /// Sends the best prices whose interval has passed.
    pub(super) fn send_due_tops(&mut self, id: ClientId, now: Now) {
        let Self { books, clients, ready, counts, text, backlog, catalog, .. } = self;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let mut queue = Queue { ready, counts, now, read_wall_ns: 0 };
        while let Protocol::Stream(_, tops) = &mut client.protocol
            && let Some(key) = tops.take_due(now.mono_ns)
        {
            let Some(Subscribed { replica: Some(replica), .. }) = books.get(&key) else { continue };
            if !tops.on_top(key, Top::from_replica(replica), now.mono_ns) {
                continue;
            }
            text.clear();
            let head = EventHead::from_replica(
                replica,
                backlog.last_sequence(),
                catalog.outcome(&replica.token),
            );
            stream::top(text, &head, replica.book.best_bid(), replica.book.best_ask());
            if push_top(&mut queue, id, client, &frame(text), key) == Pushed::Marked {
                text.clear();
                stream::behind(text, &head, Behind::SlowClient, now.wall_ns);
                queue.push(id, client, &frame(text), FrameClass::Other);
            }
        }
    }
}

impl Hub {
    /// Sends the book of polypy's page if its interval has passed.
    pub(super) fn send_due_page(&mut self, id: ClientId, now: Now) {
        let Self { books, keys, clients, ready, counts, text, .. } = self;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let Protocol::Polypy(session) = &mut client.protocol else { return };
        let Some(token) = session.take_due(now.mono_ns) else { return };
        let Some(&key) = keys.get(&token) else { return };
        let replica = books.get(&key).and_then(|book| book.replica.as_ref());
        text.clear();
        if session.write(text, replica, now.mono_ns) {
            let mut queue = Queue { ready, counts, now, read_wall_ns: 0 };
            queue.push(id, client, &frame(text), FrameClass::Image(key));
        }
    }
}

/// Books that fit into a frame of about `bytes` bytes; at least one.
fn books_of_frame(books: &[(SubscriptionKey, &Replica)], bytes: usize) -> usize {
    let mut sum = 0;
    let fits = |(_, replica): &&(SubscriptionKey, &Replica)| {
        sum += DUMP_BOOK_BYTES
            + DUMP_LEVEL_BYTES * (replica.book.bids.len() + replica.book.asks.len());
        sum <= bytes
    };
    books.iter().take(DUMP_BOOKS).take_while(fits).count().max(1)
}

fn store(backlog: &mut Backlog, key: SubscriptionKey, kind: Kind, frame: &Rc<[u8]>) {
    backlog.push(BacklogEvent { key: Some(key), kind, frame: Rc::clone(frame) });
}

fn write_price_change(
    text: &mut String,
    books: &std::collections::HashMap<SubscriptionKey, Subscribed, foldhash::fast::FixedState>,
    message: &[(SubscriptionKey, LevelChange, Quantity)],
) {
    // A client has an empty book in place of one that is not live: changes of it would make a partial one.
    let mut live = message.iter().filter_map(|(key, change, _)| {
        let replica = books.get(key)?.replica.as_ref()?;
        (replica.state == BookState::Live).then_some((replica, change))
    });
    let named = live.clone().map(|(replica, change)| (&replica.token, change));
    if let Some((replica, change)) = live.next() {
        market::price_change(text, &replica.market, change.timestamp_ms, named);
    }
}

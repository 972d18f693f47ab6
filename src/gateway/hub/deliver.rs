//! Updates of books to frames for the clients that subscribe to them.
//!
//! Runs on:  serve core (pure). A frame that is the same for several clients is encoded once.
use super::client::{Client, Protocol};
use super::{ClientId, Hub, HubCounts, Subscribed};
use crate::base::price::Price;
use crate::base::price::Quantity;
use crate::base::time::Now;
use crate::gateway::outbox::{FrameClass, Pushed};
use crate::gateway::polymarket::encode as market;
use crate::gateway::stream::backlog::{Backlog, BacklogEvent};
use crate::gateway::stream::encode::{self as stream, Behind, EventHead};
use crate::gateway::stream::{Kind, tops::Top};
use crate::gateway::{Replica, StalePolicy, kalshi};
use crate::link::shard_updates::{
    BookUpdate, BookUpdateKind, LevelChange, SubscriptionKey, TradeUpdate, UpdateRequest,
};
use crate::market::book::{Book, BookState, Side};
use crate::wire::websocket::server;
use std::collections::VecDeque;
use std::rc::Rc;

/// One text frame.
pub(super) fn frame(text: &str) -> Rc<[u8]> {
    server::frame(text)
}

/// Books of one frame of an initial dump: half a megabyte.
const DUMP_BOOKS: usize = 256;

/// What has happened to a replica, which has it already.
#[derive(Clone, Copy, Debug)]
enum Event<'a> {
    Image {
        lost: bool,
    },
    State,
    Closed,
    Trade(&'a TradeUpdate),
    TickSize {
        timestamp_ms: u64,
        old: Option<Price>,
        new: Price,
    },
    /// Changes of one venue message, each with the quantity before it.
    Changes(&'a [(SubscriptionKey, LevelChange, Quantity)]),
}

impl Event<'_> {
    const fn kind(self) -> Kind {
        match self {
            Self::Image { .. } => Kind::Snapshot,
            Self::State | Self::Closed => Kind::State,
            Self::Trade(_) => Kind::Trade,
            Self::TickSize { .. } => Kind::Tick,
            Self::Changes(_) => Kind::Change,
        }
    }

    const fn class(self, key: SubscriptionKey) -> FrameClass {
        match self {
            Self::Image { .. } => FrameClass::Image(key),
            Self::Changes(_) => FrameClass::Change(key),
            Self::State | Self::Closed | Self::Trade(_) | Self::TickSize { .. } => {
                FrameClass::Other
            }
        }
    }
}

/// Where frames go.
struct Queue<'a> {
    ready: &'a mut VecDeque<ClientId>,
    counts: &'a mut HubCounts,
    now: Now,
}

impl Queue<'_> {
    fn push(
        &mut self,
        id: ClientId,
        client: &mut Client,
        frame: &Rc<[u8]>,
        class: FrameClass,
    ) -> Pushed {
        let pushed = client.outbox.push(Rc::clone(frame), class, self.now.mono_ns);
        self.counts.frames += u64::from(pushed == Pushed::Queued);
        self.announce(id, client);
        pushed
    }

    fn announce(&mut self, id: ClientId, client: &mut Client) {
        if !std::mem::replace(&mut client.is_ready, true) {
            self.ready.push_back(id);
        }
    }
}

/// A frame that is encoded when the first client needs it.
#[derive(Default)]
struct Lazy(Option<Rc<[u8]>>);

impl Lazy {
    fn get(&mut self, text: &mut String, write: impl FnOnce(&mut String)) -> &Rc<[u8]> {
        self.0.get_or_insert_with(|| {
            text.clear();
            write(text);
            frame(text)
        })
    }
}

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
        let what = match what {
            BookUpdateKind::Image { image, sibling, lost } => {
                book.sibling = sibling;
                book.replica = Replica::new(self.shards[shard], &image, version, read_wall_ns);
                self.counts.ring_losses += u64::from(lost);
                self.requests.push_back((shard, UpdateRequest::Buffer(image)));
                return self.on_image(key, lost, now);
            }
            what => what,
        };
        let Some(replica) = &mut book.replica else { return };
        replica.read_wall_ns = read_wall_ns;
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
                if let Some(book) = self.books.get_mut(&key) {
                    book.replica = None;
                }
            }
            BookUpdateKind::Trade(trade) => {
                replica.facts.last_trade = Some(trade.price);
                self.publish(key, Event::Trade(&trade), now);
            }
            BookUpdateKind::TickSize { timestamp_ms, old, new } => {
                replica.facts.tick_size = Some(new);
                self.publish(key, Event::TickSize { timestamp_ms, old, new }, now);
            }
            // Clients get best prices of the replica.
            BookUpdateKind::Ticker { .. } | BookUpdateKind::Image { .. } => {}
        }
    }

    fn on_image(&mut self, key: SubscriptionKey, lost: bool, now: Now) {
        let Some(book) = self.books.get(&key) else { return };
        let wanted = book.clients.iter().any(|&id| {
            let client = self.clients[id.0 as usize].as_ref();
            client.is_some_and(|client| matches!(client.protocol, Protocol::Market(_)))
        });
        if let Some(sibling) = book.sibling.filter(|_| wanted) {
            self.open_sibling(sibling);
        }
        self.publish(key, Event::Image { lost }, now);
        let waiting: Vec<ClientId> = self.books[&key]
            .clients
            .iter()
            .copied()
            .filter(|&id| {
                let client = self.clients[id.0 as usize].as_ref();
                client.is_some_and(|client| {
                    client.dump.as_ref().is_some_and(|d| d.keys.contains(&key))
                })
            })
            .collect();
        for id in waiting {
            if self.dump_is_complete(id) {
                self.send_dump(id, now);
            }
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
        let Self { books, clients, ready, counts, text, messages, .. } = self;
        let mut queue = Queue { ready, counts, now };
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

    /// Sends an event of a book to its clients, except changes to those of the market channel.
    fn publish(&mut self, key: SubscriptionKey, event: Event<'_>, now: Now) {
        let Self { books, clients, ready, counts, text, bodies, frames, backlog, .. } = self;
        let Some(book) = books.get_mut(&key) else { return };
        let Some(replica) = &book.replica else { return };
        let mut queue = Queue { ready, counts, now };
        let mut stream_frame = None;
        if book.is_streamed {
            let sequence = backlog.next_sequence();
            let frame = write_event(text, replica, event, sequence);
            book.sequences.last = sequence;
            store(backlog, key, event.kind(), &frame);
            stream_frame = Some(frame);
        }
        let top = (replica.book.best_bid(), replica.book.best_ask());
        let is_new_top = top != book.top && replica.state == BookState::Live;
        if is_new_top {
            book.top = top;
        }
        let context = Context { key, event, replica, is_new_top, stale: self.settings.stale };
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
        let mut queue = Queue { ready, counts, now };
        let live: Vec<(SubscriptionKey, &Replica)> = dump
            .keys
            .iter()
            .filter_map(|&key| Some((key, books.get(&key)?.replica.as_ref()?)))
            .filter(|(_, replica)| replica.state == BookState::Live)
            .collect();
        for (place, chunk) in live.chunks(DUMP_BOOKS).enumerate() {
            let is_room = place == 0 || client.outbox.bytes() <= settings.buffer_bytes / 4;
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
        let Self { books, clients, ready, counts, text, bodies, frames, backlog, .. } = self;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let mut queue = Queue { ready, counts, now };
        let mut requests = Vec::new();
        while let Some(marked) = client.outbox.take_marked() {
            let key = marked.key;
            let Some(Subscribed { replica: Some(replica), .. }) = books.get(&key) else { continue };
            text.clear();
            match &mut client.protocol {
                Protocol::Market(_) if replica.state == BookState::Live => {
                    market::book(text, replica)
                }
                Protocol::Market(_) => continue,
                Protocol::Stream(session, tops) => {
                    let head = EventHead::from_replica(replica, backlog.last_sequence(), None);
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
        let Self { books, clients, ready, counts, text, backlog, .. } = self;
        let Some(client) = &mut clients[id.0 as usize] else { return };
        let mut queue = Queue { ready, counts, now };
        while let Protocol::Stream(_, tops) = &mut client.protocol
            && let Some(key) = tops.take_due(now.mono_ns)
        {
            let Some(Subscribed { replica: Some(replica), .. }) = books.get(&key) else { continue };
            if !tops.on_top(key, Top::from_replica(replica), now.mono_ns) {
                continue;
            }
            text.clear();
            let head = EventHead::from_replica(replica, backlog.last_sequence(), None);
            stream::top(text, &head, replica.book.best_bid(), replica.book.best_ask());
            queue.push(id, client, &frame(text), FrameClass::Change(key));
        }
    }
}

fn store(backlog: &mut Backlog, key: SubscriptionKey, kind: Kind, frame: &Rc<[u8]>) {
    backlog.push(BacklogEvent { key: Some(key), kind, frame: Rc::clone(frame) });
}

fn write_price_change(
    text: &mut String,
    books: &std::collections::HashMap<SubscriptionKey, Subscribed, foldhash::fast::FixedState>,
    message: &[(SubscriptionKey, LevelChange, Quantity)],
) {
    let named = message.iter().filter_map(|(key, change, _)| {
        let book = books.get(key)?;
        Some((&book.token, change))
    });
    let first = message.first().and_then(|(key, change, _)| {
        let replica = books.get(key)?.replica.as_ref()?;
        Some((replica.market, change.timestamp_ms))
    });
    if let Some((market, timestamp_ms)) = first {
        market::price_change(text, &market, timestamp_ms, named);
    }
}

/// The frame of an event in the stream.
fn write_event(text: &mut String, replica: &Replica, event: Event<'_>, sequence: u64) -> Rc<[u8]> {
    text.clear();
    let head = EventHead::from_replica(replica, sequence, None);
    match event {
        Event::Image { lost } => stream::snapshot(text, &head, &replica.book, &replica.facts, lost),
        Event::State => stream::state(text, &head),
        Event::Closed => stream::closed(text, &head),
        Event::Trade(trade) => stream::trade(text, &head.at(trade.timestamp_ms), trade),
        Event::TickSize { timestamp_ms, old, new } => {
            stream::tick(text, &head.at(timestamp_ms), old, new);
        }
        Event::Changes(changes) => {
            let levels: Vec<LevelChange> = changes.iter().map(|&(_, change, _)| change).collect();
            let timestamp_ms = levels.first().map_or(0, |change| change.timestamp_ms);
            stream::change(text, &head.at(timestamp_ms), &levels);
        }
    }
    frame(text)
}

/// An event of one book, for each of its clients.
struct Context<'a> {
    key: SubscriptionKey,
    event: Event<'a>,
    replica: &'a Replica,
    /// The best levels of the live book differ from those before.
    is_new_top: bool,
    stale: StalePolicy,
}

impl Context<'_> {
    fn to_market(
        &self,
        id: ClientId,
        client: &mut Client,
        queue: &mut Queue<'_>,
        text: &mut String,
        (main, other): (&mut Lazy, &mut Lazy),
    ) {
        let Self { key, replica, .. } = *self;
        let Protocol::Market(session) = &client.protocol else { return };
        let (wants_state, custom) = (session.wants_state(), session.custom());
        let is_live = replica.state == BookState::Live;
        let had_image = client.takes_changes(key);
        match self.event {
            Event::Image { .. } => {
                let is_dumped = client.dump.as_ref().is_some_and(|dump| dump.keys.contains(&key));
                if is_dumped || !is_live {
                    return;
                }
                if wants_state && !had_image {
                    let frame = other.get(text, |text| market::state(text, replica));
                    queue.push(id, client, frame, FrameClass::Other);
                }
                let frame = main.get(text, |text| market::book(text, replica));
                queue.push(id, client, frame, FrameClass::Image(key));
                client.books.insert(key, true);
            }
            Event::State | Event::Closed => {
                if wants_state {
                    let frame = other.get(text, |text| market::state(text, replica));
                    queue.push(id, client, frame, FrameClass::Other);
                }
                if !had_image || is_live {
                    return;
                }
                client.books.insert(key, false);
                client.outbox.unmark(key);
                match self.stale {
                    StalePolicy::Hold => {}
                    StalePolicy::Clear => {
                        let frame = main.get(text, |text| market::empty_book(text, replica));
                        queue.push(id, client, frame, FrameClass::Other);
                    }
                    StalePolicy::Close => {
                        client.closing.get_or_insert((1012, "a book is out of date"));
                        queue.announce(id, client);
                    }
                }
            }
            Event::Trade(trade) => {
                let frame = main.get(text, |text| market::last_trade_price(text, replica, trade));
                queue.push(id, client, frame, FrameClass::Other);
            }
            Event::TickSize { timestamp_ms, old, new } => {
                let write = |text: &mut String| {
                    market::tick_size_change(text, replica, timestamp_ms, old, new);
                };
                queue.push(id, client, main.get(text, write), FrameClass::Other);
            }
            Event::Changes(_) if self.is_new_top && custom && had_image => {
                let timestamp_ms = replica.facts.timestamp_ms;
                let write = |text: &mut String| market::best_bid_ask(text, replica, timestamp_ms);
                queue.push(id, client, main.get(text, write), FrameClass::Change(key));
            }
            Event::Changes(_) => {}
        }
    }

    fn to_stream(
        &self,
        id: ClientId,
        client: &mut Client,
        queue: &mut Queue<'_>,
        frame: Option<&Rc<[u8]>>,
        (text, shared, last_sequence): (&mut String, &mut Lazy, u64),
    ) {
        let Self { key, replica, event, .. } = *self;
        let had_image = client.takes_changes(key);
        let Protocol::Stream(session, tops) = &mut client.protocol else { return };
        let wants = session.kinds.contain(event.kind());
        let is_new_top = session.kinds.contain(Kind::Top)
            && !matches!(event, Event::Trade(_) | Event::TickSize { .. })
            && tops.on_top(key, Top::from_replica(replica), queue.now.mono_ns);
        if let Some(frame) = frame.filter(|_| wants)
            && (had_image || !matches!(event, Event::Changes(_)))
        {
            let pushed = queue.push(id, client, frame, event.class(key));
            if pushed == Pushed::Marked && matches!(event, Event::Changes(_)) {
                let mut notice = String::new();
                let head = EventHead::from_replica(replica, last_sequence.saturating_sub(1), None);
                stream::behind(&mut notice, &head, Behind::SlowClient, queue.now.wall_ns);
                queue.push(id, client, &self::frame(&notice), FrameClass::Other);
            }
            if matches!(event, Event::Image { .. }) {
                client.books.insert(key, true);
            }
        }
        if is_new_top {
            let frame = shared.get(text, |text| {
                let head = EventHead::from_replica(replica, last_sequence, None);
                stream::top(text, &head, replica.book.best_bid(), replica.book.best_ask());
            });
            queue.push(id, client, frame, FrameClass::Change(key));
        }
        if matches!(event, Event::Closed) {
            client.books.insert(key, false);
            client.outbox.unmark(key);
        }
    }

    fn to_kalshi(
        &self,
        id: ClientId,
        client: &mut Client,
        queue: &mut Queue<'_>,
        bodies: &mut kalshi::Bodies,
        frames: &mut kalshi::Frames,
    ) {
        let Self { key, replica, .. } = *self;
        let has_room = client.outbox.has_room(key);
        let had_image = client.takes_changes(key);
        let Protocol::Kalshi(session) = &mut client.protocol else { return };
        frames.clear();
        match self.event {
            // A sequence number that was given must be sent.
            Event::Image { .. } | Event::Changes(_) if !has_room => {
                client.outbox.mark(key, matches!(self.event, Event::Changes(_)));
                queue.announce(id, client);
                return;
            }
            Event::Image { .. } => {
                session.on_image(replica, bodies, frames);
                client.books.insert(key, true);
            }
            Event::Changes(changes) if had_image => {
                for (_, change, before) in changes {
                    bodies.begin();
                    session.on_change(replica, *before, change, bodies, frames);
                }
            }
            Event::Changes(_) | Event::TickSize { .. } => {}
            Event::State => {
                session.on_state(replica, bodies, frames);
                if self.stale == StalePolicy::Close && replica.state != BookState::Live {
                    client.closing.get_or_insert((1012, "a book is out of date"));
                    queue.announce(id, client);
                }
            }
            Event::Closed => {
                session.on_closed(replica, bodies, frames);
                client.books.insert(key, false);
            }
            Event::Trade(trade) => session.on_trade(replica, trade, bodies, frames),
        }
        for text in frames.iter() {
            queue.push(id, client, &frame(text), FrameClass::Other);
        }
    }
}

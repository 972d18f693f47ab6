//! The hub: replicas of the subscribed books, and the clients that subscribe to them.
//!
//! Runs on:  serve core (pure; time is an argument). Owns: replicas, sessions, outboxes, the backlog of the stream.
//! Bounds:   `UPDATE_SUBSCRIPTIONS_MAX` books; the outbox of each client and the backlog as they say.
//!
//! A client has the image of a book before any change of it. `deliver` turns updates into events for the clients of a
//! book, `event` and `tardis` an event into frames of one client; `client` is what the hub holds of one.
mod bus;
mod client;
mod deliver;
mod event;
mod tardis;

use super::catalog::Catalog;
use super::outbox::{FrameClass, Pushed};
use super::rest::Known;
use super::stream::backlog::{Backlog, BookSequences, ResumedBook};
use super::stream::encode as stream_encode;
use super::tardis::Messages;
use super::{Endpoint, Replica, Request, StalePolicy, kalshi};
use crate::base::id::{TokenId, Venue};
use crate::base::limits::{
    GATEWAY_BACKLOG_BYTES_MAX, GATEWAY_BACKLOG_EVENTS_MAX, GATEWAY_BOOK_LINGER_NS,
    GATEWAY_BUFFER_BYTES, GATEWAY_DUMP_WAIT_NS, GATEWAY_FOLLOW_MAX, SERVE_IMAGE_LEVELS,
    UPDATE_BUFFERS_INITIAL, UPDATE_SUBSCRIPTIONS_MAX,
};
use crate::base::price::Quantity;
use crate::base::time::{MICROSECOND_NS, Now};
use crate::counter::latency::histogram;
use crate::link::shard_updates::{LevelChange, SubscriptionKey, TradeUpdate, UpdateRequest};
use crate::market::book::Level;
use crate::market::book::image::BookImage;
use client::{Client, Closing, Protocol};
use foldhash::fast::FixedState;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

pub use bus::BusCounts;
pub use client::Output;

/// A client's place in the hub, from [`Hub::connect`] to [`Hub::disconnect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(u32);

impl ClientId {
    /// Small and dense: the place in a table of clients.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How the hub treats its clients.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes that may wait for one client.
    pub buffer_bytes: usize,
    /// What a client of a venue's protocol receives when a book is stale.
    pub stale: StalePolicy,
    /// Markets that clients subscribe to and that the engine does not follow are followed.
    pub follow: bool,
    /// Updates wait for the clients ([`Hub::has_room`]), so a client may take its time.
    pub waits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let (buffer_bytes, stale) = (GATEWAY_BUFFER_BYTES, StalePolicy::default());
        Self { buffer_bytes, stale, follow: false, waits: false }
    }
}

/// The hub and its clients, for `/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HubReport {
    /// Counters of the hub.
    #[serde(flatten)]
    pub counts: HubCounts,
    /// The connected clients.
    pub connections: Vec<ClientReport>,
}

/// One client, for `/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientReport {
    /// `market`, `kalshi`, `stream`, `tardis` or `polypy`.
    pub protocol: &'static str,
    /// Subscribed books.
    pub books: usize,
    /// Bytes that wait for it.
    pub queued_bytes: usize,
    /// Frames queued for it so far.
    pub frames: u64,
    /// Changes that it received as a later book.
    pub conflated: u64,
}

/// Counters of the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HubCounts {
    /// Clients that connected.
    pub connected: u64,
    /// Clients that are connected.
    pub clients: u64,
    /// Subscribed books.
    pub books: u64,
    /// Frames queued for clients.
    pub frames: u64,
    /// Changes and images of books that were replaced by a later image, because their client was slow.
    pub conflated: u64,
    /// Clients that were closed because they were too slow.
    pub closed_slow: u64,
    /// Images of books whose updates did not fit into the ring of their shard.
    pub ring_losses: u64,
    /// Trades that did not fit into the ring of their shard, nor beside it.
    pub ring_trades_lost: u64,
    /// Binary messages of clients, which no protocol has.
    pub binary_messages: u64,
}

#[derive(Debug)]
struct Subscribed {
    token: TokenId,
    /// `None` until the first image.
    replica: Option<Replica>,
    clients: Vec<ClientId>,
    /// Of the stream's events.
    sequences: BookSequences,
    is_streamed: bool,
    unused_since_ns: Option<u64>,
    /// Another token of the same market.
    sibling: Option<TokenId>,
    /// Subscribed to because the venue's message names both outcomes.
    is_sibling: bool,
    /// A client needs the quantity before each change.
    needs_quantities: bool,
    /// The best levels as of the last `best_bid_ask`.
    top: (Option<Level>, Option<Level>),
}

/// Replicas, and who subscribes to them.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    shards: Vec<Venue>,
    clients: Vec<Option<Client>>,
    free: Vec<ClientId>,
    books: HashMap<SubscriptionKey, Subscribed, FixedState>,
    keys: HashMap<TokenId, SubscriptionKey, FixedState>,
    next_key: u32,
    /// Books that their last client has left, and when, in this order.
    unused: VecDeque<(u64, SubscriptionKey)>,
    requests: VecDeque<(usize, UpdateRequest)>,
    follow: VecDeque<TokenId>,
    /// Clients with output, each once.
    ready: VecDeque<ClientId>,
    /// The client that publishes every book.
    bus: Option<ClientId>,
    backlog: Backlog,
    catalog: Catalog,
    /// The last trades of subscribed books, newest last.
    trades: VecDeque<(TokenId, TradeUpdate)>,
    /// Changes of one venue message: book, change, and the quantity before it.
    message: Vec<(SubscriptionKey, LevelChange, Quantity)>,
    messages: u64,
    bodies: kalshi::Bodies,
    frames: kalshi::Frames,
    tardis: Messages,
    text: String,
    has_buffers: bool,
    counts: HubCounts,
    /// When the shard read the last update, nanoseconds since the Unix epoch.
    read_wall_ns: u64,
    /// Read by the shard to written to the client, of each frame of a change, a trade or a price step, nanoseconds.
    /// `None` of a recording, whose reads are of another time.
    latency: Option<Histogram<u64>>,
}

impl Hub {
    /// A hub without clients; `shards` has the venue of each shard, `now_wall_ns` is the present time.
    pub fn new(shards: Vec<Venue>, settings: Settings, now_wall_ns: u64) -> Self {
        let first = now_wall_ns / MICROSECOND_NS;
        Self {
            settings,
            shards,
            clients: Vec::new(),
            free: Vec::new(),
            books: HashMap::default(),
            keys: HashMap::default(),
            next_key: 0,
            unused: VecDeque::new(),
            requests: VecDeque::new(),
            follow: VecDeque::new(),
            ready: VecDeque::new(),
            bus: None,
            backlog: Backlog::new(first, GATEWAY_BACKLOG_EVENTS_MAX, GATEWAY_BACKLOG_BYTES_MAX),
            catalog: Catalog::default(),
            trades: VecDeque::new(),
            message: Vec::new(),
            messages: 0,
            bodies: kalshi::Bodies::default(),
            frames: kalshi::Frames::default(),
            tardis: Messages::default(),
            text: String::new(),
            has_buffers: false,
            counts: HubCounts::default(),
            read_wall_ns: 0,
            latency: (!settings.waits).then(histogram),
        }
    }

    /// A client has connected.
    pub fn connect(&mut self, endpoint: Endpoint, now: Now) -> ClientId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            ClientId(self.clients.len() as u32 - 1)
        });
        let mut requests = Vec::new();
        let client = Client::new(endpoint, self.settings, &mut requests);
        self.clients[id.0 as usize] = Some(client);
        self.counts.connected += 1;
        self.handle(id, requests, now);
        id
    }

    /// A client has gone. Its place is given to another.
    pub fn disconnect(&mut self, id: ClientId, now: Now) {
        let Some(client) = self.clients[id.0 as usize].take() else { return };
        self.counts.conflated += client.outbox.counts().conflated;
        for key in client.books.into_keys() {
            self.leave(key, id, now);
        }
        self.ready.retain(|&ready| ready != id);
        self.free.push(id);
    }

    /// A text message of a client.
    pub fn on_text(&mut self, id: ClientId, text: &str, now: Now) {
        let Some(client) = &mut self.clients[id.0 as usize] else { return };
        let mut requests = Vec::new();
        client.on_text(text, &mut requests);
        self.handle(id, requests, now);
    }

    /// A binary message of a client. No protocol has one: it is handled as a text that cannot be read.
    pub fn on_binary(&mut self, id: ClientId, now: Now) {
        self.counts.binary_messages += 1;
        self.on_text(id, "", now);
    }

    /// Clients whose output has begun to wait since they were last returned.
    pub fn poll_ready(&mut self) -> Option<ClientId> {
        let id = self.ready.pop_front()?;
        if let Some(client) = &mut self.clients[id.0 as usize] {
            client.is_ready = false;
        }
        Some(id)
    }

    /// The next request to send, and the shard it is for.
    pub fn poll_request(&mut self) -> Option<(usize, UpdateRequest)> {
        self.requests.pop_front()
    }

    /// The next token whose market is to be followed.
    pub fn poll_follow(&mut self) -> Option<TokenId> {
        self.follow.pop_front()
    }

    /// A request did not fit: it is the next again.
    pub fn on_unsent(&mut self, shard: usize, request: UpdateRequest) {
        self.requests.push_front((shard, request));
    }

    /// What is due: dumps, best prices, clients that take nothing, books that nobody needs. Call it every few
    /// milliseconds.
    pub fn handle_timeout(&mut self, now: Now) {
        for place in 0..self.clients.len() {
            let id = ClientId(place as u32);
            let Some(client) = &mut self.clients[place] else { continue };
            if client.check_outbox(now) {
                self.counts.closed_slow += 1;
                self.set_ready(id);
                continue;
            }
            if client.dump.as_ref().is_some_and(|dump| dump.due_ns <= now.mono_ns) {
                self.send_dump(id, now);
            }
            self.send_due_tops(id, now);
            self.send_due_page(id, now);
        }
        self.repeat_for_bus(now);
        self.drop_unused(now);
    }

    /// Whether the frames of an update fit for every client, so that nothing is left out.
    pub fn has_room(&self) -> bool {
        let bytes_max = self.settings.buffer_bytes / 4;
        let has_room = |client: &Client| {
            let outbox = &client.outbox;
            client.closing.is_some() || (outbox.bytes() <= bytes_max && !outbox.has_marked())
        };
        self.clients.iter().flatten().all(has_room)
    }

    /// Whether there is a subscribed book, or a client of all markets, and the clients have what there is of theirs.
    pub fn has_begun(&self) -> bool {
        let is_dumped = |client: &Client| client.dump.is_none();
        let is_any = !self.books.is_empty()
            || self.clients.iter().flatten().any(|client| client.protocol.follows_markets());
        let is_subscribed = is_any && self.requests.is_empty();
        is_subscribed && self.clients.iter().flatten().all(is_dumped) && self.has_room()
    }

    /// Whether there is nothing to do before a client connects or an update comes.
    pub fn is_unused(&self) -> bool {
        self.clients.len() == self.free.len() && self.books.is_empty() && self.requests.is_empty()
    }

    /// Closes every client behind what is queued for it.
    pub fn end(&mut self, code: u16, reason: &'static str) {
        for place in 0..self.clients.len() {
            self.close(ClientId(place as u32), code, reason);
        }
    }

    /// What REST answers need besides books.
    pub const fn known(&self) -> Known<'_> {
        Known { catalog: &self.catalog, trades: &self.trades }
    }

    /// Values of [`Stage::ReadToWritten`](crate::counter::latency::Stage::ReadToWritten) since the last call; `None` if
    /// there are none.
    pub fn take_latency(&mut self) -> Option<Histogram<u64>> {
        let latency = self.latency.as_mut().filter(|latency| !latency.is_empty())?;
        Some(std::mem::replace(latency, histogram()))
    }

    /// Counters.
    pub fn counts(&self) -> HubCounts {
        let clients = self.clients.iter().flatten();
        let waiting: u64 = clients.clone().map(|client| client.outbox.counts().conflated).sum();
        HubCounts {
            clients: clients.count() as u64,
            books: self.books.len() as u64,
            conflated: self.counts.conflated + waiting,
            ..self.counts
        }
    }

    /// Counters and clients.
    pub fn report(&self) -> HubReport {
        let connections = self.clients.iter().flatten().map(Client::report).collect();
        HubReport { counts: self.counts(), connections }
    }

    /// Output of the client waits: [`Hub::poll_ready`] returns it.
    pub fn set_ready(&mut self, id: ClientId) {
        if let Some(client) = &mut self.clients[id.0 as usize]
            && !std::mem::replace(&mut client.is_ready, true)
        {
            self.ready.push_back(id);
        }
    }

    fn push(&mut self, id: ClientId, frame: Rc<[u8]>, class: FrameClass, now: Now) -> Pushed {
        let Some(client) = &mut self.clients[id.0 as usize] else { return Pushed::LeftOut };
        if client.closing.is_some() {
            return Pushed::LeftOut;
        }
        let pushed = client.outbox.push(frame, class, now.mono_ns, 0);
        self.counts.frames += u64::from(pushed == Pushed::Queued);
        self.set_ready(id);
        pushed
    }

    fn push_text(&mut self, id: ClientId, text: &str, now: Now) {
        self.push(id, event::frame(text), FrameClass::Other, now);
    }

    fn handle(&mut self, id: ClientId, requests: Vec<Request>, now: Now) {
        let mut new = Vec::new();
        for request in requests {
            match request {
                Request::Subscribe(token) => new.extend(self.subscribe(id, token)),
                Request::Unsubscribe(token) => self.unsubscribe(id, token, now),
                Request::Send(text) => self.push_text(id, &text, now),
                Request::Close(code, reason) => self.close(id, code, reason),
            }
        }
        self.begin(id, &new, now);
    }

    fn close(&mut self, id: ClientId, code: u16, reason: &'static str) {
        if let Some(client) = &mut self.clients[id.0 as usize] {
            client.closing.get_or_insert(Closing::behind_frames(code, reason));
            self.set_ready(id);
        }
    }

    /// Subscribes a client to a book; the book's key, unless there is no room for it.
    fn subscribe(&mut self, id: ClientId, token: TokenId) -> Option<SubscriptionKey> {
        let key = match self.keys.get(&token) {
            Some(&key) => key,
            None => match self.open(token, false) {
                Some(key) => key,
                None if self.bus == Some(id) => {
                    self.refuse_for_bus();
                    return None;
                }
                None => {
                    self.close(id, 1013, "the gateway has no room for more books");
                    return None;
                }
            },
        };
        let book = self.books.get_mut(&key)?;
        let client = self.clients[id.0 as usize].as_mut()?;
        book.unused_since_ns = None;
        if let std::collections::hash_map::Entry::Vacant(entry) = client.books.entry(key) {
            entry.insert(false);
            book.clients.push(id);
        } else if matches!(client.protocol, Protocol::Market(_)) {
            // The venue does not send a book again.
            return None;
        }
        if !book.is_streamed && matches!(client.protocol, Protocol::Stream(..)) {
            book.is_streamed = true;
            book.sequences.first = self.backlog.next_sequence();
        }
        book.needs_quantities |= matches!(client.protocol, Protocol::Kalshi(_));
        // A venue's message names both outcomes.
        if matches!(client.protocol, Protocol::Market(_))
            && let Some(sibling) = book.sibling
        {
            self.open_sibling(sibling);
        }
        Some(key)
    }

    /// Subscribes to a book at the shards.
    fn open(&mut self, token: TokenId, is_sibling: bool) -> Option<SubscriptionKey> {
        if self.books.len() >= UPDATE_SUBSCRIPTIONS_MAX {
            return None;
        }
        let is_unknown = !is_sibling && self.catalog.market_of(&token).is_none();
        if self.settings.follow && is_unknown && self.follow.len() < GATEWAY_FOLLOW_MAX {
            self.follow.push_back(token);
        }
        let key = SubscriptionKey(self.next_key);
        self.next_key += 1;
        let book = Subscribed {
            token,
            replica: None,
            clients: Vec::new(),
            sequences: BookSequences { first: self.backlog.next_sequence(), last: 0 },
            is_streamed: false,
            unused_since_ns: None,
            sibling: None,
            is_sibling,
            needs_quantities: false,
            top: (None, None),
        };
        self.books.insert(key, book);
        self.keys.insert(token, key);
        for shard in 0..self.shards.len() {
            if !self.has_buffers {
                for _ in 0..UPDATE_BUFFERS_INITIAL {
                    let image = Box::new(BookImage::with_capacity(SERVE_IMAGE_LEVELS));
                    self.requests.push_back((shard, UpdateRequest::Buffer(image)));
                }
            }
            self.requests.push_back((shard, UpdateRequest::Subscribe { token, key }));
        }
        self.has_buffers = true;
        Some(key)
    }

    fn open_sibling(&mut self, token: TokenId) {
        if !self.keys.contains_key(&token) {
            self.open(token, true);
        }
    }

    fn unsubscribe(&mut self, id: ClientId, token: TokenId, now: Now) {
        let Some(&key) = self.keys.get(&token) else { return };
        let Some(client) = &mut self.clients[id.0 as usize] else { return };
        if client.books.remove(&key).is_some() {
            client.forget(key);
            self.leave(key, id, now);
        }
    }

    /// A client has left a book.
    fn leave(&mut self, key: SubscriptionKey, id: ClientId, now: Now) {
        let Some(book) = self.books.get_mut(&key) else { return };
        book.clients.retain(|&client| client != id);
        if book.clients.is_empty() {
            book.unused_since_ns = Some(now.mono_ns);
            self.unused.push_back((now.mono_ns, key));
        }
    }

    /// Ends the subscription of books that nobody has needed for a while: a client of the stream that reconnects
    /// resumes.
    fn drop_unused(&mut self, now: Now) {
        while let Some(&(since_ns, key)) = self.unused.front()
            && now.mono_ns.saturating_sub(since_ns) >= GATEWAY_BOOK_LINGER_NS
        {
            self.unused.pop_front();
            let Some(book) = self.books.get(&key) else { continue };
            if book.unused_since_ns != Some(since_ns) {
                continue;
            }
            let (token, sibling) = (book.token, book.sibling);
            if sibling.is_some_and(|sibling| self.has_clients(&sibling)) {
                // The messages of the other outcome name it. It goes with that one.
                if let Some(book) = self.books.get_mut(&key) {
                    (book.is_sibling, book.unused_since_ns) = (true, None);
                }
                continue;
            }
            // A sibling is dropped with the book that it was opened for.
            let sibling = sibling.filter(|sibling| self.is_only_sibling(sibling));
            for token in sibling.into_iter().chain([token]) {
                let Some(key) = self.keys.remove(&token) else { continue };
                self.books.remove(&key);
                for shard in 0..self.shards.len() {
                    self.requests.push_back((shard, UpdateRequest::Unsubscribe { token }));
                }
            }
        }
    }

    fn has_clients(&self, token: &TokenId) -> bool {
        let book = self.keys.get(token).and_then(|key| self.books.get(key));
        book.is_some_and(|book| !book.clients.is_empty())
    }

    fn is_only_sibling(&self, token: &TokenId) -> bool {
        let book = self.keys.get(token).and_then(|key| self.books.get(key));
        book.is_some_and(|book| book.is_sibling && book.clients.is_empty())
    }

    /// Sends a client what there is of newly subscribed books.
    fn begin(&mut self, id: ClientId, keys: &[SubscriptionKey], now: Now) {
        if keys.is_empty() {
            return;
        }
        let Some(client) = &mut self.clients[id.0 as usize] else { return };
        match &client.protocol {
            Protocol::Market(session) if session.wants_dump() => {
                let dump = client.dump.get_or_insert_with(|| client::Dump {
                    order: Vec::new(),
                    keys: HashSet::default(),
                    missing: HashSet::default(),
                    due_ns: now.mono_ns + GATEWAY_DUMP_WAIT_NS,
                });
                dump.order.extend_from_slice(keys);
                dump.keys.extend(keys);
                let books = &self.books;
                let is_missing = |key: &&SubscriptionKey| books[key].replica.is_none();
                dump.missing.extend(keys.iter().filter(is_missing));
                if dump.missing.is_empty() {
                    self.send_dump(id, now);
                }
            }
            Protocol::Market(_) => {
                client.books.extend(keys.iter().map(|&key| (key, true)));
            }
            // Its book is sent at an interval.
            Protocol::Polypy(_) => {}
            Protocol::Kalshi(_) | Protocol::Tardis(_) => {
                keys.iter().for_each(|&key| client.outbox.mark(key, false));
            }
            Protocol::Stream(session, _) => {
                let mut resumed = Vec::new();
                for &key in keys {
                    let book = &self.books[&key];
                    match session.resume_from(&book.token) {
                        Some(from_sequence) if book.replica.is_some() => {
                            resumed.push(ResumedBook {
                                key,
                                from_sequence,
                                sequences: book.sequences,
                            });
                        }
                        from => client.outbox.mark(key, from.is_some()),
                    }
                }
                self.resume(id, &resumed, now);
            }
        }
        self.refill(id, now);
    }

    fn resume(&mut self, id: ClientId, books: &[ResumedBook], now: Now) {
        let Some(Client { protocol: Protocol::Stream(session, _), .. }) =
            &self.clients[id.0 as usize]
        else {
            return;
        };
        let plan = self.backlog.plan_resume(books, session.kinds, self.settings.buffer_bytes / 4);
        for book in &plan.gaps {
            let Some(replica) = self.books[&book.key].replica.as_ref() else { continue };
            // A number that no event has yet would be that of the client's next request, too.
            let sequence = book.from_sequence.saturating_sub(1).min(self.backlog.last_sequence());
            let head = stream_encode::EventHead::from_replica(
                replica,
                sequence,
                self.catalog.outcome(&replica.token),
            );
            let mut text = String::new();
            stream_encode::behind(&mut text, &head, stream_encode::Behind::Gap, now.wall_ns);
            self.push_text(id, &text, now);
            if let Some(client) = &mut self.clients[id.0 as usize] {
                client.outbox.mark(book.key, true);
            }
        }
        for &key in &plan.states {
            if let Some(client) = &mut self.clients[id.0 as usize] {
                client.books.insert(key, true);
            }
        }
        for event in plan.events {
            let class = event.class();
            self.push(id, event.frame, class, now);
        }
        // So the client knows that it is up to date.
        for key in plan.states {
            let Some(replica) = self.books[&key].replica.as_ref() else { continue };
            let last = self.backlog.last_sequence();
            let mut text = String::new();
            let outcome = self.catalog.outcome(&replica.token);
            let head = stream_encode::EventHead::from_replica(replica, last, outcome);
            stream_encode::state(&mut text, &head);
            self.push(id, event::frame(&text), FrameClass::State(key), now);
        }
    }
}

#[cfg(test)]
mod tests;

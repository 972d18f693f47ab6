//! The client that publishes every book: it follows all markets, is never closed, and repeats snapshots.
//!
//! Runs on:  serve core (pure). Owns: the order of the repeated snapshots, and the last record of each market and
//!           closed book that found no room.
//! Bounds:   the outbox as it is given; records of markets, `GATEWAY_MARKETS_MAX`; books, `UPDATE_SUBSCRIPTIONS_MAX`.
//!
//! While nothing is taken, the outbox conflates books as for any client. Trades that find no room are counted and lost.
use super::client::{Client, Protocol};
use super::event::Event;
use super::{ClientId, Hub};
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::GATEWAY_MARKETS_MAX;
use crate::base::time::{Now, SECOND_NS};
use crate::gateway::Endpoint;
use crate::gateway::outbox::Outbox;
use crate::gateway::stream::{Kinds, Options};
use crate::link::serve_bus::{BusFeed, Repeat};
use crate::link::shard_updates::SubscriptionKey;
use crate::market::info::{MarketEvent, MarketStage};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// What has become of records of the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusCounts {
    /// Subscribed books.
    pub books: u64,
    /// Bytes that wait.
    pub waiting_bytes: u64,
    /// Repeated snapshots.
    pub snapshots_repeated: u64,
    /// Records that a later snapshot has replaced.
    pub conflated: u64,
    /// Trades that found no room.
    pub trades_lost: u64,
    /// Books that are not followed for want of room.
    pub books_refused: u64,
}

/// Of what only the last record counts, and is held until there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held {
    Market(MarketId),
    Closed(TokenId),
}

/// What the hub holds of the bus beside an ordinary client of the stream.
#[derive(Debug)]
pub(super) struct Follower {
    snapshot_ns: u64,
    /// Subscribed books in the order of their repeated snapshots; holds books too that it has left.
    round: VecDeque<SubscriptionKey>,
    /// Time that has passed since the last repeated snapshot, multiplied by the number of books.
    due_ns: u64,
    stepped_ns: u64,
    held: HashMap<Held, Rc<[u8]>, FixedState>,
    /// Holds those too that are not held any more.
    order: VecDeque<Held>,
    counts: BusCounts,
}

impl Follower {
    fn hold(&mut self, what: Held, frame: &Rc<[u8]>) {
        if self.held.len() < GATEWAY_MARKETS_MAX
            && self.held.insert(what, Rc::clone(frame)).is_none()
        {
            self.order.push_back(what);
        }
    }
}

impl Client {
    /// Whether the record of a market waits until there is room, in place of an earlier one.
    pub(super) fn holds_market(&mut self, market: MarketId, frame: &Rc<[u8]>) -> bool {
        let Some(bus) = &mut self.bus else { return false };
        if self.outbox.is_half_full() {
            bus.hold(Held::Market(market), frame);
            return true;
        }
        bus.held.remove(&Held::Market(market));
        false
    }

    /// A record of a book found no room.
    pub(super) fn on_lost(
        &mut self,
        key: SubscriptionKey,
        token: &TokenId,
        event: Event<'_>,
        frame: &Rc<[u8]>,
    ) {
        let Some(bus) = &mut self.bus else { return };
        match event {
            Event::Trade(_) => bus.counts.trades_lost += 1,
            Event::Closed => bus.hold(Held::Closed(*token), frame),
            // A snapshot has it.
            _ => self.outbox.mark(key, true),
        }
    }

    /// Queues held records as far as there is room.
    pub(super) fn send_held(&mut self, now: Now) {
        let Some(bus) = &mut self.bus else { return };
        while self.outbox.takes_marked()
            && let Some(what) = bus.order.pop_front()
        {
            let Some(frame) = bus.held.remove(&what) else { continue };
            self.outbox.push_marked(frame, now.mono_ns);
        }
    }
}

impl Hub {
    /// Connects the client that follows every market that is reported from now on. There is at most one.
    pub fn connect_bus(&mut self, feed: BusFeed, now: Now) -> ClientId {
        let options =
            Options { kinds: Kinds::all(), interval_ns: feed.tops_ns, ..Options::default() };
        let id = self.connect(Endpoint::Stream(options), now);
        if let Some(client) = &mut self.clients[id.0 as usize] {
            client.outbox = Outbox::new(feed.buffer_bytes).dropping();
            client.bus = Some(Box::new(Follower {
                snapshot_ns: feed.snapshot_ns.max(1),
                round: VecDeque::new(),
                due_ns: 0,
                stepped_ns: now.mono_ns,
                held: HashMap::default(),
                order: VecDeque::new(),
                counts: BusCounts::default(),
            }));
        }
        self.bus = Some(id);
        id
    }

    /// What has become of its records.
    pub fn bus_counts(&self) -> BusCounts {
        let client = self.bus.and_then(|id| self.clients[id.0 as usize].as_ref());
        let Some(Client { bus: Some(bus), outbox, books, .. }) = client else {
            return BusCounts::default();
        };
        BusCounts {
            books: books.len() as u64,
            waiting_bytes: outbox.bytes() as u64,
            conflated: outbox.counts().conflated,
            ..bus.counts
        }
    }

    /// Publishes books as a whole: records of them did not arrive.
    pub fn repeat_books(&mut self, repeat: Repeat, now: Now) {
        let Some(id) = self.bus else { return };
        let Some(client) = &mut self.clients[id.0 as usize] else { return };
        let keys: Vec<SubscriptionKey> = match repeat {
            Repeat::Book(token) => self.keys.get(&token).copied().into_iter().collect(),
            Repeat::All => client.books.keys().copied().collect(),
        };
        for key in keys.into_iter().filter(|&key| client.takes_changes(key)).collect::<Vec<_>>() {
            client.outbox.mark(key, true);
            // Best prices are published again too.
            if let Protocol::Stream(_, tops) = &mut client.protocol {
                tops.remove(key);
            }
        }
        self.refill(id, now);
    }

    /// A market has come to another stage: its books are followed until it is resolved and they are closed.
    pub(super) fn follow_for_bus(&mut self, event: &MarketEvent, now: Now) {
        let Some(id) = self.bus else { return };
        let tokens = event.info.tokens.iter().map(|outcome| outcome.token);
        match event.stage {
            MarketStage::New | MarketStage::Opened => {
                let is_new = |hub: &Self, token: &TokenId| {
                    let client = hub.clients[id.0 as usize].as_ref();
                    let key = hub.keys.get(token);
                    !key.is_some_and(|key| client.is_some_and(|c| c.books.contains_key(key)))
                };
                let mut keys = Vec::new();
                for token in tokens {
                    if is_new(self, &token) {
                        keys.extend(self.subscribe(id, token));
                    }
                }
                if let Some(Client { bus: Some(bus), .. }) = &mut self.clients[id.0 as usize] {
                    bus.round.extend(&keys);
                }
                self.begin(id, &keys, now);
            }
            MarketStage::Resolved => {
                for token in tokens {
                    let book = self.keys.get(&token).and_then(|key| self.books.get(key));
                    if book.is_some_and(|book| book.replica.is_none()) {
                        self.unsubscribe(id, token, now);
                    }
                }
            }
            MarketStage::Ended => {}
        }
    }

    /// A book is closed: it is left if its market is resolved.
    pub(super) fn leave_for_bus(&mut self, key: SubscriptionKey, now: Now) {
        let Some(id) = self.bus else { return };
        let Some(token) = self.books.get(&key).map(|book| book.token) else { return };
        if self.catalog.market_of(&token).is_none() {
            self.unsubscribe(id, token, now);
        }
    }

    /// So many trades did not come to the serve core.
    pub(super) fn on_trades_lost(&mut self, trades: u64) {
        self.counts.ring_trades_lost += trades;
        let client = self.bus.and_then(|id| self.clients[id.0 as usize].as_mut());
        if let Some(Client { bus: Some(bus), .. }) = client {
            bus.counts.trades_lost += trades;
        }
    }

    pub(super) fn refuse_for_bus(&mut self) {
        let client = self.bus.and_then(|id| self.clients[id.0 as usize].as_mut());
        if let Some(Client { bus: Some(bus), .. }) = client {
            bus.counts.books_refused += 1;
        }
    }

    /// Publishes the snapshots whose turn it is: each book once in `snapshot_ns`, spread evenly.
    pub(super) fn repeat_for_bus(&mut self, now: Now) {
        let Some(id) = self.bus else { return };
        let Some(Client { bus: Some(bus), outbox, books, .. }) = &mut self.clients[id.0 as usize]
        else {
            return;
        };
        let passed_ns = now.mono_ns.saturating_sub(bus.stepped_ns).min(SECOND_NS);
        bus.stepped_ns = now.mono_ns;
        // They must not displace changes.
        if !outbox.takes_marked() {
            return;
        }
        bus.due_ns = bus.due_ns.saturating_add(passed_ns * bus.round.len() as u64);
        for _ in 0..bus.round.len() {
            if bus.due_ns < bus.snapshot_ns {
                break;
            }
            bus.due_ns -= bus.snapshot_ns;
            let Some(key) = bus.round.pop_front() else { break };
            let Some(&has_image) = books.get(&key) else { continue };
            bus.round.push_back(key);
            if has_image {
                outbox.mark(key, false);
                bus.counts.snapshots_repeated += 1;
            }
        }
        self.refill(id, now);
    }
}

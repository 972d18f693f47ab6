//! The gateway's I/O: updates from the shards into the hub, and from it to WebSocket clients.
//!
//! Runs on:  serve core, as one task, which writes frames as far as sockets take them; `websocket` has those of the
//!           clients.
//! Owns:     the hub, its ends of the links.
//! Bounds:   `GATEWAY_UPDATES_PER_TURN` updates of a shard and `GATEWAY_CLIENTS_PER_TURN` writes before other tasks
//!           run; `GATEWAY_WRITE_BYTES` of one write.
mod bus;
mod websocket;

use super::event::{Bell, Event};
use super::replays::{ReplayLinks, Replays, Steering};
use crate::base::id::{TokenId, Venue};
use crate::base::limits::{
    BUS_END_NS, GATEWAY_CLIENTS_PER_TURN, GATEWAY_STALL_NS, GATEWAY_TIMER_NS,
    GATEWAY_UPDATES_PER_TURN, REPLAY_QUIET_NS, REPLAY_STALL_NS,
};
use crate::base::time::{MILLISECOND_NS, Now};
use crate::gateway::hub::{ClientId, Hub, HubReport, Settings};
use crate::gateway::rest::{self, Answer, Fetched, Plan, Request};
use crate::gateway::signature::Keys;
use crate::gateway::{Endpoint, Site};
use crate::io::clock::HostClock;
use crate::io::direct_socket::DirectSocket;
use crate::io::driver::Doorbell;
use crate::io::executor::{sleep, yield_now};
use crate::io::wake::Sleeper;
use crate::link::serve_bus::BusSender;
use crate::link::serve_history::{PriceAnswer, PriceHistory, PriceRequest};
use crate::link::shard_updates::{BookUpdate, UpdateRequest};
use crate::ring::{Consumer, Producer};
use bus::BusWriter;
use futures_lite::future::or;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use websocket::ClientWriter;

/// Looks at the rings between two yields.
const UPDATE_POLLS: usize = 64;

/// The serve core's ends of the links for updates with one shard.
#[derive(Debug)]
pub struct ShardUpdates {
    /// The shard's venue.
    pub venue: Venue,
    /// To the shard.
    pub requests: Producer<UpdateRequest>,
    /// From the shard.
    pub updates: Consumer<BookUpdate>,
    /// Wakes the shard; `None` where it polls.
    pub bell: Option<Doorbell>,
}

/// What the gateway needs of the engine.
#[derive(Debug)]
pub struct GatewayLinks {
    /// By shard.
    pub shards: Vec<ShardUpdates>,
    /// Woken by the shards.
    pub sleeper: Sleeper,
    /// How clients are treated.
    pub settings: Settings,
    /// How long the serve core polls after an update while there are clients, before it sleeps.
    pub spin_ns: u64,
    /// The clock of the shards.
    pub clock: HostClock,
    /// Keys of clients that sign their requests.
    pub keys: Keys,
    /// Each WebSocket has a replay of its own.
    pub replays: Option<Box<dyn Replays>>,
    /// Prices of stored trades, where trades are stored.
    pub prices: Option<PriceHistory>,
    /// Publishes every book and trade.
    pub bus: Option<BusSender>,
}

impl ShardUpdates {
    fn wake(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

/// The hub and its links.
pub(super) struct Gateway {
    hub: RefCell<Hub>,
    shards: RefCell<Vec<ShardUpdates>>,
    sleeper: Sleeper,
    spin_ns: u64,
    keys: Keys,
    clock: RefCell<HostClock>,
    /// By [`ClientId::index`].
    writers: RefCell<Vec<Option<Rc<ClientWriter>>>>,
    clients: Cell<usize>,
    /// Frames of one write.
    output: RefCell<Vec<u8>>,
    /// Requests wait in the hub, or clients have output.
    work: Bell,
    /// A client has subscribed, perhaps to a market that is not followed.
    follow: Bell,
    replays: Option<Box<dyn Replays>>,
    prices: Option<PriceHistory>,
    bus: RefCell<Option<BusWriter>>,
    /// The shard is a replay for the only client.
    steering: Option<Steering>,
}

impl Gateway {
    pub(super) fn new(links: GatewayLinks) -> Self {
        let GatewayLinks { shards, sleeper, settings, spin_ns, clock, keys, replays, .. } = links;
        let venues = shards.iter().map(|shard| shard.venue).collect();
        let now = clock.now();
        let mut hub = Hub::new(venues, settings, now.wall_ns);
        let bus = links.bus.map(|link| BusWriter::new(&mut hub, link, now));
        Self {
            hub: RefCell::new(hub),
            shards: RefCell::new(shards),
            sleeper,
            spin_ns,
            keys,
            clock: RefCell::new(clock),
            writers: RefCell::default(),
            clients: Cell::new(0),
            output: RefCell::default(),
            work: Bell::default(),
            follow: Bell::default(),
            replays,
            prices: links.prices,
            bus: RefCell::new(bus),
            steering: None,
        }
    }

    pub(super) fn of_replay(replay: ReplayLinks) -> Self {
        let ReplayLinks { links, gate } = replay;
        Self { steering: Some(Steering::new(gate)), ..Self::new(links) }
    }

    pub(super) fn replays(&self) -> Option<&dyn Replays> {
        self.replays.as_deref()
    }

    /// The client's own gateway, whose pump runs beside it.
    pub(super) const fn is_own(&self) -> bool {
        self.steering.is_some()
    }

    /// How long a client may take no byte.
    const fn stall_ns(&self) -> u64 {
        if self.steering.is_some() { REPLAY_STALL_NS } else { GATEWAY_STALL_NS }
    }

    /// Whether the venue of an interface is followed.
    pub(super) fn serves(&self, site: Site) -> bool {
        self.shards.borrow().iter().any(|shard| shard.venue.name() == site.venue())
    }

    /// Keys of clients that sign their requests.
    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn report(&self) -> HubReport {
        self.hub.borrow().report()
    }

    /// Latencies of frames since the last call; `None` if there are none.
    pub(super) fn take_latency(&self) -> Option<Box<Histogram<u64>>> {
        self.hub.borrow_mut().take_latency().map(Box::new)
    }

    pub(super) fn plan(&self, site: Site, request: &Request<'_>) -> Plan {
        rest::plan(site, request, self.hub.borrow().known())
    }

    /// Calls `with` with the markets and the last trades that the hub knows.
    pub(super) fn with_known<T>(&self, with: impl FnOnce(rest::Known<'_>) -> T) -> T {
        with(self.hub.borrow().known())
    }

    /// Prices of stored trades; `None` where no trades are stored.
    pub(super) async fn prices(&self, requests: &[PriceRequest]) -> Option<PriceAnswer> {
        Some(self.prices.as_ref()?.read(requests.to_vec()).await)
    }

    pub(super) fn answer(&self, plan: Plan, fetched: Fetched<'_>) -> Answer {
        plan.answer(fetched, self.hub.borrow().known())
    }

    /// The next token whose market is to be followed; `None` when the server stops.
    pub(super) async fn next_to_follow(&self, stop: &Event) -> Option<TokenId> {
        loop {
            if stop.is_set() {
                return None;
            }
            if let Some(token) = self.hub.borrow_mut().poll_follow() {
                return Some(token);
            }
            or(self.follow.wait(), stop.wait()).await;
        }
    }

    fn now(&self) -> Now {
        let now = self.clock.borrow().now();
        let mono_ns = self.steering.as_ref().map_or(now.mono_ns, |s| s.time(now.mono_ns));
        Now { mono_ns, ..now }
    }

    /// Lets a replay begin once its client has what it subscribed to; closes the client behind the last update.
    fn steer(&self, now: Now) {
        let Some(steering) = &self.steering else { return };
        let mut hub = self.hub.borrow_mut();
        let quiet_ns = now.mono_ns.saturating_sub(steering.received_ns.get());
        if steering.is_waiting() && quiet_ns >= REPLAY_QUIET_NS && hub.has_begun() {
            steering.begin();
        }
        if let Some((code, reason)) = steering.end()
            && self.shards.borrow().iter().all(|shard| shard.updates.is_empty())
            && hub.has_room()
        {
            hub.end(code, reason);
        }
    }

    /// Moves updates and requests until `stop`.
    pub(super) async fn pump(&self, stop: &Event) {
        let (mut timer_ns, mut worked_ns) = (0, 0);
        while !stop.is_set() {
            let now = self.now();
            let mut worked = self.take_updates(now);
            worked |= self.send_requests();
            self.steer(now);
            let is_due = now.mono_ns >= timer_ns;
            if is_due {
                timer_ns = now.mono_ns + GATEWAY_TIMER_NS;
                self.clock.borrow_mut().align();
                self.hub.borrow_mut().handle_timeout(now);
            }
            worked |= self.write_ready(now);
            worked |= self.pump_bus(now, is_due);
            if worked {
                worked_ns = now.mono_ns;
            }
            let is_polling = now.mono_ns.saturating_sub(worked_ns) < self.spin_ns;
            if worked || (is_polling && self.clients.get() > 0) {
                if !worked {
                    self.poll_updates();
                }
                yield_now().await;
                continue;
            }
            let wait = or(self.sleeper.wait(), self.work.wait());
            let is_unused = self.hub.borrow().is_unused();
            let timer = async {
                match is_unused {
                    true => pending().await,
                    false => sleep(GATEWAY_TIMER_NS).await,
                }
            };
            or(or(wait, timer), stop.wait()).await;
        }
        self.end_bus().await;
    }

    /// Passes on what waits for the bus, for at most `BUS_END_NS`; what is left is counted.
    async fn end_bus(&self) {
        if self.bus.borrow().is_none() {
            return;
        }
        let end_ns = self.now().mono_ns + BUS_END_NS;
        loop {
            let now = self.now();
            let worked = self.take_updates(now);
            self.pump_bus(now, true);
            let is_empty = self.hub.borrow().bus_counts().waiting_bytes == 0;
            if now.mono_ns >= end_ns || is_empty && !worked {
                break;
            }
            sleep(MILLISECOND_NS).await;
        }
        if let Some(bus) = &*self.bus.borrow() {
            bus.end(&mut self.hub.borrow_mut(), self.now());
        }
    }

    /// Passes records to the bus; `publishes` its figures too.
    fn pump_bus(&self, now: Now, publishes: bool) -> bool {
        let (mut bus, mut hub) = (self.bus.borrow_mut(), self.hub.borrow_mut());
        let Some(bus) = &mut *bus else { return false };
        if publishes {
            bus.publish(&hub);
        }
        bus.pump(&mut hub, now)
    }

    fn take_updates(&self, now: Now) -> bool {
        let mut any = false;
        let (mut shards, mut hub) = (self.shards.borrow_mut(), self.hub.borrow_mut());
        for (place, shard) in shards.iter_mut().enumerate() {
            let mut taken = 0;
            while taken < GATEWAY_UPDATES_PER_TURN
                && self.steering.as_ref().is_none_or(|s| s.takes() && hub.has_room())
                && let Some(update) = shard.updates.try_receive()
            {
                taken += 1;
                if let Some(steering) = &self.steering {
                    steering.on_taken();
                }
                hub.on_update(place, update, now);
            }
            any |= taken > 0;
            // Of a replay, whole messages come one after the other.
            if self.steering.as_ref().is_none_or(|steering| !steering.takes()) {
                hub.end_message(now);
            }
            if taken == GATEWAY_UPDATES_PER_TURN {
                // It may wait with images for which there is room now.
                shard.wake();
            }
        }
        any
    }

    /// Looks for updates for a few microseconds, which is finer than yielding.
    fn poll_updates(&self) {
        let shards = self.shards.borrow();
        for _ in 0..UPDATE_POLLS {
            if shards.iter().any(|shard| !shard.updates.is_empty()) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Sends requests to the shards, as far as they fit.
    fn send_requests(&self) -> bool {
        let (mut shards, mut hub) = (self.shards.borrow_mut(), self.hub.borrow_mut());
        let mut any = false;
        while let Some((place, request)) = hub.poll_request() {
            let shard = &mut shards[place];
            if let Err(back) = shard.requests.try_send(request) {
                shard.wake();
                hub.on_unsent(place, back);
                break;
            }
            any = true;
        }
        if any {
            shards.iter().for_each(ShardUpdates::wake);
        }
        any
    }

    /// Writes to clients with output; whether there were any.
    fn write_ready(&self, now: Now) -> bool {
        let (writers, clock) = (self.writers.borrow(), self.clock.borrow());
        let (mut hub, mut output) = (self.hub.borrow_mut(), self.output.borrow_mut());
        for done in 0..GATEWAY_CLIENTS_PER_TURN {
            let Some(id) = hub.poll_ready() else { return done > 0 };
            if let Some(Some(writer)) = writers.get(id.index()) {
                writer.write(id, &mut hub, &mut output, (&clock, now));
            }
        }
        true
    }

    fn connect(
        &self,
        endpoint: Endpoint,
        socket: Option<DirectSocket>,
    ) -> (ClientId, Rc<ClientWriter>) {
        let now = self.now();
        self.note_received(now);
        let id = self.hub.borrow_mut().connect(endpoint, now);
        // The time of a replay's client is not that of the clock, by which a direct write goes.
        let socket = socket.filter(|_| self.steering.is_none());
        let writer = Rc::new(ClientWriter::new(socket));
        writer.bell.ring();
        let mut writers = self.writers.borrow_mut();
        if writers.len() <= id.index() {
            writers.resize_with(id.index() + 1, || None);
        }
        writers[id.index()] = Some(Rc::clone(&writer));
        self.clients.set(self.clients.get() + 1);
        self.work.ring();
        self.follow.ring();
        (id, writer)
    }

    fn disconnect(&self, id: ClientId) {
        self.writers.borrow_mut()[id.index()] = None;
        self.clients.set(self.clients.get() - 1);
        let now = self.now();
        self.hub.borrow_mut().disconnect(id, now);
    }

    fn note_received(&self, now: Now) {
        if let Some(steering) = &self.steering {
            steering.received_ns.set(now.mono_ns);
        }
    }

    /// A text message of a client; `None`: a binary one.
    fn on_message(&self, id: ClientId, text: Option<&str>) {
        let now = self.now();
        self.note_received(now);
        let mut hub = self.hub.borrow_mut();
        match text {
            Some(text) => hub.on_text(id, text, now),
            None => hub.on_binary(id, now),
        }
        drop(hub);
        self.work.ring();
        self.follow.ring();
    }
}

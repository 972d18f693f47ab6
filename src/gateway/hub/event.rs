//! What one client is sent of an event of a book.
//!
//! Runs on:  serve core (pure). A frame that is the same for several clients is encoded once.
use super::client::{Client, Closing, Protocol};
use super::{ClientId, HubCounts};
use crate::base::price::{Price, Quantity};
use crate::base::time::Now;
use crate::gateway::outbox::{FrameClass, Pushed};
use crate::gateway::polymarket::encode as market;
use crate::gateway::stream::encode::{self as stream, Behind, EventHead};
use crate::gateway::stream::{Kind, tops::Top};
use crate::gateway::{Replica, StalePolicy, kalshi};
use crate::link::shard_updates::{LevelChange, SubscriptionKey, TradeUpdate};
use crate::market::book::BookState;
use crate::wire::websocket::server;
use std::collections::VecDeque;
use std::rc::Rc;

pub(super) fn frame(text: &str) -> Rc<[u8]> {
    server::frame(text)
}

/// What has happened to a replica, which has it already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
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
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Image { .. } => Kind::Snapshot,
            Self::State | Self::Closed => Kind::State,
            Self::Trade(_) => Kind::Trade,
            Self::TickSize { .. } => Kind::Tick,
            Self::Changes(_) => Kind::Change,
        }
    }

    /// Whether a read has caused it, so that its latency is known. An image or a state may come without one.
    pub(super) const fn is_read(self) -> bool {
        matches!(self, Self::Changes(_) | Self::Trade(_) | Self::TickSize { .. })
    }

    pub(super) const fn class(self, key: SubscriptionKey) -> FrameClass {
        match self {
            Self::Image { .. } => FrameClass::Image(key),
            Self::Changes(_) => FrameClass::Change(key),
            Self::State => FrameClass::State(key),
            Self::Closed | Self::Trade(_) | Self::TickSize { .. } => FrameClass::Other,
        }
    }
}

/// Where frames go.
pub(super) struct Queue<'a> {
    pub(super) ready: &'a mut VecDeque<ClientId>,
    pub(super) counts: &'a mut HubCounts,
    pub(super) now: Now,
    /// When the shard read what is sent, nanoseconds since the Unix epoch; 0 if no read caused it.
    pub(super) read_wall_ns: u64,
}

impl Queue<'_> {
    pub(super) fn push(
        &mut self,
        id: ClientId,
        client: &mut Client,
        frame: &Rc<[u8]>,
        class: FrameClass,
    ) -> Pushed {
        if client.closing.is_some() {
            return Pushed::LeftOut;
        }
        // Latencies are those of the clients of this host.
        let read_wall_ns = if client.bus.is_some() { 0 } else { self.read_wall_ns };
        let queued_ns = self.now.mono_ns;
        let pushed = client.outbox.push(Rc::clone(frame), class, queued_ns, read_wall_ns);
        self.counts.frames += u64::from(pushed == Pushed::Queued);
        self.announce(id, client);
        pushed
    }

    pub(super) fn announce(&mut self, id: ClientId, client: &mut Client) {
        if !std::mem::replace(&mut client.is_ready, true) {
            self.ready.push_back(id);
        }
    }
}

/// A frame that is encoded when the first client needs it.
#[derive(Default)]
pub(super) struct Lazy(Option<Rc<[u8]>>);

impl Lazy {
    pub(super) fn get(&mut self, text: &mut String, write: impl FnOnce(&mut String)) -> &Rc<[u8]> {
        self.0.get_or_insert_with(|| {
            text.clear();
            write(text);
            frame(text)
        })
    }
}

/// Queues best prices. If they are left out, they count as not sent, so that they follow when there is room.
pub(super) fn push_top(
    queue: &mut Queue<'_>,
    id: ClientId,
    client: &mut Client,
    frame: &Rc<[u8]>,
    key: SubscriptionKey,
) -> Pushed {
    let pushed = queue.push(id, client, frame, FrameClass::Image(key));
    if pushed != Pushed::Queued
        && let Protocol::Stream(_, tops) = &mut client.protocol
    {
        tops.remove(key);
    }
    pushed
}

/// The frame of an event in the stream.
pub(super) fn write_event(
    text: &mut String,
    replica: &Replica,
    event: Event<'_>,
    (sequence, outcome): (u64, Option<&str>),
) -> Rc<[u8]> {
    text.clear();
    let head = EventHead::from_replica(replica, sequence, outcome);
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

pub(super) const fn is_stale(replica: &Replica) -> bool {
    matches!(replica.state, BookState::Stale { .. })
}

/// An event of one book, for each of its clients.
pub(super) struct Context<'a> {
    pub(super) key: SubscriptionKey,
    pub(super) event: Event<'a>,
    pub(super) replica: &'a Replica,
    /// Name of the token's outcome, for the stream.
    pub(super) outcome: Option<&'a str>,
    /// The best levels of the live book differ from those before.
    pub(super) is_new_top: bool,
    pub(super) stale: StalePolicy,
}

impl Context<'_> {
    pub(super) fn to_market(
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
        match self.event {
            Event::Image { .. } => {
                let is_dumped = client.dump.as_ref().is_some_and(|dump| dump.keys.contains(&key));
                if is_dumped || !is_live {
                    return;
                }
                let frame = main.get(text, |text| market::book(text, replica));
                queue.push(id, client, frame, FrameClass::Image(key));
                client.books.insert(key, true);
            }
            Event::State | Event::Closed => {
                let had_image = client.takes_changes(key);
                if wants_state && (had_image || !is_live) {
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
                    // A market's ordinary end is no reason to end the connection.
                    StalePolicy::Close if !is_stale(replica) => {}
                    StalePolicy::Clear => {
                        let frame = main.get(text, |text| market::empty_book(text, replica));
                        queue.push(id, client, frame, FrameClass::Other);
                    }
                    StalePolicy::Close => {
                        client.closing.get_or_insert(Closing::STALE);
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
            Event::Changes(_) if self.is_new_top && custom && client.takes_changes(key) => {
                let timestamp_ms = replica.facts.timestamp_ms;
                let write = |text: &mut String| market::best_bid_ask(text, replica, timestamp_ms);
                queue.push(id, client, main.get(text, write), FrameClass::Change(key));
            }
            Event::Changes(_) => {}
        }
    }

    pub(super) fn to_stream(
        &self,
        id: ClientId,
        client: &mut Client,
        queue: &mut Queue<'_>,
        frame: Option<&Rc<[u8]>>,
        (text, shared, last_sequence): (&mut String, &mut Lazy, u64),
    ) {
        let Self { key, replica, event, outcome, .. } = *self;
        let had_image = client.takes_changes(key);
        if matches!(event, Event::Image { .. }) && client.gaps.remove(&key) {
            client.outbox.mark(key, true);
            return queue.announce(id, client);
        }
        let Protocol::Stream(session, tops) = &mut client.protocol else { return };
        let wants = session.kinds.contain(event.kind());
        let is_new_top = session.kinds.contain(Kind::Top)
            && !matches!(event, Event::Trade(_) | Event::TickSize { .. })
            && tops.on_top(key, Top::from_replica(replica), queue.now.mono_ns);
        let mut is_behind = false;
        if let Some(frame) = frame.filter(|_| wants)
            && (had_image || !matches!(event, Event::Changes(_)))
        {
            let pushed = queue.push(id, client, frame, event.class(key));
            is_behind |= pushed == Pushed::Marked;
            if pushed == Pushed::Lost {
                client.on_lost(key, &replica.token, event, frame);
            }
            if matches!(event, Event::Image { .. }) {
                client.books.insert(key, true);
            }
        }
        if is_new_top {
            let frame = shared.get(text, |text| {
                let head = EventHead::from_replica(replica, last_sequence, outcome);
                stream::top(text, &head, replica.book.best_bid(), replica.book.best_ask());
            });
            is_behind |= push_top(queue, id, client, frame, key) == Pushed::Marked;
        }
        if is_behind {
            let mut notice = String::new();
            let head = EventHead::from_replica(replica, last_sequence.saturating_sub(1), outcome);
            stream::behind(&mut notice, &head, Behind::SlowClient, queue.now.wall_ns);
            queue.push(id, client, &self::frame(&notice), FrameClass::Other);
        }
        if matches!(event, Event::Closed) {
            client.books.insert(key, false);
            client.outbox.unmark(key);
        }
    }

    pub(super) fn to_kalshi(
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
            // The image has shown it.
            Event::State if replica.state == BookState::Live => {}
            Event::State => {
                session.on_state(replica, bodies, frames);
                if self.stale == StalePolicy::Close && is_stale(replica) {
                    client.closing.get_or_insert(Closing::STALE);
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

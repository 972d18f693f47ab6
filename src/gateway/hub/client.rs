//! What the hub holds of one client.
//!
//! Runs on:  serve core (pure).
use super::bus::Follower;
use super::{ClientReport, Settings};
use crate::base::time::Now;
use crate::gateway::outbox::{Outbox, Overflow};
use crate::gateway::stream::tops::Tops;
use crate::gateway::{Endpoint, Request, StalePolicy, kalshi, polymarket, stream, tardis};
use crate::link::shard_updates::SubscriptionKey;
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    code: u16,
    reason: &'static str,
    /// Frames that wait for the client are not sent.
    drops_frames: bool,
}

impl Closing {
    const SLOW: Self =
        Self { code: 1013, reason: "the client reads too slowly", drops_frames: true };
    /// The same of a client of the tardis interface.
    const BACKPRESSURE: Self =
        Self { code: 1008, reason: "Too much backpressure", drops_frames: true };
    /// A book is stale, and the client's protocol cannot say so.
    pub(super) const STALE: Self = Self::behind_frames(1012, "a book is out of date");

    /// Closes the connection behind what waits for the client.
    pub(super) const fn behind_frames(code: u16, reason: &'static str) -> Self {
        Self { code, reason, drops_frames: false }
    }

    const fn output(self) -> Output {
        Output::Close(self.code, self.reason)
    }
}

/// What one client is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing, until the client is ready again.
    Nothing,
    /// Frames were appended.
    Frames,
    /// A close frame with this code and reason, then the end.
    Close(u16, &'static str),
}

#[derive(Debug)]
pub(super) enum Protocol {
    Market(polymarket::Session),
    Kalshi(Box<kalshi::Session>),
    Stream(stream::Session, Tops),
    Tardis(Box<tardis::Session>),
    Polypy(polymarket::polypy::Session),
}

impl Protocol {
    /// Whether the client has subscribed to all markets, of which none need have a book.
    pub(super) fn follows_markets(&self) -> bool {
        match self {
            Self::Kalshi(session) => session.follows_markets(),
            Self::Stream(session, _) => session.kinds.are_of_markets(),
            Self::Market(_) | Self::Tardis(_) | Self::Polypy(_) => false,
        }
    }
}

/// Books of which a client awaits the first image, all in one frame.
#[derive(Debug)]
pub(super) struct Dump {
    /// In the order of the request; holds books too that the client has left.
    pub(super) order: Vec<SubscriptionKey>,
    pub(super) keys: HashSet<SubscriptionKey, FixedState>,
    /// Those without an image.
    pub(super) missing: HashSet<SubscriptionKey, FixedState>,
    /// When it is sent with the books that are there, monotonic nanoseconds.
    pub(super) due_ns: u64,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) protocol: Protocol,
    pub(super) outbox: Outbox,
    /// Subscribed books, and whether the client has an image that its changes continue.
    pub(super) books: HashMap<SubscriptionKey, bool, FixedState>,
    pub(super) dump: Option<Dump>,
    /// Books that the client of the stream resumes, and that are not there yet.
    pub(super) gaps: HashSet<SubscriptionKey, FixedState>,
    pub(super) closing: Option<Closing>,
    /// It stands in the list of those with output.
    pub(super) is_ready: bool,
    /// The last message of which it has the frame.
    pub(super) message: u64,
    /// Updates wait for it.
    waits: bool,
    pub(super) bus: Option<Box<Follower>>,
}

impl Client {
    pub(super) fn new(endpoint: Endpoint, settings: Settings, out: &mut Vec<Request>) -> Self {
        let protocol = match endpoint {
            Endpoint::Market { wants_state } => {
                Protocol::Market(polymarket::Session::new(wants_state))
            }
            Endpoint::Kalshi => {
                let clear_stale = settings.stale == StalePolicy::Clear;
                let options = kalshi::Options { clear_stale };
                Protocol::Kalshi(Box::new(kalshi::Session::new(options)))
            }
            Endpoint::Stream(options) => {
                let session = stream::Session::new(&options, out);
                Protocol::Stream(session, Tops::new(options.interval_ns))
            }
            Endpoint::Tardis(options) => {
                let session = tardis::Session::new(options);
                session.subscribe(out);
                Protocol::Tardis(Box::new(session))
            }
            Endpoint::Polypy => Protocol::Polypy(polymarket::polypy::Session::default()),
        };
        Self {
            protocol,
            outbox: Outbox::new(settings.buffer_bytes),
            books: HashMap::default(),
            dump: None,
            gaps: HashSet::default(),
            closing: None,
            is_ready: false,
            message: 0,
            waits: settings.waits,
            bus: None,
        }
    }

    pub(super) fn on_text(&mut self, text: &str, out: &mut Vec<Request>) {
        match &mut self.protocol {
            Protocol::Market(session) => session.on_text(text, out),
            Protocol::Kalshi(session) => session.on_text(text, out),
            Protocol::Stream(session, _) => session.on_text(text, out),
            Protocol::Tardis(_) => {}
            Protocol::Polypy(session) => session.on_text(text, out),
        }
    }

    pub(super) fn report(&self) -> ClientReport {
        let counts = self.outbox.counts();
        ClientReport {
            protocol: match self.protocol {
                Protocol::Market(_) => "market",
                Protocol::Kalshi(_) => "kalshi",
                Protocol::Stream(..) if self.bus.is_some() => "bus",
                Protocol::Stream(..) => "stream",
                Protocol::Tardis(_) => "tardis",
                Protocol::Polypy(_) => "polypy",
            },
            books: self.books.len(),
            queued_bytes: self.outbox.bytes(),
            frames: counts.queued,
            conflated: counts.conflated,
        }
    }

    /// The client has left a book.
    pub(super) fn forget(&mut self, key: SubscriptionKey) {
        self.outbox.unmark(key);
        self.gaps.remove(&key);
        if let Protocol::Stream(_, tops) = &mut self.protocol {
            tops.remove(key);
        }
        if let Some(dump) = &mut self.dump {
            dump.keys.remove(&key);
            dump.missing.remove(&key);
        }
    }

    /// Whether a change of a book may be sent: the client has its image, and room.
    pub(super) fn takes_changes(&self, key: SubscriptionKey) -> bool {
        self.books.get(&key) == Some(&true)
    }

    const fn too_slow(&self) -> Closing {
        match self.protocol {
            Protocol::Tardis(_) => Closing::BACKPRESSURE,
            _ => Closing::SLOW,
        }
    }

    /// Closes the client if it takes too little; whether it did so now.
    pub(super) fn check_outbox(&mut self, now: Now) -> bool {
        let overflow = self.outbox.overflow(now.mono_ns);
        let is_slow = overflow.is_some_and(|why| !(self.waits && why == Overflow::Stalled));
        if self.closing.is_some() || !is_slow {
            return false;
        }
        self.closing = Some(self.too_slow());
        true
    }
}

impl super::Hub {
    /// Appends frames of a client to `into`, until it has at least `bytes` bytes.
    pub fn take_output(
        &mut self,
        id: super::ClientId,
        into: &mut Vec<u8>,
        bytes: usize,
        now: Now,
    ) -> Output {
        if let Some(client) = &mut self.clients[id.0 as usize] {
            client.send_held(now);
        }
        self.refill(id, now);
        let Some(client) = &mut self.clients[id.0 as usize] else { return Output::Nothing };
        if client.check_outbox(now) {
            self.counts.closed_slow += 1;
        }
        if let Some(closing) = client.closing.filter(|closing| closing.drops_frames) {
            return closing.output();
        }
        client.outbox.take(into, bytes);
        match client.closing {
            _ if !into.is_empty() => Output::Frames,
            Some(closing) => closing.output(),
            None => Output::Nothing,
        }
    }

    /// The client takes nothing: its connection ends.
    pub fn on_stalled(&mut self, id: super::ClientId) {
        let Some(client) = &mut self.clients[id.0 as usize] else { return };
        if client.closing.is_none() {
            client.closing = Some(client.too_slow());
            self.counts.closed_slow += 1;
        }
    }

    /// So many bytes of frames were sent to the client; `now` is after the write.
    pub fn on_sent(&mut self, id: super::ClientId, bytes: usize, now: Now) {
        if let Some(client) = &mut self.clients[id.0 as usize] {
            let latency = &mut self.latency;
            client.outbox.on_sent(bytes, now.mono_ns, |read_wall_ns| {
                if let Some(latency) = latency {
                    latency.saturating_record(now.wall_ns.saturating_sub(read_wall_ns).max(1));
                }
            });
        }
    }
}

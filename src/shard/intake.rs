//! One frame's way into the books: decode, apply, count, time. Live and replay alike.
//!
//! Runs on:  shard cores, replay (pure; the clock is an argument). Owns: decoder, books, counters.
//! Bounds:   two clock reads a message of a timed frame, see [`FrameSampler`]; market data is not formatted, logged or
//!           locked.
use super::books::{Books, ConnectionSlot};
use super::publish::Handler;
use crate::base::limits::{
    FRAMES_TIMED_EACH, FRAMES_TIMED_OF, UNRECOGNIZED_BYTES_MAX, UNRECOGNIZED_KINDS_MAX,
};
use crate::base::random::mix;
use crate::base::text::one_line;
use crate::base::time::{Clock, MILLISECOND_NS, Now};
use crate::counter::latency::{Latencies, Stage};
use crate::counter::shard::IntakeCounts;
use crate::market::book::StaleReason;
use crate::market::{event::Event, info::MarketUpdate};
use crate::venue::Verdict;
use crate::venue::{
    BadInput, DecodeNotice, Decoder, Envelope, Feed, MessageFault, Progress, Reply, Sink,
    SubscriptionProtocol, Unrecognized,
};
use std::mem::discriminant;

/// Selects the frames whose messages are timed: each one of an interval's first [`FRAMES_TIMED_EACH`], then one of
/// [`FRAMES_TIMED_OF`], which counts as so many. Percentiles are those of all frames.
#[derive(Debug)]
struct FrameSampler {
    /// Frames from here on that are all timed.
    each: u64,
    /// Frames after them until the next one that is timed.
    skipped: u64,
}

impl FrameSampler {
    /// How many frames the next one stands for; 0 if it is not timed. `frames` is its number.
    #[inline]
    fn next_weight(&mut self, frames: u64) -> u64 {
        if self.each > 0 {
            self.each -= 1;
            return 1;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return 0;
        }
        // A fixed distance would meet the period of a stream that repeats itself.
        self.skipped = mix(frames) % (2 * FRAMES_TIMED_OF - 1);
        FRAMES_TIMED_OF
    }
}

/// A frame or answer on its way into the books, at once or in parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameProgress {
    decoded: Progress,
    /// How many frames its times stand for, once its first part is read.
    weight: Option<u64>,
}

impl FrameProgress {
    /// Whether the frame is decoded to its end.
    pub fn is_done(&self) -> bool {
        self.decoded.is_done()
    }
}

/// What a frame held besides events.
#[derive(Debug, Default)]
pub struct Findings {
    /// There was market data.
    pub data: bool,
    /// The answer to a heartbeat.
    pub pong: bool,
    /// Decode errors in this frame.
    pub bad_count: u32,
    /// The first thing that could not be decoded.
    pub bad: Option<BadInput>,
    /// Market updates; rare.
    pub updates: Vec<MarketUpdate>,
    /// The first of each unrecognized kind, and of each error.
    pub unrecognized: Vec<Unrecognized>,
    /// Of the last message, if it was timed: read to books changed, nanoseconds.
    pub read_to_applied_ns: Option<u64>,
    /// Of the last message but snapshots: venue timestamp to read, nanoseconds.
    pub venue_to_read_ns: Option<u64>,
}

/// Decoder, books and counters of one shard.
#[derive(Debug)]
pub struct Intake<H, C> {
    /// The books.
    pub books: Books<H>,
    /// What was read.
    pub counts: IntakeCounts,
    /// How long it took.
    pub latencies: Box<Latencies>,
    /// The clock of the host, or one that stands still.
    pub clock: C,
    /// Whether messages are timed. False only in a benchmark of the timing itself.
    pub timed: bool,
    sampler: FrameSampler,
    decoder: Decoder,
    /// Kinds of unrecognized messages that were shown.
    shown: Vec<Unrecognized>,
}

impl<H: Handler, C: Clock> Intake<H, C> {
    /// Nothing read yet; the frames are this venue's.
    #[must_use]
    pub fn new(feed: Feed, books: Books<H>, clock: C) -> Self {
        Self {
            books,
            counts: IntakeCounts::default(),
            latencies: Box::default(),
            clock,
            timed: true,
            sampler: FrameSampler { each: FRAMES_TIMED_EACH, skipped: 0 },
            decoder: feed.decoder(),
            shown: Vec::new(),
        }
    }

    /// Times every frame from now on: for latencies of single connections or times.
    pub fn time_every_frame(&mut self) {
        self.sampler.each = u64::MAX;
    }

    /// An interval begins: its first frames are all timed.
    pub(crate) fn begin_interval(&mut self) {
        self.sampler.each = self.sampler.each.max(FRAMES_TIMED_EACH);
    }

    /// Applies one text frame that was read at `read` from `connection`.
    #[inline]
    pub fn on_frame(
        &mut self,
        frame: &str,
        connection: ConnectionSlot,
        read: Now,
        findings: &mut Findings,
    ) {
        let mut progress = FrameProgress::default();
        self.on_part(frame, &mut progress, usize::MAX, (connection, None), read, findings);
    }

    /// The payload of a text frame further on in the same read: has its books fetched.
    #[inline]
    pub fn announce(&mut self, frame: &[u8]) {
        if let Some(token) = self.decoder.first_token(frame) {
            self.books.announce(frame, token);
        }
    }

    /// Applies about `budget_bytes` of a frame; what `progress` covers was applied before. The protocol of the
    /// connection, where it has one, takes numbers and answers.
    pub fn on_part(
        &mut self,
        frame: &str,
        progress: &mut FrameProgress,
        budget_bytes: usize,
        (connection, protocol): (ConnectionSlot, Option<&mut Box<dyn SubscriptionProtocol>>),
        read: Now,
        findings: &mut Findings,
    ) {
        self.books.begin_frame(frame);
        let FrameProgress { decoded, weight } = progress;
        let weight = match *weight {
            Some(weight) => weight,
            None => *weight.insert(self.next_weight()),
        };
        let (decoder, mut delivery) = self.deliver((connection, protocol), weight, read, findings);
        let messages = decoder.decode_part(frame, decoded, budget_bytes, &mut delivery);
        let frame_ns = delivery.weight * delivery.done_ns.saturating_sub(read.mono_ns);
        self.counts.messages += u64::from(messages);
        if progress.is_done() {
            self.counts.frames += 1;
            self.counts.frame_ns += frame_ns;
        }
    }

    /// Takes a binary frame, `text` with what is no UTF-8 replaced. The venues send texts only: its meaning
    /// is not known, and the books that it may concern are stale.
    pub fn on_binary(
        &mut self,
        text: &str,
        (connection, protocol): (ConnectionSlot, Option<&mut Box<dyn SubscriptionProtocol>>),
        read: Now,
        findings: &mut Findings,
    ) {
        let (_, mut delivery) = self.deliver((connection, protocol), 0, read, findings);
        delivery.on_lost();
        delivery.books.on_damaged(text, connection, read.wall_ns);
        delivery.on_bad(BadInput { fault: Some(MessageFault::Binary), offset: 0 });
        self.counts.frames += 1;
        self.counts.binary_frames += 1;
    }

    /// How many frames the next one stands for.
    #[inline]
    fn next_weight(&mut self) -> u64 {
        if self.timed { self.sampler.next_weight(self.counts.frames) } else { 0 }
    }

    /// The decoder, and where it delivers what a frame holds; nothing is found in it yet.
    #[inline]
    fn deliver<'a>(
        &'a mut self,
        (connection, protocol): (ConnectionSlot, Option<&'a mut Box<dyn SubscriptionProtocol>>),
        weight: u64,
        read: Now,
        findings: &'a mut Findings,
    ) -> (&'a mut Decoder, Delivery<'a, H, C>) {
        findings.data = false;
        findings.pong = false;
        findings.bad_count = 0;
        findings.bad = None;
        findings.venue_to_read_ns = None;
        findings.read_to_applied_ns = None;
        let Self { books, counts, latencies, clock, timed, decoder, shown, .. } = self;
        let delivery = Delivery {
            books,
            counts,
            latencies,
            clock,
            timed: *timed,
            weight,
            connection,
            protocol,
            read,
            findings,
            shown,
            done_ns: read.mono_ns,
        };
        (decoder, delivery)
    }
}

impl<H: Handler, C> Intake<H, C> {
    /// Applies about `budget_bytes` of an answer of the venue's REST interface, a list of books; with the number of the
    /// newest question before the request.
    pub fn on_rest_part(
        &mut self,
        text: &str,
        progress: &mut FrameProgress,
        budget_bytes: usize,
        (question, read): (u32, Now),
    ) {
        let mut delivery = RestDelivery { books: &mut self.books, question, read, errors: 0 };
        self.decoder.decode_books_part(text, &mut progress.decoded, budget_bytes, &mut delivery);
        self.counts.decode_errors += delivery.errors;
    }
}

/// Books of the REST interface; anything else has no business there.
struct RestDelivery<'a, H> {
    books: &'a mut Books<H>,
    question: u32,
    read: Now,
    errors: u64,
}

impl<H: Handler> Sink for RestDelivery<'_, H> {
    fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Snapshot(snapshot) => {
                self.books.on_rest_book(snapshot, self.question, self.read);
            }
            _ => self.errors += 1,
        }
    }

    fn on_market_update(&mut self, _news: MarketUpdate) {
        self.errors += 1;
    }

    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        // A new key costs no book. Otherwise nothing was applied; the books that are missing are asked for again.
        self.errors += u64::from(!matches!(notice, DecodeNotice::UnknownKeys(_)));
    }
}

struct Delivery<'a, H, C> {
    books: &'a mut Books<H>,
    counts: &'a mut IntakeCounts,
    latencies: &'a mut Latencies,
    clock: &'a C,
    timed: bool,
    /// How many frames the times of this one stand for; 0: it is not timed.
    weight: u64,
    connection: ConnectionSlot,
    protocol: Option<&'a mut Box<dyn SubscriptionProtocol>>,
    read: Now,
    findings: &'a mut Findings,
    shown: &'a mut Vec<Unrecognized>,
    /// When the last message was done, monotonic.
    done_ns: u64,
}

impl<H: Handler, C: Clock> Sink for Delivery<'_, H, C> {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        let Some(protocol) = &mut self.protocol else { return true };
        match protocol.on_envelope(envelope) {
            Verdict::Next => true,
            Verdict::Duplicate => false,
            Verdict::Hole(_) => {
                // Before anything of this message is applied: no book is ever silently wrong.
                let (why, wall_ns) = (StaleReason::FramesLost, self.read.wall_ns);
                self.books.set_connection_stale(self.connection, why, wall_ns);
                true
            }
        }
    }

    fn on_lost(&mut self) {
        // In a replay all shards are called, though the frame came to one of them.
        if let Some(protocol) = &mut self.protocol
            && protocol.on_broken_frame()
        {
            let (why, wall_ns) = (StaleReason::UndecodedMessage, self.read.wall_ns);
            self.books.set_connection_stale(self.connection, why, wall_ns);
        }
    }

    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        if let Reply::Error { code, text, .. } = reply {
            self.show(Unrecognized::Error, &format!("{code}: {}", one_line(text)));
        }
        let now_ns = self.read.mono_ns;
        self.protocol.as_mut().is_none_or(|protocol| protocol.on_reply(reply, now_ns))
    }

    #[inline]
    fn on_event(&mut self, event: &Event<'_>) {
        self.findings.data = true;
        self.counts.events += 1;
        // A snapshot's timestamp is its book's last change, possibly days ago: not a delay.
        if self.timed && !matches!(event, Event::Snapshot(_)) {
            let venue_ns = event.timestamp_ms().saturating_mul(MILLISECOND_NS);
            self.findings.venue_to_read_ns = Some(self.read.wall_ns.saturating_sub(venue_ns));
        }
        if self.weight == 0 {
            return self.books.on_event(event, self.connection, self.read);
        }
        let decoded_ns = self.clock.mono_ns();
        self.books.on_event(event, self.connection, self.read);
        self.done_ns = self.clock.mono_ns();
        self.record(event, decoded_ns);
    }

    fn on_market_update(&mut self, update: MarketUpdate) {
        self.findings.data = true;
        self.findings.updates.push(update);
    }

    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        match *notice {
            DecodeNotice::Pong => self.findings.pong = true,
            DecodeNotice::UnknownText(text) => {
                self.counts.unknown_texts += 1;
                self.show(Unrecognized::Message, text);
            }
            DecodeNotice::UnknownEvent(name) => {
                self.counts.unknown_events += 1;
                self.show(Unrecognized::Message, name);
            }
            DecodeNotice::UnknownKeys(keys) => {
                self.counts.unknown_keys += 1;
                self.show(Unrecognized::Keys, keys);
            }
            DecodeNotice::BadFrame { offset, frame } => {
                self.books.on_damaged(frame, self.connection, self.read.wall_ns);
                self.on_bad(BadInput { fault: None, offset });
            }
            DecodeNotice::BadMessage { fault, offset, market, token, text } => {
                match text {
                    "" => self.books.on_undecoded(market, token, self.read.wall_ns),
                    text => self.books.on_damaged(text, self.connection, self.read.wall_ns),
                }
                self.on_bad(BadInput { fault: Some(fault), offset });
            }
        }
    }
}

impl<H, C> Delivery<'_, H, C> {
    /// Records the times of a message.
    fn record(&mut self, event: &Event<'_>, decoded_ns: u64) {
        let (read_ns, applied_ns, weight) = (self.read.mono_ns, self.done_ns, self.weight);
        let mut record = |stage, ns| self.latencies.record_n(stage, ns, weight);
        let is_snapshot = matches!(event, Event::Snapshot(_));
        if let (Some(ns), false) = (self.findings.venue_to_read_ns, is_snapshot) {
            record(Stage::VenueToRead, ns);
        }
        let read_to_applied_ns = applied_ns.saturating_sub(read_ns);
        record(Stage::ReadToApplied, read_to_applied_ns);
        record(Stage::ReadToDecoded, decoded_ns.saturating_sub(read_ns));
        record(Stage::DecodedToApplied, applied_ns.saturating_sub(decoded_ns));
        self.findings.read_to_applied_ns = Some(read_to_applied_ns);
    }

    /// Shows the first of each kind; of kinds without number, some.
    fn show(&mut self, what: fn(String) -> Unrecognized, kind: &str) {
        if self.shown.len() >= UNRECOGNIZED_KINDS_MAX {
            return;
        }
        let kind = &kind[..kind.floor_char_boundary(UNRECOGNIZED_BYTES_MAX)];
        // An empty text costs no memory: only the first of a kind is copied.
        let variant = discriminant(&what(String::new()));
        let is_known = |shown: &Unrecognized| {
            let (Unrecognized::Message(text)
            | Unrecognized::Keys(text)
            | Unrecognized::Error(text)) = shown;
            discriminant(shown) == variant && text == kind
        };
        if !self.shown.iter().any(is_known) {
            let shown = what(kind.to_owned());
            self.shown.push(shown.clone());
            self.findings.unrecognized.push(shown);
        }
    }

    fn on_bad(&mut self, bad: BadInput) {
        self.counts.decode_errors += 1;
        self.findings.bad_count += 1;
        self.findings.bad.get_or_insert(bad);
    }
}

#[cfg(test)]
mod tests;

//! Numbered messages: which are missing, which came twice, and whose book a frame is about.
//!
//! Runs on:  the replay's reader (pure). Owns: the counters of every connection.
//! Bounds:   `REPLAY_CONNECTIONS_MAX` connections; twice `REPEATS_KNOWN` fingerprints a subscription, and
//!           `HELD_BYTES_MAX` of frames that are held back.
//!
//! A live shard sees all frames of its connections; here they are spread over shards by market, so they are counted
//! before.
//!
//! An engine's capture says where each session begins and ends. Other recordings may not: there a session begins
//! anew when a subscription is acknowledged that was known, when its number is 1 again, or when a number comes back
//! with another message than it had. The books of the session before are stale from there on.
//!
//! The very message that number 1 had is either the first of a session, whose market was quiet, or a late repetition.
//! It is held back, and what continues from 2 with it, until a message tells: one that the session before does not
//! have begins a session anew, one that continues the session before makes a repetition of what was held. Where
//! nothing tells, the books of the connection are stale.
use super::batch::Place;
use crate::base::{
    id::ShardId,
    limits::{REPLAY_CONNECTIONS_MAX, SIDS_PER_CONNECTION_MAX},
    routing::shard_of,
};
use crate::shard::books::ConnectionSlot;
use crate::venue::{BookContent, Decoder, Feed, Outline, Sequences, SubscriptionChange, Verdict};

/// Messages of a subscription that are known again when they are repeated.
const REPEATS_KNOWN: usize = 1024;
/// Bytes of all frames that are held back.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a channel's name that are compared.
const CHANNEL_BYTES: usize = 32;

/// What is known of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The place that books hang on: one for each subscription.
    pub(super) slot: ConnectionSlot,
    pub(super) verdict: Verdict,
    /// Whose book it is about; the first shard where it is about none.
    pub(super) shard: ShardId,
    /// It is no JSON: its number is lost too.
    pub(super) broken: bool,
    /// Places whose books follow no more, from before the frame on.
    pub(super) over: Vec<ConnectionSlot>,
    /// A session began anew.
    pub(super) restarted: bool,
    /// It is held back: nothing is to be done with it now.
    pub(super) held: bool,
    /// What was held back and is to be applied before it.
    pub(super) released: Vec<Held>,
    /// What was held back and had been there.
    pub(super) repeated: Vec<Held>,
}

/// A frame that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The place of its connection; once it is released, that of its subscription.
    pub(super) slot: ConnectionSlot,
    pub(super) frame: String,
    pub(super) shard: ShardId,
    pub(super) receive_ns: u64,
    pub(super) place: Place,
    sid: u64,
    seq: u64,
    print: u64,
}

impl Found {
    /// Every book of the connection follows no more; those of messages without numbers hang on its own place.
    fn end_all(&mut self, connection: &mut Connection) {
        self.over.extend(connection.restart());
        self.over.push(self.slot);
    }

    fn restart(&mut self, connection: &mut Connection) {
        self.restarted = true;
        self.end_all(connection);
    }
}

/// One subscription of a recording that no engine made.
#[derive(Debug)]
struct Subscription {
    sid: u64,
    /// The place of its books, once it has any.
    place: Option<ConnectionSlot>,
    /// Its channel, where it was acknowledged.
    channel: Option<String>,
    /// The last number; 0 before the first.
    last: u64,
    /// Fingerprints of the last messages, each at its number modulo the length.
    prints: Vec<u64>,
    /// Those of the first, number 1 in front.
    firsts: Vec<u64>,
    /// A session may have begun anew: its next number.
    again: Option<u64>,
    /// A snapshot came of it.
    has_books: bool,
    /// Known only for what comes late, or twice.
    ended: bool,
}

impl Subscription {
    const fn new(sid: u64) -> Self {
        Self {
            sid,
            place: None,
            channel: None,
            last: 0,
            prints: Vec::new(),
            firsts: Vec::new(),
            again: None,
            has_books: false,
            ended: false,
        }
    }

    /// Whether the number came with this very message before.
    fn has(&self, seq: u64, print: u64) -> bool {
        self.prints.get(seq as usize % REPEATS_KNOWN) == Some(&print) || self.began(seq, print)
    }

    /// The same of the first numbers.
    fn began(&self, seq: u64, print: u64) -> bool {
        let first = seq.checked_sub(1).and_then(|at| self.firsts.get(at as usize));
        first == Some(&print)
    }

    fn take(&mut self, seq: u64, print: u64) {
        let at = seq as usize % REPEATS_KNOWN;
        if self.prints.len() <= at {
            self.prints.resize(at + 1, 0);
        }
        (self.prints[at], self.last, self.ended) = (print, seq, false);
        if self.firsts.len() as u64 + 1 == seq && self.firsts.len() < REPEATS_KNOWN {
            self.firsts.push(print);
        }
    }
}

/// One connection's counters, and the places of its subscriptions.
#[derive(Debug, Default)]
struct Connection {
    /// In an engine's capture.
    sequences: Sequences,
    /// The subscription that was acknowledged last, there.
    acknowledged: Option<u64>,
    /// In other recordings.
    subscriptions: Vec<Subscription>,
}

impl Connection {
    fn places(&self) -> impl Iterator<Item = ConnectionSlot> {
        self.subscriptions.iter().filter_map(|subscription| subscription.place)
    }

    /// Whether a frame changes a book in the name of a subscription of which no snapshot came, while snapshots came
    /// of another: the change may belong to that one (kalshi/protocol.md, 2.7: a connection has one subscription of
    /// books).
    fn is_foreign(&self, outline: &Outline<'_>) -> bool {
        let Some((sid, _)) = outline.sequence else { return false };
        let mut of_books = self.subscriptions.iter().filter(|s| s.has_books);
        outline.content == BookContent::Change
            && of_books.clone().all(|s| s.sid != sid)
            && of_books.any(|s| !s.ended)
    }

    /// Forgets the session; gives the places of its books.
    fn restart(&mut self) -> Vec<ConnectionSlot> {
        self.sequences.reset();
        self.acknowledged = None;
        let places = self.places().collect();
        self.subscriptions.clear();
        places
    }

    fn end(&mut self, sid: u64) -> Option<ConnectionSlot> {
        let ended = self.subscriptions.iter_mut().find(|s| s.sid == sid)?;
        (ended.ended, ended.channel) = (true, None);
        ended.place.take()
    }

    fn known(&mut self, sid: u64) -> &mut Subscription {
        let found = self.subscriptions.iter().position(|s| s.sid == sid);
        let at = found.unwrap_or_else(|| {
            if self.subscriptions.len() >= SIDS_PER_CONNECTION_MAX
                && let Some(ended) = self.subscriptions.iter().position(|s| s.ended)
            {
                self.subscriptions.remove(ended);
            }
            if self.subscriptions.len() < SIDS_PER_CONNECTION_MAX {
                self.subscriptions.push(Subscription::new(sid));
            }
            // Beyond the bound the last one stands for the rest: its numbers break, its books are stale.
            self.subscriptions.len() - 1
        });
        &mut self.subscriptions[at]
    }
}

/// The counters of every connection.
#[derive(Debug)]
pub(super) struct Numbers {
    decoder: Decoder,
    connections: Vec<Connection>,
    /// Places given to subscriptions so far.
    places: u32,
    held: Vec<Held>,
}

impl Numbers {
    /// Counters, where the venue numbers its messages.
    pub(super) fn of(feed: Feed) -> Option<Self> {
        let none =
            || Self { decoder: feed.decoder(), connections: Vec::new(), places: 0, held: vec![] };
        feed.capabilities().is_sequenced().then(none)
    }

    /// Nothing will tell what the frames are that are held back. Gives them, and the places of the books that may have
    /// missed something.
    pub(super) fn give_up(&mut self) -> (Vec<Held>, Vec<ConnectionSlot>) {
        let mut places = Vec::new();
        let mut all = Vec::new();
        while let Some(slot) = self.held.first().map(|held| held.slot) {
            let connection = &mut self.connections[slot.0 as usize];
            all.extend(take_held(&mut self.held, slot, None));
            connection.subscriptions.iter_mut().for_each(|s| s.again = None);
            places.extend(connection.places().chain([slot]));
        }
        (all, places)
    }

    /// Whether anything is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// A connection begins or ends: its subscriptions are over. Gives the places of their books.
    pub(super) fn begin(&mut self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        self.connections.get_mut(slot.0 as usize).map(Connection::restart).unwrap_or_default()
    }

    /// The places of a connection's books.
    pub(super) fn places(&self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        let connection = self.connections.get(slot.0 as usize);
        connection.map(|c| c.places().collect()).unwrap_or_default()
    }

    /// Takes the number of a frame. In the capture of an engine (`whole`) books hang on connections, as they did
    /// there, and otherwise on subscriptions: a hole in one says nothing of another.
    pub(super) fn look(
        &mut self,
        frame: &str,
        slot: ConnectionSlot,
        whole: bool,
        shards: u16,
        (receive_ns, at): (u64, Place),
    ) -> Found {
        let outline = self.decoder.outline(frame);
        let place = slot.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, Connection::default);
        }
        let connection = &mut self.connections[place];
        let shard = outline.market.map_or(ShardId(0), |market| shard_of(market.as_bytes(), shards));
        let mut found = Found {
            slot,
            verdict: Verdict::Next,
            shard,
            broken: outline.broken || (!whole && connection.is_foreign(&outline)),
            over: Vec::new(),
            restarted: false,
            held: false,
            released: Vec::new(),
            repeated: Vec::new(),
        };
        if whole {
            if let Some((sid, seq)) = outline.sequence {
                found.verdict = connection.sequences.take((sid, seq), outline.content, true);
            }
            look_engines(connection, outline.subscription, &mut found);
            return found;
        }
        look_subscription(connection, outline.subscription, &mut found);
        if !found.over.is_empty() || found.broken {
            // Nothing continues any more from what is held back.
            found.repeated = take_held(&mut self.held, slot, None);
            if !found.repeated.is_empty() {
                connection.subscriptions.iter_mut().for_each(|s| s.again = None);
                found.over.extend(connection.places().chain([slot]));
            }
        }
        if let Some((sid, seq)) = outline.sequence {
            let print = fingerprint(frame);
            let held =
                Held { slot, frame: String::new(), shard, receive_ns, place: at, sid, seq, print };
            self.take_number(frame, held, &mut found);
        }
        let connection = &mut self.connections[place];
        if let Some((sid, _)) = outline.sequence
            && outline.content == BookContent::Snapshot
        {
            connection.known(sid).has_books = true;
        }
        // After its number was taken: what comes under the number next is another subscription.
        if let Some(
            SubscriptionChange::Failed { sid: Some(sid), .. } | SubscriptionChange::Ended { sid },
        ) = outline.subscription
        {
            found.over.extend(connection.end(sid));
        }
        found
    }

    /// Takes the number of a frame; finds the place of its books, and what is to be done with what is held back.
    fn take_number(&mut self, frame: &str, mut this: Held, found: &mut Found) {
        let Held { slot, sid, seq, print, .. } = this;
        let connection = &mut self.connections[slot.0 as usize];
        match look_number(connection, (sid, seq), print, found) {
            Number::Taken => {}
            Number::Held => {
                this.frame = frame.to_owned();
                self.held.push(this);
                found.held = true;
                if self.held.iter().map(|held| held.frame.len()).sum::<usize>() > HELD_BYTES_MAX {
                    found.repeated = take_held(&mut self.held, slot, None);
                    found.end_all(connection);
                }
                return;
            }
            Number::Repeats => found.repeated = take_held(&mut self.held, slot, Some(sid)),
        }
        let mut place_of = |subscription: &mut Subscription| {
            *subscription.place.get_or_insert_with(|| {
                // Beyond the places of connections, which end at `REPLAY_CONNECTIONS_MAX`.
                self.places += 1;
                ConnectionSlot(REPLAY_CONNECTIONS_MAX + self.places)
            })
        };
        if found.restarted {
            found.released = take_held(&mut self.held, slot, None);
            for held in &mut found.released {
                let subscription = connection.known(held.sid);
                if held.sid != sid {
                    subscription.take(held.seq, held.print);
                }
                held.slot = place_of(subscription);
            }
        }
        let subscription = connection.known(sid);
        if found.verdict != Verdict::Duplicate {
            found.slot = place_of(subscription);
        } else if let Some(place) = subscription.place {
            found.slot = place;
        }
    }
}

/// What a message of an engine's capture says of its subscription: what the live shard made of it.
fn look_engines(
    connection: &mut Connection,
    change: Option<SubscriptionChange<'_>>,
    found: &mut Found,
) {
    match change {
        Some(SubscriptionChange::Begun { sid, .. }) => {
            connection.acknowledged = Some(sid);
            connection.sequences.begin(sid);
        }
        Some(SubscriptionChange::Failed { sid, known: true })
            if sid.is_none() || sid == connection.acknowledged =>
        {
            found.over.push(found.slot);
        }
        _ => {}
    }
}

fn look_subscription(
    connection: &mut Connection,
    change: Option<SubscriptionChange<'_>>,
    found: &mut Found,
) {
    match change {
        Some(SubscriptionChange::Begun { channel, sid }) => {
            let channel = &channel[..channel.floor_char_boundary(CHANNEL_BYTES)];
            let is_same = |s: &&Subscription| s.channel.as_deref() == Some(channel);
            // One that ended may have its number taken by another.
            connection.subscriptions.retain(|s| s.sid != sid || !s.ended);
            if connection.subscriptions.iter().any(|s| s.sid == sid) {
                found.restart(connection);
            } else if let Some(before) = connection.subscriptions.iter().find(is_same)
                && !channel.is_empty()
            {
                // A connection has one subscription of a channel (kalshi/protocol.md, 2.7).
                let before = before.sid;
                found.over.extend(connection.end(before));
            }
            connection.known(sid).channel = Some(channel.to_owned());
        }
        Some(SubscriptionChange::Failed { sid: None, .. }) => found.end_all(connection),
        Some(SubscriptionChange::Failed { .. } | SubscriptionChange::Ended { .. }) | None => {}
    }
}

/// Takes what is held back of a connection, or of one of its subscriptions.
fn take_held(held: &mut Vec<Held>, slot: ConnectionSlot, sid: Option<u64>) -> Vec<Held> {
    if held.is_empty() {
        return Vec::new();
    }
    let is_wanted = |held: &Held| held.slot == slot && sid.is_none_or(|sid| held.sid == sid);
    let (taken, left) = std::mem::take(held).into_iter().partition(is_wanted);
    *held = left;
    taken
}

/// What becomes of a number, beside its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Taken,
    /// It is held back.
    Held,
    /// What was held back of its subscription had been there.
    Repeats,
}

fn look_number(
    connection: &mut Connection,
    (sid, seq): (u64, u64),
    print: u64,
    found: &mut Found,
) -> Number {
    let subscription = connection.known(sid);
    let (last, again) = (subscription.last, subscription.again);
    let repeats = last > 0 && seq <= last && subscription.has(seq, print);
    let mut number = Number::Taken;
    found.verdict = match seq {
        // The first of a recording, whose beginning may be missing, or of a session.
        _ if last == 0 => Verdict::Next,
        _ if again == Some(seq) && !(repeats && seq <= REPEATS_KNOWN as u64) => {
            // A session has begun anew, with the messages that are held back.
            let firsts = std::mem::take(&mut subscription.firsts);
            found.restart(connection);
            let subscription = connection.known(sid);
            for (print, seq) in firsts.into_iter().zip(1..seq) {
                subscription.take(seq, print);
            }
            Verdict::Next
        }
        _ if seq > last => {
            if again.is_some() {
                number = Number::Repeats;
            }
            match seq - last - 1 {
                0 => Verdict::Next,
                missing => Verdict::Hole(missing),
            }
        }
        1 if last > 1 && again.is_none() && repeats => {
            subscription.again = Some(2);
            return Number::Held;
        }
        _ if again == Some(seq) && subscription.began(seq, print) => {
            subscription.again = Some(seq + 1);
            return Number::Held;
        }
        _ if repeats => {
            found.verdict = Verdict::Duplicate;
            return Number::Taken;
        }
        _ => {
            if again.is_some() {
                // It continues neither.
                number = Number::Repeats;
            }
            found.restart(connection);
            Verdict::Next
        }
    };
    let subscription = connection.known(sid);
    subscription.again = None;
    subscription.take(seq, print);
    number
}

/// Sixty-four bits of a frame, eight bytes at a time; never 0.
fn fingerprint(frame: &str) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunks = frame.as_bytes().chunks_exact(8);
    let mut print = frame.len() as u64;
    let mut mix = |word: u64| print = (print.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    for chunk in &mut chunks {
        mix(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    }
    chunks.remainder().iter().for_each(|&byte| mix(u64::from(byte)));
    print | 1
}

#[cfg(test)]
mod tests;

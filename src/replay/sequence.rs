//! Sequence numbers: gaps, duplicates, restarts of sessions, and the shard of each frame.
//!
//! Runs on:  the replay's reader (pure). Owns: the counters of every connection.
//! Bounds:   `REPLAY_CONNECTIONS_MAX` connections; twice `REPEATS_KNOWN` fingerprints per subscription;
//!           `HELD_BYTES_MAX` bytes of held frames.
//!
//! A live shard receives every frame of its connections. Here frames are distributed by market, so their numbers are
//! checked before.
//!
//! The capture of an engine records where sessions begin and end. In other recordings a session restarts when a known
//! subscription is acknowledged again, when its number is 1 again, or when a number returns with a different message.
//! Books of the previous session are stale from there.
//!
//! A message identical to message 1 is either the first of a new session or a late duplicate. It is held, and so are
//! the messages that follow from 2, until one of them decides: a message that the previous session does not have
//! restarts the session; a message that continues the previous session makes the held ones duplicates. If nothing
//! decides, the books of the connection are stale.
use super::batch::Origin;
use crate::base::{
    id::ShardId,
    limits::{REPLAY_CONNECTIONS_MAX, SIDS_PER_CONNECTION_MAX},
    routing::shard_of,
};
use crate::shard::books::ConnectionSlot;
use crate::venue::{BookContent, Decoder, Feed, Outline, Sequences, SubscriptionChange, Verdict};

/// Fingerprints stored per subscription to recognise duplicates.
const REPEATS_KNOWN: usize = 1024;
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a channel name that are stored.
const CHANNEL_BYTES: usize = 32;

/// Classification of a frame by its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameInfo {
    /// The slot of its books: one per subscription.
    pub(super) slot: ConnectionSlot,
    pub(super) verdict: Verdict,
    /// The shard of its book; shard 0 if it is about no book.
    pub(super) shard: ShardId,
    /// The frame is not valid JSON, so its number is unknown.
    pub(super) broken: bool,
    /// Slots whose books are stale from before this frame.
    pub(super) stale_slots: Vec<ConnectionSlot>,
    /// A session restarted.
    pub(super) restarted: bool,
    /// The frame is held: do not apply it now.
    pub(super) held: bool,
    /// Held frames to apply before it.
    pub(super) released: Vec<Held>,
    pub(super) repeated: Vec<Held>,
}

/// A held frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// On the slot of its connection; once released, of its subscription.
    pub(super) origin: Origin,
    pub(super) frame: String,
    pub(super) shard: ShardId,
    sid: u64,
    seq: u64,
    fingerprint: u64,
}

impl FrameInfo {
    /// Marks every book of the connection stale, including those of messages without a subscription.
    fn end_all(&mut self, connection: &mut Connection) {
        self.stale_slots.extend(connection.restart());
        self.stale_slots.push(self.slot);
    }

    fn restart(&mut self, connection: &mut Connection) {
        self.restarted = true;
        self.end_all(connection);
    }
}

/// One subscription of a recording that no engine captured.
#[derive(Debug)]
struct Subscription {
    sid: u64,
    /// The slot of its books, once it has any.
    slot: Option<ConnectionSlot>,
    /// Its channel, if acknowledged.
    channel: Option<String>,
    /// The last number; 0 before the first.
    last: u64,
    /// Fingerprints of the last messages, at index number modulo length.
    fingerprints: Vec<u64>,
    /// Fingerprints of the first messages, from number 1.
    first_fingerprints: Vec<u64>,
    /// Next number of a possible restart.
    restart_next: Option<u64>,
    /// A snapshot was received on it.
    has_books: bool,
    /// Ended; stored to recognise late duplicates.
    ended: bool,
}

impl Subscription {
    const fn new(sid: u64) -> Self {
        Self {
            sid,
            slot: None,
            channel: None,
            last: 0,
            fingerprints: Vec::new(),
            first_fingerprints: Vec::new(),
            restart_next: None,
            has_books: false,
            ended: false,
        }
    }

    /// Whether this message was received with this number.
    fn has(&self, seq: u64, fingerprint: u64) -> bool {
        self.fingerprints.get(seq as usize % REPEATS_KNOWN) == Some(&fingerprint)
            || self.has_first(seq, fingerprint)
    }

    /// Whether the first messages contain this message with this number.
    fn has_first(&self, seq: u64, fingerprint: u64) -> bool {
        let first = seq.checked_sub(1).and_then(|at| self.first_fingerprints.get(at as usize));
        first == Some(&fingerprint)
    }

    fn take(&mut self, seq: u64, fingerprint: u64) {
        let at = seq as usize % REPEATS_KNOWN;
        if self.fingerprints.len() <= at {
            self.fingerprints.resize(at + 1, 0);
        }
        (self.fingerprints[at], self.last, self.ended) = (fingerprint, seq, false);
        if self.first_fingerprints.len() as u64 + 1 == seq
            && self.first_fingerprints.len() < REPEATS_KNOWN
        {
            self.first_fingerprints.push(fingerprint);
        }
    }
}

/// Counters of one connection and the slots of its subscriptions.
#[derive(Debug, Default)]
struct Connection {
    /// For an engine's capture.
    sequences: Sequences,
    /// The last acknowledged subscription of an engine's capture.
    acknowledged: Option<u64>,
    /// For other recordings.
    subscriptions: Vec<Subscription>,
    /// A snapshot came without a number: which changes come after it is not known.
    has_unnumbered_books: bool,
}

impl Connection {
    fn slots(&self) -> impl Iterator<Item = ConnectionSlot> {
        self.subscriptions.iter().filter_map(|subscription| subscription.slot)
    }

    /// True for a change on a subscription without snapshots while another subscription has some: the change may
    /// belong to that one (kalshi/protocol.md, 2.7: a connection has one subscription of
    /// books). True, too, for the first change after a snapshot without a number.
    fn may_be_of_other(&mut self, outline: &Outline<'_>) -> bool {
        let Some((sid, _)) = outline.sequence else {
            self.has_unnumbered_books |= outline.content == BookContent::Snapshot;
            return false;
        };
        if outline.content == BookContent::Change && std::mem::take(&mut self.has_unnumbered_books)
        {
            return true;
        }
        let mut of_books = self.subscriptions.iter().filter(|s| s.has_books);
        outline.content == BookContent::Change
            && of_books.clone().all(|s| s.sid != sid)
            && of_books.any(|s| !s.ended)
    }

    /// Drops the session; returns the slots of its books.
    fn restart(&mut self) -> Vec<ConnectionSlot> {
        self.sequences.reset();
        self.acknowledged = None;
        let slots = self.slots().collect();
        self.subscriptions.clear();
        self.has_unnumbered_books = false;
        slots
    }

    fn end(&mut self, sid: u64) -> Option<ConnectionSlot> {
        let ended = self.subscriptions.iter_mut().find(|s| s.sid == sid)?;
        (ended.ended, ended.channel) = (true, None);
        ended.slot.take()
    }

    fn known(&mut self, sid: u64) -> &mut Subscription {
        let info = self.subscriptions.iter().position(|s| s.sid == sid);
        let at = info.unwrap_or_else(|| {
            if self.subscriptions.len() >= SIDS_PER_CONNECTION_MAX
                && let Some(ended) = self.subscriptions.iter().position(|s| s.ended)
            {
                self.subscriptions.remove(ended);
            }
            if self.subscriptions.len() < SIDS_PER_CONNECTION_MAX {
                self.subscriptions.push(Subscription::new(sid));
            }
            // Beyond the bound the last subscription stands for the others: its numbers have gaps, its books are stale.
            self.subscriptions.len() - 1
        });
        &mut self.subscriptions[at]
    }
}

/// The counters of all connections.
#[derive(Debug)]
pub(super) struct SequenceTracker {
    decoder: Decoder,
    connections: Vec<Connection>,
    /// Slots assigned to subscriptions so far.
    slots_used: u32,
    held: Vec<Held>,
    /// The numbers of a merged capture have gaps: whoever merged has judged them.
    is_merged: bool,
}

impl SequenceTracker {
    /// Counters, if the venue numbers its messages.
    pub(super) fn of(feed: Feed) -> Option<Self> {
        let none = || Self {
            decoder: feed.decoder(),
            connections: Vec::new(),
            slots_used: 0,
            held: vec![],
            is_merged: false,
        };
        feed.capabilities().is_sequenced().then(none)
    }

    /// Ends the wait for a decision about the held frames. Returns them, and the slots of the books that may have
    /// missed a message.
    pub(super) fn discard_held(&mut self) -> (Vec<Held>, Vec<ConnectionSlot>) {
        let mut slots = Vec::new();
        let mut all = Vec::new();
        while let Some(slot) = self.held.first().map(|held| held.origin.slot) {
            let connection = &mut self.connections[slot.0 as usize];
            all.extend(take_held(&mut self.held, slot, None));
            connection.subscriptions.iter_mut().for_each(|s| s.restart_next = None);
            slots.extend(connection.slots().chain([slot]));
        }
        (all, slots)
    }

    /// Whether the records that follow are those of a merged capture.
    pub(super) const fn set_merged(&mut self, is_merged: bool) {
        self.is_merged = is_merged;
    }

    /// Whether a frame is held.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// A connection begins or ends: drops its subscriptions and returns the slots of their books.
    pub(super) fn begin(&mut self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        self.connections.get_mut(slot.0 as usize).map(Connection::restart).unwrap_or_default()
    }

    /// Continues the numbers of a connection of an engine behind an image, unless they are known.
    pub(super) fn resume(&mut self, slot: ConnectionSlot, position: (u64, u64)) {
        let index = slot.0 as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, Connection::default);
        }
        let connection = &mut self.connections[index];
        if connection.sequences.position().is_none() {
            connection.sequences.resume(position);
            connection.acknowledged = Some(position.0);
        }
    }

    /// The slots of a connection's books.
    pub(super) fn slots(&self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        let connection = self.connections.get(slot.0 as usize);
        connection.map(|c| c.slots().collect()).unwrap_or_default()
    }

    /// Classifies a frame by its number. In an engine's capture (`is_engine_capture`) books belong to connections,
    /// otherwise to subscriptions, whose gaps are independent of each other.
    pub(super) fn classify(
        &mut self,
        frame: &str,
        origin: Origin,
        is_engine_capture: bool,
        shards: u16,
    ) -> FrameInfo {
        let slot = origin.slot;
        let outline = self.decoder.outline(frame);
        let index = slot.0 as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, Connection::default);
        }
        let connection = &mut self.connections[index];
        let shard = outline.market.map_or(ShardId(0), |market| shard_of(market.as_bytes(), shards));
        let mut info = FrameInfo {
            slot,
            verdict: Verdict::Next,
            shard,
            broken: outline.broken || (!is_engine_capture && connection.may_be_of_other(&outline)),
            stale_slots: Vec::new(),
            restarted: false,
            held: false,
            released: Vec::new(),
            repeated: Vec::new(),
        };
        if is_engine_capture {
            if let Some((sid, seq)) = outline.sequence.filter(|_| !self.is_merged) {
                info.verdict = connection.sequences.take((sid, seq), outline.content, true);
            }
            on_engine_change(connection, outline.subscription, &mut info);
            return info;
        }
        on_subscription_change(connection, outline.subscription, &mut info);
        if !info.stale_slots.is_empty() || info.broken {
            // Nothing can continue the held frames.
            info.repeated = take_held(&mut self.held, slot, None);
            if !info.repeated.is_empty() {
                connection.subscriptions.iter_mut().for_each(|s| s.restart_next = None);
                info.stale_slots.extend(connection.slots().chain([slot]));
            }
        }
        if let Some((sid, seq)) = outline.sequence {
            let fingerprint = fingerprint(frame);
            let held = Held { origin, frame: String::new(), shard, sid, seq, fingerprint };
            self.take_number(frame, held, &mut info);
        }
        let connection = &mut self.connections[index];
        if let Some((sid, _)) = outline.sequence
            && outline.content == BookContent::Snapshot
        {
            connection.known(sid).has_books = true;
        }
        // After the number was taken: a later message with this number belongs to another subscription.
        if let Some(
            SubscriptionChange::Failed { sid: Some(sid), .. } | SubscriptionChange::Ended { sid },
        ) = outline.subscription
        {
            info.stale_slots.extend(connection.end(sid));
        }
        info
    }

    /// Takes the number of a frame; finds the slot of its books and decides about held frames.
    fn take_number(&mut self, frame: &str, mut this: Held, info: &mut FrameInfo) {
        let Held { sid, seq, fingerprint, .. } = this;
        let slot = this.origin.slot;
        let connection = &mut self.connections[slot.0 as usize];
        match classify_number(connection, (sid, seq), fingerprint, info) {
            Number::Taken => {}
            Number::Held => {
                this.frame = frame.to_owned();
                self.held.push(this);
                info.held = true;
                if self.held.iter().map(|held| held.frame.len()).sum::<usize>() > HELD_BYTES_MAX {
                    info.repeated = take_held(&mut self.held, slot, None);
                    info.end_all(connection);
                }
                return;
            }
            Number::RepeatsHeld => info.repeated = take_held(&mut self.held, slot, Some(sid)),
        }
        let mut slot_of = |subscription: &mut Subscription| {
            *subscription.slot.get_or_insert_with(|| {
                // Slots of subscriptions follow those of connections, which end at `REPLAY_CONNECTIONS_MAX`.
                self.slots_used += 1;
                ConnectionSlot(REPLAY_CONNECTIONS_MAX + self.slots_used)
            })
        };
        if info.restarted {
            info.released = take_held(&mut self.held, slot, None);
            for held in &mut info.released {
                let subscription = connection.known(held.sid);
                if held.sid != sid {
                    subscription.take(held.seq, held.fingerprint);
                }
                held.origin.slot = slot_of(subscription);
            }
        }
        let subscription = connection.known(sid);
        if info.verdict != Verdict::Duplicate {
            info.slot = slot_of(subscription);
        } else if let Some(slot) = subscription.slot {
            info.slot = slot;
        }
    }
}

/// Applies a subscription change in an engine's capture as the live shard did.
fn on_engine_change(
    connection: &mut Connection,
    change: Option<SubscriptionChange<'_>>,
    info: &mut FrameInfo,
) {
    match change {
        Some(SubscriptionChange::Begun { sid, .. }) => {
            connection.acknowledged = Some(sid);
            connection.sequences.begin(sid);
        }
        Some(SubscriptionChange::Confirmed { sid }) if connection.sequences.confirm(sid) => {
            connection.acknowledged = Some(sid);
        }
        Some(SubscriptionChange::Failed { sid, known: true })
            if sid.is_none() || sid == connection.acknowledged =>
        {
            info.stale_slots.push(info.slot);
        }
        _ => {}
    }
}

fn on_subscription_change(
    connection: &mut Connection,
    change: Option<SubscriptionChange<'_>>,
    info: &mut FrameInfo,
) {
    match change {
        Some(SubscriptionChange::Begun { channel, sid }) => {
            let channel = &channel[..channel.floor_char_boundary(CHANNEL_BYTES)];
            let is_same = |s: &&Subscription| s.channel.as_deref() == Some(channel);
            // The number of an ended subscription may be reused.
            connection.subscriptions.retain(|s| s.sid != sid || !s.ended);
            if connection.subscriptions.iter().any(|s| s.sid == sid) {
                info.restart(connection);
            } else if let Some(before) = connection.subscriptions.iter().find(is_same)
                && !channel.is_empty()
            {
                // A connection has one subscription of a channel (kalshi/protocol.md, 2.7).
                let before = before.sid;
                info.stale_slots.extend(connection.end(before));
            }
            connection.known(sid).channel = Some(channel.to_owned());
        }
        Some(SubscriptionChange::Failed { sid: None, .. }) => info.end_all(connection),
        Some(
            SubscriptionChange::Confirmed { .. }
            | SubscriptionChange::Failed { .. }
            | SubscriptionChange::Ended { .. },
        )
        | None => {}
    }
}

/// Removes the held frames of a connection, or of one of its subscriptions.
fn take_held(held: &mut Vec<Held>, slot: ConnectionSlot, sid: Option<u64>) -> Vec<Held> {
    if held.is_empty() {
        return Vec::new();
    }
    let is_wanted = |held: &Held| held.origin.slot == slot && sid.is_none_or(|sid| held.sid == sid);
    let (taken, left) = std::mem::take(held).into_iter().partition(is_wanted);
    *held = left;
    taken
}

/// Result for a number, in addition to its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Taken,
    /// The frame is held.
    Held,
    /// The held frames of its subscription are duplicates.
    RepeatsHeld,
}

fn classify_number(
    connection: &mut Connection,
    (sid, seq): (u64, u64),
    fingerprint: u64,
    info: &mut FrameInfo,
) -> Number {
    let subscription = connection.known(sid);
    let (last, restart_next) = (subscription.last, subscription.restart_next);
    let repeats = last > 0 && seq <= last && subscription.has(seq, fingerprint);
    let mut number = Number::Taken;
    info.verdict = match seq {
        // The first message of the recording, whose beginning may be missing, or of a session.
        _ if last == 0 => Verdict::Next,
        _ if restart_next == Some(seq) && !(repeats && seq <= REPEATS_KNOWN as u64) => {
            // The held messages began a new session.
            let first_fingerprints = std::mem::take(&mut subscription.first_fingerprints);
            info.restart(connection);
            let subscription = connection.known(sid);
            for (fingerprint, seq) in first_fingerprints.into_iter().zip(1..seq) {
                subscription.take(seq, fingerprint);
            }
            Verdict::Next
        }
        _ if seq > last => {
            if restart_next.is_some() {
                number = Number::RepeatsHeld;
            }
            match seq - last - 1 {
                0 => Verdict::Next,
                missing => Verdict::Hole(missing),
            }
        }
        1 if last > 1 && restart_next.is_none() && repeats => {
            subscription.restart_next = Some(2);
            return Number::Held;
        }
        _ if restart_next == Some(seq) && subscription.has_first(seq, fingerprint) => {
            subscription.restart_next = Some(seq + 1);
            return Number::Held;
        }
        _ if repeats => {
            info.verdict = Verdict::Duplicate;
            return Number::Taken;
        }
        _ => {
            if restart_next.is_some() {
                // It continues neither session.
                number = Number::RepeatsHeld;
            }
            info.restart(connection);
            Verdict::Next
        }
    };
    let subscription = connection.known(sid);
    subscription.restart_next = None;
    subscription.take(seq, fingerprint);
    number
}

/// A 64-bit fingerprint of a frame, eight bytes at a time; never 0.
fn fingerprint(frame: &str) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunks = frame.as_bytes().chunks_exact(8);
    let mut fingerprint = frame.len() as u64;
    let mut mix =
        |word: u64| fingerprint = (fingerprint.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    for chunk in &mut chunks {
        mix(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    }
    chunks.remainder().iter().for_each(|&byte| mix(u64::from(byte)));
    fingerprint | 1
}

#[cfg(test)]
mod tests;

//! The frames that one client has not taken: bounded by bytes and time, conflated before it is closed.
//!
//! Runs on:  serve core (pure). Owns: references to shared frames.
//! Bounds:   `bytes_max`, of which the largest frame must be a part; `GATEWAY_STALL_NS` without progress.
//!
//! Above half of `bytes_max` the outbox takes no changes and images of books: it marks their books. Below a quarter the
//! image of a marked book is due ([`Outbox::take_marked`]), one by one, so that they do not fill it again; from then on
//! the book's changes and states are taken again. Trades and answers are always taken. Above `bytes_max`, or when the
//! client takes no byte for too long, the client is closed with 1013; an outbox that drops ([`Outbox::dropping`]) only
//! leaves the frame out.
use crate::base::limits::GATEWAY_STALL_NS;
use crate::link::shard_updates::SubscriptionKey;
use foldhash::fast::FixedState;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// What a frame is, and so whether a later image can replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// A change of a book: right only if the client has everything before it.
    Change(SubscriptionKey),
    /// The image of a book, or another frame that a later one replaces.
    Image(SubscriptionKey),
    /// The state of a book: left out only while the image of its book is due, which has the state. A client must not
    /// take a book as live that is behind.
    State(SubscriptionKey),
    /// Anything else: never left out.
    Other,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is queued.
    Queued,
    /// It is left out, the first one of its book: *queue a notice that the client's book is behind*.
    Marked,
    /// It is left out, as those of its book before it.
    LeftOut,
    /// There was no room: *close the client with 1013*, unless the outbox drops.
    Lost,
}

/// A book whose image is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedBook {
    /// The book.
    pub key: SubscriptionKey,
    /// Changes before the image were left out.
    pub gap: bool,
}

/// Why a client is closed with 1013.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// `bytes_max` bytes are queued.
    Full,
    /// It has taken no byte for `GATEWAY_STALL_NS`.
    Stalled,
}

/// Counters of an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Frames taken.
    pub queued: u64,
    /// Changes, images and states that an image replaces.
    pub conflated: u64,
    /// Frames lost because the outbox was full.
    pub dropped: u64,
}

/// The queue of one client.
#[derive(Debug)]
pub struct Outbox {
    /// Each with the time when the shard read what caused it, nanoseconds since the Unix epoch; 0 if no read did.
    frames: VecDeque<(Rc<[u8]>, u64)>,
    /// These times of the frames taken by the writer and not yet sent.
    taken: Vec<u64>,
    /// Bytes of these frames that were not sent.
    taken_bytes: usize,
    /// Bytes of `frames`, and those taken by the writer and not yet sent.
    bytes: usize,
    bytes_max: usize,
    /// Marked books, and whether changes were left out.
    marked: HashMap<SubscriptionKey, bool, FixedState>,
    /// In the order of their marks; holds books too whose mark is gone.
    order: VecDeque<SubscriptionKey>,
    /// Since when bytes wait and none was sent.
    waiting_since_ns: Option<u64>,
    is_full: bool,
    /// What finds no room is left out, and the client stays.
    is_dropping: bool,
    counts: OutboxCounts,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            taken: Vec::new(),
            taken_bytes: 0,
            bytes: 0,
            bytes_max,
            marked: HashMap::default(),
            order: VecDeque::new(),
            waiting_since_ns: None,
            is_full: false,
            is_dropping: false,
            counts: OutboxCounts::default(),
        }
    }

    /// The same for a client that stays, however little it takes.
    #[must_use]
    pub const fn dropping(mut self) -> Self {
        self.is_dropping = true;
        self
    }

    /// Queues a frame, or leaves it out and marks its book. `read_wall_ns` is when the shard read what caused it, 0 if
    /// no read did.
    pub fn push(
        &mut self,
        frame: Rc<[u8]>,
        class: FrameClass,
        now_ns: u64,
        read_wall_ns: u64,
    ) -> Pushed {
        let (key, gap) = match class {
            FrameClass::Change(key) => (key, true),
            FrameClass::Image(key) => (key, false),
            FrameClass::State(key) if self.marked.contains_key(&key) => (key, false),
            FrameClass::State(_) | FrameClass::Other => {
                return self.queue(frame, now_ns, read_wall_ns);
            }
        };
        if self.has_room(key) {
            return self.queue(frame, now_ns, read_wall_ns);
        }
        let was_marked = self.marked.contains_key(&key);
        self.counts.conflated += 1;
        self.mark(key, gap);
        if was_marked { Pushed::LeftOut } else { Pushed::Marked }
    }

    /// Queues the image of a book that [`Outbox::take_marked`] has returned.
    pub fn push_marked(&mut self, frame: Rc<[u8]>, now_ns: u64) -> Pushed {
        self.queue(frame, now_ns, 0)
    }

    fn queue(&mut self, frame: Rc<[u8]>, now_ns: u64, read_wall_ns: u64) -> Pushed {
        if self.is_full || self.bytes + frame.len() > self.bytes_max {
            self.is_full = !self.is_dropping;
            self.counts.dropped += 1;
            return Pushed::Lost;
        }
        if self.bytes == 0 {
            self.waiting_since_ns = Some(now_ns);
        }
        self.bytes += frame.len();
        self.frames.push_back((frame, read_wall_ns));
        self.counts.queued += 1;
        Pushed::Queued
    }

    /// The image of this book is due, when there is room: for the first image of a subscription (`gap` false), or one
    /// in place of changes that were lost elsewhere (`gap` true).
    pub fn mark(&mut self, key: SubscriptionKey, gap: bool) {
        match self.marked.entry(key) {
            Entry::Occupied(mut entry) => *entry.get_mut() |= gap,
            Entry::Vacant(entry) => {
                entry.insert(gap);
                self.order.push_back(key);
            }
        }
    }

    /// The client has left the book: its image is not due.
    pub fn unmark(&mut self, key: SubscriptionKey) {
        self.marked.remove(&key);
    }

    /// The next book whose image is due, with its mark removed: queue the image with [`Outbox::push_marked`], and call
    /// again. `None` while more than a quarter of `bytes_max` is queued.
    pub fn take_marked(&mut self) -> Option<MarkedBook> {
        if !self.takes_marked() {
            return None;
        }
        loop {
            let key = self.order.pop_front()?;
            if let Some(gap) = self.marked.remove(&key) {
                return Some(MarkedBook { key, gap });
            }
        }
    }

    /// Whether a change or an image of the book would be queued.
    pub fn has_room(&self, key: SubscriptionKey) -> bool {
        !self.marked.contains_key(&key) && self.bytes <= self.bytes_max / 2
    }

    /// Whether more than half of `bytes_max` is queued.
    pub const fn is_half_full(&self) -> bool {
        self.bytes > self.bytes_max / 2
    }

    /// Whether images are due ([`Outbox::take_marked`]).
    pub const fn takes_marked(&self) -> bool {
        self.bytes <= self.bytes_max / 4
    }

    /// Whether the book's changes are left out until its image.
    pub fn is_marked(&self, key: SubscriptionKey) -> bool {
        self.marked.contains_key(&key)
    }

    /// Moves whole frames to the end of `into` until it has at least `bytes` bytes. They count as queued until
    /// [`Outbox::on_sent`].
    pub fn take(&mut self, into: &mut Vec<u8>, bytes: usize) {
        while into.len() < bytes
            && let Some((frame, read_wall_ns)) = self.frames.pop_front()
        {
            into.extend_from_slice(&frame);
            self.taken_bytes += frame.len();
            if read_wall_ns > 0 {
                self.taken.push(read_wall_ns);
            }
        }
    }

    /// The client has taken bytes of frames (not of other output). When these were the last of what
    /// [`Outbox::take`] has moved, `on_written` gets the read time of each frame that a read has caused.
    pub fn on_sent(&mut self, bytes: usize, now_ns: u64, on_written: impl FnMut(u64)) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.waiting_since_ns = (self.bytes > 0).then_some(now_ns);
        self.taken_bytes = self.taken_bytes.saturating_sub(bytes);
        if self.taken_bytes == 0 {
            self.taken.drain(..).for_each(on_written);
        }
    }

    /// Whether the client is to be closed with 1013.
    pub fn overflow(&self, now_ns: u64) -> Option<Overflow> {
        if self.is_dropping {
            return None;
        }
        if self.is_full {
            return Some(Overflow::Full);
        }
        let waited_ns = now_ns.saturating_sub(self.waiting_since_ns?);
        (waited_ns >= GATEWAY_STALL_NS).then_some(Overflow::Stalled)
    }

    /// Whether the image of a book is due.
    pub fn has_marked(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Whether no frame waits for [`Outbox::take`].
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes queued, or taken and not sent.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counters.
    pub const fn counts(&self) -> OutboxCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;

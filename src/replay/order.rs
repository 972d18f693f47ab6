//! The records of a capture in receive order.
//!
//! Runs on:  the replay's reader (pure). Owns: records that another shard's may precede.
//! Bounds:   `REPLAY_ORDER_BYTES_MAX` bytes of records; with more, the oldest is passed on early;
//!           `REPLAY_CONNECTIONS_MAX` connections.
//!
//! The shards of an engine write to its capture in turns, so times go back from one turn to the next. The records of
//! one shard keep their order, also where the host's clock was set back. A record is passed on when there is a later
//! one of every shard, or one that is later by [`DISORDER_NS`].
use super::batch::Position;
use super::engines::Engines;
use super::pace::DISORDER_NS;
use crate::base::limits::{REPLAY_CONNECTIONS_MAX, REPLAY_ORDER_BYTES_MAX};
use crate::capture::line::{AnnotationRecord, Record, What};
use foldhash::fast::FixedState;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

/// Buffers kept for further records, and the longest of them.
const SPARE_BUFFERS: usize = 1024;
const SPARE_BUFFER_BYTES: usize = 16 << 10;

/// The order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// No record of a part precedes one of an earlier part.
    part: u64,
    receive_ns: u64,
    number: u64,
}

/// A record that waits for those of other shards.
#[derive(Debug)]
pub(super) struct Waiting {
    key: Key,
    /// Where it was read.
    pub(super) position: Position,
    /// The record.
    pub(super) text: String,
    /// Of a text frame that stands in the record as it is.
    frame: Option<Frame>,
}

/// A record of a text frame, whose line need not be read again.
#[derive(Clone, Copy, Debug)]
struct Frame {
    receive_ns: Option<u64>,
    connection: Option<u64>,
    /// Where the frame is in the line.
    start: usize,
    len: usize,
}

impl Frame {
    fn of(record: &Record<'_>, line: &str) -> Option<Self> {
        let What::Text(Cow::Borrowed(frame)) = &record.what else { return None };
        let start = (frame.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
        let Record { receive_ns, connection, .. } = *record;
        let len = frame.len();
        (start + len <= line.len()).then_some(Self { receive_ns, connection, start, len })
    }
}

impl Waiting {
    /// What was read.
    pub(super) fn record(&self) -> Record<'_> {
        let Some(Frame { receive_ns, connection, start, len }) = self.frame else {
            return Record::read(&self.text);
        };
        let what = What::Text(Cow::Borrowed(&self.text[start..start + len]));
        Record { receive_ns, connection, shard: None, what }
    }

    const fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

/// Records that keep their order among each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Group {
    Shard(u16),
    /// A connection whose shard is not named, as in other tools' recordings and behind the beginning of a range.
    Connection(u64),
    #[default]
    Other,
}

/// The records of a group that wait, in order.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Part and time of its last record.
    last: (u64, u64),
}

impl Queue {
    const fn last_ns(&self, part: u64) -> u64 {
        if self.last.0 == part { self.last.1 } else { 0 }
    }
}

/// Puts records in receive order.
#[derive(Debug, Default)]
pub(super) struct ReceiveOrder {
    queues: HashMap<Group, Queue, FixedState>,
    /// The first record of each queue that has one.
    heads: BinaryHeap<Reverse<(Key, Group)>>,
    /// Queues of shards that have a record.
    shards_waiting: u64,
    /// The shards of the connections, as far as they were named.
    shards: HashMap<u64, u16, FixedState>,
    engines: Engines,
    /// Of the last record.
    last_group: Group,
    newest_ns: u64,
    part: u64,
    records: u64,
    bytes: usize,
    spare: Vec<String>,
}

impl ReceiveOrder {
    /// Of the records of an engine with so many shards that is recording already, if one is.
    pub(super) fn begun(shards: Option<u16>) -> Self {
        let engines = shards.map(Engines::running).unwrap_or_default();
        Self { engines, ..Self::default() }
    }

    /// Takes one record as it stands in the file.
    pub(super) fn push(&mut self, record: &Record<'_>, text: &str, position: Position) {
        let (key, group) = self.place(record, text);
        self.wait((key, group), record, text, position);
    }

    /// The same; false if none can precede it and none waits: then it is the next one, and is not taken.
    pub(super) fn push_unless_next(
        &mut self,
        record: &Record<'_>,
        text: &str,
        position: Position,
    ) -> bool {
        let (key, group) = self.place(record, text);
        let is_next = self.heads.is_empty() && self.engines.shards() == 1;
        if !is_next {
            self.wait((key, group), record, text, position);
        }
        !is_next
    }

    fn place(&mut self, record: &Record<'_>, text: &str) -> (Key, Group) {
        let is_earlier = |at_ns: u64| at_ns.saturating_add(DISORDER_NS) < self.newest_ns;
        if record.receive_ns.is_some_and(is_earlier) {
            // Another recording, or the clock was set back.
            self.begin_part();
        }
        self.learn(record, text);
        // A line without a time belongs to the one before it.
        let group = record.receive_ns.map_or(self.last_group, |_| self.group(record));
        self.last_group = group;
        let queue = self.queues.entry(group).or_default();
        let last_ns = queue.last_ns(self.part);
        let receive_ns = record.receive_ns.map_or(last_ns, |at_ns| at_ns.max(last_ns));
        queue.last = (self.part, receive_ns);
        self.newest_ns = self.newest_ns.max(receive_ns);
        self.records += 1;
        (Key { part: self.part, receive_ns, number: self.records }, group)
    }

    fn wait(
        &mut self,
        (key, group): (Key, Group),
        record: &Record<'_>,
        text: &str,
        position: Position,
    ) {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.push_str(text);
        let waiting = Waiting { key, position, text: copy, frame: Frame::of(record, text) };
        self.bytes += waiting.bytes();
        let queue = self.queues.entry(group).or_default();
        if queue.waiting.is_empty() {
            self.heads.push(Reverse((key, group)));
            self.shards_waiting += u64::from(matches!(group, Group::Shard(_)));
        }
        queue.waiting.push_back(waiting);
    }

    /// Takes what a record says of engines and connections: for one that is not passed on too.
    pub(super) fn learn(&mut self, record: &Record<'_>, text: &str) {
        if matches!(record.what, What::Annotation(AnnotationRecord::Begun))
            && self.engines.on_shard_start(text)
            || self.shards.len().max(self.queues.len()) >= REPLAY_CONNECTIONS_MAX as usize
        {
            self.begin_part();
            self.shards.clear();
            self.queues.retain(|_, queue| !queue.waiting.is_empty());
        }
        let (Some(shard), Some(connection)) = (shard(record), connection(record)) else { return };
        if self.shards.insert(connection, shard).is_none()
            && let Some(unnamed) = self.queues.get(&Group::Connection(connection))
        {
            let last_ns = unnamed.last_ns(self.part);
            let queue = self.queues.entry(Group::Shard(shard)).or_default();
            queue.last = (self.part, last_ns.max(queue.last_ns(self.part)));
        }
    }

    /// All that follows stays behind what was taken so far.
    pub(super) fn begin_part(&mut self) {
        self.part += 1;
        self.newest_ns = 0;
        self.last_group = Group::Other;
    }

    fn group(&self, record: &Record<'_>) -> Group {
        let connection = connection(record);
        let named = || self.shards.get(&connection?).copied();
        match (shard(record).or_else(named), connection) {
            (Some(shard), _) => Group::Shard(shard),
            (None, Some(connection)) => Group::Connection(connection),
            (None, None) => Group::Other,
        }
    }

    /// The next record, once none can precede it.
    pub(super) fn poll(&mut self) -> Option<Waiting> {
        let Reverse((key, _)) = self.heads.peek()?;
        let shards = self.engines.shards();
        let is_due = key.part < self.part
            || key.receive_ns == 0
            || shards > 0 && self.shards_waiting >= shards
            || key.receive_ns.saturating_add(DISORDER_NS) <= self.newest_ns
            || self.bytes > REPLAY_ORDER_BYTES_MAX;
        if is_due { self.pop() } else { None }
    }

    /// The next record at the end of the input.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let Reverse((_, group)) = self.heads.pop()?;
        let queue = self.queues.get_mut(&group)?;
        let next = queue.waiting.pop_front()?;
        match queue.waiting.front() {
            Some(head) => self.heads.push(Reverse((head.key, group))),
            None => self.shards_waiting -= u64::from(matches!(group, Group::Shard(_))),
        }
        self.bytes -= next.bytes();
        Some(next)
    }

    /// Takes the buffer of a record back.
    pub(super) fn give_back(&mut self, mut text: String) {
        if self.spare.len() < SPARE_BUFFERS && text.capacity() <= SPARE_BUFFER_BYTES {
            text.clear();
            self.spare.push(text);
        }
    }
}

/// The shard that a record names; the first record of a file has every key.
fn shard(record: &Record<'_>) -> Option<u16> {
    record.shard.filter(|_| !matches!(record.what, What::Header))
}

fn connection(record: &Record<'_>) -> Option<u64> {
    record.connection.filter(|&connection| connection != 0)
}

#[cfg(test)]
mod tests;

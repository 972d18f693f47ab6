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
mod tests {
    use super::*;

    fn order(lines: &[String]) -> Vec<u64> {
        let mut order = ReceiveOrder::default();
        let mut out = Vec::new();
        for (number, line) in (1..).zip(lines) {
            let position = Position { file: 0, line: number, offset: 0 };
            if !order.push_unless_next(&Record::read(line), line, position) {
                out.push(number);
            }
            out.extend(std::iter::from_fn(|| order.poll()).map(|next| next.position.line));
        }
        out.extend(std::iter::from_fn(|| order.pop()).map(|next| next.position.line));
        assert_eq!(order.bytes, 0);
        out
    }

    fn opened(t: u64, c: u64, d: u64) -> String {
        format!(r#"{{"t":{t},"c":{c},"s":0,"k":"m","d":{d},"books":[]}}"#)
    }

    fn started(t: u64, d: u64) -> String {
        format!(r#"{{"t":{t},"c":0,"s":0,"k":"p","d":{d},"shards":2,"hashes":"off"}}"#)
    }

    fn frame(t: u64, c: u64) -> String {
        format!(r#"{{"t":{t},"c":{c},"s":1,"k":"t","f":{{"event_type":"x"}}}}"#)
    }

    #[test]
    fn the_turns_of_shards_are_merged_by_time() {
        let lines = [
            opened(100, 1, 0),
            frame(120, 1),
            frame(140, 1),
            opened(101, 2, 1),
            frame(121, 2),
            frame(150, 2),
            frame(145, 1),
        ];
        assert_eq!(order(&lines), [1, 4, 2, 5, 3, 7, 6]);
    }

    #[test]
    fn a_record_waits_no_longer_than_until_every_shard_of_the_engine_has_a_later_one() {
        let mut order = ReceiveOrder::default();
        let mut push = |line: String| {
            order.push(&Record::read(&line), &line, Position::default());
            std::iter::from_fn(|| order.poll()).map(|next| next.key.receive_ns).collect::<Vec<_>>()
        };
        assert!(push(started(100, 0)).is_empty());
        assert_eq!(push(started(101, 1)), [100]);
        assert!(push(opened(130, 1, 1)).is_empty());
        assert_eq!(push(opened(120, 2, 0)), [101, 120]);
        assert_eq!(push(frame(140, 2)), [130]);
    }

    #[test]
    fn the_records_of_one_shard_do_not_wait() {
        let mut order = ReceiveOrder::default();
        let start = started(100, 0).replace(r#""shards":2"#, r#""shards":1"#);
        for line in [start, opened(110, 1, 0), frame(105, 1), "PONG".to_owned()] {
            let waits = order.push_unless_next(&Record::read(&line), &line, Position::default());
            assert!(!waits, "{line}");
        }
        assert!(order.pop().is_none());
    }

    #[test]
    fn connections_are_merged_by_time_also_where_their_shards_are_not_named() {
        let lines = [frame(120, 1), frame(140, 1), frame(110, 2), frame(130, 2), opened(135, 2, 1)];
        assert_eq!(order(&lines), [3, 1, 4, 5, 2]);
    }

    #[test]
    fn one_shard_keeps_its_order_when_the_clock_is_set_back() {
        let lines = [opened(100, 1, 0), frame(130, 1), frame(110, 1), frame(120, 1), frame(140, 1)];
        assert_eq!(order(&lines), [1, 2, 3, 4, 5]);
        // Its shard is named later.
        let lines = [frame(130, 1), frame(110, 1), opened(120, 1, 0), frame(125, 1)];
        assert_eq!(order(&lines), [1, 2, 3, 4]);
    }

    #[test]
    fn the_header_of_a_file_is_of_no_shard() {
        let header = r#"{"t":150,"c":0,"s":0,"k":"v","d":0,"f":""}"#.to_owned();
        let lines = [header, opened(100, 1, 0), opened(110, 2, 1), frame(105, 1)];
        assert_eq!(order(&lines), [2, 4, 3, 1]);
    }

    #[test]
    fn a_line_without_a_time_follows_the_one_before_it() {
        let text = |text: &str| text.to_owned();
        assert_eq!(order(&[text("PONG"), text("{}"), text("[]")]), [1, 2, 3]);
        let lines = [frame(120, 1), text("PONG"), frame(110, 2), text("PONG"), frame(130, 1)];
        assert_eq!(order(&lines), [3, 4, 1, 2, 5]);
    }

    #[test]
    fn another_recording_or_engine_follows_the_first_one() {
        let late = 100 * DISORDER_NS;
        let lines = [opened(late, 1, 0), frame(late + 5, 1), opened(7, 1, 0), frame(9, 1)];
        assert_eq!(order(&lines), [1, 2, 3, 4]);
        let lines = [
            started(100, 0),
            started(101, 1),
            opened(150, 1, 1),
            started(120, 0),
            started(121, 1),
            opened(122, 1, 0),
        ];
        assert_eq!(order(&lines), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn records_are_passed_on_when_none_can_precede_them_or_there_are_too_many() {
        let mut order = ReceiveOrder::default();
        let push = |order: &mut ReceiveOrder, line: String| {
            order.push(&Record::read(&line), &line, Position::default());
        };
        push(&mut order, opened(100, 1, 0));
        assert!(order.poll().is_none());
        push(&mut order, frame(100 + DISORDER_NS, 1));
        assert!(order.poll().is_some() && order.poll().is_none());
        let long = "x".repeat(REPLAY_ORDER_BYTES_MAX);
        push(&mut order, format!(r#"{{"t":200,"c":1,"s":2,"k":"x","f":"{long}"}}"#));
        assert_eq!(std::iter::from_fn(|| order.poll()).count(), 2);
        assert_eq!(order.bytes, 0);
    }
}

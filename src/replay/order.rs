//! The records of a capture in receive order.
//!
//! Runs on:  the replay's reader (pure). Owns: records that another shard's may precede.
//! Bounds:   `REPLAY_ORDER_BYTES_MAX` bytes of records; with more, the oldest is passed on early;
//!           `REPLAY_CONNECTIONS_MAX` connections.
//!
//! The shards of an engine write to its capture in turns, so times go back from one turn to the next. The records of
//! one shard keep their order, also where the host's clock was set back.
use super::batch::Position;
use super::engines::Engines;
use super::pace::DISORDER_NS;
use crate::base::limits::{REPLAY_CONNECTIONS_MAX, REPLAY_ORDER_BYTES_MAX};
use crate::capture::line::{AnnotationRecord, Record, What};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A record that waits for those of other shards.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    /// Number of the part, receive time, number of the record: the order.
    key: (u64, u64, u64),
    /// Where it was read.
    pub(super) position: Position,
    /// The record.
    pub(super) text: String,
}

impl Waiting {
    const fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

/// Records that keep their order among each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    Shard(u16),
    /// A connection whose shard is not named, as in other tools' recordings and behind the beginning of a range.
    Connection(u64),
    Other,
}

/// Puts records in receive order.
#[derive(Debug, Default)]
pub(super) struct ReceiveOrder {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The shards of the connections, as far as they were named.
    shards: HashMap<u64, u16>,
    engines: Engines,
    /// The last time of each group.
    times: HashMap<Group, u64>,
    newest_ns: u64,
    /// Time of the last record that has one.
    last_ns: u64,
    /// Number of the part: no record of a later one precedes one of an earlier one.
    part: u64,
    records: u64,
    bytes: usize,
}

impl ReceiveOrder {
    /// Takes one record as it stands in the file.
    pub(super) fn push(&mut self, record: &Record<'_>, text: &str, position: Position) {
        let is_earlier = |at_ns: u64| at_ns.saturating_add(DISORDER_NS) < self.newest_ns;
        if record.receive_ns.is_some_and(is_earlier) {
            // Another recording, or the clock was set back.
            self.begin_part();
        }
        let group = self.learn(record, text);
        if let Some(at_ns) = record.receive_ns {
            let group_ns = self.times.entry(group).or_default();
            *group_ns = at_ns.max(*group_ns);
            self.last_ns = *group_ns;
        }
        // A line without a time belongs to the one before it.
        let key = (self.part, self.last_ns, self.records);
        self.newest_ns = self.newest_ns.max(self.last_ns);
        self.records += 1;
        let waiting = Waiting { key, position, text: text.to_owned() };
        self.bytes += waiting.bytes();
        self.waiting.push(Reverse(waiting));
    }

    /// The group of a record, and what it says of its connection: for a record that is not passed on too.
    pub(super) fn learn(&mut self, record: &Record<'_>, text: &str) -> Group {
        let is_full = self.shards.len().max(self.times.len()) >= REPLAY_CONNECTIONS_MAX as usize;
        let is_start = matches!(record.what, What::Annotation(AnnotationRecord::Begun));
        if is_start && self.engines.on_shard_start(text) || is_full {
            self.begin_part();
            self.shards.clear();
        }
        self.group(record)
    }

    /// All that follows stays behind what was taken so far.
    pub(super) fn begin_part(&mut self) {
        self.part += 1;
        (self.newest_ns, self.last_ns) = (0, 0);
        self.times.clear();
    }

    fn group(&mut self, record: &Record<'_>) -> Group {
        // The first record of a file has every key.
        let shard = record.shard.filter(|_| !matches!(record.what, What::Header));
        let connection = record.connection.filter(|&connection| connection != 0);
        let Some(connection) = connection else { return shard.map_or(Group::Other, Group::Shard) };
        let Some(shard) = shard else {
            let shard = self.shards.get(&connection).copied();
            return shard.map_or(Group::Connection(connection), Group::Shard);
        };
        let group = Group::Shard(shard);
        let before = self.shards.insert(connection, shard);
        if before.is_none()
            && let Some(at_ns) = self.times.remove(&Group::Connection(connection))
        {
            let group_ns = self.times.entry(group).or_default();
            *group_ns = at_ns.max(*group_ns);
        }
        group
    }

    /// The next record, once none can precede it.
    pub(super) fn poll(&mut self) -> Option<Waiting> {
        let Reverse(Waiting { key: (part, at_ns, _), .. }) = self.waiting.peek()?;
        let due = *part < self.part
            || *at_ns == 0
            || at_ns.saturating_add(DISORDER_NS) <= self.newest_ns
            || self.bytes > REPLAY_ORDER_BYTES_MAX;
        if due { self.pop() } else { None }
    }

    /// The next record at the end of the input.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let Reverse(next) = self.waiting.pop()?;
        self.bytes -= next.bytes();
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: &[String]) -> Vec<u64> {
        let mut order = ReceiveOrder::default();
        let mut out = Vec::new();
        for (number, line) in (1..).zip(lines) {
            let position = Position { file: 0, line: number, offset: 0 };
            order.push(&Record::read(line), line, position);
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

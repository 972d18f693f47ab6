//! Raw records of a recording, one after the other: for programs that need messages instead of books.
//!
//! Runs on:  a plain thread; blocks on the disk. Bounds: one value, `REPLAY_ORDER_BYTES_MAX` of waiting records.
use super::ReplayError;
use super::batch::Position;
use super::engines::Engines;
use super::expected::part;
use super::order::ReceiveOrder;
use super::values::Values;
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::file::Source;
use crate::venue::Feed;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Recorded files of one venue, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The venue.
    pub feed: Feed,
    /// The files.
    pub files: Vec<Source>,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A text frame, as it was received.
    Text(&'a str),
    /// The connection was opened.
    Opened,
    /// The connection has ended.
    Ended,
    /// A shard of the engine begins to close its connections, because the engine stops.
    Stopping,
    /// Frames are missing here.
    Lost,
    /// An engine starts: no connection of an earlier one is open, also where their ends are missing.
    EngineStarted,
}

/// A record with a receive time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// When it was received, nanoseconds since the Unix epoch.
    pub receive_ns: u64,
    /// Its connection; `None` where the recording names none, and for losses that concern every connection.
    pub connection: Option<u64>,
    /// What it says.
    pub content: Content<'a>,
}

/// The records of a range of time, in receive order.
///
/// While a connection is replaced, the old and the new one have the same messages; the frames that the engine skipped
/// for that reason are left out. Lines without receive time are left out.
pub struct Records {
    files: std::vec::IntoIter<Source>,
    range: Range<u64>,
    stop: Arc<AtomicBool>,
    values: Option<Values>,
    order: ReceiveOrder,
    engines: Engines,
    text: String,
    /// Something is missing before the next record.
    has_hole: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("range", &self.range).finish_non_exhaustive()
    }
}

/// [`Content`] without its text.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Opened,
    Ended,
    Stopping,
    Lost,
    ShardStarted,
}

struct Head {
    receive_ns: u64,
    connection: Option<u64>,
    kind: Kind,
}

impl Recording {
    /// The records received from `range.start` to before `range.end`, nanoseconds since the Unix epoch. Where a file
    /// has an index, only that part of it is read. Setting `stop` ends them.
    pub fn records(&self, range: Range<u64>, stop: Arc<AtomicBool>) -> Records {
        let files = self.files.clone().into_iter();
        let (order, engines) = (ReceiveOrder::default(), Engines::default());
        let text = String::new();
        Records { files, range, stop, values: None, order, engines, text, has_hole: false }
    }
}

impl Records {
    /// The next record; `None` at the end. Damaged places are records of kind [`Content::Lost`].
    ///
    /// # Errors
    /// A file cannot be opened: one line. The next call continues with the next file.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, ReplayError> {
        let Some(head) = self.read()? else { return Ok(None) };
        let Head { receive_ns, connection, kind } = head;
        let content = match kind {
            Kind::Text => Content::Text(&self.text),
            Kind::Opened => Content::Opened,
            Kind::Ended => Content::Ended,
            Kind::Stopping => Content::Stopping,
            Kind::Lost => Content::Lost,
            Kind::ShardStarted => Content::EngineStarted,
        };
        Ok(Some(RawRecord { receive_ns, connection, content }))
    }

    fn read(&mut self) -> Result<Option<Head>, ReplayError> {
        while !self.stop.load(Ordering::Relaxed) {
            let next = match self.order.poll() {
                None if self.values.is_some() => {
                    self.read_line();
                    continue;
                }
                None if self.open_next()? => continue,
                None => self.order.pop(),
                next => next,
            };
            let Some(next) = next else { break };
            let head = self.head(&next.record(), &next.text);
            self.order.give_back(next.text);
            if head.is_some() {
                return Ok(head);
            }
        }
        Ok(None)
    }

    /// Puts the next line in order.
    fn read_line(&mut self) {
        let Self { values: Some(values), has_hole, range, order, .. } = self else { return };
        let Some(value) = values.next_value() else {
            self.values = None;
            return;
        };
        *has_hole |= value.missing.is_some();
        let Some(line) = value.text else { return };
        let record = Record::read(line);
        let Some(receive_ns) = record.receive_ns else { return };
        if kind(&record.what).is_none() || !range.contains(&receive_ns) {
            order.learn(&record, line);
            return;
        }
        if std::mem::take(has_hole) {
            order.begin_part();
            let lost = format!(r#"{{"t":{receive_ns},"k":"l"}}"#);
            order.push(&Record::read(&lost), &lost, Position::default());
            order.begin_part();
        }
        order.push(&record, line, Position::default());
    }

    /// A record that is due; `None` for the start of another shard of the same engine.
    fn head(&mut self, record: &Record<'_>, line: &str) -> Option<Head> {
        let Record { receive_ns, connection, what, .. } = record;
        let (receive_ns, connection, kind) = ((*receive_ns)?, *connection, kind(what)?);
        if matches!(kind, Kind::ShardStarted) && !self.engines.on_shard_start(line) {
            return None;
        }
        if let What::Text(frame) = what {
            self.text.clear();
            self.text.push_str(frame);
        }
        Some(Head { receive_ns, connection, kind })
    }

    /// Opens the next file; false if there is none.
    fn open_next(&mut self) -> Result<bool, ReplayError> {
        let Some(source) = self.files.next() else { return Ok(false) };
        let part = part(&source, &self.range);
        let values = Values::open(&source, &self.stop, part).map_err(ReplayError::Input)?;
        self.values = Some(values);
        Ok(true)
    }
}

/// `None` for what is not returned.
const fn kind(what: &What<'_>) -> Option<Kind> {
    Some(match what {
        What::Text(_) => Kind::Text,
        What::Opened { .. } => Kind::Opened,
        What::Ended => Kind::Ended,
        What::Lost(_) | What::Broken(_) => Kind::Lost,
        What::Annotation(AnnotationRecord::Begun) => Kind::ShardStarted,
        What::Annotation(AnnotationRecord::Stopping) => Kind::Stopping,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

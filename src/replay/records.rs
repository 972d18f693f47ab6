//! Raw records of a recording, one after the other: for programs that need messages instead of books.
//!
//! Runs on:  a plain thread; blocks on the disk. Bounds: one value.
use super::ReplayError;
use super::detect::looks_binary;
use super::expected::part;
use super::lines::{Condition, Lines};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::file::{self, Damage, Source};
use crate::venue::Feed;
use std::io::BufRead;
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

/// The records of a range of time, in recorded order.
///
/// While a connection is replaced, the old and the new one have the same messages; the frames that the engine skipped
/// for that reason are left out. Lines without receive time are left out.
pub struct Records {
    files: std::vec::IntoIter<Source>,
    range: Range<u64>,
    stop: Arc<AtomicBool>,
    lines: Option<Lines<Box<dyn BufRead>>>,
    text: String,
    /// Something is missing before the next record.
    has_hole: bool,
    /// The next record, behind a loss that was returned before it; its text is in `text`.
    pending: Option<Head>,
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
}

struct Head {
    receive_ns: u64,
    connection: Option<u64>,
    kind: Kind,
}

impl Recording {
    /// The records received from `range.start` to before `range.end`, nanoseconds since the Unix epoch. Where a file
    /// has an index, only that part of it is read. Setting `stop` ends them.
    #[must_use]
    pub fn records(&self, range: Range<u64>, stop: Arc<AtomicBool>) -> Records {
        let files = self.files.clone().into_iter();
        let text = String::new();
        Records { files, range, stop, lines: None, text, has_hole: false, pending: None }
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
        };
        Ok(Some(RawRecord { receive_ns, connection, content }))
    }

    fn read(&mut self) -> Result<Option<Head>, ReplayError> {
        if let Some(head) = self.pending.take() {
            return Ok(Some(head));
        }
        while !self.stop.load(Ordering::Relaxed) {
            let Self { lines: Some(lines), text, has_hole, range, .. } = self else {
                if !self.open_next()? {
                    break;
                }
                continue;
            };
            let value = match lines.next() {
                Ok(Some(value)) => value,
                Ok(None) => {
                    *has_hole |= lines.nuls() > 0;
                    self.lines = None;
                    continue;
                }
                Err(error) => {
                    *has_hole = true;
                    if error.get_ref().is_none_or(|error| !error.is::<Damage>()) {
                        self.lines = None;
                    }
                    continue;
                }
            };
            *has_hole |= value.nuls > 0;
            let line = match (value.condition, std::str::from_utf8(value.bytes)) {
                (Condition::Whole, Ok(line)) => line,
                _ => {
                    *has_hole = true;
                    continue;
                }
            };
            let record = Record::read(line);
            let Some(receive_ns) = record.receive_ns.filter(|at| range.contains(at)) else {
                continue;
            };
            let kind = match &record.what {
                What::Text(frame) => {
                    text.clear();
                    text.push_str(frame);
                    Kind::Text
                }
                What::Opened { .. } => Kind::Opened,
                What::Ended => Kind::Ended,
                What::Annotation(AnnotationRecord::Stopping) => Kind::Stopping,
                What::Lost(_) | What::Broken(_) => Kind::Lost,
                _ => continue,
            };
            let head = Head { receive_ns, connection: record.connection, kind };
            if std::mem::take(has_hole) {
                self.pending = Some(head);
                return Ok(Some(Head { receive_ns, connection: None, kind: Kind::Lost }));
            }
            return Ok(Some(head));
        }
        Ok(None)
    }

    /// Opens the next file; false if there is none.
    fn open_next(&mut self) -> Result<bool, ReplayError> {
        let Some(source) = self.files.next() else { return Ok(false) };
        let part = part(&source, &self.range);
        let input = file::open_part(&source, &self.stop, part).map_err(ReplayError::Input)?;
        let mut reader = input.reader;
        if reader.fill_buf().is_ok_and(looks_binary) {
            return Err(ReplayError::Input(format!("{source} is not text")));
        }
        self.lines = Some(Lines::new(reader));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, range: Range<u64>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        std::fs::write(&path, text).unwrap();
        let recording = Recording { feed: crate::venue::ALL[0], files: vec![Source::Path(path)] };
        let mut records = recording.records(range, Arc::default());
        let mut found = Vec::new();
        while let Some(RawRecord { receive_ns, connection, content }) =
            records.next_record().unwrap()
        {
            found.push(format!("{receive_ns} {connection:?} {content:?}"));
        }
        found
    }

    #[test]
    fn frames_and_ends_of_a_range_come_in_order() {
        let text = concat!(
            r#"{"t":1,"c":0,"s":0,"k":"v","d":0,"f":""}"#,
            "\n",
            r#"{"t":2,"c":7,"s":0,"k":"o","url":"wss://x"}"#,
            "\n",
            r#"{"t":3,"c":7,"s":1,"k":"t","f":{"a":1}}"#,
            "\n",
            r#"{"t":4,"c":7,"s":2,"k":"x","f":"PONG"}"#,
            "\n",
            r#"{"t":4,"c":7,"s":3,"k":"y","f":{"a":2}}"#,
            "\n",
            r#"{"t":5,"c":7,"s":4,"k":"l","n":3}"#,
            "\n",
            r#"{"t":6,"c":0,"s":9,"k":"s","d":1}"#,
            "\n",
            r#"{"t":6,"c":7,"s":5,"k":"e","why":"cut"}"#,
            "\n"
        );
        let all = [
            "2 Some(7) Opened",
            r#"3 Some(7) Text("{\"a\":1}")"#,
            r#"4 Some(7) Text("PONG")"#,
            "5 Some(7) Lost",
            "6 Some(0) Stopping",
            "6 Some(7) Ended",
        ];
        assert_eq!(records(text, 0..u64::MAX), all);
        assert_eq!(records(text, 3..5), all[1..3]);
    }

    #[test]
    fn what_is_damaged_is_a_loss_before_what_follows() {
        let text = "{\"t\":1,\"c\":7,\"s\":1,\"k\":\"t\",\"f\":{\"a\":1}}\n\0\0\0\n\
                    {\"t\":2,\"c\":7,\"s\":2,\"k\":\"t\",\"f\":{\"a\":2}}\n\
                    {\"t\":3,\"c\":7,\"s\":3,\"k\":\"t\",\"f\":{\"a\":3}}\n";
        let found = records(text, 0..u64::MAX);
        assert_eq!(found[1], "2 None Lost");
        assert_eq!(found.len(), 4, "{found:?}");
    }
}

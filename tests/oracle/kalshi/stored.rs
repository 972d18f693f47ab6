//! Recordings of Kalshi's stream, unwrapped to records, and records as files of the engine's.

use super::reference::Counts;
use super::{Event, Record};
use crate::stored;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    /// One object with `frames`, each `{received_ms, frame}`.
    Object,
    /// Lines `{recv_ns or recv_ts_ns, conn?, raw}`, events of connections between them.
    Raw,
    /// Lines with a key `payload`, or `raw` as text, each from another source.
    Singles,
    /// One frame a line.
    Bare,
}

/// A file and what it holds.
pub(crate) struct Recording {
    pub(crate) file: &'static str,
    wrapping: Wrapping,
    pub(crate) counts: Counts,
    /// Numbered messages, and holes in the numbers.
    pub(crate) sequenced: u64,
    pub(crate) holes: u64,
    pub(crate) books: usize,
}

const NONE: Counts = Counts {
    frames: 0,
    snapshots: 0,
    deltas: 0,
    tickers: 0,
    trades: 0,
    acks: 0,
    errors: 0,
    others: 0,
};

pub(crate) const PROD: Recording = Recording {
    file: "ws_orderbook_stream_prod_2026-08-07.json",
    wrapping: Wrapping::Object,
    counts: Counts { frames: 269, snapshots: 12, deltas: 245, acks: 11, others: 1, ..NONE },
    sequenced: 268,
    holes: 0,
    books: 12,
};

pub(crate) const BTC: Recording = Recording {
    file: "sessions/btc15m_20260514T043808Z.jsonl.zst",
    wrapping: Wrapping::Raw,
    counts: Counts {
        frames: 102_555,
        snapshots: 4,
        deltas: 101_703,
        tickers: 842,
        others: 6,
        ..NONE
    },
    sequenced: 101_707,
    holes: 0,
    books: 2,
};

pub(crate) const RECORDINGS: [Recording; 7] = [
    PROD,
    BTC,
    Recording {
        file: "sessions/ws_frames_20260418.jsonl",
        wrapping: Wrapping::Raw,
        counts: Counts { frames: 74, snapshots: 8, deltas: 61, errors: 3, others: 2, ..NONE },
        sequenced: 69,
        holes: 0,
        books: 8,
    },
    Recording {
        file: "sessions/ssmd_kalshi_ticker.jsonl",
        wrapping: Wrapping::Bare,
        counts: Counts { frames: 10, tickers: 10, ..NONE },
        sequenced: 0,
        holes: 0,
        books: 0,
    },
    // An excerpt: the numbers jump once.
    Recording {
        file: "sessions/ssmd_kalshi_trade.jsonl",
        wrapping: Wrapping::Bare,
        counts: Counts { frames: 10, trades: 10, ..NONE },
        sequenced: 10,
        holes: 1,
        books: 0,
    },
    Recording {
        file: "sessions/single_frames.jsonl",
        wrapping: Wrapping::Singles,
        counts: Counts { frames: 29, tickers: 5, trades: 2, acks: 7, errors: 6, others: 9, ..NONE },
        sequenced: 10,
        holes: 0,
        books: 0,
    },
    Recording {
        file: "ws_captured_misc.jsonl",
        wrapping: Wrapping::Singles,
        counts: Counts { frames: 4, tickers: 2, trades: 1, acks: 1, ..NONE },
        sequenced: 2,
        holes: 0,
        books: 0,
    },
];

/// The recordings: next to this clone, or in `ORACLE_RECORDINGS`.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ORACLE_RECORDINGS") {
        return Some(Path::new(&named).join("kalshi"));
    }
    let folder = stored::folder()?.parent()?.join("kalshi");
    if !folder.is_dir() {
        eprintln!("note: no recordings of Kalshi next to this clone; skipped");
        return None;
    }
    Some(folder)
}

impl Recording {
    pub(crate) fn records(&self, folder: &Path) -> Vec<Record> {
        let text = stored::read(&folder.join(self.file));
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let time = |v: &Value, unit: u64| v.as_u64().map(|t| t * unit);
        if self.wrapping == Wrapping::Object {
            let frames = parse(&text)["frames"].take();
            let record = |f: &Value| Record {
                time: time(&f["received_ms"], 1_000_000).unwrap(),
                connection: 1,
                event: Event::Frame(f["frame"].to_string()),
            };
            return frames.as_array().unwrap().iter().map(record).collect();
        }
        let line = |(number, line): (u64, &str)| {
            let value = parse(line);
            let raw = value["raw"].as_str().map(|raw| raw.trim_end().to_owned());
            let received = time(&value["recv_ns"], 1).or(time(&value["recv_ts_ns"], 1));
            let (frame, connection) = match self.wrapping {
                Wrapping::Raw => (raw, value["conn"].as_u64().unwrap_or(1)),
                Wrapping::Singles => (raw.or(Some(value["payload"].to_string())), number + 1),
                Wrapping::Bare | Wrapping::Object => (Some(line.to_owned()), 1),
            };
            let event = frame.map_or_else(
                || {
                    assert_eq!(value["event"], "connected", "{line}");
                    Event::Opened
                },
                Event::Frame,
            );
            Record { time: received.unwrap_or(number), connection, event }
        };
        (0..).zip(text.lines()).map(line).collect()
    }
}

/// Lines of a capture, with numbers per connection.
pub(crate) fn capture(records: &[Record]) -> Vec<Vec<u8>> {
    let mut numbers = std::collections::BTreeMap::<u64, u64>::new();
    let line = |Record { time, connection, event }: &Record| {
        let number = numbers.entry(*connection).or_default();
        let rest = match event {
            Event::Frame(text) if serde_json::from_str::<Value>(text).is_ok() => {
                format!(r#""t","f":{text}"#)
            }
            Event::Frame(text) => format!(r#""x","f":{}"#, Value::from(text.as_str())),
            Event::Opened => r#""o""#.into(),
            Event::Ended => r#""e","why":"reset""#.into(),
            Event::Lost => r#""l","n":1"#.into(),
        };
        let line = format!(r#"{{"t":{time},"c":{connection},"s":{number},"k":{rest}}}"#);
        *number += 1;
        line.into_bytes()
    };
    records.iter().map(line).collect()
}

/// The frames alone: one connection is understood.
pub(crate) fn raw(records: &[Record]) -> Vec<Vec<u8>> {
    let frame = |record: &Record| match &record.event {
        // Where frames stand one a line, a line that begins with space continues one that is cut.
        Event::Frame(text) => Some(text.trim_start().as_bytes().to_vec()),
        _ => None,
    };
    records.iter().filter_map(frame).collect()
}

#[test]
fn records_become_lines() {
    let record = |connection, event| Record { time: 7, connection, event };
    let records = [
        record(1, Event::Opened),
        record(2, Event::Frame("{ }".into())),
        record(1, Event::Frame("{\"".into())),
        record(1, Event::Lost),
    ];
    let lines: Vec<String> =
        capture(&records).into_iter().map(|l| String::from_utf8(l).unwrap()).collect();
    let want = [
        r#"{"t":7,"c":1,"s":0,"k":"o"}"#,
        r#"{"t":7,"c":2,"s":0,"k":"t","f":{ }}"#,
        r#"{"t":7,"c":1,"s":1,"k":"x","f":"{\""}"#,
        r#"{"t":7,"c":1,"s":2,"k":"l","n":1}"#,
    ];
    assert_eq!(lines, want);
    assert_eq!(raw(&records), [b"{ }".to_vec(), b"{\"".to_vec()]);
}

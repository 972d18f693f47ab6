//! Lines of a capture: one record each, written and read.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
//!
//! A record is one line of JSON with a fixed prefix, so that a reader needs no JSON parser:
//!
//! ```text
//! {"t":<receive time, ns since 1970>,"c":<connection>,"s":<sequence>,"k":"<kind>"<rest>}
//! ```
//!
//! | `k` | what | rest |
//! |---|---|---|
//! | `t` | text frame that is one line of JSON | `,"f":<the frame, byte for byte>` |
//! | `x` | any other text frame (`PONG`, broken or several lines) | `,"f":"<escaped as a JSON string>"` |
//! | `b` | binary frame | `,"f":"<base64, standard alphabet, padded>"` |
//! | `w` | text that we sent | `,"f":"<escaped as a JSON string>"` |
//! | `o` | connection opened; whatever it had before, under the same number, is behind it | `,"url":"<address>"`, may be missing |
//! | `e` | connection ended: its live books are stale from here on | `,"why":"<reason>"`, may be missing |
//! | `v` | the first record of a file: every key that a record may have | for tools that learn the keys from a file's beginning |
//! | `l` | frames lost here: all live books of the connection are stale | `,"n":<how many>`, may be missing |
//!
//! An engine's own capture also holds what its books were told by others than the venue's stream, so that a
//! replay has the very books. These records say the shard too (`,"d":<shard>` behind the kind; `c` is 0 where
//! no connection is meant):
//!
//! | `k` | what | rest |
//! |---|---|---|
//! | `p` | a shard began: nothing is open | `,"shards":<how many>,"hashes":"<off, sampled or all>"` |
//! | `m` | books were opened on the connection | `,"books":[{"m":market,"a":token,"t":tick,"o":smallest order,"n":neg-risk}]` |
//! | `d` | what the catalogue says of open books | the same |
//! | `u` | tokens were unsubscribed | `,"a":[tokens]` |
//! | `q` | the connection was closed for good, with its books | `,"a":[tokens]` |
//! | `o` | beside the address: it is to replace another | `,"from":<connection>,"a":[tokens]` |
//! | `h` | it is to take over now | |
//! | `g` | how far it has come, all its markets together | `,"owing":<live books without its snapshot>,"first":<ms>,"newest":<ms>` |
//! | `j` | what both say was matched once more, on all replacements of the shard | |
//! | `k` | it has taken over everything | |
//! | `y` | text frame that was passed over: another connection has taken over | as `t` and `x` |
//! | `n` | binary frame that was passed over | as `b` |
//! | `a` | books were asked for over REST | `,"a":[tokens]` |
//! | `r` | the answer | `,"f":<the answer>` |
//! | `i` | housekeeping | |
//! | `z` | the proof: this live book, now | `,"a":"<token>","z":"<digest>"` |
//!
//! `c` is the connection's number in the process that captured; a loss without `c` concerns every
//! connection. `s` counts the records of a connection from 0. `f` is always the last key. Unknown
//! kinds and keys are passed over. Keys in another order and space between them are understood,
//! only slower. Frames of kinds `t`, `x` and `b` come back byte for byte.
use super::envelope::{self, Content};
use super::outline::{Values, is_whole};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What every record begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it happened here, nanoseconds since the Unix epoch.
    pub receive_ns: u64,
    /// The connection's number in the capturing process.
    pub connection: u32,
    /// Number of the record on its connection, from 0.
    pub sequence: u64,
}

/// The kinds that an engine's capture has besides frames, ends and losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A shard began.
    Begun,
    /// Books were opened.
    Books,
    /// What the catalogue says of open books.
    Described,
    /// Tokens were unsubscribed.
    Dropped,
    /// A connection was closed for good.
    Closed,
    /// A connection was opened.
    Opened,
    /// A connection is to take over.
    Switch,
    /// How far a replacement has come, all its markets together.
    Progress,
    /// What two connections say was matched once more.
    Matched,
    /// A replacement has taken over everything.
    TakenOver,
    /// Books were asked for over REST.
    Asked,
    /// Housekeeping.
    House,
    /// A book as it is.
    Proof,
}

impl Note {
    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Begun => "p",
            Self::Books => "m",
            Self::Described => "d",
            Self::Dropped => "u",
            Self::Closed => "q",
            Self::Opened => "o",
            Self::Switch => "h",
            Self::Progress => "g",
            Self::Matched => "j",
            Self::TakenOver => "k",
            Self::Asked => "a",
            Self::House => "i",
            Self::Proof => "z",
        }
    }

    /// The kind of a letter in quotes.
    fn of(quoted: &str) -> Option<Self> {
        Some(match quoted {
            r#""p""# => Self::Begun,
            r#""m""# => Self::Books,
            r#""d""# => Self::Described,
            r#""u""# => Self::Dropped,
            r#""q""# => Self::Closed,
            r#""h""# => Self::Switch,
            r#""g""# => Self::Progress,
            r#""j""# => Self::Matched,
            r#""k""# => Self::TakenOver,
            r#""a""# => Self::Asked,
            r#""i""# => Self::House,
            r#""z""# => Self::Proof,
            _ => return None,
        })
    }
}

/// Appends a note of a shard, and a newline. `rest` is empty or begins with a comma.
pub fn write_note(out: &mut Vec<u8>, stamp: Stamp, note: Note, shard: u16, rest: &str) {
    write_prefix(out, stamp, note.letter());
    out.extend_from_slice(format!(",\"d\":{shard}").as_bytes());
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"}\n");
}

/// Appends a text frame that was passed over, and a newline.
pub fn write_passed(out: &mut Vec<u8>, stamp: Stamp, frame: &str) {
    write_prefix(out, stamp, "y");
    write_json_or_string(out, frame);
}

/// Appends an answer of the venue's REST interface, and a newline.
pub fn write_answer(out: &mut Vec<u8>, stamp: Stamp, shard: u16, answer: &str) {
    write_prefix(out, stamp, "r");
    out.extend_from_slice(format!(",\"d\":{shard}").as_bytes());
    write_json_or_string(out, answer);
}

/// The frame as it is where that is one line of JSON, else as a string, and the end of the line.
fn write_json_or_string(out: &mut Vec<u8>, frame: &str) {
    if is_json_line(frame) {
        out.extend_from_slice(b",\"f\":");
        out.extend_from_slice(frame.as_bytes());
    } else {
        write_string(out, "f", frame);
    }
    out.extend_from_slice(b"}\n");
}

fn is_json_line(frame: &str) -> bool {
    let one_line = !frame.contains(['\n', '\r']);
    let json = one_line && is_whole(frame.as_bytes());
    // Brackets that close are not yet JSON; whoever reads captures elsewhere relies on it.
    json && sonic_rs::from_str::<serde::de::IgnoredAny>(frame).is_ok()
}

/// Appends a text frame that was received, as kind `t` or `x`, and a newline.
pub fn write_text(out: &mut Vec<u8>, stamp: Stamp, frame: &str) {
    if is_json_line(frame) {
        write_prefix(out, stamp, "t");
        out.extend_from_slice(b",\"f\":");
        out.extend_from_slice(frame.as_bytes());
        out.extend_from_slice(b"}\n");
    } else {
        write_prefix(out, stamp, "x");
        write_string(out, "f", frame);
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a binary frame that was received, and a newline.
pub fn write_binary(out: &mut Vec<u8>, stamp: Stamp, frame: &[u8]) {
    write_base64(out, stamp, &STANDARD.encode(frame), false);
}

/// The same of a frame that is base64 already; with `passed` it was passed over.
pub fn write_base64(out: &mut Vec<u8>, stamp: Stamp, frame: &str, passed: bool) {
    write_prefix(out, stamp, if passed { "n" } else { "b" });
    write_string(out, "f", frame);
    out.extend_from_slice(b"}\n");
}

/// Appends a text that was sent, and a newline.
pub fn write_sent(out: &mut Vec<u8>, stamp: Stamp, text: &str) {
    write_prefix(out, stamp, "w");
    write_string(out, "f", text);
    out.extend_from_slice(b"}\n");
}

/// Appends the first record of a file, and a newline: every key that a record may have. Tools such as DuckDB learn
/// the keys from a file's beginning and refuse one that comes later; a text in it lets a key hold anything.
pub fn write_header(out: &mut Vec<u8>, receive_ns: u64) {
    write_prefix(out, Stamp { receive_ns, ..Stamp::default() }, "v");
    out.extend_from_slice(
        b",\"d\":0,\"n\":0,\"from\":0,\"shards\":0,\"hashes\":\"\",\"url\":\"\",\"why\":\"\",\"a\":\"\",\"z\":\"\",\
          \"books\":\"\",\"owing\":0,\"first\":0,\"newest\":0,\"f\":\"\"}\n",
    );
}

/// Appends that the connection was opened, and a newline.
pub fn write_opened(out: &mut Vec<u8>, stamp: Stamp, url: &str) {
    write_prefix(out, stamp, "o");
    write_string(out, "url", url);
    out.extend_from_slice(b"}\n");
}

/// Appends that the connection ended, and a newline.
pub fn write_ended(out: &mut Vec<u8>, stamp: Stamp, why: &str) {
    write_prefix(out, stamp, "e");
    write_string(out, "why", why);
    out.extend_from_slice(b"}\n");
}

/// Appends that `frames` frames of the connection could not be captured here, and a newline. A connection of
/// 0 is one that is not known: those of a shard, or all.
pub fn write_lost(out: &mut Vec<u8>, stamp: Stamp, frames: u64) {
    if stamp.connection == 0 {
        let Stamp { receive_ns, sequence, .. } = stamp;
        out.extend_from_slice(
            format!("{{\"t\":{receive_ns},\"s\":{sequence},\"k\":\"l\"").as_bytes(),
        );
    } else {
        write_prefix(out, stamp, "l");
    }
    out.extend_from_slice(format!(",\"n\":{frames}}}\n").as_bytes());
}

fn write_prefix(out: &mut Vec<u8>, stamp: Stamp, kind: &str) {
    let Stamp { receive_ns, connection, sequence } = stamp;
    let mut text = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(text, r#"{{"t":{receive_ns},"c":{connection},"s":{sequence},"k":"{kind}""#);
    out.extend_from_slice(text.as_bytes());
}

fn write_string(out: &mut Vec<u8>, key: &str, text: &str) {
    out.extend_from_slice(format!(",\"{key}\":\"").as_bytes());
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// One value of an input file, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was received, nanoseconds since the Unix epoch, if the line says.
    pub receive_ns: Option<u64>,
    /// The connection, if the line says.
    pub connection: Option<u64>,
    /// What happened.
    pub what: What<'a>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A text frame was received. Borrowed where it stands in the line as it was received.
    Text(Cow<'a, str>),
    /// A binary frame was received.
    Binary(Vec<u8>),
    /// A text was sent.
    Sent,
    /// The connection was opened, to replace that one if it says so.
    Opened {
        /// The other connection.
        from: Option<u64>,
    },
    /// The connection ended.
    Ended,
    /// So many frames are missing.
    Lost(u64),
    /// A frame that was passed over.
    Passed,
    /// An answer of the venue's REST interface.
    Answer(Cow<'a, str>),
    /// The first record of a file; says nothing.
    Header,
    /// A note of a shard; its keys are in the line.
    Note(Note),
    /// A record of a kind that is not known.
    UnknownKind,
    /// A record that cannot be read, and why.
    Broken(&'static str),
}

impl<'a> Record<'a> {
    fn raw(frame: &'a str) -> Self {
        Self { receive_ns: None, connection: None, what: What::Text(Cow::Borrowed(frame)) }
    }

    /// Understands one value: a record of a capture, a line of another tool (an envelope or a
    /// prefix around the frame), or, if it is neither, a frame as received.
    #[must_use]
    pub fn read(value: &'a str) -> Self {
        if value.starts_with(r#"{"market":""#) {
            return Self::raw(value);
        }
        if !value.starts_with('{') {
            return Self::foreign(value).unwrap_or_else(|| Self::raw(value));
        }
        if let Some(record) = read_fixed(value) {
            return record;
        }
        Keys::of(value).record(value)
    }

    fn foreign(value: &'a str) -> Option<Self> {
        let (facts, content) = envelope::read(value)?;
        let what = match content {
            Content::Frame(frame) => What::Text(frame),
            Content::Opened => What::Opened { from: None },
            Content::Ended => What::Ended,
            Content::Lost => What::Lost(1),
        };
        Some(Self { receive_ns: facts.receive_ns, connection: facts.connection, what })
    }
}

/// The fast way: kind `t` with the fixed prefix.
fn read_fixed(value: &str) -> Option<Record<'_>> {
    let (receive_ns, rest) = take_number(value.strip_prefix(r#"{"t":"#)?)?;
    let (connection, rest) = take_number(rest.strip_prefix(r#","c":"#)?)?;
    let (_, rest) = take_number(rest.strip_prefix(r#","s":"#)?)?;
    let frame = rest.strip_prefix(r#","k":"t","f":"#)?.strip_suffix('}')?;
    // A key behind the frame would end otherwise.
    frame.trim_end().ends_with(['}', ']']).then_some(())?;
    Some(Record {
        receive_ns: Some(receive_ns),
        connection: Some(connection),
        what: What::Text(Cow::Borrowed(frame)),
    })
}

fn take_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// The keys of a line that matter, as they stand in it.
#[derive(Debug, Default)]
struct Keys<'a> {
    time: Option<&'a str>,
    connection: Option<&'a str>,
    kind: Option<&'a str>,
    frame: Option<&'a str>,
    lost: Option<&'a str>,
    from: Option<&'a str>,
    whole: bool,
}

impl<'a> Keys<'a> {
    fn of(value: &'a str) -> Self {
        let mut keys = Self::default();
        let mut members = Values::of(value.as_bytes());
        while let Some((key, text)) = members.next() {
            let into = match key {
                b"t" => &mut keys.time,
                b"c" => &mut keys.connection,
                b"k" => &mut keys.kind,
                b"f" => &mut keys.frame,
                b"n" => &mut keys.lost,
                b"from" => &mut keys.from,
                _ => continue,
            };
            *into = std::str::from_utf8(text).ok();
        }
        keys.whole = members.whole();
        keys
    }

    fn record(&self, value: &'a str) -> Record<'a> {
        let number = |text: Option<&str>| text?.trim_matches('"').parse::<u64>().ok();
        if let (Some(time), Some(kind)) = (self.time, self.kind) {
            let receive_ns = number(Some(time));
            let what = match self.whole && receive_ns.is_some() {
                true => self.what(kind, number(self.lost), number(self.from)),
                false => What::Broken("capture record is not whole"),
            };
            return Record { receive_ns, connection: number(self.connection), what };
        }
        Record::foreign(value).unwrap_or_else(|| Record::raw(value))
    }

    fn what(&self, kind: &str, lost: Option<u64>, from: Option<u64>) -> What<'a> {
        match (kind, self.frame) {
            (r#""t""#, Some(frame)) => What::Text(Cow::Borrowed(frame)),
            (r#""x""#, Some(frame)) => text(frame),
            (r#""b""#, Some(frame)) => match STANDARD.decode(frame.trim_matches('"')) {
                Ok(bytes) => What::Binary(bytes),
                Err(_) => What::Broken("binary frame is not base64"),
            },
            (r#""t""# | r#""x""# | r#""b""#, None) => What::Broken("capture record without `f`"),
            (r#""v""#, _) => What::Header,
            (r#""w""#, _) => What::Sent,
            (r#""o""#, _) => What::Opened { from },
            (r#""e""#, _) => What::Ended,
            (r#""l""#, _) => What::Lost(lost.unwrap_or(1)),
            (r#""y""# | r#""n""#, _) => What::Passed,
            (r#""r""#, Some(answer)) if answer.starts_with('"') => match text(answer) {
                What::Text(answer) => What::Answer(answer),
                broken => broken,
            },
            (r#""r""#, Some(answer)) => What::Answer(Cow::Borrowed(answer)),
            (kind, _) => Note::of(kind).map_or(What::UnknownKind, What::Note),
        }
    }
}

/// A frame that stands in the line as a JSON string.
fn text(quoted: &str) -> What<'_> {
    match sonic_rs::from_str::<String>(quoted) {
        Ok(text) => What::Text(Cow::Owned(text)),
        Err(_) => What::Broken("frame is not a JSON string"),
    }
}

#[cfg(test)]
mod tests;

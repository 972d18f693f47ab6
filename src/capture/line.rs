//! Capture records: one line of JSON each, encoded and decoded.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
//!
//! A record has a fixed prefix, so that readers need no JSON parser:
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
//! | `w` | text sent by the engine | `,"f":"<escaped as a JSON string>"` |
//! | `o` | connection opened; earlier records with its number concern an earlier one | `,"url":"<address>"`, optional |
//! | `e` | connection ended: its live books are stale | `,"why":"<reason>"`, optional |
//! | `v` | first record of a file, with every possible key | of `cut --market`: `,"part":true`, as `s` has gaps |
//! | `l` | frames lost: all live books of the connection are stale | `,"n":<how many>`, optional |
//!
//! An engine's capture also has all other input of its books, so that a replay builds identical books. These records
//! have the shard (`,"d":<shard>` after the kind; `c` is 0 if no connection is concerned):
//!
//! | `k` | what | rest |
//! |---|---|---|
//! | `p` | a shard started: nothing is open | `,"shards":<how many>,"hashes":"<off, sampled or all>"` |
//! | `m` | books were opened on the connection | `,"books":[{"m":market,"a":token,"t":tick,"o":smallest order,"n":neg-risk,"s":slug}]` |
//! | `d` | catalog data of open books | as `m` |
//! | `u` | tokens were unsubscribed | `,"a":[tokens]` |
//! | `q` | the connection and its books were closed | `,"a":[tokens]` |
//! | `o` | beside `url`: it will replace another connection | `,"from":<connection>,"a":[tokens]` |
//! | `h` | the connection is to take over | |
//! | `g` | progress of a replacement | `,"owing":<live books without its snapshot>,"first":<ms>,"newest":<ms>` |
//! | `j` | the messages of both connections were matched, for all replacements of the shard | |
//! | `k` | the connection has taken over all markets | |
//! | `y` | text frame skipped: another connection has taken over | as `t` and `x` |
//! | `n` | binary frame skipped | as `b` |
//! | `a` | books were requested over REST | `,"q":<number of the request>,"a":[tokens]` |
//! | `r` | REST response | `,"q":<number of the newest request before it was sent>,"f":<the response>` |
//! | `i` | housekeeping | `,"read":<all input up to this time was applied, Unix nanoseconds; 0: unknown>`, may be missing |
//! | `z` | digest of a live book | `,"a":"<token>","z":"<digest>"` |
//! | `c` | image: all books of a market, live, on this connection | see below |
//! | `s` | the engine stops: the shard closes its connections | |
//!
//! A reader that begins at an image and applies the records behind it, of its shard, has the books of the engine. Its
//! rest is that of `p`, then `,"sid":<subscription>,"seq":<its last number>` where the venue numbers messages, then
//! `,"books":[…]`, with these keys beside those of `m`:
//!
//! | key | what |
//! |---|---|
//! | `bids`, `asks` | `"price size price size …"` |
//! | `ms`, `hash` | venue time and hash of the last message that changed the book |
//! | `read` | when that was received, Unix nanoseconds |
//! | `snapshot` | venue time of the last snapshot, Unix milliseconds |
//! | `last` | last trade price |
//! | `tick` | `[<venue time of the price step>,<it is that of a snapshot>]` |
//! | `group` | what the next comparison with venue-reported best prices needs |
//!
//! In a merged capture the records `p` and `c` have `,"merged":true`, and each market has a connection of its own.
//! Books continue from its images, whatever they were before; numbers of the venue's messages have gaps, and none is a
//! loss.
//!
//! An image without books has `,"since":<Unix nanoseconds>` before `books`: each market that was open in the shard was
//! opened, or has an image, between that time and the record. A reader that begins at that time has all books.
//!
//! `c` is the connection number in the capturing process; a loss without `c` concerns every connection. `s` counts the
//! records of a connection from 0. `f` is always the last key. Unknown kinds and keys are ignored. Keys in another
//! order and with spaces are accepted, but slower. Frames of kinds `t`, `x` and `b` are restored byte for byte.
use super::envelope::{self, Content};
use super::outline::{Values, is_whole};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Common fields of all records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Local time, nanoseconds since the Unix epoch.
    pub receive_ns: u64,
    /// Connection number in the capturing process.
    pub connection: u32,
    /// Number of the record on its connection, from 0.
    pub sequence: u64,
}

/// Kinds of records with other input of books than frames, ends and losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationRecord {
    /// A shard started.
    Begun,
    /// Books were opened.
    Books,
    /// Catalog data of open books.
    Described,
    /// Tokens were unsubscribed.
    Dropped,
    /// A connection and its books were closed.
    Closed,
    /// A connection was opened.
    Opened,
    /// A connection is to take over.
    Switch,
    /// Progress of a replacement over all its markets.
    Progress,
    /// The messages of two connections were matched.
    Matched,
    /// A replacement has taken over all markets.
    TakenOver,
    /// Books were requested over REST.
    Asked,
    /// Housekeeping.
    Housekeeping,
    /// Digest of a book.
    Proof,
    /// Live books of a market.
    Image,
    /// The engine stops, and the shard closes its connections.
    Stopping,
}

/// Kinds and their values of `k`.
const LETTERS: [(AnnotationRecord, &str); 15] = [
    (AnnotationRecord::Begun, "p"),
    (AnnotationRecord::Books, "m"),
    (AnnotationRecord::Described, "d"),
    (AnnotationRecord::Dropped, "u"),
    (AnnotationRecord::Closed, "q"),
    (AnnotationRecord::Opened, "o"),
    (AnnotationRecord::Switch, "h"),
    (AnnotationRecord::Progress, "g"),
    (AnnotationRecord::Matched, "j"),
    (AnnotationRecord::TakenOver, "k"),
    (AnnotationRecord::Asked, "a"),
    (AnnotationRecord::Housekeeping, "i"),
    (AnnotationRecord::Proof, "z"),
    (AnnotationRecord::Image, "c"),
    (AnnotationRecord::Stopping, "s"),
];

impl AnnotationRecord {
    /// The value of `k`.
    pub fn letter(self) -> &'static str {
        LETTERS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, letter)| letter)
    }

    /// The kind of a quoted `k` value; an opening is read by its own rule.
    fn of(quoted: &str) -> Option<Self> {
        let letter = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let (kind, _) = LETTERS.iter().find(|(_, known)| *known == letter)?;
        (*kind != Self::Opened).then_some(*kind)
    }
}

/// Appends an annotation record of a shard. `rest` is empty or begins with a comma.
pub fn write_annotation(
    out: &mut Vec<u8>,
    stamp: Stamp,
    note: AnnotationRecord,
    shard: u16,
    rest: &str,
) {
    write_prefix(out, stamp, note.letter());
    out.extend_from_slice(format!(",\"d\":{shard}").as_bytes());
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"}\n");
}

/// Appends a skipped text frame.
pub fn write_text_skipped(out: &mut Vec<u8>, stamp: Stamp, frame: &str) {
    write_prefix(out, stamp, "y");
    write_json_or_string(out, frame);
}

/// Appends a REST response.
pub fn write_answer(out: &mut Vec<u8>, stamp: Stamp, (shard, question): (u16, &str), answer: &str) {
    write_prefix(out, stamp, "r");
    out.extend_from_slice(format!(",\"d\":{shard},\"q\":{question}").as_bytes());
    write_json_or_string(out, answer);
}

/// Appends the frame unchanged if it is one line of JSON, otherwise as a string, and the end of the record.
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
    // Matching brackets are not sufficient: other readers of captures require valid JSON.
    json && sonic_rs::from_str::<serde::de::IgnoredAny>(frame).is_ok()
}

/// Appends a received text frame as kind `t` or `x`.
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

/// Appends a received binary frame.
pub fn write_binary(out: &mut Vec<u8>, stamp: Stamp, frame: &[u8]) {
    write_base64(out, stamp, &STANDARD.encode(frame), false);
}

/// Appends a binary frame that is already base64; `passed`: it was skipped.
pub fn write_base64(out: &mut Vec<u8>, stamp: Stamp, frame: &str, passed: bool) {
    write_prefix(out, stamp, if passed { "n" } else { "b" });
    write_string(out, "f", frame);
    out.extend_from_slice(b"}\n");
}

/// Appends a sent text.
pub fn write_sent(out: &mut Vec<u8>, stamp: Stamp, text: &str) {
    write_prefix(out, stamp, "w");
    write_string(out, "f", text);
    out.extend_from_slice(b"}\n");
}

/// The connection and the number of a record that begins as those of captures do.
pub(crate) fn number(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = take_number(line.strip_prefix(r#"{"t":"#)?)?;
    let (connection, rest) = take_number(rest.strip_prefix(r#","c":"#)?)?;
    let (number, _) = take_number(rest.strip_prefix(r#","s":"#)?)?;
    Some((connection, number))
}

/// Whether the first record of a file says that records of its connections were left out.
pub(crate) fn is_part(header: &str) -> bool {
    header.contains(r#","part":true"#)
}

/// Appends the first record of a file, with every possible key. Tools such as DuckDB infer keys from the beginning of a
/// file and refuse later ones; a string value lets a key have any type. `is_part`: records of connections are left out.
pub fn write_header(out: &mut Vec<u8>, receive_ns: u64, is_part: bool) {
    write_prefix(out, Stamp { receive_ns, ..Stamp::default() }, "v");
    out.extend_from_slice(
        b",\"d\":0,\"n\":0,\"from\":0,\"shards\":0,\"hashes\":\"\",\"url\":\"\",\"why\":\"\",\"a\":\"\",\"z\":\"\",\
          \"books\":\"\",\"owing\":0,\"first\":0,\"newest\":0,\"read\":0,\"q\":0,\"sid\":0,\"seq\":0,\
          \"since\":0,\"merged\":false",
    );
    out.extend_from_slice(format!(",\"part\":{is_part},\"f\":\"\"}}\n").as_bytes());
}

/// Appends the opening of a connection.
pub fn write_opened(out: &mut Vec<u8>, stamp: Stamp, url: &str) {
    write_prefix(out, stamp, "o");
    write_string(out, "url", url);
    out.extend_from_slice(b"}\n");
}

/// Appends the end of a connection.
pub fn write_ended(out: &mut Vec<u8>, stamp: Stamp, why: &str) {
    write_prefix(out, stamp, "e");
    write_string(out, "why", why);
    out.extend_from_slice(b"}\n");
}

/// Appends the loss of `frames` frames of the connection; connection 0 means unknown: those of a shard, or all.
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

/// One decoded value of an input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Receive time, nanoseconds since the Unix epoch, if present.
    pub receive_ns: Option<u64>,
    /// Connection, if present.
    pub connection: Option<u64>,
    /// Shard of a record of its input besides frames.
    pub shard: Option<u16>,
    /// Content.
    pub what: What<'a>,
}

/// Content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A received text frame; borrowed if it is unescaped in the line.
    Text(Cow<'a, str>),
    /// A received binary frame.
    Binary(Vec<u8>),
    /// A sent text.
    Sent,
    /// The connection was opened, optionally to replace another.
    Opened {
        /// The replaced connection.
        from: Option<u64>,
    },
    /// The connection ended.
    Ended,
    /// This many frames are missing.
    Lost(u64),
    /// A skipped frame.
    Skipped,
    /// A REST response, sent after the request with this number; `u32::MAX` in captures that do not number them.
    Answer(Cow<'a, str>, u32),
    /// The first record of a file; no content.
    Header,
    /// An annotation of a shard; its keys are in the line.
    Annotation(AnnotationRecord),
    /// A record of an unknown kind.
    UnknownKind,
    /// An unreadable record, with the reason.
    Broken(&'static str),
}

impl<'a> Record<'a> {
    fn raw(frame: &'a str) -> Self {
        let what = What::Text(Cow::Borrowed(frame));
        Self { receive_ns: None, connection: None, shard: None, what }
    }

    /// Decodes one value: a capture record, a line of another tool (envelope or prefix around a frame), or else a
    /// frame.
    #[must_use]
    pub fn read(value: &'a str) -> Self {
        if value.starts_with(r#"{"market":""#) {
            return Self::raw(value);
        }
        if !value.starts_with('{') {
            return Self::from_other_tool(value).unwrap_or_else(|| Self::raw(value));
        }
        if let Some(record) = read_fixed(value) {
            return record;
        }
        Keys::of(value).record(value)
    }

    fn from_other_tool(value: &'a str) -> Option<Self> {
        let (facts, content) = envelope::read(value)?;
        let what = match content {
            Content::Frame(frame) => What::Text(frame),
            Content::Opened => What::Opened { from: None },
            Content::Ended => What::Ended,
            Content::Lost => What::Lost(1),
        };
        let envelope::Facts { receive_ns, connection } = facts;
        Some(Self { receive_ns, connection, shard: None, what })
    }
}

/// Fast path: kind `t` with the fixed prefix.
fn read_fixed(value: &str) -> Option<Record<'_>> {
    let (receive_ns, rest) = take_number(value.strip_prefix(r#"{"t":"#)?)?;
    let (connection, rest) = take_number(rest.strip_prefix(r#","c":"#)?)?;
    let (_, rest) = take_number(rest.strip_prefix(r#","s":"#)?)?;
    let frame = rest.strip_prefix(r#","k":"t","f":"#)?.strip_suffix('}')?;
    // With a key after the frame the end would differ.
    frame.trim_end().ends_with(['}', ']']).then_some(())?;
    Some(Record {
        receive_ns: Some(receive_ns),
        connection: Some(connection),
        shard: None,
        what: What::Text(Cow::Borrowed(frame)),
    })
}

fn take_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// The keys used, as raw text.
#[derive(Debug, Default)]
struct Keys<'a> {
    time: Option<&'a str>,
    connection: Option<&'a str>,
    shard: Option<&'a str>,
    question: Option<&'a str>,
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
                b"d" => &mut keys.shard,
                b"q" => &mut keys.question,
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
            let shard = number(self.shard).and_then(|shard| shard.try_into().ok());
            return Record { receive_ns, connection: number(self.connection), shard, what };
        }
        Record::from_other_tool(value).unwrap_or_else(|| Record::raw(value))
    }

    fn question(&self) -> u32 {
        self.question.and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
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
            (r#""y""# | r#""n""#, _) => What::Skipped,
            (r#""r""#, Some(answer)) if answer.starts_with('"') => match text(answer) {
                What::Text(answer) => What::Answer(answer, self.question()),
                broken => broken,
            },
            (r#""r""#, Some(answer)) => What::Answer(Cow::Borrowed(answer), self.question()),
            (kind, _) => AnnotationRecord::of(kind).map_or(What::UnknownKind, What::Annotation),
        }
    }
}

/// A frame that is a JSON string in the line.
fn text(quoted: &str) -> What<'_> {
    match sonic_rs::from_str::<String>(quoted) {
        Ok(text) => What::Text(Cow::Owned(text)),
        Err(_) => What::Broken("frame is not a JSON string"),
    }
}

#[cfg(test)]
mod tests;

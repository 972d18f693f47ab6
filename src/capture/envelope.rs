//! Lines of other tools' recordings: a frame in an envelope or after a prefix.
//!
//! Runs on:  the replay's reader (pure). Bounds: `DEPTH_MAX` nested envelopes, a prefix of `PREFIX_BYTES_MAX` bytes.
//!
//! | line | frame |
//! |---|---|
//! | `{"raw":FRAME,…}`, or another key of `FRAMES` | object, list, or either as a JSON string |
//! | `TIME FRAME`, `[TIME] FRAME`, `data: FRAME` | after the prefix |
//! | `[TIME,FRAME]` | the second value |
//! | `"FRAME"` | the content of the JSON string |
//!
//! A venue's message may itself have its content under such a key, whatever its `type`: a value beside a venue's
//! `type`, or with two of three signs (`sid` or `seq` beside it, the key `msg`, a `market_ticker` in it), is a frame
//! only if it has the keys of one.
//!
//! The receive time is beside the frame under a key of `RECEIVE_TIMES`, or else of `TIMES`; its unit is a suffix of the
//! key or follows from its magnitude. Case, `_` and `-` in keys are ignored.
use super::outline::Values;
use std::borrow::Cow;

/// Maximum nesting of envelopes.
const DEPTH_MAX: usize = 4;
/// Maximum bytes before the JSON of a line.
const PREFIX_BYTES_MAX: usize = 96;
/// Maximum compared characters of a key.
const KEY_BYTES_MAX: usize = 24;

/// Keys of a frame in its envelope, by precedence.
const FRAMES: [&str; 18] = [
    "raw",
    "rawmessage",
    "rawmsg",
    "rawdata",
    "rawframe",
    "rawjson",
    "payload",
    "data",
    "message",
    "frame",
    "body",
    "content",
    "text",
    "json",
    "record",
    "value",
    "event",
    "msg",
];
/// `type` values of venue frames that, like an envelope, have their content in `msg`.
const FRAME_TYPES: [&str; 10] = [
    r#""orderbook_snapshot""#,
    r#""orderbook_delta""#,
    r#""ticker""#,
    r#""trade""#,
    r#""subscribed""#,
    r#""unsubscribed""#,
    r#""ok""#,
    r#""error""#,
    r#""market_lifecycle_v2""#,
    r#""multivariate_market_lifecycle""#,
];
/// Beginning of the `type` of every message of books, known or not.
const BOOK_TYPES: &str = r#""orderbook"#;

/// Keys of the receive time.
const RECEIVE_TIMES: [&str; 29] = [
    "recv",
    "recvts",
    "recvtime",
    "recvtimestamp",
    "recvat",
    "received",
    "receivedat",
    "receivedts",
    "receivedtime",
    "receivedtimestamp",
    "receive",
    "receivets",
    "receivetime",
    "receivetimestamp",
    "rx",
    "rxts",
    "rxtime",
    "local",
    "localts",
    "localtime",
    "localtimestamp",
    "captured",
    "capturedat",
    "capturets",
    "capturetime",
    "arrival",
    "arrivaltime",
    "ingestedat",
    "loggedat",
];
/// Keys of a time if there is no receive time.
const TIMES: [&str; 9] =
    ["t", "ts", "time", "timestamp", "datetime", "date", "at", "recordedat", "ingestts"];
/// Keys of a connection.
const CONNECTIONS: [&str; 8] =
    ["conn", "connid", "connection", "connectionid", "session", "sessionid", "socketid", "wsid"];
/// Suffixes of a time's key, with nanoseconds per unit.
const UNITS: [(&str, u64); 7] = [
    ("nanos", 1),
    ("micros", 1_000),
    ("millis", 1_000_000),
    ("seconds", 1_000_000_000),
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
];

/// Properties of a frame from its envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Nanoseconds since the Unix epoch.
    pub(super) receive_ns: Option<u64>,
    pub(super) connection: Option<u64>,
}

impl Facts {
    fn or(self, other: Self) -> Self {
        Self {
            receive_ns: self.receive_ns.or(other.receive_ns),
            connection: self.connection.or(other.connection),
        }
    }
}

/// Content of a line of another tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// A frame.
    Frame(Cow<'a, str>),
    /// The connection was opened.
    Opened,
    /// The connection ended.
    Ended,
    /// Frames are missing.
    Lost,
}

/// Parses a line that is no capture record; `None` for a frame without envelope.
pub(super) fn read(line: &str) -> Option<(Facts, Content<'_>)> {
    let (mut facts, mut content) = open(line)?;
    for _ in 1..DEPTH_MAX {
        let Content::Frame(frame) = &content else { break };
        let inner = match frame {
            Cow::Borrowed(text) => open(text),
            Cow::Owned(text) => open(text).map(|(facts, content)| (facts, owned(content))),
        };
        let Some((more, inner)) = inner else { break };
        (facts, content) = (facts.or(more), inner);
    }
    Some((facts, content))
}

fn owned(content: Content<'_>) -> Content<'static> {
    match content {
        Content::Frame(frame) => Content::Frame(Cow::Owned(frame.into_owned())),
        Content::Opened => Content::Opened,
        Content::Ended => Content::Ended,
        Content::Lost => Content::Lost,
    }
}

/// Removes one envelope.
fn open(text: &str) -> Option<(Facts, Content<'_>)> {
    let text = text.trim_ascii();
    match text.as_bytes() {
        [b'{', ..] => open_object(text),
        [b'"', ..] => {
            let frame = unquoted(text).filter(|frame| is_container(frame))?;
            Some((Facts::default(), Content::Frame(Cow::Owned(frame))))
        }
        [b'[', second, ..] => {
            let at = prefix(text.as_bytes());
            match (at, second) {
                (0, b'0'..=b'9' | b'"') => open_pair(text),
                (0, _) => None,
                (at, _) => Some(behind_prefix(text, at)),
            }
        }
        _ => match prefix(text.as_bytes()) {
            0 => None,
            at => Some(behind_prefix(text, at)),
        },
    }
}

fn behind_prefix(text: &str, at: usize) -> (Facts, Content<'_>) {
    // A prefix ends before a bracket or quote, which is a character boundary.
    let facts = Facts { receive_ns: time_within(&text[..at]), connection: None };
    (facts, Content::Frame(Cow::Borrowed(&text[at..])))
}

/// `[TIME,FRAME]`.
fn open_pair(text: &str) -> Option<(Facts, Content<'_>)> {
    let mut values = Values::of(text.as_bytes());
    let (_, time) = values.next()?;
    let receive_ns = time_of(std::str::from_utf8(time).ok()?, None);
    let (_, frame) = values.next()?;
    let frame = frame_of(std::str::from_utf8(frame).ok()?)?;
    (receive_ns.is_some() && values.next().is_none() && values.whole())
        .then_some((Facts { receive_ns, connection: None }, Content::Frame(frame)))
}

fn open_object(text: &str) -> Option<(Facts, Content<'_>)> {
    let mut members = Values::of(text.as_bytes());
    let mut frame: Option<(usize, &str)> = None;
    let mut time: Option<(usize, u64)> = None;
    let mut facts = Facts::default();
    let (mut event, mut is_event_key) = (None, false);
    // A plain text such as `PONG` in place of a frame.
    let mut text_frame = None;
    let mut own = VenueKeys::default();
    let mut name = [0; KEY_BYTES_MAX];
    while let Some((key, value)) = members.next() {
        if own.note(key, value) {
            return None;
        }
        let name = plain(key, &mut name);
        let Ok(value) = std::str::from_utf8(value) else { continue };
        if matches!(name, "event" | "type" | "kind" | "status") && value.starts_with('"') {
            is_event_key |= name == "event";
            event = event.or(connection_event(value));
            continue;
        }
        if let Some(rank) = FRAMES.iter().position(|known| *known == name) {
            let better = frame.is_none_or(|(best, _)| rank < best);
            if better && holds_frame(value) {
                frame = Some((rank, value));
            } else if text_frame.is_none() && value.starts_with('"') {
                text_frame = Some((FRAMES[rank], value));
            }
        } else if CONNECTIONS.contains(&name) {
            facts.connection = facts.connection.or(connection(value));
        } else if let Some((rank, unit)) = time_name(name) {
            let better = time.is_none_or(|(best, _)| rank < best);
            if better && let Some(ns) = time_of(value, unit) {
                time = Some((rank, ns));
            }
        }
    }
    if !members.whole() {
        return None;
    }
    facts.receive_ns = time.map(|(_, ns)| ns);
    if own.is_frame(frame.is_some_and(|(rank, _)| FRAMES[rank] != "msg")) {
        return None;
    }
    if let Some((rank, frame)) = frame {
        let is_content =
            own.may_have_content_in(FRAMES[rank], frame) && !is_venue_frame(frame, DEPTH_MAX);
        return if is_content { None } else { Some((facts, Content::Frame(frame_of(frame)?))) };
    }
    if let Some((name, frame)) = text_frame
        && !own.event
        && !(name == "msg" && own.sequenced)
        && (name.starts_with("raw") || name == "msg" || facts.receive_ns.is_some())
    {
        return Some((facts, Content::Frame(Cow::Owned(unquoted(frame)?))));
    }
    let is_beside = facts.receive_ns.is_some() || facts.connection.is_some();
    // Alone, a loss is taken: no venue has the key `event`.
    let is_taken = |event: &Content<'_>| is_beside || is_event_key && *event != Content::Opened;
    Some((facts, event.filter(is_taken)?))
}

/// Keys of venue frames.
#[derive(Clone, Copy, Debug, Default)]
struct VenueKeys {
    /// `event_type`, and `market` beside it.
    event: bool,
    market: bool,
    /// `type`, and whether its value is a venue's.
    typed: bool,
    known_type: bool,
    /// `msg`.
    message: bool,
    /// `sid`, `seq` or `id`.
    numbered: bool,
    /// `sid` or `seq`.
    sequenced: bool,
}

impl VenueKeys {
    /// True if the key alone identifies a venue frame.
    fn note(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key {
            b"price_changes" | b"changes" | b"bids" | b"asks" => return true,
            b"event_type" => self.event = true,
            b"market" => self.market = true,
            b"type" => {
                self.typed = true;
                let starts = |text: &str| {
                    value
                        .get(..text.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
                };
                self.known_type |=
                    FRAME_TYPES.iter().any(|name| value == name.as_bytes()) || starts(BOOK_TYPES);
            }
            b"msg" => self.message = true,
            b"sid" | b"seq" => (self.numbered, self.sequenced) = (true, true),
            b"id" => self.numbered = true,
            _ => {}
        }
        false
    }

    /// Whether a value under `key` that is no venue frame is the content of this one, whatever its `type`.
    fn may_have_content_in(self, key: &str, value: &str) -> bool {
        let signs = [self.sequenced, key == "msg", value.contains("market_ticker")];
        self.known_type || signs.into_iter().filter(|sign| *sign).count() >= 2
    }

    /// Whether the keys are those of a venue frame. Venue frames, like some envelopes, may have their content in `msg`.
    const fn is_frame(self, holds_another: bool) -> bool {
        // A venue message regardless of its other keys.
        if self.event && self.market {
            return true;
        }
        self.typed
            && match holds_another {
                true => self.known_type && self.message,
                false => self.known_type || self.numbered,
            }
    }
}

/// Connection event by the names that tools use.
fn connection_event(value: &str) -> Option<Content<'static>> {
    let mut name = [0; KEY_BYTES_MAX];
    let mut event = plain(value.trim_matches('"').as_bytes(), &mut name);
    for before in ["websocket", "connection", "socket", "session", "ws", "on"] {
        event = event.strip_prefix(before).unwrap_or(event);
    }
    Some(match event {
        "connected" | "connect" | "open" | "opened" | "reconnected" | "reconnect" | "start"
        | "started" | "established" => Content::Opened,
        "disconnected" | "disconnect" | "close" | "closed" | "end" | "ended" | "reset"
        | "reconnecting" => Content::Ended,
        "gap" | "lost" | "dropped" | "missed" | "overflow" => Content::Lost,
        _ => return None,
    })
}

/// A key in lower case without separators; empty if it is too long.
fn plain<'n>(key: &[u8], name: &'n mut [u8; KEY_BYTES_MAX]) -> &'n str {
    let mut len = 0;
    for &byte in key.iter().filter(|byte| !matches!(byte, b'_' | b'-' | b'@' | b'.' | b' ')) {
        if len == KEY_BYTES_MAX {
            return "";
        }
        name[len] = byte.to_ascii_lowercase();
        len += 1;
    }
    std::str::from_utf8(&name[..len]).unwrap_or("")
}

/// Rank of a time's key, and its unit if it has a suffix.
fn time_name(name: &str) -> Option<(usize, Option<u64>)> {
    let rank = |name: &str| {
        let receive = RECEIVE_TIMES.contains(&name).then_some(0);
        receive.or_else(|| TIMES.contains(&name).then_some(1))
    };
    let with_unit = UNITS.iter().find_map(|&(suffix, unit)| {
        let name = name.strip_suffix(suffix)?;
        Some((rank(name)?, Some(unit)))
    });
    with_unit.or_else(|| Some((rank(name)?, None)))
}

fn connection(value: &str) -> Option<u64> {
    let text = value.trim_matches('"');
    if text.is_empty() || text == "null" {
        return None;
    }
    // A name is hashed to a number that no tool uses.
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let named = || text.bytes().fold(0xcbf2_9ce4_8422_2325, mix) | 1 << 63;
    Some(text.parse().unwrap_or_else(|_| named()))
}

fn is_container(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
}

/// Whether a value is a frame, or a string that contains one.
fn holds_frame(value: &str) -> bool {
    is_container(value)
        || value.strip_prefix('"').is_some_and(|text| {
            let text = text.trim_ascii_start();
            is_container(text) || text.starts_with(r#"\"{"#) || text.starts_with(r#"\"["#)
        })
}

/// Whether a value is a venue's frame, perhaps in an envelope; a list is judged by its first value.
fn is_venue_frame(value: &str, depth: usize) -> bool {
    let value = value.trim_ascii();
    if depth == 0 {
        return false;
    }
    if value.starts_with('"') {
        return unquoted(value).is_some_and(|text| is_venue_frame(&text, depth - 1));
    }
    let within = |bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .is_ok_and(|value| holds_frame(value) && is_venue_frame(value, depth - 1))
    };
    let mut values = Values::of(value.as_bytes());
    if value.starts_with('[') {
        return values.next().is_some_and(|(_, first)| within(first));
    }
    let mut own = VenueKeys::default();
    let mut name = [0; KEY_BYTES_MAX];
    while let Some((key, value)) = values.next() {
        if own.note(key, value)
            || matches!(key, b"event_type" | b"market" | b"asset_id")
            || (key == b"msg" && is_container(std::str::from_utf8(value).unwrap_or_default()))
            || (own.typed && (own.message || own.numbered))
            || (own.message && own.sequenced)
            || (FRAMES.contains(&plain(key, &mut name)) && within(value))
        {
            return true;
        }
    }
    false
}

fn frame_of(value: &str) -> Option<Cow<'_, str>> {
    match value.starts_with('"') {
        true => unquoted(value).map(Cow::Owned),
        false => is_container(value).then_some(Cow::Borrowed(value)),
    }
}

fn unquoted(quoted: &str) -> Option<String> {
    sonic_rs::from_str(quoted).ok()
}

/// Bytes before the JSON of a line; 0 if it begins with it, or has none near its beginning.
pub(crate) fn prefix(line: &[u8]) -> usize {
    let head = &line[..line.len().min(PREFIX_BYTES_MAX)];
    let from = match head {
        [b'{' | b'"', ..] => return 0,
        [b'[', inside @ ..] => {
            // `[2026-08-06T00:00:00Z] {"a":1}` rather than a list.
            let Some(end) = inside.iter().position(|byte| *byte == b']') else { return 0 };
            let inside = std::str::from_utf8(&inside[..end]);
            if !inside.is_ok_and(|text| time_of(text, None).is_some()) {
                return 0;
            }
            end + 2
        }
        _ => 0,
    };
    let begins = |at: usize| {
        let rest = head[at..].strip_prefix(b"\"").unwrap_or(&head[at..]);
        let Some((b'{' | b'[', inside)) = rest.split_first() else { return false };
        let inside = inside.trim_ascii_start();
        matches!(inside.first(), Some(b'"' | b'{' | b'[' | b'}' | b']' | b'\\') | None)
    };
    (from..head.len())
        .find(|&at| matches!(head[at], b'{' | b'[' | b'"') && begins(at))
        .unwrap_or_default()
}

/// The time in a prefix, if there is one.
fn time_within(prefix: &str) -> Option<u64> {
    let around = |c: char| c.is_ascii_whitespace() || ",;|[]()<>:=\"'#".contains(c);
    let between = |c: char| c.is_ascii_whitespace() || ",;|[]=".contains(c);
    let parts = prefix.split(between).map(|part| part.trim_matches(around));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    // Date and time of day may be separate.
    let pairs =
        parts.windows(2).find_map(|pair| time_of(&format!("{}T{}", pair[0], pair[1]), None));
    pairs.or_else(|| parts.iter().find_map(|part| time_of(part, None)))
}

/// Nanoseconds since the Unix epoch of a number in `unit` (without one, the unit follows from its magnitude) or of an
/// RFC 3339 time (UTC without a zone).
fn time_of(value: &str, unit: Option<u64>) -> Option<u64> {
    let text = value.trim_matches('"');
    if text.len() < 5 && unit.is_none() {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && digits(whole) && digits(fraction) {
        let whole: u64 = whole.parse().ok()?;
        let unit = unit.unwrap_or(match whole {
            0..100_000_000_000 => 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        });
        let mut ns = whole.checked_mul(unit)?;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            ns = ns.checked_add(place * u64::from(digit - b'0'))?;
        }
        return Some(ns);
    }
    if !whole.starts_with(|c: char| c.is_ascii_digit()) || !text.contains('-') {
        return None;
    }
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(at.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests;

//! Extents of the values of a JSON text, without decoding them.
//!
//! Runs on:  the replay's reader (pure). Bounds: one pass, no recursion, no allocation.
//!
//! For routing, envelopes and pretty-printed input. The decoder validates the JSON.
use crate::base::{condition, id::ShardId, routing::shard_of};
use std::io::BufRead as _;

/// Beginning of live frames of both serializers.
const MARKET_FIRST: &[u8] = br#"{"market":""#;

/// Shards that a frame concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Markets of one shard only.
    One(ShardId),
    /// Several shards, or unknown.
    All,
}

/// The shards whose books `frame` may change. Plain text changes none.
pub(crate) fn route(frame: &[u8], shards: u16) -> Route {
    if shards <= 1 {
        return Route::One(ShardId(0));
    }
    let frame = frame.trim_ascii_start();
    match frame.first() {
        Some(b'{') if names_more_than(1, frame) || !is_well_formed(frame) => Route::All,
        Some(b'{') => owner(frame, shards).map_or(Route::All, Route::One),
        Some(b'[') => {
            let mut list = Values::of(frame);
            let mut only = None;
            let mut count = 0;
            while let Some((_, value)) = list.next() {
                count += 1;
                let Some(shard) = owner(value, shards) else { return Route::All };
                if *only.get_or_insert(shard) != shard {
                    return Route::All;
                }
            }
            match list.whole() && !names_more_than(count, frame) {
                true => Route::One(only.unwrap_or_default()),
                false => Route::All,
            }
        }
        _ if frame.iter().any(|byte| matches!(byte, b'{' | b'}' | b'"')) => Route::All,
        _ => Route::One(ShardId(0)),
    }
}

/// Whether a frame has more than `count` `market` keys. If it is invalid JSON, the books of all these markets may have
/// missed a change.
fn names_more_than(count: usize, frame: &[u8]) -> bool {
    const KEY: &[u8] = b"\"market\"";
    let mut found = 0;
    let mut rest = frame;
    // The standard library's search is the fastest available; `m` is rare in frames.
    while rest.skip_until(b'm').is_ok_and(|skipped| skipped > 0) {
        let at = frame.len() - rest.len();
        let there = at >= 2 && frame[at - 2..].starts_with(KEY);
        found += usize::from(there);
        if found > count {
            return true;
        }
    }
    false
}

/// Whether a frame is one object with intact outermost members. If not, two messages may have run together, and a token
/// may be beside the market of another.
fn is_well_formed(frame: &[u8]) -> bool {
    let mut members = Values::of(frame);
    while members.next().is_some() {}
    members.whole()
}

/// The shard of an object's `market`. `None` if it has none, an invalid one (then only its token counts) or one with
/// escapes.
fn owner(object: &[u8], shards: u16) -> Option<ShardId> {
    let market = match object.strip_prefix(MARKET_FIRST) {
        Some(rest) => rest,
        None => {
            let mut members = Values::of(object);
            loop {
                let (key, value) = members.next()?;
                if key.contains(&b'\\') {
                    return None;
                }
                if key == b"market" {
                    break value.strip_prefix(b"\"")?;
                }
            }
        }
    };
    let end = market.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let market = std::str::from_utf8(&market[..end]).ok().filter(|_| market[end] == b'"')?;
    if condition::is_canonical(market) {
        return market.starts_with("0x").then(|| shard_of(market.as_bytes(), shards));
    }
    Some(shard_of(condition::market_id(market)?.as_bytes(), shards))
}

/// Iterates over the values of an object or array, with keys (raw; empty within an array).
#[derive(Debug)]
pub(crate) struct Values<'a> {
    text: &'a [u8],
    at: usize,
    close: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    First,
    Later,
    Ended,
    Broken,
}

impl<'a> Values<'a> {
    /// The values of `text`; none if it is neither object nor array.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let at = skip_space(text, 0);
        let (close, state) = match text.get(at) {
            Some(b'{') => (b'}', State::First),
            Some(b'[') => (b']', State::First),
            _ => (0, State::Broken),
        };
        Self { text, at: at + 1, close, state }
    }

    /// Next key and value; `None` at the end or where the text is damaged.
    pub(crate) fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let found = match self.state {
            State::Ended | State::Broken => return None,
            State::First | State::Later => self.step(),
        };
        if found.is_none() && self.state != State::Ended {
            self.state = State::Broken;
        }
        found
    }

    fn step(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let text = self.text;
        let mut at = skip_space(text, self.at);
        if text.get(at) == Some(&self.close) {
            (self.state, self.at) = (State::Ended, at + 1);
            return None;
        }
        if self.state == State::Later {
            if text.get(at) != Some(&b',') {
                return None;
            }
            at = skip_space(text, at + 1);
        }
        let mut key: &[u8] = b"";
        if self.close == b'}' {
            if text.get(at) != Some(&b'"') {
                return None;
            }
            let end = skip_string(text, at)?;
            key = &text[at + 1..end - 1];
            at = skip_space(text, end);
            if text.get(at) != Some(&b':') {
                return None;
            }
            at = skip_space(text, at + 1);
        }
        let end = skip_value(text, at)?;
        (self.state, self.at) = (State::Later, end);
        Some((key, &text[at..end]))
    }

    /// After the last value: whether the text ended as expected, ignoring whitespace.
    pub(crate) fn whole(&self) -> bool {
        self.state == State::Ended && skip_space(self.text, self.at) == self.text.len()
    }
}

/// Whether `text` is one object or array with matching brackets and quotes.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let at = skip_space(text, 0);
    matches!(text.get(at), Some(b'{' | b'['))
        && skip_value(text, at).is_some_and(|end| skip_space(text, end) == text.len())
}

/// Whether the brackets of a growing text are still open.
#[derive(Debug, Default)]
pub(crate) struct Openness {
    seen: usize,
    depth: usize,
    in_string: bool,
}

impl Openness {
    /// Scans what was added to `text` since the last call.
    pub(crate) fn is_open(&mut self, text: &[u8]) -> bool {
        while let Some(&byte) = text.get(self.seen) {
            match (self.in_string, byte) {
                (true, b'\\') => self.seen += 1,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.seen += 1;
        }
        self.in_string || self.depth > 0
    }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or(b"");
    at + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Index after the string whose quote is at `at`; `None` if it is unterminated.
fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Index after the value at `at`; `None` if it is incomplete.
fn skip_value(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'"' => at = skip_string(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let rest = &text[at..];
                let scalar = rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'));
                let len = scalar.count();
                return (len > 0).then_some(at + len);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests;

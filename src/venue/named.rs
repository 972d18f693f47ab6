//! Ids in a text that no decoder can read: finds the books that a damaged message concerns.
//!
//! Runs on:  shards, replay (pure), for damaged input only. Allocates if the text has escapes.
//! Bounds:   one pass per layer of escapes, at most `ROUNDS_MAX`.
//!
//! An id that touches the end of the text or a byte that is not UTF-8 is ignored: it may be part of a longer one.

use crate::base::limits::MESSAGES_PER_FRAME_MAX;

/// Maximum layers of JSON strings within JSON strings.
const ROUNDS_MAX: usize = 4;
/// A run of at least this many digits is a token id under any key: ids are 256-bit numbers.
const TOKEN_DIGITS_MIN: usize = 50;
/// Length of a market id, bytes: `0x` and 31 or 32 bytes in hexadecimal.
const MARKET_BYTES: [usize; 2] = [64, 66];
/// Keys whose values are market or token ids of any length.
const MARKET_KEYS: [&str; 2] = ["market", "condition_id"];
const TOKEN_KEYS: [&str; 5] =
    ["asset_id", "token_id", "assets_ids", "clob_token_ids", "position_ids"];
/// Keys whose values have the form of ids and are none.
const OTHER_KEYS: [&str; 2] = ["hash", "transaction_hash"];

/// Calls `each` with every id in `text`; `each` returns whether a book of that id exists. Returns false if a message of
/// the text may concern a book without an id in it.
pub fn for_each_id_in(text: &str, mut each: impl FnMut(&str) -> bool) -> bool {
    let mut known = scan_layer(text, &mut each);
    let mut unescaped = None;
    for _ in 0..ROUNDS_MAX {
        let Some(next) = unescape(unescaped.as_deref().unwrap_or(text)) else { break };
        known |= scan_layer(&next, &mut each);
        unescaped = Some(next);
    }
    known
}

/// One layer. In a text of several messages each must have an id; a message begins at its `market` key or a few keys
/// before.
fn scan_layer(text: &str, each: &mut impl FnMut(&str) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (mut known, mut here, mut markets) = (true, false, 0);
    let (mut key, mut at) = ("", 0);
    while at < bytes.len() {
        if !is_id_byte(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_id_byte(bytes[at]) {
            at += 1;
        }
        let item = &text[start..at];
        if item == "market" {
            if markets > 0 {
                known &= here;
                here = false;
            }
            markets += 1;
        }
        let whole = start > 0
            && b"\"' \t\r\n:,[{(".contains(&bytes[start - 1])
            && bytes.get(at).is_some_and(|next| b"\"'\\ \t\r\n:,]})".contains(next));
        if whole && !OTHER_KEYS.contains(&key) {
            let by_form = is_token(item) && item.len() >= TOKEN_DIGITS_MIN
                || is_market(item) && MARKET_BYTES.contains(&item.len());
            let by_key = MARKET_KEYS.contains(&key) && is_market(item)
                || TOKEN_KEYS.contains(&key) && is_token(item);
            if by_form || by_key {
                here |= each(item) | by_form;
            }
        }
        key = item;
    }
    known && here
}

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_token(item: &str) -> bool {
    item.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_market(item: &str) -> bool {
    let digits = item.strip_prefix("0x").unwrap_or("");
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes one layer of JSON escapes; `None` if there is none.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        match characters.next() {
            Some('u') => {
                let hex = characters.as_str().get(..4);
                let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                out.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = if code.is_some() { &characters.as_str()[4..] } else { characters.as_str() };
                continue;
            }
            Some('n' | 'r' | 't' | 'b' | 'f') => out.push(' '),
            Some(other) => out.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    Some(out)
}

/// Values of all keys `market` in a frame that is invalid JSON.
pub fn markets_in(frame: &str) -> impl Iterator<Item = &str> {
    let behind_key = frame.split("\"market\"").skip(1);
    behind_key
        .filter_map(|rest| {
            let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
            rest.split_once('"').map(|(market, _)| market)
        })
        .take(MESSAGES_PER_FRAME_MAX)
}

#[cfg(test)]
mod tests;

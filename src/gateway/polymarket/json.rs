//! JSON of clients: bounded nesting, and text as a JSON string.
//!
//! Runs on:  serve core (pure).
use crate::gateway::nests_deeper;
use serde::Deserialize;

/// Deepest nesting of a client's message; the protocol needs three levels.
const DEPTH_MAX: usize = 16;

/// Reads one JSON value; `None` if it is malformed, of another shape or nested deeper than [`DEPTH_MAX`].
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    if nests_deeper(text, DEPTH_MAX) {
        return None;
    }
    sonic_rs::from_str(text).ok()
}

pub(super) fn push_text(out: &mut String, text: &str) {
    // A string can always be written.
    out.push_str(&sonic_rs::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

#[cfg(test)]
mod tests;

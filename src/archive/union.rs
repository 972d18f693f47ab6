//! Messages that several connections carry, each once.
//!
//! Runs on:  the starting thread (pure). Bounds: `KNOWN_MAX` messages, or those of `KNOWN_NS`, and as many older ones.
use crate::base::time::SECOND_NS;
use std::collections::HashMap;

const KNOWN_MAX: usize = 1 << 18;
const KNOWN_NS: u64 = 600 * SECOND_NS;

/// Capture and connection.
type Place = (usize, u32);

/// How often a message was written, and how often each connection has had it.
#[derive(Debug, Default)]
struct Seen {
    written: u32,
    counts: Vec<(Place, u32)>,
}

/// A message is written as often as the connection with most of it has had it.
#[derive(Debug, Default)]
pub(super) struct Union {
    newer: HashMap<u64, Seen>,
    older: HashMap<u64, Seen>,
    begun_ns: u64,
}

impl Union {
    /// Whether a message with this fingerprint adds to what was written; then it is written.
    pub(super) fn is_new(&mut self, fingerprint: u64, place: Place, receive_ns: u64) -> bool {
        let is_over = receive_ns > self.begun_ns.saturating_add(KNOWN_NS);
        if is_over || self.newer.len() >= KNOWN_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.begun_ns = receive_ns;
        }
        let seen = self
            .newer
            .entry(fingerprint)
            .or_insert_with(|| self.older.remove(&fingerprint).unwrap_or_default());
        let at = seen.counts.iter().position(|(of, _)| *of == place).unwrap_or_else(|| {
            seen.counts.push((place, 0));
            seen.counts.len() - 1
        });
        let count = &mut seen.counts[at].1;
        *count += 1;
        let is_new = *count > seen.written;
        seen.written = seen.written.max(*count);
        is_new
    }
}

#[cfg(test)]
mod tests;

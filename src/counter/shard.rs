//! What a shard counts: input and books. Single writer, copied into heartbeats.
//!
//! Runs on:  any (pure).

/// Counters of what was read; single writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeCounts {
    /// Text frames.
    pub frames: u64,
    /// Venue messages within them.
    pub messages: u64,
    /// Of these, the ones about a book that could be decoded.
    pub events: u64,
    /// Frames or messages that could not be decoded.
    pub decode_errors: u64,
    /// Messages of an unknown kind.
    pub unknown_events: u64,
    /// Texts that are no JSON and no answer to a heartbeat.
    pub unknown_texts: u64,
    /// Sum of the times from read to applied, nanoseconds, over all frames.
    pub frame_ns: u64,
}

/// Counters of all books of a shard; single writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookCounts {
    /// Level changes applied.
    pub updates: u64,
    /// Snapshots applied.
    pub snapshots: u64,
    /// Trades seen.
    pub trades: u64,
    /// Changes of a book without snapshot: not applied.
    pub changes_before_snapshot: u64,
    /// Changes older than the book's snapshot: not applied.
    pub changes_stale: u64,
    /// Messages about tokens that are not held here.
    pub foreign_tokens: u64,
    /// Books open.
    pub books: u64,
    /// Of these, live.
    pub live: u64,
    /// Of these, waiting for the first snapshot.
    pub awaiting: u64,
    /// Of these, known to be behind.
    pub stale: u64,
}

//! What a shard counts: input and books. Single writer, copied into heartbeats.
//!
//! Runs on:  any (pure).
use super::fold::Fold as _;
use serde::Serialize;

/// Counters of what was read; single writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeCounts {
    /// Text and binary frames.
    pub frames: u64,
    /// Of these, binary ones, which no venue should send.
    pub binary_frames: u64,
    /// Venue messages within them.
    pub messages: u64,
    /// Of these, the ones about a book that could be decoded.
    pub events: u64,
    /// Frames or messages that could not be decoded.
    pub decode_errors: u64,
    /// Messages of an unknown kind.
    pub unknown_events: u64,
    /// Messages of a known kind with keys that are not known.
    pub unknown_keys: u64,
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
    /// Snapshots older than their live book, or ahead of all clocks: not applied.
    pub snapshots_refused: u64,
    /// Trades seen.
    pub trades: u64,
    /// Changes of a book without snapshot: not applied.
    pub changes_before_snapshot: u64,
    /// Changes older than the book's snapshot: not applied.
    pub changes_stale: u64,
    /// Messages about tokens that are not held here.
    pub unknown_instruments: u64,
    /// Trades that another connection had delivered already.
    pub trades_repeated: u64,
    /// Trades of markets that had no book when they came: kept only where one opens soon.
    pub trades_without_book: u64,
    /// Books open.
    pub books: u64,
    /// Of these, live.
    pub live: u64,
    /// Of these, waiting for the first snapshot.
    pub awaiting: u64,
    /// Of these, known to be behind.
    pub stale: u64,
}

/// What became of comparing books with what the venue says of them; single writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct CheckCounts {
    /// Best prices that were the venue's.
    pub tops_matched: u64,
    /// Best prices that were not.
    pub tops_mismatched: u64,
    /// Groups of changes without best prices, or out of order: nothing to compare.
    pub tops_unverifiable: u64,
    /// Hashes that were the venue's at once.
    pub hashes_matched: u64,
    /// Hashes that were the venue's with the price of a trade that arrived later, or never.
    pub hashes_explained: u64,
    /// Hashes that were not, whatever the price of the last trade.
    pub hashes_mismatched: u64,
    /// Hashes of which an ingredient was not known.
    pub hashes_unverifiable: u64,
}

/// Proof of one handover: what two connections sent while both carried the same tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct HandoverCounts {
    /// Tokens that moved.
    pub tokens: u64,
    /// Markets that moved.
    pub markets: u64,
    /// Books that were live when they moved and are held at the end.
    pub live: u64,
    /// Of these, live at the end.
    pub live_after: u64,
    /// Messages of both connections while both carried the tokens.
    pub messages: u64,
    /// Messages that both sent: the second one was removed.
    pub duplicates: u64,
    /// Messages that the new connection delivered first, applied at the switch.
    pub ahead: u64,
    /// Messages of the old connection after the switch: not applied.
    pub after_switch: u64,
    /// Messages that arrived on one of them only: lost on the other.
    pub differences: u64,
    /// From the command to switch until nothing was outstanding, nanoseconds.
    pub switch_ns: u64,
    /// The old connection ended before the switch was ordered, and nothing was lost by that.
    pub cut_short: bool,
}

/// What became of books that were asked for over the venue's REST interface; single writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct RepairCounts {
    /// Books asked for because they were not live.
    pub asked: u64,
    /// Books that an answer made live.
    pub repaired: u64,
    /// Answers older than what was known at the asking: not used.
    pub answers_old: u64,
    /// Answers ahead of all clocks: not used.
    pub answers_ahead: u64,
    /// Answers whose levels do not have the hash that they say: not used.
    pub answers_broken: u64,
    /// Live books that were compared and had the same levels.
    pub audits_matched: u64,
    /// The answer was older than the book.
    pub audits_older: u64,
    /// Same time, other message of it, or more of it to come: no verdict.
    pub audits_undecided: u64,
    /// Same time and hash, other levels: the book was wrong.
    pub audits_mismatched: u64,
    /// The answer was newer, and the stream sent the same soon after.
    pub audits_caught_up: u64,
    /// The answer was newer, and the stream never sent it: a message was lost.
    pub audits_behind: u64,
    /// Markets at rest whose two books mirror each other.
    pub mirrors_matched: u64,
    /// Markets at rest whose two books do not: both were compared with the venue's then.
    pub mirrors_mismatched: u64,
    /// Live books of a venue that numbers its messages that had the levels of its REST interface.
    pub polls_matched: u64,
    /// They had other levels and had just changed: no verdict.
    pub polls_undecided: u64,
    /// They had other levels though no message about them arrived around the answer: asked for again on their connection.
    pub polls_different: u64,
    /// Connections that were looked into because their data had stopped.
    pub silences: u64,
    /// Of these, connections that were replaced because the venue's books had moved on.
    pub frozen: u64,
}

impl RepairCounts {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.fold(*other);
        sum
    }
}

impl CheckCounts {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.fold(*other);
        sum
    }

    /// Share of the verdicts in which the book was right, 0 to 1; `None` before the first. What
    /// could not be verified is in neither number.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        let right = self.tops_matched + self.hashes_matched + self.hashes_explained;
        let all = right + self.tops_mismatched + self.hashes_mismatched;
        (all > 0).then(|| right as f64 / all as f64)
    }
}

//! Sequence numbers: one counter per subscription of a connection.
//!
//! Runs on:  shards, replay's reader (pure). Bounds: `SIDS_PER_CONNECTION_MAX` counters per connection.
//!
//! Every message of a subscription is numbered from 1, `ok` responses included (kalshi/protocol.md, 2.7). A missing
//! number is a lost message of an unknown market.
use crate::base::limits::SIDS_PER_CONNECTION_MAX;
use crate::venue::BookContent;

/// Result of a sequence check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The expected number.
    Next,
    /// Not above the last number: *drop the message*.
    Duplicate,
    /// Number of messages missing before it: *every book of the subscription is stale; apply the message*. 0 if it
    /// belongs to another subscription, so that the number is unknown.
    Hole(u64),
}

/// Synthetic subscription ids of messages without `sid`, one per channel, begin here; the venue's are small numbers
/// from 1.
pub const UNNAMED_SID_MIN: u64 = u64::MAX - 3;

/// The counters of one connection.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    last: Vec<(u64, u64)>,
    /// The subscription acknowledged last.
    own: Option<u64>,
}

impl Sequences {
    /// A new session: subscriptions and numbers restart (kalshi/protocol.md, 2.7).
    pub fn reset(&mut self) {
        self.last.clear();
        self.own = None;
    }

    /// A subscription begins: the counters of messages without `sid` restart.
    pub fn begin(&mut self, sid: u64) {
        self.last.retain(|(sid, _)| *sid < UNNAMED_SID_MIN);
        self.own = Some(sid);
    }

    /// The acknowledged subscription and the number of its last message, once both are known.
    pub fn position(&self) -> Option<(u64, u64)> {
        let own = self.own?;
        self.last.iter().find(|(sid, _)| *sid == own).copied()
    }

    /// Continues a session behind this [position](Sequences::position).
    pub fn resume(&mut self, (sid, seq): (u64, u64)) {
        self.reset();
        self.begin(sid);
        self.last.push((sid, seq));
    }

    /// A response names the subscription (kalshi/protocol.md, 2.2): a number above the acknowledged one is a later
    /// subscription whose own acknowledgement was lost. Returns whether it is.
    pub fn confirm(&mut self, sid: u64) -> bool {
        let is_later = self.own.is_none_or(|own| sid > own);
        if is_later {
            self.begin(sid);
        }
        is_later
    }

    /// Checks the number of a message. A first number above 1 is a gap, except in a capture (`begins_anywhere`), whose
    /// beginning may be missing.
    ///
    /// A connection has one book subscription (kalshi/protocol.md, 2.7): a book message with another `sid`, or with
    /// none while others have one, counts as a gap.
    pub fn take(
        &mut self,
        (sid, seq): (u64, u64),
        content: BookContent,
        begins_anywhere: bool,
    ) -> Verdict {
        let other = content != BookContent::None && self.is_other_subscription(sid);
        match self.count(sid, seq, begins_anywhere) {
            Verdict::Next | Verdict::Duplicate if other => Verdict::Hole(0),
            verdict => verdict,
        }
    }

    fn is_other_subscription(&self, sid: u64) -> bool {
        if sid >= UNNAMED_SID_MIN {
            return self.last.iter().any(|(known, _)| *known < UNNAMED_SID_MIN);
        }
        self.own.is_some_and(|own| own != sid)
    }

    fn count(&mut self, sid: u64, seq: u64, begins_anywhere: bool) -> Verdict {
        let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == sid) else {
            if self.last.len() >= SIDS_PER_CONNECTION_MAX {
                // Oldest first.
                self.last.remove(0);
            }
            self.last.push((sid, seq));
            return if seq <= 1 || begins_anywhere {
                Verdict::Next
            } else {
                Verdict::Hole(seq - 1)
            };
        };
        if seq <= *last {
            return Verdict::Duplicate;
        }
        let missing = seq - *last - 1;
        *last = seq;
        if missing == 0 { Verdict::Next } else { Verdict::Hole(missing) }
    }
}

#[cfg(test)]
mod tests;

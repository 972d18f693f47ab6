//! Sequence numbers: one counter for each subscription of a connection.
//!
//! Runs on:  shards, replay's reader (pure). Bounds: `SIDS_PER_CONNECTION_MAX` counters a connection.
//!
//! The venue numbers every message of a subscription from 1, acknowledgements included (kalshi/protocol.md, 2.7). A
//! number that is missing is a message that will not arrive; its market is unknown.
use crate::base::limits::SIDS_PER_CONNECTION_MAX;
use crate::venue::BookContent;

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next one.
    Next,
    /// It was there before: *drop the message*.
    Duplicate,
    /// So many messages are missing before it: *no book of the subscription is right any more; the message itself
    /// counts*. 0 where its subscription is not the one of the connection, and what is missing is not known.
    Hole(u64),
}

/// Numbers from here on stand for the subscriptions of messages that name none, one for each channel: the venue counts
/// small numbers from 1.
pub const UNNAMED_SID_MIN: u64 = u64::MAX - 3;

/// The counters of one connection.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    last: Vec<(u64, u64)>,
    /// The subscription that was acknowledged last.
    own: Option<u64>,
}

impl Sequences {
    /// A new session: subscriptions and numbers begin anew (kalshi/protocol.md, 2.7).
    pub fn reset(&mut self) {
        self.last.clear();
        self.own = None;
    }

    /// A subscription begins: what comes without a subscription's number counts anew.
    pub fn begin(&mut self, sid: u64) {
        self.last.retain(|(sid, _)| *sid < UNNAMED_SID_MIN);
        self.own = Some(sid);
    }

    /// Takes the number of a message. The first one of a subscription that does not begin at 1 is a hole, but
    /// for a recording (`begins_anywhere`), whose beginning may be missing.
    ///
    /// A connection has one subscription of books (kalshi/protocol.md, 2.7): a message of a book that names another
    /// one, or none where others do, may be one that the subscription misses, and is a hole.
    pub fn take(
        &mut self,
        (sid, seq): (u64, u64),
        content: BookContent,
        begins_anywhere: bool,
    ) -> Verdict {
        let foreign = content != BookContent::None && self.is_foreign(sid);
        match self.count(sid, seq, begins_anywhere) {
            Verdict::Next | Verdict::Duplicate if foreign => Verdict::Hole(0),
            verdict => verdict,
        }
    }

    fn is_foreign(&self, sid: u64) -> bool {
        if sid >= UNNAMED_SID_MIN {
            return self.last.iter().any(|(known, _)| *known < UNNAMED_SID_MIN);
        }
        self.own.is_some_and(|own| own != sid)
    }

    fn count(&mut self, sid: u64, seq: u64, begins_anywhere: bool) -> Verdict {
        let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == sid) else {
            if self.last.len() >= SIDS_PER_CONNECTION_MAX {
                // A venue that opens subscriptions without end: the oldest is forgotten.
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
mod tests {
    use super::*;

    #[test]
    fn each_subscription_counts_by_itself_and_nothing_is_taken_twice() {
        let mut sequences = Sequences::default();
        let mut take = |sid, seq| sequences.take((sid, seq), BookContent::None, false);
        assert_eq!(take(1, 1), Verdict::Next);
        assert_eq!(take(2, 1), Verdict::Next);
        assert_eq!(take(1, 2), Verdict::Next);
        assert_eq!(take(1, 2), Verdict::Duplicate);
        assert_eq!(take(1, 5), Verdict::Hole(2));
        assert_eq!(take(1, 4), Verdict::Duplicate, "late: its place is gone");
        assert_eq!(take(1, 6), Verdict::Next);
        assert_eq!(take(2, 2), Verdict::Next);
        assert_eq!(take(3, 3), Verdict::Hole(2), "a live subscription begins at 1");
        sequences.reset();
        assert_eq!(sequences.count(1, 1, false), Verdict::Next);
        assert_eq!(sequences.count(7, 900, true), Verdict::Next, "a recording begins anywhere");
        for sid in 10..1000 {
            sequences.count(sid, 1, false);
        }
        assert!(sequences.last.len() <= SIDS_PER_CONNECTION_MAX);
    }

    #[test]
    fn a_book_of_another_subscription_or_of_none_is_a_hole() {
        for anywhere in [false, true] {
            let mut sequences = Sequences::default();
            sequences.begin(1);
            let mut take = |sid, seq, content| sequences.take((sid, seq), content, anywhere);
            assert_eq!(take(1, 1, BookContent::Snapshot), Verdict::Next);
            assert_eq!(take(1, 2, BookContent::Change), Verdict::Next);
            for sid in [9, UNNAMED_SID_MIN] {
                // The first message of a subscription, the next one, and the same again.
                for seq in [1, 2, 2] {
                    assert_eq!(
                        take(sid, seq, BookContent::Change),
                        Verdict::Hole(0),
                        "{sid}/{seq}"
                    );
                }
            }
            assert_eq!(take(9, 3, BookContent::None), Verdict::Next, "no book is concerned");
            assert_eq!(take(1, 3, BookContent::Change), Verdict::Next);
            // Another one takes its place.
            sequences.begin(2);
            assert_eq!(sequences.take((2, 1), BookContent::Change, anywhere), Verdict::Next);
            assert_eq!(sequences.take((1, 4), BookContent::Change, anywhere), Verdict::Hole(0));
            // Where none was acknowledged, or none is ever named, any will do.
            sequences.reset();
            assert_eq!(sequences.take((7, 1), BookContent::Change, anywhere), Verdict::Next);
            sequences.reset();
            let unnamed = (UNNAMED_SID_MIN, 1);
            assert_eq!(sequences.take(unnamed, BookContent::Change, anywhere), Verdict::Next);
        }
    }
}

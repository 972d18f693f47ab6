//! Slices of a cluster's member whose books are on the bus, so that it may claim them as live.
//!
//! Runs on:  the thread `bus` (pure).
//!
//! Books are live at their shard first. What a shard has published of them waits in the serve core, in the link and in
//! the producer: a slice is shown when all that was there when it became live is acknowledged by the broker. The former
//! owner ends soon after the claim, and no reader may be without a book then.
use crate::base::slices::SliceSet;
use crate::base::time::{MILLISECOND_NS, Now};

/// A change is in the link after this time, unless the serve core is late.
const SERVE_NS: u64 = 100 * MILLISECOND_NS;

/// Slices that will be shown.
#[derive(Debug)]
struct Next {
    live: SliceSet,
    since_ns: u64,
    /// What was published before is at the producer.
    is_sent: bool,
}

/// How far records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The link is empty.
    pub(super) is_sent: bool,
    /// What was sent before the last mark is acknowledged.
    pub(super) is_acknowledged: bool,
}

/// The slices that are shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    slices: SliceSet,
    next: Option<Next>,
}

impl Shown {
    /// Takes the slices that are live now; whether the producer is to set a mark.
    pub(super) fn poll(&mut self, live: SliceSet, progress: Progress, now: Now) -> bool {
        self.slices = self.slices.and(&live);
        match &mut self.next {
            None if live != self.slices => {
                self.next = Some(Next { live, since_ns: now.mono_ns, is_sent: false });
            }
            Some(next) if !next.is_sent => {
                next.is_sent = progress.is_sent && now.mono_ns >= next.since_ns + SERVE_NS;
                return next.is_sent;
            }
            Some(next) if progress.is_acknowledged => {
                self.slices = next.live.and(&live);
                self.next = None;
            }
            _ => {}
        }
        false
    }

    /// There is another producer: what was sent before may be lost.
    pub(super) fn begin_again(&mut self) {
        self.next = None;
    }

    /// The slices.
    pub(super) const fn slices(&self) -> SliceSet {
        self.slices
    }
}

#[cfg(test)]
mod tests;

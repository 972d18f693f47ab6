//! Flags between a replay and its only subscriber, beside the books: ready, begin, end.
//!
//! Runs on:  a replay's threads (ready, end), serve core (begin, stop). Flags; nothing is lost when nobody looks.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// How a replay has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayEnd {
    /// The range is over; all its updates were sent.
    Complete,
    /// The recording cannot be read; the log says why.
    Failed,
}

/// The flags of one replay.
#[derive(Debug, Default)]
pub struct ReplayGate {
    ready: AtomicBool,
    begin: AtomicBool,
    end: AtomicU8,
    whole: AtomicU64,
    /// The subscriber has gone: the replay ends.
    pub stop: Arc<AtomicBool>,
}

impl ReplayGate {
    /// The books are those of the range's beginning, and requests are taken.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether [`ReplayGate::set_ready`] was called.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The subscriber has what it wants of the beginning: time goes on.
    pub fn begin(&self) {
        self.begin.store(true, Ordering::Release);
    }

    /// Whether [`ReplayGate::begin`] was called.
    pub fn has_begun(&self) -> bool {
        self.begin.load(Ordering::Acquire)
    }

    /// So many updates were sent, the last of them the last one of its message.
    pub fn set_whole(&self, sent: u64) {
        self.whole.store(sent, Ordering::Release);
    }

    /// Updates that may be taken: those of whole messages.
    pub fn whole(&self) -> u64 {
        self.whole.load(Ordering::Acquire)
    }

    /// No more updates follow.
    pub fn set_end(&self, end: ReplayEnd) {
        let number = match end {
            ReplayEnd::Complete => 1,
            ReplayEnd::Failed => 2,
        };
        self.end.store(number, Ordering::Release);
    }

    /// How it has ended. Updates sent before are in the ring.
    pub fn end(&self) -> Option<ReplayEnd> {
        match self.end.load(Ordering::Acquire) {
            0 => None,
            1 => Some(ReplayEnd::Complete),
            _ => Some(ReplayEnd::Failed),
        }
    }

    /// Whether the subscriber has gone.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

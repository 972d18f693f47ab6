//! `cluster_control`: which slices this machine follows, and which of them are live.
//!
//! Runs on:  the thread `cluster` (what is to be followed and published), the control core (what is live, every cycle
//! of 2 to 10 ms), the thread `bus` (what is shown). State, not messages: there is nothing to be full, and a reader
//! that is late sees the newest.
use crate::base::slices::SharedSlices;
use std::sync::atomic::{AtomicBool, Ordering};

/// The slices of this machine.
#[derive(Debug, Default)]
pub struct SliceBoard {
    /// Whose markets are to be followed; the cluster.
    pub followed: SharedSlices,
    /// Whose books and trades are to be published; the cluster.
    pub published: SharedSlices,
    /// Of those that are followed, whose books are all live; the control core.
    pub live: SharedSlices,
    /// Of those that are live, whose books the broker has; the bus.
    pub shown: SharedSlices,
    is_ready: AtomicBool,
}

impl SliceBoard {
    /// Whether the markets of every venue are known, so that a slice can be followed at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// The markets are known; the control core's alone.
    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }
}

//! `cluster_control`: which slices this machine follows, which of them are live, and markets that others have found.
//!
//! Runs on:  the thread `cluster` (what is to be followed and published; markets), the control core (what is live,
//! every cycle of 2 to 10 ms), the thread `bus` (what is shown). Slices are state, not messages: there is nothing to be
//! full, and a reader that is late sees the newest. Depth of the markets: `CLUSTER_MARKETS_DEPTH`; when full the thread
//! `cluster` reads no more until there is room.
use crate::base::id::Venue;
use crate::base::slices::SharedSlices;
use crate::market::info::MarketEvent;
use crate::ring::Producer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What another member has published of a market.
pub type SharedMarket = Box<(Venue, MarketEvent)>;
/// The end of the thread `cluster`.
pub type MarketSender = Producer<SharedMarket>;

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
    shares_catalog: bool,
    scans: AtomicBool,
    has_read: AtomicBool,
    scanned_wall_ns: AtomicU64,
    members: AtomicU64,
}

impl SliceBoard {
    /// No slice. `shares_catalog`: one member scans for all; otherwise each follows markets that were named to it.
    #[must_use]
    pub fn new(shares_catalog: bool) -> Self {
        Self { shares_catalog, scans: AtomicBool::new(!shares_catalog), ..Self::default() }
    }

    /// Whether one member scans for all.
    pub const fn shares_catalog(&self) -> bool {
        self.shares_catalog
    }

    /// Whether this machine scans the catalogs, and publishes what it finds.
    pub fn scans(&self) -> bool {
        self.scans.load(Ordering::Acquire)
    }

    /// It scans from now on, or no longer; the cluster's alone.
    pub fn set_scans(&self, scans: bool) {
        self.scans.store(scans, Ordering::Release);
    }

    /// Whether the markets that others had published before the start were passed.
    pub fn has_read(&self) -> bool {
        self.has_read.load(Ordering::Acquire)
    }

    /// They were; the cluster's alone.
    pub fn set_read(&self) {
        self.has_read.store(true, Ordering::Release);
    }

    /// End of the last complete scan, nanoseconds since the Unix epoch; of several venues the first one; 0 for none.
    pub fn scanned_wall_ns(&self) -> u64 {
        self.scanned_wall_ns.load(Ordering::Acquire)
    }

    /// A scan has ended; the control core's alone.
    pub fn set_scanned(&self, wall_ns: u64) {
        self.scanned_wall_ns.store(wall_ns, Ordering::Release);
    }

    /// Members that share the limits of an account with this one, which is among them; 0 before it has joined.
    pub fn members(&self) -> u64 {
        self.members.load(Ordering::Acquire)
    }

    /// So many there are; the cluster's alone.
    pub fn set_members(&self, members: u64) {
        self.members.store(members, Ordering::Release);
    }

    /// Whether the markets of every venue are known, so that a slice can be followed at once.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// The markets are known; the control core's alone.
    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }
}

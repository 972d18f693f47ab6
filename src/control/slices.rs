//! The slices of a cluster's member: what the cluster wants followed, and what is live.
//!
//! Runs on:  control core.
use super::controller::Controller;
use super::markets::Markets;
use super::placement::Action;
use super::registry::Progress;
use crate::base::id::ConnectionId;
use crate::base::slices::SliceSet;
use crate::base::time::{MILLISECOND_NS, Now};
use crate::link::cluster_control::SliceBoard;
use crate::link::shard_control::ConnectionBeat;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Interval in which books are counted while a followed slice is not live: that of heartbeats.
const COUNT_INTERVAL_NS: u64 = 500 * MILLISECOND_NS;

/// The board of the cluster, and when books are counted again.
#[derive(Debug)]
pub(super) struct Slices {
    board: Arc<SliceBoard>,
    next_count_ns: u64,
    /// What the controllers follow.
    followed: Option<SliceSet>,
    live: SliceSet,
}

impl Slices {
    pub(super) fn new(board: Arc<SliceBoard>) -> Self {
        Self { board, next_count_ns: 0, followed: None, live: SliceSet::default() }
    }

    /// Follows what the cluster wants, and reports what is live.
    pub(super) fn step(&mut self, venues: &mut [Controller], now: Now) {
        let followed = self.board.followed.get();
        if self.followed != Some(followed) {
            self.followed = Some(followed);
            venues.iter_mut().for_each(|venue| venue.follow_slices(followed, now));
            self.live = self.live.and(&followed);
            self.board.live.set(self.live);
            // A book is not live before the next heartbeat.
            self.next_count_ns = now.mono_ns + COUNT_INTERVAL_NS;
        }
        if now.mono_ns < self.next_count_ns {
            return;
        }
        self.next_count_ns = now.mono_ns + COUNT_INTERVAL_NS;
        if !self.board.is_ready() {
            if !venues.iter().all(Controller::knows_markets) {
                return;
            }
            self.board.set_ready();
        }
        if self.live != followed {
            let live = venues.iter().map(Controller::live_slices);
            self.live = live.fold(followed, |all, live| all.and(&live));
            self.board.live.set(self.live);
        }
    }
}

impl Controller {
    /// Follows the markets of these slices and no others.
    fn follow_slices(&mut self, slices: SliceSet, now: Now) {
        let left = self.markets.registry.follow_slices(slices, now.mono_ns);
        for (connection, tokens) in left {
            self.carry_out(Action::Unsubscribe { connection, tokens }, now);
        }
        self.connections.placement.request_check();
    }

    /// Whether the catalog was read, or every name was answered where it is not.
    fn knows_markets(&self) -> bool {
        let Markets { lifecycle, discovery, .. } = &self.markets;
        match lifecycle.is_scanning() {
            true => self.markets.report().scans_completed > 0,
            false => discovery.is_idle(),
        }
    }

    /// Followed slices whose books are all live.
    fn live_slices(&self) -> SliceSet {
        let beats = self.shards.iter().flat_map(|shard| {
            let at_ns = shard.heartbeat.at.mono_ns;
            shard.heartbeat.connections.iter().map(move |beat| (beat.connection, (at_ns, *beat)))
        });
        let beats: BTreeMap<ConnectionId, (u64, ConnectionBeat)> = beats.collect();
        let registry = &self.markets.registry;
        registry.live_slices(|connection| {
            let (counted_ns, beat) = beats.get(&connection)?;
            let active = registry.load(connection)?.active();
            let is_live = beat.up && beat.live as usize >= active;
            Some(Progress { counted_ns: *counted_ns, is_live })
        })
    }
}

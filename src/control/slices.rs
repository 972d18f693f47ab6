//! The slices of a cluster's member: what the cluster wants followed, what is live, and markets of other members.
//!
//! Runs on:  control core.
use super::controller::Controller;
use super::markets::Markets;
use super::placement::Action;
use super::registry::Progress;
use crate::base::id::ConnectionId;
use crate::base::slices::SliceSet;
use crate::base::time::{MILLISECOND_NS, Now};
use crate::link::cluster_control::{SharedMarket, SliceBoard};
use crate::link::shard_control::ConnectionBeat;
use crate::ring::Consumer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Interval in which books are counted while a followed slice is not live: that of heartbeats.
const COUNT_INTERVAL_NS: u64 = 500 * MILLISECOND_NS;
/// Without another market of the other members for this long, those that wait are placed.
const PLACE_NS: u64 = 500 * MILLISECOND_NS;

/// The board of the cluster, and when books are counted again.
#[derive(Debug)]
pub(super) struct Slices {
    board: Arc<SliceBoard>,
    markets: Consumer<SharedMarket>,
    /// Whether the venues scan.
    scans: Option<bool>,
    /// When markets of other members are placed.
    place_ns: Option<u64>,
    next_count_ns: u64,
    members: Option<u64>,
    /// What the controllers follow.
    followed: Option<SliceSet>,
    live: SliceSet,
}

impl Slices {
    pub(super) fn new(board: Arc<SliceBoard>, markets: Consumer<SharedMarket>) -> Self {
        Self {
            board,
            markets,
            scans: None,
            place_ns: None,
            next_count_ns: 0,
            members: None,
            followed: None,
            live: SliceSet::default(),
        }
    }

    /// Scans or not, as the cluster wants, and takes what other members have found. Whether all is taken that they had
    /// found before the start.
    fn share_catalog(&mut self, venues: &mut [Controller], now: Now) -> bool {
        let (scans, has_read) = (self.board.scans(), self.board.has_read());
        if self.scans != Some(scans) {
            self.scans = Some(scans);
            venues.iter_mut().for_each(|venue| venue.set_scanning(scans));
        }
        while let Some(shared) = self.markets.try_receive() {
            let (name, event) = *shared;
            if let Some(venue) = venues.iter_mut().find(|venue| venue.venue == name) {
                venue.markets.on_shared(event, now);
                self.place_ns = Some(now.mono_ns + PLACE_NS);
            }
        }
        if self.place_ns.is_some_and(|place_ns| now.mono_ns >= place_ns) {
            self.place_ns = None;
            venues.iter_mut().for_each(|venue| venue.connections.placement.request_check());
        }
        let scanned = venues.iter().map(|venue| venue.markets.discovery.scanned_wall_ns()).min();
        self.board.set_scanned(scanned.unwrap_or(0));
        has_read
    }

    /// Follows what the cluster wants, and reports what is live.
    pub(super) fn step(&mut self, venues: &mut [Controller], now: Now) {
        let has_read = self.board.shares_catalog() && self.share_catalog(venues, now);
        let members = self.board.members();
        if self.members.replace(members) != Some(members) {
            venues.iter_mut().for_each(|venue| venue.connections.placement.share_among(members));
        }
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
            if !has_read && !venues.iter().all(Controller::knows_markets) {
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

    /// Scans from now on and publishes every market, or takes them from another member.
    fn set_scanning(&mut self, scans: bool) {
        if scans && !self.markets.discovery.is_scanning() {
            self.markets.registry.mark_all_unpublished();
        }
        self.markets.discovery.set_scanning(scans);
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

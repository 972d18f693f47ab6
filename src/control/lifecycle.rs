//! Lifecycle of markets: registered, expired, removed.
//!
//! Runs on:  control core (pure). Ends are compared with the wall clock, waits with the monotonic clock.
//! Owns:     times of the next checks; markets seen by the present scan.
//! Bounds:   `markets_max`, if set, for markets not named by a user.
//!
//! A venue may end a market without a message, so ends are checked by time; a scan lists open markets only, so a
//! market that it no longer lists is requested by id.
#[cfg(test)]
mod tests;

use crate::base::id::{ConnectionId, MarketId, TokenId};
use crate::base::limits;
use crate::base::time::Now;
use crate::control::discovery::Answer;
use crate::control::placement::Action;
use crate::control::registry::{Refusal, Registered, Registry, Source, Status};
use crate::counter::report::LifecycleReport;
use crate::market::info::{Closed, MarketEvent, MarketInfo, MarketStage, MarketUpdate};
use crate::venue::skip::{SkipReason, Skipped};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which markets are registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifecycleOptions {
    /// Registers markets of scans and of the stream, not only named ones.
    pub scanning: bool,
    /// Limit of markets registered from scans and the stream.
    pub markets_max: Option<u64>,
    /// A market whose end has passed stays or returns while the catalog lists it as trading. Otherwise it expires at
    /// its end.
    pub trust_catalog_after_end: bool,
    /// Markets open at their start without a message; they wait until then.
    pub opens_by_clock: bool,
    /// Only clients of the gateway name markets: until one does, there is nothing to follow.
    pub awaits_clients: bool,
    /// Markets keep their [`Listing`](crate::market::info::Listing).
    pub keeps_listings: bool,
}

/// Requests of [`Lifecycle::poll`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Tokens to unsubscribe, by connection.
    pub actions: Vec<Action>,
    /// Markets that may have closed, for [`super::discovery::Discovery::confirm`].
    pub confirm: Vec<MarketId>,
}

/// Registers, expires and removes markets.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    options: LifecycleOptions,
    next_expiry_ns: u64,
    next_cleanup_ns: Option<u64>,
    next_confirm_ns: Option<u64>,
    /// Markets listed by the present scan.
    seen: HashSet<MarketId>,
    scan: u64,
    scan_completed: bool,
    /// Scheduled markets by start.
    scheduled: BTreeMap<(u64, MarketId), (MarketInfo, Source)>,
    scheduled_starts: HashMap<MarketId, u64>,
    /// Markets expired by time.
    ended: HashSet<MarketId>,
    /// Markets of the last response that were not registered.
    refused: Vec<Skipped>,
    /// A market came while the registry was full.
    above_bound: bool,
    counts: LifecycleReport,
}

/// Ended without result.
fn is_undecided(market: &MarketId, registry: &Registry) -> bool {
    let record = registry.market(market);
    record.is_some_and(|r| r.status == Status::Expired && r.resolution.is_none())
}

impl Lifecycle {
    /// No market.
    #[must_use]
    pub fn new(options: LifecycleOptions) -> Self {
        Self {
            options,
            next_expiry_ns: 0,
            next_cleanup_ns: None,
            next_confirm_ns: None,
            seen: HashSet::new(),
            scan: 0,
            scan_completed: false,
            scheduled: BTreeMap::new(),
            scheduled_starts: HashMap::new(),
            ended: HashSet::new(),
            refused: Vec::new(),
            above_bound: false,
            counts: LifecycleReport::default(),
        }
    }

    /// Takes a catalog response.
    pub fn on_answer(&mut self, now: Now, answer: Answer, registry: &mut Registry) {
        self.refused.clear();
        let Some(source) = answer.source else { return };
        if answer.scan != 0 && answer.scan != self.scan {
            self.scan = answer.scan;
            self.seen.clear();
        }
        for mut info in answer.markets {
            if !self.options.keeps_listings {
                info.listing = None;
            }
            if answer.scan != 0 {
                self.seen.insert(info.market);
            }
            if self.add(now, info, source, registry) {
                self.counts.markets_discovered += 1;
            }
        }
        for Closed { market, resolution } in &answer.closed {
            self.ended.remove(market);
            if resolution.is_decided() {
                registry.resolve(market, resolution.clone(), now.wall_ns);
            }
            if registry.mark_expired(market, now.mono_ns) {
                self.counts.markets_expired += 1;
            }
        }
        self.scan_completed |= answer.scan_completed || answer.scan != 0 && self.is_full(registry);
    }

    /// Markets of the last response that were not registered, with reasons.
    pub fn take_refused(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.refused)
    }

    /// Takes a market update of the stream. Announcements repeat on every connection; the first counts.
    pub fn on_market_update(&mut self, now: Now, update: MarketUpdate, registry: &mut Registry) {
        match update {
            MarketUpdate::Announced(info) => {
                if !registry.is_known(&info.market)
                    && self.options.scanning
                    && self.add(now, info, Source::Stream, registry)
                {
                    self.counts.markets_announced += 1;
                }
            }
            MarketUpdate::Resolved { market, resolution } => {
                self.ended.remove(&market);
                registry.resolve(&market, resolution, now.wall_ns);
                self.unschedule(&market);
                if registry.mark_expired(&market, now.mono_ns) {
                    self.counts.markets_resolved += 1;
                }
            }
            MarketUpdate::Activated { market } => {
                if let Some((info, source)) = self.unschedule(&market) {
                    let info = MarketInfo { start_wall_ns: Some(now.wall_ns), ..info };
                    self.counts.markets_announced +=
                        u64::from(self.add(now, info, source, registry));
                } else if self.ended.remove(&market) || is_undecided(&market, registry) {
                    // It was closed and trades again; its new end came before (kalshi/protocol.md, 3.4).
                    registry.revive(&market, now.mono_ns);
                }
            }
            // A market that pauses keeps its book.
            MarketUpdate::Deactivated { .. } => {}
            MarketUpdate::EndMoved { market, end_wall_ns } => {
                let moved = |info: &MarketInfo| MarketInfo {
                    end_wall_ns: Some(end_wall_ns),
                    ..info.clone()
                };
                if let Some((info, source)) = self.unschedule(&market) {
                    self.schedule(moved(&info), source, registry);
                } else if let Some(record) = registry.market(&market) {
                    let info = moved(&record.info);
                    registry.refresh(&info);
                    if end_wall_ns > now.wall_ns && self.ended.remove(&market) {
                        // It had expired by the clock alone.
                        registry.revive(&market, now.mono_ns);
                    }
                }
            }
            MarketUpdate::Settled { market } => {
                self.ended.remove(&market);
                self.unschedule(&market);
                if registry.mark_expired(&market, now.mono_ns) {
                    self.counts.markets_resolved += 1;
                }
            }
        }
    }

    /// Takes what another member of the cluster has published of a market; facts of a known one only if `takes_facts`.
    pub fn on_shared(
        &mut self,
        now: Now,
        event: MarketEvent,
        takes_facts: bool,
        registry: &mut Registry,
    ) {
        self.refused.clear();
        let MarketEvent { stage, mut info, resolution, .. } = event;
        let market = info.market;
        match stage {
            MarketStage::New | MarketStage::Opened => {
                let known = registry.market(&market).map(|record| &record.info);
                match known {
                    Some(known) if !takes_facts => info = known.clone(),
                    Some(known) => info.listing = info.listing.or_else(|| known.listing.clone()),
                    None => {}
                }
                if !self.options.keeps_listings {
                    info.listing = None;
                }
                self.counts.markets_discovered +=
                    u64::from(self.add(now, info, Source::Catalog, registry));
            }
            // It returns if the catalog lists it as trading.
            MarketStage::Ended => {
                if registry.mark_expired(&market, now.mono_ns) {
                    self.counts.markets_expired += 1;
                    self.ended.insert(market);
                }
            }
            MarketStage::Resolved => {
                let resolution = resolution.unwrap_or_default();
                let update = MarketUpdate::Resolved { market, resolution };
                self.on_market_update(now, update, registry);
            }
        }
    }

    /// Whether `markets_max` is reached, so that scans may stop.
    pub fn is_full(&self, registry: &Registry) -> bool {
        self.options.markets_max.is_some_and(|max| registry.report().markets >= max)
    }

    /// Expires ended markets, removes those expired long ago, returns markets to confirm. Cheap when nothing is due.
    pub fn poll(&mut self, now: Now, registry: &mut Registry) -> Upkeep {
        let mut upkeep = Upkeep::default();
        if now.mono_ns >= self.next_expiry_ns {
            self.next_expiry_ns = now.mono_ns + limits::EXPIRY_INTERVAL_NS;
            self.expire_ended(now, registry);
        }
        if self.options.opens_by_clock {
            // No message announces it (kalshi/protocol.md, 3.4); both checks cost nothing where nothing is due.
            self.open_begun(now, registry);
            self.expire_ended(now, registry);
        }
        let first = now.mono_ns + limits::CLEANUP_INTERVAL_NS;
        let cleanup_ns = *self.next_cleanup_ns.get_or_insert(first);
        if now.mono_ns >= cleanup_ns {
            self.next_cleanup_ns = Some(now.mono_ns + limits::CLEANUP_INTERVAL_NS);
            upkeep.actions = self.remove_expired(now, registry);
        }
        upkeep.confirm = self.absent(now, registry);
        upkeep
    }

    /// Whether markets of scans and the stream are registered.
    pub const fn is_scanning(&self) -> bool {
        self.options.scanning
    }

    /// Whether only clients of the gateway name markets.
    pub const fn awaits_clients(&self) -> bool {
        self.options.awaits_clients
    }

    /// Adds its counters to the report, and refusals of the registry to the skipped markets.
    pub fn report(&self, report: &mut LifecycleReport) {
        report.markets_discovered = self.counts.markets_discovered;
        report.markets_announced = self.counts.markets_announced;
        report.markets_resolved = self.counts.markets_resolved;
        report.markets_expired = self.counts.markets_expired;
        report.markets_removed = self.counts.markets_removed;
        report.markets_skipped += self.counts.markets_skipped;
    }

    /// Registers a market or updates its facts. True if new.
    fn add(
        &mut self,
        now: Now,
        mut info: MarketInfo,
        source: Source,
        registry: &mut Registry,
    ) -> bool {
        let ended = info.end_wall_ns.is_some_and(|end| end < now.wall_ns);
        let market = info.market;
        let known = registry.market(&market).map(|record| record.source);
        let asked = source == Source::Manual || known == Some(Source::Manual);
        let stays = self.options.trust_catalog_after_end || asked;
        if ended && stays {
            // It trades: its end does not bind.
            info.end_wall_ns = None;
        }
        let begins = info.start_wall_ns.is_some_and(|start| start > now.wall_ns);
        if self.options.opens_by_clock && begins && known.is_none() && !ended {
            self.schedule(info, source, registry);
            return false;
        }
        if known.is_some() {
            if !registry.refresh(&info) {
                self.refuse(&info, SkipReason::OtherTokens);
            }
            // It had expired by the clock alone; it is listed as trading, or with a later end.
            if (stays || !ended) && self.ended.remove(&market) {
                registry.revive(&market, now.mono_ns);
            }
            return false;
        }
        if !asked && ended && !stays {
            self.refuse(&info, SkipReason::Ended);
            return false;
        }
        if !asked && self.is_full(registry) {
            return false;
        }
        let name = info.slug.clone();
        let soon = now.wall_ns.saturating_add(limits::ENDS_SOON_NS);
        let ends_soon = info.end_wall_ns.is_some_and(|end| end < soon);
        match registry.register(info, now.mono_ns, source) {
            Registered::New => {
                if ends_soon {
                    registry.hasten(&market);
                }
                true
            }
            Registered::Known => false,
            Registered::Refused(refusal) => {
                self.above_bound |= refusal == Refusal::Full;
                self.counts.markets_skipped += 1;
                let reason = match refusal {
                    Refusal::Tokens => SkipReason::BadToken,
                    Refusal::TokenTaken => SkipReason::TokenTaken,
                    Refusal::Full => SkipReason::Full,
                };
                self.refused.push(Skipped::new(Some(market), &name, reason));
                false
            }
        }
    }

    /// Stores a scheduled market or its new facts.
    fn schedule(&mut self, info: MarketInfo, source: Source, registry: &mut Registry) {
        self.unschedule(&info.market);
        let Some(start) = info.start_wall_ns else { return };
        if self.scheduled.len() >= registry.markets_max() {
            self.refuse(&info, SkipReason::Full);
        } else {
            registry.mark_unpublished(&info.market);
            self.scheduled_starts.insert(info.market, start);
            self.scheduled.insert((start, info.market), (info, source));
        }
    }

    fn refuse(&mut self, info: &MarketInfo, reason: SkipReason) {
        self.refused.push(Skipped::new(Some(info.market), &info.slug, reason));
    }

    fn unschedule(&mut self, market: &MarketId) -> Option<(MarketInfo, Source)> {
        let start = self.scheduled_starts.remove(market)?;
        self.scheduled.remove(&(start, *market))
    }

    /// Registers markets whose start has passed.
    fn open_begun(&mut self, now: Now, registry: &mut Registry) {
        while let Some(first) = self.scheduled.first_entry() {
            if first.key().0 > now.wall_ns {
                return;
            }
            let (info, source) = first.remove();
            self.scheduled_starts.remove(&info.market);
            self.counts.markets_discovered += u64::from(self.add(now, info, source, registry));
        }
    }

    /// Whether a market was refused because of `markets_max`.
    pub const fn is_above_bound(&self) -> bool {
        self.above_bound
    }

    /// The scheduled market with this token. O(scheduled markets).
    pub fn scheduled_with(&self, token: &TokenId) -> Option<&MarketInfo> {
        let has = |info: &&MarketInfo| info.tokens.iter().any(|outcome| outcome.token == *token);
        self.scheduled.values().map(|(info, _)| info).find(has)
    }

    /// A scheduled market.
    pub fn scheduled_market(&self, market: &MarketId) -> Option<&MarketInfo> {
        let start = *self.scheduled_starts.get(market)?;
        self.scheduled.get(&(start, *market)).map(|(info, _)| info)
    }

    /// Number of scheduled markets.
    pub fn scheduled(&self) -> usize {
        self.scheduled.len()
    }

    fn expire_ended(&mut self, now: Now, registry: &mut Registry) {
        let due = registry.expiring_before(now.wall_ns).map(|record| record.info.market);
        for market in due.collect::<Vec<_>>() {
            if registry.mark_expired(&market, now.mono_ns) {
                self.counts.markets_expired += 1;
                self.ended.insert(market);
            }
        }
        for market in registry.shared_ending_before(now.wall_ns) {
            self.counts.markets_expired += u64::from(registry.mark_expired(&market, now.mono_ns));
        }
    }

    fn remove_expired(&mut self, now: Now, registry: &mut Registry) -> Vec<Action> {
        let before_ns = (now.mono_ns + 1).saturating_sub(limits::CLEANUP_GRACE_NS);
        let due = registry.expired_before(before_ns).map(|record| record.info.market);
        let mut left: BTreeMap<ConnectionId, Vec<TokenId>> = BTreeMap::new();
        for market in due.collect::<Vec<_>>() {
            self.ended.remove(&market);
            let Some(record) = registry.remove(&market) else { continue };
            self.counts.markets_removed += 1;
            if let Some(connection) = record.connection {
                let tokens = record.info.tokens.iter().map(|outcome| outcome.token);
                left.entry(connection).or_default().extend(tokens);
            }
        }
        let unsubscribe = |(connection, tokens)| Action::Unsubscribe { connection, tokens };
        left.into_iter().map(unsubscribe).collect()
    }

    /// Markets to confirm: after a scan those not listed; without scans every market, once per interval.
    fn absent(&mut self, now: Now, registry: &Registry) -> Vec<MarketId> {
        if !self.options.scanning {
            let first = now.mono_ns + limits::DISCOVERY_INTERVAL_NS;
            let due_ns = *self.next_confirm_ns.get_or_insert(first);
            if now.mono_ns < due_ns {
                return Vec::new();
            }
            self.next_confirm_ns = Some(first);
        } else if !std::mem::take(&mut self.scan_completed) {
            return Vec::new();
        }
        let open = registry.markets().filter(|record| record.status != Status::Expired);
        let open = open.map(|record| record.info.market).filter(|m| !registry.is_outlived(m));
        let all = open.chain(registry.shared_markets());
        all.filter(|market| !self.seen.contains(market)).collect()
    }
}

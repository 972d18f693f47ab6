//! Status report of one venue.
//!
//! Runs on:  control core, on request and once per second.
use super::clock;
use super::controller::Controller;
use crate::base::time::Now;
use crate::counter::fold::Fold as _;
use crate::counter::report::{
    CorrectnessReport, EngineReport, PoolReport, RecycleReport, ShardReport, SubscriptionReport,
    VenueReport,
};
use crate::counter::shard::{CheckCounts, RepairCounts};
use crate::link::shard_control::ConnectionBeat;
use crate::venue::SubscriptionCounts;
use std::collections::BTreeMap;

impl Controller {
    /// Report of this venue. The supervisor folds the reports of all venues, then settles their health.
    pub fn report(&self, now: Now) -> EngineReport {
        let pool = self.pool_report(now);
        let registry = self.markets.registry.report();
        let shards: Vec<ShardReport> =
            (0..self.shards.len()).map(|place| self.shard_report(place, now)).collect();
        let sum = |of: fn(&ShardReport) -> u64| shards.iter().map(of).sum();
        let venue = VenueReport {
            venue: self.venue.name().to_owned(),
            markets: registry.markets,
            connections_active: pool.connections_active,
            shards: shards.iter().map(|shard| shard.shard).collect(),
            books: sum(|shard| shard.books.books),
            books_live: sum(|shard| shard.books.live),
            trades: sum(|shard| shard.books.trades),
        };
        let services = self.reporting.services.iter().cloned();
        EngineReport {
            venues: vec![venue],
            version: env!("CARGO_PKG_VERSION").into(),
            started_wall_ns: self.started.wall_ns,
            exchange: self.markets.exchange.report(),
            now_wall_ns: now.wall_ns,
            health: self.health(&pool, now),
            services: services.chain([self.dialer.report(&pool)]).collect(),
            registry,
            router: self.reporting.link_reports(&self.shards),
            correctness: self.correctness_report(),
            shards,
            recycling: self.recycle_report(),
            trades: self.publisher.trade_report(&pool),
            capture: self.reporting.capture(),
            bus: self.reporting.bus(),
            bus_source: None,
            cluster: None,
            lifecycle: self.markets.report(),
            latencies: Vec::new(),
            buckets: Vec::new(),
            pool,
        }
    }

    fn correctness_report(&self) -> CorrectnessReport {
        let none = CheckCounts::default();
        let checks = self.shards.iter().fold(none, |sum, s| sum.plus(&s.heartbeat.checks));
        let none = RepairCounts::default();
        let repairs = self.shards.iter().fold(none, |sum, s| sum.plus(&s.heartbeat.repairs));
        let snapshot_requests = self.snapshots.report();
        CorrectnessReport { score: checks.score(), checks, repairs, snapshot_requests }
    }

    fn recycle_report(&self) -> RecycleReport {
        let mut report = self.connections.recycler.report();
        let beats = self.shards.iter().flat_map(|shard| &shard.heartbeat.connections);
        let owing: BTreeMap<u32, u32> =
            beats.filter_map(|beat| Some((beat.connection.0, beat.owing?))).collect();
        for replacement in &mut report.replacements {
            replacement.owing = owing.get(&replacement.to).map(|&owing| u64::from(owing));
        }
        report
    }

    fn pool_report(&self, now: Now) -> PoolReport {
        let mut report = self.connections.placement.report(&self.markets.registry);
        report.dials_failed = self.dialer.queue.counts().failed;
        let beats: BTreeMap<u32, &ConnectionBeat> = self
            .shards
            .iter()
            .flat_map(|shard| &shard.heartbeat.connections)
            .map(|beat| (beat.connection.0, beat))
            .collect();
        // Heartbeats have monotonic times; zero means never.
        let wall = |mono_ns: u64| match mono_ns {
            0 => 0,
            at => now.wall_ns.saturating_sub(now.mono_ns.saturating_sub(at)),
        };
        for connection in &mut report.connections {
            let Some(beat) = beats.get(&connection.id) else { continue };
            connection.subscriptions = subscription_report(&beat.subscription);
            connection.snapshots = u64::from(beat.live);
            connection.frames = beat.session.frames;
            connection.bytes = beat.session.bytes;
            connection.race = beat.race;
            connection.decode_errors = beat.decode_errors;
            connection.lag_ns = beat.lag_ns;
            connection.last_ping_wall_ns = wall(beat.session.last_ping_ns);
            connection.last_pong_wall_ns = wall(beat.session.last_pong_ns);
            connection.last_data_wall_ns = wall(beat.session.last_data_ns);
            report.subscriptions.fold(connection.subscriptions);
        }
        report
    }

    fn shard_report(&self, place: usize, now: Now) -> ShardReport {
        let shard = &self.shards[place];
        let beat = &shard.heartbeat;
        ShardReport {
            shard: shard.id.0,
            core: shard.core,
            healthy: self.is_current(place, now),
            heartbeat_wall_ns: beat.at.wall_ns,
            connections: beat.connections.iter().filter(|connection| connection.up).count() as u64,
            bytes: beat.bytes,
            clock_behind_ms: clock::behind_ms(beat.clock_offset_ms),
            frame_mean_ns: beat.intake.frame_ns.checked_div(beat.intake.frames).unwrap_or(0),
            last_message_wall_ns: beat.last_data_wall_ns,
            intake: beat.intake,
            books: beat.books,
            checks: beat.checks,
            repairs: beat.repairs,
            book_bytes: beat.book_bytes,
            unfinished_bytes: beat.unfinished_bytes,
            closed_for_memory: beat.closed_for_memory,
            closed_for_flood: beat.closed_for_flood,
            commands: beat.commands,
        }
    }

    /// Whether nothing is wrong and every connection is up.
    pub(super) fn is_calm(&self, now: Now) -> bool {
        let pool = self.pool_report(now);
        let wanted = pool.connections.len() as u64;
        pool.connections_active == wanted && self.health(&pool, now).healthy
    }
}

fn subscription_report(counts: &SubscriptionCounts) -> SubscriptionReport {
    SubscriptionReport {
        commands: counts.commands,
        errors: counts.errors,
        retries: counts.retries,
        timeouts: counts.timeouts,
        refused: counts.refused,
        resubscribes: counts.resubscribes,
        sequence_holes: counts.holes,
        sequence_missing: counts.missing,
        sequence_duplicates: counts.duplicates,
    }
}

//! The pictures of two venues as one.
//!
//! Runs on:  any (pure).
use super::report::{
    CorrectnessReport, EngineReport, HealthReport, LifecycleReport, PoolReport, RegistryReport,
};

impl EngineReport {
    /// Adds what another venue's part of the engine has: sums are sums, lists follow one another, and what is true of
    /// one only (recycling, the database) stays the first's. Latencies are merged where they are recorded.
    pub fn absorb(&mut self, other: &Self) {
        self.venues.extend(other.venues.iter().cloned());
        self.exchange = self.exchange.or(other.exchange);
        self.health.absorb(&other.health);
        self.registry.absorb(&other.registry);
        self.pool.absorb(&other.pool);
        self.services.extend(other.services.iter().cloned());
        self.router.extend(other.router.iter().cloned());
        self.correctness.absorb(&other.correctness);
        self.shards.extend(other.shards.iter().cloned());
        self.lifecycle.absorb(&other.lifecycle);
        if let Some(trades) = &mut self.trades {
            trades.connections_active = self.pool.connections_active;
            trades.reconnections = self.pool.reconnects;
            trades.last_reconnect_wall_ns = self.pool.last_reconnect_wall_ns;
        }
    }
}

impl HealthReport {
    fn absorb(&mut self, other: &Self) {
        self.healthy &= other.healthy;
        self.in_grace |= other.in_grace;
        self.reasons.extend(other.reasons.iter().cloned());
        self.notices.extend(other.notices.iter().cloned());
    }
}

impl RegistryReport {
    fn absorb(&mut self, other: &Self) {
        self.markets += other.markets;
        self.markets_shared += other.markets_shared;
        self.tokens += other.tokens;
        self.tokens_pending += other.tokens_pending;
        self.tokens_subscribed += other.tokens_subscribed;
        self.tokens_expired += other.tokens_expired;
    }
}

impl PoolReport {
    fn absorb(&mut self, other: &Self) {
        self.capacity_tokens += other.capacity_tokens;
        self.connections_active += other.connections_active;
        self.connections_waiting += other.connections_waiting;
        self.connections_draining += other.connections_draining;
        self.connections_opened += other.connections_opened;
        self.dials_failed += other.dials_failed;
        self.reconnects += other.reconnects;
        self.last_reconnect_wall_ns = self.last_reconnect_wall_ns.max(other.last_reconnect_wall_ns);
        self.markets_moved += other.markets_moved;
        self.dialog = self.dialog.plus(other.dialog);
        self.connections.extend(other.connections.iter().cloned());
    }
}

impl CorrectnessReport {
    fn absorb(&mut self, other: &Self) {
        self.checks = self.checks.plus(&other.checks);
        self.repairs = self.repairs.plus(&other.repairs);
        self.score = self.checks.score();
    }
}

impl LifecycleReport {
    fn absorb(&mut self, other: &Self) {
        self.scans_completed += other.scans_completed;
        self.scans_failed += other.scans_failed;
        self.pages += other.pages;
        self.requests_failed += other.requests_failed;
        self.markets_discovered += other.markets_discovered;
        self.markets_announced += other.markets_announced;
        self.markets_resolved += other.markets_resolved;
        self.markets_expired += other.markets_expired;
        self.markets_removed += other.markets_removed;
        self.markets_skipped += other.markets_skipped;
        self.markets_listed += other.markets_listed;
        self.skipped.extend(other.skipped.iter().cloned());
        self.last_scan_wall_ns = self.last_scan_wall_ns.min(other.last_scan_wall_ns);
        if self.last_error.is_empty() {
            self.last_error.clone_from(&other.last_error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::report::{ConnectionReport, ShardReport};

    #[test]
    fn sums_are_sums_and_lists_follow_one_another() {
        let one = |markets, id, healthy| EngineReport {
            registry: RegistryReport { markets, ..RegistryReport::default() },
            pool: PoolReport {
                connections: vec![ConnectionReport { id, ..ConnectionReport::default() }],
                reconnects: 2,
                ..PoolReport::default()
            },
            health: HealthReport { healthy, ..HealthReport::default() },
            shards: vec![ShardReport::default()],
            ..EngineReport::default()
        };
        let mut both = one(3, 1, true);
        both.absorb(&one(4, 7, false));
        assert_eq!((both.registry.markets, both.pool.reconnects, both.shards.len()), (7, 4, 2));
        assert_eq!(both.pool.connections.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 7]);
        assert!(!both.health.healthy, "one of them is ill");
    }
}

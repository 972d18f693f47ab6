//! Health of one venue: reasons and notices.
//!
//! Runs on:  control core, on request and once per second.
//!
//! Every line is an instance of a condition of `counter::health`.
use super::controller::Controller;
use super::skips::Drift;
use crate::base::{
    limits::{HEALTH_GRACE_NS, HEARTBEAT_MISSED_NS, SCHEMA_DRIFT_PERCENT_MAX},
    text::counted,
    time::{Now, SECOND_NS},
};
use crate::counter::health::at_venue;
use crate::counter::report::{HealthReport, PoolReport};

/// Collects the lines of a health report.
struct Findings<'a> {
    /// Within `HEALTH_GRACE_NS` of the start: missing connections and books are no fault.
    in_grace: bool,
    /// Venue named in the lines.
    venue: Option<&'a str>,
    reasons: Vec<String>,
    notices: Vec<String>,
}

impl Findings<'_> {
    fn named(&self, line: String) -> String {
        self.venue.map_or_else(|| line.clone(), |venue| at_venue(venue, &line))
    }

    fn reason(&mut self, line: String) {
        self.reasons.push(self.named(line));
    }

    fn notice(&mut self, line: String) {
        self.notices.push(self.named(line));
    }

    fn reason_if(&mut self, is_reason: bool, line: String) {
        if is_reason { self.reason(line) } else { self.notice(line) }
    }

    /// Adds a fault, unless within the grace period.
    fn reason_after_grace(&mut self, line: String) {
        self.reason_if(!self.in_grace, line);
    }
}

impl Controller {
    /// Whether a shard's heartbeat is current. Before the first one the start counts.
    pub(super) fn is_current(&self, place: usize, now: Now) -> bool {
        let seen_ns = self.shards[place].heartbeat_seen_ns.max(self.started.mono_ns);
        now.mono_ns.saturating_sub(seen_ns) < HEARTBEAT_MISSED_NS
    }

    pub(super) fn health(&self, pool: &PoolReport, now: Now) -> HealthReport {
        let mut found = Findings {
            in_grace: now.mono_ns.saturating_sub(self.started.mono_ns) < HEALTH_GRACE_NS,
            venue: self.reporting.names_venue.then(|| self.venue.name()),
            reasons: Vec::new(),
            notices: Vec::new(),
        };
        for place in (0..self.shards.len()).filter(|&place| !self.is_current(place, now)) {
            let id = self.shards[place].id;
            found.reason(format!(
                "{id} has not reported for {} s: its core is overloaded or its thread hangs",
                HEARTBEAT_MISSED_NS / SECOND_NS
            ));
        }
        if self.is_stopping() {
            found.reasons.push("stopping".into());
        }
        let percent = self.reporting.schema.percent();
        if percent >= SCHEMA_DRIFT_PERCENT_MAX {
            found.reason(format!(
                "{percent} % of the venue's messages are not understood: its protocol has changed, the log shows samples"
            ));
        }
        self.check_catalog(&mut found, now);
        let idle = self.check_connections(&mut found, pool);
        let ids = self.shards.iter().map(|shard| shard.id);
        for (line, lasted) in self.reporting.lag.lines(ids, now.mono_ns) {
            found.reason_if(lasted, line);
        }
        if let Some(line) = self.reporting.clock.line(self.venue.name()) {
            found.notice(line);
        }
        self.check_books(&mut found, pool);
        // Trade database, capture and bus are the engine's, not the venue's.
        let trades = self.publisher.trade_report(pool);
        found.reasons.extend(trades.and_then(|trades| trades.trouble(now.wall_ns)));
        let capture = self.reporting.capture();
        found.reasons.extend(capture.and_then(|capture| capture.trouble(now.wall_ns)));
        found.reasons.extend(self.reporting.bus().and_then(|bus| bus.trouble(now.wall_ns)));
        for shard in self.connections.placement.shards_without_room() {
            found.notice(format!("{shard} has no connection left for its pending markets"));
        }
        let Findings { in_grace, reasons, notices, .. } = found;
        HealthReport { healthy: reasons.is_empty(), in_grace, reasons, notices, idle }
    }

    fn check_catalog(&self, found: &mut Findings<'_>, now: Now) {
        let known = self.markets.registry.report();
        let lifecycle = self.markets.report();
        let error = &lifecycle.last_error;
        if let Some(line) = self.markets.discovery.is_late(now.mono_ns) {
            found.reason(line);
        } else if lifecycle.scans_completed == 0 && !error.is_empty() {
            // Without markets there is nothing to do, however new the engine is.
            let line = format!("the catalog has not been read yet: {error}");
            found.reason_if(known.markets == 0, line);
        } else if !error.is_empty() {
            found.notice(format!("the catalog cannot be read now: {error}"));
        }
        if known.markets_shared > 0 {
            let markets = counted(known.markets_shared, "market", "markets");
            let venue = self.venue.name();
            found.notice(format!(
                "{markets} in the catalog of {venue} with the tokens of another market: the same books \
                 answer for both; look whether the venue has changed its catalog"
            ));
        }
        match self.markets.skips.drift(self.venue.name()) {
            Drift::Usual => {}
            Drift::Notice(line) => found.notice(line),
            Drift::Reason(line) => found.reason(line),
        }
    }

    /// Returns why no market is followed, if that is judged for all venues together.
    fn check_connections(&self, found: &mut Findings<'_>, pool: &PoolReport) -> Option<String> {
        let wanted = pool.connections.len() as u64;
        if wanted > 0 && pool.connections_active == 0 {
            let why = pool.connections.iter().map(|c| c.why.as_str()).find(|why| !why.is_empty());
            let line = format!("no connection is up: {}", why.unwrap_or("dialing"));
            found.reason_after_grace(line);
        } else if pool.connections_active < wanted {
            let missing = wanted - pool.connections_active;
            found.notice(format!("{missing} of {wanted} connections are being dialed"));
        }
        let tokens = self.markets.registry.pending_tokens_total();
        if tokens > 0 && wanted == 0 && found.reasons.is_empty() {
            let line = format!("no connection is open: {tokens} tokens wait for one");
            found.reason_after_grace(line);
        }
        let idle = self.markets.why_none_followed(wanted)?;
        if !self.markets.lifecycle.is_scanning() {
            // Names may be another venue's.
            return Some(found.named(idle));
        }
        if found.reasons.is_empty() {
            found.reason_after_grace(idle);
        }
        None
    }

    fn check_books(&self, found: &mut Findings<'_>, pool: &PoolReport) {
        let books = self.shards.iter().map(|shard| shard.heartbeat.books);
        let (held, live) = books.fold((0, 0), |sum, b| (sum.0 + b.books, sum.1 + b.live));
        if pool.connections_active > 0 && held > 0 && live == 0 {
            // Open sockets, answered pings and no data: the venue's silent freeze looks like this.
            found.reason_after_grace(format!("no book is live: {held} wait for a snapshot"));
        } else if live < held {
            found.notice(format!("{} of {held} books are not live", held - live));
        }
        let error = self.snapshots.report().last_error;
        if !error.is_empty() {
            found.notice(format!("books cannot be fetched over REST now: {error}"));
        }
    }
}

#[cfg(test)]
mod tests;

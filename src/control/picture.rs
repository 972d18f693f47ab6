//! What one venue's controller reports, and its verdict on the venue's health.
//!
//! Runs on:  control core, when somebody asks and once a second.
use super::clock;
use super::pump::Control;
use super::skips::Drift;
use crate::base::{
    limits::{HEALTH_GRACE_NS, HEARTBEAT_MISSED_NS, STRANGE_PERCENT_MAX, STRANGE_WINDOW_NS},
    time::Now,
};
use crate::control::shard_proxy::ShardProxy;
use crate::counter::fold::Fold as _;
use crate::counter::report::{
    CorrectnessReport, DialogReport, EngineReport, HealthReport, LinkReport, PoolReport,
    RegistryReport, ShardReport, VenueReport,
};
use crate::counter::service::ServiceReport;
use crate::counter::shard::{CheckCounts, RepairCounts};
use crate::counter::trades::TradeReport;
use crate::link::shard_control::ConnectionBeat;
use crate::ring::LinkGauge;
use crate::venue::DialogCounts;
use std::collections::BTreeMap;

/// How much of what the venue says is not understood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strangeness {
    since_ns: u64,
    /// Messages and strange ones among them when the window began.
    messages: u64,
    strange: u64,
    /// Of the last whole window, percent.
    percent: u64,
}

impl Strangeness {
    /// Takes note of the sums so far.
    fn note(&mut self, messages: u64, strange: u64, now_ns: u64) {
        if now_ns < self.since_ns + STRANGE_WINDOW_NS {
            return;
        }
        let new = strange.saturating_sub(self.strange);
        let all = messages.saturating_sub(self.messages);
        self.percent = (100 * new).checked_div(all).unwrap_or(0);
        (self.since_ns, self.messages, self.strange) = (now_ns, messages, strange);
    }
}

impl Control {
    pub(super) fn note_strangeness(&mut self, now: Now) {
        let intakes = self.shards.iter().map(|shard| shard.heartbeat.intake);
        let (messages, strange) = intakes.fold((0, 0), |(all, strange), i| {
            let unknown = i.unknown_events + i.unknown_keys + i.unknown_texts;
            (all + i.messages, strange + unknown + i.decode_errors)
        });
        self.strangeness.note(messages, strange, now.mono_ns);
    }

    /// Everything that can be seen of this venue now. The supervisor folds the reports of all venues and then settles
    /// their health.
    #[must_use]
    pub fn report(&self, now: Now) -> EngineReport {
        let pool = self.pool_report(now);
        let registry = self.registry.report();
        let shards: Vec<ShardReport> =
            (0..self.shards.len()).map(|place| self.shard_report(place, now)).collect();
        let sum = |of: fn(&ShardReport) -> u64| shards.iter().map(of).sum();
        let venue = VenueReport {
            venue: self.venue.name().to_owned(),
            markets: registry.markets,
            connections_active: pool.connections_active,
            shards: shards.iter().map(|shard| shard.shard).collect(),
            books: sum(|shard| shard.books),
            books_live: sum(|shard| shard.books_live),
            trades: sum(|shard| shard.trades),
        };
        EngineReport {
            venues: vec![venue],
            version: env!("CARGO_PKG_VERSION").into(),
            started_wall_ns: self.started.wall_ns,
            exchange: self.exchange.report(),
            now_wall_ns: now.wall_ns,
            health: self.health(&pool, now),
            services: self.service_reports(&pool),
            registry,
            router: self.link_reports(),
            correctness: self.correctness_report(),
            shards,
            recycling: self.recycling.report(),
            trades: self.trade_report(&pool),
            capture: self.capture.as_ref().map(|board| board.read()),
            lifecycle: self.lifecycle_report(),
            latencies: Vec::new(),
            pool,
        }
    }

    /// The REST services as their pools told last, and the stream, whose connections the dials and shards have.
    fn service_reports(&self, pool: &PoolReport) -> Vec<ServiceReport> {
        let dialling = self.dials.in_progress();
        self.services.iter().cloned().chain([self.stream.report(pool, dialling)]).collect()
    }

    fn correctness_report(&self) -> CorrectnessReport {
        let none = CheckCounts::default();
        let checks = self.shards.iter().fold(none, |sum, s| sum.plus(&s.heartbeat.checks));
        let none = RepairCounts::default();
        let repairs = self.shards.iter().fold(none, |sum, s| sum.plus(&s.heartbeat.repairs));
        let resync = self.resync.report();
        CorrectnessReport { score: checks.score(), checks, repairs, resync }
    }

    fn trade_report(&self, pool: &PoolReport) -> Option<TradeReport> {
        let board = &self.sink.as_ref()?.board;
        Some(TradeReport {
            connections_active: pool.connections_active,
            reconnections: pool.reconnects,
            last_reconnect_wall_ns: pool.last_reconnect_wall_ns,
            ..board.read()
        })
    }

    fn link_reports(&self) -> Vec<LinkReport> {
        let others = self.links.iter().map(|(name, gauge)| link_report(name, &**gauge));
        self.shards.iter().flat_map(ShardProxy::links).chain(others).collect()
    }

    fn pool_report(&self, now: Now) -> PoolReport {
        let mut report = self.placement.report(&self.registry);
        report.dials_failed = self.dials.counts().failed;
        let beats: BTreeMap<u32, &ConnectionBeat> = self
            .shards
            .iter()
            .flat_map(|shard| &shard.heartbeat.connections)
            .map(|beat| (beat.connection.0, beat))
            .collect();
        // Beats give monotonic times; zero means never.
        let wall = |mono_ns: u64| match mono_ns {
            0 => 0,
            at => now.wall_ns.saturating_sub(now.mono_ns.saturating_sub(at)),
        };
        for connection in &mut report.connections {
            let Some(beat) = beats.get(&connection.id) else { continue };
            connection.dialog = dialog_report(&beat.dialog);
            connection.snapshots = u64::from(beat.live);
            connection.frames = beat.session.frames;
            connection.bytes = beat.session.bytes;
            connection.decode_errors = beat.decode_errors;
            connection.last_ping_wall_ns = wall(beat.session.last_ping_ns);
            connection.last_pong_wall_ns = wall(beat.session.last_pong_ns);
            connection.last_data_wall_ns = wall(beat.session.last_data_ns);
            report.dialog.fold(connection.dialog);
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
            frames: beat.intake.frames,
            bytes: beat.bytes,
            messages: beat.intake.messages,
            updates: beat.books.updates,
            snapshots: beat.books.snapshots,
            trades: beat.books.trades,
            decode_errors: beat.intake.decode_errors,
            binary_frames: beat.intake.binary_frames,
            unknown_events: beat.intake.unknown_events,
            unknown_keys: beat.intake.unknown_keys,
            unknown_texts: beat.intake.unknown_texts,
            changes_before_snapshot: beat.books.changes_before_snapshot,
            changes_stale: beat.books.changes_stale,
            snapshots_refused: beat.books.snapshots_refused,
            clock_behind_ms: clock::behind_ms(beat.clock_offset_ms),
            foreign_tokens: beat.books.foreign_tokens,
            trades_without_book: beat.books.trades_without_book,
            frame_mean_ns: beat.intake.frame_ns.checked_div(beat.intake.frames).unwrap_or(0),
            last_message_wall_ns: beat.last_data_wall_ns,
            books: beat.books.books,
            checks: beat.checks,
            repairs: beat.repairs,
            books_live: beat.books.live,
            books_awaiting: beat.books.awaiting,
            books_stale: beat.books.stale,
            book_bytes: beat.book_bytes,
            unfinished_bytes: beat.unfinished_bytes,
            closed_for_memory: beat.closed_for_memory,
            closed_for_flood: beat.closed_for_flood,
            orders: beat.orders,
        }
    }

    /// Whether a shard's heartbeat is current; before the first one it has the same time.
    fn is_current(&self, place: usize, now: Now) -> bool {
        let seen_ns = self.shards[place].heartbeat_seen_ns.max(self.started.mono_ns);
        now.mono_ns.saturating_sub(seen_ns) < HEARTBEAT_MISSED_NS
    }

    /// Whether nothing is wrong and no connection is away.
    pub(super) fn is_calm(&self, now: Now) -> bool {
        let pool = self.pool_report(now);
        let wanted = pool.connections.len() as u64;
        pool.connections_active == wanted && self.health(&pool, now).healthy
    }

    fn health(&self, pool: &PoolReport, now: Now) -> HealthReport {
        let in_grace = now.mono_ns.saturating_sub(self.started.mono_ns) < HEALTH_GRACE_NS;
        let mut reasons = Vec::new();
        let mut notices = Vec::new();
        for place in (0..self.shards.len()).filter(|&place| !self.is_current(place, now)) {
            let id = self.shards[place].id;
            reasons.push(format!(
                "{id} has not reported for {} s: its core is overloaded or its thread hangs",
                HEARTBEAT_MISSED_NS / 1_000_000_000
            ));
        }
        if self.is_stopping() {
            reasons.push("stopping".into());
        }
        if self.strangeness.percent >= STRANGE_PERCENT_MAX {
            let percent = self.strangeness.percent;
            reasons.push(format!(
                "{percent} % of the venue's messages are not understood: its protocol has changed, the log shows samples"
            ));
        }
        let known = self.registry.report();
        self.judge_catalogue(&known, now, &mut reasons, &mut notices);
        let wanted = pool.connections.len() as u64;
        if wanted > 0 && pool.connections_active == 0 {
            let why = pool.connections.iter().map(|c| c.why.as_str()).find(|why| !why.is_empty());
            let line = format!("no connection is up: {}", why.unwrap_or("dialling"));
            if in_grace { notices.push(line) } else { reasons.push(line) }
        } else if pool.connections_active < wanted {
            let missing = wanted - pool.connections_active;
            notices.push(format!("{missing} of {wanted} connections are being dialled"));
        }
        if known.tokens_pending > 0 && wanted == 0 && reasons.is_empty() {
            let tokens = known.tokens_pending;
            let line = format!("no connection is open: {tokens} tokens wait for one");
            if in_grace { notices.push(line) } else { reasons.push(line) }
        }
        let mut idle = self.nothing_to_do(wanted);
        // A scan brings markets of this venue; names may be another's, so that is judged for all together.
        if self.lifecycle.is_scanning()
            && let Some(line) = idle.take().filter(|_| reasons.is_empty())
        {
            if in_grace { notices.push(line) } else { reasons.push(line) }
        }
        let ids = self.shards.iter().map(|shard| shard.id);
        for (line, lasted) in self.lag.lines(ids, now.mono_ns) {
            if lasted { reasons.push(line) } else { notices.push(line) }
        }
        notices.extend(self.clock.line(self.venue.name()));
        let books = self.shards.iter().map(|shard| shard.heartbeat.books);
        let (held, live) = books.fold((0, 0), |sum, b| (sum.0 + b.books, sum.1 + b.live));
        if pool.connections_active > 0 && held > 0 && live == 0 {
            // Open sockets, answered pings and no data: the venue's silent freeze looks like this.
            let line = format!("no book is live: {held} wait for a snapshot");
            if in_grace { notices.push(line) } else { reasons.push(line) }
        } else if live < held {
            notices.push(format!("{} of {held} books are not live", held - live));
        }
        let resync = self.resync.report();
        if !resync.last_error.is_empty() {
            let line = format!("books cannot be fetched over REST now: {}", resync.last_error);
            notices.push(line);
        }
        let trades = self.trade_report(pool);
        reasons.extend(trades.and_then(|trades| trades.trouble(now.wall_ns)));
        let capture = self.capture.as_ref().map(|board| board.read());
        reasons.extend(capture.and_then(|capture| capture.trouble(now.wall_ns)));
        for shard in self.placement.shards_without_room() {
            notices.push(format!("{shard} has no connection left for its pending markets"));
        }
        HealthReport { healthy: reasons.is_empty(), in_grace, reasons, notices, idle }
    }

    /// What is wrong with the catalogue, or with what is followed of it.
    fn judge_catalogue(
        &self,
        known: &RegistryReport,
        now: Now,
        reasons: &mut Vec<String>,
        notices: &mut Vec<String>,
    ) {
        let lifecycle = self.lifecycle_report();
        if let Some(line) = self.discovery.is_late(now.mono_ns) {
            reasons.push(line);
        } else if lifecycle.scans_completed == 0 && !lifecycle.last_error.is_empty() {
            let line = format!("the catalogue has not been read yet: {}", lifecycle.last_error);
            // Without markets there is nothing to do, however new the engine is.
            if known.markets == 0 { reasons.push(line) } else { notices.push(line) }
        } else if !lifecycle.last_error.is_empty() {
            notices.push(format!("the catalogue cannot be read now: {}", lifecycle.last_error));
        }
        if known.markets_shared > 0 {
            let (count, venue) = (known.markets_shared, self.venue.name());
            notices.push(format!(
                "{count} markets in the catalogue of {venue} have the tokens of another market: the same books \
                 answer for both; look whether the venue has changed its catalogue"
            ));
        }
        match self.skips.drift(self.venue.name()) {
            Drift::Usual => {}
            Drift::Notice(line) => notices.push(line),
            Drift::Reason(line) => reasons.push(line),
        }
    }
}

impl Control {
    /// Why the engine follows nothing, if it does not; `wanted` connections are open or being dialled.
    fn nothing_to_do(&self, wanted: u64) -> Option<String> {
        let known = self.registry.report();
        let scanning = self.lifecycle.is_scanning();
        let open = known.tokens_pending + known.tokens_subscribed;
        // A fixed table of connections is up before there is a market, and waits for the next scan's.
        if open > 0 || self.lifecycle.scheduled() > 0 || (scanning && wanted > 0) {
            return None;
        }
        Some(match &self.not_found {
            Some((line, 1)) => format!("no market is followed: {line}"),
            Some((line, count)) => format!("no market is followed: {line} ({count} such names)"),
            None if known.markets > 0 => {
                "no market is followed: all that were known are over".into()
            }
            None if !scanning => {
                "no market is followed: the venue has not answered about those that were named"
                    .into()
            }
            None if self.lifecycle_report().scans_completed > 0 => {
                "no market is followed: the catalogue lists no open market".into()
            }
            None => "no market is followed: the first scan of the catalogue has not ended".into(),
        })
    }
}

/// One link, by its gauge.
pub(super) fn link_report(name: &str, gauge: &dyn LinkGauge) -> LinkReport {
    let [routed, refused, depth, capacity] = gauge.read();
    let [delay_mean_ns, delay_max_ns] = gauge.waits();
    let name = name.to_owned();
    LinkReport { name, routed, refused, depth, capacity, delay_mean_ns, delay_max_ns }
}

fn dialog_report(counts: &DialogCounts) -> DialogReport {
    DialogReport {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::LAG_REASON_NS;
    use crate::control::discovery::Discovery;
    use crate::control::tests::fixture::{POLYMARKET, id, info, parts, shard, token};
    use crate::control::registry::Source;
    use crate::counter::health::condition_of;
    use crate::counter::latency::{Latencies, Stage};

    /// Every line of `/health` is declared, and so described in the guide.
    fn assert_declared(health: &HealthReport) {
        for line in health.reasons.iter().chain(&health.notices) {
            assert!(condition_of(line).is_some(), "not declared in counter/health.rs: {line}");
        }
    }

    const LATER: Now = Now { mono_ns: 10 * HEALTH_GRACE_NS, wall_ns: 10 * HEALTH_GRACE_NS };

    /// The report of a venue alone.
    fn settled(control: &Control, now: Now) -> EngineReport {
        let mut report = control.report(now);
        report.health.settle();
        assert_declared(&report.health);
        report
    }

    /// A controller with one shard, and one connection that is up.
    fn control() -> Control {
        let mut control = Control::new(parts(POLYMARKET, vec![shard(0).0]), Now::default());
        control.registry.register(info(1), 0, Source::Manual);
        let opened = control.placement.force_subscribe(&[id(1)], 0, &mut control.registry);
        control.placement.on_active(opened.expect("it was pending"), 0);
        control.shards[0].heartbeat_seen_ns = LATER.mono_ns;
        control
    }

    #[test]
    fn a_book_that_no_shard_has_yet_is_awaited_until_its_market_ends() {
        let mut control = control();
        let market = id(1);
        let known = control.why_awaited(&token("100"), LATER);
        assert!(known.is_some_and(|why| why.contains("is being opened on connection-1")));
        assert_eq!(control.why_awaited(&token("7"), LATER), None, "nobody follows it");
        control.registry.mark_pending(&market, 0);
        let pending = control.why_awaited(&token("100"), LATER);
        assert!(pending.is_some_and(|why| why.contains("waits for a connection")));
        control.registry.mark_expired(&market, 0);
        assert_eq!(control.why_awaited(&token("100"), LATER), None);
        control.discovery = Discovery::new(POLYMARKET, true, 1);
        assert!(control.why_awaited(&token("7"), LATER).is_some(), "before the first scan");
    }

    #[test]
    fn an_engine_whose_scans_do_not_complete_is_not_healthy() {
        use crate::base::limits::SCAN_LATE_NS;
        use crate::control::discovery::Failure;
        let mut control = control();
        control.discovery = Discovery::new(POLYMARKET, true, 1);
        assert!(control.discovery.poll(LATER.mono_ns).is_some());
        let failure = Failure { reason: "HTTP 403".into(), ..Failure::default() };
        control.discovery.on_failure(LATER.mono_ns, failure);
        let mut at = |mono_ns| {
            control.shards[0].heartbeat_seen_ns = mono_ns;
            settled(&control, Now { mono_ns, wall_ns: mono_ns }).health
        };
        assert!(at(LATER.mono_ns + SCAN_LATE_NS - 1).healthy);
        let late = at(LATER.mono_ns + SCAN_LATE_NS);
        assert!(!late.healthy && late.reasons[0].contains("HTTP 403"), "{late:?}");
    }

    #[test]
    fn an_engine_that_does_not_understand_the_venue_is_not_healthy() {
        let mut control = control();
        let mut note = |messages, unknown_events, mono_ns| {
            let intake = &mut control.shards[0].heartbeat.intake;
            (intake.messages, intake.unknown_events) = (messages, unknown_events);
            control.note_strangeness(Now { mono_ns, wall_ns: mono_ns });
            settled(&control, LATER).health.reasons.len()
        };
        assert_eq!(note(10_000, 499, STRANGE_WINDOW_NS), 0);
        assert_eq!(note(10_100, 599, STRANGE_WINDOW_NS + 1), 0, "the window is not over");
        assert_eq!(note(10_100, 599, 2 * STRANGE_WINDOW_NS), 1);
        assert_eq!(note(20_100, 599, 3 * STRANGE_WINDOW_NS), 0, "it is understood again");
    }

    #[test]
    fn a_shard_that_does_not_report_is_a_reason() {
        let mut control = control();
        let at = |control: &mut Control, silent_ns| {
            control.shards[0].heartbeat_seen_ns = LATER.mono_ns - silent_ns;
            let report = settled(control, LATER);
            (report.shards[0].healthy, report.health.healthy, report.health.reasons)
        };
        assert_eq!(at(&mut control, HEARTBEAT_MISSED_NS - 1), (true, true, Vec::new()));
        let (shard, engine, reasons) = at(&mut control, HEARTBEAT_MISSED_NS);
        assert!(!shard && !engine && reasons.len() == 1, "{reasons:?}");
        assert!(reasons[0].starts_with("shard-0 has not reported for 3 s"), "{reasons:?}");
        // One that never did has as long, from the start on.
        control.shards[0].heartbeat_seen_ns = 0;
        let young = Now { mono_ns: HEARTBEAT_MISSED_NS - 1, wall_ns: 1 };
        assert!(settled(&control, young).shards[0].healthy);
        assert!(!settled(&control, LATER).shards[0].healthy);
    }

    #[test]
    fn an_engine_that_follows_nothing_is_not_healthy_after_the_grace() {
        let mut control = control();
        assert!(settled(&control, LATER).health.healthy);
        let market = id(1);
        control.registry.mark_expired(&market, LATER.mono_ns);
        let health = settled(&control, LATER).health;
        assert_eq!(health.reasons, ["no market is followed: all that were known are over"]);
        control.not_found = Some(("market x: the venue lists no such open market".into(), 1));
        let young = Now { mono_ns: 1, wall_ns: 1 };
        control.shards[0].heartbeat_seen_ns = 1;
        let health = settled(&control, young).health;
        let line = "no market is followed: market x: the venue lists no such open market";
        assert!(health.healthy && health.notices.contains(&line.to_owned()), "{health:?}");
        control.shards[0].heartbeat_seen_ns = LATER.mono_ns;
        assert_eq!(settled(&control, LATER).health.reasons, [line]);
    }

    #[test]
    fn old_messages_are_a_notice_then_a_reason() {
        let mut control = control().with_lag_warn(2_000_000_000);
        let mut window = |at_ns| {
            let mut latencies = Latencies::default();
            latencies.record(Stage::VenueToRead, 3_000_000_000);
            control.lag.on_window(0, latencies.stage(Stage::VenueToRead), at_ns);
            settled(&control, LATER).health
        };
        let health = window(LATER.mono_ns);
        assert!(
            health.healthy && health.notices[0].contains("messages are 3.0 s old"),
            "{health:?}"
        );
        assert!(health.notices[0].contains("--lag-warn"));
        let mut control = super::tests::control().with_lag_warn(2_000_000_000);
        let mut latencies = Latencies::default();
        latencies.record(Stage::VenueToRead, 3_000_000_000);
        let ages = latencies.stage(Stage::VenueToRead);
        control.lag.on_window(0, ages, LATER.mono_ns - LAG_REASON_NS);
        assert!(!settled(&control, LATER).health.healthy);
    }

    #[test]
    fn an_engine_whose_books_are_all_behind_is_not_healthy() {
        let mut control = control();
        assert_eq!(settled(&control, LATER).health.reasons, Vec::<String>::new());
        control.shards[0].heartbeat.books.books = 1;
        control.shards[0].heartbeat.books.awaiting = 1;
        let health = settled(&control, LATER).health;
        assert!(!health.healthy && health.reasons[0].contains("no book is live"), "{health:?}");
        let young = Now { mono_ns: 1, wall_ns: 1 };
        control.shards[0].heartbeat_seen_ns = 1;
        assert!(settled(&control, young).health.healthy, "not yet judged");
    }
}

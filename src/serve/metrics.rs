//! Every metric: name, unit, meaning, advice, source of its value.
//!
//! Runs on:  any (pure). Owns: nothing. `/metrics` and `ringbook counters` read the same tables, so every metric
//! has an explanation.
use super::exposition::ServeReport;
pub use super::exposition::all;
use crate::base::time::{MICROSECOND_NS, MILLISECOND_NS};
use crate::counter::capture::CaptureReport;
use crate::counter::latency::LatencySummary;
use crate::counter::report::{ConnectionReport, EngineReport, LinkReport, ShardReport, SkipReport};
use crate::counter::service::{HealthState, ServiceReport};
use crate::counter::shard::CounterRow;
use crate::counter::trades::TradeReport;
use serde::Serialize;

/// How a value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Increases only; exposed with the suffix `_total`.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Always 1; the labels carry the information. Exposed with the suffix `_info`.
    Info,
}

/// Description of a metric; `/counters` has what is for people.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Metric {
    /// Name in `/metrics` without the suffix `_total` or `_info`.
    pub name: &'static str,
    /// How it moves.
    #[serde(skip)]
    pub kind: Kind,
    /// Unit.
    pub unit: &'static str,
    /// Labels, comma separated; empty if there is one series per engine.
    #[serde(skip)]
    pub labels: &'static str,
    /// What it measures.
    pub meaning: &'static str,
    /// What to do when it rises (or falls, if stated).
    pub when_it_rises: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Whole(u64),
    /// Seconds or a ratio.
    Real(f64),
    /// Never happened or not measured: no series.
    Absent,
}
use Value::{Absent, Real, Whole};

/// A metric and its source. Arguments of `read`: the record, and the time of the report in Unix nanoseconds.
pub(super) struct Row<T: 'static> {
    pub(super) metric: Metric,
    pub(super) read: fn(&T, u64) -> Value,
}

type Rows<T> = &'static [Row<T>];

pub(super) const fn counter_metric<T>(row: &CounterRow<T>) -> Metric {
    let kind = if row.is_gauge { Kind::Gauge } else { Kind::Counter };
    metric(row.name, kind, row.unit, "shard", row.meaning, row.when_it_rises)
}

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    labels: &'static str,
    meaning: &'static str,
    when_it_rises: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, meaning, when_it_rises }
}

/// Rows of a table: `Kind name, unit, meaning, advice, value`. The value is a number of the record, or a function.
macro_rules! rows {
    ($labels:literal, $t:ty; $($kind:ident $name:literal, $unit:literal, $meaning:literal,
        $advice:literal, $($($field:ident).+)? $(|$item:pat_param, $now:pat_param| $value:expr)?;)*) => {
        &[$(Row::<$t> {
            metric: metric(concat!("ringbook_", $name), Kind::$kind, $unit, $labels, $meaning, $advice),
            read: rows!(@read $($($field).+)? $(|$item, $now| $value)?),
        }),*]
    };
    (@read $($field:ident).+) => { |record, _| Whole(record.$($field).+) };
    (@read |$item:pat_param, $now:pat_param| $value:expr) => { |$item, $now| $value };
}

mod parts;
pub(super) use parts::{
    BUS, BUS_SOURCE, CLUSTER, CORRECTNESS, EXCHANGE, PHASE, PHASE_QUANTILE, RECYCLING,
    SNAPSHOT_REQUESTS, SUBSCRIPTIONS, VENUE,
};

/// Seconds from `then_wall_ns` to `now_wall_ns`; absent if it never happened (0).
fn age(then_wall_ns: u64, now_wall_ns: u64) -> Value {
    if then_wall_ns == 0 { Absent } else { seconds(now_wall_ns.saturating_sub(then_wall_ns)) }
}

fn seconds(ns: u64) -> Value {
    Real(ns as f64 / 1e9)
}

/// A value that only pools with leases have; absent for WebSocket streams.
fn pooled(service: &ServiceReport, value: Value) -> Value {
    if service.stream { Absent } else { value }
}

fn flag(yes: bool) -> Value {
    Whole(u64::from(yes))
}

pub(super) const BUILD: Metric =
    metric("ringbook_build", Kind::Info, "1", "version", "The program's version", "nothing");

pub(super) const ENGINE: Rows<EngineReport> = rows! { "", EngineReport;
    Gauge "healthy", "1", "1 while the engine is healthy, else 0", "when it falls: /health has the reasons",
        |r, _| flag(r.health.healthy);
    Gauge "in_grace", "1", "1 during the start, while missing connections are not a fault", "nothing",
        |r, _| flag(r.health.in_grace);
    Gauge "uptime_seconds", "s", "Time since the start", "nothing; it falls when the process was restarted",
        |r, now| age(r.started_wall_ns, now);
    Gauge "markets", "markets", "Markets in the registry", "nothing", registry.markets;
    Gauge "tokens", "tokens", "Tokens in the registry", "nothing", registry.tokens;
    Gauge "markets_shared", "markets", "Markets with the tokens of another market",
        "the venue lists tokens twice: both markets use the same books", registry.markets_shared;
    Gauge "tokens_elsewhere", "tokens", "Tokens whose slice another machine of the cluster has (--cluster)", "nothing",
        registry.tokens_elsewhere;
    Gauge "tokens_pending", "tokens", "Tokens waiting for a connection",
        "if it stays up: connections are at their maximum or cannot be dialed", registry.tokens_pending;
    Gauge "tokens_subscribed", "tokens", "Tokens placed on a connection and not expired",
        "when it falls without a rise of tokens_expired: connections are lost", registry.tokens_subscribed;
    Gauge "tokens_expired", "tokens", "Tokens whose market has ended or resolved",
        "nothing; removed after the grace period", registry.tokens_expired;
    Gauge "pool_capacity_tokens", "tokens", "Tokens that all connections together can carry", "nothing",
        pool.capacity_tokens;
    Gauge "tokens_per_connection_target", "tokens", "Tokens placed on one connection", "nothing",
        pool.tokens_per_connection_target;
    Gauge "tokens_per_connection_max", "tokens", "Most tokens of one connection", "nothing",
        pool.tokens_per_connection_max;
    Gauge "connections_draining", "connections", "Connections without tokens being closed",
        "if it stays up: sockets do not close", pool.connections_draining;
    Counter "markets_moved", "markets", "Markets moved off a connection of a fixed table",
        "connections of the table fail, or one has too many markets", pool.markets_moved;
    Gauge "last_reconnect_age_seconds", "s", "Time since the last reconnect", "nothing",
        |r, now| age(r.pool.last_reconnect_wall_ns, now);
    Gauge "connections_active", "connections", "Open connections",
        "when it falls: the venue or the network closes connections", pool.connections_active;
    Gauge "connections_waiting", "connections", "Connections being dialed or queued for a dial",
        "if it stays up: see dials_failed and the log", pool.connections_waiting;
    Counter "connections_opened", "connections", "Connections opened for the first time", "nothing",
        pool.connections_opened;
    Counter "dials_failed", "dials", "Failed dials",
        "check the network and whether the venue refuses this address (429, 403 in the log)", pool.dials_failed;
    Counter "reconnects", "connections", "Successful reconnects",
        "steadily: the venue recycles connections; in bursts: an outage", pool.reconnects;
    Counter "discovery_scans_completed", "scans", "Complete scans of the catalog",
        "nothing; when it stops rising, new markets are found on the stream only", lifecycle.scans_completed;
    Counter "discovery_scans_failed", "scans", "Aborted scans of the catalog", "see last_error in /stats",
        lifecycle.scans_failed;
    Counter "discovery_pages", "pages", "Pages of the catalog read", "nothing", lifecycle.pages;
    Counter "discovery_requests_failed", "requests", "Failed REST requests of a scan, repeated",
        "see last_error in /stats; often the rate limit", lifecycle.requests_failed;
    Gauge "discovery_last_scan_age_seconds", "s", "Time since the last complete scan",
        "above a few minutes: discovery hangs or fails", |r, now| age(r.lifecycle.last_scan_wall_ns, now);
    Counter "markets_discovered", "markets", "Markets first seen in the catalog", "nothing",
        lifecycle.markets_discovered;
    Counter "markets_announced", "markets", "Markets first seen on the stream", "nothing",
        lifecycle.markets_announced;
    Counter "markets_resolved", "markets", "Markets resolved by a message of the stream", "nothing",
        lifecycle.markets_resolved;
    Counter "markets_expired", "markets", "Markets whose end time passed", "nothing", lifecycle.markets_expired;
    Counter "markets_removed", "markets", "Markets removed after the grace period", "nothing",
        lifecycle.markets_removed;
    Counter "markets_skipped", "markets", "Catalog entries that cannot be used",
        "in bursts: the venue changed the schema of its catalog", lifecycle.markets_skipped;
    Gauge "markets_listed", "markets", "Open markets in the last complete scan of the catalog", "nothing",
        lifecycle.markets_listed;
};

pub(super) const SKIP: Rows<SkipReport> = rows! { "venue,reason,by_rule", SkipReport;
    Gauge "discovery_skipped", "markets", "Markets of the last complete scan that are not followed, by reason",
        "with by_rule false: the venue changed its catalog; the log names the first market of each reason", markets;
};

pub(super) const SHARD: Rows<ShardReport> = rows! { "shard", ShardReport;
    Gauge "shard_healthy", "1", "1 while the shard's heartbeat is current, else 0",
        "when it falls: the shard's core is overloaded or hangs", |s, _| flag(s.healthy);
    Gauge "shard_heartbeat_age_seconds", "s", "Time since the shard's last heartbeat",
        "above 3 s: the shard's core is overloaded or hangs", |s, now| age(s.heartbeat_wall_ns, now);
    Gauge "shard_last_message_age_seconds", "s", "Time since the shard's last market data",
        "while others receive: its connections are silent", |s, now| age(s.last_message_wall_ns, now);
    Gauge "shard_connections", "connections", "Connections of the shard",
        "nothing; if far from other shards: placement is uneven", connections;
    Counter "shard_received_bytes", "bytes", "Bytes received from sockets", "nothing", bytes;
    Gauge "shard_clock_behind_seconds", "s", "Lag of the host's clock behind the timestamps of messages",
        "above 2 s: run chrony; books are not affected", |s, _| seconds(s.clock_behind_ms * MILLISECOND_NS);
    Gauge "shard_frame_mean_seconds", "s", "Mean time from read to applied for one frame",
        "the core is slow: other processes, frequency, pinning", |s, _| seconds(s.frame_mean_ns);
    Counter "shard_audits_undecided", "books", "REST comparisons without a result",
        "nothing; the book changed during the request",
        |s, _| Whole(s.repairs.audits_older + s.repairs.audits_caught_up + s.repairs.audits_undecided);
    Gauge "shard_book_bytes", "bytes", "Heap memory of the books and their index",
        "steadily at a constant number of books: deep books; plan memory", book_bytes;
    Gauge "shard_unfinished_bytes", "bytes", "Memory of incomplete frames",
        "for longer than a snapshot dump takes: the venue does not end its frames", unfinished_bytes;
    Counter "shard_closed_for_memory", "connections",
        "Connections closed because their incomplete frames used the most memory of a shard over its bound",
        "the venue or a proxy is faulty or hostile; see the log", closed_for_memory;
    Counter "shard_closed_for_flood", "connections",
        "Connections closed because they sent too many frames without content",
        "the venue or a proxy is faulty or hostile; see the log", closed_for_flood;
    Counter "shard_commands", "commands", "Commands of the control core handled", "nothing", commands;
};

pub(super) const CONNECTION: Rows<ConnectionReport> = rows! { "connection,shard", ConnectionReport;
    Gauge "connection_active", "1", "1 while the connection is open, else 0",
        "when it falls: /stats has the reason", |c, _| flag(c.state == "active");
    Gauge "connection_tokens", "tokens", "Tokens placed on the connection", "nothing", tokens;
    Gauge "connection_tokens_expired", "tokens", "Tokens on the connection whose market has ended",
        "nothing: cleanup frees their slots", tokens_expired;
    Gauge "connection_age_seconds", "s", "Age of the connection", "nothing", |c, now| age(c.connected_wall_ns, now);
    Gauge "connection_ping_age_seconds", "s", "Time since the last PING was sent",
        "above 20 s: the shard's core is overloaded", |c, now| age(c.last_ping_wall_ns, now);
    Gauge "connection_pollution_ratio", "1", "Share of its tokens whose market has ended, 0 to 1",
        "nothing: cleanup frees its slots for new markets", |c, _| Real(c.pollution);
    Gauge "connection_snapshots", "books", "Books of the connection that have a snapshot",
        "when it stays below connection_tokens: snapshots do not arrive", snapshots;
    Counter "connection_frames", "frames", "Text and binary frames received", "nothing", frames;
    Counter "connection_received_bytes", "bytes", "Bytes received from the socket", "nothing", bytes;
    Counter "connection_decode_errors", "messages", "Frames or messages that could not be decoded",
        "the venue changed its format; the log shows samples", decode_errors;
    Gauge "connection_lag_seconds", "s", "Age of the connection's last message with a time when it was read",
        "on one connection: the venue or the path is slow; on all: also the clock of the host, or its load",
        |c, _| seconds(c.lag_ns);
    Counter "connection_reconnects", "connections", "Reconnects of this connection",
        "more than other connections: a bad path or an oversized subscription", reconnects;
    Gauge "connection_pong_age_seconds", "s", "Time since the last PONG",
        "above 20 s: the path is dead; replaced after 60 s without a byte", |c, now| age(c.last_pong_wall_ns, now);
    Gauge "connection_data_age_seconds", "s", "Time since the last market data",
        "while PONGs arrive: quiet markets, or the venue lost the subscription", |c, now| age(c.last_data_wall_ns, now);
};

/// Of connections that race.
pub(super) const RACE: Rows<ConnectionReport> = rows! { "connection,shard", ConnectionReport;
    Counter "connection_race_first", "messages", "Messages that it had before the connection with the same markets",
        "nothing", race.first;
    Counter "connection_race_later", "messages", "Messages that the other connection had first", "nothing", race.later;
    Counter "connection_race_alone", "messages", "Messages that only it had",
        "steadily: the venue loses messages on the other connection", race.alone;
    Counter "connection_race_missed", "messages", "Messages that only the other connection had",
        "steadily: the venue loses messages on this connection", race.missed;
    Gauge "connection_race_median_seconds", "s", "Median of the time after the first one", "nothing",
        |c, _| seconds(c.race.later_p50_ns);
    Gauge "connection_race_percentile_seconds", "s", "99th percentile of the same", "nothing",
        |c, _| seconds(c.race.later_p99_ns);
    Gauge "connection_race_max_seconds", "s", "Maximum of the same", "nothing", |c, _| seconds(c.race.later_max_ns);
};

pub(super) const SERVICE: Rows<ServiceReport> = rows! { "service", ServiceReport;
    Gauge "service_up", "1", "1 while the service answers, 0 while it does not; absent before the first request",
        "when it falls: /stats has the last error",
        |s, _| match s.health.state {
            HealthState::Up => Whole(1),
            HealthState::Down => Whole(0),
            HealthState::Unknown => Absent,
        };
    Gauge "service_connections_in_use", "connections", "Leased connections, or open streams",
        "near service_connections_max: requests wait", |s, _| Whole(s.occupation.in_use as u64);
    Gauge "service_connections_idle", "connections", "Idle connections", "nothing",
        |s, _| pooled(s, Whole(s.occupation.idle as u64));
    Gauge "service_connections_max", "connections", "Most connections", "nothing", |s, _| Whole(s.max as u64);
    Gauge "service_waiting", "requests", "Requests waiting for a connection, or queued dials",
        "the service is slow, or needs a higher maximum", |s, _| Whole(s.occupation.waiting as u64);
    Gauge "service_connections_min", "connections", "Connections kept open", "nothing", |s, _| Whole(s.min as u64);
    Gauge "service_connections_opening", "connections", "Connections being opened",
        "if it stays up: the service does not accept connections", |s, _| Whole(s.occupation.opening as u64);
    Counter "service_connections_acquired", "connections", "Leases", "nothing", |s, _| pooled(s, Whole(s.acquired));
    Counter "service_connections_closed", "connections", "Connections closed",
        "as fast as requests: the service closes after each", closed;
    Gauge "service_connections_in_use_peak", "connections", "Most connections leased at once",
        "near service_connections_max: requests wait", |s, _| pooled(s, Whole(s.peak_in_use as u64));
    Gauge "service_waiting_peak", "requests", "Most requests waiting at once",
        "the service is slow, or needs a higher maximum", |s, _| pooled(s, Whole(s.peak_waiting as u64));
    Counter "service_acquires_timed_out", "requests", "Waits for a connection that timed out",
        "the service is slow, or needs a higher maximum", |s, _| pooled(s, Whole(s.timed_out));
    Counter "service_acquires_cancelled", "requests", "Waits for a connection whose request was dropped", "nothing",
        |s, _| pooled(s, Whole(s.cancelled));
    Counter "service_requests_repeated", "requests", "Requests repeated because a reused connection was closed",
        "the service closes idle connections: shorten their idle time", |s, _| pooled(s, Whole(s.repeated));
    Counter "service_redirects", "requests", "Redirects followed", "the configured address is outdated",
        |s, _| pooled(s, Whole(s.redirected));
    Counter "service_errors", "errors", "Errors of all kinds", "/stats has them by kind",
        |s, _| Whole(s.errors.values().sum());
    Counter "service_probes", "probes", "Probes sent", "nothing", |s, _| pooled(s, Whole(s.health.probes));
    Counter "service_probes_failed", "probes", "Failed probes", "/stats has the last error",
        |s, _| pooled(s, Whole(s.health.probes_failed));
    Gauge "service_probe_seconds", "s", "Duration of the last successful probe", "the service is slow",
        |s, _| pooled(s, seconds(s.health.probe_took_ns));
    Gauge "service_state_age_seconds", "s", "Time since the service came up or went down", "nothing",
        |s, now| age(s.health.since_ns, now);
    Gauge "service_probe_age_seconds", "s", "Time since the last probe", "nothing",
        |s, now| pooled(s, age(s.health.last_probe_ns, now));
    Gauge "service_error_age_seconds", "s", "Time since the last error", "nothing",
        |s, now| age(s.health.last_error_ns, now);
    Counter "service_connections_opened", "connections", "Connections opened",
        "as fast as requests: the service closes after each", opened;
    Counter "service_connections_broken", "connections", "Connections that failed during a lease",
        "the service or the network path closes connections", closed_broken;
    Gauge "service_reuse_ratio", "1", "Share of leases on a connection that was already open, 0 to 1", "nothing",
        |s, _| pooled(s, Real(s.reuse_rate));
    Counter "service_requests", "requests", "Finished requests", "nothing", |s, _| pooled(s, Whole(s.requests));
    Counter "service_requests_failed", "requests", "Requests without an answer", "/stats has the errors by kind",
        |s, _| pooled(s, Whole(s.failed));
    Gauge "service_error_ratio", "1", "Share of requests without an answer, 0 to 1; of dials, if there are no requests",
        "/stats has the errors by kind", |s, _| Real(s.error_rate);
    Gauge "service_acquire_mean_seconds", "s", "Mean wait for a connection",
        "the pool is too small or the service too slow", |s, _| pooled(s, seconds(s.acquire_mean_ns));
    Counter "service_leaks", "connections", "Connections leased for too long", "a bug: the log names the request",
        |s, _| pooled(s, Whole(s.leaks));
    Gauge "service_acquire_tail_seconds", "s", "99th percentile of the wait for a connection",
        "the pool is too small or the service too slow", |s, _| pooled(s, seconds(s.acquire.p99_ns));
    Gauge "service_request_tail_seconds", "s", "99th percentile of the duration of a request",
        "the service is slow", |s, _| pooled(s, seconds(s.request.p99_ns));
};

pub(super) const LINK: Rows<LinkReport> = rows! { "link", LinkReport;
    Counter "link_routed", "messages", "Messages accepted by the ring", "nothing", routed;
    Counter "link_refused", "messages", "Messages refused because the ring was full",
        "the consumer is too slow; the documentation of the link states what is lost", refused;
    Gauge "link_depth", "messages", "Messages in the ring", "near link_capacity: the consumer is too slow", depth;
    Gauge "link_capacity", "messages", "Capacity of the ring", "nothing", capacity;
    Gauge "link_delay_mean_seconds", "s", "Mean wait of a message; 0 before the first",
        "the consumer is too slow or sleeps too long", |l, _| seconds(l.delay_mean_ns);
    Gauge "link_delay_max_seconds", "s", "Longest wait of a message; 0 before the first",
        "the consumer did not run for that long", |l, _| seconds(l.delay_max_ns);
};

pub(super) const TRADES: Rows<TradeReport> = rows! { "", TradeReport;
    Counter "trades_received", "trades", "Trades received for the database (--trades)", "nothing", received;
    Counter "trades_inserted", "trades", "Rows inserted", "nothing", inserted;
    Counter "trades_repeated", "trades", "Trades already in the database",
        "the venue sent them twice, or an earlier run stored them", repeated;
    Counter "trades_batches", "batches", "Batches stored", "nothing", batches;
    Counter "trades_failures", "batches", "Batches refused by the database; they are retried",
        "/health has the error of the database", failures;
    Gauge "trades_queued", "trades", "Trades in memory that are not stored yet", "the database is slow or down",
        queued;
    Gauge "trades_journaled", "trades", "Trades in the journal that are not stored yet",
        "the database is slow or down; they are stored when it is back", journaled;
    Counter "trades_spilled", "trades", "Trades written to the journal", "the database is slow or down", spilled;
    Counter "trades_lost", "trades", "Trades neither in the database nor in the journal",
        "a full ring: the thread `trades` gets no CPU; otherwise memory and disk are full", lost;
    Gauge "trades_store_up", "1", "1 while the database accepts trades, else 0",
        "when it falls: /health has the error of the database", |t, _| flag(t.down_since_wall_ns == 0);
    Gauge "trades_sink_age_seconds", "s", "Time since the sink started", "nothing",
        |t, now| age(t.started_wall_ns, now);
    Counter "trades_markets_stored", "markets", "Market rows stored, once per change", "nothing", markets;
    Gauge "trades_store_down_seconds", "s", "Time since the database stopped accepting trades; absent while it accepts",
        "/health has the error of the database", |t, now| age(t.down_since_wall_ns, now);
    Gauge "trades_batch_median_seconds", "s", "Median duration of a batch", "the database or its disk is slow",
        |t, _| seconds(t.batch_p50_us * MICROSECOND_NS);
    Gauge "trades_batch_max_seconds", "s", "Longest duration of a batch", "the database or its disk is slow",
        |t, _| seconds(t.batch_max_us * MICROSECOND_NS);
    Gauge "trades_last_trade_age_seconds", "s", "Time since the last trade was received",
        "the venue is quiet, or no connection is open", |t, now| age(t.last_trade_wall_ns, now);
    Gauge "trades_last_insert_age_seconds", "s", "Time since the last stored batch",
        "the venue is quiet, or the database is down", |t, now| age(t.last_insert_wall_ns, now);
    Gauge "trades_batch_tail_seconds", "s", "99th percentile of the duration of a batch",
        "the database or its disk is slow", |t, _| seconds(t.batch_p99_us * MICROSECOND_NS);
};

pub(super) const CAPTURE: Rows<CaptureReport> = rows! { "", CaptureReport;
    Counter "capture_frames", "frames", "Frames received for the capture (--capture)", "nothing", frames;
    Counter "capture_records", "records", "Records written: frames, annotations", "nothing", records;
    Counter "capture_text_bytes", "bytes", "Bytes of these records before compression", "nothing", text_bytes;
    Counter "capture_bytes", "bytes", "Bytes written, compressed", "the disk fills at this rate", bytes;
    Gauge "capture_waiting_bytes", "bytes", "Bytes of records that are not written yet", "the disk is slow or full",
        waiting_bytes;
    Counter "capture_lost", "frames", "Frames missing in the capture",
        "the thread `capture` gets no CPU, or the disk is slow or full; the manifest has the gaps", lost;
    Counter "capture_lost_trades", "trades", "Trade messages in the missing frames", "as capture_lost", lost_trades;
    Counter "capture_segments", "files", "Segment files started", "nothing", segments;
    Counter "capture_removed", "files", "Old files removed (--capture-keep-days, --capture-keep-gb)", "nothing",
        removed;
    Counter "capture_removed_bytes", "bytes", "Bytes of the removed files", "nothing", removed_bytes;
    Counter "capture_commands", "commands", "Commands run for closed files (--capture-on-close)", "nothing",
        commands;
    Counter "capture_commands_failed", "commands", "Commands that failed, or files that no command was run for",
        "a log line has the file and the cause; run the command for it by hand", commands_failed;
    Gauge "capture_last_write_age_seconds", "s", "Time since the last block was written",
        "above a few seconds: the disk hangs, or no frame arrives", |c, now| age(c.last_write_wall_ns, now);
    Gauge "capture_failing_seconds", "s", "Time since writing began to fail; absent while it succeeds",
        "/health has the error of the disk", |c, now| age(c.failing_since_wall_ns, now);
    Gauge "capture_up", "1", "1 while the capture can be written, else 0",
        "when it falls: /health has the error of the disk", |c, _| flag(c.failing_since_wall_ns == 0);
};

/// One point of a latency distribution.
pub(super) struct Quantile {
    pub(super) ns: u64,
}

pub(super) const QUANTILE: Rows<Quantile> = rows! { "stage,quantile", Quantile;
    Gauge "latency_seconds", "s", "Latency since the start, all shards; quantile 1 is the maximum",
        "venue_to_read: network, venue or this host's clock; the others: this host", |q, _| seconds(q.ns);
};

pub(super) const LATENCY: Rows<LatencySummary> = rows! { "stage", LatencySummary;
    Counter "latency_samples", "values", "Samples of latency_seconds", "nothing", count;
};

pub(super) const SERVE_CLIENTS: Rows<ServeReport> = rows! { "", ServeReport;
    Gauge "serve_clients", "clients", "Connected local HTTP clients", "near 256: clients leave connections open",
        clients;
    Counter "serve_clients_refused", "clients", "Refused local HTTP clients",
        "too many clients: reuse connections and use fewer", clients_refused;
    Counter "serve_clients_evicted", "clients", "Local HTTP clients closed for a new client, longest idle first",
        "clients leave connections open: use fewer, or close them", clients_evicted;
    Counter "serve_accept_errors", "clients", "Local HTTP clients that `accept` failed to return",
        "no file descriptors left: raise ulimit -n", accept_errors;
};

pub(super) const SERVE: Rows<ServeReport> = rows! { "", ServeReport;
    Counter "serve_tls_handshakes", "clients", "Clients that completed a TLS handshake (--gateway-cert)",
        "clients reconnect: use one connection for many requests", tls_handshakes;
    Counter "serve_tls_handshakes_failed", "clients",
        "Clients without a TLS handshake: plain text, an alert, or none in 10 s",
        "a client does not trust the certificate or uses http://: see the page gateway_tls", tls_handshakes_failed;
    Counter "serve_answers_late", "answers", "Queries that another core did not answer in time",
        "a core hangs or is overloaded; see shard_healthy", answers_late;
    Counter "serve_queries_refused", "queries", "Queries not sent: too many were outstanding",
        "too many requests at once, or a core hangs", queries_refused;
    Gauge "gateway_clients", "clients", "Connected WebSocket clients of the gateway",
        "near 4096: clients leave connections open", gateway.counts.clients;
    Counter "gateway_clients_connected", "clients", "WebSocket clients that connected",
        "clients reconnect: see gateway_clients_closed_slow", gateway.counts.connected;
    Gauge "gateway_books", "books", "Books with updates for the gateway", "no limit is near", gateway.counts.books;
    Counter "gateway_frames", "frames", "Frames queued for clients", "nothing to do", gateway.counts.frames;
    Counter "gateway_frames_conflated", "frames", "Changes that a slow client received as a later book",
        "a client reads slowly: subscribe to less, or raise --gateway-buffer", gateway.counts.conflated;
    Counter "gateway_clients_closed_slow", "clients", "Clients closed because they read too slowly (code 1013)",
        "a client reads nothing for 10 s, or more waits than --gateway-buffer", gateway.counts.closed_slow;
    Counter "gateway_binary_messages", "messages", "Binary messages of clients, answered as text that cannot be read",
        "a client sends its commands as binary frames: it must send text frames", gateway.counts.binary_messages;
    Counter "gateway_ring_losses", "books", "Images sent in place of updates that did not fit into a shard's ring",
        "the serve core is too slow: give it a core of its own (--serve-core)", gateway.counts.ring_losses;
    Counter "gateway_ring_trades_lost", "trades", "Trades that did not fit into a shard's ring, nor beside it",
        "the serve core is too slow: give it a core of its own (--serve-core)", gateway.counts.ring_trades_lost;
};

pub(super) struct Requests {
    pub(super) count: u64,
}

pub(super) const REQUESTS: Rows<Requests> = rows! { "route,status", Requests;
    Counter "serve_requests", "requests", "Local HTTP requests answered",
        "status 503 on /book: snapshots are missing or a core hangs", count;
};

//! Metrics of parts: venues, exchange status, commands, REST book requests, recycling, service latencies.
//!
//! Runs on:  any (pure). Owns: nothing.
use super::{Absent, Kind, Quantile, Real, Row, Rows, Value, Whole};
use super::{age, flag, metric, seconds};
use crate::counter::bus::BusReport;
use crate::counter::bus_source::BusSourceReport;
use crate::counter::cluster::ClusterReport;
use crate::counter::latency::LatencySummary;
use crate::counter::report::{
    CorrectnessReport, ExchangeReport, RecycleReport, SnapshotRequestsReport, SubscriptionReport,
    VenueReport,
};

/// A ratio; absent before the first event.
fn ratio(value: Option<f64>) -> Value {
    value.map_or(Absent, Real)
}

pub(in crate::serve) const VENUE: Rows<VenueReport> = rows! { "venue", VenueReport;
    Gauge "venue_markets", "markets", "Markets of one venue in the registry", "nothing", markets;
    Gauge "venue_connections_active", "connections", "Connections of one venue that are up",
        "when it falls: the venue or the network closes connections", connections_active;
    Gauge "venue_books", "books", "Books of one venue", "nothing", books;
    Gauge "venue_books_live", "books", "Live books of one venue",
        "when it falls: see shard_books_awaiting and shard_books_stale", books_live;
    Counter "venue_trades", "trades", "Trades received from one venue", "nothing", trades;
};

pub(in crate::serve) const EXCHANGE: Rows<ExchangeReport> = rows! { "", ExchangeReport;
    Gauge "exchange_active", "1", "1 while the exchange accepts requests; absent if the venue does not report it",
        "when it falls: maintenance at the venue", |e, _| flag(e.active);
    Gauge "exchange_trading", "1", "1 while the exchange matches orders; absent if the venue does not report it",
        "when it falls: trading hours or maintenance", |e, _| flag(e.trading);
    Gauge "exchange_resumes_timestamp_seconds", "s", "When the exchange plans to resume, since the Unix epoch",
        "nothing", |e, _| if e.resumes_wall_ns == 0 { Absent } else { seconds(e.resumes_wall_ns) };
    Gauge "exchange_seen_age_seconds", "s", "Time since the exchange last reported its status",
        "above a few minutes: its status cannot be requested", |e, now| age(e.seen_wall_ns, now);
};

pub(in crate::serve) const SUBSCRIPTIONS: Rows<SubscriptionReport> = rows! { "", SubscriptionReport;
    Counter "commands_sent", "commands", "Commands sent on connections of a venue that acknowledges them",
        "nothing", commands;
    Counter "command_errors", "answers", "Commands answered with an error",
        "the log has them; /stats counts them per connection", errors;
    Counter "command_retries", "commands", "Commands sent again after the venue's rate limit",
        "the rate limit of the venue: too many subscription changes", retries;
    Counter "command_timeouts", "commands", "Commands without an answer in time",
        "the venue is slow or a connection is dead", timeouts;
    Counter "command_refusals", "tokens", "Tokens or commands refused by the venue",
        "more markets on a connection than the venue allows", refused;
    Counter "resubscriptions", "subscriptions", "Subscriptions opened again after the venue ended them",
        "the venue ends subscriptions; the log has its reason", resubscribes;
    Counter "sequence_holes", "holes", "Gaps in sequence numbers",
        "messages are lost; the affected books are stale until their next snapshot", sequence_holes;
    Counter "sequence_missing", "messages", "Messages missing by sequence number", "as sequence_holes",
        sequence_missing;
    Counter "sequence_duplicates", "messages", "Messages with a repeated sequence number, dropped",
        "the venue repeats itself", sequence_duplicates;
};

pub(in crate::serve) const CORRECTNESS: Rows<CorrectnessReport> = rows! { "", CorrectnessReport;
    Gauge "correctness_ratio", "1", "Share of checks in which a book was correct, 0 to 1",
        "when it falls: see shard_tops_mismatched and shard_hashes_mismatched", |c, _| ratio(c.score);
};

pub(in crate::serve) const SNAPSHOT_REQUESTS: Rows<SnapshotRequestsReport> = rows! { "", SnapshotRequestsReport;
    Counter "book_requests", "requests", "REST requests for books", "books are not live, or differ", requests;
    Counter "book_request_tokens", "tokens", "Tokens in these requests", "nothing", tokens;
    Counter "book_request_answers", "requests", "Of these requests, answered with books", "nothing", answers;
    Counter "book_requests_failed", "requests", "Of these requests, failed or refused",
        "/health has the last error", failed;
    Gauge "book_request_tokens_waiting", "tokens", "Tokens queued for a REST book request",
        "the rate limit is reached, or the REST interface is slow", tokens_waiting;
    Counter "book_request_tokens_dropped", "tokens", "Tokens dropped because the queue was full; requested again later",
        "too many books are not live at once", tokens_dropped;
};

pub(in crate::serve) const RECYCLING: Rows<RecycleReport> = rows! { "", RecycleReport;
    Counter "recycles_begun", "connections", "Replacements started", "nothing", initiated;
    Counter "recycles_completed", "connections", "Replacements completed", "nothing", completed;
    Counter "recycles_failed", "connections", "Replacements aborted; the old connection stayed",
        "/stats has the last reason", failed;
    Gauge "recycles_success_ratio", "1", "Share of ended replacements that completed, 0 to 1",
        "when it falls: /stats has the last reason", |r, _| ratio(r.success_rate);
    Gauge "recycles_under_way", "connections", "Replacements in progress", "nothing", under_way;
    Counter "recycles_merges", "connections", "Replacements of several small connections by one", "nothing", merges;
    Counter "recycles_connections_merged", "connections", "Connections saved by merging", "nothing",
        connections_merged;
    Counter "recycles_markets_migrated", "markets", "Markets moved to a replacement", "nothing", markets_migrated;
    Counter "recycles_overlap_seconds", "s", "Time with the same tokens on two connections, all replacements",
        "nothing", |r, _| seconds(r.overlap_ns);
    Counter "recycles_books_interrupted", "books", "Live books that were not live after their move",
        "a replacement lost books: see recycling in /stats", interrupted;
};

pub(in crate::serve) const PHASE_QUANTILE: Rows<Quantile> = rows! { "service,phase,quantile", Quantile;
    Gauge "service_phase_seconds", "s",
        "Time to acquire, connect and request; quantile 0 is the minimum, 1 the maximum",
        "the service is slow, or its pool too small", |q, _| seconds(q.ns);
};

pub(in crate::serve) const PHASE: Rows<LatencySummary> = rows! { "service,phase", LatencySummary;
    Counter "service_phase_samples", "values", "Samples of service_phase_seconds", "nothing", count;
};

pub(in crate::serve) const BUS: Rows<BusReport> = rows! { "", BusReport;
    Gauge "bus_books", "books", "Books published to the broker (--bus)", "nothing", books;
    Counter "bus_records", "records", "Records that the broker has acknowledged", "nothing", records;
    Counter "bus_bytes", "bytes", "Bytes of these records before compression", "nothing", bytes;
    Gauge "bus_waiting", "records", "Records that wait for the broker's acknowledgement",
        "the broker is slow or away", waiting;
    Gauge "bus_waiting_bytes", "bytes", "Bytes that wait before the producer has room",
        "the broker is slow or away", waiting_bytes;
    Gauge "bus_journaled", "records", "Trades and stages of markets that wait in the journal",
        "the broker is away: they are published when it is back", journaled;
    Counter "bus_snapshots_repeated", "books", "Snapshots repeated in their turn (--bus-snapshot-seconds)",
        "nothing", snapshots_repeated;
    Counter "bus_conflated", "records", "Changes, snapshots and states replaced by a later snapshot",
        "the broker is slow or away: give it more room with buffer_mib=", conflated;
    Counter "bus_failed", "records", "Records that the broker refused or did not take in time",
        "/stats has the last error of the broker", failed;
    Counter "bus_trades_lost", "trades", "Trades that are not on the bus",
        "the log has the error of the journal, or a ring was full", trades_lost;
    Counter "bus_withheld", "records", "Records whose slice is another machine's, so that it publishes them",
        "nothing: slices move; steadily without a session in the cluster", withheld;
    Counter "bus_books_refused", "books", "Books that are not published because there are too many",
        "follow fewer markets (--markets-max)", books_refused;
    Counter "bus_restarts", "producers", "Producers begun in place of one that failed or got no acknowledgements",
        "the log has the reason: the broker has lost its data, takes nothing, or another program writes there", restarts;
    Gauge "bus_last_record_age_seconds", "s", "Time since a record was last acknowledged",
        "above a few seconds: the broker is away or takes nothing", |b, now| age(b.last_record_wall_ns, now);
    Gauge "bus_down_seconds", "s", "Time since the broker takes nothing; absent while it does",
        "/health has the error", |b, now| age(b.down_since_wall_ns, now);
    Gauge "bus_up", "1", "1 while the broker takes records, else 0", "when it falls: /health has the error",
        |b, _| flag(b.down_since_wall_ns == 0);
};

pub(in crate::serve) const CLUSTER: Rows<ClusterReport> = rows! { "", ClusterReport;
    Gauge "cluster_in_session", "1", "1 while this member has a session with the broker (--cluster), else 0",
        "when it falls: /health has the error", in_session;
    Gauge "cluster_slices_assigned", "slices", "Slices that the broker has assigned to this member", "nothing",
        slices_assigned;
    Gauge "cluster_slices_followed", "slices", "Slices followed, until other members have them", "nothing",
        slices_followed;
    Gauge "cluster_slices_published", "slices", "Slices whose books and trades are published",
        "below cluster_slices_followed: the session has ended", slices_published;
    Gauge "cluster_slices_live", "slices", "Assigned slices whose books are all live",
        "below cluster_slices_assigned for long: /health says what is not live", slices_live;
    Counter "cluster_claims", "claims", "Claims on slices that the broker has acknowledged", "nothing", claims;
    Counter "cluster_claims_failed", "claims", "Claims that it has not; they are sent again", "the broker is slow or away",
        claims_failed;
    Counter "cluster_assignments", "assignments", "Assignments of the broker since the start",
        "steadily: members come and go, or have too little CPU for their sessions", assignments;
    Counter "cluster_sessions_lost", "sessions", "Sessions that have ended before this member left",
        "the broker was away, or this machine has too little CPU", sessions_lost;
    Gauge "cluster_scans_catalog", "1", "1 while this member scans the catalogs for all, 0 while it reads from others",
        "nothing: one member of each rack has 1", scans_catalog;
    Gauge "cluster_members", "members", "Members of all racks, this one included", "nothing", members;
    Gauge "cluster_connections_account", "connections", "Connections of the account, of all members",
        "nothing", connections_account;
    Gauge "cluster_connections_share", "connections", "Of these, the share of this member", "nothing",
        connections_share;
    Gauge "cluster_catalog_silent_seconds", "s", "Time without a scan of another member, while this one scans for that",
        "above 0: the member with slice 0 cannot read the catalog, or the broker is away", catalog_silent_seconds;
    Counter "cluster_catalog_fallbacks", "times", "Times that it began to scan for want of another member's scans",
        "as above", catalog_fallbacks;
    Counter "cluster_markets_read", "records", "Records of markets of other members that were read", "nothing",
        markets_read;
    Counter "cluster_markets_unreadable", "records", "Records of markets that could not be read",
        "steadily: another program writes to the topic, or members have different versions", markets_unreadable;
};

pub(in crate::serve) const BUS_SOURCE: Rows<BusSourceReport> = rows! { "", BusSourceReport;
    Gauge "bus_source_engines", "engines", "Engines that publish to the bus that is read (--source bus)",
        "when it falls: an engine has ended, or the broker is away", engines;
    Counter "bus_source_records", "records", "Records read from the bus", "nothing", counts.records;
    Counter "bus_source_repeated", "records", "Records read before, or another engine's of the same trade or book",
        "nothing", counts.repeated;
    Counter "bus_source_outdated", "records", "Records of an earlier start of their engine",
        "steadily: two engines have the same name (engine=)", counts.outdated;
    Counter "bus_source_gaps", "gaps", "Places where records are missing; a snapshot stands for them",
        "/stats of the engines that publish has the reason, or the broker keeps records for too short a time",
        counts.gaps;
    Counter "bus_source_trades_lost", "trades", "Trades that engines report as lost",
        "their broker was away for too long: give them more room with buffer_mib=", counts.trades_lost;
    Counter "bus_source_unreadable", "records", "Records that could not be read",
        "steadily: another program writes to the topics", counts.unreadable;
    Counter "bus_source_switches", "books", "Times that another engine's book was taken: further, or the only live one",
        "nothing", counts.switches;
    Counter "bus_source_fenced", "records", "Records of books of engines whose slice another one has had for 10 s",
        "steadily: a member of the cluster is cut off from the broker's group; restart it", counts.fenced;
    Counter "bus_source_other_venues", "records", "Records of venues that are not followed",
        "name these venues too (--venue)", other_venues;
    Gauge "bus_source_last_record_age_seconds", "s", "Time since a record was last read",
        "above a few seconds: no engine publishes, or the broker is away", |b, now| age(b.last_record_wall_ns, now);
};

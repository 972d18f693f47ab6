//! The status report of the engine, built by the control core.
//!
//! Runs on:  any (pure). Shown by `/stats`, `/metrics`, `/health`, the status and the exit line.
use super::bus::BusReport;
use super::bus_source::BusSourceReport;
use super::capture::CaptureReport;
use super::cluster::ClusterReport;
use super::latency::{LatencySummary, StageBuckets};
use super::race::RaceCounts;
use super::service::ServiceReport;
use super::shard::{BookCounts, CheckCounts, HandoverCounts, IntakeCounts, RepairCounts};
use super::trades::TradeReport;
use serde::{Deserialize, Serialize};

/// State and counters of a running engine. Each number in it is in `/metrics` too, and a test compares them
/// (`serve/metrics/complete.rs`); a struct that is added here derives `Deserialize` for that and for `ringbook top`.
/// Times are nanoseconds since the Unix epoch where they end in `_wall_ns`; 0 means never.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EngineReport {
    /// Version of the program.
    pub version: String,
    /// The venues that are followed.
    pub venues: Vec<VenueReport>,
    /// When the engine started.
    pub started_wall_ns: u64,
    /// When this report was built.
    pub now_wall_ns: u64,
    /// Whether the exchange trades, where the venue reports it.
    pub exchange: Option<ExchangeReport>,
    /// Health of the engine.
    pub health: HealthReport,
    /// Markets and tokens by status.
    pub registry: RegistryReport,
    /// Connections.
    pub pool: PoolReport,
    /// The backend services, and the pools of connections to them.
    pub services: Vec<ServiceReport>,
    /// Links between cores.
    pub router: Vec<LinkReport>,
    /// Books compared with venue-reported values.
    pub correctness: CorrectnessReport,
    /// Shards, in order.
    pub shards: Vec<ShardReport>,
    /// Connections that were replaced.
    pub recycling: RecycleReport,
    /// Trades on their way to the database; absent without `--trades`.
    pub trades: Option<TradeReport>,
    /// The capture; absent without `--capture`.
    pub capture: Option<CaptureReport>,
    /// The bus; absent without `--bus`.
    pub bus: Option<BusReport>,
    /// The bus as the source; absent where venues are followed.
    pub bus_source: Option<BusSourceReport>,
    /// This machine as a member of a cluster; absent without `--cluster`.
    pub cluster: Option<ClusterReport>,
    /// Discovery and expiry.
    pub lifecycle: LifecycleReport,
    /// Percentiles since the start, all shards together.
    pub latencies: Vec<LatencySummary>,
    /// The values that they are from, for `/latency`.
    #[serde(skip)]
    pub buckets: Vec<StageBuckets>,
}

/// Books compared with venue-reported values, all shards together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CorrectnessReport {
    /// Share of the verdicts in which the book was right, 0 to 1; absent before the first.
    pub score: Option<f64>,
    /// The verdicts.
    pub checks: CheckCounts,
    /// Repairs and audits over the venue's REST interface.
    pub repairs: RepairCounts,
    /// The requests to it.
    pub snapshot_requests: SnapshotRequestsReport,
}

/// Requests for books over the venue's REST interface.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct SnapshotRequestsReport {
    /// Requests sent.
    pub requests: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Requests answered with books.
    pub answers: u64,
    /// Requests that failed or were refused.
    pub failed: u64,
    /// Why the last one failed; empty since one was answered.
    pub last_error: String,
    /// Tokens that wait for a request.
    pub tokens_waiting: u64,
    /// Tokens dropped for want of room; their shards ask again.
    pub tokens_dropped: u64,
}

/// Connections that were replaced by fresh ones, make before break.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecycleReport {
    /// Replacements begun.
    pub initiated: u64,
    /// Of these, replacements that took over.
    pub completed: u64,
    /// Replacements that did not; the old connection stayed.
    pub failed: u64,
    /// `completed` among the ended ones, 0 to 1; absent before the first.
    pub success_rate: Option<f64>,
    /// Replacements under way.
    pub under_way: u64,
    /// Of the completed ones, replacements that took over from several connections at once.
    pub merges: u64,
    /// Connections that these saved.
    pub connections_merged: u64,
    /// Markets that moved.
    pub markets_migrated: u64,
    /// Time during which two connections carried the same tokens, nanoseconds, over all replacements.
    pub overlap_ns: u64,
    /// Live books that were not live after they moved: downtime, and to be 0.
    pub interrupted: u64,
    /// Why the last one failed.
    pub last_failure: String,
    /// Those under way, by replacement.
    pub replacements: Vec<ReplacementReport>,
    /// Connections whose replacement was asked for and has not begun.
    pub queued: Vec<u32>,
    /// The last ones, oldest first.
    pub handovers: Vec<HandoverReport>,
}

/// A replacement under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReplacementReport {
    /// The connections that are replaced.
    pub from: Vec<u32>,
    /// Their replacement.
    pub to: u32,
    /// As in [`HandoverReport`].
    pub reason: String,
    /// `opening` (dialed), `filling` (snapshots are missing), `settling` (all are there) or `switching`.
    pub phase: String,
    /// When it began.
    pub began_wall_ns: u64,
    /// Tokens that move.
    pub tokens: u64,
    /// Live books whose snapshot the replacement has yet to deliver; absent while it is not known.
    pub owing: Option<u64>,
}

impl RecycleReport {
    /// `completed` among the ended ones, 0 to 1; `None` before the first.
    pub fn rate(&self) -> Option<f64> {
        let ended = self.completed + self.failed;
        (ended > 0).then(|| self.completed as f64 / ended as f64)
    }
}

/// Proof of one recycle.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct HandoverReport {
    /// The connection that was replaced.
    pub from: u32,
    /// The others that were replaced with it, by a merge.
    pub merged: Vec<u32>,
    /// Its replacement.
    pub to: u32,
    /// `polluted`, `aged`, `unhealthy`, `merge` or `asked`.
    pub reason: String,
    /// When it began.
    pub began_wall_ns: u64,
    /// Until the replacement was up.
    pub dial_ns: u64,
    /// From there until it had delivered every snapshot.
    pub fill_ns: u64,
    /// From there until the shard was ordered to switch.
    pub settle_ns: u64,
    /// How long both carried the tokens.
    pub overlap_ns: u64,
    /// Live books that were not live any more after the switch.
    pub interrupted: u64,
    /// Messages of both meanwhile; `switch_ns` is the last phase.
    #[serde(flatten)]
    pub counts: HandoverCounts,
}

/// Health of the engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct HealthReport {
    /// True when nothing below is wrong.
    pub healthy: bool,
    /// True within the grace after the start, when missing connections are not yet a fault.
    pub in_grace: bool,
    /// Faults, one line each with what follows; empty when healthy.
    pub reasons: Vec<String>,
    /// Conditions that an operator should know; they do not make the engine unhealthy.
    pub notices: Vec<String>,
    /// Why no market is followed though names were given, which is a fault only if it is so at every venue: each name
    /// may be another venue's. Judged by [`HealthReport::settle`].
    #[serde(skip)]
    pub idle: Option<String>,
}

impl HealthReport {
    /// Decides `healthy`, once the reports of all venues are folded.
    pub fn settle(&mut self) {
        if let Some(line) = self.idle.take()
            && self.reasons.is_empty()
        {
            if self.in_grace { self.notices.push(line) } else { self.reasons.push(line) }
        }
        self.healthy = self.reasons.is_empty();
    }
}

/// The share of one venue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueReport {
    /// Its name.
    pub venue: String,
    /// Markets known.
    pub markets: u64,
    /// Connections that are up.
    pub connections_active: u64,
    /// The shards that have its books, by number.
    pub shards: Vec<u16>,
    /// Books held.
    pub books: u64,
    /// Of these, books that are live.
    pub books_live: u64,
    /// Trades seen.
    pub trades: u64,
}

/// State of the exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeReport {
    /// It answers to anything.
    pub active: bool,
    /// Orders are matched.
    pub trading: bool,
    /// Announced time of resumption, nanoseconds since the Unix epoch; 0 without one.
    pub resumes_wall_ns: u64,
    /// When it reported that.
    pub seen_wall_ns: u64,
}

/// Markets and tokens by status.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RegistryReport {
    /// Markets known.
    pub markets: u64,
    /// Of these, markets whose tokens are another one's: the same books answer for both.
    pub markets_shared: u64,
    /// Tokens of all markets.
    pub tokens: u64,
    /// Tokens of slices that another machine of the cluster has.
    pub tokens_elsewhere: u64,
    /// Tokens that wait for a connection.
    pub tokens_pending: u64,
    /// Tokens placed on a connection and not expired.
    pub tokens_subscribed: u64,
    /// Tokens whose market has ended or resolved.
    pub tokens_expired: u64,
}

/// The connections and what they may carry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PoolReport {
    /// Tokens that placement puts on one connection.
    pub tokens_per_connection_target: u64,
    /// Tokens that a connection never exceeds.
    pub tokens_per_connection_max: u64,
    /// Tokens that the connections for books could carry together at the target.
    pub capacity_tokens: u64,
    /// Connections that are up.
    pub connections_active: u64,
    /// Connections that are being dialed or wait for their next dial.
    pub connections_waiting: u64,
    /// Connections that carry nothing any more and are being closed.
    pub connections_draining: u64,
    /// Connections opened since the start (first dials that succeeded).
    pub connections_opened: u64,
    /// Dials that failed since the start.
    pub dials_failed: u64,
    /// Reconnects that succeeded since the start.
    pub reconnects: u64,
    /// When the last one came up.
    pub last_reconnect_wall_ns: u64,
    /// Markets that left a connection of a fixed table, because it failed or for balance.
    pub markets_moved: u64,
    /// Commands on all connections, and their results.
    pub subscriptions: SubscriptionReport,
    /// Every connection.
    pub connections: Vec<ConnectionReport>,
}

/// One connection. Its number stays the same over reconnects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// The connection's number.
    pub id: u32,
    /// What it is called, as in `connection-7` or `orderbook-1`.
    pub name: String,
    /// The shard that owns it.
    pub shard: u16,
    /// `dialing`, `waiting`, `active` or `closing`.
    pub state: String,
    /// Why it is not active, if it is not.
    pub why: String,
    /// Tokens placed on it.
    pub tokens: u64,
    /// Of these, tokens of markets that expired.
    pub tokens_expired: u64,
    /// `tokens_expired / tokens`, 0 to 1.
    pub pollution: f64,
    /// Books that have their snapshot.
    pub snapshots: u64,
    /// Text and binary frames received.
    pub frames: u64,
    /// Bytes received from the socket.
    pub bytes: u64,
    /// Frames or messages that could not be decoded.
    pub decode_errors: u64,
    /// Age of its last message with a time when it was read, nanoseconds; 0 before the first. It contains the
    /// difference of the two clocks.
    pub lag_ns: u64,
    /// Reconnects since the start.
    pub reconnects: u64,
    /// When the present socket came up.
    pub connected_wall_ns: u64,
    /// Last `PING` sent.
    pub last_ping_wall_ns: u64,
    /// Last `PONG` received.
    pub last_pong_wall_ns: u64,
    /// Last frame with market data.
    pub last_data_wall_ns: u64,
    /// Commands and their results, where the venue answers.
    pub subscriptions: SubscriptionReport,
    /// With `--race`: its messages against those of the connection with the same tokens; zeros otherwise.
    pub race: RaceCounts,
}

/// Commands on connections and their results; zeros where a venue does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionReport {
    /// Commands sent.
    pub commands: u64,
    /// Answers that were errors.
    pub errors: u64,
    /// Commands sent again after a pause that the venue asked for.
    pub retries: u64,
    /// Commands that were not answered in time.
    pub timeouts: u64,
    /// Tokens or commands that the venue does not take.
    pub refused: u64,
    /// Subscriptions that the venue ended.
    pub resubscribes: u64,
    /// Places where numbered messages are missing.
    pub sequence_holes: u64,
    /// Messages that are missing there.
    pub sequence_missing: u64,
    /// Messages whose number had been there: dropped.
    pub sequence_duplicates: u64,
}

/// One ring between two threads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LinkReport {
    /// Producer, consumer and number, as in `control_shard-0`.
    pub name: String,
    /// Messages accepted.
    pub routed: u64,
    /// Messages given back because the ring was full.
    pub refused: u64,
    /// Messages that wait now.
    pub depth: u64,
    /// Messages that fit.
    pub capacity: u64,
    /// Mean wait of a message, nanoseconds; 0 before the first. Of trades and of events for another shard it is counted
    /// from the read of their frame.
    pub delay_mean_ns: u64,
    /// Longest wait of a message, nanoseconds.
    pub delay_max_ns: u64,
}

/// One shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ShardReport {
    /// The shard's number.
    pub shard: u16,
    /// The CPU it is pinned to, if it is.
    pub core: Option<u32>,
    /// True while its heartbeat is current.
    pub healthy: bool,
    /// Its last heartbeat.
    pub heartbeat_wall_ns: u64,
    /// Connections it owns.
    pub connections: u64,
    /// Bytes received.
    pub bytes: u64,
    /// By how much the host's clock is behind the venue's, as the times of messages show it, milliseconds.
    pub clock_behind_ms: u64,
    /// Input.
    #[serde(flatten)]
    pub intake: IntakeCounts,
    /// Books.
    #[serde(flatten)]
    pub books: BookCounts,
    /// Mean time from read to applied for one frame, nanoseconds.
    pub frame_mean_ns: u64,
    /// Last market data.
    pub last_message_wall_ns: u64,
    /// Results of comparing its books with venue-reported values.
    pub checks: CheckCounts,
    /// Repairs and audits of them over REST.
    pub repairs: RepairCounts,
    /// Heap bytes of the books and their index.
    pub book_bytes: u64,
    /// Memory of frames that have begun and not ended, and of large ones that wait to be decoded.
    pub unfinished_bytes: u64,
    /// Connections closed because they held the most of it when it was too much.
    pub closed_for_memory: u64,
    /// Connections closed because they sent too many frames that say nothing.
    pub closed_for_flood: u64,
    /// Orders taken from the control core.
    pub commands: u64,
}

/// Discovery and expiry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LifecycleReport {
    /// Scans of the catalog that reached the last page.
    pub scans_completed: u64,
    /// Scans that were given up.
    pub scans_failed: u64,
    /// Pages read.
    pub pages: u64,
    /// Requests that failed and were tried again.
    pub requests_failed: u64,
    /// Markets first seen in the catalog.
    pub markets_discovered: u64,
    /// Markets first seen on the stream (`new_market`).
    pub markets_announced: u64,
    /// Markets resolved by a message of the stream (`market_resolved`).
    pub markets_resolved: u64,
    /// Markets whose end passed.
    pub markets_expired: u64,
    /// Markets removed after the grace period.
    pub markets_removed: u64,
    /// Catalog entries that could not be used (no order book, no tokens, bad fields).
    pub markets_skipped: u64,
    /// Markets that the catalog lists and that are not closed, in the last complete scan.
    pub markets_listed: u64,
    /// Of these, markets that are not followed, by reason; every reason that was met since the start.
    pub skipped: Vec<SkipReport>,
    /// When the last complete scan ended.
    pub last_scan_wall_ns: u64,
    /// The last failure, empty if the last request succeeded.
    pub last_error: String,
}

/// Markets of one venue's catalog that are not followed for one reason.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct SkipReport {
    /// The venue.
    pub venue: String,
    /// Why.
    pub reason: String,
    /// True where the venue's rules say that there is no book; false where there should be one.
    pub by_rule: bool,
    /// Markets of the last complete scan (of the first one while it runs), and of those asked for by name.
    pub markets: u64,
    /// The first of them since the start.
    pub first: String,
}

//! Every limit of the engine, with its arithmetic. No other file defines a capacity or a timeout.
//!
//! Those of the bus are in `limits/bus.rs`.
//!
//! Runs on:  any (pure).
mod bus;

pub use bus::*;

use super::time::{MICROSECOND_NS, MILLISECOND_NS, SECOND_NS};

// ---- Threads -------------------------------------------------------------------------------

/// Shards of one engine.
pub const SHARDS_MAX: usize = 256;
/// Default maximum of shards: the whole exchange sends about 4,000 messages per second, in bursts ten times that; more
/// shards only make connections smaller.
pub const SHARDS_DEFAULT_MAX: usize = 8;

// ---- Connections and subscriptions ---------------------------------------------------------

/// Tokens that placement puts on one connection. At 400 every snapshot arrives; above about 750 the venue silently
/// sends none.
pub const TOKENS_PER_CONNECTION_TARGET: usize = 400;
/// Maximum tokens on a connection.
pub const TOKENS_PER_CONNECTION_MAX: usize = 500;
/// Markets of one Kalshi subscription. The venue's limit is not documented (kalshi/protocol.md, 1); when it refuses a
/// subscription as too large, the connection's limit is reduced.
pub const MARKETS_PER_SUBSCRIPTION_MAX: usize = 10_000;
/// Numbered subscriptions of one connection. The engine opens one.
pub const SIDS_PER_CONNECTION_MAX: usize = 16;
/// Unanswered commands of one connection. Responses to more arrive out of order anyway.
pub const COMMANDS_OPEN_MAX: usize = 4;
/// Tickers of one command: 17 kB, and a response of at most 250 kB of snapshots.
pub const TICKERS_PER_COMMAND: usize = 256;
/// A command without response is repeated after this.
pub const COMMAND_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Pause of commands after a rate-limit response; doubles each time.
pub const COMMAND_PAUSE_NS: u64 = 250 * MILLISECOND_NS;
/// Books per audit of a connection whose protocol sends snapshots on request.
pub const AUDIT_BOOKS: usize = 8;
/// A requested snapshot that has not arrived is requested again after this.
pub const SNAPSHOT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Tries of a command or a snapshot before the connection is considered broken.
pub const SNAPSHOT_TRIES: u32 = 3;
/// Markets deleted from a Kalshi subscription that a connection remembers: 400 kB.
pub const DELETED_MARKETS_MAX: usize = 4_096;
/// A market whose addition the venue refused is added again after this; doubles each time.
pub const REFUSED_RETRY_MIN_NS: u64 = 5 * SECOND_NS;
/// The longest such pause.
pub const REFUSED_RETRY_MAX_NS: u64 = 80 * SECOND_NS;
/// Subscriptions ended by the venue within a minute before the connection is replaced.
pub const RESUBSCRIBES_MAX: usize = 3;

/// Messages of another subscription than the acknowledged one after which a connection is replaced: its own
/// acknowledgement was lost.
pub const OTHER_SUBSCRIPTION_MAX: u32 = 64;
/// Best prices that a shard stores for late tickers: half a second at 4,000 changes per second; at worst a scan of 40
/// kB per ticker.
pub const TOPS_REMEMBERED: usize = 2_048;
/// Trade ids that a shard stores, so that a trade from two connections is delivered once: 40 minutes at 25 trades per
/// second.
pub const TRADE_IDS_STORED_MAX: usize = 1 << 16;
/// Trades of markets without a book that a shard stores until one opens: 1 MB, 80 s of 50 trades per second, combos
/// included.
pub const EARLY_TRADES_MAX: usize = 4_096;
/// Older trades are not delivered to a newly opened book: its market was not followed.
pub const EARLY_TRADE_AGE_NS: u64 = 60 * SECOND_NS;
/// Pending tokens of one shard for which a new connection is opened.
pub const PENDING_TOKENS_WORTH_CONNECTION: usize = 50;
/// Connections of one shard: 64 x 400 tokens is a quarter of the venue's tokens.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 256;
/// Connection slots of one shard: a closing connection keeps its slot until its socket is closed
/// ([`CLOSE_TIMEOUT_NS`]), while placement already reuses its number.
pub const CONNECTION_SLOTS_MAX: usize = 2 * CONNECTIONS_PER_SHARD_MAX;
/// Tokens of one market: two on every known venue, with room for markets with more outcomes.
pub const TOKENS_PER_MARKET_MAX: usize = 16;
/// Registered markets: twenty times the 46,540 active markets of 2026. With a connection table of larger capacity, that
/// capacity.
pub const MARKETS_MAX: usize = 1 << 20;
/// Ids of removed markets that are stored so that a late listing does not add them again: months of them, 17 MB.
pub const REMEMBERED_MARKETS_MAX: usize = 1 << 18;
/// Connections of a table: twice the venue's default limit. Tables are numbered from 1; venues without a table use
/// numbers above.
pub const TABLE_CONNECTIONS_MAX: u32 = 400;
/// Connection numbers per venue over the life of the process: one per second for six months.
pub const CONNECTIONS_NUMBERED_PER_VENUE: u32 = 1 << 24;
/// Time at startup that markets wait for the connections of a table.
pub const START_GATE_NS: u64 = 10 * SECOND_NS;
/// Downtime of a table's connection after which its markets move to others: a dial that succeeds at once takes a tenth
/// of it.
pub const AWAY_TIMEOUT_NS: u64 = SECOND_NS;
/// Interval at which the load of a table's connections is compared.
pub const BALANCE_INTERVAL_NS: u64 = SECOND_NS;
/// Markets moved per comparison, so that few books are stale at once.
pub const MOVES_PER_CHECK: usize = 64;
/// Load difference of two connections, in markets, that causes no move.
pub const BALANCE_SLACK: usize = 20;
/// Markets that end within this are placed without waiting for more: five-minute markets are on a connection before
/// they open, though a remainder waits for two intervals and is listed by the next scan.
pub const ENDS_SOON_NS: u64 = 600 * SECOND_NS;
/// Interval between two checks for pending markets.
pub const PLACEMENT_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// Interval between dials, all connections together: bursts of handshakes cause HTTP 429.
pub const DIAL_INTERVAL_NS: u64 = 100 * MILLISECOND_NS;
/// Interval between dials of a table, whose connections all dial at startup: 150 within 3 s.
pub const TABLE_DIAL_INTERVAL_NS: u64 = 20 * MILLISECOND_NS;
/// Concurrent dials.
pub const DIALS_IN_PROGRESS_MAX: usize = 16;
/// Resolving, connecting, TLS and the WebSocket upgrade together.
pub const DIAL_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Shortest delay before a redial.
pub const BACKOFF_MIN_NS: u64 = SECOND_NS;
/// Longest delay before a redial of one connection.
pub const BACKOFF_MAX_NS: u64 = 30 * SECOND_NS;
/// Longest delay before a redial where the venue counts attempts per account.
pub const SIGNED_BACKOFF_MAX_NS: u64 = 60 * SECOND_NS;
/// Consecutive failed dials, all connections together, after which the venue is considered down.
pub const OUTAGE_FAILURES: u32 = 2;
/// Interval of probe dials while the venue is down; other dials stop. Its return is detected within a second.
pub const PROBE_INTERVAL_NS: u64 = SECOND_NS;
/// Timeout of a probe instead of [`DIAL_TIMEOUT_NS`], so that few dials hang when the venue returns. Every
/// [`PROBES_PER_FULL_TIMEOUT`]-th probe has the full timeout, for a slow venue.
pub const PROBE_TIMEOUT_NS: u64 = 3 * SECOND_NS;
/// One of this many probes has [`DIAL_TIMEOUT_NS`].
pub const PROBES_PER_FULL_TIMEOUT: u64 = 8;
/// A connection that was up for less is redialed after a short delay, not at once.
pub const CONNECTION_STABLE_NS: u64 = 5 * SECOND_NS;
/// Pause of all dials after an HTTP 429 without `Retry-After`.
pub const RETRY_AFTER_DEFAULT_NS: u64 = 5 * SECOND_NS;
/// Longest pause accepted from `Retry-After`.
pub const RETRY_AFTER_MAX_NS: u64 = 300 * SECOND_NS;

// ---- Heartbeats ----------------------------------------------------------------------------

/// Interval of the text `PING` to the venue (polymarket/protocol.md, 2.2).
pub const PING_INTERVAL_NS: u64 = 10 * SECOND_NS;
/// A connection without received bytes for this long is unhealthy and replaced.
pub const SILENCE_MAX_NS: u64 = 60 * SECOND_NS;
/// Interval of a shard's heartbeat to the control core.
pub const HEARTBEAT_INTERVAL_NS: u64 = 500 * MILLISECOND_NS;
/// A shard without a heartbeat for this long is unhealthy.
pub const HEARTBEAT_MISSED_NS: u64 = 3 * SECOND_NS;
/// Time for the venue to answer a close frame.
pub const CLOSE_TIMEOUT_NS: u64 = 2 * SECOND_NS;

// ---- Buffers -------------------------------------------------------------------------------

/// Read buffer, shared by all connections of a shard.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Consecutive reads from one connection.
pub const READS_PER_CONNECTION: usize = 4;
/// Largest WebSocket frame and message: a dump of 500 tokens with 200 levels per side is 8 MB.
pub const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A longer frame is decoded in parts: the dump of a subscription is 1 to 2 MB.
pub const LARGE_FRAME_BYTES: usize = 64 * 1024;
/// Bytes of a large frame decoded per step: at 0.5 to 1 GB/s, books included, other connections wait for 30 to 60 µs. A
/// single message is not divided, so a larger book exceeds this.
pub const LARGE_FRAME_PART_BYTES: usize = 32 * 1024;
/// Incomplete frames and undecoded large frames of all connections of a shard: after an outage about 20 dumps of 2 MB
/// arrive at once. One frame of maximum size fits.
pub const UNFINISHED_BYTES_MAX: usize = 48 * 1024 * 1024;
/// A connection that holds less is not closed for that limit: it is at most two reads.
pub const UNFINISHED_BYTES_FLOOR: usize = 2 * READ_BUFFER_BYTES;
/// Control frames (pings, pongs) per read: venues send one every 10 s.
pub const CONTROL_FRAMES_PER_READ_MAX: usize = 256;
/// Fragments of one message that may have any size, empty ones included.
pub const FRAGMENTS_FREE: usize = 64;
/// Minimum average size of the further fragments of a message, bytes.
pub const FRAGMENT_BYTES_MIN: usize = 16;
/// Frames of one connection per step.
pub const FRAMES_PER_TURN: u64 = 4_096;
/// Unsent output of one connection: the subscription of 500 tokens is 41 kB.
pub const SEND_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Levels per side of a book: every tick of the finest grid (1e-4), with room.
pub const LEVELS_PER_SIDE_MAX: usize = 16_384;
/// Messages in one array frame: a dump of every token of a connection, with room.
pub const MESSAGES_PER_FRAME_MAX: usize = 4 * TOKENS_PER_CONNECTION_MAX;
/// Books of one shard: the capacity of its connections, 2.56 million.
pub const BOOKS_PER_SHARD_MAX: usize = CONNECTIONS_PER_SHARD_MAX * MARKETS_PER_SUBSCRIPTION_MAX;

// ---- Rings ---------------------------------------------------------------------------------

/// Commands to one shard: a full set of connections, opened and closed.
pub const CONTROL_SHARD_DEPTH: usize = 1024;
/// Reports of one shard.
pub const SHARD_CONTROL_DEPTH: usize = 4096;
/// Book queries from the serve core to one shard, and the responses.
pub const SERVE_SHARD_DEPTH: usize = 64;
/// Requests for book updates from the serve core to one shard; more wait in the serve core.
pub const UPDATE_REQUESTS_DEPTH: usize = 4096;
/// Updates of subscribed books from one shard, 1.5 MB: 100 ms of 80,000 messages per second. Beyond that a subscriber
/// gets images.
pub const SHARD_UPDATES_DEPTH: usize = 8192;
/// Trades that wait at a shard for room among its updates: several seconds of both venues' trades.
pub const UPDATE_TRADES_MAX: usize = 1 << 16;
/// Update requests that a shard takes in one step.
pub const UPDATE_REQUESTS_PER_STEP: usize = 64;
/// Images of marked books that a shard sends in one step: a copy of 2 kB each.
pub const UPDATE_IMAGES_PER_STEP: usize = 16;
/// Subscriptions of one shard, and of the gateway: every outcome of the exchange, twice over.
pub const UPDATE_SUBSCRIPTIONS_MAX: usize = 1 << 18;
/// Buffers for images that a shard holds for the serve core.
pub const UPDATE_BUFFERS_MAX: usize = 256;
/// Buffers that the serve core lends to a shard, 8 kB each.
pub const UPDATE_BUFFERS_INITIAL: usize = 128;
/// Queries from the serve core to the control core, and the responses.
pub const SERVE_CONTROL_DEPTH: usize = 16;
/// Markets of other members of a cluster on their way to the control core.
pub const CLUSTER_MARKETS_DEPTH: usize = 1024;
/// What a sleep costs the message that ends it: 30 to 50 µs in a virtual machine. The serve core and the native driver
/// poll for so long before they sleep.
pub const WAKE_UP_COST_NS: u64 = 40 * MICROSECOND_NS;
/// Longest poll of an adaptive shard without result.
pub const ADAPTIVE_POLL_MAX_NS: u64 = 6 * WAKE_UP_COST_NS;
/// Frames of an interval between two heartbeats of a shard whose times are all recorded; beyond, one of
/// [`FRAMES_TIMED_OF`].
pub const FRAMES_TIMED_EACH: u64 = 1024;
/// Of so many further frames one is timed, and counts as so many. A counter read costs 11 ns and a record 5 ns beside
/// the 300 ns of a whole message.
pub const FRAMES_TIMED_OF: u64 = 16;
/// Commands that a shard handles per step.
pub const COMMANDS_PER_STEP: usize = 32;
/// Book queries that a shard answers per step.
pub const QUERIES_PER_STEP: usize = 8;
/// A group of messages with one timestamp ends after this time without another: its best prices and hash are then
/// compared. The venue's bursts last about a millisecond.
pub const CHECK_SILENCE_NS: u64 = 200 * MILLISECOND_NS;
/// Time that a hash waits for the trade that explains it. Trade messages arrive 30 to 100 ms after the book that they
/// changed.
pub const CHECK_TIMEOUT_NS: u64 = 2 * SECOND_NS;
/// Pending hashes of a shard.
pub const CHECK_CASES_MAX: usize = 256;
/// Trades of a shard that are stored to explain hashes.
pub const CHECK_TRADES_MAX: usize = 1024;
/// Books checked for silence per housekeeping.
pub const CHECKS_PER_HOUSEKEEPING: usize = 4096;
/// With sampling, the hash of one of this many groups is compared.
pub const HASH_SAMPLE: u64 = 256;
/// Tokens of one `POST /books`: the venue accepts 500, and fails above about 500 due to size.
pub const TOKENS_PER_BOOKS_REQUEST: usize = 250;
/// `POST /books` per second, all shards together: 40 % of the venue's 500 per 10 s.
pub const BOOKS_REQUESTS_PER_SECOND: u64 = 20;
/// Concurrent `POST /books`.
pub const BOOKS_REQUESTS_OPEN_MAX: usize = 4;
/// Tokens queued for `POST /books`; beyond this the shard requests them again later.
pub const BOOKS_WAITING_MAX: usize = 1 << 17;
/// A book without snapshot this long after its subscription is requested over REST. The dump of 400 tokens takes one to
/// two seconds.
pub const SNAPSHOT_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Interval of the snapshot check of a connection.
pub const SNAPSHOT_CHECK_INTERVAL_NS: u64 = SECOND_NS;
/// A failed book request is repeated after this; doubles each time.
pub const REPAIR_RETRY_MIN_NS: u64 = 2 * SECOND_NS;
/// Longest interval between two requests for one book.
pub const REPAIR_RETRY_MAX_NS: u64 = 60 * SECOND_NS;
/// Changes of one book stored between request and response: over a second of the busiest market.
pub const REPAIR_CHANGES_MAX: usize = 4096;
/// Interval at which connections are checked for recycling.
pub const RECYCLE_INTERVAL_NS: u64 = 250 * MILLISECOND_NS;
/// Percentage of expired tokens at which a connection is replaced.
pub const RECYCLE_POLLUTION_PERCENT: usize = 30;
/// Percentage of a connection's slots taken, by expired tokens too, from which on it is nearly full.
pub const RECYCLE_FULL_PERCENT: usize = 90;
/// Percentage of expired tokens at which a nearly full connection is replaced: they take the slots of new markets.
pub const RECYCLE_FULL_POLLUTION_PERCENT: usize = 20;
/// Age of a socket at which it is replaced.
pub const RECYCLE_AGE_NS: u64 = 24 * 3600 * SECOND_NS;
/// A younger socket is replaced only if it is unhealthy, nearly full or merged, or on command.
pub const RECYCLE_AGE_MIN_NS: u64 = 300 * SECOND_NS;
/// A connection is unhealthy when most of its books are not live for this long.
pub const RECYCLE_UNHEALTHY_NS: u64 = 60 * SECOND_NS;
/// Concurrent replacements.
pub const RECYCLES_MAX: usize = 2;
/// Time that a replacement must be up with all snapshots before it takes over.
pub const RECYCLE_SETTLE_NS: u64 = 3 * SECOND_NS;
/// A replacement must be up within this, and have all snapshots within the same again.
pub const RECYCLE_FILL_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// Time for a shard to switch.
pub const RECYCLE_SWITCH_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// First pause after a failed replacement; doubles each time.
pub const RECYCLE_RETRY_MIN_NS: u64 = 60 * SECOND_NS;
/// Longest such pause.
pub const RECYCLE_RETRY_MAX_NS: u64 = 3600 * SECOND_NS;
/// Merged connections have together at most this percentage of a connection's tokens.
pub const MERGE_FILL_PERCENT: usize = 90;
/// Percentage of connections above the necessary number at which a merged connection may be filled to the limit.
pub const MERGE_SPARE_PERCENT: usize = 25;
/// Younger connections are not merged. Less than [`RECYCLE_AGE_MIN_NS`]: where many markets end, each connection is
/// replaced at that age, so two would never be older together.
pub const MERGE_AGE_MIN_NS: u64 = 120 * SECOND_NS;
/// Connections merged into one at a time.
pub const MERGE_CONNECTIONS_MAX: usize = 16;
/// No merges for this long after the engine was unhealthy.
pub const MERGE_POSTPONED_NS: u64 = 60 * SECOND_NS;
/// Stored reports of recent replacements.
pub const RECYCLE_PROOFS_MAX: usize = 32;
/// Pause before a connection that races is replaced after it was lost.
pub const RACE_RETRY_NS: u64 = 5 * SECOND_NS;
/// Messages stored by a handover because only one of its two connections has received them: ten seconds of a busy
/// connection.
pub const HANDOVER_STORED_MAX: usize = 16_384;
/// Stored messages of one market that both connections have received.
pub const HANDOVER_RECEIVED_MAX: usize = 64;
/// A market whose two connections never reach the same message is switched after this anyway.
pub const HANDOVER_STEP_NS: u64 = 2 * SECOND_NS;
/// A message that only the new connection has received for this long is considered lost on the old one, and applied.
pub const HANDOVER_AGE_NS: u64 = 5 * SECOND_NS;
/// A message outstanding on the new connection for this long is considered lost on it, if the connection is past it.
pub const HANDOVER_OUTSTANDING_NS: u64 = 5 * SECOND_NS;
/// A connection is past a message when it has received one newer by this much, in milliseconds of venue time.
pub const HANDOVER_PAST_MS: u64 = 1_000;
/// Longest wait for a lagging connection.
pub const HANDOVER_LAG_MAX_NS: u64 = 20 * SECOND_NS;
/// Tolerance of venue times ahead of the host's clock, beyond its measured lag, and of the host's clock behind the
/// venue's without a notice: more than the error of an NTP clock.
pub const CLOCK_ERROR_MS: u64 = 2_000;
/// The clock difference is the minimum within one to two such windows.
pub const CLOCK_WINDOW_MS: i64 = 120_000;
/// Larger clock differences mean another unit of time.
pub const CLOCK_PLAUSIBLE_MS: u64 = 100 * 365 * 86_400_000;
/// Two messages of one book in wrong order by more than this have an invalid time. A lagging stream is behind by less.
pub const ORDER_ERROR_MS: u64 = 60_000;
/// A message already visible in the venue's REST interface may still be in transit for this long; a book without it by
/// then is behind.
pub const AUDIT_TIMEOUT_NS: u64 = 2 * SECOND_NS;
/// Maximum age of a REST book without a time: the duration of a request.
pub const POLL_AGE_NS: u64 = 10 * SECOND_NS;
/// Pending audits of a shard.
pub const AUDITS_OPEN_MAX: usize = 4096;
/// Markets whose two books are compared with each other per housekeeping.
pub const MIRRORS_PER_HOUSEKEEPING: usize = 256;
/// A connection without data for longer than this and [`DATA_SILENCE_GAPS`] of its mean gaps is checked over REST:
/// quiet or frozen.
pub const DATA_SILENCE_MIN_NS: u64 = 5 * SECOND_NS;
/// A connection is checked after this silence regardless of its mean gap.
pub const DATA_SILENCE_MAX_NS: u64 = 120 * SECOND_NS;
/// See [`DATA_SILENCE_MIN_NS`].
pub const DATA_SILENCE_GAPS: u64 = 8;
/// Interval of housekeeping: timers, heartbeats.
pub const HOUSEKEEPING_INTERVAL_NS: u64 = 100 * MILLISECOND_NS;
/// Books whose memory usage is measured per housekeeping: 20,000 books per second.
pub const BOOKS_MEASURED_PER_HOUSEKEEPING: usize = 2048;

const _: () = {
    assert!(CONTROL_SHARD_DEPTH >= 2 * CONNECTIONS_PER_SHARD_MAX);
    assert!(SHARD_CONTROL_DEPTH >= 4 * CONNECTIONS_PER_SHARD_MAX);
    assert!(TOKENS_PER_CONNECTION_TARGET <= TOKENS_PER_CONNECTION_MAX);
    assert!(PENDING_TOKENS_WORTH_CONNECTION <= TOKENS_PER_CONNECTION_TARGET);
    // A remainder that is not worth a connection is placed on the last one.
    assert!(
        TOKENS_PER_CONNECTION_TARGET + PENDING_TOKENS_WORTH_CONNECTION <= TOKENS_PER_CONNECTION_MAX
    );
    // 40 connections are dialed again within 5 s of the venue's return: probe, then stagger.
    assert!(PROBE_INTERVAL_NS + 39 * DIAL_INTERVAL_NS < 5 * SECOND_NS);
    // Probes that all time out leave room for the next.
    assert!(DIAL_TIMEOUT_NS / PROBE_INTERVAL_NS < DIALS_IN_PROGRESS_MAX as u64);
    // A market always fits on one connection.
    assert!(TOKENS_PER_MARKET_MAX <= PENDING_TOKENS_WORTH_CONNECTION);
    // A switch that waits for both conditions ends in time.
    assert!(RECYCLE_SWITCH_TIMEOUT_NS > HANDOVER_STEP_NS + HANDOVER_LAG_MAX_NS);
    assert!(SILENCE_MAX_NS >= 3 * PING_INTERVAL_NS);
    assert!(LARGE_FRAME_PART_BYTES <= LARGE_FRAME_BYTES && LARGE_FRAME_BYTES < FRAME_BYTES_MAX);
    assert!(UNFINISHED_BYTES_MAX > FRAME_BYTES_MAX + UNFINISHED_BYTES_FLOOR);
    assert!(HEARTBEAT_MISSED_NS >= 3 * HEARTBEAT_INTERVAL_NS);
    // A subscription of token ids with quotes and commas fits the send buffer twice.
    assert!(
        SEND_BUFFER_BYTES_MAX >= 2 * TOKENS_PER_CONNECTION_MAX * (super::id::TOKEN_BYTES_MAX + 3)
    );
};

// ---- Replay --------------------------------------------------------------------------------

/// One value of an input file: a frame of [`FRAME_BYTES_MAX`] as escaped or base64 text (a third longer), and the rest
/// of its line.
pub const REPLAY_VALUE_BYTES_MAX: usize = FRAME_BYTES_MAX / 2 * 3;
/// Bytes of frames sent to a shard in one batch; a single frame may be longer.
pub const REPLAY_BATCH_BYTES: usize = 128 * 1024;
/// Frames sent to a shard in one batch.
pub const REPLAY_BATCH_FRAMES: usize = 1024;
/// Stack of a decoding thread, bytes. JSON nests up to 255 levels, and an unoptimized build uses 10 KB per level;
/// untouched stack costs nothing.
pub const DECODE_STACK_BYTES: usize = 8 * 1024 * 1024;
/// A larger batch is not reused.
pub const REPLAY_BATCH_KEPT_BYTES: usize = 8 * REPLAY_BATCH_BYTES;
/// Batches in transit to one shard: 1 MiB, enough to bridge a sleep of the reader; more only if single frames are
/// longer than a batch.
pub const REPLAY_DEPTH: usize = 8;
/// Shards of a replay.
pub const REPLAY_SHARDS_MAX: u16 = 64;
/// Open connections of a capture; further ones share the last slot.
pub const REPLAY_CONNECTIONS_MAX: u32 = 1 << 16;
/// Undecodable inputs reported with their position; the rest is counted.
pub const REPLAY_ERRORS_SHOWN: usize = 5;

const _: () = assert!(REPLAY_VALUE_BYTES_MAX < u32::MAX as usize / 2);

// ---- Discovery -----------------------------------------------------------------------------

/// Interval of full scans of the venue's catalog.
pub const DISCOVERY_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// Interval at which the reports of REST pools are collected.
pub const SERVICES_REPORT_INTERVAL_NS: u64 = SECOND_NS / 2;
/// Interval of exchange status requests.
pub const EXCHANGE_STATUS_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// Interval of the search for markets whose end has passed.
pub const EXPIRY_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// Interval at which expired markets are removed.
pub const CLEANUP_INTERVAL_NS: u64 = 3600 * SECOND_NS;
/// Time that an expired market is retained.
pub const CLEANUP_GRACE_NS: u64 = 3600 * SECOND_NS;
/// Markets per page of `/markets/keyset` (the venue's maximum since 2026-05-14).
pub const DISCOVERY_PAGE_MARKETS: usize = 100;
/// Pages per second: 80 % of the venue's 300 per 10 s on `/markets`.
pub const DISCOVERY_PAGES_PER_SECOND: u64 = 24;
/// Pages of one scan: ten times the markets of 2026; a longer scan is a loop of cursors.
pub const DISCOVERY_PAGES_MAX: usize = 5_000;
/// Nesting of catalog JSON (a market in an event in a page is 6 deep): the parser recurses.
pub const JSON_DEPTH_MAX: usize = 64;
/// Maximum length of a name or question from the catalog; the rest is cut.
pub const CATALOG_TEXT_BYTES_MAX: usize = 1024;
/// Bytes of the name of a skipped catalog entry shown in the log.
pub const SKIPPED_NAME_BYTES_MAX: usize = 80;
/// Ids per market request: the venue's maximum.
pub const CONDITIONS_PER_REQUEST_MAX: usize = 100;
/// Percentage of open catalog markets that cannot be followed above which `/health` has a notice.
pub const SKIPPED_NOTICE_PERCENT: u64 = 1;
/// The percentage at which the engine is unhealthy.
pub const SKIPPED_REASON_PERCENT: u64 = 10;
/// Length of a scan's cursor: base64 of a sort key, 40 bytes in practice.
pub const CURSOR_BYTES_MAX: usize = 2048;
/// Consecutive pages that begin like an earlier one before a scan is given up: two seconds of them. The venue may
/// repeat a page because its list has shifted.
pub const PAGES_WITHOUT_NEW_MAX: usize = 50;
/// The catalog is late without a complete scan for this long.
pub const SCAN_LATE_NS: u64 = 3 * DISCOVERY_INTERVAL_NS;
/// Attempts at one page before the scan is restarted.
pub const SCAN_ATTEMPTS_MAX: u32 = 20;
/// Longest pause between attempts: three minutes of attempts in total.
pub const SCAN_BACKOFF_MAX_NS: u64 = 10 * SECOND_NS;
/// Markets queued for a lookup: requested by the user, or missing from a scan.
pub const LOOKUPS_MAX: usize = 65_536;

// ---- REST ----------------------------------------------------------------------------------

/// Response body of a REST request, inflated: 100 markets are about 0.5 MB.
pub const REST_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One REST request from first to last byte.
pub const REST_TIMEOUT_NS: u64 = 15 * SECOND_NS;
/// Connecting to all addresses of a service, within [`REST_TIMEOUT_NS`].
pub const REST_CONNECT_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Status line and headers of a response.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes shown of a certificate error, with the certificate's names.
pub const CERTIFICATE_BYTES_SHOWN: usize = 400;
/// Bytes shown of a redirect's target.
pub const LOCATION_BYTES_SHOWN: usize = 200;
/// TLS handshake and upgrade response: certificates, head, and one more read.
pub const HANDSHAKE_BYTES_MAX: usize = 256 * 1024;
/// Reads of a non-blocking check; a connection with more input is not used again.
pub const LOOK_READS_MAX: usize = 16;
/// Portion in which a body is decoded.
pub const HTTP_SCRATCH_BYTES: usize = 16 * 1024;
/// Age at which an idle connection is not used again. Longer than two scan intervals, so that a catalog of one page per
/// minute is read over one connection. If the server closes it earlier, it is not leased, or the request is repeated.
pub const REST_IDLE_NS: u64 = 150 * SECOND_NS;

// ---- Pools ---------------------------------------------------------------------------------

/// Default connections kept open per service.
pub const POOL_MIN: usize = 2;
/// Default maximum of connections per service.
pub const POOL_MAX: usize = 10;
/// Configurable maximum of connections per service: two hundredths of the usual `ulimit -n 65536`, at two descriptors
/// per connection.
pub const POOL_CONNECTIONS_MAX: usize = 256;
/// Services of one process: the ten of the example, with room.
pub const POOL_SERVICES_MAX: usize = 64;
/// Timeout for opening a connection: resolving, connecting, TLS, upgrade.
pub const POOL_CONNECT_TIMEOUT_NS: u64 = 60 * SECOND_NS;
/// Timeout for acquiring a connection.
pub const POOL_ACQUIRE_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// Timeout of a request from acquiring a connection to the last byte, including redirects and the retry.
pub const POOL_REQUEST_TIMEOUT_NS: u64 = 60 * SECOND_NS;
/// Idle time after which a connection is closed.
pub const POOL_IDLE_TIMEOUT_NS: u64 = 300 * SECOND_NS;
/// Interval of health probes.
pub const POOL_HEALTH_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// Timeout of a probe.
pub const POOL_PROBE_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Age at which a connection is replaced: names move to other addresses.
pub const POOL_MAX_AGE_NS: u64 = 3_600 * SECOND_NS;
/// Lease time after which a connection is reported with the source location of its acquisition.
pub const POOL_HELD_MAX_NS: u64 = 300 * SECOND_NS;
/// Waiters for a connection of one service.
pub const POOL_WAITING_MAX: usize = 10_000;
/// Response body of a service, inflated.
pub const POOL_BODY_BYTES_MAX: usize = REST_BODY_BYTES_MAX;
/// Redirects of one request, all within its host.
pub const POOL_REDIRECTS_MAX: usize = 5;
/// First pause after a connection could not be opened while others are leased or no waiter exists.
pub const POOL_REOPEN_MIN_NS: u64 = 250 * MILLISECOND_NS;
/// Longest such pause.
pub const POOL_REOPEN_MAX_NS: u64 = 30 * SECOND_NS;
/// Interval of a pool's housekeeping.
pub const POOL_HOUSEKEEPING_NS: u64 = 100 * MILLISECOND_NS;
/// Interval at which a stopping pool checks for returned connections.
pub const POOL_STOP_POLL_NS: u64 = 5 * MILLISECOND_NS;
/// Queued messages of an idle WebSocket; beyond them it is closed.
pub const POOL_INBOX_MAX: usize = 1_024;
/// Bytes of queued messages.
pub const POOL_INBOX_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Headers of a request or response that is forwarded between a client and a service.
pub const FORWARD_HEADERS_MAX: usize = 128;
/// Bytes of a client that are read ahead while its request waits or runs.
pub const FORWARD_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Shortest interval of the probes that requests to a service that is down start.
pub const POOL_DOWN_PROBE_NS: u64 = SECOND_NS;
/// Interval of pings on both sides of a forwarded WebSocket on which nothing was received.
pub const FORWARD_PING_NS: u64 = 20 * SECOND_NS;
/// Pings without anything received after which a side of a forwarded WebSocket has gone.
pub const FORWARD_PINGS_MAX: u32 = 3;
/// Time for running requests to end after a stop.
pub const FORWARD_DRAIN_NS: u64 = 10 * SECOND_NS;
/// Upper bound of a pool's latency histograms: 30 KB each at two digits.
pub const POOL_LATENCY_MAX_NS: u64 = 600 * SECOND_NS;
/// Requests from another core or from threads outside the engine, queued or running.
pub const POOL_REMOTE_MAX: usize = 1_024;
/// Shortest polling interval of a request ring; doubles up to the next.
pub const POOL_REMOTE_PUMP_MIN_NS: u64 = 50 * MICROSECOND_NS;
/// Longest polling interval of a request ring.
pub const POOL_REMOTE_PUMP_MAX_NS: u64 = 2 * MILLISECOND_NS;

// ---- Name resolution -----------------------------------------------------------------------

/// Cache lifetime of a resolved address.
pub const RESOLVE_TTL_NS: u64 = 60 * SECOND_NS;
/// Queued lookups: the engine uses fewer than ten names.
pub const RESOLVE_QUEUE_DEPTH: usize = 64;
/// Pause before a lookup is repeated because the queue was full.
pub const RESOLVE_AGAIN_NS: u64 = 5 * MILLISECOND_NS;
/// Number of repetitions: half a second, in which thousands of cached lookups are answered.
pub const RESOLVE_TRIES: usize = 100;
/// Cached names; beyond them the cache is cleared.
pub const RESOLVE_NAMES_MAX: usize = 64;
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 16;

/// Reachability check of all services at startup.
pub const FIRST_LOOK_TIMEOUT_NS: u64 = 3 * SECOND_NS;

/// Size of a key or password file: an RSA key of 16,384 bits has 13 KB.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Size of a file of certificates, services or settings: all authorities of a distribution have 220 KB.
pub const SETTINGS_BYTES_MAX: u64 = 4 * 1024 * 1024;

// ---- Local HTTP ----------------------------------------------------------------------------

/// Concurrent clients of the serve core; fewer if the process has few descriptors.
pub const SERVE_CLIENTS_MAX: usize = 256;
/// Minimum of that.
pub const SERVE_CLIENTS_MIN: usize = 8;
/// Descriptors that are not for clients: threads, files and the first connections to the venue.
pub const SERVE_FILES_ELSEWHERE: usize = 128;
/// Slots beyond [`SERVE_CLIENTS_MAX`] for `/health` and `/metrics` only.
pub const SERVE_RESERVED_MAX: usize = 16;
/// Interval at which errors of `accept` are logged, with their number.
pub const SERVE_ACCEPT_LOG_NS: u64 = 60 * SECOND_NS;
/// Request line and headers of a local client: options of the tardis interface with 200 token ids.
pub const SERVE_HEAD_BYTES_MAX: usize = 20 * 1024;
/// A local client that sends nothing for this long is disconnected.
pub const SERVE_IDLE_NS: u64 = 60 * SECOND_NS;
/// Time for a local client to send a request head, from its first byte.
pub const SERVE_HEAD_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Time for a local client to read a whole response.
pub const SERVE_WRITE_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Bytes still read after the last response of a connection, so that a reset does not discard the response.
pub const SERVE_LINGER_BYTES_MAX: usize = 256 * 1024;
/// Duration of that.
pub const SERVE_LINGER_NS: u64 = 500 * MILLISECOND_NS;
/// Headers of a request.
pub const SERVE_HEADERS_MAX: usize = 64;
/// Clients beyond the limit that get a response; further ones are closed.
pub const SERVE_TURNED_AWAY_MAX: usize = 16;
/// Accepted connections queued for the serve core.
pub const SERVE_ACCEPT_QUEUE: usize = 64;
/// Interval at which the serve core checks for a stop.
pub const SERVE_STOP_POLL_NS: u64 = 100 * MILLISECOND_NS;
/// Shortest polling interval of the response rings while a response is outstanding; doubles up to the next.
pub const SERVE_PUMP_MIN_NS: u64 = 100 * MICROSECOND_NS;
/// Longest polling interval of the response rings.
pub const SERVE_PUMP_MAX_NS: u64 = MILLISECOND_NS;
/// Levels per side for which a new image has room; a larger book makes it grow once.
pub const SERVE_IMAGE_LEVELS: usize = 256;
/// Timeout of a response from the control core or a shard to the serve core.
pub const SERVE_ANSWER_TIMEOUT_NS: u64 = 2 * SECOND_NS;

/// Markets of one answer of `/markets`; half of it where the request names no number.
pub const MARKETS_PAGE_MAX: usize = 100;
/// Markets that a search looks at before other tasks of the serve core run: about a millisecond.
pub const MARKETS_PER_TURN: usize = 2_048;
/// Markets whose books a search asks the shards for, at most; the next page goes on behind them.
pub const MARKETS_STATES_MAX: usize = 250;
/// A verdict on the host is given again for so long; judging takes half a second of a thread.
pub const HOST_VERDICT_NS: u64 = 60 * SECOND_NS;
/// How long a client waits for a verdict on the host.
pub const HOST_VERDICT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Body of a request of a local client: 3,000 token ids.
pub const SERVE_BODY_BYTES_MAX: usize = 256 * 1024;

// ---- Gateway -------------------------------------------------------------------------------

/// Message of a gateway client: a subscription to 50,000 token ids.
pub const GATEWAY_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Encoded events that a client can resume from: a minute at 4,000 events per second.
pub const GATEWAY_BACKLOG_EVENTS_MAX: usize = 262_144;
/// Bytes of them, snapshots included.
pub const GATEWAY_BACKLOG_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Frames queued for one gateway client, unless `--gateway-buffer` has another value.
pub const GATEWAY_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// A gateway client that takes no queued byte for this long is closed.
pub const GATEWAY_STALL_NS: u64 = 10 * SECOND_NS;
/// Difference between the timestamp of a signed request and the present time, milliseconds. The venue's is not known.
pub const GATEWAY_SIGNATURE_AGE_MS: u64 = 30_000;
/// Interval of pings to a gateway client, as Kalshi sends them.
pub const GATEWAY_PING_NS: u64 = 10 * SECOND_NS;
/// Pings without any byte from the client after which it is closed.
pub const GATEWAY_PINGS_MAX: u32 = 6;
/// Gateway clients written to before the rings of the shards are looked at again.
pub const GATEWAY_CLIENTS_PER_TURN: usize = 64;
/// Bytes put into one write to a gateway client.
pub const GATEWAY_WRITE_BYTES: usize = 64 * 1024;
/// A client that subscribes waits this long for the books of its first frame; books that come later follow one by one.
pub const GATEWAY_DUMP_WAIT_NS: u64 = 500 * MILLISECOND_NS;
/// A book stays subscribed for this long after its last client has left, so that a client can resume.
pub const GATEWAY_BOOK_LINGER_NS: u64 = 60 * SECOND_NS;
/// Markets whose facts the gateway holds: those of the whole exchange, twice over; 1 kB each.
pub const GATEWAY_MARKETS_MAX: usize = 131_072;
/// Tokens of unknown markets that wait to be asked for at the venue.
pub const GATEWAY_FOLLOW_MAX: usize = 1_024;
/// Trades that REST answers may list: a page of Kalshi's.
pub const GATEWAY_TRADES_MAX: usize = 1_000;
/// Concurrent WebSocket clients of the gateway; fewer if the process has few descriptors.
pub const GATEWAY_CLIENTS_MAX: usize = 4_096;
/// Updates taken from one shard before the clients' tasks run.
pub const GATEWAY_UPDATES_PER_TURN: usize = 1_024;
/// Interval of the gateway's timers.
pub const GATEWAY_TIMER_NS: u64 = 10 * MILLISECOND_NS;
/// Interval of the gateway's latencies to the control core.
pub const GATEWAY_LATENCY_NS: u64 = 250 * MILLISECOND_NS;
/// Longest interval of conflated best prices.
pub const GATEWAY_TOP_INTERVAL_MAX_NS: u64 = 3_600 * SECOND_NS;
/// Objects in the options of a client of the tardis interface.
pub const TARDIS_ENTRIES_MAX: usize = 16;
/// Kinds of messages of one of them.
pub const TARDIS_TYPES_MAX: usize = 32;
/// Symbols of a client of the tardis interface.
pub const TARDIS_SYMBOLS_MAX: usize = 4_096;
/// Levels of each side of a computed snapshot.
pub const TARDIS_DEPTH_MAX: usize = 1_000;
/// Levels that the computed snapshots of one client hold: 16 bytes each.
pub const TARDIS_LEVELS_MAX: usize = 1_048_576;

/// Concurrent replays of `ringbook gateway` unless `--replays` has another value: two threads each.
pub const GATEWAY_REPLAYS: u16 = 16;
/// Upper bound of that.
pub const GATEWAY_REPLAYS_MAX: u16 = 256;
/// Updates in transit from a replay to its client: 4 MB.
pub const REPLAY_UPDATES_DEPTH: usize = 32_768;
/// A replay begins when its client has subscribed to nothing more for this long.
pub const REPLAY_QUIET_NS: u64 = 250 * MILLISECOND_NS;
/// A replay's client that takes no byte for this long is closed: a debugger may hold it for a while.
pub const REPLAY_STALL_NS: u64 = 600 * SECOND_NS;
/// Parts of one replay on their way to a client of the tardis interface.
pub const TARDIS_PARTS_DEPTH: usize = 8;
/// Bytes of one part, and messages.
pub const TARDIS_PART_BYTES: usize = 64 * 1024;
/// Clients of `/ws-replay` subscribe within this time of the first one of their session.
pub const TARDIS_SUBSCRIBE_NS: u64 = 2 * SECOND_NS;
/// Bytes of records that a replay in receive order holds back for those of other shards.
pub const REPLAY_ORDER_BYTES_MAX: usize = 32 << 20;

// ---- Sinks ---------------------------------------------------------------------------------

/// Events in transit to another shard: a second of 4,000 trades and tickers; 1 MB per link.
pub const SHARD_SHARD_DEPTH: usize = 4_096;
/// Events handled per step from each other shard.
pub const FORWARDED_PER_STEP: usize = 64;
/// Trades in transit from a shard to the sink: eight seconds at 2,000 per second; 4 MB per shard.
pub const SHARD_TRADE_DEPTH: usize = 16_384;
/// Markets in transit to the sink; the rest waits in the control core.
pub const CONTROL_SINK_DEPTH: usize = 1_024;
/// Markets per batch: a first scan of 50,000 takes 25.
pub const SINK_MARKETS_MAX: usize = 2_000;
/// Trades taken from a ring at a time.
pub const TRADES_PER_LOOK: usize = 4_096;
/// Polling interval of an idle trade sink.
pub const SINK_LOOK_NS: u64 = 5 * MILLISECOND_NS;
/// A trade not stored in the database after this goes into the journal; a killed process may lose younger ones. (With
/// batches that wait longer than half of it: twice their wait.)
pub const SINK_SPILL_AGE_NS: u64 = SECOND_NS;
/// Trades in memory before they go into the journal: 26 MB.
pub const SINK_MEMORY_TRADES: usize = 100_000;
/// Trades in memory while the journal's disk is full too; further ones are lost and counted.
pub const SINK_MEMORY_TRADES_MAX: usize = 4 * SINK_MEMORY_TRADES;
/// First pause after a database failure; doubles up to the next.
pub const SINK_RETRY_MIN_NS: u64 = 250 * MILLISECOND_NS;
/// Longest pause.
pub const SINK_RETRY_MAX_NS: u64 = 5 * SECOND_NS;
/// Time after the end of the last shard to store everything in the database; the rest goes into the journal.
pub const SINK_DRAIN_NS: u64 = 10 * SECOND_NS;
/// Additional wait for a sink's thread, which has low priority: on a busy machine its last write takes seconds.
pub const SINK_END_NS: u64 = 30 * SECOND_NS;
/// Size of the chunks in which a shard's records are sent to the capture.
pub const CAPTURE_CHUNK_BYTES: usize = 64 * 1024;
/// Number of chunks: 16 MB per shard, a second at 20,000 messages per second.
pub const SHARD_CAPTURE_CHUNKS: usize = 256;
/// Text of one zstd frame of a capture; less if `--capture-flush-ms` passes first.
pub const CAPTURE_BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Text in memory while the capture's disk is full; then the rings fill, and frames are dropped and counted.
pub const CAPTURE_WAITING_BYTES_MAX: usize = 32 * CAPTURE_BLOCK_BYTES;
/// A capture file that cannot be written is retried after this.
pub const CAPTURE_RETRY_NS: u64 = SECOND_NS;
/// Interval at which the existence of the capture's files is checked.
pub const CAPTURE_CHECK_NS: u64 = SECOND_NS;
/// Stored offsets of a segment, for its truncation: every block of an hour at one per second.
pub const CAPTURE_MARKS_MAX: usize = 4_096;
/// Disk space reserved behind a manifest, so that gaps can be recorded when the disk is full: 300 lines.
pub const CAPTURE_MANIFEST_RESERVE_BYTES: u64 = 64 * 1024;
/// Live books whose digest is written into the capture per housekeeping: 20 per second.
pub const PROOFS_PER_HOUSEKEEPING: usize = 2;
/// Rows of an export in memory before they are written: about 60 MB per table.
pub const EXPORT_ROWS_PER_GROUP: usize = 262_144;
/// Rows of a batch of an Arrow stream.
pub const EXPORT_ROWS_PER_BATCH: usize = 65_536;
/// Rows of a sorted export in memory before all go to its temporary file.
pub const EXPORT_SPOOL_BYTES: usize = 64 << 20;
/// Ended markets without a known winner: three days of 400,000 per month.
pub const RESOLUTIONS_MAX: usize = 40_000;
/// First interval between requests for such a market; doubles up to the next.
pub const RESOLUTION_ASK_MIN_NS: u64 = 60 * SECOND_NS;
/// Longest interval between requests for such a market.
pub const RESOLUTION_ASK_MAX_NS: u64 = 3_600 * SECOND_NS;
/// Time after which such a market is no longer requested (disputes take days).
pub const RESOLUTION_TIMEOUT_NS: u64 = 7 * 24 * 3_600 * SECOND_NS;
/// Requests for stored prices that wait for the one that is read.
pub const HISTORY_QUEUE_DEPTH: usize = 4;
/// Trades of the token that are read for such a request.
pub const HISTORY_ROWS_MAX: u64 = 5_000_000;
/// Time for it: 2 million rows of the token a second with the index, 6 million rows of all tokens without it.
pub const HISTORY_READ_NS: u64 = 2 * SECOND_NS;
/// Venue time that is read between two looks at the clock: at 1,000 trades per second 0.2 s of reading without the
/// index. The index is by this time, too, so that rows are inserted at its end: with the token first, each row of a
/// batch would change another page of the index.
pub const HISTORY_SLICE_NS: u64 = 900 * SECOND_NS;
/// Points of its answer: two months of minutes; 3 MB.
pub const HISTORY_POINTS_MAX: usize = 90_000;
/// Timeout of a PostgreSQL server that adds an index to a table with rows: 5 million take half a minute.
pub const STORE_INDEX_NS: u64 = 3_600 * SECOND_NS;
/// Timeout of a database server.
pub const STORE_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Timeout for a database file locked by another program.
pub const SQLITE_BUSY_NS: u64 = SECOND_NS / 2;

// ---- Start and stop ------------------------------------------------------------------------

/// Time after startup in which `/health` ignores connections.
pub const HEALTH_GRACE_NS: u64 = 30 * SECOND_NS;
/// Age of messages when read at which `/health` has a notice (`--lag-warn`).
pub const LAG_WARN_NS: u64 = 5 * SECOND_NS;
/// Duration after which the engine is unhealthy for that.
pub const LAG_REASON_NS: u64 = 30 * SECOND_NS;
/// Without a message for this long, their age is unknown.
pub const LAG_FORGET_NS: u64 = 60 * SECOND_NS;
/// Time from the first signal until all connections are closed and all threads have ended.
pub const STOP_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// Time for a stopped thread to end.
pub const THREAD_END_NS: u64 = 2 * SECOND_NS;

// ---- Logging -------------------------------------------------------------------------------

/// Kinds of unknown messages of which a shard reports one each.
pub const UNRECOGNIZED_KINDS_MAX: usize = 32;
/// Bytes shown of such a message.
pub const UNRECOGNIZED_BYTES_MAX: usize = 80;
/// Percentage of unrecognized messages at which the engine is unhealthy.
pub const SCHEMA_DRIFT_PERCENT_MAX: u64 = 5;
/// Window of that percentage.
pub const SCHEMA_DRIFT_WINDOW_NS: u64 = 60 * SECOND_NS;
/// Log lines about malformed input, per kind and second; the rest is counted.
pub const LOG_LINES_PER_SECOND: u64 = 5;

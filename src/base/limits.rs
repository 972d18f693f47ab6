//! Every bound of the engine, with its arithmetic. Nothing else may spell a capacity or a timeout.
//!
//! Runs on:  any (pure).
use super::time::{MICROSECOND_NS, MILLISECOND_NS, SECOND_NS};

// ---- Threads -------------------------------------------------------------------------------

/// Shards of one engine.
pub const SHARDS_MAX: usize = 256;
/// Most shards when the command line does not say: the whole exchange sends about 4,000 messages
/// a second, in bursts ten times that; more shards than this only cut the connections smaller.
pub const SHARDS_DEFAULT_MAX: usize = 8;

// ---- Connections and subscriptions ---------------------------------------------------------

/// Tokens that placement puts on one connection. At 400 every snapshot arrives dependably; above
/// about 750 the venue silently sends none.
pub const TOKENS_PER_CONNECTION_TARGET: usize = 400;
/// Tokens that a connection never exceeds, whoever asks.
pub const TOKENS_PER_CONNECTION_MAX: usize = 500;
/// Markets of one Kalshi subscription. The venue's bound is not documented (kalshi/protocol.md, 1); when a subscription
/// is refused as too large, the connection's bound is reduced.
pub const MARKETS_PER_SUBSCRIPTION_MAX: usize = 10_000;
/// Subscriptions of one connection whose messages are numbered. The engine opens one.
pub const SIDS_PER_CONNECTION_MAX: usize = 16;
/// Commands of one connection that wait for their answer. Answers to more come out of order anyway.
pub const COMMANDS_OPEN_MAX: usize = 4;
/// Tickers of one command: 17 kB, and an answer of at most 250 kB of snapshots.
pub const TICKERS_PER_COMMAND: usize = 256;
/// A command without an answer is sent again after this long.
pub const COMMAND_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Commands pause for this long when the venue refuses one as too many, then twice as long.
pub const COMMAND_PAUSE_NS: u64 = 250 * MILLISECOND_NS;
/// Books of one connection that are compared at a time where the venue tells them on the connection.
pub const AUDIT_BOOKS: usize = 8;
/// A snapshot that was asked for on a connection is asked for again after this long.
pub const SNAPSHOT_WAIT_NS: u64 = 5 * SECOND_NS;
/// Tries of a command or a snapshot before the connection is suspected.
pub const SNAPSHOT_TRIES: u32 = 3;
/// Subscriptions that the venue may end within a minute before the connection is replaced.
pub const RESUBSCRIBES_MAX: usize = 3;
/// Best prices of books that a shard remembers for tickers that come late: half a second at 4,000 changes a second, and
/// a scan of 40 kB at worst for each ticker.
pub const TOPS_REMEMBERED: usize = 2_048;
/// Ids of trades that a shard remembers, to tell each once where two connections bring it: 40 minutes at 25
/// trades a second.
pub const TRADES_REMEMBERED: usize = 1 << 16;
/// Trades of markets without a book that a shard keeps for the moment in which one opens: 1 MB, and 80 s of 50 trades
/// a second, combos included.
pub const EARLY_TRADES_MAX: usize = 4_096;
/// A trade that is older is not taken over by a book that opens: its market was not followed.
pub const EARLY_TRADE_AGE_NS: u64 = 60 * SECOND_NS;
/// Pending tokens of one shard that are worth a connection of their own.
pub const PENDING_TOKENS_WORTH_CONNECTION: usize = 50;
/// Connections of one shard: 64 x 400 tokens is a quarter of the venue's universe.
pub const CONNECTIONS_PER_SHARD_MAX: usize = 256;
/// Places for connections of one shard: one that closes keeps its place until its socket is gone
/// ([`CLOSE_TIMEOUT_NS`]), while placement fills its number again.
pub const CONNECTION_SLOTS_MAX: usize = 2 * CONNECTIONS_PER_SHARD_MAX;
/// Tokens of one market: two on every venue known, and room for markets with more outcomes.
pub const TOKENS_PER_MARKET_MAX: usize = 16;
/// Markets registered at once: twenty times the universe of 2026 (46,540 active markets). Where the connections are a
/// fixed table that carries more, as many as it carries.
pub const MARKETS_MAX: usize = 1 << 20;
/// Ids of removed markets that are remembered so that a late listing does not bring them back:
/// months of them. 17 MB of ids when full.
pub const REMEMBERED_MARKETS_MAX: usize = 1 << 18;
/// Connections of a fixed table: twice what the venue grants anybody without being asked. Tables have the numbers from
/// 1 on; venues whose connections grow have numbers above those.
pub const TABLE_CONNECTIONS_MAX: u32 = 400;
/// Numbers for the connections that a venue opens in the life of the process: a connection a second for six months.
pub const CONNECTIONS_NUMBERED_PER_VENUE: u32 = 1 << 24;
/// Markets wait this long at the start for a fixed table of connections to come up.
pub const START_GATE_NS: u64 = 10 * SECOND_NS;
/// A connection of a fixed table may be away for this long before others take its markets: a dial that succeeds at
/// once takes a tenth of it.
pub const AWAY_PATIENCE_NS: u64 = SECOND_NS;
/// Connections of a fixed table are compared this often.
pub const BALANCE_INTERVAL_NS: u64 = SECOND_NS;
/// Markets that move for balance in one go, so that few books are stale at once.
pub const MOVES_PER_CHECK: usize = 64;
/// Markets by which two connections may differ without any moving.
pub const BALANCE_SLACK: usize = 20;
/// A market that ends within this does not wait for company: markets of five minutes are on a
/// connection before they open, though a leftover waits for two intervals and is listed at the next scan.
pub const ENDS_SOON_NS: u64 = 600 * SECOND_NS;
/// Interval between two checks for pending markets.
pub const PLACEMENT_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// Interval between two dials, all connections together: bursts of handshakes earn HTTP 429.
pub const DIAL_INTERVAL_NS: u64 = 100 * MILLISECOND_NS;
/// The same for a fixed table of connections, which all dial at the start: 150 of them within 3 s.
pub const TABLE_DIAL_INTERVAL_NS: u64 = 20 * MILLISECOND_NS;
/// Dials in progress at once.
pub const DIALS_IN_PROGRESS_MAX: usize = 16;
/// Resolving, connecting, TLS and the WebSocket upgrade together.
pub const DIAL_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// First and longest delay before a redial.
pub const BACKOFF_MIN_NS: u64 = SECOND_NS;
/// Longest delay before a redial of one connection.
pub const BACKOFF_MAX_NS: u64 = 30 * SECOND_NS;
/// The same where the venue counts attempts against an account.
pub const SIGNED_BACKOFF_MAX_NS: u64 = 60 * SECOND_NS;
/// Dials that fail in a row, all connections together, before the venue is taken to be down.
pub const OUTAGE_FAILURES: u32 = 2;
/// While the venue is down, one connection is tried this often whatever its own backoff says, and
/// no other: the engine notices within a second that the venue is back.
pub const PROBE_INTERVAL_NS: u64 = SECOND_NS;
/// A probe has this long instead of [`DIAL_TIMEOUT_NS`], so that few dials hang when the venue
/// comes back; but every [`PROBES_PER_PATIENT_ONE`]-th has the full time, for a venue that is slow.
pub const PROBE_TIMEOUT_NS: u64 = 3 * SECOND_NS;
/// Of so many probes, one is given [`DIAL_TIMEOUT_NS`].
pub const PROBES_PER_PATIENT_ONE: u64 = 8;
/// A connection that was up for less is redialled after a short delay, not at once.
pub const CONNECTION_STABLE_NS: u64 = 5 * SECOND_NS;
/// Pause of all dials after an HTTP 429 that names none.
pub const RETRY_AFTER_DEFAULT_NS: u64 = 5 * SECOND_NS;
/// Longest pause that an answer `429 Retry-After` may ask for.
pub const RETRY_AFTER_MAX_NS: u64 = 300 * SECOND_NS;

// ---- Heartbeats ----------------------------------------------------------------------------

/// Text `PING` to the venue (polymarket/protocol.md, 2.2: every 10 s).
pub const PING_INTERVAL_NS: u64 = 10 * SECOND_NS;
/// A connection from which no byte came for this long is unhealthy and replaced.
pub const SILENCE_MAX_NS: u64 = 60 * SECOND_NS;
/// A shard reports this often.
pub const HEARTBEAT_INTERVAL_NS: u64 = 500 * MILLISECOND_NS;
/// A shard that has not reported for this long is unhealthy.
pub const HEARTBEAT_MISSED_NS: u64 = 3 * SECOND_NS;
/// After a close frame was sent, the venue has this long to answer it.
pub const CLOSE_TIMEOUT_NS: u64 = 2 * SECOND_NS;

// ---- Buffers -------------------------------------------------------------------------------

/// One read from a socket, shared by all connections of a shard.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Reads from one connection before the others get their turn.
pub const READS_PER_CONNECTION: usize = 4;
/// Largest WebSocket frame and message: a dump of 500 tokens with 200 levels a side is 8 MB.
pub const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A frame longer than this is decoded in parts: the dump of a subscription is 1 to 2 MB.
pub const LARGE_FRAME_BYTES: usize = 64 * 1024;
/// Bytes of a large frame that are decoded in one step: at 0.5 to 1 GB/s, books included, other
/// connections wait for 30 to 60 µs. One message is never divided, so a book of more bytes is the bound.
pub const LARGE_FRAME_PART_BYTES: usize = 32 * 1024;
/// Unfinished frames of all connections of one shard together, and large ones that wait to be decoded: after an outage
/// about 20 dumps of 2 MB arrive at once. One frame of the largest size fits.
pub const UNFINISHED_BYTES_MAX: usize = 48 * 1024 * 1024;
/// A connection that holds less is not closed for that: what it holds is no more than a read or two.
pub const UNFINISHED_BYTES_FLOOR: usize = 2 * READ_BUFFER_BYTES;
/// Control frames (pings, pongs) in one read: the venues send one every 10 s.
pub const CONTROL_FRAMES_PER_READ_MAX: usize = 256;
/// Fragments of one message that may be of any size, empty ones too.
pub const FRAGMENTS_FREE: usize = 64;
/// Bytes that a message must bring for each fragment beyond those.
pub const FRAGMENT_BYTES_MIN: usize = 16;
/// Frames of one connection in one turn before the others get theirs.
pub const FRAMES_PER_TURN: u64 = 4_096;
/// Bytes that wait to be sent on one connection: the subscription of 500 tokens is 41 kB.
pub const SEND_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Levels on one side of a book: every tick of the finest grid (1e-4) and room above.
pub const LEVELS_PER_SIDE_MAX: usize = 16_384;
/// Messages in one array frame: a dump of every token a connection may carry, and room above.
pub const MESSAGES_PER_FRAME_MAX: usize = 4 * TOKENS_PER_CONNECTION_MAX;
/// Books of one shard: all that its connections may carry, 2.56 million.
pub const BOOKS_PER_SHARD_MAX: usize = CONNECTIONS_PER_SHARD_MAX * MARKETS_PER_SUBSCRIPTION_MAX;

// ---- Rings ---------------------------------------------------------------------------------

/// Orders to one shard: a full set of connections, opened and closed.
pub const CONTROL_SHARD_DEPTH: usize = 1024;
/// Reports of one shard.
pub const SHARD_CONTROL_DEPTH: usize = 4096;
/// Book queries from the serve core to one shard, and its answers.
pub const SERVE_SHARD_DEPTH: usize = 64;
/// Queries from the serve core to the control core, and its answers.
pub const SERVE_CONTROL_DEPTH: usize = 16;
/// An adaptive shard polls for so long before it sleeps: about what a sleep and its wake-up cost (30
/// to 50 µs in a virtual machine), so that it never costs more than twice the better choice.
pub const ADAPTIVE_SPIN_NS: u64 = 50 * MICROSECOND_NS;
/// Where polling has not been worth it, one pause of so many is polled to see whether it is now.
pub const ADAPTIVE_PROBE_PAUSES: u32 = 16;
/// Orders that a shard takes in one step.
pub const ORDERS_PER_STEP: usize = 32;
/// Book queries that a shard answers in one step.
pub const QUERIES_PER_STEP: usize = 8;
/// A group of messages with one timestamp is over after this long without another: its best prices
/// and hash are compared. The venue's bursts of one timestamp are over within a millisecond or so.
pub const CHECK_SILENCE_NS: u64 = 200 * MILLISECOND_NS;
/// A hash waits so long for the trade that explains it. Trade messages come 30 to 100 ms after the
/// book that they changed.
pub const CHECK_PATIENCE_NS: u64 = 2 * SECOND_NS;
/// Hashes of a shard that wait.
pub const CHECK_CASES_MAX: usize = 256;
/// Trades of a shard that are remembered to explain hashes.
pub const CHECK_TRADES_MAX: usize = 1024;
/// Books whose silence is looked at in one housekeeping.
pub const CHECKS_PER_HOUSEKEEPING: usize = 4096;
/// One of so many groups has its hash compared where they are sampled.
pub const HASH_SAMPLE: u64 = 256;
/// Tokens of one `POST /books`: the venue takes 500, and fails above about 500 by bytes.
pub const TOKENS_PER_BOOKS_REQUEST: usize = 250;
/// `POST /books` a second, all shards together: 40 % of the venue's 500 per 10 s.
pub const BOOKS_REQUESTS_PER_SECOND: u64 = 20;
/// `POST /books` without an answer yet.
pub const BOOKS_REQUESTS_OPEN_MAX: usize = 4;
/// Tokens that wait to be asked for; what finds no room is asked for again by its shard.
pub const BOOKS_WAITING_MAX: usize = 1 << 17;
/// A subscribed book whose snapshot has not come after this long is asked for over REST. The dump of
/// 400 tokens takes a second or two.
pub const SNAPSHOT_PATIENCE_NS: u64 = 5 * SECOND_NS;
/// The books of a connection are counted this often.
pub const CENSUS_INTERVAL_NS: u64 = SECOND_NS;
/// A book that was asked for in vain is asked for again after this long, then twice as long.
pub const REPAIR_RETRY_MIN_NS: u64 = 2 * SECOND_NS;
/// Longest pause between two questions for one book.
pub const REPAIR_RETRY_MAX_NS: u64 = 60 * SECOND_NS;
/// Changes kept of one book between question and answer: a second of the busiest market and more.
pub const REPAIR_CHANGES_MAX: usize = 4096;
/// Connections are looked at for recycling this often.
pub const RECYCLE_INTERVAL_NS: u64 = 250 * MILLISECOND_NS;
/// Share of expired tokens at which a connection is replaced, percent.
pub const RECYCLE_POLLUTION_PERCENT: usize = 30;
/// Age of a socket at which it is replaced.
pub const RECYCLE_AGE_NS: u64 = 24 * 3600 * SECOND_NS;
/// A younger socket is replaced only if it is unhealthy, or by order.
pub const RECYCLE_AGE_MIN_NS: u64 = 300 * SECOND_NS;
/// A connection most of whose books are not live for so long is unhealthy.
pub const RECYCLE_UNHEALTHY_NS: u64 = 60 * SECOND_NS;
/// Replacements under way at once.
pub const RECYCLES_MAX: usize = 2;
/// A replacement is up with every snapshot for so long before it takes over.
pub const RECYCLE_SETTLE_NS: u64 = 3 * SECOND_NS;
/// A replacement must be up within this, and have every snapshot within this again.
pub const RECYCLE_FILL_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// A shard must have switched within this.
pub const RECYCLE_SWITCH_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// First pause after a replacement that failed; then twice as long.
pub const RECYCLE_RETRY_MIN_NS: u64 = 60 * SECOND_NS;
/// Longest such pause.
pub const RECYCLE_RETRY_MAX_NS: u64 = 3600 * SECOND_NS;
/// Connections that are merged have together at most so much of a whole one's tokens, percent.
pub const MERGE_FILL_PERCENT: usize = 90;
/// Connections of a shard above the necessary ones at which a merged one may be filled to the limit, percent.
pub const MERGE_SPARE_PERCENT: usize = 25;
/// Younger connections are not merged. Less than [`RECYCLE_AGE_MIN_NS`]: where many markets end, each connection is
/// replaced at that age, and two would never be older together.
pub const MERGE_AGE_MIN_NS: u64 = 120 * SECOND_NS;
/// Connections that are merged into one at a time.
pub const MERGE_CONNECTIONS_MAX: usize = 16;
/// Nothing is merged for so long after the engine was not healthy.
pub const MERGE_POSTPONED_NS: u64 = 60 * SECOND_NS;
/// Proofs of the last recycles that are shown.
pub const RECYCLE_PROOFS_MAX: usize = 32;
/// Messages that a handover keeps because only one of its two connections has said them: ten seconds
/// of a busy connection.
pub const HANDOVER_KEPT_MAX: usize = 16_384;
/// Messages of one market that are remembered as said by both connections.
pub const HANDOVER_SAID_MAX: usize = 64;
/// A market whose two connections are never in step is switched after so long all the same.
pub const HANDOVER_STEP_NS: u64 = 2 * SECOND_NS;
/// What only the new connection has said for so long is taken to be lost on the old one, and is applied.
pub const HANDOVER_AGE_NS: u64 = 5 * SECOND_NS;
/// What the new connection owes for so long is taken to be lost on it, if it is past it.
pub const HANDOVER_OWED_NS: u64 = 5 * SECOND_NS;
/// It is past a message when it has said something so much newer, milliseconds of the venue's.
pub const HANDOVER_PAST_MS: u64 = 1_000;
/// A connection that lags is waited for so long.
pub const HANDOVER_LAG_MAX_NS: u64 = 20 * SECOND_NS;
/// A snapshot may be ahead of the venue's clock by so much, and the host's clock may be behind it by so much without
/// a notice: the error of a clock that is kept by NTP, and more.
pub const CLOCK_ERROR_MS: u64 = 2_000;
/// The difference of the two clocks is the smallest one seen within one to two such windows.
pub const CLOCK_WINDOW_MS: i64 = 120_000;
/// No clock is wrong by more than a hundred years; a time in other units is.
pub const CLOCK_PLAUSIBLE_MS: u64 = 100 * 365 * 86_400_000;
/// Two messages of one book whose times differ by more than this in the wrong order: one of the times is wrong. A
/// stream that lags is behind by less.
pub const ORDER_ERROR_MS: u64 = 60_000;
/// A message that the venue's REST interface already knows of may be on its way for so long; a book
/// that has not heard by then is behind.
pub const AUDIT_PATIENCE_NS: u64 = 2 * SECOND_NS;
/// A book of the REST interface that says no time may be so old: as long as a request may take.
pub const POLL_AGE_NS: u64 = 10 * SECOND_NS;
/// Books of a shard that wait for this.
pub const AUDITS_OPEN_MAX: usize = 4096;
/// Markets whose two books are compared with each other in one housekeeping.
pub const MIRRORS_PER_HOUSEKEEPING: usize = 256;
/// A connection whose data stops for longer than this, and than [`DATA_SILENCE_GAPS`] of its mean gaps, is
/// looked into: the venue's REST interface says whether it is quiet or frozen.
pub const DATA_SILENCE_MIN_NS: u64 = 5 * SECOND_NS;
/// A connection is looked into after so long a silence whatever its mean gap.
pub const DATA_SILENCE_MAX_NS: u64 = 120 * SECOND_NS;
/// See [`DATA_SILENCE_MIN_NS`].
pub const DATA_SILENCE_GAPS: u64 = 8;
/// Timers, heartbeats and the like are looked at this often.
pub const HOUSEKEEPING_INTERVAL_NS: u64 = 100 * MILLISECOND_NS;
/// Books weighed in one housekeeping: 20,000 books a second.
pub const BOOKS_WEIGHED_PER_HOUSEKEEPING: usize = 2048;

const _: () = {
    assert!(CONTROL_SHARD_DEPTH >= 2 * CONNECTIONS_PER_SHARD_MAX);
    assert!(SHARD_CONTROL_DEPTH >= 4 * CONNECTIONS_PER_SHARD_MAX);
    assert!(TOKENS_PER_CONNECTION_TARGET <= TOKENS_PER_CONNECTION_MAX);
    assert!(PENDING_TOKENS_WORTH_CONNECTION <= TOKENS_PER_CONNECTION_TARGET);
    // A rest that is not worth a connection rides along with the last one.
    assert!(
        TOKENS_PER_CONNECTION_TARGET + PENDING_TOKENS_WORTH_CONNECTION <= TOKENS_PER_CONNECTION_MAX
    );
    // 40 connections are dialled again within 5 s of the venue's return: probe, then stagger.
    assert!(PROBE_INTERVAL_NS + 39 * DIAL_INTERVAL_NS < 5 * SECOND_NS);
    // Probes that all run into their timeout leave room for the next.
    assert!(DIAL_TIMEOUT_NS / PROBE_INTERVAL_NS < DIALS_IN_PROGRESS_MAX as u64);
    // A market always fits a connection of its own, with room for the whole of it.
    assert!(TOKENS_PER_MARKET_MAX <= PENDING_TOKENS_WORTH_CONNECTION);
    // A switch that waits for step and for what is owed ends in time.
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

/// One value of an input file: a frame of [`FRAME_BYTES_MAX`] as an escaped or base64 text (a
/// third longer), and the rest of its line.
pub const REPLAY_VALUE_BYTES_MAX: usize = FRAME_BYTES_MAX / 2 * 3;
/// Bytes of frames that travel to a shard together; one frame may be longer.
pub const REPLAY_BATCH_BYTES: usize = 128 * 1024;
/// Frames that travel to a shard together.
pub const REPLAY_BATCH_FRAMES: usize = 1024;
/// Stack of a thread that decodes, bytes. JSON nests 255 levels deep before it is refused, and an unoptimised build
/// takes 10 KB for each; what is not touched costs nothing.
pub const DECODE_STACK_BYTES: usize = 8 * 1024 * 1024;
/// A batch that grew beyond this is not used again.
pub const REPLAY_BATCH_KEPT_BYTES: usize = 8 * REPLAY_BATCH_BYTES;
/// Batches on their way to one shard: 1 MiB, enough to bridge a sleep of the reader. More only
/// where single frames are longer than a batch.
pub const REPLAY_DEPTH: usize = 8;
/// Shards of a replay.
pub const REPLAY_SHARDS_MAX: u16 = 64;
/// Connections of a capture that are open at once; any more share the last place.
pub const REPLAY_CONNECTIONS_MAX: u32 = 1 << 16;
/// Undecodable inputs that are reported with their place; the rest is counted.
pub const REPLAY_ERRORS_SHOWN: usize = 5;

const _: () = assert!(REPLAY_VALUE_BYTES_MAX < u32::MAX as usize / 2);

// ---- Discovery -----------------------------------------------------------------------------

/// A full scan of the venue's catalogue starts this often.
pub const DISCOVERY_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// What the pools of REST services did is looked at this often.
pub const SERVICES_REPORT_INTERVAL_NS: u64 = SECOND_NS / 2;
/// The state of the whole exchange is asked for this often.
pub const EXCHANGE_STATUS_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// Markets whose end has passed are looked for this often.
pub const EXPIRY_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// Expired markets are removed this often.
pub const CLEANUP_INTERVAL_NS: u64 = 3600 * SECOND_NS;
/// A market stays this long after it expired.
pub const CLEANUP_GRACE_NS: u64 = 3600 * SECOND_NS;
/// Markets on one page of `/markets/keyset` (venue's maximum since 2026-05-14).
pub const DISCOVERY_PAGE_MARKETS: usize = 100;
/// Events on one page of Kalshi's `/events` (its maximum); about 1,500 markets, 3 MB.
pub const KALSHI_PAGE_EVENTS: usize = 200;
/// Markets on one page of Kalshi's `/markets` (its maximum).
pub const KALSHI_PAGE_MARKETS: usize = 1_000;
/// Tickers of one request to Kalshi; 7 kB of path at most.
pub const KALSHI_TICKERS_PER_REQUEST: usize = 100;
/// Pages a second: 80 % of the venue's 300 per 10 s on `/markets`.
pub const DISCOVERY_PAGES_PER_SECOND: u64 = 24;
/// Pages of one scan: ten times the universe of 2026; a longer scan is a loop of the venue's.
pub const DISCOVERY_PAGES_MAX: usize = 5_000;
/// Nesting of the catalogue's JSON (a market in an event in a page is 6 deep): the parser recurses.
pub const JSON_DEPTH_MAX: usize = 64;
/// A name or question taken from the catalogue; the rest is cut off.
pub const CATALOGUE_TEXT_BYTES_MAX: usize = 1024;
/// Of a catalogue entry that is not followed, the bytes of its name that the log shows.
pub const SKIPPED_NAME_BYTES_MAX: usize = 80;
/// Ids of one question about markets: as many as the venue takes.
pub const CONDITIONS_PER_REQUEST_MAX: usize = 100;
/// Share of the catalogue's open markets that cannot be followed, percent, above which `/health` tells of it.
pub const SKIPPED_NOTICE_PERCENT: u64 = 1;
/// The same from which the engine says that it is not healthy.
pub const SKIPPED_REASON_PERCENT: u64 = 10;
/// A scan's cursor: base64 of a sort key, 40 bytes in practice.
pub const CURSOR_BYTES_MAX: usize = 2048;
/// Pages of a scan in a row that begin like an earlier one before the scan is given up: two seconds of
/// them. A page that the venue repeats because its list has shifted is one.
pub const PAGES_WITHOUT_NEW_MAX: usize = 50;
/// The catalogue is late when no scan has completed for so long.
pub const SCAN_LATE_NS: u64 = 3 * DISCOVERY_INTERVAL_NS;
/// Attempts at one page of a scan before the scan is given up and begun anew.
pub const SCAN_ATTEMPTS_MAX: u32 = 20;
/// Longest pause between two of them: three minutes of attempts in all.
pub const SCAN_BACKOFF_MAX_NS: u64 = 10 * SECOND_NS;
/// Markets that wait to be looked up one by one: asked for by a person, or gone from a scan.
pub const LOOKUPS_MAX: usize = 65_536;

// ---- REST ----------------------------------------------------------------------------------

/// Whole answer to a REST request, inflated: 100 markets are about 0.5 MB.
pub const REST_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One REST request from first to last byte.
pub const REST_TIMEOUT_NS: u64 = 15 * SECOND_NS;
/// Connecting to all addresses of a service, within [`REST_TIMEOUT_NS`].
pub const REST_CONNECT_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// Status line and headers of an answer.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of what is wrong with a certificate, its names with it, that are shown.
pub const CERTIFICATE_BYTES_SHOWN: usize = 400;
/// Bytes of a redirect's target that are shown.
pub const LOCATION_BYTES_SHOWN: usize = 200;
/// TLS and the answer to the upgrade together: a chain of certificates, a head, and one read more.
pub const HANDSHAKE_BYTES_MAX: usize = 256 * 1024;
/// Reads of a connection that is looked at without waiting: one that has more is not used again.
pub const LOOK_READS_MAX: usize = 16;
/// Portion in which a body leaves its framing.
pub const HTTP_SCRATCH_BYTES: usize = 16 * 1024;
/// Idle connections kept for one service: discovery asks for one page at a time.
pub const REST_IDLE_CONNECTIONS_MAX: usize = 4;
/// An idle connection older than this is not used again. Longer than two scan intervals, so that a small catalogue,
/// which is one page a minute, is read over one connection. A server that closes it sooner costs nothing: a
/// connection that was closed while it was idle is not lent, and a request that meets the close is sent again.
pub const REST_IDLE_NS: u64 = 150 * SECOND_NS;

// ---- Pools ---------------------------------------------------------------------------------

/// Connections to one service that are kept open, where its configuration does not say.
pub const POOL_MIN: usize = 2;
/// Connections to one service at most, where its configuration does not say.
pub const POOL_MAX: usize = 10;
/// Connections that may be configured for one service: a hundredth of the usual `ulimit -n 65536`, twice
/// over, at two descriptors a connection.
pub const POOL_CONNECTIONS_MAX: usize = 256;
/// Services of one process: the ten of the example, and room.
pub const POOL_SERVICES_MAX: usize = 64;
/// Opening a connection: resolving, connecting, TLS, the upgrade.
pub const POOL_CONNECT_TIMEOUT_NS: u64 = 60 * SECOND_NS;
/// Waiting for a connection.
pub const POOL_ACQUIRE_TIMEOUT_NS: u64 = 30 * SECOND_NS;
/// One request, from asking for a connection to the last byte, redirects and the repetition with it.
pub const POOL_REQUEST_TIMEOUT_NS: u64 = 60 * SECOND_NS;
/// A connection that nobody wanted for so long is closed.
pub const POOL_IDLE_TIMEOUT_NS: u64 = 300 * SECOND_NS;
/// A service is asked so often whether it is there.
pub const POOL_HEALTH_INTERVAL_NS: u64 = 30 * SECOND_NS;
/// A probe that takes longer has failed.
pub const POOL_PROBE_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// A connection older than this is replaced: names move on to other addresses.
pub const POOL_MAX_AGE_NS: u64 = 3_600 * SECOND_NS;
/// A connection lent for longer is reported with where it was asked for.
pub const POOL_HELD_MAX_NS: u64 = 300 * SECOND_NS;
/// Those who may wait for a connection of one service.
pub const POOL_WAITING_MAX: usize = 10_000;
/// Whole answer of a service, inflated.
pub const POOL_BODY_BYTES_MAX: usize = REST_BODY_BYTES_MAX;
/// Redirects of one request, all within its host.
pub const POOL_REDIRECTS_MAX: usize = 5;
/// First pause after a connection could not be opened while others work, or while nobody waits.
pub const POOL_REOPEN_MIN_NS: u64 = 250 * MILLISECOND_NS;
/// Longest such pause.
pub const POOL_REOPEN_MAX_NS: u64 = 30 * SECOND_NS;
/// Idle connections, waiters and health are looked after so often.
pub const POOL_HOUSEKEEPING_NS: u64 = 100 * MILLISECOND_NS;
/// A stopping pool looks so often whether its connections are back.
pub const POOL_STOP_POLL_NS: u64 = 5 * MILLISECOND_NS;
/// Messages of an idle WebSocket that are kept for whoever gets it next; beyond them it is closed.
pub const POOL_INBOX_MAX: usize = 1_024;
/// Bytes of them.
pub const POOL_INBOX_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// Longest latency that a pool's histograms tell apart: 30 KB each at two digits.
pub const POOL_LATENCY_MAX_NS: u64 = 600 * SECOND_NS;
/// Requests of another core, or of threads outside of the engine, that are under way or wait.
pub const POOL_REMOTE_MAX: usize = 1_024;
/// Requests that come by ring are looked for after this first; the interval doubles up to the next.
pub const POOL_REMOTE_PUMP_MIN_NS: u64 = 50 * MICROSECOND_NS;
/// Longest interval between two looks at a ring of requests.
pub const POOL_REMOTE_PUMP_MAX_NS: u64 = 2 * MILLISECOND_NS;

// ---- Name resolution -----------------------------------------------------------------------

/// An address that was resolved is used this long before the name is asked for again.
pub const RESOLVE_TTL_NS: u64 = 60 * SECOND_NS;
/// Questions that wait for the resolver's thread: the engine knows fewer than ten names.
pub const RESOLVE_QUEUE_DEPTH: usize = 64;
/// When there is no room for a question, it is asked again after so long.
pub const RESOLVE_AGAIN_NS: u64 = 5 * MILLISECOND_NS;
/// And so often: half a second, in which the thread answers thousands of questions about known names.
pub const RESOLVE_TRIES: usize = 100;
/// Names remembered; when there are more, all are forgotten.
pub const RESOLVE_NAMES_MAX: usize = 64;
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 16;

/// All first looks at services together, before the engine starts.
pub const FIRST_LOOK_TIMEOUT_NS: u64 = 3 * SECOND_NS;

/// A file with a key or a password: an RSA key of 16,384 bits has 13 KB.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// A file of certificates, services or settings: all authorities of a distribution have 220 KB.
pub const SETTINGS_BYTES_MAX: u64 = 4 * 1024 * 1024;

// ---- Local HTTP ----------------------------------------------------------------------------

/// Clients of the serve core at once; fewer where the process may have few descriptors.
pub const SERVE_CLIENTS_MAX: usize = 256;
/// And at least so many.
pub const SERVE_CLIENTS_MIN: usize = 8;
/// Descriptors that are not for clients: threads, files and the first connections to the venue.
pub const SERVE_FILES_ELSEWHERE: usize = 128;
/// Places beyond [`SERVE_CLIENTS_MAX`] in which only `/health` and `/metrics` are answered.
pub const SERVE_RESERVED_MAX: usize = 16;
/// Errors of `accept` are logged this often, with their number.
pub const SERVE_ACCEPT_LOG_NS: u64 = 60 * SECOND_NS;
/// Request line and headers of a local client.
pub const SERVE_HEAD_BYTES_MAX: usize = 16 * 1024;
/// A local client that sends nothing for this long is disconnected.
pub const SERVE_IDLE_NS: u64 = 60 * SECOND_NS;
/// A local client must send the whole head of a request within this, from its first byte.
pub const SERVE_HEAD_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// A local client must take a whole answer within this.
pub const SERVE_WRITE_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// After the last answer of a connection, bytes of the client that are still read, so that the
/// answer is not lost to a reset.
pub const SERVE_LINGER_BYTES_MAX: usize = 256 * 1024;
/// And for how long.
pub const SERVE_LINGER_NS: u64 = 500 * MILLISECOND_NS;
/// Headers of a request.
pub const SERVE_HEADERS_MAX: usize = 64;
/// Clients without a place that are told so; the others are closed without a word.
pub const SERVE_TURNED_AWAY_MAX: usize = 16;
/// Connections accepted by the kernel that wait for the serve core.
pub const SERVE_ACCEPT_QUEUE: usize = 64;
/// The serve core looks for the order to stop this often.
pub const SERVE_STOP_POLL_NS: u64 = 100 * MILLISECOND_NS;
/// While an answer is outstanding, the answer rings are looked at after this first; the interval
/// doubles up to the next.
pub const SERVE_PUMP_MIN_NS: u64 = 100 * MICROSECOND_NS;
/// Longest interval between two looks at the answer rings while an answer is outstanding.
pub const SERVE_PUMP_MAX_NS: u64 = MILLISECOND_NS;
/// Levels a side for which a new image has room; a larger book makes its image grow once.
pub const SERVE_IMAGE_LEVELS: usize = 256;
/// An answer from the control core or a shard to the serve core.
pub const SERVE_ANSWER_TIMEOUT_NS: u64 = 2 * SECOND_NS;

// ---- Sinks ---------------------------------------------------------------------------------

/// Events of books of another shard on their way there: a second of 4,000 trades and tickers; 1 MB a link.
pub const SHARD_SHARD_DEPTH: usize = 4_096;
/// Events of other shards taken in one step, from each.
pub const PASSED_PER_STEP: usize = 64;
/// Trades of a shard on their way to the sink: eight seconds at 2,000 a second; 4 MB a shard.
pub const SHARD_TRADE_DEPTH: usize = 16_384;
/// Markets on their way to the sink. What does not fit waits in the control core's list.
pub const CONTROL_SINK_DEPTH: usize = 1_024;
/// Markets of one batch: a first scan's 50,000 take 25.
pub const SINK_MARKETS_MAX: usize = 2_000;
/// Trades that the sink takes out of a ring at a time.
pub const TRADES_PER_LOOK: usize = 4_096;
/// The trade sink looks into the rings so often when it has nothing to do.
pub const SINK_LOOK_NS: u64 = 5 * MILLISECOND_NS;
/// A trade that the database has not taken for so long goes into the journal: what a killed process may
/// lose. (With batches that wait longer than half of it: twice their wait.)
pub const SINK_SPILL_AGE_NS: u64 = SECOND_NS;
/// Trades that wait in memory, before they go into the journal: 26 MB.
pub const SINK_MEMORY_TRADES: usize = 100_000;
/// Trades that may wait in memory while the journal's disk is full, too; then they are lost, and counted.
pub const SINK_MEMORY_TRADES_MAX: usize = 4 * SINK_MEMORY_TRADES;
/// First wait after the database failed; doubles up to the next.
pub const SINK_RETRY_MIN_NS: u64 = 250 * MILLISECOND_NS;
/// Longest wait.
pub const SINK_RETRY_MAX_NS: u64 = 5 * SECOND_NS;
/// At the end: from the last shard's end until the database has everything. What it has not goes into
/// the journal.
pub const SINK_DRAIN_NS: u64 = 10 * SECOND_NS;
/// A sink's thread is waited for so long beyond that: it stands back, so that on a busy machine its last write takes
/// seconds.
pub const SINK_END_NS: u64 = 30 * SECOND_NS;
/// Records of a shard on their way to the capture go round in chunks of so many bytes.
pub const CAPTURE_CHUNK_BYTES: usize = 64 * 1024;
/// So many of them: 16 MB a shard, a second of a shard's 20,000 messages a second.
pub const SHARD_CAPTURE_CHUNKS: usize = 256;
/// Text of one zstd frame of a capture; less where `--capture-flush-ms` comes first.
pub const CAPTURE_BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Text that waits in memory while the capture's disk is full; then the rings fill, and frames are dropped
/// and counted.
pub const CAPTURE_WAITING_BYTES_MAX: usize = 32 * CAPTURE_BLOCK_BYTES;
/// A capture's file that cannot be written is tried again after so long.
pub const CAPTURE_RETRY_NS: u64 = SECOND_NS;
/// The files of a capture are looked at so often, whether they are still there.
pub const CAPTURE_CHECK_NS: u64 = SECOND_NS;
/// Places of a segment that are remembered, in case it is cut: every block of an hour at one a second.
pub const CAPTURE_MARKS_MAX: usize = 4_096;
/// Room that is kept on the disk behind a manifest, so that a full disk does not keep it from saying what is
/// missing: 300 lines.
pub const CAPTURE_MANIFEST_RESERVE_BYTES: u64 = 64 * 1024;
/// Live books whose digest is written into the capture at each housekeeping: 20 a second.
pub const PROOFS_PER_HOUSEKEEPING: usize = 2;
/// Rows of an export that are in memory until they are written: about 60 MB a table.
pub const EXPORT_ROWS_PER_GROUP: usize = 262_144;
/// Markets that are over and whose winner is not known, asked about: three days of 400,000 a month.
pub const RESOLUTIONS_MAX: usize = 40_000;
/// First wait before one of them is asked about, and between its first questions; doubles up to the next.
pub const RESOLUTION_ASK_MIN_NS: u64 = 60 * SECOND_NS;
/// Longest wait between two questions about one of them.
pub const RESOLUTION_ASK_MAX_NS: u64 = 3_600 * SECOND_NS;
/// One whose winner is not known after so long (disputes take days) is not asked about any more.
pub const RESOLUTION_PATIENCE_NS: u64 = 7 * 24 * 3_600 * SECOND_NS;
/// A server of databases that does not answer for so long is away.
pub const STORE_TIMEOUT_NS: u64 = 5 * SECOND_NS;
/// A database file that another program holds for so long is away.
pub const SQLITE_BUSY_NS: u64 = SECOND_NS / 2;

// ---- Start and stop ------------------------------------------------------------------------

/// After start, `/health` is not yet judged by connections for this long.
pub const HEALTH_GRACE_NS: u64 = 30 * SECOND_NS;
/// Messages that are older than this when they are read are a notice in `/health` (`--lag-warn`).
pub const LAG_WARN_NS: u64 = 5 * SECOND_NS;
/// When they have been for so long, a reason.
pub const LAG_REASON_NS: u64 = 30 * SECOND_NS;
/// After so long without a message, nothing is known of their age.
pub const LAG_FORGET_NS: u64 = 60 * SECOND_NS;
/// From the first signal until every connection is closed and every thread has ended.
pub const STOP_TIMEOUT_NS: u64 = 10 * SECOND_NS;
/// A thread that was told to end, or said that it has, is waited for so long.
pub const THREAD_END_NS: u64 = 2 * SECOND_NS;

// ---- Logging -------------------------------------------------------------------------------

/// Kinds of messages that nobody knows, of which a shard shows one each.
pub const STRANGE_KINDS_MAX: usize = 32;
/// Bytes of such a message that are shown.
pub const STRANGE_BYTES_MAX: usize = 80;
/// Share of messages that are not understood, percent, at which the engine says that it is not healthy.
pub const STRANGE_PERCENT_MAX: u64 = 5;
/// The share is taken over so long.
pub const STRANGE_WINDOW_NS: u64 = 60 * SECOND_NS;
/// Lines about malformed input, per kind and second; the rest is counted.
pub const LOG_LINES_PER_SECOND: u64 = 5;

//! Limits of the bus and of a cluster: what waits, and when a broker, a producer, an engine or a slice is given up.
//!
//! Runs on:  any (pure).
use crate::base::time::{MILLISECOND_NS, SECOND_NS};

/// Chunks of records between the serve core and the thread `bus`: 1 MB.
pub const BUS_CHUNKS: usize = 16;
/// Time in which an ending serve core passes on what waits for the bus, nanoseconds.
pub const BUS_END_NS: u64 = SECOND_NS;
/// Bytes of a chunk before the next one is used.
pub const BUS_CHUNK_BYTES: usize = 64 * 1024;
/// Books that wait to be published as a whole; more are all books.
pub const BUS_REPEATS_DEPTH: usize = 4_096;
/// Records in the serve core, and in the producer, unless the address has another value: an hour of trades.
pub const BUS_BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Records of the producer.
pub const BUS_RECORDS_MAX: usize = 1 << 20;
/// Shortest interval between best prices of a book on the bus, unless the address has another value.
pub const BUS_TOPS_NS: u64 = 100 * MILLISECOND_NS;
/// A broker that acknowledges or answers nothing for this long is away.
pub const BUS_DOWN_NS: u64 = 5 * SECOND_NS;
/// Interval of questions to a broker that is away.
pub const BUS_RETRY_NS: u64 = SECOND_NS;
/// Without an acknowledgement for this long from a broker that answers there is another producer, unless the address
/// has another value.
pub const BUS_STALL_NS: u64 = 20 * SECOND_NS;
/// Producers that were given up and have not ended; with more of them none is given up.
pub const BUS_ENDINGS_MAX: usize = 4;
/// An engine says so often on the bus that it is there.
pub const BUS_BEAT_NS: u64 = SECOND_NS;
/// An engine of which a reader reads nothing for this long is away.
pub const BUS_SILENT_NS: u64 = 5 * SECOND_NS;
/// Trades that a reader of the bus remembers, to find those of a second engine: 40 minutes at 100 a second.
pub const BUS_TRADES_REMEMBERED: usize = 1 << 18;
/// A member of a cluster of which the broker receives nothing for this long has left.
pub const CLUSTER_SESSION_NS: u64 = 10 * SECOND_NS;
/// The former owner of a slice goes on for at most this long after another member has claimed it.
pub const CLUSTER_HOLD_NS: u64 = 30 * SECOND_NS;
/// The former owner of a slice goes on for this long after it has read that the slice is live elsewhere.
pub const CLUSTER_OVERLAP_NS: u64 = 2 * SECOND_NS;
/// A claimed slice is reported live after this long, though some of its books are not: before the former owner ends.
pub const CLUSTER_LIVE_NS: u64 = 25 * SECOND_NS;
/// A claim that has not come back from the broker after this long is sent again; so is the claim of an owner that
/// another member has overtaken.
pub const CLUSTER_CLAIM_NS: u64 = 5 * SECOND_NS;
/// A member of a cluster that knows of no scan of the catalog by another one for this long scans itself: three scans.
pub const CATALOG_SILENT_NS: u64 = super::SCAN_LATE_NS;
/// The same of a member that has just been started and has not found the broker.
pub const CATALOG_START_NS: u64 = 10 * SECOND_NS;
/// Races between engines of one kind of record that a reader of the bus remembers: 26 s at 10,000 a second.
pub const BUS_RACES_MAX: usize = 1 << 18;
/// What an engine publishes this long after the first one, it does not have.
pub const BUS_RACE_NS: u64 = 5 * SECOND_NS;
/// A reader has closed books, and engines that have ended, for this long.
pub const BUS_CLOSED_NS: u64 = 60 * SECOND_NS;
/// A reader has the books of an engine that is away for this long.
pub const BUS_FORGET_NS: u64 = 600 * SECOND_NS;
/// Interval in which a reader of the bus drops what is over.
pub const BUS_HOUSEKEEPING_NS: u64 = 30 * SECOND_NS;
/// A reader counts what the former owner of a slice publishes this long after the claim of the next one: it should have
/// ended after `CLUSTER_OVERLAP_NS`.
pub const BUS_FENCE_NS: u64 = 10 * SECOND_NS;
/// A question where partitions end waits so long.
pub const BUS_POSITION_WAIT_NS: u64 = SECOND_NS / 2;
/// Records of the journal that are published at a time.
pub const BUS_JOURNAL_BATCH: usize = 1_000;
/// How long the last record of a market that has ended stays in the topic `markets`: 30 days.
pub const BUS_MARKET_KEPT_NS: u64 = 30 * 24 * 3_600 * SECOND_NS;

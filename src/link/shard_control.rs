//! `shard_control`: what one shard reports to the control core.
//!
//! Runs on:  the shard (producer), control core (consumer, every cycle of 2 to 10 ms).
//! Depth: `SHARD_CONTROL_DEPTH`. When full: the report is dropped and counted. The next heartbeat, twice a second, has
//! the whole state. Completed handovers and the last reports are sent again; market updates come again from the
//! catalog; requests for books are repeated; a set of histograms is lost.
use crate::base::id::{ConnectionId, TokenId};
use crate::base::time::Now;
use crate::counter::latency::{ConnectionLatencies, Latencies};
use crate::counter::race::RaceCounts;
use crate::counter::shard::{BookCounts, CheckCounts, HandoverCounts, IntakeCounts, RepairCounts};
use crate::market::info::MarketUpdate;
use crate::session::SessionCounts;
use crate::venue::{BadInput, SubscriptionCounts, Unrecognized};

/// What a shard reports.
#[derive(Debug)]
pub enum Report {
    /// A connection's socket is up and its subscription is sent.
    Up {
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection's socket is gone; its books are stale. Control dials again.
    Down {
        /// The connection.
        connection: ConnectionId,
        /// Why, for people.
        why: String,
        /// Its replacement had everything and has taken over: nothing is stale, nothing to dial.
        taken_over: bool,
    },
    /// A replacement has taken over every book.
    HandedOver {
        /// The replacement; the connections from which it has taken over may be closed.
        to: ConnectionId,
        /// What the two streams had in common, and where they differed.
        counts: HandoverCounts,
    },
    /// A message of the stream about a market's life.
    MarketUpdate(MarketUpdate),
    /// Something could not be decoded; a sample, at a bounded rate.
    Bad {
        /// The connection.
        connection: ConnectionId,
        /// What and where.
        input: BadInput,
        /// Samples withheld since the last one.
        withheld: u64,
    },
    /// The first message of an unrecognized kind, or the first error of its kind.
    Unrecognized {
        /// The connection.
        connection: ConnectionId,
        /// What came.
        what: Unrecognized,
    },
    /// Books to be asked for over the venue's REST interface; the answer comes as a command. At most
    /// `TOKENS_PER_BOOKS_REQUEST`.
    Wanted {
        /// Their tokens.
        tokens: Box<[TokenId]>,
        /// A book is not live, or a connection may be frozen; otherwise a comparison that can wait.
        urgent: bool,
        /// Number of this question on the shard, from 1; see [`ShardCommand::Books`].
        ///
        /// [`ShardCommand::Books`]: super::control_shard::ShardCommand::Books
        question: u32,
    },
    /// The state of the shard, every `HEARTBEAT_INTERVAL_NS`.
    Heartbeat(Box<Heartbeat>),
    /// The filled histograms that were asked for.
    Latencies(Box<Latencies>),
    /// What the frames of a connection took, where it was asked for; when it is closed for good.
    ConnectionLatencies {
        /// The connection.
        connection: ConnectionId,
        /// What was recorded.
        latencies: Box<ConnectionLatencies>,
    },
    /// The venue refuses these tokens on this connection: it takes no more.
    Full {
        /// The connection.
        connection: ConnectionId,
        /// Tokens that are to go elsewhere; they are no longer on it.
        tokens: Box<[TokenId]>,
    },
    /// Every socket is closed; the shard has ended.
    Stopped,
}

/// The state of a shard.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// When.
    pub at: Now,
    /// What was read.
    pub intake: IntakeCounts,
    /// The books.
    pub books: BookCounts,
    /// What comparing best prices and hashes gave.
    pub checks: CheckCounts,
    /// What the venue's REST interface did for them.
    pub repairs: RepairCounts,
    /// Heap bytes of the books and their index.
    pub book_bytes: u64,
    /// Memory of frames that have begun and not ended, and of large ones that wait to be decoded.
    pub unfinished_bytes: u64,
    /// Connections closed because they held the most of it when it was too much.
    pub closed_for_memory: u64,
    /// Connections closed because they sent too many frames without content.
    pub closed_for_flood: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Last market data, nanoseconds since the Unix epoch.
    pub last_data_wall_ns: u64,
    /// The host's clock less the venue's as messages show it, milliseconds; below zero the host is behind.
    pub clock_offset_ms: Option<i64>,
    /// Commands handled.
    pub commands: u64,
    /// Sum of the commands' waits in the ring, nanoseconds.
    pub command_wait_ns: u64,
    /// Longest wait of a command.
    pub command_wait_max_ns: u64,
    /// Every connection that the shard knows.
    pub connections: Vec<ConnectionBeat>,
}

/// The state of one connection on its shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionBeat {
    /// The connection.
    pub connection: ConnectionId,
    /// True while its socket is up.
    pub up: bool,
    /// Books that are live.
    pub live: u32,
    /// Of a replacement: live books whose snapshot it has yet to deliver.
    pub owing: Option<u32>,
    /// How it was against the connection with the same tokens.
    pub race: RaceCounts,
    /// Frames or messages that could not be decoded, over all its sockets.
    pub decode_errors: u64,
    /// Age of its last message with a time when it was read, nanoseconds; 0 before the first.
    pub lag_ns: u64,
    /// When the present socket was attached, monotonic nanoseconds; 0 if none.
    pub attached_ns: u64,
    /// What the present and all earlier sockets did; times are the present one's.
    pub session: SessionCounts,
    /// What was asked and answered.
    pub subscription: SubscriptionCounts,
}

//! `control_shard`: commands of the control core to one shard.
//!
//! Runs on:  control core (producer), the shard (consumer), at most `COMMANDS_PER_STEP` a step.
//! Depth: `CONTROL_SHARD_DEPTH`. When full: control keeps the command and tries again next cycle.
//! Repaired by: control, which compares what a shard reports with what it should have.
use crate::base::id::{ConnectionId, TokenId};
use crate::counter::latency::Latencies;
use crate::io::socket::Stream;
use crate::market::book::BookOpening;
use crate::market::info::MarketEvent;
use crate::session::Session;
use crate::venue::Role;

/// A command and when it was sent, monotonic nanoseconds: the shard measures the ring's delay.
#[derive(Debug)]
pub struct StampedCommand {
    /// When it entered the ring.
    pub sent_ns: u64,
    /// The command.
    pub command: ShardCommand,
}

/// A book to open, and the name of its market for the capture.
#[derive(Clone, Debug)]
pub struct NamedOpening {
    /// The book.
    pub opening: BookOpening,
    /// Slug of its market; empty where nothing is captured.
    pub slug: Box<str>,
}

/// What a shard is to do.
#[derive(Debug)]
pub enum ShardCommand {
    /// Know this connection and open these books on it. No socket yet. Repeating it adds books.
    Open {
        /// The connection.
        connection: ConnectionId,
        /// Its books.
        books: Box<[NamedOpening]>,
        /// What it is for.
        role: Role,
        /// The connections from which it is to take them over; they stay there until `Switch`. None: it has them.
        replaces: Box<[ConnectionId]>,
    },
    /// The replacement takes over the books; a report `HandedOver` follows when it has.
    Switch {
        /// The replacement.
        to: ConnectionId,
    },
    /// Take over a socket whose upgrade is complete, and subscribe everything of the connection.
    Attach {
        /// The connection, known from `Open`.
        connection: ConnectionId,
        /// The socket.
        stream: Box<dyn Stream>,
        /// TLS and WebSocket state.
        session: Box<Session>,
    },
    /// More books on a connection, by dynamic subscription if its socket is up.
    Subscribe {
        /// The connection.
        connection: ConnectionId,
        /// The new books.
        books: Box<[NamedOpening]>,
    },
    /// The catalog has fields of these books that were not known when they were opened.
    Describe {
        /// The books.
        books: Box<[NamedOpening]>,
    },
    /// Fewer books; they are closed and forgotten.
    Unsubscribe {
        /// The connection.
        connection: ConnectionId,
        /// Their tokens.
        tokens: Box<[TokenId]>,
    },
    /// Close the socket, close the connection's books, forget the connection.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
    /// Books of the venue's REST interface, asked for by a report `Wanted`.
    Books {
        /// The answer: a JSON list.
        text: String,
        /// Newest question of the shard that had arrived when the request was sent: the answer is from after all that
        /// the shard had asked up to it, also for other books.
        question: u32,
    },
    /// A market of this shard has come to another stage of its life: for the handler. Sent only while the ring has
    /// room to spare.
    Market(Box<MarketEvent>),
    /// Swap the latency histograms: the filled set comes back in a report.
    SwapLatencies {
        /// An empty set.
        empty: Box<Latencies>,
    },
    /// Close every socket and end. The last command.
    Stop,
}

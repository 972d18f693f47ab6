//! `main_control` and `control_main`: commands of the main thread, events of the control core.
//!
//! Runs on:  main thread (commands out, events in, several times a second) and control core
//!           (commands in, events out, every cycle of 2 to 10 ms).
//! When full: a command is given back to its caller; status reports are conflated (the next one is
//! whole); an interval of histograms is merged into the next.
use crate::base::id::{ConnectionId, TokenId};
use crate::counter::latency::{ConnectionLatencies, Latencies};
use crate::counter::report::EngineReport;

/// Commands and events that fit.
pub const MAIN_CONTROL_DEPTH: usize = 64;

/// What the main thread asks of the control core.
#[derive(Debug)]
pub enum Command {
    /// Open connections for these tokens at once, without waiting for a threshold.
    ForceSubscribe {
        /// Given back in the answer.
        ticket: u64,
        /// The tokens, of any venue and shard; those whose markets are not known and pending are refused.
        tokens: Vec<TokenId>,
    },
    /// Follow a market that discovery has not found: condition id, slug or token id.
    AddMarket(String),
    /// Replace a connection by a fresh one, make before break ([`ControlEvent::Recycling`]).
    Recycle {
        /// Given back in the answer.
        ticket: u64,
        /// Which.
        connection: ConnectionId,
    },
    /// Send the histograms of the interval so far ([`ControlEvent::Interval`], within two seconds:
    /// all that the shards have recorded by now is in it), and begin a new one.
    CutInterval,
    /// Stop the shards, then end.
    Stop,
}

/// A token that no connection was opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedToken {
    /// The token.
    pub token: TokenId,
    /// Why, for people.
    pub why: String,
}

/// What the control core reports to the main thread.
#[derive(Debug)]
pub enum ControlEvent {
    /// A status report of the engine, once a second.
    Report(Box<EngineReport>),
    /// The histograms of one interval.
    Interval {
        /// When the interval began, nanoseconds since the Unix epoch.
        start_wall_ns: u64,
        /// How long it was.
        duration_ns: u64,
        /// What was recorded in it, all shards together.
        latencies: Box<Latencies>,
    },
    /// What the frames of each connection took, where it was asked for; once, at the end.
    Connections(Vec<(ConnectionId, Box<ConnectionLatencies>)>),
    /// The answer to [`Command::ForceSubscribe`].
    Forced {
        /// The ticket of the command.
        ticket: u64,
        /// The connections that are opened: at least one for each venue and shard that tokens wait for.
        connections: Vec<ConnectionId>,
        /// Tokens that no connection is opened for, in the order of the command.
        refused: Vec<RefusedToken>,
    },
    /// The answer to [`Command::Recycle`]: it waits for its turn, or why it does not. What became of it is
    /// in the report.
    Recycling {
        /// The ticket of the command.
        ticket: u64,
        /// The reason is for people.
        result: Result<(), String>,
    },
    /// Every shard has ended or its time was up; the last event.
    Stopped {
        /// Shards that did not end in time.
        shards_left: u16,
    },
}

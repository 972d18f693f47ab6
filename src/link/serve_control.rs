//! `serve_control` and `control_serve`: the serve core asks for a status report of the engine.
//!
//! Runs on:  serve core (asks), control core (answers at its next cycle, at most 10 ms later).
//! When full: the request is answered with 503 and counted. Repaired by the client's next request.
use crate::base::id::{ConnectionId, TokenId};
use crate::counter::report::EngineReport;
use hdrhistogram::Histogram;

/// What the serve core asks of the control core.
#[derive(Debug)]
pub enum ControlQuery {
    /// A fresh [`EngineReport`]. Sent by `/health`, `/stats` and `/metrics`.
    Report {
        /// Given back in the answer.
        ticket: u64,
    },
    /// Replace a connection. Sent by `/admin/recycle`.
    Recycle {
        /// Given back in the answer.
        ticket: u64,
        /// Which.
        connection: ConnectionId,
    },
    /// Whether a book that no shard has is awaited. Sent by `/book`.
    Awaited {
        /// Given back in the answer.
        ticket: u64,
        /// The book's token.
        token: TokenId,
    },
    /// Values of [`Stage::ReadToWritten`](crate::counter::latency::Stage::ReadToWritten) since the last one; not
    /// answered. If the ring is full, the next one has them too.
    Latency(Box<Histogram<u64>>),
    /// Follow the market of a token that a client of the gateway has subscribed to.
    Follow {
        /// Given back in the answer.
        ticket: u64,
        /// The token or ticker.
        token: TokenId,
    },
}

/// The control core's answer.
#[derive(Debug)]
pub enum ControlAnswer {
    /// The status report.
    Report {
        /// The ticket of the query.
        ticket: u64,
        /// The report.
        report: Box<EngineReport>,
    },
    /// To `Recycle`: the connection is being replaced, or why not. To `Awaited`: nobody follows the
    /// token, or why its book is awaited. To `Follow`: the venue is asked.
    Ordered {
        /// The ticket of the query.
        ticket: u64,
        /// The reason is for people.
        result: Result<(), String>,
    },
}

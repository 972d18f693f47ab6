//! The oracle of Kalshi's order books: a second, naive implementation.
//!
//! Written from the venue's protocol alone. It is verified against the recordings; then the engine is
//! compared with it, over the same recordings and over generated streams.

pub(crate) mod engine;
pub(crate) mod generate;
mod malformed;
mod recorded;
pub(crate) mod reference;
mod replayed;
pub(crate) mod stored;
mod streams;
mod variants;

/// The engine reads Kalshi. While it does not, the tests `engine_…` here print that and pass, unless
/// `ORACLE_BINARY` names an engine that does.
const ENGINE_READS_KALSHI: bool = true;

/// One thing that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A text frame, JSON or not.
    Frame(String),
    /// The connection is new: whatever it had before, under the same number, is behind it.
    Opened,
    Ended,
    /// An unknown number of frames was lost here.
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Receive time, nanoseconds.
    pub(crate) time: u64,
    pub(crate) connection: u64,
    pub(crate) event: Event,
}

//! What the engine must know of a venue to follow it: one value a venue.
//!
//! Runs on:  any (pure).
use crate::base::limits;
use crate::base::policy::ConnectionTable;

/// How messages change a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// A message says what a level is now: any connection may speak for a book.
    Absolute,
    /// A message says by how much a level changed, and has a number: only the connection that a book hangs on may speak
    /// for it, and a message that is missing is found by its number.
    Sequenced,
}

/// What a venue's protocol is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How messages change a book.
    pub updates: Updates,
    /// Markets open at their start without a message: the engine opens them by its clock.
    pub opens_by_clock: bool,
    /// Some connections carry a stream of all markets, so that an event may concern a book of any shard.
    pub shared_streams: bool,
    /// The connections, where there is a fixed number of them; `None`: they are opened as they are needed.
    pub table: Option<ConnectionTable>,
    /// Tokens that one connection takes at most.
    pub tokens_per_connection_max: usize,
    /// The text that keeps a connection open; empty where the venue pings by itself.
    pub heartbeat: &'static str,
    /// The longest delay before a redial, nanoseconds.
    pub backoff_max_ns: u64,
    /// Requests a second that the REST interface takes in the long run, and at once; `None` where each kind of
    /// request keeps a pace of its own.
    pub rest_rate: Option<(u32, u32)>,
    /// Requests a second for the catalogue, all kinds together.
    pub catalogue_requests_per_second: u64,
    /// Tokens of one question for books at most, and questions a second.
    pub books_request_limits: (usize, u64),
}

impl Capabilities {
    /// A venue that sends what a level is now and opens connections as they are needed, with the usual bounds.
    pub const USUAL: Self = Self {
        updates: Updates::Absolute,
        opens_by_clock: false,
        shared_streams: false,
        table: None,
        tokens_per_connection_max: limits::TOKENS_PER_CONNECTION_MAX,
        heartbeat: "",
        backoff_max_ns: limits::BACKOFF_MAX_NS,
        rest_rate: None,
        catalogue_requests_per_second: limits::DISCOVERY_PAGES_PER_SECOND,
        books_request_limits: (limits::TOKENS_PER_BOOKS_REQUEST, limits::BOOKS_REQUESTS_PER_SECOND),
    };

    /// Whether messages are numbered and say by how much a level changed.
    #[must_use]
    pub const fn is_sequenced(self) -> bool {
        matches!(self.updates, Updates::Sequenced)
    }
}

//! Properties of a venue that the engine depends on: one value per venue.
//!
//! Runs on:  any (pure).
use crate::base::limits;
use crate::base::policy::ConnectionTable;

/// How messages change a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// A message carries the new quantity of a level: a message from any connection may be applied.
    Absolute,
    /// A message carries a signed difference and a sequence number: only messages of the connection that a book is
    /// assigned to are applied, and a gap in the numbers shows that a message is missing.
    Sequenced,
}

/// Properties of a venue's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How messages change a book.
    pub updates: Updates,
    /// Markets open at their start time without a message: the engine opens them by its clock.
    pub opens_by_clock: bool,
    /// Some connections carry a stream of all markets, so an event may concern a book on any shard.
    pub shared_streams: bool,
    /// The connections, if their number is fixed; `None`: connections are opened on demand.
    pub table: Option<ConnectionTable>,
    /// Maximum tokens per connection.
    pub tokens_per_connection_max: usize,
    /// Text heartbeat sent by the client; empty if the venue pings.
    pub heartbeat: &'static str,
    /// Longest delay before a redial, nanoseconds.
    pub backoff_max_ns: u64,
    /// REST limit: sustained requests per second, and burst; `None` if each kind of request has its own limit.
    pub rest_rate: Option<(u32, u32)>,
    /// Catalog requests per second, all kinds together.
    pub catalog_requests_per_second: u64,
    /// Maximum tokens per book request, and book requests per second.
    pub books_request_limits: (usize, u64),
    /// What prices are in, by the name that NautilusTrader's adapter of the venue uses.
    pub currency: &'static str,
}

impl Capabilities {
    /// Absolute updates, connections on demand, the default limits.
    pub const USUAL: Self = Self {
        updates: Updates::Absolute,
        opens_by_clock: false,
        shared_streams: false,
        table: None,
        tokens_per_connection_max: limits::TOKENS_PER_CONNECTION_MAX,
        heartbeat: "",
        backoff_max_ns: limits::BACKOFF_MAX_NS,
        rest_rate: None,
        catalog_requests_per_second: limits::DISCOVERY_PAGES_PER_SECOND,
        books_request_limits: (limits::TOKENS_PER_BOOKS_REQUEST, limits::BOOKS_REQUESTS_PER_SECOND),
        currency: "USD",
    };

    /// Whether updates are [`Updates::Sequenced`].
    #[must_use]
    pub const fn is_sequenced(self) -> bool {
        matches!(self.updates, Updates::Sequenced)
    }
}

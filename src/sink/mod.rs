//! What is kept: trades in a database, all that comes in a capture. Sinks may block; nothing waits for them.
//!
//! Runs on:  threads of its own, never pinned, behind all others where they share cores. Owns: the database, the journal.
//! Bounds:   `SINK_MEMORY_TRADES_MAX` trades in memory; the journal is bounded by its disk. A capture keeps
//!           `CAPTURE_WAITING_BYTES_MAX` bytes.
//!
//! ```text
//! shards ──shard_trade────► trades (ledger, journal) ──batches──► trade-store (SQLite, PostgreSQL)
//! shards ──shard_capture──► capture (segments, indices, manifest)
//! ```
//!
//! The first thread never waits for the database: it empties the rings, and what the database does
//! not take within `SINK_SPILL_AGE_NS` it writes into the journal, a file beside it. The second holds the
//! database and does one thing at a time. So a database that is down or slow costs nothing but delay.
pub mod capture;
pub mod journal;
pub mod ledger;
pub mod postgres;
pub mod sqlite;
pub mod store;
pub mod trades;

//! Storage: trades in a database, frames in a capture, on threads that may block. No other thread waits for them.
//!
//! Runs on:  its own unpinned threads, at low priority on shared cores. Owns: database, journal, capture files.
//! Bounds:   `SINK_MEMORY_TRADES_MAX` trades in memory; the journal by its disk; a capture
//!           `CAPTURE_WAITING_BYTES_MAX` bytes in memory.
//!
//! ```text
//! shards ──shard_trade────► trades (ledger, journal) ──batches──► trade-store (SQLite, PostgreSQL)
//! shards ──shard_capture──► capture (segments, indices, manifest)
//! serve  ──serve_history──► trade-history (reads the database)
//! ```
//!
//! The thread `trades` never waits for the database: it empties the rings and writes to the journal, a local file,
//! what the database does not store within `SINK_SPILL_AGE_NS`. The thread `trade-store` executes one batch at a
//! time. A database that is down or slow delays rows; none is lost while
//! the journal has room.
pub mod capture;
pub mod history;
pub mod journal;
pub mod ledger;
pub mod postgres;
pub mod sqlite;
pub mod store;
pub mod trades;

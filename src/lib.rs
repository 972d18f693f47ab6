//! **ringbook**: a thread-per-core market-data engine for prediction markets.
//!
//! It holds the order books of thousands of markets on one machine. Each pinned thread owns a part of the venues'
//! WebSocket connections and the books of their markets. Threads share no state; they exchange messages over bounded
//! rings with one producer and one consumer. [`guide`] is for users and operators. The sections after the example are
//! the map of the code: data path, layers, threads, links, invariants.
//!
//! # In your own program
//!
//! Implement [`Handler`]; pass venues, markets and a handler factory to [`Engine::builder`]. Each shard has its own
//! handler, so a handler needs no lock. [`guide::library`] lists settings and callbacks; `tests/examples` has three
//! complete programs.
//!
//! ```no_run
//! use ringbook::{BookState, BookView, Engine, Handler, Polymarket};
//!
//! struct Watch;
//!
//! impl Handler for Watch {
//!     fn on_status(&mut self, view: &BookView<'_>, before: BookState) {
//!         println!("{}: {} after {}", view.token, view.state.name(), before.name());
//!     }
//! }
//!
//! # fn main() -> Result<(), ringbook::EngineError> {
//! let engine = Engine::builder()
//!     .venue(Polymarket::default())
//!     .market("will-it-rain")
//!     .shards(2)
//!     .start(|_shard| Watch)?;
//! std::thread::sleep(std::time::Duration::from_secs(60));
//! drop(engine); // stops it
//! # Ok(())
//! # }
//! ```
//!
//! # Data path
//!
//! A shard thread reads, decrypts, decodes, applies and publishes a frame without handing it to another thread:
//!
//! | | file | task |
//! |---|---|---|
//! | 1 | [`io::socket`] | non-blocking reads from the kernel |
//! | 2 | `shard/step` | duty cycle: which socket, how many bytes, which timers are due |
//! | 3 | [`session`] | one connection without its socket: heartbeat, silence, close |
//! | 4 | [`wire::websocket`] | bytes to frames, in place ([`wire::tls`] decrypts before it) |
//! | 5 | [`venue::polymarket::decode`], [`venue::kalshi::decode`] | a frame to events, validated as a whole |
//! | 6 | [`market::book`] | events to price levels |
//! | 7 | [`shard::publish`] | changes to the handlers |
//!
//! No step allocates, locks, formats or logs per message of market data; while a connection is replaced, a message that
//! is early on the new one is copied. `tests/allocation` enforces that steps 5 and 6 do not allocate;
//! `benches/instructions.rs` counts instructions.
//!
//! # Layers
//!
//! A layer uses only layers above it in this table; `tests/tidy.rs` has the exact dependencies and fails when one is
//! violated. `base` to `host` are pure: no socket, thread, runtime or clock; time is an argument.
//!
//! | layer | content |
//! |---|---|
//! | [`base`] | time, ids, fixed-point prices, limits, routing hash, slices, random numbers |
//! | [`ring`] | the SPSC ring between two threads |
//! | [`counter`] | counters, latency histograms, the status report |
//! | [`plot`] | plots as SVG text |
//! | [`wire`] | TLS, WebSocket and HTTP on memory buffers |
//! | [`market`] | events, market facts, books |
//! | [`capture`] | records, index and manifest of a capture |
//! | [`cluster`] | machines that divide the markets among themselves: one member, its claims, all of them |
//! | [`venue`] | the venue interface; messages, decoder, subscriptions and catalog of Polymarket and Kalshi |
//! | [`session`] | one connection without its socket |
//! | [`topology`] | threads and the cores they run on |
//! | [`host`] | settings of the host, each rated with its remedy |
//! | [`io`] | the I/O boundary: the only layer that names the runtime, the kernel or a clock |
//! | [`pool`] | connection pools for request-response services |
//! | [`link`] | one file per link between threads: messages, depth, behaviour when full |
//! | [`shard`] | actual state: connections, books, the duty cycle of a shard core |
//! | [`sink`] | storage: trade database and capture files, on threads that may block |
//! | [`control`] | desired state: registry, discovery, placement, recycling, dials, REST |
//! | [`gateway`] | subscribed books in the venues' protocols and in ringbook's own, without sockets |
//! | [`bus`] | every book and trade at a Kafka-protocol broker (feature `kafka`), and a reader of them |
//! | [`serve`] | local HTTP and WebSocket server: health, statistics, metrics, books, gateway |
//! | [`bus_source`] | the bus in place of venues: books and trades for handlers and the serve core |
//! | [`price_table`] | best prices of every book in shared memory |
//! | [`replay`] | captures to books, through the shard's own code |
//! | [`replay_gateway`] | recorded days for clients of the gateway, one replay each |
//! | [`export`] | captures and databases to tables, candles and files of backtesters |
//! | [`archive`] | captures as an archive: what they have, whether they are whole, parts of them |
//! | [`config`] | flags and settings, validated |
//! | [`api`] | the engine builder and the types a library user names |
//! | [`engine`] | creates links and threads, stops them in reverse order |
//! | [`command`] | the subcommands |
//! | [`sim`] | the simulated venue, over real sockets; uses `base` only, so it shares no code with the decoders |
//!
//! # Threads
//!
//! | thread | owns | blocks in |
//! |---|---|---|
//! | main | the engine, the terminal, files written at exit; not pinned | anything |
//! | control core, 1 | one controller per venue: registry, placement, dials, REST | its executor |
//! | shard cores, n | sockets, sessions, decoders, books, handlers | its epoll set only; parks, adapts or spins |
//! | serve core, 0 or 1 | local clients | its executor |
//! | `trades`, `trade-store` | trade queue and journal; database | disk, SQLite, PostgreSQL |
//! | `trade-index` | once: the index of a PostgreSQL table of an earlier version | PostgreSQL |
//! | `trade-history` | stored trades for clients of the gateway | SQLite, PostgreSQL |
//! | `capture` | the files of a capture | disk |
//! | `bus` | the producer of `--bus`, with threads of librdkafka | the broker |
//! | `cluster` | with `--cluster`: the member of the group, with threads of librdkafka | the broker |
//! | `bus-source` | with `--source bus`: the reader of the bus and the handlers, in place of shards | the broker |
//! | `prices` | the heartbeat of the shared-memory table | its interval |
//! | `resolve`, `accept` | name lookups; new local clients | the kernel |
//!
//! Control core, shards and serve core are glommio executors; a shard is one task on its executor. The control core
//! resolves, connects and runs the TLS and WebSocket handshakes, then passes the open connection to a shard. Threads
//! may share cores; `ringbook topology` prints threads, cores and links of a command line.
//!
//! A market hashes to one shard by a consistent hash of its id. Both outcomes of a market are on one shard, and a
//! Polymarket connection carries markets of one shard only, so no book data crosses a core. With several venues each
//! venue has its own shards, so a burst of one venue delays no book of another.
//!
//! # Links
//!
//! | link | carries | when full |
//! |---|---|---|
//! | [`link::control_shard`] | commands: open, attach, subscribe, close | stored, retried in the next cycle |
//! | [`link::shard_control`] | heartbeats with counters, disconnects, market updates | counted; repeated as its file says |
//! | [`link::shard_shard`] | trades, tickers of another shard's markets | counted; the redundant connection has them |
//! | [`link::shard_trade`] | every trade, with `--trades` | counted, recorded in the table `trade_losses` |
//! | [`link::shard_capture`] | frames and book lifecycle, with `--capture` | dropped, counted, marked in the capture |
//! | [`link::cluster_control`] | slices, as state; markets that other members have found | markets wait at the broker |
//! | [`link::control_sink`] | changed markets, with `--trades` | stored, retried in the next cycle |
//! | [`link::serve_bus`] | records of every book and trade, with `--bus` | books are conflated, trades lost and counted |
//! | [`link::serve_control`] | report queries and reports | HTTP 503, counted |
//! | [`link::serve_history`] | requests for stored prices, with `--trades` and a local server or gateway | HTTP 503 |
//! | [`link::serve_shard`] | book queries and book images | HTTP 503, counted |
//! | [`link::shard_updates`] | updates of the books that gateway clients subscribe to | the book's image is sent again |
//! | [`link::main_control`] | commands; reports and histograms back | a command is returned; reports are conflated |
//!
//! # Invariants
//!
//! - A book is [`AwaitingSnapshot`], [`Live`] or [`Stale`] with a reason; every reader receives the state. Best prices
//!   and hashes are compared with the venue's; a book that stays different is not live.
//! - A message is applied as a whole or not at all. If it cannot be decoded, every book it may concern is stale.
//! - Replacing a connection loses and repeats no message: both connections carry the same tokens for a while, and the
//!   shard matches their messages.
//! - A shard never waits for a ring, a disk or a lock. A full ring is counted and handled by the rule of its link.
//! - Prices and quantities are fixed-point integers in units of 1e-6. What does not fit is refused, not rounded.
//! - Bounds between threads and peers are constants in [`base::limits`] with their arithmetic.
//! - A venue fault is counted and costs at most its connection. A network fault is retried. A broken invariant of the
//!   engine panics and ends the process.
//!
//! [`AwaitingSnapshot`]: market::book::BookState::AwaitingSnapshot
//! [`Live`]: market::book::BookState::Live
//! [`Stale`]: market::book::BookState::Stale

#![cfg_attr(
    not(feature = "internals"),
    expect(dead_code, unreachable_pub, unused_imports, reason = "items that only tests use")
)]

// Public API: the facade and the guide. The feature `internals` makes every module public for the tests and benchmarks
// of this package. Each module is declared with both visibilities because an attribute cannot change a visibility,
// rustfmt does not follow modules declared by a macro, and `pub(in crate::…)` does not resolve through a re-export.
#[cfg(not(feature = "internals"))]
mod api;
#[cfg(feature = "internals")]
pub mod api;
#[cfg(not(feature = "internals"))]
mod archive;
#[cfg(feature = "internals")]
pub mod archive;
#[cfg(not(feature = "internals"))]
mod base;
#[cfg(feature = "internals")]
pub mod base;
#[cfg(not(feature = "internals"))]
mod bus;
#[cfg(feature = "internals")]
pub mod bus;
#[cfg(not(feature = "internals"))]
mod bus_source;
#[cfg(feature = "internals")]
pub mod bus_source;
#[cfg(not(feature = "internals"))]
mod capture;
#[cfg(feature = "internals")]
pub mod capture;
#[cfg(not(feature = "internals"))]
mod cluster;
#[cfg(feature = "internals")]
pub mod cluster;
#[cfg(not(feature = "internals"))]
mod command;
#[cfg(feature = "internals")]
pub mod command;
#[cfg(not(feature = "internals"))]
mod config;
#[cfg(feature = "internals")]
pub mod config;
#[cfg(not(feature = "internals"))]
mod control;
#[cfg(feature = "internals")]
pub mod control;
#[cfg(not(feature = "internals"))]
mod counter;
#[cfg(feature = "internals")]
pub mod counter;
#[cfg(not(feature = "internals"))]
mod engine;
#[cfg(feature = "internals")]
pub mod engine;
#[cfg(not(feature = "internals"))]
mod export;
#[cfg(feature = "internals")]
pub mod export;
#[cfg(not(feature = "internals"))]
mod gateway;
#[cfg(feature = "internals")]
pub mod gateway;
pub mod guide;
#[cfg(not(feature = "internals"))]
mod host;
#[cfg(feature = "internals")]
pub mod host;
#[cfg(not(feature = "internals"))]
mod io;
#[cfg(feature = "internals")]
pub mod io;
#[cfg(not(feature = "internals"))]
mod link;
#[cfg(feature = "internals")]
pub mod link;
#[cfg(not(feature = "internals"))]
mod market;
#[cfg(feature = "internals")]
pub mod market;
#[cfg(not(feature = "internals"))]
mod plot;
#[cfg(feature = "internals")]
pub mod plot;
#[cfg(not(feature = "internals"))]
mod pool;
#[cfg(feature = "internals")]
pub mod pool;
#[cfg(not(feature = "internals"))]
mod price_table;
#[cfg(feature = "internals")]
pub mod price_table;
#[cfg(not(feature = "internals"))]
mod replay;
#[cfg(feature = "internals")]
pub mod replay;
#[cfg(not(feature = "internals"))]
mod replay_gateway;
#[cfg(feature = "internals")]
pub mod replay_gateway;
#[cfg(not(feature = "internals"))]
mod ring;
#[cfg(feature = "internals")]
pub mod ring;
#[cfg(not(feature = "internals"))]
mod serve;
#[cfg(feature = "internals")]
pub mod serve;
#[cfg(not(feature = "internals"))]
mod session;
#[cfg(feature = "internals")]
pub mod session;
#[cfg(not(feature = "internals"))]
mod shard;
#[cfg(feature = "internals")]
pub mod shard;
#[cfg(not(feature = "internals"))]
mod sim;
#[cfg(feature = "internals")]
pub mod sim;
#[cfg(not(feature = "internals"))]
mod sink;
#[cfg(feature = "internals")]
pub mod sink;
#[cfg(not(feature = "internals"))]
mod topology;
#[cfg(feature = "internals")]
pub mod topology;
#[cfg(not(feature = "internals"))]
mod venue;
#[cfg(feature = "internals")]
pub mod venue;
#[cfg(not(feature = "internals"))]
mod wire;
#[cfg(feature = "internals")]
pub mod wire;

pub use api::*;
#[doc(hidden)]
pub use command::command_line;
pub use engine::{Engine, EngineError, ShutdownReport};

/// What the program `venue-sim` uses.
#[doc(hidden)]
pub mod venue_sim {
    pub use crate::io::file::read_small;
    pub use crate::io::output::{Stderr, complain, hangup_is_ignored, print_line};
    pub use crate::sim::kalshi::{KalshiConfig, KalshiVenue};
    pub use crate::sim::{SimConfig, SimError, Venue};
}

/// Compiles the examples of README.md as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;

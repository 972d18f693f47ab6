//! **ringbook**: a thread-per-core market-data engine for prediction markets.
//!
//! It holds every order book of thousands of markets on one machine. Pinned threads each own a
//! slice of the venue's WebSocket connections and the books that hash to them; nothing is shared,
//! and what threads tell each other goes through bounded rings with one producer and one consumer.
//! This page is the map: who reads it and then the seven files of the data path knows the engine.
//! [`guide`] is for users and operators: flags, storage, captures, exports, every `/health` message.
//!
//! # The data path
//!
//! A frame is read, decrypted, decoded, applied and published on one thread, in one go:
//!
//! | | file | does |
//! |---|---|---|
//! | 1 | [`io::socket`] | bytes from the kernel, without waiting |
//! | 2 | `shard/step` | the duty cycle: which socket, how much of it, what else is due |
//! | 3 | [`session`] | one connection without its socket: heartbeat, silence, close |
//! | 4 | [`wire::websocket`] | bytes to frames, where they lie ([`wire::tls`] before it) |
//! | 5 | [`venue::polymarket::decode`] | a frame to events, checked whole, numbers exact; usual layouts by `scan` |
//! | 6 | [`market::book`] | events to levels |
//! | 7 | [`shard::publish`] | what changed, to your own code |
//!
//! # Layers
//!
//! Leaf to top. A layer names only layers above it in this table; `tests/tidy.rs` holds the exact
//! rule for each, and fails when one is crossed.
//!
//! | layer | what it is |
//! |---|---|
//! | [`base`] | words: time, ids, exact prices, every limit, routing, randomness |
//! | [`ring`] | the ring between two threads |
//! | [`counter`] | counters, latency histograms, the report that all readers share |
//! | [`wire`] | TLS, WebSocket and HTTP over memory: bytes in, frames out |
//! | [`market`] | events, what is known of a market, books |
//! | [`capture`] | lines, index and manifest of a capture |
//! | [`venue`] | the seam to a venue; messages, decoding, conversation, catalogue of Polymarket and of Kalshi |
//! | [`session`] | one connection without its socket |
//! | [`topology`] | which threads run on which cores |
//! | [`host`] | what the host is like, and what that means: one verdict a setting |
//! | [`io`] | the rim: the only files that name the runtime, the kernel or a clock |
//! | [`pool`] | pools of connections to backend services, one for each service, on one core |
//! | [`link`] | one file for each link between threads: messages, depth, what happens when full |
//! | [`shard`] | what *is*: connections, books, the hot core's duty cycle |
//! | [`sink`] | what is kept: trades in a database, all that comes in a capture, on threads that may block |
//! | [`control`] | what *should be*: registry, discovery, placement, dials |
//! | [`serve`] | health, statistics, metrics and books over local HTTP |
//! | [`replay`] | captures back into books, by the shard's own code |
//! | [`export`] | captures and databases as Parquet |
//! | [`config`] | flags, and what they become once they are checked |
//! | [`api`] | the builder of an engine, and the types that a library user names |
//! | [`engine`] | builds links and threads in order, stops them in reverse |
//! | [`command`] | the subcommands |
//! | [`sim`] | apart from all: a venue of our own over real sockets; uses `base` only |
//!
//! From `base` to `session` the layers are pure: no socket, no thread, no runtime, and time is an
//! argument. So they are tested by example and by property, without waiting for anything.
//!
//! # Threads
//!
//! | thread | owns | waits |
//! |---|---|---|
//! | main | the engine, the terminal, files at exit | as it likes; never pinned |
//! | control core, one | the registry, what each connection should carry, dials, REST | on its executor |
//! | shard cores, n | sockets, sessions, decoders, books, handlers | parks, adapts or spins; only in its own epoll set |
//! | serve core, one, if asked for | local clients | on its executor |
//! | `trades`, `trade-store` | the trade sink and its database, which may block | SQLite, PostgreSQL |
//! | `capture` | the files of a capture | the disk |
//! | `resolve`, `accept` | name lookups, new clients | in the kernel |
//!
//! Control core, shards and serve core are glommio executors. A shard is one task that polls its
//! own epoll set inside its executor. The control core resolves, connects, does TLS and the
//! upgrade, and hands the finished connection over: no handshake ever runs on a shard. On a small
//! machine the threads share cores; `ringbook topology` prints what a command line would start.
//!
//! # Links
//!
//! | link | carries | when full |
//! |---|---|---|
//! | [`link::control_shard`] | orders: open, attach, subscribe, close | control keeps the order, tries next cycle |
//! | [`link::shard_control`] | heartbeats with all counts, ended connections, news, histograms | counted; the next heartbeat heals |
//! | [`link::shard_shard`] | trades and tickers of markets that another shard has (Kalshi) | counted; the other connection of the pair brings them too |
//! | [`link::shard_trade`] | every trade, with `--trades` | counted, and written down beside the trades |
//! | [`link::shard_capture`] | every frame, and what becomes of books beside it, with `--capture` | frames are dropped, counted and marked |
//! | [`link::control_sink`] | markets that have changed, with `--trades` | control keeps them, tries next cycle |
//! | [`link::serve_control`] | a request for the report, and the report | 503, counted |
//! | [`link::serve_shard`] | a request for a book, and its image | 503, counted |
//! | [`link::main_control`] | commands; reports and histograms back | given back; conflated |
//!
//! A market hashes to one shard, by a consistent hash over the market and not the token: both
//! outcomes live together, each connection carries markets of one shard only, and no market data
//! crosses a core.
//!
//! # Invariants
//!
//! - A book is [`AwaitingSnapshot`], [`Live`] or [`Stale`] with a reason, and whoever reads it sees
//!   which. Best prices and hashes are compared with the venue's, and what stays wrong is not live.
//! - No message is lost or repeated when a connection is replaced: both carry the same tokens for a while,
//!   and the shard matches what they say.
//! - Nothing waits on a hot core. A full ring is counted and healed by its link's rule.
//! - A message is applied whole or not at all; what cannot be decoded makes its books stale.
//! - Prices and quantities are exact. What does not fit is refused, never rounded:
//!
//! ```
//! use ringbook::base::price::Price;
//!
//! assert_eq!(Price::parse(b"0.420").unwrap().to_string(), "0.42");
//! assert!(Price::parse(b"0.4200001").is_none());
//! ```
//!
//! - Every bound stands in [`base::limits`] with its arithmetic.
//! - The venue's faults are counted and survived, the network's are retried, our own panic and end
//!   the process.
//!
//! # Your own code on the shard core
//!
//! Implement [`shard::publish::Handler`] (its page has a tested example) and give the engine a
//! factory; each shard gets a handler of its own, so a handler needs no lock.
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
//! # Absent on purpose, for now
//!
//! - *A bus.* A sink is a link and a thread that may block.
//! - *Shards of several venues.* Each venue has shards of its own, so that a burst of one delays no book of the
//!   other; the pumps of both share the control core.
//!
//! [`AwaitingSnapshot`]: market::book::BookState::AwaitingSnapshot
//! [`Live`]: market::book::BookState::Live
//! [`Stale`]: market::book::BookState::Stale

pub mod api;
pub mod base;
pub mod capture;
pub mod command;
pub mod config;
pub mod control;
pub mod counter;
pub mod engine;
pub mod export;
pub mod guide;
pub mod host;
pub mod io;
pub mod link;
pub mod market;
pub mod pool;
pub mod replay;
pub mod ring;
pub mod serve;
pub mod session;
pub mod shard;
pub mod sim;
pub mod sink;
pub mod topology;
pub mod venue;
pub mod wire;

pub use api::*;
pub use engine::{Ending, Engine, EngineError};

/// The examples of README.md, compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;

//! The guide for users and operators. Documentation only.
//!
//! Runs on:  nothing. Each page is a Markdown file in `src/guide/`, readable without rustdoc.
//!
//! | page | subject |
//! |---|---|
//! | [`running`] | every flag of `run`, the local server, exit codes, startup errors |
//! | [`page`] | the web page at `--serve ADDRESS` |
//! | [`top`] | `ringbook top`: a running engine in the terminal |
//! | [`configuration`] | flags from a file, shell completions, manual pages |
//! | [`kalshi`] | keys, connections and checks of Kalshi; both venues in one process |
//! | [`storing_trades`] | trades and markets in SQLite or PostgreSQL: schema, queries, outages |
//! | [`capture_and_replay`] | recording a session, replaying it, formats of other recorders |
//! | [`archive`] | the books of a market at any time of a capture; listing, verifying, cutting, compressing captures |
//! | [`plots`] | plots: one market of a capture, the recorded time, latency histograms |
//! | [`exports`] | tables and files for polars, pandas, DuckDB and backtesters |
//! | [`candles`] | candles of trades, views with decimal prices, queries |
//! | [`gateway`] | clients of the venues connect to ringbook: what is served, what differs |
//! | [`tardis`] | programs for tardis-machine on the gateway: paths, options, messages |
//! | [`gateway_tls`] | TLS, the venues' names and signatures of the gateway |
//! | [`replay_gateway`] | the same over recorded days: a range and a speed for each client, a mock venue |
//! | [`python`] | programs in Python on the gateway's own stream |
//! | [`bus`] | every book and trade at a Kafka-protocol broker: topics, records, a reader |
//! | [`cluster`] | several machines that divide the markets among themselves |
//! | [`prices`] | best prices of every book in shared memory: layout, a reader in Python |
//! | [`pools`] | connection pools for other HTTP and WebSocket services |
//! | [`performance`] | figures, `doctor`, `bench-live`, `bench-gateway`, threads and cores |
//! | [`operating`] | every notice and reason of `/health`, book states, metrics |
//! | [`correctness`] | how a book is verified and repaired, and what is guaranteed |
//! | [`library`] | handlers and the engine in your own program |
//! | [`simulated_venue`] | `venue-sim`: a simulated venue on loopback, with fault injection |

#[doc = include_str!("guide/running.md")]
pub mod running {}

#[doc = include_str!("guide/page.md")]
pub mod page {}

#[doc = include_str!("guide/top.md")]
pub mod top {}

#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

#[doc = include_str!("guide/kalshi.md")]
pub mod kalshi {}

#[doc = include_str!("guide/storing_trades.md")]
pub mod storing_trades {}

#[doc = include_str!("guide/capture_and_replay.md")]
pub mod capture_and_replay {}

#[doc = include_str!("guide/archive.md")]
pub mod archive {}

#[doc = include_str!("guide/plots.md")]
pub mod plots {}

#[doc = include_str!("guide/exports.md")]
pub mod exports {}

#[doc = include_str!("guide/candles.md")]
pub mod candles {}

#[doc = include_str!("guide/gateway.md")]
pub mod gateway {}

#[doc = include_str!("guide/tardis.md")]
pub mod tardis {}

#[doc = include_str!("guide/gateway_tls.md")]
pub mod gateway_tls {}

#[doc = include_str!("guide/replay_gateway.md")]
pub mod replay_gateway {}

#[doc = include_str!("guide/python.md")]
pub mod python {}

#[doc = include_str!("guide/bus.md")]
pub mod bus {}

#[doc = include_str!("guide/cluster.md")]
pub mod cluster {}

#[doc = include_str!("guide/prices.md")]
pub mod prices {}

#[doc = include_str!("guide/pools.md")]
pub mod pools {}

#[doc = include_str!("guide/performance.md")]
pub mod performance {}

#[doc = include_str!("guide/operating.md")]
pub mod operating {}

#[doc = include_str!("guide/correctness.md")]
pub mod correctness {}

#[doc = include_str!("guide/library.md")]
pub mod library {}

#[doc = include_str!("guide/simulated_venue.md")]
pub mod simulated_venue {}

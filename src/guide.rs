//! The guide for users and operators. Documentation only.
//!
//! Runs on:  nothing. Each page is a Markdown file in `src/guide/`, readable without rustdoc; `README.md` has their
//!           subjects in a line each.

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

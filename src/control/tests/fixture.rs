//! What the tests of `control` share: markets by number or name, and a controller without network and shards.
//!
//! Runs on:  test threads.
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::Now;
use crate::control::{
    controller::ControllerParts,
    dial::Target,
    discovery::Discovery,
    lifecycle::{Lifecycle, LifecycleOptions},
    shard_proxy::ShardProxy,
};
use crate::io::{driver::Readiness, socket::Tcp};
use crate::link::shard_control::Report;
use crate::market::info::{MarketInfo, Outcome};
use crate::ring::{Producer, ring};
use crate::venue::{Feed, kalshi, polymarket};
use std::sync::Arc;

pub(crate) const POLYMARKET: Feed = polymarket::feed(true);
pub(crate) const KALSHI: Feed = kalshi::feed(false);

/// Both clocks at the same time.
pub(crate) const fn at(ns: u64) -> Now {
    Now { mono_ns: ns, wall_ns: ns }
}

pub(crate) fn id(number: u32) -> MarketId {
    MarketId::new(&format!("0x{number:064x}")).unwrap()
}

pub(crate) fn token(text: &str) -> TokenId {
    TokenId::new(text).unwrap()
}

/// A market with two tokens.
pub(crate) fn info(number: u32) -> MarketInfo {
    info_with(number, 2, None)
}

/// A market whose tokens are 100 × `number` and those that follow.
pub(crate) fn info_with(number: u32, tokens: u32, end_wall_ns: Option<u64>) -> MarketInfo {
    let outcome = |i: u32| Outcome {
        token: token(&(u64::from(number) * 100 + u64::from(i)).to_string()),
        name: format!("outcome {i}"),
    };
    MarketInfo {
        market: id(number),
        tokens: (0..tokens).map(outcome).collect(),
        slug: format!("market-{number}"),
        question: String::new(),
        start_wall_ns: None,
        end_wall_ns,
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
        listing: None,
    }
}

/// A market whose id, slug and only token are `name`.
pub(crate) fn info_named(name: &str) -> MarketInfo {
    MarketInfo {
        market: MarketId::new(name).unwrap(),
        tokens: vec![Outcome { token: token(name), name: "Yes".into() }],
        slug: name.into(),
        ..info(0)
    }
}

/// The control core's side of a shard that does not exist, and the end on which the shard would report.
pub(crate) fn shard(id: u16) -> (ShardProxy, Producer<Report>) {
    let (orders, _) = ring(256);
    let (reports, receiver) = ring(64);
    let bell = Readiness::new().expect("an epoll set").doorbell();
    let gauge = reports.gauge();
    (ShardProxy::new(ShardId(id), None, orders, receiver, gauge, bell), reports)
}

/// An address at which nobody answers.
pub(crate) fn target() -> Target {
    Target {
        url: "ws://venue.test:9/ws".into(),
        host: "venue.test".into(),
        tls: None,
        connector: Arc::new(Tcp),
        heartbeat: "",
        signer: None,
    }
}

/// A controller that scans nothing.
pub(crate) fn parts(feed: Feed, shards: Vec<ShardProxy>) -> ControllerParts {
    let is_table = feed == KALSHI;
    ControllerParts {
        links: Vec::new(),
        shards,
        target: target(),
        discovery: Discovery::new(feed, false, 1),
        lifecycle: Lifecycle::new(LifecycleOptions::default()),
        tokens_per_connection: if is_table { 7_500 } else { 400 },
        feed,
        table: is_table.then_some(kalshi::CONNECTIONS),
        sink: None,
        capture: None,
        bus: None,
        races: false,
        seed: 1,
    }
}

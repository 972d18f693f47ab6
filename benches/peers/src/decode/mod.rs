//! From the frames of a file to books, by every client in its own way.

mod barter;
pub mod compare;
pub mod figures;
pub mod file;
mod hft;
mod nautilus;
mod ours;
mod polyfill;
mod scanner;
mod sdk;
pub mod typed;

pub use typed::Typed;

use crate::decimal::{units, units_of};
use file::Frames;
use hft::HftBacktest;
use hftbacktest::depth::{BTreeMarketDepth, HashMapMarketDepth, ROIVectorMarketDepth};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Price to quantity, both in millionths.
pub type Levels = BTreeMap<u64, u64>;

/// Bids and asks of every token.
pub type FinalBooks = BTreeMap<String, [Levels; 2]>;

/// The hash function of every pipeline.
pub type Hasher = foldhash::fast::RandomState;

/// One client's way from a frame to a book.
pub trait Pipeline {
    /// Decodes and applies these frames in their order.
    fn feed(&mut self, frames: Frames<'_>);

    /// Frames that it refused.
    fn refused(&self) -> u64;

    /// All its books as they are now.
    ///
    /// # Errors
    /// A value that is not a whole number of millionths.
    fn books(&self) -> Result<FinalBooks, String>;
}

/// A pipeline that can be chosen.
pub struct Entry {
    /// What `--only` and the tables call it.
    pub name: &'static str,
    /// What it is made of.
    pub about: &'static str,
    /// An empty one.
    pub make: fn() -> Box<dyn Pipeline>,
}

/// Every pipeline, ours first.
pub const PIPELINES: &[Entry] = &[
    Entry {
        name: "ringbook",
        about: "Intake and Books of a shard, two clock reads a message, histograms",
        make: || Box::new(ours::timed()),
    },
    Entry {
        name: "ringbook-untimed",
        about: "the same with a clock that stands still",
        make: || Box::new(ours::untimed()),
    },
    Entry {
        name: "scanner",
        about: "hand-written: token, price, size, side at known places, nothing validated: yardstick",
        make: || Box::<scanner::Scanner<false>>::default(),
    },
    Entry {
        name: "scanner-whole",
        about: "the same, and time, hash, best bid and ask stored, whole tokens compared",
        make: || Box::<scanner::Scanner<true>>::default(),
    },
    Entry {
        name: "sonic-rs",
        about: "sonic-rs 0.5 typed borrowed structs + BTreeMap",
        make: || Box::<Typed<typed::Sonic>>::default(),
    },
    Entry {
        name: "serde_json",
        about: "serde_json typed borrowed structs + BTreeMap",
        make: || Box::<Typed<typed::Serde>>::default(),
    },
    Entry {
        name: "barter-data",
        about: "serde_json structs + barter-data 0.13 OrderBook",
        make: || Box::<barter::Barter>::default(),
    },
    Entry {
        name: "hftbacktest",
        about: "sonic-rs structs + hftbacktest 0.9.4 HashMapMarketDepth",
        make: || Box::<HftBacktest<HashMapMarketDepth>>::default(),
    },
    Entry {
        name: "hftbacktest-btree",
        about: "the same with its BTreeMarketDepth",
        make: || Box::<HftBacktest<BTreeMarketDepth>>::default(),
    },
    Entry {
        name: "hftbacktest-roi",
        about: "the same with its ROIVectorMarketDepth: 1,001 ticks a side",
        make: || Box::<HftBacktest<ROIVectorMarketDepth>>::default(),
    },
    Entry {
        name: "nautilus",
        about: "nautilus-polymarket 0.57 messages and deltas + nautilus-model OrderBook",
        make: || Box::<nautilus::Nautilus>::default(),
    },
    Entry {
        name: "sdk-v2",
        about: "polymarket_client_sdk_v2 0.9 parse_if_interested + BTreeMap",
        make: || Box::<sdk::Sdk>::default(),
    },
    Entry {
        name: "polyfill",
        about: "polyfill-rs 0.4.3 parse_stream_messages_bytes + OrderBookManager",
        make: || Box::new(polyfill::Generic::new()),
    },
    Entry {
        name: "polyfill-hot",
        about: "polyfill-rs 0.4.3 WsBookUpdateProcessor (its hot path)",
        make: || Box::new(polyfill::Hot::new()),
    },
];

/// The pipeline that the others are compared with.
pub const REFERENCE: &str = "serde_json";

fn level(price: &str, size: &str) -> Option<(u64, u64)> {
    Some((units(price)?, units(size)?))
}

fn exact(price: Decimal, size: Decimal) -> Result<(u64, u64), String> {
    let level = units_of(price).zip(units_of(size));
    level.ok_or_else(|| format!("{price} x {size} is not a whole number of millionths"))
}

//! hftbacktest's market depths, fed by sonic-rs structs, for it has no parser for this venue.

use super::typed::{LevelText, Message, Sonic, for_each_message};
use super::{FinalBooks, Hasher, Levels, Pipeline, file::Frames, level};
use hftbacktest::depth::{
    BTreeMarketDepth, HashMapMarketDepth, L2MarketDepth, ROIVectorMarketDepth,
};
use hftbacktest::types::Side;
use std::collections::HashMap;

/// The smaller tick of the files; a price between two ticks would be rounded, and the books would differ.
const TICK: f64 = 0.001;

/// Millionths of a tick.
const TICK_UNITS: u64 = 1_000;

/// One unit, so that no size is rounded to nothing.
const LOT: f64 = 0.000_001;

const UNITS: f64 = 1e6;

/// One of its depths.
pub(super) trait Depth: L2MarketDepth {
    fn empty() -> Self;

    /// Ticks and sizes of bids and asks.
    fn sides(&self) -> [Vec<(i64, f64)>; 2];
}

fn held<'d>(side: impl IntoIterator<Item = (&'d i64, &'d f64)>) -> Vec<(i64, f64)> {
    side.into_iter().map(|(&tick, &size)| (tick, size)).collect()
}

impl Depth for HashMapMarketDepth {
    fn empty() -> Self {
        Self::new(TICK, LOT)
    }

    fn sides(&self) -> [Vec<(i64, f64)>; 2] {
        [held(&self.bid_depth), held(&self.ask_depth)]
    }
}

impl Depth for BTreeMarketDepth {
    fn empty() -> Self {
        Self::new(TICK, LOT)
    }

    fn sides(&self) -> [Vec<(i64, f64)>; 2] {
        [held(&self.bid_depth), held(&self.ask_depth)]
    }
}

impl Depth for ROIVectorMarketDepth {
    fn empty() -> Self {
        Self::new(TICK, LOT, 0.0, 1.0)
    }

    fn sides(&self) -> [Vec<(i64, f64)>; 2] {
        [self.bid_depth(), self.ask_depth()]
            .map(|side| (0..).zip(side.iter().copied()).filter(|(_, size)| *size > 0.0).collect())
    }
}

pub(super) struct HftBacktest<D> {
    books: HashMap<String, D, Hasher>,
    refused: u64,
}

impl<D> Default for HftBacktest<D> {
    fn default() -> Self {
        Self { books: HashMap::default(), refused: 0 }
    }
}

fn apply<D: Depth>(books: &mut HashMap<String, D, Hasher>, message: &Message<'_>) -> Option<()> {
    let time = message.timestamp.parse().unwrap_or_default();
    match message.event_type {
        "book" => {
            if !books.contains_key(message.asset_id) {
                books.insert(message.asset_id.to_owned(), D::empty());
            }
            let book = books.get_mut(message.asset_id)?;
            book.clear_depth(Side::None, 0.0);
            for LevelText { price, size } in &message.bids {
                let (price, size) = level(price, size)?;
                book.update_bid_depth(price as f64 / UNITS, size as f64 / UNITS, time);
            }
            for LevelText { price, size } in &message.asks {
                let (price, size) = level(price, size)?;
                book.update_ask_depth(price as f64 / UNITS, size as f64 / UNITS, time);
            }
        }
        "price_change" => {
            for change in &message.price_changes {
                let (price, size) = level(change.price, change.size)?;
                let (price, size) = (price as f64 / UNITS, size as f64 / UNITS);
                let book = books.get_mut(change.asset_id)?;
                if change.side == "BUY" {
                    book.update_bid_depth(price, size, time);
                } else {
                    book.update_ask_depth(price, size, time);
                }
            }
        }
        _ => {}
    }
    Some(())
}

impl<D: Depth> Pipeline for HftBacktest<D> {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            let applied =
                for_each_message::<Sonic>(frame, |message| apply(&mut self.books, message));
            self.refused += u64::from(!applied);
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let one = |(tick, size): (i64, f64)| {
            let tick = u64::try_from(tick).map_err(|_| format!("tick {tick} is below 0"))?;
            Ok((tick * TICK_UNITS, (size * UNITS).round() as u64))
        };
        let side = |levels: Vec<_>| levels.into_iter().map(one).collect::<Result<Levels, String>>();
        let books = self.books.iter().map(|(token, book)| {
            let [bids, asks] = book.sides();
            Ok((token.clone(), [side(bids)?, side(asks)?]))
        });
        books.collect()
    }
}

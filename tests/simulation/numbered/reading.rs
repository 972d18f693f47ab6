//! What a reader of a connection of the numbered venue can know by the protocol alone.
//!
//! Runs on:  the simulation's thread. The model's own count of numbers: nothing of the engine's.
use std::collections::{BTreeMap, BTreeSet};

/// What a frame does to its reader.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Nothing,
    /// It has a place in a subscription.
    Numbered {
        sid: u64,
        seq: u64,
        what: What,
    },
    /// It cannot be read at all: any message may be lost.
    Broken,
    /// No frame: the subscription is over here.
    Over,
    /// No frame: these markets are not reported any more.
    Dropped(Vec<usize>),
    /// No frame: a change was left out, and no number shows it.
    Wronged(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An answer, or the life of a market.
    Other,
    Snapshot {
        market: usize,
        version: usize,
    },
    Delta {
        market: usize,
        version: usize,
    },
    /// A change that cannot be read.
    Malformed {
        market: usize,
    },
    Trade(u64),
}

/// How far one book is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) version: usize,
    /// It must not count as right until its next snapshot.
    pub(crate) suspect: bool,
    /// It is wrong, and that cannot be detected until then.
    pub(crate) wronged: bool,
}

/// All that has been read on one connection.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    last: BTreeMap<u64, u64>,
    pub(crate) points: BTreeMap<usize, Point>,
    /// Trades since they were last looked at.
    pub(crate) trades: BTreeSet<u64>,
    pub(crate) holes: u64,
}

impl Reading {
    fn suspect(&mut self) {
        self.points.values_mut().for_each(|point| point.suspect = true);
    }

    pub(crate) fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Broken | Effect::Over => self.suspect(),
            Effect::Dropped(markets) => markets.iter().for_each(|m| _ = self.points.remove(m)),
            Effect::Wronged(market) => {
                if let Some(point) = self.points.get_mut(&market) {
                    point.wronged = true;
                }
            }
            Effect::Numbered { sid, seq, what } => {
                let last = self.last.entry(sid).or_default();
                if seq <= *last {
                    return;
                }
                let hole = seq > *last + 1;
                *last = seq;
                if hole {
                    self.holes += 1;
                    self.suspect();
                }
                self.apply(what);
            }
        }
    }

    fn apply(&mut self, what: What) {
        match what {
            What::Other => {}
            What::Snapshot { market, version } => {
                let point = Point { version, suspect: false, wronged: false };
                self.points.insert(market, point);
            }
            What::Delta { market, version } => {
                if let Some(point) = self.points.get_mut(&market) {
                    point.version = version;
                }
            }
            What::Malformed { market } => {
                if let Some(point) = self.points.get_mut(&market) {
                    point.suspect = true;
                }
            }
            What::Trade(trade) => _ = self.trades.insert(trade),
        }
    }
}

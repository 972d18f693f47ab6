//! Races between engines that publish the same markets: who was first, by how much, and what only one of them had.
//!
//! Runs on:  a reader's thread (pure). Bounds: `BUS_RACES_MAX` races of each kind; 32 engines at a time.
//!
//! A race is a trade, or the changes of a book with one venue time, of which at least two engines have a live book.
//! Times are those at which the reader has read: what the broker and the reader's fetches put together is read at once,
//! so differences are not finer than that.
use crate::base::limits::{BUS_RACE_NS, BUS_RACES_MAX};
use crate::counter::race::{RaceCounts, RaceFigures};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Engines that race at one time.
const RACERS: usize = u32::BITS as usize;

/// What is raced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RaceKind {
    /// Changes of a book with one venue time.
    Changes,
    /// A trade.
    Trade,
}

/// An engine against the others that publish the same markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusRacer {
    /// Its name.
    pub engine: Arc<str>,
    /// Changes of books; all that have one venue time are one.
    pub changes: RaceCounts,
    /// Trades.
    pub trades: RaceCounts,
}

#[derive(Debug)]
struct Racer {
    engine: Arc<str>,
    changes: RaceFigures,
    trades: RaceFigures,
    /// It is gone for good, and how many had before it: another one may have its number.
    left: Option<u64>,
}

/// One race; engines are bits.
#[derive(Debug)]
struct Race {
    first_ns: u64,
    first: usize,
    /// Those with a live book.
    expected: u32,
    arrived: u32,
}

/// Races of one kind.
#[derive(Debug, Default)]
struct Track {
    races: HashMap<u64, Race, FixedState>,
    order: VecDeque<u64>,
    /// So many of the oldest are decided; they are there for those who come later still.
    decided: usize,
}

/// All races.
#[derive(Debug, Default)]
pub(super) struct Races {
    racers: Vec<Racer>,
    /// How many have left.
    departures: u64,
    changes: Track,
    trades: Track,
}

/// The bit of an engine; none for those that are too many.
pub(super) const fn bit(racer: usize) -> u32 {
    if racer < RACERS { 1 << racer } else { 0 }
}

impl Races {
    /// The number of an engine. RaceFigures of those that have left stay until there are too many.
    pub(super) fn racer(&mut self, engine: &Arc<str>) -> usize {
        if let Some(known) = self.racers.iter().position(|racer| racer.engine == *engine) {
            self.racers[known].left = None;
            return known;
        }
        let (changes, trades) = (RaceFigures::default(), RaceFigures::default());
        let new = Racer { engine: Arc::clone(engine), changes, trades, left: None };
        let left = self.racers.iter().enumerate().filter_map(|(at, racer)| Some((racer.left?, at)));
        match left.min() {
            Some((_, first)) if self.racers.len() >= RACERS => {
                self.racers[first] = new;
                first
            }
            _ => {
                self.racers.push(new);
                self.racers.len() - 1
            }
        }
    }

    /// An engine is gone for good.
    pub(super) fn leave(&mut self, racer: usize) {
        self.departures += 1;
        self.racers[racer].left = Some(self.departures);
    }

    /// An engine has published what all know by this key; those of `expected` have a live book.
    pub(super) fn on_arrival(
        &mut self,
        kind: RaceKind,
        key: u64,
        racer: usize,
        expected: u32,
        now_ns: u64,
    ) {
        let (track, bit) = (self.track(kind), bit(racer));
        let Some(race) = track.races.get_mut(&key) else {
            // Alone, or with a book that has begun with it, it is in no race.
            if expected & bit != 0 && expected != bit {
                let race = Race { first_ns: now_ns, first: racer, expected, arrived: bit };
                track.races.insert(key, race);
                track.order.push_back(key);
                self.figures(kind, racer).counts.first += 1;
                if self.track(kind).order.len() > BUS_RACES_MAX {
                    self.drop_oldest(kind);
                }
            }
            return;
        };
        if race.arrived & bit == 0 && bit != 0 {
            race.arrived |= bit;
            let later_ns = now_ns.saturating_sub(race.first_ns);
            self.figures(kind, racer).add_later(later_ns);
        }
    }

    /// Decides the races that are old enough.
    pub(super) fn on_time(&mut self, now_ns: u64) {
        for kind in [RaceKind::Changes, RaceKind::Trade] {
            loop {
                let track = self.track(kind);
                let race = track.order.get(track.decided).and_then(|key| track.races.get(key));
                if race.is_none_or(|race| now_ns.saturating_sub(race.first_ns) < BUS_RACE_NS) {
                    break;
                }
                self.decide(kind);
            }
        }
    }

    /// Who was not there at the end of the oldest race that is not decided.
    fn decide(&mut self, kind: RaceKind) {
        let track = self.track(kind);
        let key = track.order.get(track.decided);
        let Some(race) = key.and_then(|key| track.races.get(key)) else { return };
        let (missing, first) = (race.expected & !race.arrived, race.first);
        let is_alone = race.arrived.count_ones() == 1 && missing != 0;
        track.decided += 1;
        self.figures(kind, first).counts.alone += u64::from(is_alone);
        for racer in (0..RACERS).filter(|&racer| missing & bit(racer) != 0) {
            self.figures(kind, racer).counts.missed += 1;
        }
    }

    fn drop_oldest(&mut self, kind: RaceKind) {
        if self.track(kind).decided == 0 {
            self.decide(kind);
        }
        let track = self.track(kind);
        track.decided -= 1;
        if let Some(key) = track.order.pop_front() {
            track.races.remove(&key);
        }
    }

    const fn track(&mut self, kind: RaceKind) -> &mut Track {
        match kind {
            RaceKind::Changes => &mut self.changes,
            RaceKind::Trade => &mut self.trades,
        }
    }

    fn figures(&mut self, kind: RaceKind, racer: usize) -> &mut RaceFigures {
        let racer = &mut self.racers[racer];
        match kind {
            RaceKind::Changes => &mut racer.changes,
            RaceKind::Trade => &mut racer.trades,
        }
    }

    /// The figures of each engine that has raced.
    pub(super) fn racers(&self) -> Vec<BusRacer> {
        let all = self.racers.iter().map(|racer| BusRacer {
            engine: Arc::clone(&racer.engine),
            changes: racer.changes.counts(),
            trades: racer.trades.counts(),
        });
        all.collect()
    }
}

/// A table for people.
#[must_use]
pub fn table(racers: &[BusRacer]) -> Vec<String> {
    let mut lines = vec![RaceCounts::heading("engine")];
    for racer in racers {
        for (of, counts) in [("changes", racer.changes), ("trades", racer.trades)] {
            lines.push(counts.row(&racer.engine, of));
        }
    }
    lines
}

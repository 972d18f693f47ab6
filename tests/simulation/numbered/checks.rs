//! What must hold at any time, and what must hold in the end.
//!
//! Runs on:  the simulation's thread.
use super::market::{Levels, Phase};
use super::rig::{TABLE, hundredths, thousandths};
use super::world::World;
use ringbook::base::id::{ConnectionId, MarketId};
use ringbook::control::registry::Status;
use ringbook::market::book::{BookState, Level, image::BookImage};
use std::collections::BTreeMap;

fn levels(of: &[Level]) -> Levels {
    let level = |level: &Level| {
        let price = thousandths(&level.price.to_string()) as u32;
        (price, hundredths(&level.quantity.to_string()))
    };
    of.iter().map(level).collect()
}

fn both(image: &BookImage) -> (Levels, Levels) {
    (levels(&image.bids), levels(&image.asks))
}

impl World {
    /// Looks at some books: a live one is what its connection has told so far, nothing is missing before that.
    pub(super) fn check_books(&mut self) -> Result<(), String> {
        for _ in 0..6 {
            let market = self.random.below(self.venue.markets.len() as u64) as usize;
            let ticker = self.venue.markets[market].ticker.clone();
            let now_ns = self.now_ns();
            let image = self.rig.image(&ticker, now_ns).map_err(|why| self.breach(&why))?;
            let time = self.time();
            self.venue.read(time);
            let told = self.rig.take_trades(&self.venue.trades);
            told.map_err(|why| self.breach(&why))?;
            let Some(image) = image.filter(|image| image.state == BookState::Live) else {
                continue;
            };
            if let Err(why) = self.compare(market, &both(&image)) {
                let why = format!("{ticker} (market {market}) is live {why}");
                return Err(self.breach(&format!("{why}; {}", self.whereabouts(market))));
            }
        }
        Ok(())
    }

    fn compare(&mut self, market: usize, ours: &(Levels, Levels)) -> Result<(), String> {
        let read = self.venue.lines.iter().filter(|line| line.is_read());
        let points = read.filter_map(|line| line.reading.points.get(&market));
        let points: Vec<_> = points.copied().collect();
        if points.is_empty() {
            return Err("though no connection tells it".into());
        }
        if points.iter().any(|point| point.wronged) {
            self.seen.wronged += 1;
            return Ok(());
        }
        let right: Vec<_> = points.iter().filter(|point| !point.suspect).collect();
        if right.is_empty() {
            return Err(format!("behind messages that are missing: {points:?}"));
        }
        self.seen.checked += 1;
        let known = &self.venue.markets[market];
        if right.iter().any(|point| known.at(point.version) == *ours) {
            return Ok(());
        }
        let theirs = known.at(right[0].version);
        Err(format!("as {ours:?}, the venue told {theirs:?} ({points:?} of {})", known.version()))
    }

    pub(super) fn check_registry(&mut self) -> Result<(), String> {
        let (registry, placement) =
            (self.rig.control.venue(0).registry(), self.rig.control.venue(0).placement());
        let mut by_connection: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        let mut wrong = None;
        for record in registry.markets() {
            let placed = record.connection.is_some();
            if placed != (record.status == Status::Subscribed) && record.status != Status::Expired {
                let (market, status) = (record.info.market, record.status);
                wrong = Some(format!("{market} is {status:?} on {:?}", record.connection));
            }
            if let Some(connection) = record.connection {
                *by_connection.entry(connection).or_default() += record.info.tokens.len();
                if placement.shard(connection) != Some(record.shard) {
                    wrong =
                        Some(format!("{} is on another shard's {connection}", record.info.market));
                }
                let place = connection.0;
                if place <= TABLE.total() - u32::from(TABLE.books) {
                    wrong =
                        Some(format!("{} is on {connection}, not for books", record.info.market));
                }
            }
        }
        for (&connection, &tokens) in &by_connection {
            let load = registry.load(connection).map_or(0, |load| load.tokens);
            if load != tokens || tokens > self.rig.tokens_per_connection {
                wrong = Some(format!("{connection} carries {tokens} tokens, its load says {load}"));
            }
        }
        for (market, known) in self.venue.markets.iter().enumerate() {
            // One that it moves from, one that it moves to, and one that has not heard that it left before.
            if self.venue.telling(market) > 3 {
                wrong = Some(format!("{} is told on more than three connections", known.ticker));
            }
        }
        let full = self.venue.lines.iter().find(|line| line.markets.len() > self.venue.habits.cap);
        if let Some(line) = full {
            wrong = Some(format!("the venue tells {} too much", line.port));
        }
        wrong.map_or(Ok(()), |why| Err(self.breach(&why)))
    }

    /// What is not right yet, if anything is not.
    pub(super) fn unsettled(&mut self) -> Option<String> {
        let first = TABLE.tickers + TABLE.trades + TABLE.lifecycle;
        let at_work = self.venue.at_work(first + 1);
        if at_work.len() as u32 != TABLE.total() {
            return Some(format!("of the connections only {at_work:?} are at work"));
        }
        for market in 0..self.venue.markets.len() {
            let known = &self.venue.markets[market];
            let (ticker, phase, version) = (known.ticker.clone(), known.phase, known.version());
            if !known.is_alive() {
                let id = MarketId::new(&ticker).unwrap();
                let record = self.rig.control.venue(0).registry().market(&id);
                let follows = record.is_some_and(|record| record.status != Status::Expired);
                if follows && matches!(phase, Phase::Closed | Phase::Determined) {
                    return Some(format!("{ticker} is over: {}", self.whereabouts(market)));
                }
                continue;
            }
            let theirs = known.at(version);
            let now_ns = self.now_ns();
            let image = match self.rig.image(&ticker, now_ns) {
                Ok(Some(image)) => image,
                Ok(None) => {
                    return Some(format!("{ticker} has no book: {}", self.whereabouts(market)));
                }
                Err(why) => return Some(why),
            };
            let ours = both(&image);
            if image.state != BookState::Live || ours != theirs {
                let state = image.state.name();
                let why = format!("{ticker} is {state} as {ours:?}, the venue has {theirs:?}");
                return Some(format!("{why}: {}", self.whereabouts(market)));
            }
            let telling = self.venue.telling(market);
            if telling != 1 {
                let why = format!("{ticker} is told on {telling} connections");
                return Some(format!("{why}: {}", self.whereabouts(market)));
            }
        }
        None
    }

    /// Where engine and venue have a market.
    pub(super) fn whereabouts(&self, market: usize) -> String {
        let known = &self.venue.markets[market];
        let id = MarketId::new(&known.ticker).unwrap();
        let record = self.rig.control.venue(0).registry().market(&id);
        let record = record.map(|record| {
            let placement = self.rig.control.venue(0).placement();
            let state = record.connection.map(|id| (id, placement.state(id)));
            let (status, end) = (record.status, record.info.end_wall_ns);
            format!("{status:?} since {} on {state:?}, ends {end:?}", record.since_ns)
        });
        let lines = self.venue.lines.iter().filter(|line| line.markets.contains(&market));
        let lines: Vec<String> = lines
            .map(|line| {
                let point = line.reading.points.get(&market);
                format!("{} (up {}, {point:?})", line.port, line.is_sound())
            })
            .collect();
        let (open, close) = (known.open_ms, known.close_ms);
        let now = self.clock.get().wall_ns / 1_000_000;
        format!(
            "the venue: {:?} {open}..{close}, version {}, on {lines:?}; the engine at {now}: {record:?}",
            known.phase,
            known.version()
        )
    }
}

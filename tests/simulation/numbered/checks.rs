//! What must hold at any time, and what must hold in the end.
//!
//! Runs on:  the simulation's thread.
use super::market::{Levels, Phase};
use super::rig::{TABLE, hundredths, thousandths};
use super::world::World;
use ringbook::base::id::MarketId;
use ringbook::base::time::Clock as _;
use ringbook::control::registry::Status;
use ringbook::market::book::{BookState, Level, image::BookImage};

/// Connections that are not for books: those with the first numbers.
const OTHERS: u16 = TABLE.tickers + TABLE.trades + TABLE.lifecycle;

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
    /// Looks at some books: a live one is what its connection has sent so far, nothing is missing before that.
    pub(super) fn check_books(&mut self) -> Result<(), String> {
        for _ in 0..6 {
            let market = self.frame.random.below(self.venue.markets.len() as u64) as usize;
            let ticker = self.venue.markets[market].ticker.clone();
            let image = self.frame.image(&ticker, false).map_err(|why| self.frame.breach(&why))?;
            let time = self.time();
            self.venue.read(time);
            let reported = self.outputs.take_trades(&self.venue.trades);
            reported.map_err(|why| self.frame.breach(&why))?;
            let Some(image) = image.filter(|image| image.state == BookState::Live) else {
                continue;
            };
            if let Err(why) = self.compare(market, &both(&image)) {
                let why = format!("{ticker} (market {market}) is live {why}");
                return Err(self.frame.breach(&format!("{why}; {}", self.whereabouts(market))));
            }
        }
        Ok(())
    }

    fn compare(&mut self, market: usize, ours: &(Levels, Levels)) -> Result<(), String> {
        let read = self.venue.lines.iter().filter(|line| line.is_read());
        let points = read.filter_map(|line| line.reading.points.get(&market));
        let points: Vec<_> = points.copied().collect();
        if points.is_empty() {
            return Err("though no connection carries it".into());
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
        Err(format!("as {ours:?}, the venue sent {theirs:?} ({points:?} of {})", known.version()))
    }

    pub(super) fn check_registry(&mut self) -> Result<(), String> {
        let most = self.outputs.tokens_per_connection;
        let mut wrong = self.frame.misplaced(most, |record| {
            let connection = record.connection.filter(|id| id.0 <= u32::from(OTHERS));
            connection.map(|id| format!("{} is on {id}, not for books", record.info.market))
        });
        for (market, known) in self.venue.markets.iter().enumerate() {
            // One that it moves from, one that it moves to, and one whose unsubscription is lost.
            if self.venue.carriers(market) > 3 {
                wrong =
                    Some(format!("{} is reported on more than three connections", known.ticker));
            }
        }
        let full = self.venue.lines.iter().find(|line| line.markets.len() > self.venue.habits.cap);
        if let Some(line) = full {
            wrong = Some(format!("the venue reports {} too much", line.port));
        }
        wrong.map_or(Ok(()), |why| Err(self.frame.breach(&why)))
    }

    /// What is not right yet, if anything is not.
    pub(super) fn difference(&mut self) -> Option<String> {
        let at_work = self.venue.at_work(OTHERS + 1);
        if at_work.len() as u32 != TABLE.total() {
            return Some(format!("of the connections only {at_work:?} are at work"));
        }
        for market in 0..self.venue.markets.len() {
            let known = &self.venue.markets[market];
            let (ticker, phase, version) = (known.ticker.clone(), known.phase, known.version());
            if !known.is_alive() {
                let id = MarketId::new(&ticker).unwrap();
                let record = self.frame.control.venue(0).registry().market(&id);
                let follows = record.is_some_and(|record| record.status != Status::Expired);
                if follows && matches!(phase, Phase::Closed | Phase::Determined) {
                    return Some(format!("{ticker} is over: {}", self.whereabouts(market)));
                }
                continue;
            }
            let theirs = known.at(version);
            let image = match self.frame.image(&ticker, false) {
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
            let carriers = self.venue.carriers(market);
            if carriers != 1 {
                let why = format!("{ticker} is reported on {carriers} connections");
                return Some(format!("{why}: {}", self.whereabouts(market)));
            }
        }
        None
    }

    /// Where engine and venue have a market.
    pub(super) fn whereabouts(&self, market: usize) -> String {
        let known = &self.venue.markets[market];
        let id = MarketId::new(&known.ticker).unwrap();
        let record = self.frame.control.venue(0).registry().market(&id);
        let record = record.map(|record| {
            let placement = self.frame.control.venue(0).placement();
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
        let now = self.frame.clock.now().wall_ns / 1_000_000;
        format!(
            "the venue: {:?} {open}..{close}, version {}, on {lines:?}; the engine at {now}: {record:?}",
            known.phase,
            known.version()
        )
    }
}

//! Figures of a bus as the source of an engine.
//!
//! Runs on:  the thread `bus-source` (writer), control core (reader).
use super::report::{EngineReport, ShardReport, VenueReport};
use super::shard::BookCounts;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

/// What a reader of the bus has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusCounts {
    /// Records.
    pub records: u64,
    /// Records that were read before, or are another engine's of the same trade or book.
    pub repeated: u64,
    /// Records of an earlier epoch of their engine.
    pub outdated: u64,
    /// Snapshots that stand for records that are missing, and places where records are missing.
    pub gaps: u64,
    /// Trades that engines report as lost.
    pub trades_lost: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Times that the book of another engine was taken, because it is further or the one before is not live.
    pub switches: u64,
    /// Records of books of engines whose slice another engine of their cluster has had for 10 s.
    pub fenced: u64,
}

/// What is read from the bus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusSourceReport {
    /// The broker's address.
    pub broker: String,
    /// Engines that publish there.
    pub engines: u64,
    /// What was read.
    #[serde(flatten)]
    pub counts: BusCounts,
    /// Records of venues that are not followed.
    pub other_venues: u64,
    /// When the last record was read, nanoseconds since the Unix epoch; 0 before the first.
    pub last_record_wall_ns: u64,
    /// Why the bus cannot be read; empty while it can.
    pub error: String,
}

impl BusSourceReport {
    /// The fault and its consequence, one line; `None` without one.
    pub fn trouble(&self) -> Option<String> {
        let Self { broker, engines, error, .. } = self;
        if !error.is_empty() {
            return Some(format!("the bus at {broker} cannot be read: {error}"));
        }
        (*engines == 0)
            .then(|| format!("no engine publishes at {broker}: no book is live until one does"))
    }
}

/// The books of one venue.
#[derive(Clone, Debug, Default)]
pub struct SourceBooks {
    /// Name of the venue.
    pub venue: String,
    /// Markets that are known and not resolved.
    pub markets: u64,
    /// Books and trades.
    pub counts: BookCounts,
}

/// All figures.
#[derive(Debug, Default)]
pub struct BusSourceBoard(Mutex<(BusSourceReport, Vec<SourceBooks>)>);

impl BusSourceBoard {
    /// Sets all of them; the books of each venue in the order of its shards.
    pub fn set(&self, report: BusSourceReport, books: Vec<SourceBooks>) {
        if let Ok(mut figures) = self.0.lock() {
            *figures = (report, books);
        }
    }

    /// Adds them to the report of an engine, with its health. Within the `grace` after the start nothing need be there.
    pub fn fill(&self, engine: &mut EngineReport, grace: bool) {
        let Ok(figures) = self.0.lock().map(|figures| figures.clone()) else { return };
        let (report, books) = figures;
        let health = &mut engine.health;
        health.in_grace = grace;
        if let Some(line) = report.trouble() {
            if grace { health.notices.push(line) } else { health.reasons.push(line) }
        }
        let sum = |of: fn(&BookCounts) -> u64| books.iter().map(|one| of(&one.counts)).sum::<u64>();
        let (held, live) = (sum(|counts| counts.books), sum(|counts| counts.live));
        if held > live {
            health.notices.push(format!("{} of {held} books are not live", held - live));
        }
        for (place, SourceBooks { venue, markets, counts }) in books.into_iter().enumerate() {
            engine.registry.markets += markets;
            engine.venues.push(VenueReport {
                venue,
                markets,
                shards: vec![place as u16],
                books: counts.books,
                books_live: counts.live,
                trades: counts.trades,
                ..VenueReport::default()
            });
            engine.shards.push(ShardReport {
                shard: place as u16,
                healthy: true,
                heartbeat_wall_ns: engine.now_wall_ns,
                last_message_wall_ns: report.last_record_wall_ns,
                books: counts,
                ..ShardReport::default()
            });
        }
        engine.bus_source = Some(report);
    }
}

//! Figures of the bus. Each has one writer, and any readers.
//!
//! Runs on:  the thread `bus` and the serve core (writers), control core and main thread (readers).
use super::figure::Figure;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Mutex;

/// Records published, waiting and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusReport {
    /// The broker's address.
    pub broker: String,
    /// Name of this engine on the bus.
    pub engine: String,
    /// Books that are followed.
    pub books: u64,
    /// Records that the broker has acknowledged.
    pub records: u64,
    /// Bytes of their values, before compression.
    pub bytes: u64,
    /// Records that wait for the broker's acknowledgement.
    pub waiting: u64,
    /// Bytes that wait before them.
    pub waiting_bytes: u64,
    /// Snapshots that were repeated in their turn.
    pub snapshots_repeated: u64,
    /// Changes, snapshots and states that a later snapshot has replaced, because the broker was slow or away.
    pub conflated: u64,
    /// Trades and stages of markets that wait in the journal.
    pub journaled: u64,
    /// The journal: its file.
    pub journal: String,
    /// Records that the broker has refused, or that it had not taken when the producer ended.
    pub failed: u64,
    /// Trades that are not on the bus.
    pub trades_lost: u64,
    /// Records that were not published because the slice of their market is another machine's.
    pub withheld: u64,
    /// Books that are not followed: there were too many.
    pub books_refused: u64,
    /// Producers begun after the first one, because it could not go on or got no acknowledgements.
    pub restarts: u64,
    /// When a record was last acknowledged, nanoseconds since the Unix epoch; 0 before the first.
    pub last_record_wall_ns: u64,
    /// Since when the broker takes nothing, nanoseconds since the Unix epoch; 0 while it does.
    pub down_since_wall_ns: u64,
    /// The last error of the broker; empty while there is none.
    pub error: String,
}

impl BusReport {
    /// One line for people, at the end.
    pub fn line(&self) -> String {
        let Self { broker, records, bytes, conflated, failed, trades_lost, .. } = self;
        let mut line = format!(
            "bus: {records} records of {bytes} bytes at {broker}; {conflated} replaced by a later snapshot, {failed} failed, {trades_lost} trades lost"
        );
        if self.journaled > 0 {
            let _ = write!(
                line,
                "; {} trades and stages of markets wait in {}: the next run publishes them",
                self.journaled, self.journal
            );
        }
        line
    }

    /// The fault and its consequence, one line; `None` without one.
    pub fn trouble(&self, now_wall_ns: u64) -> Option<String> {
        let Self { broker, error, waiting, journaled, journal, trades_lost, restarts, .. } = self;
        let mut lost = match trades_lost {
            0 => String::new(),
            trades => format!("; {trades} trades are lost"),
        };
        if *restarts > 0 {
            let _ = write!(lost, "; other producers were begun: {restarts}");
        }
        if self.down_since_wall_ns > 0 {
            let seconds = now_wall_ns.saturating_sub(self.down_since_wall_ns) / 1_000_000_000;
            let why = if error.is_empty() { "it does not answer" } else { error };
            return Some(format!(
                "the broker {broker} has taken no records for {seconds} s: {why}; {waiting} records wait, and {journaled} trades and stages of markets in {journal}; books are published as they are afterwards{lost}"
            ));
        }
        (*trades_lost > 0).then(|| {
            format!(
                "{trades_lost} trades are not on the bus at {broker}: there was no room for them"
            )
        })
    }

    /// At the end: whether all trades are there.
    pub const fn is_complete(&self) -> bool {
        self.trades_lost == 0
    }
}

/// The figures of the bus; the comment of each names its writer.
#[derive(Debug, Default)]
pub struct BusBoard {
    broker: String,
    engine: String,
    journal: String,
    error: Mutex<String>,
    /// See [`BusReport::books`]; the serve core.
    pub books: Figure,
    /// See [`BusReport::records`]; the bus.
    pub records: Figure,
    /// See [`BusReport::bytes`]; the bus.
    pub bytes: Figure,
    /// See [`BusReport::waiting`]; the bus.
    pub waiting: Figure,
    /// See [`BusReport::waiting_bytes`]; the serve core.
    pub waiting_bytes: Figure,
    /// See [`BusReport::snapshots_repeated`]; the serve core.
    pub snapshots_repeated: Figure,
    /// See [`BusReport::conflated`]; the serve core.
    pub conflated: Figure,
    /// The same; the bus.
    pub left_out: Figure,
    /// See [`BusReport::journaled`]; the bus.
    pub journaled: Figure,
    /// See [`BusReport::failed`]; the bus.
    pub failed: Figure,
    /// Trades that found no room; the serve core.
    pub trades_without_room: Figure,
    /// Trades that the broker did not take; the bus.
    pub trades_failed: Figure,
    /// See [`BusReport::withheld`]; the bus.
    pub withheld: Figure,
    /// See [`BusReport::books_refused`]; the serve core.
    pub books_refused: Figure,
    /// See [`BusReport::restarts`]; the bus.
    pub restarts: Figure,
    /// See [`BusReport::last_record_wall_ns`]; the bus.
    pub last_record_wall_ns: Figure,
    /// See [`BusReport::down_since_wall_ns`]; the bus.
    pub down_since_wall_ns: Figure,
}

impl BusBoard {
    /// All figures 0.
    #[must_use]
    pub fn new(broker: String, engine: String, journal: String) -> Self {
        Self { broker, engine, journal, ..Self::default() }
    }

    /// Sets the error of the broker; empty for none.
    pub fn set_error(&self, text: &str) {
        if let Ok(mut error) = self.error.lock() {
            text.clone_into(&mut error);
        }
    }

    /// Trades that are not on the bus.
    pub fn trades_lost(&self) -> u64 {
        self.trades_without_room.get() + self.trades_failed.get()
    }

    /// The figures now.
    pub fn read(&self) -> BusReport {
        BusReport {
            broker: self.broker.clone(),
            engine: self.engine.clone(),
            books: self.books.get(),
            records: self.records.get(),
            bytes: self.bytes.get(),
            waiting: self.waiting.get(),
            waiting_bytes: self.waiting_bytes.get(),
            snapshots_repeated: self.snapshots_repeated.get(),
            conflated: self.conflated.get() + self.left_out.get(),
            journaled: self.journaled.get(),
            journal: self.journal.clone(),
            failed: self.failed.get(),
            trades_lost: self.trades_lost(),
            withheld: self.withheld.get(),
            books_refused: self.books_refused.get(),
            restarts: self.restarts.get(),
            last_record_wall_ns: self.last_record_wall_ns.get(),
            down_since_wall_ns: self.down_since_wall_ns.get(),
            error: self.error.lock().map(|text| text.clone()).unwrap_or_default(),
        }
    }
}

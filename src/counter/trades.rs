//! Figures of the trade sink. One writer, any readers.
//!
//! Runs on:  the trade sink (writer), control core and main thread (readers).
use super::figure::board;
use crate::base::time::{MICROSECOND_NS, SECOND_NS};
use serde::{Deserialize, Serialize};

/// Trades received, stored and waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeReport {
    /// The database, as `--trades` names it, without a password.
    pub store: String,
    /// The file in which trades wait while it is away.
    pub journal: String,
    /// When the sink started, nanoseconds since the Unix epoch.
    pub started_wall_ns: u64,
    /// Trades that the shards saw, those of earlier runs in the journal included.
    pub received: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Trades that the database had already: sent twice by the venue, or stored again after a crash.
    pub repeated: u64,
    /// Batches stored.
    pub batches: u64,
    /// Markets stored, each as often as it changed.
    pub markets: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Trades in memory that are not stored yet.
    pub queued: u64,
    /// Trades in the journal that are not stored yet.
    pub journaled: u64,
    /// Trades ever written into the journal.
    pub spilled: u64,
    /// Trades that are gone: a full ring, or no room in memory and on the disk.
    pub lost: u64,
    /// Time of the last trade's arrival, nanoseconds since the Unix epoch; 0 before the first.
    pub last_trade_wall_ns: u64,
    /// When the database last took a batch, nanoseconds since the Unix epoch; 0 before the first.
    pub last_insert_wall_ns: u64,
    /// Since when the database takes nothing, nanoseconds since the Unix epoch; 0 while it does.
    pub down_since_wall_ns: u64,
    /// Median time of a batch in the database, microseconds.
    pub batch_p50_us: u64,
    /// The same, 99 of 100.
    pub batch_p99_us: u64,
    /// The longest.
    pub batch_max_us: u64,
    /// The database's or the disk's last error; empty while there is none.
    pub error: String,
    /// Connections that bring market data now.
    pub connections_active: u64,
    /// Reconnects since the start.
    pub reconnections: u64,
    /// The last reconnect, nanoseconds since the Unix epoch; 0 before the first.
    pub last_reconnect_wall_ns: u64,
}

board! {
    /// The sink's figures. One thread writes them; connections are not among them.
    TradeBoard of TradeReport {
        texts: store, journal; messages: error; figures:
            started_wall_ns, received, inserted, repeated, batches, markets, failures, queued,
            journaled, spilled, lost, last_trade_wall_ns, last_insert_wall_ns, down_since_wall_ns,
            batch_p50_us, batch_p99_us, batch_max_us,
    }
}

impl TradeBoard {
    /// All figures 0.
    pub fn new(store: String, journal: String, started_wall_ns: u64) -> Self {
        let board = Self { store, journal, ..Self::default() };
        board.started_wall_ns.set(started_wall_ns);
        board
    }
}

impl TradeReport {
    /// The fault and its consequence, one line; `None` without one.
    pub fn trouble(&self, now_wall_ns: u64) -> Option<String> {
        if self.lost > 0 {
            return Some(format!("{} trades are lost: {}", self.lost, self.waits()));
        }
        if self.down_since_wall_ns > 0 {
            let seconds = now_wall_ns.saturating_sub(self.down_since_wall_ns) / SECOND_NS;
            return Some(format!(
                "{} has taken no trades for {seconds} s: {}; nothing is lost, {}",
                self.store,
                self.error,
                self.waits()
            ));
        }
        (!self.error.is_empty()).then(|| format!("{}; {}", self.error, self.waits()))
    }

    /// At the end: whether every trade is in the database or in the journal.
    pub const fn is_complete(&self) -> bool {
        self.lost == 0 && self.queued == 0
    }

    fn waits(&self) -> String {
        format!("{} wait in memory, {} in {}", self.queued, self.journaled, self.journal)
    }

    /// One line for people, at the end.
    pub fn line(&self) -> String {
        let Self { received, inserted, batches, repeated, journaled, lost, .. } = self;
        let ms = |us: u64| (us * MICROSECOND_NS) as f64 / 1e6;
        let (p50, p99) = (ms(self.batch_p50_us), ms(self.batch_p99_us));
        let mut line = format!(
            "trades: {received} received, {inserted} inserted into {} in {batches} batches (p50 {p50:.1} ms, p99 {p99:.1} ms), {repeated} repeated, {journaled} journaled, {lost} lost",
            self.store
        );
        if *journaled > 0 {
            line.push_str("; the next run stores what waits in ");
            line.push_str(&self.journal);
        }
        line
    }
}

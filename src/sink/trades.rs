//! The threads of the trade sink: `trades` collects and never waits for the database, `trade-store` executes.
//!
//! Runs on:  the threads `trades` and `trade-store`, not pinned. Owns: ledger, journal, database.
//! Bounds:   `TRADES_PER_LOOK` trades of a ring per turn; one batch in flight.
mod writer;

use super::journal::{Journal, JournalContents};
use super::ledger::{Batching, Ledger, Todo};
use super::store::{Batch, Loss, Store, StoreAddress, StoreError};
use crate::base::id::{MarketId, ShardId, Venue};
use crate::base::limits::{
    SINK_DRAIN_NS, SINK_END_NS, SINK_LOOK_NS, SINK_MARKETS_MAX, TRADES_PER_LOOK,
};
use crate::base::time::{MICROSECOND_NS, Now, SECOND_NS};
use crate::counter::trades::{TradeBoard, TradeReport};
use crate::io::{clock::HostClock, executor::no_thread, threads::ends_within};
use crate::link::control_sink::MarketRow;
use crate::link::shard_trade::{TradeReceiver, TradeRecord};
use crate::market::info::MarketInfo;
use crate::ring::Consumer;
use hdrhistogram::Histogram;
use log::{error, info, warn};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use writer::Writer;

/// Longest recorded duration of a batch, microseconds; longer ones count as this.
const BATCH_US_MAX: u64 = 600_000_000;

/// Configuration of the sink.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Venues whose open markets are read at the start.
    pub venues: Vec<Venue>,
    /// The database.
    pub address: StoreAddress,
    /// Journal file for trades while the database is unavailable.
    pub journal: PathBuf,
    /// Bounds of a batch.
    pub batching: Batching,
}

/// Result of a batch.
struct Outcome {
    batch: Batch,
    result: Result<u64, StoreError>,
    took_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Nothing,
    Markets,
    Memory,
    Journal,
}

/// The running sink.
#[derive(Debug)]
pub struct TradeSink {
    stop: Arc<AtomicBool>,
    board: Arc<TradeBoard>,
    known: Vec<(Venue, Vec<MarketInfo>)>,
    gatherer: JoinHandle<()>,
}

/// The open markets in the database, by venue.
fn known(
    store: &mut dyn Store,
    venues: &[Venue],
    wall_ns: u64,
) -> Result<Vec<(Venue, Vec<MarketInfo>)>, StoreError> {
    let of = |&venue: &Venue| Ok((venue, store.open_markets(venue, wall_ns)?));
    venues.iter().map(of).collect()
}

/// Opens the journal and logs what an earlier run left in it.
fn open_journal(options: &SinkOptions) -> Result<(Journal, JournalContents), String> {
    let (journal, found) = Journal::open(&options.journal)
        .map_err(|error| format!("journal {}: {error}", options.journal.display()))?;
    let earlier = options.address.earlier_journal().filter(|path| *path != options.journal);
    if let Some(path) = earlier
        && std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0)
    {
        warn!(
            "{0} contains trades of an earlier version; a run with --trades-journal {0} stores them",
            path.display()
        );
    }
    if found.records > 0 {
        info!("{} trades of an earlier run are in {}", found.records, journal.path().display());
    }
    if found.incomplete > 0 {
        warn!("{}: {} incomplete lines are skipped", journal.path().display(), found.incomplete);
    }
    Ok((journal, found))
}

impl TradeSink {
    /// Opens journal and database and starts the threads. A database that is down is not an error.
    ///
    /// # Errors
    /// One line: the database or the journal cannot be used, or no thread can be started.
    pub fn start(
        options: &SinkOptions,
        receivers: Vec<TradeReceiver>,
        markets: Vec<Consumer<Box<MarketRow>>>,
        clock: HostClock,
    ) -> Result<Self, String> {
        let (journal, found) = open_journal(options)?;
        let shown = options.address.shown();
        let mut down = None;
        let (store, known) = match options.address.open() {
            Ok(mut store) => {
                let known = known(&mut *store, &options.venues, clock.now().wall_ns);
                let known = known.map_err(|error| format!("{shown}: {error}"))?;
                (Some(store), known)
            }
            Err(error) if error.is_transient => {
                warn!("{shown} is down, trades wait for it: {error}");
                down = Some(error);
                (None, Vec::new())
            }
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        let path = journal.path().display().to_string();
        let board = Arc::new(TradeBoard::new(shown, path, clock.now().wall_ns));
        board.received.set(found.records);
        board.journaled.set(found.records);
        if let Some(error) = down {
            board.down_since_wall_ns.set(clock.now().wall_ns);
            board.set_error(&error.message);
        }
        let (batches, batch_receiver) = sync_channel(1);
        let (outcome_sender, outcomes) = sync_channel(1);
        let writer = Writer {
            address: options.address.clone(),
            store,
            batches: batch_receiver,
            outcomes: outcome_sender,
            clock: clock.clone(),
            is_indexed: false,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let no_thread = |error: std::io::Error| no_thread("trades", &error).to_string();
        thread("trade-store").spawn(move || writer.run()).map_err(no_thread)?;
        let refused = vec![0; receivers.len()];
        let gatherer = Gatherer {
            receivers,
            market_rows: markets,
            markets: BTreeMap::new(),
            refused,
            losses: Vec::new(),
            ledger: Ledger::new(options.batching, found.records),
            journal,
            in_flight: InFlight::Nothing,
            peeked: 0,
            spare: Vec::new(),
            batch_max: options.batching.trades_max,
            batches: Some(batches),
            outcomes,
            times: Histogram::new_with_max(BATCH_US_MAX, 2)
                .map_err(|error| format!("histogram: {error}"))?,
            published_ns: 0,
            board: Arc::clone(&board),
            stop: Arc::clone(&stop),
            clock,
        };
        let gatherer = thread("trades").spawn(move || gatherer.run()).map_err(no_thread)?;
        Ok(Self { stop, board, known, gatherer })
    }

    /// The figures for the status report.
    pub fn board(&self) -> Arc<TradeBoard> {
        Arc::clone(&self.board)
    }

    /// The open markets in the database: they can be followed before the catalog was scanned.
    pub fn take_known(&mut self, venue: Venue) -> Vec<MarketInfo> {
        let found = self.known.iter_mut().find(|(known, _)| *known == venue);
        found.map(|(_, markets)| std::mem::take(markets)).unwrap_or_default()
    }

    /// Empties the rings, stores the remaining trades or writes them to the journal; takes at most about
    /// `SINK_DRAIN_NS`. Call it after the shards have ended.
    #[must_use]
    pub fn stop(self) -> TradeReport {
        self.stop.store(true, Ordering::Release);
        if !ends_within(self.gatherer, SINK_DRAIN_NS + SINK_END_NS) {
            error!("the trade sink did not end in time");
        }
        self.board.read()
    }
}

struct Gatherer {
    receivers: Vec<TradeReceiver>,
    /// One per venue controller.
    market_rows: Vec<Consumer<Box<MarketRow>>>,
    /// Markets not stored in their present state; the next run sends them again if they never are.
    markets: BTreeMap<MarketId, MarketRow>,
    /// Value of each ring's refusal counter at the last turn.
    refused: Vec<u64>,
    /// Losses not stored yet.
    losses: Vec<Loss>,
    ledger: Ledger,
    journal: Journal,
    in_flight: InFlight,
    /// Trades of the journal in the batch in flight.
    peeked: u64,
    spare: Vec<TradeRecord>,
    batch_max: usize,
    batches: Option<SyncSender<Batch>>,
    outcomes: Receiver<Outcome>,
    times: Histogram<u64>,
    published_ns: u64,
    board: Arc<TradeBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
}

impl Gatherer {
    fn run(mut self) {
        let mut stop_ns = None;
        loop {
            let now = self.clock.now();
            let stopping = self.stop.load(Ordering::Acquire);
            if stopping && stop_ns.is_none() {
                stop_ns = Some(now.mono_ns);
                self.ledger.retry_now();
            }
            let taken = self.take_trades(now) + self.take_markets();
            let answered = self.take_outcome(now);
            // What the database refuses now is written to the journal, not retried until the deadline.
            let given_up = stopping && answered == Some(false);
            let late = stop_ns.is_some_and(|at_ns| now.mono_ns >= at_ns + SINK_DRAIN_NS);
            let settled =
                self.ledger.is_settled() && self.markets.is_empty() && !self.ledger.is_in_flight();
            if stopping && taken == 0 && (settled || given_up || late) {
                self.finish();
                return;
            }
            let todo = self.ledger.poll(now.mono_ns, stopping);
            self.run_todo(todo, now);
            self.publish(now);
            if todo == Todo::Wait && taken == 0 {
                std::thread::sleep(Duration::from_nanos(SINK_LOOK_NS));
            }
        }
    }

    fn take_trades(&mut self, now: Now) -> usize {
        let mut taken = 0;
        for (place, receiver) in self.receivers.iter_mut().enumerate() {
            let lost_before = self.ledger.lost();
            for _ in 0..TRADES_PER_LOOK {
                let Some(trade) = receiver.trades.try_receive() else { break };
                taken += 1;
                receiver.trades.note_wait(now.wall_ns.saturating_sub(trade.receive_wall_ns));
                self.board.last_trade_wall_ns.set(trade.receive_wall_ns);
                self.ledger.handle_trade(trade, now.mono_ns);
            }
            let refused = receiver.gauge.refused();
            let before = std::mem::replace(&mut self.refused[place], refused);
            let shard = ShardId(place as u16);
            let no_room = self.ledger.lost() - lost_before;
            for (trades, why) in [
                (refused - before, "the ring of the shard was full"),
                (no_room, "database and journal failed and memory is full"),
            ] {
                if trades > 0 {
                    self.losses.push(Loss { shard, wall_ns: now.wall_ns, trades });
                    warn!("{trades} trades of {shard} are lost: {why}");
                }
            }
        }
        self.board.received.add(taken as u64);
        taken
    }

    fn take_markets(&mut self) -> usize {
        let mut taken = 0;
        for rows in &mut self.market_rows {
            while taken < SINK_MARKETS_MAX
                && let Some(row) = rows.try_receive()
            {
                self.markets.insert(row.market, *row);
                taken += 1;
            }
        }
        taken
    }

    /// The result of the batch in flight, if it arrived; true if it is stored.
    fn take_outcome(&mut self, now: Now) -> Option<bool> {
        let outcome = match self.outcomes.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
        };
        let Outcome { batch: Batch { trades, losses, markets }, result, took_ns } = outcome;
        let from_journal = match std::mem::replace(&mut self.in_flight, InFlight::Nothing) {
            InFlight::Journal => std::mem::take(&mut self.peeked),
            InFlight::Memory | InFlight::Markets | InFlight::Nothing => 0,
        };
        let board = &self.board;
        let stored = match result {
            Ok(rows) => {
                if board.down_since_wall_ns.get() > 0 {
                    info!("the database accepts trades again");
                    board.down_since_wall_ns.set(0);
                    board.set_error("");
                }
                board.batches.add(u64::from(!trades.is_empty()));
                board.markets.add(markets.len() as u64);
                board.inserted.add(rows);
                board.repeated.add(trades.len() as u64 - rows);
                board.last_insert_wall_ns.set(now.wall_ns);
                if !trades.is_empty() {
                    self.times.saturating_record(took_ns / MICROSECOND_NS);
                }
                self.ledger.on_stored(from_journal);
                if from_journal > 0
                    && let Err(error) = self.journal.consume()
                {
                    warn!("{}: cannot be truncated: {error}", self.journal.path().display());
                }
                true
            }
            Err(error) => {
                self.losses.splice(0..0, losses);
                for row in markets {
                    // Markets that changed since are newer.
                    self.markets.entry(row.market).or_insert(row);
                }
                if board.down_since_wall_ns.get() == 0 {
                    warn!("the database stores no trades, they wait: {error}");
                    board.down_since_wall_ns.set(now.wall_ns);
                }
                board.failures.add(1);
                board.set_error(&error.to_string());
                self.ledger.on_failed(now.mono_ns);
                false
            }
        };
        self.spare = trades;
        self.spare.clear();
        Some(stored)
    }

    fn run_todo(&mut self, todo: Todo, now: Now) {
        let mut trades = std::mem::take(&mut self.spare);
        match todo {
            Todo::Wait if !self.markets.is_empty() && self.ledger.has_room(now.mono_ns) => {
                self.ledger.begin_other();
                self.submit(trades, InFlight::Markets);
            }
            Todo::Wait => self.spare = trades,
            Todo::Retry => {
                trades.extend_from_slice(self.ledger.retry_batch());
                self.submit(trades, InFlight::Memory);
            }
            Todo::StoreMemory => {
                trades.extend_from_slice(self.ledger.begin_memory());
                self.submit(trades, InFlight::Memory);
            }
            Todo::StoreJournal => match self.journal.peek(self.batch_max, &mut trades) {
                Ok(()) => {
                    self.peeked = (trades.len() as u64).min(self.ledger.journaled());
                    self.ledger.begin_journal();
                    self.submit(trades, InFlight::Journal);
                }
                Err(error) => {
                    let path = self.journal.path().display();
                    error!("{path}: cannot be read: {error}; the next run stores its trades");
                    self.ledger.on_journal_unreadable();
                }
            },
            Todo::Spill => {
                self.spare = trades;
                self.spill(now);
            }
        }
    }

    fn submit(&mut self, trades: Vec<TradeRecord>, what: InFlight) {
        self.in_flight = what;
        let mut markets = Vec::new();
        while markets.len() < SINK_MARKETS_MAX
            && let Some((_, row)) = self.markets.pop_first()
        {
            markets.push(row);
        }
        let batch = Batch { trades, losses: std::mem::take(&mut self.losses), markets };
        // One batch is in flight at a time, so there is room; if the thread ended, the drain ends by its deadline.
        if let Some(batches) = &self.batches
            && batches.try_send(batch).is_err()
        {
            error!("the thread trade-store has ended");
        }
    }

    /// Checks that the journal was not deleted or truncated externally.
    fn check_journal(&mut self) {
        let path = self.journal.path().display().to_string();
        match self.journal.check() {
            Ok(None) => {}
            Ok(Some(left)) => {
                let in_flight = if self.in_flight == InFlight::Journal { self.peeked } else { 0 };
                let lost = self.ledger.on_journal_cut(left.max(in_flight));
                let line = format!("{path}: truncated by another program; {lost} trades are lost");
                error!("{line}");
                self.board.set_error(&line);
            }
            Err(error) => {
                let line = format!("{path}: deleted by another program: {error}");
                warn!("{line}; retrying");
                self.board.set_error(&line);
            }
        }
    }

    fn spill(&mut self, now: Now) {
        self.check_journal();
        let count = self.ledger.spill().count() as u64;
        match self.journal.append(self.ledger.spill()) {
            Ok(()) => {
                self.board.spilled.add(count);
                self.ledger.on_spilled();
            }
            Err(error) => {
                let line = format!("journal {}: {error}", self.journal.path().display());
                warn!("{line}; {count} trades wait in memory");
                self.board.set_error(&line);
                self.ledger.on_spill_failed(now.mono_ns);
            }
        }
    }

    /// Publishes the figures; the expensive ones once a second.
    fn publish(&mut self, now: Now) {
        self.publish_counts();
        if now.mono_ns >= self.published_ns + SECOND_NS {
            self.published_ns = now.mono_ns;
            self.publish_times();
            if self.ledger.journaled() > 0 {
                self.check_journal();
            }
        }
    }

    fn publish_counts(&self) {
        let board = &self.board;
        board.queued.set(self.ledger.waiting());
        board.journaled.set(self.ledger.journaled());
        board.lost.set(self.ledger.lost() + self.refused.iter().sum::<u64>());
    }

    fn publish_times(&self) {
        let Self { board, times, .. } = self;
        board.batch_p50_us.set(times.value_at_quantile(0.5));
        board.batch_p99_us.set(times.value_at_quantile(0.99));
        board.batch_max_us.set(times.max());
    }

    /// At the end: writes to the journal what the database did not store.
    fn finish(&mut self) {
        self.batches = None;
        self.check_journal();
        let batch = self.ledger.failed_batch();
        let waits: Vec<&TradeRecord> = batch.iter().chain(self.ledger.spill()).collect();
        let count = waits.len() as u64;
        if count > 0 {
            match self.journal.append(waits) {
                Ok(()) => {
                    self.board.spilled.add(count);
                    self.ledger.on_batch_journaled();
                    self.ledger.on_spilled();
                }
                Err(error) => {
                    let path = self.journal.path().display();
                    error!("{path}: {error}; {count} trades are lost");
                    self.ledger.on_all_lost();
                }
            }
        }
        let now = self.clock.now();
        self.publish(now);
        self.publish_times();
    }
}

#[cfg(test)]
mod tests;

//! The two threads that keep trades: one gathers and never waits for the database, one holds it.
//!
//! Runs on:  the threads `trades` and `trade-store`, not pinned. Owns: ledger, journal, database.
//! Bounds:   `TRADES_PER_LOOK` trades of a ring at a time; one batch under way.
use super::journal::{Found, Journal};
use super::ledger::{Batching, Ledger, Todo};
use super::store::{Batch, Loss, Store, StoreAddress, StoreError};
use crate::base::id::{MarketId, ShardId, Venue};
use crate::base::limits::{
    SINK_DRAIN_NS, SINK_END_NS, SINK_LOOK_NS, SINK_MARKETS_MAX, TRADES_PER_LOOK,
};
use crate::base::time::{Clock as _, MICROSECOND_NS, Now, SECOND_NS};
use crate::counter::trades::{TradeBoard, TradeReport};
use crate::io::{
    clock::HostClock,
    executor::no_thread,
    threads::{ends_within, stand_back},
};
use crate::link::control_sink::MarketRow;
use crate::link::shard_trade::{TradeRecord, TradeSpring};
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

/// Times of batches beyond this count as this, microseconds.
const BATCH_US_MAX: u64 = 600_000_000;

/// Where trades go and how.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Whose markets are remembered at the start.
    pub venues: Vec<Venue>,
    /// The database.
    pub address: StoreAddress,
    /// The file in which trades wait while it is away.
    pub journal: PathBuf,
    /// How they are gathered.
    pub batching: Batching,
}

/// What became of it.
struct Outcome {
    batch: Batch,
    result: Result<u64, StoreError>,
    took_ns: u64,
}

/// What a batch that is under way consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
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

/// The markets that a database knows as open, by venue.
fn known(
    store: &mut dyn Store,
    venues: &[Venue],
    wall_ns: u64,
) -> Result<Vec<(Venue, Vec<MarketInfo>)>, StoreError> {
    let of = |&venue: &Venue| Ok((venue, store.open_markets(venue, wall_ns)?));
    venues.iter().map(of).collect()
}

/// Opens the journal and says what an earlier run has left there.
fn open_journal(options: &SinkOptions) -> Result<(Journal, Found), String> {
    let (journal, found) = Journal::open(&options.journal)
        .map_err(|error| format!("journal {}: {error}", options.journal.display()))?;
    let earlier = options.address.earlier_journal().filter(|path| *path != options.journal);
    if let Some(path) = earlier
        && std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0)
    {
        warn!(
            "{0} holds trades of an earlier version; a run with --trades-journal {0} stores them",
            path.display()
        );
    }
    if found.trades > 0 {
        info!("{} trades of an earlier run wait in {}", found.trades, journal.path().display());
    }
    if found.torn > 0 {
        warn!("{}: {} lines are torn and passed over", journal.path().display(), found.torn);
    }
    Ok((journal, found))
}

impl TradeSink {
    /// Opens journal and database and starts the threads.
    ///
    /// # Errors
    /// One line: the file of either cannot be used, or there is no thread left.
    pub fn start(
        options: &SinkOptions,
        springs: Vec<TradeSpring>,
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
            Err(error) if error.away => {
                warn!("{shown} is away, trades wait for it: {error}");
                down = Some(error);
                (None, Vec::new())
            }
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        let path = journal.path().display().to_string();
        let board = Arc::new(TradeBoard::new(shown, path, clock.now().wall_ns));
        board.received.set(found.trades);
        board.journaled.set(found.trades);
        if let Some(error) = down {
            board.down_since_wall_ns.set(clock.now().wall_ns);
            board.complain(&error.words);
        }
        let (errands, errand_receiver) = sync_channel(1);
        let (outcome_sender, outcomes) = sync_channel(1);
        let writer = Writer {
            address: options.address.clone(),
            store,
            errands: errand_receiver,
            outcomes: outcome_sender,
            clock: clock.clone(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let no_thread = |error: std::io::Error| no_thread("trades", &error).to_string();
        thread("trade-store").spawn(move || writer.run()).map_err(no_thread)?;
        let refused = vec![0; springs.len()];
        let gatherer = Gatherer {
            springs,
            market_rows: markets,
            markets: BTreeMap::new(),
            refused,
            losses: Vec::new(),
            ledger: Ledger::new(options.batching, found.trades),
            journal,
            under_way: UnderWay::Nothing,
            peeked: 0,
            spare: Vec::new(),
            batch_max: options.batching.trades_max,
            errands: Some(errands),
            outcomes,
            times: Histogram::new_with_max(BATCH_US_MAX, 2)
                .map_err(|error| format!("histogram: {error}"))?,
            told_ns: 0,
            board: Arc::clone(&board),
            stop: Arc::clone(&stop),
            clock,
        };
        let gatherer = thread("trades").spawn(move || gatherer.run()).map_err(no_thread)?;
        Ok(Self { stop, board, known, gatherer })
    }

    /// The figures, for whoever reports them.
    #[must_use]
    pub fn board(&self) -> Arc<TradeBoard> {
        Arc::clone(&self.board)
    }

    /// The markets that the database knows as open: they can be followed before the catalogue has answered.
    pub fn take_known(&mut self, venue: Venue) -> Vec<MarketInfo> {
        let found = self.known.iter_mut().find(|(known, _)| *known == venue);
        found.map(|(_, markets)| std::mem::take(markets)).unwrap_or_default()
    }

    /// Empties the rings, stores what waits, writes the rest into the journal; at most `SINK_DRAIN_NS`
    /// and a moment. Call it when the shards have ended.
    #[must_use]
    pub fn stop(self) -> TradeReport {
        self.stop.store(true, Ordering::Release);
        if !ends_within(self.gatherer, SINK_DRAIN_NS + SINK_END_NS) {
            error!("the trade sink did not end in time");
        }
        self.board.read()
    }
}

/// The thread that holds the database.
struct Writer {
    address: StoreAddress,
    store: Option<Box<dyn Store>>,
    errands: Receiver<Batch>,
    outcomes: SyncSender<Outcome>,
    clock: HostClock,
}

impl Writer {
    fn run(mut self) {
        stand_back();
        while let Ok(batch) = self.errands.recv() {
            let begun_ns = self.clock.mono_ns();
            let result = self.carry_out(&batch);
            if result.is_err() {
                // Whatever it was: a fresh one begins with a clean slate.
                self.store = None;
            }
            let took_ns = self.clock.mono_ns() - begun_ns;
            if self.outcomes.send(Outcome { batch, result, took_ns }).is_err() {
                return;
            }
        }
    }

    fn carry_out(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            None => self.store.insert(self.address.open()?),
        };
        store.insert(batch)
    }
}

/// The thread that gathers.
struct Gatherer {
    springs: Vec<TradeSpring>,
    /// From the pump of each venue.
    market_rows: Vec<Consumer<Box<MarketRow>>>,
    /// Markets that the database does not know as they are; told again at the next start if it never does.
    markets: BTreeMap<MarketId, MarketRow>,
    /// Trades that each ring had refused at the last look.
    refused: Vec<u64>,
    /// Losses that the database does not know of.
    losses: Vec<Loss>,
    ledger: Ledger,
    journal: Journal,
    under_way: UnderWay,
    /// Trades peeked at in the journal.
    peeked: u64,
    spare: Vec<TradeRecord>,
    batch_max: usize,
    errands: Option<SyncSender<Batch>>,
    outcomes: Receiver<Outcome>,
    times: Histogram<u64>,
    told_ns: u64,
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
                self.ledger.hurry();
            }
            let taken = self.take_trades(now) + self.take_markets();
            let answered = self.take_outcome(now);
            // What the database refuses now it will not take within the seconds that are left.
            let given_up = stopping && answered == Some(false);
            let late = stop_ns.is_some_and(|at_ns| now.mono_ns >= at_ns + SINK_DRAIN_NS);
            let settled =
                self.ledger.is_settled() && self.markets.is_empty() && !self.ledger.is_under_way();
            if stopping && taken == 0 && (settled || given_up || late) {
                self.finish();
                return;
            }
            let todo = self.ledger.poll(now.mono_ns, stopping);
            self.act(todo, now);
            self.tell(now);
            if todo == Todo::Wait && taken == 0 {
                std::thread::sleep(Duration::from_nanos(SINK_LOOK_NS));
            }
        }
    }

    fn take_trades(&mut self, now: Now) -> usize {
        let mut taken = 0;
        for (place, spring) in self.springs.iter_mut().enumerate() {
            let lost_before = self.ledger.lost();
            for _ in 0..TRADES_PER_LOOK {
                let Some(trade) = spring.trades.try_receive() else { break };
                taken += 1;
                spring.trades.note_wait(now.wall_ns.saturating_sub(trade.receive_wall_ns));
                self.board.last_trade_wall_ns.set(trade.receive_wall_ns);
                self.ledger.handle_trade(trade, now.mono_ns);
            }
            let refused = spring.gauge.refused();
            let before = std::mem::replace(&mut self.refused[place], refused);
            let shard = ShardId(place as u16);
            let no_room = self.ledger.lost() - lost_before;
            for (trades, why) in [
                (refused - before, "the sink could not keep up"),
                (no_room, "neither database nor journal takes them, and memory is full"),
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

    /// What became of the batch under way; true when it is stored.
    fn take_outcome(&mut self, now: Now) -> Option<bool> {
        let outcome = match self.outcomes.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
        };
        let Outcome { batch: Batch { trades, losses, markets }, result, took_ns } = outcome;
        let from_journal = match std::mem::replace(&mut self.under_way, UnderWay::Nothing) {
            UnderWay::Journal => std::mem::take(&mut self.peeked),
            UnderWay::Memory | UnderWay::Markets | UnderWay::Nothing => 0,
        };
        let board = &self.board;
        let stored = match result {
            Ok(rows) => {
                if board.down_since_wall_ns.get() > 0 {
                    info!("the database takes trades again");
                    board.down_since_wall_ns.set(0);
                    board.complain("");
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
                    warn!("{}: cannot be emptied: {error}", self.journal.path().display());
                }
                true
            }
            Err(error) => {
                self.losses.splice(0..0, losses);
                for row in markets {
                    // What has come meanwhile is newer.
                    self.markets.entry(row.market).or_insert(row);
                }
                if board.down_since_wall_ns.get() == 0 {
                    warn!("the database takes no trades, they wait: {error}");
                    board.down_since_wall_ns.set(now.wall_ns);
                }
                board.failures.add(1);
                board.complain(&error.to_string());
                self.ledger.on_failed(now.mono_ns);
                false
            }
        };
        self.spare = trades;
        self.spare.clear();
        Some(stored)
    }

    fn act(&mut self, todo: Todo, now: Now) {
        let mut trades = std::mem::take(&mut self.spare);
        match todo {
            Todo::Wait if !self.markets.is_empty() && self.ledger.has_room(now.mono_ns) => {
                self.ledger.begin_other();
                self.hand_over(trades, UnderWay::Markets);
            }
            Todo::Wait => self.spare = trades,
            Todo::Retry => {
                trades.extend_from_slice(self.ledger.begin_again());
                self.hand_over(trades, UnderWay::Memory);
            }
            Todo::StoreMemory => {
                trades.extend_from_slice(self.ledger.begin_memory());
                self.hand_over(trades, UnderWay::Memory);
            }
            Todo::StoreJournal => match self.journal.peek(self.batch_max, &mut trades) {
                Ok(()) => {
                    self.peeked = (trades.len() as u64).min(self.ledger.journaled());
                    self.ledger.begin_journal();
                    self.hand_over(trades, UnderWay::Journal);
                }
                Err(error) => {
                    let path = self.journal.path().display();
                    error!(
                        "{path}: cannot be read: {error}; what it holds waits for the next start"
                    );
                    self.ledger.on_journal_unreadable();
                }
            },
            Todo::Spill => {
                self.spare = trades;
                self.spill(now);
            }
        }
    }

    fn hand_over(&mut self, trades: Vec<TradeRecord>, what: UnderWay) {
        self.under_way = what;
        let mut markets = Vec::new();
        while markets.len() < SINK_MARKETS_MAX
            && let Some((_, row)) = self.markets.pop_first()
        {
            markets.push(row);
        }
        let errand = Batch { trades, losses: std::mem::take(&mut self.losses), markets };
        // One is under way at a time, so there is room; without the thread the drain ends by its deadline.
        if let Some(errands) = &self.errands
            && errands.try_send(errand).is_err()
        {
            error!("the thread of the database is gone");
        }
    }

    /// Looks whether the journal is still what was written.
    fn check_journal(&mut self) {
        let path = self.journal.path().display().to_string();
        match self.journal.check() {
            Ok(None) => {}
            Ok(Some(left)) => {
                let under_way = if self.under_way == UnderWay::Journal { self.peeked } else { 0 };
                let lost = self.ledger.on_journal_cut(left.max(under_way));
                let line = format!("{path}: was cut by somebody else; {lost} trades are lost");
                error!("{line}");
                self.board.complain(&line);
            }
            Err(error) => {
                let line = format!("{path}: was deleted by somebody else: {error}");
                warn!("{line}; it is tried again");
                self.board.complain(&line);
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
                self.board.complain(&line);
                self.ledger.on_spill_failed(now.mono_ns);
            }
        }
    }

    /// Brings the figures up to date; the costly ones once a second.
    fn tell(&mut self, now: Now) {
        self.tell_counts();
        if now.mono_ns >= self.told_ns + SECOND_NS {
            self.told_ns = now.mono_ns;
            self.tell_times();
            if self.ledger.journaled() > 0 {
                self.check_journal();
            }
        }
    }

    fn tell_counts(&self) {
        let board = &self.board;
        board.queued.set(self.ledger.waiting());
        board.journaled.set(self.ledger.journaled());
        board.lost.set(self.ledger.lost() + self.refused.iter().sum::<u64>());
    }

    fn tell_times(&self) {
        let Self { board, times, .. } = self;
        board.batch_p50_us.set(times.value_at_quantile(0.5));
        board.batch_p99_us.set(times.value_at_quantile(0.99));
        board.batch_max_us.set(times.max());
    }

    /// The last of it: what the database did not take goes into the journal.
    fn finish(&mut self) {
        self.errands = None;
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
        self.tell(now);
        self.tell_times();
    }
}

#[cfg(test)]
mod tests;

//! The engine and the numbered venue on one thread, in virtual time, from one seed.
//!
//! Runs on:  the simulation's thread.
use super::fault::{Fault, Faults};
use super::rig::{Rig, Telling, build};
use super::venue::{Time, Venue};
use crate::wire::Switchboard;
use ringbook::base::random::Random;
use ringbook::base::time::{MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::io_request::{Fetched, IoRequest};
use ringbook::counter::report::EngineReport;
use ringbook::link::main_control::ControlEvent;
use ringbook::venue::Feed;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

/// The venue's clock begins here, nanoseconds since the Unix epoch.
const EPOCH_NS: u64 = 1_790_000_000 * SECOND_NS;
/// Faults happen for so long; of one seed in four for longer than a scan of the catalog is away from the next.
const FAULTS_NS: u64 = 45 * SECOND_NS;
const LONG_FAULTS_NS: u64 = 100 * SECOND_NS;
/// Trading goes on for so long after the last fault.
const TRADES_ON_NS: u64 = 30 * SECOND_NS;
/// Everything is right after so long without faults: the longest silence that is waited for (120 s), two tries of
/// a command, a backoff (60 s), a scan (60 s), a round of audits.
pub(crate) const QUIET_MAX_NS: u64 = 420 * SECOND_NS;
pub(crate) const FEED: Feed = ringbook::venue::kalshi::feed(false);

/// What comes back from the network, and when.
enum Home {
    Fetched(Fetched),
    Status(Fetched),
    /// To be answered by the venue at that time; the answer takes as long again.
    AskBooks(usize, String, u64),
    Books(usize, Fetched),
}

/// What was looked at, over all seeds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) updates: u64,
    /// Live books that were compared level by level, and those that could not be.
    pub(crate) checked: u64,
    pub(crate) wronged: u64,
    pub(crate) trades: u64,
    /// Trades that no connection has brought.
    pub(crate) trades_unheard: u64,
    /// Trades whose market had no book.
    pub(crate) trades_bookless: u64,
    pub(crate) holes: u64,
    pub(crate) tops: u64,
    pub(crate) audits: u64,
    /// The longest until all was right, from the last fault on.
    pub(crate) settled_ns: u64,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(super) random: Random,
    pub(super) clock: Rc<Cell<Now>>,
    pub(super) venue: Venue,
    pub(super) rig: Rig,
    homeward: Vec<(u64, Home)>,
    control_due_ns: u64,
    /// The faults that are switched on.
    possible: String,
    pub(super) may_wrong: bool,
    log: VecDeque<String>,
    /// Trades that were not told yet, as far as all were looked at.
    open_trades: Vec<usize>,
    trades_looked_at: usize,
    /// Trades whose market had no book when they were due, and since when one with a book is missing.
    bookless: BTreeSet<usize>,
    missed: BTreeMap<usize, u64>,
    pub(crate) seen: Seen,
}

fn failed(status: u16) -> Fetched {
    // The venue names no pause.
    Fetched::Response {
        status,
        retry_after_s: None,
        body: br#"{"error":"too many requests"}"#.into(),
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::choose(&mut random);
        let (possible, may_wrong) = (faults.names(), faults.possible(Fault::Silent));
        let board = Switchboard::default();
        let begin = Now { mono_ns: SECOND_NS, wall_ns: EPOCH_NS + SECOND_NS };
        let clock = Rc::new(Cell::new(begin));
        let time = Time { ns: begin.mono_ns, ms: begin.wall_ns / MILLISECOND_NS };
        let venue = Venue::new(board.clone(), time, faults, &mut random);
        let rig = build(board, &clock, venue.markets_max, seed, &mut random);
        Self {
            seed,
            random,
            clock,
            venue,
            rig,
            homeward: Vec::new(),
            control_due_ns: 0,
            possible,
            may_wrong,
            log: VecDeque::new(),
            open_trades: Vec::new(),
            trades_looked_at: 0,
            bookless: BTreeSet::new(),
            missed: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Runs to the end, or to the first breach.
    pub(crate) fn run(&mut self) -> Result<BTreeMap<Fault, u64>, String> {
        let begun_ns = self.now_ns();
        let faults_ns = if self.seed % 4 == 3 { LONG_FAULTS_NS } else { FAULTS_NS };
        while self.now_ns() < begun_ns + faults_ns {
            let passed_ns = (1 + self.random.below(40)) * MILLISECOND_NS;
            self.host_faults();
            self.step(passed_ns, 6)?;
        }
        self.venue.calm_down();
        self.note("no more faults");
        let quiet_ns = self.now_ns();
        loop {
            let passed_ns = (1 + self.random.below(80)) * MILLISECOND_NS;
            let trades = self.now_ns() < quiet_ns + TRADES_ON_NS;
            self.step(passed_ns, if trades { 6 } else { 0 })?;
            if trades || !self.random.chance(1, 20) {
                continue;
            }
            match self.unsettled() {
                None => break,
                Some(why) if self.now_ns() > quiet_ns + QUIET_MAX_NS => {
                    return Err(self.breach(&format!(
                        "not right {QUIET_MAX_NS} ns after the last fault: {why}"
                    )));
                }
                Some(_) => {}
            }
        }
        self.seen.settled_ns = self.now_ns() - quiet_ns;
        for _ in 0..50 {
            self.step(40 * MILLISECOND_NS, 0)?;
        }
        self.check_trades(true)?;
        self.seen.holes = self.venue.lines.iter().map(|line| line.reading.holes).sum();
        Ok(self.venue.faults.injected.clone())
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clock.get().mono_ns
    }

    /// The venue's own clock never steps.
    pub(super) fn time(&self) -> Time {
        let ns = self.now_ns();
        Time { ns, ms: (EPOCH_NS + ns) / MILLISECOND_NS }
    }

    fn note(&mut self, line: &str) {
        if self.log.len() == 60 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>9.3} {line}", self.now_ns() as f64 / 1e9));
    }

    pub(super) fn breach(&self, why: &str) -> String {
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        format!(
            "{why}\nfaults: {}\nSEED={}: SIMULATION_SEED={} SIMULATION_SEEDS=1 cargo test --release --test simulation -- --ignored numbered_long\n{}",
            self.possible,
            self.seed,
            self.seed,
            log.join("\n")
        )
    }

    /// Faults of the host, and lives that come at bad moments.
    fn host_faults(&mut self) {
        let now = self.time();
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        if faults.strikes(Fault::ClockStep, random) {
            let mut host = self.clock.get();
            let step_ns = random.below(10 * SECOND_NS);
            host.wall_ns = host.wall_ns + step_ns - 5 * SECOND_NS;
            self.clock.set(host);
        }
        if faults.strikes(Fault::ControlPause, random) {
            self.control_due_ns = now.ns + random.below(2_000) * MILLISECOND_NS;
        }
        if faults.strikes(Fault::ShardPause, random) {
            let place = random.below(self.rig.shards.len() as u64) as usize;
            let until_ns = now.ns + random.below(1_500) * MILLISECOND_NS;
            self.rig.shards[place].paused_until_ns = until_ns;
        }
        if faults.strikes(Fault::Births, random) {
            self.venue.bear(now, &mut self.random);
        }
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        if faults.strikes(Fault::Deaths, random) {
            self.venue.decide(now, &mut self.random);
        }
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        if faults.strikes(Fault::Words, random) {
            self.venue.say_something(now, &mut self.random);
        }
    }

    fn step(&mut self, passed_ns: u64, busy: u64) -> Result<(), String> {
        let mut now = self.clock.get();
        now.mono_ns += passed_ns;
        now.wall_ns += passed_ns;
        self.clock.set(now);
        self.venue.faults.struck.clear();
        let time = self.time();
        self.venue.wall_ms = now.wall_ns / MILLISECOND_NS;
        self.venue.step(time, busy, &mut self.random);
        for fault in std::mem::take(&mut self.venue.faults.struck) {
            self.note(&format!("{fault:?}"));
        }
        self.bring_home();
        if self.random.chance(1, 2) {
            self.step_control();
            self.step_shards();
        } else {
            self.step_shards();
            self.step_control();
        }
        self.venue.read(time);
        let told = self.rig.take_trades(&self.venue.trades);
        told.map_err(|why| self.breach(&why))?;
        while let Some(news) = self.rig.news.try_receive() {
            if let ControlEvent::Report(report) = news {
                self.check_report(&report)?;
            }
        }
        if self.random.chance(1, 8) {
            self.check_books()?;
        }
        if self.random.chance(1, 25) {
            self.check_registry()?;
            self.check_trades(false)?;
        }
        match self.venue.violations.first() {
            Some(violation) => Err(self.breach(violation)),
            None => Ok(()),
        }
    }

    /// The best prices that the venue tells, and its snapshots, never speak against a book: each is right.
    fn check_report(&mut self, report: &EngineReport) -> Result<(), String> {
        let checks = &report.correctness.checks;
        let repairs = &report.correctness.repairs;
        self.seen.tops = checks.tops_matched;
        self.seen.audits = repairs.audits_matched;
        if !self.may_wrong && checks.tops_mismatched > 0 {
            return Err(self.breach("the venue's best prices seemed to disprove a right book"));
        }
        if !self.may_wrong && repairs.audits_mismatched > 0 {
            return Err(self.breach("a snapshot of a live book said something else"));
        }
        Ok(())
    }

    fn step_control(&mut self) {
        let now = self.clock.get();
        if now.mono_ns < self.control_due_ns {
            return;
        }
        if let Some(rest_ns) = self.rig.control.step(now) {
            self.control_due_ns = now.mono_ns + rest_ns;
        }
        while let Some((_, io_request)) = self.rig.control.poll_io_request() {
            self.run_io_request(io_request, now);
        }
    }

    fn run_io_request(&mut self, io_request: IoRequest, now: Now) {
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        let slow = faults.strikes(Fault::CatalogSlow, random);
        let due_ns =
            now.mono_ns + (5 + random.below(if slow { 8_000 } else { 100 })) * MILLISECOND_NS;
        match io_request {
            IoRequest::Status(path) => {
                let fetched = self.fetch(path);
                self.homeward.push((due_ns, Home::Status(fetched)));
            }
            IoRequest::Fetch(path) => {
                let fetched = self.fetch(&path);
                self.homeward.push((due_ns, Home::Fetched(fetched)));
            }
            IoRequest::Resolve(connection) => {
                // Its port tells the venue which connection it is.
                let port = connection.0 as u16;
                let address: SocketAddr = ([127, 0, 0, 1], port).into();
                self.rig.control.venue_mut(0).on_resolved(connection, Ok(vec![address]), now);
            }
            IoRequest::Books(request) => {
                let path = FEED.books_request(&request.tokens).path;
                let way_ns = (10 + random.below(200)) * MILLISECOND_NS;
                let ask = Home::AskBooks(request.shard, path, way_ns);
                self.homeward.push((now.mono_ns + way_ns, ask));
            }
        }
    }

    fn fetch(&mut self, path: &str) -> Fetched {
        if !self.venue.faults.strikes(Fault::CatalogDown, &mut self.random) {
            let body = self.venue.answer(path).into_bytes();
            return Fetched::Response { status: 200, retry_after_s: None, body };
        }
        match self.random.below(4) {
            0 => Fetched::Failed("refused".into()),
            1 => failed(429),
            2 => failed(503),
            _ => Fetched::Response { status: 200, retry_after_s: None, body: b"{".to_vec() },
        }
    }

    fn bring_home(&mut self) {
        let now = self.clock.get();
        let all = std::mem::take(&mut self.homeward);
        let (due, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(at, _)| *at <= now.mono_ns);
        self.homeward = later;
        for (_, home) in due {
            match home {
                Home::Fetched(fetched) => self.rig.control.venue_mut(0).on_fetched(fetched, now),
                Home::Status(fetched) => self.rig.control.venue_mut(0).on_status(fetched, now),
                Home::Books(shard, fetched) => {
                    self.rig.control.venue_mut(0).on_books(shard, fetched, now)
                }
                Home::AskBooks(shard, path, way_ns) => {
                    let fetched = if self.venue.faults.strikes(Fault::BooksDown, &mut self.random) {
                        failed(429)
                    } else {
                        let body = self.venue.books(&path, &mut self.random).into_bytes();
                        Fetched::Response { status: 200, retry_after_s: None, body }
                    };
                    self.homeward.push((now.mono_ns + way_ns, Home::Books(shard, fetched)));
                }
            }
        }
    }

    fn step_shards(&mut self) {
        let now_ns = self.now_ns();
        for rig in &mut self.rig.shards {
            if now_ns >= rig.paused_until_ns {
                for _ in 0..1 + self.random.below(4) {
                    rig.shard.step(0);
                }
            }
        }
    }

    /// Every trade of a market with a book that a connection has brought was reported, once, as it was; those of the
    /// last seconds may be on their way between shards. Of a market without a book none is.
    pub(super) fn check_trades(&mut self, last: bool) -> Result<(), String> {
        let now_ns = self.now_ns();
        let timeout_ns = if last { 0 } else { 5 * SECOND_NS };
        let paused = self.rig.shards.iter().any(|rig| now_ns < rig.paused_until_ns);
        let mut due = Vec::new();
        self.open_trades.extend(self.trades_looked_at..self.venue.trades.len());
        self.trades_looked_at = self.venue.trades.len();
        // One that was told once is right for good: `take_trades` refuses a second time.
        let told = &self.rig.told;
        self.open_trades.retain(|&id| told.get(&(id as u64)) != Some(&Telling { kept: 1 }));
        for &id in &self.open_trades {
            let trade = &self.venue.trades[id];
            if trade.read_ns.is_none_or(|at_ns| at_ns + timeout_ns > now_ns) {
                continue;
            }
            match self.rig.told.get(&(id as u64)) {
                None => due.push(id),
                told => {
                    let why = format!("the trade {id} {trade:?} was told as {told:?}");
                    return Err(self.breach(&why));
                }
            }
        }
        due.retain(|id| !self.bookless.contains(id));
        for id in due {
            if paused && !last {
                break;
            }
            let trade = self.venue.trades[id].clone();
            let image = self.rig.image(&trade.ticker, now_ns).map_err(|why| self.breach(&why))?;
            if image.is_none() {
                self.bookless.insert(id);
            } else if now_ns >= *self.missed.entry(id).or_insert(now_ns) + timeout_ns {
                return Err(self.breach(&format!("the trade {id} {trade:?} was not told")));
            }
        }
        if last {
            self.seen.trades = self.rig.told.len() as u64;
            self.seen.trades_bookless = self.bookless.len() as u64;
            let unheard = self.venue.trades.iter().filter(|trade| trade.read_ns.is_none());
            self.seen.trades_unheard = unheard.count() as u64;
            self.seen.updates = self.rig.updates.get();
        }
        Ok(())
    }
}

//! The engine and the numbered venue on one thread, in virtual time, from one seed.
//!
//! Runs on:  the simulation's thread.
use super::fault::{self, Fault};
use super::rest::asks_for_paused;
use super::rig::{Listener, Outputs, build};
use super::venue::{Time, Venue};
use crate::frame::{self, Arrival, Frame, VirtualClock, answered, refused};
use crate::wire::Switchboard;
use crate::world::CAPTURE_CHUNKS;
use ringbook::base::id::ShardId;
use ringbook::base::random::Random;
use ringbook::base::time::{Clock as _, MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::io_request::{Fetched, IoRequest};
use ringbook::counter::report::EngineReport;
use ringbook::link::main_control::ControlEvent;
use ringbook::link::shard_capture::{CaptureReceiver, capture_link};
use ringbook::venue::Feed;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The venue's clock begins here, nanoseconds since the Unix epoch.
const EPOCH_NS: u64 = 1_790_000_000 * SECOND_NS;
/// Of one seed in four faults happen for longer than a scan of the catalog is away from the next.
const LONG_FAULTS_NS: u64 = 100 * SECOND_NS;
/// Sets apart the draws for the scan's paused markets, so that the others are those of the seed.
const PAUSED_SEED: u64 = 0x7061_7573_6564;
pub(crate) const FEED: Feed = ringbook::venue::kalshi::feed(false);

/// What was looked at, over all seeds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) updates: u64,
    /// Live books that were compared level by level, and those that could not be.
    pub(crate) checked: u64,
    pub(crate) wronged: u64,
    pub(crate) trades: u64,
    /// Trades that no connection delivered.
    pub(crate) trades_undelivered: u64,
    /// Trades whose market had no book.
    pub(crate) trades_bookless: u64,
    pub(crate) holes: u64,
    pub(crate) tops: u64,
    pub(crate) audits: u64,
    /// The longest until all was right, from the last fault on.
    pub(crate) settled_ns: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.updates += other.updates;
        self.checked += other.checked;
        self.wronged += other.wronged;
        self.trades += other.trades;
        self.trades_undelivered += other.trades_undelivered;
        self.trades_bookless += other.trades_bookless;
        self.holes += other.holes;
        self.tops += other.tops;
        self.audits += other.audits;
        self.settled_ns = self.settled_ns.max(other.settled_ns);
    }
}

pub(crate) struct World {
    pub(super) frame: Frame<Listener, String>,
    pub(super) venue: Venue,
    pub(super) outputs: Outputs,
    pub(super) may_wrong: bool,
    /// Draws of requests for paused markets.
    paused_random: Random,
    /// Trades that were not reported yet, as far as all were looked at.
    open_trades: Vec<usize>,
    trades_looked_at: usize,
    /// Trades whose market had no book when they were due, and since when one with a book is missing.
    bookless: BTreeSet<usize>,
    missed: BTreeMap<usize, u64>,
    pub(crate) seen: Seen,
}

fn too_many(status: u16) -> Fetched {
    // The venue names no pause.
    refused(status, None, br#"{"error":"too many requests"}"#)
}

impl World {
    /// A run whose shards are captured.
    pub(crate) fn captured(seed: u64) -> (Self, Vec<CaptureReceiver>) {
        let mut world = <Self as frame::World>::new(seed);
        let rigs = std::mem::take(&mut world.frame.shards);
        let shards = rigs.len() as u16;
        let mut receivers = Vec::new();
        let captured = (0..).zip(rigs).map(|(place, rig)| {
            let (sender, receiver) = capture_link(ShardId(place), CAPTURE_CHUNKS);
            receivers.push(receiver);
            rig.with(|shard| shard.with_capture(sender, shards))
        });
        world.frame.shards = captured.collect();
        (world, receivers)
    }

    /// Whether the host's clock is never set.
    pub(crate) fn has_steady_time(&self) -> bool {
        !self.venue.faults.possible(Fault::ClockStep)
    }

    /// The venue's own clock never steps.
    pub(super) fn time(&self) -> Time {
        let ns = self.frame.now_ns();
        Time { ns, ms: (EPOCH_NS + ns) / MILLISECOND_NS }
    }

    /// The best prices that the venue reports, and its snapshots, never contradict a book: each is right.
    fn check_report(&mut self, report: &EngineReport) -> Result<(), String> {
        let checks = &report.correctness.checks;
        let repairs = &report.correctness.repairs;
        self.seen.tops = checks.tops_matched;
        self.seen.audits = repairs.audits_matched;
        if !self.may_wrong && checks.tops_mismatched > 0 {
            return Err(self
                .frame
                .breach("the venue's best prices seemed to disprove a right book"));
        }
        if !self.may_wrong && repairs.audits_mismatched > 0 {
            return Err(self.frame.breach("a snapshot of a live book had other levels"));
        }
        Ok(())
    }

    fn step_control(&mut self) {
        let now = self.frame.clock.now();
        if self.frame.step_control() {
            while let Some((_, io_request)) = self.frame.control.poll_io_request() {
                self.run_io_request(io_request, now);
            }
        }
    }

    fn run_io_request(&mut self, io_request: IoRequest, now: Now) {
        let random = match &io_request {
            IoRequest::Fetch(path) if asks_for_paused(path) => &mut self.paused_random,
            _ => &mut self.frame.random,
        };
        let faults = &mut self.venue.faults;
        let slow = faults.strikes(Fault::CatalogSlow, random);
        let delay_ns = (5 + random.below(if slow { 8_000 } else { 100 })) * MILLISECOND_NS;
        match io_request {
            IoRequest::Status(path) => {
                let fetched = self.fetch(path);
                self.frame.arrive(delay_ns, Arrival::Status(fetched));
            }
            IoRequest::Fetch(path) => {
                let fetched = self.fetch(&path);
                self.frame.arrive(delay_ns, Arrival::Fetched(fetched));
            }
            IoRequest::Resolve(connection) => {
                // The venue identifies a connection by its port.
                let address: SocketAddr = ([127, 0, 0, 1], connection.0 as u16).into();
                let controller = self.frame.control.venue_mut(0);
                controller.on_resolved(connection, Ok(vec![address]), now);
            }
            IoRequest::Books(request) => {
                let path = FEED.books_request(&request.tokens).path;
                self.frame.ask_books(request.shard, request.question, path);
            }
        }
    }

    fn fetch(&mut self, path: &str) -> Fetched {
        let random = match asks_for_paused(path) {
            true => &mut self.paused_random,
            false => &mut self.frame.random,
        };
        if !self.venue.faults.strikes(Fault::CatalogDown, random) {
            return answered(self.venue.answer(path));
        }
        match random.below(4) {
            0 => Fetched::Failed("refused".into()),
            1 => too_many(429),
            2 => too_many(503),
            _ => refused(200, None, b"{"),
        }
    }

    fn deliver(&mut self) {
        let venue = &mut self.venue;
        self.frame.deliver(|random, path, _| {
            if venue.faults.strikes(Fault::BooksDown, random) {
                return too_many(429);
            }
            answered(venue.books(&path, random))
        });
    }

    /// Every trade of a market with a book that a connection has brought was reported, once, as it was; those of the
    /// last seconds may be on their way between shards. Of a market without a book none is.
    pub(super) fn check_trades(&mut self, last: bool) -> Result<(), String> {
        let now_ns = self.frame.now_ns();
        let timeout_ns = if last { 0 } else { 5 * SECOND_NS };
        let paused = self.frame.shards.iter().any(|rig| now_ns < rig.paused_until_ns);
        let mut due = Vec::new();
        self.open_trades.extend(self.trades_looked_at..self.venue.trades.len());
        self.trades_looked_at = self.venue.trades.len();
        // One that was reported once is right for good: `take_trades` refuses a second time.
        let reported = &self.outputs.reported;
        self.open_trades.retain(|&id| reported.get(&(id as u64)) != Some(&1));
        for &id in &self.open_trades {
            let trade = &self.venue.trades[id];
            if trade.read_ns.is_none_or(|at_ns| at_ns + timeout_ns > now_ns) {
                continue;
            }
            match self.outputs.reported.get(&(id as u64)) {
                None => due.push(id),
                reported => {
                    let why = format!("the trade {id} {trade:?} was reported as {reported:?}");
                    return Err(self.frame.breach(&why));
                }
            }
        }
        due.retain(|id| !self.bookless.contains(id));
        for id in due {
            if paused && !last {
                break;
            }
            let trade = self.venue.trades[id].clone();
            let image =
                self.frame.image(&trade.ticker, false).map_err(|why| self.frame.breach(&why))?;
            if image.is_none() {
                self.bookless.insert(id);
            } else if now_ns >= *self.missed.entry(id).or_insert(now_ns) + timeout_ns {
                return Err(self
                    .frame
                    .breach(&format!("the trade {id} {trade:?} was not reported")));
            }
        }
        if last {
            self.seen.trades = self.outputs.reported.len() as u64;
            self.seen.trades_bookless = self.bookless.len() as u64;
            let undelivered = self.venue.trades.iter().filter(|trade| trade.read_ns.is_none());
            self.seen.trades_undelivered = undelivered.count() as u64;
            self.seen.updates = self.outputs.updates.get();
        }
        Ok(())
    }
}

impl frame::World for World {
    type Handler = Listener;
    type Request = String;
    type Fault = Fault;
    const TRADES_ON_NS: u64 = 30 * SECOND_NS;

    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut other = Random::new(seed ^ 0xad);
        let faults = fault::choose(&mut random, &mut other);
        let (possible, may_wrong) = (faults.names(), faults.possible(Fault::Silent));
        let board = Switchboard::default();
        let clock = VirtualClock::starting(EPOCH_NS);
        let begin = clock.now();
        let time = Time { ns: begin.mono_ns, ms: begin.wall_ns / MILLISECOND_NS };
        let venue = Venue::new(board.clone(), time, faults, other, &mut random);
        let (frame, outputs) = build(board, clock, venue.markets_max, seed, random, possible);
        Self {
            frame,
            venue,
            outputs,
            may_wrong,
            paused_random: Random::new(seed ^ PAUSED_SEED),
            open_trades: Vec::new(),
            trades_looked_at: 0,
            bookless: BTreeSet::new(),
            missed: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    fn frame(&mut self) -> &mut Frame<Listener, String> {
        &mut self.frame
    }

    fn faults_ns(&self) -> u64 {
        if self.frame.seed % 4 == 3 { LONG_FAULTS_NS } else { frame::FAULTS_NS }
    }

    fn host_faults(&mut self) {
        let now = self.time();
        let host = [Fault::ClockStep, Fault::ControlPause, Fault::ShardPause];
        self.frame.host_faults(&mut self.venue.faults, host);
        let (faults, random) = (&mut self.venue.faults, &mut self.frame.random);
        if faults.strikes(Fault::Births, random) {
            self.venue.bear(now, &mut self.frame.random);
        }
        let (faults, random) = (&mut self.venue.faults, &mut self.frame.random);
        if faults.strikes(Fault::Deaths, random) {
            self.venue.decide(now, &mut self.frame.random);
        }
        let (faults, random) = (&mut self.venue.faults, &mut self.frame.random);
        if faults.strikes(Fault::Lifecycle, random) {
            self.venue.say_something(now, &mut self.frame.random);
        }
    }

    fn step(&mut self, passed_ns: u64, busy: u64) -> Result<(), String> {
        let now = self.frame.advance(passed_ns);
        self.venue.faults.struck.clear();
        let time = self.time();
        self.venue.wall_ms = now.wall_ns / MILLISECOND_NS;
        self.venue.step(time, busy, &mut self.frame.random);
        for fault in std::mem::take(&mut self.venue.faults.struck) {
            self.frame.note(&format!("{fault:?}"));
        }
        self.deliver();
        if self.frame.random.chance(1, 2) {
            self.step_control();
            self.frame.step_shards();
        } else {
            self.frame.step_shards();
            self.step_control();
        }
        self.venue.read(time);
        let reported = self.outputs.take_trades(&self.venue.trades);
        reported.map_err(|why| self.frame.breach(&why))?;
        while let Some(event) = self.frame.events.try_receive() {
            if let ControlEvent::Report(report) = event {
                self.check_report(&report)?;
            }
        }
        if self.frame.random.chance(1, 8) {
            self.check_books()?;
        }
        if self.frame.random.chance(1, 25) {
            self.check_registry()?;
            self.check_trades(false)?;
        }
        match self.venue.violations.first() {
            Some(violation) => Err(self.frame.breach(violation)),
            None => Ok(()),
        }
    }

    fn calm_down(&mut self) {
        self.venue.calm_down();
    }

    fn unsettled(&mut self) -> Option<String> {
        self.difference()
    }

    fn finish(&mut self, settled_ns: u64) -> Result<BTreeMap<Fault, u64>, String> {
        self.seen.settled_ns = settled_ns;
        self.check_trades(true)?;
        self.seen.holes = self.venue.lines.iter().map(|line| line.reading.holes).sum();
        Ok(self.venue.faults.injected.clone())
    }
}

//! The engine and the venue on one thread, in virtual time, from one seed.
//!
//! Runs on:  the simulation's thread.
use crate::fault::{self, Fault};
use crate::frame::{
    AUDIT_NS, Arrival, Frame, SHARDS, ShardRig, VirtualClock, World, answered, controller_parts,
    refused,
};
use crate::recorder::{Record, Recorder};
use crate::venue::Venue;
use crate::wire::Switchboard;
use ringbook::base::id::{ConnectionId, ShardId, TokenId};
use ringbook::base::limits;
use ringbook::base::policy::HashChecks;
use ringbook::base::random::Random;
use ringbook::base::time::{Clock as _, MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::controller::Controller;
use ringbook::control::dial::Target;
use ringbook::control::io_request::{Fetched, IoRequest};
use ringbook::control::lifecycle::LifecycleOptions;
use ringbook::link::main_control::{Command, ControlEvent};
use ringbook::link::shard_capture::{CaptureReceiver, CaptureSender, capture_link};
use ringbook::market::book::{BookState, Level, image::BookImage};
use ringbook::shard::ShardConfig;
use ringbook::venue::Feed;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// The venue's clock begins here, nanoseconds since the Unix epoch.
const EPOCH_NS: u64 = 1_780_000_000 * SECOND_NS;
/// After a fault that no connection can notice by itself, a book may be wrong for so long: two rounds
/// of audits, one of which a REST fault may prevent, and a repair.
const HEALS_WITHIN_NS: u64 = 60 * SECOND_NS;
/// A shard reports on a book for so long after the control core has placed it elsewhere: both may be held up.
const PLACED_BEFORE_NS: u64 = 5 * SECOND_NS;
/// With a capture: each live book has an image in it once in so long.
pub(crate) const IMAGE_ROUND_NS: u64 = 4 * SECOND_NS;
/// Chunks of a captured shard: all of a run, so that a slow disk loses nothing.
pub(crate) const CAPTURE_CHUNKS: usize = 4096;

/// Whether small connections are merged. A choice of its own: what the other seeds do stays as it is.
struct Merging {
    /// From which age on, nanoseconds, and into one of how many tokens.
    merges: Option<(u64, usize)>,
    /// When most markets end at once, monotonic.
    mass_deaths_ns: Option<u64>,
}

impl Merging {
    fn choose(seed: u64, lossless: bool) -> Self {
        let mut random = Random::new(seed ^ 0x6d65_7267_6531);
        let merges = random.chance(1, 2).then(|| {
            let tokens = if random.chance(1, 2) { 500 } else { 8 + random.below(20) };
            (random.below(8) * SECOND_NS, tokens as usize)
        });
        let dies = merges.is_some() && !lossless && random.chance(2, 3);
        let mass_deaths_ns = dies.then(|| (10 + random.below(25)) * SECOND_NS);
        Self { merges, mass_deaths_ns }
    }
}

pub(crate) struct Stream {
    frame: Frame<Recorder, Vec<String>>,
    venue: Venue,
    record: Rc<RefCell<Record>>,
    lossless: bool,
    merging: Merging,
    pub(crate) checked: u64,
}

pub(crate) const FEED: Feed = ringbook::venue::polymarket::feed(true);

fn target(board: Switchboard) -> Target {
    Target {
        url: "ws://venue/ws/market".into(),
        host: "venue".into(),
        tls: None,
        connector: Arc::new(board),
        heartbeat: FEED.capabilities().heartbeat,
        signer: None,
    }
}

impl Stream {
    /// A run whose shards are captured.
    pub(crate) fn captured(seed: u64) -> (Self, Vec<CaptureReceiver>) {
        let mut receivers = Vec::new();
        let world = Self::with_capture(seed, &mut |shard| {
            let (sender, receiver) = capture_link(shard, CAPTURE_CHUNKS);
            receivers.push(receiver);
            Some(sender)
        });
        (world, receivers)
    }

    fn with_capture(seed: u64, sender: &mut dyn FnMut(ShardId) -> Option<CaptureSender>) -> Self {
        let mut random = Random::new(seed);
        let faults = fault::choose(&mut random);
        let (lossless, possible) = (fault::is_lossless(&faults), faults.names());
        let board = Switchboard::default();
        let clock = VirtualClock::starting(EPOCH_NS);
        let record = Rc::new(RefCell::new(Record::default()));
        let markets = 4 + random.below(20) as usize;
        let now_ms = clock.now().wall_ns / MILLISECOND_NS;
        let venue = Venue::new(board.clone(), markets, now_ms, faults, &mut random);
        let (mut proxies, mut shards) = (Vec::new(), Vec::new());
        for place in 0..SHARDS {
            let recorder = Recorder(Rc::clone(&record));
            let config = ShardConfig {
                hash_checks: HashChecks::All,
                audit_round_ns: AUDIT_NS,
                image_round_ns: IMAGE_ROUND_NS,
                ..ShardConfig::default()
            };
            let (proxy, rig) = ShardRig::new(place, FEED, config, &clock, recorder, &mut random);
            let sender = sender(ShardId(place as u16));
            proxies.push(proxy);
            shards.push(match sender {
                Some(sender) => rig.with(|shard| shard.with_capture(sender, SHARDS as u16)),
                None => rig,
            });
        }
        let merging = Merging::choose(seed, lossless);
        let options = LifecycleOptions { scanning: true, ..LifecycleOptions::default() };
        let mut parts = controller_parts(FEED, proxies, target(board), options, seed);
        parts.tokens_per_connection = 4 + random.below(12) as usize;
        let mut control = Controller::new(parts, clock.now());
        if let Some((age_min_ns, tokens_max)) = merging.merges {
            control.set_merging(age_min_ns, tokens_max);
        }
        let label = (possible, "simulation_long");
        let frame = Frame::new((seed, random), clock, control, shards, label);
        Self { frame, venue, record, lossless, merging, checked: 0 }
    }

    /// Seven of ten markets end, so that what is left is on more connections than are necessary.
    fn mass_deaths(&mut self) {
        let now_ns = self.frame.now_ns();
        if self.merging.mass_deaths_ns.is_none_or(|at_ns| now_ns < at_ns) {
            return;
        }
        self.merging.mass_deaths_ns = None;
        *self.venue.faults.injected.entry(Fault::MassDeaths).or_default() += 1;
        self.frame.note("most markets end");
        let mut random = Random::new(self.frame.seed);
        let wall_ms = self.venue_ms();
        for market in 0..self.venue.markets.len() {
            if random.chance(7, 10) {
                self.venue.resolve(market, now_ns, wall_ms);
            }
        }
    }

    /// The venue's own clock never steps.
    fn venue_ms(&self) -> u64 {
        (EPOCH_NS + self.frame.now_ns()) / MILLISECOND_NS
    }

    /// A version begins again only where the engine has opened the book again and its market was on no connection
    /// in between: its connection was a replacement that was given up.
    fn check_begun_again(&mut self) -> Result<(), String> {
        let begun_again = std::mem::take(&mut self.record.borrow_mut().begun_again);
        for (token, seen_ns) in begun_again {
            let market = self.venue.markets.iter().position(|m| m.tokens.contains(&token));
            let uncovered = market.and_then(|market| self.venue.uncovered.get(&market));
            let registry = self.frame.control.venue(0).registry();
            let record = TokenId::new(&token).and_then(|token| registry.market_of(&token));
            let placed_ns = record.map_or(0, |record| record.since_ns + PLACED_BEFORE_NS);
            if placed_ns < seen_ns || uncovered.is_none_or(|&at_ns| at_ns < seen_ns) {
                let why = format!("{token} begins again, last seen at {seen_ns} ns");
                return Err(self.frame.breach(&format!("{why}; {}", self.whereabouts(&token))));
            }
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
        match io_request {
            IoRequest::Status(_) => {}
            IoRequest::Fetch(path) => {
                let (faults, random) = (&mut self.venue.faults, &mut self.frame.random);
                let slow = faults.strikes(Fault::CatalogSlow, random);
                let delay_ms = 5 + random.below(if slow { 8_000 } else { 100 });
                let fetched = if faults.strikes(Fault::CatalogDown, random) {
                    match random.below(3) {
                        0 => Fetched::Failed("refused".into()),
                        1 => refused(429, Some(1), b""),
                        _ => refused(200, None, b"{"),
                    }
                } else {
                    answered(self.venue.catalog(&path))
                };
                self.frame.arrive(delay_ms * MILLISECOND_NS, Arrival::Fetched(fetched));
            }
            IoRequest::Resolve(connection) => {
                let address: SocketAddr = ([127, 0, 0, 1], 1).into();
                let controller = self.frame.control.venue_mut(0);
                controller.on_resolved(connection, Ok(vec![address]), now);
            }
            IoRequest::Books(request) => {
                let tokens = request.tokens.iter().map(ToString::to_string).collect();
                self.frame.ask_books(request.shard, request.question, tokens);
            }
        }
    }

    fn deliver(&mut self) {
        let venue = &mut self.venue;
        self.frame.deliver(|random, tokens, now_ns| {
            if !venue.faults.strikes(Fault::BooksDown, random) {
                return answered(venue.books(&tokens, now_ns, random));
            }
            match random.below(2) {
                0 => Fetched::Failed("timeout".into()),
                _ => refused(429, Some(1), b""),
            }
        });
    }

    fn image(&mut self, token: &str) -> Option<BookImage> {
        self.frame.image(token, true).unwrap_or_else(|why| panic!("{}", self.frame.breach(&why)))
    }

    /// Whether small connections are merged and the host's clock does not step: a replay knows recorded times only.
    pub(crate) fn merges_in_steady_time(&self) -> bool {
        self.merging.merges.is_some() && self.has_steady_time()
    }

    /// Whether the host's clock is never set.
    pub(crate) fn has_steady_time(&self) -> bool {
        !self.venue.faults.possible(Fault::ClockStep)
    }

    /// Levels of every live book of a market that has not ended.
    pub(crate) fn live_levels(&mut self) -> BTreeMap<String, String> {
        let open = self.venue.markets.iter().filter(|market| market.open);
        let tokens: Vec<String> = open.flat_map(|market| market.tokens.clone()).collect();
        let mut live = BTreeMap::new();
        for token in tokens {
            if let Some(image) = self.image(&token)
                && image.state == BookState::Live
            {
                live.insert(token, levels(&image));
            }
        }
        live
    }

    /// Looks at some books: a live one was so at the venue at the time that it claims.
    fn check_books(&mut self) -> Result<(), String> {
        for _ in 0..4 {
            let market = self.frame.random.below(self.venue.markets.len() as u64) as usize;
            let outcome = self.frame.random.below(2) as usize;
            let token = self.venue.markets[market].tokens[outcome].clone();
            let Some(image) = self.image(&token) else { continue };
            if image.state != BookState::Live {
                continue;
            }
            self.checked += 1;
            let damaged_ns = self.venue.damaged.get(&market).copied();
            if damaged_ns.is_some_and(|at_ns| self.frame.now_ns() < at_ns + HEALS_WITHIN_NS) {
                continue;
            }
            let levels = levels(&image);
            let ms = image.facts.timestamp_ms;
            if !self.venue.markets[market].was(outcome, ms, &levels) {
                let difference = self.venue.markets[market].difference(outcome, ms, &levels);
                let now_ms = self.frame.clock.now().wall_ns / MILLISECOND_NS;
                return Err(self.frame.breach(&format!(
                    "{token} (market {market}) is live at {ms} as it never was; {difference}; it is {now_ms}; damaged {damaged_ns:?}"
                )));
            }
        }
        Ok(())
    }

    fn check_registry(&mut self) -> Result<(), String> {
        let most = limits::TOKENS_PER_CONNECTION_MAX;
        let mut wrong = self.frame.misplaced(most, |_| None);
        let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
        for line in self.venue.lines.iter().filter(|line| line.is_sound()) {
            line.markets.iter().for_each(|&market| *lines.entry(market).or_default() += 1);
        }
        // Two while one takes over; a third may be on its way out.
        if let Some((market, count)) = lines.iter().find(|(_, count)| **count > 3) {
            wrong = Some(format!("market {market} is on {count} connections"));
        }
        wrong.map_or(Ok(()), |why| Err(self.frame.breach(&why)))
    }

    /// Where the engine has a token.
    fn whereabouts(&self, token: &str) -> String {
        let record = TokenId::new(token)
            .and_then(|token| self.frame.control.venue(0).registry().market_of(&token));
        let Some(record) = record else { return "not registered".into() };
        let state = record
            .connection
            .and_then(|connection| self.frame.control.venue(0).placement().state(connection));
        let pool = self.frame.control.report(self.frame.clock.now()).pool.connections;
        let pool: Vec<String> = pool
            .iter()
            .map(|c| format!("{} {} {}/{} {}", c.id, c.state, c.snapshots, c.tokens, c.why))
            .collect();
        format!(
            "{:?} since {} on {:?} {state:?}; {}",
            record.status,
            record.since_ns,
            record.connection,
            pool.join(", ")
        )
    }

    /// No duplicate trade except those that the venue sent twice; none missing where nothing was lost.
    fn check_trades(&mut self) -> Result<(), String> {
        let record = self.record.borrow();
        let twice = record
            .trades
            .iter()
            .find(|(trade, count)| **count > 1 && !self.venue.doubled.contains(*trade));
        if let Some((trade, count)) = twice {
            return Err(self.frame.breach(&format!("the trade {trade} came {count} times")));
        }
        if self.lossless {
            let missing =
                self.venue.reported.iter().find(|trade| !record.trades.contains_key(*trade));
            if let Some(trade) = missing {
                return Err(self.frame.breach(&format!("the trade {trade} never came")));
            }
        }
        Ok(())
    }

    /// Messages that handlers saw.
    pub(crate) fn seen(&self) -> u64 {
        self.record.borrow().seen
    }
}

impl World for Stream {
    type Handler = Recorder;
    type Request = Vec<String>;
    type Fault = Fault;
    const TRADES_ON_NS: u64 = 60 * SECOND_NS;

    fn new(seed: u64) -> Self {
        Self::with_capture(seed, &mut |_| None)
    }

    fn frame(&mut self) -> &mut Frame<Recorder, Vec<String>> {
        &mut self.frame
    }

    fn host_faults(&mut self) {
        let host = [Fault::ClockStep, Fault::ControlPause, Fault::ShardPause];
        self.frame.host_faults(&mut self.venue.faults, host);
        let now_ns = self.frame.now_ns();
        self.mass_deaths();
        let (faults, random) = (&mut self.venue.faults, &mut self.frame.random);
        let births = faults.strikes(Fault::Births, random);
        let deaths = faults.strikes(Fault::Deaths, random);
        let recycle = faults.strikes(Fault::Recycle, random);
        if births {
            let (count, now_ms) = (1 + random.below(60) as usize, self.venue_ms());
            self.venue.bear(count, now_ms, &mut self.frame.random);
        }
        if deaths {
            let count = self.venue.markets.len() as u64;
            let wall_ms = self.venue_ms();
            for _ in 0..1 + self.frame.random.below(count / 3 + 1) {
                let market = self.frame.random.below(count) as usize;
                self.venue.resolve(market, now_ns, wall_ms);
            }
        }
        if recycle {
            let up: Vec<ConnectionId> =
                self.frame.control.venue(0).placement().connections().map(|open| open.id).collect();
            if !up.is_empty() {
                let connection = up[self.frame.random.below(up.len() as u64) as usize];
                let _ = self.frame.commands.try_send(Command::Recycle { ticket: 0, connection });
                self.frame.note(&format!("recycle {connection}"));
            }
        }
    }

    fn step(&mut self, passed_ns: u64, busy: u64) -> Result<(), String> {
        let now = self.frame.advance(passed_ns);
        self.record.borrow_mut().now_ns = now.mono_ns;
        self.venue.faults.struck.clear();
        let venue_ms = self.venue_ms();
        self.venue.step(now.mono_ns, venue_ms, busy, &mut self.frame.random);
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
        while let Some(event) = self.frame.events.try_receive() {
            if let ControlEvent::Report(report) = event
                && self.lossless
                && let Some(proof) = report
                    .recycling
                    .handovers
                    .iter()
                    .find(|proof| proof.counts.differences > 0 || proof.interrupted > 0)
            {
                return Err(self.frame.breach(&format!("a recycle was not clean: {proof:?}")));
            }
        }
        if self.frame.random.chance(1, 8) {
            self.check_books()?;
        }
        if self.frame.random.chance(1, 25) {
            self.check_registry()?;
        }
        if let Some(violation) = self.venue.violations.first() {
            return Err(self.frame.breach(violation));
        }
        self.check_begun_again()?;
        let first = self.record.borrow().breaches.first().cloned();
        match first {
            Some(breach) => Err(self.frame.breach(&breach)),
            None => Ok(()),
        }
    }

    fn calm_down(&mut self) {
        self.venue.calm_down();
    }

    /// What is not right yet, if anything is not.
    fn unsettled(&mut self) -> Option<String> {
        for market in 0..self.venue.markets.len() {
            if !self.venue.markets[market].open {
                continue;
            }
            for outcome in 0..2 {
                let token = self.venue.markets[market].tokens[outcome].clone();
                let Some(image) = self.image(&token) else {
                    return Some(format!(
                        "{token} (market {market}) has no book; {}",
                        self.whereabouts(&token)
                    ));
                };
                let (ours, theirs) = (levels(&image), self.venue.markets[market].levels(outcome));
                if image.state != BookState::Live || ours != theirs {
                    return Some(format!(
                        "{token} (market {market}) is {} with [{ours}], the venue has [{theirs}]; {}",
                        image.state.name(),
                        self.whereabouts(&token)
                    ));
                }
            }
        }
        None
    }

    fn finish(&mut self, _settled_ns: u64) -> Result<BTreeMap<Fault, u64>, String> {
        self.check_trades()?;
        let mut injected = self.venue.faults.injected.clone();
        let merges = self.frame.control.report(self.frame.clock.now()).recycling.merges;
        if merges > 0 {
            injected.insert(Fault::Merge, merges);
        }
        Ok(injected)
    }
}

fn levels(image: &BookImage) -> String {
    let mut out = String::with_capacity(16 * (image.bids.len() + image.asks.len()) + 3);
    let mut push = |levels: &[Level], end: &str| {
        for (place, level) in levels.iter().enumerate() {
            out.push_str(if place == 0 { "" } else { " " });
            level.price.push_to(&mut out);
            out.push('x');
            level.quantity.push_to(&mut out);
        }
        out.push_str(end);
    };
    push(&image.bids, " | ");
    push(&image.asks, "");
    out
}

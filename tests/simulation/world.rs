//! The engine and the venue on one thread, in virtual time, from one seed.
//!
//! Runs on:  the simulation's thread.
use crate::fault::{Fault, Faults};
use crate::venue::Venue;
use crate::wire::Switchboard;
use crate::witness::{Record, Witness};
use ringbook::base::id::{ConnectionId, ShardId, TokenId};
use ringbook::base::limits;
use ringbook::base::policy::HashChecks;
use ringbook::base::random::Random;
use ringbook::base::time::{Clock, MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::controller::{Controller, ControllerParts};
use ringbook::control::dial::Target;
use ringbook::control::discovery::Discovery;
use ringbook::control::io_request::{Fetched, IoRequest};
use ringbook::control::lifecycle::{Lifecycle, LifecycleOptions};
use ringbook::control::registry::Status;
use ringbook::control::shard_proxy::ShardProxy;
use ringbook::control::supervisor::{Supervisor, SupervisorLinks};
use ringbook::link::main_control::{Command, ControlEvent};
use ringbook::link::serve_shard::{BookAnswer, BookQuery};
use ringbook::link::shard_capture::{CaptureReceiver, CaptureSender, capture_link};
use ringbook::market::book::{BookState, Level, image::BookImage};
use ringbook::ring::{Consumer, Producer, ring};
use ringbook::shard::{Shard, ShardConfig, ShardLinks};
use ringbook::venue::Feed;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// The venue's clock begins here, nanoseconds since the Unix epoch.
const EPOCH_NS: u64 = 1_780_000_000 * SECOND_NS;
/// Faults happen for so long.
const FAULTS_NS: u64 = 45 * SECOND_NS;
/// After a fault that no connection can notice by itself, a book may be wrong for so long: two rounds
/// of audits, one of which the REST interface may spoil, and the way of a repair.
const HEALS_WITHIN_NS: u64 = 60 * SECOND_NS;
/// Trading goes on for so long after the last fault.
const TRADES_ON_NS: u64 = 60 * SECOND_NS;
/// Everything is right after so long without faults: the longest silence that is waited for (120 s),
/// a scan, a placement, a backoff, an audit.
const QUIET_MAX_NS: u64 = 420 * SECOND_NS;
/// Every live book is compared with REST once in so long.
const AUDIT_NS: u64 = 20 * SECOND_NS;
/// A shard says something of a book for so long after the control core has placed it elsewhere: both may be held up.
const PLACED_BEFORE_NS: u64 = 5 * SECOND_NS;
const SHARDS: usize = 2;
/// Chunks of a captured shard: all of a run, so that a slow disk loses nothing.
const CAPTURE_CHUNKS: usize = 4096;

#[derive(Clone, Debug)]
struct VirtualClock(Rc<Cell<Now>>);

impl Clock for VirtualClock {
    fn mono_ns(&self) -> u64 {
        self.0.get().mono_ns
    }
    fn now(&self) -> Now {
        self.0.get()
    }
}

/// What comes back from the network, and when.
enum Home {
    Fetched(Fetched),
    /// To be answered by the venue at that time; the answer takes as long again.
    AskBooks(usize, Vec<String>, u64),
    Books(usize, Fetched),
}

struct ShardRig {
    shard: Shard<Witness, VirtualClock>,
    queries: Producer<BookQuery>,
    answers: Consumer<BookAnswer>,
    paused_until_ns: u64,
}

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

pub(crate) struct World {
    pub(crate) seed: u64,
    random: Random,
    clock: Rc<Cell<Now>>,
    venue: Venue,
    control: Supervisor,
    shards: Vec<ShardRig>,
    commands: Producer<Command>,
    news: Consumer<ControlEvent>,
    homeward: Vec<(u64, Home)>,
    control_due_ns: u64,
    record: Rc<RefCell<Record>>,
    lossless: bool,
    /// The faults that are switched on.
    possible: String,
    merging: Merging,
    log: VecDeque<String>,
    pub(crate) checked: u64,
}

const FEED: Feed = ringbook::venue::polymarket::feed(true);

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

/// One shard with its links; the rings of orders and reports hold `ring_of` entries.
fn shard_rig(
    place: usize,
    ring_of: usize,
    clock: &Rc<Cell<Now>>,
    record: &Rc<RefCell<Record>>,
) -> (ShardProxy, ShardRig) {
    let (order_sender, orders) = ring(ring_of);
    let (reports, report_receiver) = ring(ring_of);
    let (queries, query_receiver) = ring(1024);
    let (answer_sender, answers) = ring(1024);
    let gauge = reports.gauge();
    let links = ShardLinks {
        orders,
        reports,
        queries: query_receiver,
        answers: answer_sender,
        peers: Default::default(),
    };
    let witness = Witness(Rc::clone(record));
    let id = ShardId(place as u16);
    let config = ShardConfig {
        hash_checks: HashChecks::All,
        audit_round_ns: AUDIT_NS,
        ..ShardConfig::default()
    };
    let clock = VirtualClock(Rc::clone(clock));
    let shard = Shard::new(id, FEED, config, witness, clock, links).unwrap();
    let bell = shard.doorbell();
    let proxy = ShardProxy::new(id, None, order_sender, report_receiver, gauge, bell);
    (proxy, ShardRig { shard, queries, answers, paused_until_ns: 0 })
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_taps(seed, &mut |_| None)
    }

    /// The same with what its shards receive and do captured.
    pub(crate) fn captured(seed: u64) -> (Self, Vec<CaptureReceiver>) {
        let mut trade_receivers = Vec::new();
        let world = Self::with_taps(seed, &mut |shard| {
            let (sender, receiver) = capture_link(shard, CAPTURE_CHUNKS);
            trade_receivers.push(receiver);
            Some(sender)
        });
        (world, trade_receivers)
    }

    fn with_taps(seed: u64, sender: &mut dyn FnMut(ShardId) -> Option<CaptureSender>) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::choose(&mut random);
        let (lossless, possible) = (faults.is_lossless(), faults.names());
        let board = Switchboard::default();
        let clock = Rc::new(Cell::new(Now { mono_ns: SECOND_NS, wall_ns: EPOCH_NS + SECOND_NS }));
        let record = Rc::new(RefCell::new(Record::default()));
        let markets = 4 + random.below(20) as usize;
        let now_ms = clock.get().wall_ns / MILLISECOND_NS;
        let venue = Venue::new(board.clone(), markets, now_ms, faults, &mut random);
        let (mut proxies, mut shards) = (Vec::new(), Vec::new());
        for place in 0..SHARDS {
            let ring_of = if random.chance(1, 3) { 8 } else { 1024 };
            let (proxy, mut rig) = shard_rig(place, ring_of, &clock, &record);
            if let Some(sender) = sender(ShardId(place as u16)) {
                rig.shard = rig.shard.with_capture(sender, SHARDS as u16);
            }
            proxies.push(proxy);
            shards.push(rig);
        }
        let (commands, command_receiver) = ring(64);
        let (event_sender, news) = ring(64);
        let merging = Merging::choose(seed, lossless);
        let options = LifecycleOptions { scanning: true, ..LifecycleOptions::default() };
        let parts = ControllerParts {
            shards: proxies,
            target: target(board),
            discovery: Discovery::new(FEED, true, seed),
            lifecycle: Lifecycle::new(options),
            tokens_per_connection: 4 + random.below(12) as usize,
            feed: FEED,
            table: None,
            sink: None,
            capture: None,
            links: Vec::new(),
            seed,
        };
        let links = SupervisorLinks {
            commands: command_receiver,
            news: event_sender,
            queries: ring(1).1,
            answers: ring(1).0,
            gauges: Vec::new(),
        };
        let now = clock.get();
        let mut control = Controller::new(parts, now);
        if let Some((age_min_ns, tokens_max)) = merging.merges {
            control.set_merging(age_min_ns, tokens_max);
        }
        Self {
            seed,
            random,
            control: Supervisor::new(vec![control], links, now),
            clock,
            venue,
            shards,
            commands,
            news,
            homeward: Vec::new(),
            control_due_ns: 0,
            record,
            lossless,
            possible,
            merging,
            log: VecDeque::new(),
            checked: 0,
        }
    }

    /// Runs to the end, or to the first breach.
    pub(crate) fn run(&mut self) -> Result<BTreeMap<Fault, u64>, String> {
        let begun_ns = self.now_ns();
        while self.now_ns() < begun_ns + FAULTS_NS {
            let passed_ns = (1 + self.random.below(40)) * MILLISECOND_NS;
            self.host_faults();
            self.step(passed_ns, 6)?;
        }
        let injected = self.venue.faults.injected.clone();
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
        // The last trades are told some time after their books.
        for _ in 0..50 {
            self.step(40 * MILLISECOND_NS, 0)?;
        }
        self.check_trades()?;
        let mut injected = injected;
        let merges = self.control.report(self.clock.get()).recycling.merges;
        if merges > 0 {
            injected.insert(Fault::Merge, merges);
        }
        Ok(injected)
    }

    fn now_ns(&self) -> u64 {
        self.clock.get().mono_ns
    }

    fn note(&mut self, line: &str) {
        if self.log.len() == 60 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>9.3} {line}", self.now_ns() as f64 / 1e9));
    }

    fn breach(&self, why: &str) -> String {
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        format!(
            "{why}\nfaults: {}\nSEED={}: SIMULATION_SEED={} SIMULATION_SEEDS=1 cargo test --release --test simulation -- --ignored simulation_long\n{}",
            self.possible,
            self.seed,
            self.seed,
            log.join("\n")
        )
    }

    /// Faults of the host, and orders and lives that come at bad moments.
    fn host_faults(&mut self) {
        let now_ns = self.now_ns();
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        if faults.strikes(Fault::ClockStep, random) {
            let mut now = self.clock.get();
            let step_ns = random.below(10 * SECOND_NS);
            now.wall_ns = now.wall_ns + step_ns - 5 * SECOND_NS;
            self.clock.set(now);
        }
        let faults = &mut self.venue.faults;
        if faults.strikes(Fault::ControlPause, random) {
            self.control_due_ns = now_ns + random.below(2_000) * MILLISECOND_NS;
        }
        if faults.strikes(Fault::ShardPause, random) {
            let place = random.below(SHARDS as u64) as usize;
            self.shards[place].paused_until_ns = now_ns + random.below(1_500) * MILLISECOND_NS;
        }
        self.mass_deaths();
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        let births = faults.strikes(Fault::Births, random);
        let deaths = faults.strikes(Fault::Deaths, random);
        let recycle = faults.strikes(Fault::Recycle, random);
        if births {
            let (count, now_ms) = (1 + random.below(60) as usize, self.venue_ms());
            self.venue.bear(count, now_ms, &mut self.random);
        }
        if deaths {
            let count = self.venue.markets.len() as u64;
            let wall_ms = self.venue_ms();
            for _ in 0..1 + self.random.below(count / 3 + 1) {
                let market = self.random.below(count) as usize;
                self.venue.resolve(market, now_ns, wall_ms);
            }
        }
        if recycle {
            let up: Vec<ConnectionId> =
                self.control.venue(0).placement().connections().map(|c| c.0).collect();
            if !up.is_empty() {
                let connection = up[self.random.below(up.len() as u64) as usize];
                let _ = self.commands.try_send(Command::Recycle { ticket: 0, connection });
                self.note(&format!("recycle {connection}"));
            }
        }
    }

    /// Seven of ten markets end, so that what is left is on more connections than are necessary.
    fn mass_deaths(&mut self) {
        let now_ns = self.now_ns();
        if self.merging.mass_deaths_ns.is_none_or(|at_ns| now_ns < at_ns) {
            return;
        }
        self.merging.mass_deaths_ns = None;
        *self.venue.faults.injected.entry(Fault::MassDeaths).or_default() += 1;
        self.note("most markets end");
        let mut random = Random::new(self.seed);
        let wall_ms = self.venue_ms();
        for market in 0..self.venue.markets.len() {
            if random.chance(7, 10) {
                self.venue.resolve(market, now_ns, wall_ms);
            }
        }
    }

    /// The venue's own clock never steps.
    fn venue_ms(&self) -> u64 {
        (EPOCH_NS + self.now_ns()) / MILLISECOND_NS
    }

    fn step(&mut self, passed_ns: u64, busy: u64) -> Result<(), String> {
        let mut now = self.clock.get();
        now.mono_ns += passed_ns;
        now.wall_ns += passed_ns;
        self.clock.set(now);
        self.record.borrow_mut().now_ns = now.mono_ns;
        self.venue.faults.struck.clear();
        let venue_ms = self.venue_ms();
        self.venue.step(now.mono_ns, venue_ms, busy, &mut self.random);
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
        while let Some(news) = self.news.try_receive() {
            if let ControlEvent::Report(report) = news
                && self.lossless
                && let Some(handover) =
                    report.recycling.handovers.iter().find(|handover| {
                        handover.counts.differences > 0 || handover.interrupted > 0
                    })
            {
                return Err(self.breach(&format!("a recycle was not clean: {handover:?}")));
            }
        }
        if self.random.chance(1, 8) {
            self.check_books()?;
        }
        if self.random.chance(1, 25) {
            self.check_registry()?;
        }
        if let Some(violation) = self.venue.violations.first() {
            return Err(self.breach(violation));
        }
        self.check_begun_again()?;
        let first = self.record.borrow().breaches.first().cloned();
        match first {
            Some(breach) => Err(self.breach(&breach)),
            None => Ok(()),
        }
    }

    /// A version begins again only where the engine has opened the book again and its market was on no connection
    /// in between: its connection was a replacement that was given up.
    fn check_begun_again(&mut self) -> Result<(), String> {
        let begun_again = std::mem::take(&mut self.record.borrow_mut().begun_again);
        for (token, seen_ns) in begun_again {
            let market = self.venue.markets.iter().position(|m| m.tokens.contains(&token));
            let unheard = market.and_then(|market| self.venue.unheard.get(&market));
            let registry = self.control.venue(0).registry();
            let record = TokenId::new(&token).and_then(|token| registry.market_of(&token));
            let placed_ns = record.map_or(0, |record| record.since_ns + PLACED_BEFORE_NS);
            if placed_ns < seen_ns || unheard.is_none_or(|&at_ns| at_ns < seen_ns) {
                let why = format!("{token} begins again, last seen at {seen_ns} ns");
                return Err(self.breach(&format!("{why}; {}", self.whereabouts(&token))));
            }
        }
        Ok(())
    }

    fn step_control(&mut self) {
        let now = self.clock.get();
        if now.mono_ns < self.control_due_ns {
            return;
        }
        if let Some(rest_ns) = self.control.step(now) {
            self.control_due_ns = now.mono_ns + rest_ns;
        }
        while let Some((_, io_request)) = self.control.poll_io_request() {
            self.run_io_request(io_request, now);
        }
    }

    fn run_io_request(&mut self, io_request: IoRequest, now: Now) {
        let (faults, random) = (&mut self.venue.faults, &mut self.random);
        match io_request {
            IoRequest::Status(_) => {}
            IoRequest::Fetch(path) => {
                let slow = faults.strikes(Fault::CatalogSlow, random);
                let delay_ms = 5 + random.below(if slow { 8_000 } else { 100 });
                let fetched = if faults.strikes(Fault::CatalogDown, random) {
                    match random.below(3) {
                        0 => Fetched::Failed("refused".into()),
                        1 => Fetched::Response {
                            status: 429,
                            retry_after_s: Some(1),
                            body: Vec::new(),
                        },
                        _ => Fetched::Response {
                            status: 200,
                            retry_after_s: None,
                            body: b"{".to_vec(),
                        },
                    }
                } else {
                    let body = self.venue.catalog(&path).into_bytes();
                    Fetched::Response { status: 200, retry_after_s: None, body }
                };
                self.homeward
                    .push((now.mono_ns + delay_ms * MILLISECOND_NS, Home::Fetched(fetched)));
            }
            IoRequest::Resolve(connection) => {
                let address: SocketAddr = ([127, 0, 0, 1], 1).into();
                self.control.venue_mut(0).on_resolved(connection, Ok(vec![address]), now);
            }
            IoRequest::Books(request) => {
                let tokens = request.tokens.iter().map(ToString::to_string).collect();
                let way_ns = (10 + self.random.below(200)) * MILLISECOND_NS;
                let ask = Home::AskBooks(request.shard, tokens, way_ns);
                self.homeward.push((now.mono_ns + way_ns, ask));
            }
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
                Home::Fetched(fetched) => self.control.venue_mut(0).on_fetched(fetched, now),
                Home::Books(shard, fetched) => {
                    self.control.venue_mut(0).on_books(shard, fetched, now)
                }
                Home::AskBooks(shard, tokens, way_ns) => {
                    let fetched = if self.venue.faults.strikes(Fault::BooksDown, &mut self.random) {
                        match self.random.below(2) {
                            0 => Fetched::Failed("timeout".into()),
                            _ => Fetched::Response {
                                status: 429,
                                retry_after_s: Some(1),
                                body: Vec::new(),
                            },
                        }
                    } else {
                        let body =
                            self.venue.books(&tokens, now.mono_ns, &mut self.random).into_bytes();
                        Fetched::Response { status: 200, retry_after_s: None, body }
                    };
                    self.homeward.push((now.mono_ns + way_ns, Home::Books(shard, fetched)));
                }
            }
        }
    }

    fn step_shards(&mut self) {
        let now_ns = self.now_ns();
        for rig in &mut self.shards {
            if now_ns >= rig.paused_until_ns {
                for _ in 0..1 + self.random.below(4) {
                    rig.shard.step(0);
                }
            }
        }
    }

    /// The image of a book, by the link that the serve core uses.
    fn image(&mut self, token: &str) -> Option<BookImage> {
        let token = TokenId::new(token).unwrap();
        let mut found = None;
        for rig in &mut self.shards {
            let query = BookQuery { ticket: 1, token, image: Box::default() };
            assert!(rig.queries.try_send(query).is_ok());
            rig.shard.step(0);
            let answer = rig.answers.try_receive().expect("a shard answers in its step");
            if answer.found {
                assert!(found.is_none(), "{token} has books on two shards");
                found = Some(*answer.image);
            }
        }
        found
    }

    /// Whether small connections are merged and the host's clock does not step: a replay knows recorded times only.
    pub(crate) fn merges_in_steady_time(&self) -> bool {
        self.merging.merges.is_some() && !self.venue.faults.possible(Fault::ClockStep)
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
            let market = self.random.below(self.venue.markets.len() as u64) as usize;
            let outcome = self.random.below(2) as usize;
            let token = self.venue.markets[market].tokens[outcome].clone();
            let Some(image) = self.image(&token) else { continue };
            if image.state != BookState::Live {
                continue;
            }
            self.checked += 1;
            let hurt_ns = self.venue.hurt.get(&market).copied();
            if hurt_ns.is_some_and(|at_ns| self.now_ns() < at_ns + HEALS_WITHIN_NS) {
                continue;
            }
            let levels = levels(&image);
            let ms = image.facts.timestamp_ms;
            if !self.venue.markets[market].was(outcome, ms, &levels) {
                let difference = self.venue.markets[market].difference(outcome, ms, &levels);
                let now_ms = self.clock.get().wall_ns / MILLISECOND_NS;
                return Err(self.breach(&format!(
                    "{token} (market {market}) is live at {ms} as it never was; {difference}; it is {now_ms}; hurt {hurt_ns:?}"
                )));
            }
        }
        Ok(())
    }

    fn check_registry(&mut self) -> Result<(), String> {
        let (registry, placement) =
            (self.control.venue(0).registry(), self.control.venue(0).placement());
        let mut by_connection: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        let mut wrong = None;
        for record in registry.markets() {
            let placed = record.connection.is_some();
            if placed != (record.status == Status::Subscribed) && record.status != Status::Expired {
                wrong = Some(format!(
                    "{} is {:?} on {:?}",
                    record.info.market, record.status, record.connection
                ));
            }
            if let Some(connection) = record.connection {
                *by_connection.entry(connection).or_default() += record.info.tokens.len();
                if placement.shard(connection) != Some(record.shard) {
                    wrong = Some(format!(
                        "{} is on {connection}, which is not its shard's",
                        record.info.market
                    ));
                }
            }
        }
        for (&connection, &tokens) in &by_connection {
            let load = registry.load(connection).map_or(0, |load| load.tokens);
            if load != tokens || tokens > limits::TOKENS_PER_CONNECTION_MAX {
                wrong = Some(format!("{connection} carries {tokens} tokens, its load says {load}"));
            }
        }
        let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
        for line in self.venue.lines.iter().filter(|line| line.is_sound()) {
            line.markets.iter().for_each(|&market| *lines.entry(market).or_default() += 1);
        }
        // Two while one takes over; a third may be on its way out.
        if let Some((market, count)) = lines.iter().find(|(_, count)| **count > 3) {
            wrong = Some(format!("market {market} is on {count} connections"));
        }
        wrong.map_or(Ok(()), |why| Err(self.breach(&why)))
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

    /// Where the engine has a token.
    fn whereabouts(&self, token: &str) -> String {
        let record = TokenId::new(token)
            .and_then(|token| self.control.venue(0).registry().market_of(&token));
        let Some(record) = record else { return "not registered".into() };
        let state = record
            .connection
            .and_then(|connection| self.control.venue(0).placement().state(connection));
        let pool = self.control.report(self.clock.get()).pool.connections;
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

    /// No trade twice but those that the venue sent twice; none missing where nothing was lost.
    fn check_trades(&mut self) -> Result<(), String> {
        let record = self.record.borrow();
        let twice = record
            .trades
            .iter()
            .find(|(trade, count)| **count > 1 && !self.venue.doubled.contains(*trade));
        if let Some((trade, count)) = twice {
            return Err(self.breach(&format!("the trade {trade} came {count} times")));
        }
        if self.lossless {
            let missing = self.venue.told.iter().find(|trade| !record.trades.contains_key(*trade));
            if let Some(trade) = missing {
                return Err(self.breach(&format!("the trade {trade} never came")));
            }
        }
        Ok(())
    }

    /// Messages that handlers saw.
    pub(crate) fn seen(&self) -> u64 {
        self.record.borrow().seen
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

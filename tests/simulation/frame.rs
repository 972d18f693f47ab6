//! What both simulations share: everything but the venue.
//!
//! Virtual time, shards with their links, what is on its way from the network, faults, the log of a run, its course.
//!
//! Runs on:  the simulation's thread.
use ringbook::base::id::{ConnectionId, ShardId, TokenId};
use ringbook::base::random::Random;
use ringbook::base::time::{Clock, MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::controller::{Controller, ControllerParts};
use ringbook::control::dial::Target;
use ringbook::control::discovery::Discovery;
use ringbook::control::io_request::Fetched;
use ringbook::control::lifecycle::{Lifecycle, LifecycleOptions};
use ringbook::control::registry::{Record, Status};
use ringbook::control::shard_proxy::ShardProxy;
use ringbook::control::supervisor::{Supervisor, SupervisorLinks};
use ringbook::link::main_control::{Command, ControlEvent};
use ringbook::link::serve_shard::{BookAnswer, BookQuery};
use ringbook::market::book::image::BookImage;
use ringbook::ring::{Consumer, Producer, ring};
use ringbook::shard::publish::Handler;
use ringbook::shard::{Shard, ShardConfig, ShardLinks};
use ringbook::venue::Feed;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::rc::Rc;

pub(crate) const SHARDS: usize = 2;
/// Faults happen for so long.
pub(crate) const FAULTS_NS: u64 = 45 * SECOND_NS;
/// Every live book is compared with REST once in so long.
pub(crate) const AUDIT_NS: u64 = 20 * SECOND_NS;
/// Everything is right after so long without faults: the longest silence that is waited for (120 s), a scan, a
/// placement, a backoff, an audit.
pub(crate) const QUIET_MAX_NS: u64 = 420 * SECOND_NS;
/// Lines of the log that a failure shows.
const LOG_LINES: usize = 60;

/// The host's clocks; they move when a simulation advances them.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock(Rc<Cell<Now>>);

impl VirtualClock {
    /// A second after `epoch_ns`, nanoseconds since the Unix epoch.
    pub(crate) fn starting(epoch_ns: u64) -> Self {
        Self(Rc::new(Cell::new(Now { mono_ns: SECOND_NS, wall_ns: epoch_ns + SECOND_NS })))
    }

    fn advance(&self, passed_ns: u64) -> Now {
        let Now { mono_ns, wall_ns } = self.now();
        let now = Now { mono_ns: mono_ns + passed_ns, wall_ns: wall_ns + passed_ns };
        self.0.set(now);
        now
    }
}

impl Clock for VirtualClock {
    fn mono_ns(&self) -> u64 {
        self.0.get().mono_ns
    }
    fn now(&self) -> Now {
        self.0.get()
    }
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub(crate) struct Faults<F> {
    rates: BTreeMap<F, u64>,
    pub(crate) injected: BTreeMap<F, u64>,
    /// Those that struck since they were last taken.
    pub(crate) struck: BTreeSet<F>,
}

impl<F: Copy + Ord + Debug> Faults<F> {
    /// With rates per chance in 100,000.
    pub(crate) fn new(rates: BTreeMap<F, u64>) -> Self {
        Self { rates, injected: BTreeMap::new(), struck: BTreeSet::new() }
    }

    /// Those that may strike.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.rates.keys().map(|fault| format!("{fault:?}")).collect();
        names.join(" ")
    }

    pub(crate) fn possible(&self, fault: F) -> bool {
        self.rates.contains_key(&fault)
    }

    /// Whether only these may strike.
    pub(crate) fn are_within(&self, faults: &[F]) -> bool {
        self.rates.keys().all(|fault| faults.contains(fault))
    }

    /// Whether the fault strikes now.
    pub(crate) fn strikes(&mut self, fault: F, random: &mut Random) -> bool {
        let Some(&rate) = self.rates.get(&fault) else { return false };
        let strikes = random.chance(rate, 100_000);
        if strikes {
            self.note(fault);
        }
        strikes
    }

    /// It has struck by itself.
    pub(crate) fn note(&mut self, fault: F) {
        *self.injected.entry(fault).or_default() += 1;
        self.struck.insert(fault);
    }

    pub(crate) fn end(&mut self) {
        self.rates.clear();
    }
}

/// A shard and the ends of its links that the simulation holds.
pub(crate) struct ShardRig<H: Handler> {
    pub(crate) shard: Shard<H, VirtualClock>,
    queries: Producer<BookQuery>,
    answers: Consumer<BookAnswer>,
    pub(crate) paused_until_ns: u64,
}

impl<H: Handler> ShardRig<H> {
    /// One shard without peers and the control core's end of it; some have rings that fill.
    pub(crate) fn new(
        place: usize,
        feed: Feed,
        config: ShardConfig,
        clock: &VirtualClock,
        handler: H,
        random: &mut Random,
    ) -> (ShardProxy, Self) {
        let depth = if random.chance(1, 3) { 8 } else { 1024 };
        let (command_sender, commands) = ring(depth);
        let (reports, report_receiver) = ring(depth);
        let (queries, query_receiver) = ring(64);
        let (answer_sender, answers) = ring(64);
        let gauge = reports.gauge();
        let links = ShardLinks {
            commands,
            reports,
            queries: query_receiver,
            answers: answer_sender,
            updates: None,
            peers: Default::default(),
        };
        let id = ShardId(place as u16);
        let shard = Shard::new(id, feed, config, handler, clock.clone(), links).unwrap();
        let bell = shard.doorbell();
        let proxy = ShardProxy::new(id, None, command_sender, report_receiver, gauge, bell);
        (proxy, Self { shard, queries, answers, paused_until_ns: 0 })
    }

    /// The same with its shard set up otherwise.
    pub(crate) fn with(
        self,
        change: impl FnOnce(Shard<H, VirtualClock>) -> Shard<H, VirtualClock>,
    ) -> Self {
        Self { shard: change(self.shard), ..self }
    }
}

/// What comes back from the network.
pub(crate) enum Arrival<Q> {
    Fetched(Fetched),
    Status(Fetched),
    /// A request for books of a shard, with the number of its newest question, reaches the venue; the answer takes as
    /// long again.
    AskBooks(usize, u32, Q, u64),
    Books(usize, u32, Fetched),
}

/// A failed answer of the REST interface.
pub(crate) fn refused(status: u16, retry_after_s: Option<u64>, body: &[u8]) -> Fetched {
    Fetched::Response { status, retry_after_s, body: body.to_vec() }
}

pub(crate) fn answered(body: String) -> Fetched {
    Fetched::Response { status: 200, retry_after_s: None, body: body.into_bytes() }
}

/// The control core of one venue, with the shards' ends.
pub(crate) fn controller_parts(
    feed: Feed,
    shards: Vec<ShardProxy>,
    target: Target,
    options: LifecycleOptions,
    seed: u64,
) -> ControllerParts {
    ControllerParts {
        shards,
        target,
        discovery: Discovery::new(feed, true, seed),
        lifecycle: Lifecycle::new(options),
        tokens_per_connection: 0,
        feed,
        table: None,
        sink: None,
        capture: None,
        bus: None,
        links: Vec::new(),
        seed,
        races: false,
    }
}

/// A run without its venue; `Q` is a request for books.
pub(crate) struct Frame<H: Handler, Q> {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) clock: VirtualClock,
    pub(crate) control: Supervisor,
    pub(crate) commands: Producer<Command>,
    pub(crate) events: Consumer<ControlEvent>,
    pub(crate) shards: Vec<ShardRig<H>>,
    arrivals: Vec<(u64, Arrival<Q>)>,
    control_due_ns: u64,
    /// The faults that are switched on.
    possible: String,
    log: VecDeque<String>,
    /// The test that runs one seed again.
    test: &'static str,
}

impl<H: Handler, Q> Frame<H, Q> {
    pub(crate) fn new(
        (seed, random): (u64, Random),
        clock: VirtualClock,
        control: Controller,
        shards: Vec<ShardRig<H>>,
        (possible, test): (String, &'static str),
    ) -> Self {
        let (commands, command_receiver) = ring(64);
        let (event_sender, events) = ring(64);
        let links = SupervisorLinks {
            commands: command_receiver,
            events: event_sender,
            queries: ring(1).1,
            answers: ring(1).0,
            gauges: Vec::new(),
        };
        Self {
            seed,
            random,
            control: Supervisor::new(vec![control], links, clock.now()),
            clock,
            commands,
            events,
            shards,
            arrivals: Vec::new(),
            control_due_ns: 0,
            possible,
            log: VecDeque::new(),
            test,
        }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.mono_ns()
    }

    pub(crate) fn note(&mut self, line: &str) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>9.3} {line}", self.now_ns() as f64 / 1e9));
    }

    /// The message of a failure: how to run it again, and what happened last.
    pub(crate) fn breach(&self, why: &str) -> String {
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        let Self { possible, seed, test, .. } = self;
        format!(
            "{why}\nfaults: {possible}\nSEED={seed}: SIMULATION_SEED={seed} SIMULATION_SEEDS=1 cargo test --release --test simulation -- --ignored {test}\n{}",
            log.join("\n")
        )
    }

    /// Lets time pass on the host.
    pub(crate) fn advance(&mut self, passed_ns: u64) -> Now {
        self.clock.advance(passed_ns)
    }

    /// Faults of the host: its wall clock steps, the control core or a shard does not run for a while.
    pub(crate) fn host_faults<F: Copy + Ord + Debug>(
        &mut self,
        faults: &mut Faults<F>,
        [clock_step, control_pause, shard_pause]: [F; 3],
    ) {
        let random = &mut self.random;
        let now_ns = self.clock.mono_ns();
        if faults.strikes(clock_step, random) {
            let mut now = self.clock.now();
            let step_ns = random.below(10 * SECOND_NS);
            now.wall_ns = now.wall_ns + step_ns - 5 * SECOND_NS;
            self.clock.0.set(now);
        }
        if faults.strikes(control_pause, random) {
            self.control_due_ns = now_ns + random.below(2_000) * MILLISECOND_NS;
        }
        if faults.strikes(shard_pause, random) {
            let place = random.below(SHARDS as u64) as usize;
            self.shards[place].paused_until_ns = now_ns + random.below(1_500) * MILLISECOND_NS;
        }
    }

    /// Has something arrive `delay_ns` from now.
    pub(crate) fn arrive(&mut self, delay_ns: u64, arrival: Arrival<Q>) {
        self.arrivals.push((self.now_ns() + delay_ns, arrival));
    }

    /// A shard's request for books sets out for the venue.
    pub(crate) fn ask_books(&mut self, shard: usize, question: u32, request: Q) {
        let way_ns = (10 + self.random.below(200)) * MILLISECOND_NS;
        self.arrive(way_ns, Arrival::AskBooks(shard, question, request, way_ns));
    }

    /// Gives what has arrived to the control core; `books` answers a request for books.
    pub(crate) fn deliver(&mut self, mut books: impl FnMut(&mut Random, Q, u64) -> Fetched) {
        let now = self.clock.now();
        let all = std::mem::take(&mut self.arrivals);
        let (due, later): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(at_ns, _)| *at_ns <= now.mono_ns);
        self.arrivals = later;
        for (_, arrival) in due {
            let controller = self.control.venue_mut(0);
            match arrival {
                Arrival::Fetched(fetched) => controller.on_fetched(fetched, now),
                Arrival::Status(fetched) => controller.on_status(fetched, now),
                Arrival::Books(shard, question, fetched) => {
                    controller.on_books(shard, question, fetched, now);
                }
                Arrival::AskBooks(shard, question, request, way_ns) => {
                    let fetched = books(&mut self.random, request, now.mono_ns);
                    self.arrive(way_ns, Arrival::Books(shard, question, fetched));
                }
            }
        }
    }

    /// True when the control core has run: then it may want something from the network.
    pub(crate) fn step_control(&mut self) -> bool {
        let now = self.clock.now();
        if now.mono_ns < self.control_due_ns {
            return false;
        }
        if let Some(rest_ns) = self.control.step(now) {
            self.control_due_ns = now.mono_ns + rest_ns;
        }
        true
    }

    pub(crate) fn step_shards(&mut self) {
        let now_ns = self.now_ns();
        for rig in self.shards.iter_mut().filter(|rig| now_ns >= rig.paused_until_ns) {
            for _ in 0..1 + self.random.below(4) {
                rig.shard.step(0);
            }
        }
    }

    /// What registry and placement disagree about, if anything; `more` returns what else is wrong with a market. No
    /// connection carries more than `tokens_max` tokens.
    pub(crate) fn misplaced(
        &self,
        tokens_max: usize,
        more: impl Fn(&Record) -> Option<String>,
    ) -> Option<String> {
        let controller = self.control.venue(0);
        let (registry, placement) = (controller.registry(), controller.placement());
        let mut by_connection: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        let mut wrong = None;
        for record in registry.markets() {
            let (market, status) = (record.info.market, record.status);
            let placed = record.connection.is_some();
            if placed != (status == Status::Subscribed) && status != Status::Expired {
                wrong = Some(format!("{market} is {status:?} on {:?}", record.connection));
            }
            if let Some(connection) = record.connection {
                *by_connection.entry(connection).or_default() += record.info.tokens.len();
                if placement.shard(connection) != Some(record.shard) {
                    wrong = Some(format!("{market} is on another shard's {connection}"));
                }
                wrong = more(record).or(wrong);
            }
        }
        for (&connection, &tokens) in &by_connection {
            let load = registry.load(connection).map_or(0, |load| load.tokens);
            if load != tokens || tokens > tokens_max {
                wrong = Some(format!("{connection} carries {tokens} tokens, its load is {load}"));
            }
        }
        wrong
    }

    /// The image of a book, by the link that the serve core uses; `None` too where its shard does not run, unless
    /// `paused` ones are woken.
    pub(crate) fn image(&mut self, token: &str, paused: bool) -> Result<Option<BookImage>, String> {
        let token = TokenId::new(token).unwrap();
        let now_ns = self.now_ns();
        let mut found = None;
        let asked = |rig: &&mut ShardRig<H>| paused || now_ns >= rig.paused_until_ns;
        for rig in self.shards.iter_mut().filter(asked) {
            let query = BookQuery { ticket: 1, token, image: Box::default() };
            assert!(rig.queries.try_send(query).is_ok());
            rig.shard.step(0);
            let answer = rig.answers.try_receive().expect("a shard answers in its step");
            if answer.found && found.replace(*answer.image).is_some() {
                return Err(format!("{token} has books on two shards"));
            }
        }
        Ok(found)
    }
}

/// A run with its venue.
pub(crate) trait World: Sized {
    type Handler: Handler;
    /// A request for books.
    type Request;
    type Fault: Copy + Ord + Debug;
    /// Trading goes on for so long after the last fault.
    const TRADES_ON_NS: u64;

    fn new(seed: u64) -> Self;
    fn frame(&mut self) -> &mut Frame<Self::Handler, Self::Request>;
    /// Faults for so long.
    fn faults_ns(&self) -> u64 {
        FAULTS_NS
    }
    /// Faults of the host, and births and ends of markets.
    fn host_faults(&mut self);
    /// Lets time pass everywhere and looks at what must hold at any time. `busy` is how much is traded.
    fn step(&mut self, passed_ns: u64, busy: u64) -> Result<(), String>;
    /// Ends all faults.
    fn calm_down(&mut self);
    /// What is not right yet, if anything is not.
    fn unsettled(&mut self) -> Option<String>;
    /// What must hold at the end; `settled_ns` is how long it took. Gives the faults that struck.
    fn finish(&mut self, settled_ns: u64) -> Result<BTreeMap<Self::Fault, u64>, String>;

    /// Runs to the end, or to the first breach.
    fn run(&mut self) -> Result<BTreeMap<Self::Fault, u64>, String> {
        let end_ns = self.frame().now_ns() + self.faults_ns();
        while self.frame().now_ns() < end_ns {
            let passed_ns = (1 + self.frame().random.below(40)) * MILLISECOND_NS;
            self.host_faults();
            self.step(passed_ns, 6)?;
        }
        self.calm_down();
        self.frame().note("no more faults");
        let quiet_ns = self.frame().now_ns();
        loop {
            let passed_ns = (1 + self.frame().random.below(80)) * MILLISECOND_NS;
            let trades = self.frame().now_ns() < quiet_ns + Self::TRADES_ON_NS;
            self.step(passed_ns, if trades { 6 } else { 0 })?;
            if trades || !self.frame().random.chance(1, 20) {
                continue;
            }
            match self.unsettled() {
                None => break,
                Some(why) if self.frame().now_ns() > quiet_ns + QUIET_MAX_NS => {
                    let why = format!("not right {QUIET_MAX_NS} ns after the last fault: {why}");
                    return Err(self.frame().breach(&why));
                }
                Some(_) => {}
            }
        }
        let settled_ns = self.frame().now_ns() - quiet_ns;
        // The last trades are reported some time after their books.
        for _ in 0..50 {
            self.step(40 * MILLISECOND_NS, 0)?;
        }
        self.finish(settled_ns)
    }
}

/// Runs seeds one after the other, looks at `each`, and prints what was injected.
pub(crate) fn run<W: World>(
    first: u64,
    count: u64,
    mut each: impl FnMut(&W),
) -> BTreeMap<W::Fault, u64> {
    // RUST_LOG=info shows what the engine logs.
    let _ = env_logger::builder().is_test(true).format_timestamp(None).try_init();
    let mut injected: BTreeMap<W::Fault, u64> = BTreeMap::new();
    for seed in first..first + count {
        let mut world = W::new(seed);
        let faults = world.run().unwrap_or_else(|breach| panic!("{breach}"));
        faults.into_iter().for_each(|(fault, n)| *injected.entry(fault).or_default() += n);
        each(&world);
    }
    eprintln!("{count} seeds from {first}");
    for (fault, count) in &injected {
        eprintln!("{count:>9} {fault:?}");
    }
    injected
}

//! The engine as a whole: builds links and threads in order, stops them in reverse.
//!
//! Runs on:  main thread, which is never pinned and may block. Owns: the threads.
//!
//! Start: sockets to listen on, links, shards, control core, serve core. Stop: serve core, control
//! core (which stops the shards and waits for them), then the threads are joined.
use crate::base::{
    id::{ConnectionId, ShardId, TokenId},
    limits::{self, STOP_TIMEOUT_NS},
    time::{Clock, SECOND_NS},
};
use crate::config::Config;
use crate::control::{
    dial::Target,
    discovery::{Discovery, Lookup},
    lifecycle::{Lifecycle, LifecycleOptions},
    pump::{Control, ControlParts},
    run::{self, Fetchers, Sources},
    shard_proxy::ShardProxy,
};
use crate::counter::report::EngineReport;
use crate::io::{
    clock::HostClock,
    driver::{Doorbell, Driver},
    executor::{Executor, StartError, check_host},
    fetch::{FetchError, FetchLimits, Fetcher},
    resolve::Resolver,
    socket::Tcp,
};
use crate::link::{
    main_control::{Command, ControlNews, MAIN_CONTROL_DEPTH},
    serve_control::{ControlAnswer, ControlQuery},
    serve_shard::{BookAnswer, BookQuery},
};
use crate::ring::{Consumer, LinkGauge, Producer, ring};
use crate::serve::{BindError, Listener, ServeLinks, Server, Wake};
use crate::shard::{Idle, Shard, ShardLinks, publish::Handler};
use crate::topology::{self, ThreadPlan, Topology, TopologyError};
use crate::venue::Feed;
use crate::wire::{
    endpoint::Endpoint,
    tls::{TlsError, client_config},
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why the engine cannot start: one line with the remedy.
#[derive(Debug)]
pub enum EngineError {
    /// The layout does not fit the machine. Exit code 2.
    Topology(TopologyError),
    /// A certificate authority or host name is unusable. Exit code 2.
    Tls(TlsError),
    /// The address for local clients cannot be used. Exit code 1.
    Listen(BindError),
    /// A service's address is unusable. Exit code 2.
    Service(FetchError),
    /// A thread cannot start. Exit code 1.
    Start(StartError),
    /// The kernel gives no file descriptors. Exit code 1.
    Files(std::io::Error),
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topology(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Listen(error) => write!(f, "--serve: {error}; choose another address"),
            Self::Service(error) => write!(f, "{error}"),
            Self::Start(error) => write!(f, "{error}"),
            Self::Files(error) => {
                write!(f, "no file descriptors left: {error}; raise them with `ulimit -n 65536`")
            }
        }
    }
}

impl std::error::Error for EngineError {}

impl EngineError {
    /// 2 when the command line is to be mended, 1 when the host is.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Topology(_) | Self::Tls(_) | Self::Service(_) => 2,
            Self::Listen(..) | Self::Start(_) | Self::Files(_) => 1,
        }
    }
}

/// What a stopped engine leaves behind.
#[derive(Debug)]
pub struct Ending {
    /// The last picture, if there was one.
    pub report: Option<Box<EngineReport>>,
    /// Shards or threads that did not end in time.
    pub left_behind: Vec<String>,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    topology: Topology,
    clock: HostClock,
    serving: Option<SocketAddr>,
    commands: Producer<Command>,
    news: Consumer<ControlNews>,
    serve_stop: Arc<AtomicBool>,
    serve: Option<Executor<()>>,
    control: Executor<()>,
    shards: Vec<Executor<()>>,
    last_ticket: u64,
}

/// Ends of the links of the serve core.
struct ServeEnds {
    shards: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    queries: Producer<ControlQuery>,
    answers: Consumer<ControlAnswer>,
}

/// Shards that are built and wait for their threads.
struct BuiltShards<H> {
    shards: Vec<Shard<H>>,
    proxies: Vec<ShardProxy>,
    serve: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    doorbells: Vec<Doorbell>,
    /// Links without an end in the control core.
    links: Vec<(String, Box<dyn LinkGauge>)>,
}

impl Engine {
    /// Starts everything. `factory` makes one handler per shard, here, on the calling thread.
    ///
    /// # Errors
    /// [`EngineError`]; nothing is running then.
    pub fn start<H, F>(config: &Config, factory: F) -> Result<Self, EngineError>
    where
        H: Handler + Send,
        F: FnMut(ShardId) -> H,
    {
        check_host().map_err(EngineError::Start)?;
        let topology = plan(config).map_err(EngineError::Topology)?;
        let listener = config.serve.map(listen).transpose()?;
        let serving = listener.as_ref().map(Listener::address);
        let clock = HostClock::new();
        let sources = sources(config)?;
        fetchers(&sources).map_err(EngineError::Service)?;
        let built = build_shards(&topology, config, &clock, factory)?;
        let (query_sender, queries) = ring(limits::SERVE_CONTROL_DEPTH);
        let (answers, answer_receiver) = ring(limits::SERVE_CONTROL_DEPTH);
        let (commands, command_receiver) = ring(MAIN_CONTROL_DEPTH);
        let (news_sender, news) = ring(MAIN_CONTROL_DEPTH);
        let target = target(config, &sources, feed(config));
        let mut links = built.links;
        links.push(("serve_control".into(), Box::new(query_sender.gauge())));
        links.push(("control_serve".into(), Box::new(answers.gauge())));
        links.push(("main_control".into(), Box::new(commands.gauge())));
        links.push(("control_main".into(), Box::new(news_sender.gauge())));
        let parts = ControlParts {
            links,
            shards: built.proxies,
            target,
            discovery: discovery(config, clock.mono_ns()),
            lifecycle: lifecycle(config),
            tokens_per_connection: config.tokens_per_connection,
            seed: clock.now().wall_ns,
            commands: command_receiver,
            news: news_sender,
            queries,
            answers,
        };
        let shards = (built.shards.into_iter().zip(&topology.shards))
            .map(|(shard, plan)| start_shard(shard, plan, config.driver))
            .collect::<Result<_, _>>()?;
        let control_clock = clock.clone();
        let control = Executor::start("control", topology.control.core, move || async move {
            let now = control_clock.now();
            // The addresses were checked before any thread started.
            let fetchers = fetchers(&sources).expect("an address that parsed once parses again");
            run::run(Control::new(parts, now), sources, fetchers, control_clock).await;
        })
        .map_err(EngineError::Start)?;
        let serve_stop = Arc::new(AtomicBool::new(false));
        let ends =
            ServeEnds { shards: built.serve, queries: query_sender, answers: answer_receiver };
        let serve = listener
            .map(|listener| start_serve(listener, ends, built.doorbells, &topology, &serve_stop))
            .transpose()?;
        let last_ticket = 0;
        Ok(Self {
            topology,
            clock,
            serving,
            commands,
            news,
            serve_stop,
            serve,
            control,
            shards,
            last_ticket,
        })
    }

    /// Which thread runs where.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where local clients are answered.
    #[must_use]
    pub fn serving(&self) -> Option<SocketAddr> {
        self.serving
    }

    /// The next news of the control core; ask several times a second.
    pub fn poll_news(&mut self) -> Option<ControlNews> {
        self.news.try_receive()
    }

    /// Follows a market that discovery has not found (condition id or slug). False when the ring
    /// is full: ask again.
    pub fn add_market(&mut self, name: &str) -> bool {
        self.commands.try_send(Command::AddMarket(name.to_owned())).is_ok()
    }

    /// Opens a connection for these tokens at once, by the same path as placement (same limits,
    /// no waiting for the threshold). The connection's number comes as [`ControlNews::Forced`]
    /// with the ticket that this gives; `None` when the ring is full: ask again.
    pub fn force_subscribe(&mut self, tokens: Vec<TokenId>) -> Option<u64> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let command = Command::ForceSubscribe { ticket, tokens };
        self.commands.try_send(command).is_ok().then_some(ticket)
    }

    /// Replaces a connection by a fresh one without a gap. Whether it waits for its turn comes as
    /// [`ControlNews::Recycling`] with the ticket that this gives, what became of it is in the report;
    /// `None` when the ring is full: ask again.
    pub fn force_recycle(&mut self, connection: ConnectionId) -> Option<u64> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let command = Command::Recycle { ticket, connection };
        self.commands.try_send(command).is_ok().then_some(ticket)
    }

    /// Asks for the histograms of the interval so far, which come as [`ControlNews::Interval`]
    /// within two seconds. False when the ring is full: ask again.
    pub fn cut_interval(&mut self) -> bool {
        self.commands.try_send(Command::CutInterval).is_ok()
    }

    /// Stops in reverse order of the start, every stage bounded. `on_news` hears what the control
    /// core still tells (the last interval of histograms is among it).
    pub fn stop(mut self, mut on_news: impl FnMut(&ControlNews)) -> Ending {
        let mut left_behind = Vec::new();
        self.serve_stop.store(true, Ordering::Release);
        if let Some(serve) = self.serve.take()
            && let Err(error) = serve.join_within(limits::THREAD_END_NS)
        {
            left_behind.push(error.to_string());
        }
        let mut last = None;
        let deadline_ns = self.clock.mono_ns() + STOP_TIMEOUT_NS + SECOND_NS;
        // The control core empties the ring every cycle; if it hangs, the deadline says so.
        while self.commands.try_send(Command::Stop).is_err() && self.clock.mono_ns() <= deadline_ns
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        loop {
            let stopped = match self.news.try_receive() {
                Some(ControlNews::Stopped { shards_left }) => {
                    if shards_left > 0 {
                        left_behind.push(format!("{shards_left} shards did not end in time"));
                    }
                    true
                }
                Some(news) => {
                    on_news(&news);
                    if let ControlNews::Report(report) = news {
                        last = Some(report);
                    }
                    continue;
                }
                None => false,
            };
            if stopped {
                break;
            }
            if self.clock.mono_ns() > deadline_ns {
                left_behind.push("the control core did not end in time".into());
                return Ending { report: last, left_behind };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if left_behind.is_empty() {
            let threads = self.shards.into_iter().chain([self.control]);
            left_behind.extend(
                threads
                    .filter_map(|t| t.join_within(limits::THREAD_END_NS).err())
                    .map(|e| e.to_string()),
            );
        }
        Ending { report: last, left_behind }
    }
}

/// Lays the threads out over the cores that this process may use.
fn plan(config: &Config) -> Result<Topology, TopologyError> {
    Topology::plan(&config.layout, &crate::io::executor::usable_cores())
}

fn fetchers(sources: &Sources) -> Result<Fetchers, FetchError> {
    let fetcher = |name, endpoint: &Endpoint| {
        let (resolver, tls) = (sources.resolver.clone(), Arc::clone(&sources.tls));
        Fetcher::new(name, &endpoint.url, resolver, tls, FetchLimits::default())
    };
    Ok(Fetchers {
        catalogue: fetcher("polymarket-gamma", &sources.gamma)?,
        books: fetcher("polymarket-clob", &sources.clob)?,
    })
}

fn listen(address: SocketAddr) -> Result<Listener, EngineError> {
    crate::serve::bind(address).map_err(EngineError::Listen)
}

fn feed(config: &Config) -> Feed {
    Feed::Polymarket { custom_features: config.custom_features }
}

fn sources(config: &Config) -> Result<Sources, EngineError> {
    let tls = client_config(config.tls_ca.as_deref()).map_err(EngineError::Tls)?;
    Ok(Sources {
        gamma: config.gamma.clone(),
        clob: config.clob.clone(),
        ws: config.ws.clone(),
        feed: feed(config),
        tls,
        resolver: Resolver::new().map_err(EngineError::Files)?,
    })
}

fn target(config: &Config, sources: &Sources, feed: Feed) -> Target {
    let Endpoint { url, host, tls, .. } = &config.ws;
    Target {
        url: url.clone(),
        host: host.clone(),
        tls: tls.then(|| Arc::clone(&sources.tls)),
        connector: Arc::new(Tcp),
        heartbeat: feed.heartbeat(),
    }
}

fn discovery(config: &Config, seed: u64) -> Discovery {
    let mut discovery = Discovery::new(config.discover, seed);
    let markets = config.markets.iter().map(|name| Lookup::parse(name));
    let tokens = config.tokens.iter().map(|&token| Lookup::Token(token));
    markets.chain(tokens).for_each(|lookup| {
        discovery.look_up(lookup);
    });
    discovery
}

fn lifecycle(config: &Config) -> Lifecycle {
    Lifecycle::new(LifecycleOptions {
        scanning: config.discover,
        markets_max: config.markets_max.map(|max| max as u64),
        trust_catalogue_after_end: true,
    })
}

fn build_shards<H, F>(
    topology: &Topology,
    config: &Config,
    clock: &HostClock,
    mut factory: F,
) -> Result<BuiltShards<H>, EngineError>
where
    H: Handler + Send,
    F: FnMut(ShardId) -> H,
{
    let mut built = BuiltShards {
        shards: Vec::new(),
        proxies: Vec::new(),
        serve: Vec::new(),
        doorbells: Vec::new(),
        links: Vec::new(),
    };
    for (place, plan) in topology.shards.iter().enumerate() {
        let id = ShardId(place as u16);
        let (order_sender, orders) = ring(limits::CONTROL_SHARD_DEPTH);
        let (reports, report_receiver) = ring(limits::SHARD_CONTROL_DEPTH);
        let (query_sender, queries) = ring(limits::SERVE_SHARD_DEPTH);
        let (answers, answer_receiver) = ring(limits::SERVE_SHARD_DEPTH);
        let reports_gauge = reports.gauge();
        built.links.push((format!("serve_{id}"), Box::new(query_sender.gauge())));
        built.links.push((format!("{id}_serve"), Box::new(answers.gauge())));
        let links = ShardLinks { orders, reports, queries, answers };
        let shard = Shard::new(id, feed(config), factory(id), clock.clone(), links);
        let shard = shard.map_err(EngineError::Files)?;
        let shard = shard
            .timing_connections(config.connection_histograms)
            .checking(config.hash_checks)
            .auditing(config.audit_round_ns);
        built.proxies.push(ShardProxy::new(
            id,
            plan.core,
            order_sender,
            report_receiver,
            reports_gauge,
            shard.doorbell(),
        ));
        built.doorbells.push(shard.doorbell());
        built.serve.push((query_sender, answer_receiver));
        built.shards.push(shard);
    }
    Ok(built)
}

fn start_shard<H: Handler + Send>(
    shard: Shard<H>,
    plan: &ThreadPlan,
    driver: Driver,
) -> Result<Executor<()>, EngineError> {
    let idle = match plan.idle {
        topology::Idle::Park => Idle::Park,
        topology::Idle::Adaptive => Idle::Adaptive,
        topology::Idle::Spin => Idle::Spin,
    };
    // Only the native driver leaves the waiting to the runtime.
    let spin_ns = match (driver, idle) {
        (Driver::Epoll, _) | (Driver::Native, Idle::Park) => 0,
        (Driver::Native, Idle::Adaptive) => limits::ADAPTIVE_SPIN_NS,
        (Driver::Native, Idle::Spin) => SECOND_NS,
    };
    let executor = Executor::start_spinning(&plan.name, plan.core, spin_ns, move || async move {
        shard.run(idle, driver).await;
    });
    executor.map_err(EngineError::Start)
}

fn start_serve(
    listener: Listener,
    ends: ServeEnds,
    doorbells: Vec<Doorbell>,
    topology: &Topology,
    stop: &Arc<AtomicBool>,
) -> Result<Executor<()>, EngineError> {
    let stop = Arc::clone(stop);
    let core = topology.serve.core;
    let executor = Executor::start("serve", core, move || async move {
        let wake = move |wake: Wake| match wake {
            // The control core looks into its rings every 10 ms by itself.
            Wake::Control => {}
            Wake::Shard(place) => doorbells[place].ring(),
        };
        let links = ServeLinks {
            control_queries: ends.queries,
            control_answers: ends.answers,
            shards: ends.shards,
            wake: Box::new(wake),
        };
        Server::new(links, listener).run(stop).await;
    });
    executor.map_err(EngineError::Start)
}

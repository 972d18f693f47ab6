//! The wiring of an engine: links, threads and the cores that they run on.
//!
//! Runs on:  main thread, before anything runs.
use super::serving::{self, CentralLinks, Listeners, ServeEnds, update_link};
use super::{Engine, EngineError};
use crate::api::EngineBuilder;
use crate::base::{
    id::ShardId,
    limits,
    time::{Clock, SECOND_NS},
};
use crate::bus::{BusPublisher, ClusterMember};
use crate::config::{Config, venue::VenueConfig};
use crate::control::{
    controller::{Controller, ControllerParts},
    dial::Target,
    discovery::{Discovery, Lookup},
    lifecycle::{Lifecycle, LifecycleOptions},
    run::{self, Sources},
    shard_proxy::ShardProxy,
    supervisor::{Supervisor, SupervisorLinks},
};
use crate::counter::{bus::BusBoard, capture::CaptureBoard, cluster::ClusterBoard};
use crate::io::{
    clock::{HostClock, ring_clock},
    driver::{Doorbell, Driver},
    executor::{Executor, check_host, check_pinning, no_thread},
    resolve::Resolver,
    socket::Tcp,
    wake::Sleeper,
};
use crate::link::{
    cluster_control::{SharedMarket, SliceBoard},
    control_sink::SinkEnd,
    serve_bus::BusSender,
    serve_shard::{BookAnswer, BookQuery},
    shard_capture::{CaptureReceiver, capture_link},
    shard_shard::Peers,
    shard_trade::{TradeReceiver, TradeSender},
};
use crate::ring::{Consumer, LinkGauge, Producer, ring, timed};
use crate::serve::gateway::ShardUpdates;
use crate::shard::{Shard, ShardConfig, ShardLinks, publish::Handler};
use crate::sink::capture::CaptureSink;
use crate::sink::trades::{SinkOptions, TradeSink};
use crate::topology::{Idle, ThreadPlan, Topology, TopologyError};
use crate::wire::{endpoint::Endpoint, tls::client_config};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

struct BuiltShards<H> {
    shards: Vec<Shard<H>>,
    proxies: Vec<ShardProxy>,
    serve: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    doorbells: Vec<Doorbell>,
    /// The gateway's ends, if there is one.
    updates: Vec<ShardUpdates>,
    /// Where trades come out, if they are kept.
    trades: Vec<TradeReceiver>,
    /// Where captured chunks come out, if there is a capture.
    captures: Vec<CaptureReceiver>,
    /// Links without an end in the control core.
    links: Vec<(String, Box<dyn LinkGauge>)>,
}

struct BuiltVenue<H> {
    venue: VenueConfig,
    sources: Sources,
    shards: BuiltShards<H>,
    /// The number from which its shards are counted.
    base: usize,
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
        let topology = check(config)?;
        if let Some(options) = &config.source {
            return super::source::start(config, options, topology, factory);
        }
        let Listeners { listeners, serving, gateways } = Listeners::bind(config)?;
        let (sleeper, clock) = (Sleeper::default(), HostClock::new());
        let CentralLinks { supervisor: mut links, program, serve } = CentralLinks::new();
        let mut built = build(&topology, config, &clock, &sleeper, factory)?;
        let (trades, sinks) = start_sink(config, &mut built, &mut links.gauges, &clock)?;
        let captures = built.iter_mut().flat_map(|b| std::mem::take(&mut b.shards.captures));
        let capture = start_capture(config, captures.collect(), &clock)?;
        let (cluster, slices) = start_cluster(config, &mut links.gauges, &clock)?;
        let (slices, shared) = slices.unzip();
        let (bus, bus_sender) = start_bus(config, &sleeper, &clock, slices.clone())?;
        let control = ControlEnds {
            links,
            sinks,
            capture: capture.as_ref().map(CaptureSink::board),
            bus: bus.as_ref().map(BusPublisher::board),
            cluster: slices.zip(shared).zip(cluster.as_ref().map(ClusterMember::board)),
        };
        let cores = start_cores(config, &topology, built, control, &clock)?;
        let serve_stop = Arc::new(AtomicBool::new(false));
        let ends = ServeEnds {
            control: serve,
            shards: cores.serve,
            doorbells: cores.doorbells,
            updates: cores.updates,
            sleeper,
            bus: bus_sender,
        };
        let serve = serving::start(config, &topology, listeners, ends, (&serve_stop, &clock))?;
        Ok(Self {
            topology,
            clock,
            serving,
            gateways,
            commands: program.commands,
            events: program.events,
            serve_stop,
            serve,
            control: Some(cores.control),
            shards: cores.shards,
            trades,
            capture,
            bus,
            cluster,
            source: None,
            last_ticket: 0,
        })
    }
}

impl EngineBuilder {
    /// Starts the engine. `factory` makes one handler per shard, here, on the calling thread.
    ///
    /// # Errors
    /// [`EngineError`]: a setting cannot be used, or a thread, a file or an address; nothing is running then.
    pub fn start<H, F>(self, factory: F) -> Result<Engine, EngineError>
    where
        H: Handler + Send,
        F: FnMut(ShardId) -> H,
    {
        Engine::start(&self.config()?, factory)
    }
}

/// Checks the settings and the host; the layout of the threads.
fn check(config: &Config) -> Result<Topology, EngineError> {
    config.check()?;
    check_host().map_err(EngineError::Start)?;
    let topology = plan(config).map_err(EngineError::Topology)?;
    if let Some(core) = topology.threads().find_map(|thread| thread.core) {
        check_pinning(core).map_err(EngineError::Start)?;
    }
    Ok(topology)
}

/// Lays the threads out over the cores that this process may use.
fn plan(config: &Config) -> Result<Topology, TopologyError> {
    // Each venue has shards of its own.
    let venues = config.venues.len() as u16;
    let mut layout = config.layout.clone();
    let usable = crate::io::executor::usable_cores();
    if venues > 1 && layout.shard_cores.is_empty() {
        let asked = layout.shards.unwrap_or(0);
        layout.shards = Some(asked.max(venues));
    }
    Topology::plan(&layout, &usable)
}

/// Shards and control core at work, and what the serve core needs of them.
struct Cores {
    shards: Vec<Executor<()>>,
    control: Executor<()>,
    serve: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    updates: Vec<ShardUpdates>,
    doorbells: Vec<Doorbell>,
}

/// What the control core has besides its shards.
struct ControlEnds {
    links: SupervisorLinks,
    sinks: VecDeque<SinkEnd>,
    capture: Option<Arc<CaptureBoard>>,
    bus: Option<Arc<BusBoard>>,
    /// The slices of this machine, markets of others and the figures, if it is a member of a cluster.
    cluster: Option<(ClusterEnds, Arc<ClusterBoard>)>,
}

/// Starts the shards of every venue, and the control core with a controller for each.
fn start_cores<H: Handler + Send>(
    config: &Config,
    topology: &Topology,
    built: Vec<BuiltVenue<H>>,
    ControlEnds { links, mut sinks, capture, bus, cluster }: ControlEnds,
    clock: &HostClock,
) -> Result<Cores, EngineError> {
    let (mut shards, mut serve, mut doorbells) = (Vec::new(), Vec::new(), Vec::new());
    let mut updates = Vec::new();
    let (mut venues, mut sources) = (Vec::new(), Vec::new());
    for BuiltVenue { venue, sources: its_sources, shards: built, base } in built {
        venues.push(ControllerParts {
            links: built.links,
            feed: venue.feed,
            shards: built.proxies,
            target: target(&venue, &its_sources),
            discovery: discovery(config, &venue, clock.mono_ns()),
            lifecycle: lifecycle(config, &venue),
            tokens_per_connection: venue.tokens_per_connection,
            table: venue.table,
            sink: sinks.pop_front(),
            capture: capture.clone(),
            bus: bus.clone(),
            seed: clock.now().wall_ns,
            races: config.race && !venue.feed.capabilities().is_sequenced(),
        });
        sources.push(its_sources);
        for (shard, plan) in built.shards.into_iter().zip(&topology.shards[base..]) {
            shards.push(start_shard(shard, plan, config.driver)?);
        }
        serve.extend(built.serve);
        updates.extend(built.updates);
        doorbells.extend(built.doorbells);
    }
    let (lag_warn_ns, names) = (config.lag_warn_ns, names(config));
    let wants_markets = H::WANTS_MARKETS || config.has_hub();
    let clock = clock.clone();
    let control = Executor::start("control", topology.control.core, move || async move {
        let now = clock.now();
        let controller = |parts| {
            let controller = Controller::new(parts, now).with_lag_warn(lag_warn_ns);
            if wants_markets { controller.reporting_markets() } else { controller }
        };
        let venues = venues.into_iter().map(controller).collect();
        let mut supervisor = Supervisor::new(venues, links, now);
        if let Some(((slices, markets), board)) = cluster {
            supervisor = supervisor.with_cluster(slices, markets, board);
        }
        names.iter().for_each(|name| supervisor.look_up(name));
        run::run(supervisor, sources, clock).await;
    });
    let control = control.map_err(EngineError::Start)?;
    Ok(Cores { shards, control, serve, updates, doorbells })
}

/// Builds the shards of every venue: as many for each, and one more for some where that does not go out even.
fn build<H, F>(
    topology: &Topology,
    config: &Config,
    clock: &HostClock,
    sleeper: &Sleeper,
    mut factory: F,
) -> Result<Vec<BuiltVenue<H>>, EngineError>
where
    H: Handler + Send,
    F: FnMut(ShardId) -> H,
{
    let venues = config.venues.clone();
    let (shards, count) = (topology.shards.len(), venues.len());
    let mut built = Vec::new();
    let mut base = 0;
    for (place, venue) in venues.into_iter().enumerate() {
        let share = shards / count + usize::from(place < shards % count);
        let sources = sources(config, &venue)?;
        let plans = &topology.shards[base..base + share];
        let shards = build_shards((plans, base), config, &venue, (clock, sleeper), &mut factory)?;
        built.push(BuiltVenue { venue, sources, shards, base });
        base += share;
    }
    Ok(built)
}

fn sources(config: &Config, venue: &VenueConfig) -> Result<Sources, EngineError> {
    let tls = client_config(config.tls_ca.as_deref()).map_err(EngineError::Tls)?;
    let services = Sources::services(venue.feed, &venue.catalog, &venue.books, &config.services);
    Ok(Sources {
        services: services.map_err(EngineError::Service)?,
        ws: venue.ws.clone(),
        feed: venue.feed,
        signer: venue.signer.clone(),
        tls,
        resolver: Resolver::serving(config.own_names())
            .map_err(|error| EngineError::Start(no_thread("resolve", &error)))?,
    })
}

fn target(venue: &VenueConfig, sources: &Sources) -> Target {
    let Endpoint { url, host, tls, .. } = &venue.ws;
    Target {
        url: url.clone(),
        host: host.clone(),
        tls: tls.then(|| Arc::clone(&sources.tls)),
        connector: Arc::new(Tcp),
        heartbeat: venue.feed.capabilities().heartbeat,
        signer: venue.signer.clone(),
    }
}

fn names(config: &Config) -> Vec<Lookup> {
    let markets = config.markets.iter().map(|name| Lookup::parse(name));
    markets.chain(config.tokens.iter().map(|&token| Lookup::Token(token))).collect()
}

fn discovery(config: &Config, venue: &VenueConfig, seed: u64) -> Discovery {
    Discovery::new(venue.feed, config.discover, seed)
}

fn lifecycle(config: &Config, venue: &VenueConfig) -> Lifecycle {
    Lifecycle::new(LifecycleOptions {
        opens_by_clock: venue.feed.capabilities().opens_by_clock,
        scanning: config.discover,
        markets_max: config.markets_max.map(|max| max as u64),
        trust_catalog_after_end: true,
        awaits_clients: config.awaits_clients(),
        keeps_listings: config.gateway.is_some(),
    })
}

fn build_shards<H, F>(
    (plans, base): (&[ThreadPlan], usize),
    config: &Config,
    venue: &VenueConfig,
    (clock, sleeper): (&HostClock, &Sleeper),
    factory: &mut F,
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
        updates: Vec::new(),
        trades: Vec::new(),
        captures: Vec::new(),
        links: Vec::new(),
    };
    for (place, plan) in plans.iter().enumerate() {
        let id = ShardId((base + place) as u16);
        let (command_sender, commands) = ring(limits::CONTROL_SHARD_DEPTH);
        let (reports, report_receiver) = ring(limits::SHARD_CONTROL_DEPTH);
        let (query_sender, queries) = timed(limits::SERVE_SHARD_DEPTH, ring_clock);
        let (answers, answer_receiver) = timed(limits::SERVE_SHARD_DEPTH, ring_clock);
        let reports_gauge = reports.gauge();
        built.links.push((format!("serve_{id}"), Box::new(query_sender.gauge())));
        built.links.push((format!("{id}_serve"), Box::new(answers.gauge())));
        let peers = Peers::default();
        let (updates, subscriber) = match config.has_hub() {
            false => (None, None),
            true => {
                let (link, ends) = update_link(sleeper);
                built.links.push((format!("{id}_updates"), Box::new(link.updates.gauge())));
                (Some(link), Some(ends))
            }
        };
        let links = ShardLinks { commands, reports, queries, answers, peers, updates };
        let shard_config = ShardConfig {
            hash_checks: config.hash_checks,
            audit_round_ns: config.audit_round_ns,
            poll_round_ns: venue.poll_round_ns,
            image_round_ns: config.capture.as_ref().map_or(0, |capture| capture.image_round_ns),
            times_connections: config.connection_histograms,
            races: config.race && !venue.feed.capabilities().is_sequenced(),
        };
        let shard = Shard::new(id, venue.feed, shard_config, factory(id), clock.clone(), links);
        let shard = shard.map_err(EngineError::Files)?;
        let shard = link_sinks(shard, id, config, venue, plans.len(), &mut built);
        built.proxies.push(ShardProxy::new(
            id,
            plan.core,
            command_sender,
            report_receiver,
            reports_gauge,
            shard.doorbell(),
        ));
        built.doorbells.push(shard.doorbell());
        built.updates.extend(subscriber.map(|(requests, updates)| ShardUpdates {
            venue: venue.feed.venue(),
            requests,
            updates,
            bell: Some(shard.doorbell()),
        }));
        built.serve.push((query_sender, answer_receiver));
        built.shards.push(shard);
    }
    if venue.feed.capabilities().shared_streams {
        link_shards(&mut built, base);
    }
    Ok(built)
}

/// Links a shard with the threads that keep trades and captures, where they are kept.
fn link_sinks<H: Handler>(
    shard: Shard<H>,
    id: ShardId,
    config: &Config,
    venue: &VenueConfig,
    shards: usize,
    built: &mut BuiltShards<H>,
) -> Shard<H> {
    let shard = match &config.trades {
        None => shard,
        Some(_) => {
            let (producer, trades) = ring(limits::SHARD_TRADE_DEPTH);
            built.links.push((format!("{id}_trades"), Box::new(producer.gauge())));
            built.trades.push(TradeReceiver { trades, gauge: producer.gauge() });
            shard.with_trade_sender(TradeSender::new(venue.feed.venue(), producer))
        }
    };
    match &config.capture {
        None => shard,
        Some(_) => {
            let (sender, receiver) = capture_link(id, limits::SHARD_CAPTURE_CHUNKS);
            built.links.push((format!("{id}_capture"), Box::new(sender.gauge())));
            built.captures.push(receiver);
            shard.with_capture(sender, shards as u16)
        }
    }
}

/// Links every shard with every other, where streams for all markets come on some connections.
fn link_shards<H: Handler>(built: &mut BuiltShards<H>, base: usize) {
    let count = built.shards.len();
    let mut peers: Vec<Peers> = (0..count).map(|_| Peers::default()).collect();
    for from in 0..count {
        for to in 0..count {
            if from == to {
                peers[from].out.push(None);
                continue;
            }
            let (producer, incoming) = ring(limits::SHARD_SHARD_DEPTH);
            built.links.push((
                format!("shard-{}_shard-{}", base + from, base + to),
                Box::new(producer.gauge()),
            ));
            peers[from].out.push(Some((producer, built.doorbells[to].clone())));
            peers[to].incoming.push(incoming);
        }
    }
    let shards = std::mem::take(&mut built.shards);
    let beside = shards.into_iter().zip(peers);
    built.shards =
        beside.map(|(shard, peers)| shard.with_peers(peers, count as u16, base as u16)).collect();
}

/// Starts the threads that keep trades, if any are to be kept, and links them with the controller of each venue.
fn start_sink<H>(
    config: &Config,
    built: &mut [BuiltVenue<H>],
    links: &mut Vec<(String, Box<dyn LinkGauge>)>,
    clock: &HostClock,
) -> Result<(Option<TradeSink>, VecDeque<SinkEnd>), EngineError> {
    let Some(options) = &config.trades else {
        return Ok((None, VecDeque::new()));
    };
    let (mut trade_receivers, alone) = (Vec::new(), built.len() == 1);
    let (mut producers, mut receivers) = (Vec::new(), Vec::new());
    for BuiltVenue { venue, shards, .. } in built {
        let (markets, receiver) = timed(limits::CONTROL_SINK_DEPTH, ring_clock);
        let venue = venue.feed.venue();
        let name = if alone {
            "control_sink".to_owned()
        } else {
            format!("control_sink_{}", venue.name())
        };
        links.push((name, Box::new(markets.gauge())));
        producers.push((venue, markets));
        receivers.push(receiver);
        trade_receivers.append(&mut shards.trades);
    }
    let venues = producers.iter().map(|(venue, _)| *venue).collect();
    let options = SinkOptions { venues, ..options.clone() };
    let sink = TradeSink::start(&options, trade_receivers, receivers, clock.clone());
    let mut sink = sink.map_err(EngineError::Trades)?;
    let mut ends = VecDeque::new();
    for (venue, markets) in producers {
        let known = if config.discover { sink.take_known(venue) } else { Vec::new() };
        ends.push_back(SinkEnd { markets, board: sink.board(), known });
    }
    Ok((Some(sink), ends))
}

/// Starts the thread that publishes to a broker, if one does; and the serve core's end. It is started here because
/// threads have the cores of the one that starts them, and this one is not pinned.
fn start_bus(
    config: &Config,
    sleeper: &Sleeper,
    clock: &HostClock,
    slices: Option<Arc<SliceBoard>>,
) -> Result<(Option<BusPublisher>, Option<BusSender>), EngineError> {
    let Some(options) = &config.bus else { return Ok((None, None)) };
    let started = crate::bus::start(options, sleeper.waker(), clock.clone(), slices);
    let (publisher, sender) = started.map_err(EngineError::Bus)?;
    Ok((Some(publisher), Some(sender)))
}

/// The board of a member's slices, and markets of the others.
type ClusterEnds = (Arc<SliceBoard>, Consumer<SharedMarket>);

fn start_cluster(
    config: &Config,
    gauges: &mut Vec<(String, Box<dyn LinkGauge>)>,
    clock: &HostClock,
) -> Result<(Option<ClusterMember>, Option<ClusterEnds>), EngineError> {
    let Some((options, group)) = config.bus.as_ref().zip(config.cluster.as_deref()) else {
        return Ok((None, None));
    };
    let slices = Arc::new(SliceBoard::new(config.discover));
    let (sender, markets) = ring(limits::CLUSTER_MARKETS_DEPTH);
    gauges.push(("cluster_control".into(), Box::new(sender.gauge())));
    let ends = (Arc::clone(&slices), sender);
    let member = crate::bus::join_cluster(options, group, ends, clock.clone());
    Ok((Some(member.map_err(EngineError::Bus)?), Some((slices, markets))))
}

fn start_capture(
    config: &Config,
    trade_receivers: Vec<CaptureReceiver>,
    clock: &HostClock,
) -> Result<Option<CaptureSink>, EngineError> {
    let Some(options) = &config.capture else { return Ok(None) };
    let stream = config.venues.first().map_or("", |venue| venue.ws.url.as_str());
    let sink = CaptureSink::start(options, trade_receivers, stream, clock.clone());
    sink.map(Some).map_err(EngineError::Capture)
}

fn start_shard<H: Handler + Send>(
    shard: Shard<H>,
    plan: &ThreadPlan,
    driver: Driver,
) -> Result<Executor<()>, EngineError> {
    let idle = plan.idle;
    // Only the native driver leaves the waiting to the runtime.
    let spin_ns = match (driver, idle) {
        (Driver::Epoll, _) | (Driver::Native, Idle::Park) => 0,
        (Driver::Native, Idle::Adaptive { .. }) => limits::WAKE_UP_COST_NS,
        (Driver::Native, Idle::Spin) => SECOND_NS,
    };
    let executor = Executor::start_spinning(&plan.name, plan.core, spin_ns, move || async move {
        shard.run(idle, driver).await;
    });
    executor.map_err(EngineError::Start)
}

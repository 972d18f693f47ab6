//! The serve core of an engine: its listeners, links and thread.
//!
//! Runs on:  main thread, before anything runs.
use super::{EngineError, host::host_judge};
use crate::base::limits;
use crate::config::{Config, venue::VenueConfig};
use crate::control::supervisor::SupervisorLinks;
use crate::gateway;
use crate::io::{
    clock::{HostClock, ring_clock},
    driver::Doorbell,
    executor::{Executor, no_thread},
    wake::Sleeper,
};
use crate::link::{
    main_control::{Command, ControlEvent, MAIN_CONTROL_DEPTH},
    serve_bus::BusSender,
    serve_control::{ControlAnswer, ControlQuery},
    serve_history::PriceHistory,
    serve_shard::{BookAnswer, BookQuery},
    shard_updates::{BookUpdate, UpdateLink, UpdateRequest},
};
use crate::ring::{Consumer, LinkGauge, Producer, ring, timed};
use crate::serve::gateway::{GatewayLinks, ShardUpdates};
use crate::serve::{Listener, ServeLinks, Server, Site, Wake};
use crate::topology::{Idle, Topology};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The links between the program, the control core and the serve core, where they are not with a thread yet.
pub(super) struct CentralLinks {
    pub(super) supervisor: SupervisorLinks,
    pub(super) program: ProgramLinks,
    pub(super) serve: ControlLinks,
}

pub(super) struct ProgramLinks {
    pub(super) commands: Producer<Command>,
    pub(super) events: Consumer<ControlEvent>,
}

pub(super) struct ControlLinks {
    queries: Producer<ControlQuery>,
    answers: Consumer<ControlAnswer>,
}

impl CentralLinks {
    pub(super) fn new() -> Self {
        let (query_sender, queries) = timed(limits::SERVE_CONTROL_DEPTH, ring_clock);
        let (answers, answer_receiver) = timed(limits::SERVE_CONTROL_DEPTH, ring_clock);
        let (command_sender, commands) = timed(MAIN_CONTROL_DEPTH, ring_clock);
        let (event_sender, events) = timed(MAIN_CONTROL_DEPTH, ring_clock);
        let gauges: Vec<(String, Box<dyn LinkGauge>)> = vec![
            ("serve_control".into(), Box::new(query_sender.gauge())),
            ("control_serve".into(), Box::new(answers.gauge())),
            ("main_control".into(), Box::new(command_sender.gauge())),
            ("control_main".into(), Box::new(event_sender.gauge())),
        ];
        Self {
            supervisor: SupervisorLinks {
                commands,
                events: event_sender,
                queries,
                answers,
                gauges,
            },
            program: ProgramLinks { commands: command_sender, events },
            serve: ControlLinks { queries: query_sender, answers: answer_receiver },
        }
    }
}

/// What the serve core has of the shards, or of the source in their place, and of the bus.
pub(super) struct ServeEnds {
    pub(super) control: ControlLinks,
    pub(super) shards: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    pub(super) doorbells: Vec<Doorbell>,
    /// The gateway's ends, if there is one.
    pub(super) updates: Vec<ShardUpdates>,
    pub(super) sleeper: Sleeper,
    pub(super) bus: Option<BusSender>,
}

/// Starts the serve core, if something listens or there is a bus to publish to.
pub(super) fn start(
    config: &Config,
    topology: &Topology,
    listeners: Vec<(Listener, Site)>,
    ends: ServeEnds,
    (stop, clock): (&Arc<AtomicBool>, &HostClock),
) -> Result<Option<Executor<()>>, EngineError> {
    let ServeEnds { control, shards, doorbells, updates, sleeper, bus } = ends;
    if listeners.is_empty() && bus.is_none() {
        return Ok(None);
    }
    let gateway = || -> Result<GatewayLinks, EngineError> {
        Ok(GatewayLinks {
            shards: updates,
            sleeper,
            settings: config.gateway_settings,
            spin_ns: gateway_spin_ns(config, topology),
            clock: clock.clone(),
            keys: config.gateway_access.keys.clone(),
            replays: None,
            prices: start_history(config)?,
            bus,
        })
    };
    let gateway = config.has_hub().then(gateway).transpose()?;
    let (names, judge) = (config.serve_names.clone(), host_judge(topology));
    let stop = Arc::clone(stop);
    let executor = Executor::start("serve", topology.serve.core, move || async move {
        let wake = move |wake: Wake| match wake {
            // The control core looks into its rings every 10 ms by itself.
            Wake::Control => {}
            // The source of a bus looks into its rings by itself, too.
            Wake::Shard(place) => {
                if let Some(doorbell) = doorbells.get(place) {
                    doorbell.ring();
                }
            }
        };
        let links = ServeLinks {
            control_queries: control.queries,
            control_answers: control.answers,
            shards,
            gateway,
            host: Some(judge),
            wake: Box::new(wake),
        };
        Server::new(links, listeners, &names).run(stop).await;
    });
    executor.map(Some).map_err(EngineError::Start)
}

/// How long the serve core polls for updates of the gateway before it sleeps: as the shards do.
fn gateway_spin_ns(config: &Config, topology: &Topology) -> u64 {
    if config.gateway.is_none() {
        return 0;
    }
    match topology.shards.first().map(|shard| shard.idle) {
        _ if config.gateway_spin => u64::MAX,
        Some(Idle::Spin) => u64::MAX,
        Some(Idle::Adaptive { .. }) => limits::WAKE_UP_COST_NS,
        Some(Idle::Park) | None => 0,
    }
}

pub(super) struct Listeners {
    pub(super) listeners: Vec<(Listener, Site)>,
    pub(super) serving: Option<SocketAddr>,
    pub(super) gateways: Vec<(gateway::Site, SocketAddr)>,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> Result<Self, EngineError> {
        let (mut listeners, mut gateways) = (Vec::new(), Vec::new());
        let mut serving = None;
        if let Some(address) = config.serve {
            let listener = crate::serve::bind(address).map_err(EngineError::Listen)?;
            serving = Some(listener.address());
            listeners.push((listener, Site::Engine));
        }
        let tls = config.gateway_access.tls();
        // Clients name the venue's host, so one port is enough.
        let by_name = config.gateway_access.impersonates.is_some();
        for venue in config.venues.iter().filter_map(|venue| Some((venue, config.gateway?))) {
            let (VenueConfig { feed, .. }, base) = venue;
            for &(site, offset) in gateway::Site::of(&feed.venue()) {
                if let (true, Some((_, shared))) = (by_name, gateways.first()) {
                    gateways.push((site, *shared));
                    continue;
                }
                let mut address = base;
                if address.port() != 0 && !by_name {
                    address.set_port(address.port().saturating_add(offset));
                }
                let listener = crate::serve::bind(address).map_err(EngineError::Gateway)?;
                gateways.push((site, listener.address()));
                let listener = listener.with_tls(tls.clone()).with_direct_writes();
                listeners.push((listener, Site::Gateway(site)));
            }
        }
        Ok(Self { listeners, serving, gateways })
    }
}

/// The link of a shard with the gateway: both ends.
pub(super) fn update_link(
    sleeper: &Sleeper,
) -> (UpdateLink, (Producer<UpdateRequest>, Consumer<BookUpdate>)) {
    let (request_sender, requests) = ring(limits::UPDATE_REQUESTS_DEPTH);
    let (updates, receiver) = ring(limits::SHARD_UPDATES_DEPTH);
    (UpdateLink { requests, updates, waker: sleeper.waker() }, (request_sender, receiver))
}

/// Starts the thread that reads stored trades for clients of the gateway, if trades are stored.
fn start_history(config: &Config) -> Result<Option<PriceHistory>, EngineError> {
    let Some(options) = &config.trades else { return Ok(None) };
    let history = crate::sink::history::start(options.address.clone());
    let history = history.map_err(|error| EngineError::Start(no_thread("trade-history", &error)));
    history.map(Some)
}

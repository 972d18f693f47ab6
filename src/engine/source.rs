//! An engine whose source is a bus: control core and serve core as in any other, and no shard.
//!
//! Runs on:  main thread, before anything runs.
use super::serving::{self, CentralLinks, Listeners, ServeEnds, update_link};
use super::{Engine, EngineError};
use crate::base::{id::ShardId, limits};
use crate::bus::address::BusOptions;
use crate::bus_source::{BusSource, SourceVenue};
use crate::config::Config;
use crate::control::{
    run,
    supervisor::{Supervisor, SupervisorLinks},
};
use crate::counter::bus_source::BusSourceBoard;
use crate::io::{
    clock::{HostClock, ring_clock},
    executor::{Executor, StartError},
    wake::Sleeper,
};
use crate::ring::timed;
use crate::serve::gateway::ShardUpdates;
use crate::shard::publish::Handler;
use crate::topology::Topology;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Starts everything. `factory` makes one handler per venue, here, on the calling thread.
///
/// # Errors
/// [`EngineError`]; nothing is running then.
pub(super) fn start<H, F>(
    config: &Config,
    options: &BusOptions,
    mut topology: Topology,
    mut factory: F,
) -> Result<Engine, EngineError>
where
    H: Handler + Send,
    F: FnMut(ShardId) -> H,
{
    topology.shards.clear();
    topology.notes.clear();
    let Listeners { listeners, serving, gateways } = Listeners::bind(config)?;
    let (sleeper, clock) = (Sleeper::default(), HostClock::new());
    let CentralLinks { supervisor: mut links, program, serve } = CentralLinks::new();
    let (mut venues, mut shards, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    for (place, venue) in config.venues.iter().enumerate() {
        let (shard, venue) = (ShardId(place as u16), venue.feed.venue());
        let (query_sender, queries) = timed(limits::SERVE_SHARD_DEPTH, ring_clock);
        let (answers, answer_receiver) = timed(limits::SERVE_SHARD_DEPTH, ring_clock);
        let link = config.has_hub().then(|| {
            let (link, (requests, receiver)) = update_link(&sleeper);
            links
                .gauges
                .push((format!("{}_updates", venue.name()), Box::new(link.updates.gauge())));
            updates.push(ShardUpdates { venue, requests, updates: receiver, bell: None });
            link
        });
        let handler = factory(shard);
        venues.push(SourceVenue { venue, shard, handler, updates: link, queries, answers });
        shards.push((query_sender, answer_receiver));
    }
    let source = crate::bus_source::start(options, venues).map_err(EngineError::Bus)?;
    let control = start_control(links, topology.control.core, source.board(), &clock);
    let control = control.map_err(EngineError::Start)?;
    let serve_stop = Arc::new(AtomicBool::new(false));
    let doorbells = Vec::new();
    let ends = ServeEnds { control: serve, shards, doorbells, updates, sleeper, bus: None };
    let serve = serving::start(config, &topology, listeners, ends, (&serve_stop, &clock))?;
    Ok(Engine {
        topology,
        clock,
        serving,
        gateways,
        commands: program.commands,
        events: program.events,
        serve_stop,
        serve,
        control: Some(control),
        shards: Vec::new(),
        trades: None,
        capture: None,
        bus: None,
        cluster: None,
        source: Some(source),
        last_ticket: 0,
    })
}

fn start_control(
    links: SupervisorLinks,
    core: Option<u32>,
    board: Arc<BusSourceBoard>,
    clock: &HostClock,
) -> Result<Executor<()>, StartError> {
    let clock = clock.clone();
    Executor::start("control", core, move || async move {
        let now = clock.now();
        let supervisor = Supervisor::new(Vec::new(), links, now).with_source(board, now);
        run::run(supervisor, Vec::new(), clock).await;
    })
}

/// Ends the source; its name if it does not end in time.
pub(super) fn stop(source: BusSource) -> Option<String> {
    (!source.stop()).then(|| "the thread bus-source did not end in time".to_owned())
}

//! Controller of one venue: its cycle, and the calls between its parts.
//!
//! Runs on:  control core, every 2 ms while a dial is in progress, else every 10 ms.
//! Owns:     markets, connections, dialer, the control ends of the links with the venue's shards.
//! Bounds:   at most one ring capacity of messages per ring and cycle.
//!
//! A cycle does not wait and is the only place that changes state. Tasks fetch bytes and pass them to
//! [`Controller::on_fetched`], [`Controller::on_resolved`] and the like.
#[cfg(test)]
mod tests;

use super::{
    connections::{Connections, Forced},
    dial::Target,
    dial_queue::DialQueue,
    dialer::{DialEnd, Dialer},
    discovery::{Discovery, Lookup, NameAnswer},
    io_request::{Fetched, IoRequest},
    lifecycle::Lifecycle,
    market_publisher::MarketPublisher,
    markets::Markets,
    placement::{Action, Placement},
    recycler::{Decision, Reason, RecycleError, Recycler},
    registry::Registry,
    reporting::{LinkGauges, Reporting},
    shard_proxy::ShardProxy,
    snapshot_requester::SnapshotRequester,
};
use crate::base::{
    id::{ConnectionId, TokenId, Venue},
    limits::{DIAL_INTERVAL_NS, MARKETS_MAX, SHARD_CONTROL_DEPTH, TABLE_DIAL_INTERVAL_NS},
    policy::ConnectionTable,
    time::{MILLISECOND_NS, Now},
};
use crate::counter::latency::{ConnectionLatencies, Latencies};
use crate::counter::service::ServiceReport;
use crate::counter::{bus::BusBoard, capture::CaptureBoard};
use crate::link::{control_sink::SinkEnd, shard_control::Report};
use crate::venue::Feed;
use log::{debug, info, warn};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Cycle interval while a dial is in progress.
pub(super) const DIALING_CYCLE_NS: u64 = 2 * MILLISECOND_NS;
/// Cycle interval otherwise. Each park of the runtime disturbs the other cores.
const QUIET_CYCLE_NS: u64 = 10 * MILLISECOND_NS;

/// Parts of a controller; built on the main thread.
#[derive(Debug)]
pub struct ControllerParts {
    /// The venue and its feed settings.
    pub feed: Feed,
    /// The shards, in order.
    pub shards: Vec<ShardProxy>,
    /// Address and TLS of the stream.
    pub target: Target,
    /// Catalog scans and lookups.
    pub discovery: Discovery,
    /// Registration and expiry of markets.
    pub lifecycle: Lifecycle,
    /// Target number of tokens per connection.
    pub tokens_per_connection: usize,
    /// The fixed connection table, if the venue has one.
    pub table: Option<ConnectionTable>,
    /// Names and gauges of links without an end on the control core, for the report.
    pub links: LinkGauges,
    /// The end of the trade sink, if there is one.
    pub sink: Option<SinkEnd>,
    /// Counters of the capture, if there is one.
    pub capture: Option<Arc<CaptureBoard>>,
    /// Counters of the bus, if there is one.
    pub bus: Option<Arc<BusBoard>>,
    /// Seed of the jitter.
    pub seed: u64,
    /// Whether each connection has a second one with the same tokens; not with a table.
    pub races: bool,
}

/// The controller of one venue.
#[derive(Debug)]
pub struct Controller {
    pub(super) venue: Venue,
    pub(super) markets: Markets,
    pub(super) connections: Connections,
    pub(super) dialer: Dialer,
    pub(super) snapshots: SnapshotRequester,
    pub(super) publisher: MarketPublisher,
    pub(super) reporting: Reporting,
    pub(super) shards: Vec<ShardProxy>,
    requests: VecDeque<IoRequest>,
    pub(super) started: Now,
    stopping: bool,
}

impl Controller {
    /// No market, no connection.
    #[must_use]
    pub fn new(parts: ControllerParts, now: Now) -> Self {
        let ControllerParts { feed, shards, table, tokens_per_connection: tokens, .. } = parts;
        let (venue, capabilities, count) = (feed.venue(), feed.capabilities(), shards.len() as u16);
        let mut registry = Registry::new(count);
        let mut placement = Placement::new(count);
        if let Some(table) = table {
            let capacity = usize::from(table.books) * tokens;
            registry = registry.carrying(tokens).holding(MARKETS_MAX.max(capacity));
            placement = placement.fixed(table, tokens);
        } else {
            placement = placement.with_target(tokens).racing(parts.races);
        }
        let recycler = Recycler::for_connections_of(tokens).racing(parts.races && table.is_none());
        let mut sink = parts.sink;
        let known = sink.as_mut().map(|sink| std::mem::take(&mut sink.known)).unwrap_or_default();
        if sink.is_some() {
            registry.track_changes();
        }
        let mut markets = Markets::new(venue, registry, parts.discovery, parts.lifecycle)
            .naming_books(parts.capture.is_some());
        if !known.is_empty() {
            markets.restore(known, now);
            placement.request_check();
        }
        let queue = DialQueue::new(parts.seed)
            .every(if table.is_some() { TABLE_DIAL_INTERVAL_NS } else { DIAL_INTERVAL_NS })
            .backing_off(capabilities.backoff_max_ns);
        Self {
            venue,
            markets,
            connections: Connections::new(placement, recycler),
            dialer: Dialer::new(feed.stream_name(), parts.target, queue),
            snapshots: SnapshotRequester::new(shards.len(), capabilities.books_request_limits),
            publisher: MarketPublisher::new(venue, sink),
            reporting: Reporting::new(venue, shards.len(), parts.links, (parts.capture, parts.bus)),
            shards,
            requests: VecDeque::new(),
            started: now,
            stopping: false,
        }
    }

    /// Sets the message age that `/health` reports, nanoseconds; 0 disables it.
    #[must_use]
    pub fn with_lag_warn(mut self, warn_ns: u64) -> Self {
        self.reporting.lag.warn_at(warn_ns);
        self
    }

    /// Enables `on_market` reports to handlers.
    #[must_use]
    pub fn reporting_markets(mut self) -> Self {
        self.markets.registry.track_changes();
        self.publisher.report_stages();
        self
    }

    /// Runs one cycle. Returns the time until the next, nanoseconds.
    pub fn step(&mut self, now: Now) -> u64 {
        self.take_reports(now);
        if self.stopping {
            self.shards.iter_mut().for_each(|shard| shard.flush(now));
            return DIALING_CYCLE_NS;
        }
        self.step_markets(now);
        self.publisher.step(&mut self.markets, &mut self.shards, now);
        let registry = &self.markets.registry;
        for decision in self.connections.poll_recycler(registry, &self.shards, now) {
            self.decide(decision, now);
        }
        let placement = &mut self.connections.placement;
        for action in placement.poll(now.mono_ns, &mut self.markets.registry) {
            self.carry_out(action, now);
        }
        self.connections.announce_idle(now);
        self.markets.warn_if_full();
        self.connections.warn_of_full_shards(&self.markets.registry);
        self.step_dials(now);
        while let Some(request) = self.snapshots.poll(now.mono_ns) {
            self.requests.push_back(IoRequest::Books(request));
        }
        self.shards.iter_mut().for_each(|shard| shard.flush(now));
        if self.dialer.is_busy() { DIALING_CYCLE_NS } else { QUIET_CYCLE_NS }
    }

    /// Registered markets.
    pub const fn registry(&self) -> &Registry {
        &self.markets.registry
    }

    /// Placement of markets on connections.
    pub const fn placement(&self) -> &Placement {
        &self.connections.placement
    }

    /// Next request for a task.
    pub fn poll_io_request(&mut self) -> Option<IoRequest> {
        self.requests.pop_front()
    }

    /// Takes the reports of the REST service pools.
    pub fn on_services(&mut self, services: Vec<ServiceReport>) {
        self.reporting.services = services;
    }

    /// Result of a catalog request.
    pub fn on_fetched(&mut self, fetched: Fetched, now: Now) {
        if self.markets.on_fetched(fetched, now) {
            self.connections.placement.request_check();
        }
        for (place, books) in self.markets.take_redescribed(self.shards.len()) {
            self.shards[place].describe(books, now);
        }
    }

    /// Result of an exchange status request.
    pub fn on_status(&mut self, fetched: Fetched, now: Now) {
        self.markets.on_status(fetched, now);
    }

    /// Result of a book request for the shard with index `shard`, sent after its question `question`.
    pub fn on_books(&mut self, shard: usize, question: u32, fetched: Fetched, now: Now) {
        let Some(text) = self.snapshots.on_fetched(fetched, now.mono_ns) else { return };
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.books(text, question, now);
        }
    }

    /// Result of a name lookup for a dial.
    pub fn on_resolved(
        &mut self,
        connection: ConnectionId,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Now,
    ) {
        if let Some(end) = self.dialer.on_resolved(connection, addresses, now) {
            self.on_dial_end(end, now);
        }
    }

    /// Looks up a market by name; the result is among the [`NameAnswer`]s. False if too many lookups are queued.
    pub(super) fn look_up(&mut self, lookup: Lookup) -> bool {
        self.markets.discovery.look_up(lookup)
    }

    /// Results of name lookups since the last call.
    pub(super) fn take_name_answers(&mut self) -> Vec<NameAnswer> {
        self.markets.take_name_answers()
    }

    /// Why a book does not exist yet, for HTTP responses; `None` if its token is not followed.
    pub(super) fn why_awaited(&self, token: &TokenId, now: Now) -> Option<String> {
        self.markets.why_awaited(token, &self.connections.placement, now)
    }

    /// Opens connections for the pending tokens among these, all of this venue.
    pub(super) fn force_subscribe(&mut self, tokens: &[TokenId], now: Now) -> Forced {
        self.connections.force_subscribe(tokens, &mut self.markets.registry, now)
    }

    /// Queues the replacement of a connection of any age.
    ///
    /// # Errors
    /// [`RecycleError`]; nothing has changed.
    pub fn force_recycle(&mut self, connection: ConnectionId) -> Result<(), RecycleError> {
        self.connections.force_recycle(connection)
    }

    /// Sets the merge limits: least age in nanoseconds, most tokens.
    pub fn set_merging(&mut self, age_min_ns: u64, tokens_max: usize) {
        self.connections.set_merging(age_min_ns, tokens_max);
    }

    fn take_reports(&mut self, now: Now) {
        for place in 0..self.shards.len() {
            for _ in 0..SHARD_CONTROL_DEPTH {
                let Some(report) = self.shards[place].receive() else { break };
                self.on_report(place, report, now);
            }
        }
    }

    fn on_report(&mut self, place: usize, report: Report, now: Now) {
        let registry = &mut self.markets.registry;
        match report {
            Report::Up { connection } => self.connections.on_up(connection, registry, now),
            Report::Down { connection, why, taken_over }
                if taken_over && !self.connections.is_given_back(connection, registry) =>
            {
                self.connections.on_taken_over(connection, &why);
            }
            Report::Down { connection, why, .. } => self.on_down(connection, &why, now),
            Report::HandedOver { to, counts } => {
                if let Some(action) = self.connections.on_handed_over(to, counts, registry, now) {
                    self.carry_out(action, now);
                }
            }
            Report::MarketUpdate(update) => self.markets.on_update(update, now),
            Report::Bad { connection, input, withheld } => {
                let more = if withheld == 0 {
                    String::new()
                } else {
                    format!(" ({withheld} more since the last line)")
                };
                let name = self.placement().name(connection);
                warn!("{name}: undecodable input, counted and passed over: {input}{more}");
            }
            Report::Heartbeat(heartbeat) => {
                self.shards[place].on_heartbeat(*heartbeat, now);
                self.reporting.on_heartbeat(&self.shards);
                for connection in self.connections.lost(&self.shards[place].heartbeat) {
                    self.on_down(connection, "the shard lost its socket", now);
                }
                self.connections.on_heartbeat(&self.shards[place].heartbeat, now);
            }
            Report::Latencies(filled) => self.reporting.on_latencies(place, &filled, now),
            Report::ConnectionLatencies { connection, latencies } => {
                self.reporting.on_connection_latencies(connection, latencies);
            }
            Report::Unrecognized { connection, what } => {
                warn!("{}: {what}", self.placement().name(connection));
            }
            Report::Wanted { tokens, urgent, question } => {
                self.snapshots.want(place, &tokens, urgent, question);
            }
            Report::Full { connection, tokens } => {
                self.connections.on_full(connection, &tokens, registry, now);
            }
            Report::Stopped => self.shards[place].stopped = true,
        }
    }

    fn on_down(&mut self, connection: ConnectionId, why: &str, now: Now) {
        if self.stopping {
            return self.connections.detach(connection);
        }
        for connection in self.connections.on_down(connection, why, now) {
            self.dialer.queue.request(connection, now.mono_ns);
        }
    }

    fn step_markets(&mut self, now: Now) {
        let step = self.markets.step(now);
        if step.place_now {
            self.connections.placement.request_check();
        }
        self.requests.extend(step.requests);
        for action in step.actions {
            self.carry_out(action, now);
        }
    }

    pub(super) fn decide(&mut self, decision: Decision, now: Now) {
        match decision {
            Decision::Begin { reason: Reason::Merge, .. } if !self.is_calm(now) => {
                self.connections.recycler.postpone_merging(now.mono_ns);
            }
            Decision::Begin { from, reason } => {
                let registry = &self.markets.registry;
                self.connections.begin_replacement(&from, reason, registry, now);
            }
            Decision::Switch { to } => {
                if let Some(shard) = self.shard_of(to) {
                    shard.switch(to, now);
                }
            }
            Decision::Abandon { to, why } => {
                self.connections.recycler.fail(to, why, now.mono_ns);
                for connection in self.connections.abandon_replacement(to, why) {
                    self.dialer.queue.request(connection, now.mono_ns);
                }
            }
        }
    }

    pub(super) fn carry_out(&mut self, action: Action, now: Now) {
        match action {
            Action::Open { connection, shard, tokens } => {
                self.connections.log_open(connection, shard, tokens.len());
                let books = self.markets.openings(&tokens);
                let placement = &self.connections.placement;
                let opened = (connection, placement.role(connection));
                let replaces = placement.replaces(connection);
                self.shards[usize::from(shard.0)].open(opened, books, replaces, now);
                self.dialer.queue.request(connection, now.mono_ns);
            }
            Action::Subscribe { connection, tokens } => {
                self.connections.announce_tokens(connection, tokens.len());
                let books = self.markets.openings(&tokens);
                if let Some(shard) = self.shard_of(connection) {
                    shard.subscribe(connection, books, now);
                }
            }
            Action::Unsubscribe { connection, tokens } => {
                // Both carry them while one takes over from the other.
                let both = self.placement().replaced_by(connection).into_iter().chain([connection]);
                for connection in both {
                    if let Some(shard) = self.shard_of(connection) {
                        shard.unsubscribe(connection, tokens.clone().into(), now);
                    }
                }
            }
            Action::Close { connection } => {
                let name = self.placement().name(connection);
                debug!("{name} is closed: none of its markets is active");
                self.dialer.cancel(connection);
                if let Some(shard) = self.shard_of(connection) {
                    shard.close(connection, now);
                }
                self.connections.on_closed(connection, &mut self.markets.registry, now);
            }
        }
    }

    fn shard_of(&mut self, connection: ConnectionId) -> Option<&mut ShardProxy> {
        let shard = self.connections.placement.shard(connection)?;
        self.shards.get_mut(usize::from(shard.0))
    }

    fn step_dials(&mut self, now: Now) {
        while let Some(connection) = self.dialer.begin_due(now.mono_ns) {
            self.connections.placement.on_dialing(connection);
            self.requests.push_back(IoRequest::Resolve(connection));
        }
        for end in self.dialer.step(now) {
            self.on_dial_end(end, now);
        }
    }

    fn on_dial_end(&mut self, end: DialEnd, now: Now) {
        match end {
            DialEnd::Up { connection, stream, session } => {
                self.connections.on_dialed(connection, now);
                if let Some(shard) = self.shard_of(connection) {
                    shard.attach(connection, stream, session, now);
                }
            }
            DialEnd::Failed { connection, why } => {
                let name = self.placement().name(connection);
                warn!("{name}: dial of {} failed: {why}; backing off", self.dialer.url());
                self.connections.placement.on_waiting(connection, &why);
            }
        }
    }

    /// Whether the stop has begun.
    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Number of shards that have not ended.
    pub(super) fn shards_left(&self) -> usize {
        self.shards.iter().filter(|shard| !shard.stopped).count()
    }

    /// Work due once per report interval, before the report.
    pub(super) fn begin_interval(&mut self, now: Now) {
        self.reporting.schema.update(&self.shards, now.mono_ns);
        self.shards.iter_mut().for_each(|shard| shard.swap_latencies(now));
    }

    /// Latencies recorded since the last call.
    pub(super) fn take_interval(&mut self) -> Latencies {
        self.reporting.take_interval()
    }

    /// Latencies of each connection, if recorded.
    pub(super) fn take_connections(&mut self) -> Vec<(ConnectionId, Box<ConnectionLatencies>)> {
        self.reporting.take_connections()
    }

    /// Commands the shards to end.
    pub(super) fn begin_stop(&mut self, now: Now) {
        info!("closing {} connections", self.connections.attached());
        self.stopping = true;
        self.dialer.stop();
        self.shards.iter_mut().for_each(|shard| shard.stop(now));
    }
}

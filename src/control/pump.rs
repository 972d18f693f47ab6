//! One venue's cycle on the control core: reports, decisions, dials, orders.
//!
//! Runs on:  control core, every 2 ms while a dial is in progress, else every 10 ms.
//! Owns:     registry, placement, dials, the far ends of the links with the venue's shards.
//! Bounds:   every ring is drained at most once around per cycle.
//!
//! One cycle is synchronous and the only place that changes state; tasks only fetch bytes and
//! put them into the inbox ([`Control::on_fetched`], [`Control::on_resolved`]).
use super::{
    catalogue::WithoutRoom,
    clock::HostClockCheck,
    dial::{Dial, DialError, Progress, Target},
    dialing::DialQueue,
    discovery::{Answer, Discovery, NameAnswer},
    exchange::Exchange,
    lag::Lag,
    lifecycle::Lifecycle,
    picture::Strangeness,
    placement::{Action, ForceError, Placement},
    recycling::Recycling,
    registry::{Registry, Source},
    resolutions::Resolutions,
    resync::{BooksRequest, Resync},
    shard_proxy::ShardProxy,
    skips::Skips,
    stream::Stream,
};
use crate::base::{
    id::{ConnectionId, TokenId, Venue},
    limits::{
        DIAL_INTERVAL_NS, DIAL_TIMEOUT_NS, MARKETS_MAX, RETRY_AFTER_DEFAULT_NS,
        SHARD_CONTROL_DEPTH, TABLE_DIAL_INTERVAL_NS,
    },
    policy::ConnectionTable,
    time::{MILLISECOND_NS, Now, SECOND_NS},
};
use crate::counter::capture::CaptureBoard;
use crate::counter::latency::{ConnectionLatencies, Latencies, Stage};
use crate::counter::service::ServiceReport;
use crate::link::{control_sink::SinkEnd, shard_control::Report};
use crate::market::book::BookOpening;
use crate::ring::LinkGauge;
use crate::venue::Feed;
use crate::wire::websocket::WebSocketError;
use log::{debug, info, warn};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// Between two cycles while a dial is in progress.
pub(super) const DIALLING_CYCLE_NS: u64 = 2 * MILLISECOND_NS;
/// Between two cycles otherwise: each park of the runtime disturbs the other cores.
const QUIET_CYCLE_NS: u64 = 10 * MILLISECOND_NS;
/// A socket that the shard reports as missing is redialled if it was handed over before this.
const AUDIT_AFTER_NS: u64 = 3 * SECOND_NS;
/// Scratch memory for handshakes: a certificate chain fits.
const HANDSHAKE_BUFFER_BYTES: usize = 16 * 1024;

/// Something that only a task can do: it waits for the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Fetch this path of the catalogue; then [`Control::on_fetched`].
    Fetch(String),
    /// Ask this path for the state of the exchange; then [`Control::on_status`].
    Status(&'static str),
    /// Resolve the market channel's host for this dial; then [`Control::on_resolved`].
    Resolve(ConnectionId),
    /// Ask the venue's REST interface for these books; then [`Control::on_books`].
    Books(BooksRequest),
}

/// What the controller of one venue is made of; built on the main thread.
#[derive(Debug)]
pub struct ControlParts {
    /// The venue, and what is asked of it.
    pub feed: Feed,
    /// The shards, in order.
    pub shards: Vec<ShardProxy>,
    /// Where to dial.
    pub target: Target,
    /// What to look for in the catalogue.
    pub discovery: Discovery,
    /// How markets come and go.
    pub lifecycle: Lifecycle,
    /// Tokens that placement puts on a connection.
    pub tokens_per_connection: usize,
    /// The connections, where they are a fixed table.
    pub table: Option<ConnectionTable>,
    /// Names and gauges of the links of its shards that the control core has no end of, for the report.
    pub links: Vec<(String, Box<dyn LinkGauge>)>,
    /// The trade sink, if there is one.
    pub sink: Option<SinkEnd>,
    /// The capture's figures, if there is one.
    pub capture: Option<Arc<CaptureBoard>>,
    /// Seed of the jitter.
    pub seed: u64,
}

/// The pause that the venue wants from all dials at `wall_ns`, if it wants one. A date that has passed is no pause but for
/// a 429, which means that dials are too many: the two clocks may differ.
pub(super) fn pause_of(error: &DialError, wall_ns: u64) -> Option<u64> {
    let DialError::WebSocket(WebSocketError::Refused { status, retry_after, .. }) = error else {
        return None;
    };
    match (status, retry_after.map(|after| after.seconds_from(wall_ns))) {
        (429, None | Some(0)) => Some(RETRY_AFTER_DEFAULT_NS),
        (_, Some(seconds)) => Some(seconds.saturating_mul(SECOND_NS)),
        _ => None,
    }
}

#[derive(Debug)]
struct Dialling {
    connection: ConnectionId,
    deadline_ns: u64,
    /// `None` until the host is resolved.
    dial: Option<Dial>,
}

/// The controller of one venue.
#[derive(Debug)]
pub struct Control {
    pub(super) venue: Venue,
    /// The stream as one of the services.
    pub(super) stream: Stream,
    /// The REST services, as their pools told last.
    pub(super) services: Vec<ServiceReport>,
    pub(super) registry: Registry,
    pub(super) placement: Placement,
    pub(super) discovery: Discovery,
    pub(super) lifecycle: Lifecycle,
    pub(super) skips: Skips,
    pub(super) exchange: Exchange,
    pub(super) dials: DialQueue,
    pub(super) resync: Resync,
    pub(super) recycling: Recycling,
    pub(super) next_recycle_ns: u64,
    pub(super) resolutions: Resolutions,
    pub(super) strangeness: Strangeness,
    pub(super) without_room: WithoutRoom,
    pub(super) lag: Lag,
    pub(super) clock: HostClockCheck,
    /// The first market that was asked for by name and gives no book, in words, and how many there are.
    pub(super) not_found: Option<(String, usize)>,
    /// What became of names that were asked for, for the supervisor.
    pub(super) name_answers: Vec<NameAnswer>,
    pub(super) sink: Option<SinkEnd>,
    pub(super) capture: Option<Arc<CaptureBoard>>,
    pub(super) shards: Vec<ShardProxy>,
    target: Target,
    dialling: Vec<Dialling>,
    /// Connections of a fixed table without markets, by when they came up, monotonic.
    pub(super) unannounced: BTreeMap<ConnectionId, u64>,
    /// When each connection's socket was handed to its shard, monotonic.
    attached_ns: BTreeMap<ConnectionId, u64>,
    pub(super) links: Vec<(String, Box<dyn LinkGauge>)>,
    pub(super) errands: VecDeque<Errand>,
    pub(super) latencies: Latencies,
    /// Of these, what was recorded since they were last taken.
    interval: Latencies,
    by_connection: Vec<(ConnectionId, Box<ConnectionLatencies>)>,
    pub(super) started: Now,
    stopping: bool,
    buffer: Box<[u8]>,
}

impl Control {
    /// Nothing known, nothing open.
    #[must_use]
    pub fn new(parts: ControlParts, now: Now) -> Self {
        let shards = parts.shards.len() as u16;
        let (tokens, table) = (parts.tokens_per_connection, parts.table);
        let mut registry = Registry::new(shards);
        if let Some(table) = table {
            let capacity = usize::from(table.books) * tokens;
            registry = registry.carrying(tokens).holding(MARKETS_MAX.max(capacity));
        }
        let mut sink = parts.sink;
        if sink.is_some() {
            registry.tell_changes();
        }
        let mut placement = Placement::new(shards);
        placement = match table {
            Some(table) => placement.fixed(table, tokens),
            None => placement.with_target(tokens),
        };
        let mut lifecycle = parts.lifecycle;
        let known = sink.as_mut().map(|sink| std::mem::take(&mut sink.known)).unwrap_or_default();
        if !known.is_empty() {
            info!("{} markets are known from the database", known.len());
            let source = Some(Source::Catalogue);
            let answer = Answer { markets: known, source, ..Answer::default() };
            lifecycle.on_answer(now, answer, &mut registry);
            placement.request_check();
        }
        Self {
            venue: parts.feed.venue(),
            stream: Stream::new(parts.feed.stream_name(), &parts.target),
            services: Vec::new(),
            registry,
            placement,
            discovery: parts.discovery,
            lifecycle,
            skips: Skips::default(),
            exchange: Exchange::default(),
            dials: DialQueue::new(parts.seed)
                .every(if table.is_some() { TABLE_DIAL_INTERVAL_NS } else { DIAL_INTERVAL_NS })
                .backing_off(parts.feed.backoff_max_ns()),
            resync: Resync::new(parts.shards.len(), parts.feed.books_request_limits()),
            recycling: Recycling::for_connections_of(tokens),
            next_recycle_ns: 0,
            resolutions: Resolutions::default(),
            strangeness: Strangeness::default(),
            without_room: WithoutRoom::default(),
            lag: Lag::new(parts.shards.len()),
            clock: HostClockCheck::default(),
            not_found: None,
            name_answers: Vec::new(),
            sink,
            capture: parts.capture,
            shards: parts.shards,
            target: parts.target,
            dialling: Vec::new(),
            unannounced: BTreeMap::new(),
            attached_ns: BTreeMap::new(),
            links: parts.links,
            errands: VecDeque::new(),
            latencies: Latencies::default(),
            by_connection: Vec::new(),
            interval: Latencies::default(),
            started: now,
            stopping: false,
            buffer: vec![0; HANDSHAKE_BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// Messages older than this when they are read are reported by `/health`, nanoseconds; 0 is never.
    #[must_use]
    pub fn with_lag_warn(mut self, warn_ns: u64) -> Self {
        self.lag.warn_at(warn_ns);
        self
    }

    /// One cycle. Gives how long to rest, nanoseconds.
    pub fn step(&mut self, now: Now) -> u64 {
        self.take_reports(now);
        if self.stopping {
            self.shards.iter_mut().for_each(|shard| shard.flush(now));
            return DIALLING_CYCLE_NS;
        }
        self.step_catalogue(now);
        self.tell_markets(now);
        self.step_recycling(now);
        for action in self.placement.poll(now.mono_ns, &mut self.registry) {
            self.carry_out(action, now);
        }
        self.announce_idle(now);
        self.warn_of_bounds();
        self.step_dials(now);
        while let Some(request) = self.resync.poll(now.mono_ns) {
            self.errands.push_back(Errand::Books(request));
        }
        self.shards.iter_mut().for_each(|shard| shard.flush(now));
        if self.dialling.is_empty() { QUIET_CYCLE_NS } else { DIALLING_CYCLE_NS }
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The connections.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The next thing that a task must do.
    pub fn poll_errand(&mut self) -> Option<Errand> {
        self.errands.pop_front()
    }

    /// What the pools of the REST services have done.
    pub fn on_services(&mut self, services: Vec<ServiceReport>) {
        self.services = services;
    }

    /// Opens a connection for those of these tokens that are this venue's and wait for one.
    ///
    /// # Errors
    /// [`ForceError`]; nothing has changed then.
    pub(super) fn force_subscribe(
        &mut self,
        tokens: &[TokenId],
        now: Now,
    ) -> Result<ConnectionId, ForceError> {
        self.placement.force_subscribe_tokens(tokens, now.mono_ns, &mut self.registry)
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
        match report {
            Report::Up { connection } => {
                let name = self.placement.name(connection);
                debug!("{name} is up");
                self.announce_up(connection, now);
                self.recycling.on_up(connection, now.mono_ns);
            }
            Report::Down { connection, why, taken_over }
                if taken_over && !self.is_given_back(connection) =>
            {
                let name = self.placement.name(connection);
                info!("{name}: {why}; its replacement has taken over");
                self.attached_ns.remove(&connection);
                self.placement.on_waiting(connection, &why);
            }
            Report::Down { connection, why, .. } => self.on_down(connection, &why, now),
            Report::HandedOver { to, counts } => self.on_handed_over(to, counts, now),
            Report::News(news) => self.on_news(news, now),
            Report::Bad { connection, input, withheld } => {
                let more = if withheld == 0 {
                    String::new()
                } else {
                    format!(" ({withheld} more since the last line)")
                };
                let name = self.placement.name(connection);
                warn!("{name}: undecodable input, counted and passed over: {input}{more}");
            }
            Report::Heartbeat(heartbeat) => {
                self.shards[place].on_heartbeat(*heartbeat, now);
                let offsets = self.shards.iter().map(|shard| shard.heartbeat.clock_offset_ms);
                if let Some(line) = self.clock.on_offsets(offsets, self.venue.name()) {
                    warn!("{line}");
                }
                self.audit(place, now);
                self.note_owing(place, now);
            }
            Report::Latencies(filled) => {
                self.lag.on_window(place, filled.stage(Stage::VenueToRead), now.mono_ns);
                self.latencies.add(&filled);
                self.interval.add(&filled);
            }
            Report::ConnectionLatencies { connection, latencies } => {
                self.by_connection.push((connection, latencies));
            }
            Report::Strange { connection, what } => {
                warn!("{}: {what}", self.placement.name(connection));
            }
            Report::Wanted { tokens, urgent } => self.resync.want(place, &tokens, urgent),
            Report::Full { connection, tokens } => self.on_full(connection, &tokens, now),
            Report::Stopped => self.shards[place].stopped = true,
        }
    }

    /// The venue takes no more on this connection: its cap is learnt, and the others go elsewhere.
    fn on_full(&mut self, connection: ConnectionId, tokens: &[TokenId], now: Now) {
        let name = self.placement.name(connection);
        warn!("{name}: the venue takes no more markets here; {} go elsewhere", tokens.len());
        self.placement.on_full(connection, tokens, now.mono_ns, &mut self.registry);
    }

    /// A `Down` that found the ring full is noticed here: the socket is gone, nobody dials.
    fn audit(&mut self, place: usize, now: Now) {
        let beat = &self.shards[place].heartbeat;
        let lost: Vec<ConnectionId> = beat
            .connections
            .iter()
            .filter(|connection| !connection.up)
            .map(|connection| connection.connection)
            .filter(|id| {
                let attached = self.attached_ns.get(id);
                attached.is_some_and(|&at| beat.at.mono_ns > at + AUDIT_AFTER_NS)
            })
            .collect();
        for connection in lost {
            self.on_down(connection, "the shard lost its socket", now);
        }
    }

    fn on_down(&mut self, connection: ConnectionId, why: &str, now: Now) {
        if self.attached_ns.remove(&connection).is_none() || self.stopping {
            return;
        }
        if self.recycle_lost(connection, now) {
            return;
        }
        self.unannounced.remove(&connection);
        self.report_loss(connection, why);
        self.placement.on_waiting(connection, why);
        self.dials.request(connection, now.mono_ns);
    }

    pub(super) fn carry_out(&mut self, action: Action, now: Now) {
        match action {
            Action::Open { connection, shard, tokens } => {
                let name = self.placement.name(connection);
                let replaces = self.placement.replaces(connection).to_vec();
                match tokens.len() {
                    // A fixed table is there before its markets.
                    0 => debug!("{name} is opened on {shard}"),
                    count if replaces.is_empty() => {
                        info!("{name} is opened on {shard} for {count} tokens");
                    }
                    count => {
                        let from = replaces.iter().map(|&from| self.placement.name(from));
                        let from: Vec<String> = from.map(|name| name.to_string()).collect();
                        let from = from.join(", ");
                        info!("{name} is opened on {shard} for {count} tokens of {from}");
                    }
                }
                let books = self.openings(&tokens);
                let role = self.placement.role(connection);
                let opened = (connection, role);
                self.shards[usize::from(shard.0)].open(opened, books, &replaces, now);
                self.dials.request(connection, now.mono_ns);
            }
            Action::Subscribe { connection, tokens } => {
                self.announce_tokens(connection, tokens.len());
                let books = self.openings(&tokens);
                if let Some(shard) = self.proxy_of(connection) {
                    shard.subscribe(connection, books, now);
                }
            }
            Action::Unsubscribe { connection, tokens } => {
                // Both carry them while one takes over from the other.
                if let Some(to) = self.placement.replaced_by(connection)
                    && let Some(shard) = self.proxy_of(to)
                {
                    shard.unsubscribe(to, tokens.clone().into(), now);
                }
                if let Some(shard) = self.proxy_of(connection) {
                    shard.unsubscribe(connection, tokens.into(), now);
                }
            }
            Action::Close { connection } => {
                let name = self.placement.name(connection);
                debug!("{name} is closed: none of its markets is active");
                self.dials.cancel(connection);
                self.dialling.retain(|dialling| dialling.connection != connection);
                self.attached_ns.remove(&connection);
                if let Some(shard) = self.proxy_of(connection) {
                    shard.close(connection, now);
                }
                self.placement.on_closed(connection, now.mono_ns, &mut self.registry);
            }
        }
    }

    pub(super) fn is_attached(&self, connection: ConnectionId) -> bool {
        self.attached_ns.contains_key(&connection)
    }

    pub(super) fn proxy_of(&mut self, connection: ConnectionId) -> Option<&mut ShardProxy> {
        let shard = self.placement.shard(connection)?;
        self.shards.get_mut(usize::from(shard.0))
    }

    pub(super) fn openings(&self, tokens: &[TokenId]) -> Box<[BookOpening]> {
        let opening = |token: &TokenId| {
            let info = &self.registry.market_of(token)?.info;
            Some(BookOpening {
                market: info.market,
                token: *token,
                tick_size: info.tick_size,
                min_order_size: info.min_order_size,
                neg_risk: info.neg_risk,
            })
        };
        tokens.iter().filter_map(opening).collect()
    }

    fn step_dials(&mut self, now: Now) {
        while let Some(due) = self.dials.poll(now.mono_ns) {
            self.placement.on_dialling(due.connection);
            let deadline_ns = now.mono_ns + due.timeout_ns.min(DIAL_TIMEOUT_NS);
            let connection = due.connection;
            self.dialling.push(Dialling { connection, deadline_ns, dial: None });
            self.errands.push_back(Errand::Resolve(connection));
        }
        let mut place = 0;
        while place < self.dialling.len() {
            let dialling = &mut self.dialling[place];
            let progress = match &mut dialling.dial {
                Some(dial) => dial.step(now.mono_ns, &mut self.buffer),
                None if now.mono_ns < dialling.deadline_ns => Progress::Pending,
                None => Progress::Failed(DialError::Timeout("resolving the host")),
            };
            let connection = dialling.connection;
            match progress {
                Progress::Pending => place += 1,
                Progress::Ready(stream, session) => {
                    self.dialling.swap_remove(place);
                    if let Some(took_ns) = self.dials.on_success(connection, now.mono_ns) {
                        self.stream.on_up(took_ns, now);
                    }
                    self.placement.on_active(connection, now.wall_ns);
                    self.attached_ns.insert(connection, now.mono_ns);
                    if let Some(shard) = self.proxy_of(connection) {
                        shard.attach(connection, stream, session, now);
                    }
                }
                Progress::Failed(error) => {
                    self.dialling.swap_remove(place);
                    let retry_after_ns = pause_of(&error, now.wall_ns);
                    let why = self.explain(&error);
                    self.stream.on_failure(&error, now);
                    self.on_dial_failed(connection, &why, retry_after_ns, now);
                }
            }
        }
    }

    /// What is wrong with a dial, with the remedy where it is the key's fault.
    fn explain(&self, error: &DialError) -> String {
        let refused = matches!(
            error,
            DialError::WebSocket(WebSocketError::Refused { status: 401 | 403, .. })
        );
        match &self.target.signer {
            Some(signer) if refused => {
                format!("{error}: the key is not accepted; {}", signer.when_refused())
            }
            _ => error.to_string(),
        }
    }

    fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        why: &str,
        retry_after_ns: Option<u64>,
        now: Now,
    ) {
        let name = self.placement.name(connection);
        warn!("{name}: dial of {} failed: {why}; backing off", self.target.url);
        self.dials.on_failure(connection, now.mono_ns, retry_after_ns);
        self.placement.on_waiting(connection, why);
    }

    /// The host of a dial is resolved, or cannot be.
    pub fn on_resolved(
        &mut self,
        connection: ConnectionId,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Now,
    ) {
        let Some(place) = self.dialling.iter().position(|d| d.connection == connection) else {
            return;
        };
        match addresses {
            Ok(addresses) => {
                let deadline_ns = self.dialling[place].deadline_ns;
                let target = self.target.clone();
                let dial = Dial::new(target, addresses, deadline_ns, now.wall_ns);
                self.dialling[place].dial = Some(dial);
            }
            Err(why) => {
                self.dialling.swap_remove(place);
                self.stream.on_unresolved(&why, now);
                self.on_dial_failed(connection, &why, None, now);
            }
        }
    }

    /// True once the stop has begun.
    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Shards that have not ended.
    pub(super) fn shards_left(&self) -> usize {
        self.shards.iter().filter(|shard| !shard.stopped).count()
    }

    /// What is due once in a report's interval, before the report.
    pub(super) fn begin_interval(&mut self, now: Now) {
        self.note_strangeness(now);
        self.shards.iter_mut().for_each(|shard| shard.swap_latencies(now));
    }

    /// What was recorded since this was last asked.
    pub(super) fn take_interval(&mut self) -> Latencies {
        std::mem::take(&mut self.interval)
    }

    /// What the frames of each connection took, where it was asked for.
    pub(super) fn take_connections(&mut self) -> Vec<(ConnectionId, Box<ConnectionLatencies>)> {
        std::mem::take(&mut self.by_connection)
    }

    /// Tells the shards to end.
    pub(super) fn begin_stop(&mut self, now: Now) {
        info!("closing {} connections", self.attached_ns.len());
        self.stopping = true;
        self.dialling.clear();
        self.shards.iter_mut().for_each(|shard| shard.stop(now));
    }
}

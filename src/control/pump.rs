//! The control core's cycle: commands, reports, decisions, dials, orders.
//!
//! Runs on:  control core, every 2 ms while a dial is in progress, else every 10 ms.
//! Owns:     registry, placement, dials, the far ends of all links.
//! Bounds:   every ring is drained at most once around per cycle.
//!
//! One cycle is synchronous and the only place that changes state; tasks only fetch bytes and
//! put them into the inbox ([`Control::on_fetched`], [`Control::on_resolved`]).
use super::{
    catalogue::WithoutRoom,
    clock::HostClockCheck,
    companion::Side,
    dial::{Dial, DialError, Progress, Target},
    dialing::DialQueue,
    discovery::{Answer, Discovery, Lookup},
    exchange::Exchange,
    lag::Lag,
    lifecycle::Lifecycle,
    picture::Strangeness,
    placement::{Action, Placement},
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
        DIAL_INTERVAL_NS, DIAL_TIMEOUT_NS, RETRY_AFTER_DEFAULT_NS, SHARD_CONTROL_DEPTH,
        STOP_TIMEOUT_NS, TABLE_CONNECTIONS_MAX, TABLE_DIAL_INTERVAL_NS,
    },
    policy::ConnectionTable,
    time::{MILLISECOND_NS, Now, SECOND_NS},
};
use crate::counter::capture::CaptureBoard;
use crate::counter::latency::{ConnectionLatencies, Latencies, Stage};
use crate::counter::service::ServiceReport;
use crate::link::{
    control_sink::SinkEnd,
    main_control::{Command, ControlNews},
    serve_control::{ControlAnswer, ControlQuery},
    shard_control::Report,
};
use crate::market::book::BookOpening;
use crate::ring::{Consumer, LinkGauge, Producer};
use crate::venue::Feed;
use crate::wire::websocket::WebSocketError;
use log::{debug, info, warn};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Between two cycles while a dial is in progress.
const DIALLING_CYCLE_NS: u64 = 2 * MILLISECOND_NS;
/// Between two cycles otherwise: each park of the runtime disturbs the other cores.
const QUIET_CYCLE_NS: u64 = 10 * MILLISECOND_NS;
/// Pictures for the main thread and interval histograms of the shards are taken this often.
const PICTURE_INTERVAL_NS: u64 = SECOND_NS;
/// One line of the histogram log covers this long.
const HISTOGRAM_INTERVAL_NS: u64 = 60 * SECOND_NS;
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

/// What the control core is made of; built on the main thread.
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
    /// Names and gauges of the links that the control core has no end of, for the report.
    pub links: Vec<(String, Box<dyn LinkGauge>)>,
    /// The trade sink, if there is one.
    pub sink: Option<SinkEnd>,
    /// The capture's figures, if there is one.
    pub capture: Option<Arc<CaptureBoard>>,
    /// Seed of the jitter.
    pub seed: u64,
    /// Commands of the main thread.
    pub commands: Consumer<Command>,
    /// News to the main thread.
    pub news: Producer<ControlNews>,
    /// Queries of the serve core.
    pub queries: Consumer<ControlQuery>,
    /// Answers to the serve core.
    pub answers: Producer<ControlAnswer>,
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

/// The control core's state.
#[derive(Debug)]
pub struct Control {
    pub(super) venue: Venue,
    /// The stream as one of the services.
    pub(super) stream: Stream,
    /// The REST services, as their pools told last.
    pub(super) services: Vec<ServiceReport>,
    pub(super) side: Side,
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
    interval: Box<Latencies>,
    by_connection: Vec<(ConnectionId, Box<ConnectionLatencies>)>,
    interval_since: Now,
    /// Pictures until the interval is sent before its time; 0 when nobody asked for that.
    interval_cut: u8,
    pub(super) started: Now,
    next_picture_ns: u64,
    stop_deadline_ns: Option<u64>,
    commands: Consumer<Command>,
    news: Producer<ControlNews>,
    queries: Consumer<ControlQuery>,
    answers: Producer<ControlAnswer>,
    buffer: Box<[u8]>,
}

impl Control {
    /// Nothing known, nothing open.
    #[must_use]
    pub fn new(parts: ControlParts, now: Now) -> Self {
        let shards = parts.shards.len() as u16;
        let (tokens, table) = (parts.tokens_per_connection, parts.table);
        let mut registry = Registry::new(shards);
        if table.is_some() {
            registry = registry.carrying(tokens);
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
            side: Side::Alone,
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
            recycling: Recycling::default(),
            next_recycle_ns: 0,
            resolutions: Resolutions::default(),
            strangeness: Strangeness::default(),
            without_room: WithoutRoom::default(),
            lag: Lag::new(parts.shards.len()),
            clock: HostClockCheck::default(),
            not_found: None,
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
            interval: Box::default(),
            interval_since: now,
            interval_cut: 0,
            started: now,
            next_picture_ns: now.mono_ns + PICTURE_INTERVAL_NS,
            stop_deadline_ns: None,
            commands: parts.commands,
            news: parts.news,
            queries: parts.queries,
            answers: parts.answers,
            buffer: vec![0; HANDSHAKE_BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// Messages older than this when they are read are reported by `/health`, nanoseconds; 0 is never.
    #[must_use]
    pub fn with_lag_warn(mut self, warn_ns: u64) -> Self {
        self.lag.warn_at(warn_ns);
        self
    }

    /// Two pumps on one core, of which the first speaks for both.
    #[must_use]
    pub fn pair(mut first: Self, mut second: Self) -> (Self, Self) {
        // A fixed table has the numbers from 1 on, and never more than its size.
        if first.placement.is_fixed() || second.placement.is_fixed() {
            first.placement.number_above(TABLE_CONNECTIONS_MAX);
            second.placement.number_above(TABLE_CONNECTIONS_MAX);
        }
        let (one, other) = Side::pair();
        (Self { side: one, ..first }, Self { side: other, ..second })
    }

    /// One cycle. Gives how long to rest, nanoseconds; `None` when all is over.
    pub fn step(&mut self, now: Now) -> Option<u64> {
        self.take_commands(now);
        if self.side.is_told_to_stop() {
            self.begin_stop(now);
        }
        self.take_reports(now);
        if let Some(deadline_ns) = self.stop_deadline_ns {
            return self.step_stop(now, deadline_ns);
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
        self.answer_queries(now);
        self.take_picture(now);
        Some(if self.dialling.is_empty() { QUIET_CYCLE_NS } else { DIALLING_CYCLE_NS })
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

    fn take_commands(&mut self, now: Now) {
        while let Some(command) = self.commands.try_receive() {
            match command {
                Command::ForceSubscribe { ticket, tokens } => {
                    let result = self.force_subscribe(&tokens, now);
                    let _ = self.news.try_send(ControlNews::Forced { ticket, result });
                }
                Command::Recycle { ticket, connection } => {
                    let result = self.force_recycle(connection).map_err(|error| error.to_string());
                    let _ = self.news.try_send(ControlNews::Recycling { ticket, result });
                }
                Command::AddMarket(name) => self.look_up(Lookup::parse(&name)),
                // The next picture asks the shards, the one after that has their answers.
                Command::CutInterval => self.interval_cut = 2,
                Command::Stop => self.begin_stop(now),
            }
        }
    }

    /// What the pools of the REST services have done.
    pub fn on_services(&mut self, services: Vec<ServiceReport>) {
        self.services = services;
    }

    fn force_subscribe(&mut self, tokens: &[TokenId], now: Now) -> Result<ConnectionId, String> {
        let registry = &mut self.registry;
        let placed = self.placement.force_subscribe_tokens(tokens, now.mono_ns, registry);
        placed.map_err(|error| error.to_string())
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
            Report::Down { connection, why, taken_over: true } => {
                let name = self.placement.name(connection);
                info!("{name}: {why}; its replacement has taken over");
                self.attached_ns.remove(&connection);
                self.placement.on_waiting(connection, &why);
            }
            Report::Down { connection, why, taken_over: false } => {
                self.on_down(connection, &why, now);
            }
            Report::HandedOver { from, to, counts } => self.on_handed_over(from, to, counts, now),
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
            Report::Strange { connection, text } => {
                let name = self.placement.name(connection);
                if let Some(error) = text.strip_prefix("error ") {
                    return warn!("{name}: the venue answered with error {error}");
                }
                warn!(
                    "{name}: the venue sent what is not known, counted and passed over: {text:?}"
                );
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
        if self.attached_ns.remove(&connection).is_none() || self.stop_deadline_ns.is_some() {
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
                match (tokens.len(), self.placement.replaces(connection)) {
                    // A fixed table is there before its markets.
                    (0, _) => debug!("{name} is opened on {shard}"),
                    (count, None) => info!("{name} is opened on {shard} for {count} tokens"),
                    (count, Some(from)) => {
                        let from = self.placement.name(from);
                        info!("{name} is opened on {shard} for {count} tokens of {from}");
                    }
                }
                let books = self.openings(&tokens);
                let replaces = self.placement.replaces(connection);
                let role = self.placement.role(connection);
                let opened = (connection, role);
                self.shards[usize::from(shard.0)].open(opened, books, replaces, now);
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
        if refused && self.target.signer.is_some() {
            return format!(
                "{error}: the key is not accepted; check --kalshi-key-id and --kalshi-key, which belong to prod or to demo, and this machine's clock"
            );
        }
        error.to_string()
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
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_deadline_ns.is_some()
    }

    fn answer_queries(&mut self, now: Now) {
        self.side.answer_other(|token| self.why_awaited(token, now));
        for (ticket, result) in self.side.take_answers() {
            let _ = self.answers.try_send(ControlAnswer::Ordered { ticket, result });
        }
        while let Some(query) = self.queries.try_receive() {
            let answer = match query {
                ControlQuery::Report { ticket } => {
                    ControlAnswer::Report { ticket, report: Box::new(self.report(now)) }
                }
                ControlQuery::Recycle { ticket, connection } => {
                    let result = self.force_recycle(connection).map_err(|error| error.to_string());
                    ControlAnswer::Ordered { ticket, result }
                }
                ControlQuery::Awaited { ticket, token } => {
                    let why = self.why_awaited(&token, now);
                    if why.is_none() && self.side.ask_other(ticket, token) {
                        continue;
                    }
                    ControlAnswer::Ordered { ticket, result: why.map_or(Ok(()), Err) }
                }
            };
            // If refused, the asker's request times out and says so.
            let _ = self.answers.try_send(answer);
        }
    }

    fn take_picture(&mut self, now: Now) {
        if now.mono_ns < self.next_picture_ns {
            return;
        }
        self.next_picture_ns = now.mono_ns + PICTURE_INTERVAL_NS;
        self.note_strangeness(now);
        self.shards.iter_mut().for_each(|shard| shard.swap_latencies(now));
        if self.lay_down(now) {
            return;
        }
        self.take_up();
        let report = Box::new(self.report(now));
        let _ = self.news.try_send(ControlNews::Report(report));
        let cut = self.interval_cut == 1;
        self.interval_cut = self.interval_cut.saturating_sub(1);
        if cut || now.mono_ns >= self.interval_since.mono_ns + HISTOGRAM_INTERVAL_NS {
            self.send_interval(now);
        }
    }

    /// The second of two pumps lays its picture down. False for any other.
    fn lay_down(&mut self, now: Now) -> bool {
        let Side::Second(desk) = &self.side else { return false };
        let desk = Rc::clone(desk);
        let mut desk = desk.borrow_mut();
        desk.report = Some(Box::new(self.own_report(now)));
        desk.latencies = self.latencies.clone();
        desk.interval.add(&std::mem::take(&mut *self.interval));
        true
    }

    /// The first of two takes up what the second recorded in the interval.
    fn take_up(&mut self) {
        if let Side::First(desk) = &self.side {
            self.interval.add(&std::mem::take(&mut desk.borrow_mut().interval));
        }
    }

    fn send_interval(&mut self, now: Now) {
        let news = ControlNews::Interval {
            start_wall_ns: self.interval_since.wall_ns,
            duration_ns: now.mono_ns - self.interval_since.mono_ns,
            latencies: std::mem::take(&mut self.interval),
        };
        match self.news.try_send(news) {
            Ok(()) => self.interval_since = now,
            // The next interval will hold both.
            Err(ControlNews::Interval { latencies, .. }) => self.interval = latencies,
            Err(_) => {}
        }
    }

    fn begin_stop(&mut self, now: Now) {
        if self.stop_deadline_ns.is_some() {
            return;
        }
        info!("closing {} connections", self.attached_ns.len());
        self.stop_deadline_ns = Some(now.mono_ns + STOP_TIMEOUT_NS);
        self.dialling.clear();
        self.side.tell_stop();
        self.shards.iter_mut().for_each(|shard| shard.stop(now));
    }

    fn step_stop(&mut self, now: Now, deadline_ns: u64) -> Option<u64> {
        self.shards.iter_mut().for_each(|shard| shard.flush(now));
        self.answer_queries(now);
        let left = self.shards.iter().filter(|shard| !shard.stopped).count();
        let other_left = self.side.other_left();
        if (left > 0 || other_left.is_none()) && now.mono_ns < deadline_ns {
            return Some(DIALLING_CYCLE_NS);
        }
        if self.lay_down(now) {
            if let Side::Second(desk) = &self.side {
                let mut desk = desk.borrow_mut();
                desk.by_connection = std::mem::take(&mut self.by_connection);
                desk.left = Some(left as u16);
            }
            return None;
        }
        self.take_up();
        if let Side::First(desk) = &self.side {
            self.by_connection.append(&mut desk.borrow_mut().by_connection);
        }
        let left = left + usize::from(other_left.unwrap_or(1));
        let report = Box::new(self.report(now));
        let _ = self.news.try_send(ControlNews::Report(report));
        self.send_interval(now);
        if !self.by_connection.is_empty() {
            let all = std::mem::take(&mut self.by_connection);
            let _ = self.news.try_send(ControlNews::Connections(all));
        }
        let _ = self.news.try_send(ControlNews::Stopped { shards_left: left as u16 });
        None
    }
}

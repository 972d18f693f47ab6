//! The event loop: one thread that owns connections, exchange and clock.
//!
//! Runs on:  the venue's thread.
//! Owns:     listener, connections, exchange, clock.
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;
use sha1::{Digest, Sha1};

use super::channel::{Channel, DumpFaults};
use super::clock::{Clock, wall_ms};
use super::config::{SimConfig, SimError};
use super::connection::{Client, Connection, Fate};
use super::connections::Connections;
use super::exchange::{Exchange, TokenIndex};
use super::fault::{push_malformed, push_unknown};
use super::json::Object;
use super::old_books::OldBooks;
use super::pace::{GivenUp, Pace, PaceReport, Pacer};
use super::quota::{Quota, Route};
use super::request::{Answer, Request, Unacceptable};
use super::routes;
use super::stats::Counters;
use super::steering::{self, Amount, ControlRequest};
use crate::base::random::Random;
use crate::base::time::Clock as PaceClock;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// First token of connections.
const SLOT_FIRST: usize = 2;
/// Bytes per read.
const READ_BYTES: usize = 64 * 1024;
/// Most virtual milliseconds per turn before sockets are served.
const STEPS_PER_TURN: u32 = 20;
/// Longest turn of a paced flow before sockets and commands are served.
const PACE_TURN_NS: u64 = 100_000;
/// Virtual time further behind is skipped and counted.
const BEHIND_MS_MAX: u64 = 2_000;
/// Longest sleep of the loop.
const TURN_MS_MAX: u64 = 250;
/// A connection that sends nothing for this time is closed.
const IDLE_MS_MAX: u64 = 120_000;
/// Deadline for the subscription of an upgraded connection.
const SUBSCRIBE_MS_MAX: u64 = 30_000;

/// Requests of the handle to the thread.
pub(super) enum Command {
    Pause(Sender<()>),
    Resume(Sender<()>),
    Truth(String, Sender<Option<String>>),
    Pace(Pace, Sender<PaceReport>, Sender<Result<(), SimError>>),
    CutPace(Sender<()>),
    Stop,
}

/// End of the refusal of upgrades.
struct Refusal {
    status: u16,
    until_ms: u64,
}

/// The venue.
pub(super) struct Server {
    poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    config: SimConfig,
    clock: Clock,
    exchange: Exchange,
    connections: Connections,
    quota: Quota,
    counters: Arc<Counters>,
    commands: Receiver<Command>,
    pace_clock: Option<Box<dyn PaceClock + Send>>,
    /// The active paced flow, and the receiver of its report.
    pacer: Option<(Pacer, Sender<PaceReport>)>,
    random: Random,
    refusal: Option<Refusal>,
    /// The same for book requests.
    books_refusal: Option<Refusal>,
    /// Delay of REST answers, milliseconds, and its end.
    slow: (u64, u64),
    old_books: OldBooks,
    /// The current second since the start, and upgrades within it.
    upgrades: (u64, u32),
    faults_sent: u64,
    swept_ms: u64,
    dropped_ms: u64,
    malformed_due: f64,
    scratch: Vec<u8>,
}

impl Server {
    /// Listens and creates the markets.
    pub(super) fn new(
        config: &SimConfig,
        tls: Option<Arc<ServerConfig>>,
        counters: Arc<Counters>,
        commands: Receiver<Command>,
    ) -> Result<Self, SimError> {
        let refused = |error| SimError::Listen(config.listen, error);
        let mut listener = TcpListener::bind(config.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let poll = Poll::new().map_err(SimError::Start)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(SimError::Start)?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE).map_err(SimError::Start)?;
        let exchange = Exchange::new(config, wall_ms(), Arc::clone(&counters));
        Ok(Self {
            clock: Clock::new(config.paused),
            connections: Connections::new(config, Arc::clone(&counters)),
            poll,
            waker: Arc::new(waker),
            listener,
            address,
            tls,
            config: config.clone(),
            exchange,
            quota: Quota::new(),
            counters,
            commands,
            pace_clock: None,
            pacer: None,
            random: Random::new(config.seed ^ 0x0fa1_75ed),
            refusal: None,
            books_refusal: None,
            slow: (config.slow_rest_ms, u64::MAX),
            old_books: OldBooks::default(),
            upgrades: (0, 0),
            faults_sent: 0,
            swept_ms: 0,
            dropped_ms: 0,
            malformed_due: 0.0,
            scratch: vec![0; READ_BYTES],
        })
    }

    /// The bound address.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clock of paced flows.
    pub(super) fn set_pace_clock(&mut self, clock: Box<dyn PaceClock + Send>) {
        self.pace_clock = Some(clock);
    }

    /// Wakes the loop for a command.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Runs until stopped.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        self.resume_if_running();
        loop {
            let wait = self.wait();
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("the simulated venue cannot wait for sockets: {error}");
                    return;
                }
            }
            if self.take_commands() {
                return;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(token) => {
                        let slot = token - SLOT_FIRST;
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.receive(slot);
                        }
                        self.connections.mark_writable(slot, event.is_writable());
                    }
                }
            }
            self.connections.now_ms = self.clock.uptime_ms();
            self.play();
            self.keep_pace();
            self.check_connections();
            self.flush();
        }
    }

    fn resume_if_running(&mut self) {
        if !self.clock.is_paused() {
            let epoch_ms = self.clock.resume();
            self.exchange.set_epoch_ms(epoch_ms);
        }
    }

    fn wait(&mut self) -> Duration {
        if self.pacer.is_some() {
            // `keep_pace` waits.
            return Duration::ZERO;
        }
        let longest = Duration::from_millis(TURN_MS_MAX);
        if self.clock.is_paused() {
            return longest;
        }
        let now = self.clock.virtual_ms();
        let next = self.exchange.next_ms(now + TURN_MS_MAX);
        self.clock.until(next).min(longest)
    }

    /// True if the loop must end.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Pause(done)) => {
                    self.clock.pause();
                    let _ = done.send(());
                }
                Ok(Command::Resume(done)) => {
                    self.resume();
                    let _ = done.send(());
                }
                Ok(Command::Truth(token, answer)) => {
                    let book = routes::truth(&self.exchange, &token);
                    drop(answer.send(book.and_then(|bytes| String::from_utf8(bytes).ok())));
                }
                Ok(Command::Pace(pace, report, answer)) => {
                    let begun = self.begin_pace(pace, report);
                    drop(answer.send(begun));
                }
                Ok(Command::CutPace(done)) => {
                    self.end_pace(Some(GivenUp::Cut));
                    let _ = done.send(());
                }
                Ok(Command::Stop) => return true,
                Err(std::sync::mpsc::TryRecvError::Empty) => return false,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn resume(&mut self) {
        if self.clock.is_paused() {
            let epoch_ms = self.clock.resume();
            self.exchange.set_epoch_ms(epoch_ms);
        }
    }

    /// Advances the scenario to the present.
    fn play(&mut self) {
        if self.clock.is_paused() {
            return;
        }
        let now = self.clock.virtual_ms();
        for _ in 0..STEPS_PER_TURN {
            if !self.exchange.step(now, &mut self.connections) {
                return;
            }
        }
        let reached = self.exchange.next_ms(now);
        if now.saturating_sub(reached) > BEHIND_MS_MAX {
            self.counters.skipped_ms.add(now - reached);
            let epoch_ms = self.clock.hold_back(reached);
            self.exchange.set_epoch_ms(epoch_ms);
        }
    }

    fn begin_pace(&mut self, pace: Pace, report: Sender<PaceReport>) -> Result<(), SimError> {
        let refuse = |why: &str| Err(SimError::Config(why.to_owned()));
        if self.pace_clock.is_none() {
            return refuse("a paced flow needs the clock of its reader");
        }
        if !(pace.rate > 0.0 && pace.rate <= 1e9) {
            return refuse("a paced flow needs a rate within 0..=1e9");
        }
        if self.pacer.is_some() {
            return refuse("a paced flow is under way already");
        }
        let pacer = Pacer::new(pace, self.counters.frames.get(), &mut self.exchange);
        self.pacer = Some((pacer, report));
        Ok(())
    }

    fn end_pace(&mut self, given_up: Option<GivenUp>) {
        let Some((pacer, report)) = self.pacer.take() else { return };
        let frames = self.counters.frames.get();
        // The receiver may be gone.
        drop(report.send(pacer.finish(given_up, frames, &mut self.exchange)));
    }

    /// Makes and writes due beats; waits for the next if it is near.
    fn keep_pace(&mut self) {
        let (Some((pacer, _)), Some(clock)) = (&mut self.pacer, &self.pace_clock) else { return };
        self.exchange.advance(self.clock.virtual_ms());
        let turn_ns = clock.mono_ns();
        let mut now_ns = turn_ns;
        let mut ending = pacer.ending(now_ns);
        let mut over = Vec::new();
        while ending.is_none() && now_ns < turn_ns + PACE_TURN_NS {
            for _ in 0..pacer.batch(now_ns) {
                let Some((stamp, actions)) = pacer.take(now_ns, &mut self.exchange) else { break };
                let count = self.exchange.beat(stamp, actions, &mut self.connections);
                pacer.on_messages(stamp, count);
            }
            over.append(&mut self.connections.flush());
            now_ns = clock.mono_ns();
            pacer.on_offered(now_ns, self.connections.take_held_up());
            ending = pacer.ending(now_ns);
            if pacer.wants_backlog()
                && self.connections.backlog() > self.config.backlog_bytes_max / 4
            {
                ending = Some(Some(GivenUp::Backlog));
            }
            // Poll timeouts have a resolution of milliseconds, too coarse here.
            while now_ns < pacer.next_ns() && now_ns < turn_ns + PACE_TURN_NS {
                std::hint::spin_loop();
                now_ns = clock.mono_ns();
            }
        }
        if let Some(given_up) = ending {
            self.end_pace(given_up);
        }
        over.into_iter().for_each(|slot| self.end(slot));
    }

    fn accept(&mut self) {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // No descriptors left, or the peer has closed.
                    log::warn!("the simulated venue cannot accept: {error}");
                    return;
                }
            };
            drop(socket.set_nodelay(true));
            let slot = self.connections.reserve();
            let token = Token(slot + SLOT_FIRST);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut socket, token, interest);
            let now_ms = self.clock.uptime_ms();
            let made = registered.and_then(|()| {
                Connection::new(socket, self.tls.as_ref(), now_ms).map_err(io::Error::other)
            });
            self.connections.fill(slot, made.ok());
        }
    }

    fn receive(&mut self, slot: usize) {
        let now_ms = self.clock.uptime_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        connection.received_ms = now_ms;
        let fate = connection.receive(&mut self.scratch);
        self.handle_input(slot);
        if fate == Fate::Over {
            self.flush_one(slot);
            self.end(slot);
        }
    }

    fn handle_input(&mut self, slot: usize) {
        loop {
            let Some(connection) = self.connections.get(slot).filter(|c| !c.closing) else {
                return;
            };
            if connection.client.is_some() {
                return self.channel().handle_input(slot);
            }
            let request = match Request::take(&mut connection.input) {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(Unacceptable(status)) => {
                    connection.closing = true;
                    let answer = Answer::error(status, "request not acceptable");
                    answer.push(&mut connection.output, false, false);
                    self.counters.violations.add(1);
                    return self.connections.mark(slot);
                }
            };
            self.counters.requests.add(1);
            self.handle_request(slot, &request);
            self.connections.mark(slot);
        }
    }

    fn handle_request(&mut self, slot: usize, request: &Request) {
        let answer = if request.path == "/ws/market" {
            match self.upgrade(slot, request) {
                Ok(()) => return,
                Err(answer) => answer,
            }
        } else {
            self.answer(request)
        };
        let now_ms = self.clock.uptime_ms();
        let (by_ms, until_ms) = self.slow;
        let slow = by_ms > 0 && now_ms < until_ms && !request.path.starts_with("/sim/");
        if let Some(connection) = self.connections.get(slot) {
            if slow {
                self.counters.slow_answers.add(1);
                connection.held_until_ms = now_ms + by_ms;
            }
            answer.push(&mut connection.output, request.keep_alive, request.gzip);
            connection.closing |= !request.keep_alive;
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let route = routes::route(&request.path);
        if self.config.rate_limits
            && let Err(seconds) = self.quota.take(route, self.clock.uptime_ms())
        {
            self.counters.rate_limited.add(1);
            let mut answer = Answer::error(429, "Too Many Requests");
            answer.retry_after_s = Some(seconds);
            return answer;
        }
        let now_ms = self.clock.uptime_ms();
        if matches!(route, Route::Book | Route::Books)
            && let Some(refusal) = self.books_refusal.as_ref().filter(|r| now_ms < r.until_ms)
        {
            self.counters.refused.add(1);
            return Answer::error(refusal.status, "refused on purpose");
        }
        if route == Route::Free && !request.path.starts_with("/sim/truth/") {
            return match steering::parse(request) {
                Ok(order) => self.handle_control_request(order),
                Err((status, why)) => Answer::error(status, why),
            };
        }
        let (exchange, old) = (&self.exchange, &mut self.old_books);
        let book = &mut |token: &str| old.book(token, exchange, now_ms, &self.counters);
        let answer = routes::answer(exchange, request, wall_ms(), book);
        answer.unwrap_or_else(|| Answer::error(404, "no such path"))
    }

    fn upgrade(&mut self, slot: usize, request: &Request) -> Result<(), Answer> {
        let Some(key) = &request.websocket_key else {
            return Err(Answer::error(426, "this is a WebSocket endpoint"));
        };
        self.admit_upgrade()?;
        let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            BASE64.encode(digest)
        );
        connection.output.extend_from_slice(head.as_bytes());
        connection.client = Some(Box::new(Client::default()));
        self.counters.upgrades.add(1);
        self.counters.connections.add(1);
        Ok(())
    }

    /// Refuses an upgrade by fault or rate limit.
    fn admit_upgrade(&mut self) -> Result<(), Answer> {
        let now_ms = self.clock.uptime_ms();
        let refuse = |status, retry_after_s| {
            let mut answer = Answer::error(status, "refused");
            answer.retry_after_s = retry_after_s;
            Err(answer)
        };
        if let Some(refusal) = self.refusal.as_ref().filter(|refusal| now_ms < refusal.until_ms) {
            self.counters.refused.add(1);
            let seconds = (refusal.until_ms - now_ms).div_ceil(1000).max(1);
            return refuse(refusal.status, (refusal.status == 429).then_some(seconds));
        }
        let second = now_ms / 1000;
        let within = if self.upgrades.0 == second { self.upgrades.1 } else { 0 };
        let most = self.config.upgrades_per_second_max;
        if most > 0 && within >= most {
            self.counters.rate_limited.add(1);
            return refuse(429, Some(1));
        }
        self.upgrades = (second, within + 1);
        Ok(())
    }

    fn handle_control_request(&mut self, order: ControlRequest) -> Answer {
        let mut count = 0;
        match order {
            ControlRequest::Pause => self.clock.pause(),
            ControlRequest::Resume => self.resume(),
            ControlRequest::Stats => {}
            ControlRequest::Drop(amount) => count = self.drop_clients(amount),
            ControlRequest::Freeze(amount) => count = self.freeze_clients(amount),
            ControlRequest::FreezeMarkets(wanted) => count = self.freeze_markets(wanted),
            ControlRequest::Refuse { status, for_ms } => {
                let until_ms = self.clock.uptime_ms() + for_ms;
                self.refusal = Some(Refusal { status, until_ms });
            }
            ControlRequest::Fault { kind, rate, for_ms } => {
                let until_ms = self.clock.uptime_ms() + for_ms;
                self.connections.faults.set(kind, rate, until_ms);
            }
            ControlRequest::Stall { for_ms } => {
                self.counters.stalls.add(1);
                std::thread::sleep(std::time::Duration::from_millis(for_ms));
            }
            ControlRequest::Slow { by_ms, for_ms } => {
                self.slow = (by_ms, self.clock.uptime_ms() + for_ms);
            }
            ControlRequest::Clock { by_ms } => {
                self.counters.clock_steps.add(1);
                self.exchange.step_clock(by_ms);
            }
            ControlRequest::OldBooks { for_ms } => {
                self.old_books = OldBooks::until(self.clock.uptime_ms() + for_ms);
            }
            ControlRequest::RefuseBooks { status, for_ms } => {
                let until_ms = self.clock.uptime_ms() + for_ms;
                self.books_refusal = Some(Refusal { status, until_ms });
            }
            ControlRequest::Malformed(wanted) => count = self.send_faults(wanted, false),
            ControlRequest::Unknown(wanted) => count = self.send_faults(wanted, true),
            ControlRequest::Birth(wanted) => {
                self.exchange.order_births(wanted);
                count = wanted;
            }
            ControlRequest::Resolve(wanted) => count = self.exchange.order_resolutions(wanted),
            ControlRequest::FinerTick(wanted) => count = self.exchange.order_finer_ticks(wanted),
        }
        let mut body = Vec::new();
        let mut object = Object::new(&mut body);
        object.plain("paused", self.clock.is_paused()).plain("count", count);
        if order == ControlRequest::Stats {
            object.plain("virtual_ms", self.clock.virtual_ms());
            for (name, value) in self.counters.read().each() {
                object.plain(name, value);
            }
        }
        object.end();
        Answer::ok(body)
    }

    fn channel(&mut self) -> Channel<'_> {
        Channel {
            exchange: &mut self.exchange,
            connections: &mut self.connections,
            counters: &self.counters,
            faults: DumpFaults {
                tokens_max: self.config.dump_tokens_max,
                lost_percent: self.config.lost_books_percent,
            },
            random: &mut self.random,
        }
    }

    /// A random choice of upgraded connections.
    fn choose_clients(&mut self, amount: Amount, admits: impl Fn(&Client) -> bool) -> Vec<usize> {
        let mut slots = self.connections.clients();
        slots.retain(|&slot| {
            let client = self.connections.get(slot).and_then(|c| c.client.as_deref());
            client.is_some_and(&admits)
        });
        let count = amount.of(slots.len());
        for at in 0..count {
            let other = at + self.random.below((slots.len() - at) as u64) as usize;
            slots.swap(at, other);
        }
        slots.truncate(count);
        slots
    }

    fn drop_clients(&mut self, amount: Amount) -> u64 {
        let slots = self.choose_clients(amount, |_| true);
        for &slot in &slots {
            self.end(slot);
        }
        self.counters.dropped.add(slots.len() as u64);
        slots.len() as u64
    }

    fn freeze_clients(&mut self, amount: Amount) -> u64 {
        let slots = self.choose_clients(amount, |client| !client.frozen);
        for &slot in &slots {
            if let Some(client) = self.connections.get(slot).and_then(|c| c.client.as_mut()) {
                client.frozen = true;
            }
        }
        self.counters.frozen.add(slots.len() as u64);
        slots.len() as u64
    }

    /// Stops the data of some markets, each on one client.
    fn freeze_markets(&mut self, wanted: u64) -> u64 {
        let mut frozen = 0;
        for _ in 0..wanted {
            let slots = self.choose_clients(Amount::Some(1), |client| !client.tokens.is_empty());
            let Some(&slot) = slots.first() else { break };
            let client = self.connections.get(slot).and_then(|c| c.client.as_deref());
            let Some(client) = client else { break };
            let mut tokens: Vec<TokenIndex> = client.tokens.iter().copied().collect();
            tokens.sort_unstable();
            let market = tokens[self.random.below(tokens.len() as u64) as usize].market();
            tokens.retain(|token| token.market() == market);
            for token in tokens {
                self.exchange.unsubscribe(slot, token);
            }
            frozen += 1;
        }
        self.counters.frozen_markets.add(frozen);
        frozen
    }

    /// Sends additional frames to random subscribed connections.
    fn send_faults(&mut self, wanted: u64, unknown: bool) -> u64 {
        let able = |client: &Client| client.subscribed && !client.frozen;
        let slots = self.choose_clients(Amount::All, able);
        if slots.is_empty() {
            return 0;
        }
        for _ in 0..wanted {
            let slot = slots[self.random.below(slots.len() as u64) as usize];
            let client = self.connections.get(slot).and_then(|c| c.client.as_deref());
            // Preferably about a subscribed market.
            let tokens =
                client.map_or_else(Vec::new, |client| client.tokens.iter().copied().collect());
            let open = |market: &usize| self.exchange.markets[*market].has_book();
            let mut listened: Vec<usize> = tokens.iter().map(|token| token.market()).collect();
            listened.retain(open);
            listened.sort_unstable();
            let at = self.random.below(listened.len() as u64) as usize;
            let market = listened.get(at).copied().unwrap_or(0);
            let market = &self.exchange.markets[market];
            let mut frame = Vec::new();
            if unknown {
                push_unknown(&mut frame, &mut Vec::new(), market, self.faults_sent);
                self.counters.unknown.add(1);
            } else {
                push_malformed(&mut frame, market, self.faults_sent);
                self.counters.malformed.add(1);
            }
            self.faults_sent += 1;
            self.connections.append(slot, &frame, 1);
        }
        wanted
    }

    /// Once per second: closes silent connections and applies timed faults.
    fn check_connections(&mut self) {
        let now_ms = self.clock.uptime_ms();
        if now_ms < self.swept_ms + 1_000 {
            return;
        }
        let passed_ms = now_ms - self.swept_ms;
        self.swept_ms = now_ms;
        let silent = |connection: &Connection| {
            let timeout_ms = match &connection.client {
                Some(client) if !client.subscribed => SUBSCRIBE_MS_MAX,
                // Clients of the channel may be silent: Polymarket does not close them for it.
                Some(_) => u64::MAX,
                None => IDLE_MS_MAX,
            };
            now_ms.saturating_sub(connection.received_ms) > timeout_ms
        };
        let silent = self.connections.slots().filter(|(_, connection)| silent(connection));
        for slot in silent.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.end(slot);
        }
        let interval_ms = self.config.drop_interval_s * 1_000;
        if interval_ms > 0 && now_ms >= self.dropped_ms + interval_ms {
            self.dropped_ms = now_ms;
            self.drop_clients(Amount::Some(1));
        }
        if self.config.malformed_per_minute > 0 && !self.clock.is_paused() {
            self.malformed_due += self.config.malformed_per_minute as f64 * passed_ms as f64 / 60e3;
            let count = self.malformed_due.floor();
            self.malformed_due -= count;
            self.send_faults(count as u64, false);
        }
    }

    fn flush(&mut self) {
        for slot in self.connections.flush() {
            self.end(slot);
        }
    }

    fn flush_one(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get(slot) {
            let mut written = 0;
            connection.flush(&mut written);
            self.counters.bytes_sent.add(written);
        }
    }

    /// Closes a socket and removes its subscriptions.
    fn end(&mut self, slot: usize) {
        let Some(mut connection) = self.connections.take(slot) else { return };
        drop(self.poll.registry().deregister(&mut connection.socket));
        if let Some(client) = connection.client {
            self.counters.connections.subtract(1);
            for token in client.tokens {
                self.exchange.unsubscribe(slot, token);
            }
        }
    }
}

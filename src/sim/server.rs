//! The event loop: one thread that owns connections, exchange and clock.
//!
//! Runs on:  the venue's thread.
//! Owns:     listener, connections, exchange, clock.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use mio::Waker;
use rustls::ServerConfig;

use super::admission::Admission;
use super::channel::{Channel, DumpFaults};
use super::client_faults::ClientFaults;
use super::clock::{Clock, wall_ms};
use super::config::{SimConfig, SimError};
use super::connection::{Connection, Fate};
use super::connections::Connections;
use super::exchange::Exchange;
use super::json::Object;
use super::old_books::OldBooks;
use super::pace::{GivenUp, Pace, PaceReport, Pacer};
use super::quota::Route;
use super::request::{Answer, Request, Unacceptable};
use super::routes;
use super::sockets::{Ready, Sockets};
use super::stats::Counters;
use super::steering::{self, Amount, ControlRequest};
use crate::base::random::Random;
use crate::base::time::Clock as PaceClock;

const READ_BYTES: usize = 64 * 1024;
/// Most virtual milliseconds per turn before sockets are served.
const STEPS_PER_TURN: u32 = 20;
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

/// The venue.
pub(super) struct Server {
    sockets: Sockets,
    config: SimConfig,
    clock: Clock,
    exchange: Exchange,
    connections: Connections,
    admission: Admission,
    counters: Arc<Counters>,
    commands: Receiver<Command>,
    pace_clock: Option<Box<dyn PaceClock + Send>>,
    pacer: Option<(Pacer, Sender<PaceReport>)>,
    random: Random,
    old_books: OldBooks,
    faults_sent: u64,
    checked_ms: u64,
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
        Ok(Self {
            sockets: Sockets::listen(config.listen, tls)?,
            clock: Clock::new(config.paused),
            connections: Connections::new(config, Arc::clone(&counters)),
            config: config.clone(),
            exchange: Exchange::new(config, wall_ms(), Arc::clone(&counters)),
            admission: Admission::new(config, Arc::clone(&counters)),
            counters,
            commands,
            pace_clock: None,
            pacer: None,
            random: Random::new(config.seed ^ 0x0fa1_75ed),
            old_books: OldBooks::default(),
            faults_sent: 0,
            checked_ms: 0,
            dropped_ms: 0,
            malformed_due: 0.0,
            scratch: vec![0; READ_BYTES],
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.sockets.address()
    }

    pub(super) fn set_pace_clock(&mut self, clock: Box<dyn PaceClock + Send>) {
        self.pace_clock = Some(clock);
    }

    /// Wakes the loop for a command.
    pub(super) fn waker(&self) -> Arc<Waker> {
        self.sockets.waker()
    }

    pub(super) fn run(mut self) {
        if !self.clock.is_paused() {
            self.resume();
        }
        loop {
            let wait = self.wait();
            let Some(wake) = self.sockets.wait(wait) else { return };
            if self.take_commands() {
                return;
            }
            if wake.accept {
                self.accept();
            }
            for Ready { slot, readable, writable } in wake.ready {
                if readable {
                    self.receive(slot);
                }
                self.connections.mark_writable(slot, writable);
            }
            self.connections.now_ms = self.clock.uptime_ms();
            self.play();
            self.keep_pace();
            self.check_connections();
            self.flush();
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
                    self.resume_if_paused();
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
        let epoch_ms = self.clock.resume();
        self.exchange.set_epoch_ms(epoch_ms);
    }

    fn resume_if_paused(&mut self) {
        if self.clock.is_paused() {
            self.resume();
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
        let backlog_max = self.config.backlog_bytes_max / 4;
        let mut over = Vec::new();
        let (exchange, connections) = (&mut self.exchange, &mut self.connections);
        let ending = pacer.turn(&**clock, exchange, connections, backlog_max, &mut over);
        if let Some(given_up) = ending {
            self.end_pace(given_up);
        }
        over.into_iter().for_each(|slot| self.end(slot));
    }

    fn accept(&mut self) {
        while let Some(socket) = self.sockets.accept() {
            let slot = self.connections.reserve();
            let made = self.sockets.open(socket, slot, self.clock.uptime_ms());
            self.connections.fill(slot, made);
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
            let is_list = matches!(routes::route(&request.path), Route::Markets | Route::Events);
            self.counters.catalog_requests.add(is_list.into());
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
        if let Some(connection) = self.connections.get(slot) {
            if let Some(by_ms) = self.admission.delay_ms(&request.path, now_ms) {
                connection.held_until_ms = now_ms + by_ms;
            }
            answer.push(&mut connection.output, request.keep_alive, request.gzip);
            connection.closing |= !request.keep_alive;
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let (route, now_ms) = (routes::route(&request.path), self.clock.uptime_ms());
        if let Err(refused) = self.admission.admit(route, now_ms) {
            return refused;
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
        self.admission.admit_upgrade(self.clock.uptime_ms())?;
        let Some(connection) = self.connections.get(slot) else { return Ok(()) };
        connection.upgrade(key);
        self.counters.upgrades.add(1);
        self.counters.connections.add(1);
        Ok(())
    }

    fn handle_control_request(&mut self, order: ControlRequest) -> Answer {
        let mut count = 0;
        let until = |for_ms| self.clock.uptime_ms() + for_ms;
        match order {
            ControlRequest::Pause => self.clock.pause(),
            ControlRequest::Resume => self.resume_if_paused(),
            ControlRequest::Stats => {}
            ControlRequest::Drop(amount) => count = self.drop_clients(amount),
            ControlRequest::Freeze(amount) => count = self.client_faults().freeze(amount),
            ControlRequest::FreezeMarkets(wanted) => {
                count = self.client_faults().freeze_markets(wanted);
            }
            ControlRequest::Refuse { status, for_ms, next } => {
                self.admission.refuse_upgrades(status, until(for_ms), next);
            }
            ControlRequest::Fault { kind, rate, for_ms } => {
                self.connections.faults.set(kind, rate, until(for_ms));
            }
            ControlRequest::Stall { for_ms } => {
                self.counters.stalls.add(1);
                std::thread::sleep(std::time::Duration::from_millis(for_ms));
            }
            ControlRequest::Slow { by_ms, for_ms } => {
                self.admission.delay_answers(by_ms, until(for_ms));
            }
            ControlRequest::Clock { by_ms } => {
                self.counters.clock_steps.add(1);
                self.exchange.step_clock(by_ms);
            }
            ControlRequest::OldBooks { for_ms } => self.old_books = OldBooks::until(until(for_ms)),
            ControlRequest::RefuseBooks { status, for_ms } => {
                self.admission.refuse_books(status, until(for_ms));
            }
            ControlRequest::Malformed(wanted) => count = self.client_faults().send(wanted, false),
            ControlRequest::Unknown(wanted) => count = self.client_faults().send(wanted, true),
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

    fn client_faults(&mut self) -> ClientFaults<'_> {
        ClientFaults {
            exchange: &mut self.exchange,
            connections: &mut self.connections,
            counters: &self.counters,
            random: &mut self.random,
            sent: &mut self.faults_sent,
        }
    }

    fn drop_clients(&mut self, amount: Amount) -> u64 {
        let slots = self.client_faults().choose(amount, |_| true);
        for &slot in &slots {
            self.end(slot);
        }
        self.counters.dropped.add(slots.len() as u64);
        slots.len() as u64
    }

    /// Once per second: closes silent connections and applies timed faults.
    fn check_connections(&mut self) {
        let now_ms = self.clock.uptime_ms();
        if now_ms < self.checked_ms + 1_000 {
            return;
        }
        let passed_ms = now_ms - self.checked_ms;
        self.checked_ms = now_ms;
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
            self.client_faults().send(count as u64, false);
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
        let Some(connection) = self.connections.take(slot) else { return };
        if let Some(client) = self.sockets.close(connection) {
            self.counters.connections.subtract(1);
            for token in client.tokens {
                self.exchange.unsubscribe(slot, token);
            }
        }
    }
}

//! The event loop of the simulated Kalshi: one thread that owns every connection and the exchange.
//!
//! Runs on:  the venue's thread.
//! Owns:     listener, connections, exchange, clock.
use super::super::clock::{Clock, wall_ms};
use super::super::config::SimError;
use super::super::connection::{Connection, Fate};
use super::super::frame::{Opcode, Violation, push_close, push_frame};
use super::super::request::{Answer, Request, Unacceptable};
use super::super::sockets::{Ready, Sockets};
use super::allowance::Allowance;
use super::auth::Door;
use super::command::{BOOKS, CHANNELS};
use super::config::KalshiConfig;
use super::exchange::{Exchange, MarketEvent};
use super::messages;
use super::rest;
use super::session::{Parcel, Sessions, Slot};
use crate::base::random::Random;
use mio::Waker;
use rustls::ServerConfig;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const READ_BYTES: usize = 64 * 1024;
/// Longest sleep of the loop.
const TURN: Duration = Duration::from_millis(2);
const IDLE_TURN: Duration = Duration::from_millis(50);
/// A client with this many more queued bytes than its subscriptions allow is closed: it sends without reading.
const BACKLOG_BYTES_MORE: usize = 128 * 1024 * 1024;
/// Body of the venue's pings (kalshi/protocol.md, 1).
const PING_BODY: &[u8] = b"heartbeat";
const WS_PATH: &str = "/trade-api/ws/v2";
const STEERING: [&str; 7] = [
    "/sim/stats",
    "/sim/book",
    "/sim/books",
    "/sim/trades",
    "/sim/pause",
    "/sim/resume",
    "/sim/fault",
];
/// Faults of later messages, on one channel or on any numbered channel.
const FAULTS_OF_MESSAGES: [&str; 3] = ["lost", "doubled", "unknown-fields"];
const FAULTS_OF_COMMANDS: [&str; 4] = ["lost-ack", "stall-ack", "error-18", "error-27"];
/// Faults of clients, applied at once; `unknown-type` is an alias of `unknown`.
const FAULTS_OF_CLIENTS: [&str; 8] =
    ["cut", "half-open", "freeze", "error-10", "error-25", "garbage", "unknown", "unknown-type"];
/// Default delay of a stalled command.
const STALL_MS: u64 = 5_000;

/// The venue.
pub(super) struct Server {
    sockets: Sockets,
    config: KalshiConfig,
    door: Door,
    allowance: Allowance,
    clock: Clock,
    played_ms: u64,
    /// Time of the last messages, Unix milliseconds.
    last_sent_ms: u64,
    pinged_ms: u64,
    exchange: Exchange,
    sessions: Sessions,
    connections: BTreeMap<Slot, Connection>,
    /// Time of each client's last pong.
    ponged_ms: BTreeMap<Slot, u64>,
    last_slot: Slot,
    /// Delayed commands by due time.
    waiting: Vec<(u64, Slot, String)>,
    random: Random,
    stop: Arc<AtomicBool>,
    scratch: Vec<u8>,
}

impl Server {
    pub(super) fn new(
        config: &KalshiConfig,
        tls: Option<Arc<ServerConfig>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, SimError> {
        Ok(Self {
            sockets: Sockets::listen(config.listen, tls)?,
            config: config.clone(),
            door: Door::new(config)?,
            allowance: Allowance::new(rest::TOKENS_PER_SECOND, rest::TOKENS_MAX),
            clock: Clock::new(config.paused),
            played_ms: 0,
            last_sent_ms: 0,
            pinged_ms: 0,
            exchange: Exchange::new(config, wall_ms()),
            sessions: Sessions::new(config),
            connections: BTreeMap::new(),
            ponged_ms: BTreeMap::new(),
            last_slot: 0,
            waiting: Vec::new(),
            random: Random::new(config.seed ^ 0x5eed),
            stop,
            scratch: vec![0; READ_BYTES],
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.sockets.address()
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.sockets.waker()
    }

    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let wait = if self.clock.is_paused() { IDLE_TURN } else { TURN };
            let Some(wake) = self.sockets.wait(wait) else { return };
            if wake.accept {
                self.accept();
            }
            for Ready { slot, readable, writable } in wake.ready {
                if let Some(connection) = self.connections.get_mut(&slot) {
                    connection.full &= !writable;
                }
                if readable {
                    self.receive(slot);
                }
            }
            self.handle_commands();
            self.play();
            self.ping();
            self.deliver();
            self.flush();
        }
    }

    fn accept(&mut self) {
        while let Some(socket) = self.sockets.accept() {
            self.last_slot += 1;
            if let Some(connection) = self.sockets.open(socket, self.last_slot, 0) {
                self.connections.insert(self.last_slot, connection);
            }
        }
    }

    fn receive(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        let fate = connection.receive(&mut self.scratch);
        self.handle_input(slot);
        if fate == Fate::Over {
            self.end(slot);
        }
    }

    fn end(&mut self, slot: Slot) {
        self.sessions.remove(slot);
        self.ponged_ms.remove(&slot);
        if let Some(connection) = self.connections.remove(&slot) {
            self.sockets.close(connection);
        }
    }

    fn handle_input(&mut self, slot: Slot) {
        loop {
            let Some(connection) = self.connections.get_mut(&slot).filter(|c| !c.closing) else {
                return;
            };
            if connection.client.is_some() {
                return self.handle_frames(slot);
            }
            match Request::take(&mut connection.input) {
                Ok(Some(request)) => self.handle_request(slot, &request),
                Ok(None) => return,
                Err(Unacceptable(status)) => {
                    connection.closing = true;
                    let answer = Answer::error(status, "request not acceptable");
                    return answer.push(&mut connection.output, false, false);
                }
            }
        }
    }

    fn handle_frames(&mut self, slot: Slot) {
        let now_ms = self.clock.uptime_ms();
        while let Some(connection) = self.connections.get_mut(&slot) {
            let Connection { client: Some(client), input, output, .. } = connection else { return };
            if client.half_open {
                return input.clear();
            }
            match client.assembly.poll_message(input) {
                Ok(None) => return,
                Ok(Some(message)) => match message.opcode {
                    Opcode::Text if message.payload.len() > self.config.message_bytes_max => {
                        push_close(output, 1009, "message too big");
                        connection.closing = true;
                        return;
                    }
                    Opcode::Text => {
                        let text = String::from_utf8_lossy(&message.payload).into_owned();
                        let stalled_ms = self.sessions.faults.due_anywhere("stall-ack");
                        let late_ms = self.config.ack_delay_ms + stalled_ms.unwrap_or(0);
                        self.waiting.push((now_ms + late_ms, slot, text));
                    }
                    Opcode::Pong => _ = self.ponged_ms.insert(slot, now_ms),
                    Opcode::Ping => push_frame(output, Opcode::Pong, &message.payload),
                    Opcode::Close => {
                        push_close(output, 1000, "");
                        connection.closing = true;
                        return;
                    }
                    _ => {}
                },
                Err(Violation(what)) => {
                    let code = if what.ends_with("too long") { 1009 } else { 1002 };
                    push_close(output, code, what);
                    connection.closing = true;
                    return;
                }
            }
        }
    }

    /// Executes due commands, in random order if configured.
    fn handle_commands(&mut self) {
        let now_ms = self.clock.uptime_ms();
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(at, ..)| *at <= now_ms);
        self.waiting = later;
        while !due.is_empty() {
            let place = match self.config.shuffle_acks {
                true => self.random.below(due.len() as u64) as usize,
                false => 0,
            };
            let (_, slot, text) = due.remove(place);
            self.sessions.on_text(slot, &text, &self.exchange, now_ms);
            // Flush in between, so that many commands do not overflow a buffer whose socket is writable.
            self.deliver();
            let backlog = self.connections.get(&slot).map_or(0, Connection::backlog);
            if backlog > self.config.outbound_bytes_max / 2 {
                self.flush();
            }
        }
    }

    fn handle_request(&mut self, slot: Slot, request: &Request) {
        let answer = if request.path == WS_PATH {
            match self.upgrade(slot, request) {
                Ok(()) => return,
                Err(answer) => answer,
            }
        } else if request.path.starts_with("/sim/") {
            self.steer(request)
        } else if self.config.rate_limits
            && !self.allowance.take(self.clock.uptime_ms(), rest::COST)
        {
            Answer::error(429, "too many requests")
        } else {
            rest::answer(&self.exchange, request, self.door.admits(request, wall_ms()))
        };
        if let Some(connection) = self.connections.get_mut(&slot) {
            answer.push(&mut connection.output, request.keep_alive, request.gzip);
            connection.closing |= !request.keep_alive;
        }
    }

    fn upgrade(&mut self, slot: Slot, request: &Request) -> Result<(), Answer> {
        if request.method != "GET" {
            return Err(Answer::error(405, "method not allowed"));
        }
        let key = request.websocket_key.as_ref();
        let key = key.ok_or_else(|| Answer::error(426, "this is a WebSocket endpoint"))?;
        if !self.door.admits(request, wall_ms()) {
            return Err(Answer::error(401, "unauthorized"));
        }
        if self.sessions.clients() >= self.config.connections_max {
            self.sessions.faults.count("connections-max");
            return Err(Answer::error(429, "too many connections"));
        }
        let Some(connection) = self.connections.get_mut(&slot) else { return Ok(()) };
        connection.upgrade(key);
        self.sessions.add(slot);
        self.ponged_ms.insert(slot, self.clock.uptime_ms());
        Ok(())
    }

    /// Advances the exchange to the present.
    fn play(&mut self) {
        let now = self.clock.virtual_ms();
        let elapsed_ms = now.saturating_sub(self.played_ms);
        self.played_ms = now;
        if self.clock.is_paused() || elapsed_ms == 0 {
            return;
        }
        // No two turns share a millisecond.
        let now_ms = wall_ms().max(self.last_sent_ms + 1);
        self.last_sent_ms = now_ms;
        let (mut happenings, mut moved) = (Vec::new(), BTreeSet::new());
        self.exchange.play(now_ms, elapsed_ms, &mut happenings);
        loop {
            for happening in happenings.drain(..) {
                match happening {
                    MarketEvent::Ticker(place) => drop(moved.insert(place)),
                    // As the books are at this moment.
                    other => self.sessions.publish(&other, &self.exchange, now_ms),
                }
            }
            if !self.exchange.act(now_ms, &mut happenings) {
                break;
            }
        }
        // A ticker has the best prices after all changes of its millisecond (kalshi/protocol.md, 5).
        for place in moved {
            self.sessions.publish(&MarketEvent::Ticker(place), &self.exchange, now_ms);
        }
    }

    fn ping(&mut self) {
        let now_ms = self.clock.uptime_ms();
        let timeout_ms = self.config.pong_timeout_ms;
        for (slot, ponged_ms) in &self.ponged_ms {
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            let late = timeout_ms > 0 && now_ms > ponged_ms + timeout_ms;
            if late && !connection.closing && !is_half_open(connection) {
                push_close(&mut connection.output, 1008, "no pong");
                connection.closing = true;
            }
        }
        if now_ms < self.pinged_ms + self.config.ping_ms {
            return;
        }
        self.pinged_ms = now_ms;
        for connection in self.connections.values_mut() {
            if connection.client.is_some() && !connection.closing && !is_half_open(connection) {
                push_frame(&mut connection.output, Opcode::Ping, PING_BODY);
            }
        }
    }

    /// Encodes queued messages as frames. A subscription whose message does not fit the client's buffer ends
    /// (kalshi/protocol.md, 2.6: code 25).
    fn deliver(&mut self) {
        let mut outbox = std::mem::take(&mut self.sessions.outbox);
        let mut over = HashSet::new();
        for Parcel { slot, sid, mut text } in outbox.drain(..) {
            let Some(connection) = self.connections.get_mut(&slot) else { continue };
            let Some(client) = &connection.client else { continue };
            if client.half_open || client.frozen || connection.closing {
                continue;
            }
            if let Some(sid) = sid {
                if over.contains(&(slot, sid)) {
                    continue;
                }
                if connection.backlog() + text.len() > self.config.outbound_bytes_max {
                    over.insert((slot, sid));
                    let Some(last) = self.sessions.end_subscription(slot, sid, 25) else {
                        continue;
                    };
                    text = last;
                }
            }
            if self.config.sending_ts && text.ends_with('}') {
                text.pop();
                text.push_str(&format!(r#","sending_ts_ms":{}}}"#, wall_ms()));
            }
            push_frame(&mut connection.output, Opcode::Text, text.as_bytes());
        }
        // Nothing was queued meanwhile: reuse the empty buffer.
        self.sessions.outbox = outbox;
    }

    fn flush(&mut self) {
        let mut written = 0;
        let mut over = Vec::new();
        let most = self.config.outbound_bytes_max + BACKLOG_BYTES_MORE;
        for (&slot, connection) in &mut self.connections {
            let late = connection.backlog() > most;
            if connection.flush(&mut written) == Fate::Over || late {
                over.push(slot);
            }
        }
        over.into_iter().for_each(|slot| self.end(slot));
    }

    fn steer(&mut self, request: &Request) -> Answer {
        let done = || Answer::ok(b"{\"ok\":true}".to_vec());
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/sim/stats") => self.stats(),
            ("GET", "/sim/book") => {
                rest::truth(&self.exchange, request.query.first("ticker").or(Some("")))
            }
            ("GET", "/sim/books") => rest::truth(&self.exchange, None),
            ("GET", "/sim/trades") => {
                let ids: Vec<String> =
                    self.exchange.trade_ids.iter().map(|id| messages::quoted(id)).collect();
                Answer::ok(format!("[{}]", ids.join(",")).into_bytes())
            }
            ("POST", "/sim/pause") => {
                self.clock.pause();
                done()
            }
            ("POST", "/sim/resume") => {
                self.clock.resume();
                self.played_ms = self.clock.virtual_ms();
                done()
            }
            ("POST", "/sim/fault") => match self.fault(request) {
                Ok(count) => Answer::ok(format!(r#"{{"done":{count}}}"#).into_bytes()),
                Err(refusal) => refusal,
            },
            (_, path) if STEERING.contains(&path) => Answer::error(405, "method not allowed"),
            _ => Answer::error(404, "no such path"),
        }
    }

    fn stats(&self) -> Answer {
        let pairs = |all: &mut dyn Iterator<Item = (String, u64)>| {
            let all: Vec<String> = all.map(|(name, count)| format!("\"{name}\":{count}")).collect();
            all.join(",")
        };
        let counts = pairs(&mut self.sessions.counts.iter().map(|(k, &v)| (k.clone(), v)));
        let faults = pairs(&mut self.sessions.faults.done.iter().map(|(&k, &v)| (k.to_owned(), v)));
        let body = format!(
            r#"{{"markets":{},"open":{},"clients":{},"trades_made":{},"changes":{},"sent":{{{counts}}},"faults":{{{faults}}}}}"#,
            self.exchange.markets.len(),
            self.exchange.open(),
            self.sessions.clients(),
            self.exchange.trade_ids.len(),
            self.exchange.changes,
        );
        Answer::ok(body.into_bytes())
    }

    /// Injects a fault into clients of a channel, or schedules it; returns the number of injections.
    fn fault(&mut self, request: &Request) -> Result<u64, Answer> {
        let query = &request.query;
        let unknown = |name: &str| Answer::error(400, &format!("no such {name}"));
        let number = |name: &str, default| match query.first(name) {
            Some(text) => text.parse().map_err(|_| unknown(name)),
            None => Ok(default),
        };
        let count = number("count", 1u64)?;
        let ms = number("ms", STALL_MS)?;
        let channel = match query.first("channel") {
            Some(name) => {
                let place = CHANNELS.iter().position(|known| *known == name);
                Some(place.ok_or_else(|| unknown("channel"))?)
            }
            None => None,
        };
        let kind = query.first("kind").unwrap_or("");
        if let Some(name) = FAULTS_OF_MESSAGES.into_iter().find(|known| *known == kind) {
            self.sessions.faults.note(name, channel, count, ms);
            return Ok(count);
        }
        if let Some(name) = FAULTS_OF_COMMANDS.into_iter().find(|known| *known == kind) {
            self.sessions.faults.note(name, None, count, ms);
            return Ok(count);
        }
        let name = FAULTS_OF_CLIENTS.into_iter().find(|known| *known == kind);
        let name = name.ok_or_else(|| unknown("kind of fault"))?;
        let channel = match name {
            "error-10" | "error-25" => channel.or(Some(BOOKS)),
            _ => channel,
        };
        let mut slots = self.sessions.on_channel(channel);
        let mut done = 0;
        while done < count && !slots.is_empty() {
            let slot = slots.swap_remove(self.random.below(slots.len() as u64) as usize);
            if self.fault_client(name, slot, channel) {
                self.sessions.faults.count(name);
                done += 1;
            }
        }
        Ok(done)
    }

    fn fault_client(&mut self, name: &str, slot: Slot, channel: Option<usize>) -> bool {
        let channel = channel.unwrap_or(BOOKS);
        match name {
            "error-10" => return self.sessions.fail(slot, channel, 10),
            "error-25" => return self.sessions.fail(slot, channel, 25),
            "cut" => {
                self.end(slot);
                return true;
            }
            _ => {}
        }
        let Some(connection) = self.connections.get_mut(&slot) else { return false };
        let Some(client) = &mut connection.client else { return false };
        let output = &mut connection.output;
        match name {
            "half-open" => client.half_open = true,
            "freeze" => client.frozen = true,
            "garbage" => push_frame(output, Opcode::Text, b"{\"type\":\"orderb"),
            _ => {
                let text = br#"{"type":"weather_report","msg":{"sun":true}}"#;
                push_frame(output, Opcode::Text, text);
            }
        }
        true
    }
}

/// A half-open connection (fault): nothing is sent on it.
fn is_half_open(connection: &Connection) -> bool {
    connection.client.as_ref().is_some_and(|client| client.half_open)
}

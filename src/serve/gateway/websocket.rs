//! WebSocket clients of the gateway.
//!
//! Runs on:  serve core, one task for each client, which reads, pings, and writes what a full socket has not taken and
//!           what is encrypted.
//! Bounds:   `GATEWAY_WRITE_BYTES` of one write, `WRITES_PER_TURN` writes before what the client sends is read.
use super::Gateway;
use crate::base::limits::{
    GATEWAY_MESSAGE_BYTES_MAX, GATEWAY_PING_NS, GATEWAY_PINGS_MAX, GATEWAY_WRITE_BYTES,
    SERVE_LINGER_NS,
};
use crate::base::time::Now;
use crate::gateway::Endpoint;
use crate::gateway::hub::{ClientId, Hub, Output};
use crate::io::clock::HostClock;
use crate::io::direct_socket::DirectSocket;
use crate::io::executor::{sleep, yield_now};
use crate::serve::Server;
use crate::serve::client::{Client, End};
use crate::serve::event::Bell;
use crate::wire::websocket::server::{ClientMessage, ServerSocket, accept, close_frame};
use futures_lite::future::or;
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

/// Writes to a client before what it sends is read.
const WRITES_PER_TURN: usize = 4;
/// Body of a ping, as at Kalshi.
const PING_BODY: &[u8] = b"heartbeat";

/// The way to one client's socket: direct, or by its task.
pub(super) struct ClientWriter {
    /// Wakes the task.
    pub(super) bell: Bell,
    /// `None` if the stream is encrypted.
    socket: Option<DirectSocket>,
    /// The task writes, or has something to write: nobody else may.
    is_busy: Cell<bool>,
    /// Whole frames, or the end of them, that a direct write has left to the task.
    rest: RefCell<Vec<u8>>,
}

impl ClientWriter {
    /// Of a client whose task writes first.
    pub(super) fn new(socket: Option<DirectSocket>) -> Self {
        Self { bell: Bell::default(), socket, is_busy: Cell::new(true), rest: RefCell::default() }
    }

    /// Writes frames as far as the socket takes them; leaves anything else to the task.
    pub(super) fn write(
        &self,
        id: ClientId,
        hub: &mut Hub,
        output: &mut Vec<u8>,
        (clock, mut now): (&HostClock, Now),
    ) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.is_busy.get()) else {
            return self.bell.ring();
        };
        for _ in 0..WRITES_PER_TURN {
            output.clear();
            match hub.take_output(id, output, GATEWAY_WRITE_BYTES, now) {
                Output::Nothing => return,
                Output::Frames => {}
                Output::Close(..) => {
                    self.is_busy.set(true);
                    return self.bell.ring();
                }
            }
            // The task's own write receives the error.
            let written = socket.try_write(output).unwrap_or(0);
            now = clock.now();
            if written > 0 {
                hub.on_sent(id, written, now);
            }
            if written < output.len() {
                self.rest.borrow_mut().extend_from_slice(&output[written..]);
                self.is_busy.set(true);
                return self.bell.ring();
            }
        }
        hub.set_ready(id);
    }
}

/// A connected client; disconnected from the hub when dropped.
struct Connected<'a> {
    gateway: &'a Gateway,
    id: ClientId,
    writer: Rc<ClientWriter>,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.gateway.disconnect(self.id);
    }
}

/// What a client's task does next.
enum Turn {
    Received(usize),
    Output,
    Ping,
    End,
}

impl Client {
    /// Serves a WebSocket from its accepted upgrade to its end.
    pub(in crate::serve) async fn run_websocket(
        &mut self,
        server: &Server,
        gateway: &Gateway,
        place: (&str, Endpoint),
        end: End<'_>,
    ) {
        let run = self.run_on_hub(server, gateway, place, end);
        if !gateway.is_own() {
            return run.await;
        }
        let pump = async {
            gateway.pump(&server.stopping).await;
            pending().await
        };
        or(run, pump).await;
    }

    async fn run_on_hub(
        &mut self,
        server: &Server,
        gateway: &Gateway,
        (key, endpoint): (&str, Endpoint),
        end: End<'_>,
    ) {
        if !self.send(accept(key).as_bytes(), server.timeouts.write_ns, end).await {
            return;
        }
        let (id, writer) = gateway.connect(endpoint, self.stream.take_direct());
        let connected = Connected { gateway, id, writer };
        let mut socket = ServerSocket::new(GATEWAY_MESSAGE_BYTES_MAX);
        let mut output = Vec::new();
        let early = std::mem::take(&mut self.input);
        if !early.is_empty() && !self.handle(&connected, &mut socket, &early, end).await {
            return;
        }
        let mut buffer = vec![0; 16 * 1024];
        let (mut ping_ns, mut unanswered) = (gateway.now().mono_ns + GATEWAY_PING_NS, 0);
        loop {
            if !self.write(&connected, &mut socket, &mut output, end).await {
                return self.linger(end).await;
            }
            // A client that sends without pause must not starve the others.
            yield_now().await;
            let received = or(async { Turn::Received(self.read(&mut buffer).await) }, async {
                connected.writer.bell.wait().await;
                Turn::Output
            });
            let wait_ns = ping_ns.saturating_sub(gateway.now().mono_ns);
            let ping = async {
                sleep(wait_ns).await;
                Turn::Ping
            };
            let turn = or(or(received, ping), async {
                end.wait().await;
                Turn::End
            });
            match turn.await {
                Turn::Received(0) => return,
                Turn::Received(count) => {
                    unanswered = 0;
                    if !self.handle(&connected, &mut socket, &buffer[..count], end).await {
                        return self.linger(end).await;
                    }
                }
                Turn::Output => {}
                Turn::Ping => {
                    ping_ns = gateway.now().mono_ns + GATEWAY_PING_NS;
                    unanswered += 1;
                    socket.ping(PING_BODY);
                    let ping = socket.take_output();
                    if unanswered > GATEWAY_PINGS_MAX
                        || self.write_own(&connected, &ping, end).await != Some(true)
                    {
                        return;
                    }
                }
                Turn::End => {
                    connected.writer.is_busy.set(true);
                    let frame = close_frame(1001, "the engine is stopping");
                    let _ = self.write_within(&frame, SERVE_LINGER_NS).await;
                    return;
                }
            }
        }
    }

    /// Accepts a WebSocket and closes it at once.
    pub(in crate::serve) async fn close_websocket(
        &mut self,
        server: &Server,
        key: &str,
        (code, reason): (u16, &str),
        end: End<'_>,
    ) {
        if self.send(accept(key).as_bytes(), server.timeouts.write_ns, end).await {
            let frame = close_frame(code, reason);
            let _ = self.write_within(&frame, SERVE_LINGER_NS).await;
            self.linger(end).await;
        }
    }

    /// Handles received bytes; false when the WebSocket has ended.
    async fn handle(
        &mut self,
        client: &Connected<'_>,
        socket: &mut ServerSocket,
        bytes: &[u8],
        end: End<'_>,
    ) -> bool {
        let Connected { gateway, id, writer } = client;
        // What follows an answer to a close must not be sent.
        writer.is_busy.set(true);
        let result = socket.handle_bytes(bytes, |message| match message {
            ClientMessage::Text(text) => gateway.on_message(*id, Some(text)),
            ClientMessage::Binary(_) => gateway.on_message(*id, None),
            ClientMessage::Pong | ClientMessage::Close(..) => {}
        });
        let answers = socket.take_output();
        let written =
            answers.is_empty() || self.write_own(client, &answers, end).await.unwrap_or(false);
        written && result.is_ok()
    }

    /// Writes what a direct write has left, then `bytes`; false if that fails, `None` if it takes too long.
    async fn write_own(
        &mut self,
        client: &Connected<'_>,
        bytes: &[u8],
        end: End<'_>,
    ) -> Option<bool> {
        let Connected { gateway, id, writer } = client;
        writer.is_busy.set(true);
        let rest = std::mem::take(&mut *writer.rest.borrow_mut());
        if !rest.is_empty() {
            match self.write_until(&rest, gateway.stall_ns(), end).await {
                Some(true) => {}
                other => return other,
            }
            let now = gateway.now();
            gateway.hub.borrow_mut().on_sent(*id, rest.len(), now);
        }
        if bytes.is_empty() {
            return Some(true);
        }
        self.write_until(bytes, gateway.stall_ns(), end).await
    }

    /// Writes what waits for the client; false when the connection has ended.
    async fn write(
        &mut self,
        client: &Connected<'_>,
        socket: &mut ServerSocket,
        output: &mut Vec<u8>,
        end: End<'_>,
    ) -> bool {
        let Connected { gateway, id, writer } = client;
        match self.write_own(client, &[], end).await {
            Some(true) => {}
            Some(false) => return false,
            None => {
                gateway.hub.borrow_mut().on_stalled(*id);
                return false;
            }
        }
        for _ in 0..WRITES_PER_TURN {
            output.clear();
            let now = gateway.now();
            let next = gateway.hub.borrow_mut().take_output(*id, output, GATEWAY_WRITE_BYTES, now);
            match next {
                Output::Nothing => {
                    writer.is_busy.set(!socket.is_open());
                    return true;
                }
                Output::Frames if !socket.is_open() => return true,
                Output::Frames => {
                    match self.write_until(output, gateway.stall_ns(), end).await {
                        Some(true) => {}
                        Some(false) => return false,
                        None => {
                            gateway.hub.borrow_mut().on_stalled(*id);
                            return false;
                        }
                    }
                    let now = gateway.now();
                    gateway.hub.borrow_mut().on_sent(*id, output.len(), now);
                    if gateway.is_own() {
                        // There may be room for what the replay has.
                        gateway.work.ring();
                    }
                    yield_now().await;
                }
                Output::Close(code, reason) => {
                    let frame = close_frame(code, reason);
                    let _ = self.write_within(&frame, SERVE_LINGER_NS).await;
                    return false;
                }
            }
        }
        // What the client sends is read first.
        writer.bell.ring();
        true
    }
}

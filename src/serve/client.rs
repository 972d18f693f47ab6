//! One local client: sequential requests on one connection.
//!
//! Runs on:  serve core, one task per client. Owns: the socket and unparsed bytes.
//! Bounds:   `SERVE_HEAD_BYTES_MAX`; a timeout on everything that the client can delay; yields before each
//!           read and each request.
use super::client_limit::{Activity, ClientPermit};
use super::event::Event;
use super::recorded::Recorded;
use super::replays::WebSocketRefusal;
use super::request::{self, BodyError, Head, HeadError, Method};
use super::response::Response;
use super::{Door, Server, Site, Timeouts, route};
use crate::base::limits::{SERVE_LINGER_BYTES_MAX, SERVE_LINGER_NS};
use crate::gateway::Endpoint;
use crate::io::{dial::within, executor::yield_now, listen::ClientStream, listen::HandshakeError};
use futures_lite::future::or;
use std::net::IpAddr;

/// Bytes per read; a request has a few hundred.
const READ_BYTES: usize = 4096;

pub(super) struct Client {
    pub(super) stream: ClientStream,
    /// The peer address belongs to this host.
    is_local: bool,
    pub(super) input: Vec<u8>,
}

enum Next {
    Request(Head),
    Bad(HeadError),
    /// The client closed or timed out, or the server stops.
    End,
}

/// The answer to one request.
struct Reply {
    /// For the counters.
    route: &'static str,
    answer: Response,
    has_read_body: bool,
}

impl Reply {
    fn new(route: &'static str, answer: Response) -> Self {
        Self { route, answer, has_read_body: false }
    }
}

/// Conditions on which the server closes the connection.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    stopping: &'a Event,
    evicted: Option<&'a Event>,
}

impl End<'_> {
    fn is_near(self) -> bool {
        self.stopping.is_set() || self.evicted.is_some_and(Event::is_set)
    }

    pub(super) async fn wait(self) {
        match self.evicted {
            Some(evicted) => or(self.stopping.wait(), evicted.wait()).await,
            None => self.stopping.wait().await,
        }
    }
}

/// True for an address of this host, including IPv4-mapped IPv6 addresses of a dual-stack socket.
fn is_this_host(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Client {
    pub(super) fn new(stream: ClientStream) -> Self {
        let is_local = stream.peer_addr().is_ok_and(|address| is_this_host(address.ip()));
        Self { stream, is_local, input: Vec::new() }
    }

    /// Serves until either side closes, a timeout, an eviction or the end of the server.
    pub(super) async fn run(mut self, server: &Server, door: &Door, permit: &ClientPermit) {
        let end = End { stopping: &server.stopping, evicted: Some(&permit.evicted) };
        if self.stream.is_tls() {
            permit.set(Activity::SendingRequest);
            if !self.shake_hands(server, end).await {
                return;
            }
        }
        loop {
            // Pipelined requests would otherwise starve other clients.
            yield_now().await;
            let (head, reply) = match self.next(&server.timeouts, end, permit).await {
                Next::Request(head) => {
                    permit.set(Activity::Waiting);
                    let reply = self.reply(server, door, &head, permit, end).await;
                    let Some(reply) = reply else { return };
                    (Some(head), reply)
                }
                Next::Bad(error) => (None, Reply::new("malformed", route::bad_head(error))),
                Next::End => return,
            };
            let Reply { route, answer, has_read_body } = reply;
            server.count(route, answer.status);
            let keep_alive = !end.is_near()
                && !permit.reserved
                && head
                    .as_ref()
                    .is_some_and(|head| head.keep_alive && (has_read_body || !head.has_body()));
            let head_only = head.is_some_and(|head| head.method == Method::Head);
            let bytes = answer.to_bytes(head_only, keep_alive);
            permit.set(Activity::ReadingAnswer);
            let sent = self.send(&bytes, server.timeouts.write_ns, end).await;
            if !sent {
                return;
            }
            if !keep_alive {
                self.linger(end).await;
                return;
            }
        }
    }

    /// Completes the TLS handshake within the time of a request's head. False: the connection has ended, after an
    /// alert, or an HTTP answer for a client that sent plain text.
    async fn shake_hands(&mut self, server: &Server, end: End<'_>) -> bool {
        let ended = async {
            end.wait().await;
            Err(HandshakeError::Failed)
        };
        let handshake = or(self.stream.handshake(), ended);
        let result = within(server.timeouts.head_ns, handshake).await;
        server.count_handshake(result == Some(Ok(())));
        match result {
            Some(Ok(())) => return true,
            Some(Err(HandshakeError::PlainText)) => {
                let answer = route::plain_text();
                server.count("plain text", answer.status);
                if self.send(&answer.to_bytes(false, false), SERVE_LINGER_NS, end).await {
                    self.linger(end).await;
                }
            }
            // The alert was sent; a reset would discard it.
            Some(Err(HandshakeError::Failed)) if !end.is_near() => self.linger(end).await,
            Some(Err(HandshakeError::Failed)) | None => {}
        }
        false
    }

    /// The answer to a request; `None` when its WebSocket has ended, or the client has gone.
    async fn reply(
        &mut self,
        server: &Server,
        door: &Door,
        head: &Head,
        permit: &ClientPermit,
        end: End<'_>,
    ) -> Option<Reply> {
        if permit.reserved && !route::is_reserved(head) {
            server.refuse();
            return Some(Reply::new(route::name(head), route::too_many_clients()));
        }
        let site = match server.site(door, head, self.stream.server_name()) {
            Ok(Site::Gateway(site)) => site,
            Ok(Site::Engine) => return self.reply_of_engine(server, head, end).await,
            Err(answer) => return Some(Reply::new("misdirected", answer)),
        };
        if let Some(answer) = server.refuse_signature(site, head) {
            return Some(Reply::new("gateway", answer));
        }
        if let Some(replays) = server.replays() {
            match self.serve_recorded(server, replays, head, end).await {
                Some(Recorded::Answer(answer)) => return Some(Reply::new("replay", answer)),
                Some(Recorded::Ended) => return None,
                None => {}
            }
        }
        if let Some(upgrade) = &head.upgrade {
            match server.websocket(site, head) {
                Some(Ok((gateway, endpoint))) => {
                    server.count("gateway websocket", 101);
                    self.run_websocket(server, &gateway, (&upgrade.key, endpoint), end).await;
                    return None;
                }
                Some(Err(WebSocketRefusal::Close(code, reason))) => {
                    server.count("gateway websocket refused", 101);
                    self.close_websocket(server, &upgrade.key, (code, &reason), end).await;
                    return None;
                }
                Some(Err(WebSocketRefusal::Answer(answer))) => {
                    return Some(Reply::new("gateway", answer));
                }
                None => {}
            }
        }
        let body = self.read_body(head, &server.timeouts, end).await?;
        let has_read_body = body.is_ok();
        let answer = server.gateway_answer(site, head, body);
        let answer = or(answer, server.stopped()).await;
        Some(Reply { has_read_body, ..Reply::new("gateway", answer) })
    }

    /// The same from the engine's own site.
    async fn reply_of_engine(
        &mut self,
        server: &Server,
        head: &Head,
        end: End<'_>,
    ) -> Option<Reply> {
        let name = route::name(head);
        let Some(upgrade) = &head.upgrade else {
            let answer = server.answer(head, self.is_local);
            return Some(Reply::new(name, or(answer, server.stopped()).await));
        };
        let options = match route::stream(head) {
            Ok(options) => options,
            Err(answer) => return Some(Reply::new(name, answer)),
        };
        let Some(gateway) = server.gateway.clone() else {
            return Some(Reply::new(name, route::not_found()));
        };
        server.count(name, 101);
        let endpoint = Endpoint::Stream(options);
        self.run_websocket(server, &gateway, (&upgrade.key, endpoint), end).await;
        None
    }

    /// Sends the "too many clients" answer and closes.
    /// With TLS it closes only: a handshake takes more time than an answer is worth.
    pub(super) async fn reject(mut self, answer: &Response, stopping: &Event) {
        let end = End { stopping, evicted: None };
        if self.stream.is_tls() {
            return;
        }
        if self.send(&answer.to_bytes(false, false), SERVE_LINGER_NS, end).await {
            self.linger(end).await;
        }
    }

    async fn next(&mut self, timeouts: &Timeouts, end: End<'_>, permit: &ClientPermit) -> Next {
        if end.is_near() {
            return Next::End;
        }
        if self.input.is_empty() {
            permit.set(Activity::Idle);
            let first = within(timeouts.idle_ns, self.receive(end)).await;
            if !first.unwrap_or(false) {
                return Next::End;
            }
        }
        permit.set(Activity::SendingRequest);
        // Bounds the whole head, so that single bytes do not extend the permit.
        within(timeouts.head_ns, self.read_head(end)).await.unwrap_or(Next::End)
    }

    async fn read_head(&mut self, end: End<'_>) -> Next {
        loop {
            match request::parse(&self.input) {
                Ok(Some((head, length))) => {
                    self.input.drain(..length);
                    return Next::Request(head);
                }
                Err(error) => return Next::Bad(error),
                Ok(None) => {}
            }
            if !self.receive(end).await {
                return Next::End;
            }
        }
    }

    /// The body of a request, or why it is not read; `None` when the client has gone or is too slow.
    async fn read_body(
        &mut self,
        head: &Head,
        timeouts: &Timeouts,
        end: End<'_>,
    ) -> Option<Result<Vec<u8>, BodyError>> {
        let length = match head.body_bytes() {
            Ok(length) => length,
            Err(error) => return Some(Err(error)),
        };
        let read = async {
            while self.input.len() < length {
                if !self.receive(end).await {
                    return false;
                }
            }
            true
        };
        if !within(timeouts.head_ns, read).await.unwrap_or(false) {
            return None;
        }
        Some(Ok(self.input.drain(..length).collect()))
    }

    /// Reads some bytes; 0 at the end of the stream.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.stream.read(buffer).await.unwrap_or(0)
    }

    /// Writes all bytes; false if that fails, `None` if it takes longer.
    pub(super) async fn write_within(&mut self, bytes: &[u8], timeout_ns: u64) -> Option<bool> {
        let write = async { self.stream.write_all(bytes).await.is_ok() };
        within(timeout_ns, write).await
    }

    /// The same, ended when the connection is to close; then false.
    pub(super) async fn write_until(
        &mut self,
        bytes: &[u8],
        timeout_ns: u64,
        end: End<'_>,
    ) -> Option<bool> {
        let ended = async {
            end.wait().await;
            Some(false)
        };
        or(self.write_within(bytes, timeout_ns), ended).await
    }

    /// Appends the received bytes to `input`; false at the end of the stream.
    async fn receive(&mut self, end: End<'_>) -> bool {
        // A client that sends without pause must not starve other tasks and the timers that bound it.
        yield_now().await;
        let mut buffer = [0; READ_BYTES];
        // `or` polls the socket first: a request that was already received is still answered.
        let received = or(async { self.stream.read(&mut buffer).await.unwrap_or(0) }, async {
            end.wait().await;
            0
        })
        .await;
        self.input.extend_from_slice(&buffer[..received]);
        received > 0
    }

    pub(super) async fn send(&mut self, bytes: &[u8], timeout_ns: u64, end: End<'_>) -> bool {
        let write = async { self.stream.write_all(bytes).await.is_ok() };
        let stopped = async {
            end.wait().await;
            false
        };
        // `or` polls the write first: a complete answer is still sent when the server stops.
        within(timeout_ns, or(write, stopped)).await.unwrap_or(false)
    }

    /// Shuts down the sending side and drains the receiving side: closing with unread bytes would send a reset,
    /// which discards the answer.
    pub(super) async fn linger(&mut self, end: End<'_>) {
        // With TLS it writes, and the client may not read.
        if !matches!(within(SERVE_LINGER_NS, self.stream.close()).await, Some(Ok(()))) {
            return;
        }
        let mut read = 0;
        let rest = async {
            while read < SERVE_LINGER_BYTES_MAX {
                self.input.clear();
                if !self.receive(end).await {
                    return;
                }
                read += self.input.len();
            }
        };
        let _ = within(SERVE_LINGER_NS, rest).await;
    }
}

#[cfg(test)]
mod tests;

//! One WebSocket of a client over one of a service: each message and each close passes as it is.
//!
//! Runs on:  the pools' core, in the client's task. Owns: nothing.
//! Bounds:   `FRAME_BYTES_MAX` per message; each direction reads on only when what it has read is written. Pings are
//!           answered on each side; a side that is silent gets pings of its own and ends after `FORWARD_PINGS_MAX`.
use super::client::{After, Downstream, Received};
use super::{CLIENT_GONE, Proxy, route};
use crate::base::limits::{
    FORWARD_PING_NS, FORWARD_PINGS_MAX, FRAME_BYTES_MAX, SEND_BUFFER_BYTES_MAX, SERVE_LINGER_NS,
    SERVE_WRITE_TIMEOUT_NS,
};
use crate::io::connection::{Connection, ConnectionError};
use crate::io::dial::within;
use crate::io::executor::{sleep, yield_now};
use crate::pool::connection::{Message, SocketParts};
use crate::pool::forward::Forward;
use crate::pool::{Guard, Pool, PoolError};
use crate::wire::http::forward::forward_upgrade;
use crate::wire::websocket::server::{
    ClientFault, ClientMessage, ServerSocket, accept_with, put_message,
};
use crate::wire::websocket::{ClientSocket, Incoming, Upgrade, WebSocketError};
use futures_lite::future::or;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Headers with which a client needs a connection of its own.
const OWN_HEADERS: [&str; 4] = ["authorization", "cookie", "origin", "sec-websocket-protocol"];

enum End {
    /// One side closed, and the other one has its close frame.
    Closed,
    /// The client's connection is gone.
    Client,
    /// The service's connection is gone, with the reason for the client.
    Service(&'static str),
    /// The server stops.
    Stopping,
}

impl Downstream {
    /// Forwards a WebSocket until its end.
    pub(super) async fn websocket(
        &mut self,
        proxy: &Proxy,
        pool: &Rc<Pool>,
        received: &Received,
        path: &str,
    ) -> After {
        let name = pool.name();
        let forward = Forward::new(pool);
        let opened = match upgrade(pool, received, path) {
            Ok(upgrade) => self.opened(proxy, &forward, upgrade).await,
            Err(error) => Some(Err(error)),
        };
        let mut guard = match opened {
            Some(Ok(guard)) => guard,
            Some(Err(error)) => {
                forward.end(true);
                let answer = route::failed(&error, name, &pool.health());
                proxy.count(name, answer.status);
                return self.finish(received, &answer, proxy).await;
            }
            None => {
                proxy.count(name, CLIENT_GONE);
                return After::Close;
            }
        };
        forward.end(false);
        proxy.count(name, 101);
        let key = received.head.upgrade.as_ref().map_or("", |upgrade| &upgrade.key);
        self.output.put(accept_with(key, guard.subprotocol()).as_bytes());
        self.pump(proxy, &mut guard).await
    }

    /// An open WebSocket of the service; `None` when the client goes away before.
    async fn opened(
        &mut self,
        proxy: &Proxy,
        forward: &Forward,
        upgrade: Option<Upgrade>,
    ) -> Option<Result<Guard, PoolError>> {
        let opened = async {
            let opened = within(forward.left_ns(), forward.socket(upgrade)).await;
            Some(opened.unwrap_or_else(|| Err(forward.timed_out())))
        };
        let gone = async {
            self.gone().await;
            None
        };
        let stopping = async {
            proxy.stopping.wait().await;
            Some(Err(PoolError::Stopped))
        };
        or(opened, or(gone, stopping)).await
    }

    async fn pump(&mut self, proxy: &Proxy, guard: &mut Guard) -> After {
        let SocketParts { connection, client, inbox, closed } = match guard.begin_socket() {
            Ok(parts) => parts,
            Err(_) => return After::Close,
        };
        let held: Vec<Message> = inbox.drain(..).collect();
        let pump = Pump {
            client: RefCell::new(self),
            server: RefCell::new(ServerSocket::new(FRAME_BYTES_MAX)),
            connection: RefCell::new(connection),
            peer: RefCell::new(client),
            client_active: Cell::new(true),
            service_active: Cell::new(true),
        };
        let stopping = async {
            proxy.stopping.wait().await;
            End::Stopping
        };
        let both = or(pump.up(), or(pump.down(held, closed), pump.pings()));
        let end = or(both, stopping).await;
        let is_clean = within(SERVE_LINGER_NS, pump.finish(&end)).await.unwrap_or(false);
        if is_clean {
            guard.end_exchange(false);
        }
        drop_unread(self, &end)
    }
}

/// What follows on the client's connection.
fn drop_unread(client: &Downstream, end: &End) -> After {
    match end {
        End::Client => After::Close,
        _ if !client.output.is_empty() => After::Close,
        _ => After::Linger,
    }
}

/// The upgrade for a connection of the client's own; `None` if one of the pool's will do.
fn upgrade(pool: &Pool, received: &Received, path: &str) -> Result<Option<Upgrade>, PoolError> {
    let service = pool.service();
    let headers = forward_upgrade(&received.bytes).map_err(ConnectionError::from)?;
    let target = route::socket_target(service, path, &received.head.query);
    if target.is_none() && !OWN_HEADERS.iter().any(|name| headers.contains_key(*name)) {
        return Ok(None);
    }
    let origin = format!("{}://{}", service.kind.name(), service.authority());
    let path = target.unwrap_or_else(|| service.path.clone());
    Ok(Some(Upgrade::start_forwarded(&format!("{origin}{path}"), headers)?))
}

struct Pump<'a> {
    client: RefCell<&'a mut Downstream>,
    /// The client's side of messages.
    server: RefCell<ServerSocket>,
    connection: RefCell<&'a mut Connection>,
    /// The service's side of messages.
    peer: RefCell<&'a mut ClientSocket>,
    /// Bytes were received since the last round of pings.
    client_active: Cell<bool>,
    service_active: Cell<bool>,
}

impl Pump<'_> {
    /// Messages of the client to the service. Waits for the service only, so that neither direction stops the other.
    async fn up(&self) -> End {
        loop {
            let bytes = std::mem::take(&mut self.client.borrow_mut().input);
            let result = if bytes.is_empty() { Ok(()) } else { self.take_from_client(&bytes) };
            if !self.flush_up().await {
                return End::Service("the service's connection broke");
            }
            match result {
                Ok(()) => {}
                // After a close the service has its frame; after a fault the client has one.
                Err(ClientFault::Closed) => return End::Closed,
                Err(ClientFault::Protocol { .. } | ClientFault::Flood(_)) => {
                    self.peer.borrow_mut().close_with(1001, "");
                    return End::Closed;
                }
            }
            // Pongs of a client that does not read.
            if self.client.borrow().output.len() > FRAME_BYTES_MAX + SEND_BUFFER_BYTES_MAX
                && !self.flush_down().await
            {
                return End::Client;
            }
            yield_now().await;
            let is_open = poll_fn(|context| {
                let mut client = self.client.borrow_mut();
                match client.poll_flush(context) {
                    Poll::Ready(false) => Poll::Ready(false),
                    _ => client.poll_read(context),
                }
            });
            if !is_open.await {
                return End::Client;
            }
            self.client_active.set(true);
        }
    }

    fn take_from_client(&self, bytes: &[u8]) -> Result<(), ClientFault> {
        let (mut server, mut peer) = (self.server.borrow_mut(), self.peer.borrow_mut());
        // A peer that is closing takes no messages: its close is on its way to the client.
        let result = server.handle_bytes(bytes, |message| match message {
            ClientMessage::Text(text) => drop(peer.forward_text(text)),
            ClientMessage::Binary(bytes) => drop(peer.forward_binary(bytes)),
            ClientMessage::Close(code, reason) => peer.close_with(code, reason),
            ClientMessage::Pong => {}
        });
        let answers = server.take_output();
        self.client.borrow_mut().output.put(&answers);
        result
    }

    /// Messages of the service to the client.
    async fn down(&self, held: Vec<Message>, closed: bool) -> End {
        for message in held {
            {
                let mut client = self.client.borrow_mut();
                let out = client.output.bytes();
                match &message {
                    Message::Text(text) => put_message(true, text.as_bytes(), out),
                    Message::Binary(bytes) => put_message(false, bytes, out),
                }
            }
            if !self.flush_down().await {
                return End::Client;
            }
        }
        if closed {
            return End::Service("the service closed the connection");
        }
        loop {
            yield_now().await;
            match poll_fn(|context| self.poll_receive(context)).await {
                Ok(true) => self.service_active.set(true),
                Ok(false) => return End::Service("the service closed the connection"),
                Err(_) => return End::Service("the service's connection broke"),
            }
            let (result, close) = self.take_from_service();
            if let Some((code, reason)) = &close {
                self.server.borrow_mut().close(*code, reason);
                let frame = self.server.borrow_mut().take_output();
                self.client.borrow_mut().output.put(&frame);
            }
            if !self.flush_down().await {
                return End::Client;
            }
            match result {
                _ if close.is_some() => return End::Closed,
                Ok(()) => {}
                Err(_) => return End::Service("the service broke the protocol"),
            }
        }
    }

    /// Reads once from the service, and writes what it can of what is queued for it: pongs, while nothing goes up.
    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<bool, ConnectionError>> {
        let (mut peer, mut connection) = (self.peer.borrow_mut(), self.connection.borrow_mut());
        connection.queue(peer.output())?;
        peer.clear_output();
        match connection.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => connection.poll_receive(context),
        }
    }

    fn take_from_service(&self) -> (Result<(), WebSocketError>, Option<(u16, String)>) {
        let (mut peer, mut client) = (self.peer.borrow_mut(), self.client.borrow_mut());
        let connection = self.connection.borrow();
        let (out, mut close) = (client.output.bytes(), None);
        peer.begin_read();
        let result = peer.handle_bytes(connection.received(), &mut |incoming| match incoming {
            Incoming::Text(text) => put_message(true, text.as_bytes(), out),
            Incoming::Large(text) => put_message(true, text.as_bytes(), out),
            Incoming::Binary(bytes) => put_message(false, bytes, out),
            Incoming::Close { code, reason } => close = Some((code, reason)),
        });
        (result, close)
    }

    /// Pings each side that was silent; ends when it stays silent.
    async fn pings(&self) -> End {
        let (mut client_missed, mut service_missed) = (0, 0);
        loop {
            sleep(FORWARD_PING_NS).await;
            let is_blocked = !self.client.borrow().output.is_empty();
            if self.client_active.take() || is_blocked {
                // A client that reads slowly delays its own pings; TCP ends one that is gone.
                client_missed = 0;
            } else {
                client_missed += 1;
                let mut server = self.server.borrow_mut();
                server.ping(b"");
                let ping = server.take_output();
                drop(server);
                self.client.borrow_mut().output.put(&ping);
            }
            if self.service_active.take() {
                service_missed = 0;
            } else {
                service_missed += 1;
                // An error means closing.
                let _ = self.peer.borrow_mut().send_ping();
            }
            if client_missed > FORWARD_PINGS_MAX {
                return End::Client;
            }
            if service_missed > FORWARD_PINGS_MAX {
                return End::Service("the service does not answer pings");
            }
            let flushed = or(async { self.flush_down().await && self.flush_up().await }, async {
                sleep(SERVE_WRITE_TIMEOUT_NS).await;
                true
            });
            if !flushed.await {
                return End::Client;
            }
        }
    }

    /// Reports the end to both sides; true if all was written, and the service has closed too.
    async fn finish(&self, end: &End) -> bool {
        let (to_client, to_service) = match end {
            End::Closed => (None, None),
            End::Client => (None, Some(1001)),
            End::Service(why) => (Some((1011, *why)), None),
            End::Stopping => (Some((1001, "the pools are stopping")), Some(1001)),
        };
        if let Some((code, reason)) = to_client {
            let mut server = self.server.borrow_mut();
            server.close(code, reason);
            self.client.borrow_mut().output.put(&server.take_output());
        }
        if let Some(code) = to_service {
            self.peer.borrow_mut().close_with(code, "");
        }
        let is_gone = matches!(end, End::Client);
        let is_sent = is_gone || self.flush_down().await;
        if matches!(end, End::Service(_)) || !self.flush_up().await {
            return false;
        }
        // Unread bytes would turn the end into a reset, which discards the close frame.
        loop {
            yield_now().await;
            let received = poll_fn(|context| self.connection.borrow_mut().poll_receive(context));
            let is_open =
                matches!(received.await, Ok(true)) && self.take_from_service().1.is_none();
            // Behind its close frame the client gets no messages.
            self.client.borrow_mut().output.clear();
            if !is_open {
                return is_sent;
            }
        }
    }

    async fn flush_down(&self) -> bool {
        poll_fn(|context| self.client.borrow_mut().poll_flush(context)).await
    }

    /// Moves what is queued for the service, and writes it.
    async fn flush_up(&self) -> bool {
        let queued = {
            let (mut peer, mut connection) = (self.peer.borrow_mut(), self.connection.borrow_mut());
            let queued = connection.queue(peer.output()).is_ok();
            peer.clear_output();
            queued
        };
        queued && poll_fn(|context| self.connection.borrow_mut().poll_send(context)).await.is_ok()
    }
}

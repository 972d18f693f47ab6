//! One connection of a pool: HTTP, or an open WebSocket.
//!
//! Runs on:  the pool's core (glommio). Owns: one socket; messages of a WebSocket that were not yet taken.
//! Bounds:   messages as in `wire::websocket`; the messages of one read, and `POOL_INBOX_MAX` of `POOL_INBOX_BYTES_MAX`
//!           more while none are taken: idle, or waiting for a pong. Loops yield before each read
//!           ([`Connection::receive`]); the caller sets timeouts; an upgrade has at most `HANDSHAKE_BYTES_MAX`.
use super::error::PoolError;
use super::service::Service;
use super::slots::Condition;
use crate::base::limits::{POOL_INBOX_BYTES_MAX, POOL_INBOX_MAX};
use crate::io::connection::{Connection, ConnectionError, Target};
use crate::io::dial::within;
use crate::io::resolve::Resolver;
use crate::wire::http::{Exchange, Response, USER_AGENT};
use crate::wire::websocket::{ClientSocket, Incoming, Upgrade, WebSocketError};
use std::cell::Cell;
use std::collections::VecDeque;

/// A WebSocket message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Anything that is not text.
    Binary(Vec<u8>),
}

#[derive(Debug)]
struct Socket {
    client: ClientSocket,
    subprotocol: Option<String>,
    inbox: VecDeque<Message>,
    inbox_bytes: usize,
    closed: bool,
}

/// An open WebSocket in its parts.
#[derive(Debug)]
pub struct SocketParts<'a> {
    /// The connection, TLS included.
    pub connection: &'a mut Connection,
    /// Frames and messages.
    pub client: &'a mut ClientSocket,
    /// Messages received before.
    pub inbox: &'a mut VecDeque<Message>,
    /// The server has closed; only the messages received before are left.
    pub closed: bool,
}

/// A connection to a service, with one user at a time.
#[derive(Debug)]
pub struct PoolConnection {
    connection: Connection,
    socket: Option<Socket>,
    condition: Condition,
    /// A pong is outstanding: if abandoned now, the connection's state is unknown.
    pinging: bool,
}

impl PoolConnection {
    /// Resolves, connects, does the TLS handshake and, for a WebSocket, the upgrade. `stage` is set to the current
    /// step, for timeout errors.
    ///
    /// # Errors
    /// `Connection` and `WebSocket` of [`PoolError`].
    pub async fn open(
        service: &Service,
        target: &Target,
        resolver: &Resolver,
        stage: &Cell<&'static str>,
    ) -> Result<Self, PoolError> {
        let upgrade = service.kind.is_websocket();
        let upgrade = upgrade.then(|| Upgrade::start(&service.url(), USER_AGENT)).transpose()?;
        Self::open_with(service, target, resolver, stage, upgrade).await
    }

    /// [`PoolConnection::open`] with the caller's upgrade, `None` for HTTP.
    ///
    /// # Errors
    /// As [`PoolConnection::open`].
    pub async fn open_with(
        service: &Service,
        target: &Target,
        resolver: &Resolver,
        stage: &Cell<&'static str>,
        upgrade: Option<Upgrade>,
    ) -> Result<Self, PoolError> {
        let timeout_ns = service.limits.connect_timeout_ns;
        let connection = Connection::open(target, resolver, timeout_ns, stage).await?;
        let condition = Condition::Reusable;
        let mut connected = Self { connection, socket: None, condition, pinging: false };
        if let Some(mut upgrade) = upgrade {
            stage.set("waiting for the upgrade to WebSocket");
            let client = connected.upgrade(&mut upgrade).await?;
            let subprotocol = upgrade.subprotocol().map(str::to_owned);
            let mut socket = Socket {
                client,
                subprotocol,
                inbox: VecDeque::new(),
                inbox_bytes: 0,
                closed: false,
            };
            // Frames received with the response.
            socket.take(&[])?;
            connected.socket = Some(socket);
            connected.flush_socket().await?;
        }
        Ok(connected)
    }

    async fn upgrade(&mut self, upgrade: &mut Upgrade) -> Result<ClientSocket, PoolError> {
        self.connection.send(&upgrade.take_output()).await?;
        loop {
            let Some(plaintext) = self.connection.receive().await? else {
                let why = "the server closed during the upgrade".to_owned();
                return Err(ConnectionError::Broken(why).into());
            };
            if let Some(client) = upgrade.handle_bytes(plaintext)? {
                return Ok(client);
            }
            self.connection.check_handshake_bytes()?;
            self.connection.flush().await?;
        }
    }

    /// Sends a request and waits for its response, without a timeout. An abandoned or failed exchange leaves the
    /// connection broken.
    ///
    /// # Errors
    /// `WrongKind`, `Connection` of [`PoolError`].
    pub async fn exchange(&mut self, exchange: &mut Exchange) -> Result<Response, PoolError> {
        if self.socket.is_some() {
            return Err(PoolError::WrongKind { protocol: "HTTP" });
        }
        self.begin()?;
        let response = self.connection.run(exchange).await?;
        self.condition = if response.keep_alive { Condition::Reusable } else { Condition::Spent };
        Ok(response)
    }

    /// The connection for an exchange whose bytes the caller moves. Broken until [`PoolConnection::end_exchange`].
    ///
    /// # Errors
    /// `WrongKind`, `Connection` of [`PoolError`].
    pub fn begin_exchange(&mut self) -> Result<&mut Connection, PoolError> {
        if self.socket.is_some() {
            return Err(PoolError::WrongKind { protocol: "HTTP" });
        }
        self.begin()?;
        Ok(&mut self.connection)
    }

    /// The exchange is complete; `keep_alive`: the connection can carry another one.
    pub const fn end_exchange(&mut self, keep_alive: bool) {
        self.condition = if keep_alive { Condition::Reusable } else { Condition::Spent };
    }

    /// The parts of an open WebSocket whose messages the caller moves. Broken until [`PoolConnection::end_exchange`],
    /// to which the caller passes false: another holder would receive what is meant for this one.
    ///
    /// # Errors
    /// `WrongKind`, `Connection` of [`PoolError`].
    pub fn begin_socket(&mut self) -> Result<SocketParts<'_>, PoolError> {
        self.begin()?;
        let Self { connection, socket, .. } = self;
        let socket = socket.as_mut().ok_or(PoolError::WrongKind { protocol: "WebSocket" })?;
        let Socket { client, inbox, closed, .. } = socket;
        client.allow_large_messages();
        Ok(SocketParts { connection, client, inbox, closed: *closed })
    }

    /// The subprotocol that the server of a WebSocket chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.socket.as_ref()?.subprotocol.as_deref()
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// `WrongKind`, `WebSocket`, `Connection` of [`PoolError`].
    pub async fn send_text(&mut self, text: &str) -> Result<(), PoolError> {
        self.socket()?.client.send_text(text)?;
        self.flush_socket().await
    }

    /// The next message; `None` after `timeout_ns` without one. A timeout loses nothing.
    ///
    /// # Errors
    /// `WrongKind`; `WebSocket` and `Connection` if the connection has ended.
    pub async fn receive(&mut self, timeout_ns: u64) -> Result<Option<Message>, PoolError> {
        // Queued messages are delivered even after a close.
        if let Some(message) = self.socket()?.next_message() {
            return Ok(Some(message));
        }
        let waited = within(timeout_ns, async {
            loop {
                self.read_socket().await?;
                if let Some(message) = self.socket()?.next_message() {
                    return Ok(message);
                }
            }
        });
        waited.await.transpose()
    }

    /// Pings and waits for the pong; other messages are queued for [`PoolConnection::receive`].
    ///
    /// # Errors
    /// `WrongKind`; `WebSocket` and `Connection` if the connection has ended or `timeout_ns` has passed.
    pub async fn ping(&mut self, timeout_ns: u64) -> Result<(), PoolError> {
        self.pinging = true;
        let waited = within(timeout_ns, async {
            let socket = self.socket()?;
            let pongs = socket.client.pongs();
            socket.client.send_ping()?;
            self.flush_socket().await?;
            while self.socket()?.client.pongs() == pongs {
                self.read_socket().await?;
                if !self.socket()?.has_room() {
                    self.condition = Condition::Broken;
                    return Err(WebSocketError::Flood("unexpected messages").into());
                }
            }
            Ok(())
        });
        match waited.await {
            Some(result) => {
                self.pinging = result.is_err();
                result
            }
            None => Err(PoolError::timeout("waiting for the pong", timeout_ns)),
        }
    }

    fn socket(&mut self) -> Result<&mut Socket, PoolError> {
        self.socket.as_mut().ok_or(PoolError::WrongKind { protocol: "WebSocket" })
    }

    /// Marks the connection as broken while an operation is running.
    fn begin(&mut self) -> Result<(), PoolError> {
        if self.condition == Condition::Broken {
            let why = "an operation on the connection was abandoned".to_owned();
            return Err(ConnectionError::Broken(why).into());
        }
        self.condition = Condition::Broken;
        Ok(())
    }

    async fn read_socket(&mut self) -> Result<(), PoolError> {
        if self.socket()?.closed {
            self.condition = Condition::Broken;
            return Err(WebSocketError::Closed.into());
        }
        // An abandoned read loses nothing, so the condition is unchanged.
        let read = self.connection.receive().await;
        let socket = self.socket.as_mut().ok_or(PoolError::WrongKind { protocol: "WebSocket" })?;
        let result = match read {
            Ok(Some(plaintext)) => socket.take(plaintext),
            Ok(None) => {
                socket.closed = true;
                Ok(())
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = result {
            self.condition = Condition::Broken;
            return Err(error);
        }
        self.flush_socket().await
    }

    /// Sends queued output, such as a pong.
    async fn flush_socket(&mut self) -> Result<(), PoolError> {
        let client = &mut self.socket()?.client;
        let output = client.output().to_vec();
        client.clear_output();
        if output.is_empty() {
            return Ok(self.connection.flush().await?);
        }
        self.begin()?;
        self.connection.send(&output).await?;
        self.condition = Condition::Reusable;
        Ok(())
    }

    /// Checks without blocking whether the server has closed or, on HTTP, has sent unexpected bytes.
    pub fn is_usable(&mut self) -> bool {
        let Some(socket) = &mut self.socket else { return self.connection.is_usable() };
        let in_order =
            self.connection.look(|plaintext| socket.take(plaintext).is_ok() && socket.has_room());
        in_order && !socket.closed
    }

    /// Condition for its release.
    pub fn condition(&self) -> Condition {
        match &self.socket {
            Some(socket) if socket.closed || self.pinging => Condition::Broken,
            _ => self.condition,
        }
    }

    /// Sends a close without blocking; the connection must then be dropped.
    pub fn close_gracefully(&mut self) {
        let mut last = Vec::new();
        if let Some(socket) = &mut self.socket {
            socket.client.close();
            last.extend_from_slice(socket.client.output());
        }
        if self.condition == Condition::Broken {
            // Within an operation, more bytes would be invalid.
            return;
        }
        self.connection.close_gracefully(&last);
    }
}

impl Message {
    const fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl Socket {
    fn has_room(&self) -> bool {
        self.inbox.len() <= POOL_INBOX_MAX && self.inbox_bytes <= POOL_INBOX_BYTES_MAX
    }

    fn next_message(&mut self) -> Option<Message> {
        let message = self.inbox.pop_front()?;
        self.inbox_bytes -= message.bytes();
        Some(message)
    }

    fn take(&mut self, plaintext: &[u8]) -> Result<(), PoolError> {
        let Self { client, inbox, inbox_bytes, closed, .. } = self;
        client.begin_read();
        let mut keep = |message: Message| {
            *inbox_bytes += message.bytes();
            inbox.push_back(message);
        };
        let result = client.handle_bytes(plaintext, &mut |incoming| match incoming {
            Incoming::Text(text) => keep(Message::Text(text.to_owned())),
            Incoming::Large(text) => keep(Message::Text(text)),
            Incoming::Binary(bytes) => keep(Message::Binary(bytes.to_vec())),
            Incoming::Close { .. } => *closed = true,
        });
        match result {
            // Messages before the close remain in the queue.
            Err(WebSocketError::Closed) => {
                *closed = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

//! A REST client for one named service: keep-alive connections, timeouts, one careful retry.
//!
//! Runs on:  control core (glommio). Owns: the idle connections of its service.
//! Bounds:   `REST_TIMEOUT_NS` a request, `REST_BODY_BYTES_MAX` an answer,
//!           `REST_IDLE_CONNECTIONS_MAX` idle connections for `REST_IDLE_NS`.
use super::clock::HostClock;
use super::dial::{ConnectError, Dialed, connect, within};
use super::resolve::{ResolveError, Resolver};
use crate::base::limits::{
    HTTP_SCRATCH_BYTES, REST_BODY_BYTES_MAX, REST_CONNECT_TIMEOUT_NS, REST_IDLE_CONNECTIONS_MAX,
    REST_IDLE_NS, REST_TIMEOUT_NS,
};
use crate::base::time::{Clock as _, MILLISECOND_NS};
use crate::wire::http::{Exchange, HttpError, Request, Response};
use crate::wire::tls::{TlsError, TlsSession};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::io::{self, Read as _};
use std::sync::Arc;

/// Why there is no response. A status such as 429 or 500 is a response, not an error.
#[derive(Debug)]
pub enum FetchError {
    /// The base URL or a request is unusable. *Our configuration or a bug: do not retry.*
    BadRequest(String),
    /// The name has no address. *The network's fault: back off and retry.*
    Resolve(ResolveError),
    /// No address answers. *The network's or the service's fault: back off and retry.*
    Connect(ConnectError),
    /// The handshake failed. *Mostly configuration (`--tls-ca`) or a proxy: log, back off.*
    Tls(TlsError),
    /// No whole answer within the timeout. *The network's or the service's fault: back off.*
    Timeout {
        /// What was waited for.
        stage: &'static str,
        /// How long, nanoseconds.
        after_ns: u64,
    },
    /// The connection broke before the answer was whole. *The network's fault: retry later.*
    Broken(String),
    /// The answer exceeds its bound. *The service's fault: ask for less.*
    TooLarge(String),
    /// The answer is no valid HTTP. *The service's or a proxy's fault: count and retry later.*
    Protocol(HttpError),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadRequest(why) | Self::Broken(why) | Self::TooLarge(why) => f.write_str(why),
            Self::Resolve(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Timeout { stage, after_ns } => {
                write!(f, "no answer within {} ms while {stage}", after_ns / MILLISECOND_NS)
            }
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FetchError {}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::BadRequest(_) => Self::BadRequest(error.to_string()),
            HttpError::ClosedBeforeAnswer | HttpError::Truncated => Self::Broken(error.to_string()),
            HttpError::BodyTooLarge { .. } | HttpError::HeadTooLarge => {
                Self::TooLarge(error.to_string())
            }
            HttpError::Malformed(_) | HttpError::UnknownEncoding(_) => Self::Protocol(error),
        }
    }
}

/// Bounds of a [`Fetcher`]; the default is `base::limits`.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// One request, from resolving to the last byte, nanoseconds.
    pub timeout_ns: u64,
    /// Connecting within that, nanoseconds.
    pub connect_timeout_ns: u64,
    /// The inflated body, bytes.
    pub body_bytes_max: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            timeout_ns: REST_TIMEOUT_NS,
            connect_timeout_ns: REST_CONNECT_TIMEOUT_NS,
            body_bytes_max: REST_BODY_BYTES_MAX,
        }
    }
}

/// What a [`Fetcher`] did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// Requests asked for.
    pub requests: u64,
    /// Of these, requests that failed without a response.
    pub failed: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Requests sent on a connection that was open already.
    pub reused: u64,
    /// Requests sent once more because such a connection had died.
    pub repeated: u64,
}

struct Service {
    name: String,
    /// `scheme://host:port/prefix` without a slash at the end.
    base: String,
    host: String,
    port: u16,
}

/// The client of one service.
pub struct Fetcher {
    service: Service,
    tls: Option<Arc<ClientConfig>>,
    resolver: Resolver,
    limits: FetchLimits,
    clock: HostClock,
    idle: RefCell<Vec<(Connection, u64)>>,
    counts: Cell<FetchCounts>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A client of the service `name` (for logs) at `base_url`: `http://` or `https://`, a host,
    /// perhaps a port and a path that every request starts with.
    ///
    /// # Errors
    /// [`FetchError::BadRequest`] when `base_url` is something else.
    pub fn new(
        name: &str,
        base_url: &str,
        resolver: Resolver,
        tls: Arc<ClientConfig>,
        limits: FetchLimits,
    ) -> Result<Self, FetchError> {
        let bad = |why: &str| FetchError::BadRequest(format!("`{base_url}` is unusable: {why}"));
        let uri: http::Uri = base_url.parse().map_err(|_| bad("it is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(tls),
            _ => return Err(bad("it starts neither with http:// nor with https://")),
        };
        if uri.query().is_some() {
            return Err(bad("a base URL has no query"));
        }
        let host = uri.host().ok_or_else(|| bad("it names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let base = base_url.trim_end_matches('/').to_owned();
        Ok(Self {
            service: Service { name: name.to_owned(), base, host, port },
            tls,
            resolver,
            limits,
            clock: HostClock::new(),
            idle: RefCell::default(),
            counts: Cell::default(),
        })
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// What was done since the start.
    #[must_use]
    pub const fn counts(&self) -> FetchCounts {
        self.counts.get()
    }

    /// Connections that wait for the next request.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.idle.borrow().len()
    }

    /// `GET`; `path_and_query` starts with a slash and is appended to the base URL.
    ///
    /// # Errors
    /// See [`FetchError`]; an HTTP status is none.
    pub async fn get(&self, path_and_query: &str) -> Result<Response, FetchError> {
        self.send(&Request::get(self.url(path_and_query))).await
    }

    /// `POST` of a JSON body. Not repeated by itself, even where the service would not mind.
    ///
    /// # Errors
    /// See [`FetchError`]; an HTTP status is none.
    pub async fn post_json(
        &self,
        path_and_query: &str,
        body: Vec<u8>,
    ) -> Result<Response, FetchError> {
        self.send(&Request::post_json(self.url(path_and_query), body)).await
    }

    /// The absolute URL of a path, for a [`Request`] with headers of its own.
    #[must_use]
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.service.base)
    }

    /// Sends a request whose URL was made with [`Fetcher::url`].
    ///
    /// # Errors
    /// See [`FetchError`]; an HTTP status is none.
    pub async fn send(&self, request: &Request) -> Result<Response, FetchError> {
        self.count(|counts| counts.requests += 1);
        let stage = Cell::new("starting");
        let after_ns = self.limits.timeout_ns;
        let result = within(after_ns, self.attempt(request, &stage))
            .await
            .unwrap_or_else(|| Err(FetchError::Timeout { stage: stage.get(), after_ns }));
        if result.is_err() {
            self.count(|counts| counts.failed += 1);
        }
        result
    }

    async fn attempt(
        &self,
        request: &Request,
        stage: &Cell<&'static str>,
    ) -> Result<Response, FetchError> {
        let mut exchange = Exchange::new(request, self.limits.body_bytes_max)?;
        if let Some(connection) = self.take_idle() {
            self.count(|counts| counts.reused += 1);
            stage.set("waiting for the answer on a kept connection");
            let result = self.run(connection, &mut exchange).await;
            let died = matches!(result, Err(FetchError::Broken(_))) && !exchange.is_answered();
            if !(died && request.is_idempotent()) {
                return result;
            }
            self.count(|counts| counts.repeated += 1);
            exchange = Exchange::new(request, self.limits.body_bytes_max)?;
        }
        let connection = self.open(stage).await?;
        stage.set("waiting for the answer");
        self.run(connection, &mut exchange).await
    }

    async fn open(&self, stage: &Cell<&'static str>) -> Result<Connection, FetchError> {
        stage.set("resolving the name");
        let Service { host, port, .. } = &self.service;
        let addresses = self.resolver.resolve(host, *port).await.map_err(FetchError::Resolve)?;
        stage.set("connecting");
        let connected = connect(&addresses, self.limits.connect_timeout_ns).await;
        let dialed = connected.map_err(FetchError::Connect)?;
        let tls = match &self.tls {
            Some(config) => Some(TlsSession::new(config, host).map_err(FetchError::Tls)?),
            None => None,
        };
        self.count(|counts| counts.connections_opened += 1);
        let mut connection = Connection { dialed, tls, plaintext: Vec::new() };
        stage.set("shaking hands with TLS");
        connection.shake_hands().await?;
        Ok(connection)
    }

    /// One exchange; afterwards the connection waits for the next one or is closed.
    async fn run(
        &self,
        mut connection: Connection,
        exchange: &mut Exchange,
    ) -> Result<Response, FetchError> {
        let response = connection.run(exchange).await?;
        if response.keep_alive {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < REST_IDLE_CONNECTIONS_MAX {
                idle.push((connection, self.clock.mono_ns()));
            }
        }
        Ok(response)
    }

    /// The connection used last that is still open, if there is one.
    fn take_idle(&self) -> Option<Connection> {
        let oldest_ns = self.clock.mono_ns().saturating_sub(REST_IDLE_NS);
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(_, since_ns)| *since_ns >= oldest_ns);
        while let Some((mut connection, _)) = idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    fn count(&self, change: impl FnOnce(&mut FetchCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

/// A connection to a service.
struct Connection {
    dialed: Dialed,
    tls: Option<TlsSession>,
    plaintext: Vec<u8>,
}

impl Connection {
    async fn shake_hands(&mut self) -> Result<(), FetchError> {
        let mut buffer = vec![0; HTTP_SCRATCH_BYTES];
        while self.tls.as_ref().is_some_and(TlsSession::is_handshaking) {
            self.flush().await?;
            if self.receive(&mut buffer).await? == 0 {
                return Err(FetchError::Tls(TlsError::Protocol(
                    "the server closed during the handshake".to_owned(),
                )));
            }
        }
        self.flush().await
    }

    async fn run(&mut self, exchange: &mut Exchange) -> Result<Response, FetchError> {
        self.send(exchange.take_output()).await?;
        let mut buffer = vec![0; HTTP_SCRATCH_BYTES];
        loop {
            if self.receive(&mut buffer).await? == 0 {
                // An end without TLS's goodbye may have been forged: no body ends that way.
                let cut = self.tls.as_ref().is_some_and(|tls| !tls.is_closed_by_server());
                if cut && exchange.is_answered() {
                    return Err(HttpError::Truncated.into());
                }
                return Ok(exchange.handle_eof()?);
            }
            if let Some(response) = exchange.handle_bytes(&self.plaintext)? {
                return Ok(response);
            }
            if self.tls.as_ref().is_some_and(TlsSession::is_closed_by_server) {
                return Ok(exchange.handle_eof()?);
            }
            self.flush().await?;
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), FetchError> {
        match &mut self.tls {
            None => self.write(&bytes).await,
            Some(tls) => {
                tls.write_plaintext(&bytes).map_err(FetchError::Tls)?;
                self.flush().await
            }
        }
    }

    /// Sends what TLS has to say.
    async fn flush(&mut self) -> Result<(), FetchError> {
        let mut bytes = Vec::new();
        if let Some(tls) = &mut self.tls {
            tls.poll_ciphertext(&mut bytes);
        }
        if bytes.is_empty() { Ok(()) } else { self.write(&bytes).await }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.dialed.stream.write_all(bytes).await.map_err(|e| broken(&e))
    }

    /// Bytes received from the socket, 0 at its end; their plaintext is in `self.plaintext`.
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, FetchError> {
        let received = match self.dialed.stream.read(buffer).await {
            // Many servers close with a reset; to us that is an end without a goodbye.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other.map_err(|e| broken(&e))?,
        };
        self.plaintext.clear();
        let Self { tls, plaintext, .. } = self;
        let Some(tls) = tls else {
            plaintext.extend_from_slice(&buffer[..received]);
            return Ok(received);
        };
        let result =
            tls.handle_ciphertext(&buffer[..received], &mut |p| plaintext.extend_from_slice(p));
        if let Err(error) = result {
            // The alert tells the server why; it may be gone already.
            let _ = self.flush().await;
            return Err(FetchError::Tls(error));
        }
        let ended = self.plaintext.is_empty()
            && self.tls.as_ref().is_some_and(TlsSession::is_closed_by_server);
        Ok(if ended { 0 } else { received })
    }

    /// Looks without waiting whether the server has closed or sent something unasked.
    fn is_usable(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            let received = match (&self.dialed.socket).read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return false,
                Ok(received) => received,
            };
            // Session tickets may come at any time; application data may not.
            let Some(tls) = &mut self.tls else { return false };
            let mut silent = true;
            let result = tls.handle_ciphertext(&buffer[..received], &mut |_| silent = false);
            if result.is_err() || !silent || tls.is_closed_by_server() {
                return false;
            }
        }
    }
}

fn broken(error: &io::Error) -> FetchError {
    FetchError::Broken(format!("the connection broke: {error}"))
}

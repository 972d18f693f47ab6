//! A REST client for one named service: keep-alive connections, timeouts, one careful retry.
//!
//! Runs on:  control core (glommio). Owns: the idle connections of its service.
//! Bounds:   `REST_TIMEOUT_NS` a request, `REST_BODY_BYTES_MAX` an answer,
//!           `REST_IDLE_CONNECTIONS_MAX` idle connections for `REST_IDLE_NS`.
use super::clock::HostClock;
pub use super::connection::ConnectionError as FetchError;
use super::connection::{Connection, Target};
use super::dial::within;
use super::resolve::Resolver;
use crate::base::limits::{
    REST_BODY_BYTES_MAX, REST_CONNECT_TIMEOUT_NS, REST_IDLE_CONNECTIONS_MAX, REST_IDLE_NS,
    REST_TIMEOUT_NS,
};
use crate::base::time::Clock as _;
use crate::wire::http::{Exchange, Request, Response};
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

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
    target: Target,
}

/// The client of one service.
pub struct Fetcher {
    service: Service,
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
            service: Service { name: name.to_owned(), base, target: Target { host, port, tls } },
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
        let Self { service, resolver, limits, .. } = self;
        let timeout_ns = limits.connect_timeout_ns;
        let connection = Connection::open(&service.target, resolver, timeout_ns, stage).await?;
        self.count(|counts| counts.connections_opened += 1);
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

//! Errors of pools.
//!
//! Runs on:  any (pure).
use crate::base::time::MILLISECOND_NS;
use crate::io::connection::ConnectionError;
use crate::wire::websocket::WebSocketError;

/// Why there is no connection or no response. A status such as 404 or 500 is a response, not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The connection could not be opened, or failed during the request.
    #[error(transparent)]
    Connection(ConnectionError),
    /// The WebSocket was refused or broken. *Back off and retry.*
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// No connection became available in time. *Send fewer requests or raise `max`.*
    #[error(
        "no connection came free within {} ms; {in_use} are in use{}",
        .after_ns / MILLISECOND_NS,
        .last.as_ref().map_or(String::new(), |why| format!("; the last attempt to open one: {why}"))
    )]
    AcquireTimeout {
        /// Time waited, nanoseconds.
        after_ns: u64,
        /// Connections in use at that time.
        in_use: usize,
        /// Error of the last attempt to open one, if it failed.
        last: Option<String>,
    },
    /// The wait queue is full. *Send fewer requests.*
    #[error("the wait queue is full: {waiting} wait for a connection")]
    QueueFull {
        /// Waiters.
        waiting: usize,
    },
    /// The rate limit would delay this request beyond its timeout. *Send requests less often.*
    #[error(
        "{} delays the next request by {} ms, beyond its timeout",
        if *.by_service { "the service's Retry-After" } else { "the rate limit" },
        .wait_ns / MILLISECOND_NS
    )]
    RateLimited {
        /// The delay, nanoseconds.
        wait_ns: u64,
        /// Whether the service requested the pause (`Retry-After`).
        by_service: bool,
    },
    /// Circular or too many redirects: a fault of the service.
    #[error("too many redirects, the last one to {url}")]
    Redirects {
        /// Target of the last one.
        url: String,
    },
    /// An HTTP operation on a WebSocket, or the reverse. *A bug of the caller.*
    #[error("the service does not use {protocol}")]
    WrongKind {
        /// The protocol requested.
        protocol: &'static str,
    },
    /// The probe's response is an error.
    #[error("the response to the probe was HTTP {status}")]
    Unhealthy {
        /// HTTP status.
        status: u16,
    },
    /// Unknown service name. *A bug of the caller, or a configuration error.*
    #[error("there is no service named `{0}`")]
    UnknownService(String),
    /// Two services have this name. *Invalid configuration.*
    #[error("two services are named `{0}`")]
    DuplicateService(String),
    /// The pool is stopping.
    #[error("the pool is stopping")]
    Stopped,
    /// The pool's thread or core is overloaded or has ended. *Back off and retry.*
    #[error("the pool's thread is overloaded or has ended")]
    Busy,
}

impl PoolError {
    /// Kind for counting.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection(error) => match error {
                ConnectionError::BadRequest(_) => ErrorKind::Usage,
                ConnectionError::Resolve(_) => ErrorKind::Resolve,
                ConnectionError::Connect(_) => ErrorKind::Connect,
                ConnectionError::Tls(_) => ErrorKind::Tls,
                ConnectionError::Timeout { .. } => ErrorKind::Timeout,
                ConnectionError::Broken(_) => ErrorKind::Broken,
                ConnectionError::TooLarge(_) => ErrorKind::TooLarge,
                ConnectionError::Protocol(_) => ErrorKind::Protocol,
            },
            Self::WebSocket(WebSocketError::Closed) => ErrorKind::Broken,
            Self::WebSocket(WebSocketError::BadUrl(_))
            | Self::WrongKind { .. }
            | Self::UnknownService(_)
            | Self::DuplicateService(_) => ErrorKind::Usage,
            Self::WebSocket(_) | Self::Redirects { .. } | Self::Unhealthy { .. } => {
                ErrorKind::Protocol
            }
            Self::AcquireTimeout { .. } => ErrorKind::AcquireTimeout,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::QueueFull { .. } | Self::Stopped | Self::Busy => ErrorKind::Refused,
        }
    }

    pub(crate) const fn timeout(stage: &'static str, after_ns: u64) -> Self {
        Self::Connection(ConnectionError::Timeout { stage, after_ns })
    }
}

impl From<ConnectionError> for PoolError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<WebSocketError> for PoolError {
    fn from(error: WebSocketError) -> Self {
        Self::WebSocket(error)
    }
}

/// Error kinds for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Name resolution failed.
    Resolve,
    /// No address accepts a connection.
    Connect,
    /// TLS failed.
    Tls,
    /// No complete response in time.
    Timeout,
    /// No connection became available in time.
    AcquireTimeout,
    /// The connection broke.
    Broken,
    /// Invalid or unexpected response.
    Protocol,
    /// The response exceeds its limit.
    TooLarge,
    /// The rate limit.
    RateLimited,
    /// The pool accepts no more requests.
    Refused,
    /// A fault of the caller.
    Usage,
}

impl ErrorKind {
    /// All kinds, in the order of their values.
    pub const ALL: [Self; 11] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::AcquireTimeout,
        Self::Broken,
        Self::Protocol,
        Self::TooLarge,
        Self::RateLimited,
        Self::Refused,
        Self::Usage,
    ];

    /// The kind in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::AcquireTimeout => "acquire_timeout",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::Usage => "usage",
        }
    }
}

//! Why somebody gets no connection or no answer.
//!
//! Runs on:  any (pure).
use crate::base::time::MILLISECOND_NS;
use crate::io::connection::ConnectionError;
use crate::wire::websocket::WebSocketError;

/// Why there is no connection or no answer. A status such as 404 or 500 is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The connection could not be made, or failed under the request; see there whose fault it is.
    #[error(transparent)]
    Connection(ConnectionError),
    /// The WebSocket was refused or broken. *The service's fault: back off and retry.*
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// No connection came free in time. *All are in use, or the service takes no more: ask less, or raise
    /// `max`.*
    #[error(
        "no connection came free within {} ms; {in_use} are in use{}",
        .after_ns / MILLISECOND_NS,
        .last.as_ref().map_or(String::new(), |why| format!("; the last attempt to open one: {why}"))
    )]
    AcquireTimeout {
        /// How long was waited, nanoseconds.
        after_ns: u64,
        /// Connections that were in use then.
        in_use: usize,
        /// Why the last attempt to open one failed, where one has.
        last: Option<String>,
    },
    /// As many wait already as may. *Ask less.*
    #[error("{waiting} wait for a connection already")]
    QueueFull {
        /// Those who wait.
        waiting: usize,
    },
    /// The rate limit would make this request wait for longer than its timeout. *Ask less often.*
    #[error(
        "{} lets the next request go in {} ms only, after its timeout",
        if *.asked_for { "the service's Retry-After" } else { "the rate limit" },
        .wait_ns / MILLISECOND_NS
    )]
    RateLimited {
        /// How long it would wait, nanoseconds.
        wait_ns: u64,
        /// True when the service itself asked for the pause (`Retry-After`).
        asked_for: bool,
    },
    /// The service redirects in a circle, or too often. *The service's fault.*
    #[error("too many redirects, the last one to {url}")]
    Redirects {
        /// Where the last one led.
        url: String,
    },
    /// HTTP was asked of a WebSocket, or the other way round. *A bug of the caller's.*
    #[error("the service does not speak {asked}")]
    WrongKind {
        /// What was asked for.
        asked: &'static str,
    },
    /// A probe got an answer that is none of a healthy service.
    #[error("the probe was answered with HTTP {status}")]
    Unhealthy {
        /// HTTP status.
        status: u16,
    },
    /// There is no service of that name. *A bug of the caller's, or a gap in the configuration.*
    #[error("there is no service called `{0}`")]
    UnknownService(String),
    /// Two services have one name. *Bad configuration.*
    #[error("two services are called `{0}`")]
    DuplicateService(String),
    /// The pool is stopping. *Nothing to be done.*
    #[error("the pool is stopping")]
    Stopped,
    /// The thread or core that has the pool does not keep up, or is gone. *Back off and retry.*
    #[error("the pool's thread does not keep up, or is gone")]
    Busy,
}

impl PoolError {
    /// What it is counted as.
    #[must_use]
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

    /// The time of something is over.
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

/// What errors are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The name has no address.
    Resolve,
    /// No address answers.
    Connect,
    /// TLS failed.
    Tls,
    /// No whole answer in time.
    Timeout,
    /// No connection came free in time.
    AcquireTimeout,
    /// The connection broke.
    Broken,
    /// The answer is not valid, or not wanted.
    Protocol,
    /// The answer exceeds its bound.
    TooLarge,
    /// The rate limit.
    RateLimited,
    /// The pool takes no more.
    Refused,
    /// The caller's own.
    Usage,
}

impl ErrorKind {
    /// Every kind, in the order of their numbers.
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

//! Why somebody gets no connection or no answer.
//!
//! Runs on:  any (pure).
use crate::base::time::MILLISECOND_NS;
use crate::io::connection::ConnectionError;
use crate::wire::websocket::WebSocketError;

/// Why there is no connection or no answer. A status such as 404 or 500 is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The connection could not be made, or failed under the request; see there whose fault it is.
    Connection(ConnectionError),
    /// The WebSocket was refused or broken. *The service's fault: back off and retry.*
    WebSocket(WebSocketError),
    /// No connection came free in time. *All are in use, or the service takes no more: ask less, or raise
    /// `max`.*
    AcquireTimeout {
        /// How long was waited, nanoseconds.
        after_ns: u64,
        /// Connections that were in use then.
        in_use: usize,
        /// Why the last attempt to open one failed, where one has.
        last: Option<String>,
    },
    /// As many wait already as may. *Ask less.*
    QueueFull {
        /// Those who wait.
        waiting: usize,
    },
    /// The rate limit would make this request wait for longer than its timeout. *Ask less often.*
    RateLimited {
        /// How long it would wait, nanoseconds.
        wait_ns: u64,
        /// True when the service itself asked for the pause (`Retry-After`).
        asked_for: bool,
    },
    /// The service redirects in a circle, or too often. *The service's fault.*
    Redirects {
        /// Where the last one led.
        url: String,
    },
    /// HTTP was asked of a WebSocket, or the other way round. *A bug of the caller's.*
    WrongKind {
        /// What was asked for.
        asked: &'static str,
    },
    /// A probe got an answer that is none of a healthy service.
    Unhealthy {
        /// HTTP status.
        status: u16,
    },
    /// There is no service of that name. *A bug of the caller's, or a gap in the configuration.*
    UnknownService(String),
    /// Two services have one name. *Bad configuration.*
    DuplicateService(String),
    /// The pool is stopping. *Nothing to be done.*
    Stopped,
    /// The thread or core that has the pool does not keep up, or is gone. *Back off and retry.*
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

impl std::fmt::Display for PoolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::WebSocket(error) => error.fmt(f),
            Self::AcquireTimeout { after_ns, in_use, last } => {
                let ms = after_ns / MILLISECOND_NS;
                write!(f, "no connection came free within {ms} ms; {in_use} are in use")?;
                last.as_ref()
                    .map_or(Ok(()), |why| write!(f, "; the last attempt to open one: {why}"))
            }
            Self::QueueFull { waiting } => write!(f, "{waiting} wait for a connection already"),
            Self::RateLimited { wait_ns, asked_for } => {
                let ms = wait_ns / MILLISECOND_NS;
                let who = if *asked_for { "the service's Retry-After" } else { "the rate limit" };
                write!(f, "{who} lets the next request go in {ms} ms only, after its timeout")
            }
            Self::Redirects { url } => write!(f, "too many redirects, the last one to {url}"),
            Self::WrongKind { asked } => write!(f, "the service does not speak {asked}"),
            Self::Unhealthy { status } => write!(f, "the probe was answered with HTTP {status}"),
            Self::UnknownService(name) => write!(f, "there is no service called `{name}`"),
            Self::DuplicateService(name) => write!(f, "two services are called `{name}`"),
            Self::Stopped => f.write_str("the pool is stopping"),
            Self::Busy => f.write_str("the pool's thread does not keep up, or is gone"),
        }
    }
}

impl std::error::Error for PoolError {}

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

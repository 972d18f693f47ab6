//! A service: name, protocol, address and limits.
//!
//! Runs on:  any (pure).
use super::rate::Rate;
use super::slots::SlotLimits;
use crate::base::limits::{
    POOL_ACQUIRE_TIMEOUT_NS, POOL_BODY_BYTES_MAX, POOL_CONNECT_TIMEOUT_NS, POOL_HEALTH_INTERVAL_NS,
    POOL_HELD_MAX_NS, POOL_IDLE_TIMEOUT_NS, POOL_MAX, POOL_MAX_AGE_NS, POOL_MIN,
    POOL_PROBE_TIMEOUT_NS, POOL_REQUEST_TIMEOUT_NS, POOL_WAITING_MAX, REST_BODY_BYTES_MAX,
    REST_CONNECT_TIMEOUT_NS, REST_IDLE_NS, REST_TIMEOUT_NS,
};
use crate::wire::endpoint::{Endpoint, EndpointError};
use std::fmt::Write as _;

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP in plain text.
    Http,
    /// HTTP over TLS.
    Https,
    /// A WebSocket in plain text.
    Ws,
    /// A WebSocket over TLS.
    Wss,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Ws, Self::Wss];

    /// The URL scheme.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The kind with that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }

    /// Whether it is a WebSocket.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    const fn schemes(self) -> [&'static str; 2] {
        if self.is_websocket() { ["ws", "wss"] } else { ["http", "https"] }
    }
}

/// Limits of a service. Durations in nanoseconds; 0 disables where documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections kept open.
    pub min: usize,
    /// Maximum connections.
    pub max: usize,
    /// Timeout for opening a connection.
    pub connect_timeout_ns: u64,
    /// Timeout for acquiring a connection.
    pub acquire_timeout_ns: u64,
    /// Idle time after which a connection beyond `min` is closed; 0 disables.
    pub idle_timeout_ns: u64,
    /// Timeout of a request, from acquiring a connection to the last byte.
    pub request_timeout_ns: u64,
    /// Interval of probes; 0 disables.
    pub health_interval_ns: u64,
    /// Age after which a connection is replaced; 0 disables.
    pub max_age_ns: u64,
    /// Whether a connection is used for more than one request.
    pub keep_alive: bool,
    /// Lease time after which a connection is reported; 0 disables.
    pub guard_held_max_ns: u64,
    /// Maximum response body, inflated, bytes.
    pub body_bytes_max: usize,
    /// Maximum waiters.
    pub waiting_max: usize,
}

impl Limits {
    /// Defaults. A WebSocket has no maximum age and lease time: its holder reads it for hours.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        let lasting = kind.is_websocket();
        Self {
            min: POOL_MIN,
            max: POOL_MAX,
            connect_timeout_ns: POOL_CONNECT_TIMEOUT_NS,
            acquire_timeout_ns: POOL_ACQUIRE_TIMEOUT_NS,
            idle_timeout_ns: POOL_IDLE_TIMEOUT_NS,
            request_timeout_ns: POOL_REQUEST_TIMEOUT_NS,
            health_interval_ns: POOL_HEALTH_INTERVAL_NS,
            max_age_ns: if lasting { 0 } else { POOL_MAX_AGE_NS },
            keep_alive: true,
            guard_held_max_ns: if lasting { 0 } else { POOL_HELD_MAX_NS },
            body_bytes_max: POOL_BODY_BYTES_MAX,
            waiting_max: POOL_WAITING_MAX,
        }
    }

    /// The limits of the slots.
    pub const fn slots(&self) -> SlotLimits {
        SlotLimits {
            min: self.min,
            max: self.max,
            idle_timeout_ns: self.idle_timeout_ns,
            max_age_ns: self.max_age_ns,
            held_max_ns: self.guard_held_max_ns,
            waiting_max: self.waiting_max,
        }
    }

    /// Timeout of a probe, nanoseconds.
    pub fn probe_timeout_ns(&self) -> u64 {
        POOL_PROBE_TIMEOUT_NS.min(self.request_timeout_ns)
    }
}

/// A service and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Name, unique within a process.
    pub name: String,
    /// Protocol.
    pub kind: Kind,
    /// Host name, or IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path prefix of requests, without a trailing slash; the whole path of a WebSocket.
    pub path: String,
    /// Limits.
    pub limits: Limits,
    /// Probe path, relative to [`Service::path`]. `None`: the probe gets `/`, and any status below 500 is healthy.
    /// WebSockets are pinged.
    pub probe: Option<String>,
    /// Rate limit; `None`: unlimited.
    pub rate: Option<Rate>,
}

impl Service {
    /// The service `name` at `url`, with default limits.
    ///
    /// # Errors
    /// [`EndpointError`] if `url` is invalid for this kind: *the user must correct it*.
    pub fn new(name: &str, kind: Kind, url: &str) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::parse(url, kind.schemes())?;
        let after = endpoint.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = after.find('/').map_or("", |slash| &after[slash..]).to_owned();
        Ok(Self {
            name: name.to_owned(),
            kind,
            host: endpoint.host,
            port: endpoint.port,
            path,
            limits: Limits::of(kind),
            probe: None,
            rate: None,
        })
    }

    /// A venue's REST interface: limits from `base::limits`, no connection before the first request, and no probes,
    /// because frequent requests show its state.
    ///
    /// # Errors
    /// As [`Service::new`].
    pub fn rest(name: &str, url: &str) -> Result<Self, EndpointError> {
        let kind = if url.starts_with("https:") { Kind::Https } else { Kind::Http };
        Endpoint::parse(url, kind.schemes())?.into_base()?;
        let mut service = Self::new(name, kind, url)?;
        service.limits = Limits {
            min: 0,
            connect_timeout_ns: REST_CONNECT_TIMEOUT_NS,
            acquire_timeout_ns: REST_TIMEOUT_NS,
            request_timeout_ns: REST_TIMEOUT_NS,
            idle_timeout_ns: REST_IDLE_NS,
            body_bytes_max: REST_BODY_BYTES_MAX,
            health_interval_ns: 0,
            ..service.limits
        };
        Ok(service)
    }

    /// Base URL of requests, without a trailing slash.
    pub fn url(&self) -> String {
        let mut url = format!("{}://{}", self.kind.name(), self.authority());
        url.push_str(&self.path);
        url
    }

    /// `Host` of requests: host, and the port unless it is the protocol's usual one.
    pub fn authority(&self) -> String {
        let mut url = String::new();
        // An IPv6 address needs brackets.
        let bracketed = self.host.contains(':');
        let host = &self.host;
        let _ = if bracketed { write!(url, "[{host}]") } else { write!(url, "{host}") };
        let usual = if self.kind.is_tls() { 443 } else { 80 };
        if self.port != usual {
            let _ = write!(url, ":{}", self.port);
        }
        url
    }

    /// Whether `url` has the kind, host and port of this service.
    pub fn owns(&self, url: &str) -> bool {
        Endpoint::parse(url, self.kind.schemes()).is_ok_and(|endpoint| {
            endpoint.host.eq_ignore_ascii_case(&self.host)
                && endpoint.port == self.port
                && endpoint.tls == self.kind.is_tls()
        })
    }
}

#[cfg(test)]
mod tests;

//! Paths of the proxy, and the answers that it gives itself. Pure functions.
//!
//! Runs on:  the pools' core (pure). Owns: nothing.
use super::super::request::{Head, Method};
use super::super::response::Response;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::counter::service::Health;
use crate::io::authority::Authority;
use crate::io::connection::ConnectionError;
use crate::pool::{PoolError, Service};
use crate::wire::websocket::WebSocketError;
use serde::Serialize;

/// First path segments that are no services.
pub const OWN_PATHS: [&str; 2] = ["stats", "metrics"];

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/`: the services.
    Index,
    /// `/stats`.
    Stats,
    /// `/metrics`.
    Metrics,
    /// A service.
    Service {
        /// Its name.
        name: &'a str,
        /// The path behind the name: empty, or with a slash at the front.
        path: &'a str,
    },
}

/// The route of a path.
pub fn route(path: &str) -> Route<'_> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    match (name, path) {
        ("", "") => Route::Index,
        ("stats", "") => Route::Stats,
        ("metrics", "") => Route::Metrics,
        (name, path) => Route::Service { name, path },
    }
}

/// Path and query of an HTTP request on its service.
pub fn http_target(service: &Service, path: &str, query: &str) -> String {
    let prefix = service.path.as_str();
    let path = if prefix.is_empty() && path.is_empty() { "/" } else { path };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{prefix}{path}{mark}{query}")
}

/// Path and query of a WebSocket on its service, if they are not the configured ones: the pool's own connections have
/// those.
pub fn socket_target(service: &Service, path: &str, query: &str) -> Option<String> {
    let own = service.path.as_str();
    let path = if path.is_empty() || path == "/" { own } else { path };
    if query.is_empty() && path == own {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let mark = if query.is_empty() { "" } else { "?" };
    Some(format!("{path}{mark}{query}"))
}

/// `Location` as the client can use it: an address of the service becomes a path of the proxy. `None`: unchanged.
pub fn locate(service: &Service, location: &str) -> Option<String> {
    let origin = format!("{}://{}", service.kind.name(), service.authority());
    let path = match location.strip_prefix(&origin) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => rest,
        None if location.starts_with('/') && !location.starts_with("//") => location,
        _ => return None,
    };
    let below = path.strip_prefix(&service.path);
    match below.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
        Some(rest) => Some(format!("/{}{rest}", service.name)),
        // Not below the service's path: no path of the proxy leads there.
        None => Some(format!("{origin}{path}")),
    }
}

/// Whether a page of this origin may use the services: its host is one of the proxy's own.
pub fn origin_host(origin: &str) -> Option<Authority> {
    let (_, host) = origin.split_once("://")?;
    Authority::parse(host)
}

/// The answer to a request of a page of another host.
pub fn foreign_page() -> Response {
    let text =
        "web pages of other hosts cannot use the services; use a program, or a page of this host";
    Response::error(403, text)
}

/// The answer to a request whose `Host` is another server, as in DNS rebinding.
pub fn misdirected(host: &Authority) -> Response {
    let host = host.host();
    let text = format!(
        "these pools are not addressed as {host}; if that is right, start ringbook pools with --listen-name {host}"
    );
    Response::error(421, &text)
}

/// The answer for pages of the proxy to a method that they do not have.
pub fn own_page(head: &Head) -> Option<Response> {
    let reads = matches!(head.method, Method::Get | Method::Head);
    (!reads).then(|| Response::error(405, "use GET").with("Allow", "GET, HEAD"))
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    kind: &'static str,
    address: String,
    state: &'static str,
}

#[derive(Serialize)]
struct Services<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    services: Vec<Listed<'a>>,
}

/// The services with their states; as error for an unknown one.
pub fn services<'a>(
    unknown: Option<&str>,
    services: impl Iterator<Item = (&'a Service, Health)>,
) -> Response {
    let listed = services.map(|(service, health)| Listed {
        name: &service.name,
        kind: service.kind.name(),
        address: service.url(),
        state: health.state.name(),
    });
    let error = unknown.map(|name| format!("there is no service named {name}"));
    let status = if error.is_some() { 404 } else { 200 };
    Response::of(status, &Services { error, services: listed.collect() })
}

#[derive(Serialize)]
struct Fault<'a> {
    error: String,
    service: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
}

/// The answer for a service that is down.
pub fn down(service: &str, health: &Health) -> Response {
    let text = format!("the service {service} is down");
    answer(503, "down", text, service, health).with("Retry-After", "1")
}

/// The answer of a request that got none from its service.
pub fn failed(error: &PoolError, service: &str, health: &Health) -> Response {
    let status = status(error);
    let answer = answer(status, error.kind().name(), error.to_string(), service, health);
    match (error, status) {
        (PoolError::RateLimited { wait_ns, .. }, _) => {
            answer.with("Retry-After", wait_ns.div_ceil(SECOND_NS).max(1).to_string())
        }
        (_, 503) => answer.with("Retry-After", "1"),
        _ => answer,
    }
}

fn answer(status: u16, kind: &str, error: String, service: &str, health: &Health) -> Response {
    let fault = Fault {
        error,
        service,
        state: health.state.name(),
        since_ms: (health.since_ns > 0).then_some(health.since_ns / MILLISECOND_NS),
        last_error: health.last_error.as_deref(),
    };
    Response::of(status, &fault).with("X-Ringbook-Error", kind)
}

/// Status of an error: 429 for the rate limit, 503 if no connection was leased, 504 after the request timeout, 502 for
/// a response that is none. A WebSocket that the service refuses has the service's status, if it is one of 4xx.
fn status(error: &PoolError) -> u16 {
    match error {
        PoolError::RateLimited { .. } => 429,
        PoolError::AcquireTimeout { .. }
        | PoolError::QueueFull { .. }
        | PoolError::Stopped
        | PoolError::Busy => 503,
        PoolError::Connection(error) => match error {
            ConnectionError::Resolve(_) | ConnectionError::Connect(_) | ConnectionError::Tls(_) => {
                503
            }
            ConnectionError::Timeout { .. } => 504,
            ConnectionError::BadRequest(_) => 400,
            ConnectionError::Broken(_)
            | ConnectionError::TooLarge(_)
            | ConnectionError::Protocol(_) => 502,
        },
        PoolError::WebSocket(WebSocketError::Refused { status: status @ 400..=499, .. }) => *status,
        PoolError::WebSocket(WebSocketError::BadUrl(_)) => 400,
        _ => 502,
    }
}

/// The answer for a protocol that the service does not have.
pub fn wrong_kind(service: &Service) -> Response {
    let (name, kind) = (&service.name, service.kind.name());
    if service.kind.is_websocket() {
        let text = format!(
            "the service {name} is a WebSocket (kind {kind}); for HTTP add a service of kind http at its address"
        );
        return Response::error(426, &text).with("Upgrade", "websocket");
    }
    let text = format!(
        "the service {name} has no WebSocket (kind {kind}); add a service of kind ws at its address"
    );
    Response::error(400, &text)
}

/// The answer for a response without a length to a client of HTTP/1.0, which cannot distinguish its end from a failure.
pub fn needs_http11() -> Response {
    Response::error(505, "the response has no length: use HTTP/1.1")
}

#[cfg(test)]
mod tests;

//! Routes: the queries a request needs, and the answers. Pure functions.
//!
//! Runs on:  serve core (pure). Owns: nothing.
use super::exposition::{self, ServeReport};
use super::markets::Search;
use super::page as web_page;
use super::request::{BodyError, Head, HeadError, Method, Sender};
use super::response::Response;
use crate::base::id::{ConnectionId, TokenId};
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::counter::latency::StageBuckets;
use crate::counter::report::{EngineReport, HealthReport};
use crate::gateway::hub::HubReport;
use crate::gateway::stream;
use crate::io::authority::Authority;
use crate::market::book::BookState;
use crate::market::book::image::BookImage;
use serde::Serialize;
use std::sync::Arc;

/// Every path with a description.
pub const PATHS: [(&str, &str); 15] = [
    ("/", "the web page"),
    ("/health", "200 if the engine is healthy, otherwise 503 with reasons"),
    ("/stats", "all counters as JSON"),
    ("/metrics", "all counters in the OpenMetrics format"),
    ("/latency", "the histogram of each stage since the start"),
    (
        "/book?token_id=",
        "one order book in the shape of the venue's REST interface; &outcome=no mirrors a book in YES terms",
    ),
    ("/markets?q=", "followed markets: search and filters, in pages"),
    ("/market?token_id=", "one market with the states of its books"),
    ("/trades?token_id=", "its last trades in memory"),
    ("/prices?token_id=", "prices of stored trades, with --trades"),
    ("/v1/stream", "WebSocket: updates of the books that its client names"),
    ("/host", "settings of the host with their remedies, as ringbook doctor judges them"),
    ("/conditions", "every condition of /health with its remedy"),
    ("/counters", "every metric with its meaning and remedy"),
    ("/admin/recycle?connection=", "POST, from this host: replace a connection without a gap"),
];

/// What a request needs from other cores.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: the answer.
    Response(Response),
    /// The status report.
    Report(Page),
    /// A book of one shard.
    Book {
        /// Its token.
        token: TokenId,
        /// Mirrored to the other outcome.
        opposite: bool,
    },
    /// The verdict on the host.
    Host,
    /// Markets of the catalog.
    Markets(Search),
    /// The market that the request names, with the states of its books.
    Market,
    /// The last trades of the market that the request names.
    Trades,
    /// Prices of stored trades of the token that the request names.
    Prices,
    /// A connection to replace.
    Recycle(ConnectionId),
}

/// Pages rendered from the status report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/health`
    Health,
    /// `/stats`
    Stats,
    /// `/metrics`
    Metrics,
    /// `/latency`
    Latency,
}

/// Why another core did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Too many outstanding queries.
    Busy,
    /// It did not answer in time.
    Late,
}

/// Route name for counters; one name for all unknown paths.
pub fn name(head: &Head) -> &'static str {
    let mut known = PATHS.iter().map(|(path, _)| path.split('?').next().unwrap_or(path));
    let page = head.path.starts_with("/page/").then_some("/page/");
    known.find(|path| *path == head.path).or(page).unwrap_or("other")
}

/// What to do for a request; `is_local` if it comes from this host.
pub fn plan(head: &Head, is_local: bool) -> Plan {
    if head.path == "/admin/recycle" {
        return recycle_plan(head, is_local);
    }
    let plan = match head.path.as_str() {
        "/health" => Plan::Report(Page::Health),
        "/stats" => Plan::Report(Page::Stats),
        "/metrics" => Plan::Report(Page::Metrics),
        "/latency" => Plan::Report(Page::Latency),
        "/book" => match head.query_value("token_id").and_then(|text| TokenId::new(&text)) {
            Some(token) => match head.query_value("outcome").as_deref() {
                None | Some("yes") => Plan::Book { token, opposite: false },
                Some("no") => Plan::Book { token, opposite: true },
                Some(_) => Plan::Response(Response::error(400, "outcome is yes or no")),
            },
            None => Plan::Response(Response::error(400, "Invalid token id")),
        },
        "/markets" => match Search::parse(&head.query) {
            Ok(search) => Plan::Markets(search),
            Err(line) => Plan::Response(Response::error(400, &line)),
        },
        "/market" => Plan::Market,
        "/trades" => Plan::Trades,
        "/prices" => Plan::Prices,
        "/host" => Plan::Host,
        "/conditions" => Plan::Response(web_page::conditions()),
        "/counters" => Plan::Response(web_page::counters()),
        "/v1/stream" => {
            let text = "this path is a WebSocket";
            Plan::Response(Response::error(426, text).with("Upgrade", "websocket"))
        }
        path => match web_page::file(path) {
            Some(file) => Plan::Response(file),
            None => return Plan::Response(not_found()),
        },
    };
    if !matches!(head.method, Method::Get | Method::Head) {
        let text = "only GET and HEAD are served here";
        return Plan::Response(Response::error(405, text).with("Allow", "GET, HEAD"));
    }
    plan
}

/// Commands are accepted from programs on this host and from the page of this server, and not from other web pages that
/// are open in a browser on it.
fn recycle_plan(head: &Head, is_local: bool) -> Plan {
    if head.method != Method::Post {
        return Plan::Response(Response::error(405, "use POST").with("Allow", "POST"));
    }
    if !is_local || head.sender == Sender::OtherPage {
        return Plan::Response(Response::error(
            403,
            "commands are accepted only from programs on this host and from the page of this server",
        ));
    }
    let number = head.query_value("connection");
    let digits = |text: &str| text.strip_prefix("connection-").unwrap_or(text).parse().ok();
    match number.and_then(|text| digits(&text)) {
        Some(number) => Plan::Recycle(ConnectionId(number)),
        None => Plan::Response(Response::error(400, "connection= must be a number, as in /stats")),
    }
}

/// What a request for the stream asks for.
///
/// # Errors
/// The answer to a request that is refused. A browser lets any page open a WebSocket and read it.
pub fn stream(head: &Head) -> Result<stream::Options, Response> {
    if head.path != "/v1/stream" {
        return Err(Response::error(404, "no such WebSocket"));
    }
    if head.sender == Sender::OtherPage {
        return Err(Response::error(403, "this stream is not for pages of other servers"));
    }
    stream::Options::parse(&head.query).map_err(|line| Response::error(400, &line))
}

/// The answer to a recycle command.
pub fn recycling(result: Result<Result<(), String>, NoAnswer>) -> Response {
    match result {
        Ok(Ok(())) => Response::json(202, r#"{"status":"queued; /stats reports its progress"}"#),
        Ok(Err(why)) => Response::error(409, &why),
        Err(why) => no_answer("control core", why),
    }
}

/// The answer to bytes that are not a request.
pub fn bad_head(error: HeadError) -> Response {
    match error {
        HeadError::TooLarge => Response::error(431, "the head of the request is too large"),
        HeadError::Malformed(why) => Response::error(400, why),
        HeadError::Version => Response::error(505, "only HTTP/1.0 and HTTP/1.1 are supported"),
        HeadError::WebSocketVersion => {
            let text = "only version 13 of the WebSocket protocol is supported";
            Response::error(426, text).with("Sec-WebSocket-Version", "13")
        }
    }
}

/// The answer to a request whose body is not read.
pub fn bad_body(error: BodyError) -> Response {
    match error {
        BodyError::LengthRequired => Response::error(411, "the body needs a Content-Length"),
        BodyError::TooLarge => Response::error(413, "the body is too large"),
    }
}

/// The answer to a request whose `Host` is another server, as in DNS rebinding.
pub fn misdirected(host: &Authority) -> Response {
    let host = host.host();
    let text = format!(
        "this server is not addressed as {host}; if that is right, start ringbook with --serve-name {host}"
    );
    Response::error(421, &text)
}

/// The answer to plain text on a port with TLS.
pub fn plain_text() -> Response {
    Response::error(400, "this port speaks TLS: use https:// or wss://")
}

/// True for requests that reserved permits serve.
pub fn is_reserved(head: &Head) -> bool {
    matches!(head.path.as_str(), "/health" | "/metrics")
}

/// The answer to a client without a permit.
pub fn too_many_clients() -> Response {
    Response::error(503, "too many clients").with("Retry-After", "1")
}

/// A page rendered from a report, or the error page without it.
pub fn page(
    page: Page,
    report: Result<Arc<EngineReport>, NoAnswer>,
    serve: &ServeReport,
) -> Response {
    match (page, report) {
        (Page::Health, Ok(report)) => health(&report),
        (Page::Health, Err(why)) => health_unknown(why),
        (_, Err(why)) => no_answer("control core", why),
        (Page::Stats, Ok(report)) => {
            Response::of(200, &Stats { report: &report, gateway: &serve.gateway })
        }
        (Page::Latency, Ok(report)) => {
            let (started_ms, now_ms) = (report.started_wall_ns, report.now_wall_ns);
            let body = Latency {
                started_ms: started_ms / MILLISECOND_NS,
                now_ms: now_ms / MILLISECOND_NS,
                stages: &report.buckets,
            };
            Response::of(200, &body)
        }
        (Page::Metrics, Ok(report)) => Response {
            status: 200,
            content_type: exposition::CONTENT_TYPE,
            headers: Vec::new(),
            body: exposition::encode(&report, serve).into_bytes(),
        },
    }
}

#[derive(Serialize)]
struct Latency<'a> {
    started_ms: u64,
    now_ms: u64,
    stages: &'a [StageBuckets],
}

#[derive(Serialize)]
struct Stats<'a> {
    #[serde(flatten)]
    report: &'a EngineReport,
    gateway: &'a HubReport,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'a str,
    uptime_s: u64,
    #[serde(flatten)]
    health: &'a HealthReport,
}

fn health(report: &EngineReport) -> Response {
    let healthy = report.health.healthy;
    let body = Health {
        status: if healthy { "healthy" } else { "unhealthy" },
        version: &report.version,
        uptime_s: report.now_wall_ns.saturating_sub(report.started_wall_ns) / SECOND_NS,
        health: &report.health,
    };
    Response::of(if healthy { 200 } else { 503 }, &body)
}

fn health_unknown(why: NoAnswer) -> Response {
    let reason = match why {
        NoAnswer::Busy => "the control core is too busy to report: it may hang",
        NoAnswer::Late => "the control core does not report: it may hang",
    };
    let health = HealthReport { reasons: vec![reason.to_owned()], ..HealthReport::default() };
    let version = env!("CARGO_PKG_VERSION");
    Response::of(503, &Health { status: "unhealthy", version, uptime_s: 0, health: &health })
}

/// A book, or the error without it. `now_wall_ns` is the present time, for the age.
pub fn book(image: Result<Option<&BookImage>, NoAnswer>, now_wall_ns: u64) -> Response {
    let image = match image {
        Ok(Some(image)) => image,
        Ok(None) => {
            return Response::error(404, "No orderbook exists for the requested token id");
        }
        Err(why) => return no_answer("shards", why),
    };
    let answer = if image.state == BookState::AwaitingSnapshot {
        Response::error(503, "waiting for the first snapshot of this book").with("Retry-After", "1")
    } else {
        let mut body = String::with_capacity(512 + 32 * (image.bids.len() + image.asks.len()));
        image.write_json(&mut body);
        Response::json(200, body)
    };
    let mut answer = answer.with("X-Ringbook-State", image.state.name());
    if let BookState::Stale { since_wall_ns, .. } = image.state {
        let since_ms = since_wall_ns / MILLISECOND_NS;
        answer = answer.with("X-Ringbook-Stale-Since-Ms", since_ms.to_string());
    }
    if image.facts.updated_wall_ns == 0 {
        return answer;
    }
    let age_ms = now_wall_ns.saturating_sub(image.facts.updated_wall_ns) / MILLISECOND_NS;
    answer.with("X-Ringbook-Age-Ms", age_ms.to_string())
}

/// No shard holds the book: why it is awaited, or `None` if its token is not followed.
pub fn awaited(why: Result<Option<String>, NoAnswer>) -> Response {
    match why {
        Ok(Some(why)) => Response::error(503, &why)
            .with("Retry-After", "1")
            .with("X-Ringbook-State", BookState::AwaitingSnapshot.name()),
        Ok(None) => book(Ok(None), 0),
        Err(why) => no_answer("control core", why),
    }
}

fn no_answer(who: &str, why: NoAnswer) -> Response {
    let what = match why {
        NoAnswer::Busy => "too busy to answer",
        NoAnswer::Late => "not answering",
    };
    Response::error(503, &format!("{who}: {what}")).with("Retry-After", "1")
}

pub(super) fn not_found() -> Response {
    let paths: Vec<String> = PATHS.iter().map(|(path, _)| format!("\"{path}\"")).collect();
    let body = format!(r#"{{"error":"no such path","paths":[{}]}}"#, paths.join(","));
    Response::json(404, body)
}

#[cfg(test)]
mod tests;

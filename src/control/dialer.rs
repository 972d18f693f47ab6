//! Dials of one venue's stream: schedule and sockets until they are up.
//!
//! Runs on:  control core. Owns: the dial queue, dials in progress, the stream's statistics.
//! Bounds:   `DIALS_IN_PROGRESS_MAX` dials, each stepped once per cycle.
use super::{
    dial::{Dial, DialError, Progress, Target},
    dial_queue::DialQueue,
    stream_statistics::StreamStatistics,
};
use crate::base::{
    id::ConnectionId,
    limits::{DIAL_TIMEOUT_NS, RETRY_AFTER_DEFAULT_NS},
    time::{Now, SECOND_NS},
};
use crate::counter::{report::PoolReport, service::ServiceReport};
use crate::io::socket::Stream;
use crate::session::Session;
use crate::wire::websocket::WebSocketError;
use std::net::SocketAddr;

/// Scratch memory for handshakes: a certificate chain fits.
const HANDSHAKE_BUFFER_BYTES: usize = 16 * 1024;

/// Pause requested by the venue for all dials, nanoseconds. A past date is no pause, except with HTTP 429: the clocks
/// may differ.
pub(super) fn pause_of(error: &DialError, wall_ns: u64) -> Option<u64> {
    let DialError::WebSocket(WebSocketError::Refused { status, retry_after, .. }) = error else {
        return None;
    };
    match (status, retry_after.map(|after| after.seconds_from(wall_ns))) {
        (429, None | Some(0)) => Some(RETRY_AFTER_DEFAULT_NS),
        (_, Some(seconds)) => Some(seconds.saturating_mul(SECOND_NS)),
        _ => None,
    }
}

#[derive(Debug)]
struct UnderWay {
    connection: ConnectionId,
    deadline_ns: u64,
    /// `None` until the host is resolved.
    dial: Option<Dial>,
}

/// How a dial ended.
#[derive(Debug)]
pub(super) enum DialEnd {
    /// The upgrade is complete.
    Up { connection: ConnectionId, stream: Box<dyn Stream>, session: Box<Session> },
    /// It failed because of `why`; the queue dials again after a backoff.
    Failed { connection: ConnectionId, why: String },
}

/// Dials the connections of one venue.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) queue: DialQueue,
    under_way: Vec<UnderWay>,
    target: Target,
    statistics: StreamStatistics,
    buffer: Box<[u8]>,
}

impl Dialer {
    /// No dial; `name` is the stream's name among the services.
    pub(super) fn new(name: &'static str, target: Target, queue: DialQueue) -> Self {
        Self {
            queue,
            under_way: Vec::new(),
            statistics: StreamStatistics::new(name, &target),
            target,
            buffer: vec![0; HANDSHAKE_BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// Address to dial.
    pub(super) fn url(&self) -> &str {
        &self.target.url
    }

    /// Whether a dial is in progress.
    pub(super) const fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The next connection whose dial begins now; call until `None`. Resolve its host, then call
    /// [`Dialer::on_resolved`].
    pub(super) fn begin_due(&mut self, now_ns: u64) -> Option<ConnectionId> {
        let due = self.queue.poll(now_ns)?;
        let connection = due.connection;
        let deadline_ns = now_ns + due.timeout_ns.min(DIAL_TIMEOUT_NS);
        self.under_way.push(UnderWay { connection, deadline_ns, dial: None });
        Some(connection)
    }

    /// Steps every dial. Returns those that ended.
    pub(super) fn step(&mut self, now: Now) -> Vec<DialEnd> {
        let mut ended = Vec::new();
        let mut place = 0;
        while place < self.under_way.len() {
            let under_way = &mut self.under_way[place];
            let connection = under_way.connection;
            let progress = match &mut under_way.dial {
                Some(dial) => dial.step(now.mono_ns, &mut self.buffer),
                None if now.mono_ns < under_way.deadline_ns => Progress::Pending,
                None => Progress::Failed(DialError::Timeout("resolving the host")),
            };
            match progress {
                Progress::Pending => {
                    place += 1;
                    continue;
                }
                Progress::Ready(stream, session) => {
                    if let Some(took_ns) = self.queue.on_success(connection, now.mono_ns) {
                        self.statistics.on_up(took_ns, now);
                    }
                    ended.push(DialEnd::Up { connection, stream, session });
                }
                Progress::Failed(error) => {
                    self.statistics.on_failure(&error, now);
                    let pause_ns = pause_of(&error, now.wall_ns);
                    self.queue.on_failure(connection, now.mono_ns, pause_ns);
                    ended.push(DialEnd::Failed { connection, why: self.explain(&error) });
                }
            }
            self.under_way.swap_remove(place);
        }
        ended
    }

    /// Result of the name lookup of a dial; an error fails the dial.
    pub(super) fn on_resolved(
        &mut self,
        connection: ConnectionId,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Now,
    ) -> Option<DialEnd> {
        let place = self.under_way.iter().position(|dial| dial.connection == connection)?;
        match addresses {
            Ok(addresses) => {
                let under_way = &mut self.under_way[place];
                let (target, deadline_ns) = (self.target.clone(), under_way.deadline_ns);
                under_way.dial = Some(Dial::new(target, addresses, deadline_ns, now.wall_ns));
                None
            }
            Err(why) => {
                self.under_way.swap_remove(place);
                self.statistics.on_unresolved(&why, now);
                self.queue.on_failure(connection, now.mono_ns, None);
                Some(DialEnd::Failed { connection, why })
            }
        }
    }

    /// Cancels the dial of a closed connection.
    pub(super) fn cancel(&mut self, connection: ConnectionId) {
        self.queue.cancel(connection);
        self.under_way.retain(|dial| dial.connection != connection);
    }

    /// Cancels every dial.
    pub(super) fn stop(&mut self) {
        self.under_way.clear();
    }

    /// Report of the stream as a service.
    pub(super) fn report(&self, pool: &PoolReport) -> ServiceReport {
        self.statistics.report(pool, self.queue.in_progress())
    }

    /// Text of an error, with the remedy if the key is wrong.
    fn explain(&self, error: &DialError) -> String {
        let refused = matches!(
            error,
            DialError::WebSocket(WebSocketError::Refused { status: 401 | 403, .. })
        );
        match &self.target.signer {
            Some(signer) if refused => {
                format!("{error}: the key is not accepted; {}", signer.refusal_hint())
            }
            _ => error.to_string(),
        }
    }
}

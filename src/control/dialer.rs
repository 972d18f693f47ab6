//! The dials of one venue's stream: who dials when, and each dial under way.
//!
//! Runs on:  control core. Owns: the dial queue, sockets until they are up, the stream's statistics.
//! Bounds:   `DIALS_IN_PROGRESS_MAX` dials at once, each stepped once a cycle.
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

/// The pause that the venue asks of all dials at `wall_ns`, nanoseconds. A date that has passed is no pause, except with
/// a 429, which means too many dials: the two clocks may differ.
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
    /// It failed, for the reason `why`; the queue dials again after a backoff.
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
    /// Nothing dialed yet; `name` is the stream's name among the services.
    pub(super) fn new(name: &'static str, target: Target, queue: DialQueue) -> Self {
        Self {
            queue,
            under_way: Vec::new(),
            statistics: StreamStatistics::new(name, &target),
            target,
            buffer: vec![0; HANDSHAKE_BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// The address that is dialed.
    pub(super) fn url(&self) -> &str {
        &self.target.url
    }

    /// Whether a dial is under way.
    pub(super) const fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The next connection whose dial begins now, until `None`. Its host is to be resolved, see [`Dialer::on_resolved`].
    pub(super) fn begin_due(&mut self, now_ns: u64) -> Option<ConnectionId> {
        let due = self.queue.poll(now_ns)?;
        let connection = due.connection;
        let deadline_ns = now_ns + due.timeout_ns.min(DIAL_TIMEOUT_NS);
        self.under_way.push(UnderWay { connection, deadline_ns, dial: None });
        Some(connection)
    }

    /// Steps every dial. Gives those that have ended.
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

    /// The host of a dial is resolved, or cannot be: then the dial has failed.
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

    /// The connection is closed for good.
    pub(super) fn cancel(&mut self, connection: ConnectionId) {
        self.queue.cancel(connection);
        self.under_way.retain(|dial| dial.connection != connection);
    }

    /// Gives up every dial under way.
    pub(super) fn stop(&mut self) {
        self.under_way.clear();
    }

    /// The stream as one of the services.
    pub(super) fn report(&self, pool: &PoolReport) -> ServiceReport {
        self.statistics.report(pool, self.queue.in_progress())
    }

    /// The reason of a failure, with the remedy where the key is at fault.
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

//! Recorded days in place of a running engine: each WebSocket has a replay of its own.
//!
//! Runs on:  serve core. Owns: nothing; a replay has threads of its own and ends with its WebSocket.
use super::Server;
use super::gateway::{Gateway, GatewayLinks};
use super::parts::Part;
use super::request::Head;
use super::response::Response;
use crate::base::id::Venue;
use crate::base::text::percent_decoded;
use crate::gateway::tardis::options::{Options, Range};
use crate::gateway::tardis::raw::{Form, RawOptions};
use crate::gateway::{Endpoint, Refusal, Site};
use crate::io::wake::TaskWaker;
use crate::link::replay_gate::{ReplayEnd, ReplayGate};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What a client asks for in the address of its WebSocket; `None` where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedRange {
    /// `from=`: a time.
    pub from: Option<String>,
    /// `to=`: a time.
    pub to: Option<String>,
    /// `speed=`.
    pub speed: Option<String>,
}

/// Why no replay begins: HTTP status, and one line for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReplay {
    /// HTTP status.
    pub status: u16,
    /// One line.
    pub line: String,
}

/// A replay that has started.
#[derive(Debug)]
pub struct ReplayLinks {
    /// Its updates, as those of a shard.
    pub links: GatewayLinks,
    /// Its flags.
    pub gate: Arc<ReplayGate>,
}

/// What one replay of the tardis interface reads.
#[derive(Clone, Debug)]
pub enum Reading {
    /// Messages as they were received.
    Raw {
        /// What is wanted.
        options: RawOptions,
        /// How they are written.
        form: Form,
        /// Compressed, each with a line break.
        gzip: bool,
    },
    /// Normalized messages.
    Normalized {
        /// The exchange.
        venue: Venue,
        /// The range.
        range: Range,
        /// What is wanted, of this exchange and range.
        options: Options,
    },
}

/// Starts replays.
pub trait Replays: std::fmt::Debug + Send {
    /// Starts a replay for one WebSocket.
    fn start(&self, site: Site, range: &AskedRange) -> Result<ReplayLinks, NoReplay>;

    /// Starts a replay for the tardis interface, which waits while its parts are not received. It wakes its client for
    /// each part.
    fn read(&self, reading: Reading, waker: TaskWaker) -> Result<Receiver<Part>, NoReplay>;
}

impl AskedRange {
    /// Takes the range out of the query of an address; the rest is for the endpoint.
    ///
    /// # Errors
    /// One line: a malformed escape.
    pub fn take(query: &str) -> Result<(Self, String), String> {
        let (mut range, mut rest) = (Self::default(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "from" => &mut range.from,
                "to" => &mut range.to,
                "speed" => &mut range.speed,
                _ => {
                    rest.push(pair);
                    continue;
                }
            };
            *place = Some(percent_decoded(value)?.into_owned());
        }
        Ok((range, rest.join("&")))
    }
}

/// The replay of a gateway with one client.
#[derive(Debug)]
pub(super) struct Steering {
    gate: Arc<ReplayGate>,
    /// Before the replay is ready no time passes for its client: when that began, and how long it was.
    frozen_ns: Cell<Option<u64>>,
    skew_ns: Cell<u64>,
    /// Updates taken so far.
    taken: Cell<u64>,
    /// When the client last sent something.
    pub(super) received_ns: Cell<u64>,
}

impl Steering {
    pub(super) fn new(gate: Arc<ReplayGate>) -> Self {
        let (frozen_ns, skew_ns) = (Cell::new(None), Cell::new(0));
        Self { gate, frozen_ns, skew_ns, taken: Cell::new(0), received_ns: Cell::new(0) }
    }

    pub(super) fn time(&self, mono_ns: u64) -> u64 {
        if !self.gate.is_ready() {
            let frozen_ns = self.frozen_ns.get().unwrap_or(mono_ns);
            self.frozen_ns.set(Some(frozen_ns));
            return frozen_ns;
        }
        if let Some(frozen_ns) = self.frozen_ns.take() {
            self.skew_ns.set(mono_ns.saturating_sub(frozen_ns));
        }
        mono_ns.saturating_sub(self.skew_ns.get())
    }

    /// Whether an update can be taken: one of a whole message. The taken ones are counted.
    pub(super) fn takes(&self) -> bool {
        self.taken.get() < self.gate.whole()
    }

    pub(super) fn on_taken(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.gate.is_ready() && !self.gate.has_begun()
    }

    pub(super) fn begin(&self) {
        self.gate.begin();
    }

    /// Close code and reason, once no more updates follow.
    pub(super) fn end(&self) -> Option<(u16, &'static str)> {
        self.gate.end().map(|end| match end {
            ReplayEnd::Complete => (1000, "the range has ended"),
            ReplayEnd::Failed => (1011, "the recording cannot be read; the log says why"),
        })
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        self.gate.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

pub(super) enum WebSocketRefusal {
    /// It is accepted and closed with this code and reason, as the venue does.
    Close(u16, String),
    Answer(Response),
}

impl Server {
    /// The gateway and the endpoint of a request for a WebSocket; `None` where it is answered as other requests.
    pub(super) fn websocket(
        &self,
        site: Site,
        head: &Head,
    ) -> Option<Result<(Rc<Gateway>, Endpoint), WebSocketRefusal>> {
        let gateway = self.gateway.as_ref()?;
        let refuse =
            |status, line: &str| Some(Err(WebSocketRefusal::Answer(Response::error(status, line))));
        let Some(replays) = gateway.replays() else {
            return match site.endpoint(&head.path, &head.query) {
                Ok(endpoint) => Some(Ok((Rc::clone(gateway), endpoint?))),
                Err(Refusal::Close(code, reason)) => {
                    Some(Err(WebSocketRefusal::Close(code, reason)))
                }
                Err(Refusal::Answer(_)) => None,
            };
        };
        let (range, query) = match AskedRange::take(&head.query) {
            Ok(parts) => parts,
            Err(line) => return refuse(400, &line),
        };
        let endpoint = match site.endpoint(&head.path, &query) {
            Ok(endpoint) => endpoint?,
            Err(Refusal::Close(code, reason)) => {
                return Some(Err(WebSocketRefusal::Close(code, reason)));
            }
            Err(Refusal::Answer(line)) => return refuse(400, &line),
        };
        if matches!(endpoint, Endpoint::Tardis(_)) {
            let line = "a recording has no live stream: use /ws-replay-normalized";
            return Some(Err(WebSocketRefusal::Close(1011, line.to_owned())));
        }
        match replays.start(site, &range) {
            Ok(replay) => Some(Ok((Rc::new(Gateway::of_replay(replay)), endpoint))),
            Err(NoReplay { status, line }) => refuse(status, &line),
        }
    }
}

#[cfg(test)]
mod tests;

//! Handle of a running simulated Polymarket.
//!
//! Runs on:  any; the venue itself is one thread.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;

use super::certificate::tls;
use super::config::{SimConfig, SimError};
use super::pace::{Pace, PaceReport};
use super::server::{Command, Server};
use super::stats::{Counters, Stats};
use crate::base::time::Clock;

/// Longest wait for the thread to answer a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the thread to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Functions that the embedding program gives to the venue's thread.
pub struct Host {
    /// The clock of paced flows; must be the reader's clock.
    pub clock: Box<dyn Clock + Send>,
    /// Called first on the venue's thread, for example to pin it to a core.
    pub at_start: Box<dyn FnOnce() + Send>,
}

/// A running simulated venue: Gamma, CLOB REST, WebSocket and `/sim` on one port.
///
/// Stops when dropped.
pub struct Venue {
    address: SocketAddr,
    ca_pem: Option<String>,
    counters: Arc<Counters>,
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Venue {
    /// Creates the markets, listens, and starts the venue's thread.
    pub fn start(config: SimConfig) -> Result<Self, SimError> {
        Self::launch(&config, None)
    }

    /// As [`start`](Self::start), with a host whose clock stamps paced flows.
    pub fn start_on(host: Host, config: SimConfig) -> Result<Self, SimError> {
        Self::launch(&config, Some(host))
    }

    fn launch(config: &SimConfig, host: Option<Host>) -> Result<Self, SimError> {
        config.check()?;
        let (tls, ca_pem) = tls(config.tls)?;
        let counters = Arc::new(Counters::default());
        let (commands, orders) = mpsc::channel();
        let mut server = Server::new(config, tls, Arc::clone(&counters), orders)?;
        let (address, waker) = (server.address(), server.waker());
        let (done, ended) = mpsc::channel();
        let run = move || {
            if let Some(host) = host {
                (host.at_start)();
                server.set_pace_clock(host.clock);
            }
            server.run();
            drop(done);
        };
        let thread = std::thread::Builder::new().name("venue-sim".to_owned()).spawn(run);
        let thread = Some(thread.map_err(SimError::Start)?);
        Ok(Self { address, ca_pem, counters, commands, waker, thread, ended })
    }

    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of Gamma, CLOB and `/sim`, without a trailing slash.
    pub fn http_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// URL of the market channel.
    pub fn ws_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}/ws/market", self.address)
    }

    /// Its certificate authority in PEM; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Pauses the scenario: no more events after this returns. Requests and pings are
    /// answered, and queued frames are sent.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn pause(&self) -> Result<(), SimError> {
        self.ask(Command::Pause)
    }

    /// Continues the scenario.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn resume(&self) -> Result<(), SimError> {
        self.ask(Command::Resume)
    }

    /// Starts a paced flow in addition to the scenario; one at a time. The report is sent
    /// at its end. Until then the venue's thread polls and occupies a core.
    ///
    /// Hashes of its messages are replaced by stamps, see [`STAMP_DIGITS`](super::STAMP_DIGITS);
    /// REST answers are not changed.
    ///
    /// # Errors
    /// The venue was not started with [`start_on`](Self::start_on), the rate is not above 0, another
    /// flow is under way, or the venue's thread has ended.
    pub fn pace(&self, pace: Pace) -> Result<Receiver<PaceReport>, SimError> {
        let (report, receiver) = mpsc::channel();
        self.ask(|answer| Command::Pace(pace, report, answer))??;
        Ok(receiver)
    }

    /// Ends the active paced flow, if any; its report is sent at once.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn cut_pace(&self) -> Result<(), SimError> {
        self.ask(Command::CutPace)
    }

    /// The book of a token in the shape of `GET /book`; `None` if there is none.
    pub fn truth(&self, token: &str) -> Option<String> {
        let token = token.to_owned();
        self.ask(|answer| Command::Truth(token, answer)).ok().flatten()
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Whether the venue's thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Closes every connection and ends the thread within seconds. Dropping does the same.
    pub fn stop(mut self) {
        self.halt();
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, SimError> {
        let (sender, receiver) = mpsc::channel();
        self.commands.send(command(sender)).map_err(|_| SimError::Gone)?;
        self.waker.wake().map_err(SimError::Start)?;
        receiver.recv_timeout(ANSWER_TIMEOUT).map_err(|_| SimError::Gone)
    }

    fn halt(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        drop(self.commands.send(Command::Stop));
        drop(self.waker.wake());
        match self.ended.recv_timeout(STOP_TIMEOUT) {
            // The thread has dropped its end of the channel: it is ending.
            Err(mpsc::RecvTimeoutError::Disconnected) => drop(thread.join()),
            _ => log::error!("the simulated venue's thread does not end; left to itself"),
        }
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.halt();
    }
}

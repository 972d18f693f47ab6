//! The handle of a running venue.
//!
//! Runs on:  any; the venue itself is one thread.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;

use super::certificate::make_authority;
use super::config::{SimConfig, SimError};
use super::pace::{Pace, PaceReport};
use super::server::{Command, Server};
use super::stats::{Counters, Stats};
use crate::base::time::Clock;

/// The thread answers a command within this time, or is taken for gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The thread ends within this time, or is left to itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the surrounding program lends the venue's thread.
pub struct Host {
    /// The clock of paced flows: the reader must use the same one.
    pub clock: Box<dyn Clock + Send>,
    /// Called first on the venue's thread: the place to pin it to a core.
    pub at_start: Box<dyn FnOnce() + Send>,
}

/// A running simulated venue: Gamma, CLOB REST, WebSocket and `/sim` on one port.
///
/// It stops when dropped.
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
    /// Makes the universe, listens, and starts the venue's thread.
    ///
    /// # Errors
    /// See [`SimError`].
    pub fn start(config: SimConfig) -> Result<Self, SimError> {
        Self::launch(&config, None)
    }

    /// Like [`start`](Self::start), on a host whose clock paced flows are stamped with.
    ///
    /// # Errors
    /// See [`SimError`].
    pub fn start_on(host: Host, config: SimConfig) -> Result<Self, SimError> {
        Self::launch(&config, Some(host))
    }

    fn launch(config: &SimConfig, host: Option<Host>) -> Result<Self, SimError> {
        config.check()?;
        let (tls, ca_pem) = if config.tls {
            let (tls, pem) = make_authority()?;
            (Some(tls), Some(pem))
        } else {
            (None, None)
        };
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

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base of Gamma, CLOB and `/sim`, without a slash at the end.
    #[must_use]
    pub fn http_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The market channel.
    #[must_use]
    pub fn ws_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}/ws/market", self.address)
    }

    /// The certificate authority to trust, in PEM; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Stops the scenario: when this returns, no more events are made. Requests and pings are
    /// still answered, and what was made before is still sent.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn pause(&self) -> Result<(), SimError> {
        self.ask(Command::Pause)
    }

    /// Lets the scenario go on where it stopped.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn resume(&self) -> Result<(), SimError> {
        self.ask(Command::Resume)
    }

    /// Begins a paced flow, on top of whatever else happens at the venue; one at a time. The report
    /// comes at its end. Until then the venue's thread polls and takes a core for itself.
    ///
    /// The hashes of its messages are no hashes but stamps, see [`STAMP_DIGITS`](super::STAMP_DIGITS);
    /// what REST reports is not changed.
    ///
    /// # Errors
    /// The venue was not started with [`start_on`](Self::start_on), the rate is not above 0, another
    /// flow is under way, or the venue's thread has ended.
    pub fn pace(&self, pace: Pace) -> Result<Receiver<PaceReport>, SimError> {
        let (report, receiver) = mpsc::channel();
        self.ask(|answer| Command::Pace(pace, report, answer))??;
        Ok(receiver)
    }

    /// Ends the paced flow that is under way, if there is one; its report comes at once.
    ///
    /// # Errors
    /// The venue's thread has ended.
    pub fn cut_pace(&self) -> Result<(), SimError> {
        self.ask(Command::CutPace)
    }

    /// The book of a token as `GET /book` shows it; `None` when there is none.
    #[must_use]
    pub fn truth(&self, token: &str) -> Option<String> {
        let token = token.to_owned();
        self.ask(|answer| Command::Truth(token, answer)).ok().flatten()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Whether the venue's thread still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends every connection and the thread, within seconds. Dropping does the same.
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
            // The thread has let go of its end: it is done but for its last instructions.
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

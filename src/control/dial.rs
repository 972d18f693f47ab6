//! One dial: TCP, TLS and WebSocket upgrade in non-blocking steps.
//!
//! Runs on:  control core, one step per cycle; a handshake takes 0.3 ms of CPU. Owns: the socket.
//! Bounds:   one deadline for the whole dial; all addresses are tried in turn. `READS_PER_CONNECTION` reads per step,
//!           `HANDSHAKE_BYTES_MAX` bytes per dial.
use crate::base::limits::{HANDSHAKE_BYTES_MAX, READS_PER_CONNECTION};
use crate::io::socket::{Connecting, Connector, Stream};
use crate::session::Session;
use crate::venue::Signer;
use crate::wire::{
    tls::{TlsError, TlsSession},
    websocket::{ClientSocket, Upgrade, WebSocketError},
};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

/// Address and credentials of a stream.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL, as in `wss://host/ws/market`.
    pub url: String,
    /// Host of the URL, for TLS.
    pub host: String,
    /// TLS settings; `None` for `ws://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// Opens sockets.
    pub connector: Arc<dyn Connector>,
    /// Heartbeat text that the venue expects on a subscribed connection.
    pub heartbeat: &'static str,
    /// Signs the upgrade, if the venue requires it.
    pub signer: Option<Arc<dyn Signer>>,
}

/// Why a dial failed. The caller dials again after a backoff.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address accepted a connection; the error of the last one.
    #[error(
        "cannot connect{}: {error}",
        .address.map_or(String::new(), |address| format!(" to {address}"))
    )]
    Connect {
        /// The address.
        address: Option<SocketAddr>,
        /// The kernel's error.
        error: std::io::Error,
    },
    /// TLS failed.
    #[error(transparent)]
    Tls(TlsError),
    /// The upgrade could not be signed.
    #[error("{0}")]
    Sign(String),
    /// The upgrade was refused or broken.
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// The connection ended during the handshake.
    #[error("the venue closed the connection during the handshake")]
    Ended,
    /// The deadline passed.
    #[error("timed out while {0}")]
    Timeout(&'static str),
}

/// State of a dial after a step.
#[derive(Debug)]
pub enum Progress {
    /// Step again.
    Pending,
    /// The upgrade is complete.
    Ready(Box<dyn Stream>, Box<Session>),
    /// It failed.
    Failed(DialError),
}

#[derive(Debug)]
struct Handshake {
    socket: Box<dyn Stream>,
    tls: Option<TlsSession>,
    upgrade: Upgrade,
    output: Vec<u8>,
    received_bytes: usize,
}

#[derive(Debug)]
enum Phase {
    NextAddress,
    Connecting(SocketAddr, Box<dyn Stream>),
    Handshaking(Box<Handshake>),
    Over,
}

/// A dial in progress.
#[derive(Debug)]
pub struct Dial {
    target: Target,
    addresses: VecDeque<SocketAddr>,
    deadline_ns: u64,
    /// Wall time at the begin of the dial, for the signature.
    wall_ns: u64,
    /// Time at which the next address is tried.
    address_deadline_ns: u64,
    phase: Phase,
    last_error: Option<(Option<SocketAddr>, std::io::Error)>,
}

impl Dial {
    /// A dial of `target` at `addresses` with a monotonic deadline; `wall_ns` is the current wall time.
    #[must_use]
    pub fn new(target: Target, addresses: Vec<SocketAddr>, deadline_ns: u64, wall_ns: u64) -> Self {
        Self {
            target,
            addresses: addresses.into(),
            deadline_ns,
            wall_ns,
            address_deadline_ns: 0,
            phase: Phase::NextAddress,
            last_error: None,
        }
    }

    /// Proceeds without blocking. `buffer` is scratch memory for reads.
    pub fn step(&mut self, now_ns: u64, buffer: &mut [u8]) -> Progress {
        loop {
            if now_ns >= self.deadline_ns {
                return self.fail(DialError::Timeout(self.doing()));
            }
            match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::NextAddress => {
                    if let Err(error) = self.next_address(now_ns) {
                        return self.fail(error);
                    }
                }
                Phase::Connecting(address, socket) => match socket.poll_connected() {
                    Ok(Connecting::Pending) if now_ns < self.address_deadline_ns => {
                        self.phase = Phase::Connecting(address, socket);
                        return Progress::Pending;
                    }
                    Ok(Connecting::Pending) => {
                        self.last_error = Some((Some(address), ErrorKind::TimedOut.into()));
                        self.phase = Phase::NextAddress;
                    }
                    Ok(Connecting::Done) => match self.begin_handshake(socket) {
                        Ok(handshake) => self.phase = Phase::Handshaking(handshake),
                        Err(error) => return self.fail(error),
                    },
                    Err(error) => {
                        self.last_error = Some((Some(address), error));
                        self.phase = Phase::NextAddress;
                    }
                },
                Phase::Handshaking(mut handshake) => match handshake.step(buffer) {
                    Ok(Some(client)) => {
                        let Handshake { socket, tls, .. } = *handshake;
                        let session = Session::new(tls, client, self.target.heartbeat);
                        return Progress::Ready(socket, Box::new(session));
                    }
                    Ok(None) => {
                        self.phase = Phase::Handshaking(handshake);
                        return Progress::Pending;
                    }
                    Err(error) => return self.fail(error),
                },
                Phase::Over => return Progress::Failed(DialError::Ended),
            }
        }
    }

    const fn doing(&self) -> &'static str {
        match self.phase {
            Phase::Handshaking(_) => "waiting for the venue's handshake",
            _ => "connecting",
        }
    }

    fn fail(&mut self, error: DialError) -> Progress {
        self.phase = Phase::Over;
        Progress::Failed(error)
    }

    fn next_address(&mut self, now_ns: u64) -> Result<(), DialError> {
        while let Some(address) = self.addresses.pop_front() {
            match self.target.connector.connect(address) {
                Ok(socket) => {
                    // What is left of the time is shared by the addresses that are left.
                    let shares = self.addresses.len() as u64 + 1;
                    let left_ns = self.deadline_ns.saturating_sub(now_ns);
                    self.address_deadline_ns = now_ns + left_ns / shares;
                    self.phase = Phase::Connecting(address, socket);
                    return Ok(());
                }
                Err(error) => self.last_error = Some((Some(address), error)),
            }
        }
        let none = || (None, std::io::Error::other("the host has no address"));
        let (address, error) = self.last_error.take().unwrap_or_else(none);
        Err(DialError::Connect { address, error })
    }

    fn begin_handshake(&self, socket: Box<dyn Stream>) -> Result<Box<Handshake>, DialError> {
        let agent = concat!("ringbook/", env!("CARGO_PKG_VERSION"));
        let url = &self.target.url;
        let signer = self.target.signer.as_ref();
        let headers = signer.map(|signer| signer.headers("GET", path_of(url), self.wall_ns));
        let headers = headers.transpose().map_err(DialError::Sign)?.unwrap_or_default();
        let mut upgrade =
            Upgrade::start_with(url, agent, &headers).map_err(DialError::WebSocket)?;
        let request = upgrade.take_output();
        let mut output = Vec::new();
        let tls = match &self.target.tls {
            None => {
                output = request;
                None
            }
            Some(config) => {
                let mut tls = TlsSession::new(config, &self.target.host).map_err(DialError::Tls)?;
                tls.write_plaintext(&request).map_err(DialError::Tls)?;
                tls.poll_ciphertext(&mut output);
                Some(tls)
            }
        };
        Ok(Box::new(Handshake { socket, tls, upgrade, output, received_bytes: 0 }))
    }
}

/// Path of a URL, without query.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = behind.find('/').map_or("/", |at| &behind[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}

impl Handshake {
    fn step(&mut self, buffer: &mut [u8]) -> Result<Option<ClientSocket>, DialError> {
        for _ in 0..READS_PER_CONNECTION {
            self.send()?;
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err(DialError::Ended),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(DialError::Connect { address: None, error }),
            };
            if let Some(client) = self.handle_bytes(&buffer[..count])? {
                self.send()?;
                return Ok(Some(client));
            }
            self.received_bytes += count;
            if self.received_bytes > HANDSHAKE_BYTES_MAX {
                let what = format!("{HANDSHAKE_BYTES_MAX} bytes, and its handshake has no end");
                return Err(DialError::WebSocket(WebSocketError::Protocol(what)));
            }
        }
        self.send()?;
        // There may be more: the next step reads it, and looks at the deadline first.
        Ok(None)
    }

    fn send(&mut self) -> Result<(), DialError> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(DialError::Connect { address: None, error }),
            }
        }
        Ok(())
    }

    fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<ClientSocket>, DialError> {
        let Self { tls, upgrade, output, .. } = self;
        let Some(tls) = tls else {
            return upgrade.handle_bytes(bytes).map_err(DialError::WebSocket);
        };
        let mut client: Option<ClientSocket> = None;
        let mut failed = None;
        let fed = tls.handle_ciphertext(bytes, &mut |plain| match &mut client {
            // Frames right behind the answer.
            Some(client) => client.keep_early(plain),
            None => match upgrade.handle_bytes(plain) {
                Ok(done) => client = done,
                Err(error) => failed = failed.take().or(Some(error)),
            },
        });
        tls.poll_ciphertext(output);
        if let Err(error) = fed {
            // The alert carries the reason.
            let _ = self.send();
            return Err(DialError::Tls(error));
        }
        failed.map_or(Ok(client), |error| Err(DialError::WebSocket(error)))
    }
}

#[cfg(test)]
mod tests;

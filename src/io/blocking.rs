//! A small HTTP client for threads that may wait: one connection, kept alive.
//!
//! Runs on:  main thread and tests, never on an executor. Bounds: `REST_TIMEOUT_NS` a read, and a whole answer
//!           from one read to the next; `REST_BODY_BYTES_MAX` a body.
use super::clock::HostClock;
use crate::base::limits::{FIRST_LOOK_TIMEOUT_NS, REST_BODY_BYTES_MAX, REST_TIMEOUT_NS};
use crate::base::time::Clock as _;
use crate::wire::{
    endpoint::Endpoint,
    http::{Exchange, Request, Response},
    tls::{TlsError, TlsSession},
};
use rustls::ClientConfig;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

/// What a first look at a service says before anything depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLook {
    /// It answers, or nobody there speaks TLS to be checked.
    Fine,
    /// It cannot be reached now, which may pass: *go on and try again*.
    Away(String),
    /// The address is wrong or its certificate is not to be trusted, which does not pass by
    /// itself: *stop, the user must mend it*.
    Wrong(String),
}

/// Resolves the host, connects, and shakes hands where TLS is asked for; at most
/// [`FIRST_LOOK_TIMEOUT_NS`] for each of the three.
#[must_use]
pub fn first_look(service: &Endpoint, tls: &Arc<ClientConfig>) -> FirstLook {
    let Endpoint { host, port, .. } = service;
    let addresses = match (host.as_str(), *port).to_socket_addrs() {
        Ok(addresses) => addresses,
        // The resolver's words for a name that does not exist; others may pass.
        Err(error) if error.to_string().contains("not known") => {
            return FirstLook::Wrong(format!(
                "the host {host} does not exist ({error}); check the address"
            ));
        }
        Err(error) => return FirstLook::Away(format!("{host}: {error}")),
    };
    let timeout = Duration::from_nanos(FIRST_LOOK_TIMEOUT_NS);
    let mut away = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Err(error) => away = format!("{host} ({address}): {error}"),
            Ok(_) if !service.tls => return FirstLook::Fine,
            Ok(socket) => return shake_hands(socket, host, tls, timeout),
        }
    }
    FirstLook::Away(away)
}

fn shake_hands(
    mut socket: TcpStream,
    host: &str,
    tls: &Arc<ClientConfig>,
    timeout: Duration,
) -> FirstLook {
    let wrong = |error: &TlsError| FirstLook::Wrong(format!("{host}: {error}"));
    let away = |error: std::io::Error| FirstLook::Away(format!("{host}: {error}"));
    let mut session = match TlsSession::new(tls, host) {
        Ok(session) => session,
        Err(error) => return wrong(&error),
    };
    if let Err(error) = socket
        .set_read_timeout(Some(timeout))
        .and_then(|()| socket.set_write_timeout(Some(timeout)))
    {
        return away(error);
    }
    let mut buffer = [0; 16 * 1024];
    while session.is_handshaking() {
        let mut output = Vec::new();
        session.poll_ciphertext(&mut output);
        let count = match socket.write_all(&output).and_then(|()| socket.read(&mut buffer)) {
            Ok(0) => return FirstLook::Away(format!("{host} closed the connection")),
            Ok(count) => count,
            Err(error) => return away(error),
        };
        if let Err(error) = session.handle_ciphertext(&buffer[..count], &mut |_| {}) {
            let mut alert = Vec::new();
            session.poll_ciphertext(&mut alert);
            // The alert tells the other side why.
            let _ = socket.write_all(&alert);
            return match error {
                TlsError::Alert(_) | TlsError::Protocol(_) => {
                    FirstLook::Away(format!("{host}: {error}"))
                }
                error => wrong(&error),
            };
        }
    }
    FirstLook::Fine
}

/// A client of one service.
#[derive(Debug)]
pub struct BlockingClient {
    service: Endpoint,
    tls: Arc<ClientConfig>,
    line: Option<(TcpStream, Option<TlsSession>)>,
}

impl BlockingClient {
    /// Connects at the first request.
    #[must_use]
    pub fn new(service: Endpoint, tls: Arc<ClientConfig>) -> Self {
        Self { service, tls, line: None }
    }

    /// `GET`; the path starts with a slash. Tried once more when a kept connection had died.
    ///
    /// # Errors
    /// One line for people: the service cannot be reached or does not speak HTTP.
    pub fn get(&mut self, path: &str) -> Result<Response, String> {
        let kept = self.line.is_some();
        match self.attempt(path) {
            Err(_) if kept => {
                self.line = None;
                self.attempt(path)
            }
            result => result,
        }
    }

    fn attempt(&mut self, path: &str) -> Result<Response, String> {
        let url = format!("{}{path}", self.service.url);
        let tell = |error: &dyn std::fmt::Display| format!("{url}: {error}");
        let mut exchange =
            Exchange::new(&Request::get(url.clone()), REST_BODY_BYTES_MAX).map_err(|e| tell(&e))?;
        let (mut socket, mut tls) = match self.line.take() {
            Some(line) => line,
            None => self.connect().map_err(|e| tell(&e))?,
        };
        let mut output = exchange.take_output();
        if let Some(tls) = &mut tls {
            tls.write_plaintext(&output).map_err(|e| tell(&e))?;
            output.clear();
        }
        let mut buffer = vec![0; 16 * 1024];
        let clock = HostClock::new();
        let deadline_ns = clock.mono_ns() + REST_TIMEOUT_NS;
        loop {
            if clock.mono_ns() >= deadline_ns {
                return Err(tell(&"there is no whole answer in time"));
            }
            if let Some(tls) = &mut tls {
                tls.poll_ciphertext(&mut output);
            }
            socket.write_all(&output).map_err(|e| tell(&e))?;
            output.clear();
            let count = socket.read(&mut buffer).map_err(|e| tell(&e))?;
            let response = match (count, &mut tls) {
                (0, _) => Some(exchange.handle_eof().map_err(|e| tell(&e))?),
                (_, None) => exchange.handle_bytes(&buffer[..count]).map_err(|e| tell(&e))?,
                (_, Some(tls)) => {
                    let mut plain = Vec::new();
                    tls.handle_ciphertext(&buffer[..count], &mut |bytes| {
                        plain.extend_from_slice(bytes);
                    })
                    .map_err(|e| tell(&e))?;
                    exchange.handle_bytes(&plain).map_err(|e| tell(&e))?
                }
            };
            if let Some(response) = response {
                if response.keep_alive {
                    self.line = Some((socket, tls));
                }
                return Ok(response);
            }
        }
    }

    fn connect(&self) -> Result<(TcpStream, Option<TlsSession>), String> {
        let Endpoint { host, port, tls, .. } = &self.service;
        let socket = TcpStream::connect((host.as_str(), *port)).map_err(|e| e.to_string())?;
        let timeout = Some(Duration::from_nanos(REST_TIMEOUT_NS));
        socket
            .set_read_timeout(timeout)
            .and_then(|()| socket.set_write_timeout(timeout))
            .and_then(|()| socket.set_nodelay(true))
            .map_err(|e| e.to_string())?;
        let tls = tls.then(|| TlsSession::new(&self.tls, host)).transpose();
        Ok((socket, tls.map_err(|e| e.to_string())?))
    }
}

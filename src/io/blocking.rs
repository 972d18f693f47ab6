//! A small HTTP client for blocking threads: one connection with keep-alive.
//!
//! Runs on:  main thread, a thread of `ringbook top` and tests, never on an executor. Bounds: the client's timeout per
//!           connect and read, and for a response checked between reads; `REST_BODY_BYTES_MAX` per body.
use super::clock::HostClock;
use super::executor::{StartError, no_thread};
use crate::base::limits::{FIRST_LOOK_TIMEOUT_NS, REST_BODY_BYTES_MAX, REST_TIMEOUT_NS};
use crate::base::time::{Clock as _, SECOND_NS};
use crate::wire::{
    endpoint::Endpoint,
    http::{Exchange, Request, Response},
    tls::{TlsError, TlsSession},
};
use http::Method;
use rustls::ClientConfig;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Result of the reachability check of a service at startup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceCheck {
    /// Reachable; with TLS, the certificate is valid.
    Fine,
    /// Not reachable now, which may be temporary: *continue and retry*.
    Away(String),
    /// The address or its certificate is invalid: *stop; the user must correct it*.
    Wrong(String),
}

/// Checks all services in parallel: resolves, connects, and does the TLS handshake. Takes at most
/// [`FIRST_LOOK_TIMEOUT_NS`]; services without a result by then are `Away`. Returns early when `stopped` returns true.
///
/// # Errors
/// No thread can be started: one line with the remedy.
pub fn check_services(
    services: &[Endpoint],
    tls: &Arc<ClientConfig>,
    stopped: impl Fn() -> bool,
) -> Result<Vec<ServiceCheck>, StartError> {
    let clock = HostClock::new();
    let deadline = Deadline { ends_ns: clock.mono_ns() + FIRST_LOOK_TIMEOUT_NS, clock };
    let late = |service: &Endpoint| {
        let seconds = FIRST_LOOK_TIMEOUT_NS / SECOND_NS;
        ServiceCheck::Away(format!("{} did not respond within {seconds} s", service.host))
    };
    let mut looks: Vec<ServiceCheck> = services.iter().map(late).collect();
    let (sender, receiver) = channel();
    for (place, service) in services.iter().enumerate() {
        let (sender, service, tls) = (sender.clone(), service.clone(), Arc::clone(tls));
        let deadline = deadline.clone();
        let look = move || {
            // The receiver may be gone.
            let _ = sender.send((place, check_service(&service, &tls, &deadline)));
        };
        // A name lookup may exceed the timeout; its thread then ends by itself.
        let thread = std::thread::Builder::new().name("first-look".into()).spawn(look);
        thread.map_err(|error| no_thread("first-look", &error))?;
    }
    drop(sender);
    while !stopped()
        && let Some(left) = deadline.left()
    {
        match receiver.recv_timeout(left.min(FIRST_LOOK_STEP)) {
            Ok((place, look)) => looks[place] = look,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(looks)
}

/// Interval of `stopped` checks.
const FIRST_LOOK_STEP: Duration = Duration::from_millis(20);

/// End of the check.
#[derive(Clone, Debug)]
struct Deadline {
    ends_ns: u64,
    clock: HostClock,
}

impl Deadline {
    /// Remaining time; `None` if it has passed.
    fn left(&self) -> Option<Duration> {
        let left_ns = self.ends_ns.saturating_sub(self.clock.mono_ns());
        (left_ns > 0).then(|| Duration::from_nanos(left_ns))
    }
}

fn check_service(service: &Endpoint, tls: &Arc<ClientConfig>, deadline: &Deadline) -> ServiceCheck {
    let Endpoint { host, port, .. } = service;
    let addresses = match (host.as_str(), *port).to_socket_addrs() {
        Ok(addresses) => addresses,
        // Resolver text for a nonexistent name; other errors may be temporary.
        Err(error) if error.to_string().contains("not known") => {
            return ServiceCheck::Wrong(format!(
                "the host {host} does not exist ({error}); check the address"
            ));
        }
        Err(error) => return ServiceCheck::Away(format!("{host}: {error}")),
    };
    let mut away = format!("{host} has no address");
    for address in addresses {
        let Some(left) = deadline.left() else { break };
        match TcpStream::connect_timeout(&address, left) {
            Err(error) => away = format!("{host} ({address}): {error}"),
            Ok(_) if !service.tls => return ServiceCheck::Fine,
            Ok(socket) => return shake_hands(socket, host, tls, deadline),
        }
    }
    ServiceCheck::Away(away)
}

fn shake_hands(
    mut socket: TcpStream,
    host: &str,
    tls: &Arc<ClientConfig>,
    deadline: &Deadline,
) -> ServiceCheck {
    let wrong = |error: &TlsError| ServiceCheck::Wrong(format!("{host}: {error}"));
    let away = |error: std::io::Error| ServiceCheck::Away(format!("{host}: {error}"));
    let mut session = match TlsSession::new(tls, host) {
        Ok(session) => session,
        Err(error) => return wrong(&error),
    };
    let mut buffer = [0; 16 * 1024];
    while session.is_handshaking() {
        // A read timeout alone does not bound a server that sends single bytes.
        let left = deadline.left();
        if left.is_none() {
            return ServiceCheck::Away(format!("{host} has not finished its handshake"));
        }
        let limited = socket.set_read_timeout(left).and_then(|()| socket.set_write_timeout(left));
        if let Err(error) = limited {
            return away(error);
        }
        let mut output = Vec::new();
        session.poll_ciphertext(&mut output);
        let count = match socket.write_all(&output).and_then(|()| socket.read(&mut buffer)) {
            Ok(0) => return ServiceCheck::Away(format!("{host} closed the connection")),
            Ok(count) => count,
            Err(error) => return away(error),
        };
        if let Err(error) = session.handle_ciphertext(&buffer[..count], &mut |_| {}) {
            let mut alert = Vec::new();
            session.poll_ciphertext(&mut alert);
            // Tells the server the reason.
            let _ = socket.write_all(&alert);
            return match error {
                TlsError::Alert(_) | TlsError::Protocol(_) => {
                    ServiceCheck::Away(format!("{host}: {error}"))
                }
                error => wrong(&error),
            };
        }
    }
    ServiceCheck::Fine
}

/// A client of one service.
#[derive(Debug)]
pub struct BlockingClient {
    service: Endpoint,
    tls: Arc<ClientConfig>,
    timeout_ns: u64,
    connection: Option<(TcpStream, Option<TlsSession>)>,
}

impl BlockingClient {
    /// A client that connects on its first request; its timeout is `REST_TIMEOUT_NS`.
    pub fn new(service: Endpoint, tls: Arc<ClientConfig>) -> Self {
        Self { service, tls, timeout_ns: REST_TIMEOUT_NS, connection: None }
    }

    /// With another timeout, nanoseconds.
    #[must_use]
    pub const fn with_timeout(mut self, timeout_ns: u64) -> Self {
        self.timeout_ns = timeout_ns;
        self
    }

    /// `GET`; `path` starts with a slash. Repeated once if a reused connection has died.
    ///
    /// # Errors
    /// One line of text: the service is unreachable or does not use HTTP.
    pub fn get(&mut self, path: &str) -> Result<Response, String> {
        let request = Request::get(format!("{}{path}", self.service.url));
        let reused = self.connection.is_some();
        match self.attempt(&request) {
            Err(_) if reused => {
                self.connection = None;
                self.attempt(&request)
            }
            result => result,
        }
    }

    /// `POST` without a body, on a connection of its own: never repeated.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&mut self, path: &str) -> Result<Response, String> {
        self.connection = None;
        let url = format!("{}{path}", self.service.url);
        self.attempt(&Request::new(Method::POST, url, Vec::new()))
    }

    fn attempt(&mut self, request: &Request) -> Result<Response, String> {
        let describe = |error: &dyn std::fmt::Display| format!("{}: {error}", request.url());
        let in_time = |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                describe(&format_args!("no answer within {} s", self.timeout_ns / SECOND_NS))
            }
            _ => describe(&error),
        };
        let mut exchange = Exchange::new(request, REST_BODY_BYTES_MAX).map_err(|e| describe(&e))?;
        let (mut socket, mut tls) = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().map_err(|e| describe(&e))?,
        };
        let mut output = exchange.take_output();
        if let Some(tls) = &mut tls {
            tls.write_plaintext(&output).map_err(|e| describe(&e))?;
            output.clear();
        }
        let mut buffer = vec![0; 16 * 1024];
        let clock = HostClock::new();
        let deadline_ns = clock.mono_ns() + self.timeout_ns;
        loop {
            if clock.mono_ns() >= deadline_ns {
                return Err(describe(&"the response is incomplete after the timeout"));
            }
            if let Some(tls) = &mut tls {
                tls.poll_ciphertext(&mut output);
            }
            socket.write_all(&output).map_err(in_time)?;
            output.clear();
            let count = socket.read(&mut buffer).map_err(in_time)?;
            let response = match (count, &mut tls) {
                (0, _) => Some(exchange.handle_eof().map_err(|e| describe(&e))?),
                (_, None) => exchange.handle_bytes(&buffer[..count]).map_err(|e| describe(&e))?,
                (_, Some(tls)) => {
                    let mut plain = Vec::new();
                    tls.handle_ciphertext(&buffer[..count], &mut |bytes| {
                        plain.extend_from_slice(bytes);
                    })
                    .map_err(|e| describe(&e))?;
                    exchange.handle_bytes(&plain).map_err(|e| describe(&e))?
                }
            };
            if let Some(response) = response {
                if response.keep_alive {
                    self.connection = Some((socket, tls));
                }
                return Ok(response);
            }
        }
    }

    fn connect(&self) -> Result<(TcpStream, Option<TlsSession>), String> {
        let Endpoint { host, port, tls, .. } = &self.service;
        let timeout = Duration::from_nanos(self.timeout_ns);
        let socket = connect(host, *port, timeout).map_err(|e| e.to_string())?;
        let tls = tls.then(|| TlsSession::new(&self.tls, host)).transpose();
        Ok((socket, tls.map_err(|e| e.to_string())?))
    }
}

/// Connects to the first address of the host that answers; `timeout` for each connect, read and write.
pub(super) fn connect(host: &str, port: u16, timeout: Duration) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Err(error) => failure = error,
            Ok(socket) => {
                socket.set_read_timeout(Some(timeout))?;
                socket.set_write_timeout(Some(timeout))?;
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
        }
    }
    Err(failure)
}

//! A small HTTP client for threads that may wait: one connection, kept alive.
//!
//! Runs on:  main thread and tests, never on an executor. Bounds: `REST_TIMEOUT_NS` a read, and a whole answer
//!           from one read to the next; `REST_BODY_BYTES_MAX` a body.
use super::clock::HostClock;
use super::executor::{StartError, no_thread};
use crate::base::limits::{FIRST_LOOK_TIMEOUT_NS, REST_BODY_BYTES_MAX, REST_TIMEOUT_NS};
use crate::base::time::{Clock as _, SECOND_NS};
use crate::wire::{
    endpoint::Endpoint,
    http::{Exchange, Request, Response},
    tls::{TlsError, TlsSession},
};
use rustls::ClientConfig;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
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

/// Looks at all services at the same time: resolves the host, connects, and shakes hands where TLS is asked for. It
/// takes [`FIRST_LOOK_TIMEOUT_NS`] at most, whatever they do; what has not answered by then is away. Ends early, with
/// everything away, when `stopped` says so.
///
/// # Errors
/// There is no thread left: one line with the remedy.
pub fn first_looks(
    services: &[Endpoint],
    tls: &Arc<ClientConfig>,
    stopped: impl Fn() -> bool,
) -> Result<Vec<FirstLook>, StartError> {
    let clock = HostClock::new();
    let deadline = Deadline { ends_ns: clock.mono_ns() + FIRST_LOOK_TIMEOUT_NS, clock };
    let late = |service: &Endpoint| {
        let seconds = FIRST_LOOK_TIMEOUT_NS / SECOND_NS;
        FirstLook::Away(format!("{} has not answered within {seconds} s", service.host))
    };
    let mut looks: Vec<FirstLook> = services.iter().map(late).collect();
    let (sender, receiver) = channel();
    for (place, service) in services.iter().enumerate() {
        let (sender, service, tls) = (sender.clone(), service.clone(), Arc::clone(tls));
        let deadline = deadline.clone();
        let look = move || {
            // Whoever waited may have given up.
            let _ = sender.send((place, first_look(&service, &tls, &deadline)));
        };
        // A lookup of a name may take longer than anybody waits; its thread ends by itself.
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

/// Between two looks at the signals.
const FIRST_LOOK_STEP: Duration = Duration::from_millis(20);

/// When everything is to be over.
#[derive(Clone, Debug)]
struct Deadline {
    ends_ns: u64,
    clock: HostClock,
}

impl Deadline {
    /// The time that is left, if any is.
    fn left(&self) -> Option<Duration> {
        let left_ns = self.ends_ns.saturating_sub(self.clock.mono_ns());
        (left_ns > 0).then(|| Duration::from_nanos(left_ns))
    }
}

fn first_look(service: &Endpoint, tls: &Arc<ClientConfig>, deadline: &Deadline) -> FirstLook {
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
    let mut away = format!("{host} has no address");
    for address in addresses {
        let Some(left) = deadline.left() else { break };
        match TcpStream::connect_timeout(&address, left) {
            Err(error) => away = format!("{host} ({address}): {error}"),
            Ok(_) if !service.tls => return FirstLook::Fine,
            Ok(socket) => return shake_hands(socket, host, tls, deadline),
        }
    }
    FirstLook::Away(away)
}

fn shake_hands(
    mut socket: TcpStream,
    host: &str,
    tls: &Arc<ClientConfig>,
    deadline: &Deadline,
) -> FirstLook {
    let wrong = |error: &TlsError| FirstLook::Wrong(format!("{host}: {error}"));
    let away = |error: std::io::Error| FirstLook::Away(format!("{host}: {error}"));
    let mut session = match TlsSession::new(tls, host) {
        Ok(session) => session,
        Err(error) => return wrong(&error),
    };
    let mut buffer = [0; 16 * 1024];
    while session.is_handshaking() {
        // A server that sends a byte now and then would be read for ever by a timeout of each read alone.
        let left = deadline.left();
        if left.is_none() {
            return FirstLook::Away(format!("{host} has not finished its handshake"));
        }
        let limited = socket.set_read_timeout(left).and_then(|()| socket.set_write_timeout(left));
        if let Err(error) = limited {
            return away(error);
        }
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

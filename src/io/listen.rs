//! A listening socket that is bound before any executor runs, and awaited on one of them.
//!
//! Runs on:  a thread that blocks in `accept`, and the serve core.
//! Owns:     the socket and the thread.
//! Bounds:   `SERVE_ACCEPT_QUEUE` accepted connections; further ones wait in the kernel's queue.
//!
//! glommio binds with `SO_REUSEPORT`, so that a second program on the same port is no error, and adopts a bound socket
//! only by an unsafe call; hence the thread. It inherits the CPU mask of the thread that calls [`Listener::bind`]: bind
//! before pinning.
use super::direct_socket::DirectSocket;
use crate::base::limits::{SERVE_ACCEPT_QUEUE, SERVE_STOP_POLL_NS};
use glommio::net::TcpStream;
use rustls::ServerConfig;
use socket2::Socket;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

pub use super::client_stream::{ClientStream, HandshakeError};

/// A connection to a local client in plain text, on the executor that accepted it.
pub type PlainStream = TcpStream;

/// The address cannot be bound. *The user must choose another.*
#[derive(Debug, thiserror::Error)]
pub struct BindError {
    /// The requested address.
    pub address: SocketAddr,
    /// The kernel's error.
    pub error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, error } = self;
        write!(f, "cannot listen on {address}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => f.write_str("another program listens there"),
            io::ErrorKind::AddrNotAvailable => f.write_str("this host has no such address"),
            io::ErrorKind::PermissionDenied => f.write_str("ports below 1024 need a permission"),
            _ => write!(f, "{error}"),
        }
    }
}

#[derive(Default)]
struct Shared {
    accepted: Mutex<Accepted>,
    /// Signalled when there is room.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Accepted {
    /// Error of `accept` since the last client.
    error: Option<io::Error>,
    sockets: VecDeque<std::net::TcpStream>,
    waker: Option<Waker>,
    closed: bool,
}

/// A bound socket and its accepting thread.
pub struct Listener {
    address: SocketAddr,
    socket: TcpListener,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    tls: Option<Arc<ServerConfig>>,
    direct: bool,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds and starts to accept. Port 0 lets the kernel choose; see [`Listener::address`].
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let fail = |error| BindError { address, error };
        let socket = TcpListener::bind(address).map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared::default());
        let (listener, queue) = (socket.try_clone().map_err(fail)?, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("accept".to_owned())
            .spawn(move || accept_all(&listener, &queue))
            .map_err(fail)?;
        Ok(Self { address, socket, shared, thread: Some(thread), tls: None, direct: false })
    }

    /// Clients speak TLS, if there is a configuration.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<ServerConfig>>) -> Self {
        self.tls = tls;
        self
    }

    /// Plain clients have a handle for writes that do not wait, which is a second descriptor.
    #[must_use]
    pub const fn with_direct_writes(mut self) -> Self {
        self.direct = true;
        self
    }

    /// The bound address, with the port chosen by the kernel.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client. One caller at a time.
    ///
    /// # Errors
    /// `accept` failed (it is retried), the thread has ended, or the socket cannot be configured.
    pub async fn accept(&self) -> io::Result<ClientStream> {
        let socket = self.next_socket().await?;
        let direct = self.direct && self.tls.is_none();
        let direct = direct.then(|| DirectSocket::new(&socket)).transpose()?;
        ClientStream::new(TcpStream::from(Socket::from(socket)), direct, self.tls.as_ref())
    }

    /// [`Listener::accept`] without TLS.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub async fn accept_plain(&self) -> io::Result<PlainStream> {
        Ok(TcpStream::from(Socket::from(self.next_socket().await?)))
    }

    async fn next_socket(&self) -> io::Result<std::net::TcpStream> {
        let _guard = WakerGuard(&self.shared);
        let socket = poll_fn(|context| {
            let mut accepted = self.shared.lock();
            if let Some(socket) = accepted.sockets.pop_front() {
                self.shared.room.notify_one();
                return Poll::Ready(io::Result::Ok(socket));
            }
            if let Some(error) = accepted.error.take() {
                return Poll::Ready(Err(error));
            }
            if accepted.closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            accepted.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }
}

/// Removes the waker when the wait ends.
struct WakerGuard<'a>(&'a Shared);

impl Drop for WakerGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().waker = None;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Wakes the thread out of `accept` with an error.
        self.shared.lock().closed = true;
        self.shared.room.notify_one();
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Limit of file descriptors; `None` if unlimited.
pub fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

fn accept_all(socket: &TcpListener, shared: &Shared) {
    loop {
        let client = socket.accept();
        let mut accepted = shared.lock();
        match client {
            Ok((client, _)) => {
                accepted.sockets.push_back(client);
                if let Some(waker) = accepted.waker.take() {
                    waker.wake();
                }
                // While the serve core is behind, clients wait in the kernel's queue.
                while accepted.sockets.len() >= SERVE_ACCEPT_QUEUE && !accepted.closed {
                    accepted = shared.room.wait(accepted).unwrap_or_else(PoisonError::into_inner);
                }
            }
            Err(error) if !accepted.closed => {
                // Mostly "too many open files", which is temporary: wait instead of spinning.
                accepted.error = Some(error);
                if let Some(waker) = accepted.waker.take() {
                    waker.wake();
                }
                drop(accepted);
                std::thread::sleep(Duration::from_nanos(SERVE_STOP_POLL_NS));
                accepted = shared.lock();
            }
            Err(_) => {}
        }
        if accepted.closed {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

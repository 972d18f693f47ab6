//! A listening socket that is bound before any executor runs, and awaited on one of them.
//!
//! Runs on:  a plain thread that blocks in `accept`, and the serve core.
//! Owns:     the socket and the thread.
//! Bounds:   `SERVE_ACCEPT_QUEUE` connections wait here, the others in the kernel's queue.
//!
//! glommio binds with `SO_REUSEPORT`, so that a second program on the same port is no error, and
//! adopts a bound socket only by an unsafe call; hence the thread. It inherits the CPU mask of the
//! thread that calls [`Listener::bind`]: bind before anything is pinned.
use crate::base::limits::{SERVE_ACCEPT_QUEUE, SERVE_STOP_POLL_NS};
use glommio::net::TcpStream;
use socket2::Socket;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

/// A connection to a local client, awaited on the executor that accepted it.
pub type ClientStream = TcpStream;

/// The address cannot be listened on. *The user must choose another.*
#[derive(Debug, thiserror::Error)]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the kernel said.
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
    /// Rung when there is room again.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Accepted {
    /// What the kernel said since the last look, instead of a client.
    error: Option<io::Error>,
    sockets: VecDeque<std::net::TcpStream>,
    waker: Option<Waker>,
    closed: bool,
}

/// A bound socket with the thread that accepts on it.
pub struct Listener {
    address: SocketAddr,
    socket: TcpListener,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds and starts to accept. Port 0 lets the kernel choose; see [`Listener::address`].
    ///
    /// # Errors
    /// [`BindError`] at once, before anything else was started.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let fail = |error| BindError { address, error };
        let socket = TcpListener::bind(address).map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared::default());
        let (theirs, queue) = (socket.try_clone().map_err(fail)?, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("accept".to_owned())
            .spawn(move || accept_all(&theirs, &queue))
            .map_err(fail)?;
        Ok(Self { address, socket, shared, thread: Some(thread) })
    }

    /// The address, with the port that the kernel chose if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client, on the executor that calls this. One caller at a time.
    ///
    /// # Errors
    /// When the kernel has no client to give (it is tried again meanwhile), the thread has ended or a socket cannot be
    /// set up.
    pub async fn accept(&self) -> io::Result<ClientStream> {
        let _withdraw = Withdraw(&self.shared);
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
        Ok(TcpStream::from(Socket::from(socket)))
    }
}

/// Takes the waker back when nobody waits any more.
struct Withdraw<'a>(&'a Shared);

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.0.lock().waker = None;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Wakes the thread out of `accept` with an error; after that no client is accepted.
        self.shared.lock().closed = true;
        self.shared.room.notify_one();
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// File descriptors that this process may have; `None` if there is no limit.
#[must_use]
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
                // Mostly "too many open files", which passes: wait instead of spinning.
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
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_refused_at_once_and_free_again_after_the_end() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.address();
        assert_ne!(address.port(), 0);
        let error = Listener::bind(address).unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {address}: another program listens there"));
        drop(first);
        drop(Listener::bind(address).unwrap());
        let elsewhere = Listener::bind("192.0.2.1:80".parse().unwrap()).unwrap_err().to_string();
        assert!(elsewhere.ends_with("this host has no such address"), "{elsewhere}");
    }
}

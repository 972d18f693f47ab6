//! The sockets of a venue's event loop: listener, wake-ups, readiness.
//!
//! Runs on:  the venue's thread. Owns: the listener and the epoll set.
use super::config::SimError;
use super::connection::Connection;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What a wait returned.
#[derive(Debug, Default)]
pub(super) struct Wake {
    /// Clients wait to be accepted.
    pub(super) accept: bool,
    pub(super) ready: Vec<Ready>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) slot: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

pub(super) struct Sockets {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

impl Sockets {
    /// Listens, over TLS if configured.
    pub(super) fn listen(at: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self, SimError> {
        let refused = |error| SimError::Listen(at, error);
        let mut listener = TcpListener::bind(at).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let poll = Poll::new().map_err(SimError::Start)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(SimError::Start)?);
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE).map_err(SimError::Start)?;
        Ok(Self { poll, events: Events::with_capacity(1024), waker, listener, address, tls })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends a wait from another thread.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Waits for sockets or the waker; `None` if that is impossible.
    pub(super) fn wait(&mut self, longest: Duration) -> Option<Wake> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                log::error!("the simulated venue cannot wait for sockets: {error}");
                return None;
            }
            _ => {}
        }
        let mut wake = Wake::default();
        for event in &self.events {
            match event.token() {
                LISTENER => wake.accept = true,
                WAKER => {}
                Token(slot) => wake.ready.push(Ready {
                    slot,
                    readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                    writable: event.is_writable(),
                }),
            }
        }
        Some(wake)
    }

    /// The next client that waits.
    pub(super) fn accept(&self) -> Option<TcpStream> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => return Some(socket),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => {
                    // No descriptors left, or the peer has closed.
                    log::warn!("the simulated venue cannot accept: {error}");
                    return None;
                }
            }
        }
    }

    /// A connection on an accepted socket; `None` where that fails.
    pub(super) fn open(
        &self,
        mut socket: TcpStream,
        slot: usize,
        now_ms: u64,
    ) -> Option<Connection> {
        drop(socket.set_nodelay(true));
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, Token(slot), interest);
        let made = registered.and_then(|()| {
            Connection::new(socket, self.tls.as_ref(), now_ms).map_err(io::Error::other)
        });
        made.ok()
    }

    pub(super) fn close(
        &self,
        mut connection: Connection,
    ) -> Option<Box<super::connection::Client>> {
        drop(self.poll.registry().deregister(&mut connection.socket));
        connection.client
    }
}

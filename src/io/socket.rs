//! Non-blocking TCP: connecting in steps, reading and writing without waiting.
//!
//! Runs on:  control core while connecting, then the shard that it is handed to.
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A byte stream that never waits: a socket, or memory in a test.
pub trait Stream: Send + std::fmt::Debug {
    /// Reads what is there; `WouldBlock` when nothing is, `Ok(0)` at the end.
    ///
    /// # Errors
    /// As the kernel's `recv`.
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize>;

    /// Writes what fits; `WouldBlock` when nothing does.
    ///
    /// # Errors
    /// As the kernel's `send`.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize>;

    /// The kernel's handle, for waiting; `None` for memory.
    fn handle(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the connection stands; memory always does.
    ///
    /// # Errors
    /// The attempt failed: refused, unreachable, timed out.
    fn poll_connected(&self) -> std::io::Result<Connecting> {
        Ok(Connecting::Done)
    }
}

/// Who makes connections.
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// Begins to connect; ask [`Stream::poll_connected`] until it says `Done`.
    ///
    /// # Errors
    /// No socket to be had, or the address cannot be reached from here.
    fn connect(&self, address: SocketAddr) -> std::io::Result<Box<dyn Stream>>;
}

/// Connections over the kernel's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connector for Tcp {
    fn connect(&self, address: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
        Ok(Box::new(Socket::connect(address)?))
    }
}

/// A TCP socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

/// How far a connection attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    /// The peer has not answered.
    Pending,
    /// Bytes may flow.
    Done,
}

impl Socket {
    /// Begins to connect; ask [`Socket::poll_connected`] until it says `Done`.
    ///
    /// # Errors
    /// No socket to be had, or the address cannot be reached from here.
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let handle: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&handle, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(handle);
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Whether the connection stands.
    ///
    /// # Errors
    /// The attempt failed: refused, unreachable, timed out.
    pub fn poll_connected(&self) -> std::io::Result<Connecting> {
        let mut set = [PollFd::new(&self.stream, PollFlags::OUT)];
        let no_wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut set, Some(&no_wait))? == 0 {
            return Ok(Connecting::Pending);
        }
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(Connecting::Done),
        }
    }
}

impl Stream for Socket {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        retry(|| self.stream.read(into))
    }
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        retry(|| self.stream.write(bytes))
    }
    fn handle(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream.as_fd())
    }
    fn poll_connected(&self) -> std::io::Result<Connecting> {
        Self::poll_connected(self)
    }
}

/// A signal may interrupt a call before it did anything.
fn retry(mut call: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn wait(socket: &Socket) -> std::io::Result<()> {
        for _ in 0..5000 {
            if socket.poll_connected()? == Connecting::Done {
                return Ok(());
            }
            std::thread::yield_now();
        }
        panic!("loopback does not answer");
    }

    #[test]
    fn bytes_flow_and_nothing_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        wait(&socket).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(socket.write(b"hello").unwrap(), 5);
        peer.read_exact(&mut buffer[..5]).unwrap();
        assert_eq!(&buffer[..5], b"hello");
        drop(peer);
        let end = (0..5000).find_map(|_| match socket.read(&mut buffer) {
            Ok(n) => Some(n),
            Err(_) => {
                std::thread::yield_now();
                None
            }
        });
        assert_eq!(end, Some(0));
    }

    #[test]
    fn a_refused_connection_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let result = Socket::connect(address).and_then(|socket| wait(&socket));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

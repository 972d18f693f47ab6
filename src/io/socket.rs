//! Non-blocking TCP sockets.
//!
//! Runs on:  control core while connecting, then the shard that owns the connection.
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A non-blocking byte stream: a socket, or memory in a test.
pub trait Stream: Send + std::fmt::Debug {
    /// Reads available bytes; `WouldBlock` if there are none, `Ok(0)` at the end.
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize>;

    /// Writes what fits; `WouldBlock` if nothing does.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize>;

    /// The file descriptor, for readiness; `None` for memory.
    fn handle(&self) -> Option<BorrowedFd<'_>>;

    /// State of the connection attempt; memory is always connected.
    ///
    /// # Errors
    /// Refused, unreachable or timed out.
    fn poll_connected(&self) -> std::io::Result<Connecting> {
        Ok(Connecting::Done)
    }
}

/// Opens connections.
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// Starts to connect; call [`Stream::poll_connected`] until it returns `Done`.
    ///
    /// # Errors
    /// No socket available, or the address is unreachable from here.
    fn connect(&self, address: SocketAddr) -> std::io::Result<Box<dyn Stream>>;
}

/// Kernel TCP connections.
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

/// State of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    /// In progress.
    Pending,
    /// Connected.
    Done,
}

impl Socket {
    /// Starts to connect; call [`Socket::poll_connected`] until it returns `Done`.
    ///
    /// # Errors
    /// No socket available, or the address is unreachable from here.
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

    /// State of the connection attempt.
    ///
    /// # Errors
    /// Refused, unreachable or timed out.
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

/// A signal may interrupt a call.
fn retry(mut call: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;

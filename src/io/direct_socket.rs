//! A second handle of a local client's socket, for writes that do not wait.
//!
//! Runs on:  serve core, next to the client's task, which owns the connection. Owns: one descriptor.
use std::io::{self, ErrorKind, Write as _};
use std::net::TcpStream;

/// The sending side of a non-blocking socket.
#[derive(Debug)]
pub struct DirectSocket(TcpStream);

impl DirectSocket {
    /// A handle of `socket`, which is non-blocking.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(super) fn new(socket: &TcpStream) -> io::Result<Self> {
        socket.try_clone().map(Self)
    }

    /// Writes what fits; its bytes, 0 if nothing does.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.0).write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests;

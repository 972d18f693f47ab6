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
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_full_socket_takes_nothing_and_a_closed_one_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let direct = DirectSocket::new(&socket).unwrap();
        let part = [7; 64 * 1024];
        let mut sum = 0;
        loop {
            match direct.try_write(&part).unwrap() {
                0 => break,
                count => sum += count,
            }
        }
        let mut received = vec![0; sum];
        peer.read_exact(&mut received).unwrap();
        assert!(sum > 0 && received.iter().all(|&byte| byte == 7));
        drop(peer);
        // The first write after the end may still succeed.
        assert!((0..2_000).any(|_| direct.try_write(&part).is_err()));
    }
}

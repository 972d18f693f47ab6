//! A blocking connection to a service: TCP, with TLS if started.
//!
//! Runs on:  sink threads, never on an executor. Bounds: the timeout of each read and write.
use super::blocking::connect;
use crate::wire::tls::server_name;
use rustls::{ClientConfig, ClientConnection, Stream};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// A blocking connection.
#[derive(Debug)]
pub struct Line {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    /// Resolves and connects, trying each address of the host. `timeout_ns` limits each connect, read and write.
    ///
    /// # Errors
    /// That of the last address: *retry later*.
    pub fn connect(host: &str, port: u16, timeout_ns: u64) -> io::Result<Self> {
        let socket = connect(host, port, Duration::from_nanos(timeout_ns))?;
        Ok(Self { socket, tls: None })
    }

    /// Limits each read and write from here on.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn set_timeout(&self, timeout_ns: u64) -> io::Result<()> {
        let timeout = Some(Duration::from_nanos(timeout_ns));
        self.socket.set_read_timeout(timeout)?;
        self.socket.set_write_timeout(timeout)
    }

    /// Starts TLS and verifies that the peer is `host`.
    ///
    /// # Errors
    /// The certificate is invalid, or the peer does not use TLS.
    pub fn start_tls(&mut self, config: &Arc<ClientConfig>, host: &str) -> io::Result<()> {
        let name = server_name(host).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name);
        let mut connection = Box::new(connection.map_err(io::Error::other)?);
        while connection.is_handshaking() {
            connection.complete_io(&mut self.socket)?;
        }
        self.tls = Some(connection);
        Ok(())
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => Stream::new(&mut **tls, &mut self.socket).read(buffer),
            None => self.socket.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => Stream::new(&mut **tls, &mut self.socket).write(bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => Stream::new(&mut **tls, &mut self.socket).flush(),
            None => self.socket.flush(),
        }
    }
}

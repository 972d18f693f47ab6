//! The byte stream of a local client: plain, or TLS over it.
//!
//! Runs on:  serve core, one task per client. Owns: the socket and its TLS session.
//! Bounds:   with TLS `CIPHERTEXT_BYTES` received and one record to be sent; the caller bounds the time of each call.
//!
//! A dropped future loses nothing that was received. After a dropped write or handshake the stream must be closed.
use super::direct_socket::DirectSocket;
use crate::wire::tls::server::{Plaintext, ServerSession};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net::TcpStream;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes read from the socket at once; what clients send is short.
const CIPHERTEXT_BYTES: usize = 4 * 1024;
/// Plaintext that is encrypted at once: one TLS record.
const RECORD_BYTES: usize = 16 * 1024;
/// First byte of a TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Why a TLS handshake has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The client sends plain text: the stream is plain from now on, without what was received.
    PlainText,
    /// The client ended the connection, or broke the protocol; then it was sent an alert. *Close.*
    Failed,
}

/// A connection to a local client, on the executor that accepted it.
pub struct ClientStream {
    socket: TcpStream,
    direct: Option<DirectSocket>,
    tls: Option<Box<TlsLayer>>,
}

struct TlsLayer {
    session: ServerSession,
    received: Vec<u8>,
    /// Bytes of `received` that the session has taken.
    taken: usize,
    output: Vec<u8>,
    /// Bytes of `output` that were sent.
    sent: usize,
}

impl ClientStream {
    /// A plain stream, perhaps with a second handle, or one that begins with a TLS handshake.
    ///
    /// # Errors
    /// The TLS configuration is unusable.
    pub(super) fn new(
        socket: TcpStream,
        direct: Option<DirectSocket>,
        tls: Option<&Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let layer = |config| {
            let session = ServerSession::new(config).map_err(io::Error::other)?;
            let (received, output) = (Vec::new(), Vec::new());
            Ok::<_, io::Error>(Box::new(TlsLayer { session, received, taken: 0, output, sent: 0 }))
        };
        Ok(Self { socket, direct, tls: tls.map(layer).transpose()? })
    }

    /// The handle for writes that do not wait; `None` if the stream is encrypted, or it was taken.
    pub fn take_direct(&mut self) -> Option<DirectSocket> {
        self.direct.take()
    }

    /// Address of the client.
    ///
    /// # Errors
    /// It has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer_addr()?)
    }

    /// Whether the stream is encrypted.
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The host name that the client has asked for in its TLS handshake.
    pub fn server_name(&self) -> Option<&str> {
        self.tls.as_ref().and_then(|tls| tls.session.server_name())
    }

    /// Completes the TLS handshake; nothing to do on a plain stream.
    pub async fn handshake(&mut self) -> Result<(), HandshakeError> {
        let Self { socket, tls: Some(tls), .. } = self else { return Ok(()) };
        let mut is_first = true;
        while tls.session.is_handshaking() {
            if tls.receive(socket).await.unwrap_or(0) == 0 {
                return Err(HandshakeError::Failed);
            }
            if std::mem::take(&mut is_first)
                && tls.received[0] != HANDSHAKE_RECORD
                && tls.received[0].is_ascii_alphabetic()
            {
                self.tls = None;
                return Err(HandshakeError::PlainText);
            }
            while tls.taken < tls.received.len() && tls.session.is_handshaking() {
                let result = tls.session.handle_ciphertext(&tls.received[tls.taken..]);
                if let Ok(count @ 1..) = result {
                    tls.taken += count;
                    continue;
                }
                // The alert.
                let _ = tls.flush(socket).await;
                return Err(HandshakeError::Failed);
            }
            tls.flush(socket).await.map_err(|_| HandshakeError::Failed)?;
        }
        Ok(())
    }

    /// Reads some bytes into `into`, which is not empty; 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of the socket, and violations of the TLS protocol.
    pub async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(into).await };
        loop {
            match tls.session.read_plaintext(into) {
                Plaintext::Bytes(count) => return Ok(count),
                Plaintext::End => return Ok(0),
                Plaintext::Nothing => {}
            }
            if tls.taken == tls.received.len() && tls.receive(&mut self.socket).await? == 0 {
                return Ok(0);
            }
            let count = tls.session.handle_ciphertext(&tls.received[tls.taken..]);
            match count.map_err(io::Error::other)? {
                0 => return Ok(0),
                count => tls.taken += count,
            }
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// Those of the socket, and a failed TLS session.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.socket.write_all(bytes).await };
        for part in bytes.chunks(RECORD_BYTES) {
            tls.session.write_plaintext(part).map_err(io::Error::other)?;
            tls.flush(&mut self.socket).await?;
        }
        Ok(())
    }

    /// Ends the sending side.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn close(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.session.close_notify();
            tls.flush(&mut self.socket).await?;
        }
        self.socket.close().await
    }
}

impl TlsLayer {
    /// Replaces what was received, which the session has taken, by the next bytes; their number.
    async fn receive(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        let mut buffer = [0; CIPHERTEXT_BYTES];
        let count = socket.read(&mut buffer).await?;
        self.received.clear();
        self.received.extend_from_slice(&buffer[..count]);
        self.taken = 0;
        Ok(count)
    }

    /// Sends the session's output.
    async fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        self.session.poll_ciphertext(&mut self.output);
        while self.sent < self.output.len() {
            match socket.write(&self.output[self.sent..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent += count,
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }
}

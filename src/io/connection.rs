//! An asynchronous connection to a service: TCP, optional TLS, HTTP exchanges.
//!
//! Runs on:  control core, or the executor of a pool (glommio). Owns: one socket.
//! Bounds:   `HTTP_SCRATCH_BYTES` per read; an exchange has its own limits, a handshake `HANDSHAKE_BYTES_MAX`.
//!           Connecting has a timeout; all other calls are limited by dropping the future, so each read yields first:
//!           otherwise a socket that always has bytes would stop all timers.
use super::dial::{ConnectError, Dialed, connect};
use super::executor::{sleep, yield_now};
use super::resolve::{ResolveError, Resolver};
use super::write_queue::WriteQueue;
use crate::base::limits::{
    HANDSHAKE_BYTES_MAX, HTTP_SCRATCH_BYTES, LOOK_READS_MAX, RESOLVE_AGAIN_NS, RESOLVE_TRIES,
};
use crate::base::time::MILLISECOND_NS;
use crate::wire::http::{Exchange, HttpError, Response};
use crate::wire::tls::{TlsError, TlsSession};
use futures_lite::{AsyncRead as _, AsyncWriteExt as _, ready};
use rustls::ClientConfig;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why there is no response. A status such as 429 or 500 is a response, not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The base URL or a request is invalid. *Configuration error or bug: do not retry.*
    #[error("{0}")]
    BadRequest(String),
    /// Name resolution failed. *Back off and retry.*
    #[error(transparent)]
    Resolve(ResolveError),
    /// No address accepts a connection. *Back off and retry.*
    #[error(transparent)]
    Connect(ConnectError),
    /// The handshake failed, mostly due to configuration (`--tls-ca`) or a proxy. *Log, back off.*
    #[error(transparent)]
    Tls(TlsError),
    /// No complete response within the timeout. *Back off.*
    #[error("no response within {} ms while {stage}", .after_ns / MILLISECOND_NS)]
    Timeout {
        /// The step that timed out.
        stage: &'static str,
        /// The timeout, nanoseconds.
        after_ns: u64,
    },
    /// The connection broke before the response was complete. *Retry later.*
    #[error("{0}")]
    Broken(String),
    /// The response exceeds its limit. *Request less.*
    #[error("{0}")]
    TooLarge(String),
    /// Invalid HTTP from the service or a proxy. *Count and retry later.*
    #[error(transparent)]
    Protocol(HttpError),
}

impl From<HttpError> for ConnectionError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::BadRequest(_) => Self::BadRequest(error.to_string()),
            HttpError::ClosedBeforeResponse | HttpError::Truncated => {
                Self::Broken(error.to_string())
            }
            HttpError::BodyTooLarge { .. } | HttpError::HeadTooLarge => {
                Self::TooLarge(error.to_string())
            }
            HttpError::Malformed(_) | HttpError::UnknownEncoding(_) => Self::Protocol(error),
        }
    }
}

/// Address and TLS configuration of a service.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or IP address; the certificate must be valid for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS configuration; `None` for plain text.
    pub tls: Option<Arc<ClientConfig>>,
}

/// A connection to a service.
#[derive(Debug)]
pub struct Connection {
    dialed: Dialed,
    tls: Option<TlsSession>,
    buffer: Box<[u8]>,
    plaintext: Vec<u8>,
    /// Bytes of the last read in `buffer`, without TLS.
    received: usize,
    output: WriteQueue,
    /// Ciphertext bytes read since connecting.
    received_bytes: u64,
}

impl Connection {
    /// Resolves, connects to the first address that accepts, and does the TLS handshake. `stage` is set to the current
    /// step, for timeout errors.
    ///
    /// # Errors
    /// `Resolve`, `Connect`, `Tls` and `Broken` of [`ConnectionError`].
    pub async fn open(
        target: &Target,
        resolver: &Resolver,
        connect_timeout_ns: u64,
        stage: &Cell<&'static str>,
    ) -> Result<Self, ConnectionError> {
        stage.set("resolving the name");
        let Target { host, port, tls } = target;
        let addresses = resolve(resolver, host, *port).await?;
        stage.set("connecting");
        let connected = connect(&addresses, connect_timeout_ns).await;
        let dialed = connected.map_err(ConnectionError::Connect)?;
        let session = tls.as_ref().map(|config| TlsSession::new(config, host)).transpose();
        let mut connection = Self {
            dialed,
            tls: session.map_err(ConnectionError::Tls)?,
            buffer: vec![0; HTTP_SCRATCH_BYTES].into(),
            plaintext: Vec::new(),
            received: 0,
            output: WriteQueue::default(),
            received_bytes: 0,
        };
        stage.set("negotiating TLS");
        connection.handshake().await?;
        Ok(connection)
    }

    async fn handshake(&mut self) -> Result<(), ConnectionError> {
        while self.tls.as_ref().is_some_and(TlsSession::is_handshaking) {
            self.flush().await?;
            self.check_handshake_bytes()?;
            if self.receive().await?.is_none() {
                return Err(ConnectionError::Tls(TlsError::Protocol(
                    "the server closed during the handshake".to_owned(),
                )));
            }
        }
        self.flush().await
    }

    /// Checks the byte limit of a handshake in progress; its timeout is the caller's.
    ///
    /// # Errors
    /// `TooLarge` of [`ConnectionError`].
    pub fn check_handshake_bytes(&self) -> Result<(), ConnectionError> {
        if self.received_bytes <= HANDSHAKE_BYTES_MAX as u64 {
            return Ok(());
        }
        let why =
            format!("the server sent {HANDSHAKE_BYTES_MAX} bytes and its handshake has no end");
        Err(ConnectionError::TooLarge(why))
    }

    /// Sends the request of `exchange` and reads its response. After an error or a dropped future the connection must
    /// not be used again.
    ///
    /// # Errors
    /// `Tls`, `Broken`, `TooLarge` and `Protocol` of [`ConnectionError`].
    pub async fn run(&mut self, exchange: &mut Exchange) -> Result<Response, ConnectionError> {
        self.send(&exchange.take_output()).await?;
        loop {
            let Some(plaintext) = self.receive().await? else {
                // An end without `close_notify` may be forged: it does not complete a body.
                let cut = self.tls.as_ref().is_some_and(|tls| !tls.is_closed_by_server());
                if cut && exchange.is_answered() {
                    return Err(HttpError::Truncated.into());
                }
                return Ok(exchange.handle_eof()?);
            };
            if let Some(response) = exchange.handle_bytes(plaintext)? {
                return Ok(response);
            }
            if self.tls.as_ref().is_some_and(TlsSession::is_closed_by_server) {
                return Ok(exchange.handle_eof()?);
            }
            self.flush().await?;
        }
    }

    /// Sends bytes, encrypted with TLS.
    ///
    /// # Errors
    /// `Tls` and `Broken` of [`ConnectionError`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        match &mut self.tls {
            None => self.write(bytes).await,
            Some(tls) => {
                tls.write_plaintext(bytes).map_err(ConnectionError::Tls)?;
                self.flush().await
            }
        }
    }

    /// Sends pending TLS output.
    ///
    /// # Errors
    /// `Broken` of [`ConnectionError`].
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        let mut bytes = Vec::new();
        if let Some(tls) = &mut self.tls {
            tls.poll_ciphertext(&mut bytes);
        }
        if bytes.is_empty() { Ok(()) } else { self.write(&bytes).await }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.dialed.stream.write_all(bytes).await.map_err(|e| broken(&e))
    }

    /// Received plaintext; `None` at the end of the stream. Empty after a TLS record without data. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// `Tls` and `Broken` of [`ConnectionError`].
    pub async fn receive(&mut self) -> Result<Option<&[u8]>, ConnectionError> {
        yield_now().await;
        let is_open = poll_fn(|context| self.poll_receive(context)).await?;
        Ok(is_open.then(|| self.received()))
    }

    /// Reads once; false at the end of the stream, otherwise [`Connection::received`] has the plaintext. Callers yield
    /// between reads.
    ///
    /// # Errors
    /// `Tls` and `Broken` of [`ConnectionError`].
    pub fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, ConnectionError>> {
        self.received = 0;
        let received =
            match ready!(Pin::new(&mut self.dialed.stream).poll_read(context, &mut self.buffer)) {
                // Many servers close with a reset: treated as an end without `close_notify`.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                other => other.map_err(|e| broken(&e))?,
            };
        self.received_bytes += received as u64;
        let Some(tls) = &mut self.tls else {
            self.received = received;
            return Poll::Ready(Ok(received > 0));
        };
        let Self { plaintext, buffer, .. } = self;
        plaintext.clear();
        let mut sink = |p: &[u8]| plaintext.extend_from_slice(p);
        let result = tls.handle_ciphertext(&buffer[..received], &mut sink);
        let over = received == 0 || (plaintext.is_empty() && tls.is_closed_by_server());
        if let Err(error) = result {
            // Sends the alert without blocking; the server may be gone.
            let mut alert = Vec::new();
            tls.poll_ciphertext(&mut alert);
            let _ = (&self.dialed.socket).write(&alert);
            return Poll::Ready(Err(ConnectionError::Tls(error)));
        }
        Poll::Ready(Ok(!over))
    }

    /// Plaintext of the last read.
    pub fn received(&self) -> &[u8] {
        if self.tls.is_some() { &self.plaintext } else { &self.buffer[..self.received] }
    }

    /// Whether an end of the stream now is the server's own: always without TLS, otherwise after `close_notify`; an end
    /// without it may be forged.
    pub fn is_end_genuine(&self) -> bool {
        self.tls.as_ref().is_none_or(TlsSession::is_closed_by_server)
    }

    /// Queues bytes, to be written by [`Connection::poll_send`].
    ///
    /// # Errors
    /// `Tls` of [`ConnectionError`].
    pub fn queue(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        match &mut self.tls {
            None => self.output.put(bytes),
            Some(tls) => tls.write_plaintext(bytes).map_err(ConnectionError::Tls)?,
        }
        Ok(())
    }

    /// Writes what is queued, and pending TLS output. Dropping the future of it loses nothing. Not to be mixed with
    /// [`Connection::send`] while bytes are queued.
    ///
    /// # Errors
    /// `Broken` of [`ConnectionError`].
    pub fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if let Some(tls) = &mut self.tls {
            tls.poll_ciphertext(self.output.bytes());
        }
        let sent = self.output.poll_write(&mut self.dialed.stream, context);
        sent.map_err(|error| broken(&error))
    }

    /// Checks without blocking that the server has neither closed nor sent unexpected bytes.
    pub fn is_usable(&mut self) -> bool {
        self.look(|_| false)
    }

    /// Reads without blocking and passes the plaintext to `sink`, which returns whether it is valid. Returns false if
    /// it is not, at the end of the stream, and after more than `LOOK_READS_MAX` reads.
    pub fn look(&mut self, mut sink: impl FnMut(&[u8]) -> bool) -> bool {
        for _ in 0..LOOK_READS_MAX {
            let received = match (&self.dialed.socket).read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return false,
                Ok(received) => &self.buffer[..received],
            };
            let Some(tls) = &mut self.tls else {
                if sink(received) {
                    continue;
                }
                return false;
            };
            // Session tickets may arrive at any time; `sink` judges application data.
            let mut in_order = true;
            let result = tls.handle_ciphertext(received, &mut |p| in_order = in_order && sink(p));
            if result.is_err() || !in_order || tls.is_closed_by_server() {
                return false;
            }
        }
        false
    }

    /// Sends `last` and `close_notify` without blocking, before the connection is dropped.
    pub fn close_gracefully(&mut self, last: &[u8]) {
        let mut bytes = Vec::new();
        match &mut self.tls {
            None => bytes.extend_from_slice(last),
            Some(tls) => {
                // Fails for a broken session.
                let _ = tls.write_plaintext(last);
                tls.close_notify();
                tls.poll_ciphertext(&mut bytes);
            }
        }
        // Best effort: the server sees the end of the stream anyway.
        let _ = (&self.dialed.socket).write(&bytes);
    }
}

/// Repeats while the resolver's queue is full: a pool opens hundreds of connections at once.
async fn resolve(
    resolver: &Resolver,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, ConnectionError> {
    let mut tries = 1;
    loop {
        match resolver.resolve(host, port).await {
            Err(ResolveError::Busy { .. }) if tries < RESOLVE_TRIES => {
                sleep(RESOLVE_AGAIN_NS).await
            }
            result => return result.map_err(ConnectionError::Resolve),
        }
        tries += 1;
    }
}

fn broken(error: &io::Error) -> ConnectionError {
    ConnectionError::Broken(format!("the connection broke: {error}"))
}

#[cfg(test)]
mod tests;

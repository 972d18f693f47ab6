//! One accepted socket: optional TLS, bytes in, bytes out, HTTP until the upgrade.
//!
//! Runs on:  the venue's thread.
//! Bounds:   queued output is limited by the configuration; see [`Connection::backlog`].
use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};
use sha1::{Digest, Sha1};

use super::exchange::TokenIndex;
use super::frame::{Assembly, MESSAGE_BYTES_MAX};

/// Plaintext passed to TLS per call: bounds the encrypted bytes ahead of the socket.
const SEAL_BYTES: usize = 64 * 1024;
/// Bound of unparsed input: twice the largest message.
const INPUT_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// Sent bytes are removed from the buffer above this number.
const COMPACT_BYTES: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) assembly: Assembly,
    /// The initial subscription was received.
    pub(super) subscribed: bool,
    pub(super) custom: bool,
    /// Data is stopped (fault); pings are answered.
    pub(super) frozen: bool,
    /// Half-open (fault): nothing is sent or read.
    pub(super) half_open: bool,
    pub(super) tokens: HashSet<TokenIndex>,
    pub(super) seen: HashSet<TokenIndex>,
}

/// One accepted socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// Received plaintext, not parsed.
    pub(super) input: Vec<u8>,
    /// Plaintext to send; the first `sent` bytes are sent.
    pub(super) output: Vec<u8>,
    sent: usize,
    /// The socket is full; no write until it is writable.
    pub(super) full: bool,
    /// `Some` once upgraded.
    pub(super) client: Option<Box<Client>>,
    /// Closed when everything is sent.
    pub(super) closing: bool,
    /// Sending is delayed until then (fault); real milliseconds since the venue's start.
    pub(super) held_until_ms: u64,
    /// A frame to be sent after the next one of another market (fault), and the end of its wait.
    behind: Option<(Vec<u8>, u64)>,
    /// On the list of connections to flush.
    pub(super) dirty: bool,
    /// Real milliseconds since the venue's start of the last received bytes.
    pub(super) received_ms: u64,
}

/// Result of a read or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Continue.
    Open,
    /// Closed by the peer, an error, or intentionally.
    Over,
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        config: Option<&Arc<ServerConfig>>,
        now_ms: u64,
    ) -> Result<Self, rustls::Error> {
        let tls = match config {
            Some(config) => {
                let mut tls = ServerConnection::new(Arc::clone(config))?;
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
            None => None,
        };
        Ok(Self {
            socket,
            tls,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            full: false,
            client: None,
            closing: false,
            held_until_ms: 0,
            behind: None,
            dirty: false,
            received_ms: now_ms,
        })
    }

    pub(super) fn upgrade(&mut self, key: &str) {
        let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            BASE64.encode(digest)
        );
        self.output.extend_from_slice(head.as_bytes());
        self.client = Some(Box::default());
    }

    /// Plaintext bytes to send.
    pub(super) fn backlog(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Appends a frame, followed by a waiting frame of another market.
    pub(super) fn append(&mut self, frame: &[u8]) {
        let overtakes = self.behind.as_ref().is_some_and(|(waiting, _)| {
            let (ours, theirs) = (market_of(frame), market_of(waiting));
            ours.is_some() && theirs.is_some() && ours != theirs
        });
        if !overtakes {
            self.release(u64::MAX);
        }
        self.output.extend_from_slice(frame);
        self.release(u64::MAX);
    }

    /// Holds a frame until another was sent or a time has passed; false if one is held already.
    pub(super) fn keep_behind(&mut self, frame: &[u8], until_ms: u64) -> bool {
        if self.behind.is_some() {
            return false;
        }
        self.behind = Some((frame.to_vec(), until_ms));
        true
    }

    /// Appends the held frame if its time has passed; true while one is held.
    pub(super) fn release(&mut self, now_ms: u64) -> bool {
        if let Some((frame, _)) = self.behind.take_if(|(_, until_ms)| *until_ms <= now_ms) {
            self.output.extend_from_slice(&frame);
        }
        self.behind.is_some()
    }

    /// Reads until the socket is empty; appends to `input`.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Fate {
        // Edge-triggered: stopping early would leave data unread.
        while self.input.len() < INPUT_BYTES_MAX {
            let received = match &mut self.tls {
                None => match self.socket.read(scratch) {
                    Ok(0) => return Fate::Over,
                    Ok(count) => {
                        self.input.extend_from_slice(&scratch[..count]);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Some(tls) => receive_tls(tls, &mut self.socket, &mut self.input, scratch),
            };
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Fate::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Over,
            }
        }
        // More than a valid client sends at once.
        Fate::Over
    }

    /// Writes until the socket is full; counts bytes.
    pub(super) fn flush(&mut self, written: &mut u64) -> Fate {
        if self.full {
            return Fate::Open;
        }
        let fate = match self.drain(written) {
            Ok(()) if self.closing => Fate::Over,
            Ok(()) => Fate::Open,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.full = true;
                Fate::Open
            }
            Err(_) => Fate::Over,
        };
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        } else if self.sent > COMPACT_BYTES.max(self.backlog()) {
            // Compaction moves at most as many bytes as were sent.
            self.output.drain(..self.sent);
            self.sent = 0;
        }
        if self.output.is_empty() && self.output.capacity() > 4 * COMPACT_BYTES {
            self.output = Vec::new();
        }
        fate
    }

    fn drain(&mut self, written: &mut u64) -> io::Result<()> {
        let Self { socket, tls, output, sent, closing, .. } = self;
        let Some(tls) = tls else {
            while *sent < output.len() {
                let count = retry(|| socket.write(&output[*sent..]))?;
                *sent += count;
                *written += count as u64;
            }
            return Ok(());
        };
        loop {
            while tls.wants_write() {
                *written += retry(|| tls.write_tls(socket))? as u64;
            }
            if *sent == output.len() && *closing {
                tls.send_close_notify();
                if tls.wants_write() {
                    continue;
                }
            }
            if *sent == output.len() || tls.is_handshaking() {
                return Ok(());
            }
            let end = output.len().min(*sent + SEAL_BYTES);
            tls.writer().write_all(&output[*sent..end])?;
            *sent = end;
        }
    }
}

fn receive_tls(
    tls: &mut ServerConnection,
    socket: &mut TcpStream,
    input: &mut Vec<u8>,
    scratch: &mut [u8],
) -> io::Result<()> {
    if tls.read_tls(socket)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let processed = tls.process_new_packets();
    let result = processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
    loop {
        match tls.reader().read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => input.extend_from_slice(&scratch[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    result.map(|_| ())
}

/// A write of zero bytes: the peer has closed.
fn retry(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The first market named in a frame.
fn market_of(frame: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"\"market\":\"";
    let head = &frame[..frame.len().min(256)];
    let at = head.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let end = head[at..].iter().position(|&byte| byte == b'"')?;
    Some(&head[at..at + end])
}

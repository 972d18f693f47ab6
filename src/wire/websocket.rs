//! WebSocket client over memory: text frames are read in place, tungstenite handles the rest.
//!
//! Runs on:  control core (upgrade), then shards (pure). Owns: bytes not yet parsed or sent.
//! Bounds:   `FRAME_BYTES_MAX` per message, `SEND_BUFFER_BYTES_MAX` of output, `HTTP_HEAD_BYTES_MAX` of head,
//!           `CONTROL_FRAMES_PER_READ_MAX`; fragments as in `scanner`.
//!
//! Whole text frames go from the read buffer to the decoder without a copy (`scanner`). tungstenite handles the
//! handshake, pings, closes, fragments, protocol violations and all output. Its read buffer is 4 KiB because it is
//! zeroed before every read; its write buffer is off because the output goes to memory anyway (both measured).
mod scanner;
pub mod server;

#[cfg(test)]
use crate::base::limits::LARGE_FRAME_BYTES;
use crate::base::limits::{FRAME_BYTES_MAX, HTTP_HEAD_BYTES_MAX, SEND_BUFFER_BYTES_MAX};
use crate::base::text::one_line;
use crate::wire::http::{RetryAfter, redirect_line};
use scanner::{FrameScanner, FrameToken, Upcoming};
use std::io::{ErrorKind, Read, Write};
use tungstenite::handshake::{MidHandshake, client::ClientHandshake};
use tungstenite::protocol::{WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{HandshakeError, Message, WebSocket, protocol::CloseFrame};

/// Why a WebSocket failed. *Close the connection.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// The server answered the upgrade with another status than 101.
    #[error("the server refused the WebSocket with {}", refusal(*.status, .location.as_deref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if present.
        retry_after: Option<RetryAfter>,
        /// Target of a redirect.
        location: Option<String>,
    },
    /// The server enabled an extension that was not offered: its frames cannot be parsed.
    #[error(
        "the server enabled the extension `{}`, which was not offered", one_line(.0)
    )]
    UnknownExtension(String),
    /// The server broke the protocol.
    #[error("the server broke the WebSocket protocol: {}", one_line(.0))]
    Protocol(String),
    /// Too many frames without content; the value describes them.
    #[error("the server floods the WebSocket with {0}")]
    Flood(&'static str),
    /// Invalid URL or header.
    #[error("the WebSocket address is unusable: {0}")]
    BadUrl(String),
    /// The server does not read; `SEND_BUFFER_BYTES_MAX` bytes of output are queued.
    #[error("the server does not read what is sent to it")]
    SendBufferFull,
    /// The closing handshake is complete.
    #[error("the server closed the WebSocket")]
    Closed,
}

/// Description of a refused upgrade.
fn refusal(status: u16, location: Option<&str>) -> String {
    location.map_or_else(|| format!("HTTP {status}"), |to| redirect_line(status, to))
}

/// The byte buffers that tungstenite uses as its stream.
#[derive(Debug, Default)]
struct Memory {
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
}

impl Memory {
    fn feed(&mut self, bytes: &[u8]) {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        self.input.extend_from_slice(bytes);
    }
}

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let waiting = &self.input[self.taken..];
        if waiting.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = waiting.len().min(into.len());
        into[..n].copy_from_slice(&waiting[..n]);
        self.taken += n;
        Ok(n)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_write_buffer_size(SEND_BUFFER_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

/// The HTTP upgrade, until the response is complete.
#[derive(Debug)]
pub struct Upgrade {
    middle: Option<MidHandshake<ClientHandshake<Memory>>>,
    head: HeadEnd,
    head_bytes: usize,
    subprotocol: Option<String>,
}

/// Finds the end of an HTTP head in split input, with the head parser's rules: lines end with or without `\r`, and
/// empty lines before the first are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadEnd {
    /// Only empty lines so far.
    #[default]
    Before,
    /// Within a line.
    Line,
    /// After a line end; `carriage_return`: a `\r` followed.
    LineEnd { carriage_return: bool },
}

impl HeadEnd {
    /// Number of bytes up to and including the end of the head, if it is in `bytes`.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (place, &byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Before, b'\r' | b'\n') => Self::Before,
                (Self::LineEnd { .. }, b'\n') => {
                    *self = Self::Before;
                    return Some(place + 1);
                }
                (Self::Line, b'\n') => Self::LineEnd { carriage_return: false },
                (Self::LineEnd { carriage_return: false }, b'\r') => {
                    Self::LineEnd { carriage_return: true }
                }
                _ => Self::Line,
            };
        }
        None
    }
}

impl Upgrade {
    /// Starts the upgrade of `url` (`ws://…` or `wss://…`); the request is in [`Upgrade::take_output`].
    ///
    /// # Errors
    /// [`WebSocketError::BadUrl`].
    pub fn start(url: &str, user_agent: &str) -> Result<Self, WebSocketError> {
        Self::start_with(url, user_agent, &[])
    }

    /// [`Upgrade::start`] with more headers.
    ///
    /// # Errors
    /// [`WebSocketError::BadUrl`].
    pub fn start_with(
        url: &str,
        user_agent: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Self, WebSocketError> {
        let bad = |error: &dyn std::fmt::Display| WebSocketError::BadUrl(error.to_string());
        let mut map = http::HeaderMap::new();
        let agent = http::HeaderValue::from_str(user_agent).map_err(|e| bad(&e))?;
        map.insert(http::header::USER_AGENT, agent);
        for (name, value) in headers {
            map.insert(*name, http::HeaderValue::from_str(value).map_err(|e| bad(&e))?);
        }
        Self::start_forwarded(url, map)
    }

    /// [`Upgrade::start`] with these headers only, besides those of the handshake; `Sec-WebSocket-Protocol` may be one
    /// of them.
    ///
    /// # Errors
    /// [`WebSocketError::BadUrl`].
    pub fn start_forwarded(url: &str, headers: http::HeaderMap) -> Result<Self, WebSocketError> {
        use tungstenite::client::IntoClientRequest;
        let bad = |error: &dyn std::fmt::Display| WebSocketError::BadUrl(error.to_string());
        let mut request = url.into_client_request().map_err(|e| bad(&e))?;
        request.headers_mut().extend(headers);
        let memory = Memory::default();
        match tungstenite::client::client_with_config(request, memory, Some(config())) {
            Err(HandshakeError::Interrupted(middle)) => {
                let head = HeadEnd::default();
                Ok(Self { middle: Some(middle), head, head_bytes: 0, subprotocol: None })
            }
            Err(HandshakeError::Failure(error)) => Err(bad(&error)),
            Ok(_) => Err(WebSocketError::Protocol("a response before the request".into())),
        }
    }

    /// The subprotocol that the server chose, once the upgrade is complete.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Takes the bytes to send.
    pub fn take_output(&mut self) -> Vec<u8> {
        let Some(middle) = &mut self.middle else { return Vec::new() };
        std::mem::take(&mut middle.get_mut().get_mut().output)
    }

    /// Handles bytes from the server; returns the open WebSocket once the response is complete. Bytes after the
    /// response become its first frames.
    ///
    /// # Errors
    /// The response is invalid or a refusal; the upgrade has ended.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<ClientSocket>, WebSocketError> {
        let Some(mut middle) = self.middle.take() else { return Err(WebSocketError::Closed) };
        // Bytes after the head are kept apart, so that tungstenite starts at a frame boundary.
        let (head, early) = bytes.split_at(self.head.find(bytes).unwrap_or(bytes.len()));
        self.head_bytes += head.len();
        if self.head_bytes > HTTP_HEAD_BYTES_MAX {
            let what = format!("the head of its response exceeds {HTTP_HEAD_BYTES_MAX} bytes");
            return Err(WebSocketError::Protocol(what));
        }
        middle.get_mut().get_mut().feed(head);
        match middle.handshake() {
            Ok((socket, response)) => {
                if let Some(name) = response.headers().get("sec-websocket-extensions") {
                    let name = name.to_str().unwrap_or("?").to_owned();
                    return Err(WebSocketError::UnknownExtension(name));
                }
                let subprotocol = response.headers().get("sec-websocket-protocol");
                self.subprotocol = subprotocol.and_then(|v| v.to_str().ok()).map(str::to_owned);
                Ok(Some(ClientSocket {
                    socket,
                    scanner: FrameScanner::new(),
                    early: early.to_vec(),
                    pongs: 0,
                }))
            }
            // The head ended, but the parser found no end.
            Err(HandshakeError::Interrupted(_)) if !early.is_empty() => {
                Err(WebSocketError::Protocol("the response's head has no end".into()))
            }
            Err(HandshakeError::Interrupted(middle)) => {
                self.middle = Some(middle);
                Ok(None)
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let status = response.status().as_u16();
                let text =
                    |name| response.headers().get(name).and_then(|value| value.to_str().ok());
                let retry_after = text(http::header::RETRY_AFTER).and_then(RetryAfter::parse);
                let location =
                    text(http::header::LOCATION).filter(|_| (300..400).contains(&status));
                let location = location.map(str::to_owned);
                Err(WebSocketError::Refused { status, retry_after, location })
            }
            Err(HandshakeError::Failure(error)) => Err(WebSocketError::Protocol(error.to_string())),
        }
    }
}

/// One complete message.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A text message longer than `LARGE_FRAME_BYTES`, owned so that it can be decoded in parts.
    Large(String),
    /// A binary message.
    Binary(&'a [u8]),
    /// The server closes; the connection ends after this message.
    Close {
        /// Close code, 1005 if there was none.
        code: u16,
        /// Reason given by the server, on one line.
        reason: String,
    },
}

impl Incoming<'_> {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Large(text) => Some(text),
            Self::Binary(_) | Self::Close { .. } => None,
        }
    }
}

/// Takes the messages of a WebSocket.
pub trait Receive {
    /// A message.
    fn on_message(&mut self, message: Incoming<'_>);

    /// The payload of a text frame further on in the same read, not validated. If what is before it is in order, it
    /// will be delivered from the same place of memory.
    #[inline]
    fn announce(&mut self, payload: &[u8]) {
        let _ = payload;
    }
}

/// Calls a function with each message.
struct Call<F>(F);

impl<F: FnMut(Incoming<'_>)> Receive for Call<F> {
    #[inline]
    fn on_message(&mut self, message: Incoming<'_>) {
        self.0(message);
    }
}

/// [`Receive`] that calls a function with each message.
pub(crate) fn call(on_message: impl FnMut(Incoming<'_>)) -> impl Receive {
    Call(on_message)
}

/// An open WebSocket over memory.
#[derive(Debug)]
pub struct ClientSocket {
    socket: WebSocket<Memory>,
    scanner: FrameScanner,
    /// Bytes received after the upgrade response.
    early: Vec<u8>,
    pongs: u64,
}

impl ClientSocket {
    /// Appends bytes that follow the upgrade response, for the first call of [`ClientSocket::handle_bytes`].
    pub fn keep_early(&mut self, bytes: &[u8]) {
        self.early.extend_from_slice(bytes);
    }

    /// Handles bytes from the server (after TLS) and delivers each message that they complete. Pongs go to the output.
    ///
    /// The first call, which may have no bytes, also delivers messages received with the upgrade response.
    ///
    /// # Errors
    /// [`WebSocketError::Protocol`], [`WebSocketError::Closed`]: *close*. Messages before the error were delivered.
    #[inline]
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        on_message: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), WebSocketError> {
        self.receive(bytes, &mut call(on_message))
    }

    /// [`ClientSocket::handle_bytes`] with announcements of messages.
    #[inline]
    pub fn receive(
        &mut self,
        bytes: &[u8],
        receiver: &mut impl Receive,
    ) -> Result<(), WebSocketError> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            self.scan(&early, receiver)?;
        }
        self.scan(bytes, receiver)
    }

    #[inline]
    fn scan(
        &mut self,
        mut bytes: &[u8],
        receiver: &mut impl Receive,
    ) -> Result<(), WebSocketError> {
        let Self { socket, scanner, pongs, .. } = self;
        let mut upcoming = Upcoming::default();
        while let Some(token) = scanner.next(&mut bytes) {
            let broken = match token {
                FrameToken::Text(payload) => match std::str::from_utf8(payload) {
                    Ok(text) => {
                        upcoming.begin_frame(bytes);
                        while let Some(payload) = upcoming.next() {
                            receiver.announce(payload);
                        }
                        receiver.on_message(Incoming::Text(text));
                        continue;
                    }
                    Err(_) => text_frame(payload),
                },
                FrameToken::Large(payload) => match String::from_utf8(payload) {
                    Ok(text) => {
                        receiver.on_message(Incoming::Large(text));
                        continue;
                    }
                    Err(error) => text_frame(error.as_bytes()),
                },
                FrameToken::Other(bytes) => {
                    socket.get_mut().feed(bytes);
                    let read = read_messages(socket, pongs, receiver);
                    if read.is_err() {
                        scanner.give_up();
                    }
                    read?;
                    continue;
                }
            };
            // Invalid UTF-8: tungstenite produces the error.
            scanner.give_up();
            socket.get_mut().feed(&broken);
            read_messages(socket, pongs, receiver)?;
        }
        match scanner.flood() {
            Some(what) => Err(WebSocketError::Flood(what)),
            None => Ok(()),
        }
    }

    /// Must be called before the bytes of each read: resets the per-read limits.
    #[inline]
    pub const fn begin_read(&mut self) {
        self.scanner.begin_read();
    }

    /// Bytes held of incomplete messages.
    pub fn unfinished_bytes(&self) -> usize {
        self.scanner.unfinished_bytes() + self.early.len()
    }

    /// Queues a text message into the output.
    ///
    /// # Errors
    /// [`WebSocketError::SendBufferFull`], or the connection is closing.
    pub fn send_text(&mut self, text: &str) -> Result<(), WebSocketError> {
        if !self.socket.can_write() {
            return Err(WebSocketError::Closed);
        }
        if self.output().len() + text.len() > SEND_BUFFER_BYTES_MAX {
            return Err(WebSocketError::SendBufferFull);
        }
        let sent = self.socket.send(Message::text(text));
        sent.map_err(|error| WebSocketError::Protocol(error.to_string()))
    }

    /// Allows [`ClientSocket::forward`] messages of up to `FRAME_BYTES_MAX`; the caller sends the output after each.
    pub fn allow_large_messages(&mut self) {
        self.socket.set_config(|config| config.max_write_buffer_size = usize::MAX);
    }

    /// Queues a message of another connection, text or binary, whatever is queued already.
    ///
    /// # Errors
    /// The connection is closing.
    pub fn forward_text(&mut self, text: &str) -> Result<(), WebSocketError> {
        self.forward(Message::text(text))
    }

    /// The same for a binary message.
    ///
    /// # Errors
    /// The connection is closing.
    pub fn forward_binary(&mut self, bytes: &[u8]) -> Result<(), WebSocketError> {
        self.forward(Message::binary(bytes.to_vec()))
    }

    fn forward(&mut self, message: Message) -> Result<(), WebSocketError> {
        if !self.socket.can_write() {
            return Err(WebSocketError::Closed);
        }
        let sent = self.socket.send(message);
        sent.map_err(|error| WebSocketError::Protocol(error.to_string()))
    }

    /// Queues a ping frame; [`ClientSocket::pongs`] counts the responses.
    ///
    /// # Errors
    /// As [`ClientSocket::send_text`].
    pub fn send_ping(&mut self) -> Result<(), WebSocketError> {
        if !self.socket.can_write() {
            return Err(WebSocketError::Closed);
        }
        if self.output().len() > SEND_BUFFER_BYTES_MAX {
            return Err(WebSocketError::SendBufferFull);
        }
        let sent = self.socket.send(Message::Ping(bytes::Bytes::new()));
        sent.map_err(|error| WebSocketError::Protocol(error.to_string()))
    }

    /// Pongs received.
    pub const fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Queues a close frame with code 1000; the server should answer with one.
    pub fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // An error means already closing or closed.
        let _ = self.socket.close(Some(frame));
    }

    /// Queues a close frame with this code, or without one for 1005, unless one was sent.
    pub fn close_with(&mut self, code: u16, reason: &str) {
        let frame = (code != 1005)
            .then(|| CloseFrame { code: code.into(), reason: server::cut_reason(reason).into() });
        // An error means already closing or closed.
        let _ = self.socket.close(frame);
    }

    /// Queued output (before TLS).
    pub fn output(&self) -> &[u8] {
        &self.socket.get_ref().output
    }

    /// Clears the output after it was sent.
    pub fn clear_output(&mut self) {
        self.socket.get_mut().output.clear();
    }
}

/// Delivers every complete message from tungstenite.
fn read_messages(
    socket: &mut WebSocket<Memory>,
    pongs: &mut u64,
    receiver: &mut impl Receive,
) -> Result<(), WebSocketError> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => receiver.on_message(Incoming::Text(text.as_str())),
            Ok(Message::Binary(bytes)) => receiver.on_message(Incoming::Binary(&bytes)),
            Ok(Message::Close(frame)) => {
                let (code, reason) = frame.map_or((1005, String::new()), |f| {
                    (f.code.into(), one_line(&f.reason).into_owned())
                });
                receiver.on_message(Incoming::Close { code, reason });
            }
            Ok(Message::Pong(_)) => *pongs += 1,
            Ok(Message::Ping(_) | Message::Frame(_)) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(());
            }
            Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                return Err(WebSocketError::Closed);
            }
            Err(error) => return Err(WebSocketError::Protocol(error.to_string())),
        }
    }
}

/// A server text frame with this payload.
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_frame(0x81, payload, &mut frame);
    frame
}

/// Appends a server frame; `start` is its first byte.
fn put_frame(start: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(start);
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        medium @ 126..0x1_0000 => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "websocket/upgrade/tests.rs"]
mod upgrade;

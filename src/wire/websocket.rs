//! The client side of a WebSocket over memory: text frames where they lie, tungstenite for the rest.
//!
//! Runs on:  control core (upgrade), then shards (pure). Owns: the bytes not yet parsed or sent.
//! Bounds:   `FRAME_BYTES_MAX` a message, `SEND_BUFFER_BYTES_MAX` waiting to be sent, `HTTP_HEAD_BYTES_MAX` of head,
//!           `CONTROL_FRAMES_PER_READ_MAX`; fragments as `lane` bounds them.
//!
//! Whole text frames go from the reader's buffer to the decoder without a copy (`lane`). Handshake,
//! pings, closes, fragments, violations and everything that is sent are tungstenite's.
//! tungstenite's read buffer is 4 KiB because it is zeroed before every read; its write buffer is
//! off because the bytes go to memory anyway (both measured).
mod lane;

#[cfg(test)]
use crate::base::limits::LARGE_FRAME_BYTES;
use crate::base::limits::{FRAME_BYTES_MAX, HTTP_HEAD_BYTES_MAX, SEND_BUFFER_BYTES_MAX};
use crate::base::text::one_line;
use crate::wire::http::{RetryAfter, redirect_line};
use lane::{Lane, Piece};
use std::io::{ErrorKind, Read, Write};
use tungstenite::handshake::{MidHandshake, client::ClientHandshake};
use tungstenite::protocol::{WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{HandshakeError, Message, WebSocket, protocol::CloseFrame};

/// Why a WebSocket cannot go on. The caller closes the connection in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// The server answered the upgrade with something else than 101.
    #[error("the server refused the WebSocket with {}", refusal(*.status, .location.as_deref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, where the server sent one.
        retry_after: Option<RetryAfter>,
        /// Where a redirect leads, where it is one.
        location: Option<String>,
    },
    /// The server switched on an extension that was not offered: its frames cannot be read.
    #[error(
        "the server switched on the extension `{}` that was not offered", one_line(.0)
    )]
    UnknownExtension(String),
    /// The server broke the protocol.
    #[error("the server broke the WebSocket protocol: {}", one_line(.0))]
    Protocol(String),
    /// The server sends frames that say nothing, too many of them: what they are.
    #[error("the server floods the WebSocket with {0}")]
    Flood(&'static str),
    /// The URL cannot be asked for.
    #[error("the WebSocket address is unusable: {0}")]
    BadUrl(String),
    /// The server does not take what is sent; `SEND_BUFFER_BYTES_MAX` are waiting.
    #[error("the server does not take what is sent to it")]
    SendBufferFull,
    /// The closing handshake is complete.
    #[error("the server closed the WebSocket")]
    Closed,
}

/// The status of a refused upgrade, for people.
fn refusal(status: u16, location: Option<&str>) -> String {
    location.map_or_else(|| format!("HTTP {status}"), |to| redirect_line(status, to))
}

/// Two byte buffers that look like a socket to tungstenite.
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

/// The upgrade from HTTP, until the server has answered.
#[derive(Debug)]
pub struct Upgrade {
    middle: Option<MidHandshake<ClientHandshake<Memory>>>,
    /// How much of the empty line behind the answer's head was seen.
    head: HeadEnd,
    head_bytes: usize,
}

/// Finds the end of an HTTP head, which may be split anywhere, as the parser of the head does: lines
/// end with or without `\r`, and empty ones before the first are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadEnd {
    /// Nothing but empty lines so far.
    #[default]
    Before,
    /// Within a line.
    Line,
    /// Behind a line; whether a `\r` came since.
    LineEnd { carriage_return: bool },
}

impl HeadEnd {
    /// Number of bytes up to and with the end of the head, if it is among `bytes`.
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
    /// Begins the upgrade of `url` (`ws://…` or `wss://…`); the request waits in
    /// [`Upgrade::take_output`].
    ///
    /// # Errors
    /// [`WebSocketError::BadUrl`].
    pub fn start(url: &str, user_agent: &str) -> Result<Self, WebSocketError> {
        Self::start_with(url, user_agent, &[])
    }

    /// The same with more headers.
    ///
    /// # Errors
    /// The URL or a header cannot be used.
    pub fn start_with(
        url: &str,
        user_agent: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Self, WebSocketError> {
        use tungstenite::client::IntoClientRequest;
        let bad = |error: &dyn std::fmt::Display| WebSocketError::BadUrl(error.to_string());
        let mut request = url.into_client_request().map_err(|e| bad(&e))?;
        let agent = http::HeaderValue::from_str(user_agent).map_err(|e| bad(&e))?;
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        for (name, value) in headers {
            let value = http::HeaderValue::from_str(value).map_err(|e| bad(&e))?;
            request.headers_mut().insert(*name, value);
        }
        let memory = Memory::default();
        match tungstenite::client::client_with_config(request, memory, Some(config())) {
            Err(HandshakeError::Interrupted(middle)) => {
                Ok(Self { middle: Some(middle), head: HeadEnd::default(), head_bytes: 0 })
            }
            Err(HandshakeError::Failure(error)) => Err(bad(&error)),
            Ok(_) => Err(WebSocketError::Protocol("an answer before the request".into())),
        }
    }

    /// Bytes to send to the server; empties the buffer.
    pub fn take_output(&mut self) -> Vec<u8> {
        let Some(middle) = &mut self.middle else { return Vec::new() };
        std::mem::take(&mut middle.get_mut().get_mut().output)
    }

    /// Gives bytes from the server; the open WebSocket once the answer is complete. Bytes behind
    /// the answer are kept and become its first frames.
    ///
    /// # Errors
    /// Whatever is wrong with the answer; the upgrade is then over.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<ClientSocket>, WebSocketError> {
        let Some(mut middle) = self.middle.take() else { return Err(WebSocketError::Closed) };
        // What comes behind the head is kept apart, so that tungstenite begins at a frame's start.
        let (head, early) = bytes.split_at(self.head.find(bytes).unwrap_or(bytes.len()));
        self.head_bytes += head.len();
        if self.head_bytes > HTTP_HEAD_BYTES_MAX {
            let what = format!("the head of its answer exceeds {HTTP_HEAD_BYTES_MAX} bytes");
            return Err(WebSocketError::Protocol(what));
        }
        middle.get_mut().get_mut().feed(head);
        match middle.handshake() {
            Ok((socket, response)) => {
                if let Some(name) = response.headers().get("sec-websocket-extensions") {
                    let name = name.to_str().unwrap_or("?").to_owned();
                    return Err(WebSocketError::UnknownExtension(name));
                }
                Ok(Some(ClientSocket {
                    socket,
                    lane: Lane::new(),
                    early: early.to_vec(),
                    pongs: 0,
                }))
            }
            // A head that ended and is none yet: nothing that the parser knows.
            Err(HandshakeError::Interrupted(_)) if !early.is_empty() => {
                Err(WebSocketError::Protocol("the answer's head has no end".into()))
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

/// What the server sent, one whole message at a time.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// The same, longer than `LARGE_FRAME_BYTES`: whoever takes it may read it in parts.
    Large(String),
    /// A binary message.
    Binary(&'a [u8]),
    /// The server closes; the connection ends after this.
    Close {
        /// Close code, 1005 if there was none.
        code: u16,
        /// The reason in the server's words, on one line.
        reason: String,
    },
}

/// An open WebSocket over memory.
#[derive(Debug)]
pub struct ClientSocket {
    socket: WebSocket<Memory>,
    lane: Lane,
    /// What came behind the answer to the upgrade.
    early: Vec<u8>,
    pongs: u64,
}

impl ClientSocket {
    /// Keeps bytes that came right behind the answer to the upgrade for the first call of
    /// [`ClientSocket::handle_bytes`].
    pub fn keep_early(&mut self, bytes: &[u8]) {
        self.early.extend_from_slice(bytes);
    }

    /// Gives bytes from the server (plain, after TLS) and delivers every message that they
    /// complete. Pings are answered into the output.
    ///
    /// Bytes that came with the answer to the upgrade are delivered by the first call, which may
    /// be one without bytes.
    ///
    /// # Errors
    /// [`WebSocketError::Protocol`], [`WebSocketError::Closed`]: *close*. Messages before the error
    /// were delivered.
    #[inline]
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        on_message: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), WebSocketError> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            self.take_pieces(&early, on_message)?;
        }
        self.take_pieces(bytes, on_message)
    }

    #[inline]
    fn take_pieces(
        &mut self,
        mut bytes: &[u8],
        on_message: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), WebSocketError> {
        let Self { socket, lane, pongs, .. } = self;
        while let Some(piece) = lane.next(&mut bytes) {
            let broken = match piece {
                Piece::Text(payload) => match std::str::from_utf8(payload) {
                    Ok(text) => {
                        on_message(Incoming::Text(text));
                        continue;
                    }
                    Err(_) => text_frame(payload),
                },
                Piece::Large(payload) => match String::from_utf8(payload) {
                    Ok(text) => {
                        on_message(Incoming::Large(text));
                        continue;
                    }
                    Err(error) => text_frame(error.as_bytes()),
                },
                Piece::Other(bytes) => {
                    socket.get_mut().feed(bytes);
                    let read = read_messages(socket, pongs, on_message);
                    if read.is_err() {
                        lane.give_up();
                    }
                    read?;
                    continue;
                }
            };
            // No UTF-8: the full implementation says so in its own words.
            lane.give_up();
            socket.get_mut().feed(&broken);
            read_messages(socket, pongs, on_message)?;
        }
        match lane.flood() {
            Some(what) => Err(WebSocketError::Flood(what)),
            None => Ok(()),
        }
    }

    /// To be called before the bytes of each read: bounds what one read may bring.
    #[inline]
    pub const fn begin_read(&mut self) {
        self.lane.begin_read();
    }

    /// Bytes that are held of messages that have begun and not ended.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        self.lane.unfinished_bytes() + self.early.len()
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

    /// Queues a ping of the protocol's own; [`ClientSocket::pongs`] counts the answers.
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

    /// Pongs that came since the start.
    #[must_use]
    pub const fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Queues a close frame with code 1000; the server should answer with its own.
    pub fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // Already closing or closed is what was wanted.
        let _ = self.socket.close(Some(frame));
    }

    /// Bytes that wait to be sent (plain, before TLS).
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.socket.get_ref().output
    }

    /// Forgets the output after it was taken.
    pub fn clear_output(&mut self) {
        self.socket.get_mut().output.clear();
    }
}

/// Delivers every whole message that tungstenite has.
fn read_messages(
    socket: &mut WebSocket<Memory>,
    pongs: &mut u64,
    on_message: &mut impl FnMut(Incoming<'_>),
) -> Result<(), WebSocketError> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => on_message(Incoming::Text(text.as_str())),
            Ok(Message::Binary(bytes)) => on_message(Incoming::Binary(&bytes)),
            Ok(Message::Close(frame)) => {
                let (code, reason) = frame.map_or((1005, String::new()), |f| {
                    (f.code.into(), one_line(&f.reason).into_owned())
                });
                on_message(Incoming::Close { code, reason });
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

/// A text frame with this payload, as a server sends it.
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        short @ 0..126 => frame.push(short as u8),
        medium @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "websocket/upgrade/tests.rs"]
mod upgrade;

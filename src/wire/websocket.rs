//! The client side of a WebSocket over memory: tungstenite between two byte buffers.
//!
//! Runs on:  control core (upgrade), then shards (pure). Owns: the bytes not yet parsed or sent.
//! Bounds:   `FRAME_BYTES_MAX` a message, `SEND_BUFFER_BYTES_MAX` waiting to be sent.
//!
//! tungstenite's read buffer is 4 KiB because it is zeroed before every read; its write buffer is
//! off because the bytes go to memory anyway (both measured).
use crate::base::limits::{FRAME_BYTES_MAX, SEND_BUFFER_BYTES_MAX};
use std::io::{ErrorKind, Read, Write};
use tungstenite::handshake::{MidHandshake, client::ClientHandshake};
use tungstenite::protocol::{WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{HandshakeError, Message, WebSocket, protocol::CloseFrame};

/// Why a WebSocket cannot go on. The caller closes the connection in every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketError {
    /// The server answered the upgrade with something else than 101.
    Refused {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, where the server sent one.
        retry_after_s: Option<u64>,
    },
    /// The server switched on an extension that was not offered: its frames cannot be read.
    UnknownExtension(String),
    /// The server broke the protocol.
    Protocol(String),
    /// The URL cannot be asked for.
    BadUrl(String),
    /// The server does not take what is sent; `SEND_BUFFER_BYTES_MAX` are waiting.
    SendBufferFull,
    /// The closing handshake is complete.
    Closed,
}

impl std::fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, .. } => {
                write!(f, "the server refused the WebSocket with HTTP {status}")
            }
            Self::UnknownExtension(name) => {
                write!(f, "the server switched on the extension `{name}` that was not offered")
            }
            Self::Protocol(what) => write!(f, "the server broke the WebSocket protocol: {what}"),
            Self::BadUrl(what) => write!(f, "the WebSocket address is unusable: {what}"),
            Self::SendBufferFull => f.write_str("the server does not take what is sent to it"),
            Self::Closed => f.write_str("the server closed the WebSocket"),
        }
    }
}

impl std::error::Error for WebSocketError {}

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
}

impl Upgrade {
    /// Begins the upgrade of `url` (`ws://…` or `wss://…`); the request waits in
    /// [`Upgrade::take_output`].
    ///
    /// # Errors
    /// [`WebSocketError::BadUrl`].
    pub fn start(url: &str, user_agent: &str) -> Result<Self, WebSocketError> {
        use tungstenite::client::IntoClientRequest;
        let bad = |error: &dyn std::fmt::Display| WebSocketError::BadUrl(error.to_string());
        let mut request = url.into_client_request().map_err(|e| bad(&e))?;
        let agent = http::HeaderValue::from_str(user_agent).map_err(|e| bad(&e))?;
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        let memory = Memory::default();
        match tungstenite::client::client_with_config(request, memory, Some(config())) {
            Err(HandshakeError::Interrupted(middle)) => Ok(Self { middle: Some(middle) }),
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
        middle.get_mut().get_mut().feed(bytes);
        match middle.handshake() {
            Ok((socket, response)) => {
                if let Some(name) = response.headers().get("sec-websocket-extensions") {
                    let name = name.to_str().unwrap_or("?").to_owned();
                    return Err(WebSocketError::UnknownExtension(name));
                }
                Ok(Some(ClientSocket { socket }))
            }
            Err(HandshakeError::Interrupted(middle)) => {
                self.middle = Some(middle);
                Ok(None)
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let retry_after_s = response
                    .headers()
                    .get(http::header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(WebSocketError::Refused { status: response.status().as_u16(), retry_after_s })
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
    /// A binary message of that many bytes.
    Binary(usize),
    /// The server closes; the connection ends after this.
    Close {
        /// Close code, 1005 if there was none.
        code: u16,
        /// The reason in the server's words.
        reason: String,
    },
}

/// An open WebSocket over memory.
#[derive(Debug)]
pub struct ClientSocket {
    socket: WebSocket<Memory>,
}

impl ClientSocket {
    /// Gives bytes from the server (plain, after TLS).
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.socket.get_mut().feed(bytes);
    }

    /// Delivers every whole message that has arrived. Pings are answered into the output.
    ///
    /// # Errors
    /// [`WebSocketError::Protocol`], [`WebSocketError::Closed`]: *close*.
    pub fn poll_messages(
        &mut self,
        mut on_message: impl FnMut(Incoming<'_>),
    ) -> Result<(), WebSocketError> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => on_message(Incoming::Text(text.as_str())),
                Ok(Message::Binary(bytes)) => on_message(Incoming::Binary(bytes.len())),
                Ok(Message::Close(frame)) => {
                    let (code, reason) = frame
                        .map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    on_message(Incoming::Close { code, reason });
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::handshake::derive_accept_key;

    fn answer_to(request: &[u8], extra_header: &str) -> Vec<u8> {
        let request = std::str::from_utf8(request).unwrap();
        let key = request
            .lines()
            .find_map(|l| {
                l.to_lowercase().starts_with("sec-websocket-key:").then(|| l[18..].trim())
            })
            .unwrap();
        let accept = derive_accept_key(key.as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra_header}\r\n"
        )
        .into_bytes()
    }

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0x80 | opcode];
        match payload.len() {
            n @ 0..=125 => out.push(n as u8),
            n => {
                out.push(126);
                out.extend((n as u16).to_be_bytes());
            }
        }
        out.extend(payload);
        out
    }

    fn open() -> ClientSocket {
        let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
        let request = upgrade.take_output();
        assert!(String::from_utf8_lossy(&request).contains("ringbook/test"));
        upgrade.handle_bytes(&answer_to(&request, "")).unwrap().unwrap()
    }

    fn texts(socket: &mut ClientSocket) -> Vec<String> {
        let mut all = Vec::new();
        socket
            .poll_messages(|message| match message {
                Incoming::Text(text) => all.push(text.to_owned()),
                other => all.push(format!("{other:?}")),
            })
            .unwrap();
        all
    }

    #[test]
    fn bytes_may_arrive_one_by_one_and_frames_behind_the_answer_are_kept() {
        let mut upgrade = Upgrade::start("wss://venue.test/ws/market", "ringbook/test").unwrap();
        let request = upgrade.take_output();
        let mut bytes = answer_to(&request, "");
        bytes.extend(frame(1, b"[1]"));
        bytes.extend(frame(1, "x".repeat(5000).as_bytes()));
        let mut socket = None;
        let mut got = Vec::new();
        // The answer in two pieces (tungstenite takes many tiny ones for an attack), the first
        // frame glued to the second, everything behind that byte by byte.
        let glued = bytes.len() - 5000;
        for piece in [&bytes[..40], &bytes[40..glued]] {
            socket = upgrade.handle_bytes(piece).unwrap().or(socket);
        }
        let mut socket = socket.unwrap();
        for byte in &bytes[glued..] {
            socket.handle_bytes(&[*byte]);
            got.extend(texts(&mut socket));
        }
        assert_eq!(got, ["[1]".to_owned(), "x".repeat(5000)]);
    }

    #[test]
    fn a_ping_is_answered_and_a_close_is_delivered() {
        let mut socket = open();
        socket.handle_bytes(&frame(9, b"hi"));
        assert!(texts(&mut socket).is_empty());
        assert_eq!(socket.output()[0], 0x8a, "a pong");
        socket.clear_output();
        socket.send_text("PING").unwrap();
        assert_eq!(socket.output().len(), 2 + 4 + 4);
        socket.handle_bytes(&frame(8, &[&1008u16.to_be_bytes()[..], b"no"].concat()));
        let mut got = Vec::new();
        let _ = socket.poll_messages(|m| got.push(format!("{m:?}")));
        assert_eq!(got, [r#"Close { code: 1008, reason: "no" }"#]);
        assert_eq!(socket.send_text("PING"), Err(WebSocketError::Closed));
    }

    #[test]
    fn refusals_and_broken_frames_are_told_apart() {
        let upgrade = || {
            let mut upgrade = Upgrade::start("ws://127.0.0.1:9/", "ringbook/test").unwrap();
            let request = upgrade.take_output();
            (upgrade, request)
        };
        let (mut u, _) = upgrade();
        let busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let refused = WebSocketError::Refused { status: 429, retry_after_s: Some(7) };
        assert_eq!(u.handle_bytes(busy).unwrap_err(), refused);
        let (mut u, request) = upgrade();
        let deflate = answer_to(&request, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        let error = u.handle_bytes(&deflate).unwrap_err();
        assert_eq!(error, WebSocketError::UnknownExtension("permessage-deflate".into()));
        let (mut u, _) = upgrade();
        assert!(matches!(u.handle_bytes(b"220 smtp\r\n\r\n"), Err(WebSocketError::Protocol(_))));
        assert!(matches!(Upgrade::start("nonsense", "x"), Err(WebSocketError::BadUrl(_))));
        let mut socket = open();
        socket.handle_bytes(&[0xf1, 0x00]);
        assert!(matches!(socket.poll_messages(|_| {}), Err(WebSocketError::Protocol(_))));
        let mut socket = open();
        let huge = [&[0x81, 127][..], &(FRAME_BYTES_MAX as u64 + 1).to_be_bytes()].concat();
        socket.handle_bytes(&huge);
        assert!(matches!(socket.poll_messages(|_| {}), Err(WebSocketError::Protocol(_))));
    }

    #[test]
    fn what_waits_to_be_sent_is_bounded() {
        let mut socket = open();
        let text = "x".repeat(SEND_BUFFER_BYTES_MAX / 2);
        assert!(socket.send_text(&text).is_ok());
        assert_eq!(socket.send_text(&text), Err(WebSocketError::SendBufferFull));
    }
}

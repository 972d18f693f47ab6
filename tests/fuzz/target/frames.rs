//! Frames of a server: the engine's socket and session, cross-checked by tungstenite.
//!
//! Input: how it is cut, then the stream.

use super::{Target, behaviour, magnitude, pieces};
use ringbook::base::limits::{FRAME_BYTES_MAX, SEND_BUFFER_BYTES_MAX};
use ringbook::base::text::one_line;
use ringbook::session::{Session, SessionError};
use ringbook::wire::websocket::{ClientSocket, Incoming, Upgrade, WebSocketError};
use std::io::{ErrorKind, Read, Write};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, WebSocket};

pub(super) const TARGET: Target = Target { name: "frames", run, seeds, dictionary: &[] };

/// What came of a stream.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) messages: Vec<String>,
    pub(super) end: Option<WebSocketError>,
    pub(super) sent: Vec<u8>,
}

/// Memory that looks like a socket.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.input.len());
        into[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bounds of the engine.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .write_buffer_size(0)
        .max_write_buffer_size(SEND_BUFFER_BYTES_MAX)
}

/// The key of a request for an upgrade.
pub(super) fn key_of(request: &[u8]) -> String {
    let request = std::str::from_utf8(request).expect("a request is text");
    let is_key = |line: &&str| line.to_ascii_lowercase().starts_with("sec-websocket-key:");
    let line = request.lines().find(is_key).expect("a request has a key");
    line["sec-websocket-key:".len()..].trim().to_owned()
}

/// An open socket.
pub(super) fn open() -> ClientSocket {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let accept = derive_accept_key(key_of(&upgrade.take_output()).as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    upgrade.handle_bytes(answer.as_bytes()).unwrap().unwrap()
}

fn show(text: &str) -> String {
    format!("text {text}")
}

pub(super) fn show_incoming(message: Incoming<'_>) -> String {
    match message {
        Incoming::Text(text) => show(text),
        Incoming::Large(text) => show(&text),
        Incoming::Binary(bytes) => format!("binary {bytes:?}"),
        Incoming::Close { code, reason } => format!("close {code} {reason}"),
    }
}

/// Reads all that tungstenite has.
pub(super) fn read_alone(
    socket: &mut WebSocket<Pipe>,
    messages: &mut Vec<String>,
) -> Option<WebSocketError> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => messages.push(show(text.as_str())),
            Ok(Message::Binary(bytes)) => messages.push(format!("binary {:?}", &bytes[..])),
            Ok(Message::Close(frame)) => {
                let code = frame.as_ref().map_or(1005, |frame| u16::from(frame.code));
                // The engine's messages are for the log.
                let reason = frame.map(|frame| one_line(&frame.reason).into_owned());
                let reason = reason.unwrap_or_default();
                messages.push(format!("close {code} {reason}"));
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                return Some(WebSocketError::Closed);
            }
            Err(error) => return Some(WebSocketError::Protocol(error.to_string())),
        }
    }
}

fn alone(pieces: &[&[u8]], close_at: usize) -> Outcome {
    let mut socket = WebSocket::from_raw_socket(Pipe::default(), Role::Client, Some(config()));
    let (mut messages, mut end) = (Vec::new(), None);
    for (place, piece) in pieces.iter().enumerate() {
        if place == close_at {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let _ = socket.close(Some(frame));
        }
        socket.get_mut().input.extend_from_slice(piece);
        end = read_alone(&mut socket, &mut messages);
        if end.is_some() {
            break;
        }
    }
    Outcome { messages, end, sent: unmasked(&socket.get_ref().output) }
}

fn engine(pieces: &[&[u8]], close_at: usize) -> Outcome {
    let mut socket = open();
    let (mut messages, mut end) = (Vec::new(), None);
    for (place, piece) in pieces.iter().enumerate() {
        if place == close_at {
            socket.close();
        }
        end = socket.handle_bytes(piece, &mut |m| messages.push(show_incoming(m))).err();
        if end.is_some() {
            break;
        }
    }
    Outcome { messages, end, sent: unmasked(socket.output()) }
}

/// Frames of a client with their masks, which are random, lifted.
fn unmasked(mut sent: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [first, length, a, b, c, d, rest @ ..] = sent {
        let length = usize::from(length & 0x7f);
        assert!(length <= 125 && length <= rest.len(), "only pongs and closes are answered");
        plain.extend([*first, length as u8]);
        let mask = [a, b, c, d];
        plain.extend(rest[..length].iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        sent = &rest[length..];
    }
    assert!(sent.is_empty(), "half a frame was sent");
    plain
}

/// The messages that a session gives away, and whether it ended.
fn session(pieces: &[&[u8]]) -> (Vec<String>, Option<SessionError>) {
    let mut session = Session::new(None, open(), "PING");
    session.start_heartbeat(0);
    let mut texts = Vec::new();
    for piece in pieces {
        let result = session.handle_bytes(piece, 1, |message| {
            texts.push(show_incoming(message));
        });
        if let Err(end) = result {
            return (texts, Some(end));
        }
        session.on_sent(session.output().len());
    }
    (texts, None)
}

fn run(input: &[u8]) -> u64 {
    let (plan, pieces) = pieces(input);
    let close_at = if plan % 5 == 4 { usize::from(plan / 5 % 3) } else { usize::MAX };
    let (expected, got) = (alone(&pieces, close_at), engine(&pieces, close_at));
    if matches!(got.end, Some(WebSocketError::Flood(_))) {
        // A bound of the engine that the other implementation does not have.
        assert!(expected.messages.starts_with(&got.messages), "{got:?} {expected:?}");
        return behaviour(format!("{:?}", got.end));
    }
    assert_eq!(got, expected);
    if close_at == usize::MAX {
        let (texts, end) = session(&pieces);
        let expected: Vec<&String> =
            got.messages.iter().filter(|message| !message.starts_with("close ")).collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), expected);
        let closed = got.messages.iter().any(|message| message.starts_with("close "));
        assert_eq!(end.is_some(), got.end.is_some() || closed, "{end:?}");
    }
    let kinds: Vec<Option<&str>> = got.messages.iter().map(|m| m.split(' ').next()).collect();
    let length = got.messages.iter().map(|m| magnitude(m.len())).max();
    behaviour((kinds, length, format!("{:?}", got.end), magnitude(got.sent.len())))
}

fn seeds() -> Vec<Vec<u8>> {
    let frame = |first: u8, payload: &[u8]| {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(length as u8),
            length @ 126..0x1_0000 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    };
    let text = frame(0x81, b"[{\"event_type\":\"book\"}]");
    let medium = frame(0x81, "\u{20ac}".repeat(100).as_bytes());
    let large = frame(0x81, &vec![b'x'; 70_000]);
    let parts = [frame(0x01, b"in "), frame(0x89, b"ping"), frame(0x80, b"parts")].concat();
    let close = frame(0x88, b"\x03\xe8bye");
    let streams = [
        [&text[..], &medium, &frame(0x8a, b""), &text].concat(),
        [&parts[..], &text, &close, &text].concat(),
        [&frame(0x82, b"\0\x01"), &text[..], &frame(0x89, &[7; 125])].concat(),
        [&text[..], &large, &text].concat(),
        [&text[..], &frame(0x88, b"\x03\xe8b\x1b[0me")].concat(),
        frame(0x81, b"no \xff text"),
        vec![0x81, 127, 0, 0, 0, 0, 2, 0, 0, 1, b'x'],
        vec![0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x81, 0x85, 1, 2, 3, 4, b'h', b'e', b'l', b'l', b'o'],
    ];
    let plans = [0, 1, 7, 4, 200];
    streams.iter().flat_map(|s| plans.map(|plan| [&[plan], &s[..]].concat())).collect()
}

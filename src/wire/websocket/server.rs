//! WebSocket server over memory: one client's frames in, messages and answers out.
//!
//! Runs on:  serve core (pure). Owns: bytes not yet parsed or sent.
//! Bounds:   messages as [`ServerSocket::new`] is given; `SEND_BUFFER_BYTES_MAX` of answers; floods: `MaskedFrames`.
//!
//! tungstenite parses, answers pings and closes, and finds protocol violations. What the server sends by itself is
//! encoded by [`frame`], once for all clients, and is not copied into the socket: the writer of a client puts shared
//! frames and [`ServerSocket::take_output`] behind each other, both of whole frames.
use super::{Memory, put_frame, text_frame};
use crate::base::limits::{
    CONTROL_FRAMES_PER_READ_MAX, FRAGMENT_BYTES_MIN, FRAGMENTS_FREE, SEND_BUFFER_BYTES_MAX,
};
use crate::base::text::one_line;
use crate::wire::http::USER_AGENT;
use std::io::ErrorKind;
use std::rc::Rc;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// Longest reason of a close frame: a control frame has 125 bytes, the code two of them (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// The response that accepts an upgrade with this `Sec-WebSocket-Key`. No extension and no subprotocol is chosen.
pub fn accept(key: &str) -> String {
    accept_with(key, None)
}

/// [`accept`] with the chosen subprotocol.
pub fn accept_with(key: &str, subprotocol: Option<&str>) -> String {
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let subprotocol =
        subprotocol.map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nServer: {USER_AGENT}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
    )
}

/// One text frame, to be shared by clients.
pub fn frame(text: &str) -> Rc<[u8]> {
    text_frame(text.as_bytes()).into()
}

/// The texts of whole frames that [`frame`] has made, one behind the other; ends at anything else.
#[derive(Clone, Debug)]
pub struct FrameTexts<'a>(&'a [u8]);

impl<'a> FrameTexts<'a> {
    /// The texts of these frames.
    pub const fn new(frames: &'a [u8]) -> Self {
        Self(frames)
    }
}

impl<'a> Iterator for FrameTexts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (length, rest) = match self.0 {
            [0x81, 126, a, b, rest @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            [0x81, 127, rest @ ..] => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            [0x81, length @ 0..=125, rest @ ..] => (u64::from(*length), rest),
            _ => return None,
        };
        let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

/// Appends one frame with a whole message, text or binary.
pub fn put_message(is_text: bool, payload: &[u8], out: &mut Vec<u8>) {
    put_frame(if is_text { 0x81 } else { 0x82 }, payload, out);
}

/// One close frame. The reason is cut after 123 bytes.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = cut_reason(reason);
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

pub(super) fn cut_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

/// One complete message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// The client closes, with its code, 1005 if there was none, and its reason. The answer is in the output.
    Close(u16, &'a str),
    /// An answer to a ping, or an unsolicited one.
    Pong,
}

/// Why a client's WebSocket has ended. *Send the output, then close the connection.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// The client broke the protocol; a close frame with this code is in the output.
    #[error("the client broke the WebSocket protocol: {text}")]
    Protocol {
        /// Close code: 1002 (protocol), 1007 (UTF-8) or 1009 (message too long).
        code: u16,
        /// What it did, on one line.
        text: String,
    },
    /// Too many frames without content; a close frame with 1008 is in the output.
    #[error("the client floods the WebSocket with {0}")]
    Flood(&'static str),
    /// The closing handshake is complete.
    #[error("the WebSocket is closed")]
    Closed,
}

/// The open WebSocket of one client, over memory.
#[derive(Debug)]
pub struct ServerSocket {
    socket: WebSocket<Memory>,
    frames: MaskedFrames,
}

impl ServerSocket {
    /// A WebSocket whose upgrade was accepted. A message of more than `message_bytes_max` bytes ends it with 1009.
    pub fn new(message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_write_buffer_size(SEND_BUFFER_BYTES_MAX)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let socket = WebSocket::from_raw_socket(Memory::default(), Role::Server, Some(config));
        Self { socket, frames: MaskedFrames::default() }
    }

    /// Handles the bytes of one read (after TLS) and delivers each message that they complete. Pongs and the answer to
    /// a close go to the output. After [`ServerSocket::close`] messages are discarded.
    ///
    /// # Errors
    /// [`ClientFault`]: *send the output, then close*. Messages before the error were delivered.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        mut on_message: impl FnMut(ClientMessage<'_>),
    ) -> Result<(), ClientFault> {
        let flood = self.frames.scan(bytes).or_else(|| {
            let is_full = self.socket.get_ref().output.len() > SEND_BUFFER_BYTES_MAX;
            is_full.then_some("pings, and does not read the pongs")
        });
        if let Some(what) = flood {
            self.refuse(CloseCode::Policy.into(), what);
            return Err(ClientFault::Flood(what));
        }
        self.socket.get_mut().feed(bytes);
        loop {
            let is_open = self.socket.can_write();
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Err(ClientFault::Closed);
                }
                Err(error) => return Err(self.on_error(&error)),
            };
            match &message {
                Message::Text(text) if is_open => on_message(ClientMessage::Text(text.as_str())),
                Message::Binary(bytes) if is_open => on_message(ClientMessage::Binary(bytes)),
                Message::Pong(_) => on_message(ClientMessage::Pong),
                Message::Close(frame) => {
                    let (code, reason) =
                        frame.as_ref().map_or((1005, ""), |f| (f.code.into(), f.reason.as_str()));
                    on_message(ClientMessage::Close(code, reason));
                }
                _ => {}
            }
        }
    }

    /// The fault of an error of tungstenite, whose close frame is queued.
    fn on_error(&mut self, error: &Error) -> ClientFault {
        let code = match error {
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
            // The client ended the stream of bytes within a frame, or sent on after its close frame.
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::ReceivedAfterClosing,
            ) => return ClientFault::Closed,
            _ => CloseCode::Protocol,
        };
        let text = one_line(&error.to_string()).into_owned();
        self.refuse(code.into(), &text);
        ClientFault::Protocol { code: code.into(), text }
    }

    /// Queues a close frame past tungstenite, which sends none after an error; unless one was sent.
    fn refuse(&mut self, code: u16, reason: &str) {
        if self.socket.can_write() {
            self.socket.get_mut().output.extend_from_slice(&close_frame(code, reason));
        }
    }

    /// Queues a close frame; the client should answer with one, then `handle_bytes` returns [`ClientFault::Closed`].
    /// The reason is cut after 123 bytes; code 1005 stands for a frame without a code.
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = (code != 1005)
            .then(|| CloseFrame { code: code.into(), reason: cut_reason(reason).into() });
        // An error means already closing or closed.
        let _ = self.socket.close(frame);
    }

    /// Queues a ping frame with this body.
    pub fn ping(&mut self, body: &'static [u8]) {
        if self.is_open() {
            // An error means already closing or closed.
            let _ = self.socket.send(Message::Ping(bytes::Bytes::from_static(body)));
        }
    }

    /// Whether frames may still be sent: no close frame was sent or received.
    pub fn is_open(&self) -> bool {
        self.socket.can_write()
    }

    /// Takes the queued answers: whole frames, which must not be put inside another frame.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.socket.get_mut().output)
    }
}

/// Follows the headers of a client's frames, so that frames without content are counted before they cost anything:
/// `CONTROL_FRAMES_PER_READ_MAX` pings, pongs and empty frames per read; `FRAGMENT_BYTES_MIN` per fragment of a message
/// beyond `FRAGMENTS_FREE`. Violations of the protocol are left to tungstenite.
#[derive(Debug, Default)]
struct MaskedFrames {
    header: [u8; 14],
    header_len: usize,
    /// Payload of the current frame that is still to come.
    left: u64,
    fragments: usize,
    fragment_bytes: u64,
}

impl MaskedFrames {
    /// Follows the bytes of one read; describes the flood, if there is one.
    fn scan(&mut self, mut bytes: &[u8]) -> Option<&'static str> {
        let mut empty_frames = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[self.header_len] = bytes[0];
            self.header_len += 1;
            bytes = &bytes[1..];
            let Some(payload) = self.payload() else { continue };
            let (is_last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
            (self.header_len, self.left) = (0, payload);
            if opcode >= 8 || payload == 0 {
                empty_frames += 1;
                if empty_frames > CONTROL_FRAMES_PER_READ_MAX {
                    return Some("control frames and empty frames");
                }
            }
            if opcode < 8 && !self.count_fragment(payload, is_last) {
                return Some("a message in too many small fragments");
            }
        }
        None
    }

    /// The length of the payload, if the header is complete.
    fn payload(&self) -> Option<u64> {
        if self.header_len < 2 {
            return None;
        }
        let short = self.header[1] & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        if self.header_len < 2 + extended + mask {
            return None;
        }
        let number = self.header[2..2 + extended].iter();
        let number = number.fold(0, |number, &byte| number << 8 | u64::from(byte));
        Some(if extended == 0 { u64::from(short) } else { number })
    }

    /// Counts a frame of a message; false if the message has too many small ones.
    const fn count_fragment(&mut self, payload: u64, is_last: bool) -> bool {
        self.fragments += 1;
        self.fragment_bytes = self.fragment_bytes.saturating_add(payload);
        let counted = self.fragments.saturating_sub(FRAGMENTS_FREE);
        let is_small = (counted * FRAGMENT_BYTES_MIN) as u64 > self.fragment_bytes;
        if is_last {
            (self.fragments, self.fragment_bytes) = (0, 0);
        }
        !is_small
    }
}

#[cfg(test)]
mod tests;

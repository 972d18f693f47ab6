//! Scanner of what a gateway sends: the answer to the upgrade, then unmasked frames.
//!
//! Runs on:  the clients' thread (pure). Shares no code with the engine's WebSocket.
use crate::base::limits::SERVE_HEAD_BYTES_MAX;

/// Something that the bytes contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The upgrade was accepted.
    Upgraded,
    /// Bytes of a frame.
    Payload(&'a [u8]),
    /// The frame with this opcode is complete.
    End(u8),
}

/// Opcode of a text frame, of a close and of a ping.
pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;

#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    upgraded: bool,
    /// The head of the answer or of a frame, as far as it has come.
    head: Vec<u8>,
    /// Bytes of the frame that have not come; `None` before its head is complete.
    left: Option<u64>,
}

impl FrameScanner {
    /// Scans received bytes.
    ///
    /// # Errors
    /// The upgrade was refused; the value is the first line of the answer.
    pub(super) fn scan(
        &mut self,
        mut bytes: &[u8],
        mut on_part: impl FnMut(Part<'_>),
    ) -> Result<(), String> {
        while !self.upgraded {
            let Some((&first, rest)) = bytes.split_first() else { return Ok(()) };
            (bytes, self.head) = (rest, std::mem::take(&mut self.head));
            self.head.push(first);
            if self.head.ends_with(b"\r\n\r\n") || self.head.len() > SERVE_HEAD_BYTES_MAX {
                if !self.head.starts_with(b"HTTP/1.1 101 ") {
                    let text = String::from_utf8_lossy(&self.head);
                    return Err(text.lines().next().unwrap_or_default().to_owned());
                }
                self.upgraded = true;
                self.head.clear();
                on_part(Part::Upgraded);
            }
        }
        while !bytes.is_empty() {
            let left = match self.left {
                Some(left) => left,
                None => {
                    self.head.push(bytes[0]);
                    bytes = &bytes[1..];
                    let Some(length) = length_of(&self.head) else { continue };
                    length
                }
            };
            let count = left.min(bytes.len() as u64);
            let (payload, rest) = bytes.split_at(count as usize);
            bytes = rest;
            if count > 0 {
                on_part(Part::Payload(payload));
            }
            self.left = Some(left - count);
            if left == count {
                on_part(Part::End(self.head[0] & 0x0f));
                self.head.clear();
                self.left = None;
            }
        }
        Ok(())
    }
}

/// Bytes of the frame with this head; `None` if the head is not complete.
fn length_of(head: &[u8]) -> Option<u64> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    match head.get(1)? & 0x7f {
        126 => head.get(2..4).map(number),
        127 => head.get(2..10).map(number),
        short => Some(u64::from(short)),
    }
}

pub(super) fn upgrade(host: std::net::SocketAddr, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A text frame of a client, masked with zeros, which leave the text as it is.
pub(super) fn client_text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x80 | TEXT];
    match text.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// The answer to a ping, without its body.
pub(super) const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

#[cfg(test)]
mod tests;

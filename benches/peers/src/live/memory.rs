//! Bytes on their way between a socket that is read elsewhere and tungstenite.

use super::CHANNEL;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use tungstenite::handshake::client::generate_key;

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// The upgrade to the market channel.
pub(super) fn upgrade_request(host: SocketAddr) -> String {
    let key = generate_key();
    format!(
        "GET {CHANNEL} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// A stream that has what was put into it.
pub(super) struct Memory {
    input: Box<[u8]>,
    read: usize,
    filled: usize,
    output: Vec<u8>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let input = vec![0; READ_BYTES].into_boxed_slice();
        Self { input, read: 0, filled: 0, output: Vec::new() }
    }

    /// Where a socket's read goes; [`Memory::filled`] then takes its length.
    pub(super) fn input_mut(&mut self) -> &mut [u8] {
        &mut self.input
    }

    /// `count` bytes were put into the input.
    pub(super) fn filled(&mut self, count: usize) {
        (self.read, self.filled) = (0, count);
    }

    /// Puts `bytes` in, at most [`READ_BYTES`]; what was there has been read.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        self.input[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// What is to be sent.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.input[self.read..self.filled];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
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

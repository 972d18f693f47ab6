//! Bytes that wait to be written to a socket of this executor.
//!
//! Runs on:  any executor (glommio). Owns: the bytes. Bounds: its user's; it takes everything.
use futures_lite::{AsyncWrite, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes not yet written, and how many of them are.
#[derive(Debug, Default)]
pub struct WriteQueue {
    bytes: Vec<u8>,
    written: usize,
}

impl WriteQueue {
    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The buffer, to append to.
    pub const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Discards what is not written.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// Bytes not yet written.
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether everything is written.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes everything. Progress is kept when the future of it is dropped.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut *stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.clear();
        Poll::Ready(Ok(()))
    }
}

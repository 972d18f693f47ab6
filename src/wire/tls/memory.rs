//! One rustls connection over memory, of a client or of a server.
//!
//! Runs on:  wherever its session runs (pure). Owns: the rustls connection.
use rustls::{ConnectionCommon, Error, IoState, Reader, SideData};
use std::io::{self, Write as _};
use std::ops::{Deref, DerefMut};

/// A [`rustls::ClientConnection`] or [`rustls::ServerConnection`] without a bound on its output: callers bound what
/// they write, and a limit would truncate a write.
#[derive(Debug)]
pub(super) struct MemoryConnection<C>(C);

impl<C, D> MemoryConnection<C>
where
    C: DerefMut + Deref<Target = ConnectionCommon<D>>,
    D: SideData + 'static,
{
    pub(super) fn new(mut connection: C) -> Self {
        connection.set_buffer_limit(None);
        Self(connection)
    }

    /// Takes at most 4 KiB from the front of `ciphertext` and returns their number: 0 after `close_notify`, whose
    /// further bytes are ignored. The plaintext must be read before the next call, also after an error of the second
    /// result: rustls holds one record and then refuses more.
    ///
    /// # Errors
    /// The first result: rustls holds unread plaintext. The second: the connection must be closed.
    pub(super) fn read(
        &mut self,
        ciphertext: &mut &[u8],
    ) -> io::Result<(usize, Result<IoState, Error>)> {
        let taken = self.0.read_tls(ciphertext)?;
        Ok((taken, self.0.process_new_packets()))
    }

    pub(super) fn plaintext(&mut self) -> Reader<'_> {
        self.0.reader()
    }

    /// Queues `bytes` for encryption; during the handshake they wait for its end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(bytes)
    }

    /// Appends all pending output to `out`.
    pub(super) fn poll_ciphertext(&mut self, out: &mut Vec<u8>) {
        while self.0.wants_write() {
            self.0.write_tls(out).expect("memory takes every write");
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub(super) fn close_notify(&mut self) {
        self.0.send_close_notify();
    }
}

impl MemoryConnection<rustls::ServerConnection> {
    pub(super) fn server_name(&self) -> Option<&str> {
        self.0.server_name()
    }
}

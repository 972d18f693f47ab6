//! One connection without its socket: TLS, WebSocket, heartbeat and silence.
//!
//! Runs on:  shards (pure; time is an argument). Owns: the protocol state of one connection.
//! Bounds:   `SEND_BUFFER_BYTES_MAX` waiting to be sent; frames as `wire::websocket` bounds them.
//!
//! After each `handle_*` or command the caller takes [`Session::output`] and sends it.
pub mod backoff;
pub mod watch;

use crate::base::limits::{
    CLOSE_TIMEOUT_NS, PING_INTERVAL_NS, SEND_BUFFER_BYTES_MAX, SILENCE_MAX_NS, UNFINISHED_BYTES_MAX,
};
use crate::wire::tls::{TlsError, TlsSession};
use crate::wire::websocket::{ClientSocket, call};
pub use crate::wire::websocket::{Incoming, Receive, WebSocketError};

/// Why a session is over. The caller closes the socket, marks the books and asks for a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The venue broke TLS.
    #[error(transparent)]
    Tls(TlsError),
    /// The venue broke the WebSocket protocol, or does not read.
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// The venue closed, with its code and reason.
    #[error("the venue closed the connection (code {code}{}{reason})", if .reason.is_empty() { "" } else { ": " })]
    ClosedByVenue {
        /// WebSocket close code; 1006 when the socket ended without one.
        code: u16,
        /// The venue's reason.
        reason: String,
    },
    /// No byte came for [`SILENCE_MAX_NS`].
    #[error("no byte for {} s", SILENCE_MAX_NS / 1_000_000_000)]
    Silent,
    /// Pings are answered and no data comes, while the venue's books move on.
    #[error("data stopped while the venue's books moved on (pings are answered)")]
    Frozen,
    /// The venue did not answer as its protocol requires; what is missing.
    #[error("{0}")]
    Unanswered(&'static str),
    /// It was to replace another connection, and the two are too far apart.
    #[error("too far from the connection that it was to replace")]
    Overrun,
    /// Its unfinished frames hold the most memory of its shard, bytes, which is more than may be held.
    #[error(
        "closed because its unfinished frames hold {} KiB and those of its shard more than {} MiB",
        .0 / 1024,
        UNFINISHED_BYTES_MAX >> 20
    )]
    FrameMemory(usize),
    /// Our own close was answered, or its time is up.
    #[error("closed as asked")]
    Finished,
}

/// What one session has seen and done. Times are monotonic nanoseconds, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCounts {
    /// Text and binary messages received.
    pub frames: u64,
    /// Bytes received from the socket.
    pub bytes: u64,
    /// Last heartbeat sent.
    pub last_ping_ns: u64,
    /// Last answer to one.
    pub last_pong_ns: u64,
    /// Last byte received.
    pub last_byte_ns: u64,
    /// Last market data.
    pub last_data_ns: u64,
    /// Reads that brought market data.
    pub data_turns: u64,
}

/// One connection without its socket.
#[derive(Debug)]
pub struct Session {
    tls: Option<TlsSession>,
    socket: ClientSocket,
    output: Vec<u8>,
    sent: usize,
    heartbeat: &'static str,
    next_ping_ns: Option<u64>,
    close_deadline_ns: Option<u64>,
    closed_by_venue: Option<(u16, String)>,
    counts: SessionCounts,
}

/// Counts messages and passes them on; keeps a close.
struct Messages<'a, R> {
    frames: &'a mut u64,
    closed_by_venue: &'a mut Option<(u16, String)>,
    receiver: &'a mut R,
}

impl<R: Receive> Receive for Messages<'_, R> {
    #[inline]
    fn on_message(&mut self, message: Incoming<'_>) {
        match message {
            Incoming::Close { code, reason } => *self.closed_by_venue = Some((code, reason)),
            message => {
                *self.frames += 1;
                self.receiver.on_message(message);
            }
        }
    }

    #[inline]
    fn announce(&mut self, payload: &[u8]) {
        self.receiver.announce(payload);
    }
}

impl Session {
    /// The text of a heartbeat.
    pub const fn heartbeat(&self) -> &'static str {
        self.heartbeat
    }

    /// Takes over a connection whose upgrade is complete. `heartbeat` is the text that the venue
    /// wants every [`PING_INTERVAL_NS`]; none is sent before [`Session::start_heartbeat`].
    pub fn new(tls: Option<TlsSession>, socket: ClientSocket, heartbeat: &'static str) -> Self {
        Self {
            tls,
            socket,
            output: Vec::new(),
            sent: 0,
            heartbeat,
            next_ping_ns: None,
            close_deadline_ns: None,
            closed_by_venue: None,
            counts: SessionCounts::default(),
        }
    }

    /// From now on heartbeats are sent and silence is an error.
    pub fn start_heartbeat(&mut self, now_ns: u64) {
        self.next_ping_ns = Some(now_ns + PING_INTERVAL_NS);
        self.counts.last_byte_ns = now_ns;
    }

    /// Takes bytes from the socket and delivers every whole message but a close, which ends the session.
    ///
    /// # Errors
    /// The session is over; messages before the error were delivered.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        deliver: impl FnMut(Incoming<'_>),
    ) -> Result<(), SessionError> {
        self.receive(bytes, now_ns, &mut call(deliver))
    }

    /// [`Session::handle_bytes`] with announcements of messages.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        receiver: &mut impl Receive,
    ) -> Result<(), SessionError> {
        self.counts.bytes += bytes.len() as u64;
        self.counts.last_byte_ns = now_ns;
        let Self { tls, socket, counts, closed_by_venue, .. } = self;
        socket.begin_read();
        let mut messages = Messages { frames: &mut counts.frames, closed_by_venue, receiver };
        let result = match tls {
            None => socket.receive(bytes, &mut messages).map_err(SessionError::WebSocket),
            Some(tls) => {
                // Frames that came with the answer to the upgrade wait without any new byte.
                let mut failed = socket.receive(&[], &mut messages);
                let fed = tls.handle_ciphertext(bytes, &mut |plain| {
                    if failed.is_ok() {
                        failed = socket.receive(plain, &mut messages);
                    }
                });
                failed.map_err(SessionError::WebSocket).and(fed.map_err(SessionError::Tls))
            }
        };
        self.collect_output();
        let ended = self.tls.as_ref().is_some_and(TlsSession::is_closed_by_server);
        match (result, self.closed_by_venue.take()) {
            (Err(SessionError::WebSocket(WebSocketError::Closed)), _) if self.is_closing() => {
                Err(SessionError::Finished)
            }
            (_, Some(_)) if self.is_closing() => Err(SessionError::Finished),
            (_, Some((code, reason))) => Err(SessionError::ClosedByVenue { code, reason }),
            // TLS `close_notify` alone: nothing will come any more, though the socket is open.
            (Ok(()), None) if ended => Err(self.handle_end()),
            // Answers to pings are queued without being asked for.
            (Ok(()), None) if self.output().len() > SEND_BUFFER_BYTES_MAX => {
                Err(SessionError::WebSocket(WebSocketError::SendBufferFull))
            }
            (result, None) => result,
        }
    }

    /// The socket ended: gives the reason for the report.
    pub fn handle_end(&self) -> SessionError {
        if self.is_closing() {
            return SessionError::Finished;
        }
        SessionError::ClosedByVenue { code: 1006, reason: "end of stream".into() }
    }

    /// Does what is due: heartbeat, silence, the deadline of a close.
    ///
    /// # Errors
    /// The session is over.
    pub fn handle_timeout(&mut self, now_ns: u64) -> Result<(), SessionError> {
        if self.close_deadline_ns.is_some_and(|deadline| now_ns >= deadline) {
            return Err(SessionError::Finished);
        }
        let Some(next_ping_ns) = self.next_ping_ns else { return Ok(()) };
        if now_ns.saturating_sub(self.counts.last_byte_ns) >= SILENCE_MAX_NS {
            return Err(SessionError::Silent);
        }
        if now_ns >= next_ping_ns && !self.is_closing() {
            self.next_ping_ns = Some(now_ns + PING_INTERVAL_NS);
            self.counts.last_ping_ns = now_ns;
            // A venue that pings by itself wants none.
            if !self.heartbeat.is_empty() {
                let heartbeat = self.heartbeat;
                self.send_text(heartbeat)?;
            }
        }
        Ok(())
    }

    /// The decoder found the answer to a heartbeat.
    pub fn on_pong(&mut self, now_ns: u64) {
        self.counts.last_pong_ns = now_ns;
    }

    /// The decoder found market data.
    pub fn on_data(&mut self, now_ns: u64) {
        self.counts.last_data_ns = now_ns;
        self.counts.data_turns += 1;
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// The venue does not read, or the session is closing.
    pub fn send_text(&mut self, text: &str) -> Result<(), SessionError> {
        if self.output().len() + text.len() > SEND_BUFFER_BYTES_MAX {
            return Err(SessionError::WebSocket(WebSocketError::SendBufferFull));
        }
        let result = self.socket.send_text(text).map_err(SessionError::WebSocket);
        self.collect_output();
        result
    }

    /// Begins the closing handshake; the session is over at the venue's answer or after
    /// [`CLOSE_TIMEOUT_NS`].
    pub fn close(&mut self, now_ns: u64) {
        if self.is_closing() {
            return;
        }
        self.close_deadline_ns = Some(now_ns + CLOSE_TIMEOUT_NS);
        self.socket.close();
        self.collect_output();
        if let Some(tls) = &mut self.tls {
            tls.close_notify();
            tls.poll_ciphertext(&mut self.output);
        }
    }

    /// True after [`Session::close`].
    pub fn is_closing(&self) -> bool {
        self.close_deadline_ns.is_some()
    }

    /// Bytes for the socket.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// `count` bytes of the output went to the socket.
    pub fn on_sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.output.len());
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        } else if self.sent > self.output.len() / 2 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Bytes that are held of frames that have begun and not ended.
    pub fn unfinished_bytes(&self) -> usize {
        self.socket.unfinished_bytes()
    }

    /// What the session has seen and done.
    pub fn counts(&self) -> &SessionCounts {
        &self.counts
    }

    /// Moves what the WebSocket wants to send through TLS into the output.
    fn collect_output(&mut self) {
        match &mut self.tls {
            None => self.output.extend_from_slice(self.socket.output()),
            Some(tls) => {
                if !self.socket.output().is_empty() {
                    // It fails only on a closed TLS session, which the next read reports.
                    let _ = tls.write_plaintext(self.socket.output());
                }
                tls.poll_ciphertext(&mut self.output);
            }
        }
        self.socket.clear_output();
    }
}

#[cfg(test)]
mod tests;

//! One local client: its requests in order, on one connection.
//!
//! Runs on:  serve core, one task a client. Owns: the socket and the bytes not yet handled.
//! Bounds:   `SERVE_HEAD_BYTES_MAX`; a timeout on everything that the client can delay; it gives way before each
//!           read and each request.
use super::answer::Answer;
use super::event::Event;
use super::request::{self, Head, HeadError, Method};
use super::{Patience, Server, route};
use crate::base::limits::{SERVE_LINGER_BYTES_MAX, SERVE_LINGER_NS};
use crate::io::{dial::within, executor::yield_now, listen::ClientStream};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes asked of the socket at once: a request is a few hundred.
const READ_BYTES: usize = 4096;

pub(super) struct Client {
    stream: ClientStream,
    /// It is a program on this host.
    is_local: bool,
    input: Vec<u8>,
}

enum Next {
    Request(Head),
    Bad(HeadError),
    /// The client left, was silent for too long, or the server stops.
    End,
}

impl Client {
    pub(super) fn new(stream: ClientStream) -> Self {
        let is_local = stream.peer_addr().is_ok_and(|address| address.ip().is_loopback());
        Self { stream, is_local, input: Vec::new() }
    }

    /// Serves until the client leaves, one of the two must close, or the server stops.
    pub(super) async fn run(mut self, server: &Server) {
        loop {
            // A client whose requests have all come already would never let another one have its turn.
            yield_now().await;
            let (head, answer) = match self.next(&server.patience, &server.stopping).await {
                Next::Request(head) => {
                    let answer = or(server.answer(&head, self.is_local), server.stopped()).await;
                    server.count(route::name(&head), answer.status);
                    (Some(head), answer)
                }
                Next::Bad(error) => {
                    let answer = route::bad_head(error);
                    server.count("malformed", answer.status);
                    (None, answer)
                }
                Next::End => return,
            };
            let keep_alive = !server.stopping.is_set()
                && head.as_ref().is_some_and(|head| head.keep_alive && !head.has_body);
            let head_only = head.is_some_and(|head| head.method == Method::Head);
            let bytes = answer.to_bytes(head_only, keep_alive);
            let sent = self.send(&bytes, server.patience.write_ns, &server.stopping).await;
            if !sent {
                return;
            }
            if !keep_alive {
                self.linger(&server.stopping).await;
                return;
            }
        }
    }

    /// Tells a client that there are too many, and closes.
    pub(super) async fn turn_away(mut self, answer: &Answer, stopping: &Event) {
        if self.send(&answer.to_bytes(false, false), SERVE_LINGER_NS, stopping).await {
            self.linger(stopping).await;
        }
    }

    async fn next(&mut self, patience: &Patience, stopping: &Event) -> Next {
        if stopping.is_set() {
            return Next::End;
        }
        if self.input.is_empty() {
            let first = within(patience.idle_ns, self.receive(stopping)).await;
            if !first.unwrap_or(false) {
                return Next::End;
            }
        }
        // A client may not hold a place by sending its head one byte at a time.
        within(patience.head_ns, self.read_head(stopping)).await.unwrap_or(Next::End)
    }

    async fn read_head(&mut self, stopping: &Event) -> Next {
        loop {
            match request::parse(&self.input) {
                Ok(Some((head, length))) => {
                    self.input.drain(..length);
                    return Next::Request(head);
                }
                Err(error) => return Next::Bad(error),
                Ok(None) => {}
            }
            if !self.receive(stopping).await {
                return Next::End;
            }
        }
    }

    /// Appends what the client sends next; false at the end.
    async fn receive(&mut self, stopping: &Event) -> bool {
        // It may always have more: others, and the timers that bound this, have their turn first.
        yield_now().await;
        let mut buffer = [0; READ_BYTES];
        let received = or(async { self.stream.read(&mut buffer).await.unwrap_or(0) }, async {
            stopping.wait().await;
            0
        })
        .await;
        self.input.extend_from_slice(&buffer[..received]);
        received > 0
    }

    async fn send(&mut self, bytes: &[u8], timeout_ns: u64, stopping: &Event) -> bool {
        let write = async { self.stream.write_all(bytes).await.is_ok() };
        let stopped = async {
            stopping.wait().await;
            false
        };
        // `or` looks at the write first, so that an answer is still sent when the server stops.
        within(timeout_ns, or(write, stopped)).await.unwrap_or(false)
    }

    /// Closes our sending side and reads the rest of the client's: closing with bytes unread would reset
    /// the connection and take the answer with it.
    async fn linger(&mut self, stopping: &Event) {
        if self.stream.close().await.is_err() {
            return;
        }
        let mut read = 0;
        let rest = async {
            while read < SERVE_LINGER_BYTES_MAX {
                self.input.clear();
                if !self.receive(stopping).await {
                    return;
                }
                read += self.input.len();
            }
        };
        let _ = within(SERVE_LINGER_NS, rest).await;
    }
}

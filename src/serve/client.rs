//! One local client: its requests in order, on one connection.
//!
//! Runs on:  serve core, one task a client. Owns: the socket and the bytes not yet handled.
//! Bounds:   `SERVE_HEAD_BYTES_MAX`; a timeout on everything that the client can delay; it gives way before each
//!           read and each request.
use super::answer::Answer;
use super::event::Event;
use super::places::{Doing, Place};
use super::request::{self, Head, HeadError, Method};
use super::{Patience, Server, route};
use crate::base::limits::{SERVE_LINGER_BYTES_MAX, SERVE_LINGER_NS};
use crate::io::{dial::within, executor::yield_now, listen::ClientStream};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use std::net::IpAddr;

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

/// What ends a client's connection from our side.
#[derive(Clone, Copy)]
struct End<'a> {
    stopping: &'a Event,
    evicted: Option<&'a Event>,
}

impl End<'_> {
    fn is_near(self) -> bool {
        self.stopping.is_set() || self.evicted.is_some_and(Event::is_set)
    }

    async fn wait(self) {
        match self.evicted {
            Some(evicted) => or(self.stopping.wait(), evicted.wait()).await,
            None => self.stopping.wait().await,
        }
    }
}

/// Whether an address is of this host; a socket that takes both protocols shows IPv4 addresses within IPv6.
fn is_this_host(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Client {
    pub(super) fn new(stream: ClientStream) -> Self {
        let is_local = stream.peer_addr().is_ok_and(|address| is_this_host(address.ip()));
        Self { stream, is_local, input: Vec::new() }
    }

    /// Serves until the client leaves, one of the two must close, its place is needed, or the server stops.
    pub(super) async fn run(mut self, server: &Server, place: &Place) {
        let end = End { stopping: &server.stopping, evicted: Some(&place.evicted) };
        loop {
            // A client whose requests have all come already would never let another one have its turn.
            yield_now().await;
            let (head, answer) = match self.next(&server.patience, end, place).await {
                Next::Request(head) => {
                    place.set(Doing::Waiting);
                    let answer = if place.reserved && !route::is_reserved(&head) {
                        server.refuse();
                        route::too_many_clients()
                    } else {
                        or(server.answer(&head, self.is_local), server.stopped()).await
                    };
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
            let keep_alive = !end.is_near()
                && !place.reserved
                && head.as_ref().is_some_and(|head| head.keep_alive && !head.has_body);
            let head_only = head.is_some_and(|head| head.method == Method::Head);
            let bytes = answer.to_bytes(head_only, keep_alive);
            place.set(Doing::Taking);
            let sent = self.send(&bytes, server.patience.write_ns, end).await;
            if !sent {
                return;
            }
            if !keep_alive {
                self.linger(end).await;
                return;
            }
        }
    }

    /// Tells a client that there are too many, and closes.
    pub(super) async fn turn_away(mut self, answer: &Answer, stopping: &Event) {
        let end = End { stopping, evicted: None };
        if self.send(&answer.to_bytes(false, false), SERVE_LINGER_NS, end).await {
            self.linger(end).await;
        }
    }

    async fn next(&mut self, patience: &Patience, end: End<'_>, place: &Place) -> Next {
        if end.is_near() {
            return Next::End;
        }
        if self.input.is_empty() {
            place.set(Doing::Idle);
            let first = within(patience.idle_ns, self.receive(end)).await;
            if !first.unwrap_or(false) {
                return Next::End;
            }
        }
        place.set(Doing::Asking);
        // A client may not hold a place by sending its head one byte at a time.
        within(patience.head_ns, self.read_head(end)).await.unwrap_or(Next::End)
    }

    async fn read_head(&mut self, end: End<'_>) -> Next {
        loop {
            match request::parse(&self.input) {
                Ok(Some((head, length))) => {
                    self.input.drain(..length);
                    return Next::Request(head);
                }
                Err(error) => return Next::Bad(error),
                Ok(None) => {}
            }
            if !self.receive(end).await {
                return Next::End;
            }
        }
    }

    /// Appends what the client sends next; false at the end.
    async fn receive(&mut self, end: End<'_>) -> bool {
        // It may always have more: others, and the timers that bound this, have their turn first.
        yield_now().await;
        let mut buffer = [0; READ_BYTES];
        // `or` looks at the socket first: a request that has come already is still answered.
        let received = or(async { self.stream.read(&mut buffer).await.unwrap_or(0) }, async {
            end.wait().await;
            0
        })
        .await;
        self.input.extend_from_slice(&buffer[..received]);
        received > 0
    }

    async fn send(&mut self, bytes: &[u8], timeout_ns: u64, end: End<'_>) -> bool {
        let write = async { self.stream.write_all(bytes).await.is_ok() };
        let stopped = async {
            end.wait().await;
            false
        };
        // `or` looks at the write first, so that an answer is still sent when the server stops.
        within(timeout_ns, or(write, stopped)).await.unwrap_or(false)
    }

    /// Closes our sending side and reads the rest of the client's: closing with bytes unread would reset
    /// the connection and take the answer with it.
    async fn linger(&mut self, end: End<'_>) {
        if self.stream.close().await.is_err() {
            return;
        }
        let mut read = 0;
        let rest = async {
            while read < SERVE_LINGER_BYTES_MAX {
                self.input.clear();
                if !self.receive(end).await {
                    return;
                }
                read += self.input.len();
            }
        };
        let _ = within(SERVE_LINGER_NS, rest).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_within_ipv6_is_this_host_too() {
        for (address, local) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_this_host(address.parse().unwrap()), local, "{address}");
        }
    }
}

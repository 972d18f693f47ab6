//! One client of the proxy: requests on one connection, one after another.
//!
//! Runs on:  the pools' core, one task per client. Owns: the socket, bytes not yet used, bytes not yet written.
//! Bounds:   `SERVE_HEAD_BYTES_MAX` of a head; `FORWARD_AHEAD_BYTES_MAX` read ahead; a timeout on a head, and on idle
//! time.
use super::super::client_limit::{Activity, ClientPermit};
use super::super::request::{self, Head, HeadError, Method, Sender};
use super::super::response::Response;
use super::super::route::bad_head;
use super::route::{self, Route};
use super::{Proxy, SERVE_HEAD_TIMEOUT_NS, SERVE_IDLE_NS};
use crate::base::limits::{
    FORWARD_AHEAD_BYTES_MAX, HTTP_SCRATCH_BYTES, SERVE_LINGER_BYTES_MAX, SERVE_LINGER_NS,
    SERVE_WRITE_TIMEOUT_NS,
};
use crate::io::dial::within;
use crate::io::executor::yield_now;
use crate::io::listen::PlainStream;
use crate::io::write_queue::WriteQueue;
use crate::pool::Pool;
use crate::wire::http::forward::request_header;
use futures_lite::future::{or, pending};
use futures_lite::{AsyncRead as _, AsyncWriteExt as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) struct Downstream {
    stream: PlainStream,
    /// Received and not yet used.
    pub(super) input: Vec<u8>,
    /// To be written.
    pub(super) output: WriteQueue,
    buffer: Box<[u8]>,
}

/// A request's head, parsed and as it came.
pub(super) struct Received {
    pub(super) head: Head,
    pub(super) bytes: Vec<u8>,
}

impl Received {
    pub(super) fn is_http10(&self) -> bool {
        let line = self.bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        line.ends_with(b"HTTP/1.0")
    }
}

enum Next {
    Request(Box<Received>),
    Bad(HeadError),
    End,
}

/// What follows a request on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Next,
    /// The end; bytes that the client still sends are read, so that no reset discards the answer.
    Linger,
    /// The end at once.
    Close,
}

/// The answer to a request for another protocol than its service's, or for a service that is down.
fn refused(pool: &Pool, is_websocket: bool) -> Option<Response> {
    if is_websocket != pool.service().kind.is_websocket() {
        return Some(route::wrong_kind(pool.service()));
    }
    pool.is_down().then(|| {
        pool.probe_soon();
        route::down(pool.name(), &pool.health())
    })
}

impl Downstream {
    pub(super) fn new(stream: PlainStream) -> Self {
        let buffer = vec![0; HTTP_SCRATCH_BYTES].into();
        Self { stream, input: Vec::new(), output: WriteQueue::default(), buffer }
    }

    /// Serves until either side closes, a timeout, an eviction or the end of the server.
    pub(super) async fn run(mut self, proxy: &Proxy, permit: &ClientPermit) {
        loop {
            // Pipelined requests would otherwise starve other clients.
            yield_now().await;
            let next = self.next(proxy, permit).await;
            permit.set(Activity::Waiting);
            let after = match next {
                Next::Request(received) => self.serve(proxy, &received).await,
                Next::Bad(error) => {
                    let answer = bad_head(error);
                    proxy.count("malformed", answer.status);
                    self.answer(&answer, false, false).await;
                    After::Linger
                }
                Next::End => return,
            };
            match after {
                After::Next if !proxy.stopping.is_set() => {}
                After::Close => return,
                After::Next | After::Linger => return self.linger().await,
            }
        }
    }

    async fn serve(&mut self, proxy: &Proxy, received: &Received) -> After {
        let head = &received.head;
        let (name, answer) = match self.own_answer(proxy, received) {
            Ok(found) => found,
            Err((name, path)) => {
                let Some(pool) = proxy.manager.pool(name) else {
                    let pools = proxy.manager.pools().iter();
                    let listed = pools.map(|pool| (pool.service(), pool.health()));
                    let answer = route::services(Some(name), listed);
                    proxy.count("unknown", 404);
                    return self.finish(received, &answer, proxy).await;
                };
                let is_websocket = head.upgrade.is_some();
                if let Some(answer) = refused(&pool, is_websocket) {
                    proxy.count(pool.name(), answer.status);
                    return self.finish(received, &answer, proxy).await;
                }
                return if is_websocket {
                    self.websocket(proxy, &pool, received, path).await
                } else {
                    self.forward(proxy, &pool, received, path).await
                };
            }
        };
        proxy.count(name, answer.status);
        self.finish(received, &answer, proxy).await
    }

    /// The answer that needs no service, with its name for the counters; otherwise the service's name and the path.
    fn own_answer<'a>(
        &self,
        proxy: &Proxy,
        received: &'a Received,
    ) -> Result<(&'static str, Response), (&'a str, &'a str)> {
        let head = &received.head;
        if let Some(host) = head.host.as_ref().filter(|host| !proxy.names.contain(host)) {
            return Ok(("refused", route::misdirected(host)));
        }
        if head.sender != Sender::Program {
            let origin = request_header(&received.bytes, "origin").unwrap_or_default();
            let host = route::origin_host(&origin);
            if !host.is_some_and(|host| proxy.names.contain(&host)) {
                return Ok(("refused", route::foreign_page()));
            }
        }
        let (name, page): (_, fn(&Proxy) -> Response) = match route::route(&head.path) {
            Route::Service { name, path } => return Err((name, path)),
            Route::Index => ("/", |proxy| {
                let pools = proxy.manager.pools().iter();
                route::services(None, pools.map(|pool| (pool.service(), pool.health())))
            }),
            Route::Stats => ("/stats", Proxy::stats),
            Route::Metrics => ("/metrics", Proxy::metrics),
        };
        Ok((name, route::own_page(head).unwrap_or_else(|| page(proxy))))
    }

    /// Sends an answer of the proxy itself to a request whose body was not read.
    pub(super) async fn finish(
        &mut self,
        received: &Received,
        answer: &Response,
        proxy: &Proxy,
    ) -> After {
        let head = &received.head;
        let keep = head.keep_alive && !head.has_body() && !proxy.stopping.is_set();
        let sent = self.answer(answer, head.method == Method::Head, keep).await;
        match (sent, keep) {
            (false, _) => After::Close,
            (true, true) => After::Next,
            (true, false) => After::Linger,
        }
    }

    /// Sends an answer; false if the client does not take it.
    async fn answer(&mut self, answer: &Response, head_only: bool, keep_alive: bool) -> bool {
        self.output.put(&answer.to_bytes(head_only, keep_alive));
        let flushed = poll_fn(|context| self.poll_flush(context));
        within(SERVE_WRITE_TIMEOUT_NS, flushed).await.unwrap_or(false)
    }

    /// Sends the "too many clients" answer and closes.
    pub(super) async fn reject(mut self, answer: &Response) {
        if self.answer(answer, false, false).await {
            self.linger().await;
        }
    }

    async fn next(&mut self, proxy: &Proxy, permit: &ClientPermit) -> Next {
        let ends = async {
            or(proxy.stopping.wait(), permit.evicted.wait()).await;
            Next::End
        };
        let head = async {
            if self.input.is_empty() {
                permit.set(Activity::Idle);
                if !within(SERVE_IDLE_NS, self.read()).await.unwrap_or(false) {
                    return Next::End;
                }
            }
            permit.set(Activity::SendingRequest);
            within(SERVE_HEAD_TIMEOUT_NS, self.read_head()).await.unwrap_or(Next::End)
        };
        // `or` polls the socket first: a request that was already received is still answered.
        or(head, ends).await
    }

    async fn read_head(&mut self) -> Next {
        loop {
            match request::parse(&self.input) {
                Ok(Some((head, length))) => {
                    let rest = self.input.split_off(length);
                    let bytes = std::mem::replace(&mut self.input, rest);
                    return Next::Request(Box::new(Received { head, bytes }));
                }
                Err(error) => return Next::Bad(error),
                Ok(None) => {}
            }
            if !self.read().await {
                return Next::End;
            }
        }
    }

    /// Reads some bytes; false at the end of the stream.
    async fn read(&mut self) -> bool {
        // A client that sends without pause must not starve other tasks and the timers that bound it.
        yield_now().await;
        poll_fn(|context| self.poll_read(context)).await
    }

    /// Reads once into `input`; false at the end of the stream. Callers yield between reads.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let read = Pin::new(&mut self.stream).poll_read(context, &mut self.buffer);
        read.map(|read| {
            let count = read.unwrap_or(0);
            self.input.extend_from_slice(&self.buffer[..count]);
            count > 0
        })
    }

    /// Writes the output; false if the client takes no more.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.output.poll_write(&mut self.stream, context).map(|result| result.is_ok())
    }

    /// Waits for the end of the client's stream. What it sends is read ahead, up to a bound.
    pub(super) async fn gone(&mut self) {
        while self.read().await {
            if self.input.len() >= FORWARD_AHEAD_BYTES_MAX {
                pending::<()>().await;
            }
        }
    }

    /// Shuts down the sending side and drains the receiving side: closing with unread bytes would send a reset,
    /// which discards the answer.
    pub(super) async fn linger(&mut self) {
        if self.stream.close().await.is_err() {
            return;
        }
        let mut read = 0;
        let rest = async {
            while read < SERVE_LINGER_BYTES_MAX {
                self.input.clear();
                if !self.read().await {
                    return;
                }
                read += self.input.len();
            }
        };
        let _ = within(SERVE_LINGER_NS, rest).await;
    }
}

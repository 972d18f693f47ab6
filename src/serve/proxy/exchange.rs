//! One HTTP request of a client over a pooled connection: body up and response down at the same time.
//!
//! Runs on:  the pools' core, in the client's task. Owns: the position in both bodies.
//! Bounds:   each direction holds one read and its framing, and reads on only when that is written; the service's
//!           request timeout for everything; `HTTP_HEAD_BYTES_MAX` of interim responses; `body_bytes_max` of a response
//!           as sent.
//!
//! A response that is cut ends the client's connection before the announced length or the last chunk.
use super::super::request::{Body, Method};
use super::client::{After, Downstream, Received};
use super::{CLIENT_GONE, Proxy, route};
use crate::base::limits::{FORWARD_AHEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX};
use crate::io::connection::{Connection, ConnectionError};
use crate::io::dial::within;
use crate::io::executor::yield_now;
use crate::pool::forward::Forward;
use crate::pool::{Guard, Pool, PoolError, Service};
use crate::wire::http::HttpError;
use crate::wire::http::chunked::{ChunkedDecoder, LAST_CHUNK, put_chunk};
use crate::wire::http::forward::{
    ForwardedRequest, ForwardedResponse, Framing, RequestTarget, forward_request, parse_response,
    put_framing,
};
use futures_lite::future::{or, pending};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;

/// Why an exchange has no complete response.
enum Cut {
    /// The client went away.
    Client,
    /// The client's body is not valid.
    Body(HttpError),
    /// The response has no length, and the client no chunks.
    NeedsHttp11,
    /// The server stops.
    Stopping,
    Service(PoolError),
}

impl<E: Into<PoolError>> From<E> for Cut {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

fn http(error: HttpError) -> Cut {
    ConnectionError::from(error).into()
}

/// A body between two connections: what is left of it.
#[derive(Debug)]
enum Rest {
    Done,
    Bytes(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl Rest {
    fn new(framing: Framing) -> Self {
        match framing {
            Framing::Empty | Framing::Length(0) => Self::Done,
            Framing::Length(bytes) => Self::Bytes(bytes),
            Framing::Chunked => Self::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Moves the body's bytes at the front of `input` to `out`, as chunks if `chunks`; returns how many there were.
    fn take(
        &mut self,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
        chunks: bool,
    ) -> Result<usize, HttpError> {
        let (used, data) = match self {
            Self::Done => return Ok(0),
            Self::Bytes(left) => {
                let there = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= there as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                (there, None)
            }
            Self::UntilClose => (input.len(), None),
            Self::Chunked(decoder) => {
                let mut data = Vec::with_capacity(input.len());
                let used = decoder.decode(input, |bytes| data.extend_from_slice(bytes))?;
                if decoder.is_done() {
                    *self = Self::Done;
                }
                (used, Some(data))
            }
        };
        let data = data.as_deref().unwrap_or(&input[..used]);
        let count = data.len();
        if chunks {
            put_chunk(data, out);
            if self.is_done() {
                out.extend_from_slice(LAST_CHUNK);
            }
        } else {
            out.extend_from_slice(data);
        }
        input.drain(..used);
        Ok(count)
    }
}

/// What has happened so far.
#[derive(Default)]
struct Progress {
    /// Bytes of the client's body were used: the request cannot be repeated.
    body_taken: Cell<bool>,
    /// The whole request was written.
    sent: Cell<bool>,
    /// Bytes of a response were received.
    answered: Cell<bool>,
    status: Cell<u16>,
    /// Its head is on its way to the client.
    begun: Cell<bool>,
    /// Whether the client's connection carries another request.
    keeps: Cell<bool>,
}

struct Exchange<'a> {
    client: RefCell<&'a mut Downstream>,
    connection: RefCell<&'a mut Connection>,
    body: &'a RefCell<Rest>,
    progress: &'a Progress,
    received: &'a Received,
    proxy: &'a Proxy,
    service: &'a Service,
    forward: &'a Forward,
}

impl Downstream {
    /// Forwards a request to its service, and the response back.
    pub(super) async fn forward(
        &mut self,
        proxy: &Proxy,
        pool: &Rc<Pool>,
        received: &Received,
        path: &str,
    ) -> After {
        let service = pool.service();
        let head = &received.head;
        let framing = match head.body {
            Body::None => Framing::Empty,
            Body::Bytes(bytes) => Framing::Length(bytes),
            Body::Chunked => Framing::Chunked,
        };
        let target = route::http_target(service, path, &head.query);
        let host = service.authority();
        let to = RequestTarget {
            path_and_query: &target,
            host: &host,
            framing,
            keep_alive: service.limits.keep_alive,
        };
        let progress = Progress::default();
        let forward = Forward::new(pool);
        let result = match forward_request(&received.bytes, to) {
            Ok(request) => {
                let body = RefCell::new(Rest::new(framing));
                let request = Outgoing { request, body, progress: &progress, received };
                self.attempts(proxy, pool, &forward, &request).await
            }
            Err(error) => Err(http(error)),
        };
        self.conclude(proxy, pool, forward, &progress, received, result).await
    }

    /// Answers a request whose exchange has ended, counts it, and says what follows.
    async fn conclude(
        &mut self,
        proxy: &Proxy,
        pool: &Rc<Pool>,
        forward: Forward,
        progress: &Progress,
        received: &Received,
        result: Result<(), Cut>,
    ) -> After {
        let name = pool.name();
        let cut = match result {
            Ok(()) => {
                forward.end(false);
                proxy.count(name, progress.status.get());
                return if progress.keeps.get() { After::Next } else { After::Linger };
            }
            Err(cut) => cut,
        };
        let answer = match cut {
            // As with the library, a request that its caller drops is not counted.
            Cut::Client => {
                proxy.count(name, CLIENT_GONE);
                return After::Close;
            }
            Cut::Stopping => route::failed(&PoolError::Stopped, name, &pool.health()),
            Cut::NeedsHttp11 => {
                forward.end(false);
                route::needs_http11()
            }
            Cut::Body(error) => route::failed(
                &ConnectionError::BadRequest(error.to_string()).into(),
                name,
                &pool.health(),
            ),
            Cut::Service(error) => {
                forward.end(true);
                route::failed(&error, name, &pool.health())
            }
        };
        proxy.count(name, answer.status);
        if progress.begun.get() {
            return After::Close;
        }
        self.output.clear();
        self.finish(received, &answer, proxy).await
    }

    async fn attempts(
        &mut self,
        proxy: &Proxy,
        pool: &Rc<Pool>,
        forward: &Forward,
        request: &Outgoing<'_>,
    ) -> Result<(), Cut> {
        let mut guard = self.leased(proxy, forward, forward.connection()).await?;
        let reused = guard.is_reused();
        let result = self.exchange(proxy, pool, forward, request, &mut guard).await;
        let progress = request.progress;
        let died =
            matches!(result, Err(Cut::Service(PoolError::Connection(ConnectionError::Broken(_)))));
        let is_clean = !progress.answered.get() && !progress.body_taken.get();
        if !(died && reused && is_clean && request.request.is_idempotent) {
            return result.map_err(|cut| count(forward, cut));
        }
        drop(guard);
        progress.sent.set(false);
        let mut guard = self.leased(proxy, forward, forward.repeat()).await?;
        let result = self.exchange(proxy, pool, forward, request, &mut guard).await;
        result.map_err(|cut| count(forward, cut))
    }

    /// Waits for a connection, unless the client goes away.
    async fn leased(
        &mut self,
        proxy: &Proxy,
        forward: &Forward,
        connection: impl Future<Output = Result<Guard, PoolError>>,
    ) -> Result<Guard, Cut> {
        let leased = async {
            match within(forward.left_ns(), connection).await {
                Some(result) => result.map_err(Cut::Service),
                None => Err(Cut::Service(forward.timed_out())),
            }
        };
        let gone = async {
            self.gone().await;
            Err(Cut::Client)
        };
        or(leased, or(gone, stopping(proxy))).await
    }

    async fn exchange(
        &mut self,
        proxy: &Proxy,
        pool: &Rc<Pool>,
        forward: &Forward,
        request: &Outgoing<'_>,
        guard: &mut Guard,
    ) -> Result<(), Cut> {
        let connection = guard.begin_exchange()?;
        let exchange = Exchange {
            client: RefCell::new(self),
            connection: RefCell::new(connection),
            body: &request.body,
            progress: request.progress,
            received: request.received,
            proxy,
            service: pool.service(),
            forward,
        };
        let up = async { Err(exchange.upload(&request.request.bytes).await) };
        let both = or(or(up, exchange.download()), stopping(proxy));
        let keep_alive = match within(forward.left_ns(), both).await {
            Some(result) => result?,
            None => {
                let after_ns = pool.service().limits.request_timeout_ns;
                return Err(PoolError::timeout("waiting for the response", after_ns).into());
            }
        };
        guard.end_exchange(keep_alive && request.progress.sent.get());
        Ok(())
    }
}

/// A request on its way.
struct Outgoing<'a> {
    request: ForwardedRequest,
    body: RefCell<Rest>,
    progress: &'a Progress,
    received: &'a Received,
}

async fn stopping<T>(proxy: &Proxy) -> Result<T, Cut> {
    proxy.ending.wait().await;
    Err(Cut::Stopping)
}

fn count(forward: &Forward, cut: Cut) -> Cut {
    match cut {
        Cut::Service(error) => Cut::Service(forward.failed(error)),
        other => other,
    }
}

impl Exchange<'_> {
    /// Sends the request; then waits for the end of the client. Ends only with a reason to cut.
    async fn upload(&self, head: &[u8]) -> Cut {
        // A service that takes no more may still have answered: the response says why.
        let takes = self.connection.borrow_mut().queue(head).is_ok() && self.flush_up().await;
        if takes {
            match self.upload_body().await {
                Ok(sent) => self.progress.sent.set(sent),
                Err(cut) => return cut,
            }
        }
        loop {
            yield_now().await;
            if !self.read_client().await {
                return Cut::Client;
            }
            if self.client.borrow().input.len() >= FORWARD_AHEAD_BYTES_MAX {
                pending::<()>().await;
            }
        }
    }

    /// Whether the whole body was sent; false if the service takes no more.
    async fn upload_body(&self) -> Result<bool, Cut> {
        let mut part = Vec::new();
        while !self.body.borrow().is_done() {
            let moved = {
                let (mut client, mut body) = (self.client.borrow_mut(), self.body.borrow_mut());
                let chunks = matches!(*body, Rest::Chunked(_));
                let before = client.input.len();
                body.take(&mut client.input, &mut part, chunks).map_err(Cut::Body)?;
                before - client.input.len()
            };
            if moved > 0 {
                self.progress.body_taken.set(true);
                let queued = self.connection.borrow_mut().queue(&part);
                part.clear();
                if queued.is_err() || !self.flush_up().await {
                    return Ok(false);
                }
                continue;
            }
            yield_now().await;
            if !self.read_client().await {
                return Err(Cut::Client);
            }
        }
        Ok(true)
    }

    async fn read_client(&self) -> bool {
        poll_fn(|context| self.client.borrow_mut().poll_read(context)).await
    }

    /// Writes what is queued for the service; false if that fails.
    async fn flush_up(&self) -> bool {
        poll_fn(|context| self.connection.borrow_mut().poll_send(context)).await.is_ok()
    }

    async fn flush_down(&self) -> Result<(), Cut> {
        let flushed = poll_fn(|context| self.client.borrow_mut().poll_flush(context));
        if flushed.await { Ok(()) } else { Err(Cut::Client) }
    }

    /// Appends what the service sends to `into`; false at the end of its stream.
    async fn receive(&self, into: &mut Vec<u8>) -> Result<bool, Cut> {
        yield_now().await;
        let is_open = poll_fn(|context| {
            let mut connection = self.connection.borrow_mut();
            let received = connection.poll_receive(context);
            // What TLS answers; the upload writes the rest.
            let _ = connection.poll_send(context);
            received
        });
        let is_open = is_open.await?;
        if is_open {
            let connection = self.connection.borrow();
            into.extend_from_slice(connection.received());
        }
        let any = !into.is_empty() || self.progress.answered.get();
        self.progress.answered.set(any);
        Ok(is_open)
    }

    /// Receives the response and sends it to the client; whether the service's connection can be used again.
    async fn download(&self) -> Result<bool, Cut> {
        let mut input = Vec::new();
        let head = self.response_head(&mut input).await?;
        if let (429 | 503, Some(after)) = (head.status, head.retry_after) {
            self.forward.pause(after);
        }
        let chunks = self.put_head(&head)?;
        let mut rest = Rest::new(head.framing);
        let limit = self.service.limits.body_bytes_max;
        let mut taken = 0;
        loop {
            {
                let mut client = self.client.borrow_mut();
                let took = rest.take(&mut input, client.output.bytes(), chunks).map_err(http)?;
                taken += took;
            }
            if taken > limit {
                return Err(http(HttpError::BodyTooLarge { bytes_max: limit }));
            }
            self.progress.begun.set(true);
            self.flush_down().await?;
            if rest.is_done() {
                // Bytes behind the response belong to nobody.
                return Ok(head.keep_alive && input.is_empty());
            }
            if !self.receive(&mut input).await? {
                let is_end = matches!(rest, Rest::UntilClose);
                if !is_end || !self.connection.borrow().is_end_genuine() {
                    return Err(http(HttpError::Truncated));
                }
                if chunks {
                    self.client.borrow_mut().output.put(LAST_CHUNK);
                    self.flush_down().await?;
                }
                return Ok(false);
            }
        }
    }

    /// The final head; interim ones are sent to the client.
    async fn response_head(&self, input: &mut Vec<u8>) -> Result<ForwardedResponse, Cut> {
        let to_head = self.received.head.method == Method::Head;
        let mut interim_bytes = 0;
        loop {
            let locate = |location: &str| route::locate(self.service, location);
            let Some((head, used)) = parse_response(input, to_head, locate).map_err(http)? else {
                if !self.receive(input).await? {
                    let answered = self.progress.answered.get();
                    return Err(http(match answered {
                        true => HttpError::Truncated,
                        false => HttpError::ClosedBeforeResponse,
                    }));
                }
                continue;
            };
            input.drain(..used);
            if head.status >= 200 {
                return Ok(head);
            }
            interim_bytes += used;
            if interim_bytes > HTTP_HEAD_BYTES_MAX {
                return Err(http(HttpError::HeadTooLarge));
            }
            if head.status == 101 {
                let what = "it switches protocols, which was not asked for";
                return Err(http(HttpError::Malformed(what.to_owned())));
            }
            if !self.received.is_http10() {
                self.client.borrow_mut().output.put(&[&head.bytes[..], b"\r\n"].concat());
                self.flush_down().await?;
            }
        }
    }

    /// Queues the head for the client; whether the body is sent as chunks.
    fn put_head(&self, head: &ForwardedResponse) -> Result<bool, Cut> {
        let request = &self.received.head;
        let limit = self.service.limits.body_bytes_max;
        if let Framing::Length(bytes) = head.framing
            && bytes > limit as u64
        {
            return Err(http(HttpError::BodyTooLarge { bytes_max: limit }));
        }
        let chunks = matches!(head.framing, Framing::Chunked | Framing::UntilClose);
        if chunks && self.received.is_http10() {
            return Err(Cut::NeedsHttp11);
        }
        let keeps = request.keep_alive && self.progress.sent.get() && !self.proxy.stopping.is_set();
        self.progress.keeps.set(keeps);
        self.progress.status.set(head.status);
        let mut client = self.client.borrow_mut();
        let out = client.output.bytes();
        out.extend_from_slice(&head.bytes);
        put_framing(if chunks { Framing::Chunked } else { head.framing }, out);
        let connection = if keeps { "keep-alive" } else { "close" };
        out.extend_from_slice(format!("Connection: {connection}\r\n\r\n").as_bytes());
        Ok(chunks)
    }
}

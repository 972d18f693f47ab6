//! The local HTTP server: health, statistics, metrics and books.
//!
//! Runs on:  serve core (glommio), and one plain thread for `accept`.
//! Owns:     its ends of the links to the control core and the shards, and its clients.
//! Bounds:   `SERVE_CLIENTS_MAX` clients, fewer if file descriptors are scarce; every wait has a timeout.
//!
//! It never reads the state of another core: it sends a query over a ring. If a core does not answer in time, the
//! client receives 503 and the core is not affected.
mod client;
pub mod client_limit;
mod event;
pub mod exposition;
pub mod gateway;
pub mod host;
pub mod markets;
pub mod metrics;
pub mod page;
pub mod parts;
pub mod proxy;
mod query;
mod recorded;
pub mod replays;
pub mod request;
pub mod response;
pub mod route;
mod search;
mod step;

pub use crate::io::listen::{BindError, Listener};
pub use query::{ServeLinks, Wake};

use crate::base::limits::{
    GATEWAY_LATENCY_NS, SERVE_ACCEPT_LOG_NS, SERVE_ANSWER_TIMEOUT_NS, SERVE_HEAD_TIMEOUT_NS,
    SERVE_IDLE_NS, SERVE_STOP_POLL_NS, SERVE_TURNED_AWAY_MAX, SERVE_WRITE_TIMEOUT_NS,
};
use crate::base::time::MILLISECOND_NS;
use crate::counter::report::ExchangeReport;
use crate::gateway::{self as gateway_protocol, hosts, rest, signature::SignedRequest};
use crate::io::authority::{Authority, Names, ServeName};
use crate::io::clock::HostClock;
use crate::io::executor::{sleep, spawn, yield_now};
use crate::io::listen::{ClientStream, descriptor_limit};
use crate::market::info::ExchangeStatus;
use client::Client;
use client_limit::{Bounds, ClientLimit};
use event::Event;
use exposition::ServeReport;
use futures_lite::future::or;
use gateway::Gateway;
use hdrhistogram::Histogram;
use host::HostVerdict;
use query::Queries;
use request::{BodyError, Head};
use response::Response;
use route::{NoAnswer, Plan};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Timeouts in nanoseconds; defaults from `base::limits`.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Idle time between two requests.
    pub idle_ns: u64,
    /// From the first to the last byte of a request's head.
    pub head_ns: u64,
    /// Time to send an answer.
    pub write_ns: u64,
    /// Time for another core to answer.
    pub answer_ns: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle_ns: SERVE_IDLE_NS,
            head_ns: SERVE_HEAD_TIMEOUT_NS,
            write_ns: SERVE_WRITE_TIMEOUT_NS,
            answer_ns: SERVE_ANSWER_TIMEOUT_NS,
        }
    }
}

/// Binds the address for local clients. Called before anything else starts, so that an error is immediate and the
/// port is known if 0 was given.
///
/// # Errors
/// [`BindError`]: the user chooses another address.
pub fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    Listener::bind(address)
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Health, statistics, metrics and books of the engine.
    Engine,
    /// Books in the protocol of a venue.
    Gateway(crate::gateway::Site),
}

/// A listener and its clients.
struct Door {
    listener: Listener,
    site: Site,
    names: Names,
    limit: Rc<ClientLimit>,
}

/// The server.
pub struct Server {
    doors: Vec<Door>,
    gateway: Option<Rc<Gateway>>,
    queries: Queries,
    timeouts: Timeouts,
    stopping: Event,
    clock: RefCell<HostClock>,
    accept_errors: RefCell<AcceptErrors>,
    rejecting: Cell<usize>,
    tasks: Cell<usize>,
    counts: RefCell<ServeReport>,
    /// Of `/ws-replay`.
    sessions: step::Sessions,
    host: HostVerdict,
}

impl Server {
    /// A server on bound listeners that accepts `names` as `Host`; idle until [`Server::run`].
    pub fn new(
        links: ServeLinks,
        listeners: Vec<(Listener, Site)>,
        names: &[ServeName],
    ) -> Rc<Self> {
        let bounds = Bounds::for_descriptors(descriptor_limit());
        Self::with_limits(links, listeners, names, Timeouts::default(), bounds)
    }

    /// As [`Server::new`] with other timeouts and bounds.
    pub fn with_limits(
        mut links: ServeLinks,
        listeners: Vec<(Listener, Site)>,
        names: &[ServeName],
        timeouts: Timeouts,
        bounds: Bounds,
    ) -> Rc<Self> {
        let doors = listeners.into_iter().map(|(listener, site)| Door {
            names: Names::new(listener.address(), names.to_vec()),
            limit: ClientLimit::new(match site {
                Site::Engine => bounds,
                Site::Gateway(_) => Bounds::of_gateway(descriptor_limit()),
            }),
            listener,
            site,
        });
        Rc::new(Self {
            doors: doors.collect(),
            host: HostVerdict::new(links.host.take()),
            gateway: links.gateway.take().map(|links| Rc::new(Gateway::new(links))),
            queries: Queries::new(links),
            timeouts,
            stopping: Event::default(),
            clock: RefCell::new(HostClock::new()),
            accept_errors: RefCell::default(),
            rejecting: Cell::new(0),
            tasks: Cell::new(0),
            counts: RefCell::default(),
            sessions: step::Sessions::default(),
        })
    }

    /// Serves on the current executor until `stop` is true; then accepts no more clients and ends every task
    /// within about 200 ms.
    pub async fn run(self: Rc<Self>, stop: Arc<AtomicBool>) {
        self.spawn(|server| async move { server.queries.pump(&server.stopping).await });
        self.spawn(|server| async move { server.watch(&stop).await });
        if self.gateway.is_some() {
            self.spawn(|server| async move {
                if let Some(gateway) = &server.gateway {
                    gateway.pump(&server.stopping).await;
                }
            });
            self.spawn(|server| async move { server.follow_tokens().await });
            self.spawn(|server| async move { server.send_latencies().await });
        }
        for place in 0..self.doors.len() {
            self.spawn(|server| async move { server.accept(place).await });
        }
        self.stopping.wait().await;
        // `stopping` has woken every task; each ends by itself.
        while self.tasks.get() > 0 {
            sleep(SERVE_STOP_POLL_NS / 10).await;
        }
    }

    /// Starts a task that [`Server::run`] waits for.
    fn spawn<F: Future<Output = ()> + 'static>(self: &Rc<Self>, make: impl FnOnce(Rc<Self>) -> F) {
        let server = Rc::clone(self);
        let task = make(Rc::clone(self));
        self.tasks.set(self.tasks.get() + 1);
        spawn(async move {
            task.await;
            server.tasks.set(server.tasks.get() - 1);
        });
    }

    async fn watch(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            sleep(SERVE_STOP_POLL_NS).await;
        }
        self.stopping.set();
    }

    async fn send_latencies(&self) {
        let Some(gateway) = &self.gateway else { return };
        let mut unsent = None;
        while !self.stopping.is_set() {
            or(sleep(GATEWAY_LATENCY_NS), self.stopping.wait()).await;
            let mut values: Option<Box<Histogram<u64>>> = unsent.take();
            match (&mut values, gateway.take_latency()) {
                (Some(values), Some(new)) => {
                    values.add(new).expect("all histograms have the same bounds");
                }
                (None, new) => values = new,
                (Some(_), None) => {}
            }
            unsent = values.and_then(|values| self.queries.send_latency(values).err());
        }
    }

    /// Has the markets followed that clients of the gateway ask for.
    async fn follow_tokens(&self) {
        let Some(gateway) = &self.gateway else { return };
        while let Some(token) = gateway.next_to_follow(&self.stopping).await {
            // If the control core does not answer, the client's book stays awaited; the refusal is counted.
            let _ = self.queries.follow(token, self.timeouts.answer_ns).await;
        }
    }

    /// Accepts the clients of one listener until the server stops.
    async fn accept(self: &Rc<Self>, place: usize) {
        let door = &self.doors[place];
        while !self.stopping.is_set() {
            let next = or(async { Some(door.listener.accept().await) }, async {
                self.stopping.wait().await;
                None
            });
            match next.await {
                Some(Ok(stream)) => {
                    self.on_client(stream, place);
                    // A stream of new clients must not starve the others.
                    yield_now().await;
                }
                Some(Err(error)) => self.on_accept_error(&error, door),
                None => {}
            }
        }
    }

    fn on_client(self: &Rc<Self>, stream: ClientStream, place: usize) {
        let client = Client::new(stream);
        let door = &self.doors[place];
        let (permit, evicted) = door.limit.acquire();
        self.counts.borrow_mut().clients_evicted += u64::from(evicted);
        if let Some(permit) = permit {
            self.spawn(
                |server| async move { client.run(&server, &server.doors[place], &permit).await },
            );
            return;
        }
        self.refuse();
        if self.rejecting.get() < SERVE_TURNED_AWAY_MAX {
            self.rejecting.set(self.rejecting.get() + 1);
            self.spawn(|server| async move {
                client.reject(&route::too_many_clients(), &server.stopping).await;
                server.rejecting.set(server.rejecting.get() - 1);
            });
        }
    }

    fn count_handshake(&self, is_complete: bool) {
        let mut counts = self.counts.borrow_mut();
        counts.tls_handshakes += u64::from(is_complete);
        counts.tls_handshakes_failed += u64::from(!is_complete);
    }

    fn refuse(&self) {
        self.counts.borrow_mut().clients_refused += 1;
    }

    /// Mostly "too many open files": the longest idle client is evicted to free its descriptor.
    fn on_accept_error(&self, error: &std::io::Error, door: &Door) {
        let evicted = door.limit.evict_any();
        {
            let mut counts = self.counts.borrow_mut();
            counts.accept_errors += 1;
            counts.clients_evicted += u64::from(evicted);
        }
        let mut clock = self.clock.borrow_mut();
        clock.align();
        if let Some(line) =
            self.accept_errors.borrow_mut().line("--serve", error, clock.now().mono_ns)
        {
            log::warn!("{line}");
        }
    }

    /// The answer to a request, after the queries it needs.
    async fn answer(&self, head: &Head, is_local: bool) -> Response {
        let answer_ns = self.timeouts.answer_ns;
        match route::plan(head, is_local) {
            Plan::Response(answer) => answer,
            Plan::Report(page) => {
                let report = self.queries.report(answer_ns).await;
                route::page(page, report, &self.report())
            }
            Plan::Markets(search) => self.search(&search).await,
            Plan::Market => self.market(head).await,
            Plan::Trades => self.trades(head),
            Plan::Prices => self.prices(head).await,
            Plan::Host => self.host.answer(self.wall_ns()).await,
            Plan::Recycle(connection) => {
                route::recycling(self.queries.recycle(connection, answer_ns).await)
            }
            Plan::Book { token, opposite } => {
                let found = self.queries.book(token, answer_ns).await;
                if matches!(found, Ok(None)) {
                    return route::awaited(self.queries.why_awaited(token, answer_ns).await);
                }
                let now_wall_ns = self.wall_ns();
                match found {
                    Ok(Some(mut image)) => {
                        if opposite {
                            image.turn_around();
                        }
                        let answer = route::book(Ok(Some(&image)), now_wall_ns);
                        self.queries.give_back(image);
                        answer
                    }
                    Ok(None) => route::book(Ok(None), now_wall_ns),
                    Err(why) => route::book(Err(why), now_wall_ns),
                }
            }
        }
    }

    /// What a request asks for: on a gateway's listener the interface of the venue's host that `Host` or the TLS
    /// handshake names, else that of the listener.
    ///
    /// # Errors
    /// The answer to a request for a host that this is not.
    fn site(&self, door: &Door, head: &Head, server_name: Option<&str>) -> Result<Site, Response> {
        if let (Site::Gateway(_), Some(gateway)) = (door.site, &self.gateway) {
            let host = head.host.as_ref().map(Authority::host);
            let named = [host.as_deref(), server_name].into_iter().flatten();
            if let Some(site) = named.into_iter().find_map(hosts::site) {
                return match gateway.serves(site) {
                    true => Ok(Site::Gateway(site)),
                    false => Err(Response::error(421, "the engine does not follow this venue")),
                };
            }
        }
        match &head.host {
            Some(host) if !door.names.contain(host) => Err(route::misdirected(host)),
            _ => Ok(door.site),
        }
    }

    /// The answer to a request for a gateway's site whose signature is wrong.
    fn refuse_signature(&self, site: gateway_protocol::Site, head: &Head) -> Option<Response> {
        let request = SignedRequest {
            site,
            method: head.method.name(),
            path: &head.path,
            is_upgrade: head.upgrade.is_some(),
            signature: head.signature.as_ref(),
        };
        let now_ms = self.wall_ns() / MILLISECOND_NS;
        self.gateway.as_ref()?.keys().check(&request, now_ms).err().map(response)
    }

    /// Recordings in place of an engine.
    fn replays(&self) -> Option<&dyn replays::Replays> {
        self.gateway.as_ref()?.replays()
    }

    async fn gateway_answer(
        &self,
        site: gateway_protocol::Site,
        head: &Head,
        body: Result<Vec<u8>, BodyError>,
    ) -> Response {
        let body = match body {
            Ok(body) => body,
            Err(error) => return route::bad_body(error),
        };
        match site.endpoint(&head.path, &head.query) {
            Err(gateway_protocol::Refusal::Answer(line)) => return Response::error(400, &line),
            Ok(Some(_)) | Err(_) if head.upgrade.is_none() && head.path != "/" => {
                let text = "this path is a WebSocket";
                return Response::error(426, text).with("Upgrade", "websocket");
            }
            Ok(None) if head.upgrade.is_some() => return Response::error(404, "no such WebSocket"),
            _ => {}
        }
        let method = head.method.name();
        let request = rest::Request {
            method,
            path: &head.path,
            query: &head.query,
            body: &body,
            now_wall_ns: self.wall_ns(),
        };
        let Some(gateway) = &self.gateway else { return route::not_found() };
        let plan = gateway.plan(site, &request);
        match self.fetch(gateway, plan).await {
            Ok(answer) => response(answer),
            Err(why) => route::book(Err(why), 0),
        }
    }

    /// The gateway's answer, after the queries that it needs.
    async fn fetch(&self, gateway: &Gateway, plan: rest::Plan) -> Result<rest::Answer, NoAnswer> {
        let answer_ns = self.timeouts.answer_ns;
        let mut status = None;
        if plan == rest::Plan::Status {
            status = match gateway.replays() {
                // A recorded day trades.
                Some(_) => {
                    Some(ExchangeStatus { active: true, trading: true, resumes_wall_ns: None })
                }
                None => {
                    let report = self.queries.report(answer_ns).await?;
                    report.exchange.as_ref().map(exchange_status)
                }
            };
        }
        let prices = match &plan {
            rest::Plan::Prices { requests, .. } => gateway.prices(requests).await,
            _ => None,
        };
        let mut tops = Vec::new();
        for &token in plan.top_tokens() {
            let image = self.queries.book(token, answer_ns).await?;
            tops.push(image.as_deref().map(rest::Top::new).unwrap_or_default());
            image.into_iter().for_each(|image| self.queries.give_back(image));
        }
        let mut images = Vec::new();
        for &token in plan.book_tokens() {
            images.push((token, self.queries.book(token, answer_ns).await?));
        }
        let books: Vec<_> =
            images.iter().map(|(token, image)| (*token, image.as_deref())).collect();
        let fetched = rest::Fetched { books: &books, tops: &tops, status, prices };
        let answer = gateway.answer(plan, fetched);
        drop(books);
        images.into_iter().filter_map(|(_, image)| image).for_each(|i| self.queries.give_back(i));
        Ok(answer)
    }

    fn wall_ns(&self) -> u64 {
        let mut clock = self.clock.borrow_mut();
        clock.align();
        clock.now().wall_ns
    }

    /// The answer to a request in progress when the server stops.
    async fn stopped(&self) -> Response {
        self.stopping.wait().await;
        Response::error(503, "the engine is stopping")
    }

    fn count(&self, route: &'static str, status: u16) {
        *self.counts.borrow_mut().requests.entry((route, status)).or_default() += 1;
    }

    /// The server's counters.
    fn report(&self) -> ServeReport {
        let mut report = self.counts.borrow().clone();
        report.clients = self.doors.iter().map(|door| door.limit.len() as u64).sum();
        report.gateway = self.gateway.as_ref().map(|gateway| gateway.report()).unwrap_or_default();
        (report.answers_late, report.queries_refused) = self.queries.counts();
        report
    }
}

fn response(answer: rest::Answer) -> Response {
    let allowed = answer.allowed.map(|methods| ("Allow", methods.to_owned()));
    Response {
        status: answer.status,
        content_type: answer.content_type,
        headers: allowed.into_iter().collect(),
        body: answer.body.into_bytes(),
    }
}

fn exchange_status(report: &ExchangeReport) -> ExchangeStatus {
    let ExchangeReport { active, trading, resumes_wall_ns, .. } = *report;
    let resumes_wall_ns = (resumes_wall_ns > 0).then_some(resumes_wall_ns);
    ExchangeStatus { active, trading, resumes_wall_ns }
}

/// Limits log lines of `accept` errors to one per minute.
#[derive(Debug, Default)]
struct AcceptErrors {
    logged_ns: Option<u64>,
    withheld: u64,
}

impl AcceptErrors {
    /// `flag` is that of the listener.
    fn line(&mut self, flag: &str, error: &std::io::Error, now_ns: u64) -> Option<String> {
        if self.logged_ns.is_some_and(|then| now_ns.saturating_sub(then) < SERVE_ACCEPT_LOG_NS) {
            self.withheld += 1;
            return None;
        }
        self.logged_ns = Some(now_ns);
        let more = match std::mem::take(&mut self.withheld) {
            0 => String::new(),
            count => format!(" ({count} more since the last line)"),
        };
        Some(format!(
            "{flag}: a local client cannot be accepted: {error}{more}; it waits until another leaves: raise the descriptor limit (`ulimit -n`) or use fewer clients"
        ))
    }
}

#[cfg(test)]
mod tests;

//! Pools of services for programs in any language: HTTP and WebSocket, forwarded over pooled connections.
//!
//! Runs on:  the pools' core (glommio), and one plain thread for `accept`.
//! Owns:     the pools and the clients.
//! Bounds:   as many clients as `Bounds::of_gateway`; bodies pass through buffers of one read each; each request ends
//!           by its service's request timeout.
//!
//! | file | does |
//! |---|---|
//! | [`route`] | paths, and the answers of the proxy itself: pure |
//! | `client` | a client's connection: one request after another |
//! | `exchange` | one request: body up, response down |
//! | `websocket` | one WebSocket: messages both ways |
mod client;
mod exchange;
pub mod route;
mod websocket;

use super::AcceptErrors;
use super::client_limit::{Bounds, ClientLimit};
use super::event::Event;
use super::exposition::{self, ServeReport};
use super::response::Response;
use crate::base::limits::{
    FORWARD_DRAIN_NS, POOL_STOP_POLL_NS, SERVE_HEAD_TIMEOUT_NS, SERVE_IDLE_NS, SERVE_STOP_POLL_NS,
    SERVE_TURNED_AWAY_MAX,
};
use crate::base::time::SECOND_NS;
use crate::counter::service::ServiceReport;
use crate::io::authority::{Names, ServeName};
use crate::io::clock::HostClock;
use crate::io::dial::within;
use crate::io::executor::{sleep, spawn, yield_now};
use crate::io::listen::{Listener, PlainStream, descriptor_limit};
use crate::pool::Manager;
use client::Downstream;
use futures_lite::future::or;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Status under which a request is counted whose client went away, as elsewhere.
pub const CLIENT_GONE: u16 = 499;

/// Requests by route and status; the route of a service is its name.
pub type RequestCounts = BTreeMap<(String, u16), u64>;

/// The server.
pub struct Proxy {
    listener: Listener,
    names: Names,
    limit: Rc<ClientLimit>,
    manager: Manager,
    /// No client and no request is accepted any more.
    stopping: Event,
    /// Running requests are cut.
    ending: Event,
    clock: RefCell<HostClock>,
    started_wall_ns: u64,
    accept_errors: RefCell<AcceptErrors>,
    rejecting: Cell<usize>,
    tasks: Cell<usize>,
    counts: RefCell<ServeReport>,
    requests: RefCell<RequestCounts>,
}

impl Proxy {
    /// A server on a bound listener that accepts `names` as `Host`; idle until [`Proxy::run`].
    pub fn new(manager: Manager, listener: Listener, names: &[ServeName]) -> Rc<Self> {
        let clock = HostClock::new();
        Rc::new(Self {
            names: Names::new(listener.address(), names.to_vec()),
            limit: ClientLimit::new(Bounds::of_gateway(descriptor_limit())),
            listener,
            manager,
            stopping: Event::default(),
            ending: Event::default(),
            started_wall_ns: clock.now().wall_ns,
            clock: RefCell::new(clock),
            accept_errors: RefCell::default(),
            rejecting: Cell::new(0),
            tasks: Cell::new(0),
            counts: RefCell::default(),
            requests: RefCell::default(),
        })
    }

    /// Serves on the current executor until `stop` is true. Then running requests have `FORWARD_DRAIN_NS` to end;
    /// WebSockets and idle clients are closed at once. Returns the pools' last reports.
    pub async fn run(self: Rc<Self>, stop: Arc<AtomicBool>) -> Vec<ServiceReport> {
        self.spawn(|proxy| async move { proxy.accept().await });
        while !stop.load(Ordering::Acquire) {
            sleep(SERVE_STOP_POLL_NS).await;
        }
        self.stopping.set();
        let _ = within(FORWARD_DRAIN_NS, self.tasks_ended()).await;
        self.ending.set();
        self.tasks_ended().await;
        let reports = self.manager.reports();
        self.manager.stop(SECOND_NS).await;
        reports
    }

    async fn tasks_ended(&self) {
        while self.tasks.get() > 0 {
            sleep(POOL_STOP_POLL_NS).await;
        }
    }

    /// Starts a task that [`Proxy::run`] waits for.
    fn spawn<F: Future<Output = ()> + 'static>(self: &Rc<Self>, make: impl FnOnce(Rc<Self>) -> F) {
        let proxy = Rc::clone(self);
        let task = make(Rc::clone(self));
        self.tasks.set(self.tasks.get() + 1);
        spawn(async move {
            task.await;
            proxy.tasks.set(proxy.tasks.get() - 1);
        });
    }

    async fn accept(self: &Rc<Self>) {
        while !self.stopping.is_set() {
            let next = or(async { Some(self.listener.accept_plain().await) }, async {
                self.stopping.wait().await;
                None
            });
            match next.await {
                Some(Ok(stream)) => {
                    self.on_client(stream);
                    // A stream of new clients must not starve the others.
                    yield_now().await;
                }
                Some(Err(error)) => self.on_accept_error(&error),
                None => {}
            }
        }
    }

    fn on_client(self: &Rc<Self>, stream: PlainStream) {
        let client = Downstream::new(stream);
        let (permit, evicted) = self.limit.acquire();
        self.counts.borrow_mut().clients_evicted += u64::from(evicted);
        if let Some(permit) = permit {
            self.spawn(|proxy| async move { client.run(&proxy, &permit).await });
            return;
        }
        self.counts.borrow_mut().clients_refused += 1;
        if self.rejecting.get() < SERVE_TURNED_AWAY_MAX {
            self.rejecting.set(self.rejecting.get() + 1);
            self.spawn(|proxy| async move {
                client.reject(&super::route::too_many_clients()).await;
                proxy.rejecting.set(proxy.rejecting.get() - 1);
            });
        }
    }

    fn on_accept_error(&self, error: &std::io::Error) {
        let evicted = self.limit.evict_any();
        let mut counts = self.counts.borrow_mut();
        counts.accept_errors += 1;
        counts.clients_evicted += u64::from(evicted);
        let now_ns = self.clock.borrow().now().mono_ns;
        if let Some(line) = self.accept_errors.borrow_mut().line("--listen", error, now_ns) {
            log::warn!("{line}");
        }
    }

    fn count(&self, route: &str, status: u16) {
        let mut requests = self.requests.borrow_mut();
        // A known route is found without a copy of its name only by a scan; there are few.
        let known = requests.iter_mut().find(|((name, code), _)| name == route && *code == status);
        match known {
            Some((_, count)) => *count += 1,
            None => *requests.entry((route.to_owned(), status)).or_default() += 1,
        }
    }

    fn wall_ns(&self) -> u64 {
        let mut clock = self.clock.borrow_mut();
        clock.align();
        clock.now().wall_ns
    }

    fn serve_report(&self) -> ServeReport {
        let mut report = self.counts.borrow().clone();
        report.clients = self.limit.len() as u64;
        report
    }

    fn stats(&self) -> Response {
        let report = self.serve_report();
        let requests = self.requests.borrow();
        let requests = requests.iter().map(|((route, status), count)| RouteCount {
            route,
            status: *status,
            count: *count,
        });
        let stats = Stats {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.wall_ns().saturating_sub(self.started_wall_ns) / SECOND_NS,
            clients: report.clients,
            clients_refused: report.clients_refused,
            clients_evicted: report.clients_evicted,
            accept_errors: report.accept_errors,
            requests: requests.collect(),
            services: self.manager.reports(),
        };
        Response::of(200, &stats)
    }

    fn metrics(&self) -> Response {
        let services = self.manager.reports();
        let requests = self.requests.borrow().clone();
        let text =
            exposition::encode_pools(services, self.serve_report(), requests, self.wall_ns());
        Response {
            status: 200,
            content_type: exposition::CONTENT_TYPE,
            headers: Vec::new(),
            body: text.into_bytes(),
        }
    }
}

#[derive(Serialize)]
struct Stats<'a> {
    version: &'static str,
    uptime_s: u64,
    clients: u64,
    clients_refused: u64,
    clients_evicted: u64,
    accept_errors: u64,
    requests: Vec<RouteCount<'a>>,
    services: Vec<ServiceReport>,
}

#[derive(Serialize)]
struct RouteCount<'a> {
    route: &'a str,
    status: u16,
    count: u64,
}

//! The local HTTP server: health, statistics, metrics and books.
//!
//! Runs on:  serve core (glommio), and one plain thread in `accept`.
//! Owns:     its ends of the links to the control core and the shards, and its clients.
//! Bounds:   `SERVE_CLIENTS_MAX` clients, fewer where descriptors are few; every wait has a timeout.
//!
//! It never reads what another core owns: it asks, and the other core answers when it can. A core
//! that does not answer costs 503 here and nothing there.
pub mod answer;
pub mod catalogue;
mod client;
mod event;
mod inquiry;
pub mod metrics;
pub mod places;
pub mod request;
pub mod route;

pub use crate::io::listen::{BindError, Listener};
pub use inquiry::{ServeLinks, Wake};

use crate::base::limits::{
    SERVE_ACCEPT_LOG_NS, SERVE_ANSWER_TIMEOUT_NS, SERVE_HEAD_TIMEOUT_NS, SERVE_IDLE_NS,
    SERVE_STOP_POLL_NS, SERVE_TURNED_AWAY_MAX, SERVE_WRITE_TIMEOUT_NS,
};
use crate::io::authority::{Names, ServeName};
use crate::io::clock::HostClock;
use crate::io::executor::{sleep, spawn, yield_now};
use crate::io::listen::{ClientStream, descriptor_limit};
use answer::Answer;
use client::Client;
use event::Event;
use futures_lite::future::or;
use inquiry::Inquiries;
use metrics::ServeReport;
use places::{Bounds, Places};
use request::Head;
use route::Plan;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long the server waits for whom; the default is `base::limits`. Nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A client between two requests.
    pub idle_ns: u64,
    /// A client from the first to the last byte of a request's head.
    pub head_ns: u64,
    /// A client that takes an answer.
    pub write_ns: u64,
    /// Another core's answer.
    pub answer_ns: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle_ns: SERVE_IDLE_NS,
            head_ns: SERVE_HEAD_TIMEOUT_NS,
            write_ns: SERVE_WRITE_TIMEOUT_NS,
            answer_ns: SERVE_ANSWER_TIMEOUT_NS,
        }
    }
}

/// Binds the address for local clients: first of all, so that the error is immediate and the port
/// is known where 0 was asked for.
///
/// # Errors
/// [`BindError`]: *the user must choose another address*.
pub fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    Listener::bind(address)
}

/// The server.
pub struct Server {
    listener: Listener,
    inquiries: Inquiries,
    patience: Patience,
    stopping: Event,
    clock: RefCell<HostClock>,
    names: Names,
    places: Rc<Places>,
    accept_errors: RefCell<AcceptErrors>,
    turned_away: Cell<usize>,
    tasks: Cell<usize>,
    counts: RefCell<ServeReport>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// A server on a bound listener, addressed as `names` too; nothing happens before [`Server::run`].
    #[must_use]
    pub fn new(links: ServeLinks, listener: Listener, names: Vec<ServeName>) -> Rc<Self> {
        let bounds = Bounds::for_descriptors(descriptor_limit());
        Self::with_limits(links, listener, names, Patience::default(), bounds)
    }

    /// The same with other timeouts and bounds.
    #[must_use]
    pub fn with_limits(
        links: ServeLinks,
        listener: Listener,
        names: Vec<ServeName>,
        patience: Patience,
        bounds: Bounds,
    ) -> Rc<Self> {
        let names = Names::new(listener.address(), names);
        Rc::new(Self {
            listener,
            inquiries: Inquiries::new(links),
            patience,
            stopping: Event::default(),
            clock: RefCell::new(HostClock::new()),
            names,
            places: Places::new(bounds),
            accept_errors: RefCell::default(),
            turned_away: Cell::new(0),
            tasks: Cell::new(0),
            counts: RefCell::default(),
        })
    }

    /// Serves on the executor that runs this, until `stop` is true: then no client is accepted
    /// any more, and within about 200 ms every task of the server has ended by itself.
    pub async fn run(self: Rc<Self>, stop: Arc<AtomicBool>) {
        self.spawn(|server| async move { server.inquiries.pump(&server.stopping).await });
        self.spawn(|server| async move { server.watch(&stop).await });
        while !self.stopping.is_set() {
            let next = or(async { Some(self.listener.accept().await) }, async {
                self.stopping.wait().await;
                None
            });
            match next.await {
                Some(Ok(stream)) => {
                    self.on_client(stream);
                    // Clients that come without end leave the others their turn.
                    yield_now().await;
                }
                Some(Err(error)) => self.on_accept_error(&error),
                None => {}
            }
        }
        // They have all been woken by `stopping` and hold nothing that could keep them.
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

    fn on_client(self: &Rc<Self>, stream: ClientStream) {
        let client = Client::new(stream);
        let (place, evicted) = self.places.take();
        self.counts.borrow_mut().clients_evicted += u64::from(evicted);
        if let Some(place) = place {
            self.spawn(|server| async move { client.run(&server, &place).await });
            return;
        }
        self.refuse();
        if self.turned_away.get() < SERVE_TURNED_AWAY_MAX {
            self.turned_away.set(self.turned_away.get() + 1);
            self.spawn(|server| async move {
                client.turn_away(&route::too_many_clients(), &server.stopping).await;
                server.turned_away.set(server.turned_away.get() - 1);
            });
        }
    }

    fn refuse(&self) {
        self.counts.borrow_mut().clients_refused += 1;
    }

    /// Mostly "too many open files": the longest idle client gives its descriptor to the next one.
    fn on_accept_error(&self, error: &std::io::Error) {
        let evicted = self.places.evict_any();
        {
            let mut counts = self.counts.borrow_mut();
            counts.accept_errors += 1;
            counts.clients_evicted += u64::from(evicted);
        }
        let mut clock = self.clock.borrow_mut();
        clock.align();
        if let Some(line) = self.accept_errors.borrow_mut().line(error, clock.now().mono_ns) {
            log::warn!("{line}");
        }
    }

    /// The answer to a request, once the other cores have said what they know.
    async fn answer(&self, head: &Head, is_local: bool) -> Answer {
        if let Some(host) = head.host.as_ref().filter(|host| !self.names.contain(host)) {
            return route::misdirected(host);
        }
        let answer_ns = self.patience.answer_ns;
        match route::plan(head, is_local) {
            Plan::Answer(answer) => answer,
            Plan::Report(page) => {
                let report = self.inquiries.report(answer_ns).await;
                route::page(page, report, &self.report())
            }
            Plan::Recycle(connection) => {
                route::recycling(self.inquiries.recycle(connection, answer_ns).await)
            }
            Plan::Book { token, opposite } => {
                let found = self.inquiries.book(token, answer_ns).await;
                if matches!(found, Ok(None)) {
                    return route::awaited(self.inquiries.why_awaited(token, answer_ns).await);
                }
                let mut clock = self.clock.borrow_mut();
                clock.align();
                let now_wall_ns = clock.now().wall_ns;
                match found {
                    Ok(Some(mut image)) => {
                        if opposite {
                            image.turn_around();
                        }
                        let answer = route::book(Ok(Some(&image)), now_wall_ns);
                        self.inquiries.give_back(image);
                        answer
                    }
                    Ok(None) => route::book(Ok(None), now_wall_ns),
                    Err(why) => route::book(Err(why), now_wall_ns),
                }
            }
        }
    }

    /// What is said to a client whose request is under way when the server stops.
    async fn stopped(&self) -> Answer {
        self.stopping.wait().await;
        Answer::error(503, "the engine is stopping")
    }

    fn count(&self, route: &'static str, status: u16) {
        *self.counts.borrow_mut().requests.entry((route, status)).or_default() += 1;
    }

    /// What the server counted so far.
    fn report(&self) -> ServeReport {
        let mut report = self.counts.borrow().clone();
        report.clients = self.places.len() as u64;
        (report.answers_late, report.questions_refused) = self.inquiries.counts();
        report
    }
}

/// Errors of `accept`, one line a minute whatever their number.
#[derive(Debug, Default)]
struct AcceptErrors {
    logged_ns: Option<u64>,
    withheld: u64,
}

impl AcceptErrors {
    fn line(&mut self, error: &std::io::Error, now_ns: u64) -> Option<String> {
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
            "--serve: a local client cannot be accepted: {error}{more}; it waits until another leaves: raise the descriptor limit (`ulimit -n`) or use fewer clients"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept_are_one_line_a_minute() {
        let mut errors = AcceptErrors::default();
        let error = std::io::Error::from_raw_os_error(24);
        let lines: Vec<String> =
            (0..1200).filter_map(|i| errors.line(&error, i * SERVE_STOP_POLL_NS)).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("Too many open files") && !lines[0].contains("more since"));
        assert!(lines[1].contains("(599 more since the last line)"), "{}", lines[1]);
    }
}

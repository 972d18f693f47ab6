//! The local HTTP server: health, statistics, metrics and books.
//!
//! Runs on:  serve core (glommio), and one plain thread in `accept`.
//! Owns:     its ends of the links to the control core and the shards, and its clients.
//! Bounds:   `SERVE_CLIENTS_MAX` clients; every wait has a timeout.
//!
//! It never reads what another core owns: it asks, and the other core answers when it can. A core
//! that does not answer costs 503 here and nothing there.
pub mod answer;
pub mod catalogue;
mod client;
mod event;
mod inquiry;
pub mod metrics;
pub mod request;
pub mod route;

pub use crate::io::listen::{BindError, Listener};
pub use inquiry::{ServeLinks, Wake};

use crate::base::limits::{
    SERVE_ANSWER_TIMEOUT_NS, SERVE_CLIENTS_MAX, SERVE_HEAD_TIMEOUT_NS, SERVE_IDLE_NS,
    SERVE_STOP_POLL_NS, SERVE_TURNED_AWAY_MAX, SERVE_WRITE_TIMEOUT_NS,
};
use crate::io::clock::HostClock;
use crate::io::executor::{sleep, spawn, yield_now};
use crate::io::listen::ClientStream;
use answer::Answer;
use client::Client;
use event::Event;
use futures_lite::future::or;
use inquiry::Inquiries;
use metrics::ServeReport;
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
    clients: Cell<usize>,
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
    /// A server on a bound listener; nothing happens before [`Server::run`].
    #[must_use]
    pub fn new(links: ServeLinks, listener: Listener) -> Rc<Self> {
        Self::with_patience(links, listener, Patience::default())
    }

    /// The same with other timeouts.
    #[must_use]
    pub fn with_patience(links: ServeLinks, listener: Listener, patience: Patience) -> Rc<Self> {
        Rc::new(Self {
            listener,
            inquiries: Inquiries::new(links),
            patience,
            stopping: Event::default(),
            clock: RefCell::new(HostClock::new()),
            clients: Cell::new(0),
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
                Some(Err(error)) => {
                    log::warn!("a local client was lost: {error}");
                    sleep(SERVE_STOP_POLL_NS).await;
                }
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
        if self.clients.get() < SERVE_CLIENTS_MAX {
            self.clients.set(self.clients.get() + 1);
            self.spawn(|server| async move {
                client.run(&server).await;
                server.clients.set(server.clients.get() - 1);
            });
            return;
        }
        self.counts.borrow_mut().clients_refused += 1;
        if self.turned_away.get() < SERVE_TURNED_AWAY_MAX {
            self.turned_away.set(self.turned_away.get() + 1);
            self.spawn(|server| async move {
                client.turn_away(&route::too_many_clients(), &server.stopping).await;
                server.turned_away.set(server.turned_away.get() - 1);
            });
        }
    }

    /// The answer to a request, once the other cores have said what they know.
    async fn answer(&self, head: &Head, is_local: bool) -> Answer {
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
        report.clients = self.clients.get() as u64;
        (report.answers_late, report.questions_refused) = self.inquiries.counts();
        report
    }
}

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
pub use inquiry::{ServeLinks, Target};

use crate::base::limits::{
    SERVE_ANSWER_TIMEOUT_NS, SERVE_CLIENTS_MAX, SERVE_HEAD_TIMEOUT_NS, SERVE_IDLE_NS,
    SERVE_STOP_POLL_NS, SERVE_TURNED_AWAY_MAX, SERVE_WRITE_TIMEOUT_NS,
};
use crate::io::clock::HostClock;
use crate::io::dial::pause;
use answer::Answer;
use client::Client;
use event::Event;
use futures_lite::future::or;
use glommio::net::TcpStream;
use inquiry::Inquiries;
use metrics::ServeReport;
use request::Head;
use route::Plan;
use std::cell::{Cell, RefCell};
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

/// The server.
pub struct Server {
    listener: Listener,
    inquiries: Inquiries,
    patience: Patience,
    stopping: Event,
    clock: RefCell<HostClock>,
    clients: Cell<usize>,
    turned_away: Cell<usize>,
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
    pub fn new(links: ServeLinks, listener: Listener, patience: Patience) -> Rc<Self> {
        Rc::new(Self {
            listener,
            inquiries: Inquiries::new(links),
            patience,
            stopping: Event::default(),
            clock: RefCell::new(HostClock::new()),
            clients: Cell::new(0),
            turned_away: Cell::new(0),
            counts: RefCell::default(),
        })
    }

    /// Serves on the executor that runs this, until `stop` is true: then no client is accepted
    /// any more, and within about 200 ms every task of the server has ended by itself.
    pub async fn run(self: Rc<Self>, stop: Arc<AtomicBool>) {
        let pump = {
            let server = Rc::clone(&self);
            async move { server.inquiries.pump(&server.stopping).await }
        };
        let watch = {
            let server = Rc::clone(&self);
            async move { server.watch(&stop).await }
        };
        let pump = glommio::spawn_local(pump).detach();
        let watch = glommio::spawn_local(watch).detach();
        while !self.stopping.is_set() {
            let next = or(async { Some(self.listener.accept().await) }, async {
                self.stopping.wait().await;
                None
            });
            match next.await {
                Some(Ok(stream)) => self.on_client(stream),
                Some(Err(error)) => {
                    log::warn!("a local client was lost: {error}");
                    pause(SERVE_STOP_POLL_NS).await;
                }
                None => {}
            }
        }
        // They have all been woken by `stopping` and hold nothing that could keep them.
        while self.clients.get() + self.turned_away.get() > 0 {
            pause(SERVE_STOP_POLL_NS / 10).await;
        }
        pump.await;
        watch.await;
    }

    async fn watch(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            pause(SERVE_STOP_POLL_NS).await;
        }
        self.stopping.set();
    }

    fn on_client(self: &Rc<Self>, stream: TcpStream) {
        let server = Rc::clone(self);
        let client = Client::new(stream);
        if self.clients.get() < SERVE_CLIENTS_MAX {
            self.clients.set(self.clients.get() + 1);
            glommio::spawn_local(async move {
                client.run(&server).await;
                server.clients.set(server.clients.get() - 1);
            })
            .detach();
            return;
        }
        self.counts.borrow_mut().clients_refused += 1;
        if self.turned_away.get() < SERVE_TURNED_AWAY_MAX {
            self.turned_away.set(self.turned_away.get() + 1);
            glommio::spawn_local(async move {
                client.turn_away(&route::too_many_clients(), &server.stopping).await;
                server.turned_away.set(server.turned_away.get() - 1);
            })
            .detach();
        }
    }

    /// The answer to a request, once the other cores have said what they know.
    async fn answer(&self, head: &Head) -> Answer {
        let answer_ns = self.patience.answer_ns;
        match route::plan(head) {
            Plan::Answer(answer) => answer,
            Plan::Report(page) => {
                let report = self.inquiries.report(answer_ns).await;
                route::page(page, report, &self.report())
            }
            Plan::Book(token) => {
                let found = self.inquiries.book(token, answer_ns).await;
                let mut clock = self.clock.borrow_mut();
                clock.align();
                let now_wall_ns = clock.now().wall_ns;
                match found {
                    Ok(Some(image)) => {
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

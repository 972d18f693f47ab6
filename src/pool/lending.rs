//! The pool of one service: lends connections, opens and closes them, looks after them.
//!
//! Runs on:  one core (glommio); neither the pool nor its guards can leave it, so there are no locks.
//! Owns:     the service's connections, and who waits for them.
//! Bounds:   the service's limits; one task for each connection being opened, one probe at a time.
//!
//! What is decided is decided by [`Slots`]; this file only does it. No borrow is held while something
//! is awaited, nor while a guard or a connection is dropped.
use super::error::PoolError;
use super::line::Line;
use super::rate::Bucket;
use super::service::Service;
use super::slots::{Acquired, Action, Condition, Held, Lent, Refusal, Slots, Ticket};
use super::statistics::{Health, Occupation, ServiceReport, Statistics};
use crate::base::limits::POOL_STOP_POLL_NS;
use crate::base::time::{Clock as _, MILLISECOND_NS, Now};
use crate::io::clock::HostClock;
use crate::io::connection::{ConnectionError, Target};
use crate::io::dial::within;
use crate::io::executor::{sleep, spawn};
use crate::io::resolve::Resolver;
use crate::wire::http::{Exchange, Request};
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The pool of one service.
pub struct Pool {
    service: Service,
    base: String,
    target: Target,
    resolver: Resolver,
    clock: HostClock,
    slots: RefCell<Slots<Line, PoolError>>,
    seats: RefCell<HashMap<Ticket, Rc<Seat>>>,
    pub(super) bucket: RefCell<Bucket>,
    pub(super) statistics: RefCell<Statistics>,
    /// Why the last attempt to open a connection failed, until one succeeds.
    last_failure: RefCell<Option<String>>,
    next_probe_ns: Cell<u64>,
    probing: Cell<bool>,
    me: Weak<Self>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("service", &self.service.name).finish_non_exhaustive()
    }
}

/// Where a waiter finds what became of it.
#[derive(Default)]
struct Seat {
    outcome: Cell<Option<Result<Lent<Line>, PoolError>>>,
    waker: Cell<Option<Waker>>,
}

impl Pool {
    /// A pool without connections yet; somebody must call [`Pool::turn`] regularly, as a
    /// [`super::Manager`] does.
    #[must_use]
    pub fn new(service: Service, resolver: Resolver, tls: &Arc<ClientConfig>) -> Rc<Self> {
        let target = Target {
            host: service.host.clone(),
            port: service.port,
            tls: service.kind.is_tls().then(|| Arc::clone(tls)),
        };
        Rc::new_cyclic(|me| Self {
            base: service.url(),
            target,
            resolver,
            clock: HostClock::new(),
            slots: RefCell::new(Slots::new(service.limits.slots())),
            seats: RefCell::default(),
            bucket: RefCell::new(Bucket::new(service.rate)),
            statistics: RefCell::default(),
            last_failure: RefCell::default(),
            next_probe_ns: Cell::new(0),
            probing: Cell::new(false),
            me: Weak::clone(me),
            service,
        })
    }

    /// The service.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// The absolute URL of a path, for a request with headers of its own.
    #[must_use]
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    /// What was done since the start, and how things are.
    #[must_use]
    pub fn report(&self) -> ServiceReport {
        let counts = self.slots.borrow().counts();
        self.statistics.borrow().report(&self.service, &counts, self.occupation())
    }

    /// How full it is.
    #[must_use]
    pub fn occupation(&self) -> Occupation {
        let slots = self.slots.borrow();
        Occupation {
            in_use: slots.in_use(),
            idle: slots.idle(),
            opening: slots.opening(),
            waiting: slots.waiting(),
        }
    }

    /// How the service is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.statistics.borrow().health().clone()
    }

    /// Every connection that is lent: since when (monotonic nanoseconds) and where it was asked for.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.slots.borrow().held().copied().collect()
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// A connection, for as long as the guard lives. Waits in line for up to the service's acquire timeout;
    /// where the guard is held for too long, the caller's place is told.
    ///
    /// # Errors
    /// `AcquireTimeout`, `QueueFull`, `Stopped`; `Connection` and `WebSocket` when none can be opened.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Guard, PoolError>> + '_ {
        self.acquire_at(Location::caller(), self.service.limits.acquire_timeout_ns)
    }

    /// The same for `place`, and for up to `timeout_ns`.
    pub(super) async fn acquire_at(
        &self,
        place: &'static Location<'static>,
        timeout_ns: u64,
    ) -> Result<Guard, PoolError> {
        self.acquire_with(place, timeout_ns, false).await
    }

    /// The same for a connection that nobody had before.
    pub(super) async fn acquire_new_at(
        &self,
        place: &'static Location<'static>,
        timeout_ns: u64,
    ) -> Result<Guard, PoolError> {
        self.acquire_with(place, timeout_ns, true).await
    }

    async fn acquire_with(
        &self,
        place: &'static Location<'static>,
        timeout_ns: u64,
        new_only: bool,
    ) -> Result<Guard, PoolError> {
        let start_ns = self.clock.mono_ns();
        let result = self.lend(place, start_ns, timeout_ns, new_only).await;
        let mut statistics = self.statistics.borrow_mut();
        match &result {
            Ok(_) => statistics.on_acquired(self.clock.mono_ns() - start_ns),
            // An attempt to open that failed is counted where it failed.
            Err(PoolError::Connection(_) | PoolError::WebSocket(_)) => {}
            Err(error) => statistics.on_error(error.kind()),
        }
        drop(statistics);
        result
    }

    async fn lend(
        &self,
        place: &'static Location<'static>,
        now_ns: u64,
        timeout_ns: u64,
        new_only: bool,
    ) -> Result<Guard, PoolError> {
        let deadline_ns = now_ns.saturating_add(timeout_ns);
        let acquired = if new_only {
            self.slots.borrow_mut().acquire_new(now_ns, deadline_ns, place)
        } else {
            self.slots.borrow_mut().acquire(now_ns, deadline_ns, place, Line::is_usable)
        };
        let ticket = match acquired {
            Acquired::Ready(lent) => {
                self.act();
                return Ok(self.guard(lent));
            }
            Acquired::Refused(refusal) => return Err(self.refused(refusal, timeout_ns)),
            Acquired::Wait(ticket) => ticket,
        };
        let seat = Rc::new(Seat::default());
        self.seats.borrow_mut().insert(ticket, Rc::clone(&seat));
        let mut waiting = Waiting { pool: self, ticket, seat };
        self.act();
        let outcome = within(timeout_ns, waiting.outcome()).await;
        match outcome.or_else(|| waiting.expire()) {
            Some(Ok(lent)) => Ok(self.guard(lent)),
            Some(Err(error)) => Err(error),
            None => Err(self.refused(Refusal::Timeout, timeout_ns)),
        }
    }

    fn guard(&self, lent: Lent<Line>) -> Guard {
        Guard { pool: self.me.upgrade().expect("it is borrowed"), lent: Some(lent) }
    }

    fn refused(&self, refusal: Refusal<PoolError>, after_ns: u64) -> PoolError {
        let slots = self.slots.borrow();
        match refusal {
            Refusal::Timeout => PoolError::AcquireTimeout {
                after_ns,
                in_use: slots.in_use(),
                last: self.last_failure.borrow().clone(),
            },
            Refusal::Stopped => PoolError::Stopped,
            Refusal::QueueFull => PoolError::QueueFull { waiting: slots.waiting() },
            Refusal::OpenFailed(error) => error,
        }
    }

    /// Does what the slots want done.
    fn act(&self) {
        loop {
            // Taken in a statement of its own: what is done may come back here.
            let action = self.slots.borrow_mut().take_action();
            match action {
                None => return,
                Some(Action::Open(opening)) => {
                    if let Some(pool) = self.me.upgrade() {
                        spawn(async move { pool.open(opening).await });
                    }
                }
                Some(Action::Close(mut line, _)) => line.say_goodbye(),
                Some(Action::Serve(ticket, lent)) => self.seat(ticket, Ok(lent)),
                Some(Action::Fail(ticket, refusal)) => {
                    let after_ns = self.service.limits.acquire_timeout_ns;
                    self.seat(ticket, Err(self.refused(refusal, after_ns)));
                }
                Some(Action::Leak(held)) => {
                    let held_ms = (self.clock.mono_ns() - held.since_ns) / MILLISECOND_NS;
                    log::warn!(
                        "pool {}: a connection asked for at {} is held for {held_ms} ms",
                        self.service.name,
                        held.place
                    );
                }
            }
        }
    }

    fn seat(&self, ticket: Ticket, outcome: Result<Lent<Line>, PoolError>) {
        let seat = self.seats.borrow_mut().remove(&ticket);
        match seat {
            Some(seat) => {
                seat.outcome.set(Some(outcome));
                if let Some(waker) = seat.waker.take() {
                    waker.wake();
                }
            }
            // A waiter that is gone has told the slots; one that was served before that gives it back.
            None => {
                if let Ok(lent) = outcome {
                    self.give_back(lent, None);
                }
            }
        }
    }

    async fn open(&self, opening: super::slots::Opening) {
        let start_ns = self.clock.mono_ns();
        let stage = Cell::new("connecting");
        let after_ns = self.service.limits.connect_timeout_ns;
        let opened =
            within(after_ns, Line::open(&self.service, &self.target, &self.resolver, &stage));
        let result = match opened.await {
            Some(result) => result,
            None => Err(PoolError::timeout(stage.get(), after_ns)),
        };
        let now = self.clock.now();
        let took = result.as_ref().map(|_| now.mono_ns - start_ns);
        self.statistics.borrow_mut().on_opened(took, now);
        *self.last_failure.borrow_mut() = result.as_ref().err().map(ToString::to_string);
        let mut slots = self.slots.borrow_mut();
        match result {
            Ok(line) => slots.opened(opening, line, now.mono_ns),
            Err(error) => slots.open_failed(opening, error, now.mono_ns),
        }
        drop(slots);
        self.act();
    }

    /// Takes a connection back, in its own condition or in a worse one that the holder knows of.
    fn give_back(&self, mut lent: Lent<Line>, worse: Option<Condition>) {
        let mut condition = worse.unwrap_or_else(|| lent.connection.condition());
        // Where somebody waits it is lent again at once, so it is looked at now.
        let looked_at = self.slots.borrow().waiting() > 0;
        if condition == Condition::Reusable && looked_at && !lent.connection.is_usable() {
            condition = Condition::Broken;
        }
        if condition == Condition::Reusable && !self.service.limits.keep_alive {
            condition = Condition::Spent;
        }
        self.slots.borrow_mut().release(lent, condition, self.clock.mono_ns());
        self.act();
    }

    /// What time brings; to be called every `POOL_HOUSEKEEPING_NS` or so.
    pub fn turn(&self) {
        let now_ns = self.clock.mono_ns();
        self.slots.borrow_mut().poll(now_ns);
        self.act();
        let interval_ns = self.service.limits.health_interval_ns;
        let due = interval_ns > 0 && now_ns >= self.next_probe_ns.get() && !self.probing.get();
        // A service that wants to be left alone is not probed either.
        let wanted = self.bucket.borrow().pause_ns(now_ns) == 0;
        if due && wanted && !self.slots.borrow().is_stopping() {
            self.next_probe_ns.set(now_ns + interval_ns);
            let pool = self.me.upgrade().expect("it is borrowed");
            spawn(async move { pool.probe_idle().await });
        }
    }

    /// Probes with the connection that was idle for longest, or a new one where there is none at all. Where
    /// all are in use, they say enough about the service.
    async fn probe_idle(&self) {
        let in_use = self.slots.borrow().in_use();
        let idle = self.slots.borrow().idle();
        if in_use > 0 && idle == 0 {
            return;
        }
        self.probing.set(true);
        // Failures are in the statistics.
        let _ = self.probe(self.service.limits.probe_timeout_ns()).await;
        self.probing.set(false);
    }

    /// Asks the service whether it is there: `GET` of the probe's path, or a ping. How long the answer took,
    /// nanoseconds, on a connection that is open.
    ///
    /// # Errors
    /// `Unhealthy` for an answer of 500 and above (with a path of its own: 400 and above); and every
    /// error of [`Pool::acquire`] and [`Line`].
    pub async fn probe(&self, timeout_ns: u64) -> Result<u64, PoolError> {
        let place = Location::caller();
        let stage = Cell::new("waiting for a connection to probe with");
        let result = within(timeout_ns, async {
            let guard = match self.lend_for_probe(place) {
                Some(guard) => guard,
                None => self.acquire_at(place, timeout_ns).await?,
            };
            stage.set("waiting for the answer to a probe");
            let reused = guard.is_reused();
            match self.probe_with(guard, timeout_ns).await {
                // A kept connection may have been closed meanwhile: that says nothing about the service.
                Err(PoolError::Connection(ConnectionError::Broken(_))) if reused => {
                    let guard = self.acquire_new_at(place, timeout_ns).await?;
                    self.probe_with(guard, timeout_ns).await
                }
                result => result,
            }
        });
        let result = match result.await {
            Some(result) => result,
            None => Err(PoolError::timeout(stage.get(), timeout_ns)),
        };
        let taken = result.as_ref().copied();
        self.statistics.borrow_mut().on_probe(taken, self.clock.now());
        result
    }

    fn lend_for_probe(&self, place: &'static Location<'static>) -> Option<Guard> {
        loop {
            let lent = self.slots.borrow_mut().lend_for_probe(self.clock.mono_ns(), place)?;
            let mut guard = self.guard(lent);
            if guard.is_usable() {
                return Some(guard);
            }
            guard.discard();
        }
    }

    async fn probe_with(&self, mut guard: Guard, timeout_ns: u64) -> Result<u64, PoolError> {
        let start_ns = self.clock.mono_ns();
        if self.service.kind.is_websocket() {
            guard.ping(timeout_ns).await?;
        } else {
            let path = self.service.probe.as_deref();
            let request = Request::get(self.url(path.unwrap_or("/")));
            let mut exchange = Exchange::new(&request, self.service.limits.body_bytes_max)
                .map_err(ConnectionError::from)?;
            let status = guard.exchange(&mut exchange).await?.status;
            let healthy_below = if path.is_some() { 400 } else { 500 };
            if status >= healthy_below {
                return Err(PoolError::Unhealthy { status });
            }
        }
        Ok(self.clock.mono_ns() - start_ns)
    }

    /// Lends nothing more; idle connections are closed, lent ones when they come back.
    pub fn begin_stop(&self) {
        self.slots.borrow_mut().stop();
        self.act();
    }

    /// Waits until every connection is back, or `bound_ns` is over; those still lent then.
    pub async fn drained(&self, bound_ns: u64) -> Vec<Held> {
        let deadline_ns = self.clock.mono_ns().saturating_add(bound_ns);
        while !self.slots.borrow().is_drained() && self.clock.mono_ns() < deadline_ns {
            sleep(POOL_STOP_POLL_NS).await;
        }
        self.held()
    }
}

/// Somebody who stands in line; leaves it when dropped.
struct Waiting<'a> {
    pool: &'a Pool,
    ticket: Ticket,
    seat: Rc<Seat>,
}

impl Waiting<'_> {
    async fn outcome(&mut self) -> Result<Lent<Line>, PoolError> {
        poll_fn(|context| match self.seat.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.seat.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// The time is over; an outcome that came at the same moment counts.
    fn expire(&mut self) -> Option<Result<Lent<Line>, PoolError>> {
        self.pool.slots.borrow_mut().expire(self.ticket);
        self.seat.outcome.take()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.seats.borrow_mut().remove(&self.ticket);
        self.pool.slots.borrow_mut().cancel(self.ticket);
        // Served, and gone before it saw that: the connection goes back, nobody has touched it.
        if let Some(Ok(lent)) = self.seat.outcome.take() {
            self.pool.give_back(lent, None);
        }
    }
}

/// A connection that is ours until this is dropped.
#[must_use = "the connection goes back when this is dropped"]
pub struct Guard {
    pool: Rc<Pool>,
    /// `None` only while it is being dropped.
    lent: Option<Lent<Line>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("service", &self.pool.name()).finish_non_exhaustive()
    }
}

impl Guard {
    /// True when somebody had the connection before.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.lent.as_ref().is_some_and(Lent::is_reused)
    }

    /// Closes the connection instead of giving it back: its holder has seen something wrong with it.
    pub fn discard(mut self) {
        if let Some(lent) = self.lent.take() {
            self.pool.give_back(lent, Some(Condition::Broken));
        }
    }
}

impl Deref for Guard {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.lent.as_ref().expect("it is there until the drop").connection
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.lent.as_mut().expect("it is there until the drop").connection
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.pool.give_back(lent, None);
        }
    }
}

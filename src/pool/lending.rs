//! The pool of one service: opens, leases, probes and closes connections.
//!
//! Runs on:  one core (glommio); neither the pool nor its guards can leave it, so there are no locks.
//! Owns:     the service's connections and waiters.
//! Bounds:   the service's limits; one task per opening connection, one probe at a time.
//!
//! [`Slots`] decides; this file executes. No borrow is held across an await, nor while a guard or connection is
//! dropped.
use super::connection::PoolConnection;
use super::error::PoolError;
use super::rate::Bucket;
use super::service::Service;
use super::slots::{Acquired, Action, Condition, Held, Lease, Place, Refusal, Slots, Ticket};
use super::statistics::{Health, HealthState, Occupation, ServiceReport, Statistics};
use crate::base::limits::{POOL_DOWN_PROBE_NS, POOL_STOP_POLL_NS};
use crate::base::time::{Clock as _, MILLISECOND_NS, Now};
use crate::io::clock::HostClock;
use crate::io::connection::{ConnectionError, Target};
use crate::io::dial::within;
use crate::io::executor::{sleep, spawn};
use crate::io::resolve::Resolver;
use crate::wire::http::{Exchange, Request};
use crate::wire::websocket::Upgrade;
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
    slots: RefCell<Slots<PoolConnection, PoolError>>,
    waiters: RefCell<HashMap<Ticket, Rc<Waiter>>>,
    pub(super) bucket: RefCell<Bucket>,
    pub(super) statistics: RefCell<Statistics>,
    /// Error of the last attempt to open a connection, until one succeeds.
    last_failure: RefCell<Option<String>>,
    next_probe_ns: Cell<u64>,
    /// Before this, requests to a service that is down start no probe.
    next_down_probe_ns: Cell<u64>,
    probing: Cell<bool>,
    me: Weak<Self>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("service", &self.service.name).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Waiter {
    outcome: Cell<Option<Result<Lease<PoolConnection>, PoolError>>>,
    waker: Cell<Option<Waker>>,
}

impl Pool {
    /// A pool without connections; [`Pool::housekeep`] must be called regularly, as [`super::Manager`] does.
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
            waiters: RefCell::default(),
            bucket: RefCell::new(Bucket::new(service.rate)),
            statistics: RefCell::default(),
            last_failure: RefCell::default(),
            next_probe_ns: Cell::new(0),
            next_down_probe_ns: Cell::new(0),
            probing: Cell::new(false),
            me: Weak::clone(me),
            service,
        })
    }

    /// The service.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// The absolute URL of a path.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    /// Statistics and current state.
    pub fn report(&self) -> ServiceReport {
        let counts = self.slots.borrow().counts();
        self.statistics.borrow().report(&self.service, &counts, self.occupation())
    }

    /// Connections and waiters by state.
    pub fn occupation(&self) -> Occupation {
        let slots = self.slots.borrow();
        Occupation {
            in_use: slots.in_use(),
            idle: slots.idle(),
            opening: slots.opening(),
            waiting: slots.waiting(),
        }
    }

    /// Health of the service.
    pub fn health(&self) -> Health {
        self.statistics.borrow().health().clone()
    }

    /// All leases.
    pub fn held(&self) -> Vec<Held> {
        self.slots.borrow().held().copied().collect()
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Acquires a connection; it is returned when the guard is dropped. Waits up to the service's acquire timeout; a
    /// guard held for too long is reported with the caller's source location.
    ///
    /// # Errors
    /// `AcquireTimeout`, `QueueFull`, `Stopped`; `Connection` and `WebSocket` if none can be opened.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Guard, PoolError>> + '_ {
        self.acquire_at(Location::caller(), self.service.limits.acquire_timeout_ns)
    }

    pub(super) async fn acquire_at(
        &self,
        place: &'static Location<'static>,
        timeout_ns: u64,
    ) -> Result<Guard, PoolError> {
        self.acquire_with(place, timeout_ns, false).await
    }

    /// The same for a connection that was not leased before.
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
        let result = self.lease(place, start_ns, timeout_ns, new_only).await;
        let mut statistics = self.statistics.borrow_mut();
        match &result {
            Ok(_) => statistics.on_acquired(self.clock.mono_ns() - start_ns),
            // Failures to open are counted in `open`.
            Err(PoolError::Connection(_) | PoolError::WebSocket(_)) => {}
            Err(error) => statistics.on_error(error.kind()),
        }
        drop(statistics);
        result
    }

    async fn lease(
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
            self.slots.borrow_mut().acquire(now_ns, deadline_ns, place, PoolConnection::is_usable)
        };
        let ticket = match acquired {
            Acquired::Ready(lease) => {
                self.execute();
                return Ok(self.guard(lease));
            }
            Acquired::Refused(refusal) => return Err(self.refused(refusal, timeout_ns)),
            Acquired::Wait(ticket) => ticket,
        };
        let waiter = Rc::new(Waiter::default());
        self.waiters.borrow_mut().insert(ticket, Rc::clone(&waiter));
        let mut waiting = Waiting { pool: self, ticket, waiter };
        self.execute();
        let outcome = within(timeout_ns, waiting.outcome()).await;
        match outcome.or_else(|| waiting.expire()) {
            Some(Ok(lease)) => Ok(self.guard(lease)),
            Some(Err(error)) => Err(error),
            None => Err(self.refused(Refusal::Timeout, timeout_ns)),
        }
    }

    fn guard(&self, lease: Lease<PoolConnection>) -> Guard {
        Guard { pool: self.me.upgrade().expect("it is borrowed"), lease: Some(lease) }
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

    /// Executes the actions of the slots.
    fn execute(&self) {
        loop {
            // The borrow must end first: an action may call `act` again.
            let action = self.slots.borrow_mut().take_action();
            match action {
                None => return,
                Some(Action::Open(opening)) => {
                    if let Some(pool) = self.me.upgrade() {
                        spawn(async move { pool.open(opening).await });
                    }
                }
                Some(Action::Close(mut connection, _)) => connection.close_gracefully(),
                Some(Action::Serve(ticket, lease)) => self.resolve(ticket, Ok(lease)),
                Some(Action::Fail(ticket, refusal)) => {
                    let after_ns = self.service.limits.acquire_timeout_ns;
                    self.resolve(ticket, Err(self.refused(refusal, after_ns)));
                }
                Some(Action::Leak(held)) => {
                    let held_ms = (self.clock.mono_ns() - held.since_ns) / MILLISECOND_NS;
                    log::warn!(
                        "pool {}: a connection acquired at {} has been leased for {held_ms} ms",
                        self.service.name,
                        held.place
                    );
                }
            }
        }
    }

    fn resolve(&self, ticket: Ticket, outcome: Result<Lease<PoolConnection>, PoolError>) {
        let waiter = self.waiters.borrow_mut().remove(&ticket);
        match waiter {
            Some(waiter) => {
                waiter.outcome.set(Some(outcome));
                if let Some(waker) = waiter.waker.take() {
                    waker.wake();
                }
            }
            // The waiter is gone: a connection for it is returned.
            None => {
                if let Ok(lease) = outcome {
                    self.return_connection(lease, None);
                }
            }
        }
    }

    async fn open(&self, opening: super::slots::Opening) {
        let start_ns = self.clock.mono_ns();
        let stage = Cell::new("connecting");
        let after_ns = self.service.limits.connect_timeout_ns;
        let opened = within(
            after_ns,
            PoolConnection::open(&self.service, &self.target, &self.resolver, &stage),
        );
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
            Ok(connection) => slots.opened(opening, connection, now.mono_ns),
            Err(error) => slots.open_failed(opening, error, now.mono_ns),
        }
        drop(slots);
        self.execute();
    }

    /// Returns a connection, with its own condition or the worse one that the holder reports.
    fn return_connection(&self, mut lease: Lease<PoolConnection>, worse: Option<Condition>) {
        let mut condition = worse.unwrap_or_else(|| lease.connection.condition());
        // If there are waiters it is leased again at once, so it is checked now.
        let looked_at = self.slots.borrow().waiting() > 0;
        if condition == Condition::Reusable && looked_at && !lease.connection.is_usable() {
            condition = Condition::Broken;
        }
        if condition == Condition::Reusable && !self.service.limits.keep_alive {
            condition = Condition::Spent;
        }
        self.slots.borrow_mut().release(lease, condition, self.clock.mono_ns());
        self.execute();
    }

    /// Handles time; to be called about every `POOL_HOUSEKEEPING_NS`.
    pub fn housekeep(&self) {
        let now_ns = self.clock.mono_ns();
        self.slots.borrow_mut().poll(now_ns);
        self.execute();
        let interval_ns = self.service.limits.health_interval_ns;
        let due = interval_ns > 0 && now_ns >= self.next_probe_ns.get() && !self.probing.get();
        // A service that requested a pause is not probed.
        let wanted = self.bucket.borrow().pause_ns(now_ns) == 0;
        if due && wanted && !self.slots.borrow().is_stopping() {
            self.next_probe_ns.set(now_ns + interval_ns);
            let pool = self.me.upgrade().expect("it is borrowed");
            spawn(async move { pool.probe_idle().await });
        }
    }

    /// Whether a request would most likely fail: the last probe failed, or the last connection could not be opened and
    /// none is open.
    pub fn is_down(&self) -> bool {
        let (statistics, slots) = (self.statistics.borrow(), self.slots.borrow());
        statistics.health().state == HealthState::Down
            && (statistics.is_down_by_probe() || slots.in_use() + slots.idle() == 0)
    }

    /// Starts a probe of a service that is down, at most one per `POOL_DOWN_PROBE_NS`.
    pub fn probe_soon(&self) {
        let now_ns = self.clock.mono_ns();
        let is_due = now_ns >= self.next_down_probe_ns.get() && !self.probing.get();
        let is_paused = self.bucket.borrow().pause_ns(now_ns) > 0;
        if !is_due || is_paused || self.slots.borrow().is_stopping() {
            return;
        }
        self.next_down_probe_ns.set(now_ns + POOL_DOWN_PROBE_NS);
        if let Some(pool) = self.me.upgrade() {
            spawn(async move { pool.probe_idle().await });
        }
    }

    /// Opens a WebSocket of the caller's own in a place of the pool; waits for one up to the acquire timeout.
    pub(super) async fn acquire_upgraded(
        &self,
        place: &'static Location<'static>,
        timeout_ns: u64,
        upgrade: Upgrade,
    ) -> Result<Guard, PoolError> {
        let taken = self.slots.borrow_mut().take_place(self.clock.mono_ns(), place);
        self.execute();
        let mut placed = match taken {
            Some(place) => Placed { pool: self, place: Some(place) },
            None => {
                let mut guard = self.acquire_at(place, timeout_ns).await?;
                let connection = self.open_upgraded(upgrade).await?;
                guard.close_gracefully();
                *guard = connection;
                return Ok(guard);
            }
        };
        let connection = self.open_upgraded(upgrade).await?;
        let place = placed.place.take().expect("it is taken once");
        let lease = self.slots.borrow_mut().fill(place, connection);
        self.statistics.borrow_mut().on_acquired(0);
        Ok(self.guard(lease))
    }

    async fn open_upgraded(&self, upgrade: Upgrade) -> Result<PoolConnection, PoolError> {
        let start_ns = self.clock.mono_ns();
        let stage = Cell::new("connecting");
        let after_ns = self.service.limits.connect_timeout_ns;
        let (service, target, resolver) = (&self.service, &self.target, &self.resolver);
        let opened = PoolConnection::open_with(service, target, resolver, &stage, Some(upgrade));
        let result = match within(after_ns, opened).await {
            Some(result) => result,
            None => Err(PoolError::timeout(stage.get(), after_ns)),
        };
        let now = self.clock.now();
        let mut statistics = self.statistics.borrow_mut();
        match &result {
            Ok(_) => statistics.on_opened(Ok(now.mono_ns - start_ns), now),
            // The server has answered: what it refuses is this request.
            Err(error @ PoolError::WebSocket(_)) => statistics.on_error(error.kind()),
            Err(error) => statistics.on_opened(Err(error), now),
        }
        drop(statistics);
        result
    }

    /// Probes with the connection idle for longest, or a new one if there is none. Skipped while all are in use:
    /// requests then show the service's state.
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

    /// Probes the service on an open connection: `GET` of the probe path, or a ping. Returns the response time,
    /// nanoseconds.
    ///
    /// # Errors
    /// `Unhealthy` for status 500 and above (with a configured path: 400 and above); and every error of
    /// [`Pool::acquire`] and [`PoolConnection`].
    pub async fn probe(&self, timeout_ns: u64) -> Result<u64, PoolError> {
        let place = Location::caller();
        let stage = Cell::new("waiting for a connection for a probe");
        let result = within(timeout_ns, async {
            let guard = match self.lease_for_probe(place) {
                Some(guard) => guard,
                None => self.acquire_at(place, timeout_ns).await?,
            };
            stage.set("waiting for the response to a probe");
            let reused = guard.is_reused();
            match self.probe_with(guard, timeout_ns).await {
                // A reused connection may have been closed meanwhile: no statement about the service.
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

    fn lease_for_probe(&self, place: &'static Location<'static>) -> Option<Guard> {
        loop {
            let lease = self.slots.borrow_mut().lease_for_probe(self.clock.mono_ns(), place)?;
            let mut guard = self.guard(lease);
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

    /// Stops leasing; idle connections are closed, leased ones when returned.
    pub fn begin_stop(&self) {
        self.slots.borrow_mut().stop();
        self.execute();
    }

    /// Waits until every connection is returned, at most `bound_ns`; returns the remaining leases.
    pub async fn drained(&self, bound_ns: u64) -> Vec<Held> {
        let deadline_ns = self.clock.mono_ns().saturating_add(bound_ns);
        while !self.slots.borrow().is_drained() && self.clock.mono_ns() < deadline_ns {
            sleep(POOL_STOP_POLL_NS).await;
        }
        self.held()
    }
}

/// A place for a connection that is being opened; abandoned when dropped.
struct Placed<'a> {
    pool: &'a Pool,
    place: Option<Place>,
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.pool.slots.borrow_mut().abandon(place, self.pool.clock.mono_ns());
            self.pool.execute();
        }
    }
}

/// A waiter; leaves the wait queue when dropped.
struct Waiting<'a> {
    pool: &'a Pool,
    ticket: Ticket,
    waiter: Rc<Waiter>,
}

impl Waiting<'_> {
    async fn outcome(&mut self) -> Result<Lease<PoolConnection>, PoolError> {
        poll_fn(|context| match self.waiter.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.waiter.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// The deadline has passed; an outcome of the same moment counts.
    fn expire(&mut self) -> Option<Result<Lease<PoolConnection>, PoolError>> {
        self.pool.slots.borrow_mut().expire(self.ticket);
        self.waiter.outcome.take()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.waiters.borrow_mut().remove(&self.ticket);
        self.pool.slots.borrow_mut().cancel(self.ticket);
        // Served but not yet taken: the unused connection is returned.
        if let Some(Ok(lease)) = self.waiter.outcome.take() {
            self.pool.return_connection(lease, None);
        }
    }
}

/// A leased connection, returned when dropped.
#[must_use = "the connection is returned when this is dropped"]
pub struct Guard {
    pool: Rc<Pool>,
    /// `None` only during drop.
    lease: Option<Lease<PoolConnection>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("service", &self.pool.name()).finish_non_exhaustive()
    }
}

impl Guard {
    /// Whether the connection was leased before.
    pub fn is_reused(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_reused)
    }

    /// Closes the connection instead of returning it: the holder found it broken.
    pub fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            self.pool.return_connection(lease, Some(Condition::Broken));
        }
    }
}

impl Deref for Guard {
    type Target = PoolConnection;

    fn deref(&self) -> &PoolConnection {
        &self.lease.as_ref().expect("present until drop").connection
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut PoolConnection {
        &mut self.lease.as_mut().expect("present until drop").connection
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.pool.return_connection(lease, None);
        }
    }
}

//! Connection pools, one per backend service, HTTP and WebSocket.
//!
//! Runs on:  one core (glommio): a pool belongs to the core that created it and needs no lock. Other cores use
//!           [`remote`], threads outside the engine [`blocking`].
//! Owns:     every connection of its services.
//! Bounds:   each service's limits; at most `POOL_SERVICES_MAX` services per configuration.
//!
//! | file | does |
//! |---|---|
//! | [`service`] | a service and its limits |
//! | [`slots`] | idle, leased and opening connections, wait queue: pure state machine |
//! | [`rate`] | rate limit: pure |
//! | [`mod@connection`] | one connection: an HTTP exchange, or an open WebSocket |
//! | [`lending`] | [`lending::Pool`] and [`lending::Guard`]: executes the slots' actions |
//! | [`request`] | HTTP requests: rate limit, redirects, one retry |
//! | [`forward`] | requests and WebSockets whose bytes the caller moves |
//! | [`statistics`], [`error`] | reports and errors |
pub mod blocking;
pub mod connection;
pub mod error;
pub mod forward;
pub mod lending;
pub mod rate;
pub mod remote;
pub mod request;
pub mod service;
pub mod slots;
pub mod statistics;

use crate::base::limits::POOL_HOUSEKEEPING_NS;
use crate::io::executor::{sleep, spawn};
use crate::io::resolve::Resolver;
pub use error::PoolError;
pub use lending::{Guard, Pool};
use rustls::ClientConfig;
pub use service::{Kind, Limits, Service};
use slots::Held;
use statistics::ServiceReport;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// All pools of one core.
#[derive(Debug)]
pub struct Manager {
    pools: Rc<Vec<Rc<Pool>>>,
}

/// A connection still leased at the end of a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// Its service.
    pub service: String,
    /// The lease.
    pub held: Held,
}

impl Manager {
    /// Starts a pool per service, with housekeeping until the manager is dropped. Must be called on an executor; the
    /// pools stay there. All share the TLS configuration: one session cache per core.
    ///
    /// # Errors
    /// [`PoolError::DuplicateService`].
    pub fn new(
        services: Vec<Service>,
        resolver: &Resolver,
        tls: &Arc<ClientConfig>,
    ) -> Result<Self, PoolError> {
        for (place, service) in services.iter().enumerate() {
            if services[..place].iter().any(|other| other.name == service.name) {
                return Err(PoolError::DuplicateService(service.name.clone()));
            }
        }
        let pools = services.into_iter().map(|service| Pool::new(service, resolver.clone(), tls));
        let pools = Rc::new(pools.collect::<Vec<_>>());
        spawn(housekeeping(Rc::downgrade(&pools)));
        Ok(Self { pools })
    }

    /// The pool of the service `name`.
    pub fn pool(&self, name: &str) -> Option<Rc<Pool>> {
        self.pools.iter().find(|pool| pool.name() == name).cloned()
    }

    /// Every pool, in the order of the services.
    pub fn pools(&self) -> &[Rc<Pool>] {
        &self.pools
    }

    /// Reports of all pools, in the order of the services.
    pub fn reports(&self) -> Vec<ServiceReport> {
        self.pools.iter().map(|pool| pool.report()).collect()
    }

    /// Probes all services concurrently; results in the order of the services. A probe takes at most `timeout_ns`.
    pub async fn probe_all(&self, timeout_ns: u64) -> Vec<Result<u64, PoolError>> {
        let answers = Rc::new(RefCell::new(vec![None; self.pools.len()]));
        for (place, pool) in self.pools.iter().enumerate() {
            let (pool, answers) = (Rc::clone(pool), Rc::clone(&answers));
            spawn(async move {
                let answer = pool.probe(timeout_ns).await;
                answers.borrow_mut()[place] = Some(answer);
            });
        }
        while answers.borrow().iter().any(Option::is_none) {
            sleep(crate::base::limits::POOL_STOP_POLL_NS).await;
        }
        answers.take().into_iter().flatten().collect()
    }

    /// Stops leasing and waits until every connection is returned, at most `bound_ns`. Returns those still leased.
    pub async fn stop(&self, bound_ns: u64) -> Vec<LeftOver> {
        self.pools.iter().for_each(|pool| pool.begin_stop());
        let clock = crate::io::clock::HostClock::new();
        let deadline_ns = clock_ns(&clock).saturating_add(bound_ns);
        let mut left = Vec::new();
        for pool in self.pools.iter() {
            let rest_ns = deadline_ns.saturating_sub(clock_ns(&clock));
            let held = pool.drained(rest_ns).await;
            let service = pool.name();
            left.extend(
                held.into_iter().map(|held| LeftOver { service: service.to_owned(), held }),
            );
        }
        left
    }
}

fn clock_ns(clock: &crate::io::clock::HostClock) -> u64 {
    use crate::base::time::Clock as _;
    clock.mono_ns()
}

async fn housekeeping(pools: Weak<Vec<Rc<Pool>>>) {
    loop {
        // Not held while it sleeps: dropping the manager ends this task.
        let Some(pools) = pools.upgrade() else { return };
        pools.iter().for_each(|pool| pool.housekeep());
        drop(pools);
        sleep(POOL_HOUSEKEEPING_NS).await;
    }
}

//! Pools of connections, one for each backend service, HTTP and WebSocket: reused, bounded, watched.
//!
//! Runs on:  one core (glommio): a pool belongs to the core that made it, and needs no lock. Other cores
//!           ask by ring ([`remote`]), threads outside of the engine through [`blocking`].
//! Owns:     every connection of its services.
//! Bounds:   each service's limits; a configuration has `POOL_SERVICES_MAX` services at most.
//!
//! | file | does |
//! |---|---|
//! | [`service`] | what a service is, and its bounds |
//! | [`slots`] | who has which connection, who waits: pure, and tried for a day of virtual time |
//! | [`rate`] | how often a service may be asked: pure |
//! | [`mod@line`] | one connection: an HTTP exchange, or an open WebSocket |
//! | [`lending`] | [`lending::Pool`] and [`lending::Guard`]: does what the slots decide |
//! | [`request`] | HTTP on top: turns, redirects, the one repetition |
//! | [`statistics`], [`error`] | what is told of it |
pub mod blocking;
pub mod error;
pub mod lending;
pub mod line;
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

/// Every pool of one core.
#[derive(Debug)]
pub struct Manager {
    pools: Rc<Vec<Rc<Pool>>>,
}

/// A connection that was still lent when the time to stop was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// Whose connection it is.
    pub service: String,
    /// Since when, and where it was asked for.
    pub held: Held,
}

impl Manager {
    /// Starts a pool for each service, and looks after them until the manager is dropped. To be called on an
    /// executor; the pools stay there. TLS settings are shared by all: one session cache a core.
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
        spawn(look_after(Rc::downgrade(&pools)));
        Ok(Self { pools })
    }

    /// The pool of the service called `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<Rc<Pool>> {
        self.pools.iter().find(|pool| pool.name() == name).cloned()
    }

    /// Every pool, in the order of the services.
    #[must_use]
    pub fn pools(&self) -> &[Rc<Pool>] {
        &self.pools
    }

    /// What is told of each pool, in the order of the services.
    #[must_use]
    pub fn reports(&self) -> Vec<ServiceReport> {
        self.pools.iter().map(|pool| pool.report()).collect()
    }

    /// Probes every service at the same time; the answers in the order of the services. No probe takes longer
    /// than `timeout_ns`.
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

    /// Lends nothing more, and waits until every connection is back or `bound_ns` is over. Those that are
    /// still lent then, with where they were asked for.
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

async fn look_after(pools: Weak<Vec<Rc<Pool>>>) {
    loop {
        // Not held while it sleeps: the manager's end is this task's.
        let Some(pools) = pools.upgrade() else { return };
        pools.iter().for_each(|pool| pool.turn());
        drop(pools);
        sleep(POOL_HOUSEKEEPING_NS).await;
    }
}

//! Requests and WebSockets of a pool whose bytes the caller moves, so that bodies are streamed.
//!
//! Runs on:  the pool's core (glommio). Owns: the time of one request.
//! Bounds:   the service's request timeout in total, which the caller applies by [`Forward::left_ns`].
//!
//! Rate limit, wait queue, connections, retry rule and statistics are those of [`Pool::request`]; redirects are the
//! caller's. A forward that is dropped before [`Forward::end`] is not counted, as a request whose future is dropped.
use super::error::PoolError;
use super::lending::{Guard, Pool};
use super::request::RequestContext;
use crate::base::limits::RETRY_AFTER_MAX_NS;
use crate::base::time::SECOND_NS;
use crate::wire::http::RetryAfter;
use crate::wire::websocket::Upgrade;
use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;

/// One request, or one WebSocket until it is open.
#[derive(Debug)]
pub struct Forward {
    pool: Rc<Pool>,
    context: RequestContext,
    start_ns: u64,
}

impl Forward {
    /// Begins a request; its time runs from here.
    #[track_caller]
    pub fn new(pool: &Rc<Pool>) -> Self {
        let start_ns = pool.now().mono_ns;
        let deadline_ns = start_ns.saturating_add(pool.service().limits.request_timeout_ns);
        let stage = Cell::new("waiting for the rate limit");
        let context = RequestContext { place: Location::caller(), deadline_ns, stage };
        Self { pool: Rc::clone(pool), context, start_ns }
    }

    /// Time until the request timeout, nanoseconds.
    pub fn left_ns(&self) -> u64 {
        self.context.deadline_ns.saturating_sub(self.pool.now().mono_ns)
    }

    /// The timeout as an error, counted.
    pub fn timed_out(&self) -> PoolError {
        let after_ns = self.pool.service().limits.request_timeout_ns;
        self.failed(PoolError::timeout(self.context.stage.get(), after_ns))
    }

    /// Waits for the rate limit, then for a connection.
    ///
    /// # Errors
    /// As [`Pool::request`], before the request is sent; counted.
    pub async fn connection(&self) -> Result<Guard, PoolError> {
        self.pool.wait_for_rate(&self.context).await?;
        let guard = self.pool.connection(&self.context, false).await?;
        self.context.stage.set("waiting for the response");
        Ok(guard)
    }

    /// A connection that was not leased before, for an idempotent request whose reused connection died without a byte
    /// of response; counted as repeated.
    ///
    /// # Errors
    /// As [`Forward::connection`].
    pub async fn repeat(&self) -> Result<Guard, PoolError> {
        self.pool.statistics.borrow_mut().on_repeated();
        let guard = self.pool.connection(&self.context, true).await?;
        self.context.stage.set("waiting for the response");
        Ok(guard)
    }

    /// An open WebSocket: one of the pool's, or with `upgrade` a new one in a place of the pool's.
    ///
    /// # Errors
    /// As [`Forward::connection`]; counted.
    pub async fn socket(&self, upgrade: Option<Upgrade>) -> Result<Guard, PoolError> {
        self.pool.wait_for_rate(&self.context).await?;
        let Some(upgrade) = upgrade else {
            return self.pool.connection(&self.context, false).await;
        };
        let timeout_ns = self.pool.service().limits.acquire_timeout_ns.min(self.left_ns());
        self.pool.acquire_upgraded(self.context.place, timeout_ns, upgrade).await
    }

    /// The service requests a pause in a response with 429 or 503.
    pub fn pause(&self, retry_after: RetryAfter) {
        let now = self.pool.now();
        let pause_ns = retry_after.seconds_from(now.wall_ns).saturating_mul(SECOND_NS);
        let pause_ns = pause_ns.min(RETRY_AFTER_MAX_NS);
        self.pool.bucket.borrow_mut().pause(now.mono_ns, pause_ns);
    }

    /// Counts an error of the exchange, after the connection was leased.
    pub fn failed(&self, error: PoolError) -> PoolError {
        self.pool.count(error)
    }

    /// Counts the request, and whether it got no answer.
    pub fn end(self, failed: bool) {
        let took_ns = self.pool.now().mono_ns - self.start_ns;
        self.pool.statistics.borrow_mut().on_request(took_ns, failed);
    }
}

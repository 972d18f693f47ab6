//! HTTP requests over leased connections: rate limit, redirects, one retry.
//!
//! Runs on:  the pool's core (glommio). Owns: nothing.
//! Bounds:   the service's request timeout in total, `POOL_REDIRECTS_MAX` redirects, one retry, `body_bytes_max` of
//!           response.
use super::error::PoolError;
use super::lending::{Guard, Pool};
use super::service::Limits;
use crate::base::limits::{POOL_REDIRECTS_MAX, RETRY_AFTER_MAX_NS};
use crate::base::time::MILLISECOND_NS;
use crate::io::connection::ConnectionError;
use crate::io::dial::within;
use crate::io::executor::sleep;
use crate::wire::http::{Exchange, Request, Response};
use std::cell::Cell;
use std::panic::Location;

#[derive(Debug)]
pub(super) struct RequestContext {
    pub(super) place: &'static Location<'static>,
    pub(super) deadline_ns: u64,
    pub(super) stage: Cell<&'static str>,
}

impl Pool {
    /// `GET`; `path_and_query` starts with a slash and is appended to the service's address.
    ///
    /// # Errors
    /// As [`Pool::request`].
    #[track_caller]
    pub fn get(
        &self,
        path_and_query: &str,
    ) -> impl Future<Output = Result<Response, PoolError>> + use<'_> {
        let (request, place) = (Request::get(self.url(path_and_query)), Location::caller());
        async move { self.request_at(&request, place).await }
    }

    /// `POST` of a JSON body. Never repeated.
    ///
    /// # Errors
    /// As [`Pool::request`].
    #[track_caller]
    pub fn post_json(
        &self,
        path_and_query: &str,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Response, PoolError>> + use<'_> {
        let request = Request::post_json(self.url(path_and_query), body);
        let place = Location::caller();
        async move { self.request_at(&request, place).await }
    }

    /// Sends a request whose URL belongs to this service and waits for its response. Rate limit, connection and
    /// transfer together are limited by the service's request timeout. Redirects within the host are followed; others
    /// are returned. An idempotent request is repeated once, over a new connection, if a reused connection dies without
    /// a byte of response.
    ///
    /// # Errors
    /// Every [`PoolError`] but those of managers; an HTTP status is no error.
    #[track_caller]
    pub fn request<'a>(
        &'a self,
        request: &'a Request,
    ) -> impl Future<Output = Result<Response, PoolError>> + use<'a> {
        self.request_at(request, Location::caller())
    }

    async fn request_at(
        &self,
        request: &Request,
        place: &'static Location<'static>,
    ) -> Result<Response, PoolError> {
        let after_ns = self.service().limits.request_timeout_ns;
        let start_ns = self.now().mono_ns;
        let context = RequestContext {
            place,
            deadline_ns: start_ns.saturating_add(after_ns),
            stage: Cell::new("waiting for the rate limit"),
        };
        let result = match within(after_ns, self.follow(request, &context)).await {
            Some(result) => result,
            None => Err(self.count(PoolError::timeout(context.stage.get(), after_ns))),
        };
        let mut statistics = self.statistics.borrow_mut();
        statistics.on_request(self.now().mono_ns - start_ns, result.is_err());
        result
    }

    /// Counts an error. Those of acquiring and opening are counted there.
    pub(super) fn count(&self, error: PoolError) -> PoolError {
        self.statistics.borrow_mut().on_error(error.kind());
        error
    }

    async fn follow(
        &self,
        request: &Request,
        context: &RequestContext,
    ) -> Result<Response, PoolError> {
        let mut redirected: Option<Request> = None;
        for _ in 0..=POOL_REDIRECTS_MAX {
            let request = redirected.as_ref().unwrap_or(request);
            if self.service().kind.is_websocket() {
                return Err(self.count(PoolError::WrongKind { protocol: "HTTP" }));
            }
            if !self.service().owns(request.url()) {
                let why = format!("{} is not an address of {}", request.url(), self.name());
                return Err(self.count(ConnectionError::BadRequest(why).into()));
            }
            let response = self.attempt(request, context).await?;
            let next = response.redirect(request.url()).filter(|url| self.service().owns(url));
            let Some(url) = next else { return Ok(response) };
            self.statistics.borrow_mut().on_redirected();
            redirected = Some(request.redirected(response.status, url));
        }
        let url = redirected.map_or_else(String::new, |request| request.url().to_owned());
        Err(self.count(PoolError::Redirects { url }))
    }

    async fn attempt(
        &self,
        request: &Request,
        context: &RequestContext,
    ) -> Result<Response, PoolError> {
        self.wait_for_rate(context).await?;
        let guard = self.connection(context, false).await?;
        let reused = guard.is_reused();
        let (result, answered) = self.run(guard, request, context).await;
        let died = matches!(result, Err(PoolError::Connection(ConnectionError::Broken(_))));
        let result = if died && reused && !answered && request.is_idempotent() {
            self.statistics.borrow_mut().on_repeated();
            // A restart or a load balancer may have closed all idle connections.
            let guard = self.connection(context, true).await?;
            self.run(guard, request, context).await.0
        } else {
            result
        };
        let response = result.map_err(|error| self.count(error))?;
        let now = self.now();
        if let Some(pause_ns) = response.pause_ns(now.wall_ns) {
            self.bucket.borrow_mut().pause(now.mono_ns, pause_ns.min(RETRY_AFTER_MAX_NS));
        }
        Ok(response)
    }

    pub(super) async fn wait_for_rate(&self, context: &RequestContext) -> Result<(), PoolError> {
        let now_ns = self.now().mono_ns;
        let timeout_ns = context.deadline_ns.saturating_sub(now_ns);
        let reserved = self.bucket.borrow_mut().reserve(now_ns, timeout_ns);
        let mut wait_ns = reserved.map_err(|refused| {
            let (wait_ns, by_service) = (refused.wait_ns, refused.by_service);
            self.count(PoolError::RateLimited { wait_ns, by_service })
        })?;
        while wait_ns > 0 {
            context.stage.set("waiting for the rate limit");
            sleep(wait_ns).await;
            // The service may have requested a pause meanwhile.
            let now_ns = self.now().mono_ns;
            wait_ns = self.bucket.borrow().pause_ns(now_ns);
            if now_ns.saturating_add(wait_ns) > context.deadline_ns {
                return Err(self.count(PoolError::RateLimited { wait_ns, by_service: true }));
            }
        }
        Ok(())
    }

    pub(super) async fn connection(
        &self,
        context: &RequestContext,
        new_only: bool,
    ) -> Result<Guard, PoolError> {
        let left_ns = context.deadline_ns.saturating_sub(self.now().mono_ns);
        let timeout_ns = acquire_time(&self.service().limits, left_ns, context.stage.get())
            .map_err(|error| self.count(error))?;
        context.stage.set("waiting for a connection");
        if new_only {
            return self.acquire_new_at(context.place, timeout_ns).await;
        }
        self.acquire_at(context.place, timeout_ns).await
    }

    /// One exchange, and whether any byte of the response arrived.
    async fn run(
        &self,
        mut guard: Guard,
        request: &Request,
        context: &RequestContext,
    ) -> (Result<Response, PoolError>, bool) {
        context.stage.set("waiting for the response");
        match Exchange::new(request, self.service().limits.body_bytes_max) {
            Err(error) => (Err(ConnectionError::from(error).into()), false),
            Ok(mut exchange) => {
                let result = guard.exchange(&mut exchange).await;
                (result, exchange.is_answered())
            }
        }
    }
}

/// How long a request with so much time left may wait for a connection.
///
/// # Errors
/// None is left: it timed out in the stage before, such as a first attempt whose connection died.
fn acquire_time(limits: &Limits, left_ns: u64, stage: &'static str) -> Result<u64, PoolError> {
    if left_ns < MILLISECOND_NS {
        return Err(PoolError::timeout(stage, limits.request_timeout_ns));
    }
    Ok(limits.acquire_timeout_ns.min(left_ns))
}

#[cfg(test)]
mod tests;

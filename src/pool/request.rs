//! HTTP on top of lent connections: turns, redirects, the one repetition.
//!
//! Runs on:  the pool's core (glommio). Owns: nothing.
//! Bounds:   the service's request timeout over everything, `POOL_REDIRECTS_MAX` redirects, one repetition,
//!           `body_bytes_max` of answer.
use super::error::PoolError;
use super::lending::{Guard, Pool};
use crate::base::limits::{POOL_REDIRECTS_MAX, RETRY_AFTER_MAX_NS};
use crate::io::connection::ConnectionError;
use crate::io::dial::within;
use crate::io::executor::sleep;
use crate::wire::http::{Exchange, Request, Response};
use std::cell::Cell;
use std::panic::Location;

/// One request on its way: who asks, until when, and what is being waited for.
struct Errand {
    place: &'static Location<'static>,
    deadline_ns: u64,
    stage: Cell<&'static str>,
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

    /// `POST` of a JSON body. Never repeated by itself.
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

    /// Sends a request whose URL leads to this service, and waits for its answer: for its turn, for a
    /// connection, for the last byte, all within the service's request timeout. Redirects within the host are
    /// followed; one that leads elsewhere is the answer. A request that may be repeated is, once and over a new
    /// connection, when one that was used before dies without a byte of answer.
    ///
    /// # Errors
    /// Every [`PoolError`] but those of managers; an HTTP status is none.
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
        let errand = Errand {
            place,
            deadline_ns: start_ns.saturating_add(after_ns),
            stage: Cell::new("waiting for a turn"),
        };
        let result = match within(after_ns, self.follow(request, &errand)).await {
            Some(result) => result,
            None => Err(self.count(PoolError::timeout(errand.stage.get(), after_ns))),
        };
        let mut statistics = self.statistics.borrow_mut();
        statistics.on_request(self.now().mono_ns - start_ns, result.is_err());
        result
    }

    /// Errors are counted where they arise: those of acquiring and opening there, the others here.
    fn count(&self, error: PoolError) -> PoolError {
        self.statistics.borrow_mut().on_error(error.kind());
        error
    }

    async fn follow(&self, request: &Request, errand: &Errand) -> Result<Response, PoolError> {
        let mut redirected: Option<Request> = None;
        for _ in 0..=POOL_REDIRECTS_MAX {
            let request = redirected.as_ref().unwrap_or(request);
            if self.service().kind.is_websocket() {
                return Err(self.count(PoolError::WrongKind { asked: "HTTP" }));
            }
            if !self.service().owns(request.url()) {
                let why = format!("{} is no address of {}", request.url(), self.name());
                return Err(self.count(ConnectionError::BadRequest(why).into()));
            }
            let response = self.attempt(request, errand).await?;
            let next = response.redirect(request.url()).filter(|url| self.service().owns(url));
            let Some(url) = next else { return Ok(response) };
            self.statistics.borrow_mut().on_redirected();
            redirected = Some(request.redirected(response.status, url));
        }
        let url = redirected.map_or_else(String::new, |request| request.url().to_owned());
        Err(self.count(PoolError::Redirects { url }))
    }

    async fn attempt(&self, request: &Request, errand: &Errand) -> Result<Response, PoolError> {
        self.wait_for_turn(errand).await?;
        let guard = self.connection(errand, false).await?;
        let reused = guard.is_reused();
        let (result, answered) = self.run(guard, request, errand).await;
        let died = matches!(result, Err(PoolError::Connection(ConnectionError::Broken(_))));
        let result = if died && reused && !answered && request.is_idempotent() {
            self.statistics.borrow_mut().on_repeated();
            // Whatever ended this one, a restart or a balancer, may have ended all that are kept.
            let guard = self.connection(errand, true).await?;
            self.run(guard, request, errand).await.0
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

    async fn wait_for_turn(&self, errand: &Errand) -> Result<(), PoolError> {
        let now_ns = self.now().mono_ns;
        let patience_ns = errand.deadline_ns.saturating_sub(now_ns);
        let reserved = self.bucket.borrow_mut().reserve(now_ns, patience_ns);
        let mut wait_ns = reserved.map_err(|refused| {
            let (wait_ns, asked_for) = (refused.wait_ns, refused.asked_for);
            self.count(PoolError::RateLimited { wait_ns, asked_for })
        })?;
        while wait_ns > 0 {
            errand.stage.set("waiting for a turn");
            sleep(wait_ns).await;
            // Meanwhile the service may have asked for a pause.
            let now_ns = self.now().mono_ns;
            wait_ns = self.bucket.borrow().pause_ns(now_ns);
            if now_ns.saturating_add(wait_ns) > errand.deadline_ns {
                return Err(self.count(PoolError::RateLimited { wait_ns, asked_for: true }));
            }
        }
        Ok(())
    }

    async fn connection(&self, errand: &Errand, new_only: bool) -> Result<Guard, PoolError> {
        errand.stage.set("waiting for a connection");
        let left_ns = errand.deadline_ns.saturating_sub(self.now().mono_ns);
        let timeout_ns = self.service().limits.acquire_timeout_ns.min(left_ns);
        if new_only {
            return self.acquire_new_at(errand.place, timeout_ns).await;
        }
        self.acquire_at(errand.place, timeout_ns).await
    }

    /// One exchange, and whether any byte of the answer came.
    async fn run(
        &self,
        mut guard: Guard,
        request: &Request,
        errand: &Errand,
    ) -> (Result<Response, PoolError>, bool) {
        errand.stage.set("waiting for the answer");
        match Exchange::new(request, self.service().limits.body_bytes_max) {
            Err(error) => (Err(ConnectionError::from(error).into()), false),
            Ok(mut exchange) => {
                let result = guard.exchange(&mut exchange).await;
                (result, exchange.is_answered())
            }
        }
    }
}

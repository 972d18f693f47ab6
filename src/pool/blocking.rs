//! Pools for threads that may wait: a thread of their own has them, and everybody may ask it.
//!
//! Runs on:  a thread called `pools` (glommio), and the threads that ask, which block.
//! Owns:     a manager. Bounds: `POOL_REMOTE_MAX` requests at once; each ends with its service's request
//!           timeout.
//!
//! The askers are outside of the engine, so here is a lock: held to put a request into a queue, never while
//! anybody waits.
use super::error::PoolError;
use super::service::Service;
use super::statistics::ServiceReport;
use super::{LeftOver, Manager};
use crate::base::limits::{POOL_REMOTE_MAX, THREAD_END_NS};
use crate::base::time::SECOND_NS;
use crate::io::executor::{Executor, StartError, spawn};
use crate::io::resolve::Resolver;
use crate::wire::http::{Request, Response};
use crate::wire::tls::client_config;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How much longer than its own timeout a request is waited for.
const GRACE_NS: u64 = SECOND_NS;

enum Letter {
    Request { service: String, request: Request, reply: SyncSender<Result<Response, PoolError>> },
    Reports { reply: SyncSender<Vec<ServiceReport>> },
    Stop { bound_ns: u64 },
}

#[derive(Default)]
struct Tray {
    letters: VecDeque<Letter>,
    waker: Option<Waker>,
    /// Requests that are not answered.
    open: usize,
    closed: bool,
}

#[derive(Default)]
struct Mailbox {
    tray: Mutex<Tray>,
}

impl Mailbox {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, letter: Letter) -> Result<(), PoolError> {
        let mut tray = self.tray();
        let counts = matches!(letter, Letter::Request { .. });
        if tray.closed || (counts && tray.open >= POOL_REMOTE_MAX) {
            return Err(PoolError::Busy);
        }
        tray.open += usize::from(counts);
        tray.letters.push_back(letter);
        // Woken under the lock, so that the thread cannot end in between.
        if let Some(waker) = tray.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    async fn take(&self) -> Letter {
        poll_fn(|context| {
            let mut tray = self.tray();
            if let Some(letter) = tray.letters.pop_front() {
                return Poll::Ready(letter);
            }
            tray.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn close(&self) {
        let mut tray = self.tray();
        tray.closed = true;
        tray.waker = None;
        // Whoever waits for these sees that their senders are gone.
        tray.letters.clear();
    }
}

/// The thread that has the pools. Dropping it stops them.
pub struct BlockingPools {
    handle: BlockingHandle,
    executor: Option<Executor<Vec<LeftOver>>>,
}

/// Asks the thread that has the pools, from any thread that may wait.
#[derive(Clone)]
pub struct BlockingHandle {
    mailbox: Arc<Mailbox>,
    services: Arc<HashMap<String, Service>>,
}

impl std::fmt::Debug for BlockingPools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingPools").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BlockingHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockingHandle").finish_non_exhaustive()
    }
}

impl BlockingPools {
    /// Starts the thread. `tls_ca` is a certificate authority to trust besides the usual ones, PEM; call it
    /// from a thread that is not pinned.
    ///
    /// # Errors
    /// [`StartError`]: the authority is unusable, a name is there twice, or the thread cannot start.
    pub fn start(services: Vec<Service>, tls_ca: Option<&[u8]>) -> Result<Self, StartError> {
        let tls = client_config(tls_ca).map_err(|error| StartError(error.to_string()))?;
        let resolver = Resolver::new().map_err(|error| StartError(error.to_string()))?;
        Self::start_with(services, resolver, tls)
    }

    /// The same with a resolver and TLS settings of one's own.
    ///
    /// # Errors
    /// [`StartError`]: a name is there twice, or the thread cannot start.
    pub fn start_with(
        services: Vec<Service>,
        resolver: Resolver,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, StartError> {
        let by_name: HashMap<_, _> =
            services.iter().map(|service| (service.name.clone(), service.clone())).collect();
        if by_name.len() < services.len() {
            return Err(StartError("two services have one name".to_owned()));
        }
        let mailbox = Arc::new(Mailbox::default());
        let (ours, handle) = (
            Arc::clone(&mailbox),
            BlockingHandle { mailbox: Arc::clone(&mailbox), services: Arc::new(by_name) },
        );
        let executor = Executor::start("pools", None, move || async move {
            let left = match Manager::new(services, &resolver, &tls) {
                Ok(manager) => answer_all(&manager, &ours).await,
                // The names were compared above.
                Err(_) => Vec::new(),
            };
            ours.close();
            left
        })?;
        Ok(Self { handle, executor: Some(executor) })
    }

    /// A handle for another thread.
    #[must_use]
    pub fn handle(&self) -> BlockingHandle {
        self.handle.clone()
    }

    /// Stops the pools and the thread; waits up to `bound_ns` for requests that are under way. The
    /// connections that were still lent then.
    ///
    /// # Errors
    /// [`StartError`]: the thread has failed, or did not end in time.
    pub fn stop(mut self, bound_ns: u64) -> Result<Vec<LeftOver>, StartError> {
        self.end(bound_ns)
    }

    fn end(&mut self, bound_ns: u64) -> Result<Vec<LeftOver>, StartError> {
        let Some(executor) = self.executor.take() else { return Ok(Vec::new()) };
        // A thread that is gone already needs no order.
        let _ = self.handle.mailbox.put(Letter::Stop { bound_ns });
        executor.join_within(bound_ns.saturating_add(THREAD_END_NS))
    }
}

impl Drop for BlockingPools {
    fn drop(&mut self) {
        if let Err(error) = self.end(0) {
            log::warn!("{error}");
        }
    }
}

impl BlockingHandle {
    /// `GET`; the path starts with a slash and is appended to the service's address.
    ///
    /// # Errors
    /// As [`BlockingHandle::request`].
    pub fn get(&self, service: &str, path_and_query: &str) -> Result<Response, PoolError> {
        let url = self.url(service, path_and_query)?;
        self.request(service, Request::get(url))
    }

    /// `POST` of a JSON body.
    ///
    /// # Errors
    /// As [`BlockingHandle::request`].
    pub fn post_json(
        &self,
        service: &str,
        path_and_query: &str,
        body: Vec<u8>,
    ) -> Result<Response, PoolError> {
        let url = self.url(service, path_and_query)?;
        self.request(service, Request::post_json(url, body))
    }

    /// The absolute URL of a path of a service.
    ///
    /// # Errors
    /// [`PoolError::UnknownService`].
    pub fn url(&self, service: &str, path_and_query: &str) -> Result<String, PoolError> {
        Ok(format!("{}{path_and_query}", self.service(service)?.url()))
    }

    fn service(&self, name: &str) -> Result<&Service, PoolError> {
        self.services.get(name).ok_or_else(|| PoolError::UnknownService(name.to_owned()))
    }

    /// Sends a request and blocks until its answer is there, for up to the service's request timeout.
    ///
    /// # Errors
    /// [`PoolError::UnknownService`], [`PoolError::Busy`], and those of a pool's own `request`.
    pub fn request(&self, service: &str, request: Request) -> Result<Response, PoolError> {
        let timeout_ns = self.service(service)?.limits.request_timeout_ns.saturating_add(GRACE_NS);
        let (reply, answer) = sync_channel(1);
        self.mailbox.put(Letter::Request { service: service.to_owned(), request, reply })?;
        answer.recv_timeout(Duration::from_nanos(timeout_ns)).unwrap_or(Err(PoolError::Busy))
    }

    /// What is told of each pool.
    ///
    /// # Errors
    /// [`PoolError::Busy`].
    pub fn reports(&self) -> Result<Vec<ServiceReport>, PoolError> {
        let (reply, answer) = sync_channel(1);
        self.mailbox.put(Letter::Reports { reply })?;
        answer.recv_timeout(Duration::from_nanos(GRACE_NS)).map_err(|_| PoolError::Busy)
    }
}

async fn answer_all(manager: &Manager, mailbox: &Arc<Mailbox>) -> Vec<LeftOver> {
    loop {
        match mailbox.take().await {
            Letter::Stop { bound_ns } => return manager.stop(bound_ns).await,
            // Whoever asked may have gone away: nobody to tell.
            Letter::Reports { reply } => drop(reply.try_send(manager.reports())),
            Letter::Request { service, request, reply } => {
                let (pool, mailbox) = (manager.pool(&service), Arc::clone(mailbox));
                spawn(async move {
                    let result = match pool {
                        Some(pool) => pool_request(&pool, &request).await,
                        None => Err(PoolError::UnknownService(service)),
                    };
                    mailbox.tray().open -= 1;
                    drop(reply.try_send(result));
                });
            }
        }
    }
}

async fn pool_request(pool: &Rc<super::Pool>, request: &Request) -> Result<Response, PoolError> {
    pool.request(request).await
}

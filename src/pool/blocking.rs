//! Pools for blocking threads: one thread has the pools, others send requests to it.
//!
//! Runs on:  a thread named `pools` (glommio), and the requesting threads, which block.
//! Owns:     a manager. Bounds: `POOL_REMOTE_MAX` requests at once; each ends by its service's request timeout.
//!
//! Requesters are outside the engine, so there is a lock: held to queue a command, never while waiting.
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
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Extra time that a requester waits beyond the request's timeout.
const GRACE_NS: u64 = SECOND_NS;

enum Command {
    Request { service: String, request: Request, reply: SyncSender<Result<Response, PoolError>> },
    Reports { reply: SyncSender<Vec<ServiceReport>> },
    Stop { bound_ns: u64 },
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    waker: Option<Waker>,
    /// Requests without response.
    open: usize,
    closed: bool,
}

#[derive(Default)]
struct Mailbox {
    queue: Mutex<Queue>,
}

impl Mailbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, command: Command) -> Result<(), PoolError> {
        let mut queue = self.queue();
        let counts = matches!(command, Command::Request { .. });
        if queue.closed || (counts && queue.open >= POOL_REMOTE_MAX) {
            return Err(PoolError::Busy);
        }
        queue.open += usize::from(counts);
        queue.commands.push_back(command);
        // Woken under the lock, so that the thread cannot end in between.
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    async fn take(&self) -> Command {
        poll_fn(|context| {
            let mut queue = self.queue();
            if let Some(command) = queue.commands.pop_front() {
                return Poll::Ready(command);
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.waker = None;
        // Dropping the reply senders ends their receivers' wait.
        queue.commands.clear();
    }
}

/// The thread with the pools. Dropping it stops them.
pub struct BlockingPools {
    handle: BlockingHandle,
    executor: Option<Executor<Vec<LeftOver>>>,
}

/// Sends requests to the pools' thread; for threads that may block.
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
    /// Starts the thread. `tls_ca` is an additional certificate authority, PEM. Call it from an unpinned thread.
    ///
    /// # Errors
    /// [`StartError`]: the authority is invalid, a name is duplicate, or the thread cannot start.
    pub fn start(services: Vec<Service>, tls_ca: Option<&[u8]>) -> Result<Self, StartError> {
        let tls = client_config(tls_ca).map_err(|error| StartError(error.to_string()))?;
        let resolver = Resolver::new().map_err(|error| StartError(error.to_string()))?;
        Self::start_with(services, resolver, tls)
    }

    /// [`BlockingPools::start`] with a resolver and TLS configuration.
    ///
    /// # Errors
    /// [`StartError`]: a name is duplicate, or the thread cannot start.
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
                // Duplicate names were refused above.
                Err(_) => Vec::new(),
            };
            ours.close();
            left
        })?;
        Ok(Self { handle, executor: Some(executor) })
    }

    /// A handle for another thread.
    pub fn handle(&self) -> BlockingHandle {
        self.handle.clone()
    }

    /// Stops the pools and the thread; waits up to `bound_ns` for running requests. Returns the connections still
    /// leased.
    ///
    /// # Errors
    /// [`StartError`]: the thread has failed, or did not end in time.
    pub fn stop(mut self, bound_ns: u64) -> Result<Vec<LeftOver>, StartError> {
        self.end(bound_ns)
    }

    fn end(&mut self, bound_ns: u64) -> Result<Vec<LeftOver>, StartError> {
        let Some(executor) = self.executor.take() else { return Ok(Vec::new()) };
        // A thread that has ended needs no command.
        let _ = self.handle.mailbox.put(Command::Stop { bound_ns });
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

    /// Sends a request and blocks until its response, at most for the service's request timeout.
    ///
    /// # Errors
    /// [`PoolError::UnknownService`], [`PoolError::Busy`], and those of [`Pool::request`](super::Pool::request).
    pub fn request(&self, service: &str, request: Request) -> Result<Response, PoolError> {
        let timeout_ns = self.service(service)?.limits.request_timeout_ns.saturating_add(GRACE_NS);
        let (reply, answer) = sync_channel(1);
        self.mailbox.put(Command::Request { service: service.to_owned(), request, reply })?;
        answer.recv_timeout(Duration::from_nanos(timeout_ns)).unwrap_or(Err(PoolError::Busy))
    }

    /// Reports of all pools.
    ///
    /// # Errors
    /// [`PoolError::Busy`].
    pub fn reports(&self) -> Result<Vec<ServiceReport>, PoolError> {
        let (reply, answer) = sync_channel(1);
        self.mailbox.put(Command::Reports { reply })?;
        answer.recv_timeout(Duration::from_nanos(GRACE_NS)).map_err(|_| PoolError::Busy)
    }
}

async fn answer_all(manager: &Manager, mailbox: &Arc<Mailbox>) -> Vec<LeftOver> {
    loop {
        match mailbox.take().await {
            Command::Stop { bound_ns } => return manager.stop(bound_ns).await,
            // The requester may have gone: the result is dropped.
            Command::Reports { reply } => drop(reply.try_send(manager.reports())),
            Command::Request { service, request, reply } => {
                let (pool, mailbox) = (manager.pool(&service), Arc::clone(mailbox));
                spawn(async move {
                    let result = match pool {
                        Some(pool) => pool.request(&request).await,
                        None => Err(PoolError::UnknownService(service)),
                    };
                    mailbox.queue().open -= 1;
                    drop(reply.try_send(result));
                });
            }
        }
    }
}

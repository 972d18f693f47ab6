//! Access to a pool on another core, over rings.
//!
//! Runs on:  the requester's core ([`RemotePool`]) and the pool's ([`RemoteServer`]); neither blocks on the other.
//! Owns:     the two halves of two rings. Bounds: the capacity of [`remote`]: requests queued, running, or whose
//!           response was not taken.
//! When full: the request is returned to the caller. Recovery: take responses.
use super::error::PoolError;
use super::lending::Pool;
use crate::base::limits::{POOL_REMOTE_PUMP_MAX_NS, POOL_REMOTE_PUMP_MIN_NS};
use crate::io::executor::{sleep, spawn};
use crate::ring::{Consumer, Producer, ring};
use crate::wire::http::{Request, Response};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

#[derive(Debug)]
struct RemoteRequest {
    ticket: u64,
    request: Request,
}

/// The response to a request.
#[derive(Debug)]
pub struct RemoteAnswer {
    /// The ticket from [`RemotePool::try_request`].
    pub ticket: u64,
    /// The result.
    pub result: Result<Response, PoolError>,
}

/// The requester's half.
#[derive(Debug)]
pub struct RemotePool {
    requests: Producer<RemoteRequest>,
    answers: Consumer<RemoteAnswer>,
    outstanding: usize,
    capacity: usize,
    next: u64,
    /// Its drop ends [`RemoteServer::serve`].
    _alive: Arc<()>,
    served: Weak<()>,
}

/// The pool's half.
#[derive(Debug)]
pub struct RemoteServer {
    requests: Consumer<RemoteRequest>,
    answers: Producer<RemoteAnswer>,
    requester: Weak<()>,
    _serving: Arc<()>,
}

/// Two halves for up to `capacity` requests at once, each to be moved to its core.
pub fn remote(capacity: usize) -> (RemotePool, RemoteServer) {
    let capacity = capacity.max(1);
    let (requests, received) = ring(capacity);
    let (answers, answered) = ring(capacity);
    let (alive, serving) = (Arc::new(()), Arc::new(()));
    let server = RemoteServer {
        requests: received,
        answers,
        requester: Arc::downgrade(&alive),
        _serving: Arc::clone(&serving),
    };
    let pool = RemotePool {
        requests,
        answers: answered,
        outstanding: 0,
        capacity,
        next: 0,
        _alive: alive,
        served: Arc::downgrade(&serving),
    };
    (pool, server)
}

impl RemotePool {
    /// Queues a request; its ticket is in the response.
    ///
    /// # Errors
    /// The request, if `capacity` requests are outstanding: take responses first.
    pub fn try_request(&mut self, request: Request) -> Result<u64, Request> {
        if self.outstanding >= self.capacity {
            return Err(request);
        }
        self.next += 1;
        let ticket = self.next;
        self.requests
            .try_send(RemoteRequest { ticket, request })
            .map_err(|refused| refused.request)?;
        self.outstanding += 1;
        Ok(ticket)
    }

    /// A response, in order of completion.
    pub fn try_receive(&mut self) -> Option<RemoteAnswer> {
        let answer = self.answers.try_receive()?;
        self.outstanding -= 1;
        Some(answer)
    }

    /// Requests whose responses have not been taken.
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// False once the other half is dropped: no more responses will arrive.
    pub fn is_served(&self) -> bool {
        self.served.strong_count() > 0
    }
}

impl RemoteServer {
    /// Serves requests with `pool`, concurrently, until the requester's half is dropped. To be spawned on the pool's
    /// core.
    pub async fn serve(self, pool: Rc<Pool>) {
        let Self { mut requests, answers, requester, _serving } = self;
        let answers = Rc::new(RefCell::new(answers));
        let mut pause_ns = POOL_REMOTE_PUMP_MIN_NS;
        while requester.strong_count() > 0 {
            let mut received = false;
            while let Some(RemoteRequest { ticket, request }) = requests.try_receive() {
                received = true;
                let (pool, answers) = (Rc::clone(&pool), Rc::clone(&answers));
                spawn(async move {
                    let result = pool.request(&request).await;
                    let sent = answers.borrow_mut().try_send(RemoteAnswer { ticket, result });
                    // The requester never has more outstanding than the ring's capacity.
                    debug_assert!(sent.is_ok(), "the response ring is full");
                });
            }
            pause_ns = if received {
                POOL_REMOTE_PUMP_MIN_NS
            } else {
                (pause_ns * 2).min(POOL_REMOTE_PUMP_MAX_NS)
            };
            sleep(pause_ns).await;
        }
    }
}

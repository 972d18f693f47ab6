//! A pool on another core, asked by ring.
//!
//! Runs on:  the asker's core ([`RemotePool`]) and the pool's ([`RemoteDesk`]); neither waits for the other.
//! Owns:     the two halves of two rings. Bounds: the capacity given to [`remote`]: requests that are under
//!           way, wait, or whose answers have not been taken.
//! When full: the request is given back. Healed by taking answers.
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
struct Ask {
    ticket: u64,
    request: Request,
}

/// An answer to a request by ring.
#[derive(Debug)]
pub struct RemoteAnswer {
    /// What [`RemotePool::try_request`] gave.
    pub ticket: u64,
    /// The answer.
    pub result: Result<Response, PoolError>,
}

/// The asker's half.
#[derive(Debug)]
pub struct RemotePool {
    requests: Producer<Ask>,
    answers: Consumer<RemoteAnswer>,
    outstanding: usize,
    capacity: usize,
    next: u64,
    /// The desk looks whether this is still there.
    _alive: Arc<()>,
    served: Weak<()>,
}

/// The pool's half.
#[derive(Debug)]
pub struct RemoteDesk {
    requests: Consumer<Ask>,
    answers: Producer<RemoteAnswer>,
    asker: Weak<()>,
    _serving: Arc<()>,
}

/// Two halves for up to `capacity` requests at once, each to be moved to its core.
#[must_use]
pub fn remote(capacity: usize) -> (RemotePool, RemoteDesk) {
    let capacity = capacity.max(1);
    let (requests, asked) = ring(capacity);
    let (answers, answered) = ring(capacity);
    let (alive, serving) = (Arc::new(()), Arc::new(()));
    let desk = RemoteDesk {
        requests: asked,
        answers,
        asker: Arc::downgrade(&alive),
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
    (pool, desk)
}

impl RemotePool {
    /// Asks; the ticket comes back with the answer.
    ///
    /// # Errors
    /// The request itself, when as many are outstanding as may be: take answers first.
    pub fn try_request(&mut self, request: Request) -> Result<u64, Request> {
        if self.outstanding >= self.capacity {
            return Err(request);
        }
        self.next += 1;
        let ticket = self.next;
        self.requests.try_send(Ask { ticket, request }).map_err(|ask| ask.request)?;
        self.outstanding += 1;
        Ok(ticket)
    }

    /// An answer that has come; they come in the order in which requests are done.
    pub fn try_receive(&mut self) -> Option<RemoteAnswer> {
        let answer = self.answers.try_receive()?;
        self.outstanding -= 1;
        Some(answer)
    }

    /// Requests whose answers have not been taken.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// False once the desk is gone: nothing more will be answered.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.served.strong_count() > 0
    }
}

impl RemoteDesk {
    /// Answers from `pool` until the asker is gone. Requests run beside each other; the pool puts them in
    /// line. To be spawned on the pool's core.
    pub async fn serve(self, pool: Rc<Pool>) {
        let Self { mut requests, answers, asker, _serving } = self;
        let answers = Rc::new(RefCell::new(answers));
        let mut pause_ns = POOL_REMOTE_PUMP_MIN_NS;
        while asker.strong_count() > 0 {
            let mut asked = false;
            while let Some(Ask { ticket, request }) = requests.try_receive() {
                asked = true;
                let (pool, answers) = (Rc::clone(&pool), Rc::clone(&answers));
                spawn(async move {
                    let result = pool.request(&request).await;
                    let sent = answers.borrow_mut().try_send(RemoteAnswer { ticket, result });
                    // The asker counts: it never has more outstanding than fit.
                    debug_assert!(sent.is_ok(), "the ring of answers is full");
                });
            }
            pause_ns = if asked {
                POOL_REMOTE_PUMP_MIN_NS
            } else {
                (pause_ns * 2).min(POOL_REMOTE_PUMP_MAX_NS)
            };
            sleep(pause_ns).await;
        }
    }
}

//! Readiness of sockets by the runtime's own reactor: for comparison with `driver`.
//!
//! Runs on:  shard cores, inside the executor. Owns: one task and one duplicated descriptor a socket.
//! Bounds:   none beyond the sockets added; a wait lasts [`LOOK_NS`] at most, since rings are looked at
//!           in between and no bell wakes the runtime.
use super::socket::Stream;
use crate::base::time::MILLISECOND_NS;
use futures_lite::future::or;
use glommio::net::TcpStream;
use rustix::net::Shutdown;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Longest wait, nanoseconds.
const LOOK_NS: u64 = MILLISECOND_NS;

/// One socket that a task watches.
#[derive(Debug)]
struct Watched {
    key: u32,
    /// It has bytes, an end or an error that the shard has not looked at.
    ready: bool,
    /// No longer wanted; its task ends.
    removed: bool,
    /// Wakes the task once the shard has looked.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Arc<Mutex<Watched>>>,
    /// Wakes the shard when a socket becomes ready.
    shard: Option<Waker>,
}

/// Sockets watched by the runtime. Used on one executor; the locks, which nobody waits for, are there
/// because a shard is made on another thread than it runs on.
#[derive(Debug, Default)]
pub(super) struct Native {
    state: Arc<Mutex<State>>,
}

impl Native {
    /// Watches a socket from now on.
    pub(super) fn add(&self, stream: &dyn Stream, key: u32) -> std::io::Result<()> {
        let Some(handle) = stream.handle() else { return Ok(()) };
        let copy = rustix::io::fcntl_dupfd_cloexec(handle, 0)?;
        let stream = TcpStream::from(socket2::Socket::from(std::net::TcpStream::from(copy)));
        let watched = Watched { key, ready: false, removed: false, task: None };
        let watched = Arc::new(Mutex::new(watched));
        hold(&self.state).watched.push(Arc::clone(&watched));
        super::executor::spawn(watch(stream, watched, Arc::clone(&self.state)));
        Ok(())
    }

    /// Forgets a socket. It is shut down, so that the task that waits for it ends.
    pub(super) fn remove(&self, stream: &dyn Stream, key: u32) {
        let mut state = hold(&self.state);
        state.watched.retain(|watched| {
            let mut watched = hold(watched);
            if watched.key == key {
                watched.removed = true;
                watched.task.take().into_iter().for_each(Waker::wake);
            }
            watched.key != key
        });
        if let Some(handle) = stream.handle() {
            // A socket that is gone already is what was wanted.
            let _ = rustix::net::shutdown(handle, Shutdown::Both);
        }
    }

    /// Waits until a socket is ready, at most `timeout_ns` and never without letting the runtime
    /// look at its sockets. Gives the keys of all that are ready and lets their tasks go on.
    pub(super) async fn wait(&self, timeout_ns: u64, ready: &mut Vec<u32>) {
        if timeout_ns == 0 {
            super::executor::yield_now().await;
        } else {
            let some = poll_fn(|context| {
                let mut state = hold(&self.state);
                if state.watched.iter().any(|watched| hold(watched).ready) {
                    return Poll::Ready(());
                }
                state.shard = Some(context.waker().clone());
                Poll::Pending
            });
            or(some, super::executor::sleep(timeout_ns.min(LOOK_NS))).await;
        }
        for watched in &hold(&self.state).watched {
            let mut watched = hold(watched);
            if std::mem::take(&mut watched.ready) {
                ready.push(watched.key);
                watched.task.take().into_iter().for_each(Waker::wake);
            }
        }
    }
}

/// A panic ends the process: a lock is never left in disorder.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says each time when a socket can be read, and waits until the shard has looked.
async fn watch(stream: TcpStream, watched: Arc<Mutex<Watched>>, state: Arc<Mutex<State>>) {
    let mut byte = [0u8; 1];
    loop {
        let result = stream.peek(&mut byte).await;
        if hold(&watched).removed {
            return;
        }
        hold(&watched).ready = true;
        let shard = hold(&state).shard.take();
        shard.into_iter().for_each(Waker::wake);
        poll_fn(|context| {
            let mut watched = hold(&watched);
            if watched.removed || !watched.ready {
                return Poll::Ready(());
            }
            watched.task = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        // The shard reads the end or the error by itself and then removes the socket.
        if matches!(result, Ok(0) | Err(_)) {
            return;
        }
    }
}

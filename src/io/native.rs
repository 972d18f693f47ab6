//! Readiness of sockets through glommio's reactor: for comparison with `driver`.
//!
//! Runs on:  shard cores, inside the executor. Owns: one task and one duplicated descriptor per socket.
//! Bounds:   the added sockets; a wait lasts at most [`WAIT_MAX_NS`], since no doorbell wakes the runtime and rings
//!           must be polled in between.
use super::socket::Stream;
use crate::base::time::MILLISECOND_NS;
use futures_lite::future::or;
use glommio::net::TcpStream;
use rustix::net::Shutdown;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

const WAIT_MAX_NS: u64 = MILLISECOND_NS;

#[derive(Debug)]
struct Watched {
    key: u32,
    /// Bytes, end of stream or an error that the shard has not read.
    ready: bool,
    /// Removed; its task ends.
    removed: bool,
    /// Wakes the task after the shard has read.
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<Arc<Mutex<Watched>>>,
    /// Wakes the shard when a socket becomes ready.
    shard: Option<Waker>,
}

/// Sockets watched by glommio. Used on one executor; the uncontended locks are needed because a shard is created on
/// another thread than it runs on.
#[derive(Debug, Default)]
pub(super) struct Native {
    state: Arc<Mutex<State>>,
}

impl Native {
    /// Starts watching a socket.
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

    /// Stops watching a socket and shuts it down, which ends its task.
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
            // Fails if the socket is already closed.
            let _ = rustix::net::shutdown(handle, Shutdown::Both);
        }
    }

    /// Waits for a ready socket, at most `timeout_ns`; always yields to the reactor. Appends the keys of ready sockets
    /// and resumes their tasks.
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
            or(some, super::executor::sleep(timeout_ns.min(WAIT_MAX_NS))).await;
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

/// A panic ends the process, so poisoning does not matter.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks the socket ready whenever it is readable, and waits until the shard has read.
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
        // The shard reads the end or error and removes the socket.
        if matches!(result, Ok(0) | Err(_)) {
            return;
        }
    }
}

//! A wake-up of one task from another thread, without a lock.
//!
//! Runs on:  any thread (`wake`), one executor (`wait`). Owns: the waker of the waiting task.
use atomic_waker::AtomicWaker;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

#[derive(Debug, Default)]
struct Shared {
    rung: AtomicBool,
    waker: AtomicWaker,
}

/// The end that waits. One task waits at a time.
#[derive(Debug, Default)]
pub struct Sleeper {
    shared: Arc<Shared>,
}

/// The end that wakes; any number of them.
#[derive(Clone, Debug, Default)]
pub struct TaskWaker {
    shared: Arc<Shared>,
}

impl Sleeper {
    /// An end that wakes this one.
    pub fn waker(&self) -> TaskWaker {
        TaskWaker { shared: Arc::clone(&self.shared) }
    }

    /// Waits for the next [`TaskWaker::wake`]; returns at once if there was one since the last wait.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.shared.rung.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.shared.waker.register(context.waker());
            // A wake between the first look and the registration has found no waker.
            if self.shared.rung.swap(false, Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl TaskWaker {
    /// Wakes the task. Costs a wake-up only if it sleeps and was not woken since.
    pub fn wake(&self) {
        if !self.shared.rung.swap(true, Ordering::AcqRel) {
            self.shared.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;

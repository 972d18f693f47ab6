//! One value from a thread that may block to a task of an executor.
//!
//! Runs on:  the thread gives, the executor's core awaits; neither waits for the other's lock longer than a move.
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
enum State<T> {
    Open(Option<Waker>),
    Given(T),
    /// Taken, or never given.
    Over,
}

type Shared<T> = Arc<Mutex<State<T>>>;

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of the thread.
#[derive(Debug)]
pub struct Giver<T>(Shared<T>);

/// The end of the task: the value, or `None` if the other end is gone.
#[derive(Debug)]
pub struct Awaited<T>(Shared<T>);

/// Both ends.
pub fn handoff<T>() -> (Giver<T>, Awaited<T>) {
    let shared = Arc::new(Mutex::new(State::Open(None)));
    (Giver(Arc::clone(&shared)), Awaited(shared))
}

impl<T> Giver<T> {
    /// Gives the value.
    pub fn give(self, value: T) {
        self.end(State::Given(value));
    }

    /// Whether the task still waits.
    pub fn is_awaited(&self) -> bool {
        matches!(*lock(&self.0), State::Open(_))
    }

    fn end(&self, end: State<T>) {
        let mut state = lock(&self.0);
        if let State::Open(waker) = &mut *state {
            let waker = waker.take();
            *state = end;
            // Woken under the lock, so that the task cannot go away in between.
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.end(State::Over);
    }
}

impl<T> Future for Awaited<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Over) {
            State::Open(_) => {
                *state = State::Open(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Given(value) => Poll::Ready(Some(value)),
            State::Over => Poll::Ready(None),
        }
    }
}

/// Removes the waker, so that no task of an ended executor is woken.
impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        *lock(&self.0) = State::Over;
    }
}

#[cfg(test)]
mod tests;

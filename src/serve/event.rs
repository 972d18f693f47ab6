//! Wake-ups within one executor: a one-time event, a repeatable bell, a slot for one value.
//!
//! Runs on:  one executor. Owns: the wakers of the waiting futures; removes them when a future is dropped.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A one-time event for any number of waiters.
#[derive(Debug, Default)]
pub(super) struct Event {
    happened: Cell<bool>,
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

impl Event {
    /// Wakes all present and future waiters.
    pub(super) fn set(&self) {
        self.happened.set(true);
        for (_, waker) in self.waiting.take() {
            waker.wake();
        }
    }

    pub(super) const fn is_set(&self) -> bool {
        self.happened.get()
    }

    pub(super) async fn wait(&self) {
        let number = self.next.get();
        self.next.set(number + 1);
        let place = Waiter { event: self, number };
        poll_fn(|context| {
            if place.event.is_set() {
                return Poll::Ready(());
            }
            place.event.waiting.borrow_mut().insert(number, context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Waiter<'a> {
    event: &'a Event,
    number: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.event.waiting.borrow_mut().remove(&self.number);
    }
}

/// Wakes one waiter, now or at its next wait; rings in between count once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// At most one waiter at a time.
    pub(super) async fn wait(&self) {
        poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A value passed once from one task to another.
#[derive(Debug)]
pub(super) struct Slot<T> {
    value: RefCell<Option<T>>,
    waiting: RefCell<Option<Waker>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: RefCell::new(None), waiting: RefCell::new(None) }
    }
}

impl<T> Slot<T> {
    pub(super) fn put(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    pub(super) async fn take(&self) -> T {
        poll_fn(|context| match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.waiting.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests;

//! A bounded ring between two threads: one producer, one consumer, neither waits.
//!
//! Runs on:  any. Bounds: the capacity given to [`ring()`]; a full ring gives the message back.
//!
//! The halves cannot be cloned, so the types guarantee one producer and one consumer. A full ring is counted by the
//! producer and repaired by the rule of its link.
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<Queued<T>>,
    sent: AtomicU64,
    refused: AtomicU64,
    /// Monotonic nanoseconds, where the ring itself measures how long messages wait.
    clock: Option<fn() -> u64>,
    waits: AtomicU64,
    wait_ns: AtomicU64,
    wait_max_ns: AtomicU64,
    /// The producer was dropped.
    closed: AtomicBool,
}

#[derive(Debug)]
struct Queued<T> {
    /// When it was sent; 0 where the ring has no clock.
    sent_ns: u64,
    message: T,
}

/// The sending half.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving half.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
}

/// A view of a ring's counters from any thread.
#[derive(Debug)]
pub struct Gauge<T> {
    shared: Arc<Shared<T>>,
}

/// A [`Gauge`] whatever the messages are, for lists of links.
pub trait LinkGauge: std::fmt::Debug + Send {
    /// Messages accepted, messages given back, messages that wait now, messages that fit.
    fn read(&self) -> [u64; 4];

    /// How long messages waited, as far as that is measured: mean and longest, nanoseconds.
    fn waits(&self) -> [u64; 2];
}

impl<T: Send + std::fmt::Debug> LinkGauge for Gauge<T> {
    fn read(&self) -> [u64; 4] {
        [self.sent(), self.refused(), self.depth() as u64, self.capacity() as u64]
    }

    fn waits(&self) -> [u64; 2] {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let shared = &self.shared;
        let mean_ns = read(&shared.wait_ns).checked_div(read(&shared.waits)).unwrap_or(0);
        [mean_ns, read(&shared.wait_max_ns)]
    }
}

/// Makes a ring for `capacity` messages (at least one).
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    new(capacity, None)
}

/// The same, and each message's wait is measured with `clock`, which gives monotonic nanoseconds. For links with few
/// messages: the clock is read twice for each. Elsewhere the consumer reports a wait with [`Consumer::note_wait`].
pub fn timed<T>(capacity: usize, clock: fn() -> u64) -> (Producer<T>, Consumer<T>) {
    new(capacity, Some(clock))
}

fn new<T>(capacity: usize, clock: Option<fn() -> u64>) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        sent: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        clock,
        waits: AtomicU64::new(0),
        wait_ns: AtomicU64::new(0),
        wait_max_ns: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    });
    (Producer { shared: Arc::clone(&shared) }, Consumer { shared })
}

impl<T> Producer<T> {
    /// Queues `message`, or gives it back when the ring is full.
    ///
    /// # Errors
    /// The message itself; the refusal is counted. The link defines what it means.
    pub fn try_send(&mut self, message: T) -> Result<(), T> {
        let sent_ns = self.shared.clock.map_or(0, |clock| clock());
        let result = self.shared.queue.push(Queued { sent_ns, message });
        // One producer: a plain load and store is enough, no other thread writes these.
        let counter = if result.is_ok() { &self.shared.sent } else { &self.shared.refused };
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        result.map_err(|back| back.message)
    }

    /// A view of the counters for the reports.
    pub fn gauge(&self) -> Gauge<T> {
        Gauge { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl<T> Consumer<T> {
    /// The oldest message, or `None`.
    pub fn try_receive(&mut self) -> Option<T> {
        let Queued { sent_ns, message } = self.shared.queue.pop()?;
        if let Some(clock) = self.shared.clock {
            self.note_wait(clock().saturating_sub(sent_ns));
        }
        Some(message)
    }

    /// A message has waited for so long, where the ring has no clock of its own and the message has its send time.
    pub fn note_wait(&mut self, ns: u64) {
        let add = |value: &AtomicU64, by| {
            // One consumer: a plain load and store is enough, no other thread writes these.
            value.store(value.load(Ordering::Relaxed).saturating_add(by), Ordering::Relaxed);
        };
        let Shared { waits, wait_ns, wait_max_ns, .. } = &*self.shared;
        add(waits, 1);
        add(wait_ns, ns);
        wait_max_ns.store(wait_max_ns.load(Ordering::Relaxed).max(ns), Ordering::Relaxed);
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }

    /// True when nothing waits and the producer was dropped.
    pub fn is_ended(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire) && self.is_empty()
    }
}

impl<T> Gauge<T> {
    /// Messages accepted since the start.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Messages given back because the ring was full.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Messages that wait now.
    pub fn depth(&self) -> usize {
        self.shared.queue.len()
    }

    /// Messages that fit.
    pub fn capacity(&self) -> usize {
        self.shared.queue.capacity()
    }
}

#[cfg(test)]
mod tests;

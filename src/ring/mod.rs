//! A bounded ring between two threads: one producer, one consumer, nobody waits.
//!
//! Runs on:  any. Bounds: the capacity given to [`ring()`]; a full ring gives the message back.
//!
//! The halves cannot be cloned, so the type and not a comment says that there is one producer
//! and one consumer. A full ring is counted by the producer and healed by whoever owns the link.
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    sent: AtomicU64,
    refused: AtomicU64,
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
}

impl<T: Send + std::fmt::Debug> LinkGauge for Gauge<T> {
    fn read(&self) -> [u64; 4] {
        [self.sent(), self.refused(), self.depth() as u64, self.capacity() as u64]
    }
}

/// Makes a ring for `capacity` messages (at least one).
#[must_use]
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        sent: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    (Producer { shared: Arc::clone(&shared) }, Consumer { shared })
}

impl<T> Producer<T> {
    /// Queues `message`, or gives it back when the ring is full.
    ///
    /// # Errors
    /// The message itself; the refusal is counted. What it means is said by the link.
    pub fn try_send(&mut self, message: T) -> Result<(), T> {
        let result = self.shared.queue.push(message);
        // One producer: a plain load and store is enough, no other thread writes these.
        let counter = if result.is_ok() { &self.shared.sent } else { &self.shared.refused };
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        result
    }

    /// A view of the counters for the reports.
    #[must_use]
    pub fn gauge(&self) -> Gauge<T> {
        Gauge { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Consumer<T> {
    /// The oldest message, or `None`.
    pub fn try_receive(&mut self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }
}

impl<T> Gauge<T> {
    /// Messages accepted since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Messages given back because the ring was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Messages that wait now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.queue.len()
    }

    /// Messages that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.queue.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_gives_the_message_back_and_counts_it() {
        let (mut producer, mut consumer) = ring(2);
        let gauge = producer.gauge();
        assert_eq!(producer.try_send(1), Ok(()));
        assert_eq!(producer.try_send(2), Ok(()));
        assert_eq!(producer.try_send(3), Err(3));
        assert_eq!((gauge.sent(), gauge.refused(), gauge.depth(), gauge.capacity()), (2, 1, 2, 2));
        assert_eq!(consumer.try_receive(), Some(1));
        assert_eq!(consumer.try_receive(), Some(2));
        assert_eq!(consumer.try_receive(), None);
        assert!(consumer.is_empty());
    }

    #[test]
    fn messages_cross_threads_in_order_and_none_is_lost() {
        let (mut producer, mut consumer) = ring(64);
        let sender = std::thread::spawn(move || {
            for i in 0..100_000u32 {
                let mut message = i;
                while let Err(back) = producer.try_send(message) {
                    message = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < 100_000 {
            match consumer.try_receive() {
                Some(message) => {
                    assert_eq!(message, expected);
                    expected += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
    }
}

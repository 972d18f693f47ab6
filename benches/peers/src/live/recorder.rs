//! What a client records: how old a frame is when its book has changed, and what that cost.

use super::frame::Stamp;
use crate::host;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest delay that is distinguished, nanoseconds.
const DELAY_NS_MAX: u64 = 60_000_000_000;

/// One run as a client saw it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the intended time of sending to the changed book, nanoseconds.
    pub from_intended: Histogram<u64>,
    /// From the write to the changed book, nanoseconds.
    pub from_written: Histogram<u64>,
    /// CPU time of the client's thread from the first to the last message, nanoseconds.
    pub cpu_ns: u64,
    /// Wall time of the same.
    pub wall_ns: u64,
}

/// What sender, client and main thread know of the present run.
#[derive(Debug, Default)]
pub struct Shared {
    /// Number of the run; a new one resets the recorder.
    run: AtomicU64,
    /// Messages meant to be sent before this are warm-up.
    measure_from_ns: AtomicU64,
    /// Messages that are measured.
    expected: AtomicU64,
    /// Measured so far.
    seen: AtomicU64,
    /// Snapshots that the client has applied.
    pub snapshots: AtomicU64,
    /// The client is to end.
    pub stop: AtomicBool,
    measured: Mutex<Option<Measured>>,
}

impl Shared {
    /// The sender begins a run.
    pub fn begin(&self, measure_from_ns: u64, expected: u64) {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.measure_from_ns.store(measure_from_ns, Ordering::Relaxed);
        self.expected.store(expected, Ordering::Relaxed);
        self.seen.store(0, Ordering::Relaxed);
        self.run.fetch_add(1, Ordering::Release);
    }

    /// Measured messages that have come so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// The run, once its last message has come.
    #[must_use]
    pub fn take(&self) -> Option<Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the client is to end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The client's end, on the thread that changes books.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    run: u64,
    measure_from_ns: u64,
    expected: u64,
    seen: u64,
    begun_cpu_ns: u64,
    begun_ns: u64,
    intended_ns: u64,
    from_intended: Histogram<u64>,
    from_written: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, DELAY_NS_MAX, 3).expect("the bounds are valid")
}

impl Recorder {
    /// Nothing recorded yet.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            run: 0,
            measure_from_ns: u64::MAX,
            expected: 0,
            seen: 0,
            begun_cpu_ns: 0,
            begun_ns: 0,
            intended_ns: 0,
            from_intended: histogram(),
            from_written: histogram(),
        }
    }

    /// What it shares.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// One stamp of a message whose changes are in the books. A message has two: the intended
    /// time first, then the written one, which completes it.
    pub fn on_hash(&mut self, hash: &[u8]) {
        match Stamp::parse(hash) {
            Some(Stamp::Intended(ns)) => self.intended_ns = ns,
            Some(Stamp::Written(written_ns)) => self.on_message(self.intended_ns, written_ns),
            None => {}
        }
    }

    fn on_message(&mut self, intended_ns: u64, written_ns: u64) {
        let now_ns = host::mono_ns();
        let run = self.shared.run.load(Ordering::Acquire);
        if run != self.run {
            self.run = run;
            self.measure_from_ns = self.shared.measure_from_ns.load(Ordering::Relaxed);
            self.expected = self.shared.expected.load(Ordering::Relaxed);
            self.seen = 0;
            self.from_intended.reset();
            self.from_written.reset();
        }
        if intended_ns < self.measure_from_ns {
            return;
        }
        if self.seen == 0 {
            self.begun_cpu_ns = host::thread_cpu_ns();
            self.begun_ns = now_ns;
        }
        self.seen += 1;
        self.from_intended.saturating_record(now_ns.saturating_sub(intended_ns));
        self.from_written.saturating_record(now_ns.saturating_sub(written_ns));
        self.shared.seen.store(self.seen, Ordering::Relaxed);
        if self.seen == self.expected {
            self.publish(now_ns);
        }
    }

    fn publish(&self, now_ns: u64) {
        let measured = Measured {
            from_intended: self.from_intended.clone(),
            from_written: self.from_written.clone(),
            cpu_ns: host::thread_cpu_ns() - self.begun_cpu_ns,
            wall_ns: now_ns - self.begun_ns,
        };
        *self.shared.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(measured);
    }
}

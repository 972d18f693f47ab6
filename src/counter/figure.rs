//! A number that one thread writes and others read.
//!
//! Runs on:  any.
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it; the writer's alone.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to it; the writer's alone.
    pub fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

//! The clocks of the host; the only file that reads them.
//!
//! Runs on:  any. Cost: one counter read, about 11 ns in a virtual machine.
use crate::base::time::{Clock, Now, SECOND_NS};
use std::time::{SystemTime, UNIX_EPOCH};

/// The CPU's counter for intervals, and the wall clock derived from it.
#[derive(Clone, Debug)]
pub struct HostClock {
    clock: quanta::Clock,
    start: u64,
    /// Wall time at monotonic 0; corrected by [`HostClock::align`].
    wall_at_start_ns: u64,
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl HostClock {
    /// Calibrates the counter once per process (up to 200 ms on the first call).
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        let mut this = Self { clock, start, wall_at_start_ns: 0 };
        this.align();
        this
    }

    /// Adjusts to the wall clock, which may have been set; call about once per second.
    pub fn align(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_at_start_ns = (wall.as_nanos() as u64).saturating_sub(self.mono_ns());
    }

    /// Both clocks at one instant.
    pub fn now(&self) -> Now {
        let mono_ns = self.mono_ns();
        Now { mono_ns, wall_ns: self.wall_ns(mono_ns) }
    }

    /// Wall time at `mono_ns`, nanoseconds since the Unix epoch.
    pub fn wall_ns(&self, mono_ns: u64) -> u64 {
        self.wall_at_start_ns.wrapping_add(mono_ns)
    }
}

/// Kernel monotonic time, nanoseconds, for rings that measure waiting times.
pub fn ring_clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64) * SECOND_NS + now.tv_nsec as u64
}

/// CPU time used by the calling thread, nanoseconds; excludes waiting and other threads. A system call: for batches,
/// not per message.
pub fn thread_cpu_ns() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    (used.tv_sec as u64) * SECOND_NS + used.tv_nsec as u64
}

impl Clock for HostClock {
    fn mono_ns(&self) -> u64 {
        self.clock.delta_as_nanos(self.start, self.clock.raw())
    }

    fn now(&self) -> Now {
        Self::now(self)
    }

    fn align(&mut self) {
        Self::align(self);
    }
}

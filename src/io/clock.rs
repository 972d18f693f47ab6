//! The only file that reads a clock.
//!
//! Runs on:  any. Cost: one counter read, about 11 ns in a virtual machine.
use crate::base::time::{Clock, Now, SECOND_NS};
use std::time::{SystemTime, UNIX_EPOCH};

/// The host's clocks: the CPU's counter for intervals, the wall clock by way of it.
#[derive(Clone, Debug)]
pub struct HostClock {
    clock: quanta::Clock,
    start: u64,
    /// Wall time at mono 0; corrected by [`HostClock::align`].
    wall_at_start_ns: u64,
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl HostClock {
    /// Calibrates the counter once per process (up to 200 ms at the first call).
    #[must_use]
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        let mut this = Self { clock, start, wall_at_start_ns: 0 };
        this.align();
        this
    }

    /// Follows the wall clock, which may have been set; call about once a second.
    pub fn align(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_at_start_ns = (wall.as_nanos() as u64).saturating_sub(self.mono_ns());
    }

    /// Both clocks at one moment.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono_ns = self.mono_ns();
        Now { mono_ns, wall_ns: self.wall_ns(mono_ns) }
    }

    /// The wall time, nanoseconds since the Unix epoch, of a monotonic one.
    #[must_use]
    pub fn wall_ns(&self, mono_ns: u64) -> u64 {
        self.wall_at_start_ns.wrapping_add(mono_ns)
    }
}

/// Monotonic nanoseconds by the kernel's clock, for rings that measure their messages' waits.
#[must_use]
pub fn ring_clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64) * SECOND_NS + now.tv_nsec as u64
}

/// CPU time that the calling thread has used, nanoseconds: what else runs on its core is not in
/// it, and neither is waiting. A system call: for batches, not for every message.
#[must_use]
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

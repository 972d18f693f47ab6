//! Units of time, and the clock trait. Clocks are read in `io::clock` only; elsewhere time is an argument.
//!
//! Runs on:  any (pure).

/// One microsecond in nanoseconds.
pub const MICROSECOND_NS: u64 = 1_000;
/// One millisecond in nanoseconds.
pub const MILLISECOND_NS: u64 = 1_000_000;
/// One second in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds in a minute.
pub const MINUTE_NS: u64 = 60 * SECOND_NS;

/// One reading of the clocks: a monotonic one for intervals, a wall clock for venue timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start; never goes back.
    pub mono_ns: u64,
    /// Nanoseconds since the Unix epoch; may step when the host's clock is set.
    pub wall_ns: u64,
}

/// A source of monotonic time, implemented by `io::clock` and by tests.
pub trait Clock {
    /// Monotonic nanoseconds since an arbitrary start.
    fn mono_ns(&self) -> u64;

    /// Both clocks at one instant; without a wall clock, both are the monotonic one.
    fn now(&self) -> Now {
        let mono_ns = self.mono_ns();
        Now { mono_ns, wall_ns: mono_ns }
    }

    /// Adjusts to the wall clock, which may have been set; call about once per second.
    fn align(&mut self) {}
}

/// A constant clock, for code that needs times but measures none.
#[derive(Clone, Copy, Debug, Default)]
pub struct StillClock(pub u64);

impl Clock for StillClock {
    fn mono_ns(&self) -> u64 {
        self.0
    }
}

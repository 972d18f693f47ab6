//! When a frame is due, by its receive time and the replay speed.
//!
//! Runs on:  the replay's reader (pure; time is an argument).
use super::plan::Speed;
use crate::base::time::SECOND_NS;

/// The shards of an engine write to its capture in turns: recorded times go back by at most `--capture-flush-ms`, some
/// seconds. Times that go back further are those of another recording.
pub(super) const DISORDER_NS: u64 = 10 * SECOND_NS;

/// Schedules frames by their recorded times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    factor: f64,
    /// A recorded time and the corresponding monotonic time.
    anchor: Option<(u64, u64)>,
    last_receive_ns: u64,
}

impl Pace {
    /// `None` if frames are not delayed.
    pub(super) const fn of(speed: Speed) -> Option<Self> {
        match speed {
            Speed::Max => None,
            Speed::Times(factor) => Some(Self { factor, anchor: None, last_receive_ns: 0 }),
        }
    }

    /// The monotonic time at which a frame received at `receive_ns` is due. If recorded times go back by more than
    /// [`DISORDER_NS`], as between unordered files, the schedule restarts there.
    pub(super) fn due_ns(&mut self, receive_ns: u64, mono_ns: u64) -> u64 {
        let back = receive_ns.saturating_add(DISORDER_NS) < self.last_receive_ns;
        self.last_receive_ns = if back { receive_ns } else { self.last_receive_ns.max(receive_ns) };
        match self.anchor {
            Some((recorded, mono)) if !back => {
                let later = receive_ns.saturating_sub(recorded) as f64 / self.factor;
                mono.saturating_add(later as u64)
            }
            _ => {
                self.anchor = Some((receive_ns, mono_ns));
                mono_ns
            }
        }
    }
}

#[cfg(test)]
mod tests;

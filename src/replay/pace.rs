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
mod tests {
    use super::*;

    #[test]
    fn intervals_are_divided_by_the_speed() {
        assert!(Pace::of(Speed::Max).is_none());
        let mut pace = Pace::of(Speed::Times(2.0)).unwrap();
        assert_eq!(pace.due_ns(1_000, 50), 50);
        assert_eq!(pace.due_ns(1_100, 60), 100);
        assert_eq!(pace.due_ns(3_000, 70), 1_050);
        let later_ns = 2 * DISORDER_NS;
        assert_eq!(pace.due_ns(later_ns, 70), 50 + (later_ns - 1_000) / 2);
        assert_eq!(pace.due_ns(500, 2_000), 2_000);
        assert_eq!(pace.due_ns(600, 2_001), 2_050);
    }

    #[test]
    fn the_turns_of_shards_do_not_restart_the_schedule() {
        let mut pace = Pace::of(Speed::Times(1.0)).unwrap();
        assert_eq!(pace.due_ns(1_000, 0), 0);
        assert_eq!(pace.due_ns(SECOND_NS, 10), SECOND_NS - 1_000);
        // The other shard's, late.
        assert_eq!(pace.due_ns(900, SECOND_NS), 0);
        assert_eq!(pace.due_ns(2_000, SECOND_NS), 1_000);
        assert_eq!(pace.due_ns(2 * SECOND_NS, SECOND_NS), 2 * SECOND_NS - 1_000);
    }
}

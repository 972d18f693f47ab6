//! When a frame is due, by its receive time and the replay speed.
//!
//! Runs on:  the replay's reader (pure; time is an argument).
use super::plan::Speed;

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

    /// The monotonic time at which a frame received at `receive_ns` is due. If recorded times
    /// go back, as between unordered files, the schedule restarts there.
    pub(super) fn due_ns(&mut self, receive_ns: u64, mono_ns: u64) -> u64 {
        let back = receive_ns < self.last_receive_ns;
        self.last_receive_ns = receive_ns;
        match self.anchor {
            Some((recorded, mono)) if !back => {
                let later = (receive_ns - recorded) as f64 / self.factor;
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
        assert_eq!(pace.due_ns(500, 2_000), 2_000);
        assert_eq!(pace.due_ns(600, 2_001), 2_050);
    }
}

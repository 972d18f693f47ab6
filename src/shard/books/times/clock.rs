//! How far the host's clock is behind the venue's, from the times of messages and of their receipt.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Bounds: two windows of two numbers a connection.
//!
//! A message cannot be received before it is sent: receive time less venue time is the delay less what the host is
//! behind, and the smallest such difference is the best estimate. One market's times may be wrong, so of each
//! connection the smallest difference counts that a second market supports. The times of one connection may be
//! wrong, so the connections decide together: the host counts as behind when half of them show it.
//! Snapshots are no evidence: their time is the last change of the book, possibly days ago.
//! A clock that is ahead is not corrected for: it looks like messages that are late, and a recording may hold those. On
//! such a host a time from the future is noticed only where it is beyond the host's own.
use crate::base::limits::{CLOCK_ERROR_MS, CLOCK_PLAUSIBLE_MS, CLOCK_WINDOW_MS};
use crate::base::time::MILLISECOND_NS;
use crate::shard::books::ConnectionSlot;

/// Receive time less venue time of one message, milliseconds, and a hash of its market.
#[derive(Clone, Copy, Debug)]
struct Difference {
    ms: i64,
    market: u32,
}

/// The smallest difference of a window, and the smallest of another market.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    first: Option<Difference>,
    second: Option<Difference>,
}

impl Least {
    fn add(&mut self, new: Difference) {
        let Some(first) = self.first else {
            self.first = Some(new);
            return;
        };
        if first.market == new.market {
            self.first = Some(Difference { ms: first.ms.min(new.ms), ..new });
        } else if new.ms < first.ms {
            (self.first, self.second) = (Some(new), Some(first));
        } else if self.second.is_none_or(|second| new.ms < second.ms) {
            self.second = Some(new);
        }
    }

    /// The second smallest difference, of another market; the smallest where there is only one market.
    fn supported_ms(&self) -> Option<i64> {
        self.second.or(self.first).map(|difference| difference.ms)
    }
}

/// The smallest differences of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    now: Least,
    before: Least,
}

impl Window {
    fn supported_ms(&self) -> Option<i64> {
        let mut both = self.now;
        [self.before.first, self.before.second].into_iter().flatten().for_each(|d| both.add(d));
        both.supported_ms()
    }
}

/// The difference of the two clocks as one shard sees it; only what the host is behind is put to use.
#[derive(Debug, Default)]
pub(in crate::shard::books) struct VenueClock {
    connections: Vec<Window>,
    /// The host's time at which the window ends, and that of the last message.
    ends_ms: i64,
    last_ms: i64,
    offset_ms: Option<i64>,
    scratch: Vec<i64>,
}

impl VenueClock {
    /// The host's clock less the venue's, with the delay of the fastest messages, milliseconds. Below zero the host
    /// is behind; above it is ahead, or messages are late. `None` before the first message.
    pub(in crate::shard::books) const fn offset_ms(&self) -> Option<i64> {
        self.offset_ms
    }

    /// By how much the host is behind.
    pub(in crate::shard::books) fn behind_ms(&self) -> u64 {
        self.offset_ms.unwrap_or(0).min(0).unsigned_abs()
    }

    /// Whether a time is not ahead of the host's clock, set forward by what it is behind, by more than that may err.
    pub(in crate::shard::books) fn has_come(&self, ms: u64, wall_ns: u64) -> bool {
        wall_ns == 0 || ms <= wall_ns / MILLISECOND_NS + self.behind_ms() + CLOCK_ERROR_MS
    }

    /// Whether a time is ahead at all of the host's clock, set forward by what it is behind.
    pub(in crate::shard::books) fn is_ahead(&self, ms: u64, wall_ns: u64) -> bool {
        wall_ns != 0 && ms > wall_ns / MILLISECOND_NS + self.behind_ms()
    }

    /// Takes the times of a message that is no snapshot.
    #[inline]
    pub(in crate::shard::books) fn observe(
        &mut self,
        connection: ConnectionSlot,
        venue_ms: u64,
        wall_ns: u64,
        market: impl FnOnce() -> u32,
    ) {
        if wall_ns == 0 {
            return;
        }
        let wall_ms = (wall_ns / MILLISECOND_NS) as i64;
        let ms = wall_ms.saturating_sub_unsigned(venue_ms);
        if wall_ms >= self.ends_ms || wall_ms + (CLOCK_ERROR_MS as i64) < self.last_ms {
            self.turn(wall_ms);
        }
        self.last_ms = wall_ms;
        let place = connection.0 as usize;
        let known = self.connections.get(place).and_then(|window| window.now.second);
        if known.is_none_or(|known| ms < known.ms)
            && venue_ms > 0
            && ms.unsigned_abs() <= CLOCK_PLAUSIBLE_MS
        {
            self.lower(place, Difference { ms, market: market() });
        }
    }

    #[cold]
    fn lower(&mut self, place: usize, new: Difference) {
        if place >= self.connections.len() {
            self.connections.resize(place + 1, Window::default());
        }
        let before = self.connections[place].supported_ms();
        self.connections[place].now.add(new);
        if self.connections[place].supported_ms() != before {
            self.decide();
        }
    }

    /// Begins a window. A clock that was set back, or a long silence, leaves nothing to compare with.
    #[cold]
    fn turn(&mut self, wall_ms: i64) {
        let again = wall_ms < self.last_ms || wall_ms >= self.ends_ms + CLOCK_WINDOW_MS;
        for window in &mut self.connections {
            let before = if again { Least::default() } else { window.now };
            *window = Window { now: Least::default(), before };
        }
        self.ends_ms = wall_ms + CLOCK_WINDOW_MS;
        self.decide();
    }

    /// The smallest difference that half of the connections support; unchanged where there is none.
    fn decide(&mut self) {
        self.scratch.clear();
        self.scratch.extend(self.connections.iter().filter_map(Window::supported_ms));
        self.scratch.sort_unstable();
        let Some(&middle_ms) = self.scratch.get(self.scratch.len() / 2) else { return };
        let least_ms = middle_ms.min(0) - CLOCK_ERROR_MS as i64;
        self.offset_ms = self.scratch.iter().copied().find(|&ms| ms >= least_ms);
    }
}

#[cfg(test)]
mod tests;

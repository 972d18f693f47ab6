//! Faults of a frame to one client: lost, doubled, late, reordered, cut, or the last one.
//!
//! Runs on:  the venue's thread (pure). Each kind has a rate and an end; all start disabled.
use crate::base::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The frame is not sent on this connection.
    Lost,
    /// It is sent twice.
    Doubled,
    /// The connection sends nothing for [`LATE_MS`], then everything.
    Late,
    /// It is sent after the next frame of another market.
    Reordered,
    /// The connection closes within it.
    Cut,
    /// From now on the connection sends and reads nothing, and stays open.
    HalfOpen,
}

pub(super) const KINDS: [(&str, Kind); 6] = [
    ("lost", Kind::Lost),
    ("doubled", Kind::Doubled),
    ("late", Kind::Late),
    ("reordered", Kind::Reordered),
    ("cut", Kind::Cut),
    ("half-open", Kind::HalfOpen),
];

/// Delay.
pub(super) const LATE_MS: u64 = 3_000;
/// Longest wait of a frame for another to overtake it.
pub(super) const BEHIND_MS: u64 = 200;
pub(super) const RATE_OF: u64 = 100_000;

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    per_100_000: u64,
    until_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct StreamFaults {
    rates: [Rate; KINDS.len()],
    random: Random,
    any: bool,
}

impl StreamFaults {
    pub(super) fn new(seed: u64) -> Self {
        Self { rates: Default::default(), random: Random::new(seed), any: false }
    }

    /// Enables a kind until a time of the venue, or disables it with rate 0.
    pub(super) fn set(&mut self, kind: Kind, per_100_000: u64, until_ms: u64) {
        if let Some(place) = KINDS.iter().position(|(_, known)| *known == kind) {
            self.rates[place] = Rate { per_100_000, until_ms };
        }
        self.any = self.rates.iter().any(|rate| rate.per_100_000 > 0);
    }

    /// The fault of the next frame.
    pub(super) fn roll(&mut self, now_ms: u64) -> Option<Kind> {
        if !self.any {
            return None;
        }
        for (place, (_, kind)) in KINDS.iter().enumerate() {
            let Rate { per_100_000, until_ms } = self.rates[place];
            if now_ms < until_ms && self.random.chance(per_100_000, RATE_OF) {
                return Some(*kind);
            }
        }
        None
    }

    /// A random position within a frame of `bytes` bytes.
    pub(super) fn place(&mut self, bytes: usize) -> usize {
        self.random.below(bytes as u64) as usize
    }
}

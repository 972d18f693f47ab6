//! What may happen to a frame on its way to one client: lost, doubled, late, behind another, cut, or the last ever.
//!
//! Runs on:  the venue's thread (pure). Each kind has a rate and an end; all start at nothing.
use crate::base::random::Random;

/// A kind of fault, and what `kind=` says for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The frame is not sent on this connection.
    Lost,
    /// It is sent twice.
    Doubled,
    /// The connection says nothing for [`LATE_MS`], and then everything.
    Late,
    /// It goes out behind the next one of another market.
    Reordered,
    /// The connection ends in the middle of it.
    Cut,
    /// From now on the connection says and hears nothing, and does not end.
    HalfOpen,
}

/// Every kind with its name.
pub(super) const KINDS: [(&str, Kind); 6] = [
    ("lost", Kind::Lost),
    ("doubled", Kind::Doubled),
    ("late", Kind::Late),
    ("reordered", Kind::Reordered),
    ("cut", Kind::Cut),
    ("half-open", Kind::HalfOpen),
];

/// How late.
pub(super) const LATE_MS: u64 = 3_000;
/// How long a frame waits for another to overtake it.
pub(super) const BEHIND_MS: u64 = 200;
/// Rates are per this many frames.
pub(super) const RATE_OF: u64 = 100_000;

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    per_100_000: u64,
    until_ms: u64,
}

/// The faults that are switched on.
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

    /// Switches a kind on until a time of the venue's, or off with a rate of nothing.
    pub(super) fn set(&mut self, kind: Kind, per_100_000: u64, until_ms: u64) {
        if let Some(place) = KINDS.iter().position(|(_, known)| *known == kind) {
            self.rates[place] = Rate { per_100_000, until_ms };
        }
        self.any = self.rates.iter().any(|rate| rate.per_100_000 > 0);
    }

    /// What happens to the next frame.
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

    /// A place within a frame of `bytes` bytes.
    pub(super) fn place(&mut self, bytes: usize) -> usize {
        self.random.below(bytes as u64) as usize
    }
}

//! Times and markets of actions: bursts, new markets, early resolutions, in virtual time.
//!
//! Runs on:  the venue's thread (pure).
//!
//! One draw per virtual millisecond. Three factors, redrawn slowly, vary the rate on scales of
//! 30 ms, 0.4 s and 4 s; a few markets have most of the flow.
use super::config::SimConfig;
use crate::base::random::Random;

/// Mean milliseconds between redraws of the three rate factors, and their amplitude: small for
/// the slowest, so that the rate of a short run is near the configured one.
const FACTORS: [(u64, f64); 3] = [(30, 1.0), (400, 1.0), (4_000, 0.6)];
/// Mean actions of a burst with more than one; see [`Scenario::draw_actions`].
const EXTRA_MEAN: f64 = 0.83 * 2.0 + 0.14 * 5.5 + 0.03 * 24.0;

/// Actions of one virtual millisecond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// Virtual milliseconds since the start.
    pub(super) at_ms: u64,
    /// Slots of markets and the number of their actions.
    pub(super) bursts: Vec<(usize, u32)>,
    pub(super) births: u32,
    pub(super) resolutions: u32,
}

/// Generator of moments.
#[derive(Debug)]
pub(super) struct Scenario {
    random: Random,
    bursts_per_ms: f64,
    births_per_ms: f64,
    resolutions_per_ms: f64,
    many_chance: f64,
    swing: f64,
    factors: [f64; 3],
    /// Paced flow: remaining nanoseconds of the first factor.
    factor_ns: f64,
    /// Cumulative weights of the slots.
    weights: Vec<f64>,
    next: Moment,
}

impl Scenario {
    /// With one slot per initial market.
    pub(super) fn new(config: &SimConfig) -> Self {
        let mut random = Random::new(config.seed ^ 0x5ce9_a210);
        let many_chance = (0.3 * config.burst).min(0.9);
        let trades = config.trades_per_10_000 as f64 / 10_000.0;
        let actions_per_ms = config.rate / 1000.0 / (1.0 + 3.0 * trades);
        let weights = running_weights(config.markets, &mut random);
        Self {
            bursts_per_ms: actions_per_ms / (1.0 + many_chance * EXTRA_MEAN),
            births_per_ms: config.births_per_minute / 60_000.0,
            resolutions_per_ms: config.resolutions_per_minute / 60_000.0,
            many_chance,
            swing: config.burst.min(1.5) / 2.0,
            factors: [1.0; 3],
            factor_ns: 0.0,
            weights,
            random,
            next: Moment::default(),
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn add_slot(&mut self) {
        let total = self.weights.last().copied().unwrap_or(0.0);
        self.weights.push(total + total / (self.weights.len() + 1) as f64);
    }

    /// Time of the next non-empty moment, at most `until_ms`.
    pub(super) fn peek_ms(&mut self, until_ms: u64) -> u64 {
        while self.next.is_empty() && self.next.at_ms < until_ms {
            self.next.at_ms += 1;
            self.draw();
        }
        self.next.at_ms
    }

    pub(super) fn take(&mut self, at_ms: u64) -> Option<Moment> {
        if self.next.at_ms != at_ms || self.next.is_empty() {
            return None;
        }
        let next = Moment { at_ms, ..Moment::default() };
        Some(std::mem::replace(&mut self.next, next))
    }

    fn draw(&mut self) {
        for (factor, (period_ms, reach)) in self.factors.iter_mut().zip(FACTORS) {
            if self.random.chance(1, period_ms) {
                *factor = draw_factor(&mut self.random, self.swing * reach);
            }
        }
        let rate = self.bursts_per_ms * self.factors.iter().product::<f64>();
        for _ in 0..poisson(&mut self.random, rate) {
            let slot = self.draw_slot();
            let actions = self.draw_actions();
            match self.next.bursts.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, sum)) => *sum += actions,
                None => self.next.bursts.push((slot, actions)),
            }
        }
        self.next.births = poisson(&mut self.random, self.births_per_ms);
        self.next.resolutions = poisson(&mut self.random, self.resolutions_per_ms);
    }

    /// Nanoseconds from one beat of a paced flow to the next, and the actions of that beat.
    /// `gap_ns` is the mean gap between two actions; without bursts exactly `gap_ns` and one action.
    /// Only the quickest rate factor is used: with the others a step of seconds
    /// would not have the configured rate.
    pub(super) fn draw_beat(&mut self, gap_ns: f64) -> (f64, u32) {
        if self.many_chance == 0.0 {
            return (gap_ns, 1);
        }
        let (period_ms, reach) = FACTORS[0];
        let mean_ns = gap_ns * (1.0 + self.many_chance * EXTRA_MEAN);
        // Time at factor 1, spent at the successive factors.
        let mut left_ns = mean_ns * self.draw_exponential();
        let mut passed_ns = 0.0;
        while left_ns > self.factor_ns * self.factors[0] {
            left_ns -= self.factor_ns * self.factors[0];
            passed_ns += self.factor_ns;
            self.factors[0] = draw_factor(&mut self.random, self.swing * reach);
            self.factor_ns = period_ms as f64 * 1e6 * self.draw_exponential();
        }
        let rest_ns = left_ns / self.factors[0].max(f64::MIN_POSITIVE);
        self.factor_ns -= rest_ns;
        (passed_ns + rest_ns, self.draw_actions())
    }

    /// Mean 1.
    fn draw_exponential(&mut self) -> f64 {
        -(1.0 - self.random.unit()).ln()
    }

    pub(super) fn draw_slot(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or(0.0);
        let target = self.random.unit() * total;
        self.weights.partition_point(|&sum| sum <= target).min(self.weights.len() - 1)
    }

    fn draw_actions(&mut self) -> u32 {
        if self.random.unit() >= self.many_chance {
            return 1;
        }
        let extra = match self.random.below(100) {
            0..83 => 1 + self.random.below(3),
            83..97 => 4 + self.random.below(4),
            _ => 8 + self.random.below(33),
        };
        1 + extra as u32
    }
}

impl Moment {
    fn is_empty(&self) -> bool {
        self.bursts.is_empty() && self.births == 0 && self.resolutions == 0
    }
}

/// Mean 1: below for four fifths of the time, far above for one fifth.
fn draw_factor(random: &mut Random, swing: f64) -> f64 {
    if random.chance(1, 5) { 1.0 + 4.0 * swing } else { 1.0 - swing }
}

/// Zipf-like weights in random order, cumulative.
fn running_weights(slots: usize, random: &mut Random) -> Vec<f64> {
    let mut ranks: Vec<usize> = (0..slots).collect();
    for at in (1..slots).rev() {
        ranks.swap(at, random.below(at as u64 + 1) as usize);
    }
    let mut sum = 0.0;
    let add = |rank: usize| {
        sum += 1.0 / (1.0 + rank as f64);
        sum
    };
    ranks.into_iter().map(add).collect()
}

/// A random count with the given mean: exact below 16, sums above.
fn poisson(random: &mut Random, mean: f64) -> u32 {
    let (mut left, mut count) = (mean, 0);
    while left > 0.0 {
        let part = left.min(16.0);
        left -= part;
        let bound = (-part).exp();
        let mut product = random.unit();
        while product > bound {
            count += 1;
            product *= random.unit();
        }
    }
    count
}

#[cfg(test)]
mod tests;

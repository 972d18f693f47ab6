//! One market of the simulated Kalshi: bids for YES and NO, and their changes.
//!
//! Runs on:  the venue's thread (pure).
//! Bounds:   a side has at most as many levels as its price grid.
use super::config::KalshiConfig;
use super::messages;
use crate::base::random::Random;
use std::collections::BTreeMap;

/// One dollar in price units of 1/10,000 dollar.
pub(super) const DOLLAR: u32 = 10_000;

/// A side of the book: price in 1/10,000 dollar, quantity in 1/100 contract.
pub(super) type Bids = BTreeMap<u32, u64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Initialized,
    Active,
    Closed,
    Finalized,
}

impl Phase {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Active => "active",
            Self::Closed => "closed",
            Self::Finalized => "finalized",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) yes: bool,
    pub(super) price: u32,
    pub(super) delta: i64,
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) yes_price: u32,
    pub(super) count: u64,
    pub(super) taker_yes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Market {
    pub(super) ticker: String,
    pub(super) id: String,
    pub(super) event: u32,
    pub(super) yes: Bids,
    pub(super) no: Bids,
    pub(super) phase: Phase,
    pub(super) result_yes: bool,
    /// Milliseconds since the Unix epoch.
    pub(super) created_ms: u64,
    pub(super) open_ms: u64,
    pub(super) close_ms: u64,
    pub(super) settled_ms: Option<u64>,
    /// Last change of its phase or times.
    pub(super) updated_ms: u64,
    pub(super) changed_ms: u64,
    pub(super) last_price: u32,
    /// 1/100 contract.
    pub(super) last_count: u64,
    pub(super) volume: u64,
    /// Sum paid for them, 1e-6 dollar.
    pub(super) paid: u64,
    pub(super) tick: u32,
    middle: u32,
    reach: u32,
}

impl Market {
    pub(super) fn new(
        number: u32,
        config: &KalshiConfig,
        now_ms: u64,
        random: &mut Random,
    ) -> Self {
        let event = number / 5;
        let fine = number % 7 == 3;
        let half = if number % 5 == 2 { ".5" } else { "" };
        let tick = if fine { 10 } else { 100 };
        let middle = (DOLLAR / 20 + random.below(u64::from(DOLLAR * 9 / 10)) as u32) / tick * tick;
        let mut market = Self {
            ticker: format!("KXSIM-26NOV27E{event}-T{number}{half}"),
            id: messages::uuid(u64::from(number) + 1),
            event,
            yes: Bids::new(),
            no: Bids::new(),
            phase: Phase::Active,
            result_yes: false,
            created_ms: now_ms,
            open_ms: now_ms,
            close_ms: now_ms + 365 * 86_400_000,
            settled_ms: None,
            updated_ms: now_ms,
            changed_ms: now_ms,
            last_price: middle,
            last_count: 0,
            volume: 0,
            paid: 0,
            tick,
            middle,
            reach: config.levels.max(1) as u32,
        };
        for _ in 0..config.levels {
            for yes in [true, false] {
                market.place(yes, random);
            }
        }
        market
    }

    fn side(&mut self, yes: bool) -> &mut Bids {
        if yes { &mut self.yes } else { &mut self.no }
    }

    /// Best bid for YES and best bid for NO.
    pub(super) fn best(&self) -> [Option<(u32, u64)>; 2] {
        [&self.yes, &self.no].map(|side| side.last_key_value().map(|(&price, &size)| (price, size)))
    }

    /// Adds to a level near the middle without crossing.
    fn place(&mut self, yes: bool, random: &mut Random) -> Option<Change> {
        let own = if yes { self.middle } else { DOLLAR - self.middle };
        let away = (1 + random.below(u64::from(self.reach) * 3 / 2 + 1) as u32) * self.tick;
        let price = own.checked_sub(away).filter(|&price| price > 0)?;
        let other = if yes { &self.no } else { &self.yes };
        if other.last_key_value().is_some_and(|(&best, _)| price + best >= DOLLAR) {
            return None;
        }
        let whole = 100 * (1 + random.below(500));
        let size = if random.below(5) == 0 { whole + 1 + random.below(99) } else { whole };
        *self.side(yes).entry(price).or_insert(0) += size;
        Some(Change { yes, price, delta: size as i64 })
    }

    /// Removes a level in part or whole.
    fn take(&mut self, yes: bool, random: &mut Random) -> Option<Change> {
        let side = self.side(yes);
        let place = random.below(side.len().max(1) as u64) as usize;
        let (&price, &size) = side.iter().nth(place)?;
        let part = if random.below(2) == 0 { size } else { 1 + random.below(size) };
        Some(self.reduce(yes, price, part))
    }

    fn reduce(&mut self, yes: bool, price: u32, by: u64) -> Change {
        let side = self.side(yes);
        if let Some(size) = side.get_mut(&price) {
            *size -= by;
            if *size == 0 {
                side.remove(&price);
            }
        }
        Change { yes, price, delta: -(by as i64) }
    }

    /// One order placed or cancelled.
    pub(super) fn change(&mut self, now_ms: u64, random: &mut Random) -> Option<Change> {
        self.changed_ms = now_ms;
        let yes = random.below(2) == 0;
        let few = self.side(yes).len() < self.reach as usize;
        let place = random.below(100) < if few { 70 } else { 40 };
        if place { self.place(yes, random) } else { self.take(yes, random) }
    }

    /// One trade at the best price.
    pub(super) fn deal(&mut self, now_ms: u64, random: &mut Random) -> Option<(Deal, Change)> {
        self.changed_ms = now_ms;
        let taker_yes = random.below(2) == 0;
        // A buyer of YES takes a bid for NO.
        let (&price, &size) = self.side(!taker_yes).last_key_value()?;
        let count = if random.below(3) == 0 { size } else { 1 + random.below(size) };
        let yes_price = if taker_yes { DOLLAR - price } else { price };
        self.last_price = yes_price;
        self.last_count = count;
        self.volume += count;
        self.paid += count * u64::from(yes_price);
        let change = self.reduce(!taker_yes, price, count);
        Some((Deal { yes_price, count, taker_yes }, change))
    }

    pub(super) fn result(&self) -> &'static str {
        match self.phase {
            Phase::Finalized if self.result_yes => "yes",
            Phase::Finalized => "no",
            _ => "",
        }
    }

    /// Settlement value of a YES contract.
    pub(super) const fn settlement(&self) -> u32 {
        if self.result_yes { DOLLAR } else { 0 }
    }

    /// Empties the book; returns the changes.
    pub(super) fn clear(&mut self, now_ms: u64) -> Vec<Change> {
        self.changed_ms = now_ms;
        let mut all = Vec::new();
        for yes in [true, false] {
            let side = std::mem::take(self.side(yes));
            all.extend(side.into_iter().map(|(price, size)| Change {
                yes,
                price,
                delta: -(size as i64),
            }));
        }
        all
    }
}

#[cfg(test)]
mod tests;

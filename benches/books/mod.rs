//! A universe of books of one depth, and changes to them: what `benches/book.rs` measures with.
//!
//! Every side has its levels on neighbouring ticks from the best price on. Of the changes, 60 %
//! fall within 8 ticks of the best, 20 % within 21, the rest anywhere; one in ten removes its
//! level, so that about nine in ten levels are there at any time.
use ringbook::base::price::{Price, Quantity};
use ringbook::base::random::Random;
use ringbook::base::time::Now;
use ringbook::market::book::{Level, Side};
use ringbook::market::event::{ChangeSpan, Changes, Event, Snapshot, Span};
use ringbook::shard::books::{Books, ConnectionSlot};
use std::ops::Range;

/// Which market changes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All alike: the worst case of any cache.
    Uniform,
    /// The market of rank `r` in proportion to `1 / r` (Zipf): few are busy, most are quiet.
    Busy,
}

pub(crate) struct Universe {
    /// Market and token of each book; the two of a market are neighbours.
    ids: Vec<(String, String)>,
    /// Market by rank: the busy ones lie anywhere.
    order: Vec<u32>,
    levels: u32,
    tick: u32,
    random: Random,
}

impl Universe {
    pub(crate) fn new(books: usize, levels: u32) -> Self {
        let mut random = Random::new(7);
        let mut ids = Vec::with_capacity(books);
        for _ in 0..books / 2 {
            let mut word = || random.next_u64();
            let market = format!("0x{:016x}{:016x}{:016x}{:016x}", word(), word(), word(), word());
            for _ in 0..2 {
                let mut part = || random.below(1_000_000_000_000_000_000);
                let token = format!("1{:018}{:018}{:018}{:018}", part(), part(), part(), part());
                ids.push((market.clone(), token + "7042"));
            }
        }
        let mut order: Vec<u32> = (0..(books / 2) as u32).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        let tick = match levels {
            0..=40 => 10_000,
            41..=400 => 1_000,
            _ => 100,
        };
        Self { ids, order, levels, tick, random }
    }

    /// The step of prices.
    pub(crate) fn tick(&self) -> u32 {
        self.tick
    }

    fn level(&self, side: Side, away: u32, quantity: u64) -> Level {
        let away = (away + 1) * self.tick;
        let price = match side {
            Side::Bid => 500_000 - away,
            Side::Ask => 500_000 + away,
        };
        Level { price: Price(price), quantity: Quantity(quantity) }
    }

    fn quantity(&mut self) -> u64 {
        (100 + self.random.below(1_000_000)) * 10_000
    }

    /// A whole side, worst first as on the wire.
    pub(crate) fn side(&mut self, side: Side) -> Vec<Level> {
        let mut levels = Vec::with_capacity(self.levels as usize);
        for away in (0..self.levels).rev() {
            let quantity = self.quantity();
            levels.push(self.level(side, away, quantity));
        }
        levels
    }

    pub(crate) fn change(&mut self) -> (Side, Level) {
        let side = if self.random.chance(1, 2) { Side::Bid } else { Side::Ask };
        let away = match self.random.below(10) {
            0..6 => self.random.below(8),
            6..8 => 8 + self.random.below(13),
            _ => self.random.below(u64::from(self.levels)),
        };
        let quantity = if self.random.chance(1, 10) { 0 } else { self.quantity() };
        let level = self.level(side, away as u32 % self.levels, quantity);
        (side, level)
    }

    /// A market's number.
    pub(crate) fn market(&mut self, choice: Choice) -> usize {
        let markets = self.order.len();
        match choice {
            Choice::Uniform => self.random.below(markets as u64) as usize,
            Choice::Busy => {
                let rank = (markets as f64).powf(self.random.unit()) as usize;
                self.order[rank.clamp(1, markets) - 1] as usize
            }
        }
    }

    /// One of the two books of a market.
    pub(crate) fn outcome(&mut self) -> usize {
        self.random.below(2) as usize
    }

    /// Every book's snapshot.
    pub(crate) fn fill(&mut self, books: &mut Books<()>) {
        for at in 0..self.ids.len() {
            let (bids, asks) = (self.side(Side::Bid), self.side(Side::Ask));
            let (market, token) = &self.ids[at];
            let snapshot = Snapshot {
                market,
                token,
                timestamp_ms: 1,
                hash: Some([b'a'; 40]),
                bids: &bids,
                asks: &asks,
                tick_size: None,
                last_trade: None,
                min_order_size: None,
                neg_risk: None,
            };
            books.on_event(&Event::Snapshot(snapshot), ConnectionSlot(0), Now::default());
        }
    }
}

/// Messages of the same number of changes, as a decoder hands them on.
#[derive(Default)]
pub(crate) struct Messages {
    frame: String,
    changes: Vec<ChangeSpan>,
    messages: Vec<(Span, Range<usize>)>,
}

impl Messages {
    /// `count` messages, each about one book, or with a change for both of a market.
    pub(crate) fn make(&mut self, from: &mut Universe, count: usize, both: bool, choice: Choice) {
        self.frame.clear();
        self.changes.clear();
        self.messages.clear();
        for _ in 0..count {
            let (market, outcome) = (from.market(choice), from.outcome());
            let name = put(&mut self.frame, &from.ids[2 * market].0);
            let first = self.changes.len();
            for at in 0..=usize::from(both) {
                let token = put(&mut self.frame, &from.ids[2 * market + (outcome ^ at)].1);
                let (side, level) = from.change();
                let hash = Some([b'b'; 40]);
                let (best_bid, best_ask) = (None, None);
                self.changes.push(ChangeSpan { token, side, level, hash, best_bid, best_ask });
            }
            self.messages.push((name, first..self.changes.len()));
        }
    }

    pub(crate) fn apply(&self, books: &mut Books<()>) {
        for (market, range) in &self.messages {
            let changes = Changes {
                market: market.of(&self.frame),
                timestamp_ms: 2,
                frame: &self.frame,
                changes: &self.changes[range.clone()],
            };
            books.on_event(&Event::Changes(changes), ConnectionSlot(0), Now::default());
        }
    }
}

fn put(frame: &mut String, text: &str) -> Span {
    let span = Span { start: frame.len() as u32, len: text.len() as u32 };
    frame.push_str(text);
    span
}

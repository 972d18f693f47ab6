//! Frames shaped like recorded ones, from a seed: what the benchmarks and `ringbook replay` read.
//!
//! Shapes and shares are those of recordings: price changes of about
//! 600 bytes with one change for each of two mirrored tokens, 3 % books, 1.3 % trades; 10 % of
//! changes remove a level, 60 % fall within 7 ticks of the best, 20 % beyond 20.
#![allow(dead_code, reason = "every bench uses another part")]
use ringbook::base::random::Random;
use ringbook::market::{event::Event, info::MarketUpdate};
use ringbook::venue::{DecodeNotice, Sink};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

/// Reads every event and stores nothing.
pub(crate) struct Eye;

impl Sink for Eye {
    fn on_event(&mut self, event: &Event<'_>) {
        black_box(event);
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        black_box(update);
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        panic!("{notice:?} in generated frames");
    }
}

/// Tokens of one dump frame.
const DUMP_TOKENS: usize = 400;

/// A dump of every book, then a stream.
pub(crate) struct Frames {
    /// Array frames with every token's book.
    pub(crate) dump: Vec<String>,
    /// What follows.
    pub(crate) stream: Vec<String>,
    /// Venue time of each frame of the stream, Unix milliseconds.
    pub(crate) times_ms: Vec<u64>,
}

/// The first outcome's book in ticks; the second mirrors it.
struct Market {
    id: String,
    tokens: [String; 2],
    /// Ticks in a dollar: 100 or 1000.
    ticks: u32,
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
}

/// Sizes as on the wire: a hundredth of a share.
fn size(hundredths: u64) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}"),
        (whole, rest) if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
        (whole, rest) => format!("{whole}.{rest:02}"),
    }
}

fn hex(random: &mut Random, digits: usize) -> String {
    let mut text = String::with_capacity(digits + 16);
    while text.len() < digits {
        let _ = write!(text, "{:016x}", random.next_u64());
    }
    text.truncate(digits);
    text
}

fn token(random: &mut Random) -> String {
    let mut text = format!("{}", 1 + random.below(9));
    while text.len() < 77 {
        let _ = write!(text, "{:018}", random.below(1_000_000_000_000_000_000));
    }
    text.truncate(77);
    text
}

impl Market {
    fn new(random: &mut Random) -> Self {
        let ticks = if random.chance(3, 4) { 100 } else { 1000 };
        let middle = ticks / 5 + random.below(u64::from(ticks) * 3 / 5) as u32;
        let mut market = Self {
            id: format!("0x{}", hex(random, 64)),
            tokens: [token(random), token(random)],
            ticks,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
        };
        let levels = 15 + random.below(44) as u32;
        for _ in 0..levels {
            let away = 1 + random.below(u64::from(ticks / 5 - 1)) as u32;
            market.bids.insert(middle - away, 100 + random.below(1_000_000));
            market.asks.insert(middle + away, 100 + random.below(1_000_000));
        }
        market
    }

    fn price(&self, ticks: u32) -> String {
        let micro = u64::from(ticks) * (1_000_000 / u64::from(self.ticks));
        match micro {
            0 => "0".into(),
            1_000_000 => "1".into(),
            _ => format!("0.{micro:06}").trim_end_matches('0').to_owned(),
        }
    }

    /// Best bid and ask of one outcome.
    fn best(&self, outcome: usize) -> [u32; 2] {
        let bid = self.bids.last_key_value().map_or(0, |(&price, _)| price);
        let ask = self.asks.first_key_value().map_or(self.ticks, |(&price, _)| price);
        if outcome == 0 { [bid, ask] } else { [self.ticks - ask, self.ticks - bid] }
    }

    fn levels(&self, outcome: usize) -> [String; 2] {
        let flip = |price: u32| if outcome == 0 { price } else { self.ticks - price };
        // Best last on both sides.
        let bids = self.bids.iter().map(|(&price, &n)| (flip(price), n));
        let asks = self.asks.iter().rev().map(|(&price, &n)| (flip(price), n));
        let (bids, asks) = (self.side(bids), self.side(asks));
        if outcome == 0 { [bids, asks] } else { [asks, bids] }
    }

    fn side(&self, levels: impl Iterator<Item = (u32, u64)>) -> String {
        let levels: Vec<String> = levels
            .map(|(price, n)| {
                format!(r#"{{"price":"{}","size":"{}"}}"#, self.price(price), size(n))
            })
            .collect();
        levels.join(",")
    }

    fn dump(&self, outcome: usize, ms: u64, random: &mut Random) -> String {
        let ([bids, asks], hash) = (self.levels(outcome), hex(random, 40));
        let (market, token) = (&self.id, &self.tokens[outcome]);
        let tick = if self.ticks == 100 { "0.01" } else { "0.001" };
        format!(
            r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{ms}","hash":"{hash}","bids":[{bids}],"asks":[{asks}],"tick_size":"{tick}","event_type":"book","last_trade_price":"0.500"}}"#
        )
    }

    fn book(&self, outcome: usize, ms: u64, random: &mut Random) -> String {
        let ([bids, asks], hash) = (self.levels(outcome), hex(random, 40));
        let (bids, asks) = (bids.replace(',', ", "), asks.replace(',', ", "));
        let (market, token) = (&self.id, &self.tokens[outcome]);
        format!(
            r#"{{"market":"{market}", "asset_id":"{token}", "bids":[{bids}], "asks":[{asks}], "hash":"{hash}", "timestamp":"{ms}", "event_type":"book"}}"#
        )
    }

    fn trade(&self, ms: u64, random: &mut Random) -> String {
        let outcome = random.below(2) as usize;
        let (market, token) = (&self.id, &self.tokens[outcome]);
        let side = random.below(2) as usize;
        let price = self.price(self.best(outcome)[side]);
        let (n, rest) = (1 + random.below(300), random.below(1_000_000));
        let (side, hash) = (["SELL", "BUY"][side], hex(random, 64));
        format!(
            r#"{{"market":"{market}", "asset_id":"{token}", "price":"{price}", "size":"{n}.{rest:06}", "fee_rate_bps":"0", "side":"{side}", "timestamp":"{ms}", "event_type":"last_trade_price", "transaction_hash":"0x{hash}"}}"#
        )
    }

    /// Changes one level and reports it for both outcomes.
    fn change(&mut self, ms: u64, random: &mut Random) -> String {
        let bid = random.chance(1, 2);
        let [best_bid, best_ask] = self.best(0);
        let away = match random.below(10) {
            0..6 => random.below(8),
            6..8 => 8 + random.below(13),
            _ => 21 + random.below(u64::from(self.ticks) / 4),
        } as u32;
        let price = if bid {
            // Now and then inside the spread, where there is room.
            let inside = u32::from(away == 0 && best_ask - best_bid > 1 && random.chance(1, 3));
            (best_bid + inside).saturating_sub(away).max(1)
        } else {
            let inside = u32::from(away == 0 && best_ask - best_bid > 1 && random.chance(1, 3));
            (best_ask - inside + away).min(self.ticks - 1)
        };
        let side = if bid { &mut self.bids } else { &mut self.asks };
        let remove = random.chance(1, 10) && side.len() > 5;
        let n = if remove { 0 } else { 100 + random.below(1_000_000) };
        // A removal wants a level that is there.
        let near = side.range(..=price).next_back().or(side.range(price..).next());
        let price = near.filter(|_| remove).map_or(price, |(&price, _)| price);
        if remove {
            side.remove(&price);
        } else {
            side.insert(price, n);
        }
        let entry = |outcome: usize, random: &mut Random| {
            let [best_bid, best_ask] = self.best(outcome).map(|price| self.price(price));
            let price = self.price(if outcome == 0 { price } else { self.ticks - price });
            let side = if bid == (outcome == 0) { "BUY" } else { "SELL" };
            let (token, n, hash) = (&self.tokens[outcome], size(n), hex(random, 40));
            format!(
                r#"{{"asset_id":"{token}", "price":"{price}", "size":"{n}", "side":"{side}", "hash":"{hash}", "best_bid":"{best_bid}", "best_ask":"{best_ask}"}}"#
            )
        };
        let (first, second) = (entry(0, random), entry(1, random));
        let market = &self.id;
        format!(
            r#"{{"market":"{market}", "price_changes":[{first}, {second}], "timestamp":"{ms}", "event_type":"price_change"}}"#
        )
    }
}

/// Frames about `tokens` tokens; `stream` of them after the dump. A few markets are busy and
/// most are quiet, as on the venue.
pub(crate) fn frames(tokens: usize, stream: usize, seed: u64) -> Frames {
    let mut random = Random::new(seed);
    let mut markets: Vec<Market> = (0..tokens / 2).map(|_| Market::new(&mut random)).collect();
    let mut ms = 1_790_491_135_816;
    let books: Vec<String> =
        markets.iter().flat_map(|m| [0, 1].map(|o| m.dump(o, ms, &mut random))).collect();
    let dump = books.chunks(DUMP_TOKENS).map(|books| format!("[{}]", books.join(","))).collect();
    let stream = (0..stream).map(|_| {
        ms += random.below(3);
        let skewed = random.unit() * random.unit();
        let at = (skewed * markets.len() as f64) as usize;
        let market = &mut markets[at];
        let frame = match random.below(1000) {
            0..957 => market.change(ms, &mut random),
            957..987 => market.book(random.below(2) as usize, ms, &mut random),
            _ => market.trade(ms, &mut random),
        };
        (frame, ms)
    });
    let (stream, times_ms) = stream.unzip();
    Frames { dump, stream, times_ms }
}

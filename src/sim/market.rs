//! A market of the simulated venue: identity, book, subscribers; and events that group markets.
//!
//! Runs on:  the venue's thread (pure).
use super::book::{Book, Outcome};
use super::summary::{self, Hash, Heading};
use crate::base::price::{Price, Quantity};
use crate::base::random::{Random, mix};

/// Smallest order, as on the wire.
pub(super) const MIN_ORDER_SIZE: &str = "5";
pub(super) const TICK_COARSE: Price = Price(10_000);
/// Price grid of a market with a nearly certain outcome.
pub(super) const TICK_FINE: Price = Price(1_000);
const NUMBER_FIRST: u64 = 600_001;
const EVENT_NUMBER_FIRST: u64 = 40_001;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) connection: usize,
    /// Bits of the outcomes subscribed, see [`Outcome::bit`].
    pub(super) outcomes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Trading.
    Open,
    /// After its end: the book does not change until the resolution.
    Ended,
    /// Resolved; without a book.
    Resolved(Outcome),
}

/// The kinds of ids in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    /// No version, as before Protocol V2.
    #[default]
    Unsaid,
    /// Tokens of V1.
    V1,
    /// Position ids only; the key of V1 is missing or an empty list.
    V2 { with_key: bool },
    /// Position ids, and ids of V1 that cannot be subscribed.
    Both([String; 2]),
}

#[derive(Debug)]
pub(super) struct Market {
    /// Gamma's `id`.
    pub(super) number: u64,
    pub(super) condition: String,
    /// Token ids, or position ids.
    pub(super) tokens: [String; 2],
    pub(super) version: Version,
    /// `Yes`/`No` or `Up`/`Down`.
    pub(super) outcomes: [&'static str; 2],
    pub(super) question: String,
    pub(super) slug: String,
    pub(super) event: usize,
    pub(super) neg_risk: bool,
    pub(super) fee_rate_bps: &'static str,
    /// Start and end, milliseconds since the Unix epoch, as listed by Gamma.
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) phase: Phase,
    /// Time of its resolution.
    pub(super) closed_ms: u64,
    pub(super) tick: Price,
    pub(super) book: Book,
    /// Time of the book's last change, milliseconds since the Unix epoch.
    pub(super) changed_ms: u64,
    pub(super) last_trade: Option<Price>,
    /// Its text with three decimals, empty before the first trade.
    pub(super) last_trade_text: String,
    /// Shares traded.
    pub(super) volume: Quantity,
    /// Price that the flow tends to.
    pub(super) fair: Price,
    /// Levels per side that the flow tends to.
    pub(super) depth: usize,
    pub(super) random: Random,
    pub(super) subscribers: Vec<Subscriber>,
}

impl Market {
    pub(super) fn token(&self, outcome: Outcome) -> &str {
        &self.tokens[outcome.index()]
    }

    /// Creates the ids of a market of V1 or, with probability `percent`/100, of V2.
    pub(super) fn choose_version(&mut self, percent: u64, seed: u64) {
        let mut random = Random::new(mix(seed ^ 0x0000_7652));
        self.version = Version::V1;
        if !random.chance(percent, 100) {
            return;
        }
        // A module, 144 random bits, 64 zeros, 32 random bits, the outcome.
        let mut id = [0u8; 32];
        id[1..9].copy_from_slice(&random.next_u64().to_be_bytes());
        id[9..17].copy_from_slice(&random.next_u64().to_be_bytes());
        let [a, b, c, d, e, f, ..] = random.next_u64().to_be_bytes();
        (id[0], id[17], id[18]) = (1 + a % 3, a, b);
        id[27..31].copy_from_slice(&[c, d, e, f]);
        self.condition = id.iter().fold("0x".to_owned(), |hex, byte| hex + &format!("{byte:02x}"));
        let first = decimal(id);
        id[31] = 1;
        let legacy = std::mem::replace(&mut self.tokens, [first, decimal(id)]);
        self.version = if random.chance(1, 2) {
            Version::Both(legacy)
        } else {
            Version::V2 { with_key: random.chance(1, 2) }
        };
    }

    /// Whether its ids are of Protocol V2.
    pub(super) const fn is_v2(&self) -> bool {
        matches!(self.version, Version::V2 { .. } | Version::Both(_))
    }

    /// The condition id in the catalog: 31 bytes for markets with position ids only.
    pub(super) fn listed_condition(&self) -> &str {
        match self.version {
            Version::V2 { .. } => &self.condition[..64],
            _ => &self.condition,
        }
    }

    /// Summary keys of the book of an outcome.
    pub(super) fn heading(&self, outcome: Outcome) -> Heading<'_> {
        Heading {
            market: &self.condition,
            asset: self.token(outcome),
            timestamp_ms: self.changed_ms,
            min_order_size: MIN_ORDER_SIZE,
            tick: self.tick,
            neg_risk: self.neg_risk,
            last_trade_price: &self.last_trade_text,
        }
    }

    pub(super) fn hash(&self, scratch: &mut Vec<u8>, outcome: Outcome) -> Hash {
        let mut hash = summary::hash(scratch, &self.heading(outcome), &self.book, outcome);
        if self.is_v2() {
            // The inputs of a V2 hash are not known: a different hash is sent.
            hash.reverse();
        }
        hash
    }

    /// Appends the REST answer for an outcome; `scratch` is overwritten.
    pub(super) fn push_rest_book(
        &self,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
        outcome: Outcome,
    ) {
        let hash = self.hash(scratch, outcome);
        summary::push_summary(out, &self.heading(outcome), &self.book, outcome, &hash);
    }

    pub(super) const fn has_book(&self) -> bool {
        !matches!(self.phase, Phase::Resolved(_))
    }

    pub(super) fn note_trade(&mut self, price: Price, size: Quantity) {
        self.last_trade = Some(price);
        self.last_trade_text = price.three_decimals();
        self.volume.0 = self.volume.0.saturating_add(size.0);
    }
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) slug: String,
    pub(super) title: String,
    pub(super) neg_risk: bool,
    pub(super) markets: Vec<usize>,
}

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    /// `Up`/`Down` of a coin within five minutes.
    Crypto,
    /// A question with a distant end.
    Question,
}

const COINS: [&str; 4] = ["Bitcoin", "Ethereum", "Solana", "XRP"];
const SUBJECTS: [&str; 8] = [
    "the northern league",
    "the autumn election",
    "the harbour race",
    "the lower house",
    "the science prize",
    "the winter games",
    "the rate decision",
    "the final",
];
const NAMES: [&str; 12] = [
    "Aldermoor",
    "Brightwater",
    "Corvane",
    "Dunmere",
    "Eastholm",
    "Farrow",
    "Greyfield",
    "Hartwick",
    "Ironbridge",
    "Juniper",
    "Kestrel",
    "Lowmarsh",
];

pub(super) fn make_event(index: usize, theme: Theme, neg_risk: bool, seed: u64) -> Event {
    let mut random = Random::new(mix(seed ^ 0x00e7_e217).wrapping_add(mix(index as u64)));
    let number = EVENT_NUMBER_FIRST + index as u64;
    let (slug, title) = match theme {
        Theme::Crypto => {
            let coin = COINS[random.below(4) as usize];
            let slug = format!("{}-updown-5m-{number}", coin.to_lowercase());
            (slug, format!("{coin} Up or Down, window {number}"))
        }
        Theme::Question => {
            let subject = SUBJECTS[random.below(8) as usize];
            let slug = format!("{}-{number}", subject.replace(' ', "-"));
            (slug, format!("Who takes {subject} ({number})?"))
        }
    };
    Event { number, slug, title, neg_risk, markets: Vec::new() }
}

/// Start and end of a market, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
}

pub(super) fn make_market(
    index: usize,
    (event_index, event): (usize, &Event),
    theme: Theme,
    span: Span,
    seed: u64,
) -> Market {
    let mut random = Random::new(mix(seed).wrapping_add(mix(index as u64 + 1)));
    let place = event.markets.len();
    let (question, slug, outcomes) = match theme {
        Theme::Crypto => (event.title.clone(), event.slug.clone(), ["Up", "Down"]),
        Theme::Question => {
            let name = NAMES[place % NAMES.len()];
            let turn = place / NAMES.len();
            let question = format!("Will {name} {turn} \"win\": {}", event.title);
            (question, format!("{}-{}-{turn}", event.slug, name.to_lowercase()), ["Yes", "No"])
        }
    };
    // 28 % of the markets have the fine grid: nearly certain ones and some others.
    let fine = random.chance(28, 100);
    let fair = match (fine, random.below(10)) {
        (true, 0..4) => 5_000 + random.below(60) * 1_000,
        (true, 4..7) => 935_000 + random.below(60) * 1_000,
        _ => 80_000 + random.below(84) * 10_000,
    };
    Market {
        number: NUMBER_FIRST + index as u64,
        condition: make_condition(&mut random),
        tokens: [make_token(&mut random), make_token(&mut random)],
        version: Version::Unsaid,
        outcomes,
        question,
        slug,
        event: event_index,
        neg_risk: event.neg_risk,
        fee_rate_bps: if theme == Theme::Crypto { "1000" } else { "0" },
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        phase: Phase::Open,
        closed_ms: 0,
        tick: if fine { TICK_FINE } else { TICK_COARSE },
        book: Book::default(),
        changed_ms: span.start_ms,
        last_trade: None,
        last_trade_text: String::new(),
        volume: Quantity::ZERO,
        fair: Price(fair as u32),
        depth: 0,
        random,
        subscribers: Vec::new(),
    }
}

/// `0x` and 64 hexadecimal digits.
pub(super) fn make_condition(random: &mut Random) -> String {
    let [a, b, c, d] = std::array::from_fn(|_| random.next_u64());
    format!("0x{a:016x}{b:016x}{c:016x}{d:016x}")
}

/// A big-endian number in decimal.
fn decimal(mut number: [u8; 32]) -> String {
    let mut digits = Vec::new();
    while number != [0; 32] {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((value / 10) as u8, value % 10);
        }
        digits.push(char::from(b'0' + rest as u8));
    }
    digits.iter().rev().collect()
}

/// 76 to 78 decimal digits, below 2^256.
fn make_token(random: &mut Random) -> String {
    let (prefix, digits) = match random.below(10) {
        0 => ("", 76),
        1 => ("10", 78),
        _ => ("", 77),
    };
    let mut text = String::from(prefix);
    while text.len() < digits {
        let least = u64::from(text.is_empty());
        text.push(char::from(b'0' + (least + random.below(10 - least)) as u8));
    }
    text
}

//! Pairs of books that do not mirror each other, and how often the venue is asked for them.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::limits::AUDIT_TIMEOUT_NS;
use crate::base::time::{MILLISECOND_NS, Now, SECOND_NS, StillClock};
use crate::market::book::{BookOpening, image::BookImage};
use crate::shard::books::{Admission, Books, ConnectionSlot};
use crate::shard::intake::{Findings, Intake};
use std::collections::BTreeMap;

const HERE: ConnectionSlot = ConnectionSlot(0);
/// The venue's and the host's time of the first snapshots, Unix milliseconds.
const T: u64 = 1_786_000_000_000;

/// A shard with pairs of books at rest, and the venue that it asks.
struct Pairs {
    intake: Intake<(), StillClock>,
    count: u32,
    now_ms: u64,
    /// How often each token was asked for.
    asked: BTreeMap<TokenId, u64>,
}

fn token(pair: u32, place: u32) -> TokenId {
    TokenId::new(&format!("{}", 1_000 + 2 * pair + place)).unwrap()
}

impl Pairs {
    /// The bid of each first book at 0.4 has no ask at 0.6 in the other.
    fn new(count: u32) -> Self {
        let mut books =
            Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
        for (pair, place) in (0..count).flat_map(|pair| [(pair, 0), (pair, 1)]) {
            let opening = BookOpening {
                market: MarketId::new(&format!("0x{pair}")).unwrap(),
                token: token(pair, place),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            books.open(&opening, HERE).unwrap();
        }
        let intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
        let mut pairs = Self { intake, count, now_ms: T, asked: BTreeMap::new() };
        for pair in 0..count {
            let both = [0, 1].map(|place| Self::book(pair, place, T, "0.4"));
            pairs.read(&format!("[{},{}]", both[0], both[1]));
        }
        pairs
    }

    fn book(pair: u32, place: u32, ms: u64, bid: &str) -> String {
        format!(
            r#"{{"market":"0x{pair}","asset_id":"{}","timestamp":"{ms}","event_type":"book","bids":[{{"price":"{bid}","size":"1"}}],"asks":[{{"price":"0.7","size":"2"}}]}}"#,
            token(pair, place)
        )
    }

    fn read(&mut self, frame: &str) {
        self.intake.on_frame(frame, HERE, self.now(), &mut Findings::default());
    }

    fn change(&mut self, pair: u32, place: u32, bid: &str) {
        self.read(&format!(
            r#"{{"market":"0x{pair}","price_changes":[{{"asset_id":"{}","price":"{bid}","size":"3","side":"BUY"}}],"timestamp":"{}","event_type":"price_change"}}"#,
            token(pair, place),
            self.now_ms
        ));
    }

    fn now(&self) -> Now {
        Now { mono_ns: self.now_ms * MILLISECOND_NS, wall_ns: self.now_ms * MILLISECOND_NS }
    }

    /// A second of housekeeping; the tokens asked for in it.
    fn second(&mut self) -> Vec<TokenId> {
        self.now_ms += 1_000;
        let (now, mut wanted) = (self.now(), Vec::new());
        let all: Vec<TokenId> =
            (0..self.count).flat_map(|pair| [token(pair, 0), token(pair, 1)]).collect();
        self.intake.books.check_mirrors(2 * self.count as usize, now.wall_ns, &mut wanted);
        while self.intake.books.poll_behind(now.mono_ns).is_some() {}
        self.intake.books.check_snapshots(&all, HERE, now.mono_ns, &mut wanted);
        wanted.iter().for_each(|token| *self.asked.entry(*token).or_default() += 1);
        wanted
    }

    /// The venue answers each question with the book as it is here.
    fn answer_equal(&mut self, wanted: &[TokenId]) {
        for token in wanted {
            let mut image = BookImage::default();
            assert!(self.intake.books.fill_image(token.as_str(), &mut image));
            let side = |levels: &[crate::market::book::Level]| {
                let levels = levels.iter();
                let level =
                    levels.map(|l| format!(r#"{{"price":"{}","size":"{}"}}"#, l.price, l.quantity));
                level.collect::<Vec<_>>().join(",")
            };
            let (bids, asks) = (side(&image.bids), side(&image.asks));
            let (market, ms) = (image.market.unwrap(), image.facts.timestamp_ms);
            self.rest(&format!(
                r#"[{{"market":"{market}","asset_id":"{token}","timestamp":"{ms}","bids":[{bids}],"asks":[{asks}]}}]"#
            ));
        }
    }

    fn rest(&mut self, text: &str) {
        self.intake.on_rest_part(text, &mut Default::default(), usize::MAX, (u32::MAX, self.now()));
    }

    /// So many seconds of questions that are all answered with "equal"; the tokens asked for.
    fn seconds_with_answers(&mut self, seconds: u32) -> usize {
        let mut count = 0;
        for _ in 0..seconds {
            let wanted = self.second();
            count += wanted.len();
            self.answer_equal(&wanted);
        }
        count
    }

    fn state(&self, pair: u32, place: u32) -> (&'static str, String) {
        let mut image = BookImage::default();
        assert!(self.intake.books.fill_image(token(pair, place).as_str(), &mut image));
        (
            image.state.name(),
            image.bids.iter().map(|level| level.price.to_string()).collect::<Vec<_>>().join(" "),
        )
    }
}

#[test]
fn a_pair_that_the_venue_confirms_is_asked_for_once_until_it_changes() {
    let mut pairs = Pairs::new(1);
    assert_eq!(pairs.second(), [], "not at rest yet");
    assert_eq!(pairs.seconds_with_answers(1), 2);
    assert_eq!(pairs.intake.books.repairs().audits_matched, 2);
    assert_eq!(pairs.seconds_with_answers(3_600), 0, "both are what the venue has");
    // One of the two changes, whichever it is.
    for place in [0, 1] {
        pairs.change(0, place, "0.3");
        assert_eq!(pairs.seconds_with_answers(600), 2, "{place}");
    }
    assert_eq!(pairs.intake.books.repairs().mirrors_mismatched, 3);
    assert_eq!(pairs.state(0, 0).0, "live");
}

#[test]
fn one_answer_of_two_confirms_nothing() {
    let mut pairs = Pairs::new(1);
    pairs.second();
    let wanted = pairs.second();
    assert_eq!(wanted.len(), 2);
    pairs.answer_equal(&wanted[..1]);
    assert_eq!(pairs.seconds_with_answers(60), 2, "asked again for the other one");
}

#[test]
fn a_pair_without_answer_is_asked_for_ever_less_often() {
    let mut pairs = Pairs::new(1);
    for _ in 0..3_600 {
        pairs.second();
    }
    // After 2, 4, 8, 16, 32 s, then every minute.
    let each = pairs.asked[&token(0, 0)];
    let most = 6 + 3_600 * SECOND_NS / REPAIR_RETRY_MAX_NS;
    assert!((50..=most).contains(&each), "{each} of {most}");
    assert_eq!(pairs.asked[&token(0, 1)], each);
}

#[test]
fn a_pair_that_the_venue_has_otherwise_is_repaired() {
    let mut pairs = Pairs::new(1);
    pairs.second();
    let wanted = pairs.second();
    assert_eq!(wanted.len(), 2);
    // The first had missed a change; the venue's second is the one that is here.
    let newer_ms = pairs.now_ms;
    pairs.rest(&format!("[{}]", Pairs::book(0, 0, newer_ms, "0.5")));
    pairs.answer_equal(&wanted[1..]);
    assert_eq!(pairs.state(0, 0), ("live", "0.4".into()), "its message may be on its way");
    let mut wanted = Vec::new();
    for _ in 0..AUDIT_TIMEOUT_NS / SECOND_NS {
        wanted = pairs.second();
    }
    // The pair may be asked for in the same second.
    assert!(wanted.contains(&token(0, 0)), "{wanted:?}");
    assert_eq!(pairs.state(0, 0).0, "stale:behind");
    pairs.rest(&format!("[{}]", Pairs::book(0, 0, newer_ms, "0.5")));
    assert_eq!(pairs.state(0, 0), ("live", "0.5".into()));
    assert_eq!(pairs.intake.books.repairs().repaired, 1);
    // A book that was repaired is another one: the pair is asked for once more.
    assert_eq!(pairs.seconds_with_answers(600), 2);
}

#[test]
fn a_hundred_pairs_cost_two_hundred_questions() {
    let mut pairs = Pairs::new(100);
    assert_eq!(pairs.seconds_with_answers(3_600), 200);
    assert!(pairs.asked.values().all(|&count| count == 1));
    // One changes every ten seconds and is at rest in between: it alone costs questions.
    for _ in 0..6 {
        pairs.change(7, 0, "0.3");
        assert_eq!(pairs.seconds_with_answers(10), 2);
    }
    assert_eq!(pairs.asked.values().sum::<u64>(), 212);
    assert_eq!((pairs.asked[&token(7, 0)], pairs.asked[&token(8, 0)]), (7, 1));
    // What mirrors again, or is gone, is not remembered.
    assert_eq!(pairs.intake.books.auditor.mirrors.asked.len(), 100);
    pairs.intake.books.close(&token(9, 1));
    pairs.intake.books.close(&token(9, 0));
    assert_eq!(pairs.intake.books.auditor.mirrors.asked.len(), 99);
}

//! Books, tick sizes and snapshots whose times are in the wrong order or cannot be right.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::{Now, StillClock};
use crate::market::book::{BookOpening, image::BookImage};
use crate::shard::books::{Admission, ConnectionSlot};
use crate::shard::intake::{Findings, Intake};

const HERE: ConnectionSlot = ConnectionSlot(0);
const MARKET: &str = "0xabababababababababababababababababababababababababababababababab";
const TOKENS: [&str; 2] = ["1111111111", "2222222222"];
/// The venue's time of the first snapshots, Unix milliseconds.
const T: u64 = 1_786_000_000_000;
const HOUR: u64 = 3_600_000;

/// A pair of books whose host's clock is at `host_ms`.
struct Pair {
    intake: Intake<(), StillClock>,
    host_ms: u64,
}

impl Pair {
    fn new(host_ms: u64) -> Self {
        let mut books = Books::new(ShardId(0), Admission::Listed, ());
        for token in TOKENS {
            let opening = BookOpening {
                market: MarketId::new(MARKET).unwrap(),
                token: TokenId::new(token).unwrap(),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            books.open(&opening, HERE).unwrap();
        }
        let mut pair = Self { intake: Intake::new(books, StillClock(0)), host_ms };
        TOKENS.into_iter().for_each(|token| pair.book(token, T, "0.4"));
        pair
    }

    fn read(&mut self, frame: &str) {
        let now = Now { mono_ns: 1, wall_ns: self.host_ms * MILLISECOND_NS };
        self.intake.on_frame(frame, HERE, now, &mut Findings::default());
    }

    fn book(&mut self, token: &str, ms: u64, bid: &str) {
        self.read(&format!(
            r#"{{"market":"{MARKET}","asset_id":"{token}","timestamp":"{ms}","hash":"{}","bids":[{{"price":"{bid}","size":"5"}}],"asks":[{{"price":"0.6","size":"5"}}],"tick_size":"0.01","event_type":"book","last_trade_price":"0.5"}}"#,
            "0".repeat(40)
        ));
    }

    fn change(&mut self, ms: u64, bid: &str) {
        self.read(&format!(
            r#"{{"market":"{MARKET}","price_changes":[{{"asset_id":"{}","price":"{bid}","size":"7","side":"BUY","hash":"{}","best_bid":"{bid}","best_ask":"0.6"}}],"timestamp":"{ms}","event_type":"price_change"}}"#,
            TOKENS[0],
            "0".repeat(40)
        ));
    }

    fn tick(&mut self, ms: u64, old: &str, new: &str) {
        self.read(&format!(
            r#"{{"event_type":"tick_size_change","market":"{MARKET}","asset_id":"{}","old_tick_size":"{old}","new_tick_size":"{new}","timestamp":"{ms}"}}"#,
            TOKENS[0]
        ));
    }

    /// The first book: why it is stale, and its bids, the best last.
    fn first(&self) -> (Option<StaleReason>, Vec<String>) {
        let image = self.image();
        let why = match image.state {
            BookState::Stale { why, .. } => Some(why),
            state => {
                assert_eq!(state, BookState::Live);
                None
            }
        };
        (why, image.bids.iter().map(|level| level.price.to_string()).collect())
    }

    fn image(&self) -> BookImage {
        let mut image = BookImage::default();
        assert!(self.intake.books.fill_image(TOKENS[0], &mut image));
        image
    }
}

#[test]
fn a_snapshot_from_the_future_is_not_taken_and_its_book_is_stale() {
    for ahead_ms in [CLOCK_ERROR_MS + 1_001, HOUR, 24 * HOUR] {
        let mut pair = Pair::new(T + 1_000);
        pair.change(T + 500, "0.41");
        pair.book(TOKENS[0], T + ahead_ms, "0.3");
        let disagree = Some(StaleReason::TimesDisagree);
        assert_eq!(pair.first(), (disagree, vec!["0.4".into(), "0.41".into()]), "{ahead_ms}");
        assert_eq!(pair.intake.books.counts().snapshots_refused, 1);
    }
    // As far as a clock may err.
    let mut pair = Pair::new(T + 1_000);
    pair.book(TOKENS[0], T + 1_000 + CLOCK_ERROR_MS, "0.3");
    assert_eq!(pair.first(), (None, vec!["0.3".into()]));
}

#[test]
fn a_host_whose_clock_is_behind_has_its_books_all_the_same() {
    let mut pair = Pair::new(T - 7 * HOUR);
    assert_eq!(pair.first(), (None, vec!["0.4".into()]));
    pair.change(T + 90_000, "0.41");
    pair.book(TOKENS[0], T + 90_000, "0.42");
    assert_eq!(pair.first(), (None, vec!["0.42".into()]));
    // One that no other time supports is asked for over REST, which has it too.
    pair.book(TOKENS[0], T + HOUR, "0.43");
    assert!(pair.first().0.is_some());
    let index = pair.intake.books.find(TOKENS[0]).unwrap();
    let wall_ns = pair.host_ms * MILLISECOND_NS;
    assert!(pair.intake.books.is_from_future(index, T + HOUR, wall_ns));
    assert!(!pair.intake.books.is_answer_from_future(index, T + HOUR, wall_ns));
    assert!(pair.intake.books.is_answer_from_future(index, T + HOUR - 1, wall_ns));
}

#[test]
fn a_snapshot_that_nothing_confirms_does_not_hide_the_changes_behind_it() {
    let mut pair = Pair::new(T - HOUR);
    pair.change(T - HOUR + 100, "0.41");
    assert_eq!(pair.first().0, Some(StaleReason::TimesDisagree));
}

#[test]
fn an_older_book_does_not_roll_a_live_one_back() {
    for (older_ms, live) in [(1, true), (ORDER_ERROR_MS, true), (ORDER_ERROR_MS + 1, false)] {
        let mut pair = Pair::new(T + HOUR);
        pair.change(T + HOUR, "0.41");
        pair.book(TOKENS[0], T + HOUR - older_ms, "0.3");
        let (state, bids) = pair.first();
        assert_eq!(bids, ["0.4", "0.41"], "{older_ms}");
        assert_eq!(state.is_none(), live, "{older_ms}");
    }
}

#[test]
fn an_older_tick_size_does_not_win() {
    let mut pair = Pair::new(T + HOUR);
    pair.tick(T + 2_000, "0.01", "0.001");
    pair.tick(T + 1_000, "0.001", "0.01");
    let image = pair.image();
    assert_eq!(image.facts.tick_size.unwrap().to_string(), "0.001");
    assert_eq!(image.state, BookState::Live);
    pair.tick(T + 3_000, "0.001", "0.01");
    assert_eq!(pair.image().facts.tick_size.unwrap().to_string(), "0.01");
}

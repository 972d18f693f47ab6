//! Books against a venue that speaks the truth, and one that does not.
//!
//! Its hashes are made here from a text made here; recorded ones are in `tests/checks.rs`.
use super::super::{Admission, Books, ConnectionSlot, StaleReason};
use super::*;
use crate::base::id::{ShardId, TokenId};
use crate::base::limits::HASH_SAMPLE;
use crate::base::limits::{CHECK_SILENCE_NS, CHECK_TIMEOUT_NS};
use crate::base::price::{Price, Quantity};
use crate::base::random::mix;
use crate::base::time::{MILLISECOND_NS, Now, StillClock};
use crate::market::book::{BookOpening, BookState, Side, image::BookImage};
use crate::market::event::{Delta, Event, Snapshot, TopOfBook};
use crate::shard::intake::{Findings, Intake};
use sha1::{Digest as _, Sha1};

/// A venue with one book, of which only bids matter.
struct Venue {
    ms: u64,
    bids: Vec<(&'static str, &'static str)>,
    last_trade: &'static str,
}

impl Venue {
    fn hash(&self) -> String {
        let bids: Vec<String> =
            self.bids.iter().map(|(p, s)| format!(r#"{{"price":"{p}","size":"{s}"}}"#)).collect();
        let text = format!(
            r#"{{"market":"0x1","asset_id":"11","timestamp":"{}","hash":"","bids":[{}],"asks":[],"min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":"{}"}}"#,
            self.ms,
            bids.join(","),
            self.last_trade
        );
        Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn book(&self) -> String {
        let bids: Vec<String> =
            self.bids.iter().map(|(p, s)| format!(r#"{{"price":"{p}","size":"{s}"}}"#)).collect();
        format!(
            r#"{{"market":"0x1","asset_id":"11","timestamp":"{}","hash":"{}","bids":[{}],"asks":[],"tick_size":"0.01","event_type":"book"}}"#,
            self.ms,
            self.hash(),
            bids.join(",")
        )
    }

    /// What it says of a change after which the book is as it is now.
    fn change(&self, price: &str, size: &str) -> String {
        let best = self.bids.last().map_or("0", |(price, _)| price);
        format!(
            r#"{{"market":"0x1","price_changes":[{{"asset_id":"11","price":"{price}","size":"{size}","side":"BUY","hash":"{}","best_bid":"{best}","best_ask":"1"}}],"timestamp":"{}","event_type":"price_change"}}"#,
            self.hash(),
            self.ms
        )
    }

    fn trade(&self, price: &str) -> String {
        format!(
            r#"{{"market":"0x1","asset_id":"11","price":"{price}","size":"2","side":"SELL","timestamp":"{}","event_type":"last_trade_price"}}"#,
            self.ms
        )
    }
}

const CONNECTION: ConnectionSlot = ConnectionSlot(0);

fn venue() -> Venue {
    Venue { ms: 1_000, bids: vec![("0.4", "5")], last_trade: "" }
}

fn follower(hashes: HashChecks) -> Intake<(), StillClock> {
    let mut books =
        Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ())
            .with_hash_checks(hashes);
    let opening = BookOpening {
        market: MarketId::new("0x1").unwrap(),
        token: TokenId::new("11").unwrap(),
        tick_size: Some(Price(10_000)),
        min_order_size: Some(Quantity(5_000_000)),
        neg_risk: false,
    };
    books.open(&opening, CONNECTION).unwrap();
    Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0))
}

/// Delivers a frame at the venue's time.
fn feed(intake: &mut Intake<(), StillClock>, at_ms: u64, frame: &str) {
    let ns = at_ms * MILLISECOND_NS;
    let read = Now { mono_ns: ns, wall_ns: ns };
    intake.on_frame(frame, CONNECTION, read, &mut Findings::default());
}

fn image(intake: &Intake<(), StillClock>) -> BookImage {
    let mut image = BookImage::default();
    assert!(intake.books.fill_image("11", &mut image));
    image
}

#[test]
fn a_hash_of_v2_that_is_another_gets_no_verdict() {
    let position = "452312848587682254118947865467376451881589392431889467106046302242318843904";
    let named = |text: String, token: &str| text.replace("\"11\"", &format!("\"{token}\""));
    for (token, wrong) in [("11", 3), (position, 0)] {
        let mut books =
            Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ())
                .with_hash_checks(HashChecks::All);
        let opening = BookOpening {
            market: MarketId::new("0x1").unwrap(),
            token: TokenId::new(token).unwrap(),
            tick_size: Some(Price(10_000)),
            min_order_size: Some(Quantity(15_000_000)),
            neg_risk: false,
        };
        books.open(&opening, CONNECTION).unwrap();
        let (mut venue, mut intake) =
            (venue(), Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0)));
        feed(&mut intake, venue.ms, &named(venue.book(), token));
        for size in ["1", "2", "3"] {
            venue.ms += 10;
            venue.bids = vec![("0.3", size), ("0.4", "5")];
            feed(&mut intake, venue.ms, &named(venue.change("0.3", size), token));
        }
        let end_ns = venue.ms * MILLISECOND_NS + CHECK_SILENCE_NS;
        (0..10).for_each(|_| intake.books.settle(100_000, end_ns + 2 * CHECK_TIMEOUT_NS));
        let counts = intake.books.checks();
        assert_eq!(counts.hashes_matched, 0, "the smallest order is another one");
        assert_eq!(counts.hashes_mismatched > 0, wrong > 0, "{token}: {counts:?}");
        assert_eq!(counts.hashes_unverifiable > 0, wrong == 0, "{token}: {counts:?}");
        let mut image = BookImage::default();
        assert!(intake.books.fill_image(token, &mut image));
        assert_eq!(image.state == BookState::Live, wrong == 0, "{token}: {counts:?}");
    }
}

#[test]
fn a_book_that_follows_is_right_in_prices_and_hashes() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    feed(&mut intake, venue.ms, &venue.book());
    for size in ["1", "2", "3"] {
        venue.ms += 10;
        venue.bids = vec![("0.3", size), ("0.4", "5")];
        feed(&mut intake, venue.ms, &venue.change("0.3", size));
    }
    // The last group ends by silence, not before it.
    let before = (venue.ms * MILLISECOND_NS + CHECK_SILENCE_NS) - 1;
    intake.books.settle(100, before);
    assert_eq!(intake.books.checks().hashes_matched, 3);
    intake.books.settle(100, before + 1);
    let right = CheckCounts { tops_matched: 3, hashes_matched: 4, ..CheckCounts::default() };
    assert_eq!(*intake.books.checks(), right);
    assert_eq!(right.score(), Some(1.0));
}

#[test]
fn a_group_is_judged_as_a_whole() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    feed(&mut intake, venue.ms, &venue.book());
    venue.ms += 10;
    // Both messages tell of the book after the second.
    venue.bids = vec![("0.3", "1"), ("0.5", "2")];
    let reported = [venue.change("0.5", "2"), venue.change("0.4", "0"), venue.change("0.3", "1")];
    reported.iter().for_each(|frame| feed(&mut intake, venue.ms, frame));
    intake.books.settle_all();
    let right = CheckCounts { tops_matched: 1, hashes_matched: 2, ..CheckCounts::default() };
    assert_eq!(*intake.books.checks(), right);
}

#[test]
fn a_lost_change_is_noticed_by_the_hashes_and_the_book_is_not_live_any_more() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    feed(&mut intake, venue.ms, &venue.book());
    for size in ["1", "2"] {
        venue.ms += 10;
        // The level at 0.2 never reaches us: best prices do not show it.
        venue.bids = vec![("0.2", "9"), ("0.3", size), ("0.4", "5")];
        feed(&mut intake, venue.ms, &venue.change("0.3", size));
    }
    intake.books.settle_all();
    let counts = *intake.books.checks();
    assert_eq!((counts.tops_matched, counts.tops_mismatched), (2, 0));
    assert_eq!((counts.hashes_matched, counts.hashes_mismatched), (1, 2));
    assert!(counts.score().is_some_and(|score| score < 1.0));
    let state = image(&intake).state;
    assert!(matches!(state, BookState::Stale { why: StaleReason::Disproved, .. }), "{state:?}");
    // The next snapshot mends it, and what was wrong before is forgotten.
    venue.ms += 10;
    feed(&mut intake, venue.ms, &venue.book());
    intake.books.settle_all();
    assert_eq!(image(&intake).state, BookState::Live);
    assert_eq!(intake.books.checks().hashes_matched, 2);
}

#[test]
fn two_wrong_best_prices_in_a_row_disprove_a_book_and_one_does_not() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::Off));
    feed(&mut intake, venue.ms, &venue.book());
    for (at, wrong) in [true, false, true, true].into_iter().enumerate() {
        venue.ms += 10;
        venue.bids = vec![("0.3", "1"), (if wrong { "0.6" } else { "0.4" }, "5")];
        feed(&mut intake, venue.ms, &venue.change("0.3", "1"));
        intake.books.settle_all();
        let live = image(&intake).state == BookState::Live;
        assert_eq!(live, at < 3, "after group {at}");
    }
    let counts = *intake.books.checks();
    assert_eq!((counts.tops_matched, counts.tops_mismatched), (1, 3));
    assert_eq!(counts.hashes_matched + counts.hashes_mismatched, 0, "off");
}

#[test]
fn a_trade_that_comes_late_explains_a_hash() {
    for (traded, reported) in [("0.250", "0.25"), ("0.750", "0.25")] {
        let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
        feed(&mut intake, venue.ms, &venue.book());
        (venue.ms, venue.last_trade) = (venue.ms + 10, traded);
        feed(&mut intake, venue.ms, &venue.book());
        venue.ms += 300;
        intake.books.settle(1, venue.ms * MILLISECOND_NS);
        assert_eq!(intake.books.checks().hashes_explained, 0);
        feed(&mut intake, venue.ms, &venue.trade(reported));
        let counts = *intake.books.checks();
        assert_eq!((counts.hashes_matched, counts.hashes_explained), (1, 1), "{traded}");
        // And what comes after it at once.
        venue.ms += 10;
        feed(&mut intake, venue.ms, &venue.book());
        intake.books.settle(1, venue.ms * MILLISECOND_NS + CHECK_SILENCE_NS);
        assert_eq!(intake.books.checks().hashes_matched, 2);
        assert_eq!(intake.books.checks().hashes_mismatched, 0);
    }
}

#[test]
fn a_trade_of_a_market_whose_times_are_far_ahead_makes_no_other_forgotten() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    let opening = BookOpening {
        market: MarketId::new("0x2").unwrap(),
        token: TokenId::new("22").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    intake.books.open(&opening, CONNECTION).unwrap();
    venue.last_trade = "0.350";
    feed(&mut intake, venue.ms, &venue.book());
    venue.ms += 10;
    feed(&mut intake, venue.ms, &venue.trade("0.3"));
    feed(&mut intake, venue.ms, &venue.trade("0.35"));
    // As in a replay: of another shard of the engine, whose part of the file is an hour ahead.
    let others = venue.trade("0.5").replace("0x1", "0x2").replace("\"11\"", "\"22\"");
    feed(&mut intake, venue.ms + 3_600_000, &others);
    venue.ms += 10;
    (venue.last_trade, venue.bids) = ("0.300", vec![("0.3", "1"), ("0.4", "5")]);
    feed(&mut intake, venue.ms, &venue.change("0.3", "1"));
    intake.books.settle(1, venue.ms * MILLISECOND_NS + CHECK_SILENCE_NS);
    let counts = *intake.books.checks();
    assert_eq!((counts.hashes_matched, counts.hashes_explained), (2, 0), "{counts:?}");
}

#[test]
fn a_trade_whose_message_was_lost_is_learnt_from_the_hash() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    (venue.ms, venue.last_trade) = (venue.ms + 10, "0.123");
    feed(&mut intake, venue.ms, &venue.book());
    let silent_ns = venue.ms * MILLISECOND_NS + CHECK_SILENCE_NS;
    intake.books.settle(1, silent_ns);
    intake.books.settle(1, silent_ns + CHECK_TIMEOUT_NS - CHECK_SILENCE_NS - 1);
    assert_eq!(intake.books.checks().hashes_explained, 0, "it may still come");
    intake.books.settle(1, silent_ns + CHECK_TIMEOUT_NS);
    let counts = *intake.books.checks();
    assert_eq!((counts.hashes_explained, counts.hashes_mismatched), (1, 0));
    assert_eq!(image(&intake).facts.last_trade, Some(Price(123_000)));
    assert_eq!(image(&intake).state, BookState::Live);
}

#[test]
fn what_cannot_be_verified_is_not_wrong() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::All));
    let facts = image(&intake).facts;
    assert_eq!(facts.min_order_size, Some(Quantity(5_000_000)));
    intake.books.close(&TokenId::new("11").unwrap());
    let opening = BookOpening {
        market: MarketId::new("0x1").unwrap(),
        token: TokenId::new("11").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    intake.books.open(&opening, CONNECTION).unwrap();
    feed(&mut intake, venue.ms, &venue.book());
    venue.ms += 10;
    let without_best = venue.change("0.4", "5").replace("best_", "worst_");
    feed(&mut intake, venue.ms, &without_best);
    // Of an earlier book than the one that is held: nothing to compare.
    venue.ms -= 5;
    feed(&mut intake, venue.ms, &venue.change("0.4", "5"));
    intake.books.settle_all();
    let counts = *intake.books.checks();
    assert_eq!((counts.tops_unverifiable, counts.tops_mismatched), (2, 0));
    assert_eq!((counts.hashes_unverifiable, counts.hashes_mismatched), (2, 0));
    assert_eq!(counts.score(), None);
}

#[test]
fn one_of_so_many_hashes_is_compared_where_they_are_sampled() {
    let (mut venue, mut intake) = (venue(), follower(HashChecks::Sampled));
    let first_ms = venue.ms;
    feed(&mut intake, venue.ms, &venue.book());
    for _ in 0..3 * HASH_SAMPLE {
        venue.ms += 1;
        feed(&mut intake, venue.ms, &venue.change("0.4", "5"));
    }
    intake.books.settle_all();
    let taken = (first_ms..=venue.ms).filter(|ms| mix(*ms).is_multiple_of(HASH_SAMPLE)).count();
    assert!((1..=9).contains(&taken), "{taken} of three expected");
    assert_eq!(intake.books.checks().hashes_matched, taken as u64);
    assert_eq!(intake.books.checks().tops_matched, 3 * HASH_SAMPLE);
}

/// Best bids after each of two changes in one millisecond: a ticker may show the first (simulation seed 60099).
#[test]
fn a_ticker_of_a_state_within_a_millisecond_is_no_verdict() {
    const AT: Now = Now { mono_ns: 1, wall_ns: 1 };
    let change = |timestamp_ms, cents: u32, units| {
        let (market, token, side) = ("KX-A", "KX-A", Side::Bid);
        Event::Delta(Delta {
            market,
            token,
            timestamp_ms,
            side,
            price: Price(cents * 10_000),
            units,
        })
    };
    let ticker = |timestamp_ms, cents: u32| {
        let (market, token, best_ask) = ("KX-A", "KX-A", Some(Price::ONE));
        let best_bid = Some(Price(cents * 10_000));
        let rest = TopOfBook::default();
        Event::TopOfBook(TopOfBook { market, token, timestamp_ms, best_bid, best_ask, ..rest })
    };
    // Whether a later change arrives before the tickers, or after them.
    for late in [true, false] {
        let counts = |events: &[Event<'_>]| {
            let feed = crate::venue::kalshi::feed(false);
            let mut books = Books::new(ShardId(0), feed, Admission::Listed, ());
            let (market, token) = (MarketId::new("KX-A").unwrap(), TokenId::new("KX-A").unwrap());
            let (tick_size, min_order_size, neg_risk) = (None, None, false);
            let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
            books.open(&opening, CONNECTION).unwrap();
            let (market, token) = ("KX-A", "KX-A");
            books.on_event(
                &Event::Snapshot(Snapshot {
                    market,
                    token,
                    timestamp_ms: 1,
                    ..Snapshot::default()
                }),
                CONNECTION,
                AT,
            );
            let next = [change(20, 10, 5)];
            let (before, after): (&[_], &[_]) = if late { (&next, &[]) } else { (&[], &next) };
            let two = [change(9, 40, 5), change(9, 50, 5)];
            two.iter().for_each(|event| books.on_event(event, CONNECTION, AT));
            // A connection that the book has left is ahead; its change is not applied.
            books.on_event(&change(20, 10, 5), ConnectionSlot(7), AT);
            for event in before.iter().chain(events).chain(after) {
                books.on_event(event, CONNECTION, AT);
            }
            let checks = books.checks();
            (checks.tops_matched, checks.tops_mismatched, checks.tops_unverifiable)
        };
        assert_eq!(counts(&[ticker(9, 50)]), (1, 0, 0));
        assert_eq!(counts(&[ticker(9, 40)]), (0, 0, 1));
    }
}

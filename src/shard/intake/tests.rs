//! What a connection says of its numbers, all the way into its books; which frames are timed.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::random::Random;
use crate::base::time::StillClock;
use crate::market::book::BookOpening;
use crate::shard::books::Admission;
use crate::shard::publish::{BookView, Change};
use crate::venue::{Role, kalshi};
use hdrhistogram::Histogram;
use std::cell::Cell;
use std::rc::Rc;

const HERE: ConnectionSlot = ConnectionSlot(3);

/// A message of book `KX-A` without the number of a subscription.
fn frame(kind: &str, seq: u64) -> String {
    of_subscription("", kind, seq)
}

/// The same of the subscription that `sid` names.
fn of_subscription(sid: &str, kind: &str, seq: u64) -> String {
    let msg = match kind {
        "orderbook_snapshot" => r#""yes_dollars_fp":[["0.4000","5.00"]],"no_dollars_fp":[]"#,
        _ => r#""price_dollars":"0.4000","delta_fp":"1.00","side":"yes""#,
    };
    format!(r#"{{"type":"{kind}",{sid}"seq":{seq},"msg":{{"market_ticker":"KX-A",{msg}}}}}"#)
}

#[test]
fn a_change_of_another_subscription_or_of_none_makes_books_stale() {
    for (sid, seq) in [("\"sid\":9,", 1), ("\"sid\":9,", 57), ("", 1), ("", 3), ("", 57)] {
        let mut live_after = rig();
        live_after(r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":2}}"#);
        let own = |kind, seq| of_subscription("\"sid\":2,", kind, seq);
        assert_eq!(live_after(&own("orderbook_snapshot", 1)).0, 1);
        assert_eq!(live_after(&own("orderbook_delta", 2)), (1, 1, 0, 0, 0));
        let (live, updates, holes, ..) = live_after(&of_subscription(sid, "orderbook_delta", seq));
        assert_eq!((live, updates, holes), (0, 1, 1), "{sid}{seq}");
        // Repaired by a snapshot of its own, and the next one of the same kind is seen too.
        assert_eq!(live_after(&own("orderbook_snapshot", 3)).0, 1);
        let next = live_after(&of_subscription(sid, "orderbook_delta", seq + 1));
        assert_eq!((next.0, next.2), (0, 2), "{sid}{seq}");
    }
}

/// What a connection's book, and what is counted of it, are after each frame: whether it is live, updates, holes,
/// messages missing and duplicates.
fn rig() -> impl FnMut(&str) -> (u64, u64, u64, u64, u64) {
    let mut books =
        Books::new(ShardId(0), crate::venue::kalshi::feed(false), Admission::Listed, ());
    let opening = BookOpening {
        market: MarketId::new("KX-A").unwrap(),
        token: TokenId::new("KX-A").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    books.open(&opening, HERE).unwrap();
    let mut intake = Intake::new(kalshi::feed(false), books, StillClock::default());
    let mut subscription = kalshi::feed(false).subscription(Role::Books);
    move |frame: &str| {
        let (mut progress, mut findings) = (FrameProgress::default(), Findings::default());
        let from = (HERE, Some(&mut subscription));
        intake.on_part(frame, &mut progress, usize::MAX, from, Now::default(), &mut findings);
        let (counts, reported) = (intake.books.counts(), subscription.counts());
        (counts.live, counts.updates, reported.holes, reported.missing, reported.duplicates)
    }
}

#[test]
fn a_number_that_jumps_without_a_subscription_makes_books_stale() {
    let mut live_after = rig();
    assert_eq!(live_after(&frame("orderbook_snapshot", 1)), (1, 0, 0, 0, 0));
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 1, 0, 0, 0));
    let trade = r#"{"type":"trade","seq":1,"msg":{}}"#;
    assert_eq!(live_after(trade), (1, 1, 0, 0, 0), "another channel counts by itself");
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 1, 0, 0, 1), "it was there");
    let (live, _, holes, missing, _) = live_after(&frame("orderbook_delta", 5));
    assert_eq!((live, holes, missing), (0, 1, 2));
    assert_eq!(live_after(&frame("orderbook_snapshot", 6)).0, 1);
    // A subscription begins: its numbers do, too.
    let begun = r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":2}}"#;
    assert_eq!(live_after(begun).4, 1);
    assert_eq!(live_after(&frame("orderbook_snapshot", 1)), (1, 1, 1, 2, 1), "nothing repeated");
    assert_eq!(live_after(&frame("orderbook_delta", 2)), (1, 2, 1, 2, 1));
}

/// The time of [`Slow`] and of its intake.
#[derive(Clone, Default)]
struct SharedClock(Rc<Cell<u64>>);

impl Clock for SharedClock {
    fn mono_ns(&self) -> u64 {
        self.0.get()
    }
}

/// A handler that takes time for each change: now and then, and for every 16th frame, a lot.
struct Slow {
    clock: SharedClock,
    random: Random,
}

impl Handler for Slow {
    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        let rare = self.random.chance(1, 50) || view.facts.timestamp_ms.is_multiple_of(16);
        let ns =
            if rare { 5_000 + self.random.below(20_000) } else { 200 + self.random.below(400) };
        self.clock.0.set(self.clock.0.get() + ns);
    }
}

/// Latencies of frames of one to four changes, as they are timed or with each frame timed.
fn latencies(frames: u64, every: bool, begins: impl Fn(u64) -> bool) -> Box<Latencies> {
    let (clock, random) = (SharedClock::default(), Random::new(1));
    let handler = Slow { clock: clock.clone(), random };
    let feed = crate::venue::polymarket::feed(true);
    let books = Books::new(ShardId(0), feed, Admission::Implied { shards: 1 }, handler);
    let mut intake = Intake::new(feed, books, clock.clone());
    if every {
        intake.time_every_frame();
    }
    let mut findings = Findings::default();
    let book = r#"{"market":"0x1","asset_id":"1","timestamp":"1","event_type":"book","bids":[],"asks":[]}"#;
    intake.on_frame(book, HERE, clock.now(), &mut findings);
    for number in 1..=frames {
        if begins(number) {
            intake.begin_interval();
        }
        let entry = |place: u64| {
            format!(
                r#"{{"asset_id":"1","price":"0.{}","size":"{number}","side":"BUY"}}"#,
                11 + place
            )
        };
        let entries: Vec<String> = (0..=number % 4).map(entry).collect();
        let frame = format!(
            r#"{{"market":"0x1","price_changes":[{}],"timestamp":"{number}","event_type":"price_change"}}"#,
            entries.join(",")
        );
        clock.0.set(clock.0.get() + 1_000);
        intake.on_frame(&frame, HERE, clock.now(), &mut findings);
    }
    intake.latencies
}

#[test]
fn percentiles_of_timed_frames_are_those_of_all() {
    let all = latencies(60_000, true, |_| false);
    let timed = latencies(60_000, false, |_| false);
    for stage in [Stage::ReadToApplied, Stage::DecodedToApplied] {
        let (all, timed) = (all.stage(stage), timed.stage(stage));
        let near = |name: &str, timed: u64, all: u64| {
            assert!(timed.abs_diff(all) * 100 <= 15 * all, "{stage:?} {name}: {timed} of {all}");
        };
        near("count", timed.len(), all.len());
        for quantile in [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] {
            let at = |histogram: &Histogram<u64>| histogram.value_at_quantile(quantile);
            near(&quantile.to_string(), at(timed), at(all));
        }
    }
}

#[test]
fn every_frame_of_a_quiet_shard_is_timed() {
    let interval = |number: u64| number.is_multiple_of(FRAMES_TIMED_EACH / 2);
    let [all, timed] = [true, false].map(|every| latencies(5_000, every, interval));
    for stage in Stage::ALL {
        assert_eq!(timed.stage(stage), all.stage(stage), "{stage:?}");
    }
    assert_eq!(timed.stage(Stage::ReadToApplied).len(), 5_001);
}

/// Parts of this one frame use up one of the frames that are all timed, and all or none of its times are recorded.
#[test]
fn a_frame_in_parts_is_one_frame() {
    let feed = crate::venue::polymarket::feed(true);
    let books = Books::new(ShardId(0), feed, Admission::Implied { shards: 1 }, ());
    let mut intake = Intake::new(feed, books, StillClock::default());
    intake.sampler.each = 1;
    let book = |token: u64| {
        format!(
            r#"{{"market":"0x1","asset_id":"{token}","timestamp":"1","event_type":"book","bids":[],"asks":[]}}"#
        )
    };
    let dump = format!("[{}]", (1..=40).map(book).collect::<Vec<_>>().join(","));
    let mut findings = Findings::default();
    let mut read = |intake: &mut Intake<(), StillClock>| {
        let (mut progress, mut parts) = (FrameProgress::default(), 0);
        while !progress.is_done() {
            let from = (HERE, None);
            intake.on_part(&dump, &mut progress, 500, from, Now::default(), &mut findings);
            parts += 1;
        }
        (parts, intake.latencies.stage(Stage::ReadToApplied).len())
    };
    let (parts, timed) = read(&mut intake);
    assert!(parts > 10 && timed == 40, "{parts} parts, {timed} timed");
    let counts: Vec<u64> = (0..100).map(|_| read(&mut intake).1).collect();
    let steps: Vec<u64> = counts.windows(2).map(|two| two[1] - two[0]).collect();
    let whole = 40 * FRAMES_TIMED_OF;
    assert!(steps.iter().all(|step| [0, whole].contains(step)), "{steps:?}");
    assert!(steps.contains(&whole) && steps.contains(&0), "{steps:?}");
}

/// Books of three markets, both tokens of a market of Polymarket.
fn books_of_three(feed: Feed, both: bool) -> Intake<(), StillClock> {
    let mut books = Books::new(ShardId(0), feed, Admission::Listed, ());
    for market in 0..3 {
        for outcome in 0..=u64::from(both) {
            let (market, token) = ids(market, outcome, both);
            let (tick_size, min_order_size, neg_risk) = (None, None, false);
            let (market, token) = (MarketId::new(&market).unwrap(), TokenId::new(&token).unwrap());
            let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
            books.open(&opening, HERE).unwrap();
        }
    }
    Intake::new(feed, books, StillClock::default())
}

fn ids(market: u64, outcome: u64, both: bool) -> (String, String) {
    if !both {
        return (format!("KX-{market}"), format!("KX-{market}"));
    }
    (format!("0x{market:064x}"), format!("1{:076}", 2 * market + outcome))
}

/// A snapshot or a change of a market of Polymarket.
fn message_of_both(random: &mut Random, ms: u64) -> String {
    let market = random.below(3);
    let ((id, first), (_, second)) = (ids(market, 0, true), ids(market, 1, true));
    if random.chance(1, 4) {
        return format!(
            r#"{{"market":"{id}","asset_id":"{first}","bids":[{{"price":"0.4","size":"5"}}],"asks":[],"hash":"{ms:040}","timestamp":"{ms}","event_type":"book"}}"#
        );
    }
    let size = random.below(50);
    let entry = |token: &str, price: &str, side: &str| {
        format!(
            r#"{{"asset_id":"{token}","price":"{price}","size":"{size}","side":"{side}","hash":"{ms:040}","best_bid":"","best_ask":""}}"#
        )
    };
    let changes = [entry(&first, "0.3", "BUY"), entry(&second, "0.7", "SELL")].join(",");
    format!(
        r#"{{"market":"{id}","price_changes":[{changes}],"timestamp":"{ms}","event_type":"price_change"}}"#
    )
}

/// The same of Kalshi.
fn message_of_one(random: &mut Random, ms: u64) -> String {
    let ticker = ids(random.below(3), 0, false).1;
    if random.chance(1, 4) {
        let levels = r#""yes_dollars_fp":[["0.4000","500.00"]],"no_dollars_fp":[]"#;
        return format!(
            r#"{{"type":"orderbook_snapshot","sid":1,"seq":{ms},"msg":{{"market_ticker":"{ticker}",{levels}}}}}"#
        );
    }
    let change = r#""price_dollars":"0.4000","delta_fp":"1.00","side":"yes""#;
    format!(
        r#"{{"type":"orderbook_delta","sid":1,"seq":{ms},"msg":{{"market_ticker":"{ticker}",{change}}}}}"#
    )
}

#[test]
fn announcements_right_or_wrong_do_not_change_books() {
    type Message = fn(&mut Random, u64) -> String;
    let of_both: (Feed, bool, Message) =
        (crate::venue::polymarket::feed(true), true, message_of_both);
    for (feed, both, message) in [of_both, (kalshi::feed(false), false, message_of_one)] {
        let mut random = Random::new(11);
        let [mut plain, mut ahead] = [books_of_three(feed, both), books_of_three(feed, both)];
        let mut findings = Findings::default();
        let frames: Vec<String> =
            (0..3_000).map(|ms| message(&mut random, 1_790_000_000_000 + ms)).collect();
        let found = frames.iter().filter(|frame| {
            let token = ahead.decoder.first_token(frame.as_bytes());
            token.is_some_and(|token| frame.contains(std::str::from_utf8(token).unwrap()))
        });
        assert!(found.count() > 1_500, "{:?}", feed.venue());
        for (place, frame) in frames.iter().enumerate() {
            match random.below(10) {
                0 => {}
                1 => ahead.announce(frames[random.below(3_000) as usize].as_bytes()),
                2 => ahead.announce(b"{}"),
                3 => {
                    // A place that was found may be another book's by now.
                    let (market, outcome) = (random.below(3), random.below(2));
                    let (market, token) = ids(market, outcome * u64::from(both), both);
                    let (market, token) =
                        (MarketId::new(&market).unwrap(), TokenId::new(&token).unwrap());
                    let (tick_size, min_order_size, neg_risk) = (None, None, false);
                    let opening =
                        BookOpening { market, token, tick_size, min_order_size, neg_risk };
                    for intake in [&mut plain, &mut ahead] {
                        if intake.books.find(token.as_str()).is_some() {
                            intake.books.close(&token);
                        } else {
                            intake.books.open(&opening, HERE).unwrap();
                        }
                    }
                }
                _ => frames[place + 1..]
                    .iter()
                    .take(2)
                    .for_each(|next| ahead.announce(next.as_bytes())),
            }
            for intake in [&mut plain, &mut ahead] {
                intake.on_frame(frame, HERE, Now::default(), &mut findings);
                assert_eq!(findings.bad, None, "{frame}");
            }
        }
        assert!(ahead.books.counts().updates > 300);
        assert_eq!(ahead.books.counts(), plain.books.counts());
        for market in 0..3 {
            let (_, token) = ids(market, 0, both);
            assert_eq!(ahead.books.digest(&token), plain.books.digest(&token));
        }
    }
}

//! Two connections with delays of their own, and what a handler sees of it: one stream.
mod closing;
mod merging;
mod pairs;
mod races;

use super::*;
use crate::base::id::ShardId;
use crate::base::limits::{HANDOVER_AGE_NS, HANDOVER_OUTSTANDING_NS, HANDOVER_STEP_NS};
use crate::base::random::Random;
use crate::base::time::{MILLISECOND_NS, SECOND_NS, StillClock};
use crate::market::book::{BookOpening, image::BookImage};
use crate::market::event::Trade;
use crate::market::info::MarketUpdate;
use crate::shard::books::Admission;
use crate::shard::books::Books;
use crate::shard::intake::{Findings, Intake};
use crate::shard::publish::{BookView, Change, Handler};
use crate::venue::{DecodeNotice, Sink};

const OLD: ConnectionSlot = ConnectionSlot(0);
const NEW: ConnectionSlot = ConnectionSlot(1);
const MARKETS: u32 = 3;

/// Writes down what it is reported, by market.
#[derive(Default)]
struct Scribe {
    seen: BTreeMap<String, Vec<String>>,
    versions: BTreeMap<String, u64>,
    not_live: u64,
}

impl Scribe {
    fn note(&mut self, view: &BookView<'_>, line: String) {
        self.seen.entry(view.market.to_string()).or_default().push(line);
        self.not_live += u64::from(view.state != BookState::Live);
    }
}

impl Handler for Scribe {
    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        let Change { level, .. } = change;
        self.note(view, format!("{} {}x{}", view.token, level.price, level.quantity));
        let version = self.versions.entry(view.token.to_string()).or_default();
        assert!(view.facts.updates >= *version, "{} goes back to {version}", view.token);
        *version = view.facts.updates;
    }
    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.note(view, format!("{} trade {}", view.token, trade.transaction_hash));
    }
}

/// A venue of some markets of one token each: what it says, and its books.
struct Venue {
    random: Random,
    ms: u64,
    /// Frame, line that a handler is to see, market.
    delivered: Vec<(String, String, u32)>,
    books: Vec<BTreeMap<u32, u64>>,
    changed_ms: Vec<u64>,
}

impl Venue {
    fn new(seed: u64) -> Self {
        let books = vec![BTreeMap::from([(10, 1)]); MARKETS as usize];
        Self {
            random: Random::new(seed),
            ms: 1_000,
            delivered: Vec::new(),
            books,
            changed_ms: vec![1_000; 3],
        }
    }

    fn speak(&mut self) {
        // Many messages share a millisecond.
        self.ms += self.random.below(3) / 2;
        let market = self.random.below(MARKETS.into()) as u32;
        let (token, ms, number) = (market + 11, self.ms, self.delivered.len());
        if self.random.chance(1, 5) {
            let frame = format!(
                r#"{{"market":"0x{market}","asset_id":"{token}","price":"0.5","size":"1","side":"BUY","timestamp":"{ms}","event_type":"last_trade_price","transaction_hash":"0x{number}"}}"#
            );
            self.delivered.push((frame, format!("{token} trade 0x{number}"), market));
            return;
        }
        let (price, size) = (1 + self.random.below(9) as u32, self.random.below(4));
        let book = &mut self.books[market as usize];
        match size {
            0 => book.remove(&price),
            _ => book.insert(price, size),
        };
        self.changed_ms[market as usize] = ms;
        let frame = format!(
            r#"{{"market":"0x{market}","price_changes":[{{"asset_id":"{token}","price":"0.0{price}","size":"{size}","side":"BUY","hash":"{number:040}"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
        );
        self.delivered.push((frame, format!("{token} 0.0{price}x{size}"), market));
    }

    fn dump(&self, market: u32) -> String {
        let levels: Vec<String> = self.books[market as usize]
            .iter()
            .map(|(price, size)| format!(r#"{{"price":"0.{price:02}","size":"{size}"}}"#))
            .collect();
        format!(
            r#"{{"market":"0x{market}","asset_id":"{}","timestamp":"{}","event_type":"book","bids":[{}],"asks":[]}}"#,
            market + 11,
            self.changed_ms[market as usize],
            levels.join(",")
        )
    }
}

fn token(market: u32) -> TokenId {
    TokenId::new(&(market + 11).to_string()).unwrap()
}

struct Run {
    intake: Intake<Scribe, StillClock>,
    now_ns: u64,
}

impl Run {
    fn new() -> Self {
        let mut books = Books::new(
            ShardId(0),
            crate::venue::polymarket::feed(true),
            Admission::Listed,
            Scribe::default(),
        );
        for market in 0..MARKETS {
            let opening = BookOpening {
                market: MarketId::new(&format!("0x{market}")).unwrap(),
                token: token(market),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            books.open(&opening, OLD).unwrap();
        }
        Self {
            intake: Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0)),
            now_ns: SECOND_NS,
        }
    }

    fn now(&self) -> Now {
        Now { mono_ns: self.now_ns, wall_ns: self.now_ns }
    }

    fn feed(&mut self, connection: ConnectionSlot, frame: &str) {
        let now = self.now();
        self.intake.on_frame(frame, connection, now, &mut Findings::default());
    }

    fn begin(&mut self) {
        let tokens: Vec<TokenId> = (0..MARKETS).map(token).collect();
        self.intake.books.begin_handover(OLD, NEW, &tokens);
    }

    /// Lets time pass in housekeepings, until the handover has ended.
    fn finish(&mut self) -> HandedOver {
        for _ in 0..200 {
            self.now_ns += 100 * MILLISECOND_NS;
            let now = self.now();
            if let Some(done) = self.intake.books.poll_handover(now) {
                return done;
            }
        }
        panic!("the handover does not end");
    }

    fn owners(&self) -> Vec<u32> {
        (0..MARKETS)
            .map(|market| {
                let index = self.intake.books.find(token(market).as_str()).unwrap();
                self.intake.books.store.slots[index].connection.0
            })
            .collect()
    }

    fn assert_books(&self, venue: &Venue) {
        let mut image = BookImage::default();
        for market in 0..MARKETS {
            assert!(self.intake.books.fill_image(token(market).as_str(), &mut image));
            let ours: Vec<(u32, u64)> =
                image.bids.iter().map(|l| (l.price.0 / 10_000, l.quantity.0 / 1_000_000)).collect();
            let theirs: Vec<(u32, u64)> =
                venue.books[market as usize].iter().map(|(&p, &q)| (p, q)).collect();
            assert_eq!((image.state, ours), (BookState::Live, theirs), "market {market}");
        }
    }
}

/// Every book is with the new connection and right, and the handler saw what the venue delivered.
fn check(run: Run, venue: &Venue, seed: u64) {
    assert_eq!(run.owners(), [NEW.0; MARKETS as usize]);
    run.assert_books(venue);
    let scribe = run.intake.books.into_handler();
    assert_eq!(scribe.not_live, 0);
    for market in 0..MARKETS {
        let delivered = venue.delivered.iter().filter(|(_, _, m)| *m == market);
        let delivered: Vec<&str> = delivered.map(|(_, line, _)| line.as_str()).collect();
        let seen = scribe.seen.get(&format!("0x{market}")).cloned().unwrap_or_default();
        assert_eq!(seen, delivered, "market {market}, seed {seed}");
    }
}

/// A whole handover: both connections deliver at random paces of their own.
fn hand_over(seed: u64) -> HandoverCounts {
    let mut random = Random::new(seed ^ 0xabcd);
    let (mut venue, mut run) = (Venue::new(seed), Run::new());
    for market in 0..MARKETS {
        let dump = venue.dump(market);
        run.feed(OLD, &dump);
    }
    let mut old = 0;
    for _ in 0..random.below(20) {
        venue.speak();
    }
    while old < venue.delivered.len() && !random.chance(1, 10) {
        let frame = venue.delivered[old].0.clone();
        run.feed(OLD, &frame);
        old += 1;
    }
    run.begin();
    // Subscribed now: the dump comes before what the venue says from here on.
    let dumps: Vec<String> = (0..MARKETS).map(|market| venue.dump(market)).collect();
    let (mut new, subscribed) = (venue.delivered.len(), venue.delivered.len());
    let mut dumped = 0;
    let mut switched = false;
    let pace = 1 + random.below(9);
    // The old connection may stall after the switch: what it never says is ahead.
    let stalls = random.chance(1, 2);
    for round in 0..400 {
        run.now_ns += 5 * MILLISECOND_NS;
        if round < 150 && random.chance(1, 2) {
            venue.speak();
        }
        if old < venue.delivered.len()
            && (random.chance(pace, 10) || round > 250)
            && !(switched && stalls)
        {
            let frame = venue.delivered[old].0.clone();
            run.feed(OLD, &frame);
            old += 1;
        }
        if random.chance(10 - pace, 10) || round > 250 {
            if dumped < dumps.len() {
                run.feed(NEW, &dumps[dumped]);
                dumped += 1;
            } else if new < venue.delivered.len() {
                let frame = venue.delivered[new].0.clone();
                run.feed(NEW, &frame);
                new += 1;
            }
        }
        let ready = dumped == dumps.len() && old >= subscribed;
        if ready && !switched && random.chance(1, 20) {
            assert_eq!(run.intake.books.owing(NEW), Some(0));
            run.intake.books.switch(NEW, run.now_ns);
            switched = true;
        }
        if random.chance(1, 8) {
            let now = run.now();
            assert!(run.intake.books.poll_handover(now).is_none_or(|_| {
                // Over already: the rest of the rounds is the new connection alone.
                old = usize::MAX;
                true
            }));
        }
    }
    let counts = if old == usize::MAX {
        HandoverCounts::default()
    } else {
        if !switched {
            run.intake.books.switch(NEW, run.now_ns);
        }
        run.finish().counts
    };
    check(run, &venue, seed);
    assert_eq!(counts.differences, 0, "seed {seed}: {counts:?}");
    counts
}

/// Hands over with so many seeds; duplicates and early messages of all.
fn sums(seeds: u64, hand_over: impl Fn(u64) -> HandoverCounts) -> (u64, u64) {
    let all = (0..seeds).map(hand_over);
    all.fold((0, 0), |sums, counts| (sums.0 + counts.duplicates, sums.1 + counts.ahead))
}

#[test]
fn whoever_is_ahead_a_handler_sees_each_message_once_and_in_order() {
    let (duplicates, ahead) = sums(400, hand_over);
    assert!(duplicates > 1_000 && ahead > 50, "{duplicates} duplicates, {ahead} ahead");
}

/// Both connections have everything so far; the new one has its snapshots.
fn in_step(venue: &mut Venue) -> Run {
    let mut run = Run::new();
    for market in 0..MARKETS {
        run.feed(OLD, &venue.dump(market));
    }
    run.begin();
    for market in 0..MARKETS {
        run.feed(NEW, &venue.dump(market));
    }
    run
}

/// Switched, with one market out of step: it has not moved, so that the handover goes on.
fn in_mid_switch() -> Run {
    let mut run = in_step(&mut Venue::new(5));
    run.feed(
        OLD,
        r#"{"market":"0x1","price_changes":[{"asset_id":"12","price":"0.05","size":"7","side":"BUY"}],"timestamp":"2000","event_type":"price_change"}"#,
    );
    run.intake.books.switch(NEW, run.now_ns);
    let now = run.now();
    assert!(run.intake.books.poll_handover(now).is_none());
    run
}

#[test]
fn the_old_connection_may_end_once_the_new_one_has_its_snapshots() {
    let mut venue = Venue::new(5);
    let mut run = in_step(&mut venue);
    for _ in 0..30 {
        venue.speak();
    }
    // The old one delivered a third of it, the new one two thirds, and then the old one is gone.
    let delivered = venue.delivered.clone();
    delivered[..10].iter().for_each(|(frame, ..)| run.feed(OLD, frame));
    delivered[..20].iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    let now = run.now();
    assert_eq!(run.intake.books.on_disconnect(OLD, now), DisconnectOutcome::TakenOver);
    assert_eq!(run.owners(), [NEW.0; MARKETS as usize]);
    delivered[20..].iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    let counts = run.finish().counts;
    assert!(counts.cut_short && counts.differences == 0, "{counts:?}");
    assert_eq!((counts.live, counts.live_after), (3, 3));
    run.assert_books(&venue);
    let scribe = run.intake.books.into_handler();
    assert_eq!(scribe.seen.values().map(Vec::len).sum::<usize>(), 30);
}

/// Simulation seed 104377: the book was taken for as far as the snapshot of the new connection.
#[test]
fn an_old_connection_that_ends_within_a_millisecond_leaves_no_hole() {
    let mut venue = Venue::new(5);
    let mut run = Run::new();
    (0..MARKETS).for_each(|market| run.feed(OLD, &venue.dump(market)));
    run.begin();
    let change = |price: u32| {
        format!(
            r#"{{"market":"0x0","price_changes":[{{"asset_id":"11","price":"0.0{price}","size":"3","side":"BUY"}}],"timestamp":"1500","event_type":"price_change"}}"#
        )
    };
    [4, 5].iter().for_each(|&price| _ = venue.books[0].insert(price, 3));
    venue.changed_ms[0] = 1_500;
    (0..MARKETS).for_each(|market| run.feed(NEW, &venue.dump(market)));
    run.feed(OLD, &change(4));
    let now = run.now();
    assert_eq!(run.intake.books.on_disconnect(OLD, now), DisconnectOutcome::TakenOver);
    run.assert_books(&venue);
    assert_eq!(run.intake.books.counts().snapshots_at_switch, 1);
    // What the new one sent after its snapshot is applied again.
    run.feed(NEW, &change(6));
    venue.books[0].insert(6, 3);
    run.assert_books(&venue);
}

#[test]
fn without_its_snapshots_the_new_one_does_not_take_over() {
    let venue = Venue::new(5);
    let mut run = Run::new();
    (0..MARKETS).for_each(|market| run.feed(OLD, &venue.dump(market)));
    run.begin();
    run.feed(NEW, &venue.dump(0));
    assert_eq!(run.intake.books.owing(NEW), Some(2));
    let now = run.now();
    assert_eq!(run.intake.books.on_disconnect(OLD, now), DisconnectOutcome::GivenUp { to: NEW });
    assert_eq!(run.owners(), [OLD.0; MARKETS as usize]);
    assert_eq!(run.intake.books.owing(NEW), None, "it is over");
}

#[test]
fn a_new_connection_that_is_lost_in_mid_switch_gives_its_books_back() {
    let mut run = in_mid_switch();
    let now = run.now();
    assert_eq!(run.owners(), [NEW.0, OLD.0, NEW.0]);
    assert_eq!(run.intake.books.on_disconnect(NEW, now), DisconnectOutcome::GivenUp { to: NEW });
    assert_eq!(run.intake.books.on_disconnect(NEW, now), DisconnectOutcome::Alone);
    assert_eq!(run.owners(), [OLD.0; MARKETS as usize]);
    let counts = run.intake.books.counts();
    assert_eq!((counts.live, counts.stale), (1, 2), "what had moved is asked for anew");
}

#[test]
fn what_only_one_of_them_says_is_a_difference_and_is_not_lost() {
    let mut venue = Venue::new(5);
    let mut run = in_step(&mut venue);
    let delivered = |ms: u64, price: u32| {
        format!(
            r#"{{"market":"0x1","price_changes":[{{"asset_id":"12","price":"0.0{price}","size":"7","side":"BUY"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
        )
    };
    run.feed(OLD, &delivered(2_000, 1));
    run.feed(NEW, &delivered(2_000, 1));
    // Lost on the old one: applied when it is old enough. Lost on the new one: applied at once.
    run.feed(NEW, &delivered(2_001, 2));
    run.now_ns += HANDOVER_AGE_NS;
    let now = run.now();
    assert!(run.intake.books.poll_handover(now).is_none());
    run.feed(OLD, &delivered(2_002, 3));
    run.intake.books.switch(NEW, run.now_ns);
    let counts = run.finish().counts;
    assert_eq!((counts.differences, counts.duplicates), (2, 1), "{counts:?}");
    let scribe = run.intake.books.into_handler();
    assert_eq!(scribe.seen["0x1"], ["12 0.01x7", "12 0.02x7", "12 0.03x7"]);
}

#[test]
fn a_book_that_waits_for_a_snapshot_takes_the_new_connection_s() {
    let venue = Venue::new(5);
    let mut run = Run::new();
    run.feed(OLD, &venue.dump(0));
    run.begin();
    (0..MARKETS).for_each(|market| run.feed(NEW, &venue.dump(market)));
    run.assert_books(&venue);
    assert_eq!(run.owners(), [OLD.0; MARKETS as usize]);
}

struct Seen(Vec<(u64, u64)>);

impl Sink for Seen {
    fn on_event(&mut self, event: &Event<'_>) {
        let kept = OwnedEvent::new(event).expect("no top of book");
        assert_eq!(format!("{:?}", OwnedEvent::new(&kept.event()).unwrap()), format!("{kept:?}"));
        self.0.push((fingerprint(event), fingerprint(&kept.event())));
    }
    fn on_market_update(&mut self, _: MarketUpdate) {}
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        panic!("{notice:?}");
    }
}

#[test]
fn a_kept_event_is_the_event_and_each_has_a_fingerprint_of_its_own() {
    let frames = [
        r#"{"market":"0x1","asset_id":"11","timestamp":"7","event_type":"book","bids":[{"price":"0.4","size":"5"}],"asks":[]}"#,
        r#"{"market":"0x1","asset_id":"11","timestamp":"7","event_type":"book","bids":[{"price":"0.4","size":"6"}],"asks":[]}"#,
        r#"{"market":"0x1","price_changes":[{"asset_id":"11","price":"0.3","size":"1","side":"BUY"},{"asset_id":"12","price":"0.7","size":"1","side":"SELL"}],"timestamp":"7","event_type":"price_change"}"#,
        r#"{"market":"0x1","price_changes":[{"asset_id":"11","price":"0.3","size":"1","side":"SELL"},{"asset_id":"12","price":"0.7","size":"1","side":"SELL"}],"timestamp":"7","event_type":"price_change"}"#,
        r#"{"market":"0x1","asset_id":"11","price":"0.5","size":"2","side":"SELL","timestamp":"7","event_type":"last_trade_price","transaction_hash":"0x6c"}"#,
        r#"{"market":"0x1","asset_id":"11","price":"0.5","size":"2","side":"SELL","timestamp":"7","event_type":"last_trade_price","transaction_hash":"0x6d"}"#,
        r#"{"market":"0x1","asset_id":"11","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"7","event_type":"tick_size_change"}"#,
    ];
    let mut seen = Seen(Vec::new());
    for frame in frames {
        crate::venue::polymarket::decode::Decoder::default().decode(frame, &mut seen);
    }
    assert_eq!(seen.0.len(), frames.len());
    assert!(seen.0.iter().all(|(event, kept)| event == kept));
    let mut prints: Vec<u64> = seen.0.iter().map(|(event, _)| *event).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), frames.len());
}

#[test]
fn an_old_connection_that_stalled_before_the_snapshots_leaves_no_hole() {
    let mut venue = Venue::new(5);
    let mut run = Run::new();
    (0..MARKETS).for_each(|market| run.feed(OLD, &venue.dump(market)));
    // From here on the old one says nothing; the new one subscribes only after some of it.
    (0..40).for_each(|_| venue.speak());
    let subscribed = venue.delivered.len();
    run.begin();
    (0..MARKETS).for_each(|market| run.feed(NEW, &venue.dump(market)));
    (0..20).for_each(|_| venue.speak());
    let delivered = venue.delivered.clone();
    delivered[subscribed..].iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    run.intake.books.switch(NEW, run.now_ns);
    let counts = run.finish().counts;
    assert!(counts.differences > 0, "the old one lost something: {counts:?}");
    run.assert_books(&venue);
}

#[test]
fn what_a_lost_replacement_had_delivered_is_not_reported_again_by_the_old_connection() {
    let mut run = in_mid_switch();
    let now = run.now();
    let trade = r#"{"market":"0x2","asset_id":"13","price":"0.5","size":"1","side":"BUY","timestamp":"2001","event_type":"last_trade_price","transaction_hash":"0xabc"}"#;
    run.feed(NEW, trade);
    assert_eq!(run.intake.books.on_disconnect(NEW, now), DisconnectOutcome::GivenUp { to: NEW });
    run.feed(OLD, trade);
    run.feed(OLD, &trade.replace("0xabc", "0xabd"));
    run.now_ns += HANDOVER_OUTSTANDING_NS;
    let later = run.now();
    assert!(run.intake.books.poll_handover(later).is_none());
    assert!(run.intake.books.matcher.handovers.is_empty());
    let scribe = run.intake.books.into_handler();
    assert_eq!(scribe.seen["0x2"], ["13 trade 0xabc", "13 trade 0xabd"]);
}

#[test]
fn what_a_lost_replacement_had_delivered_is_not_reported_again_by_the_next_one() {
    const NEXT: ConnectionSlot = ConnectionSlot(2);
    let trade = r#"{"market":"0x2","asset_id":"13","price":"0.5","size":"1","side":"BUY","timestamp":"2001","event_type":"last_trade_price","transaction_hash":"0xabc"}"#;
    // The old connection may never deliver it.
    for order in [[NEXT, OLD].as_slice(), &[OLD, NEXT], &[NEXT]] {
        let mut run = in_mid_switch();
        run.feed(NEW, trade);
        let now = run.now();
        run.intake.books.on_disconnect(NEW, now);
        let tokens: Vec<TokenId> = (0..MARKETS).map(token).collect();
        run.intake.books.begin_handover(OLD, NEXT, &tokens);
        let venue = Venue::new(5);
        (0..MARKETS).for_each(|market| run.feed(NEXT, &venue.dump(market)));
        for &connection in order {
            run.feed(connection, trade);
            run.feed(connection, &trade.replace("0xabc", "0xabd"));
        }
        run.intake.books.switch(NEXT, run.now_ns);
        run.finish();
        let scribe = run.intake.books.into_handler();
        assert_eq!(scribe.seen["0x2"], ["13 trade 0xabc", "13 trade 0xabd"], "{order:?}");
    }
}

#[test]
fn a_message_that_the_venue_repeats_on_the_new_connection_does_not_undo_a_later_one() {
    let mut venue = Venue::new(5);
    let mut run = in_step(&mut venue);
    let delivered = |size: u32| {
        format!(
            r#"{{"market":"0x1","price_changes":[{{"asset_id":"12","price":"0.05","size":"{size}","side":"BUY"}}],"timestamp":"2000","event_type":"price_change"}}"#
        )
    };
    [1, 2].iter().for_each(|&size| run.feed(OLD, &delivered(size)));
    [1, 1, 2].iter().for_each(|&size| run.feed(NEW, &delivered(size)));
    run.intake.books.switch(NEW, run.now_ns);
    let counts = run.finish().counts;
    assert_eq!((counts.ahead, counts.differences), (0, 0), "{counts:?}");
    let mut image = BookImage::default();
    assert!(run.intake.books.fill_image("12", &mut image));
    assert_eq!(image.bids[0].quantity.to_string(), "2");
}

#[test]
fn a_stale_book_does_not_take_a_snapshot_that_it_is_past() {
    let mut venue = Venue::new(5);
    let mut run = Run::new();
    (0..MARKETS).for_each(|market| run.feed(OLD, &venue.dump(market)));
    run.begin();
    let dumps: Vec<String> = (0..MARKETS).map(|market| venue.dump(market)).collect();
    run.intake.books.set_all_stale(StaleReason::UndecodedMessage, 1);
    (0..40).for_each(|_| venue.speak());
    venue.delivered.iter().for_each(|(frame, ..)| run.feed(OLD, frame));
    dumps.iter().for_each(|dump| run.feed(NEW, dump));
    assert_eq!(run.intake.books.counts().live, 0, "they wait for a newer one");
}

#[test]
fn what_was_applied_ahead_of_the_old_connection_is_not_reported_again_by_it() {
    let trade = |hash: &str| {
        format!(
            r#"{{"market":"0x2","asset_id":"13","price":"0.5","size":"1","side":"BUY","timestamp":"2001","event_type":"last_trade_price","transaction_hash":"{hash}"}}"#
        )
    };
    for lost in [false, true] {
        let mut venue = Venue::new(5);
        let mut run = in_step(&mut venue);
        run.feed(NEW, &trade("0xabc"));
        // What is outstanding keeps the handover going.
        run.now_ns += MILLISECOND_NS;
        let lone = r#"{"market":"0x1","price_changes":[{"asset_id":"12","price":"0.05","size":"7","side":"BUY"}],"timestamp":"2000","event_type":"price_change"}"#;
        run.feed(OLD, lone);
        // Old enough to be taken for lost on the old connection, or forced by the switch.
        if lost {
            run.intake.books.switch(NEW, run.now_ns);
        }
        run.now_ns += if lost { HANDOVER_STEP_NS } else { HANDOVER_AGE_NS };
        let now = run.now();
        assert!(run.intake.books.poll_handover(now).is_none());
        if lost {
            run.intake.books.on_disconnect(NEW, now);
        }
        run.feed(OLD, &trade("0xabc"));
        run.feed(OLD, &trade("0xabd"));
        let scribe = run.intake.books.into_handler();
        assert_eq!(scribe.seen["0x2"], ["13 trade 0xabc", "13 trade 0xabd"], "lost: {lost}");
    }
}

#[test]
fn a_dump_that_the_old_connection_brings_late_does_not_take_a_book_back() {
    let mut venue = Venue::new(5);
    let mut run = Run::new();
    let early: Vec<String> = (0..MARKETS).map(|market| venue.dump(market)).collect();
    (0..300).for_each(|_| venue.speak());
    run.begin();
    for market in 0..MARKETS {
        run.feed(NEW, &venue.dump(market));
    }
    let live = |run: &Run| {
        let books = &run.intake.books;
        let slot = |m| &books.store.slots[books.find(token(m).as_str()).expect("it is held")];
        (0..MARKETS).map(slot).map(|s| (s.state, s.facts.timestamp_ms)).collect::<Vec<_>>()
    };
    let before = live(&run);
    early.iter().for_each(|dump| run.feed(OLD, dump));
    assert_eq!(live(&run), before, "they are newer");
}

#[test]
fn a_market_that_ends_while_it_moves_is_no_interruption() {
    let mut venue = Venue::new(5);
    let mut run = in_step(&mut venue);
    run.intake.books.switch(NEW, run.now_ns);
    run.now_ns += MILLISECOND_NS;
    // What is outstanding keeps the handover going after the other markets have moved.
    let lone = r#"{"market":"0x1","price_changes":[{"asset_id":"12","price":"0.05","size":"7","side":"BUY"}],"timestamp":"2000","event_type":"price_change"}"#;
    run.feed(OLD, lone);
    let now = run.now();
    assert!(run.intake.books.poll_handover(now).is_none());
    run.intake.books.close(&token(0));
    let counts = run.finish().counts;
    assert_eq!((counts.live, counts.live_after), (u64::from(MARKETS) - 1, u64::from(MARKETS) - 1));
}

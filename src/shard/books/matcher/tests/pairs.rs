//! Snapshots of a market of two outcomes that come one after the other, and changes in between.
//!
//! Runs on:  test threads.
use super::*;

/// A market of two outcomes, both books live at 1,000, on a handover whose old connection is dumb.
struct Pair {
    run: Run,
}

impl Pair {
    fn new() -> Self {
        let mut books = Books::new(
            ShardId(0),
            crate::venue::polymarket::feed(true),
            Admission::Listed,
            Scribe::default(),
        );
        let tokens = [token(10), token(11)];
        for token in tokens {
            let market = MarketId::new("0x9").unwrap();
            let (tick_size, min_order_size, neg_risk) = (None, None, false);
            let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
            books.open(&opening, OLD).unwrap();
        }
        let mut run = Run {
            intake: Intake::new(crate::venue::ALL[0], books, StillClock(0)),
            now_ns: SECOND_NS,
        };
        (0..2).for_each(|place| run.feed(OLD, &Self::dump(place, 1_000, 1)));
        run.intake.books.begin_handover(OLD, NEW, &tokens);
        Self { run }
    }

    fn dump(place: u32, ms: u64, size: u32) -> String {
        let token = token(10 + place);
        format!(
            r#"{{"market":"0x9","asset_id":"{token}","timestamp":"{ms}","event_type":"book","bids":[{{"price":"0.4","size":"{size}"}}],"asks":[]}}"#
        )
    }

    fn change(ms: u64, price: &str) -> String {
        let entry = |place: u32| {
            format!(
                r#"{{"asset_id":"{}","price":"{price}","size":"5","side":"BUY"}}"#,
                token(10 + place)
            )
        };
        format!(
            r#"{{"market":"0x9","price_changes":[{},{}],"timestamp":"{ms}","event_type":"price_change"}}"#,
            entry(0),
            entry(1)
        )
    }

    fn shown(&self, place: u32) -> String {
        let mut image = BookImage::default();
        assert!(self.run.intake.books.fill_image(token(10 + place).as_str(), &mut image));
        let bids = image.bids.iter().map(|level| format!("{}x{}", level.price, level.quantity));
        format!("{} {}", image.facts.timestamp_ms, bids.collect::<Vec<_>>().join(" "))
    }

    /// Lets what is ahead grow old enough to be taken for lost on the old connection.
    fn age(&mut self) {
        self.run.now_ns += HANDOVER_AGE_NS;
        let now = self.run.now();
        assert!(self.run.intake.books.poll_handover(now).is_none());
    }
}

#[test]
fn what_is_in_one_snapshot_and_not_in_the_other_is_applied_to_that_book() {
    let mut pair = Pair::new();
    // The second book's snapshot is late: it has changes in it that are not in the first's.
    for frame in [
        Pair::dump(0, 2_000, 2),
        Pair::change(2_100, "0.3"),
        Pair::dump(1, 2_200, 3),
        Pair::change(2_300, "0.2"),
    ] {
        pair.run.feed(NEW, &frame);
    }
    pair.age();
    assert_eq!(pair.shown(0), "2300 0.2x5 0.3x5 0.4x2");
    assert_eq!(pair.shown(1), "2300 0.2x5 0.4x3");
}

#[test]
fn what_the_new_connection_repeats_while_it_is_ahead_undoes_nothing_later() {
    let mut pair = Pair::new();
    let sized = |size: u32| {
        let entry = |place: u32| {
            format!(
                r#"{{"asset_id":"{}","price":"0.4","size":"{size}","side":"BUY"}}"#,
                token(10 + place)
            )
        };
        format!(
            r#"{{"market":"0x9","price_changes":[{},{}],"timestamp":"2001","event_type":"price_change"}}"#,
            entry(0),
            entry(1)
        )
    };
    for frame in [&Pair::dump(0, 1_000, 1), &Pair::dump(1, 1_000, 1), &sized(5), &sized(5)] {
        pair.run.feed(NEW, frame);
    }
    for size in [5, 6] {
        pair.run.feed(OLD, &sized(size));
    }
    pair.run.feed(NEW, &sized(6));
    pair.age();
    assert_eq!(pair.shown(0), "2001 0.4x6");
    assert_eq!(pair.shown(1), "2001 0.4x6");
    // What stands there again with another in between is no repetition.
    for size in [7, 8, 7] {
        pair.run.feed(NEW, &sized(size));
    }
    pair.age();
    assert_eq!(pair.shown(0), "2001 0.4x7");
}

#[test]
fn without_a_snapshot_of_its_own_the_new_one_s_changes_are_not_applied_and_trades_are() {
    let mut pair = Pair::new();
    let trade = r#"{"market":"0x9","asset_id":"21","price":"0.5","size":"1","side":"BUY","timestamp":"2200","event_type":"last_trade_price","transaction_hash":"0x7"}"#;
    for frame in [&Pair::dump(0, 2_000, 2), &Pair::change(2_100, "0.3"), trade] {
        pair.run.feed(NEW, frame);
    }
    pair.age();
    assert_eq!(pair.shown(1), "1000 0.4x1", "what came before 2100 is not known");
    assert_eq!(pair.run.intake.books.counts().trades, 1);
    pair.run.feed(NEW, &Pair::dump(1, 2_300, 3));
    pair.age();
    assert_eq!(pair.shown(0), "2100 0.3x5 0.4x2");
    assert_eq!(pair.shown(1), "2300 0.4x3");
    // Sent by the old connection after all: it is no second trade.
    pair.run.feed(OLD, trade);
    assert_eq!(pair.run.intake.books.counts().trades, 1);
}

//! Books through frames, and their states through faults.
use super::*;
use crate::base::price::Price;
use crate::base::routing::shard_of;
use crate::base::time::{Now, StillClock};
use crate::market::event::{Event, Snapshot};
use crate::shard::intake::{Findings, Intake};

fn token(i: u32) -> TokenId {
    TokenId::new(&format!("{i}")).unwrap()
}

fn opening(market: u32, i: u32) -> BookOpening {
    BookOpening {
        market: MarketId::new(&format!("0x{market}")).unwrap(),
        token: token(i),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    }
}

const HERE: ConnectionSlot = ConnectionSlot(0);
const THERE: ConnectionSlot = ConnectionSlot(3);

fn intake(markets: &[(u32, &[u32])]) -> Intake<(), StillClock> {
    let mut books =
        Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
    for (market, tokens) in markets {
        for &i in *tokens {
            books.open(&opening(*market, i), HERE).unwrap();
        }
    }
    Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0))
}

fn feed(intake: &mut Intake<(), StillClock>, connection: ConnectionSlot, frame: &str) {
    intake.on_frame(frame, connection, Now::default(), &mut Findings::default());
}

fn shown(intake: &Intake<(), StillClock>, i: u32) -> String {
    let mut image = BookImage::default();
    assert!(intake.books.fill_image(token(i).as_str(), &mut image));
    let levels = |l: &[crate::market::book::Level]| {
        l.iter().map(|l| format!("{}x{}", l.price, l.quantity)).collect::<Vec<_>>().join(" ")
    };
    format!("{} [{}] [{}]", image.state.name(), levels(&image.bids), levels(&image.asks))
}

fn book(i: u32, ms: u64, bid: &str) -> String {
    format!(
        r#"{{"market":"0x1","asset_id":"{i}","timestamp":"{ms}","event_type":"book","bids":[{{"price":"{bid}","size":"5"}}],"asks":[]}}"#
    )
}

fn change(i: u32, ms: u64, price: &str, size: &str) -> String {
    format!(
        r#"{{"market":"0x1","price_changes":[{{"asset_id":"{i}","price":"{price}","size":"{size}","side":"BUY"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
    )
}

#[test]
fn a_book_is_live_only_after_its_snapshot_and_old_changes_do_not_touch_it() {
    let mut intake = intake(&[(1, &[11, 12])]);
    feed(&mut intake, HERE, &change(11, 10, "0.3", "7"));
    assert_eq!(shown(&intake, 11), "awaiting_snapshot [] []");
    feed(&mut intake, HERE, &book(11, 20, "0.4"));
    feed(&mut intake, HERE, &change(11, 19, "0.3", "7"));
    assert_eq!(shown(&intake, 11), "live [0.4x5] []");
    feed(&mut intake, HERE, &change(11, 20, "0.3", "7"));
    feed(&mut intake, HERE, &change(11, 21, "0.4", "0"));
    feed(&mut intake, HERE, &change(99, 21, "0.4", "0"));
    assert_eq!(shown(&intake, 11), "live [0.3x7] []");
    let counts = *intake.books.counts();
    let expected = BookCounts {
        updates: 2,
        snapshots: 1,
        changes_before_snapshot: 1,
        changes_stale: 1,
        unknown_instruments: 1,
        books: 2,
        live: 1,
        awaiting: 1,
        ..BookCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn a_lost_connection_makes_its_books_stale_until_the_next_snapshot() {
    let mut intake = intake(&[(1, &[11, 12])]);
    feed(&mut intake, HERE, &book(11, 20, "0.4"));
    feed(&mut intake, THERE, &book(12, 20, "0.5"));
    assert_eq!((intake.books.live_on(HERE), intake.books.live_on(THERE)), (1, 1));
    let marked = intake.books.set_connection_stale(HERE, StaleReason::Disconnected, 7);
    assert_eq!(marked, 1);
    assert_eq!(shown(&intake, 11), "stale:disconnected [0.4x5] []");
    assert_eq!(shown(&intake, 12), "live [0.5x5] []");
    feed(&mut intake, THERE, &book(11, 21, "0.6"));
    assert_eq!(shown(&intake, 11), "live [0.6x5] []");
    assert_eq!((intake.books.live_on(HERE), intake.books.live_on(THERE)), (0, 2));
}

#[test]
fn a_message_that_cannot_be_read_makes_its_book_stale() {
    let mut intake = intake(&[(1, &[11, 12])]);
    feed(&mut intake, HERE, &book(11, 20, "0.4"));
    feed(&mut intake, HERE, &book(11, 21, "4"));
    assert_eq!(shown(&intake, 11), "stale:undecoded_message [0.4x5] []");
    assert_eq!(intake.counts.decode_errors, 1);
    feed(&mut intake, HERE, &book(11, 22, "0.3"));
    assert_eq!(shown(&intake, 11), "live [0.3x5] []");
}

#[test]
fn a_trade_sets_the_last_price_of_the_whole_market_and_no_level() {
    let mut intake = intake(&[(1, &[11, 12, 13]), (2, &[21, 22])]);
    let trade = r#"{"market":"0x1","asset_id":"12","price":"0.585","size":"2","side":"SELL","timestamp":"7","event_type":"last_trade_price"}"#;
    feed(&mut intake, HERE, trade);
    let last = |i: u32| {
        let mut image = BookImage::default();
        intake.books.fill_image(token(i).as_str(), &mut image);
        image.facts.last_trade
    };
    let price = Some(Price(585_000));
    assert_eq!([last(11), last(12), last(13), last(21)], [price, price, price, None]);
}

#[test]
fn opening_and_closing_in_any_order_keeps_index_and_siblings_whole() {
    let mut random = crate::base::random::Random::new(5);
    let mut books =
        Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
    let mut open = std::collections::BTreeSet::new();
    for _ in 0..20_000 {
        let i = random.below(60) as u32;
        if random.chance(1, 2) {
            books.open(&opening(i / 3, i), ConnectionSlot(i % 4)).unwrap();
            open.insert(i);
        } else {
            books.close(&token(i));
            open.remove(&i);
        }
        assert_eq!(books.counts().books, open.len() as u64);
        let probe = random.below(60) as u32;
        assert_eq!(books.find(token(probe).as_str()).is_some(), open.contains(&probe));
        if let Some(first) = books.find(token(probe).as_str()) {
            let mut family = 0;
            books.store.slots.for_market(first, |_| family += 1);
            let expected = open.iter().filter(|&&o| o / 3 == probe / 3).count();
            assert_eq!(family, expected);
        }
    }
    assert_eq!(books.open_books().count(), open.len());
}

#[test]
fn implied_books_open_on_the_shard_that_owns_their_market_and_nowhere_else() {
    for shard in 0..3 {
        let admission = Admission::Implied { shards: 3 };
        let books = Books::new(ShardId(shard), crate::venue::polymarket::feed(true), admission, ());
        let mut intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
        feed(&mut intake, HERE, &book(11, 20, "0.4"));
        let own = shard_of(b"0x1", 3) == ShardId(shard);
        assert_eq!(intake.books.find("11").is_some(), own);
        assert_eq!(intake.books.counts().unknown_instruments, 0);
    }
}

#[test]
fn an_undecodable_change_of_unknown_token_makes_its_whole_market_stale() {
    let mut intake = intake(&[(1, &[11, 12]), (2, &[21])]);
    for (market, i) in [(1, 11), (1, 12), (2, 21)] {
        let frame = book(i, 20, "0.4").replace("\"0x1\"", &format!("\"0x{market}\""));
        feed(&mut intake, HERE, &frame);
    }
    assert_eq!(intake.books.counts().live, 3);
    let bad = r#"{"market":"0x1","price_changes":[{"asset_id":"11","price":"9","size":"1","side":"BUY"}],"timestamp":"21","event_type":"price_change"}"#;
    feed(&mut intake, HERE, bad);
    assert!(shown(&intake, 11).starts_with("stale:undecoded_message"));
    assert!(shown(&intake, 12).starts_with("stale:undecoded_message"));
    assert!(shown(&intake, 21).starts_with("live"));
    assert_eq!(intake.books.set_all_stale(StaleReason::FramesLost, 0), 1);
    assert!(shown(&intake, 21).starts_with("stale:frames_lost"));
}

#[test]
fn an_implied_book_is_known_by_market_and_token() {
    let books = Books::new(
        ShardId(0),
        crate::venue::polymarket::feed(true),
        Admission::Implied { shards: 1 },
        (),
    );
    let mut intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
    feed(&mut intake, HERE, &book(11, 20, "0.4"));
    feed(&mut intake, HERE, &book(11, 21, "0.5").replace("\"0x1\"", "\"0x9\""));
    let mut lines: Vec<String> = Vec::new();
    let mut image = BookImage::default();
    for OpenBook { token, market, index } in intake.books.open_books() {
        assert!(intake.books.fill_image_at(index, &mut image));
        lines.push(format!("{market} {token} {}", image.bids[0].price));
    }
    assert_eq!(lines, ["0x1 11 0.4", "0x9 11 0.5"]);
}

#[test]
fn a_torn_frame_makes_the_books_of_the_markets_it_names_stale() {
    let mut intake = intake(&[(1, &[11, 12]), (2, &[21])]);
    for i in [11, 12] {
        feed(&mut intake, HERE, &book(i, 20, "0.4"));
    }
    feed(&mut intake, HERE, &book(21, 20, "0.4").replace("0x1", "0x2"));
    let whole = change(11, 21, "0.3", "7");
    feed(&mut intake, HERE, &whole[..whole.len() - 3]);
    assert_eq!(shown(&intake, 11), "stale:undecoded_message [0.4x5] []");
    assert_eq!(shown(&intake, 12), "stale:undecoded_message [0.4x5] []");
    assert_eq!(shown(&intake, 21), "live [0.4x5] []");
}

#[test]
fn the_catalog_completes_an_announced_book_and_the_stream_keeps_its_tick_size() {
    let mut intake = intake(&[(1, &[11])]);
    let tick = r#"{"market":"0x1","asset_id":"11","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"7","event_type":"tick_size_change"}"#;
    feed(&mut intake, HERE, tick);
    let reported = BookOpening {
        tick_size: Some(Price(10_000)),
        min_order_size: Some(crate::base::price::Quantity(5_000_000)),
        neg_risk: true,
        ..opening(1, 11)
    };
    intake.books.describe(&reported);
    intake.books.describe(&opening(1, 99));
    let mut image = BookImage::default();
    assert!(intake.books.fill_image("11", &mut image));
    assert_eq!(image.facts.tick_size, Some(Price(1_000)));
    assert_eq!(image.facts.min_order_size, reported.min_order_size);
    assert!(image.facts.neg_risk);
}

#[test]
fn a_quiet_book_weighs_little_with_all_that_belongs_to_it() {
    let side = |levels: u32| -> Vec<crate::market::book::Level> {
        let level = |p| crate::market::book::Level {
            price: Price(p * 1_000),
            quantity: crate::base::price::Quantity(1_230_000),
        };
        (1..=levels).map(level).collect()
    };
    // A number of books just above a power of two: the worst of doubling.
    let count = 4_200;
    for (levels, bytes_max) in [(0, 1_024), (10, 1_024), (100, 4_096)] {
        let mut books = Books::new(
            ShardId(0),
            crate::venue::polymarket::feed(true),
            Admission::Implied { shards: 1 },
            (),
        );
        let (bids, asks) = (side(levels), side(levels));
        for i in 0..count {
            let (market, token) = (format!("0x{}", i / 2), format!("{i}"));
            let snapshot = Snapshot {
                market: &market,
                token: &token,
                timestamp_ms: 1,
                hash: None,
                bids: &bids,
                asks: &asks,
                tick_size: None,
                last_trade: None,
                min_order_size: None,
                neg_risk: None,
            };
            books.on_event(&Event::Snapshot(snapshot), HERE, Now::default());
        }
        let bytes = books.store.memory_usage(count) / count as u64;
        assert!(bytes <= bytes_max, "{bytes} bytes a book of {levels} levels a side");
    }
}

#[test]
fn a_message_finds_each_of_its_tokens_whatever_their_order() {
    // Two markets in one intake, and a message that names tokens of both: siblings are tried
    // first, and what is none is looked up.
    let mut intake = intake(&[(1, &[11, 12, 13]), (2, &[21])]);
    for i in [11, 12, 13, 21] {
        feed(&mut intake, HERE, &book(i, 20, "0.4"));
    }
    let order = [12, 12, 11, 21, 99, 21, 13, 12, 11];
    let changes: Vec<String> = (1..)
        .zip(order)
        .map(|(size, i)| {
            format!(r#"{{"asset_id":"{i}","price":"0.3","size":"{size}","side":"BUY"}}"#)
        })
        .collect();
    let changes = changes.join(",");
    let frame = format!(
        r#"{{"market":"0x1","price_changes":[{changes}],"timestamp":"21","event_type":"price_change"}}"#
    );
    feed(&mut intake, HERE, &frame);
    for (i, size) in [(11, 9), (12, 8), (13, 7), (21, 6)] {
        assert_eq!(shown(&intake, i), format!("live [0.3x{size} 0.4x5] []"));
    }
    assert_eq!((intake.books.counts().updates, intake.books.counts().unknown_instruments), (8, 1));
}

#[test]
fn a_token_of_two_markets_keeps_its_books_apart_within_messages_of_two_changes() {
    let books = Books::new(
        ShardId(0),
        crate::venue::polymarket::feed(true),
        Admission::Implied { shards: 1 },
        (),
    );
    let mut intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
    for market in ["0x1", "0x9"] {
        for i in [11, 12] {
            feed(&mut intake, HERE, &book(i, 20, "0.4").replace("0x1", market));
        }
    }
    let two = r#"{"market":"0x9","price_changes":[{"asset_id":"11","price":"0.3","size":"7","side":"BUY"},{"asset_id":"12","price":"0.2","size":"8","side":"BUY"}],"timestamp":"21","event_type":"price_change"}"#;
    feed(&mut intake, HERE, two);
    let mut image = BookImage::default();
    for OpenBook { token, market, index } in intake.books.open_books() {
        assert!(intake.books.fill_image_at(index, &mut image));
        let worst = match (market.as_str(), token.as_str()) {
            ("0x9", "11") => 300_000,
            ("0x9", _) => 200_000,
            _ => 400_000,
        };
        assert_eq!(image.bids[0].price, Price(worst), "{market} {token}");
    }
}

#[test]
fn an_event_whose_name_looks_like_an_error_is_none() {
    let mut intake = intake(&[(1, &[11])]);
    let mut findings = Findings::default();
    for name in ["error 18: x", "new keys: x", "error 18: x"] {
        let frame = format!(r#"{{"market":"0x1","event_type":"{name}","timestamp":"20"}}"#);
        intake.on_frame(&frame, HERE, Now::default(), &mut findings);
    }
    let lines: Vec<String> = findings.unrecognized.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("sent an unknown message")), "{lines:?}");
}

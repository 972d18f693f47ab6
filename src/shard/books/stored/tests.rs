//! Images of books, and books that continue from them.
use super::*;
use crate::base::id::{ConnectionId, ShardId};
use crate::base::policy::HashChecks;
use crate::base::time::{Now, StillClock};
use crate::link::shard_capture::{ImageHead, capture_link};
use crate::market::book::image::BookImage;
use crate::shard::books::Admission;
use crate::shard::intake::{Findings, Intake};

const HERE: ConnectionSlot = ConnectionSlot(1);
const THERE: ConnectionSlot = ConnectionSlot(2);

fn empty() -> Intake<(), StillClock> {
    let feed = crate::venue::polymarket::feed(true);
    let books = Books::new(ShardId(0), feed, Admission::Listed, ());
    Intake::new(feed, books.with_hash_checks(HashChecks::Off), StillClock::default())
}

fn two_books() -> Intake<(), StillClock> {
    let mut intake = empty();
    for token in ["7", "8"] {
        let opening = BookOpening {
            market: MarketId::new("0xa1").unwrap(),
            token: TokenId::new(token).unwrap(),
            tick_size: Price::parse(b"0.01"),
            min_order_size: Quantity::parse(b"5"),
            neg_risk: true,
        };
        intake.books.open(&opening, HERE).unwrap();
        feed(&mut intake, &snapshot(token, 1_000, "0.4"));
    }
    intake
}

fn feed(intake: &mut Intake<(), StillClock>, frame: &str) {
    let read = Now { mono_ns: 5, wall_ns: 2_000_000_000 };
    intake.on_frame(frame, HERE, read, &mut Findings::default());
}

fn snapshot(token: &str, ms: u64, bid: &str) -> String {
    format!(
        r#"{{"market":"0xa1","asset_id":"{token}","timestamp":"{ms}","event_type":"book","bids":[{{"price":"0.1","size":"100.25"}},{{"price":"{bid}","size":"5"}}],"asks":[{{"price":"0.9","size":"1"}}]}}"#
    )
}

fn change(token: &str, ms: u64, price: &str, best: &str) -> String {
    format!(
        r#"{{"market":"0xa1","price_changes":[{{"asset_id":"{token}","price":"{price}","size":"2","side":"BUY","hash":"{:040}","best_bid":"{best}","best_ask":"0.9"}}],"timestamp":"{ms}","event_type":"price_change"}}"#,
        ms
    )
}

/// The images of all markets, one list each.
fn images(intake: &mut Intake<(), StillClock>, connection: ConnectionSlot) -> Vec<String> {
    let mut found = Vec::new();
    let places = intake.books.image_places();
    let (mut sender, mut receiver) = capture_link(ShardId(0), 2);
    let turn = ImageTurn { places, bytes_max: usize::MAX, wall_ns: 1 };
    intake.books.next_images(turn, |image| {
        assert_eq!(image.connection(), connection);
        let (market, connection) = (image.market(), ConnectionId(1));
        let head = ImageHead { market, connection, position: None, wall_ns: 1 };
        sender.image(head, image.bytes(), |out, _| {
            image.write(out, Some(r#""is-a1""#));
            assert!(out.bytes() <= image.bytes(), "{} of {}", out.bytes(), image.bytes());
        })
    });
    assert!(sender.ship(1));
    while let Some(chunk) = receiver.full.try_receive() {
        let books = |text: &str| text.strip_prefix(r#","books":"#).unwrap().to_owned();
        found.extend(chunk.iter().map(|entry| books(&entry.text())));
    }
    found
}

fn stored(text: &str) -> Vec<StoredBook> {
    sonic_rs::from_str(text).unwrap()
}

fn shown(intake: &Intake<(), StillClock>) -> Vec<String> {
    let show = |token: &str| {
        let mut image = BookImage::default();
        assert!(intake.books.fill_image(token, &mut image), "{token}");
        let mut text = format!("{} ", image.facts.updated_wall_ns);
        image.write_json_with_state(&mut text);
        text
    };
    ["7", "8"].map(show).to_vec()
}

#[test]
fn books_continue_from_an_image_as_if_they_had_been_followed() {
    let mut whole = two_books();
    let trade = r#"{"market":"0xa1","asset_id":"7","price":"0.41","size":"3","side":"BUY","timestamp":"1500","event_type":"last_trade_price","transaction_hash":"0x1"}"#;
    let tick = r#"{"market":"0xa1","asset_id":"7","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"1600","event_type":"tick_size_change"}"#;
    feed(&mut whole, trade);
    feed(&mut whole, tick);
    // The message waits for its comparison: its best price is that of the next one.
    feed(&mut whole, &change("7", 1_700, "0.5", "0.51"));
    let found = images(&mut whole, HERE);
    assert_eq!(found.len(), 1, "{found:?}");
    let mut part = empty();
    for stored in &stored(&found[0]) {
        assert_eq!(part.books.on_image(stored, THERE, false), ImageOutcome::NotLive);
        assert_eq!(part.books.on_image(stored, THERE, true), ImageOutcome::Opened);
        assert_eq!(part.books.on_image(stored, THERE, true), ImageOutcome::Equal);
    }
    assert_eq!(shown(&part), shown(&whole));
    assert_eq!(images(&mut part, THERE), found);
    let frames = [
        change("7", 1_700, "0.51", "0.51"),
        // Older than the snapshot: not applied.
        change("8", 999, "0.6", "0.6"),
        // An older price step, and a best price that is wrong twice.
        tick.replace("1600", "1599").replace("0.001", "0.002"),
        change("8", 1_800, "0.45", "0.45"),
        change("8", 1_801, "0.46", "0.7"),
        change("8", 1_802, "0.47", "0.7"),
        change("8", 1_803, "0.48", "0.48"),
    ];
    for frame in &frames {
        feed(&mut whole, frame);
        feed(&mut part, frame);
        assert_eq!(shown(&part), shown(&whole), "{frame}");
    }
    assert!(shown(&part)[1].contains("stale:disproved"), "{:?}", shown(&part));
    assert_eq!(part.books.checks(), whole.books.checks());
}

#[test]
fn a_market_of_which_something_is_not_decided_has_no_image() {
    let mut intake = two_books();
    assert_eq!(images(&mut intake, HERE).len(), 1);
    // A wrong best price, compared when the next message comes.
    feed(&mut intake, &change("7", 1_700, "0.5", "0.6"));
    assert_eq!(images(&mut intake, HERE).len(), 1);
    feed(&mut intake, &change("7", 1_701, "0.5", "0.5"));
    assert_eq!(intake.books.end_image_round(), Some(1));
    assert_eq!(images(&mut intake, HERE), [""; 0]);
    assert_eq!(intake.books.end_image_round(), None);
    feed(&mut intake, &change("7", 1_702, "0.5", "0.5"));
    // Its turn is over: it is late, and not one place is looked at.
    let turn = ImageTurn { places: 0, bytes_max: 1, wall_ns: 2 };
    let mut late = 0;
    intake.books.next_images(turn, |_| {
        late += 1;
        late > 1
    });
    assert_eq!((late, intake.books.end_image_round()), (1, None), "there was no room");
    assert_eq!(images(&mut intake, HERE).len(), 2, "late, and in its turn");
    assert_eq!(intake.books.end_image_round(), Some(1));
    // Its connection is being replaced.
    let tokens = ["7", "8"].map(|token| TokenId::new(token).unwrap());
    intake.books.begin_handover(HERE, THERE, &tokens);
    assert_eq!(images(&mut intake, HERE), [""; 0]);
    assert_eq!(intake.books.end_image_round(), None);
}

#[test]
fn an_image_that_differs_or_is_damaged_is_noticed() {
    let mut intake = two_books();
    let found = images(&mut intake, HERE);
    feed(&mut intake, &change("7", 1_700, "0.5", "0.5"));
    let books = stored(&found[0]);
    assert_eq!(intake.books.on_image(&books[0], HERE, true), ImageOutcome::Different);
    assert_eq!(intake.books.on_image(&books[1], HERE, true), ImageOutcome::Equal);
    for damage in ["0.4 x", "0.4", "0.4 5 0.3", "x 5"] {
        let text = found[0].replace("0.1 100.25 0.4 5", damage);
        assert_eq!(empty().books.on_image(&stored(&text)[0], HERE, true), ImageOutcome::Unusable);
    }
    assert_eq!(intake.books.set_all_stale(crate::market::book::StaleReason::FramesLost, 7), 2);
    assert_eq!(intake.books.on_image(&books[1], HERE, true), ImageOutcome::NotLive);
    assert_eq!(images(&mut intake, HERE), [""; 0]);
}

#[test]
fn a_turn_ends_before_an_image_that_is_beyond_its_bytes() {
    let mut intake = empty();
    for (market, token) in [("0xa1", "1"), ("0xb2", "2"), ("0xc3", "3")] {
        let (market, token) = (MarketId::new(market).unwrap(), TokenId::new(token).unwrap());
        let (tick_size, min_order_size, neg_risk) = (None, None, false);
        let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
        intake.books.open(&opening, HERE).unwrap();
        let levels = if market.as_str() == "0xb2" { 200 } else { 2 };
        let bids: Vec<String> =
            (1..=levels).map(|at| format!(r#"{{"price":"0.{at:03}","size":"{at}.5"}}"#)).collect();
        feed(
            &mut intake,
            &format!(
                r#"{{"market":"{market}","asset_id":"{token}","timestamp":"1000","event_type":"book","bids":[{}],"asks":[]}}"#,
                bids.join(",")
            ),
        );
    }
    // Each turn with the markets of its images, and the places that were looked at.
    let mut turn = |bytes_max| {
        let mut found = Vec::new();
        let turn = ImageTurn { places: 3, bytes_max, wall_ns: 1 };
        let looked_at = intake.books.next_images(turn, |image| {
            found.push(image.market().as_str().to_owned());
            true
        });
        (found.join(" "), looked_at)
    };
    let turn_of = |markets: &str, looked_at| (markets.to_owned(), looked_at);
    let turns = [turn(2_000), turn(2_000), turn(2_000), turn(1 << 20)];
    assert_eq!(
        turns,
        [
            turn_of("0xb2", 1),
            turn_of("0xc3 0xa1", 2),
            turn_of("0xb2", 1),
            turn_of("0xc3 0xa1 0xb2", 3)
        ]
    );
}

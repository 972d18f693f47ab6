//! Messages of small books, with expected texts written by hand.
use super::*;
use crate::base::id::{MarketId, TradeId};
use crate::base::price::Quantity;
use crate::market::book::image::BookFacts;
use crate::market::book::{Book, BookState, Side};

/// 2026-08-14T17:23:18.766Z, in milliseconds.
const AT_MS: u64 = 1_786_728_198_766;
const TIMES: &str =
    r#""timestamp":"2026-08-14T17:23:18.766Z","localTimestamp":"2026-08-14T17:23:18.770000Z""#;

fn level(price: u32, quantity: u64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn replica() -> Replica {
    let mut book = Book::default();
    let bids = [level(400_000, 1_500_000), level(410_000, 20_000_000)];
    book.replace(&bids, &[level(430_000, 7)]).unwrap();
    Replica {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x7d").unwrap(),
        token: TokenId::new("27").unwrap(),
        state: BookState::Live,
        facts: BookFacts { timestamp_ms: AT_MS, ..BookFacts::default() },
        book,
        version: 17,
        read_wall_ns: 1_786_728_198_770_000_001,
        traded: crate::gateway::Traded::default(),
    }
}

fn session(types: &str, more: &str) -> Session {
    let text =
        format!(r#"{{"exchange":"polymarket","symbols":["27"],"dataTypes":[{types}]{more}}}"#);
    Session::new(Options::parse(&text).unwrap())
}

fn texts(messages: &mut Messages) -> Vec<String> {
    let texts = messages.iter().map(|(_, text)| text.to_owned()).collect();
    messages.clear();
    texts
}

/// Applies a change and gives the messages.
fn change(
    session: &mut Session,
    replica: &mut Replica,
    changes: &[(u64, Side, Level)],
) -> Vec<String> {
    let changes: Vec<LevelChange> = changes
        .iter()
        .map(|&(timestamp_ms, side, level)| {
            replica.book.set(side, level).unwrap();
            let (best_bid, best_ask) = (None, None);
            LevelChange { timestamp_ms, side, level, hash: None, best_bid, best_ask, first: true }
        })
        .collect();
    let mut out = Messages::default();
    session.on_changes(replica, changes.iter(), &mut out);
    texts(&mut out)
}

fn trade(session: &mut Session, at_ms: u64, price: u32, quantity: u64, side: Side) -> Vec<String> {
    let trade = TradeUpdate {
        timestamp_ms: at_ms,
        price: Price(price),
        quantity: Quantity(quantity),
        side,
        fee_rate_bps: None,
        id: TradeId::new("0xab"),
    };
    let mut out = Messages::default();
    session.on_trade(&replica(), &trade, &mut out);
    texts(&mut out)
}

#[test]
fn a_book_then_one_message_for_each_change() {
    let mut replica = replica();
    let mut session = session(r#""book_change""#, "");
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    assert_eq!(out.iter().next().unwrap().0, MessageKind::Image);
    let head = r#"{"type":"book_change","symbol":"27","exchange":"polymarket","isSnapshot":"#;
    let book = r#"true,"bids":[{"price":0.41,"amount":20},{"price":0.4,"amount":1.5}],"asks":[{"price":0.43,"amount":0.000007}],"#;
    assert_eq!(texts(&mut out), [format!("{head}{book}{TIMES}}}")]);
    let changes =
        [(AT_MS, Side::Bid, level(410_000, 0)), (AT_MS, Side::Ask, level(420_000, 5_000_000))];
    let bid = r#"false,"bids":[{"price":0.41,"amount":0}],"asks":[],"#;
    let ask = r#"false,"bids":[],"asks":[{"price":0.42,"amount":5}],"#;
    assert_eq!(
        change(&mut session, &mut replica, &changes),
        [format!("{head}{bid}{TIMES}}}"), format!("{head}{ask}{TIMES}}}")]
    );
    // Of another symbol.
    replica.token = TokenId::new("28").unwrap();
    session.on_image(&replica, true, &mut out);
    assert_eq!(out.iter().count(), 0);
    assert!(!session.wants_book(&replica));
}

#[test]
fn trades_and_the_last_price() {
    let mut session = session(r#""trade","derivative_ticker""#, "");
    let head = r#""symbol":"27","exchange":"polymarket","#;
    let bought = format!(
        r#"{{"type":"trade",{head}"id":"0xab","price":0.41,"amount":2.5,"side":"buy",{TIMES}}}"#
    );
    let last = format!(r#"{{"type":"derivative_ticker",{head}"lastPrice":0.41,{TIMES}}}"#);
    assert_eq!(trade(&mut session, AT_MS, 410_000, 2_500_000, Side::Bid), [&bought[..], &last]);
    let sold = bought.replace("buy", "sell");
    assert_eq!(trade(&mut session, AT_MS, 410_000, 2_500_000, Side::Ask), [sold]);
}

#[test]
fn best_prices_when_they_change() {
    let mut replica = replica();
    let mut session = session(r#""book_ticker""#, "");
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    let head = r#"{"type":"book_ticker","symbol":"27","exchange":"polymarket","#;
    let first = r#""bidPrice":0.41,"bidAmount":20,"askPrice":0.43,"askAmount":0.000007,"#;
    assert_eq!(texts(&mut out), [format!("{head}{first}{TIMES}}}")]);
    let deep = [(AT_MS, Side::Bid, level(400_000, 0))];
    assert!(change(&mut session, &mut replica, &deep).is_empty());
    let asks = [(AT_MS, Side::Ask, level(430_000, 0))];
    let bid = r#""bidPrice":0.41,"bidAmount":20,"#;
    assert_eq!(change(&mut session, &mut replica, &asks), [format!("{head}{bid}{TIMES}}}")]);
}

#[test]
fn a_snapshot_at_each_change_of_its_levels() {
    let mut replica = replica();
    let mut session = session(r#""book_snapshot_2_0ms","quote""#, "");
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    let head = r#"{"type":"book_snapshot","symbol":"27","exchange":"polymarket","name":"#;
    let two = r#""book_snapshot_2_0ms","depth":2,"interval":0,"bids":[{"price":0.41,"amount":20},{"price":0.4,"amount":1.5}],"asks":[{"price":0.43,"amount":0.000007},{}],"#;
    let one = r#""quote","depth":1,"interval":0,"bids":[{"price":0.41,"amount":20}],"asks":[{"price":0.43,"amount":0.000007}],"#;
    let all = [format!("{head}{two}{TIMES}}}"), format!("{head}{one}{TIMES}}}")];
    assert_eq!(texts(&mut out), all);
    // The second level is in the first snapshot only, the third in none.
    let second = [(AT_MS, Side::Bid, level(400_000, 0))];
    let two = two.replace(r#",{"price":0.4,"amount":1.5}"#, ",{}");
    assert_eq!(change(&mut session, &mut replica, &second), [format!("{head}{two}{TIMES}}}")]);
    change(&mut session, &mut replica, &[(AT_MS, Side::Bid, level(390_000, 1))]);
    let third = [(AT_MS, Side::Bid, level(380_000, 1))];
    assert!(change(&mut session, &mut replica, &third).is_empty());
}

/// Intervals of 10 s of venue time end at multiples of them: the first one 1.234 s after `AT_MS`.
#[test]
fn a_snapshot_at_the_end_of_its_interval() {
    let mut replica = replica();
    let mut session = session(r#""quote_10s""#, "");
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    assert_eq!(texts(&mut out).len(), 1, "the first one at once");
    let bid = |at_ms, quantity| [(at_ms, Side::Bid, level(410_000, quantity))];
    assert!(change(&mut session, &mut replica, &bid(AT_MS + 1, 1_000_000)).is_empty());
    assert!(change(&mut session, &mut replica, &bid(AT_MS + 1_000, 2_000_000)).is_empty());
    let texts = change(&mut session, &mut replica, &bid(AT_MS + 60_000, 3_000_000));
    let [text] = &texts[..] else { panic!("{texts:?}") };
    assert!(text.contains(r#""bids":[{"price":0.41,"amount":2}]"#), "{text}");
    assert!(text.contains(r#""timestamp":"2026-08-14T17:23:20.000Z""#), "{text}");
}

#[test]
fn a_grouped_snapshot_sums_amounts() {
    let mut replica = replica();
    let bids = [level(410_000, 1_000_000), level(400_000, 2_000_000), level(390_000, 4_000_000)];
    let asks = [level(410_001, 1_000_000), level(450_000, 2_000_000), level(450_001, 4_000_000)];
    replica.book.replace(&bids, &asks).unwrap();
    let mut session = session(r#""book_snapshot_1_grouped0.05_0ms""#, "");
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    let texts = texts(&mut out);
    let levels =
        r#""grouping":0.05,"bids":[{"price":0.4,"amount":3}],"asks":[{"price":0.45,"amount":3}]"#;
    assert!(texts[0].contains(levels), "{texts:?}");
    // One level of the group: another sum. One of the next group: nothing.
    let inside = [(AT_MS, Side::Bid, level(400_000, 0))];
    let texts = change(&mut session, &mut replica, &inside);
    assert!(texts[0].contains(r#""bids":[{"price":0.4,"amount":1}]"#), "{texts:?}");
    let outside = [(AT_MS, Side::Bid, level(390_000, 0))];
    assert!(change(&mut session, &mut replica, &outside).is_empty());
}

#[test]
fn bars_of_time_ticks_and_volume() {
    let mut time = session(r#""trade_bar_10s""#, "");
    assert!(trade(&mut time, AT_MS, 400_000, 1_000_000, Side::Bid).is_empty());
    assert!(trade(&mut time, AT_MS + 100, 500_000, 3_000_000, Side::Ask).is_empty());
    // An older trade that comes later is no close.
    assert!(trade(&mut time, AT_MS + 50, 300_000, 1_000_000, Side::Bid).is_empty());
    // (0.4 + 1.5 + 0.3) / 5 = 0.44
    let bar = r#"{"type":"trade_bar","symbol":"27","exchange":"polymarket","name":"trade_bar_10s","interval":10000,"kind":"time","open":0.4,"high":0.5,"low":0.3,"close":0.5,"volume":5,"buyVolume":2,"sellVolume":3,"trades":3,"vwap":0.44,"openTimestamp":"2026-08-14T17:23:18.766Z","closeTimestamp":"2026-08-14T17:23:18.866Z","localTimestamp":"2026-08-14T17:23:18.770000Z","timestamp":"2026-08-14T17:23:20.000Z"}"#;
    assert_eq!(trade(&mut time, AT_MS + 2_000, 400_000, 1, Side::Bid), [bar]);
    let mut ticks = session(r#""trade_bar_2ticks""#, "");
    assert!(trade(&mut ticks, AT_MS, 400_000, 1_000_000, Side::Bid).is_empty());
    let texts = trade(&mut ticks, AT_MS + 60_000, 500_000, 1_000_000, Side::Bid);
    assert!(texts[0].contains(r#""interval":2,"kind":"tick","open":0.4"#), "{texts:?}");
    assert!(texts[0].contains(r#""vwap":0.45,"#), "{texts:?}");
    let mut volume = session(r#""trade_bar_1.5vol""#, "");
    assert!(trade(&mut volume, AT_MS, 400_000, 1_000_000, Side::Bid).is_empty());
    let texts = trade(&mut volume, AT_MS, 500_000, 1_000_000, Side::Bid);
    assert!(texts[0].contains(r#""interval":1.5,"kind":"volume","open":0.4"#), "{texts:?}");
    assert_eq!(trade(&mut volume, AT_MS, 500_000, 1_500_000, Side::Bid).len(), 1);
}

#[test]
fn a_stale_book_is_an_error_an_empty_book_and_a_disconnect() {
    let replica = replica();
    let more = r#","withDisconnectMessages":true,"withErrorMessages":true"#;
    let mut session = session(r#""book_change","quote","trade_bar_2ticks""#, more);
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    out.clear();
    trade(&mut session, AT_MS, 400_000, 1_000_000, Side::Bid);
    let local = r#""localTimestamp":"2026-08-14T17:23:18.770000Z""#;
    let stale = |session: &mut Session, clear| {
        let mut out = Messages::default();
        session.on_stale(&replica, "disconnected", clear, &mut out);
        texts(&mut out)
    };
    let error = format!(
        r#"{{"type":"error","exchange":"polymarket",{local},"details":"the book of 27 is out of date: disconnected","subSequentErrorsCount":1}}"#
    );
    let disconnect =
        format!(r#"{{"type":"disconnect","exchange":"polymarket",{local},"symbols":["27"]}}"#);
    let cleared = stale(&mut session, true);
    let [first, book, quote, last] = &cleared[..] else { panic!("{cleared:?}") };
    assert_eq!((first, last), (&error, &disconnect));
    assert!(book.contains(r#""isSnapshot":true,"bids":[],"asks":[],"#), "{book}");
    assert!(quote.contains(r#""bids":[{}],"asks":[{}],"#), "{quote}");
    let held = stale(&mut session, false);
    assert_eq!(held, [error.replace("Count\":1", "Count\":2"), disconnect]);
    // The bar in progress is forgotten; the next book comes whole, and errors are counted anew.
    assert!(trade(&mut session, AT_MS, 400_000, 1_000_000, Side::Bid).is_empty());
    session.on_image(&replica, false, &mut out);
    assert_eq!(texts(&mut out).len(), 2);
    assert!(stale(&mut session, false)[0].ends_with("Count\":1}"));
}

#[test]
fn entries_have_their_own_messages() {
    let text = r#"[{"exchange":"polymarket","symbols":["27","27"],"dataTypes":["book_change"]},
        {"exchange":"polymarket","dataTypes":["quote"]},{"exchange":"kalshi","dataTypes":["quote"]}]"#;
    let mut session = Session::new(Options::parse(text).unwrap());
    let mut replica = replica();
    let mut out = Messages::default();
    session.on_image(&replica, true, &mut out);
    let types = |out: &mut Messages| -> Vec<String> {
        texts(out).iter().map(|text| text.split('"').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(types(&mut out), ["book_change", "book_snapshot"]);
    replica.token = TokenId::new("28").unwrap();
    session.on_image(&replica, true, &mut out);
    assert_eq!(types(&mut out), ["book_snapshot"]);
    replica.venue = Venue::named("kalshi");
    session.on_image(&replica, true, &mut out);
    let text = texts(&mut out);
    assert!(text[0].contains(r#""symbol":"28","exchange":"kalshi""#), "{text:?}");
    let mut requests = Vec::new();
    session.subscribe(&mut requests);
    assert!(matches!(requests[..], [Request::Close(1011, _)]), "a live stream names its symbols");
}

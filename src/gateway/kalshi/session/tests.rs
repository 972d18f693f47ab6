//! Conversations: commands, answers and frames of one client.
use super::*;
use crate::base::id::{MarketId, Venue};
use crate::base::price::{Price, Quantity};
use crate::gateway::Replica;
use crate::gateway::kalshi::{Bodies, Frames};
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::book::{BookState, Level, Side, StaleReason};
use crate::market::info::{MarketEvent, MarketInfo, MarketStage};

const STALE: BookState = BookState::Stale { why: StaleReason::Disconnected, since_wall_ns: 1 };

fn token(ticker: &str) -> TokenId {
    TokenId::new(ticker).unwrap()
}

fn level(price: u32, quantity: u64) -> Level {
    Level { price: Price(price * 10_000), quantity: Quantity(quantity * 1_000_000) }
}

/// A live book with one bid of 10 at 0.40 and one ask of 5 at 0.45.
fn replica(ticker: &str) -> Replica {
    let image = BookImage {
        market: MarketId::new(ticker),
        token: Some(token(ticker)),
        state: BookState::Live,
        facts: BookFacts { timestamp_ms: 1_700_000_000_000, ..BookFacts::default() },
        bids: vec![level(40, 10)],
        asks: vec![level(45, 5)],
        ..BookImage::default()
    };
    Replica::new(Venue::named("kalshi"), &image, 1, 0).unwrap()
}

/// A client with what it was sent.
#[derive(Default)]
struct Client {
    session: Session,
    frames: Frames,
    bodies: Bodies,
}

impl Client {
    /// Sends a command; what follows, frames as they are and requests for books as `+T` and `-T`.
    fn command(&mut self, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        self.session.on_text(text, &mut out);
        out.into_iter().map(shown).collect()
    }

    fn subscribe(&mut self, id: u64, params: &str) -> Vec<String> {
        self.command(&format!(r#"{{"id":{id},"cmd":"subscribe","params":{{{params}}}}}"#))
    }

    fn update(&mut self, id: u64, params: &str) -> Vec<String> {
        self.command(&format!(r#"{{"id":{id},"cmd":"update_subscription","params":{{{params}}}}}"#))
    }

    /// Frames and requests that an update causes, without what follows `market_id`.
    fn on(&mut self, update: impl FnOnce(&mut Session, &mut Bodies, &mut Frames)) -> Vec<String> {
        self.bodies.begin();
        self.frames.clear();
        update(&mut self.session, &mut self.bodies, &mut self.frames);
        let mut out: Vec<String> = self.frames.iter().map(brief).collect();
        assert_eq!(out.is_empty(), self.frames.iter().next().is_none());
        out.extend(std::iter::from_fn(|| self.session.poll_request()).map(shown));
        out
    }

    fn image(&mut self, replica: &Replica) -> Vec<String> {
        self.on(|session, bodies, out| session.on_image(replica, bodies, out))
    }

    fn state(&mut self, replica: &mut Replica, state: BookState) -> Vec<String> {
        replica.state = state;
        self.on(|session, bodies, out| session.on_state(replica, bodies, out))
    }

    fn change(&mut self, replica: &mut Replica, side: Side, to: Level) -> Vec<String> {
        let ladder = match side {
            Side::Bid => &replica.book.bids,
            Side::Ask => &replica.book.asks,
        };
        let before = ladder.quantity_at(side, to.price);
        replica.book.set(side, to).unwrap();
        let change = LevelChange {
            timestamp_ms: 0,
            side,
            level: to,
            hash: None,
            best_bid: None,
            best_ask: None,
            first: true,
        };
        self.on(|session, bodies, out| session.on_change(replica, before, &change, bodies, out))
    }
}

fn shown(request: Request) -> String {
    match request {
        Request::Subscribe(token) => format!("+{token}"),
        Request::Unsubscribe(token) => format!("-{token}"),
        Request::Send(text) => text,
        Request::Close(code, why) => format!("close {code} {why}"),
    }
}

/// A frame without the market's id and without the time of a ticker.
fn brief(frame: &str) -> String {
    let Some((front, rest)) = frame.split_once(r#","market_id":"#) else { return frame.into() };
    let rest = &rest[38..];
    let rest = rest.split_once(r#","volume_fp"#).map_or(rest, |(top, _)| top);
    format!("{front}{rest}")
}

const BOOK: &str = r#""yes_dollars_fp":[["0.4000","10.00"]],"no_dollars_fp":[["0.5500","5.00"]]}}"#;

fn snapshot(numbers: &str, ticker: &str, book: &str) -> String {
    format!(r#"{{"type":"orderbook_snapshot",{numbers},"msg":{{"market_ticker":"{ticker}",{book}"#)
}

#[test]
fn a_channel_has_one_sid_and_its_numbers_have_no_gap() {
    let mut client = Client::default();
    let books = r#""channels":["orderbook_delta"],"#;
    assert_eq!(
        client.subscribe(2, &format!(r#"{books}"market_ticker":"B""#)),
        [r#"{"type":"subscribed","id":2,"msg":{"channel":"orderbook_delta","sid":1}}"#, "+B"]
    );
    let mut b = replica("B");
    assert_eq!(client.image(&b), [snapshot(r#""sid":1,"seq":1"#, "B", BOOK)]);
    assert_eq!(
        client.subscribe(4, &format!(r#"{books}"market_tickers":["B","A"]"#)),
        [r#"{"type":"ok","id":4,"sid":1,"seq":2,"msg":{"market_tickers":["A","B"]}}"#, "+A"],
        "known markets are not requested again"
    );
    assert_eq!(client.image(&replica("A")), [snapshot(r#""sid":1,"seq":3"#, "A", BOOK)]);
    assert_eq!(
        client.change(&mut b, Side::Ask, level(45, 7)),
        [
            r#"{"type":"orderbook_delta","sid":1,"seq":4,"msg":{"market_ticker":"B","price_dollars":"0.5500","delta_fp":"2.00","side":"no"}}"#
        ]
    );
    assert!(client.change(&mut b, Side::Ask, level(45, 7)).is_empty(), "nothing changed");
    assert_eq!(
        client.update(5, r#""sid":1,"action":"delete_markets","market_tickers":["A","C"]"#),
        [r#"{"type":"ok","id":5,"sid":1,"seq":5,"msg":{"market_tickers":["B"]}}"#, "-A"]
    );
    assert!(client.image(&replica("A")).is_empty());
    // Changes that were left out: the image takes the next number.
    assert_eq!(client.image(&replica("B")), [snapshot(r#""sid":1,"seq":6"#, "B", BOOK)]);
    assert_eq!(
        client.command(r#"{"id":6,"cmd":"unsubscribe","params":{"sids":[1,1]}}"#),
        [r#"{"type":"unsubscribed","id":6,"sid":1,"seq":7}"#, "-B"]
    );
    assert_eq!(client.session.markets(), 0);
    assert_eq!(
        client.subscribe(7, &format!(r#"{books}"market_ticker":"B""#)),
        [r#"{"type":"subscribed","id":7,"msg":{"channel":"orderbook_delta","sid":2}}"#, "+B"]
    );
    assert_eq!(client.image(&b)[0][..45], snapshot(r#""sid":2,"seq":1"#, "B", "")[..45]);
}

#[test]
fn a_market_of_several_channels_is_requested_once() {
    let mut client = Client::default();
    let params = r#""channels":["trade","ticker","market_lifecycle_v2"],"market_tickers":["A"]"#;
    let out = client.subscribe(1, params);
    let sids: Vec<String> = ["trade", "ticker", "market_lifecycle_v2"]
        .iter()
        .zip(1..)
        .map(|(c, n)| {
            format!(r#"{{"type":"subscribed","id":1,"msg":{{"channel":"{c}","sid":{n}}}}}"#)
        })
        .collect();
    assert_eq!(out[..3], sids);
    assert_eq!(out[3..], ["+A"]);
    assert!(client.image(&replica("A")).is_empty(), "tickers begin with the first change");
    let out = client.subscribe(0, r#""channels":["orderbook_delta"],"market_ticker":"A""#);
    assert_eq!(out[1..], ["+A"], "its image is needed now");
    assert_eq!(
        client.command(r#"{"id":9,"cmd":"list_subscriptions"}"#),
        [
            r#"{"type":"ok","id":9,"msg":[{"channel":"trade","sid":1},{"channel":"ticker","sid":2},{"channel":"market_lifecycle_v2","sid":3},{"channel":"orderbook_delta","sid":4}]}"#
        ]
    );
    for (sid, over) in [(4, &[][..]), (2, &[]), (3, &[]), (1, &["-A".to_owned()])] {
        let command = format!(r#"{{"cmd":"unsubscribe","params":{{"sids":[{sid}]}}}}"#);
        assert_eq!(&client.command(&command)[1..], over);
    }
}

#[test]
fn a_refused_command_changes_nothing() {
    let mut client = Client::default();
    let error = |out: &[String]| {
        let [error] = out else { panic!("{out:?}") };
        let code = error.split_once(r#""code":"#).unwrap().1.split_once(',').unwrap().0;
        code.parse::<u16>().unwrap()
    };
    for channels in [r#""ticker""#, r#""trade""#, r#""market_lifecycle_v2","orderbook_delta""#] {
        let out = client.subscribe(1, &format!(r#""channels":[{channels}]"#));
        assert_eq!(error(&out), 14, "no firehose: {channels}");
    }
    let books = r#""channels":["orderbook_delta"],"market_ticker":"A","use_yes_price""#;
    client.subscribe(1, &format!("{books}:true"));
    assert_eq!(error(&client.subscribe(1, &format!("{books}:false"))), 11);
    assert_eq!(error(&client.command(r#"{"cmd":"unsubscribe","params":{"sids":[1,2]}}"#)), 7);
    let tickers = r#""channels":["ticker"],"market_ticker":"A""#;
    assert!(client.subscribe(1, tickers)[0].contains(r#""sid":2"#), "nothing was opened before");
    let get = |sid| format!(r#""sid":{sid},"action":"get_snapshot","market_ticker":"A""#);
    assert_eq!(error(&client.update(1, &get(2))), 13);
    assert_eq!(error(&client.update(1, &get(9))), 7);
    client.subscribe(1, r#""channels":["market_lifecycle_v2"]"#);
    let add = r#""sid":3,"action":"add_markets","market_ticker":"A""#;
    assert_eq!(error(&client.update(1, add)), 11);
}

#[test]
fn a_full_session_refuses_more_markets() {
    let mut client = Client::default();
    let names = |range: std::ops::Range<usize>| {
        range.map(|n| format!("\"M{n}\"")).collect::<Vec<_>>().join(",")
    };
    let trades = |range| format!(r#""channels":["trade"],"market_tickers":[{}]"#, names(range));
    assert_eq!(client.subscribe(1, &trades(0..MARKETS_MAX)).len(), 1 + MARKETS_MAX);
    let out = client.subscribe(2, &trades(1..MARKETS_MAX + 1));
    assert_eq!(out, [error_26(2)]);
    assert_eq!(client.subscribe(3, &trades(1..MARKETS_MAX)).len(), 1, "known ones fit");
    let add = r#""sid":1,"action":"add_markets","market_ticker":"N""#;
    assert_eq!(client.update(4, add), [error_26(4)]);
    assert_eq!(client.session.markets(), MARKETS_MAX);
}

fn error_26(id: u64) -> String {
    encode::error(Some(id), Refusal::TooManyMarkets)
}

#[test]
fn a_requested_snapshot_has_the_id_of_its_command() {
    let mut client = Client::default();
    client.subscribe(1, r#""channels":["orderbook_delta"],"market_ticker":"A""#);
    client.image(&replica("A"));
    let get = r#""sids":[1],"action":"get_snapshot","market_tickers":["A","B","B"]"#;
    assert_eq!(client.update(7, get), ["+A", "+B"], "no `ok`");
    assert_eq!(client.update(8, get), ["+A", "+B"]);
    let both = |ticker, seq| {
        [7, 8].map(|id| {
            let numbers = format!(r#""id":{id},"sid":1,"seq":{}"#, seq + id - 7);
            snapshot(&numbers, ticker, BOOK)
        })
    };
    assert_eq!(client.image(&replica("A")), both("A", 2));
    let out = client.image(&replica("B"));
    assert_eq!(out[..2], both("B", 4));
    assert_eq!(out[2..], ["-B"], "it is not subscribed");
    assert!(client.image(&replica("B")).is_empty());
    assert_eq!((client.session.markets(), client.session.snapshot_requests), (1, 0));
    client.update(9, get);
    client.command(r#"{"cmd":"unsubscribe","params":{"sids":[1]}}"#);
    assert_eq!((client.session.markets(), client.session.snapshot_requests), (0, 0));
}

#[test]
fn a_stale_book_is_empty_or_held_until_it_is_live_again() {
    let empty = r#""yes_dollars_fp":[],"no_dollars_fp":[]}}"#;
    for clear_stale in [true, false] {
        let session = Session::new(Options { clear_stale });
        let mut client = Client { session, ..Client::default() };
        client.subscribe(1, r#""channels":["orderbook_delta"],"market_ticker":"A""#);
        let mut a = replica("A");
        assert!(client.state(&mut a, BookState::AwaitingSnapshot).is_empty());
        assert_eq!(client.state(&mut a, BookState::Live).len(), 1);
        let out = client.state(&mut a, STALE);
        match clear_stale {
            true => assert_eq!(out, [snapshot(r#""sid":1,"seq":2"#, "A", empty)]),
            false => assert!(out.is_empty()),
        }
        assert!(client.state(&mut a, STALE).is_empty(), "once");
        assert!(client.image(&a).is_empty());
        assert!(client.change(&mut a, Side::Bid, level(41, 1)).is_empty());
        a.book.set(Side::Bid, level(41, 0)).unwrap();
        let seq = if clear_stale { 3 } else { 2 };
        let numbers = format!(r#""sid":1,"seq":{seq}"#);
        assert_eq!(client.state(&mut a, BookState::Live), [snapshot(&numbers, "A", BOOK)]);
        assert!(client.state(&mut a, BookState::Live).is_empty());
        let out = client.on(|session, bodies, out| session.on_closed(&a, bodies, out));
        let numbers = format!(r#""sid":1,"seq":{}"#, seq + 1);
        assert_eq!(out, [snapshot(&numbers, "A", empty)]);
    }
}

#[test]
fn tickers_follow_the_best_prices() {
    let mut client = Client::default();
    let ticker = r#""channels":["ticker"],"send_initial_snapshot":true,"market_ticker":"A""#;
    client.subscribe(1, ticker);
    let mut a = replica("A");
    let shows = |last: &str, bid: &str, ask: &str| {
        [format!(
            r#"{{"type":"ticker","sid":1,"msg":{{"market_ticker":"A","price_dollars":"{last}","yes_bid_dollars":"{bid}","yes_ask_dollars":"{ask}""#
        )]
    };
    assert_eq!(client.image(&a), shows("0.0000", "0.4000", "0.4500"));
    assert!(client.image(&a).is_empty(), "nothing new");
    assert!(client.change(&mut a, Side::Bid, level(39, 3)).is_empty(), "not the best");
    assert_eq!(client.change(&mut a, Side::Bid, level(41, 3)), shows("0.0000", "0.4100", "0.4500"));
    assert_eq!(client.change(&mut a, Side::Bid, level(41, 4)).len(), 1, "another quantity");
    let trade = TradeUpdate {
        timestamp_ms: 1,
        price: Price(410_000),
        quantity: Quantity(1),
        side: Side::Bid,
        fee_rate_bps: None,
        id: None,
    };
    a.facts.last_trade = Some(trade.price);
    let out = client.on(|session, bodies, out| session.on_trade(&a, &trade, bodies, out));
    assert_eq!(out, shows("0.4100", "0.4100", "0.4500"));
    client.subscribe(1, r#""channels":["trade"],"market_ticker":"A""#);
    for seq in 1..3 {
        let out = client.on(|session, bodies, out| session.on_trade(&a, &trade, bodies, out));
        let [trade] = &out[..] else { panic!("{out:?}") };
        assert!(trade.starts_with(&format!(r#"{{"type":"trade","sid":2,"seq":{seq},"#)), "{trade}");
    }
    assert_eq!(client.state(&mut a, STALE), shows("0.4100", "0.0000", "1.0000"));
    assert_eq!(client.state(&mut a, BookState::Live), shows("0.4100", "0.4100", "0.4500"));
}

#[test]
fn lifecycle_messages_are_numbered_and_combos_apart() {
    let mut client = Client::default();
    client.subscribe(1, r#""channels":["market_lifecycle_v2","multivariate_market_lifecycle"]"#);
    let event = |ticker: &str, stage| MarketEvent {
        stage,
        is_repeated: false,
        info: MarketInfo {
            market: MarketId::new(ticker).unwrap(),
            tokens: Vec::new(),
            slug: ticker.into(),
            question: String::new(),
            start_wall_ns: None,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        },
        resolution: None,
    };
    let mut on = |ticker, stage| {
        let event = event(ticker, stage);
        client.on(|session, bodies, out| session.on_lifecycle(&event, 0, bodies, out))
    };
    let message = |kind: &str, sid: u64, seq: u64, ticker: &str| {
        [format!(
            r#"{{"type":"{kind}","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","event_type":"activated"}}}}"#
        )]
    };
    let opened = MarketStage::Opened;
    assert_eq!(on("KXA", opened), message("market_lifecycle_v2", 1, 1, "KXA"));
    assert!(on("KXA", MarketStage::Ended).is_empty());
    assert_eq!(on("KXMVE1", opened), message("multivariate_market_lifecycle", 2, 1, "KXMVE1"));
    assert_eq!(on("KXA", opened), message("market_lifecycle_v2", 1, 2, "KXA"));
}

//! The stream: its options, messages and events, and clients that resume or are slow.
//!
//! More cases: `PROPTEST_CASES=100000 cargo test --release --lib gateway::stream`.
use super::backlog::{Backlog, BacklogEvent, BookSequences, ResumedBook};
use super::encode::Behind;
use super::encode::EventHead;
use super::*;
use crate::base::id::{MarketId, Venue};
use crate::base::price::{Price, Quantity};
use crate::gateway::Replica;
use crate::gateway::outbox::{FrameClass, Outbox, Pushed};
use crate::link::shard_updates::{LevelChange, SubscriptionKey, TradeUpdate};
use crate::market::book::image::BookFacts;
use crate::market::book::{Book, BookState, Level, Side, StaleReason};
use crate::market::info::{MarketEvent, MarketInfo, MarketStage, Outcome, Resolution};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn level(price: u32, quantity: u64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn level_change(side: Side, level: Level) -> LevelChange {
    LevelChange {
        timestamp_ms: 1_786_728_198_766,
        side,
        level,
        hash: None,
        best_bid: None,
        best_ask: None,
        first: true,
    }
}

fn replica(token: &str) -> Replica {
    let facts = BookFacts {
        timestamp_ms: 1_786_728_198_766,
        tick_size: Some(Price(1_000)),
        min_order_size: Some(Quantity(5_000_000)),
        last_trade: Some(Price(420_000)),
        ..BookFacts::default()
    };
    let mut book = Book::default();
    let bids = [level(400_000, 1_500_000), level(410_000, 20_000_000)];
    book.replace(&bids, &[level(430_000, 7)]).unwrap();
    Replica {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x7d").unwrap(),
        token: TokenId::new(token).unwrap(),
        state: BookState::Live,
        facts,
        book,
        version: 17,
        read_wall_ns: 1_786_728_198_770_000_001,
        traded: crate::gateway::Traded::default(),
    }
}

const HEAD: &str = r#""venue":"polymarket","market":"0x7d","token":"27","outcome":"Yes","version":17,"venue_time":1786728198766,"receive_time":1786728198770000001"#;

#[test]
fn events_are_as_the_guide_describes_them() {
    let replica = replica("27");
    let head = EventHead::from_replica(&replica, 5, Some("Yes"));
    let written = |write: &dyn Fn(&mut String)| {
        let mut text = String::new();
        write(&mut text);
        serde_json::from_str::<Value>(&text).expect(&text);
        text
    };
    let event = |kind: &str, rest: &str| {
        let state = if ["trade", "tick"].contains(&kind) { "" } else { r#","state":"live""# };
        format!(r#"{{"sequence":5,"kind":"{kind}",{HEAD}{state}{rest}}}"#)
    };
    assert_eq!(
        written(&|out| encode::snapshot(out, &head, &replica.book, &replica.facts, true)),
        event(
            "snapshot",
            r#","gap":true,"bids":[["0.41","20"],["0.4","1.5"]],"asks":[["0.43","0.000007"]],"tick_size":"0.001","min_order_size":"5","last_trade_price":"0.42""#
        )
    );
    let changes = [
        level_change(Side::Ask, level(430_000, 0)),
        level_change(Side::Bid, level(420_000, 1_000_000)),
        level_change(Side::Ask, level(440_000, 2_000_000)),
    ];
    assert_eq!(
        written(&|out| encode::change(out, &head, &changes)),
        event("change", r#","bids":[["0.42","1"]],"asks":[["0.43","0"],["0.44","2"]]"#)
    );
    let trade = TradeUpdate {
        timestamp_ms: 1,
        price: Price(420_000),
        quantity: Quantity(219_217_767),
        side: Side::Ask,
        fee_rate_bps: Some(Quantity(0)),
        id: TokenId::new("0xab").and_then(|id| crate::base::id::TradeId::new(id.as_str())),
    };
    assert_eq!(
        written(&|out| encode::trade(out, &head, &trade)),
        event(
            "trade",
            r#","price":"0.42","size":"219.217767","side":"sell","id":"0xab","fee_rate_bps":"0""#
        )
    );
    assert_eq!(
        written(&|out| encode::tick(out, &head, Some(Price(10_000)), Price(1_000))),
        event("tick", r#","old":"0.01","new":"0.001""#)
    );
    let (bid, ask) = (replica.book.best_bid(), None);
    assert_eq!(
        written(&|out| encode::top(out, &head, bid, ask)),
        event("top", r#","bid":["0.41","20"],"ask":null"#)
    );
    assert_eq!(written(&|out| encode::state(out, &head)), event("state", ""));
}

#[test]
fn states_have_a_reason_and_unknown_fields_are_left_out() {
    let mut replica = replica("27");
    replica.state = BookState::Stale { why: StaleReason::FramesLost, since_wall_ns: 7 };
    let head = EventHead::from_replica(&replica, 5, None).at(0);
    let begin = r#"{"sequence":5,"kind":"state","venue":"polymarket","market":"0x7d","token":"27","version":17,"receive_time":1786728198770000001,"state":"#;
    for (write, end) in [
        (
            encode::state as fn(&mut String, &EventHead<'_>),
            r#""stale","reason":"frames_lost","since":7}"#,
        ),
        (encode::closed, r#""closed"}"#),
        (
            |out, head| encode::behind(out, head, Behind::SlowClient, 9),
            r#""stale","reason":"slow_client","since":9}"#,
        ),
    ] {
        let mut text = String::new();
        write(&mut text, &head);
        assert_eq!(text, format!("{begin}{end}"));
    }
}

#[test]
fn market_events_escape_the_texts_of_the_catalog() {
    let [yes, no] = ["27", "28"].map(|token| TokenId::new(token).unwrap());
    let outcome = |token, name: &str| Outcome { token, name: name.to_owned() };
    let info = MarketInfo {
        market: MarketId::new("0x7d").unwrap(),
        tokens: vec![outcome(yes, "Yes"), outcome(no, "No")],
        slug: "rain".into(),
        question: "Will \"it\" rain\\snow\n?\u{85}é".into(),
        start_wall_ns: None,
        end_wall_ns: Some(9),
        tick_size: Some(Price(1_000)),
        min_order_size: Some(Quantity(5_000_000)),
        neg_risk: true,
        listing: None,
    };
    let resolution = Resolution {
        winner: Some(yes),
        result: Some("Yes".into()),
        settlement_value: Some(Price::ONE),
    };
    let event = MarketEvent {
        stage: MarketStage::Resolved,
        info,
        resolution: Some(resolution),
        is_repeated: false,
    };
    let mut text = String::new();
    encode::market(&mut text, 5, &Venue::named("polymarket"), &event, 8);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["question"], event.info.question);
    assert!(!text.contains(|c: char| c.is_control()), "{text}");
    let end = r#""outcomes":[{"token":"27","outcome":"Yes"},{"token":"28","outcome":"No"}],"tick_size":"0.001","min_order_size":"5","neg_risk":true,"end_time":9,"winner":"27","result":"Yes","settlement_value":"1"}"#;
    assert!(text.ends_with(end), "{text}");
    text.clear();
    encode::error(&mut text, Some(&yes), "no \"such\" token");
    assert_eq!(text, r#"{"kind":"error","token":"27","error":"no \"such\" token"}"#);
}

#[test]
fn options_are_read_or_refused_with_a_line() {
    let options = Options::parse("").unwrap();
    assert_eq!(options, Options::default());
    let wanted = Kind::ALL.map(|kind| options.kinds.contain(kind));
    assert_eq!(wanted, [true, true, true, true, true, false, false]);
    let options =
        Options::parse("kinds=top%2Ctrade&tokens=27,28&token=29&interval_ms=250&from_sequence=7");
    let options = options.unwrap();
    let wanted = Kind::ALL.map(|kind| options.kinds.contain(kind));
    assert_eq!(wanted, [false, false, true, false, false, false, true]);
    assert_eq!((options.tokens.len(), options.interval_ns), (3, 250_000_000));
    assert_eq!(options.from_sequence, Some(7));
    let change = Options::parse("kinds=change").unwrap().kinds;
    assert!(change.contain(Kind::Snapshot) && change.contain(Kind::State));
    for (query, line) in [
        ("kinds=", "kinds= is a list of snapshot, change, trade, tick, state, market, top"),
        ("kinds=top,,trade", "kinds= is a list of"),
        ("kind=top", "unknown parameter; the parameters are kinds,"),
        ("tokens=", "tokens= is a list of token ids"),
        ("tokens=27,%22", "tokens= is a list of token ids"),
        ("tokens=27%2", "malformed percent escape"),
        ("tokens=%+1", "malformed percent escape"),
        ("tokens=%ff", "not UTF-8"),
        ("tokens=%e2%82", "not UTF-8"),
        ("kinds=top&interval_ms=-1", "interval_ms= is a number of milliseconds up to 3600000"),
        ("kinds=top&interval_ms=3600001", "interval_ms= is a number"),
        ("kinds=top&interval_ms=", "interval_ms= is a number"),
        ("interval_ms=5", "interval_ms= is for kinds=top"),
        ("tokens=27&from_sequence=x", "from_sequence= is a number"),
        ("from_sequence=1", "from_sequence= is for the books of tokens="),
    ] {
        let error = Options::parse(query).unwrap_err();
        assert!(error.contains(line) && !error.contains('\n'), "{query}: {error}");
    }
}

#[test]
fn messages_subscribe_resume_and_are_refused_whole() {
    let [a, b, c] = ["27", "28", "KX-1.5"].map(|token| TokenId::new(token).unwrap());
    let mut out = Vec::new();
    let options = Options::parse("tokens=27,28&from_sequence=7").unwrap();
    let mut session = Session::new(&options, &mut out);
    assert_eq!(out, [Request::Subscribe(a), Request::Subscribe(b)]);
    assert_eq!((session.resume_from(&a), session.resume_from(&c)), (Some(7), None));
    let mut on_text = |text: &str| {
        let mut out = Vec::new();
        session.on_text(text, &mut out);
        (out, [a, b, c].map(|token| session.resume_from(&token)))
    };
    let both = on_text(r#" {"subscribe":["27","KX-1.5"],"unsubscribe":["28"]} "#);
    let requests = vec![Request::Unsubscribe(b), Request::Subscribe(a), Request::Subscribe(c)];
    assert_eq!(both, (requests, [None; 3]));
    let resumed = on_text(r#"{"resume":{"28":9},"subscribe":["27"]}"#);
    let requests = vec![Request::Subscribe(a), Request::Subscribe(b)];
    assert_eq!(resumed, (requests, [None, Some(9), None]));
    let deep = format!(r#"{{"subscribe":{}"#, "[".repeat(100_000));
    for text in [
        "",
        "PING",
        "{}",
        "[]",
        "7",
        r#"{"subscribe":[]}"#,
        r#"{"subscribe":"27"}"#,
        r#"{"subscribe":[27]}"#,
        r#"{"subscribe":["27"],"subscribe":["28"]}"#,
        r#"{"subscribe":["27","a b"]}"#,
        r#"{"subscribe":["27"],"resume":{"":1}}"#,
        r#"{"resume":{"27":-1}}"#,
        r#"{"resume":{"27":"1"}}"#,
        r#"{"type":"market","assets_ids":["27"]}"#,
        r#"{"subscribe":["27"]"#,
        deep.as_str(),
    ] {
        let (out, resumed) = on_text(text);
        let [Request::Send(answer)] = &out[..] else { panic!("{text}: {out:?}") };
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!((&answer["kind"], resumed), (&Value::from("error"), [None; 3]));
    }
}

const BOOKS: usize = 3;
const OUTBOX_BYTES: usize = 8_000;

/// What happens in a run.
#[derive(Clone, Debug)]
enum Step {
    Change {
        book: usize,
        side: bool,
        price: u32,
        quantity: u64,
    },
    Snapshot {
        book: usize,
        quantity: u64,
    },
    Trade {
        book: usize,
    },
    State {
        book: usize,
        is_live: bool,
    },
    /// The book was not subscribed to for a while.
    Reopen {
        book: usize,
        quantity: u64,
    },
    /// The client reads about this many bytes.
    Read(usize),
    /// The client loses what is under way, and connects again.
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let book = 0..BOOKS;
    let change = (book.clone(), any::<bool>(), 1u32..6, 0u64..4);
    let step = prop_oneof![
        12 => change.prop_map(|(book, side, price, quantity)| Step::Change { book, side, price, quantity }),
        1 => (book.clone(), 1u64..9).prop_map(|(book, quantity)| Step::Snapshot { book, quantity }),
        2 => book.clone().prop_map(|book| Step::Trade { book }),
        2 => (book.clone(), any::<bool>()).prop_map(|(book, is_live)| Step::State { book, is_live }),
        1 => (book, 1u64..9).prop_map(|(book, quantity)| Step::Reopen { book, quantity }),
        3 => (1usize..2_000).prop_map(Step::Read),
        2 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..200)
}

type Sides = [BTreeMap<String, String>; 2];

/// A client as the guide describes one.
#[derive(Default)]
struct Client {
    books: BTreeMap<String, Sides>,
    /// Last sequence number of each book, and of all.
    last: BTreeMap<String, u64>,
    newest: u64,
    /// Books that it trusts.
    live: BTreeMap<String, bool>,
    /// Books that are out of date until their snapshot.
    behind: BTreeMap<String, bool>,
    snapshots: usize,
    gaps: usize,
    /// It resumes with one number for each book, not one for all.
    for_each: bool,
}

impl Client {
    fn on_event(&mut self, line: &str) {
        let event: Value = serde_json::from_str(line).unwrap();
        let token = event["token"].as_str().unwrap().to_owned();
        let sequence = event["sequence"].as_u64().unwrap();
        assert!(self.for_each || sequence >= self.newest, "the order of the numbers");
        assert!(self.last.get(&token).is_none_or(|&last| sequence >= last), "and of each book");
        self.newest = sequence;
        let levels = |name: &str| -> Vec<(String, String)> {
            serde_json::from_value(event[name].clone()).unwrap()
        };
        match event["kind"].as_str().unwrap() {
            "snapshot" => {
                let sides = ["bids", "asks"].map(|name| levels(name).into_iter().collect());
                self.books.insert(token.clone(), sides);
                self.behind.remove(&token);
                self.snapshots += 1;
                self.gaps += usize::from(event["gap"] == true);
            }
            "change" => {
                assert!(!self.behind.contains_key(&token), "changes of a book that is behind");
                let sides = self.books.get_mut(&token).expect("a snapshot comes first");
                for (side, name) in sides.iter_mut().zip(["bids", "asks"]) {
                    for (price, size) in levels(name) {
                        if size == "0" {
                            side.remove(&price)
                        } else {
                            side.insert(price, size)
                        };
                    }
                }
            }
            "state" if ["slow_client", "gap"].iter().any(|reason| event["reason"] == *reason) => {
                self.behind.insert(token.clone(), true);
            }
            _ => {}
        }
        if let Some(state) = event["state"].as_str() {
            assert!(state != "live" || !self.behind.contains_key(&token), "trusted while behind");
            self.live.insert(token.clone(), state == "live");
        }
        if self.books.contains_key(&token) && !self.behind.contains_key(&token) {
            self.last.insert(token, sequence);
        }
    }
}

/// A gateway of one client.
struct World {
    books: Vec<(SubscriptionKey, Replica, BookSequences)>,
    backlog: Backlog,
    outbox: Outbox,
    client: Client,
    under_way: Vec<u8>,
    next_key: u32,
}

impl World {
    fn new(for_each: bool) -> Self {
        let mut world = Self {
            books: Vec::new(),
            backlog: Backlog::new(1_000, 30, 100_000),
            outbox: Outbox::new(OUTBOX_BYTES),
            client: Client { for_each, ..Client::default() },
            under_way: Vec::new(),
            next_key: BOOKS as u32,
        };
        for book in 0..BOOKS {
            let sequences = BookSequences { first: 0, last: 0 };
            let key = SubscriptionKey(book as u32);
            world.books.push((key, replica(&format!("token-{book}")), sequences));
            let first = world.backlog.next_sequence();
            world.books[book].2.first = first;
            world.on_event(book, Kind::Snapshot, &|out, head, replica| {
                encode::snapshot(out, head, &replica.book, &replica.facts, false);
            });
        }
        world
    }

    fn on_event(
        &mut self,
        book: usize,
        kind: Kind,
        write: &dyn Fn(&mut String, &EventHead<'_>, &Replica),
    ) {
        let sequence = self.backlog.next_sequence();
        let (key, replica, sequences) = &mut self.books[book];
        sequences.last = sequence;
        let mut text = String::new();
        write(&mut text, &EventHead::from_replica(replica, sequence, None), replica);
        text.push('\n');
        let frame: std::rc::Rc<[u8]> = text.into_bytes().into();
        let event = BacklogEvent { key: Some(*key), kind, frame };
        self.backlog.push(event.clone());
        self.push(&event, sequence);
    }

    fn push(&mut self, event: &BacklogEvent, sequence: u64) {
        if self.outbox.push(event.frame.clone(), event.class(), 0, 0) == Pushed::Marked {
            self.push_notice(event.key.unwrap(), sequence - 1, Behind::SlowClient);
        }
    }

    fn push_notice(&mut self, key: SubscriptionKey, sequence: u64, why: Behind) {
        let (_, replica, _) = self.books.iter().find(|book| book.0 == key).unwrap();
        let mut text = String::new();
        encode::behind(&mut text, &EventHead::from_replica(replica, sequence, None), why, 1);
        text.push('\n');
        self.outbox.push(text.into_bytes().into(), FrameClass::Other, 0, 0);
    }

    fn read(&mut self, bytes: usize) {
        self.outbox.take(&mut self.under_way, bytes);
        let end = bytes.min(self.under_way.len());
        let end = self.under_way[..end].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        for line in self.under_way.drain(..end).collect::<Vec<_>>().split(|&b| b == b'\n') {
            if !line.is_empty() {
                self.client.on_event(std::str::from_utf8(line).unwrap());
            }
        }
        self.outbox.on_sent(end, 0, |_| ());
        self.send_marked();
    }

    fn send_marked(&mut self) {
        while let Some(marked) = self.outbox.take_marked() {
            let (_, replica, _) = self.books.iter().find(|book| book.0 == marked.key).unwrap();
            let head = EventHead::from_replica(replica, self.backlog.last_sequence(), None);
            let mut text = String::new();
            encode::snapshot(&mut text, &head, &replica.book, &replica.facts, marked.gap);
            text.push('\n');
            assert_eq!(self.outbox.push_marked(text.into_bytes().into(), 0), Pushed::Queued);
        }
    }

    fn reconnect(&mut self) {
        self.outbox = Outbox::new(OUTBOX_BYTES);
        self.under_way.clear();
        self.client.live.clear();
        let mut resumed = Vec::new();
        for (key, replica, sequences) in &self.books {
            let token = replica.token.as_str();
            let is_behind = self.client.behind.remove(token).is_some();
            // The rules of the guide.
            let from_sequence = match self.client.last.get(token) {
                Some(last) if self.client.for_each => last + 1,
                Some(_) if !is_behind => self.client.newest + 1,
                _ => {
                    self.client.books.remove(token);
                    self.client.last.remove(token);
                    self.outbox.mark(*key, false);
                    continue;
                }
            };
            resumed.push(ResumedBook { key: *key, from_sequence, sequences: *sequences });
        }
        let plan = self.backlog.plan_resume(&resumed, Kinds::default(), OUTBOX_BYTES / 2);
        for ResumedBook { key, from_sequence, .. } in plan.gaps {
            self.push_notice(key, from_sequence - 1, Behind::Gap);
            self.outbox.mark(key, true);
        }
        for event in &plan.events {
            let text = std::str::from_utf8(&event.frame).unwrap();
            let sequence = serde_json::from_str::<Value>(text).unwrap()["sequence"].as_u64();
            self.push(event, sequence.unwrap());
        }
        for key in plan.states {
            let (_, replica, _) = self.books.iter().find(|book| book.0 == key).unwrap();
            let mut text = String::new();
            let sequence = self.backlog.last_sequence();
            encode::state(&mut text, &EventHead::from_replica(replica, sequence, None));
            text.push('\n');
            self.outbox.push(text.into_bytes().into(), FrameClass::State(key), 0, 0);
        }
        assert_eq!(self.outbox.overflow(0), None);
        self.send_marked();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Change { book, side, price, quantity } => {
                let side = if side { Side::Bid } else { Side::Ask };
                let level = level(price * 10_000, quantity * 1_000_000);
                self.books[book].1.book.set(side, level).unwrap();
                self.books[book].1.version += 1;
                let change = [level_change(side, level)];
                self.on_event(book, Kind::Change, &|out, head, _| {
                    encode::change(out, head, &change)
                });
            }
            Step::Snapshot { book, quantity } => self.snapshot(book, quantity),
            Step::Trade { book } => {
                let trade = TradeUpdate {
                    timestamp_ms: 1,
                    price: Price(1),
                    quantity: Quantity(1),
                    side: Side::Bid,
                    fee_rate_bps: None,
                    id: None,
                };
                self.on_event(book, Kind::Trade, &|out, head, _| encode::trade(out, head, &trade));
            }
            Step::State { book, is_live } => {
                let stale = BookState::Stale { why: StaleReason::Behind, since_wall_ns: 1 };
                self.books[book].1.state = if is_live { BookState::Live } else { stale };
                self.on_event(book, Kind::State, &|out, head, _| encode::state(out, head));
            }
            Step::Reopen { book, quantity } => {
                // Nobody is subscribed while there is no client.
                self.outbox = Outbox::new(OUTBOX_BYTES);
                self.books[book].0 = SubscriptionKey(self.next_key);
                self.next_key += 1;
                self.books[book].2.first = self.backlog.next_sequence();
                self.snapshot(book, quantity);
                self.reconnect();
            }
            Step::Read(bytes) => self.read(bytes),
            Step::Reconnect => self.reconnect(),
        }
        // Closed with 1013.
        if self.outbox.overflow(0).is_some() {
            self.reconnect();
        }
    }

    fn snapshot(&mut self, book: usize, quantity: u64) {
        let bids = [level(10_000, quantity * 1_000_000)];
        self.books[book].1.book.replace(&bids, &[]).unwrap();
        self.books[book].1.version += 1;
        self.on_event(book, Kind::Snapshot, &|out, head, replica| {
            encode::snapshot(out, head, &replica.book, &replica.facts, false);
        });
    }

    /// The client reads all; then its books are those of the gateway.
    fn settle(&mut self) {
        while !self.outbox.is_empty() || !self.under_way.is_empty() {
            self.read(10_000);
        }
        assert!(self.client.behind.is_empty());
        for (_, replica, _) in &self.books {
            let sides = [&replica.book.bids, &replica.book.asks].map(|ladder| {
                let text = |l: Level| (l.price.to_string(), l.quantity.to_string());
                ladder.levels().map(text).collect::<BTreeMap<_, _>>()
            });
            let token = replica.token.as_str();
            assert_eq!(self.client.books[token], sides);
            assert_eq!(self.client.live[token], replica.state == BookState::Live);
        }
    }
}

proptest! {
    /// However slowly it reads and wherever it is cut off, a client that keeps to the guide has the gateway's books.
    #[test]
    fn a_client_that_is_slow_and_resumes_rebuilds_the_same_books(
        steps in steps(),
        for_each in any::<bool>(),
    ) {
        let mut world = World::new(for_each);
        for step in &steps {
            world.step(step);
        }
        world.settle();
        world.reconnect();
        let snapshots = world.client.snapshots;
        world.settle();
        // Nothing is sent to a client that has everything.
        prop_assert_eq!(world.client.snapshots, snapshots);
    }
}

#[test]
fn a_run_has_every_way_to_be_brought_up_to_date() {
    let mut world = World::new(true);
    let change = |quantity| Step::Change { book: 0, side: true, price: 3, quantity };
    world.settle();
    for quantity in 0..10 {
        world.step(&change(quantity % 4));
    }
    world.reconnect();
    world.settle();
    assert_eq!((world.client.snapshots, world.client.gaps), (BOOKS, 0), "replayed");
    for quantity in 0..40 {
        world.step(&change(quantity % 4));
    }
    world.reconnect();
    world.settle();
    assert_eq!(
        (world.client.snapshots, world.client.gaps),
        (BOOKS + 1, 1),
        "the backlog is shorter"
    );
    for quantity in 0..40 {
        world.step(&change(quantity % 4));
    }
    assert!(world.outbox.counts().conflated > 0);
    world.settle();
    assert_eq!((world.client.snapshots, world.client.gaps), (BOOKS + 2, 2), "conflated");
}

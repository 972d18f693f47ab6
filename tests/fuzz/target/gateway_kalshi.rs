//! The gateway's Kalshi session: a client of any behaviour, whose books are decoded by the engine's own decoder.
//!
//! Input: commands, one a line; after each of them some books change, as the line's bytes decide. The client's
//! books, sequence numbers and subscriptions are followed by a second, simple implementation.

use super::{Target, behaviour, magnitude};
use ringbook::base::id::{MarketId, TokenId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::base::random::Random;
use ringbook::gateway::kalshi::{Bodies, Frames, MARKETS_MAX, Options, Session};
use ringbook::gateway::{Replica, Request};
use ringbook::link::shard_updates::{LevelChange, TradeUpdate};
use ringbook::market::book::image::BookImage;
use ringbook::market::book::{BookState, Level, Side, StaleReason};
use ringbook::market::event::Event;
use ringbook::market::info::{MarketEvent, MarketInfo, MarketStage, MarketUpdate};
use ringbook::venue::kalshi::decode::Decoder;
use ringbook::venue::{DecodeNotice, Envelope, Reply, Sink};
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const TARGET: Target =
    Target { name: "gateway_kalshi", run, seeds, dictionary: DICTIONARY };

const DICTIONARY: &[&str] = &[
    "\"id\":1",
    "\"cmd\":",
    "\"params\":{",
    "\"subscribe\"",
    "\"unsubscribe\"",
    "\"update_subscription\"",
    "\"list_subscriptions\"",
    "\"channels\":[",
    "\"orderbook_delta\"",
    "\"ticker\"",
    "\"trade\"",
    "\"market_lifecycle_v2\"",
    "\"market_ticker\":\"M-1\"",
    "\"market_tickers\":[\"M-2\",\"M-3\"]",
    "\"sid\":1",
    "\"sids\":[1]",
    "\"action\":\"add_markets\"",
    "\"action\":\"delete_markets\"",
    "\"action\":\"get_snapshot\"",
    "\"use_yes_price\":true",
    "\"skip_ticker_ack\":true",
    "\"send_initial_snapshot\":true",
    "null",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "\\u0041",
    "18446744073709551616",
];

/// Levels of a side by price: units of price and quantity.
type Levels = BTreeMap<u32, u64>;

/// A session with the books behind it, as the gateway's hub holds them.
pub(crate) struct Hub {
    session: Session,
    options: Options,
    books: BTreeMap<TokenId, Replica>,
    subscribed: BTreeSet<TokenId>,
    /// Images that are due, and come after some changes.
    late: Vec<TokenId>,
    commands: u64,
    bodies: Bodies,
    frames: Frames,
}

impl Hub {
    /// Books `M-0` to `M-(count - 1)`, empty and live.
    pub(crate) fn new(options: Options, count: usize) -> Self {
        let replica = |token: TokenId| {
            let image = BookImage {
                market: MarketId::new(token.as_str()),
                token: Some(token),
                state: BookState::Live,
                ..BookImage::default()
            };
            Replica::new(Venue::named("kalshi"), &image, 1, 1_700_000_000_000_000_000).unwrap()
        };
        let tokens = (0..count).map(market);
        Self {
            session: Session::new(options),
            options,
            books: tokens.map(|token| (token, replica(token))).collect(),
            subscribed: BTreeSet::new(),
            late: Vec::new(),
            commands: 0,
            bodies: Bodies::default(),
            frames: Frames::default(),
        }
    }

    /// The frames that answer a command.
    pub(crate) fn command(&mut self, text: &str) -> Vec<String> {
        self.commands += 1;
        let is_late = self.commands.is_multiple_of(3);
        let mut requests = Vec::new();
        self.session.on_text(text, &mut requests);
        let mut out = Vec::new();
        for request in requests {
            match request {
                Request::Send(text) => out.push(text),
                Request::Subscribe(token) => {
                    self.subscribed.insert(token);
                    if self.books.contains_key(&token) {
                        match is_late {
                            true => self.late.push(token),
                            false => out.extend(self.image(token)),
                        }
                    }
                }
                other => self.on_request(&other),
            }
        }
        self.check();
        out
    }

    fn on_request(&mut self, request: &Request) {
        let Request::Unsubscribe(token) = request else { panic!("{request:?}") };
        assert!(self.subscribed.remove(token), "{token} was not subscribed");
    }

    fn check(&self) {
        assert_eq!(self.session.markets(), self.subscribed.len());
        assert!(self.session.markets() <= MARKETS_MAX);
    }

    fn image(&mut self, token: TokenId) -> Vec<String> {
        self.on(token, |session, replica, bodies, out| session.on_image(replica, bodies, out))
    }

    fn on(
        &mut self,
        token: TokenId,
        update: impl FnOnce(&mut Session, &mut Replica, &mut Bodies, &mut Frames),
    ) -> Vec<String> {
        self.bodies.begin();
        self.frames.clear();
        let replica = self.books.get_mut(&token).unwrap();
        update(&mut self.session, replica, &mut self.bodies, &mut self.frames);
        while let Some(request) = self.session.poll_request() {
            self.on_request(&request);
        }
        self.frames.iter().map(str::to_owned).collect()
    }

    /// Something happens to one book; the frames that the client gets.
    pub(crate) fn step(&mut self, random: &mut Random) -> Vec<String> {
        if random.chance(1, 4)
            && let Some(token) = self.late.pop()
        {
            return self.image(token);
        }
        let token = market(random.below(self.books.len() as u64) as usize);
        let frames = match random.below(20) {
            // Changes that are left out, and the image in their place.
            0 => {
                for _ in 0..random.below(5) {
                    self.change(token, random, false);
                }
                self.image(token)
            }
            1 => self.state(token, random),
            2 => self.trade(token, random),
            3 => self.lifecycle(random),
            4 if random.chance(1, 4) => self.on(token, |session, replica, bodies, out| {
                replica.book.clear();
                session.on_closed(replica, bodies, out);
                replica.state = BookState::AwaitingSnapshot;
            }),
            _ => self.change(token, random, true),
        };
        self.check();
        frames
    }

    fn change(&mut self, token: TokenId, random: &mut Random, is_sent: bool) -> Vec<String> {
        let side = if random.chance(1, 2) { Side::Bid } else { Side::Ask };
        let price = match random.below(4) {
            0 => random.below(1_000_001) as u32,
            _ => 10_000 * (1 + random.below(30)) as u32,
        };
        let quantity = match random.below(4) {
            0 => 0,
            1 => random.below(1_000_000_000_000_000),
            _ => 1_000_000 * random.below(5_000),
        };
        let level = Level { price: Price(price), quantity: Quantity(quantity) };
        let change = LevelChange {
            timestamp_ms: random.below(3) * 850_000_000_000,
            side,
            level,
            hash: None,
            best_bid: None,
            best_ask: None,
            first: true,
        };
        self.on(token, |session, replica, bodies, out| {
            let ladder = match side {
                Side::Bid => &replica.book.bids,
                Side::Ask => &replica.book.asks,
            };
            let before = ladder.quantity_at(side, level.price);
            replica.book.set(side, level).unwrap();
            if is_sent {
                session.on_change(replica, before, &change, bodies, out);
            }
        })
    }

    fn state(&mut self, token: TokenId, random: &mut Random) -> Vec<String> {
        let why = StaleReason::Disconnected;
        let state = match random.below(3) {
            0 => BookState::Stale { why, since_wall_ns: 1 },
            _ => BookState::Live,
        };
        self.on(token, |session, replica, bodies, out| {
            // A book that was closed begins with an image.
            let is_new = replica.state == BookState::AwaitingSnapshot;
            replica.state = state;
            match is_new {
                true => session.on_image(replica, bodies, out),
                false => session.on_state(replica, bodies, out),
            }
        })
    }

    fn trade(&mut self, token: TokenId, random: &mut Random) -> Vec<String> {
        let trade = TradeUpdate {
            timestamp_ms: 1_700_000_000_000,
            price: Price(random.below(1_000_001) as u32),
            quantity: Quantity(random.below(u64::MAX)),
            side: if random.chance(1, 2) { Side::Bid } else { Side::Ask },
            fee_rate_bps: None,
            id: None,
        };
        self.on(token, |session, replica, bodies, out| {
            replica.facts.last_trade = Some(trade.price);
            session.on_trade(replica, &trade, bodies, out);
        })
    }

    fn lifecycle(&mut self, random: &mut Random) -> Vec<String> {
        let stages =
            [MarketStage::New, MarketStage::Opened, MarketStage::Ended, MarketStage::Resolved];
        let info = MarketInfo {
            market: MarketId::new("KXMVE-1").unwrap(),
            tokens: Vec::new(),
            slug: String::new(),
            question: "\"\\\u{1}".to_owned(),
            start_wall_ns: None,
            end_wall_ns: Some(5_000_000_000),
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        };
        let stage = stages[random.below(4) as usize];
        let event = MarketEvent { stage, info, resolution: None, is_repeated: false };
        self.on(market(0), |session, _, bodies, out| session.on_lifecycle(&event, 7, bodies, out))
    }
}

/// The market of this number.
pub(crate) fn market(number: usize) -> TokenId {
    TokenId::new(&format!("M-{number}")).unwrap()
}

/// A client that keeps books.
#[derive(Default)]
pub(crate) struct Client {
    books: BTreeMap<String, (Levels, Levels)>,
    /// The last number of each open subscription.
    numbers: BTreeMap<u64, u64>,
    last_sid: u64,
    pub(crate) messages: usize,
    pub(crate) errors: usize,
}

impl Sink for Client {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        if let Some(sid) = envelope.sid {
            let last = self.numbers.get_mut(&sid).expect("an open subscription");
            if let Some(seq) = envelope.seq {
                assert_eq!(seq, *last + 1, "sid {sid}");
                *last = seq;
            }
        }
        true
    }

    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        match *reply {
            Reply::Subscribed { sid, .. } => {
                let sid = sid.unwrap();
                assert_eq!(sid, self.last_sid + 1);
                self.last_sid = sid;
                self.numbers.insert(sid, 0);
            }
            Reply::Unsubscribed { sid, .. } => _ = self.numbers.remove(&sid.unwrap()).unwrap(),
            Reply::Error { .. } => self.errors += 1,
            Reply::Ok { .. } | Reply::Snapshot { .. } => {}
        }
        true
    }

    fn on_event(&mut self, event: &Event<'_>) {
        self.messages += 1;
        match event {
            Event::Snapshot(snapshot) => {
                let side = |levels: &[Level]| {
                    let levels = levels.iter().map(|level| (level.price.0, level.quantity.0));
                    let side: Levels = levels.clone().collect();
                    assert_eq!(side.len(), levels.len(), "each price once");
                    side
                };
                let book = (side(snapshot.bids), side(snapshot.asks));
                self.books.insert(snapshot.token.to_owned(), book);
            }
            Event::Delta(delta) => {
                let (bids, asks) = self.books.get_mut(delta.token).expect("a snapshot before it");
                let side = if delta.side == Side::Bid { bids } else { asks };
                let before = side.get(&delta.price.0).copied().unwrap_or(0);
                let after = before.checked_add_signed(delta.units).expect("not negative");
                assert_ne!(before, after, "a change");
                match after {
                    0 => _ = side.remove(&delta.price.0),
                    _ => _ = side.insert(delta.price.0, after),
                }
            }
            _ => {}
        }
    }

    fn on_market_update(&mut self, _: MarketUpdate) {
        self.messages += 1;
    }

    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        panic!("{notice:?}");
    }
}

/// What the client subscribes to on the book channel, from its accepted commands.
#[derive(Default)]
pub(crate) struct Wanted {
    sid: Option<u64>,
    yes_price: bool,
    tickers: BTreeSet<TokenId>,
}

impl Wanted {
    fn on_command(&mut self, text: &str, answers: &[String]) {
        if answers.iter().any(|answer| answer.starts_with(r#"{"type":"error""#)) {
            return;
        }
        let command: Value = sonic_rs::from_str(text).unwrap();
        let params = &command["params"];
        let one = params["market_ticker"].as_str().into_iter();
        let many = params["market_tickers"].as_array().into_iter().flat_map(|list| list.iter());
        let names = one.chain(many.filter_map(|name| name.as_str()));
        let tickers = names.map(|name| TokenId::new(name).unwrap());
        let sids = params["sids"].as_array().into_iter().flat_map(|list| list.iter());
        let sids: Vec<u64> = sids.chain([&params["sid"]]).filter_map(|sid| sid.as_u64()).collect();
        let is_ours = self.sid.is_some_and(|sid| sids.contains(&sid));
        match (command["cmd"].as_str().unwrap(), params["action"].as_str()) {
            ("subscribe", _) => {
                let mut channels = params["channels"].as_array().unwrap().iter();
                if channels.any(|name| name.as_str() == Some("orderbook_delta")) {
                    self.tickers.extend(tickers);
                }
                for answer in answers {
                    let answer: Value = sonic_rs::from_str(answer).unwrap();
                    if answer["msg"]["channel"].as_str() == Some("orderbook_delta") {
                        self.sid = answer["msg"]["sid"].as_u64();
                        self.yes_price = params["use_yes_price"].as_bool() == Some(true);
                    }
                }
            }
            ("unsubscribe", _) if is_ours => (self.sid, self.tickers) = (None, BTreeSet::new()),
            ("update_subscription", Some("add_markets")) if is_ours => self.tickers.extend(tickers),
            ("update_subscription", Some("delete_markets")) if is_ours => {
                tickers.for_each(|ticker| _ = self.tickers.remove(&ticker));
            }
            _ => {}
        }
    }

    /// Whether the client's subscribed books are the hub's.
    pub(crate) fn compare(&self, hub: &Hub, client: &Client) {
        for ticker in &self.tickers {
            let Some(replica) = hub.books.get(ticker) else { continue };
            if hub.late.contains(ticker) {
                continue;
            }
            let turned = |price: Price| if self.yes_price { price.complement() } else { price };
            let expected = match replica.state {
                BookState::Live => (
                    replica.book.bids.levels().map(|l| (l.price.0, l.quantity.0)).collect(),
                    replica.book.asks.levels().map(|l| (turned(l.price).0, l.quantity.0)).collect(),
                ),
                BookState::Stale { .. } if hub.options.clear_stale => <(Levels, Levels)>::default(),
                _ => continue,
            };
            assert_eq!(client.books.get(ticker.as_str()), Some(&expected), "{ticker}");
        }
    }

    /// A client that wants these tickers.
    pub(crate) fn new(tickers: impl Iterator<Item = TokenId>) -> Self {
        Self { sid: Some(1), yes_price: false, tickers: tickers.collect() }
    }
}

/// A client's commands, each followed by some changes.
pub(crate) fn converse<'t>(
    options: Options,
    lines: impl Iterator<Item = &'t str>,
) -> (Client, usize) {
    let mut hub = Hub::new(options, 4);
    let (mut client, mut decoder, mut wanted) =
        (Client::default(), Decoder::default(), Wanted::default());
    let mut random = Random::new(1);
    for line in lines {
        let answers = hub.command(line);
        wanted.on_command(line, &answers);
        let seed = line.bytes().fold(random.next_u64(), |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        random = Random::new(seed);
        let mut frames = answers;
        for _ in 0..random.below(6) {
            frames.extend(hub.step(&mut random));
        }
        for frame in frames {
            assert_eq!(decoder.decode(&frame, &mut client), 1, "{frame}");
        }
        wanted.compare(&hub, &client);
    }
    (client, hub.session.markets())
}

fn run(input: &[u8]) -> u64 {
    let options = Options { clear_stale: input.len().is_multiple_of(2) };
    let text = String::from_utf8_lossy(input);
    let (client, markets) = converse(options, text.lines().take(100));
    let counts = [client.messages, client.errors, client.books.len(), markets];
    behaviour((counts.map(magnitude), client.last_sid))
}

fn seeds() -> Vec<Vec<u8>> {
    let commands = [
        r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"market_ticker":"M-1"}}"#,
        r#"{"id":2,"cmd":"subscribe","params":{"channels":["orderbook_delta","ticker","trade"],"market_tickers":["M-0","M-2","X"],"send_initial_snapshot":true}}"#,
        r#"{"id":3,"cmd":"subscribe","params":{"channels":["market_lifecycle_v2","multivariate_market_lifecycle"]}}"#,
        r#"{"id":4,"cmd":"update_subscription","params":{"sids":[1],"market_tickers":["M-3"],"action":"add_markets"}}"#,
        r#"{"id":5,"cmd":"update_subscription","params":{"sid":1,"market_tickers":["M-1","M-3"],"action":"get_snapshot"}}"#,
        r#"{"id":6,"cmd":"update_subscription","params":{"sid":1,"market_tickers":["M-1"],"action":"delete_markets"}}"#,
        r#"{"id":7,"cmd":"list_subscriptions"}"#,
        r#"{"id":8,"cmd":"unsubscribe","params":{"sids":[2,1]}}"#,
        r#"{"id":9,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"market_tickers":["M-0"],"use_yes_price":true,"skip_ticker_ack":true}}"#,
        r#"{"id":10,"cmd":"update_subscription","params":{"sid":5,"market_tickers":["M-0","M-2"],"action":"get_snapshot"}}"#,
    ];
    let all = commands.join("\n").into_bytes();
    commands.iter().map(|command| command.as_bytes().to_vec()).chain([all]).collect()
}

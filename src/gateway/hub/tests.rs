//! The hub with a shard that the tests play.
//!
//! Books of random updates, clients of every protocol that read when they please. A client's book is built from its
//! frames alone.
use super::*;
use crate::base::id::MarketId;
use crate::base::price::Price;
use crate::base::random::Random;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::gateway::Site;
use crate::link::shard_updates::{BookUpdate, BookUpdateKind};
use crate::market::book::image::BookFacts;
use crate::market::book::{Book, BookState, Side, StaleReason};
use serde_json::Value;
use std::collections::BTreeMap;

mod kalshi;
mod tardis;

const TOKENS: [&str; 2] = ["11", "12"];

/// Both sides, price to size as numbers of 1e-6.
type Levels = [BTreeMap<u64, u64>; 2];

/// The shard: two books of one market.
struct Shard {
    books: [(Book, BookState, u64); 2],
    keys: [Option<SubscriptionKey>; 2],
    #[expect(clippy::vec_box, reason = "the link carries boxes")]
    buffers: Vec<Box<BookImage>>,
    wall_ns: u64,
}

struct Reader {
    id: ClientId,
    books: HashMap<String, Levels>,
    /// State that the stream reports.
    states: HashMap<String, String>,
    /// Last `seq` by `sid`.
    numbers: HashMap<u64, u64>,
    sequence: u64,
    closed: Option<u16>,
}

struct Rig {
    hub: Hub,
    shard: Shard,
    now: Now,
}

fn units(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<u64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<u64>().unwrap()
}

fn levels_of(list: &Value) -> BTreeMap<u64, u64> {
    let level = |l: &Value| match l {
        Value::Array(pair) => (units(&pair[0]), units(&pair[1])),
        object => (units(&object["price"]), units(&object["size"])),
    };
    list.as_array().unwrap().iter().map(level).collect()
}

fn set(levels: &mut BTreeMap<u64, u64>, price: u64, size: u64) {
    if size == 0 {
        levels.remove(&price);
    } else {
        levels.insert(price, size);
    }
}

/// The texts of frames.
fn texts(mut frames: &[u8]) -> Vec<&str> {
    let mut texts = Vec::new();
    while !frames.is_empty() {
        assert_eq!(frames[0], 0x81, "one text frame");
        let (length, head) = match frames[1] {
            126 => (usize::from(u16::from_be_bytes([frames[2], frames[3]])), 4),
            127 => (u64::from_be_bytes(frames[2..10].try_into().unwrap()) as usize, 10),
            short => (usize::from(short), 2),
        };
        texts.push(std::str::from_utf8(&frames[head..head + length]).unwrap());
        frames = &frames[head + length..];
    }
    texts
}

impl Rig {
    fn new(venue: &str, buffer_bytes: usize, stale: StalePolicy) -> Self {
        let venue = Venue::parse(venue).unwrap();
        let settings = Settings { buffer_bytes, stale, follow: true, waits: false };
        let now = Now { mono_ns: SECOND_NS, wall_ns: 1_700_000_000 * SECOND_NS };
        let empty = || (Book::default(), BookState::AwaitingSnapshot, 0);
        let shard = Shard {
            books: [empty(), empty()],
            keys: [None; 2],
            buffers: Vec::new(),
            wall_ns: now.wall_ns,
        };
        Self { hub: Hub::new(vec![venue], settings, now.wall_ns), shard, now }
    }

    fn connect(&mut self, site: Site, path: &str, query: &str) -> Reader {
        let endpoint = site.endpoint(path, query).unwrap().unwrap();
        let id = self.hub.connect(endpoint, self.now);
        self.serve();
        Reader {
            id,
            books: HashMap::new(),
            states: HashMap::new(),
            numbers: HashMap::new(),
            sequence: 0,
            closed: None,
        }
    }

    fn text(&mut self, reader: &Reader, text: &str) {
        self.hub.on_text(reader.id, text, self.now);
        self.serve();
    }

    /// The shard takes its requests.
    fn serve(&mut self) {
        while let Some((shard, request)) = self.hub.poll_request() {
            assert_eq!(shard, 0);
            match request {
                UpdateRequest::Subscribe { token, key } => {
                    let Some(place) = TOKENS.iter().position(|t| *t == token.as_str()) else {
                        continue;
                    };
                    self.shard.keys[place] = Some(key);
                    self.image(place, false);
                }
                UpdateRequest::Unsubscribe { token } => {
                    let place = TOKENS.iter().position(|t| *t == token.as_str());
                    place.into_iter().for_each(|place| self.shard.keys[place] = None);
                }
                UpdateRequest::Buffer(image) => self.shard.buffers.push(image),
            }
        }
    }

    fn send(&mut self, place: usize, what: BookUpdateKind) {
        let Some(key) = self.shard.keys[place] else { return };
        let version = self.shard.books[place].2;
        let update = BookUpdate { key, read_wall_ns: self.shard.wall_ns, version, what };
        self.hub.on_update(0, update, self.now);
    }

    fn image(&mut self, place: usize, lost: bool) {
        let mut image = self.shard.buffers.pop().expect("buffers come back");
        let (book, state, updates) = &self.shard.books[place];
        let facts = BookFacts { updates: *updates, timestamp_ms: *updates, ..BookFacts::default() };
        let (market, token) = (MarketId::new("0x1").unwrap(), TokenId::new(TOKENS[place]).unwrap());
        image.fill(market, token, *state, facts, book);
        let sibling = TokenId::new(TOKENS[1 - place]);
        self.send(place, BookUpdateKind::Image { image, sibling, lost });
        self.hub.end_message(self.now);
        self.serve();
    }

    /// Something happens at the venue.
    fn act(&mut self, random: &mut Random) {
        self.shard.wall_ns += MILLISECOND_NS;
        let place = random.below(2) as usize;
        match random.below(10) {
            0 => {
                self.shard.books[place].1 = BookState::Live;
                self.shard.books[place].2 += 1;
                self.image(place, random.below(4) == 0);
            }
            1 => {
                let (why, since_wall_ns) = (StaleReason::Disconnected, self.shard.wall_ns);
                let state = BookState::Stale { why, since_wall_ns };
                self.shard.books[place].1 = state;
                match random.below(2) {
                    0 => self.send(place, BookUpdateKind::State(state)),
                    // The state did not fit into the ring.
                    _ => self.image(place, true),
                }
            }
            _ => {
                // One venue message about both books. Absolute changes are applied to stale ones too.
                let is_relative = self.hub.shards[0].name() == "kalshi";
                let mut first = true;
                for place in 0..2 {
                    match self.shard.books[place].1 {
                        BookState::AwaitingSnapshot => continue,
                        BookState::Stale { .. } if is_relative => continue,
                        _ => {}
                    }
                    let side = if random.below(2) == 0 { Side::Bid } else { Side::Ask };
                    let price = Price(
                        100_000 * (1 + random.below(4) as u32)
                            + 500_000 * u32::from(side == Side::Ask),
                    );
                    let level = Level { price, quantity: Quantity(1_000_000 * random.below(3)) };
                    let (book, _, updates) = &mut self.shard.books[place];
                    book.set(side, level).unwrap();
                    *updates += 1;
                    let timestamp_ms = *updates;
                    let (best_bid, best_ask) = (None, None);
                    let hash = Some([b'a'; 40]);
                    let change =
                        LevelChange { timestamp_ms, side, level, hash, best_bid, best_ask, first };
                    self.send(place, BookUpdateKind::Change(change));
                    first = false;
                }
                self.hub.end_message(self.now);
                self.serve();
            }
        }
    }

    /// A client reads some bytes.
    fn read(&mut self, reader: &mut Reader, bytes: usize) {
        let mut output = Vec::new();
        match self.hub.take_output(reader.id, &mut output, bytes, self.now) {
            Output::Nothing => return,
            Output::Close(code, _) => {
                reader.closed = Some(code);
                return;
            }
            Output::Frames => {}
        }
        self.hub.on_sent(reader.id, output.len(), self.now);
        texts(&output).into_iter().for_each(|text| reader.on_frame(text));
    }

    fn read_all(&mut self, reader: &mut Reader) {
        for _ in 0..50 {
            self.read(reader, 1 << 20);
            self.serve();
        }
    }

    /// Whether a client has the book of a token, if that is live. If it is stale, a client of a venue's protocol has an
    /// empty one, and a client of the stream knows the state.
    fn agrees(&self, reader: &Reader, place: usize) -> bool {
        let (book, state, _) = &self.shard.books[place];
        if *state != BookState::Live {
            let is_empty = |levels: &Levels| levels.iter().all(BTreeMap::is_empty);
            return match reader.states.get(TOKENS[place]) {
                Some(state) => state != "live",
                None => reader.books.get(TOKENS[place]).is_none_or(is_empty),
            };
        }
        let side = |levels: Vec<Level>| -> BTreeMap<u64, u64> {
            levels.iter().map(|l| (u64::from(l.price.0), l.quantity.0)).collect()
        };
        let mine = [side(book.bids.levels().collect()), side(book.asks.levels().collect())];
        reader.books.get(TOKENS[place]) == Some(&mine)
    }
}

impl Reader {
    fn on_frame(&mut self, text: &str) {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        match &value {
            Value::Array(all) => all.iter().for_each(|event| self.on_market_event(event)),
            event if event["event_type"].is_string() => self.on_market_event(event),
            event if event["kind"].is_string() => self.on_stream_event(event),
            event if event["exchange"].is_string() => self.on_tardis(event),
            event => self.on_kalshi(event),
        }
    }

    fn on_market_event(&mut self, event: &Value) {
        match event["event_type"].as_str().unwrap() {
            "book" => {
                let levels = [levels_of(&event["bids"]), levels_of(&event["asks"])];
                self.books.insert(event["asset_id"].as_str().unwrap().into(), levels);
            }
            "price_change" => {
                for change in event["price_changes"].as_array().unwrap() {
                    let Some(book) = self.books.get_mut(change["asset_id"].as_str().unwrap())
                    else {
                        continue;
                    };
                    let side = usize::from(change["side"] == "SELL");
                    set(&mut book[side], units(&change["price"]), units(&change["size"]));
                }
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, event: &Value) {
        let sequence = event["sequence"].as_u64().unwrap();
        assert!(
            sequence >= self.sequence || event["reason"] == "gap",
            "{event} after {}",
            self.sequence
        );
        self.sequence = self.sequence.max(sequence);
        let token = event["token"].as_str().unwrap().to_owned();
        self.states.insert(token.clone(), event["state"].as_str().unwrap().to_owned());
        let sides = ["bids", "asks"];
        match event["kind"].as_str().unwrap() {
            "snapshot" => drop(self.books.insert(token, sides.map(|side| levels_of(&event[side])))),
            "change" => {
                let book = self.books.get_mut(&token).expect("a snapshot comes first");
                for (mine, side) in book.iter_mut().zip(sides) {
                    levels_of(&event[side]).into_iter().for_each(|(p, s)| set(mine, p, s));
                }
            }
            _ => {}
        }
    }

    fn on_kalshi(&mut self, event: &Value) {
        if let (Some(sid), Some(seq)) = (event["sid"].as_u64(), event["seq"].as_u64()) {
            let last = self.numbers.insert(sid, seq).unwrap_or(0);
            assert_eq!(seq, last + 1, "no hole: {event}");
        }
        let message = &event["msg"];
        let side = |list: &Value, no: bool| -> BTreeMap<u64, u64> {
            let turn = |(p, s): (u64, u64)| (if no { 1_000_000 - p } else { p }, s);
            levels_of(list).into_iter().map(turn).collect()
        };
        let ticker = || message["market_ticker"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "orderbook_snapshot" => {
                let levels = [
                    side(&message["yes_dollars_fp"], false),
                    side(&message["no_dollars_fp"], true),
                ];
                self.books.insert(ticker(), levels);
            }
            "orderbook_delta" => {
                let no = message["side"] == "no";
                let price = units(&message["price_dollars"]);
                let price = if no { 1_000_000 - price } else { price };
                let text = message["delta_fp"].as_str().unwrap();
                let size = units(&Value::from(text.trim_start_matches('-'))) as i64;
                let delta = if text.starts_with('-') { -size } else { size };
                let levels = &mut self.books.get_mut(&ticker()).unwrap()[usize::from(no)];
                let before = levels.get(&price).copied().unwrap_or(0) as i64;
                set(levels, price, u64::try_from(before + delta).expect("never below zero"));
            }
            _ => {}
        }
    }
}

const MARKET: &str = r#"{"type":"market","assets_ids":["11","12"]}"#;
const STREAM: &str = r#"{"subscribe":["11","12"]}"#;
const KALSHI: &str = r#"{"id":1,"cmd":"subscribe","params":{"channels":["orderbook_delta"],"market_tickers":["11","12"],"use_yes_price":false}}"#;

/// Updates, losses, stale books and clients that are slow at random, with buffers of all sizes: whoever has read all
/// has the live books, whatever was conflated before.
#[test]
fn a_client_that_has_read_all_has_the_books() {
    let mut random = Random::new(0x1907);
    for round in 0..150_u64 {
        let is_kalshi = round % 3 == 2;
        let (site, path, first) = match round % 3 {
            0 => (Site::Polymarket, "/ws/market", MARKET),
            1 => (Site::Polymarket, "/v1/stream", STREAM),
            _ => (Site::Kalshi, "/trade-api/ws/v2", KALSHI),
        };
        let venue = if is_kalshi { "kalshi" } else { "polymarket" };
        let mut rig = Rig::new(venue, 4_000 + 4_000 * random.below(8) as usize, StalePolicy::Clear);
        let mut fast = rig.connect(site, path, "");
        rig.text(&fast, first);
        let mut slow = rig.connect(site, path, "");
        rig.text(&slow, first);
        for _ in 0..150 {
            rig.act(&mut random);
            rig.read_all(&mut fast);
            if random.below(8) == 0 {
                rig.read(&mut slow, random.below(3_000) as usize);
            }
            for place in 0..2 {
                assert!(rig.agrees(&fast, place), "round {round}: {:?}", fast.books);
            }
        }
        rig.now.mono_ns += SECOND_NS;
        rig.hub.handle_timeout(rig.now);
        rig.read_all(&mut slow);
        let is_closed = slow.closed.is_some();
        assert!(is_closed || (0..2).all(|place| rig.agrees(&slow, place)), "round {round}");
        if !is_closed && round % 3 == 1 {
            let live = |place: usize| rig.shard.books[place].1 == BookState::Live;
            let says = |place: usize| slow.states[TOKENS[place]] == "live";
            assert!((0..2).all(|place| live(place) == says(place)), "round {round}");
        }
    }
}

#[test]
fn a_stale_book_is_held_cleared_or_ends_the_connection() {
    for (policy, closed, levels) in [
        (StalePolicy::Hold, None, 1),
        (StalePolicy::Clear, None, 0),
        (StalePolicy::Close, Some(1012), 1),
    ] {
        let mut rig = Rig::new("polymarket", 100_000, policy);
        let mut reader = rig.connect(Site::Polymarket, "/ws/market", "");
        rig.shard.books[0].1 = BookState::Live;
        rig.shard.books[1].1 = BookState::Live;
        let level = Level { price: Price(400_000), quantity: Quantity(5_000_000) };
        rig.shard.books[0].0.set(Side::Bid, level).unwrap();
        rig.text(&reader, MARKET);
        rig.read_all(&mut reader);
        assert_eq!(reader.books["11"][0].len(), 1);
        let state = BookState::Stale { why: StaleReason::Behind, since_wall_ns: 1 };
        rig.shard.books[0].1 = state;
        rig.send(0, BookUpdateKind::State(state));
        rig.read_all(&mut reader);
        assert_eq!((reader.closed, reader.books["11"][0].len()), (closed, levels), "{policy:?}");
        rig.shard.books[0].1 = BookState::Live;
        rig.image(0, false);
        rig.read_all(&mut reader);
        assert_eq!(reader.books["11"][0].len(), 1);
    }
}

#[test]
fn a_client_that_is_closed_and_not_slow_has_its_frames_first() {
    let mut random = Random::new(7);
    let mut rig = Rig::new("polymarket", 1 << 20, StalePolicy::Clear);
    let mut reader = rig.connect(Site::Polymarket, "/v1/stream", "tokens=11,12");
    for _ in 0..50 {
        rig.act(&mut random);
    }
    // The code of a slow client, as for more books than there is room for.
    rig.hub.end(1013, "no room");
    rig.read_all(&mut reader);
    assert_eq!(reader.closed, Some(1013));
    assert!((0..2).all(|place| rig.agrees(&reader, place)));
}

#[test]
fn a_binary_message_is_answered_as_text_that_cannot_be_read() {
    let mut rig = Rig::new("polymarket", 1 << 20, StalePolicy::Clear);
    let mut reader = rig.connect(Site::Polymarket, "/ws/market", "");
    rig.hub.on_binary(reader.id, rig.now);
    rig.read_all(&mut reader);
    assert_eq!(reader.closed, Some(1008), "as for any first message that is no subscription");
    assert_eq!(rig.hub.report().counts.binary_messages, 1);
}

#[test]
fn a_stream_that_reconnects_resumes_where_it_was() {
    let mut random = Random::new(7);
    let mut rig = Rig::new("polymarket", 1 << 20, StalePolicy::Clear);
    let mut reader = rig.connect(Site::Polymarket, "/v1/stream", "tokens=11,12");
    for _ in 0..50 {
        rig.act(&mut random);
    }
    rig.read_all(&mut reader);
    rig.hub.disconnect(reader.id, rig.now);
    for _ in 0..50 {
        rig.act(&mut random);
    }
    let query = format!("tokens=11,12&from_sequence={}", reader.sequence + 1);
    let again = rig.connect(Site::Polymarket, "/v1/stream", &query);
    reader.id = again.id;
    rig.read_all(&mut reader);
    assert!((0..2).all(|place| rig.agrees(&reader, place)));
    // From a number that no event has yet: what it gets has numbers of this process.
    let again =
        rig.connect(Site::Polymarket, "/v1/stream", "tokens=11&from_sequence=9007199254740993");
    let mut output = Vec::new();
    assert_eq!(rig.hub.take_output(again.id, &mut output, 1 << 20, rig.now), Output::Frames);
    let text = String::from_utf8_lossy(&output);
    assert!(text.contains(r#""reason":"gap""#) && !text.contains("90071992547409"), "{text}");
    rig.hub.disconnect(again.id, rig.now);
    rig.hub.disconnect(reader.id, rig.now);
    rig.now.mono_ns += GATEWAY_BOOK_LINGER_NS;
    rig.hub.handle_timeout(rig.now);
    rig.serve();
    assert_eq!((rig.hub.counts().books, rig.shard.keys), (0, [None; 2]), "nobody needs them");
}

#[test]
fn a_client_of_one_token_has_the_message_of_both_and_dumps_wait_for_books() {
    let mut rig = Rig::new("polymarket", 100_000, StalePolicy::Clear);
    let mut reader = rig.connect(Site::Polymarket, "/ws/market", "");
    rig.text(&reader, r#"{"type":"market","assets_ids":["11","999"]}"#);
    let asked: Vec<_> = std::iter::from_fn(|| rig.hub.poll_follow()).collect();
    assert_eq!(asked, ["11", "999"].map(|t| TokenId::new(t).unwrap()), "no market has them yet");
    rig.read_all(&mut reader);
    assert!(reader.books.is_empty(), "one book is not there yet");
    rig.now.mono_ns += GATEWAY_DUMP_WAIT_NS;
    rig.hub.handle_timeout(rig.now);
    rig.shard.books.iter_mut().for_each(|book| book.1 = BookState::Live);
    rig.image(0, false);
    rig.image(1, false);
    rig.read_all(&mut reader);
    assert_eq!(reader.books.keys().collect::<Vec<_>>(), ["11"]);
    assert!(rig.shard.keys[1].is_some(), "the other outcome is subscribed to");
    let mut output = Vec::new();
    let mut random = Random::new(1);
    while output.is_empty() {
        rig.act(&mut random);
        let next = rig.hub.take_output(reader.id, &mut output, 1 << 20, rig.now);
        assert!(matches!(next, Output::Frames | Output::Nothing));
    }
    let text = String::from_utf8_lossy(&output);
    let is_whole = text.contains(r#""asset_id":"11""#) && text.contains(r#""asset_id":"12""#);
    assert!(is_whole || !text.contains("price_change"), "{text}");
}

#[test]
fn a_book_that_comes_after_it_was_resumed_has_a_gap() {
    let mut rig = Rig::new("polymarket", 100_000, StalePolicy::Clear);
    let endpoint = Site::Polymarket.endpoint("/v1/stream", "tokens=11&from_sequence=5");
    let id = rig.hub.connect(endpoint.unwrap().unwrap(), rig.now);
    rig.hub.handle_timeout(rig.now);
    let mut output = Vec::new();
    assert_eq!(rig.hub.take_output(id, &mut output, 1, rig.now), Output::Nothing);
    rig.serve();
    assert_eq!(rig.hub.take_output(id, &mut output, 1, rig.now), Output::Frames);
    let text = String::from_utf8_lossy(&output);
    assert!(text.contains(r#""gap":true"#), "{text}");
}

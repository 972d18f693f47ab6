//! The gateway against clients that share no code with it: they build books from its text alone.
//!
//! Runs on:  test threads; engine and venue run on threads of this process.
use crate::http::Client;
use crate::library::quiet;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use ringbook::sim::{SimConfig, Venue};
use ringbook::{Engine, EngineBuilder, Polymarket};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{HandshakeError, Message, WebSocket};

/// Size by price, both as sent, of bids and asks.
pub(crate) type Levels = [BTreeMap<String, String>; 2];

/// A client with its own books.
pub(crate) struct Follower {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) books: HashMap<String, Levels>,
    /// The first snapshot of each book of the stream.
    pub(crate) first: HashMap<String, Levels>,
    /// `state` of the last event of each book.
    pub(crate) states: HashMap<String, String>,
    pub(crate) kinds: HashMap<String, usize>,
    /// Numbers of the stream's events.
    pub(crate) sequences: Vec<u64>,
    /// Number of the last event of each book.
    pub(crate) last: HashMap<String, u64>,
    /// Snapshots before which events are missing.
    pub(crate) gaps: usize,
    pub(crate) closed: Option<u16>,
    pub(crate) pings: usize,
}

fn levels_of(list: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let level = |l: &Value| match l {
        Value::Array(pair) => (text(&pair[0]), text(&pair[1])),
        object => (text(&object["price"]), text(&object["size"])),
    };
    list.as_array().unwrap().iter().map(level).collect()
}

/// Opens a WebSocket.
pub(crate) fn open<R: IntoClientRequest + Clone>(
    address: SocketAddr,
    request: R,
) -> WebSocket<TcpStream> {
    open_over(|| stream(address), request).unwrap()
}

pub(crate) fn stream(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Opens a WebSocket over a stream. A signal to this process ends a read with a timeout: then it is opened again.
pub(crate) fn open_over<S: Read + Write, R: IntoClientRequest + Clone>(
    connect: impl Fn() -> S,
    request: R,
) -> tungstenite::Result<WebSocket<S>> {
    loop {
        match tungstenite::client(request.clone(), connect()) {
            Ok((socket, _)) => return Ok(socket),
            Err(HandshakeError::Failure(tungstenite::Error::Io(error)))
                if error.kind() == ErrorKind::Interrupted => {}
            Err(HandshakeError::Failure(error)) => return Err(error),
            Err(HandshakeError::Interrupted(_)) => panic!("no answer in time"),
        }
    }
}

impl Follower {
    pub(crate) fn connect(address: SocketAddr, path: &str) -> Self {
        let socket = open(address, format!("ws://{address}{path}"));
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self {
            socket,
            books: HashMap::new(),
            first: HashMap::new(),
            states: HashMap::new(),
            kinds: HashMap::new(),
            sequences: Vec::new(),
            last: HashMap::new(),
            gaps: 0,
            closed: None,
            pings: 0,
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    match value {
                        Value::Array(all) => all.iter().for_each(|event| self.on_event(event)),
                        event => self.on_event(&event),
                    }
                }
                Ok(Message::Close(frame)) => {
                    self.closed = Some(frame.map_or(1005, |frame| frame.code.into()));
                }
                Ok(Message::Ping(body)) => self.pings += usize::from(&body[..] == b"heartbeat"),
                Ok(_) => {}
                Err(tungstenite::Error::Io(_)) => return,
                Err(_) => {
                    self.closed.get_or_insert(1006);
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        if event["kind"].is_string() {
            return self.on_stream_event(event);
        }
        *self.kinds.entry(text("event_type")).or_default() += 1;
        match event["event_type"].as_str().unwrap() {
            "book" => {
                let levels = [levels_of(&event["bids"]), levels_of(&event["asks"])];
                self.books.insert(text("asset_id"), levels);
            }
            "price_change" => {
                for change in event["price_changes"].as_array().unwrap() {
                    let text = |key: &str| change[key].as_str().unwrap().to_owned();
                    assert_eq!(text("hash").len(), 40, "strict clients need it: {change}");
                    let Some(book) = self.books.get_mut(&text("asset_id")) else { continue };
                    let side = usize::from(text("side") == "SELL");
                    set(&mut book[side], text("price"), text("size"));
                }
            }
            "state" => drop(self.states.insert(text("asset_id"), text("state"))),
            _ => {}
        }
    }

    fn on_stream_event(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        *self.kinds.entry(text("kind")).or_default() += 1;
        if event["kind"] == "error" {
            return;
        }
        self.sequences.push(event["sequence"].as_u64().unwrap());
        let token = text("token");
        self.last.insert(token.clone(), event["sequence"].as_u64().unwrap());
        if event["state"].is_string() {
            self.states.insert(token.clone(), text("state"));
        }
        self.gaps += usize::from(event["gap"] == true);
        match event["kind"].as_str().unwrap() {
            "snapshot" => {
                let levels = [levels_of(&event["bids"]), levels_of(&event["asks"])];
                self.first.entry(token.clone()).or_insert_with(|| levels.clone());
                self.books.insert(token, levels);
            }
            "change" => {
                let book = self.books.get_mut(&token).expect("a snapshot comes first");
                for (mine, name) in book.iter_mut().zip(["bids", "asks"]) {
                    levels_of(&event[name])
                        .into_iter()
                        .for_each(|(price, size)| set(mine, price, size));
                }
            }
            _ => {}
        }
    }

    /// Tokens whose book is not the venue's.
    pub(crate) fn wrong(&self, venue: &Venue, tokens: &[String]) -> Vec<String> {
        let truth = |token: &String| -> Levels {
            let truth: Value = serde_json::from_str(&venue.truth(token).unwrap()).unwrap();
            [levels_of(&truth["bids"]), levels_of(&truth["asks"])]
        };
        let wrong = |token: &&String| self.books.get(*token) != Some(&truth(token));
        tokens.iter().filter(wrong).cloned().collect()
    }
}

fn set(levels: &mut BTreeMap<String, String>, price: String, size: String) {
    if size == "0" {
        levels.remove(&price);
    } else {
        levels.insert(price, size);
    }
}

pub(crate) struct Rig {
    pub(crate) venue: Venue,
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) tokens: Vec<String>,
}

impl Rig {
    pub(crate) fn start(markets: usize, rate: f64) -> Self {
        Self::with(markets, rate, EngineBuilder::all_markets)
    }

    pub(crate) fn with(
        markets: usize,
        rate: f64,
        settings: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        Self::of(quiet(markets, rate), settings)
    }

    /// A venue with this configuration.
    pub(crate) fn of(
        config: SimConfig,
        settings: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let markets = config.markets;
        let venue = Venue::start(config).unwrap();
        let at = Polymarket::at(&venue.http_url(), &venue.ws_url());
        let builder = settings(Engine::builder().venue(at).shards(2));
        let local = ([127, 0, 0, 1], 0);
        let engine = builder.gateway(local).serve(local).start(|_| ()).unwrap();
        let address = engine.gateways()[0].1;
        let mut client = Client::new(&venue.http_url(), None);
        let page = client.get(&format!("/markets?limit={markets}")).json();
        let tokens = page.as_array().unwrap().iter().flat_map(|market| {
            let text = market["clobTokenIds"].as_str().unwrap();
            serde_json::from_str::<Vec<String>>(text).unwrap()
        });
        Self { venue, engine, address, tokens: tokens.collect() }
    }

    pub(crate) fn control(&self, what: &str) {
        let mut client = Client::new(&self.venue.http_url(), None);
        assert_eq!(client.request("POST", &format!("/sim/{what}")).unwrap().status, 200);
    }

    pub(crate) fn wait(
        &self,
        followers: &mut [&mut Follower],
        what: &str,
        mut wanted: impl FnMut(&[&mut Follower]) -> bool,
    ) {
        let begun = Instant::now();
        loop {
            followers.iter_mut().for_each(|follower| follower.read());
            if wanted(followers) {
                return;
            }
            assert!(begun.elapsed() < 2 * TIMEOUT, "no {what}: {:?}", followers[0].kinds);
            std::thread::sleep(POLL_INTERVAL / 10);
        }
    }

    /// Waits until the venue is silent and the followers' books are its books.
    pub(crate) fn settle(&self, followers: &mut [&mut Follower]) {
        self.venue.pause().unwrap();
        self.wait(followers, "equal books", |all| {
            all.iter().all(|one| one.wrong(&self.venue, &self.tokens).is_empty())
        });
    }
}

#[test]
fn clients_hold_the_venues_books_through_faults_upstream() {
    let rig = Rig::start(50, 400.0);
    let mut market = Follower::connect(rig.address, "/ws/market?state=1");
    let mut stream = Follower::connect(rig.address, "/v1/stream");
    // Subscribed before there are books: each comes as soon as it is there.
    market
        .send(&json!({"type": "market", "assets_ids": rig.tokens, "custom_feature_enabled": true}));
    stream.send(&json!({"subscribe": rig.tokens}));
    rig.wait(&mut [&mut market, &mut stream], "100 books", |all| {
        all.iter().all(|one| one.books.len() == 100)
    });
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut market, &mut stream], "changes and trades", |all| {
        all[0].kinds.get("price_change") > Some(&300)
            && all[0].kinds.get("last_trade_price") > Some(&3)
            && all[0].kinds.contains_key("best_bid_ask")
            && all[1].kinds.get("change") > Some(&300)
            && all[1].kinds.contains_key("trade")
    });
    rig.settle(&mut [&mut market, &mut stream]);
    // Every connection upstream ends: clients learn it, and have the books again.
    rig.control("drop?connections=all");
    rig.wait(&mut [&mut market, &mut stream], "stale books", |all| {
        all[0].kinds.get("state") >= Some(&100) && all[1].kinds.get("state") >= Some(&100)
    });
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut market, &mut stream], "live books", |all| {
        let is_live = |state: &String| state == "live";
        all.iter().all(|one| one.states.values().all(is_live))
    });
    rig.settle(&mut [&mut market, &mut stream]);
    let numbers = &stream.sequences;
    assert!(numbers.windows(2).all(|pair| pair[0] <= pair[1]), "the stream is in order");
    assert_eq!((market.closed, stream.closed), (None, None));
    rig.engine.stop(|_| {});
    market.read();
    assert_eq!(market.closed, Some(1001), "the client learns of the end");
}

/// Its books are conflated while it takes nothing, then it is closed; another client of the same books has them all.
#[test]
fn a_client_that_never_reads_harms_nobody_and_is_closed() {
    let rig = Rig::with(20, 3_000.0, |builder| builder.all_markets().gateway_buffer_mib(1));
    let mut idle = Follower::connect(rig.address, "/ws/market");
    let mut reader = Follower::connect(rig.address, "/ws/market");
    for client in [&mut idle, &mut reader] {
        client.send(&json!({"type": "market", "assets_ids": rig.tokens}));
    }
    rig.wait(&mut [&mut reader], "40 books", |all| all[0].books.len() == 40);
    rig.venue.resume().unwrap();
    let mut http = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
    rig.wait(&mut [&mut reader], "a closed client", |_| {
        http.get("/metrics").text().contains("ringbook_gateway_clients_closed_slow_total 1")
    });
    rig.settle(&mut [&mut reader]);
    assert_eq!(reader.closed, None);
    assert!(reader.pings > 0, "the other one took longer than the interval of pings");
    rig.wait(&mut [&mut reader], "one connection left", |_| {
        let stats = http.get("/stats").json();
        let clients = stats["gateway"]["connections"].as_array().unwrap().clone();
        let [one] = &clients[..] else { return false };
        one["protocol"] == json!("market") && one["books"] == json!(40)
    });
    rig.engine.stop(|_| {});
}

#[test]
fn rest_answers_and_refusals_are_the_venues() {
    let rig = Rig::start(3, 50.0);
    let mut follower = Follower::connect(rig.address, "/ws/market");
    follower.send(&json!({"type": "market", "assets_ids": [rig.tokens[0]]}));
    rig.wait(&mut [&mut follower], "a book", |all| all[0].books.len() == 1);
    let mut client = Client::new(&format!("http://{}", rig.address), None);
    let book = client.get(&format!("/book?token_id={}", rig.tokens[0])).json();
    assert_eq!(book["asset_id"], json!(rig.tokens[0]));
    let mid = client.get(&format!("/midpoint?token_id={}", rig.tokens[0])).json();
    assert!(mid["mid"].is_string(), "{mid}");
    assert_eq!(client.request("GET", "/time").unwrap().status, 200);
    assert_eq!(client.request("POST", "/order").unwrap().status, 501);
    assert_eq!(client.request("GET", "/nothing").unwrap().status, 404);
    let refused = client.request("DELETE", "/books").unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, POST")));
    // A WebSocket's path without an upgrade.
    for (path, status) in [("/ws/market", 426), ("/v1/stream", 426), ("/v1/stream?kinds=x", 400)] {
        assert_eq!(client.request("GET", path).unwrap().status, status, "{path}");
    }
    let clob = client.get("/markets").json();
    assert_eq!(
        (&clob["count"], &clob["next_cursor"]),
        (&json!(rig.tokens.len() / 2), &json!("LTE="))
    );
    let market = &clob["data"][0];
    let path = format!("/markets/{}", market["condition_id"].as_str().unwrap());
    assert_eq!(client.get(&path).json()["question"], market["question"]);
    let mut gamma = Client::new(&format!("http://{}", rig.engine.gateways()[1].1), None);
    let named = gamma.get(&format!("/markets?clob_token_ids={}", rig.tokens[0])).json();
    assert_eq!(named[0]["active"], true, "{named}");
    let mut of_venue = Client::new(&rig.venue.http_url(), None);
    let listed = of_venue.get(&format!("/markets?clob_token_ids={}", rig.tokens[0])).json();
    for key in ["id", "slug", "conditionId", "questionID", "takerBaseFee", "bestBid", "events"] {
        let same = if key == "events" {
            named[0][key][0]["id"] == listed[0][key][0]["id"]
        } else {
            named[0][key] == listed[0][key]
        };
        assert!(same, "{key}: {named} {listed}");
    }
    let mut silent = Follower::connect(rig.address, "/ws/market");
    silent.socket.send(Message::text("PING")).unwrap();
    rig.wait(&mut [&mut silent], "a close", |all| all[0].closed.is_some());
    assert_eq!(silent.closed, Some(1008), "a PING before the subscription");
    rig.engine.stop(|_| {});
}

#[test]
fn a_market_that_nobody_follows_is_followed_for_a_client() {
    let rig = Rig::with(10, 100.0, EngineBuilder::gateway_follow);
    let mut follower = Follower::connect(rig.address, "/ws/market");
    let two = &rig.tokens[6..8];
    follower.send(&json!({"type": "market", "assets_ids": two}));
    rig.wait(&mut [&mut follower], "two books", |all| all[0].books.len() == 2);
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut follower], "changes", |all| all[0].kinds.get("price_change") > Some(&5));
    rig.venue.pause().unwrap();
    rig.wait(&mut [&mut follower], "equal books", |all| all[0].wrong(&rig.venue, two).is_empty());
    rig.engine.stop(|_| {});
}

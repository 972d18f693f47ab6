//! Clients of Kalshi on the gateway: one that keeps books of its own, and `kalshi-sdk` where it is installed.
//!
//! Their signatures are verified.
//!
//! Runs on:  test threads, with one venue and one engine as processes, and Python in its own.
use super::{KEYS, Kalshi, Levels, fixed, wait_live};
use crate::engine::{Engine, count};
use crate::gateway::open;
use crate::http::Client;
use crate::program::{Program, TIMEOUT};
use ringbook::venue::kalshi::sign::SigningKey;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

const MARKETS: u64 = 50;
const PATH: &str = "/trade-api/ws/v2";

/// A client with its own books, in the venue's terms: YES and NO bids.
pub(super) struct Follower {
    socket: WebSocket<TcpStream>,
    pub(super) books: HashMap<String, [BTreeMap<u64, u64>; 2]>,
    /// The first snapshot of each.
    pub(super) first: HashMap<String, [BTreeMap<u64, u64>; 2]>,
    /// The last number of each subscription.
    numbers: HashMap<u64, u64>,
    /// The last ticker of each market.
    pub(super) tickers: HashMap<String, Value>,
    kinds: HashMap<String, usize>,
    /// The last message of each `id`.
    answers: HashMap<u64, Value>,
    closed: Option<u16>,
}

impl Follower {
    /// With a query such as `?speed=max`, or none.
    pub(super) fn connect(address: SocketAddr, query: &str) -> Self {
        let url = format!("ws://{address}{PATH}{query}").parse().unwrap();
        let pem = std::fs::read(Path::new(KEYS).join("rsa-pkcs8.pem")).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now_ms = u64::try_from(now.as_millis()).unwrap();
        let headers = SigningKey::from_pem(&pem).unwrap().headers("any", now_ms, "GET", PATH);
        let request = headers
            .unwrap()
            .into_iter()
            .fold(ClientRequestBuilder::new(url), |request, (name, value)| {
                request.with_header(name, value)
            });
        let socket = open(address, request);
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self {
            socket,
            books: HashMap::new(),
            first: HashMap::new(),
            numbers: HashMap::new(),
            tickers: HashMap::new(),
            kinds: HashMap::new(),
            answers: HashMap::new(),
            closed: None,
        }
    }

    pub(super) fn send(&mut self, command: &Value) {
        self.socket.send(Message::text(command.to_string())).unwrap();
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// The last message with the `id` of a command.
    pub(super) fn answer(&self, id: u64) -> Option<&Value> {
        self.answers.get(&id)
    }

    /// Reads until the gateway closes; the code.
    pub(super) fn read_to_end(&mut self) -> u16 {
        self.read_until("end", |me| me.closed.is_some());
        self.closed.unwrap()
    }

    /// Reads until it is as wanted.
    pub(super) fn read_until(&mut self, what: &str, mut wanted: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            let is_late = begun.elapsed() >= TIMEOUT;
            assert!(!is_late && self.closed.is_none(), "no {what}: {:?}", self.kinds);
            let turn = Instant::now();
            while turn.elapsed() < Duration::from_millis(200) {
                match self.socket.read() {
                    Ok(Message::Text(text)) => {
                        self.on_message(&serde_json::from_str(&text).unwrap());
                    }
                    Ok(Message::Close(frame)) => {
                        self.closed = Some(frame.map_or(1005, |frame| frame.code.into()));
                        break;
                    }
                    Ok(_) => {}
                    Err(tungstenite::Error::Io(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn on_message(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap();
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        if let Some(seq) = message["seq"].as_u64() {
            let last = self.numbers.entry(message["sid"].as_u64().unwrap()).or_default();
            assert_eq!(seq, *last + 1, "{message}");
            *last = seq;
        }
        if let Some(id) = message["id"].as_u64() {
            self.answers.insert(id, message.clone());
        }
        let body = &message["msg"];
        let ticker = || body["market_ticker"].as_str().unwrap().to_owned();
        match kind {
            "orderbook_snapshot" => {
                let side = |name: &str| {
                    let levels = body[name].as_array().unwrap().iter();
                    levels.map(|level| (fixed(&level[0], 4), fixed(&level[1], 2))).collect()
                };
                let book: [_; 2] = [side("yes_dollars_fp"), side("no_dollars_fp")];
                self.first.entry(ticker()).or_insert_with(|| book.clone());
                self.books.insert(ticker(), book);
            }
            "ticker" => _ = self.tickers.insert(ticker(), body.clone()),
            "orderbook_delta" => {
                let book = self.books.get_mut(&ticker()).expect("a snapshot comes first");
                let side = &mut book[usize::from(body["side"] == "no")];
                let delta = body["delta_fp"].as_str().unwrap();
                let amount = fixed(&json!(delta.trim_start_matches('-')), 2);
                let price = fixed(&body["price_dollars"], 4);
                let before = side.get(&price).copied().unwrap_or(0);
                let after = match delta.starts_with('-') {
                    true => before.checked_sub(amount).expect("not negative"),
                    false => before + amount,
                };
                match after {
                    0 => _ = side.remove(&price),
                    _ => _ = side.insert(price, after),
                }
            }
            _ => {}
        }
    }

    pub(super) fn has(&self, (ticker, bids, asks): &(String, Levels, Levels)) -> bool {
        let no = asks.iter().map(|(price, size)| (10_000 - price, *size));
        let truth = [bids.iter().copied().collect(), no.collect()];
        self.books.get(ticker) == Some(&truth)
    }
}

/// `tests/python/kalshi_books.py`, which prints its books once a second.
fn sdk(address: SocketAddr, key: &Path, tickers: &[String]) -> Option<Program> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import kalshi.ws.client"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: kalshi-sdk: {python} does not have it");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/kalshi_books.py");
    let mut command = Command::new(python);
    command.arg(script).arg(address.to_string()).arg(key).args(tickers);
    Some(Program::start(command))
}

/// Waits until the last line of the SDK has the venue's books.
fn wait_sdk(program: &mut Program, truth: &[(String, Levels, Levels)]) {
    let begun = Instant::now();
    loop {
        let line = program.stdout().pop().unwrap_or_else(|| "{}".to_owned());
        let books: Value = serde_json::from_str(&line).unwrap();
        let side = |book: &Value, name: &str| -> BTreeMap<u64, u64> {
            let levels = book[name].as_array().unwrap().iter();
            levels.map(|level| (fixed(&level[0], 4), fixed(&level[1], 2))).collect()
        };
        let is_equal = |(ticker, bids, asks): &(String, Levels, Levels)| {
            let Some(book) = books.get(ticker) else { return false };
            let no = asks.iter().map(|(price, size)| (10_000 - price, *size));
            side(book, "yes") == bids.iter().copied().collect() && side(book, "no") == no.collect()
        };
        if truth.iter().all(is_equal) {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT && program.is_running(), "{line}\n{program}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_of_kalshi_follow_the_gateway_as_they_follow_the_venue() {
    let markets = MARKETS.to_string();
    let mut venue = Kalshi::start(&["--markets", &markets, "--rate", "300"]);
    let flags = ["--kalshi-connections", "1,1,1,2", "--gateway", "127.0.0.1:0"];
    let key = format!("any={KEYS}/rsa-public.pem");
    let mut engine = venue.engine(&[&flags[..], &["--gateway-verify", &key]].concat());
    let line = engine.program.wait_for_line("gateway: kalshi for its clients at ");
    let address = line.split("clients at ").nth(1).unwrap().split(',').next().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    wait_live(&mut engine, MARKETS);
    let tickers: Vec<String> = venue.truth().into_iter().map(|book| book.0).collect();
    let mut python = sdk(address, &venue.file("key.pem"), &tickers);
    let mut follower = Follower::connect(address, "");
    let channels = ["orderbook_delta", "ticker", "trade"];
    let params = json!({"channels": channels, "market_tickers": tickers});
    follower.send(&json!({"id": 1, "cmd": "subscribe", "params": params}));
    follower.read_until("changes", |me| me.count("orderbook_delta") > 300);
    for kind in ["lost", "cut"] {
        assert_eq!(venue.fault(kind, 1, Some("orderbook_delta")), 1, "{kind}");
        let before = follower.count("orderbook_delta");
        follower.read_until("changes", |me| me.count("orderbook_delta") > before + 300);
        wait_live(&mut engine, MARKETS);
    }
    // Frozen: pings go on, data has stopped.
    let reconnects = |engine: &mut Engine| count(&engine.stats(), "/pool/reconnects");
    let before = reconnects(&mut engine);
    assert_eq!(venue.fault("freeze", 1, Some("orderbook_delta")), 1);
    follower.read_until("a new connection", |_| reconnects(&mut engine) > before);
    wait_live(&mut engine, MARKETS);
    let get = json!({"sid": 1, "market_tickers": tickers[..2], "action": "get_snapshot"});
    follower.send(&json!({"id": 2, "cmd": "update_subscription", "params": get}));
    venue.ask("POST", "/sim/pause");
    let truth = venue.truth();
    follower.read_until("equal books", |me| truth.iter().all(|book| me.has(book)));
    assert!(follower.count("ticker") > 0 && follower.count("subscribed") == 3);
    if let Some(python) = &mut python {
        wait_sdk(python, &truth);
    }
    let mut rest = Client::new(&format!("http://{address}"), None);
    for (ticker, bids, _) in &truth {
        let path = format!("/trade-api/v2/markets/{ticker}/orderbook");
        let book = rest.get(&path).json();
        let levels = book["orderbook_fp"]["yes_dollars"].as_array().unwrap().iter();
        let levels: Levels = levels.map(|l| (fixed(&l[0], 4), fixed(&l[1], 2))).collect();
        assert_eq!(levels, *bids, "{ticker}");
    }
    assert_eq!(rest.get("/trade-api/v2/portfolio/orders").status, 501);
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    engine.program.assert_clean();
}

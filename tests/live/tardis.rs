//! The tardis interface of the gateway: clients build books from its normalized messages.
//!
//! Runs on:  test threads; engine and venue run on threads of this process.
use crate::gateway::Rig;
use crate::gateway::open;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// Amount by price, both 1e-6, of bids and asks.
pub(crate) type Levels = [BTreeMap<u64, u64>; 2];

/// Books from messages alone.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) books: HashMap<String, Levels>,
    pub(crate) kinds: HashMap<String, usize>,
    /// Messages without a type of the interface: those of the venue.
    pub(crate) raw: Vec<Value>,
}

pub(crate) fn units(number: &Value) -> u64 {
    let number = match number {
        Value::String(text) => text.parse().unwrap(),
        number => number.as_f64().unwrap(),
    };
    (number * 1e6).round() as u64
}

fn levels_of(list: &Value, amount: &str) -> BTreeMap<u64, u64> {
    let levels = list.as_array().unwrap().iter();
    levels.map(|level| (units(&level["price"]), units(&level[amount]))).collect()
}

impl Books {
    pub(crate) fn on_message(&mut self, message: &Value) {
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        if !message["exchange"].is_string() {
            self.raw.push(message.clone());
            return;
        }
        *self.kinds.entry(text("type")).or_default() += 1;
        if message["type"] != "book_change" {
            return;
        }
        let sides = ["bids", "asks"].map(|side| levels_of(&message[side], "amount"));
        if message["isSnapshot"] == true {
            self.books.insert(text("symbol"), sides);
            return;
        }
        let book = self.books.get_mut(&text("symbol")).expect("a snapshot comes first");
        for (mine, new) in book.iter_mut().zip(sides) {
            mine.extend(new);
            mine.retain(|_, amount| *amount > 0);
        }
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// Whether the books are the venue's.
    pub(crate) fn are_those_of(&self, rig: &Rig) -> bool {
        rig.tokens.iter().all(|token| {
            let truth: Value = serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap();
            let truth = ["bids", "asks"].map(|side| levels_of(&truth[side], "size"));
            self.books.get(token) == Some(&truth)
        })
    }
}

/// A client of a path with options.
pub(crate) struct Follower {
    socket: WebSocket<TcpStream>,
    pub(crate) books: Books,
    pub(crate) closed: Option<(u16, String)>,
    /// Bodies of the answers to its pings.
    pub(crate) pongs: Vec<String>,
}

pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

impl Follower {
    pub(crate) fn connect(address: SocketAddr, path: &str, options: &Value) -> Self {
        Self::connect_to(address, &format!("{path}?options={}", escaped(&options.to_string())))
    }

    pub(crate) fn connect_to(address: SocketAddr, path: &str) -> Self {
        let socket = open(address, format!("ws://{address}{path}"));
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, books: Books::default(), closed: None, pongs: Vec::new() }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    pub(crate) fn ping(&mut self, body: &'static str) {
        self.socket.send(Message::Ping(body.into())).unwrap();
    }

    pub(crate) fn read(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) && self.read_one() {}
    }

    /// Reads a message, or waits a moment for one; false where none has come, and at the end.
    pub(crate) fn read_one(&mut self) -> bool {
        if self.closed.is_none() {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.books.on_message(&serde_json::from_str(&text).unwrap());
                }
                Ok(Message::Close(frame)) => {
                    let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    self.closed = Some(frame.unwrap_or((1005, String::new())));
                }
                Ok(Message::Pong(body)) => {
                    self.pongs.push(String::from_utf8_lossy(&body).into_owned());
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(_)) => return false,
                Err(error) => panic!("{error}"),
            }
        }
        self.closed.is_none()
    }

    pub(crate) fn read_until(&mut self, what: &str, mut wanted: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            assert!(begun.elapsed() < 2 * TIMEOUT, "no {what}: {:?}", self.books.kinds);
            self.read();
            std::thread::sleep(POLL_INTERVAL / 10);
        }
    }
}

#[test]
fn books_of_normalized_messages_are_the_venues_through_a_disconnect() {
    let rig = Rig::start(10, 400.0);
    let options = json!([
        {"exchange": "polymarket", "symbols": rig.tokens, "withDisconnectMessages": true,
            "withErrorMessages": true,
            "dataTypes": ["trade", "book_change", "book_ticker", "book_snapshot_5_100ms"]},
        {"exchange": "polymarket", "symbols": &rig.tokens[..2], "dataTypes": ["trade_bar_2ticks"]},
    ]);
    let mut follower = Follower::connect(rig.address, "/ws-stream-normalized", &options);
    follower.read_until("20 books", |follower| follower.books.books.len() == 20);
    rig.venue.resume().unwrap();
    follower.read_until("messages of every type", |follower| {
        let enough = [("book_change", 300), ("trade", 3), ("book_ticker", 25)];
        enough.iter().all(|&(kind, count)| follower.books.count(kind) > count)
            && follower.books.count("book_snapshot") > 20
            && follower.books.count("trade_bar") > 0
    });
    rig.venue.pause().unwrap();
    follower.read_until("equal books", |follower| follower.books.are_those_of(&rig));
    rig.control("drop?connections=all");
    follower.read_until("disconnects", |follower| {
        follower.books.count("disconnect") >= 20 && follower.books.count("error") >= 20
    });
    rig.venue.resume().unwrap();
    let before = follower.books.count("book_change");
    follower.read_until("changes", |follower| follower.books.count("book_change") > before + 300);
    rig.venue.pause().unwrap();
    follower.read_until("equal books", |follower| follower.books.are_those_of(&rig));
    assert_eq!(follower.closed, None);
    rig.engine.stop(|_| {});
}

#[test]
fn a_connection_with_wrong_options_is_closed_with_1011_and_a_line() {
    let rig = Rig::start(1, 10.0);
    for (options, key) in [
        (json!({}), "options="),
        (json!({"exchange": "binance", "dataTypes": ["trade"]}), "exchange"),
        (json!({"exchange": "polymarket", "symbols": ["1"], "dataTypes": ["x"]}), "dataTypes"),
        (json!({"exchange": "polymarket", "dataTypes": ["trade"]}), "symbols"),
    ] {
        let mut follower = Follower::connect(rig.address, "/ws-stream-normalized", &options);
        follower.read_until("a close", |follower| follower.closed.is_some());
        let (code, reason) = follower.closed.unwrap();
        assert_eq!(code, 1011);
        assert!(reason.starts_with(key), "{reason}");
    }
    rig.engine.stop(|_| {});
}

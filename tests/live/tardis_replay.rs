//! The tardis interface of `ringbook gateway CAPTURE`: books of its messages are those of `ringbook replay`.
//!
//! Runs on:  test threads, with a venue, an engine and a gateway as processes, and Python in its own. The test of
//! Python is skipped, with one line, where its packages are missing; `RINGBOOK_TEST_PYTHON` names another interpreter.
use crate::engine::{Engine, count, sum};
use crate::program::TIMEOUT;
use crate::replayed::{self, Replayed, capture, middle, replay};
use crate::tardis::{Books, Follower, Levels, escaped, units};
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const ALL: [&str; 2] = ["2000-01-01", "2100-01-01"];

fn text(ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string()
}

/// When a message was received, microseconds since the Unix epoch.
fn received_us(message: &Value) -> u64 {
    let at: jiff::Timestamp = message["localTimestamp"].as_str().unwrap().parse().unwrap();
    at.as_microsecond() as u64
}

/// The body of a response in chunks.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::program::TIMEOUT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    if !head.contains("chunked") {
        return (status, rest.to_owned());
    }
    let mut body = String::new();
    loop {
        let (length, behind) = rest.split_once("\r\n").expect("a chunk");
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (status, body);
        }
        body.push_str(&behind[..length]);
        rest = &behind[length + 2..];
    }
}

fn options(from: &str, to: &str, types: &[&str]) -> Value {
    json!({"exchange": "polymarket", "from": from, "to": to, "dataTypes": types})
}

/// The books of `ringbook replay`, as numbers.
fn truth(capture: &Path, flags: &[&str]) -> HashMap<String, Levels> {
    in_numbers(&replay(capture, flags))
}

/// Books as numbers.
pub(crate) fn in_numbers(books: &replayed::Books) -> HashMap<String, Levels> {
    let number = |text: &String| units(&Value::from(text.as_str()));
    let side = |levels: &BTreeMap<String, String>| {
        levels.iter().map(|(price, size)| (number(price), number(size))).collect()
    };
    let book = |book: &[_; 2]| [side(&book[0]), side(&book[1])];
    books.iter().map(|(token, levels)| (token.clone(), book(levels))).collect()
}

pub(crate) fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn normalized_replays_have_the_books_of_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let last = truth(&capture, &[]);
    let gateway = Replayed::start(&capture, &["--gateway-stale", "hold"]);
    let fetch = |from: &str, to: &str, types: &[&str]| {
        let options = escaped(&options(from, to, types).to_string());
        let (status, body) = get(gateway.address, &format!("/replay-normalized?options={options}"));
        assert_eq!(status, 200, "{body}");
        let mut books = Books::default();
        let lines = lines(&body);
        lines.iter().for_each(|line| books.on_message(line));
        (books, lines)
    };
    let (whole, all) = fetch(ALL[0], ALL[1], &["book_change", "trade", "book_snapshot_3_1s"]);
    assert_eq!(whole.books, last);
    assert!(whole.count("trade") > 0 && whole.count("book_snapshot") > 40);
    assert!(all.iter().map(received_us).is_sorted(), "the order of receipt");
    // When every book is live, and where the connections may be cut.
    let is_change = |message: &&Value| message["isSnapshot"] == false;
    let live_us = received_us(all.iter().filter(is_change).nth(300).unwrap());
    let middle_us = middle(&capture) / 1_000;
    for (at_us, are_live) in [(live_us, true), (middle_us, false)] {
        let at_ns = at_us * 1_000;
        let (half, at) = (truth(&capture, &["--to", &at_ns.to_string()]), text(at_ns));
        let (first, _) = fetch(ALL[0], &at, &["book_change"]);
        assert_eq!(first.books, half);
        // The books as of the beginning come first.
        let (second, messages) = fetch(&at, ALL[1], &["book_change"]);
        assert_eq!(second.books, last);
        let mut beginning = Books::default();
        let begin = messages.iter().take_while(|message| received_us(message) == at_us);
        let begin = begin.filter(|message| message["isSnapshot"] == true);
        begin.for_each(|message| beginning.on_message(message));
        assert!(!are_live || beginning.books.len() == last.len());
        for (token, book) in &beginning.books {
            assert_eq!(half.get(token), Some(book), "{token}");
        }
    }
    // The same over a WebSocket, with one symbol in a second entry.
    let token = last.keys().next().unwrap();
    let mut one = options(ALL[0], ALL[1], &["trade_bar_1ticks"]);
    one["symbols"] = json!([token]);
    let both = json!([options(&text(middle_us * 1_000), ALL[1], &["book_change"]), one]);
    let mut follower = Follower::connect(gateway.address, "/ws-replay-normalized", &both);
    follower.read_until("an end", |follower| follower.closed.is_some());
    let (code, reason) = follower.closed.unwrap();
    assert_eq!((code, &reason[..]), (1000, "WS replay-normalized finished"));
    assert_eq!(follower.books.books, last);
    refusals(gateway.address);
    gateway.stop();
}

fn refusals(address: SocketAddr) {
    let (status, body) = get(address, "/health-check");
    assert!(status == 200 && body.contains("Healthy"), "{body}");
    for path in ["/replay", "/replay-normalized?options={}", "/v1/data-feeds/polymarket"] {
        assert_eq!(get(address, path).0, 400, "{path}");
    }
    let kalshi =
        json!({"exchange": "kalshi", "from": ALL[0], "to": ALL[1], "dataTypes": ["trade"]});
    let kalshi = escaped(&kalshi.to_string());
    assert_eq!(get(address, &format!("/replay-normalized?options={kalshi}")).0, 404);
    for path in ["/ws-replay-normalized", "/ws-stream-normalized"] {
        let mut follower = Follower::connect(address, path, &options(ALL[1], ALL[0], &["trade"]));
        follower.read_until("a close", |follower| follower.closed.is_some());
        assert_eq!(follower.closed.unwrap().0, 1011, "{path}");
    }
}

/// Raw messages of one channel over HTTP, and the same over two connections of a session.
#[test]
fn raw_replays_have_the_recorded_messages() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let gateway = Replayed::start(&capture, &[]);
    let tokens: Vec<String> = replay(&capture, &[]).into_keys().collect();
    let fetch = |filters: Value| {
        let options = json!({"exchange": "polymarket", "from": ALL[0], "to": ALL[1],
            "filters": filters});
        let path = format!("/replay?options={}", escaped(&options.to_string()));
        lines(&get(gateway.address, &path).1)
    };
    let trades = fetch(json!([{"channel": "last_trade_price"}]));
    let is_trade = |line: &Value| line["message"]["event_type"] == "last_trade_price";
    assert!(!trades.is_empty() && trades.iter().all(is_trade));
    assert_eq!(trades[0]["localTimestamp"].as_str().unwrap().len(), 28);
    let halves = [&tokens[..20], &tokens[20..]];
    let connect = |session: &str| {
        let path = format!(
            "/ws-replay?exchange=polymarket&from={}&to={}&session={session}&unused=",
            ALL[0], ALL[1]
        );
        Follower::connect_to(gateway.address, &path)
    };
    let mut followers = [connect("a"), connect("a")];
    for (follower, half) in followers.iter_mut().zip(halves) {
        follower.send(&json!({"type": "market", "assets_ids": half}));
    }
    followers[0].read_until("a message", |follower| !follower.books.raw.is_empty());
    let mut late = connect("a");
    late.read_until("a close", |follower| follower.closed.is_some());
    assert_eq!(late.closed.unwrap().0, 1011);
    for (follower, half) in followers.iter_mut().zip(halves) {
        follower.read_until("an end", |follower| follower.closed.is_some());
        assert_eq!(follower.closed, Some((1000, "WS replay finished".to_owned())));
        let channels = ["book", "price_change", "last_trade_price", "tick_size_change"];
        let filter = |channel| json!({"channel": channel, "symbols": half});
        let filters: Vec<Value> = channels.into_iter().map(filter).collect();
        let lines = fetch(json!(filters));
        assert!(lines.iter().map(received_us).is_sorted(), "the order of receipt");
        let raw: Vec<Value> = lines.iter().map(|line| line["message"].clone()).collect();
        assert!(raw.len() > 100 && follower.books.raw == raw);
    }
    let mut silent = connect("b");
    silent.read_until("a close", |follower| follower.closed.is_some());
    assert_eq!(silent.closed.unwrap().0, 1011, "no subscription");
    gateway.stop();
}

/// Nanoseconds since the Unix epoch.
fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// An engine that is killed, and another one that records into the same folder; when none of them ran.
fn killed(capture: &Path) -> u64 {
    let mut venue = Venue::start(&["--paused", "--plain", "--markets", "10", "--rate", "300"]);
    let shown = capture.to_str().unwrap();
    let flags = ["--shards", "2", "--capture", shown, "--capture-flush-ms", "50"];
    let changes = |stats: &Value| sum(stats, "updates");
    let is_written = |stats: &Value| changes(stats) > 300 && count(stats, "/capture/records") > 300;
    let mut record = |signal: Signal| {
        let mut engine = Engine::start(&venue, &flags);
        engine.wait_live(20);
        venue.control("resume");
        engine.wait_for("records", TIMEOUT, is_written);
        engine.program.signal(signal);
        engine.program.wait(TIMEOUT);
        venue.pause();
    };
    record(Signal::KILL);
    let between_ns = now_ns();
    record(Signal::INT);
    between_ns
}

#[test]
fn the_next_start_is_a_disconnect_where_an_engine_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    let between_us = killed(&capture) / 1_000;
    let gateway = Replayed::start(&capture, &["--gateway-stale", "hold"]);
    let fetch = |path: &str, options: Value| {
        let (status, body) =
            get(gateway.address, &format!("/{path}?options={}", escaped(&options.to_string())));
        assert_eq!(status, 200, "{body}");
        body
    };
    let mut asked = options(ALL[0], ALL[1], &["book_change"]);
    asked["withDisconnectMessages"] = json!(true);
    let all = lines(&fetch("replay-normalized", asked));
    let mut by_symbol: HashMap<&str, Vec<&Value>> = HashMap::new();
    for message in &all {
        let symbol = message["symbol"].as_str().or_else(|| message["symbols"][0].as_str());
        by_symbol.entry(symbol.unwrap()).or_default().push(message);
    }
    let mut concerned = 0;
    for (symbol, messages) in by_symbol {
        let first = messages.iter().position(|message| received_us(message) > between_us).unwrap();
        if first > 0 {
            assert_eq!(messages[first]["type"], "disconnect", "{symbol}");
            assert_eq!(messages[first + 1]["isSnapshot"], true, "{symbol}");
            assert!(messages[..first].iter().all(|message| message["type"] == "book_change"));
            concerned += 1;
        }
    }
    assert!(concerned > 0);
    // An empty line among the messages as they were received.
    let raw = json!({"exchange": "polymarket", "from": ALL[0], "to": ALL[1], "withDisconnects": true,
        "filters": [{"channel": "price_change"}, {"channel": "book"}]});
    let body = fetch("replay", raw);
    let is_later = |line: &str| {
        !line.is_empty() && received_us(&serde_json::from_str(line).unwrap()) > between_us
    };
    let before: Vec<&str> = body.lines().take_while(|line| !is_later(line)).collect();
    assert!(before.len() > 1 && before.len() < body.lines().count());
    assert_eq!(before.iter().position(|line| line.is_empty()), Some(before.len() - 1));
    gateway.stop();
}

/// Books of one token in a file, 60 times, with levels of half a megabyte; then one of another token.
fn long_recording(folder: &Path) -> PathBuf {
    let level = json!({"price": "0.4", "size": "123456.5"});
    let levels = Value::Array(vec![level; 15_000]);
    let book = |token: &str, bids: &Value| {
        json!({"market": "0xa1", "asset_id": token, "timestamp": "1", "hash": "", "event_type": "book",
               "bids": bids, "asks": []})
    };
    let line = |place: u64, frame: &Value| {
        let at_ns = 1_796_011_435_000_000_000 + place;
        format!("{{\"t\":{at_ns},\"c\":1,\"s\":{place},\"k\":\"t\",\"f\":{frame}}}\n")
    };
    let long = book("71", &levels);
    let mut text: String = (0..60).map(|place| line(place, &long)).collect();
    text += &line(60, &book("72", &json!([])));
    let path = folder.join("long.ndjson");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_client_that_waits_for_another_one_of_its_session_has_its_pings_answered() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Replayed::start(&long_recording(folder.path()), &["--venue", "polymarket"]);
    let connect = |token: &str| {
        let path =
            format!("/ws-replay?exchange=polymarket&from={}&to={}&session=a", ALL[0], ALL[1]);
        let mut follower = Follower::connect_to(gateway.address, &path);
        follower.send(&json!({"type": "market", "assets_ids": [token]}));
        follower
    };
    // The first one does not read on, and has more than fits its socket before the message of the other one.
    let (mut first, mut second) = (connect("71"), connect("72"));
    let begun = Instant::now();
    while first.books.raw.is_empty() {
        assert!(begun.elapsed() < TIMEOUT, "no message");
        first.read_one();
    }
    for body in ["1", "2"] {
        second.ping(body);
        second.read_until("a pong", |me| me.pongs.last().is_some_and(|pong| pong == body));
        assert!(second.books.raw.is_empty() && second.closed.is_none());
    }
    first.read_until("an end", |me| me.closed.is_some());
    second.read_until("an end", |me| me.closed.is_some());
    assert_eq!((first.books.raw.len(), second.books.raw.len()), (60, 1));
    assert!([&first, &second].iter().all(|me| me.closed.as_ref().unwrap().0 == 1000));
    gateway.stop();
}

/// `tardis-client` and `tardis-dev` (Python), which fetch a day minute by minute.
#[test]
fn programs_of_tardis_fetch_a_recorded_day() {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import tardis_client, tardis_dev"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has not both of tardis-client, tardis-dev");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let gateway = Replayed::start(&capture, &[]);
    let minute = middle(&capture) / 60_000_000_000;
    let time = |minute: u64| text(minute * 60_000_000_000).trim_end_matches('Z').to_owned();
    let (from, to) = (time(minute - 2), time(minute + 3));
    let options = json!({"exchange": "polymarket", "from": from, "to": to,
        "filters": [{"channel": "price_change"}]});
    let path = format!("/replay?options={}", escaped(&options.to_string()));
    let expected = lines(&get(gateway.address, &path).1).len();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tardis_replay.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("http://{}", gateway.address)).args([&from, &to]);
    let output = command.arg(folder.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown.trim(), format!("{expected} {expected}"));
    gateway.stop();
}

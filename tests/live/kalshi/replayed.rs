//! `ringbook gateway CAPTURE` for Kalshi: books of clients equal those of `ringbook replay`.
//!
//! Runs on:  test threads, with a venue, an engine and a gateway as processes.
use super::gateway::Follower as KalshiClient;
use super::{KEYS, Kalshi, compare_at_rest, fixed, wait_live};
use crate::engine::{count, sum};
use crate::gateway::Follower;
use crate::http::Client;
use crate::program::{Program, TIMEOUT};
use crate::replayed::{self, Books, Replayed, books, read, replay};
use crate::{archive, tardis, tardis_replay};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Flags of a gateway whose clients have the levels of the replay: the engine's end leaves every book stale.
const FLAGS: [&str; 4] = ["--speed", "max", "--gateway-stale", "hold"];
const CHANNELS: [&str; 3] = ["orderbook_delta", "ticker", "trade"];

/// Adds the files of a run with a fault to this folder; a time when every book is live, with changes before and after.
fn record(capture: &Path) -> u64 {
    let mut venue = Kalshi::start(&["--markets", "30", "--rate", "300"]);
    let shown = capture.to_str().unwrap();
    let mut engine = venue.engine(&["--shards", "2", "--capture", shown, "--capture-images", "1"]);
    wait_live(&mut engine, 30);
    let before = count(&engine.stats(), "/pool/reconnects");
    assert_eq!(venue.fault("cut", 1, Some("orderbook_delta")), 1);
    engine.wait_for("cut", TIMEOUT, |stats| count(stats, "/pool/reconnects") > before);
    wait_live(&mut engine, 30);
    let mut more = || {
        let changes = sum(&engine.stats(), "updates");
        engine.wait_for("changes", TIMEOUT, |stats| sum(stats, "updates") > changes + 300);
    };
    more();
    let middle = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    more();
    // Connections are closed one after the other: what is still received of others would be in some books only.
    venue.ask("POST", "/sim/pause");
    compare_at_rest(&mut venue, &mut engine);
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    middle.as_nanos() as u64
}

/// Its files.
fn files(capture: &Path) -> Vec<PathBuf> {
    let manifest = std::fs::read_to_string(capture.join("manifest.ndjson")).unwrap();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let segments = entries.filter(|entry| entry["event"] == "segment");
    segments.map(|segment| capture.join(segment["file"].as_str().unwrap())).collect()
}

/// A client of the venue that has subscribed to everything.
fn subscribed(address: SocketAddr, query: &str, tickers: &[&String]) -> KalshiClient {
    let mut client = KalshiClient::connect(address, query);
    let params = json!({"channels": CHANNELS, "market_tickers": tickers});
    client.send(&json!({"id": 1, "cmd": "subscribe", "params": params}));
    client
}

/// Its books in YES terms, as `replay` prints them.
fn in_yes_terms(books: &HashMap<String, [BTreeMap<u64, u64>; 2]>) -> Books {
    let text = |units: u64, digits: usize| {
        let one = 10_u64.pow(digits as u32);
        let text = format!("{}.{:0digits$}", units / one, units % one);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let book = |(ticker, [yes, no]): (&String, &[BTreeMap<u64, u64>; 2])| {
        let bids = yes.iter().map(|(price, size)| (text(*price, 4), text(*size, 2)));
        let asks = no.iter().map(|(price, size)| (text(10_000 - price, 4), text(*size, 2)));
        (ticker.clone(), [bids.collect(), asks.collect()])
    };
    books.iter().map(book).collect()
}

#[test]
fn clients_of_a_recorded_day_of_kalshi_have_the_books_of_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    let middle = record(&capture).to_string();
    let last = replay(&capture, &["--venue", "kalshi"]);
    let half = replay(&capture, &["--venue", "kalshi", "--to", &middle]);
    assert_eq!(last.len(), 30);
    assert!(replayed::book_command_has(&capture, middle.parse().unwrap(), &half));
    let tickers: Vec<&String> = last.keys().collect();
    archive::part_has(&capture, tickers[3], &last);
    let gateway = Replayed::start(&capture, &FLAGS);
    let at = |query: &str| {
        let mut follower = Follower::connect(gateway.address, &format!("/v1/stream{query}"));
        follower.send(&json!({"subscribe": tickers}));
        follower
    };
    // Several ranges at once, in both protocols.
    let ranges = [String::new(), format!("?to={middle}"), format!("?from={middle}&speed=100")];
    let mut streams = ranges.each_ref().map(|query| at(query));
    let mut clients = ranges.each_ref().map(|query| subscribed(gateway.address, query, &tickers));
    let mut all: Vec<&mut Follower> = streams.iter_mut().collect();
    read(&mut all, "end", |one| one.closed.is_some());
    for ((stream, client), expected) in streams.iter().zip(&mut clients).zip([&last, &half, &last])
    {
        assert_eq!((stream.closed, client.read_to_end()), (Some(1000), 1000));
        assert_eq!(&books(stream), expected);
        assert_eq!(&in_yes_terms(&client.books), expected);
        assert!(client.count("orderbook_delta") > 0 && client.count("subscribed") == 3);
    }
    assert!(clients[0].count("trade") > 0 && clients[0].count("ticker") > 0);
    tickers_have_what_was_recorded(gateway.address, &clients[0]);
    normalized_replays_have(gateway.address, ["2000-01-01", "2100-01-01"], &last);
    let middle_time = jiff::Timestamp::from_nanosecond(middle.parse().unwrap()).unwrap();
    let middle_time = middle_time.to_string();
    normalized_replays_have(gateway.address, ["2000-01-01", &middle_time], &half);
    normalized_replays_have(gateway.address, [&middle_time, "2100-01-01"], &last);
    // The books of the beginning of a range, at first and asked for.
    let mut slow = subscribed(gateway.address, &format!("?from={middle}&speed=0.001"), &tickers);
    slow.read_until("books", |me| me.books.len() == 30);
    let get = json!({"sid": 1, "market_tickers": [tickers[0]], "action": "get_snapshot"});
    slow.send(&json!({"id": 2, "cmd": "update_subscription", "params": get}));
    slow.read_until("snapshot", |me| me.answer(2).is_some());
    assert_eq!(slow.answer(2).unwrap()["type"], "orderbook_snapshot");
    assert_eq!(in_yes_terms(&slow.first), half);
    rest_has(gateway.address, &last);
    gateway.stop();
}

/// Volume and open interest of a client's tickers are those of a recorded one, and dollars half of them.
fn tickers_have_what_was_recorded(address: SocketAddr, client: &KalshiClient) {
    let options = json!({"exchange": "kalshi", "from": "2000-01-01", "to": "2100-01-01",
        "filters": [{"channel": "ticker"}]});
    let path = format!("/replay?options={}", tardis::escaped(&options.to_string()));
    let (status, body) = tardis_replay::get(address, &path);
    assert_eq!(status, 200, "{body}");
    let counts = |ticker: &Value| {
        let ticker_name = ticker["market_ticker"].as_str().unwrap().to_owned();
        let count = |key: &str| fixed(&ticker[key], 2);
        (ticker_name, count("volume_fp"), count("open_interest_fp"))
    };
    let lines = tardis_replay::lines(&body);
    let recorded: HashSet<_> = lines.iter().map(|line| counts(&line["message"]["msg"])).collect();
    let mut known = 0;
    for ticker in client.tickers.values() {
        let (name, volume, open_interest) = counts(ticker);
        assert_eq!(ticker["dollar_volume"], volume / 200, "{ticker}");
        assert_eq!(ticker["dollar_open_interest"], open_interest / 200, "{ticker}");
        let is_unknown = (volume, open_interest) == (0, 0);
        assert!(is_unknown || recorded.contains(&(name, volume, open_interest)), "{ticker}");
        known += usize::from(!is_unknown);
    }
    assert!(known > 0, "{:?}", client.tickers);
}

fn normalized_replays_have(address: SocketAddr, [from, to]: [&str; 2], expected: &Books) {
    let options = json!({"exchange": "kalshi", "from": from, "to": to,
        "dataTypes": ["book_change", "trade"]});
    let path = format!("/replay-normalized?options={}", tardis::escaped(&options.to_string()));
    let (status, body) = tardis_replay::get(address, &path);
    assert_eq!(status, 200, "{body}");
    let mut books = tardis::Books::default();
    tardis_replay::lines(&body).iter().for_each(|message| books.on_message(message));
    assert_eq!(books.books, tardis_replay::in_numbers(expected), "{from} to {to}");
    assert!(books.count("trade") > 0);
}

/// Over REST the books are those of the last message.
fn rest_has(address: SocketAddr, last: &Books) {
    let mut rest = Client::new(&format!("http://{address}"), None);
    for (ticker, [bids, _]) in last {
        let response = rest.get(&format!("/trade-api/v2/markets/{ticker}/orderbook"));
        assert_eq!(response.status, 200, "{}", response.text());
        let book = response.json();
        let levels = book["orderbook_fp"]["yes_dollars"].as_array().unwrap();
        let prices: Vec<u64> = levels.iter().map(|level| fixed(&level[0], 4)).collect();
        let mut wanted: Vec<u64> = bids.keys().map(|price| fixed(&json!(price), 4)).collect();
        wanted.sort_unstable();
        assert_eq!(prices, wanted, "{ticker}");
    }
    let markets = rest.get("/trade-api/v2/markets?limit=1000").json();
    assert_eq!(markets["markets"].as_array().unwrap().len(), last.len());
    assert_eq!(rest.get("/trade-api/v2/exchange/status").status, 200);
}

/// The books of `tests/python/kalshi_replay.py` at the end of the recording; `None` where `kalshi-sdk` is missing.
fn sdk_books(address: SocketAddr, tickers: &[&String]) -> Option<Books> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import kalshi.ws.client"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: kalshi-sdk: {python} does not have it");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/kalshi_replay.py");
    let mut command = Command::new(python);
    command.arg(script).arg(address.to_string());
    command.arg(Path::new(KEYS).join("rsa-pkcs8.pem")).args(tickers);
    let mut program = Program::start(command);
    assert!(program.wait(2 * TIMEOUT).success(), "{program}");
    let shown: HashMap<String, Value> = serde_json::from_str(&program.stdout()[0]).unwrap();
    let side = |levels: &Value| -> BTreeMap<u64, u64> {
        let levels = levels.as_array().unwrap().iter();
        levels.map(|level| (fixed(&level[0], 4), fixed(&level[1], 2))).collect()
    };
    let book = |(ticker, book): (String, Value)| (ticker, [side(&book["yes"]), side(&book["no"])]);
    Some(in_yes_terms(&shown.into_iter().map(book).collect()))
}

#[test]
fn kalshi_sdk_has_the_books_of_a_recorded_day() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    record(&capture);
    let last = replay(&capture, &[]);
    let tickers: Vec<&String> = last.keys().collect();
    let gateway = Replayed::start(&capture, &["--gateway-stale", "hold"]);
    if let Some(books) = sdk_books(gateway.address, &tickers) {
        assert_eq!(books, last);
    }
    gateway.stop();
}

#[test]
fn one_folder_may_have_the_captures_of_both_venues() {
    let folder = tempfile::tempdir().unwrap();
    let capture = replayed::capture(folder.path());
    let polymarket = files(&capture);
    record(&capture);
    let kalshi = files(&capture).split_off(polymarket.len());
    let books_of = |files: &[PathBuf], venue: &str| {
        assert_eq!(files.len(), 1);
        replay(&files[0], &["--venue", venue])
    };
    let of_polymarket = books_of(&polymarket, "polymarket");
    let of_kalshi = books_of(&kalshi, "kalshi");
    assert_eq!((of_polymarket.len(), of_kalshi.len()), (40, 30));
    let both: Books = of_polymarket.clone().into_iter().chain(of_kalshi.clone()).collect();
    assert_eq!(replay(&capture, &[]), both);
    assert_eq!(replay(&capture, &["--venue", "kalshi"]), of_kalshi);
    assert_eq!(replay(&capture, &["--venue", "polymarket"]), of_polymarket);
    // The folder itself, and the one around it.
    for named in [&capture, folder.path()] {
        let mut gateway = Replayed::start(named, &FLAGS);
        let mut client = Follower::connect(gateway.at("polymarket"), "/ws/market");
        let tokens: Vec<&String> = of_polymarket.keys().collect();
        client.send(&json!({"type": "market", "assets_ids": tokens}));
        let tickers: Vec<&String> = of_kalshi.keys().collect();
        let mut other = subscribed(gateway.at("kalshi"), "", &tickers);
        assert_eq!(other.read_to_end(), 1000);
        read(&mut [&mut client], "end", |one| one.closed.is_some());
        assert_eq!((client.closed, books(&client)), (Some(1000), of_polymarket.clone()));
        assert_eq!(in_yes_terms(&other.books), of_kalshi);
        gateway.stop();
    }
}

/// Messages of one market of each venue: snapshots, then changes.
fn messages() -> (Vec<Value>, Vec<Value>) {
    let level = |price: &str| json!({"price": price, "size": "5"});
    let book = |token: &str| {
        json!({"market": "0xa1", "asset_id": token, "timestamp": "1796011435000", "hash": "", "event_type": "book",
               "bids": [level("0.40"), level("0.41")], "asks": [level("0.60"), level("0.59")]})
    };
    let change = |n: u32| {
        let price = format!("0.{}", 20 + n);
        let change = json!({"asset_id": "71", "price": price, "size": n.to_string(), "side": "BUY", "hash": "0".repeat(40)});
        json!({"market": "0xa1", "price_changes": [change], "timestamp": "1796011435001",
               "event_type": "price_change"})
    };
    let polymarket = [book("71"), book("72")].into_iter().chain((1..20).map(change)).collect();
    let begun =
        json!({"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}});
    let snapshot = json!({"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": {"market_ticker": "KXA-1",
        "market_id": "a544d0d6-1e75-513a-93a8-e0b28dfb0961", "yes_dollars_fp": [["0.4000", "2.00"]],
        "no_dollars_fp": [["0.5000", "7.00"]]}});
    let delta = |n: u32| {
        json!({"type": "orderbook_delta", "sid": 1, "seq": n + 1, "msg": {"market_ticker": "KXA-1",
            "market_id": "a544d0d6-1e75-513a-93a8-e0b28dfb0961", "price_dollars": format!("0.{}00", 10 + n),
            "delta_fp": format!("{n}.00"), "side": "yes", "ts": "2026-11-30T04:04:07.465Z"}})
    };
    (polymarket, [begun, snapshot].into_iter().chain((1..20).map(delta)).collect())
}

#[test]
fn recordings_of_other_tools_are_served() {
    type Form = fn(u64, &Value) -> String;
    let forms: [Form; 7] = [
        |_, frame| frame.to_string(),
        |_, frame| format!("data: {frame}"),
        |at_ns, frame| format!("{at_ns} {frame}"),
        |at_ns, frame| format!("[{at_ns},{frame}]"),
        |at_ns, frame| json!({"recv_ns": at_ns, "raw": frame.to_string()}).to_string(),
        |at_ns, frame| json!({"local_timestamp": at_ns / 1_000, "payload": frame}).to_string(),
        |at_ns, frame| format!(r#"{{"t":{at_ns},"c":1,"s":0,"k":"t","f":{frame}}}"#),
    ];
    let (polymarket, kalshi) = messages();
    let folder = tempfile::tempdir().unwrap();
    for (number, form) in forms.into_iter().enumerate() {
        let write = |venue: &str, frames: &[Value]| {
            let path = folder.path().join(format!("{number}-{venue}.jsonl"));
            let at_ns = |place: usize| 1_796_011_435_000_000_000 + 10_000_000 * place as u64;
            let lines = frames.iter().enumerate().map(|(place, frame)| form(at_ns(place), frame));
            std::fs::write(&path, lines.map(|line| line + "\n").collect::<String>()).unwrap();
            let expected = replay(&path, &["--venue", venue]);
            (path, expected)
        };
        let (first, of_polymarket) = write("polymarket", &polymarket);
        let (second, of_kalshi) = write("kalshi", &kalshi);
        assert_eq!((of_polymarket.len(), of_kalshi.len()), (2, 1), "{number}");
        let mut gateway = Replayed::of(&[&first, &second], &FLAGS);
        let mut client = Follower::connect(gateway.at("polymarket"), "/ws/market");
        let mut other = KalshiClient::connect(gateway.at("kalshi"), "");
        client.send(&json!({"type": "market", "assets_ids": ["71", "72"]}));
        let params = json!({"channels": CHANNELS, "market_tickers": ["KXA-1"]});
        other.send(&json!({"id": 1, "cmd": "subscribe", "params": params}));
        assert_eq!(other.read_to_end(), 1000);
        read(&mut [&mut client], "end", |one| one.closed.is_some());
        assert_eq!((client.closed, books(&client)), (Some(1000), of_polymarket), "{number}");
        assert_eq!(in_yes_terms(&other.books), of_kalshi, "{number}");
        assert_eq!((client.kinds["price_change"], other.count("orderbook_delta")), (19, 19));
        gateway.stop();
    }
}

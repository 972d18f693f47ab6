//! `ringbook gateway CAPTURE`: clients of recorded days have the books of `ringbook replay`.
//!
//! Runs on:  test threads, with a venue, an engine and a gateway as processes.
use crate::engine::Engine;
use crate::gateway::{Follower, open_over, stream};
use crate::http::Client;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Size by price of bids and asks, by token.
pub(crate) type Books = BTreeMap<String, [BTreeMap<String, String>; 2]>;

/// A `ringbook gateway` process.
pub(crate) struct Replayed {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Replayed {
    pub(crate) fn start(capture: &Path, flags: &[&str]) -> Self {
        Self::of(&[capture], flags)
    }

    /// The first venue's address is [`Replayed::address`].
    pub(crate) fn of(captures: &[&Path], flags: &[&str]) -> Self {
        let mut command = Program::ringbook();
        command.args(["gateway", "--listen", "127.0.0.1:0"]).args(flags).args(captures);
        let mut program = Program::start(command);
        let address = address_in(&program.wait_for_line("/v1/stream too"));
        Self { program, address }
    }

    /// The address of an interface by its name in the log.
    pub(crate) fn at(&mut self, name: &str) -> SocketAddr {
        address_in(&self.program.wait_for_line(&format!("gateway: {name} at ")))
    }

    pub(crate) fn stop(mut self) {
        self.program.signal(Signal::INT);
        assert!(self.program.wait(TIMEOUT).success(), "{}", self.program);
        self.program.assert_clean();
    }
}

fn address_in(line: &str) -> SocketAddr {
    line.split(" at ").nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap()
}

/// The books of `ringbook replay`.
pub(crate) fn replay(capture: &Path, flags: &[&str]) -> Books {
    let out = capture.with_extension("books");
    let mut command = Program::ringbook();
    command.arg("replay").arg(capture).args(flags).arg("--books-out").arg(&out);
    assert!(command.output().unwrap().status.success());
    parsed(&std::fs::read_to_string(&out).unwrap())
}

/// Books as lines of JSON.
fn parsed(text: &str) -> Books {
    let side = |levels: &Value| -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let levels = levels.as_array().unwrap().iter();
        levels.map(|level| (text(&level["price"]), text(&level["size"]))).collect()
    };
    let book = |line: &str| {
        let book: Value = serde_json::from_str(line).unwrap();
        let token = book["asset_id"].as_str().unwrap().to_owned();
        (token, [side(&book["bids"]), side(&book["asks"])])
    };
    text.lines().map(book).collect()
}

/// `ringbook book`: the exit code, the books and what stands on standard error, but for the line that says what they
/// continue from.
fn book_at(capture: &Path, at_ns: u64, market: &str) -> (Option<i32>, Books, String) {
    let mut command = Program::ringbook();
    command.arg("book").arg(capture).args(["--market", market, "--at", &at_ns.to_string()]);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let begins = ["from the image of ", "replayed whole: "];
    let is_fault = |line: &&str| {
        let line = line.trim_start_matches("ringbook book: ");
        !begins.iter().any(|begin| line.starts_with(begin))
    };
    let faults =
        text(output.stderr).lines().filter(is_fault).map(|line| format!("{line}\n")).collect();
    (output.status.code(), parsed(&text(output.stdout)), faults)
}

/// `ringbook book` has the books that a replay has before `end_ns`, by every name of their markets, and says which are
/// not live. Whether all are.
pub(crate) fn book_command_has(capture: &Path, end_ns: u64, expected: &Books) -> bool {
    let mut is_live = true;
    let segments = std::fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.extension().unwrap() == "zst").min().unwrap();
    let text = zstd::decode_all(&std::fs::read(segment).unwrap()[..]).unwrap();
    let lines = String::from_utf8(text).unwrap();
    let mut opened = lines.lines().filter(|line| line.contains(r#""k":"m""#));
    let record: Value = serde_json::from_str(opened.next().unwrap()).unwrap();
    let openings = record["books"].as_array().unwrap();
    for opening in openings.iter().take(3) {
        let name = |key: &str| opening[key].as_str().unwrap();
        for market in [name("m"), name("a"), name("s")] {
            if market.is_empty() {
                continue;
            }
            let of_name = |other: &&Value| ["m", "a", "s"].iter().any(|key| other[key] == market);
            let tokens = openings.iter().filter(of_name).map(|other| other["a"].as_str().unwrap());
            let wanted: Books =
                tokens.map(|token| (token.to_owned(), expected[token].clone())).collect();
            let (code, books, errors) = book_at(capture, end_ns - 1, market);
            assert_eq!(books, wanted, "{market}");
            assert_eq!(code, Some(i32::from(!errors.is_empty())), "{market}: {errors}");
            assert!(errors.lines().all(|line| line.contains(" was stale:")), "{errors}");
            is_live &= errors.is_empty();
        }
    }
    let market = openings[0]["m"].as_str().unwrap();
    // The engine has stopped by then.
    let manifest = std::fs::read_to_string(capture.join("manifest.ndjson")).unwrap();
    let entries = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = entries.filter_map(|entry| entry["to"].as_u64()).max().unwrap();
    let (code, books, errors) = book_at(capture, last, market);
    assert!(code == Some(1) && !books.is_empty(), "{code:?} {errors}");
    assert!(errors.contains(" was stale:disconnected at 20"), "{errors}");
    for (at_ns, market, line) in [
        (7, market, "nothing was recorded then; the capture has 20"),
        (end_ns, "no-such-market", "no-such-market: no such market had a book at 20"),
    ] {
        let (code, books, errors) = book_at(capture, at_ns, market);
        assert_eq!((code, books.len(), errors.lines().count()), (Some(1), 0, 1), "{errors}");
        assert!(errors.contains(line), "{errors}");
    }
    is_live
}

/// The time between the first and the last record of a capture, nanoseconds.
pub(crate) fn middle(capture: &Path) -> u64 {
    let manifest = std::fs::read_to_string(capture.join("manifest.ndjson")).unwrap();
    let mut entries = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let segment = entries.find(|entry| entry["event"] == "segment").unwrap();
    let time = |key: &str| segment[key].as_u64().unwrap();
    u64::midpoint(time("from"), time("to"))
}

pub(crate) fn books(follower: &Follower) -> Books {
    sorted(&follower.books)
}

fn sorted(books: &HashMap<String, [BTreeMap<String, String>; 2]>) -> Books {
    books.iter().map(|(token, book)| (token.clone(), book.clone())).collect()
}

/// Reads until each is as wanted.
pub(crate) fn read(
    followers: &mut [&mut Follower],
    what: &str,
    wanted: impl Fn(&Follower) -> bool,
) {
    let begun = Instant::now();
    while !followers.iter().all(|follower| wanted(follower)) {
        followers.iter_mut().for_each(|follower| follower.read());
        let kinds = &followers[0].kinds;
        assert!(begun.elapsed() < TIMEOUT, "no {what}: {kinds:?} {:?}", followers[0].closed);
        std::thread::sleep(POLL_INTERVAL / 10);
    }
}

/// A capture of a venue with faults, in this folder.
pub(crate) fn capture(folder: &Path) -> PathBuf {
    let mut venue = Venue::start(&["--paused", "--plain", "--markets", "20", "--rate", "300"]);
    let capture = folder.join("capture");
    let shown = capture.display().to_string();
    let flags = ["--shards", "2", "--capture", &shown, "--capture-flush-ms", "50"];
    let flags = [&flags[..], &["--capture-images", "1"]].concat();
    let mut engine = Engine::start(&venue, &flags);
    engine.wait_live(40);
    venue.control("resume");
    let changes = |stats: &Value| crate::engine::sum(stats, "updates");
    let more = |engine: &mut Engine, count: u64| {
        let before = changes(&engine.stats());
        engine.wait_for("changes", TIMEOUT, |stats| changes(stats) > before + count);
    };
    more(&mut engine, 600);
    // Every book is stale for a while.
    venue.control("drop?connections=all");
    engine.wait_live(40);
    venue.control("resume");
    more(&mut engine, 600);
    venue.pause();
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success(), "{}", engine.program);
    capture
}

fn subscribe(address: SocketAddr, path: &str, tokens: &[&String]) -> Follower {
    let mut follower = Follower::connect(address, path);
    if path.starts_with("/ws/market") {
        follower.send(&json!({"type": "market", "assets_ids": tokens}));
    } else {
        follower.send(&json!({"subscribe": tokens}));
    }
    follower
}

#[test]
fn clients_of_a_recorded_day_have_the_books_of_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let last = replay(&capture, &[]);
    let middle = middle(&capture);
    let half = replay(&capture, &["--to", &middle.to_string()]);
    assert_eq!((last.len(), half.len()), (40, 40));
    assert_ne!(last, half);
    book_command_has(&capture, middle, &half);
    let tokens: Vec<&String> = last.keys().collect();
    // The engine's end leaves every book stale, and its levels are those of the replay.
    let mut gateway = Replayed::start(&capture, &["--gateway-stale", "hold", "--speed", "max"]);
    let catalog = gateway.at("polymarket's catalog");
    let at = |path: &str| subscribe(gateway.address, path, &tokens);
    // Several ranges at once.
    let mut whole = at("/ws/market");
    let mut first = at(&format!("/ws/market?to={middle}"));
    let mut second = at(&format!("/ws/market?from={middle}&speed=max"));
    let mut paced = at(&format!("/ws/market?from={middle}&speed=100"));
    let mut stream = at(&format!("/v1/stream?from={middle}"));
    let mut all = [&mut whole, &mut first, &mut second, &mut paced, &mut stream];
    read(&mut all, "end", |follower| follower.closed.is_some());
    let expected = [&last, &half, &last, &last, &last];
    for (number, (follower, expected)) in all.iter().zip(expected).enumerate() {
        assert_eq!(follower.closed, Some(1000), "{number}");
        assert_eq!(&books(follower), expected, "{number}");
        assert_eq!(follower.gaps, 0);
    }
    // The books as of the beginning, before anything of the range; not all need be live then.
    let mut still = at(&format!("/v1/stream?from={middle}&speed=0.001"));
    read(&mut [&mut still], "the books of the beginning", |follower| follower.books.len() == 40);
    // A change just behind it may have come as well.
    assert_eq!(sorted(&still.first), half);
    drop(still);
    let mut http = Client::new(&format!("http://{}", gateway.address), None);
    for path in ["/time", "/ok", "/version"] {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
    let token = tokens[0];
    for path in ["tick-size?token_id=", "neg-risk?token_id=", "markets-by-token/", "book?token_id="]
    {
        let response = http.get(&format!("/{path}{token}"));
        assert_eq!(response.status, 200, "{path}: {}", response.text());
    }
    let book = http.get(&format!("/book?token_id={token}")).json();
    let best = |side: &str| book[side].as_array().unwrap().last().unwrap()["price"].clone();
    let mut catalog = Client::new(&format!("http://{catalog}"), None);
    assert_eq!(catalog.get("/markets?limit=100").json().as_array().unwrap().len(), 20);
    let market = &catalog.get(&format!("/markets?clob_token_ids={token}")).json()[0];
    assert_eq!((&market["conditionId"], &market["question"]), (&book["market"], &json!("")));
    let tokens: Vec<String> =
        serde_json::from_str(market["clobTokenIds"].as_str().unwrap()).unwrap();
    let place = tokens.iter().position(|listed| listed == token).unwrap();
    let bid: f64 = serde_json::from_value(market["bestBid"].clone()).unwrap();
    let wanted: f64 =
        best(if place == 0 { "bids" } else { "asks" }).as_str().unwrap().parse().unwrap();
    assert!((bid - if place == 0 { wanted } else { 1.0 - wanted }).abs() < 1e-9, "{market} {book}");
    is_found_by_slug(&mut catalog, market);
    assert_eq!(catalog.get("/events").text(), "[]");
    assert_eq!(catalog.get("/markets?tag_id=7").status, 501);
    gateway.stop();
}

/// The capture has the slug of each market with a book; the stream has announced none.
fn is_found_by_slug(catalog: &mut Client, market: &Value) {
    let slug = market["slug"].as_str().unwrap();
    assert!(!slug.is_empty(), "{market}");
    let one = catalog.get(&format!("/markets/slug/{slug}")).json();
    let listed = catalog.get(&format!("/markets?slug={slug}")).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    for found in [&one, &listed[0]] {
        assert_eq!((&found["conditionId"], &found["slug"]), (&market["conditionId"], &json!(slug)));
    }
    assert_eq!(catalog.get("/markets/slug/no-such-slug").status, 404);
}

/// Status and body of a refused WebSocket.
fn refusal(address: SocketAddr, query: &str) -> (u16, String) {
    match open_over(|| stream(address), format!("ws://{address}/ws/market?{query}")) {
        Err(tungstenite::Error::Http(response)) => {
            let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
            (response.status().as_u16(), body.into_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.ndjson");
    let frame = r#"{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book","bids":[],"asks":[]}"#;
    std::fs::write(&path, format!("{{\"t\":1000,\"c\":1,\"s\":0,\"k\":\"t\",\"f\":{frame}}}\n"))
        .unwrap();
    let gateway = Replayed::start(&path, &["--replays", "1"]);
    let refused = |query: &str| refusal(gateway.address, query);
    assert_eq!(refused("from=yesterday").0, 400);
    assert_eq!(refused("speed=0").0, 400);
    assert_eq!(refused("from=8&to=7").0, 400);
    let (status, body) = refused("to=900");
    assert!(status == 400 && body.contains("1970-01-01T00:00:00.000Z"), "{status} {body}");
    let held = Follower::connect(gateway.address, "/ws/market");
    let (status, body) = refused("");
    assert!(status == 503 && body.contains("1 replays are running"), "{status} {body}");
    drop(held);
    // The place is free again once the other replay has ended.
    let begun = Instant::now();
    let url = format!("ws://{}/ws/market?speed=max", gateway.address);
    while open_over(|| stream(gateway.address), &*url).is_err() {
        assert!(begun.elapsed() < TIMEOUT);
        std::thread::sleep(POLL_INTERVAL);
    }
    gateway.stop();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (empty, untimed) = (file("empty", ""), file("untimed", frame));
    let text = file("text", "hello\n");
    let none = folder.path().join("none");
    let nothing = tempfile::tempdir().unwrap();
    for (path, line) in [
        (none.as_path(), "no such file"),
        (nothing.path(), "a folder without a capture"),
        (&empty, "the file is empty"),
        (&text, "no message of a venue is recognized"),
        (Path::new("-"), "can be read only once"),
    ] {
        let mut command = Program::ringbook();
        let output = command.arg("gateway").arg(path).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(line), "{error}");
    }
    let gateway = Replayed::start(&untimed, &[]);
    for query in ["", "speed=max&from=5", "speed=max&to=5"] {
        let (status, body) = refusal(gateway.address, query);
        assert!(status == 400 && body.contains("no receive times: use speed=max"), "{body}");
    }
    let mut client = subscribe(gateway.address, "/ws/market?speed=max", &[&"7".to_owned()]);
    read(&mut [&mut client], "end", |one| one.closed.is_some());
    assert_eq!((client.closed, client.books.len()), (Some(1000), 1));
    gateway.stop();
}

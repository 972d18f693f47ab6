//! Unmodified clients of the venue on the gateway, while connections and markets of the engine fail.
//!
//! Runs on:  test threads; engine and venue on threads of this process, each client in its own. A client is skipped,
//! with one line, where its package is missing. `RINGBOOK_TEST_PYTHON` names another interpreter,
//! `RINGBOOK_TEST_NODE_MODULES` the folder whose `node_modules` has the packages of Node.
use crate::engine::count;
use crate::gateway::{Rig, open};
use crate::http::Client;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tungstenite::Message;

/// Runs a program of `tests/python`, unless the package is missing.
fn python(script: &str, package: &str) -> Option<Command> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut has = Command::new(&python);
    has.args(["-c", &format!("import {package}")]);
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script));
    unless_missing(has, script, package).then_some(command)
}

/// Runs a program of `tests/node`, unless the package, or Node, is missing.
fn node(script: &str, package: &str) -> Option<Command> {
    let folder = std::env::var("RINGBOOK_TEST_NODE_MODULES").unwrap_or_default();
    // Node 20 has WebSockets behind this flag, later ones ignore it.
    let flag = "--experimental-websocket";
    let resolve = "require('module').createRequire(process.argv[1] + '/').resolve(process.argv[2])";
    let mut has = Command::new("node");
    has.args([flag, "-e", resolve, &folder, package]);
    let mut command = Command::new("node");
    command.arg(flag);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(script));
    unless_missing(has, script, package).then_some(command)
}

fn unless_missing(mut has: Command, script: &str, package: &str) -> bool {
    let is_there = has.output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: {script}: {} has no {package}", has.get_program().display());
    }
    is_there
}

/// The venue's books in the shape that the programs print.
fn truth(rig: &Rig) -> Value {
    let side = |levels: &Value| -> Value {
        let level =
            |level: &Value| (level["price"].as_str().unwrap().to_owned(), level["size"].clone());
        levels.as_array().unwrap().iter().map(level).collect::<Map<_, _>>().into()
    };
    let book = |token: &String| {
        let book: Value = serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap();
        (token.clone(), json!({"BUY": side(&book["bids"]), "SELL": side(&book["asks"])}))
    };
    rig.tokens.iter().map(book).collect::<Map<_, _>>().into()
}

/// Waits for a line that is as wanted among those after the first `from`; the number of lines.
fn wait(program: &mut Program, from: usize, what: &str, wanted: &dyn Fn(&Value) -> bool) -> usize {
    let begun = Instant::now();
    loop {
        let lines = program.stdout();
        let mut new = lines.iter().skip(from).map(|line| serde_json::from_str(line).unwrap());
        if new.any(|line: Value| wanted(&line)) {
            return lines.len();
        }
        let error = program.stderr();
        assert!(program.is_running() && begun.elapsed() < TIMEOUT, "no {what}: {error:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Statistics of the engine.
fn stats(rig: &Rig) -> Value {
    let mut client = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
    client.get("/stats").json()
}

/// Injects a fault upstream once every book is live, and returns when the engine has repaired it; `recycle` replaces
/// every connection.
fn inject(rig: &Rig, fault: &str) {
    let begun = Instant::now();
    // Of a market that is not subscribed yet nothing can be frozen.
    while count(&stats(rig), "/venues/0/books_live") < rig.tokens.len() as u64 {
        assert!(begun.elapsed() < TIMEOUT, "{fault}: not all live: {:#}", stats(rig));
        std::thread::sleep(POLL_INTERVAL);
    }
    let before = stats(rig);
    let what = match fault.split('?').next().unwrap() {
        "freeze" => "/correctness/repairs/audits_behind",
        "recycle" => "/recycling/completed",
        _ => "/pool/reconnects",
    };
    if fault == "recycle" {
        let mut client = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
        for connection in before["pool"]["connections"].as_array().unwrap() {
            let order = format!("/admin/recycle?connection={}", connection["id"]);
            while client.request("POST", &order).unwrap().status == 503 {}
        }
    } else {
        rig.control(fault);
    }
    rig.venue.resume().unwrap();
    let begun = Instant::now();
    while count(&stats(rig), what) <= count(&before, what) {
        assert!(begun.elapsed() < TIMEOUT, "{fault}: not repaired: {:#}", stats(rig));
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The client of 50 markets has the venue's books after everything that fails upstream.
fn follows(command: Option<Command>) {
    let Some(mut command) = command else { return };
    let rig = Rig::with(50, 400.0, |engine| engine.all_markets().audit(Duration::from_secs(4)));
    command.arg(rig.address.to_string()).args(&rig.tokens);
    command.env("GAMMA", rig.engine.gateways()[1].1.to_string());
    let mut program = Program::start(command);
    rig.venue.resume().unwrap();
    let all = |books: &Value| books.as_object().is_some_and(|b| b.len() == rig.tokens.len());
    let mut lines = wait(&mut program, 0, "books", &all);
    for fault in ["freeze?markets=5", "drop?connections=1", "recycle", "drop?connections=all"] {
        inject(&rig, fault);
        lines = wait(&mut program, lines + 1, "books after a fault", &all);
    }
    rig.control("tick?count=2");
    rig.venue.resume().unwrap();
    lines = wait(&mut program, lines + 1, "books after new tick sizes", &all);
    rig.venue.pause().unwrap();
    let truth = truth(&rig);
    wait(&mut program, lines, "equal books", &|books| *books == truth);
    rig.engine.stop(|_| {});
}

#[test]
fn polymarket_client_has_the_venues_books() {
    follows(python("polymarket_client.py", "polymarket"));
}

#[test]
fn py_clob_client_has_the_venues_books() {
    follows(python("py_clob_books.py", "py_clob_client_v2"));
}

#[test]
fn polymarket_client_of_typescript_has_the_venues_books() {
    follows(node("polymarket_client.mjs", "@polymarket/client"));
}

#[test]
fn the_adapter_of_nautilus_has_the_venues_books() {
    follows(python("nautilus_books.py", "nautilus_trader.adapters.polymarket.factories"));
}

/// What polypy's page reads of a book: the best ten levels of each side, thousandths.
fn page_levels(levels: &Value) -> Vec<[u64; 2]> {
    let thousandths = |value: &Value| {
        let text = value.as_str().unwrap();
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{part:0<3.3}").parse().unwrap()
    };
    let levels = levels.as_array().unwrap().iter().rev().take(10);
    levels.map(|level| [thousandths(&level["price"]), thousandths(&level["size"])]).collect()
}

/// The requests of its page, whose program is for a browser.
#[test]
fn a_page_of_polypy_shows_the_venues_books() {
    let rig = Rig::with(50, 400.0, |engine| engine.all_markets().audit(Duration::from_secs(4)));
    let mut client = Client::new(&format!("http://{}", rig.address), None);
    let mut markets = Value::Null;
    let begun = Instant::now();
    while markets["markets"].as_array().is_none_or(|markets| markets.len() < 50) {
        assert!(begun.elapsed() < TIMEOUT, "{markets}");
        markets = client.get("/polypy/markets").json();
    }
    let market = &markets["markets"][0];
    assert_eq!(market["tokens"][1]["outcome"], market["outcomes"][1], "{market}");
    assert!(market["question"].is_string() && market["end_timestamp"].as_u64() > Some(0));
    let mut socket = open(rig.address, format!("ws://{}/ws/orderbook", rig.address));
    rig.venue.resume().unwrap();
    for fault in ["freeze?markets=5", "drop?connections=1", "recycle", "drop?connections=all"] {
        inject(&rig, fault);
    }
    rig.venue.pause().unwrap();
    for token in &rig.tokens {
        let truth: Value = serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap();
        let wanted =
            json!({"bids": page_levels(&truth["bids"]), "asks": page_levels(&truth["asks"])});
        let message = json!({"subscribe": token, "interval_ms": 20}).to_string();
        socket.send(Message::text(message)).unwrap();
        let mut book = Value::Null;
        let begun = Instant::now();
        while book["asset_id"] != json!(token)
            || json!({"bids": book["bids"], "asks": book["asks"]}) != wanted
        {
            assert!(begun.elapsed() < TIMEOUT, "{book} is not {wanted}");
            let Message::Text(text) = socket.read().unwrap() else { continue };
            book = serde_json::from_str(&text).unwrap();
        }
        let [bid, ask] = ["bids", "asks"].map(|side| book[side][0][0].as_f64());
        let spread = ask.zip(bid).map(|(ask, bid)| ask - bid);
        assert_eq!(book["metrics"]["spread"].as_f64(), spread, "{book}");
        let rest = client.get(&format!("/polypy/orderbook/{token}?depth=10")).json();
        assert_eq!(rest["bids"], book["bids"]);
    }
    rig.engine.stop(|_| {});
}

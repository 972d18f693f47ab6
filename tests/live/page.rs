//! The web page and what it asks for, over HTTP and in a browser.
//!
//! Runs on:  test threads; engine, venue, browser and its driver are processes. The test in a browser is skipped, with
//! one line, where chromium or Python's `websockets` is missing; `RINGBOOK_TEST_PYTHON` names another interpreter.
use crate::engine::Engine;
use crate::program::TIMEOUT;
use crate::venue::Venue;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// An engine that follows so many markets, all live.
fn followed(markets: &str) -> (Engine, Venue, Vec<String>) {
    let mut venue = Venue::start(&["--plain", "--rate", "50", "--markets", markets]);
    let mut engine = Engine::start(&venue, &[]);
    let tokens = venue.tokens();
    engine.wait_live(tokens.len());
    (engine, venue, tokens)
}

/// The status of a request with these headers beside `Host`, and the answer's text.
fn exchange(engine: &Engine, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(engine.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nContent-Length: 0\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let is_upgrade = headers.iter().any(|(name, _)| *name == "Upgrade");
    if !is_upgrade {
        request.push_str("Connection: close\r\n");
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A WebSocket stays open, and so does a connection on which one was refused.
        if count == 0 || is_upgrade && text.contains("\r\n\r\n") {
            return (text[9..12].parse().unwrap(), text);
        }
    }
}

#[test]
fn the_page_is_served_with_its_policy_and_to_its_own_origin_only() {
    let (mut engine, _venue, _) = followed("20");
    let index = engine.get("/");
    assert_eq!(
        (index.status, index.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let mut files = vec!["/".to_owned()];
    let mut at = 0;
    while let Some(path) = files.get(at).cloned() {
        let file = engine.get(&path);
        let kind = file.header("content-type").unwrap();
        assert_eq!(file.status, 200, "{path}");
        let expected = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, expected, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{policy}"
        );
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        for part in file.text().split('"') {
            let named = part.replacen("./", "/page/", 1);
            let is_file = part.starts_with("/page/") || part.starts_with("./");
            if is_file && !files.contains(&named) {
                files.push(named);
            }
        }
        at += 1;
    }
    assert!(files.len() >= 8, "{files:?}");
    for path in ["/page/", "/page/none.js", "/page/../stats", "/index.html"] {
        assert_eq!(engine.get(path).status, 404, "{path}");
    }
    assert_eq!(engine.post("/page/main.js").status, 405);

    check_texts(&mut engine);
    check_origins(&engine);
}

fn check_texts(engine: &mut Engine) {
    for (path, key) in [("/conditions", "remedy"), ("/counters", "when_it_rises")] {
        let list = engine.get(path).json();
        let list = list.as_array().unwrap();
        assert!(list.len() > 20, "{path}");
        assert!(
            list.iter().all(|one| one[key].as_str().is_some_and(|text| !text.is_empty())),
            "{path}"
        );
    }
    let latency = engine.get("/latency").json();
    let stages: Vec<&str> = latency["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    assert!(stages.contains(&"venue_to_read") && stages.contains(&"read_to_applied"), "{latency}");
    let host: Value = engine.get("/host").json();
    assert!(
        host["profile"].is_string() && host["settings"].as_array().unwrap().len() > 5,
        "{host}"
    );
}

fn check_origins(engine: &Engine) {
    let own = engine.address.to_string();
    let other = "evil.test".to_owned();
    let command = "/admin/recycle?connection=999";
    let page = |host: &str| format!("http://{host}");
    assert_eq!(
        exchange(engine, "POST", command, &[("Host", &own), ("Origin", &page(&own))]).0,
        409
    );
    assert_eq!(
        exchange(engine, "POST", command, &[("Host", &own), ("Origin", &page(&other))]).0,
        403
    );
    assert_eq!(
        exchange(engine, "POST", command, &[("Host", &other), ("Origin", &page(&other))]).0,
        421
    );
    assert_eq!(exchange(engine, "GET", "/", &[("Host", &other)]).0, 421);
}

#[test]
fn the_stream_is_at_the_address_of_the_page() {
    let (mut engine, _venue, tokens) = followed("5");
    let own = engine.address.to_string();
    let upgrade = |origin: Option<&str>, path: &str| {
        let mut headers = vec![
            ("Host", own.as_str()),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        exchange(&engine, "GET", path, &headers).0
    };
    let page = format!("http://{own}");
    assert_eq!(upgrade(None, "/v1/stream"), 101);
    assert_eq!(upgrade(Some(&page), "/v1/stream"), 101);
    assert_eq!(upgrade(Some("http://evil.test"), "/v1/stream"), 403);
    assert_eq!(upgrade(None, "/v1/stream?kinds=none"), 400);
    assert_eq!(upgrade(None, "/ws/market"), 404);
    assert_eq!(engine.get("/v1/stream").status, 426);

    let mut follower = crate::gateway::Follower::connect(engine.address, "/v1/stream");
    follower.send(&serde_json::json!({ "subscribe": tokens }));
    let begun = Instant::now();
    while follower.books.len() < tokens.len() {
        assert!(begun.elapsed() < TIMEOUT, "{} books", follower.books.len());
        follower.read();
    }
}

#[test]
fn markets_are_found_by_words_and_filters_in_pages() {
    let (mut engine, mut venue, tokens) = followed("30");
    let all = engine.get("/markets?limit=20").json();
    assert_eq!((&all["total"], &all["next"]), (&30.into(), &20.into()), "{all}");
    let rest = engine.get("/markets?limit=20&skip=20").json();
    assert_eq!((rest["markets"].as_array().unwrap().len(), &rest["next"]), (10, &Value::Null));
    let market = &all["markets"][3];
    let token = market["tokens"][1]["token"].as_str().unwrap();
    assert!(tokens.iter().any(|known| known == token));
    for words in [token, market["market"].as_str().unwrap(), market["slug"].as_str().unwrap()] {
        let found = engine.get(&format!("/markets?q={words}")).json();
        assert!(found["markets"].as_array().unwrap().contains(market), "{words}: {found}");
    }
    let none = engine.get("/markets?q=no+such%20market").json();
    assert_eq!((&none["total"], none["markets"].as_array().unwrap().len()), (&0.into(), 0));
    assert_eq!(engine.get("/markets?venue=kalshi").json()["total"], 0);
    for bad in ["stage=x", "state=x", "order=x", "skip=x", "word=x", "q=%zz"] {
        assert_eq!(engine.get(&format!("/markets?{bad}")).status, 400, "{bad}");
    }
    let live = engine.get("/markets?state=live&limit=7").json();
    assert_eq!((live["markets"].as_array().unwrap().len(), &live["next"]), (7, &7.into()));
    assert_eq!(engine.get("/markets?state=stale").json()["markets"].as_array().unwrap().len(), 0);

    // Page by page to the end, each market once.
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = engine.get(&format!("/markets?state=live&limit=7{cursor}")).json();
        let rows = page["markets"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["market"].as_str().unwrap().to_owned()));
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&after={next}");
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((count, seen.len()), (30, 30), "{seen:?}");
    assert_eq!(
        engine.get(&format!("/prices?token_id={token}")).json(),
        serde_json::json!({"stored": false, "points": []})
    );

    venue.control("pause");
    engine.wait_still(Duration::from_secs(1));
    let one = engine.get(&format!("/market?token_id={token}")).json();
    assert_eq!(one["market"], market["market"]);
    let book = engine.book(token).json();
    let row = one["tokens"].as_array().unwrap().iter().find(|row| row["token"] == token).unwrap();
    assert_eq!((&row["book"]["state"], &row["book"]["hash"]), (&"live".into(), &book["hash"]));
    assert_eq!(row["book"]["changed_ms"].to_string(), book["timestamp"].as_str().unwrap());
    assert_eq!(engine.get("/market?token_id=1").status, 404);
    assert_eq!(engine.get(&format!("/trades?token_id={token}")).status, 200);
}

#[test]
fn a_browser_shows_what_the_engine_reports() {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let runs = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    };
    if !runs(&python, &["-c", "import websockets"]) || !runs("chromium", &["--version"]) {
        eprintln!("skipped: tests/python/page.py: chromium or Python's websockets is missing");
        return;
    }
    let (engine, venue, _) = followed("20");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/page.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("http://{}", engine.address)).arg(&venue.url);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{printed}{complained}{}", engine.program);
    assert!(printed.contains("the page is right"), "{printed}");
}

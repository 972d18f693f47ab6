//! The local HTTP server on a glommio executor, with the other cores simulated by threads.
use glommio::{LocalExecutorBuilder, Placement};
use ringbook::base::id::{MarketId, TokenId};
use ringbook::base::limits::{
    SERVE_CLIENTS_MAX, SERVE_CONTROL_DEPTH, SERVE_HEAD_BYTES_MAX, SERVE_SHARD_DEPTH,
};
use ringbook::base::price::{Price, Quantity};
use ringbook::counter::report::{EngineReport, LinkReport, ShardReport};
use ringbook::counter::shard::IntakeCounts;
use ringbook::link::serve_control::{ControlAnswer, ControlQuery};
use ringbook::link::serve_shard::{BookAnswer, BookQuery};
use ringbook::market::book::image::BookFacts;
use ringbook::market::book::{Book, BookState, Level, Side, StaleReason};
use ringbook::ring::{Consumer, Producer, ring};
use ringbook::serve::client_limit::Bounds;
use ringbook::serve::{ServeLinks, Server, Timeouts, Wake, bind};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MS: u64 = 1_000_000;
const BOOK: &str = r#"{"market":"0x7d","asset_id":"27","timestamp":"1786728198766","hash":"","bids":[{"price":"0.01","size":"5"}],"asks":[{"price":"0.99","size":"0.5"}],"min_order_size":"5","tick_size":"0.001","neg_risk":false,"last_trade_price":"0.004"}"#;

/// How the simulated cores behave.
#[derive(Clone, Copy, PartialEq)]
enum Cores {
    Answer,
    Slow,
    Dead,
}

struct Engine {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    reports: Arc<AtomicU64>,
    woken: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    server: Option<JoinHandle<()>>,
}

impl Engine {
    fn start(cores: Cores, shards: usize, timeouts: Timeouts) -> Self {
        Self::bounded(cores, shards, timeouts, Bounds::for_descriptors(None))
    }

    fn bounded(cores: Cores, shards: usize, timeouts: Timeouts, bounds: Bounds) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let stop = Arc::new(AtomicBool::new(false));
        let (reports, woken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        let (control_queries, queries) = ring(SERVE_CONTROL_DEPTH);
        let (answers, control_answers) = ring(SERVE_CONTROL_DEPTH);
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&reports));
        threads.push(std::thread::spawn(move || control(cores, queries, answers, &ended, &count)));
        let mut links = Vec::new();
        for shard in 0..shards {
            let (book_queries, queries) = ring(SERVE_SHARD_DEPTH);
            let (answers, book_answers) = ring(SERVE_SHARD_DEPTH);
            let ended = Arc::clone(&stop);
            threads.push(std::thread::spawn(move || {
                play_shard(cores, shard, shards, queries, answers, &ended);
            }));
            links.push((book_queries, book_answers));
        }
        let rung = Arc::clone(&woken);
        let wake = Box::new(move |target| {
            let bit = if let Wake::Shard(i) = target { 2 << i } else { 1 };
            rung.fetch_or(bit, Ordering::Relaxed);
        });
        let gateway = None;
        let links = ServeLinks {
            control_queries,
            control_answers,
            shards: links,
            gateway,
            host: None,
            wake,
        };
        let ended = Arc::clone(&stop);
        let server = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(0)
            .spawn(move || async move {
                let listeners = vec![(listener, ringbook::serve::Site::Engine)];
                Server::with_limits(links, listeners, &[], timeouts, bounds).run(ended).await
            })
            .unwrap();
        let server = std::thread::spawn(move || server.join().unwrap());
        Self { address, stop, reports, woken, threads, server: Some(server) }
    }

    fn default() -> Self {
        Self::start(Cores::Answer, 2, timeouts())
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    fn get(&self, target: &str) -> Response {
        self.client().ask("GET", target)
    }

    /// Stops, and gives the time until the server's executor has ended.
    fn end(&mut self) -> Duration {
        let started = Instant::now();
        self.stop.store(true, Ordering::Release);
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
        let took = started.elapsed();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        took
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

fn timeouts() -> Timeouts {
    Timeouts { idle_ns: 3000 * MS, head_ns: 3000 * MS, write_ns: 1000 * MS, answer_ns: 500 * MS }
}

fn report() -> EngineReport {
    let mut report = EngineReport {
        version: "1.2.3".into(),
        started_wall_ns: 1,
        now_wall_ns: 9_000_000_001,
        ..EngineReport::default()
    };
    report.health.healthy = true;
    let intake = IntakeCounts { frames: 10, ..IntakeCounts::default() };
    report.shards =
        (0..2).map(|shard| ShardReport { shard, intake, ..ShardReport::default() }).collect();
    let name = "a \"quoted\" link".to_owned();
    report.router.push(LinkReport { name, routed: 3, ..LinkReport::default() });
    report.latencies = ringbook::counter::latency::Latencies::default().summaries();
    report
}

fn control(
    cores: Cores,
    mut queries: Consumer<ControlQuery>,
    mut answers: Producer<ControlAnswer>,
    stop: &AtomicBool,
    count: &AtomicU64,
) {
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(if cores == Cores::Slow { 100 } else { 2 }));
        if cores == Cores::Dead {
            continue;
        }
        while let Some(query) = queries.try_receive() {
            let answer = match query {
                ControlQuery::Follow { ticket, .. } => {
                    ControlAnswer::Ordered { ticket, result: Ok(()) }
                }
                ControlQuery::Report { ticket } => {
                    count.fetch_add(1, Ordering::Relaxed);
                    ControlAnswer::Report { ticket, report: Box::new(report()) }
                }
                ControlQuery::Awaited { ticket, token } => {
                    let awaited = token.as_str() == "31";
                    let result = if awaited { Err("it waits".to_owned()) } else { Ok(()) };
                    ControlAnswer::Ordered { ticket, result }
                }
                ControlQuery::Recycle { .. } | ControlQuery::Latency(_) => continue,
            };
            answers.try_send(answer).unwrap();
        }
    }
}

fn play_shard(
    cores: Cores,
    shard: usize,
    shards: usize,
    mut queries: Consumer<BookQuery>,
    mut answers: Producer<BookAnswer>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(if cores == Cores::Slow { 100 } else { 1 }));
        if cores == Cores::Dead {
            continue;
        }
        while let Some(BookQuery { ticket, token, mut image }) = queries.try_receive() {
            // Token 27 is on shard 0, 28 on shard 1, and so on; 30 and above nowhere.
            let number: usize = token.as_str().parse().unwrap_or(99);
            let found = (27..30).contains(&number) && (number - 27) % shards == shard;
            if found {
                let mut book = Book::default();
                let level = |price, units| Level { price: Price(price), quantity: Quantity(units) };
                book.set(Side::Bid, level(10_000, 5_000_000)).unwrap();
                book.set(Side::Ask, level(990_000, 500_000)).unwrap();
                let facts = BookFacts {
                    timestamp_ms: 1_786_728_198_766,
                    min_order_size: Some(Quantity(5_000_000)),
                    tick_size: Some(Price(1_000)),
                    last_trade: Some(Price(4_000)),
                    updated_wall_ns: 1_000 * MS,
                    ..BookFacts::default()
                };
                let state = match number {
                    27 => BookState::Live,
                    28 => BookState::Stale {
                        why: StaleReason::Disconnected,
                        since_wall_ns: 1_786_728_199_000_000_000,
                    },
                    _ => BookState::AwaitingSnapshot,
                };
                image.fill(MarketId::new("0x7d").unwrap(), token, state, facts, &book);
            }
            answers.try_send(BookAnswer { ticket, found, image }).unwrap();
        }
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Response {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn receive(&mut self, head_only: bool) -> Response {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = if head_only { 0 } else { headers["content-length"].parse().unwrap() };
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        Response { status, headers, body: String::from_utf8(body).unwrap() }
    }

    fn ask(&mut self, method: &str, target: &str) -> Response {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.receive(method == "HEAD")
    }

    /// True when the server closes without another byte.
    fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0; 1]), Ok(0))
    }
}

#[test]
fn every_route_on_one_connection() {
    let mut engine = Engine::default();
    let mut client = engine.client();
    let health = client.ask("GET", "/health");
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!((&health["version"], &health["uptime_s"]), (&"1.2.3".into(), &9.into()));
    assert_eq!(health["reasons"], serde_json::json!([]));

    let stats = client.ask("GET", "/stats").json();
    assert_eq!(stats["shards"][1]["frames"], 10);
    assert_eq!(stats["router"][0]["name"], "a \"quoted\" link");
    assert_eq!(stats["latencies"][0]["stage"], "venue_to_read");

    let index = client.ask("GET", "/");
    assert_eq!((index.status, index.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(index.body.contains("/metrics"));
    let missing = client.ask("GET", "/heath");
    assert_eq!(missing.status, 404);
    let paths = missing.json()["paths"].clone();
    let listed = |path: &str| paths.as_array().unwrap().iter().any(|listed| listed == path);
    assert!(
        ["/health", "/metrics", "/book?token_id=", "/prices?token_id="].into_iter().all(listed),
        "{paths}"
    );

    let head = client.ask("HEAD", "/health");
    assert_eq!(head.status, 200);
    assert_ne!(head.header("content-length"), "0");
    let post = client.ask("POST", "/health");
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    // A request without a body leaves the connection usable, whatever its method.
    assert_eq!(client.ask("DELETE", "/book").status, 405);
    assert_eq!(client.ask("GET", "/health").status, 200);
    assert_eq!(engine.woken.load(Ordering::Relaxed), 1, "only the control core was asked");
    assert!(engine.end() < Duration::from_millis(400));
    assert!(client.is_closed());
}

#[test]
fn books_are_found_on_every_shard() {
    let engine = Engine::default();
    let mut client = engine.client();
    for _ in 0..3 {
        let live = client.ask("GET", "/book?token_id=27");
        assert_eq!((live.status, live.body.as_str()), (200, BOOK));
        assert_eq!(live.header("x-ringbook-state"), "live");
        assert!(live.header("x-ringbook-age-ms").parse::<u64>().unwrap() > 1_000_000);
        let stale = client.ask("GET", "/book?token_id=28");
        assert_eq!((stale.status, stale.header("x-ringbook-state")), (200, "stale:disconnected"));
        let whole = BOOK.replace("\"27\"", "\"28\"");
        let since = r#","state":"stale:disconnected","stale_since":"1786728199000"}"#;
        let levels = whole.strip_suffix('}').unwrap();
        assert_eq!(stale.body, format!("{levels}{since}"));
        assert_eq!(stale.header("x-ringbook-stale-since-ms"), "1786728199000");
    }
    let waiting = client.ask("GET", "/book?token_id=29");
    assert_eq!((waiting.status, waiting.header("retry-after")), (503, "1"));
    assert_eq!(waiting.header("x-ringbook-state"), "awaiting_snapshot");
    let missing = client.ask("GET", "/book?token_id=30");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.body, r#"{"error":"No orderbook exists for the requested token id"}"#);
    // No shard has it yet, and the control core knows why.
    let awaited = client.ask("GET", "/book?token_id=31");
    assert_eq!((awaited.status, awaited.body.as_str()), (503, r#"{"error":"it waits"}"#));
    assert_eq!(awaited.header("retry-after"), "1");
    for query in ["", "?token_id=", "?token_id=..%2F", "?other=27"] {
        let bad = client.ask("GET", &format!("/book{query}"));
        assert_eq!((bad.status, bad.body.as_str()), (400, r#"{"error":"Invalid token id"}"#));
    }
    assert_eq!(
        engine.woken.load(Ordering::Relaxed),
        0b111,
        "both shards, and control for what they have not"
    );
    assert!(TokenId::new("27").is_some());
}

/// Reads an exposition: samples by name with labels, and the families that were described.
fn parse_metrics(text: &str) -> (HashMap<String, f64>, HashMap<String, String>) {
    let (mut samples, mut families) = (HashMap::new(), HashMap::new());
    let mut helped = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "TYPE follows HELP");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else if line == "# EOF" {
            assert!(lines.peek().is_none());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffix = match families[&helped].as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            assert_eq!(name, format!("{helped}{suffix}"), "samples follow their family");
            if let Some((_, labels)) = series.split_once('{') {
                let labels = labels.strip_suffix('}').unwrap().replace("\\\"", "");
                assert!(labels.matches('"').count() % 2 == 0 && labels.contains('='), "{series}");
            }
            let value: f64 = value.parse().unwrap();
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
    }
    (samples, families)
}

#[test]
fn metrics_parse_and_count_the_requests() {
    let engine = Engine::default();
    let mut client = engine.client();
    assert_eq!(client.ask("GET", "/book?token_id=30").status, 404);
    assert_eq!(client.ask("GET", "/nowhere").status, 404);
    let metrics = client.ask("GET", "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let (samples, families) = parse_metrics(&metrics.body);
    assert!(families.len() > 60);
    assert_eq!(samples["ringbook_healthy"], 1.0);
    assert_eq!(samples["ringbook_uptime_seconds"], 9.0);
    assert_eq!(samples[r#"ringbook_shard_frames_total{shard="1"}"#], 10.0);
    assert_eq!(samples[r#"ringbook_link_routed_total{link="a \"quoted\" link"}"#], 3.0);
    assert_eq!(samples[r#"ringbook_serve_requests_total{route="/book",status="404"}"#], 1.0);
    assert_eq!(samples[r#"ringbook_serve_requests_total{route="other",status="404"}"#], 1.0);
    assert_eq!(samples["ringbook_serve_clients"], 1.0);
    assert_eq!(samples[r#"ringbook_build_info{version="1.2.3"}"#], 1.0);
    let described: Vec<_> = ringbook::serve::metrics::all();
    assert_eq!(described.len(), families.len());
}

#[test]
fn requests_in_one_packet_and_in_single_bytes() {
    let engine = Engine::default();
    let mut client = engine.client();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send([one("/health"), one("/book?token_id=27"), one("/nowhere")].concat());
    assert_eq!(client.receive(false).status, 200);
    assert_eq!(client.receive(false).body, BOOK);
    assert_eq!(client.receive(false).status, 404);
    client.reader.get_ref().set_nodelay(true).unwrap();
    for byte in one("/book?token_id=27").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.receive(false).body, BOOK);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.receive(false).header("connection"), "close");
    assert!(client.is_closed());
    let mut old = engine.client();
    old.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(old.receive(false).status, 200);
    assert!(old.is_closed());
}

#[test]
fn bad_requests_get_their_status_and_the_connection_closes() {
    let engine = Engine::default();
    let long = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2 * SERVE_HEAD_BYTES_MAX));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    let body = "x".repeat(100_000);
    let body =
        format!("POST /stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{body}");
    for (bytes, status) in [
        (long.as_str(), 431),
        (many.as_str(), 431),
        ("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("get /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        ("GET http://a/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 200),
        (body.as_str(), 405),
    ] {
        let mut client = engine.client();
        client.send(bytes);
        let response = client.receive(false);
        assert_eq!((response.status, response.header("connection")), (status, "close"));
        assert!(client.is_closed());
    }
}

#[test]
fn slow_and_silent_clients_are_disconnected() {
    let timeouts = Timeouts { idle_ns: 200 * MS, head_ns: 300 * MS, ..timeouts() };
    let engine = Engine::start(Cores::Answer, 1, timeouts);
    let mut silent = engine.client();
    let mut slow = engine.client();
    slow.send("GET /health HT");
    let mut served = engine.client();
    assert_eq!(served.ask("GET", "/health").status, 200);
    assert!(silent.is_closed() && slow.is_closed() && served.is_closed());
    assert_eq!(engine.get("/health").status, 200);
}

#[test]
fn a_client_that_does_not_read_does_not_block_others() {
    let timeouts = Timeouts { write_ns: 20_000 * MS, ..timeouts() };
    let mut engine = Engine::start(Cores::Answer, 1, timeouts);
    let mut greedy = engine.client();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    greedy.reader.get_ref().set_nonblocking(true).unwrap();
    let _ = greedy.reader.get_mut().write(requests.as_bytes());
    std::thread::sleep(Duration::from_millis(50));
    for _ in 0..5 {
        assert_eq!(engine.get("/book?token_id=27").body, BOOK);
    }
    assert!(engine.end() < Duration::from_secs(10), "the stop does not wait for it");
}

#[test]
fn concurrent_report_requests_share_a_query() {
    let engine = Engine::start(Cores::Slow, 1, timeouts());
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = engine.client();
            std::thread::spawn(move || client.ask("GET", "/stats").status)
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    let questions = engine.reports.load(Ordering::Relaxed);
    assert!((1..=4).contains(&questions), "{questions}");
}

#[test]
fn dead_cores_cost_a_503_and_no_more() {
    let timeouts = Timeouts { answer_ns: 100 * MS, ..timeouts() };
    let mut engine = Engine::start(Cores::Dead, 2, timeouts);
    let mut client = engine.client();
    let health = client.ask("GET", "/health");
    assert_eq!((health.status, &health.json()["healthy"]), (503, &false.into()));
    assert!(health.body.contains("control core does not report"), "{}", health.body);
    let stats = client.ask("GET", "/stats");
    assert_eq!((stats.status, stats.header("retry-after")), (503, "1"));
    assert_eq!(stats.body, r#"{"error":"control core: not answering"}"#);
    let book = client.ask("GET", "/book?token_id=27");
    assert_eq!((book.status, book.body.as_str()), (503, r#"{"error":"shards: not answering"}"#));
    // A full ring is refused at once. Every client asks once, all at the same time.
    let clients: Vec<_> = (0..SERVE_SHARD_DEPTH + 20)
        .map(|_| {
            let mut client = engine.client();
            std::thread::spawn(move || client.ask("GET", "/book?token_id=27").body)
        })
        .collect();
    let bodies: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let busy = bodies.iter().filter(|b| b.contains("too busy")).count();
    assert_eq!(busy, 21, "one place was taken before");
    // Stopping does not wait for answers that will not come.
    client.send("GET /book?token_id=27 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(engine.end() < Duration::from_millis(400));
}

#[test]
fn a_core_that_answers_late_serves_the_next_request() {
    // The answer takes 100 ms, the server waits 30 ms.
    let engine = Engine::start(Cores::Slow, 1, Timeouts { answer_ns: 30 * MS, ..timeouts() });
    let mut client = engine.client();
    let (mut late, mut good) = (0, 0);
    for _ in 0..30 {
        match client.ask("GET", "/book?token_id=27") {
            response if response.status == 200 => {
                assert_eq!(response.body, BOOK);
                good += 1;
            }
            response => {
                assert_eq!(response.status, 503);
                late += 1;
            }
        }
    }
    assert!(late > 0 && good > 0, "{late} late, {good} good");
}

#[test]
fn the_longest_idle_client_is_closed_for_a_new_one() {
    let engine = Engine::default();
    let mut clients: Vec<_> = (0..SERVE_CLIENTS_MAX).map(|_| engine.client()).collect();
    // The last one is served, so the server has seen them all.
    assert_eq!(clients[SERVE_CLIENTS_MAX - 1].ask("GET", "/health").status, 200);
    assert_eq!(clients[0].ask("GET", "/health").status, 200);
    for _ in 0..3 {
        assert_eq!(engine.get("/health").status, 200);
        assert_eq!(engine.get("/book?token_id=27").body, BOOK);
    }
    assert!(clients[1].is_closed(), "it has been idle for longest");
    assert_eq!(clients[0].ask("GET", "/health").status, 200, "it had asked something since");
}

#[test]
fn health_and_metrics_have_places_of_their_own() {
    let timeouts = Timeouts { write_ns: 60_000 * MS, ..timeouts() };
    let bounds = Bounds { clients: 4, reserved: 2 };
    let engine = Engine::bounded(Cores::Answer, 2, timeouts, bounds);
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    // It takes no answer, so it holds its place until the time for writing is over.
    let greedy = || {
        let mut client = engine.client();
        let socket = client.reader.get_ref();
        socket2::SockRef::from(socket).set_recv_buffer_size(4096).unwrap();
        let _ = client.reader.get_mut().write_all(requests.as_bytes());
        // With the first byte of an answer it is idle no more, and no newcomer takes its place.
        let _ = client.reader.get_mut().read(&mut [0; 1]);
        client
    };
    let mut held = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert_eq!(engine.get("/health").status, 200);
        let book = engine.get("/book?token_id=27");
        if (book.status, book.header("retry-after")) == (503, "1") {
            break;
        }
        assert!(Instant::now() < deadline, "every ordinary place was to be taken");
        held.push(greedy());
    }
    // More than there are reserved places, so those who hold one idle have to give it up.
    held.extend((0..8).map(|_| engine.client()));
    assert_eq!(engine.get("/health").status, 200);
    assert!(engine.get("/metrics").body.contains("ringbook_serve_clients_evicted_total"));
    drop(held);
}

#[test]
fn an_unconfigured_host_name_is_refused() {
    let engine = Engine::default();
    let port = engine.address.port();
    let ask = |host: &str, path: &str| {
        let mut client = engine.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.receive(false)
    };
    for path in ["/health", "/stats", "/metrics", "/book?token_id=27", "/", "/nowhere"] {
        let response = ask("rebind.example:9300", path);
        assert_eq!(response.status, 421, "{path}");
        assert!(response.body.contains("--serve-name rebind.example"), "{}", response.body);
        assert!(!response.body.contains('\n'));
    }
    for host in ["localhost", "127.0.0.1", &format!("127.0.0.1:{port}"), "LOCALHOST:1"] {
        assert_eq!(ask(host, "/health").status, 200, "{host}");
    }
    assert_eq!(ask("10.1.2.3", "/health").status, 421);
}

#[test]
fn invalid_and_cross_origin_commands_reach_no_core() {
    let engine = Engine::default();
    let mut client = engine.client();
    assert_eq!(client.ask("GET", "/admin/recycle?connection=1").status, 405);
    assert_eq!(client.ask("POST", "/admin/recycle?connection=x").status, 400);
    client.send(
        "POST /admin/recycle?connection=1 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\n\r\n",
    );
    assert_eq!(client.receive(false).status, 403);
    assert_eq!(engine.woken.load(Ordering::Relaxed), 0, "no core received it");
}

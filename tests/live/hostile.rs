//! Peers that flood, hold memory, or write into the log: the real `ringbook` against servers of the tests.
//!
//! Runs on:  test threads; a thread for each connection of the server, which ends with its peer.
use crate::engine::{Engine, sum};
use crate::program::TIMEOUT;
use rustix::process::Signal;
use serde_json::json;
use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;

/// What becomes of a connection once its WebSocket is open and subscribed.
type Attack = fn(&mut TcpStream) -> Result<()>;
/// How a request that is no upgrade is answered; with the request's first line.
type Answer = fn(&mut TcpStream, &str) -> Result<()>;

/// Catalog, books and stream on one port.
fn server(answer: Answer, attack: Attack) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // It ends with the peer.
            std::thread::spawn(move || drop(serve(&mut stream, answer, attack)));
        }
    });
    address
}

fn serve(stream: &mut TcpStream, answer: Answer, attack: Attack) -> Result<()> {
    loop {
        let head = read_head(stream)?;
        let lower = head.to_lowercase();
        let value = |name: &str| {
            let line = lower.lines().position(|line| line.starts_with(name))?;
            Some(head.lines().nth(line)?[name.len()..].trim().to_owned())
        };
        if let Some(key) = value("sec-websocket-key:") {
            let accept = derive_accept_key(key.as_bytes());
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
            write!(stream, "{head}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")?;
            // The subscription.
            if stream.read(&mut [0; 64 * 1024])? > 0 {
                attack(stream)?;
            }
            return Ok(());
        }
        let length = value("content-length:").map_or(0, |length| length.parse().unwrap());
        stream.read_exact(&mut vec![0; length])?;
        answer(stream, head.lines().next().unwrap_or_default())?;
    }
}

fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Markets for two connections of one shard; no books.
fn catalog(stream: &mut TcpStream, request: &str) -> Result<()> {
    let market = |i: u64| {
        let token = |k: u64| format!("1{:074}", 2 * i + k);
        json!({
            "id": i.to_string(), "conditionId": format!("0x{:064x}", i + 1), "slug": format!("m{i}"),
            "question": "q", "outcomes": r#"["Yes","No"]"#,
            "clobTokenIds": format!(r#"["{}","{}"]"#, token(0), token(1)),
            "active": true, "closed": false, "enableOrderBook": true, "acceptingOrders": true,
            "orderPriceMinTickSize": 0.01, "orderMinSize": 5, "negRisk": false,
        })
    };
    let markets = || (0..400).map(market).collect::<Vec<_>>();
    let body = match request {
        _ if request.contains("/markets/keyset") => json!({ "markets": markets() }),
        _ if request.contains("/markets") => json!(markets()),
        _ => json!([]),
    };
    let body = body.to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn engine(address: SocketAddr, more: &[&str]) -> Engine {
    let http = format!("http://{address}");
    let ws = format!("ws://{address}/ws");
    let flags = ["--gamma-url", &http, "--clob-url", &http, "--ws-url", &ws, "--shards", "1"];
    let flags: Vec<String> = flags.iter().chain(more).map(|&flag| flag.to_owned()).collect();
    Engine::with_flags(&flags)
}

/// The engine still handles a signal, and every one of its threads ends.
fn stops(mut engine: Engine) {
    engine.program.signal(Signal::TERM);
    let status = engine.program.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{}", engine.program);
    engine.program.assert_clean();
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

fn waits(stream: &mut TcpStream) -> Result<()> {
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}

/// Bytes without end, faster than they can be read.
fn pours(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    loop {
        stream.write_all(bytes)?;
    }
}

#[test]
fn an_endless_rest_response_blocks_no_timer() {
    let answers: [Answer; 4] = [
        |stream, _| {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n";
            stream.write_all(head)?;
            pours(stream, &b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20_000))
        },
        |stream, _| pours(stream, &b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n".repeat(20_000)),
        |stream, _| pours(stream, &b"\r\n".repeat(500_000)),
        |stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let chunk = [b"1;".as_slice(), &b"x".repeat(60_000), b"\r\n \r\n"].concat();
            pours(stream, &chunk.repeat(10))
        },
    ];
    for answer in answers {
        let mut engine = engine(server(answer, waits), &[]);
        // With the last of them only the time of the request ends it.
        engine.program.wait_for_line("the catalog did not answer");
        assert_eq!(engine.get("/stats").status, 200);
        stops(engine);
    }
}

#[test]
fn unfinished_frames_have_a_budget_and_their_connection_is_closed() {
    let attack: Attack = |stream| {
        stream.write_all(&[0x81, 127])?;
        stream.write_all(&(31u64 << 20).to_be_bytes())?;
        for _ in 0..30 {
            stream.write_all(&vec![b' '; 1 << 20])?;
        }
        waits(stream)
    };
    let mut engine = engine(server(catalog, attack), &[]);
    let closed = |stats: &serde_json::Value| sum(stats, "closed_for_memory") > 0;
    let (stats, _) = engine.wait_for("connection closed for memory", TIMEOUT, closed);
    assert!(sum(&stats, "unfinished_bytes") <= 48 << 20, "{stats:#}");
    let line = engine.program.wait_for_line("its unfinished frames hold");
    assert!(line.contains("its books are stale until it is back"), "{line}");
    let metrics = engine.get("/metrics").text().to_owned();
    assert!(metrics.contains("ringbook_shard_closed_for_memory_total{"), "{metrics}");
    stops(engine);
}

#[test]
fn a_flood_of_empty_frames_closes_the_connection() {
    let attacks: [Attack; 3] = [
        |stream| {
            stream.write_all(&frame(0x01, b"["))?;
            pours(stream, &frame(0x00, b"").repeat(20_000))
        },
        |stream| pours(stream, &frame(0x89, b"p").repeat(20_000)),
        |stream| pours(stream, &frame(0x81, b"").repeat(20_000)),
    ];
    for attack in attacks {
        let mut engine = engine(server(catalog, attack), &[]);
        let closed = |stats: &serde_json::Value| sum(stats, "closed_for_flood") > 0;
        engine.wait_for("connection closed for its flood", TIMEOUT, closed);
        engine.program.wait_for_line("the server floods the WebSocket with");
        stops(engine);
    }
}

/// At the most verbose level too.
#[test]
fn the_log_holds_no_request_and_nothing_that_steers_a_terminal() {
    let attack: Attack = |stream| {
        let reason = "\x1b[31mEVIL\u{9b}\u{202e}\n[2026 INFO] forged".as_bytes();
        stream.write_all(&frame(0x88, &[&1008u16.to_be_bytes()[..], reason].concat()))?;
        waits(stream)
    };
    let mut engine = engine(server(catalog, attack), &["--log", "trace"]);
    let line = engine.program.wait_for_line("code 1008");
    assert!(line.contains(r"\u{1b}[31mEVIL\u{9b}\u{202e}\n[2026 INFO] forged"), "{line}");
    let stats = engine.get("/stats").text().to_owned();
    assert!(stats.contains("EVIL"), "{stats}");
    for text in [engine.program.stderr().join(""), stats] {
        for control in ["\x1b", "\u{9b}", "\u{202e}"] {
            assert!(!text.contains(control), "{control:?} in {text:?}");
        }
        assert!(!text.to_lowercase().contains("sec-websocket-key"), "{text}");
    }
    stops(engine);
}

#[test]
fn a_redirect_is_named_with_its_target() {
    let answer: Answer = |stream, _| {
        let head = "HTTP/1.1 302 Found\r\nContent-Length: 0";
        write!(stream, "{head}\r\nLocation: http://elsewhere.test/markets\r\n\r\n")
    };
    let mut engine = engine(server(answer, waits), &[]);
    let line = engine.program.wait_for_line("the catalog did not answer");
    assert!(line.contains("HTTP 302, a redirect to http://elsewhere.test/markets"), "{line}");
    stops(engine);
}

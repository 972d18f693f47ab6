//! The gateway over TLS, under the venues' names, and against what is no request.
//!
//! Runs on:  test threads; engine and venue run on threads of this process, Python and Node in their own.
use crate::gateway::{Follower, Rig, open_over, stream};
use crate::http::Client;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::startup_errors::{check, flags};
use ringbook::wire::tls::client_config;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A self-signed certificate for localhost and its key, as files.
pub(crate) struct Certificate {
    _folder: TempDir,
    pem: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let pem = rcgen::CertificateParams::new(names).unwrap().self_signed(&pair).unwrap().pem();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&certificate, &pem).unwrap();
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&key).unwrap();
        file.write_all(pair.serialize_pem().as_bytes()).unwrap();
        Self { _folder: folder, pem, certificate, key }
    }

    fn rig(&self, markets: usize, rate: f64) -> Rig {
        Rig::with(markets, rate, |builder| {
            builder.all_markets().gateway_tls(&self.certificate, &self.key)
        })
    }
}

/// A TLS connection to `address` as `name`, whose authority is `ca_pem`.
pub(crate) fn secure(address: SocketAddr, name: &str, ca_pem: &str) -> Secure {
    let stream = stream(address);
    let config = client_config(Some(ca_pem.as_bytes())).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// Waits until the client's books are the silent venue's.
fn follow(rig: &Rig, socket: &mut WebSocket<Secure>) {
    let subscription = json!({"type": "market", "assets_ids": rig.tokens});
    socket.send(Message::text(subscription.to_string())).unwrap();
    socket.get_ref().sock.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut books: BTreeMap<String, Value> = BTreeMap::new();
    let begun = Instant::now();
    let truth = |token: &String| -> Value {
        serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap()
    };
    while !rig.tokens.iter().all(|token| {
        let Some(book) = books.get(token) else { return false };
        let truth = truth(token);
        ["bids", "asks"].iter().all(|side| book[side] == truth[side])
    }) {
        assert!(begun.elapsed() < TIMEOUT, "{} books", books.len());
        match socket.read() {
            Ok(Message::Text(text)) => {
                let value: Value = serde_json::from_str(&text).unwrap();
                let events = value.as_array().cloned().unwrap_or_else(|| vec![value]);
                for book in events.into_iter().filter(|event| event["event_type"] == "book") {
                    books.insert(book["asset_id"].as_str().unwrap().to_owned(), book);
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the server sends on a plain connection after `bytes`, to its end.
fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    read_to_end(&mut stream, &mut answer);
    answer
}

/// A reset after what was sent is an end too.
pub(crate) fn read_to_end(stream: &mut impl Read, into: &mut Vec<u8>) {
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return,
            Ok(count) => into.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A value of `/metrics`.
fn metric(rig: &Rig, name: &str) -> u64 {
    let mut client = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
    let text = client.get("/metrics").text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("ringbook_{name} ")));
    line.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

fn wait_for(rig: &Rig, name: &str, least: u64) {
    let begun = Instant::now();
    while metric(rig, name) < least {
        assert!(begun.elapsed() < TIMEOUT, "{name} is {}, not {least}", metric(rig, name));
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[test]
fn clients_with_tls_get_books_and_answers() {
    let certificate = Certificate::make();
    let rig = certificate.rig(10, 0.0);
    rig.venue.pause().unwrap();
    let url = format!("wss://localhost:{}/ws/market", rig.address.port());
    let connect = || secure(rig.address, "localhost", &certificate.pem);
    let mut socket = open_over(connect, url).unwrap();
    follow(&rig, &mut socket);
    let url = format!("https://{}", rig.address);
    let mut client = Client::new(&url, Some(certificate.pem.as_bytes()));
    for token in &rig.tokens {
        let book = client.get(&format!("/book?token_id={token}")).json();
        assert_eq!(book["asset_id"], json!(token));
    }
    assert_eq!(metric(&rig, "serve_tls_handshakes_total"), 2, "requests share a connection");
    // A close of the client's side alone ends the stream, and the answer still comes.
    let mut half = secure(rig.address, "localhost", &certificate.pem);
    half.write_all(b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    half.conn.send_close_notify();
    half.flush().unwrap();
    half.sock.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    read_to_end(&mut half, &mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    rig.engine.stop(|_| {});
}

#[test]
fn what_is_no_tls_gets_an_answer_or_an_alert_and_is_counted() {
    let certificate = Certificate::make();
    let rig = certificate.rig(3, 100.0);
    let plain = answer_to(rig.address, b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.starts_with("HTTP/1.1 400 "), "{plain}");
    assert!(plain.contains("this port speaks TLS: use https:// or wss://"), "{plain}");
    wait_for(&rig, "serve_tls_handshakes_failed_total", 1);
    wait_for(&rig, "serve_requests_total{route=\"plain text\",status=\"400\"}", 1);
    for garbage in [&b"\x16\x03\x01\x00\x05hello"[..], &[0xff; 70_000], b"\x80\x2e\x01\x00\x02"] {
        let alert = answer_to(rig.address, garbage);
        assert!(matches!(alert.first(), None | Some(21)), "an alert record: {alert:?}");
    }
    wait_for(&rig, "serve_tls_handshakes_failed_total", 4);
    // A client that trusts another authority ends the handshake with an alert of its own.
    let other = Certificate::make();
    let mut stranger = secure(rig.address, "localhost", &other.pem);
    assert!(stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err());
    wait_for(&rig, "serve_tls_handshakes_failed_total", 5);
    // One that stops in the middle of its handshake is closed.
    let mut silent = TcpStream::connect(rig.address).unwrap();
    silent.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut halfway = TcpStream::connect(rig.address).unwrap();
    halfway.set_read_timeout(Some(TIMEOUT)).unwrap();
    halfway.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").unwrap();
    let mut left = TcpStream::connect(rig.address).unwrap();
    left.write_all(b"\x16\x03\x01\x02\x00").unwrap();
    left.shutdown(Shutdown::Write).unwrap();
    for stream in [&mut silent, &mut halfway, &mut left] {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        read_to_end(stream, &mut Vec::new());
    }
    wait_for(&rig, "serve_tls_handshakes_failed_total", 8);
    assert_eq!(metric(&rig, "serve_clients"), 1, "nobody holds a place: this request is the one");
    let trusted = format!("https://{}", rig.address);
    let mut client = Client::new(&trusted, Some(certificate.pem.as_bytes()));
    assert_eq!(client.get("/ok").status, 200);
    rig.engine.stop(|_| {});
}

#[test]
fn wrong_paths_and_messages_have_their_answers() {
    let certificate = Certificate::make();
    let rig = certificate.rig(3, 100.0);
    let ask = |request: &str| {
        let mut stream = secure(rig.address, "localhost", &certificate.pem);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        read_to_end(&mut stream, &mut answer);
        String::from_utf8(answer).unwrap()
    };
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let close = "Connection: close\r\n";
    for (target, fields, status) in [
        ("/nothing", close, 404),
        ("/ws/market", close, 426),
        ("/ws/other", upgrade, 404),
        ("/v1/stream?kinds=prices", upgrade, 400),
    ] {
        let answer = ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
    }
    let host = ask("GET /ok HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(host.starts_with("HTTP/1.1 421 "), "{host}");
    let other = ask("GET /ok HTTP/1.1\r\nHost: demo-api.kalshi.co\r\nConnection: close\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 421 ") && other.contains("does not follow"), "{other}");
    let named = ask("GET /ok HTTP/1.1\r\nHost: clob.polymarket.com\r\nConnection: close\r\n\r\n");
    assert!(named.starts_with("HTTP/1.1 200 "), "{named}");
    wait_for(&rig, "serve_requests_total{route=\"misdirected\",status=\"421\"}", 2);
    // The head of a message of 5 MiB.
    let connect = || secure(rig.address, "localhost", &certificate.pem);
    let mut socket = open_over(connect, "wss://localhost/ws/market").unwrap();
    let header = [0x81, 0xff, 0, 0, 0, 0, 0, 0x50, 0, 0, 1, 2, 3, 4];
    socket.get_mut().write_all(&header).unwrap();
    let code = loop {
        match socket.read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| u16::from(frame.code)),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code, Some(1009));
    rig.engine.stop(|_| {});
}

#[test]
fn unusable_certificates_and_keys_are_one_line() {
    let one = Certificate::make();
    let other = Certificate::make();
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (certificate, key) = (path(&one.certificate), path(&one.key));
    let other_key = path(&other.key);
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let expired = in_folder("expired.pem", params.self_signed(&pair).unwrap().pem().as_bytes());
    let expired_key = in_folder("expired-key.pem", pair.serialize_pem().as_bytes());
    std::fs::set_permissions(&expired_key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let open = in_folder("open.pem", &std::fs::read(&one.key).unwrap());
    let gateway = ["--gateway", "127.0.0.1:0"];
    let refused = |more: &[&str], parts: &[&str]| {
        check(flags(&[&gateway[..], more].concat()), 2, parts);
    };
    let pair = |certificate, key| ["--gateway-cert", certificate, "--gateway-key", key];
    refused(&pair(&certificate, &other_key), &["--gateway-key", "does not belong"]);
    refused(&pair(&key, &key), &["--gateway-cert", "no usable certificate"]);
    refused(&pair("/no/such.pem", &key), &["--gateway-cert", "/no/such.pem"]);
    refused(&pair(&expired, &expired_key), &["--gateway-cert", "expired.pem: has expired"]);
    refused(&pair(&certificate, &open), &["--gateway-key", "chmod 600"]);
    refused(&["--gateway-verify", "a-key"], &["--gateway-verify a-key", "ID=public.pem"]);
    let verify = format!("id={certificate}");
    refused(&["--gateway-verify", &verify], &["--gateway-verify id=", "no RSA public key"]);
    let below = format!("{certificate}/names");
    refused(&["--gateway-impersonate", &below], &["--gateway-impersonate", "another folder"]);
    check(flags(&pair(&certificate, &key)), 2, &["--gateway-cert needs --gateway"]);
    let public = ["--gateway", "203.0.113.9:9400"];
    check(flags(&public), 2, &["--gateway 203.0.113.9:9400", "--gateway-cert"]);
    let with_tls = [&public[..], &pair(&certificate, &key)].concat();
    check(flags(&with_tls), 1, &["203.0.113.9:9400: this host has no such address"]);
}

/// Connections that say nothing, garbage, half a handshake, or a request, 1,000 a second for 4 s.
fn flood(rig: &Rig) {
    let begun = Instant::now();
    let mut count = 0u64;
    let mut open = VecDeque::new();
    let first: [&[u8]; 4] =
        [b"", b"\x16\x03\x01\x02\x00\x01", b"\xff\xff\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"];
    while begun.elapsed() < Duration::from_secs(4) {
        let due = (begun.elapsed().as_secs_f64() * 1_000.0) as u64;
        while count < due {
            let Ok(mut stream) = TcpStream::connect(rig.address) else { continue };
            let _ = stream.write_all(first[count as usize % 4]);
            count += 1;
            open.push_back(stream);
            if open.len() > 300 {
                open.pop_front();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(open);
    eprintln!("{count} connections in {:.1} s", begun.elapsed().as_secs_f64());
    let mut http = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
    let health = http.get("/health");
    assert_eq!(health.status, 200, "{}", health.text());
}

#[test]
fn a_flood_of_connections_leaves_the_engine_unharmed() {
    let certificate = Certificate::make();
    let rig = certificate.rig(10, 400.0);
    rig.venue.resume().unwrap();
    flood(&rig);
    rig.venue.pause().unwrap();
    let connect = || secure(rig.address, "localhost", &certificate.pem);
    let mut socket = open_over(connect, "wss://localhost/ws/market").unwrap();
    follow(&rig, &mut socket);
    rig.engine.stop(|_| {});
}

#[test]
fn a_flood_without_tls_and_half_closed_clients_harm_nobody() {
    let rig = Rig::start(10, 400.0);
    let mut follower = Follower::connect(rig.address, "/ws/market");
    follower.send(&json!({"type": "market", "assets_ids": rig.tokens}));
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut follower], "books", |all| all[0].books.len() == rig.tokens.len());
    flood(&rig);
    rig.settle(&mut [&mut follower]);
    assert_eq!(follower.closed, None);
    // The sending side of a client ends: after a request it gets its answer, else nothing.
    let half = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(rig.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        read_to_end(&mut stream, &mut answer);
        String::from_utf8(answer).unwrap()
    };
    assert!(half(b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert_eq!(half(b""), "");
    assert_eq!(half(b"GET /ok HTTP/1.1\r\nHo"), "");
    assert_eq!(half(b"POST /books HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n["), "");
    let websocket = half(
        b"GET /ws/market HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(websocket.starts_with("HTTP/1.1 101"), "{websocket}");
    let handshake = answer_to(rig.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    let handshake = String::from_utf8(handshake).unwrap();
    assert!(handshake.starts_with("HTTP/1.1 400"), "{handshake}");
    wait_for(&rig, "serve_requests_total{route=\"malformed\",status=\"400\"}", 1);
    let begun = Instant::now();
    while metric(&rig, "gateway_clients") != 1 {
        assert!(begun.elapsed() < TIMEOUT, "{} clients", metric(&rig, "gateway_clients"));
        std::thread::sleep(POLL_INTERVAL);
    }
    rig.engine.stop(|_| {});
}

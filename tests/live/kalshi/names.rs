//! Both venues under their own names on one port, with signatures that are verified.
//!
//! Runs on:  test threads, with two venues and one engine as processes, Python and Node in their own. A client is
//! skipped, with one line, where it is missing.
use super::{KEYS, Kalshi, both::of_both, wait_live};
use crate::engine::Engine;
use crate::gateway_tls::{read_to_end, secure};
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use ringbook::venue::kalshi::sign::SigningKey;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WEBSOCKET: &str = "/trade-api/ws/v2";
const UPGRADE: &str = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The gateway, and the authority of its certificate.
struct Gateway {
    address: SocketAddr,
    authority: String,
}

impl Gateway {
    /// The status of an answer, and the bytes of it.
    fn ask(&self, name: &str, target: &str, fields: &str) -> (u16, String) {
        let mut stream = secure(self.address, name, &self.authority);
        let request = format!("GET {target} HTTP/1.1\r\nHost: {name}\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        if fields.contains("Upgrade") {
            // An accepted one does not end.
            stream.sock.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let mut part = [0; 4096];
            let count = std::io::Read::read(&mut stream, &mut part).unwrap();
            answer.extend_from_slice(&part[..count]);
        } else {
            read_to_end(&mut stream, &mut answer);
        }
        let text = String::from_utf8(answer).unwrap();
        (text[9..12].parse().unwrap(), text)
    }
}

/// Headers of a signature made `ago` before now.
fn signed(key_id: &str, ago: Duration, path: &str) -> String {
    let pem = std::fs::read(Path::new(KEYS).join("rsa-pkcs8.pem")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let wall_ms = u64::try_from((now - ago).as_millis()).unwrap();
    let headers = SigningKey::from_pem(&pem).unwrap().headers(key_id, wall_ms, "GET", path);
    headers.unwrap().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

fn check_signatures(gateway: &Gateway, ticker: &str) {
    let name = "external-api-ws.kalshi.com";
    let right = signed("a-client", Duration::ZERO, WEBSOCKET);
    assert_eq!(gateway.ask(name, WEBSOCKET, &format!("{UPGRADE}{right}")).0, 101);
    for (wrong, why) in [
        (String::new(), "must be signed"),
        (signed("another", Duration::ZERO, WEBSOCKET), "key is unknown"),
        (signed("a-client", Duration::from_secs(60), WEBSOCKET), "timestamp"),
        (signed("a-client", Duration::ZERO, "/trade-api/v2/markets"), "signature is wrong"),
    ] {
        let (status, text) = gateway.ask(name, WEBSOCKET, &format!("{UPGRADE}{wrong}"));
        assert!(status == 401 && text.contains(why), "{why}: {text}");
        assert!(text.contains(r#"{"code":"authentication_error","message":"#), "{text}");
    }
    let (name, close) = ("external-api.kalshi.com", "Connection: close\r\n");
    let many = "/trade-api/v2/markets/orderbooks";
    let target = format!("{many}?tickers={ticker}");
    assert_eq!(gateway.ask(name, &target, close).0, 401);
    let right = signed("a-client", Duration::ZERO, many);
    let (status, text) = gateway.ask(name, &target, &format!("{close}{right}"));
    assert!(status == 200 && text.contains(ticker), "{text}");
    let one = format!("/trade-api/v2/markets/{ticker}/orderbook");
    assert_eq!(gateway.ask(name, &one, close).0, 200, "public");
    assert_eq!(gateway.ask(name, &one, &format!("{close}{right}")).0, 401, "of another path");
}

/// What a program prints; `None` where it, or something that it needs, is missing.
fn run(program: &str, probe: &[&str], command: &mut Command) -> Option<String> {
    if !Command::new(program).args(probe).output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: {program} {} fails", probe.join(" "));
        return None;
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn clients_reach_both_venues_by_their_names_on_one_port() {
    let mut kalshi = Kalshi::start(&["--markets", "10", "--rate", "100"]);
    let mut polymarket = Venue::start(&["--markets", "10", "--rate", "100"]);
    let token = polymarket.markets()[0].tokens[0].clone();
    let ticker = kalshi.truth().swap_remove(0).0;
    let folder = kalshi.file("names");
    let verify = format!("a-client={KEYS}/rsa-public.pem");
    let more = ["--kalshi-connections", "1,1,1,2", "--gateway", "127.0.0.1:0"];
    let names = ["--gateway-impersonate", folder.to_str().unwrap(), "--gateway-verify", &verify];
    let flags =
        of_both("polymarket,kalshi", &kalshi, &polymarket, &[&more[..], &names[..]].concat());
    let mut engine = Engine::with_flags(&flags);
    wait_live(&mut engine, 20 + 10);
    let mut address = |venue: &str| -> SocketAddr {
        let start = format!("gateway: {venue} for its clients at ");
        let line = engine.program.wait_for_line(&start);
        line.split(&start).nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    };
    let at = address("kalshi");
    assert_eq!(address("polymarket"), at, "one port");
    engine.program.wait_for_line("impersonation: clients connect to port 443");
    let authority_file = folder.join("authority.pem");
    let authority = std::fs::read_to_string(&authority_file).unwrap();
    let gateway = Gateway { address: at, authority };
    let (close, book) = ("Connection: close\r\n", format!("/book?token_id={token}"));
    for name in ["clob.polymarket.com", "ws-subscriptions-clob.polymarket.com", "localhost"] {
        let (status, text) = gateway.ask(name, &book, close);
        assert!(status == 200 && text.contains(&token), "{name}: {text}");
    }
    assert_eq!(gateway.ask("demo-api.kalshi.co", &book, close).0, 404, "of the other venue");
    let (status, catalog) = gateway.ask("gamma-api.polymarket.com", "/markets?limit=1", close);
    assert!(status == 200 && catalog.contains("\r\n\r\n["), "a list: {catalog}");
    check_signatures(&gateway, &ticker);
    let hosts = std::fs::read_to_string(folder.join("hosts")).unwrap();
    assert!(hosts.contains("127.0.0.1 clob.polymarket.com\n"), "{hosts}");
    assert!(hosts.contains("127.0.0.1 demo-api.kalshi.co\n"), "{hosts}");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.arg(tests.join("python/venue_names.py")).args([&at.to_string(), &token, "a-client"]);
    command.arg(kalshi.file("key.pem")).arg(&ticker);
    command.env("SSL_CERT_FILE", &authority_file).env("REQUESTS_CA_BUNDLE", &authority_file);
    let needs = "import kalshi.ws.client, py_clob_client_v2, websockets";
    if let Some(out) = run(&python, &["-c", needs], &mut command) {
        let books: Value = serde_json::from_str(&out).unwrap();
        let wanted = json!({"clob": token, "market_channel": token, "kalshi": [ticker]});
        assert_eq!(books, wanted);
    }
    let mut command = Command::new("node");
    command.arg(tests.join("node/venue_names.mjs")).args([&at.to_string(), &token, &ticker]);
    command.env("NODE_EXTRA_CA_CERTS", &authority_file);
    if let Some(out) = run("node", &["--version"], &mut command) {
        assert_eq!(out, "200\n200\n");
    }
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    engine.program.assert_clean();
}

/// Where the venue's name leads to this host, the engine would connect to its own gateway.
#[test]
fn an_engine_that_would_connect_to_itself_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost clob.polymarket.com\n").unwrap();
    let names = folder.path().join("names");
    let within = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &format!("mount --bind \"$0\" /etc/hosts && {script}")]);
        command.arg(&hosts).arg(env!("CARGO_BIN_EXE_ringbook")).arg(&names);
        command.env_remove("RUST_BACKTRACE");
        command
    };
    if !within("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: unshare cannot mount a file here");
        return;
    }
    let url = "https://clob.polymarket.com";
    let mut program = Program::start(within(&format!(
        "exec \"$1\" run --gateway 127.0.0.1:0 --gateway-impersonate \"$2\" --gamma-url {url} \
         --ws-url wss://clob.polymarket.com/ws/market"
    )));
    assert_eq!(program.wait(TIMEOUT).code(), Some(1), "{program}");
    program.assert_clean();
    let lines = program.stderr();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let start = "ringbook: --gateway-impersonate: clob.polymarket.com leads to 127.0.0.1, so this process would";
    assert!(lines[0].starts_with(start) && lines[0].contains("/etc/hosts"), "{}", lines[0]);
}

//! A client of its own: plain HTTP, and tungstenite over rustls, all blocking; signatures by ring.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PSS_SHA256;
#[cfg(not(feature = "tls-ring"))]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(feature = "tls-ring")]
use rustls::crypto::ring as crypto;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How long a test waits for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
const WS_PATH: &str = "/trade-api/ws/v2";
const ROOT: &str = "/trade-api/v2";

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Where a venue is.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: Option<String>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Place {
    /// A byte stream to the venue; reads give up after `read_timeout`.
    fn connect(&self, read_timeout: Duration) -> Box<dyn Stream> {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(read_timeout)).unwrap();
        socket.set_nodelay(true).unwrap();
        // What a client does not read must not vanish in the kernel.
        socket2::SockRef::from(&socket).set_recv_buffer_size(256 * 1024).unwrap();
        let Some(pem) = &self.ca_pem else { return Box::new(socket) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        Box::new(StreamOwned::new(tls, socket))
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(String, String)]) -> Answer {
        let mut stream = self.connect(TIMEOUT);
        let more: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.flush().unwrap();
        let mut bytes = Vec::new();
        // TLS may end without close_notify; the length is checked below.
        drop(stream.read_to_end(&mut bytes));
        let all = String::from_utf8(bytes).unwrap();
        let (head, text) = all.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(text.len(), length.parse::<usize>().unwrap());
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, text: text.to_owned() }
    }

    fn answered(&self, method: &str, path: &str) -> String {
        let answer = self.request(method, path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// A path below the venue's own root.
    pub(crate) fn rest(&self, path: &str) -> Value {
        serde_json::from_str(&self.answered("GET", &format!("{ROOT}{path}"))).unwrap()
    }

    pub(crate) fn rest_status(&self, method: &str, path: &str) -> u16 {
        self.request(method, &format!("{ROOT}{path}"), &[]).status
    }

    pub(crate) fn control(&self, path: &str) {
        self.answered("POST", &format!("/sim/{path}"));
    }

    /// Waits until a counter of the venue is as wanted.
    pub(crate) fn wait(&self, pointer: &str, wanted: impl Fn(u64) -> bool) {
        let begun = Instant::now();
        while !wanted(self.stat(pointer)) {
            assert!(begun.elapsed() < TIMEOUT, "{pointer}: {}", self.asked("stats"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets so many changes of books happen.
    pub(crate) fn play(&self, changes: u64) {
        let before = self.stat("/changes");
        self.control("resume");
        self.wait("/changes", |made| made >= before + changes);
        self.control("pause");
    }

    pub(crate) fn fault(&self, query: &str) -> u64 {
        let text = self.answered("POST", &format!("/sim/fault?{query}"));
        serde_json::from_str::<Value>(&text).unwrap()["done"].as_u64().unwrap()
    }

    pub(crate) fn asked(&self, path: &str) -> String {
        self.answered("GET", &format!("/sim/{path}"))
    }

    pub(crate) fn stat(&self, pointer: &str) -> u64 {
        let stats: Value = serde_json::from_str(&self.asked("stats")).unwrap();
        stats.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Every ticker, in the venue's order.
    pub(crate) fn tickers(&self) -> Vec<String> {
        let answer = self.rest("/markets?limit=1000");
        let all = answer["markets"].as_array().unwrap().iter();
        all.map(|market| market["ticker"].as_str().unwrap().to_owned()).collect()
    }
}

/// A private key whose public half is known to the tests.
pub(crate) struct Key(KeyPair);

impl Key {
    pub(crate) fn load() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa-pkcs8.pem");
        let der = PrivatePkcs8KeyDer::from_pem_file(file).unwrap();
        Self(KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
    }

    /// The headers of a request that was signed `age_ms` ago.
    pub(crate) fn sign(&self, method: &str, path: &str, age_ms: i64) -> Vec<(String, String)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let time = (now - age_ms).to_string();
        let mut signature = vec![0; self.0.public().modulus_len()];
        let text = format!("{time}{method}{path}");
        self.0
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .unwrap();
        headers("the-key", &time, &STANDARD.encode(signature))
    }

    pub(crate) fn sign_upgrade(&self, age_ms: i64) -> Vec<(String, String)> {
        self.sign("GET", WS_PATH, age_ms)
    }
}

pub(crate) fn headers(id: &str, time: &str, signature: &str) -> Vec<(String, String)> {
    let names = ["KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"];
    let values = [id, time, signature];
    names.into_iter().zip(values).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Headers that are right where nothing is verified.
fn unverified() -> Vec<(String, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    headers("anybody", &now.to_string(), "AAAA")
}

/// A connection to the venue.
pub(crate) struct Client {
    pub(crate) socket: WebSocket<Box<dyn Stream>>,
    last_id: u64,
}

impl Client {
    /// Upgrades; `Err` with the status when refused.
    pub(crate) fn dial(place: &Place, headers: &[(String, String)]) -> Result<Self, u16> {
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(64 << 20);
        config.max_frame_size = Some(64 << 20);
        let stream = place.connect(Duration::from_millis(50));
        let url = format!("ws://{}{WS_PATH}", place.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let mut attempt = tungstenite::client::client_with_config(request, stream, Some(config));
        loop {
            match attempt {
                Ok((socket, _)) => return Ok(Self { socket, last_id: 0 }),
                Err(tungstenite::HandshakeError::Interrupted(mid)) => attempt = mid.handshake(),
                Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                    return Err(answer.status().as_u16());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn open(place: &Place) -> Self {
        Self::dial(place, &unverified()).unwrap()
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends a command; gives its id.
    pub(crate) fn send(&mut self, cmd: &str, params: Value) -> u64 {
        self.last_id += 1;
        self.send_text(&json!({"id": self.last_id, "cmd": cmd, "params": params}).to_string());
        self.last_id
    }

    /// The next message; `None` when none comes for a moment, `Err` when the connection is over.
    pub(crate) fn poll(&mut self) -> Result<Option<Message>, Error> {
        match self.socket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> String {
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if let Some(Message::Text(text)) = self.poll().unwrap() {
                return text.as_str().to_owned();
            }
        }
        panic!("nothing came");
    }

    pub(crate) fn next(&mut self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Reads until a message satisfies `wanted`; gives all of them, that one last.
    pub(crate) fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let (mut all, end) = (Vec::new(), Instant::now() + TIMEOUT);
        while Instant::now() < end {
            all.push(self.next());
            if wanted(all.last().unwrap()) {
                return all;
            }
        }
        panic!("what was waited for did not come within {} messages", all.len());
    }

    /// Everything that was sent before now, and what is subscribed to: its answer comes behind it.
    pub(crate) fn settle(&mut self) -> (Vec<Value>, Value) {
        let id = self.send("list_subscriptions", json!({}));
        let mut all = self.until(|message| message["id"] == id);
        let list = all.pop().unwrap();
        assert_eq!(list["type"], "ok", "{list}");
        (all, list["msg"].clone())
    }

    /// A command, and everything that is sent until it has been carried out.
    pub(crate) fn ask(&mut self, cmd: &str, params: Value) -> Vec<Value> {
        self.send(cmd, params);
        self.settle().0
    }

    /// The code that a command is refused with.
    pub(crate) fn code(&mut self, cmd: &str, params: Value) -> u64 {
        let all = self.ask(cmd, params.clone());
        assert_eq!(all.len(), 1, "{cmd} {params}: {all:?}");
        assert_eq!(all[0]["type"], "error", "{cmd} {params}: {all:?}");
        all[0]["msg"]["code"].as_u64().unwrap()
    }

    /// Subscribes to books; returns what was sent.
    pub(crate) fn books(&mut self, tickers: &[String]) -> Vec<Value> {
        self.ask("subscribe", json!({"channels": ["orderbook_delta"], "market_tickers": tickers}))
    }

    /// Reads until the connection is over; the close code, if one came.
    pub(crate) fn over(&mut self) -> Option<u16> {
        let (mut code, end) = (None, Instant::now() + TIMEOUT);
        while Instant::now() < end {
            match self.poll() {
                Ok(Some(Message::Close(frame))) => code = frame.map(|f| u16::from(f.code)),
                Ok(_) => {}
                Err(_) => return code,
            }
        }
        panic!("the connection does not end");
    }
}

/// Types of messages.
pub(crate) fn kinds(all: &[Value]) -> Vec<&str> {
    all.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

//! A client of its own: plain HTTP, and tungstenite over rustls, all blocking.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringbook::sim::Venue;
#[cfg(not(feature = "tls-ring"))]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(feature = "tls-ring")]
use rustls::crypto::ring as crypto;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How long a test waits for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// An answer, headers in lower case.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.body));
        })
    }
}

/// A byte stream to the venue; reads give up after `read_timeout`.
pub(crate) fn connect(venue: &Venue, read_timeout: Duration) -> Box<dyn Stream> {
    let socket = TcpStream::connect(venue.address()).unwrap();
    socket.set_read_timeout(Some(read_timeout)).unwrap();
    socket.set_nodelay(true).unwrap();
    let Some(pem) = venue.ca_pem() else { return Box::new(socket) };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(crypto::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    Box::new(StreamOwned::new(tls, socket))
}

/// One request on a stream that stays open.
pub(crate) fn ask(stream: &mut dyn Stream, method: &str, path: &str, more: &str) -> Answer {
    let (head, body) = more.split_once("\r\n\r\n").unwrap_or((more, ""));
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n{head}\r\n{}{body}",
        body.len(),
        if head.is_empty() { "" } else { "\r\n" },
    );
    stream.write_all(text.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
            if bytes.len() >= end + 4 + length {
                assert_eq!(bytes.len(), end + 4 + length, "one answer to one request");
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Answer { status, head, body: bytes.split_off(end + 4) };
            }
        }
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "ended before the answer: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..count]);
    }
}

/// Value of a header.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = |line: &'h str| line.split_once(": ").filter(|(other, _)| *other == name);
    head.lines().find_map(line).map(|(_, value)| value)
}

/// One request on a connection of its own.
pub(crate) fn request(venue: &Venue, method: &str, path: &str) -> Answer {
    ask(&mut *connect(venue, TIMEOUT), method, path, "")
}

pub(crate) fn get(venue: &Venue, path: &str) -> Value {
    let answer = request(venue, "GET", path);
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

pub(crate) fn post(venue: &Venue, path: &str) -> Value {
    let answer = request(venue, "POST", path);
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// Token ids of every open market, two by two, by walking Gamma.
pub(crate) fn all_tokens(venue: &Venue) -> Vec<String> {
    let markets = get(venue, "/markets?limit=100&closed=false");
    markets.as_array().unwrap().iter().flat_map(market_tokens).collect()
}

pub(crate) fn market_tokens(market: &Value) -> Vec<String> {
    serde_json::from_str(market["clobTokenIds"].as_str().unwrap()).unwrap()
}

/// A connection to the market channel.
pub(crate) struct Channel {
    socket: WebSocket<Box<dyn Stream>>,
}

impl Channel {
    /// Upgrades; `Err` with status and head when refused.
    pub(crate) fn try_open(venue: &Venue) -> Result<Self, Box<(u16, String)>> {
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(64 << 20);
        config.max_frame_size = Some(64 << 20);
        let stream = connect(venue, Duration::from_millis(50));
        let url = format!("ws://{}/ws/market", venue.address());
        let mut attempt = tungstenite::client::client_with_config(url, stream, Some(config));
        loop {
            match attempt {
                Ok((socket, _)) => return Ok(Self { socket }),
                Err(tungstenite::HandshakeError::Interrupted(mid)) => attempt = mid.handshake(),
                Err(tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                    let head = format!("{:?}", answer.headers());
                    return Err(Box::new((answer.status().as_u16(), head)));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn open(venue: &Venue) -> Self {
        Self::try_open(venue).unwrap_or_else(|refused| panic!("refused: {refused:?}"))
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    pub(crate) fn subscribe(&mut self, tokens: &[String], custom: bool) {
        let tokens = serde_json::to_string(tokens).unwrap();
        self.send_text(&format!(
            "{{\"assets_ids\":{tokens},\"type\":\"market\",\"initial_dump\":true,\"level\":2,\
             \"custom_feature_enabled\":{custom}}}"
        ));
    }

    /// The next message; `None` when none comes for a moment, `Err` when the connection is over.
    pub(crate) fn poll(&mut self) -> Result<Option<Message>, Error> {
        match self.socket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Message {
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if let Some(message) = self.poll().unwrap() {
                return message;
            }
        }
        panic!("no message came");
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.next() {
                return text.as_str().to_owned();
            }
        }
    }

    /// Reads until a text satisfies `wanted`; returns everything read, that text last.
    pub(crate) fn until(&mut self, mut wanted: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut texts = Vec::new();
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            let text = self.text();
            texts.push(text);
            if wanted(texts.last().unwrap()) {
                return texts;
            }
        }
        panic!("what was waited for did not come within {} messages", texts.len());
    }

    /// Everything that was sent before now: the PONG to a PING comes behind it.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        self.send_text("PING");
        let mut texts = self.until(|text| text == "PONG");
        texts.pop();
        texts
    }

    /// Reads until the connection is over; the close code, if one came.
    pub(crate) fn over(&mut self) -> Option<(u16, String)> {
        let (mut code, end) = (None, Instant::now() + TIMEOUT);
        while Instant::now() < end {
            match self.poll() {
                Ok(Some(Message::Close(frame))) => {
                    code = frame.map(|f| (u16::from(f.code), f.reason.as_str().to_owned()));
                }
                Ok(_) => {}
                Err(_) => return code,
            }
        }
        panic!("the connection does not end");
    }
}

//! Frames as a socket's bytes, and a client that processes them up to a chosen stage.
#![allow(dead_code, reason = "every bench uses another part")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where its setting fails")]
use super::frames::{Eye, Frames};
use ringbook::base::id::ShardId;
use ringbook::base::time::{MILLISECOND_NS, Now};
use ringbook::io::clock::HostClock;
use ringbook::session::{Incoming, Receive, Session};
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, Intake};
use ringbook::venue::polymarket::decode::Decoder;
use ringbook::wire::tls::{TlsSession, client_config};
use ringbook::wire::websocket::{ClientSocket, Upgrade};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;

pub(crate) fn socket() -> ClientSocket {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/bench").unwrap();
    let request = String::from_utf8(upgrade.take_output()).unwrap();
    let key = request.lines().find(|line| line.to_lowercase().starts_with("sec-websocket-key:"));
    let accept = derive_accept_key(key.unwrap()[18..].trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    upgrade.handle_bytes(answer.as_bytes()).unwrap().unwrap()
}

fn sent(server: &mut ServerConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut out).unwrap();
    }
    out
}

/// Client and server whose TLS handshake is complete.
fn tls() -> (TlsSession, ServerConnection) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = client_config(Some(certificate.pem().as_bytes())).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server_config = ServerConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let mut server = ServerConnection::new(Arc::new(server_config)).unwrap();
    let mut client = TlsSession::new(&config, "localhost").unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut out = Vec::new();
        client.poll_ciphertext(&mut out);
        let mut bytes = &out[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
        client.handle_ciphertext(&sent(&mut server), &mut |_| {}).unwrap();
    }
    (client, server)
}

pub(crate) fn put_frame(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&server_frame(text));
}
fn server_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(short as u8),
        medium @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// How far a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Finds the frames of plain bytes.
    WebSocket,
    /// Decrypts them before.
    Tls,
    /// Decodes them after.
    Decode,
    /// Applies them to books. `timed`: with the pipeline's clock reads and histograms.
    Books { timed: bool },
}

/// A client, and what its socket will give it.
pub(crate) struct Client {
    stage: Stage,
    session: Session,
    /// Bytes of each read, and when it happens, nanoseconds since the Unix epoch.
    reads: Vec<(Vec<u8>, u64)>,
    intake: Intake<(), HostClock>,
    findings: Findings,
    decoder: Decoder,
    clock: HostClock,
    frames: usize,
}

impl Client {
    /// Shakes hands, takes the dump, and has the stream before it: `per_read` frames a TLS record
    /// and a read.
    pub(crate) fn new(stage: Stage, frames: &Frames, per_read: usize, clock: &HostClock) -> Self {
        let (client, mut server) = tls();
        let plain = stage == Stage::WebSocket;
        let session = Session::new((!plain).then_some(client), socket(), "PING");
        let bytes_of = |texts: &[String]| {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| server_frame(text)).collect();
            if plain {
                return bytes;
            }
            server.writer().write_all(&bytes).unwrap();
            sent(&mut server)
        };
        // Each read is a millisecond after its last frame's time. With the host's own time the difference of the two
        // clocks, and what a message costs, would depend on how fast the benchmark runs.
        let texts = frames.stream.chunks(per_read);
        let times =
            frames.times_ms.chunks(per_read).map(|ms| (ms[ms.len() - 1] + 1) * MILLISECOND_NS);
        let reads = texts.map(bytes_of).zip(times).collect();
        let books = Books::new(
            ShardId(0),
            ringbook::venue::polymarket::feed(true),
            Admission::Implied { shards: 1 },
            (),
        );
        let mut intake = Intake::new(ringbook::venue::polymarket::feed(true), books, clock.clone());
        let mut findings = Findings::default();
        if let Stage::Books { timed } = stage {
            intake.timed = timed;
            let read = Now { wall_ns: frames.times_ms[0] * MILLISECOND_NS, ..clock.now() };
            for frame in &frames.dump {
                intake.on_frame(frame, ConnectionSlot(0), read, &mut findings);
            }
        }
        let (decoder, clock) = (Decoder::default(), clock.clone());
        let frames = frames.stream.len();
        Self { stage, session, reads, intake, findings, decoder, clock, frames }
    }

    /// Runs all of it: once.
    pub(crate) fn run(&mut self) {
        let Self { stage, session, reads, intake, findings, decoder, clock, frames } = self;
        let (stage, read) = (*stage, Now::default());
        let mut messages = Messages { stage, intake, findings, decoder, read, count: 0 };
        for (bytes, wall_ns) in &*reads {
            messages.read = Now { wall_ns: *wall_ns, ..clock.now() };
            session.receive(bytes, messages.read.mono_ns, &mut messages).unwrap();
        }
        assert_eq!((messages.count, messages.intake.counts.decode_errors), (*frames, 0));
    }
}

/// Takes the messages of a read up to a stage.
struct Messages<'a> {
    stage: Stage,
    intake: &'a mut Intake<(), HostClock>,
    findings: &'a mut Findings,
    decoder: &'a mut Decoder,
    read: Now,
    count: usize,
}

impl Receive for Messages<'_> {
    fn on_message(&mut self, message: Incoming<'_>) {
        let Some(text) = message.text() else { return };
        self.count += 1;
        match self.stage {
            Stage::WebSocket | Stage::Tls => _ = black_box(text),
            Stage::Decode => _ = self.decoder.decode(text, &mut Eye),
            Stage::Books { .. } => {
                self.intake.on_frame(text, ConnectionSlot(0), self.read, self.findings);
            }
        }
    }

    fn announce(&mut self, payload: &[u8]) {
        if let Stage::Books { .. } = self.stage {
            self.intake.announce(payload);
        }
    }
}

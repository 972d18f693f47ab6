//! Bytes of a socket to changed books, stage upon stage: CPU time a message.
//!
//! Each row does what the row before it does and one thing more: frames found (`websocket`), decrypted
//! (`tls`), decoded (`decode`), applied, with clock reads and histograms (`books`). `single` is one
//! frame a TLS record and a read, as a quiet venue sends; `batch` is twenty, as a busy one does. The kernel's share
//! is not in it: `ringbook bench-live` has that.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where its setting fails")]
mod frames;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use frames::Frames;
use ringbook::base::id::ShardId;
use ringbook::io::clock::{HostClock, thread_cpu_ns};
use ringbook::market::{event::Event, info::MarketNews};
use ringbook::session::Session;
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, Intake};
use ringbook::venue::polymarket::decode::Decoder;
use ringbook::venue::{Oddity, Sink};
use ringbook::wire::tls::{TlsSession, client_config};
use ringbook::wire::websocket::{ClientSocket, Upgrade};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tungstenite::handshake::derive_accept_key;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 16_000;
const STREAM: usize = 40_000;

struct Eye;

impl Sink for Eye {
    fn on_event(&mut self, event: &Event<'_>) {
        black_box(event);
    }
    fn on_news(&mut self, news: MarketNews) {
        black_box(news);
    }
    fn on_oddity(&mut self, oddity: &Oddity<'_>) {
        panic!("{oddity:?} in generated frames");
    }
}

fn socket() -> ClientSocket {
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

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    WebSocket,
    Tls,
    Decode,
    Books,
}

/// CPU time of one pass over the stream by a client that goes as far as `stage`.
fn pass(stage: Stage, frames: &Frames, per_read: usize, clock: &HostClock) -> Duration {
    let (client, mut server) = tls();
    let plain = stage == Stage::WebSocket;
    let mut session = Session::new((!plain).then_some(client), socket(), "PING");
    let reads: Vec<Vec<u8>> = frames
        .stream
        .chunks(per_read)
        .map(|texts| {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| server_frame(text)).collect();
            if plain {
                return bytes;
            }
            server.writer().write_all(&bytes).unwrap();
            sent(&mut server)
        })
        .collect();
    let books = Books::new(ShardId(0), Admission::Implied { shards: 1 }, ());
    let mut intake = Intake::new(books, clock.clone());
    let mut findings = Findings::default();
    if stage == Stage::Books {
        for frame in &frames.dump {
            intake.on_frame(frame, ConnectionSlot(0), clock.now(), &mut findings);
        }
    }
    let mut decoder = Decoder::default();
    let mut count = 0usize;
    let start_ns = thread_cpu_ns();
    for bytes in &reads {
        let read = clock.now();
        let result = session.handle_bytes(bytes, read.mono_ns, |text| {
            count += 1;
            let text = text.as_str();
            match stage {
                Stage::WebSocket | Stage::Tls => _ = black_box(text),
                Stage::Decode => _ = decoder.decode(text, &mut Eye),
                Stage::Books => intake.on_frame(text, ConnectionSlot(0), read, &mut findings),
            }
        });
        result.unwrap();
    }
    let took_ns = thread_cpu_ns() - start_ns;
    assert_eq!((count, intake.counts.decode_errors), (frames.stream.len(), 0));
    Duration::from_nanos(took_ns)
}

fn session(c: &mut Criterion) {
    eprintln!("host: {}", ringbook::io::host::summary());
    let clock = HostClock::new();
    let frames = frames::frames(TOKENS, STREAM, 1);
    let mut group = c.benchmark_group("session");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(frames.stream.len() as u64));
    for (name, per_read) in [("single", 1), ("batch", 20)] {
        for (stage, what) in [
            (Stage::WebSocket, "websocket"),
            (Stage::Tls, "tls"),
            (Stage::Decode, "decode"),
            (Stage::Books, "books"),
        ] {
            group.bench_function(BenchmarkId::new(what, name), |b| {
                b.iter_custom(|iterations| {
                    (0..iterations).map(|_| pass(stage, &frames, per_read, &clock)).sum()
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = session
}
criterion_main!(benches);

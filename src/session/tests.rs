//! A session against a venue in memory.
//!
//! Runs on:  any (tests).
use super::*;
use crate::base::time::SECOND_NS;
use crate::wire::tls::client_config;
use crate::wire::websocket::Upgrade;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;

fn socket() -> ClientSocket {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let request = String::from_utf8(upgrade.take_output()).unwrap();
    let key = request.lines().find(|line| line.to_lowercase().starts_with("sec-websocket-key:"));
    let accept = derive_accept_key(key.unwrap()[18..].trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    upgrade.handle_bytes(answer.as_bytes()).unwrap().unwrap()
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
        let answer = sent(&mut server);
        client.handle_ciphertext(&answer, &mut |_| panic!("no plaintext yet")).unwrap();
    }
    (client, server)
}

fn sent(server: &mut ServerConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut out).unwrap();
    }
    out
}

#[test]
fn a_goodbye_in_tls_alone_ends_the_session() {
    let (client, mut server) = tls();
    let mut session = Session::new(Some(client), socket(), "PING");
    session.start_heartbeat(0);
    server.send_close_notify();
    let error = session.handle_bytes(&sent(&mut server), 1, |_| {}).unwrap_err();
    assert!(matches!(error, SessionError::ClosedByVenue { code: 1006, .. }), "{error:?}");
}

#[test]
fn a_venue_that_pings_and_never_reads_is_left() {
    let mut session = Session::new(None, socket(), "PING");
    session.start_heartbeat(0);
    let ping = [&[0x89, 125][..], &[7; 125]].concat();
    let pings = ping.repeat(64);
    let mut ended = None;
    for _ in 0..2 * SEND_BUFFER_BYTES_MAX / pings.len() {
        if let Err(error) = session.handle_bytes(&pings, 1, |_| {}) {
            ended = Some(error);
            break;
        }
    }
    assert_eq!(ended, Some(SessionError::WebSocket(WebSocketError::SendBufferFull)));
    assert!(session.output().len() < 2 * SEND_BUFFER_BYTES_MAX);
}

fn open() -> Session {
    Session::new(None, socket(), "PING")
}

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(payload);
    frame
}

/// The text of the one masked frame that waits to be sent; sends it.
fn next_sent(session: &mut Session) -> Option<(u8, Vec<u8>)> {
    let output = session.output().to_vec();
    session.on_sent(output.len());
    let (head, rest) = output.split_at_checked(2)?;
    let (mask, masked) = rest.split_at(4);
    assert_eq!(usize::from(head[1] & 0x7f), masked.len(), "one short frame");
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((head[0] & 0x0f, payload))
}

#[test]
fn no_heartbeat_before_the_subscription_then_one_every_interval() {
    let mut session = open();
    assert_eq!(session.handle_timeout(100 * SECOND_NS), Ok(()));
    assert_eq!(next_sent(&mut session), None);
    let start = 100 * SECOND_NS;
    session.start_heartbeat(start);
    assert_eq!(session.handle_timeout(start + PING_INTERVAL_NS - 1), Ok(()));
    assert_eq!(next_sent(&mut session), None);
    for beat in 1..=3 {
        let now = start + beat * PING_INTERVAL_NS;
        assert_eq!(session.handle_timeout(now), Ok(()));
        assert_eq!(next_sent(&mut session), Some((1, b"PING".to_vec())));
        assert_eq!(session.counts().last_ping_ns, now);
        session.handle_bytes(&server_frame(1, b"PONG"), now + 1, |_| {}).unwrap();
        session.on_pong(now + 1);
    }
    assert_eq!(session.counts().last_pong_ns, start + 3 * PING_INTERVAL_NS + 1);
}

#[test]
fn silence_ends_a_session_and_any_byte_breaks_it() {
    let mut session = open();
    session.start_heartbeat(0);
    assert_eq!(session.handle_timeout(SILENCE_MAX_NS - 1), Ok(()));
    session.handle_bytes(&server_frame(1, b"[]"), SILENCE_MAX_NS - 1, |_| {}).unwrap();
    assert_eq!(session.handle_timeout(SILENCE_MAX_NS + 1), Ok(()));
    let silent = session.handle_timeout(2 * SILENCE_MAX_NS);
    assert_eq!(silent, Err(SessionError::Silent));
}

#[test]
fn messages_are_delivered_in_order_and_counted_with_their_bytes() {
    let mut session = open();
    let mut bytes = server_frame(1, b"one");
    bytes.extend(server_frame(2, b"xx"));
    bytes.extend(server_frame(1, b"two"));
    let mut texts = Vec::new();
    for byte in &bytes {
        let shown = |message: Incoming<'_>| match message {
            Incoming::Binary(bytes) => texts.push(format!("{bytes:?}")),
            message => texts.extend(message.text().map(str::to_owned)),
        };
        session.handle_bytes(&[*byte], 7, shown).unwrap();
    }
    assert_eq!(texts, ["one", "[120, 120]", "two"]);
    let counts = session.counts();
    assert_eq!(counts.frames, 3);
    assert_eq!((counts.bytes, counts.last_byte_ns), (bytes.len() as u64, 7));
}

#[test]
fn the_venue_closing_is_distinguished_from_our_own_close() {
    let mut session = open();
    let frame = server_frame(8, &[&1008u16.to_be_bytes()[..], b"bad"].concat());
    let ended = session.handle_bytes(&frame, 1, |_| {});
    assert_eq!(ended, Err(SessionError::ClosedByVenue { code: 1008, reason: "bad".into() }));

    let mut session = open();
    assert!(matches!(session.handle_end(), SessionError::ClosedByVenue { code: 1006, .. }));
    session.close(10);
    assert_eq!(next_sent(&mut session).map(|(opcode, _)| opcode), Some(8));
    assert_eq!(session.handle_end(), SessionError::Finished);
    assert_eq!(session.handle_timeout(10 + CLOSE_TIMEOUT_NS - 1), Ok(()));
    assert_eq!(session.handle_timeout(10 + CLOSE_TIMEOUT_NS), Err(SessionError::Finished));
    let answer = session.handle_bytes(&server_frame(8, &1000u16.to_be_bytes()), 11, |_| {});
    assert_eq!(answer, Err(SessionError::Finished));
}

#[test]
fn what_waits_to_be_sent_is_bounded_and_partial_sends_lose_nothing() {
    let mut session = open();
    session.send_text("abc").unwrap();
    let whole = session.output().to_vec();
    let mut gathered = Vec::new();
    while !session.output().is_empty() {
        gathered.push(session.output()[0]);
        session.on_sent(1);
    }
    assert_eq!(gathered, whole);
    let half = "x".repeat(SEND_BUFFER_BYTES_MAX / 2 + 1);
    session.send_text(&half).unwrap();
    let full = SessionError::WebSocket(WebSocketError::SendBufferFull);
    assert_eq!(session.send_text(&half), Err(full));
}

//! A session against a venue in memory.
use super::*;
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

#[test]
fn heartbeats_silence_and_the_end_of_a_close_come_in_time() {
    let mut session = Session::new(None, socket(), "PING");
    assert_eq!(session.next_timeout_ns(), None);
    session.handle_timeout(u64::MAX).unwrap();
    session.start_heartbeat(5);
    session.handle_timeout(4 + PING_INTERVAL_NS).unwrap();
    assert!(session.output().is_empty());
    session.handle_timeout(5 + PING_INTERVAL_NS).unwrap();
    assert_eq!(session.output().len(), 2 + 4 + 4);
    session.on_sent(3);
    assert_eq!(session.output().len(), 7);
    let silent = session.handle_timeout(5 + SILENCE_MAX_NS);
    assert_eq!(silent, Err(SessionError::Silent));
    session.close(9);
    assert_eq!(session.handle_timeout(9 + CLOSE_TIMEOUT_NS), Err(SessionError::Finished));
}

//! Admission and limits: signatures, pings, message sizes.
use super::client::{Client, Key, TIMEOUT, headers};
use super::venue;
use ringbook::sim::kalshi::KalshiConfig;
use serde_json::json;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tungstenite::Message;

fn locked(config: &mut KalshiConfig) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa-public.pem");
    config.key_id = Some("the-key".to_owned());
    config.public_key = Some(std::fs::read(file).unwrap());
    config.skew_ms_max = 5_000;
}

#[test]
fn only_what_is_signed_by_the_key_about_now_is_let_in() {
    let venue = venue(|config| {
        locked(config);
        config.tls = true;
    });
    let key = Key::load();
    let mut client = Client::dial(&venue, &key.sign_upgrade(0)).ok().unwrap();
    assert_eq!(client.settle().1, json!([]));
    assert!(Client::dial(&venue, &key.sign_upgrade(3_000)).is_ok(), "it may be a little late");
    let refused = |headers: &[(String, String)]| Client::dial(&venue, headers).err();
    assert_eq!(refused(&[]), Some(401));
    assert_eq!(refused(&key.sign_upgrade(8_000)), Some(401), "too late");
    assert_eq!(refused(&key.sign_upgrade(-8_000)), Some(401), "too early");
    assert_eq!(refused(&key.sign("GET", "/trade-api/ws/v1", 0)), Some(401), "another path");
    assert_eq!(refused(&key.sign("POST", "/trade-api/ws/v2", 0)), Some(401), "another method");
    let mut other = key.sign_upgrade(0);
    other[0].1 = "another-key".to_owned();
    assert_eq!(refused(&other), Some(401));
    let time = key.sign_upgrade(0)[1].1.clone();
    assert_eq!(refused(&headers("the-key", &time, "AAAA")), Some(401));
    let plain = venue.request("GET", "/trade-api/ws/v2", &key.sign_upgrade(0));
    assert_eq!(plain.status, 426);
    let posted =
        venue.request("POST", "/trade-api/ws/v2", &key.sign("POST", "/trade-api/ws/v2", 0));
    assert_eq!(posted.status, 405);
}

#[test]
fn only_lists_of_books_need_a_signature_over_rest() {
    let venue = venue(locked);
    let ticker = venue.tickers().swap_remove(0);
    let path = "/trade-api/v2/markets/orderbooks";
    let target = format!("{path}?tickers={ticker}");
    assert_eq!(venue.request("GET", &target, &[]).status, 401);
    let signed = Key::load().sign("GET", path, 0);
    assert_eq!(venue.request("GET", &target, &signed).status, 200, "the query is not signed");
    assert_eq!(venue.rest_status("GET", &format!("/markets/{ticker}/orderbook")), 200);
}

#[test]
fn pings_come_and_are_answered() {
    let venue = venue(|config| config.ping_ms = 100);
    let mut client = Client::open(&venue);
    client.socket.send(Message::Ping("are you there".into())).unwrap();
    let (mut pings, mut pongs, begun) = (0, 0, Instant::now());
    while pings < 3 || pongs < 1 {
        assert!(begun.elapsed() < TIMEOUT, "{pings} {pongs}");
        match client.poll().unwrap() {
            Some(Message::Ping(body)) => {
                assert_eq!(&body[..], b"heartbeat");
                pings += 1;
            }
            Some(Message::Pong(body)) => {
                assert_eq!(&body[..], b"are you there");
                pongs += 1;
            }
            _ => {}
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(200), "three of them take two intervals");
}

#[test]
fn a_client_is_closed_only_if_it_does_not_answer_pings() {
    let venue = venue(|config| {
        config.ping_ms = 100;
        config.pong_timeout_ms = 500;
    });
    let (mut silent, mut lively) = (Client::open(&venue), Client::open(&venue));
    let (mut bytes, mut chunk, begun) = (Vec::new(), [0; 1024], Instant::now());
    loop {
        assert!(begun.elapsed() < TIMEOUT);
        lively.settle();
        // Bytes are read and not parsed, so that nothing is answered.
        match silent.socket.get_mut().read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(450), "not at once");
    let close = [0x88, 9, 0x03, 0xf0];
    assert_eq!(bytes[bytes.len() - 11..][..4], close, "1008: {bytes:?}");
    lively.settle();
    assert_eq!(venue.stat("/clients"), 1);
}

#[test]
fn a_message_that_is_too_long_ends_the_connection() {
    let venue = venue(|config| config.message_bytes_max = 300);
    let mut client = Client::open(&venue);
    let padded = |bytes: usize| format!("{:<bytes$}", r#"{"cmd":"list_subscriptions","id":77}"#);
    client.send_text(&padded(300));
    assert_eq!(client.next()["id"], 77);
    client.send_text(&padded(301));
    assert_eq!(client.over(), Some(1009));
    let mut client = Client::open(&venue);
    // The head of a frame of 2 MB is enough.
    let mut head = vec![0x81, 0xff];
    head.extend(2_000_000u64.to_be_bytes());
    head.extend([1, 2, 3, 4]);
    client.socket.get_mut().write_all(&head).unwrap();
    assert_eq!(client.over(), Some(1009), "longer than any");
}

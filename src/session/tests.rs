use super::*;
use crate::base::time::SECOND_NS;
use crate::wire::websocket::Upgrade;
use tungstenite::handshake::derive_accept_key;

fn open() -> Session {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let request = String::from_utf8(upgrade.take_output()).unwrap();
    let header = "sec-websocket-key:";
    let line = request.lines().find(|line| line.to_lowercase().starts_with(header)).unwrap();
    let accept = derive_accept_key(line[header.len()..].trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let socket = upgrade.handle_bytes(answer.as_bytes()).unwrap().unwrap();
    Session::new(None, socket, "PING")
}

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode, u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(payload);
    frame
}

/// The text of the one masked frame that waits to be sent; sends it.
fn sent(session: &mut Session) -> Option<(u8, Vec<u8>)> {
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
    assert_eq!(sent(&mut session), None);
    let start = 100 * SECOND_NS;
    session.start_heartbeat(start);
    assert_eq!(session.next_timeout_ns(), Some(start + PING_INTERVAL_NS));
    assert_eq!(session.handle_timeout(start + PING_INTERVAL_NS - 1), Ok(()));
    assert_eq!(sent(&mut session), None);
    for beat in 1..=3 {
        let now = start + beat * PING_INTERVAL_NS;
        assert_eq!(session.handle_timeout(now), Ok(()));
        assert_eq!(sent(&mut session), Some((1, b"PING".to_vec())));
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
fn texts_are_delivered_in_order_and_counted_with_their_bytes() {
    let mut session = open();
    let mut bytes = server_frame(1, b"one");
    bytes.extend(server_frame(2, b"xx"));
    bytes.extend(server_frame(1, b"two"));
    let mut texts = Vec::new();
    for byte in &bytes {
        session.handle_bytes(&[*byte], 7, |text| texts.push(text.to_owned())).unwrap();
    }
    assert_eq!(texts, ["one", "two"]);
    let counts = session.counts();
    assert_eq!((counts.frames, counts.binary_frames), (3, 1));
    assert_eq!((counts.bytes, counts.last_byte_ns), (bytes.len() as u64, 7));
}

#[test]
fn the_venue_closing_is_told_from_our_own_close() {
    let mut session = open();
    let frame = server_frame(8, &[&1008u16.to_be_bytes()[..], b"bad"].concat());
    let ended = session.handle_bytes(&frame, 1, |_| {});
    assert_eq!(ended, Err(SessionError::ClosedByVenue { code: 1008, reason: "bad".into() }));

    let mut session = open();
    assert!(matches!(session.handle_end(), SessionError::ClosedByVenue { code: 1006, .. }));
    session.close(10);
    assert_eq!(sent(&mut session).map(|(opcode, _)| opcode), Some(8));
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

//! Upgrade, pings, closes and limits of a WebSocket.
use super::*;
use tungstenite::handshake::derive_accept_key;

fn answer_to(request: &[u8], extra_header: &str) -> Vec<u8> {
    let request = std::str::from_utf8(request).unwrap();
    let key = request
        .lines()
        .find_map(|l| l.to_lowercase().starts_with("sec-websocket-key:").then(|| l[18..].trim()))
        .unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra_header}\r\n"
    )
    .into_bytes()
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n => {
            out.push(126);
            out.extend((n as u16).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

fn open() -> ClientSocket {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let request = upgrade.take_output();
    assert!(String::from_utf8_lossy(&request).contains("ringbook/test"));
    upgrade.handle_bytes(&answer_to(&request, "")).unwrap().unwrap()
}

fn texts(socket: &mut ClientSocket, bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let read = socket.handle_bytes(bytes, &mut |message| match message {
        Incoming::Text(text) => all.push(text.to_owned()),
        Incoming::Large(text) => all.push(text),
        other => all.push(format!("{other:?}")),
    });
    read.unwrap();
    all
}

#[test]
fn bytes_may_arrive_one_by_one_and_frames_after_the_response_are_kept() {
    let mut upgrade = Upgrade::start("wss://venue.test/ws/market", "ringbook/test").unwrap();
    let request = upgrade.take_output();
    let mut bytes = answer_to(&request, "");
    bytes.extend(frame(1, b"[1]"));
    bytes.extend(frame(1, "x".repeat(5000).as_bytes()));
    let mut socket = None;
    let mut got = Vec::new();
    // The response in two parts (tungstenite treats many tiny ones as an attack), the first
    // frame right after the second, the rest byte by byte.
    let glued = bytes.len() - 5000;
    for piece in [&bytes[..40], &bytes[40..glued]] {
        socket = upgrade.handle_bytes(piece).unwrap().or(socket);
    }
    let mut socket = socket.unwrap();
    for byte in &bytes[glued..] {
        got.extend(texts(&mut socket, &[*byte]));
    }
    assert_eq!(got, ["[1]".to_owned(), "x".repeat(5000)]);
}

/// The head parser skips leading empty lines and accepts lines without `\r`.
#[test]
fn the_end_of_the_head_is_that_of_its_parser() {
    for (front, line_end) in [("", "\r\n"), ("\r\n\r\n", "\r\n"), ("", "\n"), ("\n", "\n")] {
        let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
        let answer = String::from_utf8(answer_to(&upgrade.take_output(), "")).unwrap();
        let mut bytes = format!("{front}{}", answer.replace("\r\n", line_end)).into_bytes();
        // The beginning of a frame follows.
        bytes.extend(&frame(1, b"[1]")[..3]);
        let (first, rest) = bytes.split_at(front.len());
        let mut socket = None;
        for piece in [first, rest].into_iter().filter(|piece| !piece.is_empty()) {
            socket = upgrade.handle_bytes(piece).unwrap();
        }
        let mut socket = socket.expect("open");
        assert_eq!(texts(&mut socket, &frame(1, b"[1]")[3..]), ["[1]"], "{front:?} {line_end:?}");
    }
}

#[test]
fn a_response_of_empty_lines_is_an_error() {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    assert!(upgrade.handle_bytes(b"\r\n\r\n").unwrap().is_none());
    let refused = upgrade.handle_bytes(b"nonsense\r\n\r\n");
    assert!(matches!(refused, Err(WebSocketError::Protocol(_))), "{refused:?}");
}

#[test]
fn a_ping_is_answered_and_a_close_is_delivered() {
    let mut socket = open();
    assert!(texts(&mut socket, &frame(9, b"hi")).is_empty());
    assert_eq!(socket.output()[0], 0x8a, "a pong");
    socket.clear_output();
    socket.send_text("PING").unwrap();
    assert_eq!(socket.output().len(), 2 + 4 + 4);
    let close = frame(8, &[&1008u16.to_be_bytes()[..], b"no"].concat());
    let mut got = Vec::new();
    let _ = socket.handle_bytes(&close, &mut |m| got.push(format!("{m:?}")));
    assert_eq!(got, [r#"Close { code: 1008, reason: "no" }"#]);
    assert_eq!(socket.send_text("PING"), Err(WebSocketError::Closed));
}

#[test]
fn refusals_and_broken_frames_are_distinct_errors() {
    let upgrade = || {
        let mut upgrade = Upgrade::start("ws://127.0.0.1:9/", "ringbook/test").unwrap();
        let request = upgrade.take_output();
        (upgrade, request)
    };
    let (mut u, _) = upgrade();
    let busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let retry_after = Some(RetryAfter::Seconds(7));
    let refused = WebSocketError::Refused { status: 429, retry_after, location: None };
    assert_eq!(u.handle_bytes(busy).unwrap_err(), refused);
    let (mut u, request) = upgrade();
    let deflate = answer_to(&request, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let error = u.handle_bytes(&deflate).unwrap_err();
    assert_eq!(error, WebSocketError::UnknownExtension("permessage-deflate".into()));
    let (mut u, _) = upgrade();
    assert!(matches!(u.handle_bytes(b"220 smtp\r\n\r\n"), Err(WebSocketError::Protocol(_))));
    assert!(matches!(Upgrade::start("nonsense", "x"), Err(WebSocketError::BadUrl(_))));
    let mut socket = open();
    let read = socket.handle_bytes(&[0xf1, 0x00], &mut |_| {});
    assert!(matches!(read, Err(WebSocketError::Protocol(_))));
    let mut socket = open();
    let huge = [&[0x81, 127][..], &(FRAME_BYTES_MAX as u64 + 1).to_be_bytes()].concat();
    let read = socket.handle_bytes(&huge, &mut |_| {});
    assert!(matches!(read, Err(WebSocketError::Protocol(_))));
}

#[test]
fn the_output_is_bounded() {
    let mut socket = open();
    let text = "x".repeat(SEND_BUFFER_BYTES_MAX / 2);
    assert!(socket.send_text(&text).is_ok());
    assert_eq!(socket.send_text(&text), Err(WebSocketError::SendBufferFull));
}

/// Feeds `bytes` in up to `rounds` reads; returns the error, if any.
fn flooded(front: &[u8], bytes: &[u8], rounds: usize) -> Option<WebSocketError> {
    let mut socket = open();
    socket.handle_bytes(front, &mut |_| {}).unwrap();
    for _ in 0..rounds {
        socket.begin_read();
        if let Err(error) = socket.handle_bytes(bytes, &mut |_| {}) {
            return Some(error);
        }
        socket.clear_output();
    }
    None
}

#[test]
fn floods_of_empty_frames_end_the_connection() {
    let begun = [0x01, 1, b'['];
    let flood = |error: Option<WebSocketError>| matches!(error, Some(WebSocketError::Flood(_)));
    // Empty continuations, in one read or one by one, and those of one byte.
    assert!(flood(flooded(&begun, &[0x00, 0].repeat(20_000), 1)));
    assert!(flood(flooded(&begun, &[0x00, 0], 200)));
    assert!(flood(flooded(&begun, &[0x00, 1, b' '], 200)));
    // Pings, pongs, empty texts, empty binary messages; also between fragments.
    for frame in [frame(9, b"p"), frame(10, b""), vec![0x81, 0], vec![0x82, 0]] {
        assert!(flood(flooded(&[], &frame.repeat(20_000), 1)), "{frame:?}");
    }
    assert!(flood(flooded(&begun, &frame(9, b"").repeat(20_000), 1)));
    // The permitted number per read, without end; and a large message in fragments of usual size.
    assert_eq!(flooded(&[], &frame(9, b"p").repeat(100), 1_000), None);
    let fragment = [&[0x00, 126, 0x03, 0xe8][..], &[b' '; 1000]].concat();
    assert_eq!(flooded(&begun, &fragment.repeat(64), 100), None);
}

#[test]
fn memory_of_unfinished_messages_grows_as_they_arrive_and_is_counted() {
    let announce = |first: u8, bytes: u64| [&[first, 127][..], &bytes.to_be_bytes()].concat();
    let mut socket = open();
    socket.handle_bytes(&announce(0x81, 31 << 20), &mut |_| {}).unwrap();
    assert_eq!(socket.unfinished_bytes(), 0, "no input");
    let part = vec![b' '; 64 * 1024];
    for _ in 0..20 {
        socket.handle_bytes(&part, &mut |_| {}).unwrap();
    }
    assert_eq!(socket.unfinished_bytes(), 20 * part.len());
    for _ in 20..496 {
        socket.handle_bytes(&part, &mut |_| {}).unwrap();
    }
    assert_eq!(socket.unfinished_bytes(), 0, "it is whole");
    // The same for binary messages and fragments, which tungstenite assembles.
    for first in [0x82, 0x01] {
        let mut socket = open();
        socket.handle_bytes(&announce(first, 31 << 20), &mut |_| {}).unwrap();
        socket.handle_bytes(&part, &mut |_| {}).unwrap();
        assert_eq!(socket.unfinished_bytes(), part.len());
    }
    let mut socket = open();
    let fragment = [&[0x01, 126, 0x03, 0xe8][..], &[b' '; 1000]].concat();
    socket.handle_bytes(&fragment, &mut |_| {}).unwrap();
    assert_eq!(socket.unfinished_bytes(), 1000, "between two fragments");
    socket.handle_bytes(&[0x80, 1, b' '], &mut |_| {}).unwrap();
    assert_eq!(socket.unfinished_bytes(), 0);
}

#[test]
fn a_refusal_has_retry_after_and_location() {
    let refusal = |head: &str| {
        let mut upgrade = Upgrade::start("ws://127.0.0.1:9/", "ringbook/test").unwrap();
        upgrade.handle_bytes(head.as_bytes()).unwrap_err()
    };
    let head =
        "HTTP/1.1 429 X\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let retry_after = Some(RetryAfter::Date(784_111_777));
    assert_eq!(refusal(head), WebSocketError::Refused { status: 429, retry_after, location: None });
    let head = "HTTP/1.1 302 X\r\nLocation: ws://127.0.0.1:19998/x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        refusal(head).to_string(),
        "the server refused the WebSocket with HTTP 302, a redirect to ws://127.0.0.1:19998/x, which is not followed; correct the address"
    );
}

#[test]
fn a_close_reason_is_one_visible_line() {
    let reason = "\x1b[31mEVIL\u{9b}\u{2028}\n[2026 INFO] forged";
    let close = frame(8, &[&1008u16.to_be_bytes()[..], reason.as_bytes()].concat());
    let mut got = String::new();
    let _ = open().handle_bytes(&close, &mut |message| {
        if let Incoming::Close { reason, .. } = message {
            got = reason;
        }
    });
    assert_eq!(got, "\\u{1b}[31mEVIL\\u{9b}\\u{2028}\\n[2026 INFO] forged");
}

//! Frames cut at every byte, and a refused upgrade.
use super::*;
use crate::wire::websocket::server::{ServerSocket, accept, close_frame, frame};

#[test]
fn frames_are_found_wherever_they_are_cut() {
    let long = "x".repeat(70_000);
    let mut bytes = accept("dGhlIHNhbXBsZSBub25jZQ==").into_bytes();
    for text in ["", "short", &"y".repeat(300), &long] {
        bytes.extend_from_slice(&frame(text));
    }
    bytes.extend_from_slice(&close_frame(1013, "slow"));
    for size in [1, 7, 4096, bytes.len()] {
        let mut scanner = FrameScanner::default();
        let (mut upgraded, mut text, mut ends) = (0, Vec::new(), Vec::new());
        for part in bytes.chunks(size) {
            let on_part = |part: Part<'_>| match part {
                Part::Upgraded => upgraded += 1,
                Part::Payload(bytes) => text.extend_from_slice(bytes),
                Part::End(opcode) => ends.push((opcode, text.len())),
            };
            scanner.scan(part, on_part).unwrap();
        }
        assert_eq!(upgraded, 1);
        let sums = [0, 5, 305, 70_305].map(|sum| (TEXT, sum));
        assert_eq!(ends, [&sums[..], &[(CLOSE, 70_311)]].concat(), "{size}");
    }
}

#[test]
fn a_refusal_is_its_first_line_and_texts_are_those_of_a_client() {
    let mut scanner = FrameScanner::default();
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(scanner.scan(answer, |_| ()), Err("HTTP/1.1 404 Not Found".to_owned()));
    for length in [0, 125, 126, 65_535, 65_536] {
        let (text, mut socket) = ("z".repeat(length), ServerSocket::new(1 << 20));
        let mut received = Vec::new();
        let mut bytes = client_text(&text);
        bytes.extend_from_slice(&PONG);
        let on_message = |message: crate::wire::websocket::server::ClientMessage<'_>| {
            received.push(format!("{message:?}").len());
        };
        socket.handle_bytes(&bytes, on_message).unwrap();
        assert_eq!(received.len(), 2, "{length}");
        assert!(received[0] > length);
    }
}

//! The WebSocket server against the rules of RFC 6455, in whole and in split reads.
use super::*;
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MESSAGE_BYTES_MAX: usize = 4096;

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = text_frame(payload);
    bytes[0] = first;
    bytes[1] |= 0x80;
    let header = bytes.len() - payload.len();
    bytes.truncate(header);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    bytes
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    masked(0x88, &close_frame(code, reason)[2..])
}

/// What a client receives for its bytes, in one read or in reads of `bytes_max`.
fn outcome(bytes: &[u8], bytes_max: usize) -> (Vec<String>, Vec<u8>, Result<(), ClientFault>) {
    let mut socket = ServerSocket::new(MESSAGE_BYTES_MAX);
    let mut messages = Vec::new();
    let mut result = Ok(());
    for read in bytes.chunks(bytes_max) {
        result = socket.handle_bytes(read, |message| messages.push(format!("{message:?}")));
        if result.is_err() {
            break;
        }
    }
    (messages, socket.take_output(), result)
}

/// As [`outcome`], and the same for single bytes.
fn of(bytes: &[u8]) -> (Vec<String>, Vec<u8>, Result<(), ClientFault>) {
    let whole = outcome(bytes, usize::MAX);
    assert_eq!(outcome(bytes, 1), whole);
    whole
}

fn code(result: Result<(), ClientFault>) -> Option<u16> {
    match result {
        Err(ClientFault::Protocol { code, .. }) => Some(code),
        _ => None,
    }
}

#[test]
fn the_upgrade_is_accepted_as_in_the_standard() {
    let response = accept("dGhlIHNhbXBsZSBub25jZQ==");
    assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{response}");
    assert!(response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(response.ends_with("\r\n\r\n"));
}

#[test]
fn frames_have_the_shortest_header() {
    assert_eq!(&*frame("ab"), b"\x81\x02ab");
    assert_eq!(frame(&"a".repeat(125))[..2], [0x81, 125]);
    assert_eq!(frame(&"a".repeat(126))[..4], [0x81, 126, 0, 126]);
    assert_eq!(frame(&"a".repeat(65_536))[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(close_frame(1013, "slow"), b"\x88\x06\x03\xf5slow");
    let long = close_frame(1000, &"é".repeat(100));
    assert_eq!((long.len(), usize::from(long[1])), (2 + 124, 124), "cut between characters");
}

#[test]
fn messages_pings_and_closes_are_answered() {
    let mut bytes = masked(0x81, "é".as_bytes());
    bytes.extend(masked(0x89, b"ping"));
    bytes.extend(masked(0x01, b"in "));
    bytes.extend(masked(0x8a, b""));
    bytes.extend(masked(0x80, b"parts"));
    bytes.extend(masked(0x82, &[1, 2]));
    bytes.extend(close(1001, "away"));
    let (messages, output, result) = of(&bytes);
    let all =
        ["Text(\"é\")", "Pong", "Text(\"in parts\")", "Binary([1, 2])", "Close(1001, \"away\")"];
    assert_eq!(messages, all);
    assert_eq!(output, b"\x8a\x04ping\x88\x06\x03\xe9away");
    assert_eq!(result, Err(ClientFault::Closed));
    assert_eq!(of(&masked(0x88, b"")).0, ["Close(1005, \"\")"]);
}

#[test]
fn violations_end_with_the_codes_of_the_standard() {
    let unmasked = frame("no mask").to_vec();
    let long = masked(0x81, &[b'a'; MESSAGE_BYTES_MAX + 1]);
    let mut parts = masked(0x01, &[b'a'; MESSAGE_BYTES_MAX]);
    parts.extend(masked(0x80, b"b"));
    for (bytes, expected) in [
        (unmasked, 1002),
        (masked(0xc1, b"reserved bit"), 1002),
        (masked(0x83, b"reserved opcode"), 1002),
        (masked(0x80, b"continues nothing"), 1002),
        (masked(0x09, b"fragmented ping"), 1002),
        (masked(0x89, &[0; 126]), 1002),
        (masked(0x88, b"\x03"), 1002),
        (masked(0x81, b"\xff"), 1007),
        (masked(0x01, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90"), 1007),
        (long, 1009),
        (parts, 1009),
    ] {
        let (messages, output, result) = of(&bytes);
        assert_eq!((messages.len(), code(result)), (0, Some(expected)), "{bytes:?}");
        assert_eq!((output[0], &output[2..4]), (0x88, &u16::to_be_bytes(expected)[..]));
    }
    // A code that must not be sent is answered with 1002.
    let (messages, output, result) = of(&close(1005, ""));
    assert_eq!((messages.len(), result), (1, Err(ClientFault::Closed)));
    assert_eq!(output[2..4], 1002u16.to_be_bytes());
}

#[test]
fn a_close_of_the_server_ends_with_the_clients() {
    let mut socket = ServerSocket::new(MESSAGE_BYTES_MAX);
    socket.close(1013, &"slow ".repeat(40));
    assert!(!socket.is_open());
    socket.close(1000, "again");
    socket.ping(b"");
    let output = socket.take_output();
    assert_eq!((output.len(), &output[2..4]), (127, &1013u16.to_be_bytes()[..]));
    let mut messages = Vec::new();
    let mut read = |bytes: &[u8]| socket.handle_bytes(bytes, |m| messages.push(format!("{m:?}")));
    assert_eq!(read(&masked(0x81, b"late")), Ok(()));
    assert_eq!(read(&close(1013, "")), Err(ClientFault::Closed));
    assert_eq!(messages, ["Close(1013, \"\")"], "texts after the close are discarded");
    assert!(socket.take_output().is_empty());
}

#[test]
fn floods_are_ended() {
    let flooded = |bytes: &[u8]| {
        let (_, output, result) = outcome(bytes, usize::MAX);
        let is_flood = matches!(result, Err(ClientFault::Flood(_)));
        assert_eq!(is_flood, output.get(2..4) == Some(&1008u16.to_be_bytes()[..]));
        is_flood
    };
    assert!(flooded(&masked(0x89, b"").repeat(CONTROL_FRAMES_PER_READ_MAX + 1)));
    assert!(!flooded(&masked(0x8a, b"").repeat(CONTROL_FRAMES_PER_READ_MAX)));
    assert!(flooded(&masked(0x81, b"").repeat(CONTROL_FRAMES_PER_READ_MAX + 1)));
    let mut fragments = masked(0x01, b"a");
    for _ in 0..3 * FRAGMENTS_FREE {
        fragments.extend(masked(0x00, b"a"));
    }
    assert!(flooded(&fragments));
    // The same over many reads.
    assert!(matches!(outcome(&fragments, 7).2, Err(ClientFault::Flood(_))));
    let mut large = masked(0x01, &[b'a'; 16]);
    for _ in 0..3 * FRAGMENTS_FREE {
        large.extend(masked(0x00, &[b'a'; 16]));
    }
    assert!(!flooded(&large));
    // A client that only pings, and a server that cannot write.
    let mut socket = ServerSocket::new(MESSAGE_BYTES_MAX);
    let pings = masked(0x89, &[0; 125]).repeat(CONTROL_FRAMES_PER_READ_MAX);
    let reads = SEND_BUFFER_BYTES_MAX / (127 * CONTROL_FRAMES_PER_READ_MAX) + 2;
    let fault = (0..reads).find_map(|_| socket.handle_bytes(&pings, |_| {}).err());
    assert!(matches!(fault, Some(ClientFault::Flood(_))), "{fault:?}");
}

proptest! {
    /// No input panics, and how it is split into reads changes nothing. A case has too few frames for a flood, which is
    /// counted per read.
    #[test]
    fn reads_may_be_split_anywhere(
        frames in prop::collection::vec(
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..8),
        rest in prop::collection::vec(any::<u8>(), 0..20),
        bytes_max in 1usize..30,
    ) {
        let mut bytes = Vec::new();
        for (first, payload, is_text) in frames {
            bytes.extend(if is_text { masked(0x81, b"text") } else { masked(first, &payload) });
        }
        bytes.extend(rest);
        prop_assert_eq!(outcome(&bytes, bytes_max), outcome(&bytes, usize::MAX));
    }
}

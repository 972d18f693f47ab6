//! Slots of connections; detection of binary input.
use super::*;
use crate::base::limits::REPLAY_CONNECTIONS_MAX;

#[test]
fn connections_have_places_of_their_own_within_the_bound() {
    let mut connections = Connections::default();
    let (a, b) = (connections.slot(u64::MAX), connections.slot(0));
    assert_eq!((a, b), (ConnectionSlot(1), ConnectionSlot(2)));
    assert_eq!(connections.slot(u64::MAX), a);
    connections.ended(u64::MAX);
    connections.ended(u64::MAX);
    assert_eq!(connections.slot(5), a);
    let most = u64::from(REPLAY_CONNECTIONS_MAX) + 10;
    assert!((10..most).all(|c| connections.slot(c).0 <= REPLAY_CONNECTIONS_MAX));
    assert_eq!(connections.slot(most), ConnectionSlot(REPLAY_CONNECTIONS_MAX));
    assert!(connections.slots.len() < REPLAY_CONNECTIONS_MAX as usize);
}

#[test]
fn text_is_distinguished_from_bytes_that_are_none() {
    for text in ["", "{}", "PONG\n", "{\"a\":\"\u{e9}\"}", "\u{feff}{}"] {
        assert!(!looks_binary(text.as_bytes()), "{text}");
    }
    assert!(!looks_binary(b"{\"a\":\"\xff\"}"), "one bad byte in a frame is an error, no file");
    assert!(!looks_binary(b"\"\xc3"), "a character cut by the buffer");
    for text in [&b"{}\n\0\0\0"[..], b"\0\0\0\0{}\n", b"{\"a\":\0\0\0{}\n", b"\0\0"] {
        assert!(!looks_binary(text), "a power cut: {text:?}");
    }
    for bytes in [
        &b"\x7fELF\x02\0"[..],
        b"PAR1\0",
        b"\xfd7zXZ\0",
        b"BZh9\xff1AY",
        b"{\x00\"\x00a\x00\"\x00:\x001\x00}\x00",
    ] {
        assert!(looks_binary(bytes), "{bytes:?}");
    }
}

//! Files of venues and of no venue.
use super::*;

#[test]
fn files_that_are_no_recordings_are_named() {
    assert!(foreign(b"SQLite format 3\0\x10").unwrap().contains("sqlite:FILE"));
    assert!(foreign(b"\x89PNG\r\n").unwrap().contains("image"));
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(foreign(&tar).unwrap().contains("tar"));
    for text in [&b"{}\n"[..], b"[]", b"PONG", b"", b"1795763700500 {}", b"\xef\xbb\xbf{}", b"< {}"]
    {
        assert_eq!(foreign(text), None, "{text:?}");
    }
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

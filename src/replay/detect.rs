//! Detects the venue of a recording, and binary input.
//!
//! Runs on:  the starting thread.
//! Bounds:   `VALUES_LOOKED_AT` values of the first file.
use super::lines::{Condition, Lines};
use crate::capture::line::{Record, What};
use crate::io::file::{self, Source};
use crate::venue::{self, Feed};
use std::sync::Arc;

/// Values read before giving up.
const VALUES_LOOKED_AT: usize = 10_000;

/// The venue of the first message that only one venue can have sent; `None` if there is none, and for standard
/// input and pipes, which can be read only once.
#[must_use]
pub fn venue_of(files: &[Source]) -> Option<Feed> {
    for source in files {
        if *source == Source::Stdin || file::look(source).ok()?.len.is_none() {
            return None;
        }
        let mut lines = Lines::new(file::open(source, &Arc::default()).ok()?.reader);
        for _ in 0..VALUES_LOOKED_AT {
            let Ok(Some(value)) = lines.next() else { break };
            let Ok(text) = std::str::from_utf8(value.bytes) else { continue };
            if value.condition != Condition::Whole {
                continue;
            }
            let What::Text(frame) = Record::read(text).what else { continue };
            let certain = venue::ALL.into_iter().find(|feed| feed.recognizes(&frame));
            if certain.is_some() {
                return certain;
            }
        }
    }
    None
}

/// True if the first bytes (at most 4 KiB) cannot be text.
pub(super) fn looks_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let pieces = || head.split(|byte| matches!(byte, b'\n' | 0)).filter(|piece| !piece.is_empty());
    let line = pieces().next().unwrap_or_default();
    let odd = std::str::from_utf8(line).is_err_and(|error| error.error_len().is_some());
    let begins = line.trim_ascii_start().first();
    if odd && !matches!(begins, Some(b'{' | b'[')) {
        return true;
    }
    // Runs of NUL bytes mark lost data; single ones between letters are another encoding.
    let nuls = head.iter().filter(|&&byte| byte == 0).count();
    let runs = head.chunk_by(|a, b| (*a == 0) == (*b == 0)).filter(|run| run[0] == 0).count();
    let is_json = matches!(begins, Some(b'{' | b'[' | b'"' | b'0'..=b'9') | None);
    nuls > 0 && (!is_json || (runs > 4 && nuls < 4 * runs))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

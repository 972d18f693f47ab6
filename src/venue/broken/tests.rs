//! Broken frames, for the tests of every venue's decoder.
use proptest::prelude::*;

/// One change of a frame's text, kept UTF-8 and often kept JSON.
fn broken(frame: &str, place: usize, kind: u8, byte: u8) -> String {
    let mut bytes = frame.as_bytes().to_vec();
    let place = place % bytes.len().max(1);
    match kind {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, byte),
        2 => drop(bytes.remove(place)),
        3 => bytes[place] = byte,
        4 => bytes.swap(place, (place + 1) % frame.len()),
        _ => bytes.extend_from_within(place..),
    }
    String::from_utf8(bytes).unwrap_or_else(|_| frame.to_owned())
}

fn a_byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'"'), Just(b'\\'), Just(b' '), Just(b','), Just(b'}'), Just(b'0'), 0..128u8]
}

/// Such a frame with one or two changes.
pub(super) fn broken_frame(frame: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let breaks = prop::collection::vec((any::<usize>(), 0..6u8, a_byte()), 1..3);
    (frame, breaks).prop_map(|(frame, breaks)| {
        breaks.iter().fold(frame, |frame, &(place, kind, byte)| {
            if frame.is_empty() { frame } else { broken(&frame, place, kind, byte) }
        })
    })
}

//! Frames read by another library, and fragments at every split.
use super::*;
use std::io::Cursor;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

fn masked(payload: &[u8], opcode: Opcode, last: bool) -> Vec<u8> {
    let code = OpCode::Data(match opcode {
        Opcode::Continuation => Data::Continue,
        _ => Data::Text,
    });
    let mut frame = Frame::message(payload.to_vec(), code, last);
    frame.header_mut().mask = Some([1, 2, 3, 4]);
    let mut out = Vec::new();
    frame.format(&mut out).unwrap();
    out
}

#[test]
fn frames_written_here_are_read_by_tungstenite() {
    for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, &vec![b'x'; length]);
        let mut cursor = Cursor::new(&out);
        let (header, parsed) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        assert!(header.is_final && header.mask.is_none());
        assert_eq!(parsed, length as u64);
        assert_eq!(cursor.position() as usize + length, out.len());
    }
}

#[test]
fn fragments_are_joined_at_every_split() {
    let mut wire = masked(b"hello ", Opcode::Text, false);
    wire.extend(masked(b"world", Opcode::Continuation, true));
    wire.extend(masked(&vec![b'y'; 70_000], Opcode::Text, true));
    for split in 0..40 {
        let (mut assembly, mut input) = (Assembly::default(), Vec::new());
        let mut messages = Vec::new();
        for part in [&wire[..split], &wire[split..]] {
            input.extend_from_slice(part);
            while let Some(message) = assembly.poll_message(&mut input).unwrap() {
                messages.push(message.payload);
            }
        }
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0], b"hello world");
        assert_eq!(messages[1].len(), 70_000);
    }
    let mut unmasked = vec![0x81, 0x01, b'x'];
    assert!(Assembly::default().poll_message(&mut unmasked).is_err());
}

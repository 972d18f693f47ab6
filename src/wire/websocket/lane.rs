//! Which bytes of a stream are whole text frames that can be read where they lie.
//!
//! Runs on:  shards (pure). Owns: a frame that arrives in pieces.
//! Bounds:   `FRAME_BYTES_MAX` a frame, whose memory is touched as its bytes arrive; what was kept for one beyond
//!           `LARGE_FRAME_BYTES` is given away. `CONTROL_FRAMES_PER_READ_MAX` frames a read that say nothing
//!           (pings, pongs, empty ones); `FRAGMENT_BYTES_MIN` a fragment beyond `FRAGMENTS_FREE`.
//!
//! A market feed is text frames, unmasked and unfragmented, and now and then something else. Those
//! are taken here, without a copy where they lie whole in one read; every byte of anything else is
//! passed on to the full WebSocket implementation, which alone knows what a violation is. Both see
//! frames in the order of the stream. Compared with that implementation alone in `websocket/tests.rs`.
use crate::base::limits::{
    CONTROL_FRAMES_PER_READ_MAX, FRAGMENT_BYTES_MIN, FRAGMENTS_FREE, FRAME_BYTES_MAX,
    LARGE_FRAME_BYTES,
};

/// Longest header looked at: two bytes and a length of eight. A mask is a violation anyway.
const HEADER_BYTES_MAX: usize = 10;
/// Final, text, no reserved bit.
const WHOLE_TEXT: u8 = 0x81;

/// What comes next in the stream.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A whole text frame's payload; not yet checked to be UTF-8.
    Text(&'a [u8]),
    /// The same, longer than [`LARGE_FRAME_BYTES`] and gathered from several reads.
    Large(Vec<u8>),
    /// Bytes for the full implementation.
    Other(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a frame's first byte, or within its header, of which `len` bytes are kept.
    Header,
    /// Within a text frame that is gathered.
    Gather { left: usize },
    /// Within a frame that is passed on.
    Pass { left: u64 },
    /// Everything is passed on for good.
    GivenUp,
    /// The connection is to be closed: nothing more is read, and this is why.
    Flooded(&'static str),
}

/// Follows the frames of one stream.
#[derive(Debug)]
pub(super) struct Lane {
    state: State,
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// A fragmented message has begun and not ended.
    fragmented: bool,
    /// Fragments of that message, and what they announced, bytes.
    fragments: usize,
    fragment_bytes: u64,
    /// Payload of the frame that is passed on, bytes.
    passing_bytes: u64,
    /// Frames of this read that say nothing.
    empty_frames: usize,
    gathered: Vec<u8>,
}

/// What a header says.
struct Header {
    bytes: usize,
    payload: u64,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            state: State::Header,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            fragmented: false,
            fragments: 0,
            fragment_bytes: 0,
            passing_bytes: 0,
            empty_frames: 0,
            gathered: Vec::new(),
        }
    }

    /// Another read begins.
    #[inline]
    pub(super) const fn begin_read(&mut self) {
        self.empty_frames = 0;
    }

    /// What the server floods the connection with, if it does.
    #[inline]
    pub(super) const fn flood(&self) -> Option<&'static str> {
        match self.state {
            State::Flooded(what) => Some(what),
            _ => None,
        }
    }

    /// Bytes that have come of messages that have begun and not ended: what they take of memory.
    pub(super) fn unfinished_bytes(&self) -> usize {
        let (announced, left) = match self.state {
            State::Gather { .. } => return self.gathered.len(),
            State::Pass { left } if self.fragmented => (self.fragment_bytes, left),
            State::Pass { left: left @ 1.. } => (self.passing_bytes, left),
            _ if self.fragmented => (self.fragment_bytes, 0),
            _ => return 0,
        };
        usize::try_from(announced.saturating_sub(left)).unwrap_or(usize::MAX)
    }

    /// Counts a frame that says nothing.
    const fn count_empty(&mut self) {
        self.empty_frames += 1;
        if self.empty_frames > CONTROL_FRAMES_PER_READ_MAX {
            self.state = State::Flooded("control frames and empty frames");
        }
    }

    /// Counts a fragment of a message, the last one too.
    fn count_fragment(&mut self, payload_bytes: u64, last: bool) {
        self.fragments += 1;
        self.fragment_bytes = self.fragment_bytes.saturating_add(payload_bytes);
        let counted = self.fragments.saturating_sub(FRAGMENTS_FREE);
        if ((counted * FRAGMENT_BYTES_MIN) as u64) > self.fragment_bytes {
            self.state = State::Flooded("a message in too many small fragments");
        }
        if last {
            (self.fragments, self.fragment_bytes) = (0, 0);
        }
    }

    /// Bytes of memory kept for the next frame that arrives in pieces.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.gathered.capacity()
    }

    /// From now on everything is passed on.
    pub(super) fn give_up(&mut self) {
        self.state = State::GivenUp;
    }

    /// Takes the next piece from the front of `bytes`; `None` when they are used up. Call it again
    /// until then: a piece says nothing about what follows it.
    #[inline]
    pub(super) fn next<'s, 'b: 's>(&'s mut self, bytes: &mut &'b [u8]) -> Option<Piece<'s>> {
        loop {
            match self.state {
                State::Header => {
                    if self.header_len == 0
                        && let Some(payload) = whole_text(bytes, self.fragmented)
                    {
                        if payload.is_empty() {
                            self.count_empty();
                        }
                        return Some(Piece::Text(payload));
                    }
                    let passed_on = self.on_header(bytes)?;
                    if passed_on > 0 {
                        return Some(Piece::Other(&self.header[..passed_on]));
                    }
                }
                State::Gather { left } => {
                    let part = take(bytes, left);
                    self.gathered.extend_from_slice(part);
                    if part.len() < left {
                        self.state = State::Gather { left: left - part.len() };
                        return None;
                    }
                    self.state = State::Header;
                    return Some(if self.gathered.len() > LARGE_FRAME_BYTES {
                        Piece::Large(std::mem::take(&mut self.gathered))
                    } else {
                        Piece::Text(&self.gathered)
                    });
                }
                State::Pass { left } => {
                    if left == 0 {
                        self.state = State::Header;
                        continue;
                    }
                    let part = take(bytes, usize::try_from(left).unwrap_or(usize::MAX));
                    if part.is_empty() {
                        return None;
                    }
                    self.state = State::Pass { left: left - part.len() as u64 };
                    return Some(Piece::Other(part));
                }
                State::GivenUp => {
                    let all = std::mem::take(bytes);
                    return if all.is_empty() { None } else { Some(Piece::Other(all)) };
                }
                State::Flooded(_) => return None,
            }
        }
    }

    /// Reads a header that may be split, and decides who gets the frame. Gives the header's bytes
    /// that are to be passed on, 0 for a frame that is gathered; `None` when more bytes are needed.
    fn on_header(&mut self, bytes: &mut &[u8]) -> Option<usize> {
        let header = loop {
            if let Some(header) = self.parsed_header() {
                break header;
            }
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            self.header[self.header_len] = byte;
            self.header_len += 1;
        };
        self.header_len = 0;
        let (first, masked) = (self.header[0], self.header[1] & 0x80 != 0);
        let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first == WHOLE_TEXT && !masked && !self.fragmented {
            if header.payload > FRAME_BYTES_MAX as u64 {
                self.state = State::GivenUp;
            } else {
                self.gathered.clear();
                // Reserved at once, so that nothing is copied; the kernel gives pages as bytes are written to them.
                self.gathered.reserve_exact(header.payload as usize);
                self.state = State::Gather { left: header.payload as usize };
                return Some(0);
            }
        } else {
            // After a close nothing is text any more; what is no valid header is not ours to judge.
            let known = matches!(opcode, 0..=2 | 8..=10) && first & 0x70 == 0 && !masked;
            self.state = match opcode {
                _ if !known => State::GivenUp,
                8 => State::GivenUp,
                _ => State::Pass { left: header.payload },
            };
            if let State::Pass { left } = self.state {
                self.passing_bytes = left;
                if opcode >= 9 || (left == 0 && last && opcode != 0) {
                    self.count_empty();
                }
                if opcode < 8 {
                    if self.fragmented || !last {
                        self.count_fragment(left, last);
                    }
                    self.fragmented = !last;
                }
                if self.flood().is_some() {
                    return None;
                }
            }
        }
        Some(header.bytes)
    }

    /// The header in `self.header`, once it is complete.
    fn parsed_header(&self) -> Option<Header> {
        let have = &self.header[..self.header_len];
        let (_, length) = (have.first()?, have.get(1)?);
        let (bytes, payload) = match length & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(have.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(have.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        Some(Header { bytes, payload })
    }
}

/// The payload of the whole text frame at the front of `bytes`, if one lies there.
#[inline]
fn whole_text<'a>(bytes: &mut &'a [u8], fragmented: bool) -> Option<&'a [u8]> {
    let &[first, length, ..] = *bytes else { return None };
    if first != WHOLE_TEXT || fragmented {
        return None;
    }
    let (start, len) = match length {
        0..=125 => (2, usize::from(length)),
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        // Masked, or as long as several reads.
        _ => return None,
    };
    let payload = bytes.get(start..start + len)?;
    *bytes = &bytes[start + len..];
    Some(payload)
}

/// Takes at most `count` bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    part
}

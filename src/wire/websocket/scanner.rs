//! Scanner for whole text frames that can be read in place.
//!
//! Runs on:  shards (pure). Owns: a partly received frame.
//! Bounds:   `FRAME_BYTES_MAX` per frame, whose memory is touched as its bytes arrive and, beyond `LARGE_FRAME_BYTES`,
//!           given away with it. `CONTROL_FRAMES_PER_READ_MAX` frames without content (pings, pongs, empty frames) per
//!           read; `FRAGMENT_BYTES_MIN` per fragment beyond `FRAGMENTS_FREE`.
//!
//! A market feed is mostly unmasked, unfragmented text frames. Those are read here, without a copy if they are whole in
//! one read; all other bytes go, in stream order, to tungstenite, which also judges protocol violations.
//! `websocket/tests.rs` compares the result with tungstenite alone.
use crate::base::limits::{
    CONTROL_FRAMES_PER_READ_MAX, FRAGMENT_BYTES_MIN, FRAGMENTS_FREE, FRAME_BYTES_MAX,
    LARGE_FRAME_BYTES,
};

/// Longest unmasked header: two bytes and a length of eight. A mask is a violation.
const HEADER_BYTES_MAX: usize = 10;
/// Frames announced before they are delivered: one loads the index, one the books.
const FRAMES_AHEAD: usize = 2;
/// Final, text, no reserved bit.
const WHOLE_TEXT: u8 = 0x81;

/// Next part of the stream.
#[derive(Debug)]
pub(super) enum FrameToken<'a> {
    /// A whole text frame's payload; UTF-8 is not yet checked.
    Text(&'a [u8]),
    /// A payload longer than [`LARGE_FRAME_BYTES`], assembled from several reads.
    Large(Vec<u8>),
    /// Bytes for tungstenite.
    Other(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before or within a frame's header.
    Header,
    /// Within a text frame that is assembled.
    Gather { left: usize },
    /// Within a frame for tungstenite.
    Pass { left: u64 },
    /// All further bytes are for tungstenite.
    GivenUp,
    /// Too many frames without content: nothing more is read. The value describes them.
    Flooded(&'static str),
}

#[derive(Debug)]
pub(super) struct FrameScanner {
    state: State,
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// Within a fragmented message.
    fragmented: bool,
    /// Fragments of that message, and their announced length, bytes.
    fragments: usize,
    fragment_bytes: u64,
    /// Payload of the current frame for tungstenite, bytes.
    passing_bytes: u64,
    /// Frames without content in this read.
    empty_frames: usize,
    gathered: Vec<u8>,
}

struct Header {
    bytes: usize,
    payload: u64,
}

impl FrameScanner {
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

    #[inline]
    pub(super) const fn begin_read(&mut self) {
        self.empty_frames = 0;
    }

    #[inline]
    pub(super) const fn flood(&self) -> Option<&'static str> {
        match self.state {
            State::Flooded(what) => Some(what),
            _ => None,
        }
    }

    /// Memory of incomplete messages: bytes received of them.
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

    /// Counts a frame without content.
    const fn count_empty(&mut self) {
        self.empty_frames += 1;
        if self.empty_frames > CONTROL_FRAMES_PER_READ_MAX {
            self.state = State::Flooded("control frames and empty frames");
        }
    }

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

    /// Capacity retained for the next partial frame, bytes.
    #[cfg(test)]
    pub(super) fn retained_bytes(&self) -> usize {
        self.gathered.capacity()
    }

    /// All further bytes are for tungstenite.
    pub(super) fn give_up(&mut self) {
        self.state = State::GivenUp;
    }

    /// Takes the next token from the front of `bytes`; `None` when they are used up. Must be called until then.
    #[inline]
    pub(super) fn next<'s, 'b: 's>(&'s mut self, bytes: &mut &'b [u8]) -> Option<FrameToken<'s>> {
        loop {
            match self.state {
                State::Header => {
                    if self.header_len == 0
                        && let Some(payload) = whole_text(bytes, self.fragmented)
                    {
                        if payload.is_empty() {
                            self.count_empty();
                        }
                        return Some(FrameToken::Text(payload));
                    }
                    let passed_on = self.on_header(bytes)?;
                    if passed_on > 0 {
                        return Some(FrameToken::Other(&self.header[..passed_on]));
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
                        FrameToken::Large(std::mem::take(&mut self.gathered))
                    } else {
                        FrameToken::Text(&self.gathered)
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
                    return Some(FrameToken::Other(part));
                }
                State::GivenUp => {
                    let all = std::mem::take(bytes);
                    return if all.is_empty() { None } else { Some(FrameToken::Other(all)) };
                }
                State::Flooded(_) => return None,
            }
        }
    }

    /// Reads a header, which may be split, and decides who handles the frame. Returns the number of header bytes for
    /// tungstenite, 0 for an assembled frame; `None` if more bytes are needed.
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
                // Reserved at once to avoid copies; the kernel provides pages as they are written.
                self.gathered.reserve_exact(header.payload as usize);
                self.state = State::Gather { left: header.payload as usize };
                return Some(0);
            }
        } else {
            // After a close no text frame may follow; invalid headers are left to tungstenite.
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

/// Text frames further on in the same read.
#[derive(Debug, Default)]
pub(super) struct Upcoming<'b> {
    /// What follows those that were announced.
    rest: &'b [u8],
    announced: usize,
}

impl<'b> Upcoming<'b> {
    /// The payload of the next frame to announce.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&'b [u8]> {
        if self.announced == FRAMES_AHEAD {
            return None;
        }
        let payload = whole_text(&mut self.rest, false)?;
        self.announced += 1;
        Some(payload)
    }

    /// A text frame is at hand, and `rest` follows it.
    #[inline]
    pub(super) fn begin_frame(&mut self, rest: &'b [u8]) {
        self.announced = self.announced.saturating_sub(1);
        if self.announced == 0 {
            self.rest = rest;
        }
    }
}

/// Payload of the whole text frame at the front of `bytes`, if there is one.
#[inline]
fn whole_text<'a>(bytes: &mut &'a [u8], fragmented: bool) -> Option<&'a [u8]> {
    let &[first, length, ..] = *bytes else { return None };
    if first != WHOLE_TEXT || fragmented {
        return None;
    }
    let (start, len) = match length {
        0..=125 => (2, usize::from(length)),
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        // Masked, or longer than one read.
        _ => return None,
    };
    let payload = bytes.get(start..start + len)?;
    *bytes = &bytes[start + len..];
    Some(payload)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    part
}

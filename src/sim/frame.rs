//! WebSocket frames of a server (RFC 6455): unmasked output, masked input.
//!
//! Runs on:  the venue's thread (pure).
//! Bounds:   [`MESSAGE_BYTES_MAX`] per client message.

/// Largest accepted client message: a subscription of 10,000 tokens has 0.8 MB.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const HEADER_BYTES_MAX: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn code(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn new(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A frame under construction: a payload with space for its header in front.
#[derive(Debug)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
}

impl FrameBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES_MAX] }
    }

    /// Clears the frame; append the payload to the returned buffer.
    pub(super) fn payload(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(HEADER_BYTES_MAX);
        &mut self.bytes
    }

    pub(super) fn finish(&mut self, opcode: Opcode) -> &[u8] {
        let length = self.bytes.len() - HEADER_BYTES_MAX;
        let start = match length {
            0..126 => {
                self.bytes[9] = length as u8;
                8
            }
            126..65_536 => {
                self.bytes[7] = 126;
                self.bytes[8..10].copy_from_slice(&(length as u16).to_be_bytes());
                6
            }
            _ => {
                self.bytes[1] = 127;
                self.bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                0
            }
        };
        self.bytes[start] = 0x80 | opcode.code();
        &self.bytes[start..]
    }
}

pub(super) fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let mut frame = FrameBuffer::new();
    frame.payload().extend_from_slice(payload);
    out.extend_from_slice(frame.finish(opcode));
}

pub(super) fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    push_frame(out, Opcode::Close, &payload);
}

/// A client violated the protocol: close the connection with 1002.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) &'static str);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientMessage {
    pub(super) opcode: Opcode,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Assembly {
    opcode: Option<Opcode>,
    payload: Vec<u8>,
}

impl Assembly {
    /// Parses frames at the front of `input` until a message is complete; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The client violated the protocol.
    pub(super) fn poll_message(
        &mut self,
        input: &mut Vec<u8>,
    ) -> Result<Option<ClientMessage>, Violation> {
        while let Some((head, length)) = parse_head(input)? {
            if input.len() < head.size + length {
                return Ok(None);
            }
            let mut payload = input[head.size..head.size + length].to_vec();
            for (byte, key) in payload.iter_mut().zip(head.mask.iter().cycle()) {
                *byte ^= key;
            }
            input.drain(..head.size + length);
            if let Some(message) = self.append(&head, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn append(
        &mut self,
        head: &Head,
        payload: Vec<u8>,
    ) -> Result<Option<ClientMessage>, Violation> {
        match (head.opcode, self.opcode) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {
                if !head.last || payload.len() > 125 {
                    return Err(Violation("bad control frame"));
                }
                return Ok(Some(ClientMessage { opcode: head.opcode, payload }));
            }
            (Opcode::Continuation, None) => return Err(Violation("nothing to continue")),
            (Opcode::Continuation, Some(_)) => self.payload.extend_from_slice(&payload),
            (_, Some(_)) => return Err(Violation("message inside a message")),
            (opcode, None) => {
                self.opcode = Some(opcode);
                self.payload = payload;
            }
        }
        if self.payload.len() > MESSAGE_BYTES_MAX {
            return Err(Violation("message too long"));
        }
        if !head.last {
            return Ok(None);
        }
        let opcode = self.opcode.take().expect("set above");
        Ok(Some(ClientMessage { opcode, payload: std::mem::take(&mut self.payload) }))
    }
}

struct Head {
    opcode: Opcode,
    last: bool,
    size: usize,
    mask: [u8; 4],
}

fn parse_head(input: &[u8]) -> Result<Option<(Head, usize)>, Violation> {
    let &[first, second, ref rest @ ..] = input else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Violation("reserved bits"));
    }
    let opcode = Opcode::new(first & 15).ok_or(Violation("unknown opcode"))?;
    if second & 0x80 == 0 {
        return Err(Violation("unmasked frame"));
    }
    let (length, wide) = match (second & 0x7f, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 2),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 8),
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 0),
    };
    let length = usize::try_from(length).ok().filter(|&length| length <= MESSAGE_BYTES_MAX);
    let length = length.ok_or(Violation("frame too long"))?;
    let Some(&[a, b, c, d]) = rest.get(wide..wide + 4) else { return Ok(None) };
    let head = Head { opcode, last: first & 0x80 != 0, size: 6 + wide, mask: [a, b, c, d] };
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests;

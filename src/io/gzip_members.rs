//! Decoder for concatenated gzip members (RFC 1952).
//!
//! Damage loses the rest of its member; reading continues at the next member.
//!
//! Runs on:  plain threads; may block. Bounds: those of [`Packed`], and 32 KiB of window.
use super::packed::{Damage, Packed, find};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, Read};

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Length of a member header without optional fields.
const HEADER_BYTES: usize = 10;
/// Length of the trailer: checksum and length.
const TRAILER_BYTES: usize = 8;
/// Maximum header length with optional fields: name and comment of a few hundred bytes, extra field of 64 KiB.
const HEADER_BYTES_MAX: usize = 128 * 1024;

/// Offset of a possible member start. Compressed data has the three magic bytes by chance 60 times per GB; with the
/// checks of the other header bytes, once in 16 TB.
fn next_member(bytes: &[u8]) -> Option<usize> {
    find(bytes, &MAGIC, begins_member)
}

fn begins_member(bytes: &[u8]) -> bool {
    let [_, _, _, flags, _, _, _, _, extra, system, ..] = bytes else { return false };
    flags & 0xe0 == 0 && matches!(extra, 0 | 2 | 4) && matches!(system, 0..=13 | 255)
}

fn header_len(bytes: &[u8]) -> Option<usize> {
    let flags = bytes.get(3)?;
    let mut at = HEADER_BYTES;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (bytes.len() >= at).then_some(at)
}

/// Decompresses members. Damage is returned once, as an `InvalidData` error with a [`Damage`]; the next read continues
/// after it.
pub(super) struct GzipMembers<R> {
    packed: Packed<R>,
    inflate: Decompress,
    checksum: Crc,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    Inside(u64),
    /// After a member's data, before its trailer.
    Behind(u64),
}

impl<R: Read> GzipMembers<R> {
    /// Members of `raw`, whose first byte has offset `before` in the file.
    pub(super) fn new(raw: R, before: u64) -> Self {
        // The search needs a whole header.
        let packed = Packed::new(raw, before, next_member, HEADER_BYTES);
        Self {
            packed,
            inflate: Decompress::new(false),
            checksum: Crc::new(),
            state: State::Between,
        }
    }

    /// Begins the next member; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        let offset = self.packed.offset();
        if !self.packed.fill(HEADER_BYTES)? && self.packed.waiting().is_empty() {
            return Ok(false);
        }
        let waiting = self.packed.waiting();
        let cut =
            waiting.len() < HEADER_BYTES && waiting.starts_with(&MAGIC[..waiting.len().min(3)]);
        if !(cut || waiting.starts_with(&MAGIC) && begins_member(waiting)) {
            return Err(self.packed.resume(offset, offset, "no gzip member begins here"));
        }
        let len = loop {
            match header_len(self.packed.waiting()) {
                Some(len) => break len,
                None if self.packed.waiting().len() > HEADER_BYTES_MAX => {
                    return Err(self.packed.resume(offset, offset, "a header has no end"));
                }
                None => {
                    let waiting = self.packed.waiting().len();
                    if !self.packed.fill(waiting + 1)? {
                        return Err(self.packed.on_end(offset));
                    }
                }
            }
        };
        self.packed.take(len);
        self.inflate.reset(false);
        self.checksum.reset();
        self.state = State::Inside(offset);
        Ok(true)
    }

    /// Verifies checksum and length of the member.
    fn end(&mut self, member: u64) -> io::Result<()> {
        self.state = State::Between;
        if !self.packed.fill(TRAILER_BYTES)? {
            return Err(self.packed.on_end(member));
        }
        let mut expected = [0; TRAILER_BYTES];
        expected.copy_from_slice(&self.packed.waiting()[..TRAILER_BYTES]);
        let [a, b, c, d, e, f, g, h] = expected;
        let (sum, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if (sum, len) == (self.checksum.sum(), self.checksum.amount()) {
            self.packed.take(TRAILER_BYTES);
            return Ok(());
        }
        let behind = self.packed.offset() + TRAILER_BYTES as u64;
        let why = "the checksum of a member differs";
        let damage = self.packed.skip(member, behind, why)?;
        Err(Damage { unverified: true, ..damage }.into_error())
    }
}

impl<R: Read> Read for GzipMembers<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let member = match self.state {
                State::Inside(member) => member,
                State::Between => match self.begin()? {
                    true => continue,
                    false => return Ok(0),
                },
                State::Behind(member) => {
                    self.end(member)?;
                    continue;
                }
            };
            let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
            let waiting = self.packed.waiting();
            let result = self.inflate.decompress(waiting, into, FlushDecompress::None);
            let taken = (self.inflate.total_in() - taken) as usize;
            let given = (self.inflate.total_out() - given) as usize;
            self.packed.take(taken);
            self.checksum.update(&into[..given]);
            match result {
                Ok(Status::StreamEnd) => {
                    self.state = State::Behind(member);
                    if given > 0 {
                        return Ok(given);
                    }
                }
                Ok(_) if given > 0 || into.is_empty() => return Ok(given),
                Ok(_) => {
                    let waiting = self.packed.waiting().len();
                    if taken == 0 && !self.packed.fill(waiting + 1)? {
                        self.state = State::Between;
                        return Err(self.packed.on_end(member));
                    }
                }
                Err(_) => {
                    self.state = State::Between;
                    let from = self.packed.offset();
                    return Err(self.packed.resume(member, from, "the data is no deflate stream"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

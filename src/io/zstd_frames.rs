//! Decoder for concatenated zstd frames; damage loses its frame, and reading continues at the next.
//!
//! Runs on:  plain threads; may block.
//! Bounds:   those of [`Packed`], and zstd's window (at most 128 MiB).
use super::packed::{Damage, Packed, find};
use std::io::{self, Read};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses frames. Damage is returned once, as an `InvalidData` error with a [`Damage`]; the next read continues
/// after it.
pub(super) struct ZstdFrames<R> {
    packed: Packed<R>,
    decoder: Decoder<'static>,
    /// Offset of the current frame.
    frame: Option<u64>,
}

impl<R: Read> ZstdFrames<R> {
    /// Frames of `raw`, whose first byte has offset `before` in the file.
    pub(super) fn new(raw: R, before: u64) -> io::Result<Self> {
        let packed = Packed::new(raw, before, |bytes| find(bytes, &MAGIC, |_| true), MAGIC.len());
        Ok(Self { packed, decoder: Decoder::new()?, frame: None })
    }

    /// The current frame cannot be decoded further.
    fn on_error(&mut self, frame: u64, error: &io::Error) -> io::Error {
        self.frame = None;
        let why = error.to_string();
        match self.packed.skip(frame, frame, &why) {
            // The output of the frame is complete but differs from the original.
            Ok(damage) => Damage { unverified: why.contains("checksum"), ..damage }.into_error(),
            Err(error) => error,
        }
    }
}

const fn begins_frame(bytes: &[u8]) -> bool {
    matches!(bytes, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = self.frame else {
                if !self.packed.fill(MAGIC.len())? && self.packed.waiting().is_empty() {
                    return Ok(0);
                }
                let offset = self.packed.offset();
                if !begins_frame(self.packed.waiting()) {
                    return Err(self.packed.resume(offset, offset, "no zstd frame begins here"));
                }
                self.decoder.reinit()?;
                self.frame = Some(offset);
                continue;
            };
            let mut input = InBuffer::around(self.packed.waiting());
            let mut output = OutBuffer::around(&mut *into);
            let hint = self.decoder.run(&mut input, &mut output);
            let (taken, given) = (input.pos(), output.pos());
            match hint {
                Ok(hint) => {
                    self.packed.take(taken);
                    if hint == 0 {
                        self.frame = None;
                    }
                    if given > 0 || into.is_empty() {
                        return Ok(given);
                    }
                    if hint > 0 && taken == 0 {
                        let waiting = self.packed.waiting().len();
                        if !self.packed.fill(waiting + 1)? {
                            self.frame = None;
                            return Err(self.packed.on_end(frame));
                        }
                    }
                }
                Err(error) => return Err(self.on_error(frame, &error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;

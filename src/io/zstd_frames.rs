//! Decoder for concatenated zstd frames; damage loses its frame, and reading continues at the next.
//!
//! Runs on:  plain threads; may block.
//! Bounds:   those of [`Packed`], and zstd's window (at most 128 MiB).
use super::packed::{Damage, Packed, find};
use std::io::{self, Read};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Magic number of a zstd frame.
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

/// Whether a data frame or a skippable frame begins here.
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
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// Frames of one line each, and their offsets.
    fn packed(lines: &[String]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for line in lines {
            starts.push(bytes.len());
            let mut encoder = zstd::stream::Encoder::new(&mut bytes, 1).unwrap();
            encoder.include_checksum(true).unwrap();
            io::Write::write_all(&mut encoder, line.as_bytes()).unwrap();
            encoder.finish().unwrap();
        }
        (bytes, starts)
    }

    /// The text read, and the errors.
    fn read(bytes: &[u8]) -> (String, Vec<io::Error>) {
        let mut frames = ZstdFrames::new(bytes, 0).unwrap();
        let (mut text, mut errors) = (Vec::new(), Vec::new());
        let mut part = [0; 1000];
        loop {
            match frames.read(&mut part) {
                Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), errors),
                Ok(n) => text.extend_from_slice(&part[..n]),
                Err(error) => errors.push(error),
            }
            assert!(errors.len() < 100, "{errors:?}");
        }
    }

    fn lines(n: usize, len: usize) -> Vec<String> {
        let noise =
            |i: usize| (0..len).map(move |k| char::from(b'a' + ((i * 31 + k * k) % 26) as u8));
        (0..n).map(|i| format!("{i} {}\n", noise(i).collect::<String>())).collect()
    }

    #[test]
    fn damage_loses_its_frame() {
        let lines = lines(6, 3000);
        let (whole, starts) = packed(&lines);
        assert_eq!(read(&whole).0, lines.concat());
        let end = starts[3] - starts[2];
        // Magic, frame header, block header, middle, checksum; one byte or many.
        for (at, n) in
            [(0, 1), (3, 2), (4, 3), (7, 3), (end / 2, 1), (end / 2, 64), (end - 2, 1), (0, end)]
        {
            for fill in [0, 0xff, 0xa5] {
                let mut bytes = whole.clone();
                let from = starts[2] + at;
                let to = (from + n).min(starts[3]);
                if bytes[from..to].iter().all(|&byte| byte == fill) {
                    continue;
                }
                bytes[from..to].fill(fill);
                let (text, errors) = read(&bytes);
                assert!(!errors.is_empty(), "{at} {n} {fill}");
                assert!(text.starts_with(&lines[..2].concat()), "{at} {n} {fill}");
                assert!(text.ends_with(&lines[3..].concat()), "{at} {n} {fill}: {errors:?}");
            }
        }
        // Bytes between frames, and a truncated frame.
        let between = [&whole[..starts[3]], &[0; 5000][..], &whole[starts[3]..]].concat();
        let (text, errors) = read(&between);
        assert_eq!((text, errors.len()), (lines.concat(), 1));
        let half = [&whole[..starts[2] + end / 2], &whole[starts[3]..]].concat();
        let (text, errors) = read(&half);
        assert!(text.ends_with(&lines[3..].concat()) && !errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_long_frame_and_a_truncated_end_are_handled() {
        let long = lines(1, 6_000_000);
        let (mut bytes, _) = packed(&[long[0].clone(), "x\n".to_owned()]);
        assert_eq!(read(&bytes).0.len(), long[0].len() + 2);
        bytes.truncate(bytes.len() - 3);
        let (_, errors) = read(&bytes);
        assert_eq!(
            errors.iter().map(io::Error::kind).collect::<Vec<_>>(),
            [ErrorKind::UnexpectedEof]
        );
        let tail = [&packed(&["a\n".to_owned()]).0[..], &[0; 4096]].concat();
        let (text, errors) = read(&tail);
        let damage = errors[0].get_ref().unwrap().downcast_ref::<Damage>().unwrap();
        assert_eq!((&*text, damage.resumed, errors.len()), ("a\n", false, 1));
    }
}

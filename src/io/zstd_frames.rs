//! zstd frames one after the other: damage costs the frame that it is in, and reading goes on at the next.
//!
//! Runs on:  plain threads; may block.
//! Bounds:   `HISTORY_BYTES` compressed bytes, and what zstd's window needs (at most 128 MiB).
use std::io::{self, ErrorKind, Read};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// What every zstd frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// One read.
const CHUNK_BYTES: usize = 128 * 1024;
/// Compressed bytes that are looked through again for the next frame: damage shows within a few blocks of 128 KiB,
/// which may have swallowed the frames behind it.
const HISTORY_BYTES: usize = 1024 * 1024;

/// Bytes of a file that could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged frame begins.
    pub from: u64,
    /// Where reading goes on; `None` when nothing behind it can be read.
    pub to: Option<u64>,
    why: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, why } = self;
        match to {
            Some(to) => {
                write!(f, "{why}: bytes {from} to {to} are lost; reading goes on behind them")
            }
            None => write!(f, "{why}: bytes {from} to the end are lost"),
        }
    }
}

impl std::error::Error for Damage {}

/// Decompresses frames. Damage is an error once, of kind `InvalidData` with a [`Damage`]; reading on gives what is
/// behind it.
pub(super) struct ZstdFrames<R> {
    raw: R,
    /// Compressed bytes; those before `at` are taken.
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    decoder: Decoder<'static>,
    /// Where the frame at hand begins.
    frame: Option<u64>,
}

impl<R: Read> ZstdFrames<R> {
    /// Frames of `raw`, which begins `before` bytes behind the beginning of its file.
    pub(super) fn new(raw: R, before: u64) -> io::Result<Self> {
        let decoder = Decoder::new()?;
        Ok(Self { raw, buffer: Vec::new(), at: 0, before, decoder, frame: None })
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Reads until `n` bytes wait; false where the file ends before.
    fn fill(&mut self, n: usize) -> io::Result<bool> {
        while self.buffer.len() - self.at < n {
            if self.at >= 2 * HISTORY_BYTES {
                let old = self.at - HISTORY_BYTES;
                self.buffer.drain(..old);
                self.before += old as u64;
                self.at -= old;
            }
            let filled = self.buffer.len();
            self.buffer.resize(filled + CHUNK_BYTES, 0);
            let read = self.raw.read(&mut self.buffer[filled..]);
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Goes to the first frame behind byte `from`, as far as it is at hand or still to come.
    fn resume(&mut self, from: u64, why: &str) -> io::Error {
        let why = why.to_owned();
        self.frame = None;
        let behind = usize::try_from((from + 1).saturating_sub(self.before)).unwrap_or(usize::MAX);
        self.at = behind.min(self.buffer.len());
        loop {
            if let Some(found) = find(&self.buffer[self.at..]) {
                self.at += found;
                let to = Some(self.offset());
                return io::Error::new(ErrorKind::InvalidData, Damage { from, to, why });
            }
            // A mark may stand across two reads.
            self.at = self.buffer.len().saturating_sub(MAGIC.len() - 1).max(self.at);
            let waiting = self.buffer.len() - self.at;
            match self.fill(waiting + 1) {
                Ok(true) => {}
                Ok(false) => {
                    self.at = self.buffer.len();
                    return io::Error::new(ErrorKind::InvalidData, Damage { from, to: None, why });
                }
                Err(error) => return error,
            }
        }
    }

    /// The file ends within a frame: it was cut there, or damage has swallowed the frames behind it.
    fn on_end(&mut self, frame: u64) -> io::Error {
        let behind = usize::try_from((frame + 1).saturating_sub(self.before)).unwrap_or(usize::MAX);
        match find(&self.buffer[behind.min(self.buffer.len())..]) {
            Some(_) => self.resume(frame, "a frame has no end"),
            None => {
                self.frame = None;
                self.at = self.buffer.len();
                ErrorKind::UnexpectedEof.into()
            }
        }
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        // The standard library's search for one byte, the fastest at hand.
        let at = from + bytes[from..].iter().position(|&byte| byte == MAGIC[0])?;
        if bytes[at..].starts_with(&MAGIC) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Whether a frame begins here: one of data, or one to be passed over.
const fn begins_frame(bytes: &[u8]) -> bool {
    matches!(bytes, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = self.frame else {
                if !self.fill(MAGIC.len())? && self.buffer.len() == self.at {
                    return Ok(0);
                }
                let offset = self.offset();
                if !begins_frame(&self.buffer[self.at..]) {
                    return Err(self.resume(offset, "no zstd frame begins here"));
                }
                self.decoder.reinit()?;
                self.frame = Some(offset);
                continue;
            };
            let mut input = InBuffer::around(&self.buffer[self.at..]);
            let mut output = OutBuffer::around(&mut *into);
            let hint = self.decoder.run(&mut input, &mut output);
            let (taken, given) = (input.pos(), output.pos());
            match hint {
                Ok(hint) => {
                    self.at += taken;
                    if hint == 0 {
                        self.frame = None;
                    }
                    if given > 0 || into.is_empty() {
                        return Ok(given);
                    }
                    if hint > 0 && taken == 0 {
                        let waiting = self.buffer.len() - self.at;
                        if !self.fill(waiting + 1)? {
                            return Err(self.on_end(frame));
                        }
                    }
                }
                Err(error) => return Err(self.resume(frame, &error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a line each, and where they begin.
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

    /// What is read, and the errors on the way.
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
    fn damage_costs_the_frame_that_it_is_in() {
        let lines = lines(6, 3000);
        let (whole, starts) = packed(&lines);
        assert_eq!(read(&whole).0, lines.concat());
        let end = starts[3] - starts[2];
        // The mark, the header of the frame, the header of a block, the middle, the checksum; one byte or many.
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
        // Bytes between frames, and a frame that is missing half.
        let between = [&whole[..starts[3]], &[0; 5000][..], &whole[starts[3]..]].concat();
        let (text, errors) = read(&between);
        assert_eq!((text, errors.len()), (lines.concat(), 1));
        let half = [&whole[..starts[2] + end / 2], &whole[starts[3]..]].concat();
        let (text, errors) = read(&half);
        assert!(text.ends_with(&lines[3..].concat()) && !errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_long_frame_in_front_and_a_cut_end_are_what_they_were() {
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
        assert_eq!((&*text, damage.to, errors.len()), ("a\n", None, 1));
    }
}

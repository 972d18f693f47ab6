//! Compressed input with resynchronization after damage.
//!
//! Runs on:  plain threads; may block. Bounds: `HISTORY_BYTES` of compressed bytes.
use std::io::{self, ErrorKind, Read};

const CHUNK_BYTES: usize = 128 * 1024;
/// Consumed bytes that are retained for the search of the next frame: damage is detected within a few blocks of 128
/// KiB, which may have hidden following frames.
const HISTORY_BYTES: usize = 1024 * 1024;

/// A range of a file that could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Damage {
    /// Begin of the damage, as far as known.
    pub from: u64,
    /// End: reading resumes there, or the file ends.
    pub to: u64,
    /// Whether reading resumes.
    pub resumed: bool,
    /// The checksum of the preceding output differs: it may be wrong.
    pub unverified: bool,
    pub(super) why: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, resumed, unverified, why } = self;
        f.write_str(why)?;
        if *unverified {
            write!(f, ": the text read from it may be wrong")?;
        }
        match (to - from, resumed) {
            (0, _) if *unverified => Ok(()),
            (lost, true) => write!(
                f,
                ": bytes {from} to {to} are lost, {lost} bytes; reading resumes after them"
            ),
            (lost, false) => write!(f, ": bytes {from} to the end are lost, {lost} bytes"),
        }
    }
}

impl Damage {
    pub(super) fn into_error(self) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, self)
    }
}

/// Buffered compressed input; bytes before `at` are consumed, some of them retained.
pub(super) struct Packed<R> {
    raw: R,
    buffer: Vec<u8>,
    at: usize,
    /// Offset of the buffer in the file.
    before: u64,
    /// Finds the next frame.
    find: fn(&[u8]) -> Option<usize>,
    /// Length of the bytes that identify a frame.
    mark_bytes: usize,
}

impl<R: Read> Packed<R> {
    /// Input `raw`, whose first byte has offset `before` in the file.
    pub(super) fn new(
        raw: R,
        before: u64,
        find: fn(&[u8]) -> Option<usize>,
        mark_bytes: usize,
    ) -> Self {
        Self { raw, buffer: Vec::new(), at: 0, before, find, mark_bytes }
    }

    /// Offset of the next unconsumed byte.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Buffered, unconsumed bytes.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Consumes `n` bytes.
    pub(super) fn take(&mut self, n: usize) {
        self.at += n;
    }

    /// Reads until `n` unconsumed bytes are buffered; false if the file ends first.
    pub(super) fn fill(&mut self, n: usize) -> io::Result<bool> {
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

    /// Skips to the first frame after offset `frame`, buffered or still to be read. Bytes before `from` were decoded
    /// and are not lost.
    pub(super) fn resume(&mut self, frame: u64, from: u64, why: &str) -> io::Error {
        match self.skip(frame, from, why) {
            Ok(damage) => damage.into_error(),
            Err(error) => error,
        }
    }

    /// [`Packed::resume`], returning the damage.
    pub(super) fn skip(&mut self, frame: u64, from: u64, why: &str) -> io::Result<Damage> {
        let lost = |to: u64, resumed| {
            let (from, why) = (from.min(to), why.to_owned());
            Ok(Damage { from, to, resumed, unverified: false, why })
        };
        self.at = self.place(frame + 1);
        loop {
            if let Some(found) = (self.find)(&self.buffer[self.at..]) {
                self.at += found;
                return lost(self.offset(), true);
            }
            // The identifying bytes may span two reads.
            self.at = self.buffer.len().saturating_sub(self.mark_bytes - 1).max(self.at);
            let waiting = self.buffer.len() - self.at;
            match self.fill(waiting + 1) {
                Ok(true) => {}
                Ok(false) => {
                    self.at = self.buffer.len();
                    return lost(self.offset(), false);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The file ends within the frame at `frame`: it is truncated, or damage has swallowed the following frames.
    pub(super) fn on_end(&mut self, frame: u64) -> io::Error {
        match (self.find)(&self.buffer[self.place(frame + 1)..]) {
            Some(_) => self.resume(frame, frame, "a frame has no end"),
            None => {
                self.at = self.buffer.len();
                ErrorKind::UnexpectedEof.into()
            }
        }
    }

    /// Buffer index of a file offset, clamped.
    fn place(&self, offset: u64) -> usize {
        let place = usize::try_from(offset.saturating_sub(self.before)).unwrap_or(usize::MAX);
        place.min(self.buffer.len())
    }
}

/// Index of the first `mark` whose following bytes satisfy `begins`.
pub(super) fn find(bytes: &[u8], mark: &[u8], begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut from = 0;
    loop {
        // The standard library's single-byte search is the fastest available.
        let at = from + bytes[from..].iter().position(|&byte| byte == mark[0])?;
        if bytes[at..].starts_with(mark) && begins(&bytes[at..]) {
            return Some(at);
        }
        from = at + 1;
    }
}

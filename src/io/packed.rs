//! Compressed bytes of a file, and what is lost of them where they are damaged.
//!
//! Runs on:  plain threads; may block. Bounds: `HISTORY_BYTES` compressed bytes.
use std::io::{self, ErrorKind, Read};

/// One read.
const CHUNK_BYTES: usize = 128 * 1024;
/// Compressed bytes that are looked through again for the next frame: damage shows within a few blocks of 128 KiB,
/// which may have swallowed the frames behind it.
const HISTORY_BYTES: usize = 1024 * 1024;

/// Bytes of a file that could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Damage {
    /// Where the damage begins, as far as is known.
    pub from: u64,
    /// Where it ends: reading goes on there, or the file ends.
    pub to: u64,
    /// Whether reading goes on there.
    pub resumed: bool,
    /// What came out before it may differ from what was packed: its checksum is another one.
    pub unproven: bool,
    pub(super) why: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, resumed, unproven, why } = self;
        f.write_str(why)?;
        if *unproven {
            write!(f, ": what was read of it may be wrong")?;
        }
        match (to - from, resumed) {
            (0, _) if *unproven => Ok(()),
            (lost, true) => write!(
                f,
                ": bytes {from} to {to} are lost, {lost} bytes; reading goes on behind them"
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

/// Compressed bytes; those before `at` are taken, and some of them are kept.
pub(super) struct Packed<R> {
    raw: R,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    /// Where the next frame begins in some bytes.
    find: fn(&[u8]) -> Option<usize>,
    /// Bytes of what every frame begins with.
    mark_bytes: usize,
}

impl<R: Read> Packed<R> {
    /// The bytes of `raw`, which begins `before` bytes behind the beginning of its file.
    pub(super) fn new(
        raw: R,
        before: u64,
        find: fn(&[u8]) -> Option<usize>,
        mark_bytes: usize,
    ) -> Self {
        Self { raw, buffer: Vec::new(), at: 0, before, find, mark_bytes }
    }

    /// Where the first byte stands that is not taken.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What is at hand and not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, n: usize) {
        self.at += n;
    }

    /// Reads until `n` bytes wait; false where the file ends before.
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

    /// Goes to the first frame behind byte `frame`, as far as it is at hand or still to come. What was read before
    /// byte `from` is not lost.
    pub(super) fn resume(&mut self, frame: u64, from: u64, why: &str) -> io::Error {
        match self.skip(frame, from, why) {
            Ok(damage) => damage.into_error(),
            Err(error) => error,
        }
    }

    /// The same; gives what is lost.
    pub(super) fn skip(&mut self, frame: u64, from: u64, why: &str) -> io::Result<Damage> {
        let lost = |to: u64, resumed| {
            let (from, why) = (from.min(to), why.to_owned());
            Ok(Damage { from, to, resumed, unproven: false, why })
        };
        self.at = self.place(frame + 1);
        loop {
            if let Some(found) = (self.find)(&self.buffer[self.at..]) {
                self.at += found;
                return lost(self.offset(), true);
            }
            // A mark may stand across two reads.
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

    /// The file ends within a frame that begins at `frame`: it was cut there, or damage has swallowed the frames
    /// behind it.
    pub(super) fn on_end(&mut self, frame: u64) -> io::Error {
        match (self.find)(&self.buffer[self.place(frame + 1)..]) {
            Some(_) => self.resume(frame, frame, "a frame has no end"),
            None => {
                self.at = self.buffer.len();
                ErrorKind::UnexpectedEof.into()
            }
        }
    }

    /// The place of a byte of the file in the buffer, or the nearest one.
    fn place(&self, offset: u64) -> usize {
        let place = usize::try_from(offset.saturating_sub(self.before)).unwrap_or(usize::MAX);
        place.min(self.buffer.len())
    }
}

/// Where some bytes have `mark`, and what is from there on satisfies `begins`.
pub(super) fn find(bytes: &[u8], mark: &[u8], begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut from = 0;
    loop {
        // The standard library's search for one byte, the fastest at hand.
        let at = from + bytes[from..].iter().position(|&byte| byte == mark[0])?;
        if bytes[at..].starts_with(mark) && begins(&bytes[at..]) {
            return Some(at);
        }
        from = at + 1;
    }
}

//! Splits a text into values: one per line, or pretty-printed JSON over several lines.
//!
//! Runs on:  the replay's reader (pure: bytes come from any `BufRead`).
//! Bounds:   `REPLAY_VALUE_BYTES_MAX` bytes per value; the rest of a longer one is skipped.
//!
//! Runs of NUL bytes, which a power failure leaves in place of data, end a value and are skipped.
//!
//! A line that begins with white space or a closing bracket continues the previous value if that is JSON
//! with open brackets. Any other line starts a new value, so an incomplete line affects only itself. An empty line
//! before one of Tardis is the end of its connection: a value in the form of an event.
use crate::base::limits::REPLAY_VALUE_BYTES_MAX;
use crate::capture::envelope::prefix;
use crate::capture::outline::{Openness, is_whole};
use std::io::{self, BufRead};

/// One value and its position in the decompressed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// The bytes without the line end, never empty.
    pub(super) bytes: &'a [u8],
    /// Number of its first line, from 1.
    pub(super) line: u64,
    /// Byte offset.
    pub(super) offset: u64,
    /// Whether it is complete.
    pub(super) condition: Condition,
    /// Its length in the text, including the line end.
    pub(super) len: u64,
    /// NUL bytes between the previous value and this one.
    pub(super) nuls: u64,
}

/// Whether a value is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Complete, as far as lines can show.
    Whole,
    /// Longer than the bound; truncated.
    TooLong,
    /// The text ended within it.
    Torn,
    /// NUL bytes replace its end.
    Cut,
}

#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Lines and bytes read so far.
    lines: u64,
    bytes: u64,
    bytes_max: usize,
    fault: Option<io::Error>,
    /// NUL bytes since the last value.
    nuls: u64,
    /// The current line continues after NUL bytes.
    within: bool,
    /// An empty line was read since the last value.
    blank: bool,
    /// A line that was read behind the event in the buffer.
    held: Option<(Vec<u8>, LineEnd)>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self::with_bound(reader, REPLAY_VALUE_BYTES_MAX)
    }

    fn with_bound(reader: R, bytes_max: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            lines: 0,
            bytes: 0,
            bytes_max,
            fault: None,
            nuls: 0,
            within: false,
            blank: false,
            held: None,
        }
    }

    /// NUL bytes after the last value.
    pub(super) const fn nuls(&self) -> u64 {
        self.nuls
    }

    pub(super) const fn count(&self) -> u64 {
        self.lines
    }

    /// The next value, `None` at the end.
    ///
    /// # Errors
    /// The reader's error, after every value that was complete before it.
    pub(super) fn next(&mut self) -> io::Result<Option<Value<'_>>> {
        loop {
            let (line, offset);
            let mut ended;
            if let Some((text, end)) = self.held.take() {
                (line, offset) = (self.lines, self.bytes - text.len() as u64);
                (self.buffer, ended) = (text, end);
            } else {
                if let Some(fault) = self.fault.take() {
                    return Err(fault);
                }
                self.buffer.clear();
                self.pass_nuls();
                if let Some(fault) = self.fault.take() {
                    return Err(fault);
                }
                (line, offset) = (self.lines + u64::from(!self.within), self.bytes);
                ended = self.take_line();
            }
            if ended == LineEnd::Nothing {
                match self.fault.take() {
                    Some(fault) => return Err(fault),
                    None => return Ok(None),
                }
            }
            let first = self.buffer.iter().position(|byte| !byte.is_ascii_whitespace());
            let bom = offset == 0 && self.buffer.starts_with(b"\xef\xbb\xbf");
            let first = if bom { Some(3) } else { first };
            let Some(mut first) = first else {
                self.blank = true;
                continue;
            };
            if std::mem::take(&mut self.blank)
                && let Some(event) = disconnect(&self.buffer[first..])
            {
                self.held = Some((std::mem::replace(&mut self.buffer, event.into_bytes()), ended));
                (first, ended) = (0, LineEnd::EndOfText);
            }
            let mut joined = false;
            let json_at = first + prefix(&self.buffer[first..]);
            let json = matches!(self.buffer.get(json_at), Some(b'{' | b'['));
            if json && ended == LineEnd::Newline {
                let mut openness = Openness::default();
                while self.continues() && openness.is_open(&self.buffer[json_at..]) {
                    joined = true;
                    ended = self.take_line();
                }
            }
            let end = self.buffer.trim_ascii_end().len().max(first);
            let last = ended != LineEnd::Newline || (joined && self.at_end());
            let cut = last && !is_whole(&self.buffer[json_at.min(end)..end]);
            if end == first || (cut && self.fault.is_some()) {
                continue; // An empty line, or the fault ends the text.
            }
            let condition = match self.buffer.len() <= self.bytes_max {
                false => Condition::TooLong,
                true if cut && ended == LineEnd::Nul => Condition::Cut,
                true if cut && json => Condition::Torn,
                true => Condition::Whole,
            };
            let bytes = &self.buffer[first..end.min(self.bytes_max + 1)];
            let (len, nuls) = (self.bytes - offset, std::mem::take(&mut self.nuls));
            let offset = offset + first as u64;
            return Ok(Some(Value { bytes, line, offset, condition, len, nuls }));
        }
    }

    /// Appends one line with its end to the buffer, up to the bound.
    fn take_line(&mut self) -> LineEnd {
        let mut ended = LineEnd::Nothing;
        loop {
            let mut rest = match self.reader.fill_buf() {
                Ok(rest) => rest,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.fault = Some(error);
                    return ended;
                }
            };
            let available = rest;
            // The fastest available search for a newline.
            let mut n = rest.skip_until(b'\n').unwrap_or(0);
            if n == 0 {
                return ended;
            }
            let nul = available[..n].contains(&0);
            if nul {
                n = available[..n].iter().position(|&byte| byte == 0).unwrap_or(n);
            }
            let room = (self.bytes_max + 1).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&available[..n.min(room)]);
            let newline = !nul && available[n - 1] == b'\n';
            self.reader.consume(n);
            self.bytes += n as u64;
            if ended == LineEnd::Nothing {
                self.lines += u64::from(!self.within);
                ended = LineEnd::EndOfText;
            }
            self.within = nul;
            if newline {
                return LineEnd::Newline;
            }
            if nul {
                return LineEnd::Nul;
            }
        }
    }

    /// Skips a run of NUL bytes.
    fn pass_nuls(&mut self) {
        loop {
            let run = match self.reader.fill_buf() {
                Ok(rest) => rest.iter().take_while(|&&byte| byte == 0).count(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The next read of the line reports it, or succeeds.
                Err(error) => return self.fault = Some(error),
            };
            if run == 0 {
                return;
            }
            if !self.within {
                self.lines += 1;
                self.within = true;
            }
            self.reader.consume(run);
            self.bytes += run as u64;
            self.nuls += run as u64;
        }
    }

    /// The first byte of the next non-empty line. Empty lines are part of the previous value, which
    /// is valid because white space is allowed around and within JSON.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = match self.reader.fill_buf() {
                Ok(rest) => *rest.first()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.fault = Some(error);
                    return None;
                }
            };
            if !matches!(byte, b'\n' | b'\r') {
                return Some(byte);
            }
            if self.buffer.len() <= self.bytes_max {
                self.buffer.push(byte);
            }
            self.reader.consume(1);
            self.bytes += 1;
            self.lines += u64::from(byte == b'\n');
            self.blank |= byte == b'\n';
        }
    }

    fn continues(&mut self) -> bool {
        self.fault.is_none() && matches!(self.peek(), Some(b' ' | b'\t' | b'}' | b']'))
    }

    fn at_end(&mut self) -> bool {
        self.fault.is_some() || self.peek().is_none()
    }
}

/// The end of the connection at the time of a line as tardis-machine or the servers of Tardis send it.
fn disconnect(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let time = match line.strip_prefix(r#"{"localTimestamp":""#) {
        Some(rest) => rest.split_once('"')?.0,
        None => {
            line.get(..28).filter(|time| time.ends_with('Z') && line[28..].starts_with(" {"))?
        }
    };
    Some(format!(r#"{{"time":"{time}","event":"disconnected"}}"#))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Nothing,
    EndOfText,
    Newline,
    /// At NUL bytes, which are not consumed.
    Nul,
}

#[cfg(test)]
mod tests;

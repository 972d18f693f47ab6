//! The chunked transfer coding over memory, in both directions (RFC 9112, 7.1).
//!
//! Runs on:  any (pure). Owns: the position within the coding.
//! Bounds:   `HTTP_HEAD_BYTES_MAX` of one chunk header and of all trailers. Extensions and trailers are dropped.
use super::HttpError;
use crate::base::limits::HTTP_HEAD_BYTES_MAX;

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends one chunk; nothing for an empty one, which would end the body.
pub fn put_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    /// Bytes of the chunk that are still to come.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    Trailers,
    Done,
}

/// Decodes one body.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    part: Part,
    trailer_bytes: usize,
}

impl ChunkedDecoder {
    /// Whether the body has ended; bytes behind it belong to the next message.
    pub const fn is_done(&self) -> bool {
        matches!(self.part, Part::Done)
    }

    /// Decodes the front of `input`, passes the body's bytes to `on_data`, and returns the number of bytes used. The
    /// rest is to be given again, with more behind it.
    ///
    /// # Errors
    /// [`HttpError::Malformed`]: *close the connection.*
    pub fn decode(
        &mut self,
        input: &[u8],
        mut on_data: impl FnMut(&[u8]),
    ) -> Result<usize, HttpError> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let step = match self.part {
                Part::Size => self.size(rest)?,
                Part::Data(left) => {
                    let there = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    on_data(&rest[..there]);
                    let left = left - there as u64;
                    self.part = if left == 0 { Part::DataEnd } else { Part::Data(left) };
                    there
                }
                Part::DataEnd if rest.len() < 2 => 0,
                Part::DataEnd if rest.starts_with(b"\r\n") => {
                    self.part = Part::Size;
                    2
                }
                Part::DataEnd => return Err(malformed("a chunk is longer than its size")),
                Part::Trailers => self.trailer(rest)?,
                Part::Done => 0,
            };
            if step == 0 {
                return Ok(used);
            }
            used += step;
        }
    }

    fn size(&mut self, rest: &[u8]) -> Result<usize, HttpError> {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((used, size))) if used <= HTTP_HEAD_BYTES_MAX => {
                self.part = if size == 0 { Part::Trailers } else { Part::Data(size) };
                Ok(used)
            }
            Ok(httparse::Status::Partial) if rest.len() <= HTTP_HEAD_BYTES_MAX => Ok(0),
            Ok(_) => Err(malformed("a chunk header without an end")),
            Err(_) => Err(malformed("the size of a chunk is no number")),
        }
    }

    /// One line of the trailers; the empty one is the end.
    fn trailer(&mut self, rest: &[u8]) -> Result<usize, HttpError> {
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return if self.trailer_bytes + rest.len() > HTTP_HEAD_BYTES_MAX {
                Err(malformed("trailers without an end"))
            } else {
                Ok(0)
            };
        };
        let line = &rest[..=end];
        self.trailer_bytes += line.len();
        if !line.ends_with(b"\r\n") || self.trailer_bytes > HTTP_HEAD_BYTES_MAX {
            return Err(malformed("a trailer without an end"));
        }
        if line == b"\r\n" {
            self.part = Part::Done;
        }
        Ok(line.len())
    }
}

fn malformed(what: &str) -> HttpError {
    HttpError::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests;

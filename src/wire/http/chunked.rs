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
    #[must_use]
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes a text given in portions; the body and the bytes behind it.
    fn decode(text: &[u8], portion: usize) -> Result<(Vec<u8>, Vec<u8>, bool), HttpError> {
        let (mut decoder, mut input, mut body) =
            (ChunkedDecoder::default(), Vec::new(), Vec::new());
        for bytes in text.chunks(portion) {
            input.extend_from_slice(bytes);
            let used = decoder.decode(&input, |data| body.extend_from_slice(data))?;
            input.drain(..used);
        }
        Ok((body, input, decoder.is_done()))
    }

    #[test]
    fn a_body_is_the_same_in_any_portions() {
        let text = b"5\r\nhello\r\n6;name=\"a;b\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /";
        for portion in 1..text.len() {
            let (body, rest, done) = decode(text, portion).unwrap();
            assert_eq!((&body[..], &rest[..], done), (&b"hello world"[..], &b"GET /"[..], true));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_in_any_portions(
            text in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                "([0-9a-f]{1,2}(;x)?\r\n[a-z\r\n]{0,20}(\r\n)?){0,4}(0\r\n(a: b\r\n)?\r\n)?"
                    .prop_map(String::into_bytes),
            ],
            portion in 1usize..16,
        ) {
            let whole = decode(&text, text.len().max(1));
            let parts = decode(&text, portion);
            prop_assert_eq!(whole.is_ok(), parts.is_ok());
            if let (Ok(whole), Ok(parts)) = (whole, parts) {
                prop_assert_eq!(whole, parts);
            }
        }

        #[test]
        fn a_body_in_any_chunks_is_whole(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            portion in 1usize..400,
        ) {
            let mut out = Vec::new();
            chunks.iter().for_each(|chunk| put_chunk(chunk, &mut out));
            out.extend_from_slice(LAST_CHUNK);
            prop_assert_eq!(decode(&out, portion).unwrap(), (chunks.concat(), Vec::new(), true));
        }
    }

    #[test]
    fn what_is_put_is_decoded() {
        let mut out = Vec::new();
        for data in [&b"a"[..], b"", &[b'x'; 300]] {
            put_chunk(data, &mut out);
        }
        assert!(!decode(&out, 7).unwrap().2);
        out.extend_from_slice(LAST_CHUNK);
        let (body, rest, done) = decode(&out, 7).unwrap();
        assert_eq!((body.len(), rest.len(), done), (301, 0, true));
    }

    #[test]
    fn malformed_codings_are_refused() {
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(HTTP_HEAD_BYTES_MAX / 5)].concat();
        for text in [
            &b"x\r\n"[..],
            b"-1\r\n",
            b"5\r\nhello!\r\n",
            b"5\nhello\r\n",
            b"0\r\nTrailer: x\n\r\n",
            b"fffffffffffffffff\r\n",
            &endless,
        ] {
            assert!(
                decode(text, 1024).is_err(),
                "{}",
                String::from_utf8_lossy(&text[..9.min(text.len())])
            );
        }
    }
}

//! The little of HTTP and WebSocket that the venue reads: requests, and masked client frames.

/// A request's path with its query, its WebSocket key, and its length in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// As in `/markets?slug=x`.
    pub path: String,
    /// What an upgrade carries.
    pub key: Option<String>,
    /// Bytes that it took.
    pub length: usize,
}

/// The first request in a buffer, once it is whole.
#[must_use]
pub fn request(buffer: &[u8]) -> Option<Request> {
    let length = memchr::memmem::find(buffer, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..length]);
    let path = head.split(' ').nth(1)?.to_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    Some(Request { path, key, length })
}

/// One frame of a client's.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientFrame {
    /// 1 is text, 8 close, 9 ping.
    pub opcode: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
    /// Bytes that it took.
    pub length: usize,
}

/// The first frame in a buffer, once it is whole.
#[must_use]
pub fn client_frame(buffer: &[u8]) -> Option<ClientFrame> {
    let (&[first, second], rest) = buffer.split_first_chunk()?;
    let (extended, payload) = match second & 0x7f {
        126 => (2, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*rest.first_chunk()?) as usize),
        short => (0, usize::from(short)),
    };
    let mask_at = 2 + extended;
    let mask: [u8; 4] =
        if second & 0x80 != 0 { *buffer.get(mask_at..)?.first_chunk()? } else { [0; 4] };
    let begin = mask_at + if second & 0x80 != 0 { 4 } else { 0 };
    let masked = buffer.get(begin..begin + payload)?;
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(ClientFrame { opcode: first & 0xf, payload, length: begin + masked.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_unmasked_when_they_are_whole() {
        for length in [0usize, 5, 125, 126, 70_000] {
            let mut frame = vec![0x81];
            match length {
                0..126 => frame.push(0x80 | length as u8),
                126..0x1_0000 => {
                    frame.push(0x80 | 126);
                    frame.extend_from_slice(&(length as u16).to_be_bytes());
                }
                _ => {
                    frame.push(0x80 | 127);
                    frame.extend_from_slice(&(length as u64).to_be_bytes());
                }
            }
            frame.extend_from_slice(&[1, 2, 3, 4]);
            frame.extend((0..length).map(|n| b'x' ^ [1, 2, 3, 4][n % 4]));
            let whole = frame.len();
            assert_eq!(client_frame(&frame[..whole - 1]), None);
            frame.push(0x81);
            let read = client_frame(&frame).unwrap();
            assert_eq!((read.opcode, read.length), (1, whole));
            assert_eq!(read.payload, vec![b'x'; length]);
        }
    }

    #[test]
    fn requests_and_upgrades_are_distinguished() {
        let read =
            request(b"GET /ws/market HTTP/1.1\r\nSec-WebSocket-Key: abc\r\n\r\nrest").unwrap();
        assert_eq!((read.path.as_str(), read.key.as_deref()), ("/ws/market", Some("abc")));
        assert_eq!(read.length, 51);
        assert_eq!(request(b"GET /markets HTTP/1.1\r\n"), None);
        assert_eq!(request(b"GET /x HTTP/1.1\r\n\r\n").unwrap().key, None);
    }
}

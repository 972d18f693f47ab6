//! The venue's end of a connection: memory, HTTP upgrade and WebSocket frames of its own.
//!
//! Runs on:  the simulation's thread. Shares no code with the engine but the `Stream` that it implements.
use base64::Engine as _;
use ringbook::io::socket::{Connector, Stream};
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeSet, VecDeque};
use std::io::{Error, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Bytes on their way, both directions, and who has left.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) to_client: VecDeque<u8>,
    pub(crate) to_venue: VecDeque<u8>,
    /// The client's end was dropped.
    pub(crate) client_left: bool,
    /// No byte comes after those that are there.
    pub(crate) venue_left: bool,
    /// As many bytes as one read gives.
    pub(crate) piece: usize,
    /// Nothing is taken from the client any more.
    pub(crate) unread: bool,
    /// Bytes that the client has read.
    pub(crate) taken: u64,
    /// The port that was dialed.
    pub(crate) port: u16,
}

/// The client's end.
#[derive(Debug)]
struct ClientEnd(Arc<Mutex<Pipe>>);

impl Stream for ClientEnd {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut pipe = self.0.lock().unwrap();
        let count = into.len().min(pipe.to_client.len()).min(pipe.piece.max(1));
        if count == 0 {
            return if pipe.venue_left { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        pipe.to_client.read_exact(&mut into[..count])?;
        pipe.taken += count as u64;
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut pipe = self.0.lock().unwrap();
        if pipe.venue_left {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if pipe.unread {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(pipe.piece.max(1) * 4);
        pipe.to_venue.extend(&bytes[..count]);
        Ok(count)
    }

    fn handle(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.0.lock().unwrap().client_left = true;
    }
}

/// Where the engine's connections arrive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switchboard(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    new: Vec<Arc<Mutex<Pipe>>>,
    refuses: bool,
    /// Ports without a listener.
    dead: BTreeSet<u16>,
}

impl Switchboard {
    pub(crate) fn take(&self) -> Vec<Arc<Mutex<Pipe>>> {
        std::mem::take(&mut self.0.lock().unwrap().new)
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.0.lock().unwrap().refuses = refuses;
    }

    /// Closes the listener of this port, or opens it again.
    pub(crate) fn kill(&self, port: u16, dead: bool) {
        let mut board = self.0.lock().unwrap();
        if dead {
            board.dead.insert(port);
        } else {
            board.dead.remove(&port);
        }
    }
}

impl Connector for Switchboard {
    fn connect(&self, address: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
        let mut board = self.0.lock().unwrap();
        if board.refuses || board.dead.contains(&address.port()) {
            return Err(Error::from(ErrorKind::ConnectionRefused));
        }
        let pipe =
            Arc::new(Mutex::new(Pipe { piece: 4096, port: address.port(), ..Pipe::default() }));
        board.new.push(Arc::clone(&pipe));
        Ok(Box::new(ClientEnd(pipe)))
    }
}

/// A frame as a server sends it: not masked.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..65_536 => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

/// What a client sent.
#[derive(Debug)]
pub(crate) enum ClientMessage {
    Text(String),
    Close,
    Pong,
    Other,
}

/// The next whole frame of a client, taken off the front of `bytes`.
pub(crate) fn take_frame(bytes: &mut VecDeque<u8>) -> Option<ClientMessage> {
    let flat: &[u8] = bytes.make_contiguous();
    let (&first, &second) = (flat.first()?, flat.get(1)?);
    assert!(first & 0x80 != 0 && second & 0x80 != 0, "a client's frame is whole and masked");
    let (length, head) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(flat.get(2..4)?.try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(flat.get(2..10)?.try_into().unwrap()) as usize, 10),
        short => (usize::from(short), 2),
    };
    let mask: [u8; 4] = flat.get(head..head + 4)?.try_into().unwrap();
    let body = flat.get(head + 4..head + 4 + length)?;
    let body: Vec<u8> = body.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
    let sent = match first & 0x0f {
        1 => ClientMessage::Text(String::from_utf8(body).unwrap()),
        8 => ClientMessage::Close,
        10 => ClientMessage::Pong,
        _ => ClientMessage::Other,
    };
    bytes.drain(..head + 4 + length);
    Some(sent)
}

/// The answer to an upgrade request, once its head is whole.
pub(crate) fn take_upgrade(bytes: &mut VecDeque<u8>) -> Option<Vec<u8>> {
    Some(answer_to(&take_head(bytes)?))
}

/// The head of an upgrade request, once it is whole.
pub(crate) fn take_head(bytes: &mut VecDeque<u8>) -> Option<String> {
    let flat: &[u8] = bytes.make_contiguous();
    let end = flat.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(flat[..end].to_vec()).unwrap();
    bytes.drain(..end);
    Some(head)
}

/// The value of a header.
pub(crate) fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// The answer to the head of an upgrade request.
pub(crate) fn answer_to(head: &str) -> Vec<u8> {
    let key = header(head, "sec-websocket-key").expect("an upgrade has a key");
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

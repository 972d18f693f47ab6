//! Answers to the upgrade, with frames behind them: the engine's handshake, cross-checked by tungstenite's.
//!
//! Input: how it is cut, then the stream, in which `@ACCEPT@` stands for the right key.

use super::frames::{Pipe, config, key_of, read_alone, show_incoming};
use super::{Target, behaviour, pieces};
use ringbook::wire::websocket::{Upgrade, WebSocketError};
use tungstenite::handshake::{client::ClientHandshake, derive_accept_key};
use tungstenite::{Error, HandshakeError};

pub(super) const TARGET: Target = Target {
    name: "upgrade",
    run,
    seeds,
    dictionary: &[
        "@ACCEPT@",
        "\r\n",
        "\r\n\r\n",
        "\n\n",
        "\n\r\n",
        "\r",
        "HTTP/1.1 101 ",
        "HTTP/1.0 ",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Sec-WebSocket-Accept: @ACCEPT@\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Protocol: x\r\n",
        "Retry-After: 5\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        " ",
        ":",
    ],
};

const ACCEPT: &[u8] = b"@ACCEPT@";
/// The right key has as many bytes.
const ACCEPT_BYTES: usize = 28;

/// What came of an answer.
#[derive(Debug, PartialEq)]
enum Outcome {
    Waiting,
    Refused(u16),
    UnknownExtension,
    /// A description that the engine and tungstenite share.
    Broken(String),
    Open {
        messages: Vec<String>,
        end: Option<WebSocketError>,
    },
}

/// The stream with the right key, cut by the plan.
fn answer(stream: &[u8], request: &[u8]) -> Vec<u8> {
    let accept = derive_accept_key(key_of(request).as_bytes());
    assert_eq!(accept.len(), ACCEPT_BYTES);
    let mut bytes = Vec::with_capacity(stream.len() + ACCEPT_BYTES);
    let mut rest = stream;
    // The first alone: the key is another one for each client, and the messages must be the same.
    if let Some(at) = rest.windows(ACCEPT.len()).position(|window| window == ACCEPT) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(accept.as_bytes());
        rest = &rest[at + ACCEPT.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

fn engine(plan: u8, stream: &[u8]) -> Outcome {
    let mut upgrade = Upgrade::start("ws://127.0.0.1:9/ws/market", "ringbook/test").unwrap();
    let answer = answer(stream, &upgrade.take_output());
    let input = [&[plan], &answer[..]].concat();
    let mut socket = None;
    let mut messages = Vec::new();
    for piece in pieces(&input).1 {
        let Some(open) = &mut socket else {
            match upgrade.handle_bytes(piece) {
                Ok(done) => socket = done,
                Err(WebSocketError::Refused { status, .. }) => return Outcome::Refused(status),
                Err(WebSocketError::UnknownExtension(_)) => return Outcome::UnknownExtension,
                Err(WebSocketError::Protocol(why)) => return Outcome::Broken(why),
                Err(error) => panic!("{error:?} is no answer's fault"),
            }
            if let Some(open) = &mut socket {
                let end = open.handle_bytes(&[], &mut |m| messages.push(show_incoming(m))).err();
                if end.is_some() {
                    return Outcome::Open { messages, end };
                }
            }
            continue;
        };
        let end = open.handle_bytes(piece, &mut |m| messages.push(show_incoming(m))).err();
        if end.is_some() {
            return Outcome::Open { messages, end };
        }
    }
    if socket.is_some() { Outcome::Open { messages, end: None } } else { Outcome::Waiting }
}

fn alone(plan: u8, stream: &[u8]) -> Outcome {
    let url = "ws://127.0.0.1:9/ws/market";
    let started = tungstenite::client::client_with_config(url, Pipe::default(), Some(config()));
    let Err(HandshakeError::Interrupted(mut middle)) = started else { panic!("it has no answer") };
    let pipe = |middle: &mut tungstenite::handshake::MidHandshake<ClientHandshake<Pipe>>| {
        std::mem::take(&mut middle.get_mut().get_mut().output)
    };
    let answer = answer(stream, &pipe(&mut middle));
    let input = [&[plan], &answer[..]].concat();
    let pieces = pieces(&input).1;
    let mut messages = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        middle.get_mut().get_mut().input.extend_from_slice(piece);
        middle = match middle.handshake() {
            Err(HandshakeError::Interrupted(middle)) => middle,
            Err(HandshakeError::Failure(Error::Http(response))) => {
                return Outcome::Refused(response.status().as_u16());
            }
            Err(HandshakeError::Failure(error)) => return Outcome::Broken(error.to_string()),
            Ok((_, response)) if response.headers().contains_key("sec-websocket-extensions") => {
                return Outcome::UnknownExtension;
            }
            Ok((mut socket, _)) => {
                let mut end = read_alone(&mut socket, &mut messages);
                for piece in &pieces[place + 1..] {
                    if end.is_some() {
                        break;
                    }
                    socket.get_mut().input.extend_from_slice(piece);
                    end = read_alone(&mut socket, &mut messages);
                }
                return Outcome::Open { messages, end };
            }
        };
    }
    Outcome::Waiting
}

fn run(input: &[u8]) -> u64 {
    let Some((&plan, stream)) = input.split_first() else { return 0 };
    // Beyond this tungstenite takes an answer for an attack by the number of its pieces, which
    // differs by those that hold no part of the head.
    let stream = &stream[..stream.len().min(4_000)];
    let plan = if plan == 0 { 0 } else { plan.max(70) };
    let (expected, got) = (alone(plan, stream), engine(plan, stream));
    match (&got, &expected) {
        // A bound of the engine that the other implementation does not have.
        (
            Outcome::Open { messages: got, end: Some(WebSocketError::Flood(_)) },
            Outcome::Open { messages: expected, .. },
        ) => assert!(expected.starts_with(got), "{got:?} {expected:?}"),
        _ => assert_eq!(got, expected),
    }
    behaviour(match &got {
        Outcome::Open { messages, end } => format!("open {} {end:?}", messages.len()),
        other => format!("{other:?}"),
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: @ACCEPT@\r\n";
    let frames = "\u{1}".to_owned(); // An incomplete frame header.
    let answers = [
        format!("{head}\r\n"),
        format!("{head}Server: a\r\nDate: b\r\n\r\n"),
        format!("{head}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        format!("{head}\r\n{frames}"),
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno".into(),
        "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n\r\n".into(),
        "220 smtp\r\n\r\n".into(),
        format!("{}\r\n", head.replace("@ACCEPT@", "bm90IHRoZSByaWdodCBrZXkgYXQgYWxs")),
    ];
    let mut seeds = Vec::new();
    for answer in answers {
        for tail in [&b""[..], b"\x81\x03[1]\x81\x02[]", b"\x89\x00\x88\x02\x03\xe8"] {
            for plan in [0, 70, 100] {
                seeds.push([&[plan], answer.as_bytes(), tail].concat());
            }
        }
    }
    seeds
}

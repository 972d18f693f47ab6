//! Comparison of the text frame scanner with tungstenite alone: equal output for all input.
//!
//! More cases: `PROPTEST_CASES=200000 cargo test --release --lib websocket`.
use super::*;
use proptest::prelude::*;
use tungstenite::protocol::Role;

#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    messages: Vec<String>,
    result: Result<(), WebSocketError>,
    output: Vec<u8>,
}

fn show(message: Incoming<'_>) -> String {
    match message {
        Incoming::Text(text) => format!("text {text}"),
        Incoming::Large(text) => format!("text {text}"),
        Incoming::Binary(bytes) => format!("binary {bytes:?}"),
        Incoming::Close { code, reason } => format!("close {code} {reason}"),
    }
}

/// Output of tungstenite alone; `close_at` is the part before which the client closes.
fn alone(pieces: &[&[u8]], close_at: Option<usize>) -> Outcome {
    let mut socket = WebSocket::from_raw_socket(Memory::default(), Role::Client, Some(config()));
    let mut messages = Vec::new();
    let mut result = Ok(());
    for (place, piece) in pieces.iter().enumerate() {
        if close_at == Some(place) {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let _ = socket.close(Some(frame));
        }
        socket.get_mut().feed(piece);
        let mut receiver = call(|message| messages.push(show(message)));
        result = read_messages(&mut socket, &mut 0, &mut receiver);
        if result.is_err() {
            break;
        }
    }
    let output = std::mem::take(&mut socket.get_mut().output);
    Outcome { messages, result, output }
}

fn with_lane(pieces: &[&[u8]], close_at: Option<usize>) -> Outcome {
    let socket = WebSocket::from_raw_socket(Memory::default(), Role::Client, Some(config()));
    let mut socket =
        ClientSocket { socket, scanner: FrameScanner::new(), early: Vec::new(), pongs: 0 };
    let mut messages = Vec::new();
    let mut result = Ok(());
    for (place, piece) in pieces.iter().enumerate() {
        if close_at == Some(place) {
            socket.close();
        }
        result = socket.handle_bytes(piece, &mut |message| messages.push(show(message)));
        if result.is_err() {
            break;
        }
    }
    Outcome { messages, result, output: socket.output().to_vec() }
}

fn unmasked(mut outcome: Outcome) -> Outcome {
    // Client frames have a random mask: remove it.
    let mut plain = Vec::new();
    let mut rest = &outcome.output[..];
    while let [first, length, a, b, c, d, tail @ ..] = rest {
        let len = usize::from(length & 0x7f);
        plain.push(*first);
        let mask = [a, b, c, d];
        plain.extend(tail[..len].iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        rest = &tail[len..];
    }
    outcome.output = plain;
    outcome
}

fn frame_bytes(first: u8, payload: &[u8], long: bool) -> Vec<u8> {
    let mut bytes = text_frame(payload);
    bytes[0] = first;
    if long && payload.len() < 126 {
        // Longer length form than needed.
        bytes = [&[first, 126], &(payload.len() as u16).to_be_bytes()[..], payload].concat();
    }
    bytes
}

fn a_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        8 => "[a-z\"{}:]{0,40}".prop_map(String::into_bytes),
        3 => "[a-z]{126,300}".prop_map(String::into_bytes),
        1 => Just(vec![b'x'; LARGE_FRAME_BYTES + 7]),
        1 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    let first = prop_oneof![
        20 => Just(0x81u8),
        2 => Just(0x82),
        2 => Just(0x89),
        1 => Just(0x8a),
        1 => Just(0x01),
        1 => Just(0x02),
        2 => Just(0x00),
        2 => Just(0x80),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    (first, payload, prop::bool::weighted(0.05), prop::bool::weighted(0.02)).prop_map(
        |(first, payload, long, masked)| {
            let mut bytes = frame_bytes(first, &payload, long);
            if masked {
                bytes[1] |= 0x80;
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn the_lane_delivers_what_tungstenite_alone_does(
        frames in prop::collection::vec(a_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        close_at in prop::option::weighted(0.2, 0..6usize),
        spoilt in prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut stream = frames.concat();
        if let Some((place, byte)) = spoilt && !stream.is_empty() {
            let place = place.index(stream.len().min(400));
            stream[place] = byte;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let (expected, got) = (alone(&pieces, close_at), with_lane(&pieces, close_at));
        prop_assert_eq!(unmasked(got), unmasked(expected));
    }
}

#[test]
fn every_split_of_a_stream_delivers_the_same() {
    let mut stream = Vec::new();
    stream.extend(frame_bytes(0x81, b"one", false));
    stream.extend(frame_bytes(0x89, b"are you there", false));
    stream.extend(frame_bytes(0x81, "\u{20ac}".repeat(60).as_bytes(), false));
    stream.extend(frame_bytes(0x01, b"in ", false));
    stream.extend(frame_bytes(0x8a, b"", false));
    stream.extend(frame_bytes(0x80, b"parts", false));
    stream.extend(frame_bytes(0x81, b"", false));
    let expected = unmasked(alone(&[&stream], None));
    assert_eq!(expected.messages.len(), 4);
    for cut in 0..=stream.len() {
        let (front, back) = stream.split_at(cut);
        assert_eq!(unmasked(with_lane(&[front, back], None)), expected, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(unmasked(with_lane(&bytes, None)), expected);
}

/// Where texts begin that were announced, and where those that were delivered.
#[derive(Default)]
struct Places {
    announced: Vec<usize>,
    delivered: Vec<usize>,
    /// Announcements before each message.
    before: Vec<usize>,
}

impl Receive for Places {
    fn on_message(&mut self, message: Incoming<'_>) {
        self.delivered.extend(message.text().map(|text| text.as_ptr().addr()));
        self.before.push(self.announced.len());
    }

    fn announce(&mut self, payload: &[u8]) {
        self.announced.push(payload.as_ptr().addr());
    }
}

#[test]
fn texts_of_one_read_are_announced_two_messages_ahead_and_come_from_the_same_place() {
    let socket = WebSocket::from_raw_socket(Memory::default(), Role::Client, Some(config()));
    let mut socket =
        ClientSocket { socket, scanner: FrameScanner::new(), early: Vec::new(), pongs: 0 };
    let mut bytes: Vec<u8> = (0..5).flat_map(|_| text_frame(b"text")).collect();
    let mut places = Places::default();
    socket.receive(&bytes, &mut places).unwrap();
    assert_eq!(places.announced, places.delivered[1..]);
    assert_eq!(places.before, [2, 3, 4, 4, 4]);
    // A ping between two texts, and a text of which the last byte is missing.
    bytes = [text_frame(b"a"), frame_bytes(0x89, b"", false), text_frame(b"b"), text_frame(b"c")]
        .concat();
    let mut places = Places::default();
    socket.receive(&bytes[..bytes.len() - 1], &mut places).unwrap();
    assert_eq!((places.announced.len(), places.delivered.len()), (0, 2));
    socket.receive(&bytes[bytes.len() - 1..], &mut places).unwrap();
    assert_eq!((places.announced.len(), places.delivered.len()), (0, 3));
}

#[test]
fn the_memory_of_a_large_frame_moves_to_the_caller() {
    let socket = WebSocket::from_raw_socket(Memory::default(), Role::Client, Some(config()));
    let mut socket =
        ClientSocket { socket, scanner: FrameScanner::new(), early: Vec::new(), pongs: 0 };
    let bytes = text_frame(&vec![b'x'; 2_000_000]);
    let mut large = 0;
    for part in bytes.chunks(16_384) {
        let read = socket.handle_bytes(part, &mut |message| match message {
            Incoming::Large(text) => large = text.len(),
            other => panic!("{other:?}"),
        });
        read.unwrap();
    }
    assert_eq!(large, 2_000_000);
    assert!(
        socket.scanner.retained_bytes() == 0,
        "{} bytes are retained",
        socket.scanner.retained_bytes()
    );
}

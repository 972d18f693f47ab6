//! Autobahn's fuzzing client against the gateway's side of a WebSocket, by an echo server over `serve` and `wire`.
//!
//! Ignored by default; `autobahn.rs` has the installation. Then:
//!
//! ```text
//! WSTEST=$PWD/env/bin/wstest cargo test --release --test network autobahn_server -- --ignored --nocapture
//! ```
//!
//! Groups 12 and 13 are about compression, which is not negotiated.
use crate::autobahn::read_report;
use ringbook::serve::request;
use ringbook::wire::websocket::server::{ClientMessage, ServerSocket, accept};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// Longest message of the suite.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Shorter reads are handled byte by byte, so that an answer precedes the echo of a later message.
const SHORT_READ_BYTES: usize = 4096;

fn push_frame(into: &mut Vec<u8>, first: u8, payload: &[u8]) {
    into.push(first);
    match payload.len() {
        short @ 0..126 => into.push(short as u8),
        medium @ 126..0x1_0000 => {
            into.push(126);
            into.extend((medium as u16).to_be_bytes());
        }
        long => {
            into.push(127);
            into.extend((long as u64).to_be_bytes());
        }
    }
    into.extend(payload);
}

/// Echoes the messages of one client, until either side closes.
fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut input = Vec::new();
    let upgrade = loop {
        let count = stream.read(&mut buffer)?;
        input.extend_from_slice(&buffer[..count]);
        if let Some((head, length)) = request::parse(&input).expect("an upgrade") {
            input.drain(..length);
            break head.upgrade.expect("an upgrade");
        }
    };
    stream.write_all(accept(&upgrade.key).as_bytes())?;
    let mut socket = ServerSocket::new(MESSAGE_BYTES_MAX);
    loop {
        let part = if input.len() < SHORT_READ_BYTES { 1 } else { input.len() };
        for bytes in input.chunks(part) {
            let mut echoes = Vec::new();
            let result = socket.handle_bytes(bytes, |message| match message {
                ClientMessage::Text(text) => push_frame(&mut echoes, 0x81, text.as_bytes()),
                ClientMessage::Binary(bytes) => push_frame(&mut echoes, 0x82, bytes),
                ClientMessage::Close(..) | ClientMessage::Pong => {}
            });
            let output = socket.take_output();
            if part == 1 {
                stream.write_all(&output)?;
                stream.write_all(&echoes)?;
            } else {
                stream.write_all(&echoes)?;
                stream.write_all(&output)?;
            }
            if result.is_err() {
                return Ok(());
            }
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        input.clear();
        input.extend_from_slice(&buffer[..count]);
    }
}

#[test]
#[ignore = "needs the Autobahn suite: see the head of `autobahn.rs`"]
fn the_gateways_socket_passes_every_case_without_compression() {
    let wstest = std::env::var("WSTEST").expect("WSTEST names the program `wstest`");
    let cases = std::env::var("AUTOBAHN_CASES").unwrap_or_else(|_| "*".into());
    let cases: Vec<&str> = cases.split(',').collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    // The threads end with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A case that ends with a reset is judged by the suite.
            std::thread::spawn(|| drop(echo(stream.unwrap())));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    let specification = serde_json::json!({
        "outdir": reports,
        "servers": [{"agent": "ringbook-gateway", "url": url}],
        "cases": cases,
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    let file = folder.path().join("fuzzingclient.json");
    std::fs::write(&file, specification.to_string()).unwrap();
    let status = Command::new(&wstest)
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&file)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let (counts, bad) = read_report(&reports, "ringbook-gateway");
    println!("ringbook-gateway: {counts:?}");
    assert!(counts.values().sum::<usize>() > 0);
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

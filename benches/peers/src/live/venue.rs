//! The venue: a catalog, a market channel, and the sender behind them, on one pinned thread.

use super::CHANNEL;
use super::frame::{Market, server_frame};
use super::recorder::Shared;
use super::request::{client_frame, request};
use super::sender::{Pace, PacedSocket, Sent, send};
use crate::host;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at all sockets while nothing is paced.
const LOOK: Duration = Duration::from_micros(500);

enum VenueCommand {
    Send(Pace),
    End,
}

enum Answer {
    /// Every token is subscribed and has its snapshot.
    Subscribed,
    Sent(Box<Sent>),
}

/// A running venue.
#[derive(Debug)]
pub struct Venue {
    /// Where it listens.
    pub address: SocketAddr,
    commands: Sender<VenueCommand>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
}

impl Venue {
    /// Listens on loopback; its thread runs on `core`. `sockets` connections are expected, which
    /// together subscribe to all tokens of `markets`.
    ///
    /// # Errors
    /// No port, or no such core.
    pub fn start(
        core: usize,
        sockets: usize,
        markets: Vec<Market>,
        shared: Arc<Shared>,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (commands, received) = channel();
        let (sender, answers) = channel();
        let (pinned, is_pinned) = channel();
        let thread = std::thread::spawn(move || {
            let result = host::pin(core).map_err(|error| format!("--sender-core {core}: {error}"));
            let failed = result.is_err();
            let _ = pinned.send(result);
            if !failed {
                let server = Server::new(listener, sockets, &markets);
                server.run(&received, &sender, &shared);
            }
        });
        is_pinned.recv().map_err(|error| error.to_string())??;
        Ok(Self { address, commands, answers, thread })
    }

    /// Waits until everything is subscribed; `meanwhile` is called several times a second.
    ///
    /// # Errors
    /// It took longer than `timeout`.
    pub fn wait_subscribed(
        &self,
        timeout: Duration,
        mut meanwhile: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let deadline_ns = host::mono_ns() + timeout.as_nanos() as u64;
        loop {
            meanwhile()?;
            match self.answers.recv_timeout(Duration::from_millis(10)) {
                Ok(Answer::Subscribed) => return Ok(()),
                _ if host::mono_ns() > deadline_ns => {
                    return Err(format!("not everything was subscribed within {timeout:?}"));
                }
                _ => {}
            }
        }
    }

    /// Sends one run.
    pub fn send(&self, pace: Pace) {
        let _ = self.commands.send(VenueCommand::Send(pace));
    }

    /// How the run went, once it is over.
    #[must_use]
    pub fn sent(&self, wait: Duration) -> Option<Sent> {
        match self.answers.recv_timeout(wait) {
            Ok(Answer::Sent(sent)) => Some(*sent),
            _ => None,
        }
    }

    /// Closes everything.
    pub fn end(self) {
        let _ = self.commands.send(VenueCommand::End);
        let _ = self.thread.join();
    }
}

struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    upgraded: bool,
    tokens: Vec<String>,
    closed: bool,
}

struct Server {
    listener: TcpListener,
    sockets: usize,
    markets: Vec<Market>,
    by_token: HashMap<String, usize>,
    peers: Vec<Peer>,
    subscribed: bool,
    paced: Vec<PacedSocket>,
}

impl Server {
    fn new(listener: TcpListener, sockets: usize, markets: &[Market]) -> Self {
        let numbered = markets.iter().enumerate();
        let tokens = numbered.flat_map(|(n, market)| market.tokens.clone().map(|token| (token, n)));
        Self {
            listener,
            sockets,
            markets: markets.to_vec(),
            by_token: tokens.collect(),
            peers: Vec::new(),
            subscribed: false,
            paced: Vec::new(),
        }
    }

    fn run(mut self, commands: &Receiver<VenueCommand>, answers: &Sender<Answer>, shared: &Shared) {
        loop {
            match commands.try_recv() {
                Ok(VenueCommand::Send(pace)) => {
                    let sent = send(&mut self.paced, pace, shared);
                    let _ = answers.send(Answer::Sent(Box::new(sent)));
                }
                Ok(VenueCommand::End) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            self.look();
            if !self.subscribed && self.is_subscribed() {
                self.subscribed = true;
                self.open_paced();
                let _ = answers.send(Answer::Subscribed);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn is_subscribed(&self) -> bool {
        let open = self.peers.iter().filter(|peer| peer.upgraded && !peer.tokens.is_empty());
        open.clone().count() == self.sockets
            && open.map(|peer| peer.tokens.len()).sum::<usize>() == self.by_token.len()
    }

    fn open_paced(&mut self) {
        for peer in self.peers.iter().filter(|peer| !peer.tokens.is_empty()) {
            // Both tokens of a market are on one connection.
            let mut markets: Vec<usize> =
                peer.tokens.iter().map(|token| self.by_token[token]).collect();
            markets.sort_unstable();
            markets.dedup();
            let templates = markets.iter().flat_map(|&market| self.markets[market].templates());
            if let Ok(stream) = peer.stream.try_clone() {
                self.paced.push(PacedSocket::new(stream, templates.collect()));
            }
        }
    }

    /// Accepts, reads and answers whatever has come.
    fn look(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok() {
                let (input, tokens) = (Vec::new(), Vec::new());
                self.peers.push(Peer { stream, input, upgraded: false, tokens, closed: false });
            }
        }
        let mut peers = std::mem::take(&mut self.peers);
        for peer in &mut peers {
            peer.read();
            while self.answer(peer).is_some() {}
        }
        peers.retain(|peer| !peer.closed);
        self.peers = peers;
    }

    /// Answers the first thing in a peer's input, if it is whole.
    fn answer(&self, peer: &mut Peer) -> Option<()> {
        if !peer.upgraded {
            let request = request(&peer.input)?;
            peer.input.drain(..request.length);
            match request.key {
                Some(key) if request.path.starts_with(CHANNEL) => peer.upgrade(&key),
                _ => peer.write(&http(&self.catalog(&request.path))),
            }
            return Some(());
        }
        let frame = client_frame(&peer.input)?;
        peer.input.drain(..frame.length);
        match frame.opcode {
            8 => {
                peer.write(&server_frame(8, &frame.payload));
                peer.closed = true;
            }
            9 => peer.write(&server_frame(10, &frame.payload)),
            1 if frame.payload == b"PING" => peer.write(&server_frame(1, b"PONG")),
            1 => self.subscribe(peer, &frame.payload),
            _ => {}
        }
        Some(())
    }

    /// A dump in one array frame, as the venue sends it.
    fn subscribe(&self, peer: &mut Peer, message: &[u8]) {
        let message: serde_json::Value = serde_json::from_slice(message).unwrap_or_default();
        let ids = message["assets_ids"].as_array().into_iter().flatten();
        let tokens: Vec<String> = ids.filter_map(|id| id.as_str().map(str::to_owned)).collect();
        let mut books = Vec::new();
        for token in &tokens {
            if let Some(market) = self.by_token.get(token).map(|&number| &self.markets[number]) {
                books.push(market.snapshot(usize::from(market.tokens[1] == *token)));
            }
        }
        peer.write(&server_frame(1, format!("[{}]", books.join(",")).as_bytes()));
        peer.tokens.extend(tokens);
    }

    /// The markets that a lookup asks for by token; a scan finds nothing.
    fn catalog(&self, path: &str) -> String {
        let token = path.split_once("clob_token_ids=").map(|(_, rest)| rest);
        let token = token.map(|rest| rest.split('&').next().unwrap_or(rest));
        match token.and_then(|token| self.by_token.get(token)) {
            Some(&number) => format!("[{}]", self.markets[number].entry()),
            None => "[]".to_owned(),
        }
    }
}

fn http(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Peer {
    fn upgrade(&mut self, key: &str) {
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        self.upgraded = true;
        self.write(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.closed = true,
            }
            return;
        }
    }

    /// Setting up is not timed, so a full socket is simply waited for.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

//! Clients of the gateway: plain sockets on one thread outside the engine, which counts their frames.
//!
//! Runs on:  the clients' thread; the main thread reads the counters.
//! Owns:     the sockets. Bounds: `READ_BYTES` of a socket before the next; the texts of the first client of a step.
use super::frames::{CLOSE, FrameScanner, PING, PONG, Part, TEXT, client_text, upgrade};
use crate::base::time::MILLISECOND_NS;
use crate::io::driver::{Doorbell, Readiness};
use crate::io::socket::{Connecting, Socket, Stream as _};
use crate::io::threads::pin_current;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const READ_BYTES: usize = 256 * 1024;
const WAIT_NS: u64 = 20 * MILLISECOND_NS;

/// What the clients of a step do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) path: &'static str,
    /// The subscription of each client.
    pub(super) texts: Vec<String>,
    pub(super) never_reads: bool,
    pub(super) core: Option<u32>,
    /// They read at this interval instead of waiting for their sockets.
    pub(super) interval: Option<Duration>,
}

#[derive(Debug, Default)]
struct Counters {
    /// Clients with a text frame.
    begun: AtomicUsize,
    /// Clients whose connection has ended.
    ended: AtomicUsize,
    bytes: AtomicU64,
    stop: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Ended {
    /// Text frames of the first client.
    pub(super) texts: Vec<Vec<u8>>,
    /// Why a connection has ended, of the first that did.
    pub(super) fault: Option<String>,
}

#[derive(Debug)]
pub(super) struct Clients {
    counters: Arc<Counters>,
    bell: Doorbell,
    thread: JoinHandle<Ended>,
}

impl Clients {
    /// Starts the thread, which connects them; `frames` counts the text frames of all.
    ///
    /// # Errors
    /// No descriptors or threads are left: one line.
    pub(super) fn start(plan: Plan, frames: Arc<AtomicU64>) -> Result<Self, String> {
        let mut set = Readiness::new().map_err(|error| error.to_string())?;
        let (bell, counters) = (set.doorbell(), Arc::<Counters>::default());
        let (mut all, interval) = (Vec::new(), plan.interval);
        for key in 0..plan.texts.len() {
            let client = Client::connect(&plan, key).map_err(|error| {
                format!(
                    "client {key} cannot connect: {error}; raise `ulimit -n` or use fewer --clients"
                )
            })?;
            set.add(&client.socket, key as u32).map_err(|error| error.to_string())?;
            all.push(client);
        }
        let loops = Loop {
            set,
            clients: all,
            counters: Arc::clone(&counters),
            frames,
            interval,
            fault: None,
        };
        let run = move || {
            plan.core.map(pin_current);
            loops.run()
        };
        let thread = std::thread::Builder::new().name(super::THREAD.into()).spawn(run);
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(Self { counters, bell, thread })
    }

    pub(super) fn begun(&self) -> usize {
        self.counters.begun.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self) -> usize {
        self.counters.ended.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub(super) fn stop(self) -> Ended {
        self.counters.stop.store(true, Ordering::Relaxed);
        self.bell.ring();
        self.thread.join().expect("the clients' thread does not panic")
    }
}

#[derive(Debug)]
struct Client {
    socket: Socket,
    scanner: FrameScanner,
    /// To be sent.
    output: Vec<u8>,
    wants_write: bool,
    subscription: String,
    never_reads: bool,
    begun: bool,
    open: bool,
    /// Text frames, if they are stored; the last one is not complete.
    texts: Option<Vec<Vec<u8>>>,
}

impl Client {
    fn connect(plan: &Plan, key: usize) -> std::io::Result<Self> {
        let socket = Socket::connect(plan.address)?;
        while socket.poll_connected()? == Connecting::Pending {
            std::thread::yield_now();
        }
        Ok(Self {
            socket,
            scanner: FrameScanner::default(),
            output: upgrade(plan.address, plan.path),
            wants_write: false,
            subscription: plan.texts[key].clone(),
            never_reads: plan.never_reads && key > 0 && key + 1 == plan.texts.len(),
            begun: false,
            open: true,
            texts: (key == 0).then(|| vec![Vec::new()]),
        })
    }
}

struct Loop {
    set: Readiness,
    clients: Vec<Client>,
    counters: Arc<Counters>,
    frames: Arc<AtomicU64>,
    interval: Option<Duration>,
    fault: Option<String>,
}

impl Loop {
    fn run(mut self) -> Ended {
        let mut buffer = vec![0; READ_BYTES];
        for key in 0..self.clients.len() {
            self.flush(key);
        }
        while !self.counters.stop.load(Ordering::Relaxed) {
            self.interval.inspect(|&interval| std::thread::sleep(interval));
            self.set.wait(if self.interval.is_some() { 0 } else { WAIT_NS }, || true);
            for place in 0..self.set.reported() {
                let ready = self.set.ready(place);
                let key = ready.key as usize;
                if ready.writable {
                    self.flush(key);
                }
                if ready.readable {
                    self.read(key, &mut buffer);
                }
            }
        }
        let first = self.clients.first_mut().and_then(|client| client.texts.take());
        let mut texts = first.unwrap_or_default();
        texts.pop();
        Ended { texts, fault: self.fault }
    }

    fn read(&mut self, key: usize, buffer: &mut [u8]) {
        let client = &mut self.clients[key];
        if !client.open {
            return;
        }
        let count = match client.socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(0) => return self.end(key, "the gateway has closed it".to_owned()),
            Err(error) => return self.end(key, error.to_string()),
            Ok(count) => count,
        };
        let Client { scanner, texts, output, subscription, .. } = client;
        let (mut frames, mut closed) = (0, false);
        let result = scanner.scan(&buffer[..count], |part| match part {
            Part::Upgraded => output.extend(client_text(subscription)),
            Part::Payload(bytes) => {
                if let Some(text) = texts.as_mut().and_then(|texts| texts.last_mut()) {
                    text.extend_from_slice(bytes);
                }
            }
            Part::End(opcode) => {
                frames += u64::from(opcode == TEXT);
                closed |= opcode == CLOSE;
                if opcode == PING {
                    output.extend_from_slice(&PONG);
                }
                if let Some(texts) = texts {
                    match (opcode, texts.last_mut()) {
                        (TEXT, _) | (_, None) => texts.push(Vec::new()),
                        (_, Some(other)) => other.clear(),
                    }
                }
            }
        });
        if frames > 0 && !std::mem::replace(&mut client.begun, true) {
            self.counters.begun.fetch_add(1, Ordering::Relaxed);
        }
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.counters.bytes.fetch_add(count as u64, Ordering::Relaxed);
        match result {
            Err(line) => self.end(key, line),
            Ok(()) if closed => self.end(key, "the gateway has sent a close".to_owned()),
            Ok(()) => self.flush(key),
        }
    }

    fn flush(&mut self, key: usize) {
        let client = &mut self.clients[key];
        while client.open && !client.output.is_empty() {
            match client.socket.write(&client.output) {
                Ok(count) => drop(client.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.end(key, error.to_string()),
            }
        }
        let wanted = !client.output.is_empty();
        if client.open && wanted != std::mem::replace(&mut client.wants_write, wanted) {
            // It fails only where the socket is not in the set.
            let _ = self.set.want_write(&client.socket, key as u32, wanted);
        }
        if client.never_reads && client.begun && client.open {
            // It has subscribed and has seen that it is served; from now on it takes nothing.
            self.set.remove(&client.socket, key as u32);
        }
    }

    fn end(&mut self, key: usize, why: String) {
        let client = &mut self.clients[key];
        if std::mem::replace(&mut client.open, false) {
            self.set.remove(&client.socket, key as u32);
            self.counters.ended.fetch_add(1, Ordering::Relaxed);
            self.fault.get_or_insert(format!("client {key}: {why}"));
        }
    }
}

//! A plain TCP proxy that stores the last bytes that each client sent, and can be closed.
//!
//! Runs on:  one thread to accept, two for each connection; they end with their sockets.
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Last bytes stored of each client.
const TAIL_BYTES: usize = 64;

type Tails = Arc<Mutex<Vec<VecDeque<u8>>>>;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    tails: Tails,
    /// Both ends of every connection; `None` while it is closed to clients.
    sockets: Arc<Mutex<Option<Vec<TcpStream>>>>,
    /// How much later what the target sends arrives, for each connection, milliseconds.
    delays: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

impl Proxy {
    pub(crate) fn start(target: SocketAddr) -> Self {
        Self::with(target, None)
    }

    /// What the target sends arrives so much later.
    pub(crate) fn delayed(target: SocketAddr, delay: Duration) -> Self {
        Self::with(target, Some(delay))
    }

    fn with(target: SocketAddr, delay: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tails = Tails::default();
        let shared = Arc::clone(&tails);
        let sockets = Arc::new(Mutex::new(Some(Vec::new())));
        let known = Arc::clone(&sockets);
        let delays = Arc::new(Mutex::new(Vec::new()));
        let every = Arc::clone(&delays);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else { continue };
                {
                    let mut known = known.lock().unwrap();
                    let Some(known) = &mut *known else { continue };
                    known.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                }
                let place = {
                    let mut tails = shared.lock().unwrap();
                    tails.push(VecDeque::new());
                    tails.len() - 1
                };
                let (from, into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let tails = Arc::clone(&shared);
                std::thread::spawn(move || {
                    copy(from, into, |bytes| {
                        let tail = &mut tails.lock().unwrap()[place];
                        tail.extend(bytes);
                        let excess = tail.len().saturating_sub(TAIL_BYTES);
                        tail.drain(..excess);
                    });
                });
                let Some(delay) = delay else {
                    std::thread::spawn(move || copy(server, client, |_| {}));
                    continue;
                };
                let delay = Arc::new(AtomicU64::new(delay.as_millis() as u64));
                every.lock().unwrap().push(Arc::clone(&delay));
                std::thread::spawn(move || late(server, client, &delay));
            }
        });
        Self { address, tails, sockets, delays }
    }

    /// What the target sends on the newest connection, or the one so many before it, arrives so much later from now on.
    pub(crate) fn delay(&self, before: usize, delay: Duration) {
        let delays = self.delays.lock().unwrap();
        delays[delays.len() - 1 - before].store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// Ends the newest connection, or the one so many before it.
    pub(crate) fn cut(&self, before: usize) {
        let sockets = self.sockets.lock().unwrap();
        let sockets = sockets.as_ref().unwrap();
        let first = sockets.len() - 2 * (before + 1);
        for socket in &sockets[first..first + 2] {
            // Its peer may have ended it.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and new ones at once, until it is opened again.
    pub(crate) fn close(&self) {
        let sockets = self.sockets.lock().unwrap().take();
        for socket in sockets.into_iter().flatten() {
            // Its peer may have ended it.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self) {
        self.sockets.lock().unwrap().get_or_insert_default();
    }

    /// The last bytes of every client so far.
    pub(crate) fn tails(&self) -> Vec<Vec<u8>> {
        self.tails.lock().unwrap().iter().map(|tail| tail.iter().copied().collect()).collect()
    }
}

fn late(mut from: TcpStream, mut into: TcpStream, delay: &AtomicU64) {
    let (sender, receiver) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        for (due, part) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if into.write_all(&part).is_err() {
                break;
            }
        }
        drop(into.shutdown(Shutdown::Both));
    });
    let mut part = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut part) {
        let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
        if sender.send((Instant::now() + delay, part[..count].to_vec())).is_err() {
            break;
        }
    }
}

fn copy(mut from: TcpStream, mut into: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut part = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut part) {
        see(&part[..count]);
        if into.write_all(&part[..count]).is_err() {
            break;
        }
    }
    drop(into.shutdown(Shutdown::Write));
}

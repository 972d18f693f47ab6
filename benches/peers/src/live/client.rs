//! A client under test: started on its core, subscribed, and from then on driven by its sockets.

use super::frame::Market;
use super::recorder::{Recorder, Shared};
use super::{boomnet, glommio, ours, tokio, uring};
use crate::decode::{Pipeline as _, Typed, typed::Sonic};
use crate::host;
use clap::ValueEnum;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// Every client by name; `ringbook-POLICY` takes any idle policy that ringbook knows.
pub const NAMES: &[&str] = &[
    "ringbook-spin",
    "ringbook-adaptive",
    "ringbook-adaptive-half",
    "ringbook-park",
    "boomnet",
    "boomnet-service",
    "boomnet-mio",
    "tokio-tungstenite",
    "glommio",
    "glommio-spin",
    "io-uring",
    "io-uring-spin",
    "io-uring-look",
];

/// What the clients that are mere transports do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// sonic-rs structs and a `BTreeMap` a side, as most users have it.
    Book,
    /// Look for the stamp and nothing else: less than any user needs.
    Stamp,
}

/// Where a client connects, and what it does there.
#[derive(Clone, Debug)]
pub struct Task {
    /// The venue.
    pub address: SocketAddr,
    /// Markets of each socket.
    pub sockets: Vec<Vec<Market>>,
    /// What transports do with a frame.
    pub work: Work,
    /// Core of the client's thread.
    pub core: usize,
    /// Core of other threads that it may have.
    pub other_core: usize,
    /// Counts and results.
    pub shared: Arc<Shared>,
}

impl Task {
    /// The subscription of one socket, as the venue wants it.
    #[must_use]
    pub fn subscription(&self, socket: usize) -> String {
        let tokens = self.sockets[socket].iter().flat_map(|market| &market.tokens);
        let tokens: Vec<&String> = tokens.collect();
        serde_json::json!({"assets_ids": tokens, "type": "market", "initial_dump": true})
            .to_string()
    }
}

/// A running client.
pub enum Client {
    /// A thread that ends at a stop signal.
    Thread {
        /// The thread.
        handle: JoinHandle<Result<(), String>>,
        /// The stop signal and the recorder.
        shared: Arc<Shared>,
    },
    /// ringbook's engine.
    Engine(Box<ours::Ours>),
}

impl Client {
    /// Starts the client with this name.
    ///
    /// # Errors
    /// One line: no such client, or it cannot start here.
    pub fn start(name: &str, task: Task) -> Result<Self, String> {
        if let Some(policy) = name.strip_prefix("ringbook-") {
            return Ok(Self::Engine(Box::new(ours::Ours::start(policy, task)?)));
        }
        let run: fn(Task) -> Result<(), String> = match name {
            "boomnet" => boomnet::poll_loop,
            "boomnet-service" => boomnet::direct_service,
            "boomnet-mio" => boomnet::mio_service,
            "tokio-tungstenite" => tokio::run,
            "glommio" => glommio::park,
            "glommio-spin" => glommio::spin,
            "io-uring" => uring::park,
            "io-uring-spin" => uring::spin,
            "io-uring-look" => uring::look,
            _ => return Err(format!("{name}: no such client; there are {}", NAMES.join(", "))),
        };
        let shared = Arc::clone(&task.shared);
        let name = name.to_owned();
        let handle = std::thread::spawn(move || {
            host::pin(task.core).map_err(|error| format!("--client-core: {error}"))?;
            run(task).map_err(|error| format!("{name}: {error}"))
        });
        Ok(Self::Thread { handle, shared })
    }

    /// What it has to do on the main thread, several times a second.
    ///
    /// # Errors
    /// It has failed.
    pub fn look(&mut self) -> Result<(), String> {
        match self {
            Self::Thread { handle, .. } if handle.is_finished() => Err("it ended early".into()),
            Self::Thread { .. } => Ok(()),
            Self::Engine(engine) => {
                engine.look();
                Ok(())
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// What it failed of.
    pub fn end(self) -> Result<(), String> {
        match self {
            Self::Thread { handle, shared } => {
                shared.stop.store(true, Ordering::Relaxed);
                handle.join().map_err(|_| "the client panicked".to_owned())?
            }
            Self::Engine(engine) => engine.end(),
        }
    }
}

/// What a transport hands its text frames to.
pub struct Reader {
    work: Work,
    books: Typed<Sonic>,
    recorder: Recorder,
}

impl Reader {
    /// No books yet.
    #[must_use]
    pub fn new(task: &Task) -> Self {
        let recorder = Recorder::new(Arc::clone(&task.shared));
        Self { work: task.work, books: Typed::default(), recorder }
    }

    /// One text frame.
    pub fn on_text(&mut self, text: &str) {
        let Self { work, books, recorder } = self;
        if text.starts_with('[') {
            books.on_frame(text, |_| ());
            let count = memchr::memmem::find_iter(text.as_bytes(), b"\"event_type\"").count();
            recorder.shared().snapshots.fetch_add(count as u64, Ordering::Relaxed);
        } else if *work == Work::Book {
            books.on_frame(text, |hash| recorder.on_hash(hash.as_bytes()));
        } else {
            let key = b"\"hash\":\"";
            for at in memchr::memmem::find_iter(text.as_bytes(), key) {
                recorder.on_hash(&text.as_bytes()[at + key.len()..]);
            }
        }
    }

    /// The same for a transport that has not looked whether it is UTF-8.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.on_text(text);
        }
    }

    /// Whether to end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.recorder.shared().stopping()
    }

    /// Whether every frame became a change of a book.
    ///
    /// # Errors
    /// How many did not: the run is worth nothing.
    pub fn verdict(&self) -> Result<(), String> {
        match self.books.refused() {
            0 => Ok(()),
            refused => Err(format!("{refused} frames were not applied")),
        }
    }
}

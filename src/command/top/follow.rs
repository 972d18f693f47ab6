//! The trades of the market that is shown: a client of the engine's stream on a thread of its own.
//!
//! Runs on:  a thread for each market that was opened, which ends within `REQUEST_TIMEOUT_NS` once another one is.
//!
//! An engine has in memory the trades of books that a client of its stream has subscribed to, and answers them at
//! `/trades`. What this client receives is not used.
use super::REQUEST_TIMEOUT_NS;
use crate::io::line::Line;
use crate::wire::endpoint::Endpoint;
use crate::wire::http::USER_AGENT;
use crate::wire::tls::client_config;
use crate::wire::websocket::{ClientSocket, Upgrade};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A subscription to books, until it is dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) tokens: Vec<String>,
    is_over: Arc<AtomicBool>,
}

impl Subscription {
    /// Subscribes; again wherever the engine goes away. Without a thread there are no trades, and everything else
    /// works.
    pub(super) fn start(service: &Endpoint, tokens: Vec<String>) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let (over, service, list) = (Arc::clone(&is_over), service.clone(), tokens.join(","));
        let follow = move || {
            while !over.load(Ordering::Relaxed) {
                // The view reports that the engine is gone.
                drop(follow(&service, &list, &over));
                std::thread::sleep(Duration::from_secs(1));
            }
        };
        drop(std::thread::Builder::new().name("trades".into()).spawn(follow));
        Self { tokens, is_over }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn follow(service: &Endpoint, tokens: &str, is_over: &AtomicBool) -> io::Result<()> {
    let mut line = Line::connect(&service.host, service.port, REQUEST_TIMEOUT_NS)?;
    if service.tls {
        line.start_tls(&client_config(None).map_err(io::Error::other)?, &service.host)?;
    }
    let url =
        format!("{}/v1/stream?kinds=trade&tokens={tokens}", service.url.replacen("http", "ws", 1));
    let mut upgrade = Upgrade::start(&url, USER_AGENT).map_err(io::Error::other)?;
    line.write_all(&upgrade.take_output())?;
    let mut socket: Option<ClientSocket> = None;
    let mut buffer = [0; 4096];
    while !is_over.load(Ordering::Relaxed) {
        let count = match line.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error),
        };
        let Some(socket) = &mut socket else {
            socket = upgrade.handle_bytes(&buffer[..count]).map_err(io::Error::other)?;
            continue;
        };
        socket.handle_bytes(&buffer[..count], &mut |_| {}).map_err(io::Error::other)?;
        // Pongs.
        line.write_all(socket.output())?;
        socket.clear_output();
    }
    Ok(())
}

//! Handle of a running simulated Kalshi.
//!
//! Runs on:  any; the venue itself is one thread.
use super::super::certificate::tls;
use super::super::config::SimError;
use super::config::KalshiConfig;
use super::server::Server;
use mio::Waker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A running simulated Kalshi: REST, WebSocket and `/sim` on one port. Stops when dropped.
#[derive(Debug)]
pub struct KalshiVenue {
    address: SocketAddr,
    ca_pem: Option<String>,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl KalshiVenue {
    /// Creates the markets, listens, and starts the venue's thread.
    pub fn start(config: &KalshiConfig) -> Result<Self, SimError> {
        config.check()?;
        let (tls, ca_pem) = tls(config.tls)?;
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server::new(config, tls, Arc::clone(&stop))?;
        let (address, waker) = (server.address(), server.waker());
        let thread = std::thread::Builder::new().name("venue-sim".to_owned());
        let thread = thread.spawn(move || server.run()).map_err(SimError::Start)?;
        Ok(Self { address, ca_pem, waker, stop, thread: Some(thread) })
    }

    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate authority in PEM; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Base URL of REST.
    pub fn rest_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/trade-api/v2", self.address)
    }

    /// URL of the WebSocket.
    pub fn ws_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}/trade-api/ws/v2", self.address)
    }

    /// Whether the venue's thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for KalshiVenue {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(self.waker.wake());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

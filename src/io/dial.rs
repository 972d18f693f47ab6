//! TCP connections made on a glommio executor, and a limit in time for anything awaited there.
//!
//! Runs on:  control core, serve core. Owns: nothing.
//! Bounds:   the timeout given by the caller, shared out among the addresses.
//!
//! The socket is made here and lent to glommio, so that it can be taken back: glommio's stream
//! gives its descriptor away only as a number.
use futures_lite::AsyncWriteExt as _;
use futures_lite::future::or;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// No address could be connected to. *The network's or the server's fault: back off.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConnectError {
    /// Each address that was tried, and why it failed.
    pub tried: Vec<(SocketAddr, String)>,
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.tried.is_empty() {
            return f.write_str("there is no address to connect to");
        }
        f.write_str("no connection to")?;
        for (i, (address, why)) in self.tried.iter().enumerate() {
            write!(f, "{} {address} ({why})", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A connection, usable in two ways: awaited through glommio, or as a bare socket.
#[derive(Debug)]
pub struct Dialed {
    /// To be awaited on the executor that connected.
    pub stream: TcpStream,
    /// The same connection as a non-blocking socket; an own descriptor.
    pub socket: std::net::TcpStream,
}

impl Dialed {
    /// The bare socket alone, for another thread; the connection stays open.
    #[must_use]
    pub fn into_socket(self) -> std::net::TcpStream {
        self.socket
    }
}

/// Waits for `work`, but no longer than `timeout_ns`; `None` when the time is over. What is then
/// dropped is the future, not a task.
pub async fn within<T>(timeout_ns: u64, work: impl Future<Output = T>) -> Option<T> {
    or(async { Some(work.await) }, async {
        Timer::new(Duration::from_nanos(timeout_ns)).await;
        None
    })
    .await
}

/// Connects to the first address that answers, in the given order. Each gets an equal share of
/// `timeout_ns`; what one leaves unused is not carried over. `TCP_NODELAY` is on.
///
/// # Errors
/// [`ConnectError`] with the fate of every address.
pub async fn connect(addresses: &[SocketAddr], timeout_ns: u64) -> Result<Dialed, ConnectError> {
    let mut tried = Vec::new();
    let share_ns = timeout_ns / (addresses.len().max(1) as u64);
    for &address in addresses {
        match within(share_ns, connect_one(address)).await {
            Some(Ok(dialed)) => return Ok(dialed),
            Some(Err(error)) => tried.push((address, one_line(&error))),
            None => tried.push((address, "no answer in time".to_owned())),
        }
    }
    Err(ConnectError { tried })
}

async fn connect_one(address: SocketAddr) -> io::Result<Dialed> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    if let Err(error) = socket.connect(&address.into())
        && error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error())
    {
        return Err(error);
    }
    let lent = socket.try_clone()?;
    let mut stream = TcpStream::from(lent);
    // Sending nothing waits until the connection is made, and reports why it was not.
    stream.write(&[]).await?;
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    Ok(Dialed { stream, socket: socket.into() })
}

fn one_line(error: &io::Error) -> String {
    // "Connection refused (os error 111)": the number says nothing to a reader.
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

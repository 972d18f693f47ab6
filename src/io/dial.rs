//! TCP connections on a glommio executor, and a timeout for futures.
//!
//! Runs on:  control core, serve core. Owns: nothing.
//! Bounds:   the caller's timeout, divided among the addresses.
//!
//! The socket is created here and duplicated for glommio, whose stream does not give up its descriptor.
use futures_lite::AsyncWriteExt as _;
use futures_lite::future::or;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// No address accepted a connection. *Back off.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConnectError {
    /// Each address tried, with its error.
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

/// A connection as a glommio stream and as a plain socket.
#[derive(Debug)]
pub struct Dialed {
    /// Stream of the executor that connected.
    pub stream: TcpStream,
    /// The same connection as a non-blocking socket with its own descriptor.
    pub socket: std::net::TcpStream,
}

/// Awaits `work` for at most `timeout_ns`; `None` after the timeout. Then the future is dropped (no task is cancelled).
pub async fn within<T>(timeout_ns: u64, work: impl Future<Output = T>) -> Option<T> {
    or(async { Some(work.await) }, async {
        Timer::new(Duration::from_nanos(timeout_ns)).await;
        None
    })
    .await
}

/// Connects to the first address that accepts, in the given order. Each gets an equal share of `timeout_ns`; unused
/// time is not carried over. Sets `TCP_NODELAY`.
///
/// # Errors
/// [`ConnectError`] with the error of every address.
pub async fn connect(addresses: &[SocketAddr], timeout_ns: u64) -> Result<Dialed, ConnectError> {
    let mut tried = Vec::new();
    let share_ns = timeout_ns / (addresses.len().max(1) as u64);
    for &address in addresses {
        match within(share_ns, connect_one(address)).await {
            Some(Ok(dialed)) => return Ok(dialed),
            Some(Err(error)) => tried.push((address, one_line(&error))),
            None => tried.push((address, "no response in time".to_owned())),
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
    let copy = socket.try_clone()?;
    let mut stream = TcpStream::from(copy);
    // An empty write completes when connected, and returns the error otherwise.
    stream.write(&[]).await?;
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    Ok(Dialed { stream, socket: socket.into() })
}

fn one_line(error: &io::Error) -> String {
    // Removes the error number: "Connection refused (os error 111)".
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

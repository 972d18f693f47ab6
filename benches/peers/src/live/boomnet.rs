//! boomnet: a loop over buffered sockets that never waits, and its IO service with two selectors.

use super::CHANNEL;
use super::client::{Reader, Task};
use crate::host;
use boomnet::service::dns::BlockingDnsResolver;
use boomnet::service::endpoint::EndpointFactory;
use boomnet::service::select::direct::DirectSelector;
use boomnet::service::select::mio::MioSelector;
use boomnet::service::select::{Selectable, Selector};
use boomnet::service::time::TimeSource;
use boomnet::service::{IOService, IOServiceEvent};
use boomnet::stream::buffer::{BufferedStream, IntoBufferedStream};
use boomnet::stream::mio::{IntoMioStream, MioStream};
use boomnet::stream::tcp::TcpStream;
use boomnet::stream::{ConnectionInfo, ConnectionInfoProvider, ReadHint};
use boomnet::ws::{IntoWebsocket, Websocket, WebsocketFrame};
use std::io;
use std::net::SocketAddr;

type Direct = Websocket<BufferedStream<TcpStream>>;
type Mio = Websocket<BufferedStream<MioStream>>;

fn info(task: &Task) -> ConnectionInfo {
    ConnectionInfo::new(task.address.ip().to_string(), task.address.port())
}

fn direct(info: &ConnectionInfo, address: SocketAddr) -> io::Result<Direct> {
    let stream = info.clone().into_tcp_stream_with_addr(address)?;
    Ok(stream.into_default_buffered_stream().into_websocket(CHANNEL))
}

fn mio(info: &ConnectionInfo, address: SocketAddr) -> io::Result<Mio> {
    let stream = info.clone().into_tcp_stream_with_addr(address)?.into_mio_stream();
    Ok(stream.into_default_buffered_stream().into_websocket(CHANNEL))
}

fn read<S: io::Read + io::Write + ReadHint>(
    socket: &mut Websocket<S>,
    reader: &mut Reader,
) -> io::Result<()> {
    for frame in socket.read_batch()? {
        if let WebsocketFrame::Text(true, text) = frame? {
            reader.on_bytes(text);
        }
    }
    Ok(())
}

/// Every socket in turn, without end: with one socket the spin of its examples.
pub(super) fn poll_loop(task: Task) -> Result<(), String> {
    let open = |socket: usize| {
        let mut websocket = direct(&info(&task), task.address)?;
        websocket.send_text(true, Some(task.subscription(socket).as_bytes()))?;
        Ok(websocket)
    };
    let sockets: io::Result<Vec<Direct>> = (0..task.sockets.len()).map(open).collect();
    let mut sockets = sockets.map_err(|error| error.to_string())?;
    let mut reader = Reader::new(&task);
    while !reader.stopping() {
        for socket in &mut sockets {
            read(socket, &mut reader).map_err(|error| error.to_string())?;
        }
    }
    reader.verdict()
}

/// The IO service that tries every socket.
pub(super) fn direct_service(task: Task) -> Result<(), String> {
    service(task, DirectSelector::new().map_err(|error| error.to_string())?, direct)
}

/// The IO service that asks epoll, without waiting.
pub(super) fn mio_service(task: Task) -> Result<(), String> {
    service(task, MioSelector::new().map_err(|error| error.to_string())?, mio)
}

/// The service opens one connection a second by this clock; ours is faster than the wall's, or
/// 190 connections would take three minutes. It reads it only while connections are missing.
struct FastClock;

impl TimeSource for FastClock {
    fn current_time_nanos(&self) -> u64 {
        host::mono_ns().saturating_mul(200)
    }
}

struct Factory<S> {
    info: ConnectionInfo,
    subscription: String,
    open: fn(&ConnectionInfo, SocketAddr) -> io::Result<Websocket<S>>,
}

impl<S> ConnectionInfoProvider for Factory<S> {
    fn connection_info(&self) -> &ConnectionInfo {
        &self.info
    }
}

impl<S: io::Read + io::Write + ReadHint> EndpointFactory for Factory<S> {
    type Endpoint = Websocket<S>;
    type Context = ();

    fn create_endpoint(
        &mut self,
        address: SocketAddr,
        (): &mut (),
    ) -> io::Result<Option<Websocket<S>>> {
        let mut websocket = (self.open)(&self.info, address)?;
        websocket.send_text(true, Some(self.subscription.as_bytes()))?;
        Ok(Some(websocket))
    }
}

fn service<S, Chosen>(
    task: Task,
    selector: Chosen,
    open: fn(&ConnectionInfo, SocketAddr) -> io::Result<Websocket<S>>,
) -> Result<(), String>
where
    S: io::Read + io::Write + ReadHint + Selectable + 'static,
    Chosen: Selector<Target = Websocket<S>>,
{
    let mut service = IOService::new(selector, FastClock, BlockingDnsResolver);
    for socket in 0..task.sockets.len() {
        let subscription = task.subscription(socket);
        let factory = Factory { info: info(&task), subscription, open };
        service.register(factory).map_err(|error| error.to_string())?;
    }
    let mut reader = Reader::new(&task);
    while !reader.stopping() {
        for event in service.poll(&mut ()).map_err(|error| error.to_string())? {
            match event {
                IOServiceEvent::Active(active) => {
                    active.try_with(|socket| read(socket, &mut reader));
                }
                IOServiceEvent::Disconnected { reason, .. } if !reader.stopping() => {
                    return Err(reason.to_string());
                }
                _ => {}
            }
        }
    }
    reader.verdict()
}

//! stub
use crate::link::{serve_control::*, serve_shard::*};
use crate::ring::{Consumer, Producer};
/// stub
pub enum Wake {
    /// stub
    Control,
    /// stub
    Shard(usize),
}
/// stub
pub struct ServeLinks {
    /// stub
    pub control_queries: Producer<ControlQuery>,
    /// stub
    pub control_answers: Consumer<ControlAnswer>,
    /// stub
    pub shards: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    /// stub
    pub wake: Box<dyn Fn(Wake)>,
}
/// stub
pub struct Server;
impl Server {
    /// stub
    pub fn new(_: ServeLinks, _: std::net::TcpListener) -> Self {
        Self
    }
    /// stub
    pub async fn run(self, stop: std::sync::Arc<std::sync::atomic::AtomicBool>) {
        while !stop.load(std::sync::atomic::Ordering::Acquire) {
            crate::io::executor::sleep(50_000_000).await;
        }
    }
}
/// stub
pub fn bind(a: std::net::SocketAddr) -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(a)
}

//! Pools against servers of the tests that misbehave, and against servers that are not ours.
mod blocking;
mod command;
mod descriptors;
mod faults;
mod others;
mod peers;
mod proxy;
mod requests;
mod server;
mod soak;
mod sockets;

use glommio::{LocalExecutorBuilder, Placement};
use ringbook::io::resolve::Resolver;
use ringbook::pool::{Kind, Manager, Pool, PoolError, Service};
use ringbook::wire::tls::client_config;
use std::net::SocketAddr;
use std::rc::Rc;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// Runs one future on an executor like the control core's.
fn run<T: 'static>(work: impl Future<Output = T> + 'static) -> T {
    LocalExecutorBuilder::new(Placement::Unbound).io_memory(0).make().unwrap().run(work)
}

/// Every name is here.
fn local() -> Resolver {
    Resolver::with_lookup(0, |_| Ok(vec!["127.0.0.1".parse().unwrap()])).unwrap()
}

/// A service at `address` with short times and without probes.
fn service(kind: Kind, address: SocketAddr, change: impl FnOnce(&mut Service)) -> Service {
    let name = if kind.is_tls() { "service.test".to_owned() } else { address.ip().to_string() };
    let url = format!("{}://{name}:{}", kind.name(), address.port());
    let mut service = Service::new("test", kind, &url).unwrap();
    let limits = &mut service.limits;
    limits.min = 0;
    limits.health_interval_ns = 0;
    limits.connect_timeout_ns = 5 * S;
    limits.acquire_timeout_ns = 10 * S;
    limits.request_timeout_ns = 10 * S;
    change(&mut service);
    service
}

/// A manager of one service; the pool lives as long as the manager.
fn manage(service: Service, ca: Option<&str>) -> (Manager, Rc<Pool>) {
    let tls = client_config(ca.map(str::as_bytes)).unwrap();
    let manager = Manager::new(vec![service], &local(), &tls).unwrap();
    let pool = manager.pool("test").unwrap();
    (manager, pool)
}

async fn pause(ms: u64) {
    glommio::timer::sleep(std::time::Duration::from_millis(ms)).await;
}

/// Waits until something holds, for up to five seconds.
async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        pause(5).await;
    }
    panic!("it never came to hold");
}

/// Runs `count` futures concurrently; their results in order of completion.
async fn concurrently<T: 'static, F: Future<Output = T> + 'static>(
    count: usize,
    mut make: impl FnMut(usize) -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..count).map(|place| glommio::spawn_local(make(place))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await);
    }
    results
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, PoolError>) -> &'static str {
    result.unwrap_err().kind().name()
}

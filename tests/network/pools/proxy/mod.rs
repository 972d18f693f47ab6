//! Programs of other languages through `ringbook pools --listen`: the proxy on its executor, or the whole program.
mod callers;
mod faults;
mod http;
mod leaks;
mod overhead;
mod websocket;

use super::server::whole;
use super::{MS, S, local, service};
use glommio::{LocalExecutorBuilder, Placement};
use ringbook::counter::service::ServiceReport;
use ringbook::io::listen::Listener;
use ringbook::pool::{Kind, Manager, Service};
use ringbook::serve::proxy::Proxy;
use ringbook::wire::tls::client_config;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for a condition.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running proxy; ends when dropped.
struct Rig {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<ServiceReport>>>,
}

impl Rig {
    fn start(services: Vec<Service>) -> Self {
        Self::with_ca(services, None)
    }

    /// One service, named `svc`.
    fn of(kind: Kind, address: SocketAddr, change: impl FnOnce(&mut Service)) -> Self {
        Self::start(vec![named("svc", service(kind, address, change))])
    }

    fn with_ca(services: Vec<Service>, ca: Option<String>) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let running = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(0)
            .spawn(move || async move {
                let tls = client_config(ca.as_deref().map(str::as_bytes)).unwrap();
                let manager = Manager::new(services, &local(), &tls).unwrap();
                Proxy::new(manager, listener, &[]).run(asked).await
            })
            .unwrap();
        let thread = std::thread::spawn(move || running.join().unwrap());
        Self { address, stop, thread: Some(thread) }
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }

    fn stats(&self) -> serde_json::Value {
        let answer = self.client().get("/stats");
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// A number of the service at `place`.
    fn number(&self, place: usize, pointer: &str) -> u64 {
        let stats = self.stats();
        let value = stats["services"][place].pointer(pointer);
        value.unwrap_or_else(|| panic!("{pointer}: {stats}")).as_u64().unwrap()
    }

    fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn stop(mut self) -> Vec<ServiceReport> {
        self.request_stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.request_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn named(name: &str, service: Service) -> Service {
    Service { name: name.to_owned(), ..service }
}

/// Waits until something holds.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "it never came to hold: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A client that reads every byte by itself.
struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
    /// The body ended as its head says.
    complete: bool,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}");
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        self.send([request.as_bytes(), body].concat());
        self.answer(method == "HEAD")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Status and headers.
    fn head(&mut self) -> (u16, HashMap<String, String>) {
        let line = self.line();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: `{line}`"));
        let mut headers = HashMap::new();
        loop {
            let field = self.line();
            if field.is_empty() {
                return (status.parse().unwrap(), headers);
            }
            let (name, value) = field.split_once(": ").unwrap();
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }

    /// The next chunk's data; empty for the last one, `None` at the end of the connection.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line();
        let mut data = vec![0; usize::from_str_radix(&size, 16).ok()?];
        self.stream.read_exact(&mut data).ok()?;
        (self.line().is_empty()).then_some(data)
    }

    fn answer(&mut self, to_head: bool) -> Answer {
        let (status, headers) = self.head();
        let mut answer = Answer { status, headers, body: Vec::new(), complete: true };
        if to_head || status < 200 || status == 204 || status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                match self.chunk() {
                    Some(data) if data.is_empty() => return answer,
                    Some(data) => answer.body.extend_from_slice(&data),
                    None => break,
                }
            }
            answer.complete = false;
            return answer;
        }
        let length: usize = answer.header("content-length").parse().unwrap();
        let mut part = self.stream.by_ref().take(length as u64);
        let _ = part.read_to_end(&mut answer.body);
        answer.complete = answer.body.len() == length;
        answer
    }

    /// Whether the proxy has closed the connection; nothing more may come.
    fn is_over(&mut self) -> bool {
        !matches!(self.stream.read(&mut [0]), Ok(1..))
    }
}

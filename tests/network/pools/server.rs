//! A server made of std threads and sockets, which does what a test asks for, faults too.
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What both plain and TLS streams are.
pub(crate) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Which request of its connection, from 1.
    pub(crate) nth: usize,
}

/// Answers one request; false closes the connection.
pub(crate) type Answer = dyn Fn(&Ask, &mut dyn Duplex) -> bool + Send + Sync;

struct Shared {
    stopping: AtomicBool,
    accepted: AtomicUsize,
    requests: AtomicUsize,
    /// By their numbers: clones that serve to end them.
    open: Mutex<HashMap<usize, TcpStream>>,
}

/// A running server; ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        answer: impl Fn(&Ask, &mut dyn Duplex) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None, Arc::new(answer))
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        answer: Arc<Answer>,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            stopping: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ours.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let number = ours.accepted.fetch_add(1, Ordering::SeqCst);
                ours.open.lock().unwrap().insert(number, stream.try_clone().unwrap());
                let (shared, answer, tls) = (Arc::clone(&ours), Arc::clone(&answer), tls.clone());
                std::thread::spawn(move || {
                    converse(stream, tls, &shared, &*answer);
                    shared.open.lock().unwrap().remove(&number);
                });
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Connections accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Requests read.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for (_, stream) in self.shared.open.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn converse(stream: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared, answer: &Answer) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut stream: Box<dyn Duplex> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let mut nth = 0;
    while let Some(ask) = read_request(&mut *stream, nth + 1) {
        nth += 1;
        shared.requests.fetch_add(1, Ordering::SeqCst);
        if !answer(&ask, &mut *stream) {
            break;
        }
    }
}

/// Reads one request: its head, and as much body as `content-length` states; of a chunked one, what came with the head.
fn read_request(stream: &mut dyn Duplex, nth: usize) -> Option<Ask> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = bytes.split_off(end);
    let have = body.len();
    if !lower.contains("transfer-encoding: chunked") {
        body.resize(length.map_or(0, |length| length.parse().unwrap()), 0);
    }
    if body.len() > have {
        stream.read_exact(&mut body[have..]).ok()?;
    }
    let mut parts = head.split(' ').map(str::to_owned);
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    Some(Ask { method, path, head, body, nth })
}

/// A whole answer with a length.
pub(crate) fn whole(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Answers `200 OK` with the path as body.
pub(crate) fn echo_path(ask: &Ask, stream: &mut dyn Duplex) -> bool {
    stream.write_all(&whole("200 OK", "", ask.path.as_bytes())).is_ok()
}

/// An authority of one's own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "pools");
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        #[cfg(feature = "tls-ring")]
        let provider = rustls::crypto::ring::default_provider();
        #[cfg(not(feature = "tls-ring"))]
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

//! REST through a pool, as the control core asks, against small servers made of std sockets.
use flate2::{Compression, write::GzEncoder};
use glommio::{LocalExecutorBuilder, Placement};
use ringbook::io::connection::ConnectionError;
use ringbook::io::dial::{connect, within};
use ringbook::io::resolve::Resolver;
use ringbook::pool::{Pool, PoolError, Service};
use ringbook::wire::http::Response;
use ringbook::wire::tls::{TlsError, client_config};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// Runs one future on an executor like the control core's.
fn run<T: 'static>(work: impl Future<Output = T> + 'static) -> T {
    LocalExecutorBuilder::new(Placement::Unbound).io_memory(0).make().unwrap().run(work)
}

fn local() -> Resolver {
    Resolver::with_lookup(0, |_| Ok(vec!["127.0.0.1".parse().unwrap()])).unwrap()
}

/// A pool of one service of the engine's, with short times.
struct Fetcher(Rc<Pool>);

/// Requests, those that failed, connections opened, requests on open ones, requests sent again.
type Counts = [u64; 5];

impl Fetcher {
    fn new(base: &str, resolver: Resolver, ca: Option<&[u8]>, timeout_ns: u64) -> Self {
        let mut service = Service::rest("test", base).unwrap();
        service.limits.request_timeout_ns = timeout_ns;
        service.limits.acquire_timeout_ns = timeout_ns;
        service.limits.connect_timeout_ns = (1000 * MS).min(timeout_ns / 2);
        service.limits.body_bytes_max = 100_000;
        Self(Pool::new(service, resolver, &client_config(ca).unwrap()))
    }

    async fn get(&self, path: &str) -> Result<Response, ConnectionError> {
        self.0.get(path).await.map_err(of_the_connection)
    }

    async fn post_json(&self, path: &str, body: Vec<u8>) -> Result<Response, ConnectionError> {
        self.0.post_json(path, body).await.map_err(of_the_connection)
    }

    fn counts(&self) -> Counts {
        let report = self.0.report();
        let reused = (report.reuse_rate * report.acquired as f64).round() as u64;
        [report.requests, report.failed, report.opened, reused, report.repeated]
    }

    fn opened(&self) -> u64 {
        self.0.report().opened
    }

    fn idle_connections(&self) -> usize {
        self.0.occupation().idle
    }
}

fn of_the_connection(error: PoolError) -> ConnectionError {
    match error {
        PoolError::Connection(error) => error,
        other => panic!("{other}"),
    }
}

fn fetcher(base: &str, ca: Option<&[u8]>) -> Fetcher {
    Fetcher::new(base, local(), ca, 3000 * MS)
}

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// Reads one request: its head, and as much body as `content-length` states.
fn read_request(stream: &mut dyn Duplex) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let length = text.lines().find_map(|l| l.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    Some(text + std::str::from_utf8(&body).unwrap())
}

/// Accepts `connections` and answers each request as `answer` does; `None` closes. The thread
/// gives the number of requests.
fn serve(
    connections: usize,
    mut answer: impl FnMut(&str, &mut dyn Duplex) -> Option<()> + Send + 'static,
) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut requests = 0;
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            while let Some(request) = read_request(&mut stream) {
                requests += 1;
                if answer(&request, &mut stream).is_none() {
                    break;
                }
            }
        }
        requests
    });
    (address, thread)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn whole(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer_by_path(request: &str, stream: &mut dyn Duplex) -> Option<()> {
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let bytes = match path.as_str() {
        "/api/length?a=1" => whole(b"length"),
        "/api/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n4\r\nnked\r\n0\r\n\r\n"
                .to_vec()
        }
        "/api/gzip" => {
            let body = gzip(b"gzip gzip gzip");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), &body].concat()
        }
        "/api/limit" => {
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nslow".to_vec()
        }
        "/api/huge" => whole(&vec![b'.'; 100_001]),
        "/api/garbage" => b"220 smtp.test ESMTP\r\n\r\n".to_vec(),
        "/api/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec(),
        "/api/echo" => whole(request.split("\r\n\r\n").nth(1).unwrap().as_bytes()),
        "/api/close" => b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec(),
        other => panic!("{other}"),
    };
    for piece in bytes.chunks(7000) {
        stream.write_all(piece).ok()?;
    }
    let closes = ["/api/huge", "/api/garbage", "/api/short", "/api/close"];
    (!closes.contains(&path.as_str())).then_some(())
}

#[test]
fn every_kind_of_answer_and_one_connection_for_those_that_allow_it() {
    let (address, server) = serve(5, answer_by_path);
    run(async move {
        let fetcher = fetcher(&format!("http://venue.test:{}/api/", address.port()), None);
        let text =
            async |path: &str| String::from_utf8(fetcher.get(path).await.unwrap().body).unwrap();
        assert_eq!(text("/length?a=1").await, "length");
        assert_eq!(text("/chunked").await, "chunked");
        assert_eq!(text("/gzip").await, "gzip gzip gzip");
        let posted = fetcher.post_json("/echo", b"{\"a\":1}".to_vec()).await.unwrap();
        assert_eq!(posted.body, b"{\"a\":1}");
        assert_eq!(fetcher.opened(), 1);
        assert_eq!(fetcher.idle_connections(), 1);

        assert_eq!(text("/close").await, "to the end");
        assert_eq!(fetcher.idle_connections(), 0);
        let huge = fetcher.get("/huge").await.unwrap_err();
        assert!(matches!(huge, ConnectionError::TooLarge(_)), "{huge}");
        let garbage = fetcher.get("/garbage").await.unwrap_err();
        assert!(matches!(garbage, ConnectionError::Protocol(_)), "{garbage}");
        let short = fetcher.get("/short").await.unwrap_err();
        assert!(matches!(short, ConnectionError::Broken(_)), "{short}");
        assert_eq!(text("/length?a=1").await, "length");
        // A pause that the service asks for holds the next request up: it is the last one here.
        let limited = fetcher.get("/limit").await.unwrap();
        assert_eq!((limited.status, limited.retry_after_s(0)), (429, Some(3)));
        assert_eq!(fetcher.counts(), [10, 3, 5, 5, 0]);
    });
    assert_eq!(server.join().unwrap(), 10);
}

#[test]
fn a_dead_idle_connection_is_replaced() {
    // Every connection answers once and then closes, unannounced.
    let (address, server) = serve(4, |_, stream| {
        stream.write_all(&whole(b"one")).unwrap();
        None
    });
    run(async move {
        let fetcher = fetcher(&format!("http://127.0.0.1:{}", address.port()), None);
        // Whether the end is seen before the request is sent or after it, a GET goes through.
        for _ in 0..3 {
            assert_eq!(fetcher.get("/x").await.unwrap().body, b"one");
        }
        // A POST goes through when the end can be seen before it is sent.
        glommio::timer::sleep(Duration::from_millis(50)).await;
        assert_eq!(fetcher.post_json("/x", b"[]".to_vec()).await.unwrap().body, b"one");
        assert_eq!(fetcher.opened(), 4);
    });
    assert_eq!(server.join().unwrap(), 4);
}

#[test]
fn a_get_is_retried_once_when_its_reused_connection_closes() {
    let mut seen = 0;
    let (address, server) = serve(2, move |_, stream| {
        seen += 1;
        if seen == 2 {
            return None; // reads the request and closes without an answer
        }
        stream.write_all(&whole(b"ok")).ok()
    });
    let counts = run(async move {
        let fetcher = fetcher(&format!("http://127.0.0.1:{}", address.port()), None);
        assert_eq!(fetcher.get("/first").await.unwrap().body, b"ok");
        assert_eq!(fetcher.get("/second").await.unwrap().body, b"ok");
        fetcher.counts()
    });
    assert_eq!(counts, [2, 0, 2, 1, 1]);
    assert_eq!(server.join().unwrap(), 3);
}

#[test]
fn silence_refusal_and_unknown_names_are_distinct_errors() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let closed_port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    run(async move {
        let make =
            |base: String, resolver, timeout_ns| Fetcher::new(&base, resolver, None, timeout_ns);
        let quiet = make(format!("http://127.0.0.1:{silent_port}"), local(), 200 * MS);
        let error = quiet.get("/").await.unwrap_err();
        assert_eq!(error.to_string(), "no response within 200 ms while waiting for the response");
        let quiet = make(format!("https://127.0.0.1:{silent_port}"), local(), 200 * MS);
        let error = quiet.get("/").await.unwrap_err();
        assert!(matches!(error, ConnectionError::Timeout { stage: "negotiating TLS", .. }));

        let two: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        let both = Resolver::with_lookup(0, move |_| Ok(two.clone())).unwrap();
        let refused = make(format!("http://venue.test:{closed_port}"), both, 3000 * MS);
        let error = refused.get("/").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no connection to 127.0.0.1:{closed_port} (connection refused), \
                 127.0.0.2:{closed_port} (connection refused)"
            )
        );

        let failing = Resolver::with_lookup(0, |_| Err(io::Error::other("no such host"))).unwrap();
        let error = make("http://venue.test".into(), failing, 3000 * MS).get("/").await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "the name venue.test cannot be resolved: no such host"
        );
        let stuck = Resolver::with_lookup(0, |_| {
            std::thread::sleep(Duration::from_millis(600));
            Ok(vec![])
        });
        let stuck = make("http://venue.test".into(), stuck.unwrap(), 100 * MS);
        let error = stuck.get("/").await.unwrap_err();
        assert!(matches!(error, ConnectionError::Timeout { stage: "resolving the name", .. }));
    });
    drop(silent);
    for base in ["", "ftp://x", "venue.test", "http://", "http://x?y=1"] {
        assert!(Service::rest("test", base).is_err(), "{base}");
    }
}

#[test]
fn the_second_address_is_tried_and_a_connection_outlives_its_executor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let dead: SocketAddr = format!("127.0.0.2:{}", address.port()).parse().unwrap();
    let mut socket = run(async move {
        let dialed = connect(&[dead, address], 2000 * MS).await.unwrap();
        assert_eq!(dialed.stream.peer_addr().unwrap(), address);
        dialed.socket
    });
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"still here").unwrap();
    socket.set_nonblocking(false).unwrap();
    let mut buffer = [0; 10];
    socket.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still here");
}

#[test]
fn an_unresponsive_address_uses_only_its_share_of_the_timeout() {
    // A listener whose queue is full drops the first packet of a connection.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let full = listener.local_addr().unwrap().as_socket().unwrap();
    let _holding: Vec<_> =
        (0..2).map(|_| TcpStream::connect_timeout(&full, Duration::from_millis(300))).collect();
    run(async move {
        let error = connect(&[full], 300 * MS).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no connection to {full} (no response in time)"));
        let error = connect(&[], MS).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no address to connect to");
        assert_eq!(within(5 * MS, std::future::pending::<()>()).await, None);
    });
}

struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: rcgen::Issuer::new(params, key) }
}

fn server_config(authority: &Authority, name: &str) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    #[cfg(feature = "tls-ring")]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(feature = "tls-ring"))]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A TLS server on which some handshakes fail; the thread gives the number of requests.
fn serve_tls(
    config: Arc<ServerConfig>,
    connections: usize,
    polite: bool,
) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut requests = 0;
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            while let Some(request) = read_request(&mut stream) {
                requests += 1;
                if answer_by_path(&request, &mut stream).is_none() {
                    break;
                }
            }
            if polite {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
        }
        requests
    });
    (address, thread)
}

#[test]
fn tls_works_with_a_private_certificate_authority() {
    let authority = authority("ours");
    let (address, server) = serve_tls(server_config(&authority, "venue.test"), 2, true);
    let pem = authority.pem;
    run(async move {
        let base = format!("https://venue.test:{}/api", address.port());
        let fetcher = fetcher(&base, Some(pem.as_bytes()));
        for _ in 0..3 {
            assert_eq!(fetcher.get("/gzip").await.unwrap().body, b"gzip gzip gzip");
        }
        let body = vec![b'a'; 60_000];
        assert_eq!(fetcher.post_json("/echo", body.clone()).await.unwrap().body, body);
        assert_eq!(fetcher.opened(), 1);
        assert_eq!(fetcher.get("/close").await.unwrap().body, b"to the end");
        assert_eq!(fetcher.get("/chunked").await.unwrap().body, b"chunked");
        assert_eq!(fetcher.opened(), 2);
    });
    assert_eq!(server.join().unwrap(), 6);
}

#[test]
fn tls_failures_name_the_remedy() {
    let (ours, other) = (authority("ours"), authority("other"));
    let twin = authority("ours").pem;
    let (address, server) = serve_tls(server_config(&ours, "venue.test"), 5, false);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let (ours, other) = (ours.pem, other.pem);
    run(async move {
        let port = address.port();
        let failure = async |base: String, ca: Option<&str>| {
            let fetcher = fetcher(&base, ca.map(str::as_bytes));
            fetcher.get("/close").await.unwrap_err()
        };
        let base = format!("https://venue.test:{port}/api");
        for ca in [None, Some(other.as_str())] {
            let error = failure(base.clone(), ca).await;
            assert!(
                matches!(error, ConnectionError::Tls(TlsError::UnknownIssuer { .. })),
                "{error}"
            );
            assert!(error.to_string().contains("--tls-ca"), "{error}");
        }
        let error = failure(base.clone(), Some(&twin)).await.to_string();
        assert!(error.contains("another authority") && error.contains("--tls-ca"), "{error}");
        let error = failure(format!("https://elsewhere.test:{port}/api"), Some(&ours)).await;
        assert!(matches!(error, ConnectionError::Tls(TlsError::NameMismatch { .. })), "{error}");
        assert!(error.to_string().contains("elsewhere.test"), "{error}");
        assert!(!error.to_string().contains('\n'));
        // A body that ends with the connection but without TLS's close_notify may be cut.
        let error = failure(base, Some(&ours)).await;
        assert!(matches!(error, ConnectionError::Broken(_)), "{error}");
        let error = failure(format!("https://venue.test:{plain_port}"), Some(&ours)).await;
        assert!(matches!(error, ConnectionError::Tls(TlsError::NotTls)), "{error}");
    });
    assert_eq!(server.join().unwrap(), 1);
    plain.join().unwrap();
}

/// Every idle connection is dead, as after a restart of the server: the request that finds one so is repeated over a
/// new one.
#[test]
fn a_repeated_request_goes_over_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The first two connections serve one request each and then answer nothing; the third one serves all.
    let server = std::thread::spawn(move || {
        let mut first: Vec<TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
        for stream in &mut first {
            read_request(stream).unwrap();
        }
        for stream in &mut first {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        }
        let dead = first.into_iter().map(|mut stream| {
            std::thread::spawn(move || {
                let request = read_request(&mut stream);
                drop(stream);
                request.is_some()
            })
        });
        let dead: Vec<_> = dead.collect();
        let (mut third, _) = listener.accept().unwrap();
        read_request(&mut third).unwrap();
        third.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthird").unwrap();
        drop(third);
        dead.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    run(async move {
        let fetcher = fetcher(&format!("http://{address}"), None);
        let (one, other) = futures_lite::future::zip(fetcher.get("/1"), fetcher.get("/2")).await;
        assert_eq!((one.unwrap().status, other.unwrap().status), (200, 200));
        assert_eq!(fetcher.idle_connections(), 2);
        assert_eq!(fetcher.get("/3").await.unwrap().body, b"third");
        let [requests, failed, opened, _, repeated] = fetcher.counts();
        assert_eq!([requests, failed, opened, repeated], [3, 0, 3, 1]);
    });
    assert_eq!(server.join().unwrap(), 1, "one of the idle ones was tried");
}

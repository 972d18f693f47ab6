//! WebSockets through the proxy: messages and closes one to one, subprotocols, backpressure.
use super::*;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<TcpStream>;

/// What a stand-in has seen: the path of each upgrade, and how each WebSocket ended.
struct Seen {
    paths: Mutex<Vec<String>>,
    open: AtomicUsize,
    /// Bytes of messages that a flood has written.
    flooded: AtomicUsize,
    closes: Mutex<Sender<Option<u16>>>,
}

/// A server that greets, echoes, chooses the first subprotocol and closes on command.
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    closes: Receiver<Option<u16>>,
}

impl Echo {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, closes) = channel();
        let (paths, open, flooded) = Default::default();
        let seen = Arc::new(Seen { paths, open, flooded, closes: Mutex::new(sender) });
        let ours = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&ours);
                std::thread::spawn(move || converse(stream, &seen));
            }
        });
        Self { address, seen, closes }
    }

    fn open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }

    /// The code with which the next WebSocket ended that did.
    fn closed(&self) -> Option<u16> {
        self.closes.recv_timeout(TIMEOUT).unwrap()
    }
}

#[expect(clippy::result_large_err, reason = "tungstenite's")]
fn converse(stream: TcpStream, seen: &Seen) {
    stream.set_nodelay(true).unwrap();
    let choose = |request: &Request, mut response: Response| {
        seen.paths.lock().unwrap().push(request.uri().to_string());
        if let Some(offered) = request.headers().get("sec-websocket-protocol") {
            let first = offered.to_str().unwrap().split(',').next().unwrap().trim();
            response.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(stream, choose) else { return };
    seen.open.fetch_add(1, Ordering::SeqCst);
    let _ = socket.send(Message::text("hello"));
    let code = loop {
        match socket.read() {
            Ok(Message::Text(text)) => match text.as_str().split_once(' ') {
                Some(("close", code)) => {
                    let code = CloseCode::from(code.parse::<u16>().unwrap());
                    let _ = socket.close(Some(CloseFrame { code, reason: "as asked".into() }));
                }
                Some(("flood", count)) => {
                    let message = Message::binary(vec![7; 65_536]);
                    for _ in 0..count.parse::<usize>().unwrap() {
                        if socket.send(message.clone()).is_err() {
                            break;
                        }
                        seen.flooded.fetch_add(65_536, Ordering::SeqCst);
                    }
                }
                _ if text.as_str() == "die" => break None,
                _ => drop(socket.send(Message::Text(text))),
            },
            Ok(Message::Binary(bytes)) => drop(socket.send(Message::Binary(bytes))),
            Ok(Message::Close(frame)) => break Some(frame.map_or(1005, |f| f.code.into())),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    let _ = socket.flush();
    seen.open.fetch_sub(1, Ordering::SeqCst);
    let _ = seen.closes.lock().unwrap().send(code);
}

fn dial(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, u16, String), u16> {
    use tungstenite::client::IntoClientRequest;
    let mut request =
        format!("ws://localhost:{}{path}", address.port()).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, response)) => {
            let chosen = response.headers().get("sec-websocket-protocol");
            let chosen = chosen.map_or(String::new(), |name| name.to_str().unwrap().to_owned());
            Ok((socket, response.status().as_u16(), chosen))
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// An open WebSocket behind its greeting.
pub(super) fn open(address: SocketAddr, path: &str) -> Socket {
    let (mut socket, ..) = dial(address, path, &[]).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("hello"));
    socket
}

#[test]
fn messages_pass_one_to_one() {
    let echo = Echo::start();
    let rig = Rig::of(Kind::Ws, echo.address, |s| {
        s.path = "/ws".into();
        s.limits.min = 2;
    });
    wait_for("two are open", || echo.open() == 2);
    let mut socket = open(rig.address, "/svc");
    let large = "ä".repeat(1_500_000);
    for message in [
        Message::text("text"),
        Message::text(""),
        Message::binary(vec![0u8, 255]),
        Message::text(large),
        Message::binary(vec![9; 2_000_000]),
    ] {
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message);
    }
    // Many in one write come as many.
    (0..500).for_each(|number| socket.write(Message::text(format!("{number}"))).unwrap());
    socket.flush().unwrap();
    (0..500)
        .for_each(|number| assert_eq!(socket.read().unwrap(), Message::text(format!("{number}"))));
    socket.send(Message::Ping(vec![1, 2].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(vec![1, 2].into()));
    assert_eq!(echo.seen.paths.lock().unwrap()[..], ["/ws", "/ws"]);
    // It is not given to another client; a new one is opened in its place.
    drop(socket);
    assert_eq!(echo.closed(), Some(1001));
    wait_for("two are open again", || echo.open() == 2);
    let report = &rig.stop()[0];
    assert_eq!((report.requests, report.failed, report.occupation.in_use), (1, 0, 0));
}

#[test]
fn close_codes_pass_both_ways() {
    let echo = Echo::start();
    let rig = Rig::of(Kind::Ws, echo.address, |_| {});
    for code in [1000, 1001, 3000, 4999] {
        let mut socket = open(rig.address, "/svc");
        let frame = CloseFrame { code: code.into(), reason: "bye".into() };
        socket.close(Some(frame.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
        assert_eq!(echo.closed(), Some(code));
        let mut socket = open(rig.address, "/svc");
        socket.send(Message::text(format!("close {code}"))).unwrap();
        let expected = CloseFrame { code: code.into(), reason: "as asked".into() };
        assert_eq!(socket.read().unwrap(), Message::Close(Some(expected)));
        assert_eq!(echo.closed(), Some(code));
    }
    let mut socket = open(rig.address, "/svc");
    socket.close(None).unwrap();
    assert_eq!(echo.closed(), Some(1005));
    // A service that dies: not a silent end.
    let mut socket = open(rig.address, "/svc");
    socket.send(Message::text("die")).unwrap();
    let Ok(Message::Close(Some(frame))) = socket.read() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1011);
    // A client that breaks the protocol.
    assert_eq!(echo.closed(), None);
    let mut socket = open(rig.address, "/svc");
    socket.get_mut().write_all(b"\x81\x02ab").unwrap();
    let Ok(Message::Close(Some(frame))) = socket.read() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1002);
    assert_eq!(echo.closed(), Some(1001));
    // The end of the pools.
    let mut socket = open(rig.address, "/svc");
    rig.request_stop();
    let Ok(Message::Close(Some(frame))) = socket.read() else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1001);
    assert_eq!(echo.closed(), Some(1001));
}

#[test]
fn a_client_with_a_path_or_a_subprotocol_has_a_connection_of_its_own() {
    let echo = Echo::start();
    let rig = Rig::of(Kind::Ws, echo.address, |s| {
        s.path = "/ws".into();
        (s.limits.min, s.limits.max, s.limits.acquire_timeout_ns) = (1, 2, 200 * MS);
    });
    wait_for("one is open", || echo.open() == 1);
    let mut one = open(rig.address, "/svc/ws?clientId=7");
    one.send(Message::text("x")).unwrap();
    assert_eq!(one.read().unwrap(), Message::text("x"));
    let (two, _, chosen) =
        dial(rig.address, "/svc", &[("sec-websocket-protocol", "graphql-ws, other")]).unwrap();
    assert_eq!(chosen, "graphql-ws");
    let paths = echo.seen.paths.lock().unwrap().clone();
    assert_eq!(paths, ["/ws", "/ws?clientId=7", "/ws"]);
    // Both places are taken.
    assert_eq!(dial(rig.address, "/svc", &[]).err(), Some(503));
    assert_eq!(dial(rig.address, "/svc?more", &[]).err(), Some(503));
    assert!(rig.number(0, "/peak_in_use") <= 2);
    drop((one, two));
    wait_for("the places are free", || rig.number(0, "/occupation/in_use") == 0);
    open(rig.address, "/svc?again").send(Message::text("x")).unwrap();
}

#[test]
fn what_is_no_websocket_is_answered_in_http() {
    let echo = Echo::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = super::super::server::Server::start(|_, stream| {
        stream.write_all(&whole("401 Unauthorized", "", b"")).is_ok()
    });
    let rig = Rig::start(vec![
        named("ws", service(Kind::Ws, echo.address, |_| {})),
        named("http", service(Kind::Http, echo.address, |_| {})),
        named("dead", service(Kind::Ws, closed, |_| {})),
        named("refusing", service(Kind::Ws, refusing.address, |_| {})),
    ]);
    let answer = rig.client().get("/ws/x");
    assert_eq!((answer.status, answer.header("upgrade")), (426, "websocket"));
    for (path, status) in
        [("/http", 400), ("/dead", 503), ("/dead", 503), ("/refusing?x", 401), ("/none", 404)]
    {
        assert_eq!(dial(rig.address, path, &[]).err(), Some(status), "{path}");
    }
    let page = [("origin", "https://evil.example")];
    assert_eq!(dial(rig.address, "/ws", &page).err(), Some(403));
    // A path that is refused says nothing about the service.
    let state = &rig.stats()["services"][3]["health"]["state"];
    assert_eq!(state, "unknown");
}

#[test]
fn neither_direction_stops_the_other() {
    let echo = Echo::start();
    let rig = Rig::of(Kind::Ws, echo.address, |_| {});
    let mut socket = open(rig.address, "/svc");
    // The service writes 64 MiB before it reads again, and the client 32 MiB meanwhile.
    socket.send(Message::text("flood 1024")).unwrap();
    let mut writer = socket.get_ref().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        // A frame of 65,536 bytes with a mask of zeros.
        let header = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let frame = [&header[..], &[3; 65_536]].concat();
        (0..512).for_each(|_| writer.write_all(&frame).unwrap());
    });
    for number in 0..1024 + 512 {
        let Ok(Message::Binary(bytes)) = socket.read() else { panic!("no message") };
        assert_eq!((bytes.len(), bytes[0]), (65_536, if number < 1024 { 7 } else { 3 }));
    }
    sending.join().unwrap();
}

/// The kernel's bound on a TCP buffer, `rmem` or `wmem`, bytes.
fn kernel_buffer_max(which: &str) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{which}")).unwrap();
    limits.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_slow_client_slows_its_service() {
    let echo = Echo::start();
    let rig = Rig::of(Kind::Ws, echo.address, |_| {});
    let mut socket = open(rig.address, "/svc");
    // Two connections, each with the kernel's buffers of both ends; within the proxy a message and a read.
    let bytes_max = 2 * (kernel_buffer_max("rmem") + kernel_buffer_max("wmem")) + 1024 * 1024;
    let messages = 2 * bytes_max / 65_536;
    socket.send(Message::text(format!("flood {messages}"))).unwrap();
    let flooded = || echo.seen.flooded.load(Ordering::SeqCst);
    wait_for("the service writes", || flooded() > 0);
    let (mut last, mut since) = (0, Instant::now());
    wait_for("the service is stopped", || {
        if flooded() != last {
            (last, since) = (flooded(), Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    assert!(flooded() <= bytes_max, "{} bytes before the client reads", flooded());
    for _ in 0..messages {
        let Ok(Message::Binary(bytes)) = socket.read() else { panic!("no message") };
        assert_eq!(bytes.len(), 65_536);
    }
    socket.close(None).unwrap();
    assert_eq!(echo.closed(), Some(1005));
}

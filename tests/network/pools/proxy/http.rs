//! HTTP through the proxy: heads, bodies in both directions, status codes, the end of either side.
use super::super::server::{Ask, Duplex, Server, echo_path};
use super::*;
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;

/// Answers with what it was asked: method, path, header lines, body.
fn mirror(ask: &Ask, stream: &mut dyn Duplex) -> bool {
    let mut sent = ask.body.clone();
    while ask.head.contains("Transfer-Encoding: chunked") && !sent.ends_with(b"0\r\n\r\n") {
        let mut part = [0; 100];
        let count = stream.read(&mut part).unwrap();
        sent.extend_from_slice(&part[..count]);
    }
    let body = [ask.head.as_bytes(), b"|", &sent[..]].concat();
    let body = if ask.method == "HEAD" { Vec::new() } else { body };
    stream.write_all(&whole("200 OK", "X-Svc: 1\r\nKeep-Alive: timeout=5\r\n", &body)).is_ok()
}

#[test]
fn heads_and_bodies_pass_over_one_connection() {
    let server = Server::start(mirror);
    let rig = Rig::of(Kind::Http, server.address, |s| s.path = "/v1".into());
    let mut client = rig.client();
    let headers = "Accept: a\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\n";
    let answer = client.ask("PUT", "/svc/x/../y?a=b%20c", headers, b"body");
    let host = server.address;
    let head = format!(
        "PUT /v1/x/../y?a=b%20c HTTP/1.1\r\nHost: {host}\r\nAccept: a\r\nContent-Length: 4\r\n\r\n"
    );
    assert_eq!((answer.status, answer.text()), (200, format!("{head}|body").as_str()));
    assert_eq!((answer.header("x-svc"), answer.header("keep-alive")), ("1", ""));
    assert_eq!(answer.header("connection"), "keep-alive");
    let head = client.ask("HEAD", "/svc", "", b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "0", 0));
    // A body without a length is sent as chunks.
    client.send("POST /svc HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let answer = client.answer(false);
    let body = "Transfer-Encoding: chunked\r\n\r\n|3\r\nabc\r\n0\r\n\r\n";
    assert!(answer.text().ends_with(body), "{answer:?}");
    drop(client);
    // A client of HTTP/1.0 gets a response with a length, and the end of the connection.
    let mut old = rig.client();
    old.send("GET /svc HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer(false).status, 200);
    assert!(old.is_over());
    let report = &rig.stop()[0];
    assert_eq!((report.requests, report.failed), (4, 0));
}

#[test]
fn status_codes_without_a_body_have_none() {
    let server = Server::start(|ask, stream| {
        let answer: &[u8] = match ask.path.as_str() {
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
            "/early" => b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "/moved" => b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        };
        stream.write_all(answer).is_ok() && ask.path != "/close"
    });
    let rig = Rig::of(Kind::Http, server.address, |_| {});
    let mut client = rig.client();
    for _ in 0..2 {
        assert_eq!(client.get("/svc/204").status, 204);
        assert_eq!(client.get("/svc/304").header("content-length"), "7");
        assert_eq!(client.get("/svc/moved").header("location"), "/svc/next");
        assert_eq!(client.get("/svc/early").status, 103);
        assert_eq!(client.answer(false).text(), "x");
    }
    // Its end is the connection's: the client gets chunks.
    let answer = client.get("/svc/close");
    assert_eq!((answer.text(), answer.complete), ("until the end", true));
    assert_eq!(client.get("/svc/204").status, 204);
    let mut old = rig.client();
    old.send("GET /svc/close HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer(false).status, 505);
}

/// Accepts one connection after another, and hands each to `serve` after the head of its request.
fn raw(serve: impl Fn(TcpStream, Vec<u8>) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            if head.ends_with(b"\r\n\r\n") {
                serve(stream, head);
            }
        }
    });
    address
}

#[test]
fn bodies_stream_in_both_directions_at_once() {
    // Echoes byte by byte, chunks and all.
    let address = raw(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    let rig = Rig::of(Kind::Http, address, |s| s.limits.request_timeout_ns = 60 * S);
    let mut client = rig.client();
    client.send(
        "POST /svc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            .replace("Host: a", "Host: localhost"),
    );
    assert_eq!(client.head().0, 200, "the response begins before the request ends");
    for text in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{text}\r\n", text.len()));
        assert_eq!(client.chunk().unwrap(), text.as_bytes());
    }
    // Far more than the buffers hold: neither direction waits for the other.
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    const PARTS: usize = 400;
    let sending = std::thread::spawn(move || {
        let part = [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat();
        (0..PARTS).for_each(|_| writer.write_all(&part).unwrap());
        writer.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut received = 0;
    loop {
        let data = client.chunk().expect("the body has an end");
        if data.is_empty() {
            break;
        }
        received += data.len();
    }
    sending.join().unwrap();
    assert_eq!(received, PARTS * 65_536);
}

#[test]
fn a_client_that_does_not_read_stops_the_service() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let address = raw(move |mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let part = [b'x'; 65_536];
        while stream.write_all(&part).is_ok() {
            counter.fetch_add(part.len(), Ordering::SeqCst);
        }
    });
    let rig = Rig::of(Kind::Http, address, |s| {
        s.limits.request_timeout_ns = 60 * S;
        s.limits.body_bytes_max = usize::MAX;
    });
    let mut client = rig.client();
    client.send("GET /svc HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().0, 200);
    // What the kernel's buffers hold, and no more.
    let (mut before, mut same) = (0, 0);
    wait_for("the service is blocked", || {
        let now = written.load(Ordering::SeqCst);
        same = if now == before && now > 0 { same + 1 } else { 0 };
        before = now;
        same > 50
    });
    assert!(before < 64 * 1024 * 1024, "{before}");
    // The client goes away: the service's connection is closed, which its write shows.
    drop(client);
    wait_for("the lease has ended", || rig.number(0, "/occupation/in_use") == 0);
}

#[test]
fn a_client_waits_for_the_services_100_continue() {
    let server = raw(|mut stream, head| {
        let asks = String::from_utf8_lossy(&head).contains("Expect: 100-continue");
        if head.starts_with(b"POST /no") || !asks {
            stream
                .write_all(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            return;
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 4];
        stream.read_exact(&mut body).unwrap();
        stream.write_all(&whole("200 OK", "", &body)).unwrap();
    });
    let rig = Rig::of(Kind::Http, server, |_| {});
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
    };
    let mut client = rig.client();
    client.send(request("/svc/yes"));
    assert_eq!(client.head().0, 100);
    client.send("body");
    assert_eq!(client.answer(false).text(), "body");
    client.send(request("/svc/no"));
    let refused = client.answer(false);
    assert_eq!((refused.status, refused.header("connection")), (417, "close"));
    assert!(client.is_over());
}

#[test]
fn a_client_that_goes_away_cancels_its_request() {
    let (gone, is_gone) = channel();
    let address = raw(move |mut stream, _| {
        // The end of the connection, or an error.
        gone.send(stream.read(&mut [0]).unwrap_or(0)).unwrap();
    });
    let rig = Rig::of(Kind::Http, address, |s| s.limits.max = 1);
    let mut first = rig.client();
    first.send("GET /svc/slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for("the connection is leased", || rig.number(0, "/occupation/in_use") == 1);
    let mut second = rig.client();
    second.send("GET /svc/slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for("the second waits", || rig.number(0, "/occupation/waiting") == 1);
    drop(second);
    wait_for("it has left the queue", || rig.number(0, "/occupation/waiting") == 0);
    drop(first);
    assert_eq!(is_gone.recv_timeout(TIMEOUT), Ok(0));
    wait_for("the lease has ended", || rig.number(0, "/occupation/in_use") == 0);
    let report = &rig.stop()[0];
    assert_eq!((report.requests, report.failed, report.cancelled), (0, 0, 1));
}

#[test]
fn a_stop_lets_running_requests_end() {
    let (asked, is_asked) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let server = Server::start(move |ask, stream| {
        asked.send(()).unwrap();
        may_go.lock().unwrap().recv().unwrap();
        echo_path(ask, stream)
    });
    let rig = Rig::of(Kind::Http, server.address, |_| {});
    let mut idle = rig.client();
    assert_eq!(idle.get("/").status, 200);
    let mut client = rig.client();
    client.send("GET /svc/last HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is_asked.recv_timeout(TIMEOUT).unwrap();
    rig.request_stop();
    assert!(idle.is_over());
    go.send(()).unwrap();
    let answer = client.answer(false);
    assert_eq!((answer.text(), answer.header("connection")), ("/last", "close"));
    assert_eq!(rig.stop()[0].requests, 1);
}

//! What clients receive when a service, or their own request, is at fault.
use super::super::server::{Authority, Server, echo_path};
use super::*;
use ringbook::pool::rate::Rate;
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;

#[test]
fn a_dead_service_is_answered_at_once_until_it_is_back() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let rig = Rig::of(Kind::Http, address, |_| {});
    for _ in 0..20 {
        let answer = rig.client().get("/svc/x");
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&body["service"], &body["state"]), (&"svc".into(), &"down".into()));
        assert!(body["last_error"].as_str().unwrap().contains("connection refused"), "{body}");
        assert!(body["since_ms"].as_u64().unwrap() > 0);
    }
    let attempts = rig.number(0, "/errors/connect");
    assert!(attempts < 20, "requests to a service that is down are not tried: {attempts}");
    let server = Server::start_at(address, None, Arc::new(echo_path));
    wait_for("it is back", || rig.client().get("/svc/x").text() == "/x");
    drop(server);
}

#[test]
fn the_proxy_has_its_own_pages_and_names() {
    let server = Server::start(echo_path);
    let rig = Rig::of(Kind::Http, server.address, |_| {});
    let mut client = rig.client();
    let unknown = client.get("/nothing/x");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains(r#""error":"there is no service named nothing""#));
    assert!(unknown.text().contains(r#""name":"svc","kind":"http""#), "{}", unknown.text());
    assert!(client.get("/").text().starts_with(r#"{"services":[{"name":"svc""#));
    assert_eq!(client.ask("DELETE", "/stats", "", b"").header("allow"), "GET, HEAD");
    assert_eq!(client.get("/svc/a").text(), "/a");
    let metrics = client.get("/metrics");
    for line in [
        "ringbook_service_requests_total{service=\"svc\"} 1\n",
        "ringbook_serve_requests_total{route=\"svc\",status=\"200\"} 1\n",
        "ringbook_serve_requests_total{route=\"unknown\",status=\"404\"} 1\n",
        "# EOF\n",
    ] {
        assert!(metrics.text().contains(line), "{line}: {}", metrics.text());
    }
    let mut ask = |headers: &str| {
        client.send(format!("GET /svc/x HTTP/1.1\r\n{headers}\r\n"));
        client.answer(false).status
    };
    assert_eq!(ask("Host: evil.example\r\n"), 421);
    assert_eq!(ask("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
    assert_eq!(ask("Host: localhost\r\nOrigin: null\r\n"), 403);
    assert_eq!(ask("Host: 127.0.0.1:1\r\nOrigin: http://localhost:3000\r\n"), 200);
    let mut malformed = rig.client();
    malformed.send("GET /svc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(malformed.answer(false).status, 400);
    assert!(malformed.is_over());
    let mut chunks = rig.client();
    chunks.send(
        "POST /svc HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    );
    assert_eq!(chunks.answer(false).status, 400);
}

#[test]
fn a_response_that_is_cut_ends_the_connection_before_its_end() {
    let server = Server::start(|ask, stream| {
        let bytes: &[u8] = match ask.path.as_str() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            "/chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
            "/head" => b"HTTP/1.1 200 OK\r\nContent-Le",
            "/malformed" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nx\r\n"
            }
            "/large" => b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
            "/nonsense" => b"nonsense\r\n\r\n",
            _ => b"",
        };
        let _ = stream.write_all(bytes);
        false
    });
    let rig = Rig::of(Kind::Http, server.address, |s| s.limits.body_bytes_max = 100);
    for path in ["/length", "/chunks", "/chunk"] {
        let mut client = rig.client();
        let answer = client.get(&format!("/svc{path}"));
        assert_eq!((answer.status, answer.complete), (200, false), "{path}");
        assert!(client.is_over(), "{path}");
    }
    for path in ["/head", "/malformed", "/large", "/nonsense", "/nothing"] {
        let answer = rig.client().get(&format!("/svc{path}"));
        assert_eq!((answer.status, answer.complete), (502, true), "{path}");
        assert!(!answer.header("x-ringbook-error").is_empty(), "{path}");
    }
    let report = &rig.stop()[0];
    assert_eq!((report.requests, report.failed), (8, 8));
}

#[test]
fn a_cut_without_close_notify_is_no_end_of_a_body() {
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let answer = |_: &super::super::server::Ask, stream: &mut dyn super::super::server::Duplex| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it");
        let _ = stream.flush();
        false
    };
    let server = Server::start_at(any, Some(authority.server("service.test")), Arc::new(answer));
    let svc = named("svc", service(Kind::Https, server.address, |_| {}));
    let rig = Rig::with_ca(vec![svc], Some(authority.pem));
    let answer = rig.client().get("/svc/x");
    assert_eq!((answer.status, answer.complete, answer.text()), (200, false, "half of it"));
}

#[test]
fn each_bound_has_its_status() {
    let server = Server::start(|ask, stream| {
        if ask.path == "/slow" {
            std::thread::sleep(Duration::from_secs(2));
        }
        echo_path(ask, stream)
    });
    let bounded = |name: &str, change: &dyn Fn(&mut Service)| {
        named(name, service(Kind::Http, server.address, change))
    };
    let one = |s: &mut Service| (s.limits.max, s.limits.waiting_max) = (1, 1);
    let rig = Rig::start(vec![
        bounded("full", &one),
        bounded("late", &|s| (s.limits.max, s.limits.acquire_timeout_ns) = (1, 100 * MS)),
        bounded("slow", &|s| s.limits.request_timeout_ns = 300 * MS),
        bounded("rated", &|s| {
            s.rate = Some(Rate { per_second: 0.01, burst: 1 });
        }),
    ]);
    let slow = |name: &str| {
        let mut client = rig.client();
        client.send(format!("GET /{name}/slow HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client
    };
    let status = |name: &str| {
        let answer = rig.client().get(&format!("/{name}/x"));
        let (kind, retry) = (answer.header("x-ringbook-error"), answer.header("retry-after"));
        (answer.status, kind.to_owned(), retry.parse::<u64>().unwrap_or(0))
    };
    let mut running = [slow("full"), slow("late")];
    wait_for("both are leased", || (0..2).all(|i| rig.number(i, "/occupation/in_use") == 1));
    let mut waiting = slow("full");
    wait_for("one waits", || rig.number(0, "/occupation/waiting") == 1);
    assert_eq!(status("full"), (503, "refused".into(), 1));
    assert_eq!(status("late"), (503, "acquire_timeout".into(), 1));
    let answer = slow("slow").answer(false);
    assert_eq!((answer.status, answer.header("x-ringbook-error")), (504, "timeout"));
    assert_eq!(status("rated").0, 200);
    let (code, kind, retry) = status("rated");
    assert_eq!((code, kind.as_str()), (429, "rate_limited"));
    assert!((90..=100).contains(&retry), "{retry}");
    for client in running.iter_mut().chain([&mut waiting]) {
        assert_eq!(client.answer(false).status, 200);
    }
}

#[test]
fn a_retry_after_of_the_service_holds_for_all_clients() {
    let server = Server::start(|_, stream| {
        stream.write_all(&whole("429 Too Many Requests", "Retry-After: 50\r\n", b"no")).is_ok()
    });
    let rig = Rig::of(Kind::Http, server.address, |_| {});
    let first = rig.client().get("/svc/x");
    assert_eq!((first.status, first.text(), first.header("retry-after")), (429, "no", "50"));
    let second = rig.client().get("/svc/x");
    assert_eq!((second.status, second.header("x-ringbook-error")), (429, "rate_limited"));
    assert_eq!(server.requests(), 1);
}

#[test]
fn an_idempotent_request_is_repeated_once_and_no_other() {
    // Closes each connection instead of its second answer.
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let server = Server::start(move |ask, stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        ask.nth == 1 && echo_path(ask, stream)
    });
    let rig = Rig::of(Kind::Http, server.address, |s| s.limits.max = 1);
    let mut client = rig.client();
    for number in 0..3 {
        assert_eq!(client.get(&format!("/svc/{number}")).text(), format!("/{number}"));
    }
    assert_eq!(seen.load(Ordering::SeqCst), 5, "the second and the third were asked twice");
    assert_eq!(rig.number(0, "/repeated"), 2);
    // Neither a method that is not idempotent, nor one whose body is on its way.
    assert_eq!(client.ask("POST", "/svc/x", "", b"").status, 502);
    let mut client = rig.client();
    assert_eq!(client.get("/svc/x").status, 200);
    assert_eq!(client.ask("PUT", "/svc/x", "", b"body").status, 502);
    assert_eq!(rig.number(0, "/repeated"), 2);
}

//! Faults: each has an error of its own, and none leaves anything behind.
use super::server::{Authority, Server, echo_path, whole};
use super::*;
use ringbook::io::connection::ConnectionError;
use ringbook::wire::tls::TlsError;
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn requests_after_a_server_restart_succeed() {
    let server = Server::start(echo_path);
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Http, address, |s| s.limits.max = 5), None);
        let ask = |_| {
            let pool = Rc::clone(&pool);
            async move { pool.get("/x").await.map(|response| response.status) }
        };
        let first = concurrently(20, ask).await;
        assert!(first.iter().all(|status| *status == Ok(200)), "{first:?}");
        assert!(pool.occupation().idle > 0);
        drop(server);
        // No listener: a typed error, and every waiter is notified.
        let down = concurrently(20, ask).await;
        assert!(down.into_iter().all(|result| kind_of(result) == "connect"));
        let server = Server::start_at(address, None, Arc::new(echo_path));
        let again = concurrently(20, ask).await;
        assert!(again.iter().all(|status| *status == Ok(200)), "{again:?}");
        let occupation = pool.occupation();
        assert_eq!((occupation.in_use, occupation.waiting, occupation.opening), (0, 0, 0));
        drop(server);
    });
}

#[test]
fn half_open_slow_and_cut_each_have_their_error() {
    let server = Server::start(|ask, stream| match ask.path.as_str() {
        "/silent" => {
            std::thread::sleep(Duration::from_millis(900));
            false
        }
        "/slow" => {
            let bytes = whole("200 OK", "", &[b's'; 1000]);
            for piece in bytes.chunks(20) {
                if stream.write_all(piece).is_err() {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            true
        }
        "/cut" => {
            let bytes = whole("200 OK", "", &[b'c'; 1000]);
            let _ = stream.write_all(&bytes[..500]);
            false
        }
        "/garbage" => {
            let _ = stream.write_all(b"220 smtp.test ESMTP\r\n\r\n");
            false
        }
        "/huge" => {
            let _ = stream.write_all(&whole("200 OK", "", &[b'h'; 5000]));
            true
        }
        "/extra" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 666").is_ok()
        }
        _ => echo_path(ask, stream),
    });
    let address = server.address;
    run(async move {
        let faulty = service(Kind::Http, address, |s| {
            s.limits.request_timeout_ns = 500 * MS;
            s.limits.body_bytes_max = 2000;
            s.limits.max = 2;
        });
        let (manager, pool) = manage(faulty, None);
        for (path, kind) in [
            ("/silent", "timeout"),
            ("/slow", "timeout"),
            ("/cut", "broken"),
            ("/garbage", "protocol"),
            ("/huge", "too_large"),
        ] {
            let error = pool.get(path).await.unwrap_err();
            assert_eq!(error.kind().name(), kind, "{path}: {error}");
            assert!(!error.to_string().contains('\n'));
            // The connection of a fault is never seen again.
            let occupation = pool.occupation();
            assert_eq!((occupation.in_use, occupation.idle), (0, 0), "{path}");
            assert_eq!(pool.get("/fine").await.unwrap().body, b"/fine");
            assert_eq!(pool.occupation().idle, 1);
        }
        // Bytes after a response belong to no request.
        assert_eq!(pool.get("/extra").await.unwrap().body, b"ok");
        assert_eq!(pool.occupation().idle, 0);
        let report = pool.report();
        assert_eq!(report.errors.values().sum::<u64>(), report.failed);
        assert_eq!(report.errors.get("timeout"), Some(&2));
        assert_eq!(manager.stop(S).await, []);
        assert_eq!(pool.report().opened, pool.report().closed);
    });
}

#[test]
fn a_port_that_accepts_and_says_nothing_and_one_that_refuses() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(async move {
        // TLS and the upgrade need an answer to be open at all.
        for kind in [Kind::Https, Kind::Wss, Kind::Ws] {
            let half = service(kind, address, |s| s.limits.connect_timeout_ns = 150 * MS);
            let (_manager, pool) = manage(half, None);
            let error = pool.acquire().await.unwrap_err();
            assert!(
                matches!(error, PoolError::Connection(ConnectionError::Timeout { .. })),
                "{error}"
            );
            assert_eq!(pool.occupation().opening, 0);
        }
        let (_manager, pool) = manage(service(Kind::Http, refusing, |_| ()), None);
        assert_eq!(kind_of(pool.get("/").await), "connect");
        let nowhere = Service::new("test", Kind::Http, "http://nowhere.test").unwrap();
        let failing = ringbook::io::resolve::Resolver::with_lookup(0, |_| {
            Err(std::io::Error::other("no such host"))
        });
        let tls = ringbook::wire::tls::client_config(None).unwrap();
        let pool = Pool::new(nowhere, failing.unwrap(), &tls);
        assert_eq!(kind_of(pool.get("/").await), "resolve");
        assert_eq!(pool.report().errors.get("resolve"), Some(&1));
    });
    drop(silent);
}

#[test]
fn tls_failures_are_reported_apart() {
    let (ours, other) = (Authority::new(), Authority::new());
    let any = "127.0.0.1:0".parse().unwrap();
    let good = Server::start_at(any, Some(ours.server("service.test")), Arc::new(echo_path));
    let misnamed = Server::start_at(any, Some(ours.server("else.test")), Arc::new(echo_path));
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_address = plain.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let (good, misnamed) = ((good.address, good), (misnamed.address, misnamed));
    run(async move {
        let failure = async |address, pem: Option<&str>| {
            let (_manager, pool) = manage(service(Kind::Https, address, |_| ()), pem);
            let error = pool.get("/").await.unwrap_err();
            assert_eq!(pool.report().errors.get("tls"), Some(&1));
            match error {
                PoolError::Connection(ConnectionError::Tls(error)) => error,
                other => panic!("{other}"),
            }
        };
        let unknown = failure(good.0, None).await;
        assert!(matches!(unknown, TlsError::UnknownIssuer { .. }), "{unknown}");
        let wrong = failure(good.0, Some(&other.pem)).await;
        assert!(wrong.to_string().contains("--tls-ca"), "{wrong}");
        let name = failure(misnamed.0, Some(&ours.pem)).await;
        assert!(matches!(name, TlsError::NameMismatch { .. }), "{name}");
        assert_eq!(failure(plain_address, Some(&ours.pem)).await, TlsError::NotTls);
    });
    answering.join().unwrap();
}

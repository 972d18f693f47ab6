//! Requests: many at once, fairly; redirects, the one repetition, rates, gzip and TLS.
use super::server::{Authority, Server, echo_path, whole};
use super::*;
use ringbook::pool::rate::Rate;
use ringbook::pool::statistics::HealthState;
use ringbook::wire::http::{Method, Request};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn two_hundred_at_once_over_twenty_connections() {
    let server = Server::start(echo_path);
    let address = server.address;
    let report = run(async move {
        let service = service(Kind::Http, address, |s| {
            s.limits.max = 20;
            s.limits.min = 5;
        });
        let (manager, pool) = manage(service, None);
        let ask = |place: usize| {
            let pool = Rc::clone(&pool);
            async move {
                for round in 0..5 {
                    let path = format!("/{place}/{round}");
                    let response = pool.get(&path).await.unwrap();
                    assert_eq!((response.status, response.body), (200, path.into_bytes()));
                }
            }
        };
        concurrently(200, ask).await;
        let report = pool.report();
        assert_eq!(manager.stop(S).await, []);
        report
    });
    assert_eq!((report.requests, report.failed, report.acquired), (1000, 0, 1000));
    assert!(report.reuse_rate > 0.95, "{}", report.reuse_rate);
    assert!(report.peak_in_use <= 20 && report.opened <= 20, "{report:?}");
    assert_eq!((report.peak_in_use, report.peak_waiting >= 180), (20, true), "{report:?}");
    assert!(server.accepted() <= 20 && server.requests() == 1000);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
}

#[test]
fn hundreds_of_connections_to_one_name_are_opened_at_once() {
    let server = Server::start(echo_path);
    let port = server.address.port();
    run(async move {
        let mut named =
            Service::new("test", Kind::Http, &format!("http://service.test:{port}")).unwrap();
        named.limits.max = 200;
        named.limits.min = 0;
        // The first request takes long, and there is no room for two hundred behind it.
        let slow = Resolver::with_lookup(60 * S, |_| {
            std::thread::sleep(Duration::from_millis(50));
            Ok(vec!["127.0.0.1".parse().unwrap()])
        });
        let tls = client_config(None).unwrap();
        let manager = Manager::new(vec![named], &slow.unwrap(), &tls).unwrap();
        let pool = manager.pool("test").unwrap();
        let take = |_| {
            let pool = Rc::clone(&pool);
            async move { pool.acquire().await.unwrap() }
        };
        let guards = concurrently(200, take).await;
        assert_eq!((pool.occupation().in_use, pool.report().opened), (200, 200));
        drop(guards);
        assert!(pool.report().errors.is_empty(), "{:?}", pool.report().errors);
        assert_eq!(manager.stop(S).await, []);
        drop(server);
    });
}

#[test]
fn first_come_first_served() {
    let server = Server::start(|ask, stream| {
        std::thread::sleep(Duration::from_millis(2));
        echo_path(ask, stream)
    });
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Http, address, |s| s.limits.max = 2), None);
        let order = Rc::new(RefCell::new(Vec::new()));
        let ask = |place: usize| {
            let (pool, order) = (Rc::clone(&pool), Rc::clone(&order));
            async move {
                let mut guard = pool.acquire().await.unwrap();
                order.borrow_mut().push(place);
                pause(1).await;
                assert!(guard.is_usable());
            }
        };
        concurrently(50, ask).await;
        let order = order.take();
        assert!(order.is_sorted() && order.len() == 50, "{order:?}");
    });
}

#[test]
fn a_waiter_that_goes_away_leaks_nothing_and_times_out_alone() {
    let server = Server::start(echo_path);
    let address = server.address;
    run(async move {
        let service = service(Kind::Http, address, |s| {
            s.limits.max = 1;
            s.limits.acquire_timeout_ns = 100 * MS;
        });
        let (_manager, pool) = manage(service, None);
        let guard = pool.acquire().await.unwrap();
        let started = Instant::now();
        let error = pool.acquire().await.unwrap_err();
        assert!(matches!(error, PoolError::AcquireTimeout { in_use: 1, .. }), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(100));
        // Dropped while it waits, and dropped in the moment in which it is served.
        let waiter = pool.acquire();
        let mut waiter = Box::pin(waiter);
        assert!(futures_lite::future::poll_once(&mut waiter).await.is_none());
        assert_eq!(pool.occupation().waiting, 1);
        drop(waiter);
        assert_eq!(pool.occupation().waiting, 0);
        let mut waiter = Box::pin(pool.acquire());
        assert!(futures_lite::future::poll_once(&mut waiter).await.is_none());
        drop(guard);
        assert_eq!((pool.occupation().waiting, pool.occupation().in_use), (0, 1));
        drop(waiter);
        let occupation = pool.occupation();
        assert_eq!((occupation.idle, occupation.in_use, occupation.waiting), (1, 0, 0));
        let report = pool.report();
        assert_eq!((report.timed_out, report.cancelled, report.opened), (1, 1, 1));
    });
}

#[test]
fn redirects_are_followed_within_the_host_only() {
    let server = Server::start(|ask, stream| {
        let see = |status: &str, place: &str| {
            whole(status, &format!("Location: {place}\r\n"), b"elsewhere")
        };
        let seen = format!("{} {}", ask.method, String::from_utf8_lossy(&ask.body));
        let bytes = match ask.path.as_str() {
            "/api/old" => see("302 Found", "new?a=1"),
            "/api/new?a=1" | "/api/target" => whole("200 OK", "", seen.as_bytes()),
            "/api/see" => see("303 See Other", "/api/target"),
            "/api/keep" => see("307 Temporary Redirect", "/api/target"),
            "/api/away" => see("302 Found", "http://elsewhere.test/x"),
            "/api/loop" => see("301 Moved", "/api/loop"),
            other => panic!("{other}"),
        };
        stream.write_all(&bytes).is_ok()
    });
    let address = server.address;
    run(async move {
        let (_manager, pool) =
            manage(service(Kind::Http, address, |s| s.path = "/api".into()), None);
        let text =
            |response: ringbook::wire::http::Response| String::from_utf8(response.body).unwrap();
        assert_eq!(text(pool.get("/old").await.unwrap()), "GET ");
        let post = |path: &str| pool.post_json(path, b"[1]".to_vec());
        assert_eq!(text(post("/old").await.unwrap()), "GET ");
        assert_eq!(text(post("/see").await.unwrap()), "GET ");
        assert_eq!(text(post("/keep").await.unwrap()), "POST [1]");
        let put = Request::new(Method::PUT, pool.url("/old"), b"[2]".to_vec());
        assert_eq!(text(pool.request(&put).await.unwrap()), "PUT [2]");
        let away = pool.get("/away").await.unwrap();
        assert_eq!((away.status, text(away).as_str()), (302, "elsewhere"));
        let looped = pool.get("/loop").await;
        assert!(matches!(looped, Err(PoolError::Redirects { .. })), "{looped:?}");
        let other_host = pool.request(&Request::get("http://elsewhere.test/")).await;
        assert_eq!(kind_of(other_host), "usage");
        let report = pool.report();
        assert_eq!((report.redirected, report.opened), (11, 1));
        assert_eq!(report.errors.get("protocol"), Some(&1));
    });
}

#[test]
fn a_get_on_a_dead_reused_connection_is_retried_once_and_a_post_is_not() {
    // Reads the second request of each connection and closes without an answer.
    let server = Server::start(|ask, stream| ask.nth != 2 && echo_path(ask, stream));
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Http, address, |_| ()), None);
        for path in ["/a", "/b", "/c"] {
            assert_eq!(pool.get(path).await.unwrap().body, path.as_bytes());
        }
        let report = pool.report();
        assert_eq!((report.repeated, report.failed, report.opened), (2, 0, 3));
        assert_eq!(kind_of(pool.post_json("/d", b"{}".to_vec()).await), "broken");
        // The first request of a connection is not repeated: that would not be the keep-alive race.
        let report = pool.report();
        assert_eq!((report.repeated, report.failed, report.closed_broken), (2, 1, 3));
        assert_eq!(report.errors.get("broken"), Some(&1));
    });
    assert_eq!(server.requests(), 6);
}

#[test]
fn a_fresh_connection_that_dies_is_an_error_and_not_repeated() {
    let server = Server::start(|_, _| false);
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Http, address, |_| ()), None);
        assert_eq!(kind_of(pool.get("/").await), "broken");
    });
    assert_eq!(server.requests(), 1);
}

#[test]
fn the_rate_limit_and_retry_after_are_respected() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |ask, stream| {
        let bytes = match ask.path.as_str() {
            "/limited" if count.fetch_add(1, Ordering::SeqCst) == 0 => {
                whole("429 Too Many", "Retry-After: 1\r\n", b"slow down")
            }
            "/busy" => whole("503 Busy", "Retry-After: 3600\r\n", b""),
            _ => whole("200 OK", "", b"ok"),
        };
        stream.write_all(&bytes).is_ok()
    });
    let address = server.address;
    run(async move {
        let limited = service(Kind::Http, address, |s| {
            s.rate = Some(Rate { per_second: 20.0, burst: 2 });
            s.limits.request_timeout_ns = 3 * S;
        });
        let (_manager, pool) = manage(limited, None);
        let started = Instant::now();
        for _ in 0..6 {
            pool.get("/").await.unwrap();
        }
        // Two at once, four more at 50 ms each.
        assert!(started.elapsed() >= Duration::from_millis(195), "{:?}", started.elapsed());
        let started = Instant::now();
        assert_eq!(pool.get("/limited").await.unwrap().status, 429);
        assert_eq!(pool.get("/limited").await.unwrap().status, 200);
        assert!(started.elapsed() >= Duration::from_millis(990), "{:?}", started.elapsed());
        assert_eq!(pool.get("/busy").await.unwrap().status, 503);
        let error = pool.get("/").await.unwrap_err();
        assert!(matches!(error, PoolError::RateLimited { by_service: true, .. }), "{error}");
        assert_eq!(pool.report().errors.get("rate_limited"), Some(&1));
    });
}

#[test]
fn keep_alive_off_and_old_age_close_connections() {
    let server = Server::start(echo_path);
    let address = server.address;
    run(async move {
        let (_manager, pool) =
            manage(service(Kind::Http, address, |s| s.limits.keep_alive = false), None);
        for _ in 0..3 {
            pool.get("/").await.unwrap();
        }
        let report = pool.report();
        assert_eq!((report.opened, report.closed, report.closed_broken), (3, 3, 0));
        let aging = service(Kind::Http, address, |s| {
            s.limits.max_age_ns = 150 * MS;
            s.limits.min = 1;
        });
        let (_manager, pool) = manage(aging, None);
        until(|| pool.occupation().idle == 1).await;
        until(|| pool.report().closed >= 1 && pool.occupation().idle == 1).await;
        // Idle ones above the minimum go.
        let idling = service(Kind::Http, address, |s| {
            s.limits.idle_timeout_ns = 150 * MS;
            s.limits.min = 1;
        });
        let (_manager, pool) = manage(idling, None);
        let guards = concurrently(4, |_| {
            let pool = Rc::clone(&pool);
            async move { pool.acquire().await.unwrap() }
        });
        drop(guards.await);
        assert_eq!(pool.occupation().idle, 4);
        until(|| pool.occupation().idle == 1).await;
    });
}

#[test]
fn a_guard_held_too_long_is_reported_with_its_place_and_a_stop_waits() {
    let server = Server::start(echo_path);
    let address = server.address;
    run(async move {
        let service = service(Kind::Http, address, |s| s.limits.guard_held_max_ns = 50 * MS);
        let (manager, pool) = manage(service, None);
        let line = line!() + 1;
        let guard = pool.acquire().await.unwrap();
        until(|| pool.report().leaks == 1).await;
        let left = manager.stop(100 * MS).await;
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].service.as_str(), left[0].held.place.line()), ("test", line));
        assert!(left[0].held.place.file().ends_with("requests.rs"));
        assert!(matches!(pool.acquire().await, Err(PoolError::Stopped)));
        drop(guard);
        let left = manager.stop(100 * MS).await;
        assert_eq!(left, []);
        assert_eq!(pool.report().opened, pool.report().closed);
    });
}

#[test]
fn health_follows_the_service_down_and_up() {
    let server = Server::start(|ask, stream| {
        assert_eq!(ask.path, "/health");
        stream.write_all(&whole("204 No Content", "", b"")).is_ok()
    });
    let address = server.address;
    run(async move {
        let probed = service(Kind::Http, address, |s| {
            s.limits.health_interval_ns = 100 * MS;
            s.limits.min = 1;
            s.probe = Some("/health".into());
        });
        let (_manager, pool) = manage(probed, None);
        until(|| pool.health().probes >= 3).await;
        let health = pool.health();
        assert_eq!((health.state, health.probes_failed), (HealthState::Up, 0));
        assert!(health.since_ns > 0 && health.last_probe_ns >= health.since_ns);
        assert!(health.probe_took_ns > 0 && health.last_error.is_none());
        drop(server);
        until(|| pool.health().state == HealthState::Down).await;
        let down = pool.health();
        assert!(down.last_error.unwrap().contains("connection refused"));
        let address = address;
        let again = Server::start_at(address, None, Arc::new(echo_path));
        until(|| pool.health().state == HealthState::Up).await;
        assert!(pool.health().since_ns > down.since_ns);
        drop(again);
    });
}

#[test]
fn https_with_gzip_and_chunks_over_one_connection() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;
    let authority = Authority::new();
    let answer = |ask: &server::Ask, stream: &mut dyn server::Duplex| {
        assert!(ask.head.contains("accept-encoding: gzip"), "{}", ask.head);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&vec![b'z'; 100_000]).unwrap();
        let body = encoder.finish().unwrap();
        let head =
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for piece in body.chunks(50) {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&chunk).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start_at(any, Some(authority.server("service.test")), Arc::new(answer));
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Https, address, |_| ()), Some(&authority.pem));
        for _ in 0..3 {
            assert_eq!(pool.get("/").await.unwrap().body, vec![b'z'; 100_000]);
        }
        assert_eq!(pool.report().opened, 1);
    });
}

//! Paths, targets, locations and errors.
use super::*;
use crate::pool::Kind;

fn service(kind: Kind, url: &str) -> Service {
    Service::new("svc", kind, url).unwrap()
}

#[test]
fn paths_have_routes() {
    assert_eq!(route("/"), Route::Index);
    assert_eq!(route("/stats"), Route::Stats);
    assert_eq!(route("/metrics"), Route::Metrics);
    for (path, name, rest) in [
        ("/svc", "svc", ""),
        ("/svc/", "svc", "/"),
        ("/svc/v1/x", "svc", "/v1/x"),
        ("/stats/x", "stats", "/x"),
        ("//x", "", "/x"),
    ] {
        assert_eq!(route(path), Route::Service { name, path: rest }, "{path}");
    }
}

#[test]
fn targets_are_below_the_services_path() {
    let plain = service(Kind::Http, "http://127.0.0.1:4000");
    let based = service(Kind::Http, "http://127.0.0.1:4000/v1");
    assert_eq!(http_target(&plain, "", ""), "/");
    assert_eq!(http_target(&plain, "/a/../b", "x=1"), "/a/../b?x=1");
    assert_eq!(http_target(&based, "", "x"), "/v1?x");
    assert_eq!(http_target(&based, "/models", ""), "/v1/models");
    let socket = service(Kind::Ws, "ws://127.0.0.1:8188/ws");
    for path in ["", "/", "/ws"] {
        assert_eq!(socket_target(&socket, path, ""), None, "{path}");
        assert_eq!(socket_target(&socket, path, "a=1").as_deref(), Some("/ws?a=1"));
    }
    assert_eq!(socket_target(&socket, "/other", "").as_deref(), Some("/other"));
}

#[test]
fn locations_lead_back_through_the_proxy() {
    let based = service(Kind::Http, "http://127.0.0.1:4000/v1");
    for (location, expected) in [
        ("/v1/x?y#z", Some("/svc/x?y#z")),
        ("/v1", Some("/svc")),
        ("/v10/x", Some("http://127.0.0.1:4000/v10/x")),
        ("http://127.0.0.1:4000/v1/x", Some("/svc/x")),
        ("http://127.0.0.1:40001/v1/x", None),
        ("//elsewhere/x", None),
        ("https://elsewhere/x", None),
        ("relative", None),
    ] {
        assert_eq!(locate(&based, location).as_deref(), expected, "{location}");
    }
}

#[test]
fn errors_have_a_status_each() {
    let health = Health { last_error: Some("a \"b\"".into()), ..Health::default() };
    let of = |error: &PoolError| {
        let answer = failed(error, "svc", &health);
        let retry = answer.headers.iter().find(|(name, _)| *name == "Retry-After");
        (answer.status, retry.map(|(_, value)| value.clone()))
    };
    let second = Some("1".to_owned());
    for (error, expected) in [
        (PoolError::QueueFull { waiting: 3 }, (503, second.clone())),
        (PoolError::Stopped, (503, second.clone())),
        (PoolError::AcquireTimeout { after_ns: 1, in_use: 1, last: None }, (503, second.clone())),
        (
            PoolError::RateLimited { wait_ns: 1_500_000_000, by_service: false },
            (429, Some("2".to_owned())),
        ),
        (PoolError::timeout("waiting for the response", 1), (504, None)),
        (PoolError::Connection(ConnectionError::Broken("x".into())), (502, None)),
        (
            PoolError::WebSocket(WebSocketError::Refused {
                status: 401,
                retry_after: None,
                location: None,
            }),
            (401, None),
        ),
    ] {
        assert_eq!(of(&error), expected, "{error}");
    }
    let down = down("svc", &health);
    let body = std::str::from_utf8(&down.body).unwrap();
    let expected = r#"{"error":"the service svc is down","service":"svc","state":"unknown","last_error":"a \"b\""}"#;
    assert_eq!((down.status, body), (503, expected));
    assert!(down.headers.contains(&("X-Ringbook-Error", "down".to_owned())));
}

#[test]
fn unknown_services_are_answered_with_the_known_ones() {
    let one = service(Kind::Http, "http://127.0.0.1:4000/v1");
    let answer = services(Some("x\""), [(&one, Health::default())].into_iter());
    let expected = r#"{"error":"there is no service named x\"","services":[{"name":"svc","kind":"http","address":"http://127.0.0.1:4000/v1","state":"unknown"}]}"#;
    assert_eq!((answer.status, std::str::from_utf8(&answer.body).unwrap()), (404, expected));
}

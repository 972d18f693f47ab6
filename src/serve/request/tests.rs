//! Requests, bodies and upgrades, valid and malformed.
use super::*;

fn head(text: &str) -> Head {
    let (head, length) = parse(text.as_bytes()).unwrap().expect("complete");
    assert_eq!(length, text.len());
    for split in 0..text.len() {
        assert_eq!(parse(&text.as_bytes()[..split]), Ok(None), "{split}");
    }
    head
}

#[test]
fn method_path_query_and_keep_alive() {
    let get = head("GET /book?x=1&token_id=27&token_id=28 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((get.method, get.path.as_str()), (Method::Get, "/book"));
    assert_eq!(get.query_value("token_id").as_deref(), Some("27"));
    assert_eq!(get.query_value("token"), None);
    assert!(get.keep_alive && !get.has_body());
    assert!(!head("GET / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n").keep_alive);
    assert!(!head("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(head("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    let absolute = head("GET http://a:1/stats?b HTTP/1.1\r\nHost: A:1\r\n\r\n");
    assert_eq!((absolute.path.as_str(), absolute.query.as_str()), ("/stats", "b"));
    let post = head("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    assert_eq!((post.method, post.body), (Method::Post, Body::Bytes(3)));
    assert!(head("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").has_body());
    assert!(!head("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").has_body());
}

#[test]
fn an_origin_tells_pages_from_programs() {
    let of = |host: &str, lines: &str| {
        head(&format!("POST /x HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).sender
    };
    assert_eq!(of("a:1", ""), Sender::Program);
    assert_eq!(of("a:1", "Origin: http://a:1\r\n"), Sender::OwnPage);
    assert_eq!(of("A:1", "Origin: https://a:1\r\n"), Sender::OwnPage);
    for other in ["http://a:2", "http://a", "http://b:1", "null", "", "a:1", "ftp://a:1"] {
        assert_eq!(of("a:1", &format!("Origin: {other}\r\n")), Sender::OtherPage, "{other}");
    }
    let two = "Origin: http://a:1\r\nOrigin: http://b\r\n";
    assert_eq!(of("a:1", two), Sender::OtherPage);
    assert_eq!(head("POST /x HTTP/1.0\r\nOrigin: http://a\r\n\r\n").sender, Sender::OtherPage);
}

#[test]
fn what_is_no_request_is_refused() {
    let malformed = |text: &str| matches!(parse(text.as_bytes()), Err(HeadError::Malformed(_)));
    assert!(malformed("\x16\x03\x01\x02\x00\x01\x00"));
    assert!(malformed("GET / HTTP/1.1\r\n\r\n"));
    assert!(malformed("GET \"x HTTP/1.1\r\nHost: a\r\n\r\n"));
    for (start, headers) in [
        ("get / HTTP/1.1", "Host: a\r\n"),
        ("Get / HTTP/1.1", "Host: a\r\n"),
        ("GET  / HTTP/1.1", "Host: a\r\n"),
        ("GET a:80 HTTP/1.1", "Host: a:80\r\n"),
        ("GET * HTTP/1.1", "Host: a\r\n"),
        ("GET /#x HTTP/1.1", "Host: a\r\n"),
        ("CONNECT a:80 HTTP/1.1", "Host: a:80\r\n"),
        ("GET http://b/ HTTP/1.1", "Host: a\r\n"),
        ("GET http://a@b/ HTTP/1.1", "Host: b\r\n"),
        ("GET http://a:1/ HTTP/1.1", "Host: a\r\n"),
        ("GET https://a/ HTTP/1.1", "Host: a\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n"),
        ("GET / HTTP/1.0", "Host: a\r\nhOST: b\r\n"),
        ("GET / HTTP/1.1", "Host: a b\r\n"),
        ("GET / HTTP/1.1", "Host: a, b\r\n"),
        ("GET / HTTP/1.1", "Host: u@a\r\n"),
        ("GET / HTTP/1.1", "Host: a:b\r\n"),
        ("GET / HTTP/1.1", "Host: a:70000\r\n"),
        ("GET / HTTP/1.1", "Host: [::1\r\n"),
        ("GET / HTTP/1.1", "Host:\r\n"),
        ("GET / HTTP/1.1", "Host : a\r\n"),
        ("GET / HTTP/1.1", " Host: a\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nX: a\r\n b\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nX: a\r\n\tb\r\n"),
        ("GET / HTTP/1.1", "Host: a\n"),
        ("GET / HTTP/1.1", "Host: a\r\nX: a\rb\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nX: a\0b\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nno colon\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\n: empty\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 3, 3\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: +3\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: -1\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 0x3\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length:\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 99999999999999999999\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: xchunked\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: identity\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n"),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
        ("GET / HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
    ] {
        let text = format!("{start}\r\n{headers}\r\n");
        assert!(malformed(&text), "{text:?}: {:?}", parse(text.as_bytes()));
    }
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(malformed(text), "{text:?}");
    }
    assert_eq!(parse(b"GET / HTTP/3.1\r\n\r\n"), Err(HeadError::Version));
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(SERVE_HEAD_BYTES_MAX));
    assert_eq!(parse(long.as_bytes()), Err(HeadError::TooLarge));
    let many = "a: b\r\n".repeat(SERVE_HEADERS_MAX + 1);
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    assert_eq!(parse(many.as_bytes()), Err(HeadError::TooLarge));
}
#[test]
fn bodies_are_bounded() {
    let bytes =
        |fields: &str| head(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).body_bytes();
    assert_eq!(bytes(""), Ok(0));
    assert_eq!(bytes("Content-Length: 7\r\n"), Ok(7));
    assert_eq!(bytes("Content-Length: 262144\r\n"), Ok(SERVE_BODY_BYTES_MAX));
    assert_eq!(bytes("Content-Length: 262145\r\n"), Err(BodyError::TooLarge));
    assert_eq!(bytes("Content-Length: 18446744073709551615\r\n"), Err(BodyError::TooLarge));
    assert_eq!(bytes("Transfer-Encoding: chunked\r\n"), Err(BodyError::LengthRequired));
}

const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

#[test]
fn a_websocket_is_requested_as_in_the_standard() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==".to_owned();
    for (upgrade, connection) in [
        (UPGRADE, CONNECTION),
        ("uPGRADE: h2c, WebSocket\r\n", "connection: keep-alive, upgrade\r\n"),
        (UPGRADE, "Connection: keep-alive\r\nConnection: UPGRADE\r\n"),
    ] {
        let start = "GET /v1/stream?kinds=top HTTP/1.1\r\nHost: a\r\n";
        let text = format!("{start}{upgrade}{connection}{KEY}{VERSION}\r\n");
        assert_eq!(head(&text).upgrade, Some(UpgradeRequest { key: key.clone() }), "{text}");
    }
    let other = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(head(other).upgrade, None, "not asked for");
}

#[test]
fn a_malformed_request_for_a_websocket_is_refused() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n";
    let result = |start: &str, fields: &[&str]| {
        parse(format!("{start}{}\r\n", fields.concat()).as_bytes()).unwrap_err()
    };
    for version in ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n"] {
        let error = result(get, &[UPGRADE, CONNECTION, KEY, version]);
        assert_eq!(error, HeadError::WebSocketVersion, "{version:?}");
    }
    for (start, fields) in [
        (get, [UPGRADE, "", KEY, VERSION]),
        (get, [UPGRADE, "Connection: keep-alive\r\n", KEY, VERSION]),
        (get, [UPGRADE, CONNECTION, "", VERSION]),
        (get, [UPGRADE, CONNECTION, "Sec-WebSocket-Key: c2hvcnQ=\r\n", VERSION]),
        (get, [UPGRADE, CONNECTION, "Sec-WebSocket-Key: ?\r\n", VERSION]),
        ("GET / HTTP/1.0\r\n", [UPGRADE, CONNECTION, KEY, VERSION]),
        ("POST / HTTP/1.1\r\nHost: a\r\n", [UPGRADE, CONNECTION, KEY, VERSION]),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n", [UPGRADE, CONNECTION, KEY, VERSION]),
    ] {
        let error = result(start, &fields);
        assert!(matches!(error, HeadError::Malformed(_)), "{start}{fields:?}: {error:?}");
    }
    for twice in [KEY, VERSION] {
        let error = result(get, &[UPGRADE, CONNECTION, KEY, VERSION, twice]);
        assert!(matches!(error, HeadError::Malformed(_)), "{twice}");
    }
}

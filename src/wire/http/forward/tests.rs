//! Headers of both directions, and ambiguous responses.
use super::*;
use proptest::prelude::*;

fn request(head: &str, framing: Framing, keep_alive: bool) -> (String, bool) {
    let to = RequestTarget { path_and_query: "/v1/x?y", host: "svc:8", framing, keep_alive };
    let request = forward_request(head.as_bytes(), to).unwrap();
    (String::from_utf8(request.bytes).unwrap(), request.is_idempotent)
}

fn response(head: &str, to_head: bool) -> Result<ForwardedResponse, HttpError> {
    for end in 0..head.len() {
        assert_eq!(parse_response(&head.as_bytes()[..end], to_head, |_| None)?, None);
    }
    let locate = |text: &str| text.strip_prefix("/").map(|rest| format!("/svc/{rest}"));
    let (response, used) = parse_response(head.as_bytes(), to_head, locate)?.unwrap();
    assert_eq!(used, head.len());
    Ok(response)
}

#[test]
fn a_request_keeps_what_is_for_the_service() {
    let head = "GET /svc/x?y HTTP/1.1\r\nHost: 127.0.0.1:9\r\nAccept: a/b\r\nX-Mine: 1\r\n\
                Connection: keep-alive, x-mine\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
                Upgrade: h2c\r\nAuthorization: Bearer k\r\nExpect: 100-continue\r\n\r\n";
    let (text, is_idempotent) = request(head, Framing::Empty, true);
    let expected = "GET /v1/x?y HTTP/1.1\r\nHost: svc:8\r\nAccept: a/b\r\n\
                    Authorization: Bearer k\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!((text.as_str(), is_idempotent), (expected, true));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\
                Connection: content-length\r\n\r\n";
    for (framing, line) in [
        (Framing::Empty, "Content-Length: 0\r\n"),
        (Framing::Length(3), "Content-Length: 3\r\n"),
        (Framing::Chunked, "Transfer-Encoding: chunked\r\n"),
    ] {
        let (text, is_idempotent) = request(head, framing, false);
        let start = "POST /v1/x?y HTTP/1.1\r\nHost: svc:8\r\n";
        assert_eq!(text, format!("{start}{line}Connection: close\r\n\r\n"));
        assert!(!is_idempotent);
    }
    assert_eq!(request_header(b"GET / HTTP/1.1\r\nORIGIN: a\r\n\r\n", "origin").unwrap(), "a");
    assert!(forward_upgrade(b"no request").is_err());
}

#[test]
fn an_upgrade_keeps_the_subprotocol_and_not_the_handshake() {
    let head = b"GET /svc HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: x\r\n\
        Sec-WebSocket-Protocol: a, b\r\nCookie: c\r\n\r\n";
    let headers = forward_upgrade(head).unwrap();
    assert_eq!(headers.len(), 2);
    assert_eq!(
        (&headers["cookie"], &headers["sec-websocket-protocol"]),
        (&"c".parse().unwrap(), &"a, b".parse().unwrap())
    );
}

#[test]
fn the_length_of_a_response_is_known() {
    let of = |head: &str| {
        let response = response(head, false).unwrap();
        (response.framing, response.keep_alive)
    };
    assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), (Framing::Length(5), true));
    assert_eq!(
        of("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n"),
        (Framing::Chunked, false)
    );
    assert_eq!(of("HTTP/1.1 200 OK\r\n\r\n"), (Framing::UntilClose, false));
    assert_eq!(of("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), (Framing::Length(1), false));
    assert!(of("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n").1);
    for head in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        assert_eq!(of(head), (Framing::Empty, true));
    }
    let not_modified = response("HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", false).unwrap();
    assert_eq!(not_modified.bytes, b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n");
    let head = response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true).unwrap();
    assert_eq!(head.framing, Framing::Empty);
    assert_eq!(head.bytes, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n");
}

#[test]
fn a_response_keeps_what_is_for_the_client() {
    let head = "HTTP/1.1 303 See Other\r\nLocation: /x\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
                Keep-Alive: timeout=5\r\nContent-Length: 0\r\nRetry-After: 7\r\nSet-Cookie: a\r\n\
                Set-Cookie: b\r\n\r\n";
    let response = response(head, false).unwrap();
    let expected = "HTTP/1.1 303 See Other\r\nLocation: /svc/x\r\nRetry-After: 7\r\n\
                    Set-Cookie: a\r\nSet-Cookie: b\r\n";
    assert_eq!(String::from_utf8(response.bytes).unwrap(), expected);
    assert_eq!(response.retry_after, Some(RetryAfter::Seconds(7)));
}

proptest! {
    /// What is forwarded is read as the same again: no header of one connection, and one length.
    #[test]
    fn a_forwarded_head_is_a_head(
        head in "HTTP/1\\.[01] [1-5][0-9]{2} [ -~]{0,8}\r\n(([A-Za-z-]{1,8}|Content-Length|\
                 Transfer-Encoding|Connection|Keep-Alive|Location): ?([0-9]{1,3}|chunked|close|keep-alive|\
                 [ -~]{0,8})\r\n){0,5}\r\n",
        to_head in any::<bool>(),
    ) {
        let parsed = parse_response(head.as_bytes(), to_head, |_| None);
        let Ok(Some((first, used))) = parsed else { return Ok(()) };
        prop_assert!(used <= head.len());
        let mut again = first.bytes.clone();
        put_framing(first.framing, &mut again);
        again.extend_from_slice(b"\r\n");
        let (second, used) = parse_response(&again, to_head, |_| None).unwrap().unwrap();
        prop_assert_eq!(used, again.len());
        prop_assert_eq!((second.status, second.framing), (first.status, first.framing));
        let text = String::from_utf8_lossy(&first.bytes).to_ascii_lowercase();
        for name in ["connection", "keep-alive", "transfer-encoding"] {
            prop_assert!(!text.contains(&format!("\r\n{name}:")), "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse_response(&bytes, false, |_| None);
        let _ = forward_upgrade(&bytes);
        let to = RequestTarget {
            path_and_query: "/",
            host: "a",
            framing: Framing::Empty,
            keep_alive: true,
        };
        let _ = forward_request(&bytes, to);
    }
}

#[test]
fn ambiguous_responses_are_refused() {
    for headers in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        assert!(parse_response(head.as_bytes(), false, |_| None).is_err(), "{headers}");
    }
    assert!(parse_response(b"nonsense\r\n\r\n", false, |_| None).is_err());
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(parse_response(old.as_bytes(), false, |_| None).is_err());
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(HTTP_HEAD_BYTES_MAX));
    assert_eq!(parse_response(long.as_bytes(), false, |_| None), Err(HttpError::HeadTooLarge));
}
